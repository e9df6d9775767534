//! Bounds and deadlines, each with its status, each felt by the one who passes it and by nobody else.

use std::time::Duration;

use crate::support::*;

/// Sends `bytes` on a connection of its own; the first line that comes back, and the connection must end.
async fn refused(gateway: &Gateway, bytes: impl AsRef<[u8]>) -> u16 {
    let mut client = gateway.connect().await;
    client.send(bytes).await;
    let said = client.until_closed().await;
    let end = said.windows(4).position(|four| four == b"\r\n\r\n");
    let head = end.and_then(|end| Answer::parse(&said[..end + 4]).ok());
    head.unwrap_or_else(|| panic!("no answer\n{}\n{}", show(&said), client.transcript())).status
}

#[tokio::test]
async fn a_target_that_is_too_long_is_414() {
    let origin = Origin::new().start().await;
    let gateway = Gateway::before_with(&origin, "[limits]\ntarget = \"1KiB\"\n").await;
    let get = |length: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(length - 1));
    assert_eq!(refused(&gateway, get(1025)).await, 414);
    assert_eq!(refused(&gateway, get(20_000)).await, 414);
    let mut client = gateway.connect().await;
    client.send(get(1024)).await;
    assert_eq!(client.answer().await.status, 200, "{}", client.transcript());
    assert_eq!(origin.requests().len(), 1);
}

#[tokio::test]
async fn a_head_that_is_too_large_is_431() {
    let origin = Origin::new().start().await;
    let gateway = Gateway::before_with(&origin, "[limits]\nhead = \"4KiB\"\nfields = 20\n").await;
    let one = |length: usize| format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(length));
    let many = |count: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(count));
    assert_eq!(refused(&gateway, one(5000)).await, 431);
    assert_eq!(refused(&gateway, one(100_000)).await, 431);
    assert_eq!(refused(&gateway, many(30)).await, 431);
    // An endless line is refused before its end.
    assert_eq!(refused(&gateway, format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "y".repeat(10_000))).await, 431);
    let mut client = gateway.connect().await;
    client.send(one(3000)).await;
    assert_eq!(client.answer().await.status, 200);
    client.send(many(19)).await;
    assert_eq!(client.answer().await.status, 200, "{}", client.transcript());
}

#[tokio::test]
async fn a_body_that_is_too_large_is_413() {
    let origin = Origin::new().start().await;
    let gateway = Gateway::before_with(&origin, "[limits]\nbody = \"1KiB\"\n").await;
    let length = |length: usize| format!("POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
    assert_eq!(refused(&gateway, length(1025)).await, 413);
    assert_eq!(refused(&gateway, length(1 << 40)).await, 413);
    assert!(origin.requests_for("/length").is_empty(), "{}", origin.log());
    let chunked = "POST /chunked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = format!("200\r\n{}\r\n", "x".repeat(0x200));
    assert_eq!(refused(&gateway, format!("{chunked}{}0\r\n\r\n", chunk.repeat(3))).await, 413);
    assert_eq!(refused(&gateway, format!("{chunked}10000000\r\n")).await, 413);
    assert!(!origin.requests_for("/chunked").iter().any(|seen| seen.complete), "{}", origin.log());
    let mut client = gateway.connect().await;
    client.send(format!("{chunked}{}0\r\n\r\n", chunk.repeat(2))).await;
    assert_eq!(client.answer().await.status, 200, "{}", client.transcript());
    assert_eq!(client.ask("POST", "/exact", &[], &[b'x'; 1024]).await.status, 200);
}

#[tokio::test]
async fn a_route_may_have_its_own_body_limit() {
    let origin = Origin::new().start().await;
    let text = "[limits]\nbody = \"1KiB\"\n[[routes]]\nmatch = { path = \"/upload\" }\nbody_limit = \"1MiB\"\n";
    let gateway = Gateway::before_with(&origin, text).await;
    let body = pattern(0, 100_000);
    assert_eq!(gateway.ask("POST", "/upload", &[], &body).await.status, 200);
    assert_eq!(gateway.ask("POST", "/other", &[], &body).await.status, 413);
}

#[tokio::test]
async fn a_413_is_read_even_by_a_client_that_goes_on_sending() {
    let origin = Origin::new().start().await;
    let gateway = Gateway::before_with(&origin, "[limits]\nbody = \"1KiB\"\n").await;
    for _ in 0..5 {
        let mut client = gateway.connect().await;
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n").await;
        client.send(pattern(0, 300_000)).await;
        assert_eq!(client.answer().await.status, 413, "{}", client.transcript());
    }
}

#[tokio::test]
async fn a_head_that_takes_too_long_is_408() {
    let origin = Origin::new().start().await;
    let gateway = Gateway::before_with(&origin, "[timeouts]\nhead = \"400ms\"\n").await;
    assert_eq!(refused(&gateway, "GET / HTTP/1.1\r\nHost: a\r\nX-Slow").await, 408);
    // Dripping does not move the deadline.
    let mut client = gateway.connect().await;
    let mut status = None;
    for byte in format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "y".repeat(10_000)).bytes() {
        client.send([byte]).await;
        if let Ok(head) = tokio::time::timeout(Duration::from_millis(50), client.wire.answer_head()).await {
            status = Some(head.unwrap().status);
            break;
        }
    }
    assert_eq!(status, Some(408), "{}", client.transcript());
    assert!(origin.requests().is_empty());
}

#[tokio::test]
async fn a_connection_that_never_speaks_is_closed_without_a_word() {
    let origin = Origin::new().start().await;
    let gateway = Gateway::before_with(&origin, "[timeouts]\nhead = \"300ms\"\nkeep_alive = \"300ms\"\n").await;
    let mut client = gateway.connect().await;
    client.closed().await;
    let mut client = gateway.connect().await;
    client.get("/once").await;
    client.closed().await;
}

#[tokio::test]
async fn a_body_that_drips_is_given_up() {
    let origin = Origin::new().start().await;
    let text = "[limits]\nbody_rate = \"1KiB\"\nbody_rate_grace = \"400ms\"\n";
    let gateway = Gateway::before_with(&origin, text).await;
    for head in ["Content-Length: 100000", "Transfer-Encoding: chunked"] {
        let mut client = gateway.connect().await;
        client.send(format!("POST /drip HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n5\r\nhello\r\n")).await;
        let said = client.until_closed().await;
        assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 408 "), "{head}\n{}", show(&said));
    }
    assert!(!origin.requests().iter().any(|seen| seen.complete), "{}", origin.log());
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_given_up() {
    let large = script(|mut talk| async move {
        talk.send("HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 67108864\r\n\r\n").await;
        let mut at = 0;
        while at < 64 << 20 && talk.send(pattern(at, 1 << 16)).await {
            at += 1 << 16;
        }
        talk.gone().await;
        Next::Close
    });
    let origin = Origin::new().on("/large", large).start().await;
    let gateway = Gateway::before_with(&origin, "[timeouts]\nsend = \"400ms\"\n").await;
    let mut client = gateway.connect().await;
    client.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.head().await;
    // No more reads: the gateway must come to its own decision.
    let given_up = |line: &serde_json::Value| line.to_string().contains("/large");
    gateway.logged("the end of the answer", given_up).await;
    let rest = client.until_closed().await;
    assert!(rest.len() < 64 << 20, "all of it was delivered");
}

#[tokio::test]
async fn connections_of_one_address_are_bounded() {
    let origin = Origin::new().start().await;
    let text = "threads = 1\n[limits]\nconnections_per_address = 2\n";
    let gateway = Gateway::before_with(&origin, text).await;
    let (mut one, mut two) = (gateway.connect().await, gateway.connect().await);
    assert_eq!((one.get("/1").await.status, two.get("/2").await.status), (200, 200));
    let mut three = gateway.connect().await;
    three.send("GET /3 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let said = three.until_closed().await;
    let polite = [&b""[..], b"HTTP/1.1 503 ", b"HTTP/1.1 429 "];
    assert!(said.is_empty() || polite[1..].iter().any(|start| said.starts_with(start)), "{}", show(&said));
    assert!(origin.requests_for("/3").is_empty());
    // The first two did not notice, and a place that is given back is taken.
    assert_eq!(one.get("/4").await.status, 200);
    drop(two);
    let served = async || {
        let mut client = gateway.connect().await;
        client.send("GET /5 HTTP/1.1\r\nHost: a\r\n\r\n").await;
        client.try_answer("GET").await.ok().filter(|answer| answer.status == 200)
    };
    eventually("the place that was given back", served).await;
    let counted = gateway.metric("tidegate_connections_refused_total", &[]).await
        + gateway.metric("tidegate_limit_hits_total", &[]).await;
    assert!(counted >= 1.0, "{}", gateway.metrics().await);
}

#[tokio::test]
async fn connections_in_all_are_bounded() {
    let origin = Origin::new().start().await;
    let gateway = Gateway::before_with(&origin, "threads = 1\n[limits]\nconnections = 3\n").await;
    let mut held = Vec::new();
    for at in 0..3 {
        let mut client = gateway.connect().await;
        assert_eq!(client.get(&format!("/{at}")).await.status, 200);
        held.push(client);
    }
    let mut one_more = gateway.connect().await;
    one_more.send("GET /more HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let said = one_more.until_closed().await;
    assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 503 "), "{}", show(&said));
    for client in &mut held {
        assert_eq!(client.get("/again").await.status, 200);
    }
}
