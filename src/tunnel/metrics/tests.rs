//! Every way out lowers the gauge and is counted once, under its reason.

use std::time::Duration;

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    time::Instant,
};

use super::*;
use crate::{
    net::Stream,
    tunnel::{
        About, Drain, Ended, Pace, Terms, Tunnels, run,
        wire::{self, Farewell},
    },
};

struct Story {
    registry: Registry,
    /// A registry shows what somebody still counts with.
    tunnels: Tunnels,
    client: DuplexStream,
    backend: DuplexStream,
    tunnel: tokio::task::JoinHandle<Ended>,
}

impl Story {
    fn start() -> Self {
        let (registry, tunnels) = registered();
        let ((near_client, client), (near_backend, backend)) = (duplex(1024), duplex(1024));
        let second = Duration::from_secs(1);
        let terms = Terms {
            idle: 10 * second,
            linger: second,
            close: second,
            send: second,
            lifetime: None,
            message_bytes: None,
            messages_per_second: None,
            pings: None,
            count_pings: true,
            close_code: 1012,
            session_code: 1008,
            session_ends: None,
            observe: true,
        };
        let (near_client, near_backend) = (Stream::Boxed(Box::new(near_client)), Stream::Boxed(Box::new(near_backend)));
        let (first, open) = (Bytes::new(), tunnels.open(1, 0, About::default()));
        let tunnel =
            tokio::spawn(run(near_client, first.clone(), near_backend, first, Arc::new(terms), open, |ended| ended));
        let story = Self { registry, tunnels, client, backend, tunnel };
        story.shows(r#"tidegate_websocket_connections{route="chat",upstream="app",state="open"} 1"#);
        story
    }

    fn shows(&self, line: &str) {
        shows(&self.registry, line);
    }

    /// Waits for the end and checks that it was counted, once.
    async fn ends_with(self, labels: &str) {
        drop((self.client, self.backend));
        // An aborted tunnel says so here.
        let _ = self.tunnel.await;
        let text = self.registry.render();
        let mut open = text.lines().filter(|line| line.starts_with("tidegate_websocket_connections{"));
        assert!(open.all(|line| line.ends_with(" 0")), "{text}");
        assert_eq!(self.tunnels.count(), 0);
        shows(&self.registry, &format!(r#"tidegate_websocket_connections_closed_total{{{labels},route="chat"}} 1"#));
        assert_eq!(self.registry.render().matches("\ntidegate_websocket_connections_closed_total{").count(), 1);
    }
}

fn registered() -> (Registry, Tunnels) {
    let registry = Registry::new();
    let tunnels = Tunnels::new(&registry, &["site".into(), "chat".into()], &["app".into()]);
    (registry, tunnels)
}

/// Labels may come in any order.
fn shows(registry: &Registry, line: &str) {
    let text = registry.render();
    let parts = |line: &str| {
        let (name, rest) = line.split_once('{')?;
        let (labels, value) = rest.split_once('}')?;
        let mut labels: Vec<String> = labels.split(',').map(str::to_owned).collect();
        labels.sort();
        Some((name.to_owned(), labels, value.trim().to_owned()))
    };
    assert!(text.lines().any(|shown| parts(shown) == parts(line)), "{line}\nis not in\n{text}");
}

#[tokio::test(start_paused = true)]
async fn a_clients_end_is_counted_with_its_bytes_and_its_code() {
    let mut story = Story::start();
    let message = b"\x81\x85\0\0\0\0hello";
    let close = wire::close_frame(&Farewell::new(1000, ""), Some([1; 4]));
    story.client.write_all(&[&message[..], &close].concat()).await.unwrap();
    let mut came = [0; 11 + 8];
    story.backend.read_exact(&mut came).await.unwrap();
    let (registry, _tunnels) = (story.registry.clone(), story.tunnels.clone());
    story.ends_with(r#"reason="client-close",code_class="1000""#).await;
    shows(&registry, r#"tidegate_websocket_messages_total{route="chat",direction="up",opcode="text"} 1"#);
    shows(&registry, r#"tidegate_websocket_message_bytes_sum{route="chat",direction="up"} 5"#);
    shows(&registry, r#"tidegate_websocket_message_bytes_count{route="chat",direction="up"} 1"#);
    shows(&registry, r#"tidegate_websocket_bytes_total{route="chat",direction="up"} 19"#);
    shows(&registry, r#"tidegate_websocket_connection_duration_seconds_count{route="chat"} 1"#);
    shows(&registry, r#"tidegate_websocket_handshakes_total{route="chat",result="opened"} 1"#);
}

#[tokio::test(start_paused = true)]
async fn a_backends_end_is_counted() {
    let mut story = Story::start();
    story.backend.shutdown().await.unwrap();
    assert_eq!(story.client.read(&mut [0; 8]).await.unwrap(), 0);
    story.ends_with(r#"reason="backend-close",code_class="none""#).await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_end_is_counted() {
    let story = Story::start();
    tokio::time::sleep(Duration::from_secs(12)).await;
    story.ends_with(r#"reason="idle",code_class="1xxx""#).await;
}

#[tokio::test(start_paused = true)]
async fn an_end_that_nobody_answers_is_counted() {
    let mut story = Story::start();
    story.backend.shutdown().await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    story.ends_with(r#"reason="backend-close",code_class="none""#).await;
}

#[tokio::test(start_paused = true)]
async fn a_drained_end_is_counted_step_by_step() {
    let story = Story::start();
    let now = Instant::now();
    let mut pace = Pace::new(1, now.into_std());
    // Somebody else has the first second.
    pace.next(0.0);
    let cut_at = now + Duration::from_secs(60);
    assert_eq!(story.tunnels.drain_all(Drain { reason: CloseReason::Drain, pace, cut_at }), 1);
    tokio::time::sleep(Duration::from_millis(500)).await;
    story.shows(r#"tidegate_websocket_connections{route="chat",upstream="app",state="draining"} 1"#);
    tokio::time::sleep(Duration::from_millis(1501)).await;
    story.shows(r#"tidegate_websocket_connections{route="chat",upstream="app",state="closing"} 1"#);
    tokio::time::sleep(Duration::from_secs(1)).await;
    story.ends_with(r#"reason="drain",code_class="1xxx""#).await;
}

#[tokio::test(start_paused = true)]
async fn a_cut_is_counted() {
    let story = Story::start();
    story.tunnels.cut_all();
    story.ends_with(r#"reason="shutdown-cut",code_class="none""#).await;
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_dropped_by_its_runtime_is_counted_as_cut() {
    let story = Story::start();
    tokio::task::yield_now().await;
    story.tunnel.abort();
    story.ends_with(r#"reason="shutdown-cut",code_class="none""#).await;
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_no_frames_are_counted_with_what_is_wrong() {
    let mut story = Story::start();
    story.client.write_all(b"SSH-2.0-client").await.unwrap();
    story.backend.read_exact(&mut [0; 14]).await.unwrap();
    let (registry, _tunnels) = (story.registry.clone(), story.tunnels.clone());
    story.ends_with(r#"reason="client-close",code_class="none""#).await;
    shows(&registry, r#"tidegate_websocket_unobserved_total{route="chat",reason="opcode"} 1"#);
    shows(&registry, r#"tidegate_websocket_bytes_total{route="chat",direction="up"} 14"#);
}

#[tokio::test(start_paused = true)]
async fn a_busy_tunnel_is_counted_every_second_and_a_silent_one_has_nothing_left_to_tell() {
    let mut story = Story::start();
    for _ in 0..3 {
        story.backend.write_all(b"\x82\x01x").await.unwrap();
        story.client.read_exact(&mut [0; 3]).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(1100)).await;
    story.shows(r#"tidegate_websocket_messages_total{route="chat",direction="down",opcode="binary"} 3"#);
    let (page, _) = story.tunnels.page(0);
    let down = page[0].1.totals().down;
    assert_eq!((down.bytes, down.frames, down.binary, down.largest), (9, 3, 3, 1));
}

#[test]
fn a_refused_handshake_opens_nothing() {
    let (registry, tunnels) = registered();
    tunnels.refused(0, HandshakeResult::Origin);
    shows(&registry, r#"tidegate_websocket_handshakes_total{route="site",result="origin"} 1"#);
    assert!(!registry.render().contains("tidegate_websocket_connections{"));
}

#[test]
fn names_and_labels_follow_the_rules() {
    assert_eq!(registered().0.lint(), Vec::<String>::new());
}
