//! What a new configuration does to the tunnels that are open. Nothing reads one anew while the process runs yet, so that
//! here the gateway runs inside the story, which tells it; the sockets are real.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tidegate::{
    access_log::AccessLog,
    config::{self, Config},
    gateway::Gateway,
    metrics::Registry,
    net::{ClientInfo, Stream},
};
use tokio::net::TcpListener;

use crate::support::{Connection, Frame, Origin, eventually, websocket_echo, within};

const ROUTES: &str = r#"
[access_log]
path = "off"
[[routes]]
name = "same"
match = { path = "/same" }
[[routes]]
name = "keeps"
match = { path = "/keeps" }
websocket = { idle_timeout = "1h" }
[[routes]]
name = "drains"
match = { path = "/drains" }
websocket = { idle_timeout = "1h", on_change = "drain" }
[[routes]]
name = "removed"
match = { path = "/removed" }
"#;

fn read(text: &str) -> Config {
    config::from_text("story.toml", text, |_| None).unwrap_or_else(|problems| panic!("{problems}")).0
}

/// A gateway that serves what comes to the address.
async fn start(config: Config, registry: &Registry) -> (Arc<Gateway>, SocketAddr) {
    let access_log = AccessLog::start(&config.access_log, registry).unwrap();
    let gateway = Gateway::new(Arc::new(config), registry, access_log).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = gateway.clone();
    tokio::spawn(async move {
        while let Ok((socket, client)) = listener.accept().await {
            let info = ClientInfo { client: Some(client), local: Some(address), tls: false, http2: false };
            tokio::spawn(serving.clone().serve(Stream::Tcp(socket), info));
        }
    });
    (gateway, address)
}

#[tokio::test]
async fn unchanged_tunnels_notice_nothing_changed_ones_do_as_their_route_says_and_removed_ones_go() {
    let origin = Origin::new().otherwise(websocket_echo()).start().await;
    let before = format!("upstream = \"{}\"\n{ROUTES}", origin.address);
    let registry = Registry::new();
    let (gateway, address) = start(read(&before), &registry).await;
    let mut tunnels = Vec::new();
    for path in ["/same", "/keeps", "/drains", "/removed"] {
        let mut client = Connection::tcp(address).await;
        client.upgrade(path, &[]).await;
        tunnels.push(client);
    }
    assert_eq!(gateway.follow(&read(&before)), 0, "nothing has changed");
    let after = before.replace("idle_timeout = \"1h\"", "idle_timeout = \"2h\"");
    let after = after.replace("name = \"removed\"", "name = \"new\"");
    assert_eq!(gateway.follow(&read(&after)), 2);
    for client in &mut tunnels[2..] {
        let close = client.frame().await;
        assert_eq!((close.close_code(), &close.payload[2..]), (Some(1012), &b"route-changed"[..]));
        client.send_frame(&Frame::close(1012)).await;
        client.until_closed().await;
    }
    for client in &mut tunnels[..2] {
        client.send_frame(&Frame::text("still here")).await;
        assert_eq!(client.frame().await, Frame::text("still here"));
    }
    eventually("the others to be all", async || (gateway.tunnels().count() == 2).then_some(())).await;
    let text = registry.render();
    let closed = text.lines().filter(|line| {
        line.starts_with("tidegate_websocket_connections_closed_total{") && line.contains("reason=\"route-changed\"")
    });
    assert_eq!(closed.filter(|line| line.ends_with(" 1")).count(), 2, "{text}");
    drop(tunnels);
    within("the end of the rest", async {
        while gateway.tunnels().count() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert!(registry.render().contains("\ntidegate_websocket_places_taken 0\n"), "{}", registry.render());
}
