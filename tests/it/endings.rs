//! Every reason for which a tunnel ends, brought about through real sockets: what the peers see, what the log says, and
//! that nothing is left over.

use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::{operators::order, support::*};

/// One route for each term; everything is echoed but what the paths say.
async fn house() -> (Origin, Gateway) {
    house_with("").await
}

async fn house_with(more: &str) -> (Origin, Gateway) {
    let origin = Origin::new()
        .on(
            "/close",
            script(|mut talk| async move {
                let switching = talk.switching(&[]);
                talk.send(switching).await;
                talk.send(Frame::close(4001).plain()).await;
                talk.frame().await;
                talk.close().await
            }),
        )
        .on(
            "/vanish",
            script(|mut talk| async move {
                let switching = talk.switching(&[]);
                talk.send(switching).await;
                talk.frame().await;
                talk.reset()
            }),
        )
        .on(
            "/vanish-within",
            script(|mut talk| async move {
                let switching = talk.switching(&[]);
                talk.send(switching).await;
                talk.send(&Frame::text("never whole").plain()[..6]).await;
                talk.frame().await;
                talk.reset()
            }),
        )
        .on("/session", session("1"))
        .on("/session-over", session("Sun, 06 Nov 1994 08:49:37 GMT"))
        .on("/session-unclear", session("until tomorrow"))
        .otherwise(websocket_echo())
        .start()
        .await;
    let mut text = format!("upstream = \"{}\"\n{more}\n", origin.address);
    for (path, terms) in [
        ("/idle", "idle_timeout = \"300ms\""),
        ("/lifetime", "max_lifetime = \"500ms\""),
        ("/pinged", "ping_interval = \"200ms\", pong_timeout = \"300ms\""),
        ("/size", "max_message = \"10B\""),
        ("/rate", "messages_per_second = 2"),
        ("/code", "idle_timeout = \"300ms\", close_code = 4999"),
        ("/blind", "observe = false"),
        ("/session", "session_field = \"X-Session-Ends\""),
        ("/session-over", "session_field = \"x-session-ends\", session_code = 4401"),
        ("/session-unclear", "session_field = \"X-Session-Ends\""),
    ] {
        text += &format!("[[routes]]\nmatch = {{ path = \"{path}\" }}\nwebsocket = {{ {terms} }}\n");
    }
    let gateway = Gateway::with(&text).await;
    (origin, gateway)
}

/// Lets a client in with a session that ends then, and echoes.
fn session(ends: &'static str) -> Responder {
    script(move |mut talk| async move {
        let switching = talk.switching(&[("X-Session-Ends", ends)]);
        talk.send(switching).await;
        echo_frames(talk).await
    })
}

async fn tunnel(gateway: &Gateway, path: &str) -> Connection {
    let mut client = gateway.connect().await;
    client.upgrade(path, &[]).await;
    client
}

/// Waits for the last line, and checks that the count of open tunnels has come down and that of the reason up.
async fn ended(gateway: &Gateway, reason: &str) -> serde_json::Value {
    let line = gateway.logged(reason, |line| line["ws.close_reason"] == reason).await;
    gateway.metric_becomes("tidegate_websocket_connections_closed_total", &[("reason", reason)], 1.0).await;
    gateway.metric_becomes("tidegate_websocket_connections", &[], 0.0).await;
    gateway.metric_becomes("tidegate_websocket_places_taken", &[], 0.0).await;
    let listed = gateway.ask_admin("/connections").await.text();
    assert!(listed.contains("\"connections\":[]"), "{listed}");
    assert_eq!(line["event"], "tunnel_close");
    line
}

/// The gateway's Close, answered; then the end.
async fn closes(client: &mut Connection, code: u16, text: &str) {
    let frame = client.frame().await;
    closes_with(client, frame, code, text).await;
}

async fn closes_with(client: &mut Connection, frame: Frame, code: u16, text: &str) {
    assert_eq!((frame.close_code(), &frame.payload[2..]), (Some(code), text.as_bytes()), "{frame:?}");
    client.send_frame(&Frame::close(code)).await;
    client.until_closed().await;
}

#[tokio::test]
async fn a_client_s_close() {
    let (_origin, gateway) = house().await;
    let mut client = tunnel(&gateway, "/echo").await;
    client.send_frame(&Frame::text("hello")).await;
    assert_eq!(client.frame().await, Frame::text("hello"));
    let farewell = Frame { payload: b"\x0f\xa1so long".to_vec(), ..Frame::close(0) };
    client.send_frame(&farewell).await;
    assert_eq!(client.frame().await, farewell);
    client.until_closed().await;
    let line = ended(&gateway, "client-close").await;
    assert_eq!((&line["ws.close_code"], &line["ws.close_by"]), (&4001.into(), &"client".into()), "{line}");
    assert_eq!(line["ws.close_text"], "so long");
    assert_eq!((&line["ws.messages_up"], &line["ws.messages_down"]), (&1.into(), &1.into()), "{line}");
}

#[tokio::test]
async fn a_backend_s_close() {
    let (_origin, gateway) = house().await;
    let mut client = tunnel(&gateway, "/close").await;
    closes(&mut client, 4001, "").await;
    let line = ended(&gateway, "backend-close").await;
    assert_eq!(line["ws.close_by"], "backend", "{line}");
}

#[tokio::test]
async fn a_client_that_vanishes() {
    let (_origin, gateway) = house().await;
    let client = tunnel(&gateway, "/echo").await;
    client.wire.socket.reset();
    let line = ended(&gateway, "client-gone").await;
    assert!(line.get("ws.close_code").is_none(), "{line}");
}

#[tokio::test]
async fn a_client_that_ends_within_a_frame() {
    let (_origin, gateway) = house().await;
    let mut client = tunnel(&gateway, "/echo").await;
    client.send(&Frame::text("never whole").masked()[..9]).await;
    client.finish().await;
    ended(&gateway, "client-gone").await;
}

#[tokio::test]
async fn a_backend_that_vanishes() {
    let (_origin, gateway) = house().await;
    let mut client = tunnel(&gateway, "/vanish").await;
    client.send_frame(&Frame::text("go")).await;
    closes(&mut client, 1014, "backend-gone").await;
    ended(&gateway, "backend-gone").await;
}

#[tokio::test]
async fn a_backend_that_vanishes_within_a_frame() {
    let (_origin, gateway) = house().await;
    let mut client = tunnel(&gateway, "/vanish-within").await;
    assert_eq!(client.bytes(6).await, Frame::text("never whole").plain()[..6]);
    client.send_frame(&Frame::text("go")).await;
    // No frame is made up in the middle of another.
    client.closed().await;
    ended(&gateway, "backend-gone").await;
}

#[tokio::test]
async fn silence() {
    let (_origin, gateway) = house().await;
    closes(&mut tunnel(&gateway, "/idle").await, 1012, "idle").await;
    assert_eq!(ended(&gateway, "idle").await["ws.close_by"], "gateway");
}

#[tokio::test]
async fn silence_with_another_code() {
    let (_origin, gateway) = house().await;
    closes(&mut tunnel(&gateway, "/code").await, 4999, "idle").await;
    assert_eq!(ended(&gateway, "idle").await["ws.close_code"], 4999);
}

#[tokio::test]
async fn a_lifetime() {
    let (_origin, gateway) = house().await;
    let mut client = tunnel(&gateway, "/lifetime").await;
    let closed = loop {
        client.send_frame(&Frame::text("busy")).await;
        match client.frame().await {
            frame if frame.opcode == 8 => break frame,
            frame => assert_eq!(frame, Frame::text("busy")),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(closed.close_code(), Some(1012));
    client.send_frame(&Frame::close(1012)).await;
    client.until_closed().await;
    ended(&gateway, "lifetime").await;
}

#[tokio::test]
async fn a_session_that_ends() {
    let (_origin, gateway) = house().await;
    let mut client = gateway.connect().await;
    let head = client.upgrade("/session", &[]).await;
    assert!(!head.has("X-Session-Ends"), "{}", head.told());
    client.send_frame(&Frame::text("still in")).await;
    assert_eq!(client.frame().await, Frame::text("still in"));
    closes(&mut client, 1008, "auth-expired").await;
    assert_eq!(ended(&gateway, "auth-expired").await["ws.close_by"], "gateway");
}

#[tokio::test]
async fn a_session_that_has_ended_and_one_whose_end_is_unclear() {
    let (_origin, gateway) = house().await;
    closes(&mut tunnel(&gateway, "/session-over").await, 4401, "auth-expired").await;
    ended(&gateway, "auth-expired").await;
    let mut client = gateway.connect().await;
    client.send(handshake("/session-unclear", &[])).await;
    assert_eq!(client.answer().await.status, 502);
    eventually("a word about it", async || gateway.printed().contains("switch_session").then_some(())).await;
}

#[tokio::test]
async fn pings_without_an_answer() {
    let (_origin, gateway) = house().await;
    let mut client = tunnel(&gateway, "/pinged").await;
    // The backend echoes a Ping as a Ping, which the client sees, so each side has something to say at first.
    let closed = loop {
        let frame = client.frame().await;
        if frame.opcode == 8 {
            break frame;
        }
        assert_eq!(frame.opcode, 9);
    };
    assert_eq!((closed.close_code(), &closed.payload[2..]), (Some(1012), &b"pong-timeout"[..]));
    client.send_frame(&Frame::close(1012)).await;
    client.until_closed().await;
    ended(&gateway, "pong-timeout").await;
}

#[tokio::test]
async fn pings_with_answers_keep_a_tunnel_and_are_measured() {
    let answering = script(|mut talk| async move {
        let switching = talk.switching(&[]);
        talk.send(switching).await;
        while let Some(frame) = talk.frame().await {
            if frame.opcode == 9 {
                talk.send(Frame { opcode: 10, ..frame }.plain()).await;
            }
        }
        Next::Close
    });
    let origin = Origin::new().on("/ws", answering).start().await;
    let text =
        "[[routes]]\nmatch = { path = \"/\" }\nwebsocket = { ping_interval = \"100ms\", pong_timeout = \"5s\" }\n";
    let gateway = Gateway::before_with(&origin, text).await;
    let mut client = tunnel(&gateway, "/ws").await;
    for _ in 0..5 {
        let ping = client.frame().await;
        assert_eq!((ping.opcode, ping.payload.len()), (9, 8));
        client.send_frame(&Frame { opcode: 10, ..ping }).await;
    }
    for side in ["client", "backend"] {
        let counted =
            async || gateway.metric("tidegate_websocket_round_trip_seconds_count", &[("side", side)]).await >= 4.0;
        eventually("round trips", async || counted().await.then_some(())).await;
    }
    // Neither was told of the other's.
    assert_eq!(gateway.metric("tidegate_websocket_messages_total", &[]).await, 0.0);
}

#[tokio::test]
async fn a_message_too_big() {
    let (_origin, gateway) = house().await;
    let mut client = tunnel(&gateway, "/size").await;
    client.send_frame(&Frame::text("ten bytes.")).await;
    assert_eq!(client.frame().await, Frame::text("ten bytes."));
    client.send_frame(&Frame::text("eleven byte")).await;
    closes(&mut client, 1009, "message-too-big").await;
    let line = ended(&gateway, "message-too-big").await;
    assert_eq!(line["ws.messages_up"], 1, "{line}");
}

#[tokio::test]
async fn too_many_messages() {
    let (_origin, gateway) = house().await;
    let mut client = tunnel(&gateway, "/rate").await;
    client.send(Frame::text("x").masked().repeat(2)).await;
    assert_eq!((client.frame().await, client.frame().await), (Frame::text("x"), Frame::text("x")));
    client.send(Frame::text("x").masked().repeat(8)).await;
    let close = loop {
        match client.frame().await {
            frame if frame.opcode == 8 => break frame,
            // A slow machine may have let some time pass.
            frame => assert_eq!(frame, Frame::text("x")),
        }
    };
    closes_with(&mut client, close, 1008, "message-rate").await;
    ended(&gateway, "message-rate").await;
}

#[tokio::test]
async fn no_messages_where_they_are_limited() {
    let (_origin, gateway) = house().await;
    let mut client = tunnel(&gateway, "/size").await;
    // This backend takes no offence at frames without a mask; it hears a few of them.
    let frame = loop {
        client.send(Frame::text("bare").plain()).await;
        match client.frame().await {
            frame if frame.opcode == 8 => break frame,
            frame => assert_eq!(frame, Frame::text("bare")),
        }
    };
    assert_eq!(frame.close_code(), Some(1002), "{frame:?}");
    client.until_closed().await;
    ended(&gateway, "protocol").await;
}

#[tokio::test]
async fn a_broken_tls_record() {
    let authority = Authority::new();
    let directory = tempfile::tempdir().unwrap();
    let pair = authority.issue(&["app.test"]).write(directory.path(), "app");
    let origin = Origin::new().otherwise(websocket_echo()).start().await;
    let listen = free_address();
    let text = format!("upstream = \"{}\"\n[[listener]]\naddress = \"{listen}\"\ntls = [{pair}]\n", origin.address);
    let gateway = Gateway::in_directory(directory, &text).await;
    let mut client = Connection::tls(listen, "app.test", &authority).await;
    client.upgrade("/ws", &[]).await;
    let Socket::Tls(tls) = &mut client.wire.socket else { unreachable!("made with TLS") };
    tls.get_mut().0.write_all(b"this is no TLS record at all").await.unwrap();
    client.until_closed().await;
    ended(&gateway, "client-io-error").await;
}

#[tokio::test]
async fn a_broken_tls_record_of_the_backend() {
    let authority = Authority::new();
    let directory = tempfile::tempdir().unwrap();
    authority.write(&directory.path().join("ca.pem"));
    let breaks = script(|mut talk| async move {
        let switching = talk.switching(&[]);
        talk.send(switching).await;
        talk.frame().await;
        let Socket::Tls(tls) = &mut talk.wire.socket else { unreachable!("made with TLS") };
        tls.get_mut().0.write_all(b"this is no TLS record at all").await.unwrap();
        talk.gone().await;
        talk.close().await
    });
    let origin = Origin::new().otherwise(breaks).start_tls(&authority.issue(&["origin.test"])).await;
    let text = format!(
        "[upstreams.app]\nservers = [\"{}\"]\ntls = {{ server_name = \"origin.test\", ca = \"DIR/ca.pem\" }}\n\
         [[routes]]\nupstream = \"app\"\n",
        origin.address
    );
    let gateway = Gateway::in_directory(directory, &text).await;
    let mut client = tunnel(&gateway, "/ws").await;
    client.send_frame(&Frame::text("go")).await;
    closes(&mut client, 1014, "backend-io-error").await;
    ended(&gateway, "backend-io-error").await;
}

#[tokio::test]
async fn a_blind_route_counts_bytes_alone() {
    let (_origin, gateway) = house().await;
    let mut client = tunnel(&gateway, "/blind").await;
    client.send_frame(&Frame::close(1000)).await;
    assert_eq!(client.frame().await.close_code(), Some(1000));
    client.finish().await;
    client.until_closed().await;
    let line = ended(&gateway, "backend-close").await;
    assert_eq!((&line["ws.bytes_up"], &line["ws.messages_up"]), (&8.into(), &0.into()), "{line}");
}

#[tokio::test]
async fn an_operator_s_kick_and_an_operator_s_drain() {
    let (_origin, gateway) = house().await;
    let mut client = tunnel(&gateway, "/echo").await;
    let (host, path) = (gateway.admin.to_string(), "/connections?all=true&code=4000&reason=bye");
    let mut admin = Connection::tcp(gateway.admin).await;
    assert_eq!(admin.ask("DELETE", path, &[("Host", &host)], b"").await.status, 200);
    closes(&mut client, 4000, "bye").await;
    assert_eq!(ended(&gateway, "kicked").await["ws.close_by"], "gateway");
    let mut client = tunnel(&gateway, "/echo").await;
    order(&gateway, "/drain", &json!({ "all": true })).await;
    closes(&mut client, 1012, "drain").await;
    assert_eq!(ended(&gateway, "drain").await["ws.close_by"], "gateway");
}

#[tokio::test]
async fn a_drain_that_waits_no_longer() {
    let (_origin, gateway) = house().await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(tunnel(&gateway, "/echo").await);
    }
    // Of one a second, two have not had their turn by then.
    order(&gateway, "/drain", &json!({ "all": true, "rate": 1, "within": "300ms" })).await;
    for client in &mut clients {
        while let Some(close) = client.frame_or_end().await {
            assert_eq!(close.close_code(), Some(1012));
            client.send_frame(&Frame::close(1012)).await;
        }
    }
    gateway.metric_becomes("tidegate_websocket_connections", &[], 0.0).await;
    gateway.metric_becomes("tidegate_websocket_places_taken", &[], 0.0).await;
    let ended = async |reason| {
        let labels = [("reason", reason)];
        gateway.metric("tidegate_websocket_connections_closed_total", &labels).await
    };
    let (cut, drained) = (ended("shutdown-cut").await, ended("drain").await);
    assert!(cut >= 2.0 && cut + drained == 3.0, "{cut} {drained}");
}

#[tokio::test]
async fn a_stop_that_waits_no_longer() {
    let (_origin, gateway) = house_with("[timeouts]\ntunnel_drain = \"300ms\"\n[limits]\ndrain_rate = 1").await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(tunnel(&gateway, "/echo").await);
    }
    gateway.signal(Signal::Term);
    let mut told = 0;
    for client in &mut clients {
        if let Some(frame) = client.frame_or_end().await {
            assert_eq!(frame.close_code(), Some(1012));
            client.send_frame(&Frame::close(1012)).await;
            told += 1;
        }
        client.until_closed().await;
    }
    gateway.exited().await;
    let reasons: Vec<String> =
        gateway.access_log().iter().filter_map(|line| Some(line["ws.close_reason"].as_str()?.to_owned())).collect();
    assert_eq!(reasons.iter().filter(|reason| *reason == "drain").count(), told, "{reasons:?}");
    assert_eq!(reasons.iter().filter(|reason| *reason == "shutdown-cut").count(), 3 - told, "{reasons:?}");
    assert!(told < 3);
}
