//! The terms of tunnels: each limit in each form, each part that may be drained, what rows tell of them.

use std::fs::File;

use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{operators::order, support::*};

/// The answer to a handshake, and its connection.
async fn shake(gateway: &Gateway, path: &str) -> (Connection, Answer) {
    let mut client = gateway.connect().await;
    client.send(handshake(path, &[])).await;
    let head = client.head().await;
    (client, head)
}

async fn open(gateway: &Gateway, path: &str) -> Connection {
    let mut client = gateway.connect().await;
    client.upgrade(path, &[]).await;
    client
}

async fn is_refused(gateway: &Gateway, path: &str, limit: &str, times: f64) {
    let (_, head) = shake(gateway, path).await;
    assert_eq!((head.status, head.has("Retry-After")), (503, true), "{limit}: {}", head.told());
    assert_eq!(gateway.metric("tidegate_websocket_refused_total", &[("limit", limit)]).await, times, "{limit}");
}

async fn rows(gateway: &Gateway, filter: &str) -> Vec<Value> {
    let said = gateway.ask_admin(&format!("/connections?{filter}")).await.text();
    serde_json::from_str::<Value>(&said).unwrap()["connections"].as_array().unwrap().clone()
}

#[tokio::test]
async fn tunnels_are_bounded_in_all_of_a_route_of_a_client_and_of_a_server() {
    let origin = Origin::new().otherwise(websocket_echo()).start().await;
    let other = Origin::new().otherwise(websocket_echo()).start().await;
    let routes = [
        ("/route", "few", "max_connections = 2"),
        ("/client", "few", "max_connections_per_client = 2"),
        ("/server", "full", ""),
        ("/free", "few", ""),
    ];
    let routes = routes.map(|(path, upstream, terms)| {
        format!(
            "[[routes]]\nmatch = {{ path = \"{path}\" }}\nupstream = \"{upstream}\"\n\
             websocket = {{ idle_timeout = \"2m\", {terms} }}\n"
        )
    });
    let text = format!(
        "[limits]\ntunnels = 8\n[upstreams.few]\nservers = [\"{}\"]\n[upstreams.full]\nservers = [\"{}\"]\n\
         max_tunnels = 2\n{}",
        origin.address,
        other.address,
        routes.concat()
    );
    let gateway = Gateway::with(&text).await;
    let mut tunnels = Vec::new();
    for (path, limit) in [
        ("/route", "max_connections"),
        ("/client", "max_connections_per_client"),
        ("/server", "max_tunnels"),
        ("/free", "tunnels"),
    ] {
        for _ in 0..2 {
            tunnels.push(open(&gateway, path).await);
        }
        is_refused(&gateway, path, limit, 1.0).await;
    }
    // With all places taken, that is what is told first.
    is_refused(&gateway, "/route", "tunnels", 2.0).await;
    gateway.metric_becomes("tidegate_websocket_places_taken", &[], 8.0).await;
    drop(tunnels);
    gateway.metric_becomes("tidegate_websocket_places_taken", &[], 0.0).await;
    for path in ["/route", "/client", "/server", "/free"] {
        open(&gateway, path).await;
    }
}

#[tokio::test]
async fn a_route_s_handshakes_are_bounded_in_a_second() {
    let origin = Origin::new().on("/ws", websocket_echo()).start().await;
    let gateway = Gateway::before_with(
        &origin,
        "[[routes]]\nmatch = { path = \"/ws\" }\nwebsocket = { handshakes_per_second = 1 }\n",
    )
    .await;
    // However slow the machine: one is let in, and one more for each second gone.
    let began = std::time::Instant::now();
    let mut shaken = Vec::new();
    for _ in 0..6 {
        shaken.push(shake(&gateway, "/ws").await.1.status);
    }
    let opened = shaken.iter().filter(|status| **status == 101).count();
    assert!((1..=2 + began.elapsed().as_secs() as usize).contains(&opened), "{shaken:?}");
    let limited = [("limit", "handshakes_per_second")];
    let refused = gateway.metric("tidegate_websocket_refused_total", &limited).await;
    assert_eq!(refused, (shaken.len() - opened) as f64);
    assert_eq!(gateway.get("/").await.status, 200, "requests come as they like");
}

#[tokio::test]
async fn each_part_that_is_drained_takes_no_handshake_until_it_is_taken_back() {
    let origin = Origin::new().otherwise(websocket_echo()).start().await;
    let text = format!(
        "[upstreams.app]\nservers = [\"{0}\"]\n[upstreams.other]\nservers = [\"{0}\"]\n[[routes]]\nname = \"chat\"\n\
         match = {{ path = \"/chat\" }}\nupstream = \"app\"\n[[routes]]\nname = \"rest\"\nupstream = \"other\"\n",
        origin.address
    );
    let gateway = Gateway::with(&text).await;
    for (part, takes_rest) in [
        (json!({ "route": "chat" }), true),
        (json!({ "upstream": "app" }), true),
        (json!({ "server": origin.address }), false),
        (json!({ "all": true }), false),
    ] {
        let (mut goes, mut rest) = (open(&gateway, "/chat").await, open(&gateway, "/").await);
        let (_, said) = order(&gateway, "/drain", &part).await;
        assert_eq!(said["draining"], if takes_rest { 1 } else { 2 }, "{part}: {said}");
        let close = goes.frame().await;
        assert_eq!((close.close_code(), &close.payload[2..]), (Some(1012), &b"drain"[..]), "{part}");
        goes.send_frame(&Frame::close(1012)).await;
        goes.until_closed().await;
        assert_eq!(shake(&gateway, "/chat").await.1.status, 503, "{part}");
        if takes_rest {
            rest.send_frame(&Frame::text("still here")).await;
            assert_eq!(rest.frame().await, Frame::text("still here"), "{part}");
            open(&gateway, "/").await;
        } else {
            assert_eq!(rest.frame().await.close_code(), Some(1012), "{part}");
            assert_eq!(shake(&gateway, "/").await.1.status, 503, "{part}");
        }
        let mut undo = part.clone();
        undo["undo"] = true.into();
        assert_eq!(order(&gateway, "/drain", &undo).await.1["taken_back"], true, "{part}");
        open(&gateway, "/chat").await;
        drop(rest);
        gateway.metric_becomes("tidegate_websocket_places_taken", &[], 0.0).await;
        gateway.metric_becomes("tidegate_websocket_connections", &[], 0.0).await;
    }
    let closed = [("reason", "drain"), ("code_class", "1xxx")];
    gateway.metric_becomes("tidegate_websocket_connections_closed_total", &closed, 6.0).await;
}

#[tokio::test]
async fn an_undo_leaves_the_turns_of_those_whose_server_is_down() {
    let origin = Origin::new().otherwise(websocket_echo()).start_unix().await;
    let text = format!(
        "[limits]\ndrain_rate = 1\n[timeouts]\ntunnel_drain = \"1h\"\n[upstreams.app]\nservers = [\"{}\"]\n\
         [[routes]]\nname = \"chat\"\nupstream = \"app\"\nwebsocket = {{ on_backend_down = \"drain\" }}\n",
        origin.address
    );
    let gateway = Gateway::with(&text).await;
    let mut tunnels = Vec::new();
    for _ in 0..10 {
        tunnels.push(open(&gateway, "/ws").await);
    }
    let drained = json!({ "route": "chat", "rate": 1, "within": "1h" });
    assert_eq!(order(&gateway, "/drain", &drained).await.1["draining"], 10);
    std::fs::remove_file(origin.address.strip_prefix("unix:").unwrap()).unwrap();
    for _ in 0..3 {
        assert_eq!(gateway.get("/").await.status, 502);
    }
    let count = async |state: &str| rows(&gateway, "").await.iter().filter(|row| row["state"] == state).count();
    eventually("all to be told", async || (count("open").await == 0).then_some(())).await;
    order(&gateway, "/drain", &json!({ "route": "chat", "undo": true })).await;
    // They go on going, one in a second.
    let waiting = count("draining").await;
    eventually("another one's turn", async || (count("draining").await < waiting).then_some(())).await;
    assert_eq!(count("open").await, 0);
}

#[tokio::test]
async fn a_tunnel_counts_from_its_opening_and_its_round_trips_are_told() {
    let (release, released) = watch::channel(false);
    let slow = held_websocket(&released, |mut talk| async move {
        while let Some(frame) = talk.frame().await {
            let answer = Frame { opcode: if frame.opcode == 9 { 10 } else { frame.opcode }, ..frame };
            talk.send(answer.plain()).await;
            if answer.opcode == 8 {
                break;
            }
        }
        Next::Close
    });
    let origin = Origin::new().on("/ws", slow).start().await;
    let terms = "[[routes]]\nmatch = { path = \"/ws\" }\nwebsocket = { ping_interval = \"100ms\" }\n";
    let gateway = Gateway::before_with(&origin, terms).await;
    let mut client = gateway.connect().await;
    client.send(handshake("/ws", &[])).await;
    let shaking =
        eventually("a handshake that takes a second", async || rows(&gateway, "state=connecting&age=1s").await.pop())
            .await;
    release.send_replace(true);
    assert_eq!(client.head().await.status, 101);
    let row = eventually("a round trip to both sides", async || {
        let row = rows(&gateway, "state=open").await.pop()?;
        if row["client_round_trip_ms"].is_null() {
            let ping = client.frame().await;
            client.send_frame(&Frame { opcode: 10, ..ping }).await;
        }
        (row["client_round_trip_ms"].is_f64() && row["backend_round_trip_ms"].is_f64()).then_some(row)
    })
    .await;
    let since = |row: &Value| row["since"].as_f64().unwrap();
    assert!(since(&row) >= since(&shaking) + 0.9 && row["id"] == shaking["id"], "{shaking} {row}");
    client.send_frame(&Frame::close(1000)).await;
    let line = gateway.logged("the end", |line| line["event"] == "tunnel_close").await;
    let ended = gateway.ask_admin("/connections/closed").await.text();
    let ended = serde_json::from_str::<Value>(&ended).unwrap()["connections"][0].take();
    assert!((since(&ended) - since(&row)).abs() < 0.5, "{ended} {row}");
    let lasted = ended["duration_seconds"].as_f64().unwrap();
    assert!((line["duration"].as_f64().unwrap() - lasted).abs() < 0.01, "{ended} {line}");
}

#[tokio::test]
async fn a_list_is_watched() {
    let origin = Origin::new().otherwise(websocket_echo()).start().await;
    let gateway = Gateway::before(&origin).await;
    let told = gateway.path().join("told");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.args(["connections", "--watch", "--admin", &gateway.admin.to_string()]).env("NO_COLOR", "1");
    let _watcher = Watcher(command.stdout(File::create(&told).unwrap()).spawn().unwrap());
    let shows = async |end: &str| {
        let shown = async || std::fs::read_to_string(&told).unwrap().contains(end).then_some(());
        eventually(format!("{end} to be shown"), shown).await;
    };
    shows("0 shown; 0 open\n").await;
    let _tunnel = open(&gateway, "/ws").await;
    shows("1 shown; 1 open\n").await;
}

/// A program that ends with its story, however that goes.
struct Watcher(std::process::Child);

impl Drop for Watcher {
    fn drop(&mut self) {
        self.0.kill().and_then(|()| self.0.wait()).expect("the program that the story has started");
    }
}
