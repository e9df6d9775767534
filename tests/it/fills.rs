//! One fetch for everybody who asks meanwhile: who waits, who streams, and what a broken fetch leaves behind.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use crate::support::*;

#[tokio::test]
async fn fifty_clients_on_a_cold_key_cost_one_request_and_stream_together() {
    let (release, released) = watch::channel(false);
    let slow = script(move |mut talk| {
        let mut released = released.clone();
        async move {
            talk.send("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 300000\r\n\r\n").await;
            talk.send(pattern(0, 100_000)).await;
            released.wait_for(|go| *go).await.unwrap();
            talk.send(pattern(100_000, 200_000)).await;
            talk.keep()
        }
    });
    let origin = Origin::new().on("/cold", slow).start().await;
    let gateway = Gateway::before(&origin).await;
    let mut clients = Vec::new();
    for _ in 0..50 {
        let mut client = gateway.connect().await;
        client.send("GET /cold HTTP/1.1\r\nHost: a\r\n\r\n").await;
        clients.push(client);
    }
    for client in &mut clients {
        assert_eq!(client.head().await.field("Content-Length"), Some("300000"));
        // Half of it is here before the rest exists: nobody waits for the whole.
        assert!(client.bytes(100_000).await == pattern(0, 100_000));
    }
    release.send_replace(true);
    for client in &mut clients {
        assert!(client.bytes(200_000).await == pattern(100_000, 200_000));
    }
    assert_eq!(origin.requests_for("/cold").len(), 1, "{}", origin.log());
    // One of them had its bytes from the backend.
    gateway.metric_becomes("tidegate_cache_saved_bytes_total", &[], 49.0 * 300_000.0).await;
}

#[tokio::test]
async fn a_first_client_that_leaves_does_not_stop_the_others() {
    let (release, released) = watch::channel(false);
    let slow = script(move |mut talk| {
        let mut released = released.clone();
        async move {
            talk.send("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 10\r\n\r\nfirst").await;
            released.wait_for(|go| *go).await.unwrap();
            talk.send("after").await;
            talk.keep()
        }
    });
    let origin = Origin::new().on("/cold", slow).start().await;
    let gateway = Gateway::before(&origin).await;
    let get = "GET /cold HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut leader = gateway.connect().await;
    leader.send(get).await;
    leader.head().await;
    leader.bytes(5).await;
    let mut follower = gateway.connect().await;
    follower.send(get).await;
    follower.head().await;
    drop(leader);
    release.send_replace(true);
    assert_eq!(follower.bytes(10).await, b"firstafter");
    assert_eq!(origin.requests_for("/cold").len(), 1, "{}", origin.log());
}

#[tokio::test]
async fn a_slow_reader_does_not_hold_the_others() {
    let large = reply(200).field("Cache-Control", "max-age=60").body(pattern(0, 8 << 20));
    let origin = Origin::new().on("/large", large).start().await;
    let gateway = Gateway::before(&origin).await;
    let mut slow = gateway.connect().await;
    slow.send("GET /large HTTP/1.1\r\nHost: example.test\r\n\r\n").await;
    slow.head().await;
    let quick = gateway.get("/large").await;
    assert!(quick.body == pattern(0, 8 << 20), "{} bytes", quick.body.len());
    assert!(slow.bytes(8 << 20).await == quick.body);
    assert_eq!(origin.requests_for("/large").len(), 1);
}

#[tokio::test]
async fn uncacheable_answers_are_not_queued_for() {
    let (release, released) = watch::channel(0);
    let personal = script(move |mut talk| {
        let mut released = released.clone();
        async move {
            let number = talk.number;
            talk.send("HTTP/1.1 200 OK\r\nCache-Control: private\r\nTransfer-Encoding: chunked\r\n\r\n").await;
            released.wait_for(|go| *go >= number).await.unwrap();
            talk.chunk(&format!("for {number}")).await;
            talk.send("0\r\n\r\n").await;
            talk.keep()
        }
    });
    let origin = Origin::new().on("/me", personal).start().await;
    let gateway = Gateway::before(&origin).await;
    let mut clients = Vec::new();
    for _ in 0..10 {
        let mut client = gateway.connect().await;
        client.send("GET /me HTTP/1.1\r\nHost: a\r\n\r\n").await;
        clients.push(client);
    }
    // All ten are at the origin before any of them is answered to its end.
    origin.reached("/me", 10).await;
    release.send_replace(100);
    let mut texts = std::collections::HashSet::new();
    for client in &mut clients {
        texts.insert(client.answer().await.text());
    }
    assert_eq!(texts.len(), 10, "everybody got an answer of their own: {texts:?}");
    // What is known to be uncacheable is not queued for from the start either.
    release.send_replace(0);
    for client in &mut clients {
        client.send("GET /me HTTP/1.1\r\nHost: a\r\n\r\n").await;
    }
    origin.reached("/me", 20).await;
    release.send_replace(100);
}

#[tokio::test]
async fn a_fill_that_is_cut_is_an_error_to_all_and_is_not_stored() {
    let (release, released) = watch::channel(false);
    let cutting = script(move |mut talk| {
        let mut released = released.clone();
        async move {
            if talk.number > 1 {
                return talk.answer(&reply(200).field("Cache-Control", "max-age=60").body("whole")).await;
            }
            talk.send("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 100\r\n\r\nhalf").await;
            released.wait_for(|go| *go).await.unwrap();
            talk.close().await
        }
    });
    let origin = Origin::new().on("/cut", cutting).start().await;
    let gateway = Gateway::before(&origin).await;
    let mut clients = Vec::new();
    for _ in 0..5 {
        let mut client = gateway.connect().await;
        client.send("GET /cut HTTP/1.1\r\nHost: a\r\n\r\n").await;
        client.head().await;
        assert_eq!(client.bytes(4).await, b"half");
        clients.push(client);
    }
    release.send_replace(true);
    for client in &mut clients {
        client.closed().await;
    }
    let again = gateway.get("/cut").await;
    assert!(!again.is_hit() && again.text() == "whole", "{}", again.told());
    gateway.get("/cut").await.must_hit();
}

#[tokio::test]
async fn what_is_too_large_to_store_passes_and_the_bound_holds() {
    let make = by(|_, number| reply(200).field("Cache-Control", "max-age=60").body(pattern(number as u64, 2 << 20)));
    let origin = Origin::new().otherwise(make).start().await;
    let gateway = Gateway::before_with(&origin, "[cache]\ncapacity = \"8MiB\"\nmax_object = \"1MiB\"\n").await;
    for number in 1..3 {
        let answer = gateway.get("/big").await;
        assert!(answer.body == pattern(number, 2 << 20) && !answer.is_hit(), "{}", answer.told());
    }
}

#[tokio::test]
async fn interim_answers_are_not_replayed() {
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 2\r\n\r\nok";
    let origin = Origin::new().on("/", hints).start().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    client.get("/").await;
    client.send("GET / HTTP/1.1\r\nHost: example.test\r\n\r\n").await;
    let head = client.head().await;
    assert!(head.status == 200 && head.is_hit() && !head.has("Link"), "{}", client.transcript());
}

#[tokio::test]
async fn pipelined_hits_come_in_order() {
    let make = by(|seen, _| reply(200).field("Cache-Control", "max-age=60").body(&seen.target));
    let origin = Origin::new().otherwise(make).start().await;
    let gateway = Gateway::before(&origin).await;
    let paths: Vec<String> = (0..50).map(|at| format!("/{}", at % 7)).collect();
    let requests: String = paths.iter().map(|path| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
    let mut client = gateway.connect().await;
    client.send(requests).await;
    for path in &paths {
        assert_eq!(&client.answer().await.text(), path, "{}", client.transcript());
    }
    assert_eq!(origin.requests().len(), 7);
}

#[tokio::test]
async fn an_answer_is_stored_whatever_its_framing() {
    let (told, mut tell) = mpsc::unbounded_channel();
    let told = Arc::new(told);
    let until_close = script(move |mut talk| {
        let told = told.clone();
        async move {
            talk.read_body().await;
            talk.send("HTTP/1.1 200 OK\r\nConnection: close\r\nCache-Control: max-age=60\r\n\r\nto the end").await;
            told.send(()).unwrap();
            talk.close().await
        }
    });
    let chunked = reply(200).field("Cache-Control", "max-age=60").body("in chunks").chunked();
    let origin = Origin::new().on("/close", until_close).on("/chunked", chunked).start().await;
    let gateway = Gateway::before(&origin).await;
    for (path, text) in [("/close", "to the end"), ("/chunked", "in chunks")] {
        assert_eq!(gateway.get(path).await.text(), text);
        let hit = gateway.get(path).await;
        assert!(hit.is_hit() && hit.text() == text && !hit.has("Connection"), "{path}\n{}", hit.told());
    }
    tell.recv().await.unwrap();
}

#[tokio::test]
async fn nobody_queues_for_what_did_not_come_in_time_until_it_may_be_kept_again() {
    let (release, released) = watch::channel(false);
    let turning = script(move |mut talk| {
        let mut released = released.clone();
        async move {
            if talk.number <= 6 {
                released.wait_for(|go| *go).await.unwrap();
                return talk.answer(&reply(200).field("Cache-Control", "no-store").body("news")).await;
            }
            talk.read_body().await;
            talk.answer(&reply(200).field("Cache-Control", "max-age=60").body("kept")).await
        }
    });
    let origin = Origin::new().on("/poll", turning).start().await;
    let gateway = Gateway::before(&origin).await;
    let mut clients = Vec::new();
    let get = "GET /poll HTTP/1.1\r\nHost: example.test\r\n\r\n";
    for _ in 0..3 {
        let mut client = gateway.connect().await;
        client.send(get).await;
        clients.push(client);
    }
    origin.reached("/poll", 3).await;
    // Two of them waited for the first in vain; these wait for nobody.
    let began = std::time::Instant::now();
    for _ in 0..3 {
        let mut client = gateway.connect().await;
        client.send(get).await;
        clients.push(client);
    }
    origin.reached("/poll", 6).await;
    assert!(began.elapsed() < std::time::Duration::from_secs(4), "they queued for {:?}", began.elapsed());
    assert!(gateway.metric("tidegate_cache_waits_given_up_total", &[]).await >= 2.0);
    release.send_replace(true);
    for client in &mut clients {
        assert_eq!(client.answer().await.text(), "news");
    }
    assert_eq!(gateway.get("/poll").await.cache_status(), "tidegate; fwd=uri-miss; detail=uncacheable");
    assert_eq!(gateway.get("/poll").await.cache_status(), "tidegate; fwd=uri-miss; stored");
    gateway.get("/poll").await.must_hit();
}

#[tokio::test]
async fn an_http_1_0_client_reads_a_growing_body_to_the_end_of_the_connection() {
    let (release, released) = watch::channel(false);
    let slow = script(move |mut talk| {
        let mut released = released.clone();
        async move {
            talk.send("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n").await;
            talk.chunk("one ").await;
            released.wait_for(|go| *go).await.unwrap();
            talk.chunk("two").await;
            talk.send("0\r\n\r\n").await;
            talk.keep()
        }
    });
    let origin = Origin::new().on("/cold", slow).start().await;
    let gateway = Gateway::before(&origin).await;
    let (mut leader, mut follower) = (gateway.connect().await, gateway.connect().await);
    for client in [&mut leader, &mut follower] {
        client.send("GET /cold HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n").await;
        let head = client.head().await;
        assert!(!head.has("Transfer-Encoding") && !head.has("Content-Length"), "{}", client.transcript());
        assert_eq!(client.bytes(4).await, b"one ");
    }
    release.send_replace(true);
    for client in [&mut leader, &mut follower] {
        assert!(client.until_closed().await.ends_with(b"two"), "{}", client.transcript());
    }
    assert_eq!(origin.requests_for("/cold").len(), 1, "{}", origin.log());
}

#[tokio::test]
async fn a_thousand_clients_on_a_cold_key_cost_one_request_though_it_takes_its_time() {
    let late = script(move |mut talk| async move {
        talk.read_body().await;
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        talk.answer(&reply(200).field("Cache-Control", "max-age=60").body(pattern(7, 20_000))).await
    });
    let origin = Origin::new().on("/late", late).start().await;
    let gateway = Gateway::before(&origin).await;
    for client in &mut thousand(&gateway, "/late").await {
        assert!(client.answer().await.body == pattern(7, 20_000), "{}", client.transcript());
    }
    assert_eq!(origin.requests_for("/late").len(), 1);
}

#[tokio::test]
async fn a_thousand_clients_of_what_is_nobody_elses_do_not_wait_for_each_other() {
    let own = script(move |mut talk| async move {
        talk.read_body().await;
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        let body = format!("for {}", talk.number);
        talk.answer(&reply(200).field("Cache-Control", "private").body(body)).await
    });
    let origin = Origin::new().on("/own", own).start().await;
    let gateway = Gateway::before(&origin).await;
    let began = std::time::Instant::now();
    let mut texts = std::collections::HashSet::new();
    for client in &mut thousand(&gateway, "/own").await {
        texts.insert(client.answer().await.text());
    }
    assert_eq!((texts.len(), origin.requests_for("/own").len()), (1000, 1000));
    // One after another they would take eight minutes.
    assert!(began.elapsed() < std::time::Duration::from_secs(15), "{:?}", began.elapsed());
}

async fn thousand(gateway: &Gateway, target: &str) -> Vec<Connection> {
    let mut clients = Vec::new();
    for _ in 0..1000 {
        let mut client = gateway.connect().await;
        client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        clients.push(client);
    }
    clients
}
