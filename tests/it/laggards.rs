//! Slowness of one is not everybody's: a backend that hangs, a page that takes its time, a reader that takes none.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::sync::watch;

use crate::support::*;

const GET: &str = "GET /slow HTTP/1.1\r\nHost: example.test\r\n\r\n";
/// The same over HTTP/2, but for its target.
const GET_FIELDS: [(&str, &str); 1] = [(":method", "GET")];

async fn ask_all(gateway: &Gateway, count: usize) -> Vec<Connection> {
    let mut clients = Vec::new();
    for _ in 0..count {
        let mut client = gateway.connect().await;
        client.send(GET).await;
        clients.push(client);
    }
    clients
}

#[tokio::test]
async fn a_request_that_hangs_at_the_backend_is_replaced_by_one_of_those_who_wait() {
    let hanging = script(|mut talk| async move {
        if talk.number == 1 {
            talk.gone().await;
            return Next::Close;
        }
        talk.answer(&reply(200).field("Cache-Control", "max-age=60").body("well")).await
    });
    let origin = Origin::new().on("/slow", hanging).start().await;
    let gateway = Gateway::before(&origin).await;
    let mut hung = gateway.connect().await;
    hung.send(GET).await;
    origin.reached("/slow", 1).await;
    let began = Instant::now();
    for client in &mut ask_all(&gateway, 100).await {
        assert_eq!(client.answer().await.text(), "well", "{}", client.transcript());
    }
    assert!(began.elapsed() < Duration::from_secs(9), "{:?}", began.elapsed());
    assert_eq!(origin.requests_for("/slow").len(), 2, "one hangs, one serves all");
}

#[tokio::test]
async fn a_slow_page_is_not_asked_for_by_all_who_wait_for_it() {
    let slow = script(|mut talk| async move {
        talk.read_body().await;
        tokio::time::sleep(Duration::from_millis(6500)).await;
        talk.answer(&reply(200).field("Cache-Control", "max-age=60").body("late")).await
    });
    let origin = Origin::new().on("/slow", slow).start().await;
    let gateway = Gateway::before(&origin).await;
    for client in &mut ask_all(&gateway, 200).await {
        assert_eq!(client.answer().await.text(), "late", "{}", client.transcript());
    }
    let requests = origin.requests_for("/slow").len();
    assert!(requests <= 8, "{requests} requests");
}

#[tokio::test]
async fn a_long_poll_lets_everybody_through_in_time() {
    let (poll, release) = held_back(reply(200).field("Cache-Control", "no-store").body("news"));
    let origin = Origin::new().on("/slow", poll).start().await;
    let gateway = Gateway::before(&origin).await;
    let mut clients = ask_all(&gateway, 200).await;
    origin.reached("/slow", 200).await;
    release.send_replace(true);
    for client in &mut clients {
        assert_eq!(client.answer().await.text(), "news");
    }
}

#[tokio::test]
async fn a_body_too_large_to_keep_streams_to_all_in_little_memory() {
    const BODY: usize = 200 << 20;
    const READERS: usize = 50;
    let (release, released) = watch::channel(false);
    let large = script(move |mut talk| {
        let mut released = released.clone();
        async move {
            talk.send("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nConnection: close\r\n\r\n").await;
            talk.send(pattern(0, 1000)).await;
            released.wait_for(|go| *go).await.unwrap();
            talk.send(pattern(1000, BODY - 1000)).await;
            talk.close().await
        }
    });
    let origin = Origin::new().on("/slow", large).start().await;
    let gateway = Gateway::before_with(&origin, "[cache]\ncapacity = \"64MiB\"\nmax_object = \"4MiB\"\n").await;
    let mut clients = ask_all(&gateway, READERS).await;
    for client in &mut clients {
        client.head().await;
        client.chunk().await;
    }
    let before = gateway.memory_peak_kib();
    release.send_replace(true);
    let expected = std::sync::Arc::new(pattern(0, BODY));
    let readers: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            let expected = expected.clone();
            tokio::spawn(async move {
                let mut at = 1000;
                loop {
                    let piece = client.chunk().await;
                    if piece.is_empty() {
                        return at;
                    }
                    assert!(piece == expected[at..at + piece.len()], "at {at}");
                    at += piece.len();
                }
            })
        })
        .collect();
    for reader in readers {
        assert_eq!(within("a reader's end", reader).await.unwrap(), BODY);
    }
    let grown = gateway.memory_peak_kib() - before;
    assert!(grown < 16 << 10, "{grown} KiB more for {} KiB", BODY >> 10);
    assert_eq!(origin.requests_for("/slow").len(), 1);
}

/// An origin with `/slow` of this many bytes, which nobody may keep.
async fn origin_of(bytes: usize) -> Origin {
    let large = script(move |mut talk| async move {
        talk.send(format!("HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: {bytes}\r\n\r\n")).await;
        talk.send(pattern(0, bytes)).await;
        talk.close().await
    });
    Origin::new().on("/slow", large).start().await
}

/// A connection with so many requests, whose windows are as large as they can be (RFC 9113 §6.9).
async fn ask_unread(address: SocketAddr, streams: usize, fields: &[(&str, &str)], is_whole: bool) -> RawHttp2 {
    let mut raw = RawHttp2::over(Connection::tcp(address).await).await;
    // SETTINGS_INITIAL_WINDOW_SIZE, and the connection's window.
    raw.frame(4, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff]).await;
    raw.frame(8, 0, 0, &0x7fff_0000_u32.to_be_bytes()).await;
    for stream in 0..streams {
        let fields = [&[(":scheme", "http"), (":authority", "example.test"), (":path", "/slow")], fields].concat();
        raw.headers(2 * stream as u32 + 1, &fields, is_whole).await;
    }
    raw
}

/// A gateway before it, with HTTP/2 by prior knowledge, and this bound of `limits.unsent`.
async fn gateway_of(origin: &Origin, unsent: &str) -> (Gateway, SocketAddr) {
    let address = free_address();
    let listener = format!("[[listener]]\naddress = \"{address}\"\nh2c = true\n[limits]\nunsent = \"{unsent}\"\n");
    (Gateway::before_with(origin, &listener).await, address)
}

async fn answers_are_held_back(gateway: &Gateway, count: f64) {
    eventually(format!("{count} answers to be held back"), async || {
        (gateway.metric("tidegate_limit_hits_total", &[("limit", "unsent")]).await >= count).then_some(())
    })
    .await;
}

#[tokio::test]
async fn many_who_read_nothing_hold_little_each_and_get_everything_when_they_read() {
    const BODY: usize = 16 << 20;
    const READERS: usize = 40;
    let origin = origin_of(BODY).await;
    let gateway = Gateway::before_with(&origin, "[limits]\nunsent = \"512KiB\"\n").await;
    let mut clients = ask_all(&gateway, READERS).await;
    answers_are_held_back(&gateway, 30.0).await;
    let unsent = gateway.metric("tidegate_http_unsent_bytes", &[]).await;
    assert!(unsent <= f64::from(1 << 20) + (READERS as f64) * f64::from(48 << 10), "{unsent}");
    let expected = pattern(0, BODY);
    for client in &mut clients {
        let answer = client.answer().await;
        assert!(answer.body == expected, "{} bytes", answer.body.len());
    }
    gateway.metric_becomes("tidegate_http_unsent_bytes", &[], 0.0).await;
}

#[tokio::test]
async fn a_connection_of_many_streams_that_is_not_read_holds_little_and_gives_everything_when_it_is() {
    const BODY: usize = 1 << 20;
    const STREAMS: usize = 60;
    let origin = origin_of(BODY).await;
    let (gateway, address) = gateway_of(&origin, "256KiB").await;
    let before = gateway.memory_peak_kib();
    let mut raw = ask_unread(address, STREAMS, &GET_FIELDS, true).await;
    answers_are_held_back(&gateway, 20.0).await;
    let expected = pattern(0, BODY);
    for body in raw.bodies(STREAMS).await {
        assert!(body == expected, "{} bytes", body.len());
    }
    let grown = gateway.memory_peak_kib() - before;
    assert!(grown < 8 << 10, "{grown} KiB");
    gateway.metric_becomes("tidegate_http_unsent_bytes", &[], 0.0).await;
}

#[tokio::test]
async fn many_tunnels_of_a_connection_that_is_not_read_hold_little_and_give_everything_when_it_is() {
    const TUNNELS: usize = 100;
    let said = [Frame::binary(pattern(0, 1 << 20)).plain(), Frame::close(1000).plain()].concat();
    let talkative = script({
        let said = said.clone();
        move |mut talk| {
            let said = said.clone();
            async move {
                let switching = talk.switching(&[]);
                talk.send(switching).await;
                talk.send(said).await;
                Next::Close
            }
        }
    });
    let origin = Origin::new().on("/slow", talkative).start().await;
    let (gateway, address) = gateway_of(&origin, "256KiB").await;
    let before = gateway.memory_peak_kib();
    let fields = [(":method", "CONNECT"), (":protocol", "websocket"), ("sec-websocket-version", "13")];
    let mut raw = ask_unread(address, TUNNELS, &fields, false).await;
    answers_are_held_back(&gateway, 20.0).await;
    for body in raw.bodies(TUNNELS).await {
        assert!(body == said, "{} bytes", body.len());
    }
    // What each has read and not given on is 64 KiB at most.
    let grown = gateway.memory_peak_kib() - before;
    assert!(grown < 24 << 10, "{grown} KiB");
    gateway.metric_becomes("tidegate_http_unsent_bytes", &[], 0.0).await;
}

#[tokio::test]
async fn who_leaves_an_unread_answer_gives_back_what_it_held() {
    let origin = origin_of(16 << 20).await;
    let (gateway, address) = gateway_of(&origin, "256KiB").await;
    let (clients, raw) = (ask_all(&gateway, 10).await, ask_unread(address, 20, &GET_FIELDS, true).await);
    answers_are_held_back(&gateway, 20.0).await;
    drop((clients, raw));
    gateway.metric_becomes("tidegate_http_unsent_bytes", &[], 0.0).await;
}

#[tokio::test]
async fn a_body_that_is_purged_while_somebody_is_sent_it_counts_until_that_has_ended() {
    const BODY: usize = 24 << 20;
    let kept = by(|_, _| reply(200).field("Cache-Control", "max-age=60").body(pattern(0, BODY)));
    let origin = Origin::new().on("/slow", kept).start().await;
    let address = free_address();
    let text = format!(
        "[[listener]]\naddress = \"{address}\"\nh2c = true\n[[routes]]\ncache = {{ purge_from = \"127.0.0.0/8\" }}\n"
    );
    let gateway = Gateway::before_with(&origin, &text).await;
    gateway.get("/slow").await;
    gateway.get("/slow").await.must_hit();
    let mut whole = gateway.connect().await;
    whole.send(GET).await;
    whole.bytes(1000).await;
    let mut part = gateway.connect().await;
    part.send(GET.replace("\r\n\r\n", "\r\nRange: bytes=1-\r\n\r\n")).await;
    part.bytes(1000).await;
    let mut stream = ask_unread(address, 1, &GET_FIELDS, true).await;
    stream.data(1).await;
    assert_eq!(gateway.ask("PURGE", "/slow", &[], b"").await.text(), "{\"purged\":1,\"soft\":false}\n");
    let held = async || gateway.metric("tidegate_cache_bodies_bytes", &[]).await;
    for reader in [Box::new(whole) as Box<dyn std::any::Any>, Box::new(part), Box::new(stream)] {
        assert!(held().await >= BODY as f64, "{}", held().await);
        drop(reader);
    }
    gateway.metric_becomes("tidegate_cache_bodies_bytes", &[], 0.0).await;
}
