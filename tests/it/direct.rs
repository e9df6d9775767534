//! The language itself, without a gateway: what it claims to send and see is what is sent and seen.

use std::net::SocketAddr;

use crate::support::*;

async fn to(origin: &Origin) -> Connection {
    Connection::tcp(origin.address.parse::<SocketAddr>().unwrap()).await
}

#[tokio::test]
async fn origin_answers_by_path_and_remembers_requests_as_they_came() {
    let origin = Origin::new().on("/a", reply(201).field("X-Odd", "1").body("hello")).start().await;
    let mut client = to(&origin).await;
    let answer = client.ask("POST", "/a?b=c", &[("X-one", "1"), ("x-One", "2")], b"body").await;
    assert_eq!((answer.status, answer.field("x-odd"), answer.text().as_str()), (201, Some("1"), "hello"));
    assert_eq!(client.get("/other?x").await.text(), "/other?x");
    let seen = origin.request_for("/a");
    assert_eq!((seen.method.as_str(), seen.target.as_str(), &seen.body[..]), ("POST", "/a?b=c", &b"body"[..]));
    assert_eq!(seen.all("X-ONE"), ["1", "2"]);
    assert!(seen.raw.starts_with(b"POST /a?b=c HTTP/1.1\r\nHost: example.test\r\nX-one: 1\r\nx-One: 2\r\n"));
    assert_eq!(origin.connections(), 1);
}

#[tokio::test]
async fn chunked_bodies_are_read_both_ways() {
    let origin = Origin::new().on("/c", reply(200).body("0123456789").chunked()).start().await;
    let mut client = to(&origin).await;
    client.send("PUT /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    client.send("3\r\nabc\r\n2\r\nde\r\n0\r\nX-End: yes\r\n\r\n").await;
    let answer = client.answer().await;
    assert_eq!(answer.text(), "0123456789");
    let seen = origin.request_for("/c");
    assert_eq!(seen.body, b"abcde");
    assert_eq!(seen.trailers, [("X-End".to_owned(), "yes".to_owned())]);
}

#[tokio::test]
async fn a_cut_answer_is_told_from_a_whole_one() {
    let cut = script(|mut talk| async move {
        talk.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345").await;
        talk.reset()
    });
    let origin = Origin::new().on("/cut", cut).start().await;
    let mut client = to(&origin).await;
    client.send("GET /cut HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(matches!(client.try_answer("GET").await, Err(Flaw::Cut { .. })));
}

#[tokio::test]
async fn malformed_requests_are_flaws_at_the_origin() {
    let origin = Origin::new().start().await;
    for bytes in ["GET  / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nno colon\r\n\r\n", "GET / HTTP/1.1\r\na : b\r\n\r\n"] {
        let mut client = to(&origin).await;
        client.send(bytes).await;
        client.closed().await;
    }
    assert_eq!((origin.flaws().len(), origin.requests().len()), (3, 0), "{}", origin.log());
}

#[tokio::test]
async fn a_body_that_is_cut_is_not_complete() {
    let origin = Origin::new().start().await;
    let mut client = to(&origin).await;
    client.send("POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nfour").await;
    origin.reached("/p", 1).await;
    drop(client);
    origin.until("the cut", |all| all[0].flaw.is_some()).await;
    assert!(!origin.request_for("/p").complete);
}

#[tokio::test]
async fn websocket_frames_of_all_lengths_come_back() {
    let origin = Origin::new().on("/ws", websocket_echo()).start().await;
    let mut client = to(&origin).await;
    client.upgrade("/ws", &[]).await;
    for length in [0, 1, 125, 126, 65_535, 65_536, 200_000] {
        let frame = Frame::binary(pattern(0, length));
        client.send_frame(&frame).await;
        assert!(client.frame().await == frame, "a frame of {length} bytes");
    }
    client.send_frame(&Frame::close(1000)).await;
    assert_eq!(client.frame().await.close_code(), Some(1000));
    client.closed().await;
}

#[tokio::test]
async fn tls_and_unix_origins_speak_the_same_language() {
    let authority = Authority::new();
    let tls = Origin::new().start_tls(&authority.issue(&["origin.test"])).await;
    let address = tls.address.parse().unwrap();
    assert_eq!(Connection::tls(address, "origin.test", &authority).await.get("/t").await.text(), "/t");
    assert_eq!(tls.server_names(), ["origin.test"]);
    assert!(authority.connect(address, "wrong.test", &[]).await.is_err());
    let unix = Origin::new().start_unix().await;
    let path = unix.address.strip_prefix("unix:").unwrap();
    assert_eq!(Connection::unix(path.as_ref()).await.get("/u").await.text(), "/u");
}

#[tokio::test]
async fn http2_client_and_origin_exchange_bodies_and_trailers() {
    let origin = Origin2::start(|seen| (200, vec![("x-a", "b")], seen.body.clone(), vec![("grpc-status", "0")])).await;
    let mut client = Http2::prior_knowledge(origin.address.parse().unwrap()).await;
    let body = pattern(7, 300_000);
    let answer = client.ask("POST", "/svc/Call", &[("te", "trailers")], &body).await;
    assert_eq!((answer.status, answer.field("x-a")), (200, Some("b")));
    assert!(answer.body == body);
    assert_eq!(answer.trailers, [("grpc-status".to_owned(), "0".to_owned())]);
    assert_eq!(origin.requests()[0].uri, "http://example.test/svc/Call");
}

#[tokio::test]
async fn frames_by_hand_are_understood() {
    let origin = Origin2::start(|_| (200, vec![], vec![], vec![])).await;
    let connection = Connection::tcp(origin.address.parse().unwrap()).await;
    let mut raw = RawHttp2::over(connection).await;
    let head = [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/raw")];
    raw.headers(1, &head, true).await;
    assert_eq!(raw.fate(1).await, Fate::Answered(Some(200)));
    raw.headers(3, &[(":method", "GET"), (":method", "GET")], true).await;
    assert!(!matches!(raw.fate(3).await, Fate::Answered(Some(200))));
    assert_eq!(origin.requests().len(), 1);
}

#[tokio::test]
async fn a_dead_address_refuses_and_a_free_one_can_be_bound() {
    let dead = DeadAddress::new();
    assert!(tokio::net::TcpStream::connect(dead.address).await.is_err());
    let (one, two) = (free_address(), free_address());
    assert_ne!(one, two);
    tokio::net::TcpListener::bind(one).await.unwrap();
}
