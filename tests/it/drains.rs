//! A drain: one tunnel after another, the longest silent first, each told at a frame boundary, and the process ends with
//! the last.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::support::*;

/// What one client of a drain saw.
struct Told {
    at: Instant,
    was_busy: bool,
}

/// Opens tunnels, stops the gateway and watches all of them to their end. Half of them were silent; the other half have
/// just spoken, and every tenth does not stop speaking.
async fn drain(count: usize, rate: u32, shutdown: &str) -> (Instant, Vec<Told>) {
    let origin = Origin::new().otherwise(websocket_echo()).start().await;
    let text = format!(
        "upstream = \"{}\"\n[limits]\ndrain_rate = {rate}\nconnections = 20000\nconnections_per_address = 20000\n\
         [timeouts]\nshutdown = \"{shutdown}\"\ntunnel_drain = \"{shutdown}\"\n",
        origin.address
    );
    let gateway = Gateway::with(&text).await;
    let mut clients = Vec::with_capacity(count);
    for at in 0..count {
        if at == count / 2 {
            // So that the first half has been silent for longer.
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        let mut client = gateway.connect().await;
        client.upgrade("/ws", &[]).await;
        clients.push(client);
    }
    for client in &mut clients[count / 2..] {
        client.send_frame(&Frame::text("here")).await;
        assert_eq!(client.frame().await, Frame::text("here"));
    }
    gateway.metric_becomes("tidegate_websocket_connections", &[("state", "open")], count as f64).await;
    let began = Instant::now();
    gateway.signal(Signal::Term);
    let mut watched = JoinSet::new();
    for (at, client) in clients.into_iter().enumerate() {
        watched.spawn(watch(client, at >= count / 2, at >= count / 2 && at % 10 == 0));
    }
    eventually("/ready to say no", async || (gateway.ask_admin("/ready").await.status == 503).then_some(())).await;
    let told = watched.join_all().await;
    let last = told.iter().map(|told| told.at).max().unwrap();
    assert!(gateway.exited().await.success());
    assert!(last.elapsed() < Duration::from_secs(3), "the process ends with the last: {:?}", last.elapsed());
    let closes: Vec<_> = gateway.access_log().into_iter().filter(|line| line["event"] == "tunnel_close").collect();
    assert_eq!(closes.len(), count);
    assert!(closes.iter().all(|line| line["ws.close_reason"] == "drain" && line["ws.close_code"] == 1012));
    (began, told)
}

/// Waits for the Close, which nothing but whole frames stands before, and answers it.
async fn watch(mut client: Connection, was_busy: bool, is_busy: bool) -> Told {
    let message = Frame::binary(pattern(7, 3000));
    let close = loop {
        if is_busy {
            client.send_frame(&message).await;
        }
        let frame = tokio::time::timeout(Duration::from_secs(120), client.frame_or_end()).await;
        match frame.expect("in two minutes").expect("a frame before the end") {
            frame if frame.opcode == 8 => break frame,
            frame => assert!(frame == message),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let at = Instant::now();
    assert_eq!((close.close_code(), &close.payload[2..]), (Some(1012), &b"drain"[..]), "{close:?}");
    client.send_frame(&Frame::close(1012)).await;
    client.until_closed().await;
    Told { at, was_busy }
}

/// Closes in each whole fifth of a second.
fn rates(began: Instant, told: &[Told]) -> Vec<usize> {
    let mut fifths = vec![0; 1 + told.iter().map(|told| (told.at - began).as_millis() / 200).max().unwrap() as usize];
    told.iter().for_each(|told| fifths[((told.at - began).as_millis() / 200) as usize] += 1);
    fifths
}

#[tokio::test]
async fn closes_are_spread_as_configured_and_the_longest_silent_go_first() {
    let (began, told) = drain(200, 100, "20s").await;
    let took = told.iter().map(|told| told.at - began).max().unwrap();
    assert!((1800..5000).contains(&took.as_millis()), "200 at 100 a second took {took:?}");
    let rates = rates(began, &told);
    // A busy machine may hold some up for a moment, but never hurries.
    let early: usize = rates.iter().take(5).sum();
    assert!(early <= 105, "{rates:?}");
    let half = told.iter().filter(|told| !told.was_busy).map(|told| told.at).max().unwrap() - began;
    let other = told.iter().filter(|told| told.was_busy).map(|told| told.at).min().unwrap() - began;
    assert!(half < other + Duration::from_millis(500), "silent until {half:?}, others from {other:?}");
}

#[tokio::test]
#[ignore = "takes ten thousand sockets and half a minute: cargo test --release --test it drains -- --ignored --nocapture"]
async fn five_thousand_tunnels_are_drained() {
    let files = rustix::process::Resource::Nofile;
    let maximum = rustix::process::getrlimit(files).maximum;
    assert!(maximum.is_none_or(|maximum| maximum > 11_000), "`ulimit -Hn` leaves no room for the sockets: {maximum:?}");
    rustix::process::setrlimit(files, rustix::process::Rlimit { current: maximum, maximum }).unwrap();
    let (began, told) = drain(5000, 250, "60s").await;
    let took = told.iter().map(|told| told.at - began).max().unwrap();
    let rates = rates(began, &told);
    eprintln!("5000 at 250 a second took {took:?}; closes in each fifth of a second: {rates:?}");
    assert!((19_000..25_000).contains(&took.as_millis()), "{took:?}");
    let steady = &rates[5..rates.len() - 10];
    assert!(steady.iter().all(|count| (20..=90).contains(count)), "{rates:?}");
}

#[tokio::test]
async fn a_second_signal_ends_tunnels_at_once() {
    let origin = Origin::new().otherwise(websocket_echo()).start().await;
    let gateway = Gateway::before_with(&origin, "[limits]\ndrain_rate = 1\n").await;
    let mut clients = Vec::new();
    for _ in 0..10 {
        let mut client = gateway.connect().await;
        client.upgrade("/ws", &[]).await;
        clients.push(client);
    }
    gateway.signal(Signal::Term);
    eventually("/ready to say no", async || (gateway.ask_admin("/ready").await.status == 503).then_some(())).await;
    let began = Instant::now();
    gateway.signal(Signal::Term);
    gateway.exited().await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    for client in &mut clients {
        client.until_closed().await;
    }
}
