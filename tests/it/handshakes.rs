//! WebSocket handshakes: strict at the door, and what the backend refuses is an ordinary answer.

use crate::support::*;

/// An echo under `/ws`, anything else answers with its target.
async fn echo() -> Origin {
    Origin::new().on("/ws", websocket_echo()).start().await
}

#[tokio::test]
async fn the_handshake_reaches_the_backend_as_it_was() {
    let protocols = script(|mut talk| async move {
        let fields =
            [("Sec-WebSocket-Protocol", "chat.v2"), ("Sec-WebSocket-Extensions", "permessage-deflate"), ("X-Own", "1")];
        let switching = talk.switching(&fields);
        talk.send(switching).await;
        echo_frames(talk).await
    });
    let origin = Origin::new().on("/ws", protocols).start().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    let answer = client
        .upgrade(
            "/ws?token=a%2Fb",
            &[
                ("Sec-WebSocket-Protocol", "chat.v1, chat.v2"),
                ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"),
                ("Cookie", "session=1"),
                ("Origin", "http://example.test"),
                ("X-Forwarded-For", "6.6.6.6"),
            ],
        )
        .await;
    assert_eq!(answer.field("Sec-WebSocket-Protocol"), Some("chat.v2"));
    assert_eq!(answer.field("Sec-WebSocket-Extensions"), Some("permessage-deflate"));
    assert_eq!(answer.field("X-Own"), Some("1"));
    let seen = origin.request_for("/ws");
    assert_eq!(seen.target, "/ws?token=a%2Fb");
    for (name, value) in [
        ("Host", "example.test"),
        ("Sec-WebSocket-Key", KEY),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Protocol", "chat.v1, chat.v2"),
        ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"),
        ("Cookie", "session=1"),
        ("Origin", "http://example.test"),
        ("X-Forwarded-For", "127.0.0.1"),
        ("X-Forwarded-Proto", "http"),
    ] {
        assert_eq!(seen.field(name), Some(value), "{}", origin.log());
    }
    for (name, value) in [("Upgrade", "websocket"), ("Connection", "upgrade")] {
        assert!(seen.field(name).is_some_and(|got| got.eq_ignore_ascii_case(value)), "{name}\n{}", origin.log());
    }
}

#[tokio::test]
async fn a_refused_handshake_is_an_ordinary_answer() {
    let refusals = [
        (403, "Forbidden by app", ""),
        (401, "who are you", "WWW-Authenticate"),
        (302, "", "Location"),
        (404, "no such socket", ""),
        (426, "upgrade differently", ""),
        (503, "later", "Retry-After"),
        (200, "a page", ""),
    ];
    let mut origin = Origin::new();
    for (status, body, field) in refusals {
        let answer = reply(status).body(body);
        let answer = if field.is_empty() { answer } else { answer.field(field, "/value") };
        origin = origin.on(&format!("/{status}"), answer);
    }
    let origin = origin.start().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    for (status, body, field) in refusals {
        client.send(handshake(&format!("/{status}"), &[])).await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.text().as_str()), (status, body), "{}", client.transcript());
        assert!(field.is_empty() || answer.field(field) == Some("/value"), "{}", client.transcript());
        // The connection is HTTP as before.
        assert_eq!(client.get("/after").await.text(), "/after", "{}", client.transcript());
    }
}

#[tokio::test]
async fn bytes_sent_before_a_refusal_are_never_a_tunnels() {
    let origin = Origin::new().on("/ws", reply(403).body("no")).start().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    // The client believes in its upgrade and smuggles a request behind it (0ang3el).
    let inner = "GET /internal HTTP/1.1\r\nHost: inner.test\r\n\r\n";
    client.send([handshake("/ws", &[]), inner.into()].concat()).await;
    assert_eq!(client.answer().await.status, 403);
    // What was sent is a request like any other, with everything that the gateway does to requests.
    assert_eq!(client.answer().await.text(), "/internal", "{}", client.transcript());
    let seen = origin.request_for("/internal");
    assert_eq!(seen.field("X-Forwarded-For"), Some("127.0.0.1"), "{}", origin.log());
}

#[tokio::test]
async fn a_wrong_accept_is_a_bad_gateway() {
    let ok = "HTTP/1.1 101 Switching Protocols\r\n";
    let up = "Upgrade: websocket\r\nConnection: Upgrade\r\n";
    let accept = format!("Sec-WebSocket-Accept: {}\r\n", accept_value(KEY));
    let heads = [
        ("a wrong accept", format!("{ok}{up}Sec-WebSocket-Accept: {}\r\n\r\n", accept_value("other"))),
        ("no accept", format!("{ok}{up}\r\n")),
        ("no Upgrade", format!("{ok}Connection: Upgrade\r\n{accept}\r\n")),
        ("another Upgrade", format!("{ok}Connection: Upgrade\r\nUpgrade: h2c\r\n{accept}\r\n")),
        ("no Connection", format!("{ok}Upgrade: websocket\r\n{accept}\r\n")),
        ("two accepts", format!("{ok}{up}{accept}Sec-WebSocket-Accept: x\r\n\r\n")),
    ];
    let mut origin = Origin::new();
    for (at, (_, head)) in heads.iter().enumerate() {
        origin = origin.on(&format!("/{at}"), head.as_str());
    }
    let origin = origin.start().await;
    let gateway = Gateway::before(&origin).await;
    for (at, (name, _)) in heads.iter().enumerate() {
        let mut client = gateway.connect().await;
        client.send(handshake(&format!("/{at}"), &[])).await;
        let answer = client.answer().await;
        assert_eq!(answer.status, 502, "{name}\n{}", client.transcript());
    }
}

#[tokio::test]
async fn unsound_handshakes_are_refused_without_asking_the_backend() {
    let lines = |version: &str, key: &str, more: &str| {
        format!("GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{version}{key}{more}\r\n")
    };
    let version = "Sec-WebSocket-Version: 13\r\n";
    let key = format!("Sec-WebSocket-Key: {KEY}\r\n");
    let cases: Vec<(&str, String, &[u16])> = vec![
        ("version 8", lines("Sec-WebSocket-Version: 8\r\n", &key, ""), &[426]),
        ("version 14", lines("Sec-WebSocket-Version: 14\r\n", &key, ""), &[426]),
        ("no version", lines("", &key, ""), &[400, 426]),
        ("two versions", lines(&version.repeat(2), &key, ""), &[400, 426]),
        ("no key", lines(version, "", ""), &[400]),
        ("two keys", lines(version, &key.repeat(2), ""), &[400]),
        ("a short key", lines(version, "Sec-WebSocket-Key: c2hvcnQ=\r\n", ""), &[400]),
        ("a long key", lines(version, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZSBpcyBsb25n\r\n", ""), &[400]),
        ("a key that is no base64", lines(version, "Sec-WebSocket-Key: !!!!!!!!!!!!!!!!!!!!!!==\r\n", ""), &[400]),
        ("a body by length", lines(version, &key, "Content-Length: 5\r\n") + "hello", &[400]),
        ("a chunked body", lines(version, &key, "Transfer-Encoding: chunked\r\n") + "0\r\n\r\n", &[400]),
        ("a POST", lines(version, &key, "").replace("GET", "POST"), &[400, 405]),
    ];
    let origin = echo().await;
    let gateway = Gateway::before(&origin).await;
    let mut wrong = Vec::new();
    for (name, bytes, statuses) in cases {
        let mut client = gateway.connect().await;
        client.send(&bytes).await;
        let answer = client.answer().await;
        let versions = answer.status != 426 || answer.field("Sec-WebSocket-Version") == Some("13");
        if !statuses.contains(&answer.status) || !versions {
            wrong.push(format!("{name}: {statuses:?} expected\n{}", client.transcript()));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n\n"));
    assert!(origin.requests().is_empty(), "{}", origin.log());
}

#[tokio::test]
async fn an_upgrade_to_anything_else_is_an_ordinary_request() {
    let origin = Origin::new().start().await;
    let gateway = Gateway::before(&origin).await;
    for (at, fields) in [
        "Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c, foo\r\nHTTP2-Settings: AAMAAABk\r\n",
        "Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n",
        "Connection: Upgrade\r\n",
        "Upgrade: websocket\r\n",
    ]
    .iter()
    .enumerate()
    {
        let mut client = gateway.connect().await;
        client.send(format!("GET /{at} HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).await;
        assert_eq!(client.answer().await.text(), format!("/{at}"), "{}", client.transcript());
        assert_eq!(client.get("/after").await.status, 200);
        let seen = origin.request_for(&format!("/{at}"));
        assert!(!seen.has("Upgrade") && !seen.has("HTTP2-Settings"), "{}", origin.log());
    }
}

#[tokio::test]
async fn a_foreign_origin_with_cookies_is_refused() {
    let origin = echo().await;
    let gateway = Gateway::before(&origin).await;
    let own = gateway.address.to_string();
    let own_origin = format!("http://{own}");
    let ask = async |fields: &[(&str, &str)]| {
        let mut client = gateway.connect().await;
        let host = format!("Host: {own}");
        client.send(handshake("/ws", fields).replace("Host: example.test", &host)).await;
        client.head().await.status
    };
    assert_eq!(ask(&[("Origin", "https://evil.test"), ("Cookie", "session=1")]).await, 403);
    eventually("a word about it", async || gateway.printed().contains("see `websocket.origins`").then_some(())).await;
    let line = gateway.logged("the refusal", |line| line["http.response.status_code"] == 403).await;
    assert_eq!(line["failure"], "origin_other_host", "{line}");
    assert_eq!(ask(&[("Origin", "null"), ("Cookie", "session=1")]).await, 403);
    assert!(origin.requests().is_empty(), "{}", origin.log());
    assert_eq!(ask(&[("Origin", &own_origin), ("Cookie", "session=1")]).await, 101);
    assert_eq!(ask(&[("Origin", "https://evil.test")]).await, 101);
    assert_eq!(ask(&[("Cookie", "session=1")]).await, 101);
}

#[tokio::test]
async fn a_routes_origins_are_a_rule() {
    let origin = echo().await;
    let case = async |rule: &str, origin_field: &str| {
        let text = format!("[[routes]]\nmatch = {{ path = \"/\" }}\nwebsocket = {{ origins = {rule} }}\n");
        let gateway = Gateway::before_with(&origin, &text).await;
        let mut client = gateway.connect().await;
        client.send(handshake("/ws", &[("Origin", origin_field), ("Cookie", "a=b")])).await;
        client.head().await.status
    };
    assert_eq!(case("\"any\"", "https://evil.test").await, 101);
    assert_eq!(case("\"same-host\"", "http://example.test").await, 101);
    assert_eq!(case("\"same-host\"", "http://other.test").await, 403);
    assert_eq!(case("[\"https://app.test\"]", "https://app.test").await, 101);
    assert_eq!(case("[\"https://app.test\"]", "http://app.test").await, 403);
}

#[tokio::test]
async fn a_route_without_websockets_passes_the_handshake_as_a_request() {
    let origin = Origin::new().start().await;
    let text = "[[routes]]\nmatch = { path = \"/\" }\nwebsocket = false\n";
    let gateway = Gateway::before_with(&origin, text).await;
    let mut client = gateway.connect().await;
    client.send(handshake("/plain", &[])).await;
    assert_eq!(client.answer().await.text(), "/plain", "{}", client.transcript());
    assert!(!origin.request_for("/plain").has("Upgrade"), "{}", origin.log());
}

#[tokio::test]
async fn another_server_is_tried_while_nothing_was_answered() {
    let origin = echo().await;
    let dead = DeadAddress::new();
    let text =
        format!("upstream = \"app\"\n[upstreams.app]\nservers = [\"{}\", \"{}\"]\n", dead.address, origin.address);
    let gateway = Gateway::with(&text).await;
    for _ in 0..4 {
        let mut client = gateway.connect().await;
        client.upgrade("/ws", &[]).await;
    }
    let gateway = Gateway::with(&format!("upstream = \"{}\"\n", dead.address)).await;
    let mut client = gateway.connect().await;
    client.send(handshake("/ws", &[])).await;
    assert_eq!(client.answer().await.status, 502);
}

#[tokio::test]
async fn a_handshake_whose_servers_can_not_be_reached_leaves_no_row_and_no_place() {
    let dead = DeadAddress::new();
    let text = format!(
        "upstream = \"{}\"\n[[routes]]\nmatch = {{ path = \"/\" }}\nwebsocket = {{ max_connections = 1 }}\n",
        dead.address
    );
    let gateway = Gateway::with(&text).await;
    for _ in 0..3 {
        let mut client = gateway.connect().await;
        client.send(handshake("/ws", &[])).await;
        assert_eq!(client.answer().await.status, 502);
    }
    for metric in ["tidegate_websocket_connections", "tidegate_websocket_places_taken", "tidegate_upstream_in_flight"] {
        assert_eq!(gateway.metric(metric, &[]).await, 0.0, "{metric}");
    }
    let listed = gateway.ask_admin("/connections").await.text();
    assert!(listed.contains("\"connections\":[]"), "{listed}");
    let failed = [("result", "backend_failed")];
    assert_eq!(gateway.metric("tidegate_websocket_handshakes_total", &failed).await, 3.0);
}

#[tokio::test]
async fn a_backend_that_does_not_answer_a_handshake_is_504_and_leaves_no_row() {
    let silent = script(|mut talk| async move {
        talk.gone().await;
        talk.close().await
    });
    let origin = Origin::new().otherwise(silent).start().await;
    let text = format!(
        "[upstreams.app]\nservers = [\"{}\"]\nanswer_timeout = \"300ms\"\n[[routes]]\nupstream = \"app\"\n",
        origin.address
    );
    let gateway = Gateway::with(&text).await;
    let mut client = gateway.connect().await;
    client.send(handshake("/ws", &[])).await;
    assert_eq!(client.answer().await.status, 504);
    gateway.metric_becomes("tidegate_websocket_connections", &[], 0.0).await;
    gateway.metric_becomes("tidegate_websocket_places_taken", &[], 0.0).await;
}

#[tokio::test]
async fn a_gateway_that_stops_sends_handshakes_elsewhere() {
    let origin = echo().await;
    let gateway = Gateway::before_with(&origin, "[limits]\ndrain_rate = 1\n").await;
    let mut clients = Vec::new();
    for _ in 0..5 {
        let mut client = gateway.connect().await;
        client.upgrade("/ws", &[]).await;
        clients.push(client);
    }
    let mut late = gateway.connect().await;
    let text = handshake("/ws", &[]);
    let (before, after) = text.split_at(20);
    late.send(before).await;
    gateway.metric_becomes("tidegate_connections", &[], 6.0).await;
    gateway.signal(Signal::Term);
    eventually("/ready to say no", async || (gateway.ask_admin("/ready").await.status == 503).then_some(())).await;
    late.send(after).await;
    let answer = late.answer().await;
    assert_eq!((answer.status, answer.has("Retry-After")), (503, true), "{}", answer.told());
    assert_eq!(answer.field("Connection"), Some("close"), "{}", answer.told());
}
