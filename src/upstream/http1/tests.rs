use std::future::poll_fn;

use tokio::{
    io::AsyncWriteExt,
    net::{UnixStream, unix::OwnedReadHalf, unix::OwnedWriteHalf},
};

use super::*;
use crate::wire::Scheme;

/// A beat of these tests: deadlines are of the real clock.
const BEAT: Duration = Duration::from_millis(60);

struct Backend {
    read: OwnedReadHalf,
    write: OwnedWriteHalf,
}

impl Backend {
    async fn heard(&mut self, bytes: usize) -> String {
        let mut heard = vec![0; bytes];
        self.read.read_exact(&mut heard).await.unwrap();
        String::from_utf8(heard).unwrap()
    }

    async fn say(&mut self, text: &str) {
        self.write.write_all(text.as_bytes()).await.unwrap();
    }
}

fn request(method: Method, framing: Framing) -> Outgoing {
    Outgoing {
        method,
        scheme: Scheme::Http,
        authority: "a.test".to_owned(),
        target: "/x".to_owned(),
        fields: Fields::new(),
        framing,
        trailers: false,
        announced: None,
    }
}

fn limits() -> AnswerLimits {
    AnswerLimits { head_bytes: 4096, fields: 64, answer_timeout: Some(5 * BEAT), read_timeout: Some(3 * BEAT) }
}

fn begin(method: Method, framing: Framing) -> (Exchange, Backend) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (read, write) = theirs.into_split();
    let connection = Connection::new(Stream::Unix(ours), OutQueue::default(), limits());
    (Exchange::begin(connection, &request(method, framing)), Backend { read, write })
}

async fn head(exchange: &mut Exchange) -> Result<ResponseHead, Failure> {
    poll_fn(|cx| exchange.poll_head(cx)).await
}

async fn body(exchange: &mut Exchange) -> Result<Vec<u8>, Failure> {
    let mut whole = Vec::new();
    while let Some(piece) = poll_fn(|cx| exchange.poll_body(usize::MAX, cx)).await {
        whole.extend_from_slice(&piece?);
    }
    Ok(whole)
}

async fn send(exchange: &mut Exchange, piece: &'static [u8]) {
    poll_fn(|cx| exchange.poll_send_ready(cx)).await.unwrap();
    exchange.send(Bytes::from_static(piece));
}

#[tokio::test]
async fn a_connection_rests_for_as_long_as_its_backend_has_said() {
    for (said, seconds) in [("timeout=5, max=9", Some(5)), ("max=9", None)] {
        let (mut exchange, mut backend) = begin(Method::GET, Framing::None);
        backend.say(&format!("HTTP/1.1 204 No Content\r\nKeep-Alive: {said}\r\n\r\n")).await;
        head(&mut exchange).await.unwrap();
        body(&mut exchange).await.unwrap();
        let patience = exchange.into_reusable().unwrap().patience();
        assert_eq!(patience, seconds.map_or(Duration::MAX, Duration::from_secs));
    }
    let (mut exchange, mut backend) = begin(Method::GET, Framing::None);
    backend.say("HTTP/1.1 204 No Content\r\nKeep-Alive: timeout=0\r\n\r\n").await;
    head(&mut exchange).await.unwrap();
    body(&mut exchange).await.unwrap();
    assert!(exchange.into_reusable().is_none());
}

#[tokio::test]
async fn an_exchange_that_ended_whole_gives_its_connection_back() {
    let (mut exchange, mut backend) = begin(Method::GET, Framing::None);
    backend.say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await;
    assert_eq!(head(&mut exchange).await.unwrap().status, 200);
    assert_eq!(backend.heard(33).await, "GET /x HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!(exchange.length(), Some(5));
    assert_eq!(body(&mut exchange).await.unwrap(), b"hello");
    assert_eq!(exchange.length(), Some(0));
    let connection = exchange.into_reusable().unwrap();
    assert!(Exchange::begin(connection, &request(Method::GET, Framing::None)).is_reused());
}

#[tokio::test]
async fn what_may_not_be_used_again_is_not() {
    for (answer, why) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxy", "bytes behind the answer"),
        ("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", "told to close"),
        ("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", "HTTP/1.0"),
    ] {
        let (mut exchange, mut backend) = begin(Method::GET, Framing::None);
        backend.say(answer).await;
        head(&mut exchange).await.unwrap();
        body(&mut exchange).await.unwrap();
        assert!(exchange.into_reusable().is_none(), "{why}");
    }
    let (mut exchange, mut backend) = begin(Method::POST, Framing::Length(9));
    backend.say("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n").await;
    head(&mut exchange).await.unwrap();
    body(&mut exchange).await.unwrap();
    assert!(exchange.into_reusable().is_none(), "the request did not end");
}

#[tokio::test]
async fn a_chunked_body_ends_with_its_last_chunk() {
    let (mut exchange, mut backend) = begin(Method::POST, Framing::Chunked);
    send(&mut exchange, b"hello").await;
    send(&mut exchange, b"you").await;
    exchange.end();
    backend.say("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(head(&mut exchange).await.unwrap().status, 204);
    let heard = backend.heard(85).await;
    assert!(heard.ends_with("\r\n\r\n5\r\nhello\r\n3\r\nyou\r\n0\r\n\r\n"), "{heard:?}");
}

#[tokio::test]
async fn interim_heads_come_before_the_final_one() {
    let (mut exchange, mut backend) = begin(Method::GET, Framing::None);
    backend.say("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 304 Not Modified\r\n\r\n").await;
    assert_eq!(head(&mut exchange).await.unwrap().status, 103);
    assert_eq!(head(&mut exchange).await.unwrap().status, 304);
    assert_eq!(exchange.length(), Some(0));
}

#[tokio::test]
async fn only_silence_on_a_kept_connection_may_be_repeated() {
    let (mut fresh, backend) = begin(Method::GET, Framing::None);
    drop(backend);
    let failure = head(&mut fresh).await.unwrap_err();
    assert!(!failure.is_stale_connection(), "{failure}");

    for (said, repeatable) in [("", true), ("HTTP/1.1 2", false), ("HTTP/1.1 103 Early Hints\r\n\r\n", false)] {
        let (mut exchange, mut backend) = begin(Method::GET, Framing::None);
        exchange.0.exchanges += 1;
        backend.say(said).await;
        drop(backend);
        let failure = loop {
            if let Err(failure) = head(&mut exchange).await {
                break failure;
            }
        };
        assert_eq!(failure.is_stale_connection(), repeatable, "{said:?}: {failure}");
    }
}

#[tokio::test]
async fn an_answer_counts_though_the_request_was_not_taken() {
    let (mut exchange, mut backend) = begin(Method::POST, Framing::Length(9));
    backend.say("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno").await;
    drop(backend);
    // Writing fails at the latest by the second piece, and then waits for the answer to tell why.
    for _ in 0..2 {
        if poll_fn(|cx| Poll::Ready(exchange.poll_send_ready(cx))).await.is_ready() {
            exchange.send(Bytes::from_static(b"body"));
        }
    }
    assert_eq!(head(&mut exchange).await.unwrap().status, 401);
    assert_eq!(body(&mut exchange).await.unwrap(), b"no");
    assert!(exchange.into_reusable().is_none());
}

#[tokio::test]
async fn an_answer_has_its_deadline_once_the_request_is_whole() {
    for framing in [Framing::None, Framing::Length(5), Framing::Chunked] {
        let (mut exchange, _backend) = begin(Method::POST, framing);
        let begun = tokio::time::Instant::now();
        if framing != Framing::None {
            // The client takes longer than the deadline: that is not the backend's.
            assert!(tokio::time::timeout(9 * BEAT, head(&mut exchange)).await.is_err());
            send(&mut exchange, b"hello").await;
            poll_fn(|cx| exchange.poll_send_ready(cx)).await.unwrap();
            exchange.end();
        }
        let failure = head(&mut exchange).await.unwrap_err();
        assert!(matches!(failure, Failure::AnswerTimeout), "{framing:?}: {failure}");
        let least = if framing == Framing::None { 5 } else { 14 };
        assert!(begun.elapsed() >= least * BEAT, "{framing:?}: {:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn a_backend_that_takes_no_more_of_the_body_is_given_up() {
    let (mut exchange, _backend) = begin(Method::POST, Framing::Chunked);
    static PIECE: [u8; 64 * 1024] = [b'x'; 64 * 1024];
    while poll_fn(|cx| Poll::Ready(exchange.poll_send_ready(cx))).await.is_ready() {
        exchange.send(Bytes::from_static(&PIECE));
    }
    assert!(exchange.0.out.len() >= SEND_MAX && exchange.0.out.len() < 2 * SEND_MAX);
    assert!(matches!(head(&mut exchange).await, Err(Failure::AnswerTimeout)));
}

#[tokio::test]
async fn silence_in_the_body_has_its_deadline_and_a_slow_reader_has_none() {
    let (mut exchange, mut backend) = begin(Method::GET, Framing::None);
    backend.say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\na").await;
    head(&mut exchange).await.unwrap();
    let piece = async |exchange: &mut Exchange| poll_fn(|cx| exchange.poll_body(usize::MAX, cx)).await.unwrap();
    assert_eq!(piece(&mut exchange).await.unwrap(), "a");
    backend.say("b").await;
    tokio::time::sleep(6 * BEAT).await;
    assert_eq!(piece(&mut exchange).await.unwrap(), "b");
    assert!(tokio::time::timeout(2 * BEAT, piece(&mut exchange)).await.is_err());
    backend.say("c").await;
    tokio::time::sleep(6 * BEAT).await;
    assert_eq!(piece(&mut exchange).await.unwrap(), "c");
    assert!(matches!(piece(&mut exchange).await, Err(Failure::ReadTimeout)));
}

#[tokio::test]
async fn a_body_that_is_cut_is_a_failure() {
    let (mut exchange, mut backend) = begin(Method::GET, Framing::None);
    backend.say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf").await;
    drop(backend);
    head(&mut exchange).await.unwrap();
    assert!(body(&mut exchange).await.is_err());
}

#[tokio::test]
async fn a_head_and_the_body_that_is_there_leave_together() {
    let (mut exchange, mut backend) = begin(Method::POST, Framing::Length(10));
    send(&mut exchange, b"hello").await;
    send(&mut exchange, b"world").await;
    exchange.end();
    assert_eq!(exchange.0.out.sent(), 0);
    exchange.poll_write(&mut Context::from_waker(Waker::noop()));
    assert!(exchange.0.out.is_empty());
    assert!(backend.heard(64).await.ends_with("\r\n\r\nhelloworld"));
}

#[tokio::test]
async fn an_exchange_holds_no_buffer_before_its_answer_begins() {
    let (mut exchange, mut backend) = begin(Method::GET, Framing::None);
    assert!(poll_fn(|cx| Poll::Ready(exchange.poll_head(cx))).await.is_pending());
    assert_eq!(exchange.0.input.capacity(), 0);
    backend.say("HTTP/1.1 200 OK\r\nContent-Le").await;
    assert!(poll_fn(|cx| Poll::Ready(exchange.poll_head(cx))).await.is_pending());
    backend.say("ngth: 2\r\n\r\nhi").await;
    assert_eq!(head(&mut exchange).await.unwrap().status, 200);
    assert_eq!(body(&mut exchange).await.unwrap(), b"hi");
}

#[tokio::test]
async fn the_framing_says_how_long_the_body_is() {
    for (method, answer, length) in [
        (Method::GET, "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n", Some(12)),
        (Method::GET, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Some(0)),
        (Method::POST, "HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n", None),
        (Method::GET, "HTTP/1.1 200 OK\r\n\r\n", None),
        (Method::HEAD, "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n", Some(0)),
        (Method::GET, "HTTP/1.1 204 None\r\n\r\n", Some(0)),
    ] {
        let (mut exchange, mut backend) = begin(method, Framing::None);
        backend.say(answer).await;
        head(&mut exchange).await.unwrap();
        assert_eq!(exchange.length(), length, "{answer}");
    }
}
