//! Tunnels and the servers of an upstream: how many each may have, and what becomes of them when one is taken out.

use crate::support::*;

/// Two servers that echo and tell who they are; the upstream `app` has both, with these further keys.
async fn pair(keys: &str, more: &str) -> (Origin, Origin, Gateway) {
    let (one, other) = (named("one").await, named("other").await);
    let text = format!(
        "[upstreams.app]\nservers = [\"{}\", \"{}\"]\nsticky = \"off\"\n{keys}\n[[routes]]\nname = \"chat\"\n\
         upstream = \"app\"\nwebsocket = {{ idle_timeout = \"2m\" {more} }}\n",
        one.address, other.address
    );
    let gateway = Gateway::with(&text).await;
    (one, other, gateway)
}

async fn named(name: &'static str) -> Origin {
    Origin::new()
        .otherwise(script(move |mut talk| async move {
            let switching = talk.switching(&[("Server", name)]);
            talk.send(switching).await;
            echo_frames(talk).await
        }))
        .on("/who", reply(200).field("Cache-Control", "no-store").body(name))
        .on("/declines", reply(403).body("no"))
        .on("/breaks", script(|talk| async move { talk.reset() }))
        .start()
        .await
}

/// A tunnel, and the server that it leads to.
async fn tunnel(gateway: &Gateway) -> (Connection, String) {
    let mut client = gateway.connect().await;
    let head = client.upgrade("/ws", &[]).await;
    let server = head.field("Server").unwrap().to_owned();
    (client, server)
}

async fn is_refused(gateway: &Gateway) {
    let mut client = gateway.connect().await;
    client.send(handshake("/ws", &[])).await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.has("Retry-After")), (503, true), "{}", answer.told());
}

#[tokio::test]
async fn a_full_server_is_passed_over_while_another_has_room() {
    let (_one, _other, gateway) = pair("max_tunnels = 2\nbalance = \"round-robin\"", "").await;
    let mut tunnels = Vec::new();
    for _ in 0..4 {
        tunnels.push(tunnel(&gateway).await);
    }
    let at_one = tunnels.iter().filter(|(_, server)| server == "one").count();
    assert_eq!(at_one, 2, "two each");
    is_refused(&gateway).await;
    let refused = [("route", "chat"), ("limit", "max_tunnels")];
    assert_eq!(gateway.metric("tidegate_websocket_refused_total", &refused).await, 1.0);
    assert_eq!(gateway.get("/who").await.status, 200, "requests need no place");
    let at = tunnels.iter().position(|(_, server)| server == "other").unwrap();
    drop(tunnels.swap_remove(at));
    let server = eventually("a place", async || {
        let mut client = gateway.connect().await;
        client.send(handshake("/ws", &[])).await;
        let head = client.head().await;
        (head.status == 101).then(|| head.field("Server").unwrap().to_owned())
    })
    .await;
    assert_eq!(server, "other", "it is the only one with room");
}

#[tokio::test]
async fn a_server_s_own_bound_stands_before_the_upstream_s_and_places_come_back_whatever_the_way_out() {
    let origin = named("one").await;
    let text = format!(
        "[upstreams.app]\nservers = [{{ address = \"{}\", max_tunnels = 1 }}]\nmax_tunnels = 9\n[[routes]]\n\
         upstream = \"app\"\n",
        origin.address
    );
    let gateway = Gateway::with(&text).await;
    for (path, status) in [("/declines", 403), ("/breaks", 502)] {
        let mut client = gateway.connect().await;
        client.send(handshake(path, &[])).await;
        assert_eq!(client.answer().await.status, status, "{path}");
    }
    for way_out in ["close", "vanish"] {
        let mut client = eventually("a place", async || {
            let mut client = gateway.connect().await;
            client.send(handshake("/ws", &[])).await;
            (client.head().await.status == 101).then_some(client)
        })
        .await;
        is_refused(&gateway).await;
        if way_out == "close" {
            client.send_frame(&Frame::close(1000)).await;
            client.frame().await;
        } else {
            client.wire.socket.reset();
        }
        gateway.metric_becomes("tidegate_websocket_connections", &[], 0.0).await;
    }
    tunnel(&gateway).await;
}
