//! WebSockets over HTTP/2 (RFC 8441): one stream of many, and in all else like any other tunnel.

use std::{net::SocketAddr, time::Duration};

use tokio::sync::mpsc;

use crate::support::*;

/// A gateway that speaks HTTP/2 by prior knowledge on its second listener.
struct Front {
    gateway: Gateway,
    plain: SocketAddr,
}

impl Front {
    async fn before(origin: &Origin, more: &str) -> Self {
        let plain = free_address();
        let text = format!(
            "upstream = \"app\"\n[[listener]]\naddress = \"{plain}\"\nh2c = true\n\
             [upstreams.app]\nservers = [\"{}\"]\n{more}\n",
            origin.address
        );
        Self { gateway: Gateway::with(&text).await, plain }
    }

    async fn connect(&self) -> Http2 {
        Http2::prior_knowledge(self.plain).await
    }

    async fn open_tunnels(&self, count: f64) {
        self.gateway.metric_becomes("tidegate_websocket_connections", &[], count).await;
    }
}

async fn echo() -> Origin {
    Origin::new().on("/ws", websocket_echo()).start().await
}

/// A backend that tells which frames came, and how the client's side ended.
fn listening() -> (Responder, mpsc::UnboundedReceiver<Option<Frame>>) {
    let (told, tell) = mpsc::unbounded_channel();
    let responder = script(move |mut talk| {
        let told = told.clone();
        async move {
            let switching = talk.switching(&[]);
            talk.send(switching).await;
            while let Some(frame) = talk.frame().await {
                told.send(Some(frame)).unwrap();
            }
            told.send(None).unwrap();
            Next::Close
        }
    });
    (responder, tell)
}

#[tokio::test]
async fn an_extended_connect_becomes_an_upgrade_at_the_backend() {
    let greeting = script(|mut talk| async move {
        let fields = [
            ("Sec-WebSocket-Protocol", "chat"),
            ("Sec-WebSocket-Extensions", "permessage-deflate; server_no_context_takeover"),
            ("Set-Cookie", "a=b"),
        ];
        let switching = talk.switching(&fields);
        // The head and the first frame in one write.
        talk.send([switching.as_bytes(), &Frame::text("welcome").plain()].concat()).await;
        echo_frames(talk).await
    });
    let origin = Origin::new().on("/ws", greeting).start().await;
    let front = Front::before(&origin, "").await;
    let mut client = front.connect().await;
    client.allowed().await;
    let fields = [
        ("sec-websocket-protocol", "chat, superchat"),
        ("sec-websocket-extensions", "permessage-deflate; client_max_window_bits"),
        ("sec-websocket-key", "forged"),
        ("cookie", "c=d"),
        ("origin", "http://example.test"),
    ];
    let (answer, mut send) = client.begin_connect("websocket", "/ws?token=1", &fields).await;
    // Sent before the answer is there.
    let early = Frame::text("early").masked();
    send.send_data(early.into(), false).unwrap();
    let mut socket = Http2Socket::opened(answer, send).await;
    assert_eq!(socket.head.field("sec-websocket-protocol"), Some("chat"));
    let extensions = socket.head.field("sec-websocket-extensions");
    assert_eq!(extensions, Some("permessage-deflate; server_no_context_takeover"));
    assert_eq!(socket.head.field("set-cookie"), Some("a=b"));
    for name in ["sec-websocket-accept", "upgrade", "connection", "content-length"] {
        assert!(!socket.head.has(name), "{}", socket.head.told());
    }
    assert_eq!(socket.frame().await, Frame::text("welcome"));
    assert_eq!(socket.frame().await, Frame::text("early"));

    let seen = origin.request_for("/ws");
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("GET", "/ws?token=1"), "{}", origin.log());
    assert_eq!((seen.field("Host"), seen.field("Cookie")), (Some("example.test"), Some("c=d")));
    let has = |name: &str, value: &str| seen.field(name).is_some_and(|seen| seen.eq_ignore_ascii_case(value));
    assert!(has("Upgrade", "websocket") && has("Connection", "Upgrade") && has("Sec-WebSocket-Version", "13"));
    assert!(has("Sec-WebSocket-Protocol", "chat, superchat"), "{}", origin.log());
    assert!(has("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"), "{}", origin.log());
    let keys: Vec<_> = seen.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key")).collect();
    assert!(keys.len() == 1 && keys[0].1.len() == 24 && keys[0].1.ends_with("=="), "{}", origin.log());
    assert!(!seen.has("Content-Length") && !seen.has("Transfer-Encoding"), "{}", origin.log());
}

#[tokio::test]
async fn frames_of_all_lengths_come_back_and_the_ends_are_told() {
    let origin = echo().await;
    let front = Front::before(&origin, "").await;
    let mut client = front.connect().await;
    let mut socket = client.websocket("/ws", &[]).await;
    front.open_tunnels(1.0).await;
    for length in [0, 1, 125, 126, 127, 65_535, 65_536, 3_000_000] {
        let frame = Frame::binary(pattern(length as u64, length));
        // Both at once: more goes in than the windows hold.
        let masked = frame.masked();
        let (came, ()) = tokio::join!(socket.down.frame(), socket.up.send(&masked));
        assert!(came == frame, "a frame of {length} bytes");
    }
    socket.send_frame(&Frame::close(4321)).await;
    assert_eq!(socket.frame().await.close_code(), Some(4321));
    assert_eq!(socket.end().await, End::Finished);
    front.open_tunnels(0.0).await;
    let open = front.gateway.logged("the tunnel's opening", |line| line["event"] == "tunnel_open").await;
    assert_eq!((&open["url.path"], &open["http.response.status_code"]), (&"/ws".into(), &200.into()), "{open}");
    assert!(open.to_string().contains("HTTP/2.0") || open["network.protocol.version"] == "2", "{open}");
    let close = front.gateway.logged("the tunnel's close", |line| line["event"] == "tunnel_close").await;
    assert_eq!(close["ws.close_code"], 4321, "{close}");
    let opened = [("result", "opened")];
    assert_eq!(front.gateway.metric("tidegate_websocket_handshakes_total", &opened).await, 1.0);
}

#[tokio::test]
async fn the_setting_is_there_where_a_route_takes_websockets() {
    let origin = Origin::new().start().await;
    let none = Front::before(&origin, "[[routes]]\nmatch = { path = \"/\" }\nwebsocket = false\n").await;
    assert!(!none.connect().await.is_allowed().await);
    let some = "[[routes]]\nmatch = { path = \"/no\" }\nwebsocket = false\n[[routes]]\nmatch = { path = \"/\" }\n";
    let some = Front::before(&origin, some).await;
    let mut client = some.connect().await;
    assert!(client.is_allowed().await);
    // RFC 9220 §3. And nothing of it reaches the backend, whose 200 would look like a tunnel.
    let refused = client.refused("websocket", "/no/ws", &[("sec-websocket-version", "13")]).await;
    assert_eq!(refused.status, 501, "{}", refused.told());
    assert!(origin.requests_for("/no/ws").is_empty(), "{}", origin.log());
}

#[tokio::test]
async fn other_protocols_and_versions_are_refused() {
    let origin = echo().await;
    let front = Front::before(&origin, "").await;
    let mut client = front.connect().await;
    for protocol in ["connect-udp", "WebSocket", "websocket "] {
        let refused = client.refused(protocol, "/ws", &[("sec-websocket-version", "13")]).await;
        assert_eq!(refused.status, 501, "{protocol:?}: {}", refused.told());
    }
    let refused = client.refused("websocket", "/ws", &[("sec-websocket-version", "8")]).await;
    assert_eq!((refused.status, refused.field("sec-websocket-version")), (400, Some("13")), "{}", refused.told());
    let refused = client.refused("websocket", "/ws", &[("content-length", "0")]).await;
    assert_eq!(refused.status, 400, "{}", refused.told());
    assert!(origin.requests().is_empty(), "{}", origin.log());
    // The connection is none the worse for it.
    client.websocket("/ws", &[]).await;
}

#[tokio::test]
async fn malformed_heads_open_nothing() {
    let origin = echo().await;
    let front = Front::before(&origin, "").await;
    let (m, s, a, p) = ((":method", "CONNECT"), (":scheme", "http"), (":authority", "a"), (":path", "/ws"));
    let w = (":protocol", "websocket");
    let cases: Vec<(&str, Vec<(&str, &str)>)> = vec![
        ("GET", vec![(":method", "GET"), w, s, a, p]),
        ("POST", vec![(":method", "POST"), w, s, a, p]),
        ("no scheme", vec![m, w, a, p]),
        ("no path", vec![m, w, s, a]),
        ("an empty path", vec![m, w, s, a, (":path", "")]),
        ("a path that does not begin with a slash", vec![m, w, s, a, (":path", "a:443")]),
        ("an asterisk", vec![m, w, s, a, (":path", "*")]),
        ("no authority", vec![m, w, s, p]),
        ("another scheme", vec![m, w, (":scheme", "ftp"), a, p]),
        ("two protocols", vec![m, w, w, s, a, p]),
        ("an empty protocol", vec![m, (":protocol", ""), s, a, p]),
        ("a late protocol", vec![m, s, a, p, ("x", "y"), w]),
        ("Upgrade", vec![m, w, s, a, p, ("upgrade", "websocket")]),
        ("Connection", vec![m, w, s, a, p, ("connection", "upgrade")]),
        ("Transfer-Encoding", vec![m, w, s, a, p, ("transfer-encoding", "chunked")]),
        ("a length", vec![m, w, s, a, p, ("content-length", "5")]),
        ("another host", vec![m, w, s, a, p, ("host", "b")]),
        ("CR LF in a value", vec![m, w, s, a, p, ("sec-websocket-protocol", "a\r\nEvil: b")]),
        ("a plain CONNECT", vec![m, a]),
        ("a plain CONNECT with a path", vec![m, s, a, p]),
    ];
    let mut wrong = Vec::new();
    for (name, fields) in cases {
        let mut raw = RawHttp2::over(Connection::tcp(front.plain).await).await;
        raw.headers(1, &fields, false).await;
        let fate = raw.fate(1).await;
        if !matches!(fate, Fate::Answered(Some(400) | None) | Fate::Reset(_) | Fate::ConnectionEnded(_)) {
            wrong.push(format!("{name}: {fate:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}\n{}", origin.log());
    assert!(origin.requests().is_empty() && origin.flaws().is_empty(), "{}", origin.log());
}

#[tokio::test]
async fn what_the_backend_answers_instead_is_passed_on() {
    let answers = [(302, "elsewhere"), (401, "who?"), (403, "no"), (404, "nothing"), (503, "later")];
    let mut origin = Origin::new().on("/200", reply(200).body("a page"));
    for (status, body) in answers {
        origin = origin.on(&format!("/{status}"), reply(status).field("X-Why", body).body(body));
    }
    let wrong_accept = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n",
        accept_value("other")
    );
    let origin = origin.on("/accept", wrong_accept.as_str()).start().await;
    let front = Front::before(&origin, "").await;
    let mut client = front.connect().await;
    for (status, body) in answers {
        let answer = client.refused("websocket", &format!("/{status}"), &[]).await;
        assert_eq!((answer.status, answer.field("x-why"), answer.text().as_str()), (status, Some(body), body));
    }
    // A 2xx would say that the tunnel is open.
    for target in ["/200", "/accept"] {
        assert_eq!(client.refused("websocket", target, &[]).await.status, 502, "{target}");
    }
    let results =
        async |result: &str| front.gateway.metric("tidegate_websocket_handshakes_total", &[("result", result)]).await;
    assert_eq!((results("declined").await, results("bad_switch").await, results("opened").await), (5.0, 2.0, 0.0));
    front.open_tunnels(0.0).await;
}

#[tokio::test]
async fn the_origin_policy_is_the_same() {
    let origin = echo().await;
    let front = Front::before(&origin, "").await;
    let mut client = front.connect().await;
    let evil = [("origin", "https://evil.test"), ("cookie", "session=1")];
    assert_eq!(client.refused("websocket", "/ws", &evil).await.status, 403);
    assert!(origin.requests().is_empty(), "{}", origin.log());
    client.websocket("/ws", &[("origin", "http://example.test"), ("cookie", "session=1")]).await;
    client.websocket("/ws", &evil[..1]).await;
}

#[tokio::test]
async fn tunnels_and_requests_share_a_connection() {
    let origin = echo().await;
    let front = Front::before(&origin, "").await;
    let mut client = front.connect().await;
    let mut one = client.websocket("/ws?1", &[]).await;
    let mut two = client.websocket("/ws?2", &[]).await;
    for at in 0..20 {
        one.send_frame(&Frame::text(&format!("one {at}"))).await;
        two.send_frame(&Frame::text(&format!("two {at}"))).await;
        let target = format!("/page/{at}");
        assert_eq!(client.get(&target).await.text(), target);
        assert_eq!(two.frame().await, Frame::text(&format!("two {at}")));
        assert_eq!(one.frame().await, Frame::text(&format!("one {at}")));
    }
    front.open_tunnels(2.0).await;
    one.send_frame(&Frame::close(1000)).await;
    assert_eq!(one.frame().await.close_code(), Some(1000));
    assert_eq!(one.end().await, End::Finished);
    two.send_frame(&Frame::text("still here")).await;
    assert_eq!(two.frame().await, Frame::text("still here"));
}

#[tokio::test]
async fn each_direction_ends_by_itself() {
    let (told, mut tell) = mpsc::unbounded_channel();
    let answering = script(move |mut talk| {
        let told = told.clone();
        async move {
            let switching = talk.switching(&[]);
            talk.send(switching).await;
            while let Some(frame) = talk.frame().await {
                told.send(frame).unwrap();
            }
            talk.send(Frame::text("after the end").plain()).await;
            talk.close().await
        }
    });
    let (told, mut tell_leaving) = mpsc::unbounded_channel();
    let leaving = script(move |mut talk| {
        let told = told.clone();
        async move {
            let switching = talk.switching(&[]);
            talk.send(switching).await;
            tokio::io::AsyncWriteExt::shutdown(&mut talk.wire.socket).await.unwrap();
            while let Some(frame) = talk.frame().await {
                told.send(frame).unwrap();
            }
            Next::Close
        }
    });
    let origin = Origin::new().on("/answering", answering).on("/leaving", leaving).start().await;
    let front = Front::before(&origin, "").await;
    let mut client = front.connect().await;

    let mut socket = client.websocket("/answering", &[]).await;
    socket.send_frame(&Frame::text("last words")).await;
    socket.up.finish();
    assert_eq!(within("the last words", tell.recv()).await, Some(Frame::text("last words")));
    assert_eq!(socket.frame().await, Frame::text("after the end"));
    assert_eq!(socket.end().await, End::Finished);

    let mut socket = client.websocket("/leaving", &[]).await;
    assert_eq!(socket.end().await, End::Finished);
    for at in 0..3 {
        let frame = Frame::text(&format!("still {at}"));
        socket.send_frame(&frame).await;
        assert_eq!(within("a frame at the backend", tell_leaving.recv()).await, Some(frame));
    }
    socket.up.finish();
    front.open_tunnels(0.0).await;
}

#[tokio::test]
async fn a_stream_that_is_reset_reaches_the_backend_and_no_other_tunnel() {
    let (listening, mut tell) = listening();
    let origin = Origin::new().on("/ws", listening).on("/echo", websocket_echo()).start().await;
    let front = Front::before(&origin, "").await;
    let mut client = front.connect().await;
    let mut other = client.websocket("/echo", &[]).await;
    let mut socket = client.websocket("/ws", &[]).await;
    socket.send_frame(&Frame::text("here")).await;
    assert_eq!(within("a frame", tell.recv()).await, Some(Some(Frame::text("here"))));
    socket.up.reset();
    assert_eq!(within("the end at the backend", tell.recv()).await, Some(None));
    let line = front.gateway.logged("the end", |line| line["event"] == "tunnel_close").await;
    assert!(line.to_string().contains("client-gone"), "{line}");
    other.send_frame(&Frame::text("unharmed")).await;
    assert_eq!(other.frame().await, Frame::text("unharmed"));
    // The whole connection.
    let _socket = client.websocket("/ws", &[]).await;
    client.cut();
    assert_eq!(within("the end at the backend", tell.recv()).await, Some(None));
    front.open_tunnels(0.0).await;
}

#[tokio::test]
async fn a_backend_that_vanishes_ends_its_stream_and_no_other() {
    let vanishing = script(|mut talk| async move {
        let switching = talk.switching(&[]);
        talk.send(switching).await;
        talk.frame().await;
        talk.reset()
    });
    let vanishing_within = script(|mut talk| async move {
        let switching = talk.switching(&[]);
        talk.send(switching).await;
        talk.frame().await;
        let never_whole = &Frame::text("never whole").plain()[..6];
        talk.send([&Frame::text("whole").plain(), never_whole].concat()).await;
        talk.reset()
    });
    let origin = Origin::new().on("/ws", vanishing).on("/within", vanishing_within).on("/echo", websocket_echo());
    let origin = origin.start().await;
    let front = Front::before(&origin, "").await;
    let mut client = front.connect().await;
    let mut other = client.websocket("/echo", &[]).await;
    let backend_gone = async || {
        front.open_tunnels(1.0).await;
        let line = front.gateway.logged("the end", |line| line["event"] == "tunnel_close").await;
        assert!(line.to_string().contains("backend-gone"), "{line}");
    };

    let mut socket = client.websocket("/ws", &[]).await;
    socket.send_frame(&Frame::text("go")).await;
    assert_eq!(socket.frame().await.close_code(), Some(1014));
    socket.send_frame(&Frame::close(1014)).await;
    assert_eq!(socket.end().await, End::Finished);
    backend_gone().await;

    // Where no Close frame can tell it, the reset does (RFC 8441 §5), behind what had come.
    let mut socket = client.websocket("/within", &[]).await;
    socket.send_frame(&Frame::text("go")).await;
    assert_eq!(socket.frame().await, Frame::text("whole"));
    let mut rest = Vec::new();
    let end = loop {
        match socket.down.bytes_or_end().await {
            Ok(bytes) => rest.extend(bytes),
            Err(end) => break end,
        }
    };
    assert_eq!((rest, end), (Frame::text("never whole").plain()[..6].to_vec(), End::Reset(h2::Reason::CANCEL)));
    backend_gone().await;
    other.send_frame(&Frame::text("unharmed")).await;
    assert_eq!(other.frame().await, Frame::text("unharmed"));
}

#[tokio::test]
async fn what_a_closed_window_holds_back_is_delivered_before_the_reset() {
    const SAID: usize = 5_000;
    let (gone, mut going) = mpsc::unbounded_channel();
    let vanishing = script(move |mut talk| {
        let gone = gone.clone();
        async move {
            let switching = talk.switching(&[]);
            talk.send(switching).await;
            talk.send(&Frame::binary(vec![7; 2 * SAID]).plain()[..SAID]).await;
            talk.frame().await;
            gone.send(()).unwrap();
            talk.reset()
        }
    });
    let origin = Origin::new().on("/ws", vanishing).start().await;
    let front = Front::before(&origin, "").await;
    let mut raw = RawHttp2::over(Connection::tcp(front.plain).await).await;
    // SETTINGS_INITIAL_WINDOW_SIZE
    raw.frame(4, 0, 0, &[0, 4, 0, 0, 3, 232]).await;
    let authority = front.plain.to_string();
    let head = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "http"),
        (":authority", &authority),
        (":path", "/ws"),
        ("sec-websocket-version", "13"),
    ];
    raw.headers(1, &head, false).await;
    let mut came = raw.data(1).await.len();
    raw.frame(0, 0, 1, &Frame::text("go").masked()).await;
    within("the backend to go", going.recv()).await;
    for _ in 0..4 {
        raw.frame(8, 0, 1, &1_000_u32.to_be_bytes()).await;
        came += raw.data(1).await.len();
    }
    assert_eq!((came, raw.fate(1).await), (SAID, Fate::Reset(8)));
}

#[tokio::test]
async fn a_client_that_stops_reading_holds_the_backend_and_no_other_tunnel() {
    let (flooding, mut tell) = websocket_flood();
    let origin = Origin::new().on("/flood", flooding).on("/echo", websocket_echo()).start().await;
    let front = Front::before(&origin, "").await;
    let mut client = front.connect().await;
    let mut other = client.websocket("/echo", &[]).await;
    let before = front.gateway.memory_peak_kib();
    let mut socket = client.websocket("/flood", &[]).await;
    let sent = within("the backend to be held", tell.recv()).await.unwrap();
    let grown = front.gateway.memory_peak_kib() - before;
    assert!(sent < 32 && grown < 8 << 10, "{sent} MiB went in, the process grew by {grown} KiB");
    other.send_frame(&Frame::text("not held")).await;
    assert_eq!(other.frame().await, Frame::text("not held"));
    for _ in 0..sent {
        assert!(socket.frame().await.payload == pattern(0, 1 << 20));
    }
}

#[tokio::test]
async fn a_backend_that_stops_reading_holds_its_client_and_no_other_tunnel() {
    let (release, released) = tokio::sync::watch::channel(false);
    let stuck = script(move |mut talk| {
        let mut released = released.clone();
        async move {
            let switching = talk.switching(&[]);
            talk.send(switching).await;
            released.wait_for(|go| *go).await.unwrap();
            echo_frames(talk).await
        }
    });
    let origin = Origin::new().on("/stuck", stuck).on("/echo", websocket_echo()).start().await;
    let front = Front::before(&origin, "").await;
    let mut client = front.connect().await;
    let mut other = client.websocket("/echo", &[]).await;
    let before = front.gateway.memory_peak_kib();
    let frame = Frame::binary(pattern(0, 32 << 20));
    let masked = frame.masked();
    let mut sockets = Vec::new();
    for _ in 0..4 {
        let mut socket = client.websocket("/stuck", &[]).await;
        let sending = tokio::time::timeout(Duration::from_millis(700), socket.up.send(&masked));
        assert!(sending.await.is_err() && socket.up.sent < 16 << 20, "{} bytes went in", socket.up.sent);
        sockets.push(socket);
    }
    let grown = front.gateway.memory_peak_kib() - before;
    assert!(grown < 8 << 10, "the process grew by {grown} KiB");
    other.send_frame(&Frame::text("not held")).await;
    assert_eq!(other.frame().await, Frame::text("not held"));
    assert_eq!(client.get("/page").await.text(), "/page");
    release.send_replace(true);
    for mut socket in sockets {
        let left = &masked[socket.up.sent..];
        let (came, ()) = tokio::join!(socket.down.frame(), socket.up.send(left));
        assert!(came == frame);
    }
}

#[tokio::test]
async fn no_deadline_of_requests_or_of_the_connection_ends_a_tunnel() {
    let origin = echo().await;
    let front = Front::before(&origin, "[timeouts]\nhead = \"1s\"\nkeep_alive = \"1s\"\nsend = \"1s\"\n").await;
    let mut client = front.connect().await;
    let mut socket = client.websocket("/ws", &[]).await;
    // The pace: longer than each of them.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    socket.send_frame(&Frame::text("still there")).await;
    assert_eq!(socket.frame().await, Frame::text("still there"));
    // And without the tunnel, the connection is idle.
    socket.send_frame(&Frame::close(1000)).await;
    assert_eq!(socket.frame().await.close_code(), Some(1000));
    assert_eq!(socket.end().await, End::Finished);
    front.gateway.metric_becomes("tidegate_connections", &[], 0.0).await;
}

#[tokio::test]
async fn a_clients_goodbye_leaves_its_tunnels_open() {
    let origin = echo().await;
    let front = Front::before(&origin, "").await;
    let mut raw = RawHttp2::over(Connection::tcp(front.plain).await).await;
    let (m, s, a, p) = ((":method", "CONNECT"), (":scheme", "http"), (":authority", "a"), (":path", "/ws"));
    raw.headers(1, &[m, (":protocol", "websocket"), s, a, p], false).await;
    assert_eq!(raw.fate(1).await, Fate::Answered(Some(200)));
    raw.frame(7, 0, 0, &[0; 8]).await;
    let hello = Frame::text("after the goodbye");
    raw.frame(0, 0, 1, &hello.masked()).await;
    assert_eq!(raw.data(1).await, hello.plain());
    raw.frame(0, 1, 1, &Frame::close(1000).masked()).await;
    assert_eq!(raw.data(1).await, Frame::close(1000).plain());
    front.gateway.metric_becomes("tidegate_connections", &[], 0.0).await;
}

#[tokio::test]
async fn a_stop_closes_tunnels_with_service_restart_and_waits_for_them() {
    let origin = echo().await;
    let front = Front::before(&origin, "").await;
    let mut client = front.connect().await;
    let mut sockets = vec![client.websocket("/ws", &[]).await, client.websocket("/ws", &[]).await];
    front.gateway.signal(Signal::Term);
    for socket in &mut sockets {
        // RFC 6455 §7.4, 1012.
        assert_eq!(socket.frame().await.close_code(), Some(1012));
        socket.send_frame(&Frame::close(1012)).await;
        assert_eq!(socket.end().await, End::Finished);
    }
    assert!(front.gateway.exited().await.success());
    let closes = front.gateway.access_log().into_iter().filter(|line| line["event"] == "tunnel_close");
    assert_eq!(closes.count(), 2, "{:?}", front.gateway.access_log());
}

#[tokio::test]
async fn a_connection_has_no_more_tunnels_than_streams() {
    let origin = echo().await;
    let front = Front::before(&origin, "[limits]\nhttp2_streams = 3\n").await;
    let mut raw = RawHttp2::over(Connection::tcp(front.plain).await).await;
    let (m, s, a, p) = ((":method", "CONNECT"), (":scheme", "http"), (":authority", "a"), (":path", "/ws"));
    let head = [m, (":protocol", "websocket"), s, a, p];
    for stream in [1, 3, 5] {
        raw.headers(stream, &head, false).await;
        assert_eq!(raw.fate(stream).await, Fate::Answered(Some(200)));
    }
    raw.headers(7, &head, false).await;
    assert_eq!(raw.fate(7).await, Fate::Reset(7), "REFUSED_STREAM");
    front.open_tunnels(3.0).await;
    raw.frame(3, 0, 3, &8_u32.to_be_bytes()).await;
    front.open_tunnels(2.0).await;
    raw.headers(9, &head, false).await;
    assert_eq!(raw.fate(9).await, Fate::Answered(Some(200)));
}

#[tokio::test]
async fn rows_limits_and_kicks_are_the_same() {
    let origin = echo().await;
    let terms = "[[routes]]\nname = \"chat\"\nupstream = \"app\"\nwebsocket = { max_connections = 1 }\n";
    let front = Front::before(&origin, terms).await;
    let mut client = front.connect().await;
    let mut socket = client.websocket("/ws", &[("user-agent", "story/2")]).await;
    socket.send_frame(&Frame::text("hello")).await;
    assert_eq!(socket.frame().await, Frame::text("hello"));
    let refused = client.refused("websocket", "/ws", &[]).await;
    assert_eq!((refused.status, refused.has("Retry-After")), (503, true), "{}", refused.told());
    let row = eventually("its counters", async || {
        let said = front.gateway.ask_admin("/connections?route=chat").await.text();
        let row = serde_json::from_str::<serde_json::Value>(&said).unwrap()["connections"][0].take();
        (row["down"]["text"] == 1 && row["up"]["text"] == 1).then_some(row)
    })
    .await;
    assert_eq!((&row["kind"], &row["user_agent"]), (&"websocket".into(), &"story/2".into()), "{row}");
    let path = format!("/connections/{}?code=4000&reason=bye", row["id"]);
    let (mut admin, host) = (Connection::tcp(front.gateway.admin).await, front.gateway.admin.to_string());
    assert_eq!(admin.ask("DELETE", &path, &[("Host", &host)], b"").await.status, 200);
    let close = socket.frame().await;
    assert_eq!((close.close_code(), &close.payload[2..]), (Some(4000), &b"bye"[..]));
    socket.send_frame(&Frame::close(4000)).await;
    assert_eq!(socket.end().await, End::Finished);
    front.open_tunnels(0.0).await;
    // The connection and its place are free again.
    client.websocket("/ws", &[]).await;
}

#[tokio::test]
async fn small_frames_that_a_backend_does_not_take_end_no_other_stream() {
    const FRAMES: usize = 13_000;
    let (release, released) = tokio::sync::watch::channel(false);
    let late = script(move |mut talk| {
        let mut released = released.clone();
        async move {
            released.wait_for(|go| *go).await.unwrap();
            let switching = talk.switching(&[]);
            talk.send(switching).await;
            for at in 0..FRAMES {
                assert_eq!(talk.frame().await, Some(Frame::text(&format!("frame {at:08}"))));
            }
            talk.send(Frame::text("all").plain()).await;
            echo_frames(talk).await
        }
    });
    let origin = Origin::new().on("/late", late).start().await;
    let front = Front::before(&origin, "").await;
    let mut client = front.connect().await;
    client.allowed().await;
    let (answer, mut send) = client.begin_connect("websocket", "/late", &[("sec-websocket-version", "13")]).await;
    origin.reached("/late", 1).await;
    // 20 bytes each, and all of them within the stream's window.
    for at in 0..FRAMES {
        send.send_data(Frame::text(&format!("frame {at:08}")).masked().into(), false).unwrap();
    }
    for at in 0..3 {
        let target = format!("/page/{at}");
        // Behind the frames: they have been read.
        assert_eq!(client.ask("POST", &target, &[], &pattern(0, 100_000)).await.text(), target);
    }
    release.send_replace(true);
    let mut socket = Http2Socket::opened(answer, send).await;
    assert_eq!(socket.frame().await, Frame::text("all"));
}

#[tokio::test]
async fn trailers_are_no_end_of_a_tunnel() {
    let (listening, mut tell) = listening();
    let origin = Origin::new().on("/ws", listening).start().await;
    let front = Front::before(&origin, "").await;
    let mut raw = RawHttp2::over(Connection::tcp(front.plain).await).await;
    let (m, s, a, p) = ((":method", "CONNECT"), (":scheme", "http"), (":authority", "a"), (":path", "/ws"));
    raw.headers(1, &[m, (":protocol", "websocket"), s, a, p], false).await;
    assert_eq!(raw.fate(1).await, Fate::Answered(Some(200)));
    raw.frame(0, 0, 1, &Frame::text("before").masked()).await;
    assert_eq!(within("a frame", tell.recv()).await, Some(Some(Frame::text("before"))));
    raw.headers(1, &[("x-sum", "1")], true).await;
    assert_eq!(raw.fate(1).await, Fate::Reset(1), "PROTOCOL_ERROR (RFC 9113 §8.5)");
    assert_eq!(within("the end at the backend", tell.recv()).await, Some(None));
    let line = front.gateway.logged("the end", |line| line["event"] == "tunnel_close").await;
    assert!(line.to_string().contains("client-io-error"), "{line}");
}
