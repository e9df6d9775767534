//! Every way out lowers the gauge and is counted once, under its reason.

use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;
use crate::{
    net::Stream,
    tunnel::{Stopper, Terms, run},
};

struct Story {
    registry: Registry,
    /// A registry shows what somebody still counts with.
    _metrics: Tunnels,
    client: DuplexStream,
    backend: DuplexStream,
    stopper: Stopper,
    tunnel: tokio::task::JoinHandle<Ended>,
}

impl Story {
    fn start() -> Self {
        let stopper = Stopper::new();
        let (registry, metrics) = registered(stopper.clone());
        let ((near_client, client), (near_backend, backend)) = (duplex(1024), duplex(1024));
        let second = Duration::from_secs(1);
        let terms = Terms { idle: 10 * second, linger: second, close: second, send: second };
        let (near_client, near_backend) = (Stream::Boxed(Box::new(near_client)), Stream::Boxed(Box::new(near_backend)));
        let (first, open) = (Bytes::new(), metrics.open(1, 0));
        let tunnel = tokio::spawn(run(near_client, first.clone(), near_backend, first, Arc::new(terms), open));
        let story = Self { registry, _metrics: metrics, client, backend, stopper, tunnel };
        story.shows(r#"tidegate_websocket_connections{route="chat",upstream="app"} 1"#);
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
        shows(&self.registry, r#"tidegate_websocket_connections{route="chat",upstream="app"} 0"#);
        shows(&self.registry, &format!(r#"tidegate_websocket_connections_closed_total{{{labels},route="chat"}} 1"#));
        assert_eq!(self.registry.render().matches("\ntidegate_websocket_connections_closed_total{").count(), 1);
    }
}

fn registered(stopper: Stopper) -> (Registry, Tunnels) {
    let registry = Registry::new();
    let metrics = Tunnels::new(&registry, &["site".into(), "chat".into()], &["app".into()], stopper);
    (registry, metrics)
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
    story.client.write_all(&crate::tunnel::wire::close_frame(1000, Some([1; 4]))).await.unwrap();
    let mut came = [0; 8];
    story.backend.read_exact(&mut came).await.unwrap();
    let (registry, _metrics) = (story.registry.clone(), story._metrics.clone());
    story.ends_with(r#"reason="client-close",code_class="1000""#).await;
    shows(&registry, r#"tidegate_websocket_bytes_total{route="chat",direction="up"} 8"#);
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
    tokio::time::sleep(Duration::from_secs(11)).await;
    story.ends_with(r#"reason="idle",code_class="none""#).await;
}

#[tokio::test(start_paused = true)]
async fn a_linger_end_is_counted() {
    let mut story = Story::start();
    story.backend.shutdown().await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    story.ends_with(r#"reason="linger",code_class="none""#).await;
}

#[tokio::test(start_paused = true)]
async fn a_drained_end_is_counted() {
    let story = Story::start();
    story.stopper.drain();
    tokio::time::sleep(Duration::from_secs(2)).await;
    story.ends_with(r#"reason="drain",code_class="1xxx""#).await;
}

#[tokio::test(start_paused = true)]
async fn a_cut_is_counted() {
    let story = Story::start();
    story.stopper.cut();
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
async fn a_tunnel_that_never_ran_is_counted_as_cut() {
    let story = Story::start();
    // Not polled once: the paused runtime has had no turn for it yet.
    story.tunnel.abort();
    story.ends_with(r#"reason="shutdown-cut",code_class="none""#).await;
}

#[tokio::test(start_paused = true)]
async fn a_busy_tunnel_shows_its_bytes_before_its_end() {
    let mut story = Story::start();
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(600)).await;
        story.client.write_all(b"more").await.unwrap();
        story.backend.read_exact(&mut [0; 4]).await.unwrap();
    }
    story.shows(r#"tidegate_websocket_bytes_total{route="chat",direction="up"} 8"#);
}

#[test]
fn a_refused_handshake_opens_nothing() {
    let (registry, metrics) = registered(Stopper::new());
    metrics.refused(0, HandshakeResult::Origin);
    shows(&registry, r#"tidegate_websocket_handshakes_total{route="site",result="origin"} 1"#);
    assert!(!registry.render().contains("tidegate_websocket_connections{"));
}

#[test]
fn names_and_labels_follow_the_rules() {
    assert_eq!(registered(Stopper::new()).0.lint(), Vec::<String>::new());
}
