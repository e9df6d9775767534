//! What is open, as operators see it, and how they close it.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::{sync::Notify, time::Instant};

use crate::{
    operators::{order, tidegate},
    support::*,
};

/// What the admin listener says to a request without a body.
async fn say(gateway: &Gateway, method: &str, path: &str) -> (u16, Value) {
    let host = gateway.admin.to_string();
    let mut admin = Connection::tcp(gateway.admin).await;
    let answer = admin.ask(method, path, &[("Host", &host), ("Connection", "close")], b"").await;
    (answer.status, serde_json::from_str(&answer.text()).unwrap())
}

/// The rows of a list that is well.
async fn rows(gateway: &Gateway, path: &str) -> Vec<Value> {
    let (status, said) = say(gateway, "GET", path).await;
    assert_eq!(status, 200, "{said}");
    said["connections"].as_array().unwrap().clone()
}

async fn rows_become(gateway: &Gateway, path: &str, count: usize) -> Vec<Value> {
    eventually(format!("{count} rows of {path}"), async || {
        let found = rows(gateway, path).await;
        (found.len() == count).then_some(found)
    })
    .await
}

/// A gateway with two routes to an echo, and open tunnels: so many on `/chat`, so many elsewhere.
async fn with_tunnels(chat: usize, other: usize, text: &str) -> (Origin, Gateway, Vec<Connection>) {
    let origin = Origin::new().otherwise(websocket_echo()).start().await;
    let text = format!(
        "[upstreams.app]\nservers = [\"{}\"]\n[[routes]]\nname = \"chat\"\nmatch = {{ path = \"/chat\" }}\nupstream = \"app\"\n\
         [[routes]]\nname = \"rest\"\nupstream = \"app\"\n{text}",
        origin.address
    );
    let gateway = Gateway::with(&text).await;
    let mut clients = Vec::new();
    for at in 0..chat + other {
        let mut client = gateway.connect().await;
        client.upgrade(if at < chat { "/chat" } else { "/other" }, &[("User-Agent", "story/1")]).await;
        clients.push(client);
    }
    gateway.metric_becomes("tidegate_websocket_connections", &[("state", "open")], (chat + other) as f64).await;
    (origin, gateway, clients)
}

#[tokio::test]
async fn a_row_tells_who_and_how_much_and_vanishes_with_its_tunnel() {
    let origin = Origin::new()
        .otherwise(script(|mut talk| async move {
            let switching = talk.switching(&[("Sec-WebSocket-Protocol", "graphql-ws")]);
            talk.send(switching).await;
            echo_frames(talk).await
        }))
        .start()
        .await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    let fields = [("User-Agent", "Mozilla/5.0 (story)"), ("Sec-WebSocket-Protocol", "graphql-ws")];
    client.upgrade("/ws", &fields).await;
    client.send_frame(&Frame::text("hello")).await;
    assert_eq!(client.frame().await, Frame::text("hello"));
    let row = eventually("the counters", async || {
        let row = rows_become(&gateway, "/connections", 1).await.remove(0);
        (row["down"]["text"] == 1).then_some(row)
    })
    .await;
    let counters = |bytes: u64| json!({ "bytes": bytes, "frames": 1, "text": 1, "binary": 0, "pings": 0, "pongs": 0, "largest": 5, "not_frames": null });
    for (key, value) in [
        ("kind", json!("websocket")),
        ("state", json!("open")),
        ("client", json!("127.0.0.1")),
        ("user_agent", json!("Mozilla/5.0 (story)")),
        ("subprotocol", json!("graphql-ws")),
        ("backend", json!(origin.address.to_string())),
        ("client_round_trip_ms", Value::Null),
        ("up", counters(11)),
        ("down", counters(7)),
    ] {
        assert_eq!(row[key], value, "{key}: {row}");
    }
    assert!(row["age_seconds"].as_f64().unwrap() < 60.0 && row["since"].as_f64().unwrap() > 1.6e9, "{row}");
    let path = format!("/connections/{}", row["id"]);
    assert_eq!(say(&gateway, "GET", &path).await.1["user_agent"], "Mozilla/5.0 (story)");

    client.send_frame(&Frame::close(1000)).await;
    client.frame().await;
    client.until_closed().await;
    rows_become(&gateway, "/connections", 0).await;
    assert_eq!(say(&gateway, "GET", &path).await.0, 404);
    let ended = rows(&gateway, "/connections/closed").await.remove(0);
    assert_eq!((&ended["id"], &ended["reason"], &ended["code"]), (&row["id"], &json!("client-close"), &json!(1000)));
    assert_eq!((&ended["by"], &ended["down"]["text"]), (&json!("client"), &json!(1)), "{ended}");
}

#[tokio::test]
async fn bytes_that_are_no_frames_are_told_with_the_reason() {
    let (_origin, gateway, mut clients) = with_tunnels(1, 0, "").await;
    clients[0].send("SSH-2.0-OpenSSH_9.2\r\n").await;
    eventually("the reason", async || {
        let row = rows_become(&gateway, "/connections", 1).await.remove(0);
        let (up, down) = (&row["up"], &row["down"]);
        let is_told = up["not_frames"] == "opcode" && down["not_frames"].is_null() && up["frames"] == 0;
        (is_told && up["bytes"] == 21).then_some(())
    })
    .await;
}

#[tokio::test]
async fn filters_and_pages() {
    let (origin, gateway, mut clients) = with_tunnels(5, 2, "").await;
    clients[0].send_frame(&Frame::text("x")).await;
    clients[0].frame().await;
    let backend = origin.address.to_string();
    for (query, count) in [
        ("", 7),
        ("?route=chat", 5),
        ("?route=rest&kind=websocket", 2),
        ("?upstream=app&state=open", 7),
        ("?state=closing", 0),
        ("?kind=http", 0),
        ("?client=127.0.0.1", 7),
        ("?client=127.0.0.0%2F8", 7),
        ("?client=10.0.0.0/8", 0),
        ("?age=1h", 0),
        ("?idle=0s", 7),
        ("?idle=1h", 0),
        (&format!("?backend={backend}"), 7),
        ("?backend=10.0.0.1:1", 0),
    ] {
        assert_eq!(rows(&gateway, &format!("/connections{query}")).await.len(), count, "{query}");
    }
    let (mut seen, mut after) = (Vec::new(), json!(0));
    while !after.is_null() {
        let (_, said) = say(&gateway, "GET", &format!("/connections?route=chat&limit=2&after={after}")).await;
        assert_eq!(said["open"], 7);
        seen.extend(said["connections"].as_array().unwrap().iter().map(|row| row["id"].as_u64().unwrap()));
        after = said["next"].clone();
        assert!(seen.len() <= 5, "{said}");
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 5, "each once");
    for (query, problem) in [
        ("?rout=chat", "unknown parameter `rout`"),
        ("?route=caht", "no route is named `caht`"),
        ("?state=gone", "`state` is none of connecting, open, draining, closing"),
        ("?client=me", "`me` is neither an IP address nor a network"),
        ("?age=long", "`age`: "),
        ("?limit=1001", "`limit` is no number from 1 to 1000"),
        ("?after=x", "`after` is no `next` of a list"),
    ] {
        let (status, said) = say(&gateway, "GET", &format!("/connections{query}")).await;
        assert!(status == 400 && said["error"].as_str().unwrap().starts_with(problem), "{query}: {said}");
    }
}

#[tokio::test]
async fn a_kick_says_its_code_and_reason_at_a_frame_boundary() {
    let go_on = Arc::new(Notify::new());
    let told = go_on.clone();
    let frame = Frame::binary(pattern(3, 5000));
    let sent = frame.plain();
    let origin = Origin::new().otherwise(script(move |mut talk| {
        let (go_on, sent) = (told.clone(), sent.clone());
        async move {
            let switching = talk.switching(&[]);
            talk.send(switching).await;
            talk.send(&sent[..2000]).await;
            go_on.notified().await;
            talk.send(&sent[2000..]).await;
            echo_frames(talk).await
        }
    }));
    let origin = origin.start().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    client.upgrade("/ws", &[]).await;
    let id = rows_become(&gateway, "/connections", 1).await[0]["id"].clone();
    let (status, said) =
        say(&gateway, "DELETE", &format!("/connections/{id}?code=4001&reason=too%20loud%20%C3%A4")).await;
    assert_eq!((status, &said["kicked"]), (200, &json!(1)), "{said}");
    eventually("its state", async || (rows(&gateway, "/connections?state=closing").await.len() == 1).then_some(()))
        .await;
    go_on.notify_one();
    assert!(client.frame().await == frame, "the frame under way is whole");
    let close = client.frame().await;
    assert_eq!((close.close_code(), &close.payload[2..]), (Some(4001), "too loud ä".as_bytes()));
    client.send_frame(&Frame::close(4001)).await;
    client.until_closed().await;
    rows_become(&gateway, "/connections", 0).await;
    let ended = rows(&gateway, "/connections/closed").await.remove(0);
    let (reason, code, text) = (&ended["reason"], &ended["code"], &ended["text"]);
    assert_eq!((reason, code, text), (&json!("kicked"), &json!(4001), &json!("too loud ä")), "{ended}");
    gateway.metric_becomes("tidegate_websocket_connections_closed_total", &[("reason", "kicked")], 1.0).await;
    assert_eq!(gateway.metric("tidegate_websocket_connections", &[]).await, 0.0);
}

#[tokio::test]
async fn a_kick_takes_its_filter_and_nothing_else() {
    let (_origin, gateway, mut clients) = with_tunnels(2, 2, "").await;
    for (path, problem) in [
        ("/connections", "expected a filter, or all=true"),
        ("/connections?all=yes", "`all` is not true"),
        ("/connections?all=true&route=chat", "expected either filters or all=true"),
        ("/connections?routes=chat", "unknown parameter `routes`"),
        ("/connections?route=chat&code=1006", "1006 can't be sent in a Close frame"),
        ("/connections?route=chat&code=x", "`x` is no code of a Close frame"),
        ("/connections?route=chat&reason=x", "`reason` needs `code` beside it"),
        (&format!("/connections?route=chat&code=1000&reason={}", "x".repeat(124)), "a reason of more than 123 bytes"),
    ] {
        let (status, said) = say(&gateway, "DELETE", path).await;
        assert!(status == 400 && said["error"].as_str().unwrap().starts_with(problem), "{path}: {said}");
    }
    assert_eq!(say(&gateway, "DELETE", "/connections/4711").await.0, 404);
    assert_eq!(rows(&gateway, "/connections?state=open").await.len(), 4, "nothing was closed");
    let (_, said) = say(&gateway, "DELETE", "/connections?route=chat").await;
    assert_eq!(said["kicked"], 2);
    for client in &mut clients[..2] {
        let close = client.frame().await;
        assert_eq!((close.close_code(), &close.payload[2..]), (Some(1012), &b"kicked"[..]));
    }
    assert_eq!(rows(&gateway, "/connections?state=open").await.len(), 2);
    let (_, said) = say(&gateway, "DELETE", "/connections?all=true&code=1001").await;
    assert!(said["kicked"].as_u64().unwrap() >= 2, "{said}");
    assert_eq!(clients[3].frame().await.close_code(), Some(1001));
}

#[tokio::test]
async fn a_gateway_that_is_drained_whole_is_not_ready_until_it_is_taken_back() {
    let (_origin, gateway, _clients) = with_tunnels(1, 0, "").await;
    let ready = async || say(&gateway, "GET", "/ready").await;
    assert_eq!(ready().await, (200, json!({ "ready": true, "reason": "ready" })));
    order(&gateway, "/drain", &json!({ "route": "chat" })).await;
    assert_eq!(ready().await.0, 200, "a part");
    order(&gateway, "/drain", &json!({ "all": true })).await;
    assert_eq!(ready().await, (503, json!({ "ready": false, "reason": "drained" })));
    order(&gateway, "/drain", &json!({ "all": true, "undo": true })).await;
    assert_eq!(ready().await, (200, json!({ "ready": true, "reason": "ready" })));
}

#[tokio::test]
async fn a_drain_closes_a_route_at_its_pace_and_keeps_new_tunnels_out_until_it_is_taken_back() {
    let (origin, gateway, mut clients) = with_tunnels(5, 1, "").await;
    for (object, problem) in [
        (json!({}), "expected exactly one of all, route, upstream, server"),
        (json!({ "route": "nope" }), "no route is named `nope`"),
        (json!({ "all": false }), "`all` is not true"),
        (json!({ "server": "10.0.0.1:1" }), "no server is named `10.0.0.1:1`"),
        (json!({ "all": true, "undo": 1 }), "`undo` is not true"),
        (json!({ "all": true, "undo": true, "rate": 1 }), "`undo` goes with neither"),
        (json!({ "all": true, "rate": 0 }), "`rate` is no number"),
        (json!({ "all": true, "speed": 1 }), "unknown key `speed`"),
    ] {
        let (status, said) = order(&gateway, "/drain", &object).await;
        assert!(status == 400 && said["error"].as_str().unwrap().starts_with(problem), "{object}: {said}");
    }
    let began = Instant::now();
    let (_, said) = order(&gateway, "/drain", &json!({ "route": "chat", "rate": 5, "within": "20s" })).await;
    assert_eq!(said, json!({ "draining": 5, "seconds": 1.0, "cuts": false }));
    let draining = "/connections?state=draining&route=chat";
    eventually("their state", async || (!rows(&gateway, draining).await.is_empty()).then_some(())).await;
    for client in &mut clients[..5] {
        let close = client.frame().await;
        assert_eq!((close.close_code(), &close.payload[2..]), (Some(1012), &b"drain"[..]));
    }
    assert!(began.elapsed() > Duration::from_millis(600), "{:?}", began.elapsed());
    let mut refused = gateway.connect().await;
    refused.send(handshake("/chat", &[])).await;
    let answer = refused.answer().await;
    assert_eq!((answer.status, answer.has("Retry-After")), (503, true), "{}", answer.told());
    let limit = [("route", "chat"), ("limit", "drained")];
    assert_eq!(gateway.metric("tidegate_websocket_refused_total", &limit).await, 1.0);
    assert_eq!(say(&gateway, "GET", "/drain").await.1, json!({ "drained": [{ "route": "chat" }] }));
    let back = json!({ "route": "chat", "undo": true });
    assert_eq!(order(&gateway, "/drain", &back).await.1, json!({ "taken_back": true }));
    assert_eq!(order(&gateway, "/drain", &back).await.1, json!({ "taken_back": false }));
    gateway.connect().await.upgrade("/chat", &[]).await;
    assert_eq!(rows(&gateway, "/connections?state=open&route=rest").await.len(), 1);
    let (_, said) = order(&gateway, "/drain", &json!({ "server": origin.address.to_string() })).await;
    assert!(said["draining"].as_u64().unwrap() >= 1, "{said}");
    assert_eq!(clients[5].frame().await.close_code(), Some(1012));
}

#[tokio::test]
async fn a_page_of_a_foreign_site_closes_nothing() {
    let (_origin, gateway, _clients) = with_tunnels(1, 0, "").await;
    let host = gateway.admin.to_string();
    // What a browser asks before it would send a DELETE for a page, and what a page can send unasked.
    for (method, path, fields) in [
        ("OPTIONS", "/connections?all=true", &[("Origin", "https://evil.test")][..]),
        ("POST", "/connections?all=true", &[]),
        ("POST", "/drain", &[("Content-Type", "text/plain")]),
    ] {
        let fields = [&[("Host", host.as_str()), ("Connection", "close")][..], fields].concat();
        let answer = Connection::tcp(gateway.admin).await.ask(method, path, &fields, b"{\"all\":true}").await;
        assert!([405, 415].contains(&answer.status), "{method} {path}: {}", answer.told());
        assert!(!answer.has("Access-Control-Allow-Origin"), "{}", answer.told());
    }
    let foreign = [("Host", "rebound.test"), ("Connection", "close")];
    let answer = Connection::tcp(gateway.admin).await.ask("DELETE", "/connections?all=true", &foreign, b"").await;
    assert_eq!(answer.status, 403);
    assert_eq!(rows(&gateway, "/connections?state=open").await.len(), 1);
}

#[tokio::test]
async fn the_command_line_lists_kicks_and_drains() {
    let (_origin, gateway, mut clients) = with_tunnels(2, 2, "").await;
    let admin = gateway.admin.to_string();
    let run = async |words: &[&str]| tidegate(&[words, &["--admin", &admin]].concat(), "").await;
    let (code, told, problem) = run(&["connections", "--route", "chat"]).await;
    assert!(code == 0 && told.starts_with("id  kind       state  age "), "{told}{problem}");
    assert!(told.ends_with("\n2 shown; 4 open\n") && told.lines().count() == 4, "{told}");
    let (_, told, _) = run(&["connections", "--limit", "3", "--json"]).await;
    let listed: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(listed["connections"].as_array().unwrap().len(), 3);
    let id = listed["connections"][0]["id"].to_string();
    let words = ["kick", &id, "--code", "4000", "--reason", "bye & thanks"];
    assert_eq!(run(&words).await, (0, "1 connection told to close\n".to_owned(), String::new()));
    let close = clients[0].frame().await;
    assert_eq!((close.close_code(), &close.payload[2..]), (Some(4000), &b"bye & thanks"[..]));
    let told = run(&["drain", "--route", "rest", "--rate", "100"]).await;
    assert_eq!(told, (0, "2 tunnels told to close, the last in 0.0 s\n".to_owned(), String::new()));
    assert_eq!(clients[3].frame().await.close_code(), Some(1012));
    assert_eq!(run(&["drain", "--list"]).await.1, "route rest\n");
    assert_eq!(run(&["drain", "--route", "rest", "--undo"]).await.1, "taken back\n");
    assert_eq!(run(&["drain", "--list"]).await.1, "nothing is drained\n");
    let (code, _, problem) = run(&["kick", "--route", "none"]).await;
    assert_eq!((code, problem.as_str()), (1, "error: no route is named `none`\n"));
    drop(clients);
    let told = eventually("the ends", async || {
        let (_, told, _) = run(&["connections", "--closed"]).await;
        (told.lines().count() == 5).then_some(told)
    })
    .await;
    assert!(told.contains("kicked") && told.contains("drain") && told.contains("bye & thanks"), "{told}");

    let nobody = free_address().to_string();
    let (code, _, problem) = tidegate(&["connections", "--admin", &nobody], "").await;
    assert_eq!(code, 1);
    assert!(problem.starts_with(&format!("error: no answer from http://{nobody}/: ")), "{problem}");
    assert!(problem.ends_with("is a gateway running there?\n"), "{problem}");
}

#[tokio::test]
async fn a_list_of_a_thousand_rows_is_given_while_messages_pass() {
    let (_origin, gateway, mut clients) = with_tunnels(0, 1000, "").await;
    let mut speaker = clients.pop().unwrap();
    let listing = async {
        let began = Instant::now();
        for _ in 0..20 {
            assert!(rows(&gateway, "/connections?limit=1000").await.len() >= 999);
        }
        began.elapsed() / 20
    };
    let mut slowest = Duration::ZERO;
    let mut listing = std::pin::pin!(listing);
    let took = loop {
        let echo = async {
            let began = Instant::now();
            speaker.send_frame(&Frame::text("ping")).await;
            assert_eq!(speaker.frame().await, Frame::text("ping"));
            began.elapsed()
        };
        let mut echo = std::pin::pin!(echo);
        tokio::select! {
            took = &mut listing => { echo.await; break took; }
            echo = &mut echo => slowest = slowest.max(echo),
        }
    };
    eprintln!("a list of 1000 rows takes {took:?}; the slowest echo beside it took {slowest:?}");
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
}

#[tokio::test]
async fn places_for_tunnels_are_bounded_and_come_back_whatever_the_way_out() {
    let origin = Origin::new()
        .otherwise(websocket_echo())
        .on("/declines", reply(403).body("no"))
        .on(
            "/lies",
            script(|mut talk| async move {
                talk.send(
                    "HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n",
                )
                .await;
                talk.close().await
            }),
        )
        .on("/breaks", script(|talk| async move { talk.reset() }))
        .on(
            "/hangs",
            script(|mut talk| async move {
                talk.gone().await;
                talk.close().await
            }),
        )
        .start()
        .await;
    let gateway =
        Gateway::before_with(&origin, "[[routes]]\nwebsocket = { max_connections = 1, idle_timeout = \"1m\" }\n").await;
    let refused = async || {
        let mut client = gateway.connect().await;
        client.send(handshake("/ws", &[])).await;
        let answer = client.answer().await;
        assert_eq!(answer.status, 503, "{}", answer.told());
        let seconds: u32 = answer.field("Retry-After").unwrap().parse().unwrap();
        assert!((3..=10).contains(&seconds));
    };
    // What does not become a tunnel gives its place back as well.
    for (path, status) in [("/declines", 403), ("/lies", 502), ("/breaks", 502)] {
        let mut client = gateway.connect().await;
        client.send(handshake(path, &[])).await;
        assert_eq!(client.answer().await.status, status, "{path}");
    }
    let mut waits = gateway.connect().await;
    waits.send(handshake("/hangs", &[])).await;
    origin.reached("/hangs", 1).await;
    refused().await;
    drop(waits);
    for way_out in ["client-close", "client-gone", "kicked"] {
        let mut client = eventually("a place", async || {
            let mut client = gateway.connect().await;
            client.send(handshake("/ws", &[])).await;
            (client.head().await.status == 101).then_some(client)
        })
        .await;
        refused().await;
        match way_out {
            "client-close" => {
                client.send_frame(&Frame::close(1000)).await;
                client.frame().await;
            }
            "kicked" => {
                assert_eq!(say(&gateway, "DELETE", "/connections?all=true").await.0, 200);
                assert_eq!(client.frame().await.close_code(), Some(1012));
                client.send_frame(&Frame::close(1012)).await;
            }
            _ => {}
        }
        drop(client);
        rows_become(&gateway, "/connections", 0).await;
    }
    let hits = gateway.metric("tidegate_websocket_refused_total", &[("limit", "max_connections")]).await;
    assert!(hits >= 4.0, "{hits}");
    assert_eq!(gateway.metric("tidegate_websocket_connections", &[]).await, 0.0);
}

#[tokio::test]
async fn a_handshake_under_way_is_a_row_that_may_be_closed() {
    let hangs = script(|mut talk| async move {
        talk.gone().await;
        talk.close().await
    });
    let origin = Origin::new().on("/hangs", hangs).otherwise(websocket_echo()).start().await;
    let gateway = Gateway::before(&origin).await;
    let hang = async || {
        let mut client = gateway.connect().await;
        client.send(handshake("/hangs", &[("User-Agent", "story/2")])).await;
        client
    };
    let all_gone = async || {
        rows_become(&gateway, "/connections", 0).await;
        gateway.metric_becomes("tidegate_websocket_connections", &[], 0.0).await;
        gateway.metric_becomes("tidegate_websocket_places_taken", &[], 0.0).await;
    };
    let mut kicked = hang().await;
    let row = eventually("the row with its server", async || {
        let row = rows_become(&gateway, "/connections?state=connecting", 1).await.remove(0);
        (row["backend"] == *origin.address).then_some(row)
    })
    .await;
    assert_eq!((&row["kind"], &row["user_agent"]), (&json!("websocket"), &json!("story/2")), "{row}");
    gateway.metric_becomes("tidegate_websocket_connections", &[("state", "connecting")], 1.0).await;
    gateway.metric_becomes("tidegate_websocket_places_taken", &[], 1.0).await;
    assert_eq!(say(&gateway, "DELETE", &format!("/connections/{}", row["id"])).await.1["kicked"], 1);
    assert_eq!(kicked.answer().await.status, 503);
    all_gone().await;

    let leaves = hang().await;
    rows_become(&gateway, "/connections?state=connecting", 1).await;
    drop(leaves);
    all_gone().await;

    let mut drained = hang().await;
    rows_become(&gateway, "/connections?state=connecting", 1).await;
    assert_eq!(order(&gateway, "/drain", &json!({ "all": true })).await.1["draining"], 1);
    let answer = drained.answer().await;
    assert_eq!((answer.status, answer.has("Retry-After")), (503, true), "{}", answer.told());
    all_gone().await;
    assert_eq!(gateway.metric("tidegate_websocket_connections_closed_total", &[]).await, 0.0, "none was open");
    let limited = [("result", "limited")];
    assert_eq!(gateway.metric("tidegate_websocket_handshakes_total", &limited).await, 2.0);
}

#[tokio::test]
async fn handshakes_past_the_rate_are_told_when_to_come_again() {
    let origin = Origin::new().otherwise(websocket_echo()).start().await;
    let gateway =
        Gateway::before_with(&origin, "[[routes]]\nwebsocket = { handshakes_per_second_per_client = 2 }\n").await;
    let (mut opened, mut refused) = (0, 0);
    let began = Instant::now();
    for _ in 0..8 {
        let mut client = gateway.connect().await;
        client.send(handshake("/ws", &[])).await;
        let head = client.head().await;
        match head.status {
            101 => opened += 1,
            _ => {
                assert_eq!((head.status, head.has("Retry-After")), (503, true), "{}", head.told());
                refused += 1;
            }
        }
    }
    let most = 2 + (began.elapsed().as_secs_f64() * 2.0).ceil() as usize;
    assert!((2..=most).contains(&opened) && opened + refused == 8, "{opened} in {:?}", began.elapsed());
    let label = [("limit", "handshakes_per_second_per_client")];
    assert_eq!(gateway.metric("tidegate_websocket_refused_total", &label).await, refused as f64);
}

#[tokio::test]
async fn answers_that_stay_open_are_rows_and_may_be_cut() {
    let origin = Origin::new()
        .on("/quick", reply(200).body("x"))
        .on(
            "/events",
            script(|mut talk| async move {
                talk.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
                    .await;
                talk.chunk("data: 1\n\n").await;
                talk.gone().await;
                talk.close().await
            }),
        )
        .on(
            "/poll",
            script(|mut talk| async move {
                talk.gone().await;
                talk.close().await
            }),
        )
        .start()
        .await;
    let gateway = Gateway::before(&origin).await;
    let mut quick = gateway.connect().await;
    quick.get("/quick").await;
    let (mut events, mut poll, mut leaves) =
        (gateway.connect().await, gateway.connect().await, gateway.connect().await);
    events.send("GET /events HTTP/1.1\r\nHost: example.test\r\nUser-Agent: EventSource\r\n\r\n").await;
    assert_eq!(events.head().await.status, 200);
    assert_eq!(events.chunk().await, b"data: 1\n\n");
    poll.send("POST /poll HTTP/1.1\r\nHost: example.test\r\nContent-Length: 0\r\n\r\n").await;
    leaves.send("GET /events HTTP/1.1\r\nHost: example.test\r\n\r\n").await;
    assert!(rows(&gateway, "/connections").await.is_empty(), "not yet");
    let found = rows_become(&gateway, "/connections?kind=http&age=5s", 3).await;
    gateway.metric_becomes("tidegate_http_long_answers", &[], 3.0).await;
    let stream = found.iter().find(|row| row["user_agent"] == "EventSource").unwrap();
    assert_eq!((&stream["client"], &stream["state"]), (&json!("127.0.0.1"), &json!("open")), "{stream}");

    let backend = json!(origin.address.to_string());
    assert!(found.iter().all(|row| row["backend"] == backend), "{found:?}");
    assert_eq!((&stream["up"], &stream["down"]), (&json!({ "bytes": 0 }), &json!({ "bytes": 9 })), "{stream}");

    // Requests still come to what is drained so, and would come back to it.
    assert_eq!(order(&gateway, "/drain", &json!({ "all": true })).await.1["draining"], 0);
    drop(leaves);
    rows_become(&gateway, "/connections", 2).await;
    let (_, said) = say(&gateway, "DELETE", &format!("/connections/{}", stream["id"])).await;
    assert_eq!(said["kicked"], 1);
    let rest = events.until_closed().await;
    assert!(!rest.ends_with(b"0\r\n\r\n"), "a cut must not look like an end: {}", show(&rest));
    rows_become(&gateway, "/connections", 1).await;
    say(&gateway, "DELETE", "/connections?kind=http").await;
    assert_eq!(poll.answer_to("POST").await.status, 503);
    rows_become(&gateway, "/connections", 0).await;
    gateway.metric_becomes("tidegate_http_long_answers", &[], 0.0).await;
    let ended = rows(&gateway, "/connections/closed").await;
    let reasons: Vec<&str> = ended.iter().map(|row| row["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons, ["kicked", "kicked", "client-gone"]);
    assert_eq!(ended[1]["down"], json!({ "bytes": 9 }), "{}", ended[1]);
    assert_eq!(quick.get("/quick").await.status, 200);
}
