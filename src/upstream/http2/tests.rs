use std::{future::poll_fn, sync::Arc};

use h2::server;
use tokio::net::TcpListener;

use super::*;
use crate::{
    config,
    metrics::Registry,
    upstream::{Affinity, Exchange as Either, Metrics, Purpose, Upstream},
};

/// A backend, and the upstream that it is.
async fn upstream() -> (Arc<Upstream>, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let text = format!(
        "listen = \"127.0.0.1:0\"\nupstream = \"app\"\n\
         [upstreams.app]\nservers = [\"{}\"]\nprotocol = \"http2\"\nanswer_timeout = \"500ms\"\n",
        listener.local_addr().unwrap()
    );
    let outside = config::Outside::nothing();
    let (config, _) = config::from_texts(&[("test".to_owned(), text)], &outside).map_err(|p| p.render(false)).unwrap();
    let metrics = Metrics::new(&Registry::new(), vec![Arc::from("app")]);
    (Upstream::new(&config.upstreams[0], 0, &config.limits, metrics).unwrap(), listener)
}

fn request(framing: Framing) -> Outgoing {
    Outgoing {
        method: http::Method::POST,
        scheme: Scheme::Http,
        authority: "a.test".to_owned(),
        target: "/x".to_owned(),
        fields: Fields::new(),
        framing,
        trailers: true,
        announced: None,
    }
}

async fn begin(upstream: &Arc<Upstream>, framing: Framing) -> Result<Either, Failure> {
    let chosen = upstream.choose(&Affinity::None, &[], Purpose::Exchange).unwrap();
    chosen.begin(&request(framing)).await
}

async fn head(exchange: &mut Either) -> Result<ResponseHead, Failure> {
    poll_fn(|cx| exchange.poll_head(cx)).await
}

async fn accepted(listener: &TcpListener, most: u32) -> server::Connection<tokio::net::TcpStream, Bytes> {
    let mut builder = server::Builder::new();
    builder.max_concurrent_streams(most);
    builder.handshake(listener.accept().await.unwrap().0).await.unwrap()
}

/// Accepts streams and answers each with 200 and nothing else, for as long as the connection lasts.
fn answer_all(mut connection: server::Connection<tokio::net::TcpStream, Bytes>) -> tokio::task::JoinHandle<usize> {
    tokio::spawn(async move {
        let mut answered = 0;
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            assert_eq!(request.headers()["te"], "trailers");
            respond.send_response(http::Response::new(()), true).unwrap();
            answered += 1;
        }
        answered
    })
}

#[test]
fn a_target_that_is_no_uri_is_encoded_where_it_must_be_and_nowhere_else() {
    let sent = |target: &str| {
        let request = Outgoing { target: target.to_owned(), ..request(Framing::None) };
        head_of(&request).unwrap().uri().path_and_query().unwrap().to_string()
    };
    for byte in (b'!'..=b'~').filter(|byte| *byte != b'#') {
        let encoded = format!("%{byte:02X}");
        for (front, rest) in [("/a", "b"), ("/a", "?b"), ("/a?", "b"), ("/a?b", "?c")] {
            let target = format!("{front}{}{rest}", char::from(byte));
            let is_refused = http::uri::PathAndQuery::try_from(target.as_str()).is_err();
            let expected = if is_refused { format!("{front}{encoded}{rest}") } else { target.clone() };
            assert_eq!(sent(&target), expected, "{target}");
        }
    }
    assert_eq!(sent("/<`\"%22>?`\"%22<>"), "/%3C%60\"%22%3E?`%22%22%3C%3E");
}

#[tokio::test]
async fn one_dial_serves_all_who_ask_meanwhile() {
    let (upstream, listener) = upstream().await;
    let backend = tokio::spawn(async move {
        let _answering = answer_all(accepted(&listener, 100).await);
        let more = tokio::time::timeout(Duration::from_millis(200), listener.accept()).await;
        assert!(more.is_err(), "one connection is enough");
    });
    let asked = (0..5).map(|_| {
        let upstream = upstream.clone();
        tokio::spawn(async move {
            let mut exchange = begin(&upstream, Framing::None).await.unwrap();
            let head = head(&mut exchange).await.unwrap();
            assert_eq!(exchange.length(&head), Some(0), "head only");
            head.status
        })
    });
    for asked in asked.collect::<Vec<_>>() {
        assert_eq!(asked.await.unwrap(), 200);
    }
    backend.await.unwrap();
}

#[tokio::test]
async fn a_full_connection_is_joined_by_another() {
    let (upstream, listener) = upstream().await;
    let backend = tokio::spawn(async move {
        let (mut one, mut streams) = (accepted(&listener, 2).await, Vec::new());
        loop {
            tokio::select! {
                stream = one.accept() => streams.push(stream.unwrap().unwrap()),
                two = accepted(&listener, 2) => return (answer_all(two), streams.len(), one),
            }
        }
    });
    let mut first = begin(&upstream, Framing::None).await.unwrap();
    // The backend has said by now how much it takes.
    assert!(tokio::time::timeout(Duration::from_millis(100), head(&mut first)).await.is_err());
    let mut second = begin(&upstream, Framing::None).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(100), head(&mut second)).await.is_err());
    let mut third = begin(&upstream, Framing::None).await.unwrap();
    assert_eq!(head(&mut third).await.unwrap().status, 200);
    assert_eq!(backend.await.unwrap().1, 2);
}

#[tokio::test]
async fn a_connection_that_goes_away_is_replaced() {
    let (upstream, listener) = upstream().await;
    let backend = tokio::spawn(async move {
        let mut going = accepted(&listener, 100).await;
        let (_, mut respond) = going.accept().await.unwrap().unwrap();
        respond.send_response(http::Response::new(()), true).unwrap();
        going.graceful_shutdown();
        assert!(going.accept().await.is_none());
        drop(going);
        let _answering = answer_all(accepted(&listener, 100).await);
    });
    assert_eq!(head(&mut begin(&upstream, Framing::None).await.unwrap()).await.unwrap().status, 200);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(head(&mut begin(&upstream, Framing::None).await.unwrap()).await.unwrap().status, 200);
    backend.await.unwrap();
}

#[tokio::test]
async fn a_refused_stream_may_be_sent_again() {
    let (upstream, listener) = upstream().await;
    let backend = tokio::spawn(async move {
        let mut connection = accepted(&listener, 100).await;
        let (_, mut respond) = connection.accept().await.unwrap().unwrap();
        respond.send_reset(h2::Reason::REFUSED_STREAM);
        let (_, mut respond) = connection.accept().await.unwrap().unwrap();
        respond.send_reset(h2::Reason::INTERNAL_ERROR);
        while connection.accept().await.is_some() {}
    });
    let refused = head(&mut begin(&upstream, Framing::None).await.unwrap()).await.unwrap_err();
    assert!(refused.is_stale_connection(), "{refused}");
    let failed = head(&mut begin(&upstream, Framing::None).await.unwrap()).await.unwrap_err();
    assert!(!failed.is_stale_connection(), "{failed}");
    backend.abort();
}

#[tokio::test]
async fn both_directions_flow_at_once_and_an_upload_is_not_the_backends_delay() {
    let (upstream, listener) = upstream().await;
    let backend = tokio::spawn(async move {
        let mut connection = accepted(&listener, 100).await;
        let (request, mut respond) = connection.accept().await.unwrap().unwrap();
        let echo = tokio::spawn(async move {
            let mut body = request.into_body();
            let first = body.data().await.unwrap().unwrap();
            let mut send = respond.send_response(http::Response::new(()), false).unwrap();
            send.send_data(first, false).unwrap();
            while let Some(piece) = body.data().await {
                send.send_data(piece.unwrap(), false).unwrap();
            }
            let mut trailers = http::HeaderMap::new();
            trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
            send.send_trailers(trailers).unwrap();
        });
        while connection.accept().await.is_some() {}
        echo.await.unwrap();
    });
    let mut exchange = begin(&upstream, Framing::Chunked).await.unwrap();
    // Longer than `answer_timeout`: the client has not sent anything yet.
    assert!(tokio::time::timeout(Duration::from_millis(800), head(&mut exchange)).await.is_err());
    exchange.send(Bytes::from_static(b"one"));
    poll_fn(|cx| exchange.poll_send_ready(cx)).await.unwrap();
    assert_eq!(head(&mut exchange).await.unwrap().status, 200);
    assert_eq!(poll_fn(|cx| exchange.poll_body(usize::MAX, cx)).await.unwrap().unwrap(), "one");
    exchange.send(Bytes::from_static(b"two"));
    poll_fn(|cx| exchange.poll_send_ready(cx)).await.unwrap();
    assert_eq!(poll_fn(|cx| exchange.poll_body(usize::MAX, cx)).await.unwrap().unwrap(), "two");
    exchange.end(None);
    assert!(poll_fn(|cx| exchange.poll_body(usize::MAX, cx)).await.is_none());
    assert_eq!(exchange.take_trailers().unwrap().get("grpc-status"), Some(&b"0"[..]));
    backend.abort();
}
