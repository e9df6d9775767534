//! Tunnels and the servers of an upstream: how many each may have, and what becomes of them when one is taken out.

use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;

use crate::{operators::order, support::*};

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
        .on("/events", events())
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

#[tokio::test]
async fn an_answer_that_declines_a_handshake_takes_no_tunnel_s_place_while_it_is_sent() {
    let (release, released) = tokio::sync::watch::channel(false);
    let origin = Origin::new().on("/ws", websocket_echo()).on(
        "/page",
        script(move |mut talk| {
            let mut released = released.clone();
            async move {
                talk.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfirst").await;
                released.wait_for(|go| *go).await.unwrap();
                talk.send("last").await;
                talk.keep()
            }
        }),
    );
    let origin = origin.start().await;
    let text = format!(
        "[upstreams.app]\nservers = [\"{}\"]\nmax_tunnels = 1\n[[routes]]\nupstream = \"app\"\n",
        origin.address
    );
    let gateway = Gateway::with(&text).await;
    let mut declined = gateway.connect().await;
    declined.send(handshake("/page", &[])).await;
    assert_eq!(declined.head().await.status, 200);
    gateway.connect().await.upgrade("/ws", &[]).await;
    release.send_replace(true);
    assert_eq!(declined.bytes(9).await, b"firstlast");
}

#[tokio::test]
async fn an_answer_that_declines_a_handshake_is_a_row_when_it_lasts_and_may_be_ended() {
    let origin = Origin::new().otherwise(events()).start().await;
    let gateway = Gateway::before(&origin).await;
    let mut declined = gateway.connect().await;
    declined.send(handshake("/ws", &[])).await;
    assert_eq!((declined.head().await.status, declined.chunk().await), (200, b"data: 1\n\n".to_vec()));
    gateway.metric_becomes("tidegate_http_long_answers", &[], 1.0).await;
    let listed = gateway.ask_admin(&format!("/connections?kind=http&backend={}", origin.address)).await.text();
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let row = &listed["connections"][0];
    assert_eq!((&row["kind"], &row["state"]), (&json!("http"), &json!("open")), "{listed}");
    order(&gateway, "/drain", &json!({ "server": origin.address })).await;
    let rest = declined.until_closed().await;
    assert!(rest.is_empty(), "a cut must not look like an end: {}", show(&rest));
    gateway.metric_becomes("tidegate_http_long_answers", &[], 0.0).await;
}

/// An endless stream of events, of which there is one.
fn events() -> Responder {
    script(|mut talk| async move {
        talk.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        talk.chunk("data: 1\n\n").await;
        talk.gone().await;
        talk.close().await
    })
}

#[tokio::test]
async fn a_stop_ends_streams_of_events_in_their_turn_and_leaves_downloads_their_time() {
    let (release, released) = tokio::sync::watch::channel(false);
    let of_type = |media_type: &'static str| {
        let released = released.clone();
        script(move |mut talk| {
            let mut released = released.clone();
            async move {
                talk.send(format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\nTransfer-Encoding: chunked\r\n\r\n"
                ))
                .await;
                talk.chunk("first").await;
                released.wait_for(|go| *go).await.unwrap();
                talk.chunk("last").await;
                talk.send("0\r\n\r\n").await;
                talk.close().await
            }
        })
    };
    let (file, words) = (of_type("application/zip"), of_type("text/event-stream"));
    let origin = Origin::new().on("/events", events()).on("/download", file).on("/chat", words).start().await;
    let gateway = Gateway::before_with(&origin, "[limits]\ndrain_rate = 4\n").await;
    // Nobody comes back by himself for the rest of what a POST is answered with.
    let mut chat = gateway.connect().await;
    chat.send("POST /chat HTTP/1.1\r\nHost: example.test\r\nContent-Length: 0\r\n\r\n").await;
    let mut download = gateway.connect().await;
    download.send("GET /download HTTP/1.1\r\nHost: example.test\r\n\r\n").await;
    let mut streams = Vec::new();
    for _ in 0..4 {
        let mut client = gateway.connect().await;
        client.send("GET /events HTTP/1.1\r\nHost: example.test\r\n\r\n").await;
        assert_eq!((client.head().await.status, client.chunk().await), (200, b"data: 1\n\n".to_vec()));
        streams.push(client);
    }
    gateway.metric_becomes("tidegate_http_long_answers", &[], 6.0).await;
    gateway.signal(Signal::Term);
    for client in &mut streams {
        let rest = client.until_closed().await;
        assert!(rest.is_empty(), "a cut must not look like an end: {}", show(&rest));
    }
    assert!(gateway.is_running(), "{}", gateway.printed());
    release.send_replace(true);
    assert_eq!(download.answer().await.text(), "firstlast");
    assert_eq!(chat.answer().await.text(), "firstlast");
    assert!(gateway.exited().await.success());
}

#[tokio::test]
async fn a_server_that_is_taken_out_is_given_nothing_until_it_is_taken_back() {
    let (one, other, gateway) = pair("", "").await;
    let mut tunnels = [tunnel(&gateway).await, tunnel(&gateway).await];
    tunnels.sort_by_key(|(_, server)| server != "one");
    let mut streams = [gateway.connect().await, gateway.connect().await];
    for stream in &mut streams {
        stream.send("GET /events HTTP/1.1\r\nHost: example.test\r\n\r\n").await;
        assert_eq!((stream.head().await.status, stream.chunk().await), (200, b"data: 1\n\n".to_vec()));
    }
    gateway.metric_becomes("tidegate_http_long_answers", &[], 2.0).await;
    let (_, said) = order(&gateway, "/drain", &json!({ "server": one.address })).await;
    assert_eq!(said["draining"], 2, "a tunnel and a stream: {said}");
    assert_eq!(tunnels[0].0.frame().await.close_code(), Some(1012));
    gateway.metric_becomes("tidegate_http_long_answers", &[], 1.0).await;
    for _ in 0..3 {
        assert_eq!(tunnel(&gateway).await.1, "other");
        assert_eq!(gateway.get("/who").await.text(), "other");
    }
    order(&gateway, "/drain", &json!({ "server": other.address })).await;
    is_refused(&gateway).await;
    let answer = gateway.get("/who").await;
    assert_eq!((answer.status, answer.has("Retry-After")), (503, true), "{}", answer.told());
    assert_eq!(tunnels[1].0.frame().await.close_code(), Some(1012));
    order(&gateway, "/drain", &json!({ "server": one.address, "undo": true })).await;
    assert_eq!(tunnel(&gateway).await.1, "one");
    assert_eq!(gateway.get("/who").await.text(), "one");
}

#[tokio::test]
async fn who_waits_for_its_turn_to_go_stays_when_the_drain_is_taken_back() {
    let (one, _other, gateway) = pair("", "").await;
    let mut tunnels = Vec::new();
    for _ in 0..20 {
        tunnels.push(tunnel(&gateway).await);
    }
    let (_, said) = order(&gateway, "/drain", &json!({ "server": one.address, "rate": 1, "within": "1h" })).await;
    assert_eq!(said["draining"], 10, "{said}");
    gateway.metric_becomes("tidegate_websocket_connections", &[("state", "draining")], 9.0).await;
    order(&gateway, "/drain", &json!({ "server": one.address, "undo": true })).await;
    gateway.metric_becomes("tidegate_websocket_connections", &[("state", "draining")], 0.0).await;
    let open = gateway.metric("tidegate_websocket_connections", &[("state", "open")]).await;
    assert!(open >= 17.0, "{open}");
    for (client, _) in tunnels.iter_mut().rev().take(5) {
        client.send_frame(&Frame::text("still here")).await;
        assert_eq!(client.frame().await, Frame::text("still here"));
    }
}

#[tokio::test]
async fn tunnels_of_a_server_that_is_down_go_where_their_route_says_so() {
    let origin = Origin::new().otherwise(websocket_echo()).start_unix().await;
    let text = format!(
        "upstream = \"{}\"\n[[routes]]\nmatch = {{ path = \"/goes\" }}\nwebsocket = {{ on_backend_down = \"drain\" }}\n",
        origin.address
    );
    let gateway = Gateway::with(&text).await;
    let (mut goes, mut stays) = (gateway.connect().await, gateway.connect().await);
    goes.upgrade("/goes", &[]).await;
    stays.upgrade("/stays", &[]).await;
    // It listens no more; what is open stays open.
    std::fs::remove_file(origin.address.strip_prefix("unix:").unwrap()).unwrap();
    for _ in 0..3 {
        assert_eq!(gateway.get("/").await.status, 502);
    }
    let close = goes.frame().await;
    assert_eq!((close.close_code(), &close.payload[2..]), (Some(1012), &b"drain"[..]));
    stays.send_frame(&Frame::text("still here")).await;
    assert_eq!(stays.frame().await, Frame::text("still here"));
}

#[tokio::test]
async fn a_tunnel_that_opens_at_a_server_gone_down_since_goes_like_the_others() {
    let (release, released) = watch::channel(false);
    let slow = held_websocket(&released, echo_frames);
    let origin = Origin::new().on("/goes", slow.clone()).on("/stays", slow).start_unix().await;
    let text = format!(
        "upstream = \"{}\"\n[[routes]]\nmatch = {{ path = \"/goes\" }}\nwebsocket = {{ on_backend_down = \"drain\" }}\n",
        origin.address
    );
    let gateway = Gateway::with(&text).await;
    let (mut goes, mut stays) = (gateway.connect().await, gateway.connect().await);
    for (client, path) in [(&mut goes, "/goes"), (&mut stays, "/stays")] {
        client.send(handshake(path, &[])).await;
        origin.reached(path, 1).await;
    }
    std::fs::remove_file(origin.address.strip_prefix("unix:").unwrap()).unwrap();
    for _ in 0..3 {
        assert_eq!(gateway.get("/").await.status, 502);
    }
    release.send_replace(true);
    assert_eq!((goes.head().await.status, stays.head().await.status), (101, 101));
    assert_eq!(goes.frame().await.close_code(), Some(1012));
    stays.send_frame(&Frame::text("still here")).await;
    assert_eq!(stays.frame().await, Frame::text("still here"));
}

#[tokio::test]
async fn tunnels_are_told_of_a_server_that_a_refresh_behind_their_back_has_found_down() {
    let stale = script(|mut talk| async move {
        let window = "max-age=0, stale-while-revalidate=60";
        talk.send(format!("HTTP/1.1 200 OK\r\nCache-Control: {window}\r\nContent-Length: 3\r\n\r\nold")).await;
        talk.close().await
    });
    let origin = Origin::new().on("/stale", stale).otherwise(websocket_echo()).start_unix().await;
    let text = "[[routes]]\nmatch = { path = \"/\" }\nwebsocket = { on_backend_down = \"drain\" }\n";
    let gateway = Gateway::before_with(&origin, text).await;
    let mut tunnel = gateway.connect().await;
    tunnel.upgrade("/ws", &[]).await;
    // Each its own: one that could not be refreshed is not tried again at once.
    let targets = ["/stale?1", "/stale?2", "/stale?3"];
    for target in targets {
        assert_eq!(gateway.get(target).await.text(), "old");
    }
    std::fs::remove_file(origin.address.strip_prefix("unix:").unwrap()).unwrap();
    for target in targets {
        assert_eq!(gateway.get(target).await.text(), "old");
    }
    assert_eq!(tunnel.frame().await.close_code(), Some(1012));
}

#[tokio::test]
async fn a_gateway_without_descriptors_blames_no_server_for_it() {
    let authority = Authority::new();
    let directory = tempfile::tempdir().unwrap();
    authority.write(&directory.path().join("ca.pem"));
    let origin = Origin::new().otherwise(websocket_echo()).start().await;
    let secret = Origin::new().otherwise(websocket_echo()).start_tls(&authority.issue(&["origin.test"])).await;
    let text = format!(
        "[upstreams.plain]\nservers = [\"{}\"]\n[upstreams.secret]\nservers = [\"{}\"]\n\
         tls = {{ server_name = \"origin.test\", ca = \"DIR/ca.pem\" }}\n",
        origin.address, secret.address
    );
    let routes = ["plain", "secret"].map(|name| {
        format!(
            "[[routes]]\nmatch = {{ path = \"/{name}\" }}\nupstream = \"{name}\"\n\
             websocket = {{ on_backend_down = \"drain\" }}\n"
        )
    });
    let gateway = Gateway::in_directory(directory, &(text + &routes.concat())).await;
    for name in ["plain", "secret"] {
        let path = format!("/{name}");
        let (mut tunnel, mut client) = (gateway.connect().await, gateway.connect().await);
        tunnel.upgrade(&path, &[]).await;
        // So that the connection is accepted.
        client.send(format!("GET {path} HTTP/1.1\r\n")).await;
        gateway.metric_becomes("tidegate_connections", &[], 2.0).await;
        let before = gateway.limit_files(Some(3));
        client.send("Host: example.test\r\n\r\n").await;
        for _ in 0..4 {
            let answer = client.answer().await;
            assert_eq!((answer.status, answer.has("Retry-After")), (503, true), "{}", answer.told());
            client.send(format!("GET {path} HTTP/1.1\r\nHost: example.test\r\n\r\n")).await;
        }
        client.answer().await;
        gateway.limit_files(before);
        let labels = [("upstream", name), ("result", "local")];
        assert_eq!(gateway.metric("tidegate_upstream_requests_total", &labels).await, 5.0);
        assert!(!gateway.printed().contains("a server is down"), "{}", gateway.printed());
        tunnel.send_frame(&Frame::text("still here")).await;
        assert_eq!(tunnel.frame().await, Frame::text("still here"));
        drop((tunnel, client));
        gateway.metric_becomes("tidegate_connections", &[], 0.0).await;
    }
}

/// An answer that says how long it is and takes its time, longer than it takes to be a row.
fn download() -> Responder {
    script(|mut talk| async move {
        talk.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nCache-Control: no-store\r\n\r\na").await;
        tokio::time::sleep(Duration::from_secs(8)).await;
        talk.send("b").await;
        talk.close().await
    })
}

#[tokio::test]
async fn at_a_stop_streams_are_ended_and_what_has_a_length_is_not() {
    let origin = Origin::new().on("/events", events()).on("/download", download()).start().await;
    let text = "[limits]\ndrain_rate = 1000\n[timeouts]\nshutdown = \"1m\"\ntunnel_drain = \"1m\"\n";
    let listen = free_address();
    let text = format!("{text}[[listener]]\naddress = \"{listen}\"\nh2c = true\n");
    let gateway = Gateway::before_with(&origin, &text).await;
    let (mut stream, mut file) = (gateway.connect().await, gateway.connect().await);
    stream.send("GET /events HTTP/1.1\r\nHost: example.test\r\n\r\n").await;
    assert_eq!((stream.head().await.status, stream.chunk().await), (200, b"data: 1\n\n".to_vec()));
    let mut http2 = Http2::prior_knowledge(listen).await;
    let (answer, _) = http2.start("GET", "/events", &[], true).await;
    let reset = tokio::spawn(whole(answer));
    file.send("GET /download HTTP/1.1\r\nHost: example.test\r\n\r\n").await;
    gateway.metric_becomes("tidegate_http_long_answers", &[], 3.0).await;
    gateway.signal(Signal::Term);
    let rest = stream.until_closed().await;
    assert!(!rest.ends_with(b"0\r\n\r\n"), "a cut must not look like an end: {}", show(&rest));
    assert_eq!(reset.await.unwrap().unwrap_err().reason(), Some(h2::Reason::CANCEL));
    assert_eq!(file.answer().await.text(), "ab");
    assert!(gateway.exited().await.success());
}
