//! The end: what was begun is finished, what is idle goes at once, and the numbers were right all along.

use std::{path::Path, time::Instant};

use tokio::sync::watch;

use crate::support::*;

/// An origin whose `/slow` waits for the word.
async fn slow() -> (Origin, watch::Sender<bool>) {
    let (slow, release) = held_back(reply(200).field("Cache-Control", "no-store").body("finished"));
    (Origin::new().on("/slow", slow).start().await, release)
}

#[tokio::test]
async fn a_stop_with_nothing_to_do_is_immediate() {
    let origin = Origin::new().start().await;
    for signal in [Signal::Term, Signal::Int] {
        let gateway = Gateway::before(&origin).await;
        let mut idle = gateway.connect().await;
        assert_eq!(idle.get("/").await.status, 200);
        let started = Instant::now();
        gateway.signal(signal);
        idle.closed().await;
        let status = gateway.exited().await;
        assert!(status.success(), "{signal:?}: {status}\n{}", gateway.printed());
        assert!(started.elapsed().as_secs() < 5, "{signal:?} took {:?}", started.elapsed());
    }
}

#[tokio::test]
async fn a_stop_finishes_what_is_under_way_and_takes_nothing_new() {
    let (origin, release) = slow().await;
    let gateway = Gateway::before(&origin).await;
    let mut idle = gateway.connect().await;
    assert_eq!(idle.get("/").await.status, 200);
    let mut busy = gateway.connect().await;
    busy.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await;
    origin.reached("/slow", 1).await;
    gateway.signal(Signal::Term);
    idle.closed().await;
    let refused = async || tokio::net::TcpStream::connect(gateway.address).await.is_err().then_some(());
    eventually("new connections to be refused", refused).await;
    assert!(gateway.is_running(), "{}", gateway.printed());
    release.send_replace(true);
    let answer = busy.answer().await;
    assert_eq!(answer.text(), "finished");
    assert_eq!(answer.field("Connection").map(str::to_ascii_lowercase).as_deref(), Some("close"), "{}", answer.told());
    busy.closed().await;
    assert!(gateway.exited().await.success());
}

#[tokio::test]
async fn readiness_ends_before_the_process_does() {
    let (origin, release) = slow().await;
    let gateway = Gateway::before(&origin).await;
    assert_eq!(gateway.ask_admin("/live").await.status, 200);
    let mut busy = gateway.connect().await;
    busy.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await;
    origin.reached("/slow", 1).await;
    gateway.signal(Signal::Term);
    eventually("/ready to say no", async || (gateway.ask_admin("/ready").await.status == 503).then_some(())).await;
    assert_eq!(gateway.ask_admin("/live").await.status, 200);
    release.send_replace(true);
    assert_eq!(busy.answer().await.text(), "finished");
    gateway.exited().await;
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let (origin, _release) = slow().await;
    let gateway = Gateway::before(&origin).await;
    let mut busy = gateway.connect().await;
    busy.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await;
    origin.reached("/slow", 1).await;
    gateway.signal(Signal::Int);
    let refused = async || tokio::net::TcpStream::connect(gateway.address).await.is_err().then_some(());
    eventually("new connections to be refused", refused).await;
    assert!(gateway.is_running());
    gateway.signal(Signal::Int);
    gateway.exited().await;
    busy.until_closed().await;
}

#[tokio::test]
async fn the_shutdown_deadline_ends_what_never_ends() {
    let (origin, _release) = slow().await;
    let gateway = Gateway::before_with(&origin, "[timeouts]\nshutdown = \"500ms\"\n").await;
    let mut busy = gateway.connect().await;
    busy.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await;
    origin.reached("/slow", 1).await;
    gateway.signal(Signal::Term);
    busy.until_closed().await;
    gateway.exited().await;
}

#[tokio::test]
async fn a_body_on_its_way_is_finished() {
    let (release, released) = watch::channel(false);
    let halves = script(move |mut talk| {
        let mut released = released.clone();
        async move {
            talk.send("HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 8\r\n\r\nhalf").await;
            released.wait_for(|go| *go).await.unwrap();
            talk.send("half").await;
            talk.keep()
        }
    });
    let origin = Origin::new().on("/halves", halves).start().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    client.send("GET /halves HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.head().await;
    assert_eq!(client.bytes(4).await, b"half");
    gateway.signal(Signal::Term);
    let refused = async || tokio::net::TcpStream::connect(gateway.address).await.is_err().then_some(());
    eventually("new connections to be refused", refused).await;
    release.send_replace(true);
    assert_eq!(client.bytes(4).await, b"half");
    client.closed().await;
    assert!(gateway.exited().await.success());
}

#[tokio::test]
async fn what_was_logged_last_is_written_before_the_end() {
    let origin = Origin::new().start().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    for at in 0..50 {
        client.get(&format!("/{at}")).await;
    }
    gateway.signal(Signal::Term);
    gateway.exited().await;
    let log = gateway.access_log();
    assert_eq!(log.len(), 50, "{log:?}");
    assert!(log[49].to_string().contains("/49"), "{}", log[49]);
}

#[tokio::test]
async fn a_unix_listener_leaves_no_socket_file_in_the_way() {
    let origin = Origin::new().start().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gateway.sock");
    // A file left over by a process that was killed must not stop the next one.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(Path::new(&path).exists());
    let text = format!("upstream = \"{}\"\n[[listener]]\naddress = \"unix:{}\"\n", origin.address, path.display());
    let gateway = Gateway::in_directory(directory, &text).await;
    assert_eq!(Connection::unix(&path).await.get("/again").await.text(), "/again");
    gateway.signal(Signal::Term);
    gateway.exited().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn the_log_is_opened_anew_on_request() {
    let origin = Origin::new().start().await;
    let gateway = Gateway::before(&origin).await;
    gateway.get("/before").await;
    gateway.logged("the first", |line| line.to_string().contains("/before")).await;
    let (log, moved) = (gateway.path().join("access.log"), gateway.path().join("access.log.1"));
    std::fs::rename(&log, &moved).unwrap();
    gateway.signal(Signal::Usr1);
    eventually("a new file", async || log.exists().then_some(())).await;
    gateway.get("/after").await;
    gateway.logged("the second", |line| line.to_string().contains("/after")).await;
    assert!(!std::fs::read_to_string(moved).unwrap().contains("/after"));
}

#[tokio::test]
async fn metrics_carry_the_names_that_dashboards_use() {
    let origin = Origin::new().on("/ws", websocket_echo()).start().await;
    let gateway = Gateway::before(&origin).await;
    gateway.get("/get").await;
    gateway.ask("POST", "/post", &[], b"x").await;
    let mut tunnel = gateway.connect().await;
    tunnel.upgrade("/ws", &[]).await;
    // A tunnel that carries something has been counted.
    tunnel.send_frame(&Frame::text("here")).await;
    tunnel.frame().await;
    let metrics = gateway.metrics().await;
    for name in [
        "tidegate_build_info",
        "tidegate_http_requests_total",
        "tidegate_http_request_duration_seconds_bucket",
        "tidegate_websocket_connections",
        "tidegate_websocket_handshakes_total",
        "tidegate_limit_hits_total",
        "process_resident_memory_bytes",
    ] {
        let there = metrics.lines().any(|line| line.starts_with(name) || line.starts_with(&format!("# TYPE {name}")));
        assert!(there, "{name} in\n{metrics}");
    }
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        assert!(!["/get", "/post", "/ws"].iter().any(|text| line.contains(text)), "a client's text: {line}");
    }
    let helped = metrics.lines().filter(|line| line.starts_with("# HELP")).count();
    let typed = metrics.lines().filter(|line| line.starts_with("# TYPE")).count();
    assert_eq!(helped, typed);
    gateway.metric_becomes("tidegate_http_requests_total", &[("method", "POST")], 1.0).await;
}

#[tokio::test]
async fn a_log_line_tells_the_request() {
    let origin = Origin::new().start().await;
    let gateway = Gateway::before(&origin).await;
    let fields = [("User-Agent", "story \"quoted\" \u{e4}"), ("Referer", "http://from.test/")];
    gateway.get_with("/logged?x=1", &fields).await;
    let line = gateway.logged("the request", |line| line.to_string().contains("/logged")).await;
    let text = line.to_string();
    for part in ["GET", "200", "127.0.0.1", "/logged", "story", "http://from.test/", "example.test"] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[tokio::test]
async fn admin_is_no_proxy() {
    let origin = Origin::new().start().await;
    let gateway = Gateway::before(&origin).await;
    for path in ["/other", "/../metrics"] {
        assert_eq!(gateway.ask_admin(path).await.status, 404, "{path}");
    }
    let answer = Connection::tcp(gateway.admin).await.get_with("/metrics", &[("Host", "evil.test")]).await;
    assert!(
        matches!(answer.status, 400 | 403 | 421),
        "a page may not reach it through a rebound name: {}",
        answer.status
    );
    assert!(origin.requests().is_empty());
}

#[tokio::test]
async fn admin_answers_to_the_names_that_its_operator_lists() {
    let origin = Origin::new().start().await;
    let text = format!("upstream = \"{}\"\n[admin]\nhosts = [\"Gateway.Test\"]\n", origin.address);
    let gateway = Gateway::with(&text).await;
    for (host, status) in [
        ("gateway.test:9090", 200),
        ("GATEWAY.test", 200),
        ("tidegate", 200),
        ("other.test", 403),
        ("a.gateway.test", 403),
    ] {
        let answer = Connection::tcp(gateway.admin).await.get_with("/metrics", &[("Host", host)]).await;
        assert_eq!(answer.status, status, "{host}");
    }
}
