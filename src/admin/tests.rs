use std::{
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
};

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::oneshot,
    task::JoinHandle,
    time::Instant,
};

use super::{
    answer::{Answer, Delivery},
    request::Request,
    *,
};
use crate::{
    cache::key,
    config,
    tunnel::About,
    wire::{RequestHead, Version},
};

fn state_that_is(readiness: Readiness) -> AdminState {
    let registry = Registry::new();
    let settings = config::Cache { capacity: 1 << 20, max_object: 1 << 20, ..config::Cache::default() };
    AdminState {
        cache: Cache::new(&settings, &registry),
        bases: Arc::new(|url| {
            let mut base = Vec::new();
            key::build(&mut base, url.schemes()[0], &url.authority, &url.target);
            vec![base]
        }),
        explain: Arc::new(|request, answer| {
            vec![("route", request.target), ("answer", answer.map_or(0, |answer| answer.status).to_string())]
        }),
        registry,
        ready: Arc::new(move || readiness),
        hosts: vec!["tidegate".to_owned()],
        tunnels: Tunnels::new(&Registry::new(), &["site".into(), "chat".into()], &["app".into()]),
        upstreams: Vec::new(),
        draining: Arc::default(),
        drain: DrainPace { rate: 10, within: Duration::from_secs(30) },
        info: vec![("version", "1.2.3".to_owned())],
    }
}

fn ask(state: &AdminState, method: Method, authority: &str, target: &str) -> Answer {
    let head = RequestHead {
        method,
        version: Version::Http11,
        authority: authority.to_owned(),
        target: target.to_owned(),
        ..RequestHead::default()
    };
    asked(state, head, b"")
}

fn asked(state: &AdminState, head: RequestHead, body: &[u8]) -> Answer {
    match endpoints::find(state, &head) {
        Ok(endpoint) => endpoint.answer(state, &Request { head, body: body.to_vec() }),
        Err(answer) => answer,
    }
}

fn get(target: &str) -> Answer {
    ask(&state_that_is(Readiness::Ready), Method::GET, "127.0.0.1:9090", target)
}

#[test]
fn rows_make_one_object_however_many_there_are() {
    for count in [0, 1, 2, 100] {
        let rows: Vec<_> = (0..count).map(|index| json!({ "id": index, "name": "\"" })).collect();
        let rest = json!({ "next": null, "open": count }).as_object().unwrap().clone();
        let answer = Answer::rows(StatusCode::OK, "ro\"ws", rows.iter().cloned(), rest);
        let object: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(object, json!({ "ro\"ws": rows, "next": null, "open": count }));
    }
}

#[test]
fn metrics_are_prometheus_text() {
    let answer = get("/metrics");
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.content_type, "text/plain; version=0.0.4; charset=utf-8");
    assert!(String::from_utf8(answer.body).unwrap().contains("\ntidegate_build_info{"));
}

#[test]
fn a_query_does_not_change_the_endpoint() {
    assert_eq!(get("/live?verbose=1").status, StatusCode::OK);
}

#[test]
fn live_says_ok_whatever_the_readiness() {
    let answer = ask(&state_that_is(Readiness::Draining), Method::GET, "localhost", "/live");
    assert_eq!((answer.status, answer.body.as_slice()), (StatusCode::OK, &b"ok\n"[..]));
}

#[test]
fn ready_tells_the_reason() {
    let cases = [
        (Readiness::Starting, StatusCode::SERVICE_UNAVAILABLE, "{\"ready\":false,\"reason\":\"starting\"}\n"),
        (Readiness::Ready, StatusCode::OK, "{\"ready\":true,\"reason\":\"ready\"}\n"),
        (Readiness::Draining, StatusCode::SERVICE_UNAVAILABLE, "{\"ready\":false,\"reason\":\"draining\"}\n"),
        (Readiness::Drained, StatusCode::SERVICE_UNAVAILABLE, "{\"ready\":false,\"reason\":\"drained\"}\n"),
    ];
    for (readiness, status, body) in cases {
        let answer = ask(&state_that_is(readiness), Method::GET, "localhost", "/ready");
        assert_eq!((answer.status, String::from_utf8(answer.body).unwrap().as_str()), (status, body));
        assert_eq!(answer.content_type, "application/json");
    }
}

#[test]
fn the_front_page_tells_what_there_is() {
    let text = String::from_utf8(get("/").body).unwrap();
    for expected in ["version: 1.2.3", "GET    /metrics ", "GET    /live ", "DELETE /connections "] {
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn an_unknown_path_is_404_and_a_wrong_method_405_with_allow() {
    assert_eq!(get("/metrics/").status, StatusCode::NOT_FOUND);
    assert_eq!(get("//").status, StatusCode::NOT_FOUND);
    for method in [Method::POST, Method::OPTIONS, Method::DELETE] {
        let answer = ask(&state_that_is(Readiness::Ready), method, "localhost", "/metrics");
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(answer.allow.as_deref(), Some("GET, HEAD"));
    }
}

#[test]
fn addresses_localhost_and_listed_names_are_answered() {
    let own = [
        "127.0.0.1:9090",
        "127.0.0.1",
        "10.2.3.4:80",
        "[::1]:9090",
        "[2001:db8::1]",
        "localhost",
        "LocalHost:9090",
        "localhost.:9090",
        "tidegate:9090",
        "Tidegate",
        "",
    ];
    for authority in own {
        let answer = ask(&state_that_is(Readiness::Ready), Method::GET, authority, "/live");
        assert_eq!(answer.status, StatusCode::OK, "{authority}");
    }
}

#[test]
fn foreign_names_are_refused_whatever_they_ask() {
    let foreign = [
        "attacker.example",
        "app.example.com:9090",
        "127.0.0.1.attacker.example",
        "localhost.attacker.example",
        "attacker.localhost",
        "[attacker]",
        "127.1",
        "0x7f000001",
        "2130706433",
        "tidegate.attacker.example",
        ":9090",
        "::1",
    ];
    for authority in foreign {
        for target in ["/metrics", "/", "/nothing"] {
            let answer = ask(&state_that_is(Readiness::Ready), Method::GET, authority, target);
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{authority}");
            assert_eq!(answer.body, host::EXPLANATION.as_bytes());
        }
    }
}

#[test]
fn an_answer_is_written_with_its_length_and_head_without_body() {
    let answer = Answer { allow: Some("GET, HEAD".to_owned()), ..Answer::text(StatusCode::OK, "four") };
    let now = Duration::from_secs(784_111_777);
    let written = |answer: &Answer, delivery| answer.pieces(delivery).flat_map(|piece| piece.into_owned()).collect();
    let whole: Vec<u8> = written(&answer, Delivery { is_head: false, closes: true, now });
    assert_eq!(
        String::from_utf8(whole).unwrap(),
        "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Length: 4\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nAllow: GET, HEAD\r\n\
         Connection: close\r\n\r\nfour"
    );
    let head = String::from_utf8(written(&answer, Delivery { is_head: true, closes: false, now })).unwrap();
    assert!(head.contains("Content-Length: 4\r\n") && head.ends_with("GET, HEAD\r\n\r\n"), "{head}");
    let long = Answer::text(StatusCode::OK, "long ".repeat(20_000));
    let whole = written(&long, Delivery { is_head: false, closes: false, now });
    assert!(long.pieces(Delivery { is_head: false, closes: false, now }).count() > 2 && whole.ends_with(&long.body));
}

/// What a body asks for, on a path that takes one.
fn post(state: &AdminState, path: &str, body: &str) -> (StatusCode, serde_json::Value) {
    let fields = [("Content-Type", "application/json; charset=utf-8")].into_iter().collect();
    let head = RequestHead {
        method: Method::POST,
        authority: "localhost".to_owned(),
        target: path.to_owned(),
        fields,
        ..RequestHead::default()
    };
    let answer = asked(state, head, body.as_bytes());
    (answer.status, serde_json::from_slice(&answer.body).unwrap())
}

#[test]
fn a_purge_is_counted_whatever_it_names() {
    let state = state_that_is(Readiness::Ready);
    for order in [
        r#"{"url": "https://example.com/a"}"#,
        r#"{"url": ["example.com/a", "http://b/"], "soft": true}"#,
        r#"{"prefix": "example.com/blog/"}"#,
        r#"{"tag": ["a", "b"]}"#,
        r#"{"group": {"origin": "https://example.com", "name": "menu"}}"#,
        r#"{"all": true, "soft": false}"#,
    ] {
        let (status, said) = post(&state, "/purge", order);
        let soft = order.contains("\"soft\": true");
        assert_eq!((status, said), (StatusCode::OK, serde_json::json!({ "purged": 0, "soft": soft })), "{order}");
    }
    assert!(state.registry.render().contains("tidegate_cache_purges_total{"));
}

#[test]
fn what_is_wrong_with_an_order_is_named() {
    let state = state_that_is(Readiness::Ready);
    for (order, wrong) in [
        ("", "no JSON"),
        ("[]", "expected an object"),
        ("{}", "exactly one of url, prefix, tag, group, all"),
        (r#"{"url": "a/", "tag": "b"}"#, "exactly one of"),
        (r#"{"uri": "a/"}"#, "unknown key `uri`"),
        (r#"{"url": 1}"#, "`url` is no text"),
        (r#"{"url": []}"#, "`url` is an empty list"),
        (r#"{"url": "/a"}"#, "`/a` has no host"),
        (r#"{"tag": ""}"#, "`tag` is empty"),
        (r#"{"all": false}"#, "`all` is not true"),
        (r#"{"all": true, "soft": 1}"#, "`soft` is neither true nor false"),
        (r#"{"group": "a"}"#, "an object with `origin` and `name`"),
        (r#"{"group": {"origin": "https://a/b", "name": "c"}}"#, "`origin` has a path"),
    ] {
        let (status, said) = post(&state, "/purge", order);
        assert_eq!(status, StatusCode::BAD_REQUEST, "{order}");
        assert!(said["error"].as_str().unwrap().contains(wrong), "{order}: {said}");
    }
}

#[test]
fn orders_are_json_or_refused() {
    let state = state_that_is(Readiness::Ready);
    let answer = ask(&state, Method::POST, "localhost", "/purge");
    assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(ask(&state, Method::GET, "localhost", "/purge").allow.as_deref(), Some("POST"));
}

#[test]
fn drains_and_their_ends_do_not_mix() {
    let state = state_that_is(Readiness::Ready);
    let connect = || state.tunnels.connect(0, 0, About::default(), Instant::now());
    let _tunnels: Vec<_> = (0..2000).map(|_| connect().unwrap()).collect();
    let orders = [r#"{"route": "site"}"#, r#"{"route": "site", "undo": true}"#];
    for _ in 0..20 {
        std::thread::scope(|scope| {
            for order in orders {
                scope.spawn(|| assert_eq!(post(&state, "/drain", order).0, StatusCode::OK));
            }
        });
        let asked = state.tunnels.all().filter(|live| live.is_asked_to_end()).count();
        let expected = if state.tunnels.drained().is_empty() { 0 } else { 2000 };
        assert_eq!(asked, expected, "all, or none where it was taken back last");
        post(&state, "/drain", orders[1]);
    }
}

#[test]
fn a_request_is_explained() {
    let state = state_that_is(Readiness::Ready);
    let (status, said) =
        post(&state, "/explain", r#"{"url": "https://a/b?c", "fields": [["A", "b"]], "response": "HTTP/2 404\n"}"#);
    assert_eq!(status, StatusCode::OK);
    let facts = serde_json::json!([{ "about": "route", "says": "/b?c" }, { "about": "answer", "says": "404" }]);
    assert_eq!(said["facts"], facts);
    for (question, wrong) in [
        ("{}", "expected `url`"),
        (r#"{"url": "a/", "methods": []}"#, "unknown key `methods`"),
        (r#"{"url": "a/", "fields": [["A"]]}"#, "a list of a name and a value"),
        (r#"{"url": "a/", "response": "no"}"#, "expected the head of an answer"),
        (r#"{"url": "a/", "method": "TRACE"}"#, "refused with 405"),
    ] {
        let (status, said) = post(&state, "/explain", question);
        assert_eq!(status, StatusCode::BAD_REQUEST, "{question}");
        assert!(said["error"].as_str().unwrap().contains(wrong), "{question}: {said}");
    }
}

#[test]
fn the_cache_can_be_looked_into() {
    assert_eq!(get("/cache/entry").status, StatusCode::BAD_REQUEST);
    assert_eq!(get("/cache/entry?url=%2Fa").status, StatusCode::BAD_REQUEST);
    let nothing = get("/cache/entry?url=https%3A%2F%2Fa%2F");
    assert_eq!((nothing.status, nothing.body.as_slice()), (StatusCode::NOT_FOUND, &b"{\"entries\":[]}\n"[..]));
    assert_eq!(get("/cache/top").body, b"{\"entries\":[]}\n");
    assert!(get("/cache/top?format=text&by=bytes_saved&limit=1").body.starts_with(b"      hits"));
    for wrong in ["by=size", "limit=0", "limit=x", "limit=1001"] {
        assert_eq!(get(&format!("/cache/top?{wrong}")).status, StatusCode::BAD_REQUEST);
    }
}

const SHORT_WAITS: Waits =
    Waits { head: Duration::from_millis(150), idle: Duration::from_millis(300), send: Duration::from_millis(300) };

/// A server on a port of its own; it stops when `stop` is used or dropped.
struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
    registry: Registry,
}

impl Server {
    async fn start(waits: Waits) -> Self {
        Self::start_with(state_that_is(Readiness::Ready), waits).await
    }

    async fn start_with(state: AdminState, waits: Waits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let registry = state.registry.clone();
        let stopped = async move { drop(stopped.await) };
        Self { address, stop: Some(stop), task: tokio::spawn(serve_with(listener, state, stopped, waits)), registry }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends the bytes and reads until the server closes.
    async fn talk(&self, request: &[u8]) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request).await.unwrap();
        read_to_end(&mut stream).await
    }
}

async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    timeout(Duration::from_secs(10), stream.read_to_end(&mut bytes)).await.expect("it closes").unwrap();
    String::from_utf8(bytes).unwrap()
}

async fn read_one(stream: &mut TcpStream, ends_with: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(ends_with) {
        let mut bytes = [0; 4096];
        let length = timeout(Duration::from_secs(10), stream.read(&mut bytes)).await.expect("it answers").unwrap();
        assert_ne!(length, 0, "closed after {text:?}");
        text.push_str(std::str::from_utf8(&bytes[..length]).unwrap());
    }
    text
}

#[tokio::test]
async fn requests_of_a_connection_are_answered_in_order_until_close() {
    let server = Server::start(connection::WAITS).await;
    let text = server
        .talk(
            b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\nHEAD /ready HTTP/1.1\r\nHost: localhost\r\n\r\n\
              GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        )
        .await;
    assert_eq!(text.matches("HTTP/1.1 200 OK\r\n").count(), 3, "{text}");
    assert_eq!(text.matches("\r\n\r\nok\n").count(), 1, "{text}");
    assert_eq!(text.matches("\"reason\":\"ready\"").count(), 1, "{text}");
    assert_eq!(text.matches("Connection: close\r\n").count(), 1, "{text}");
}

#[tokio::test]
async fn a_head_may_come_in_pieces() {
    let server = Server::start(connection::WAITS).await;
    let mut stream = server.connect().await;
    for piece in ["GET /live HT", "TP/1.1\r\nHost: loc", "alhost\r\n\r", "\n"] {
        stream.write_all(piece.as_bytes()).await.unwrap();
        sleep(Duration::from_millis(10)).await;
    }
    assert!(read_one(&mut stream, "ok\n").await.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn http_1_0_is_answered_without_host_and_closed() {
    let server = Server::start(connection::WAITS).await;
    let text = server.talk(b"GET /live HTTP/1.0\r\n\r\n").await;
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.contains("Connection: close"), "{text}");
}

#[tokio::test]
async fn a_body_is_not_taken_for_a_request() {
    let server = Server::start(connection::WAITS).await;
    let text = server
        .talk(b"POST /live HTTP/1.1\r\nHost: localhost\r\nContent-Length: 43\r\n\r\nGET /live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    assert!(text.starts_with("HTTP/1.1 405 "), "{text}");
    assert_eq!(text.matches("HTTP/1.1").count(), 1, "{text}");
}

#[tokio::test]
async fn a_body_is_read_where_one_is_taken_and_the_connection_goes_on() {
    let server = Server::start(connection::WAITS).await;
    let order = "{\"all\":true}";
    let head = "POST /purge HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    let text = server
        .talk(
            format!(
                "{head}Content-Length: 12\r\n\r\n{order}{head}Content-Length: 12\r\nExpect: 100-continue\r\n\r\n{order}\
                 GET /live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            )
            .as_bytes(),
        )
        .await;
    assert_eq!(text.matches("{\"purged\":0,\"soft\":false}\n").count(), 2, "{text}");
    assert!(text.ends_with("ok\n"), "{text}");
}

#[tokio::test]
async fn a_body_is_bounded_in_length_and_time() {
    let server = Server::start(SHORT_WAITS).await;
    let head = "POST /purge HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    for (rest, status) in [
        ("Content-Length: 262145\r\n\r\n", "413"),
        ("Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", "411"),
        ("Content-Length: 10\r\n\r\n{", "408"),
    ] {
        let text = server.talk(format!("{head}{rest}").as_bytes()).await;
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")) && text.contains("Connection: close"), "{text}");
    }
    let waited = server.talk(format!("{head}Content-Length: 9\r\nExpect: 100-continue\r\n\r\n").as_bytes()).await;
    assert!(waited.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 408 "), "{waited}");
}

#[tokio::test]
async fn a_malformed_request_is_refused_and_closed() {
    let server = Server::start(connection::WAITS).await;
    let text = server.talk(b"GET /live HTTP/1.1\r\nHost : localhost\r\n\r\n").await;
    assert!(text.starts_with("HTTP/1.1 400 ") && text.contains("Connection: close"), "{text}");
}

#[tokio::test]
async fn a_head_past_the_limit_is_refused() {
    let server = Server::start(connection::WAITS).await;
    let request = format!("GET /live HTTP/1.1\r\nHost: localhost\r\nX: {}", "x".repeat(25 * 1024));
    assert!(server.talk(request.as_bytes()).await.starts_with("HTTP/1.1 431 "));
}

#[tokio::test]
async fn a_slow_head_is_told_408_though_bytes_keep_coming() {
    let server = Server::start(SHORT_WAITS).await;
    let (mut reader, mut writer) = server.connect().await.into_split();
    let drip = tokio::spawn(async move {
        for byte in b"GET /live HTTP/1.1\r\nHost: localhost\r\nX: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx".chunks(1) {
            if writer.write_all(byte).await.is_err() {
                break;
            }
            sleep(Duration::from_millis(20)).await;
        }
    });
    let mut bytes = [0; 64];
    let length = timeout(Duration::from_secs(10), reader.read(&mut bytes)).await.unwrap().unwrap();
    assert!(bytes[..length].starts_with(b"HTTP/1.1 408 "));
    drip.abort();
}

#[tokio::test]
async fn a_silent_connection_is_closed() {
    let server = Server::start(SHORT_WAITS).await;
    assert_eq!(server.talk(b"").await, "");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_let_go() {
    let mut state = state_that_is(Readiness::Ready);
    state.info = vec![("much", "x".repeat(64 << 20))];
    let server = Server::start_with(state, SHORT_WAITS).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    sleep(Duration::from_secs(1)).await;
    let mut bytes = Vec::new();
    // A reset is as good an end as a close.
    let _ = timeout(Duration::from_secs(10), stream.read_to_end(&mut bytes)).await.expect("it closes");
    assert!(bytes.len() < 64 << 20);
}

#[tokio::test]
async fn connections_past_the_bound_are_refused_and_counted() {
    let server = Server::start(connection::WAITS).await;
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        open.push(server.connect().await);
    }
    assert!(server.talk(b"").await.starts_with("HTTP/1.1 503 "));
    assert!(server.registry.render().contains("\ntidegate_admin_connections_refused_total 1\n"));
    drop(open.pop());
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let mut stream = server.connect().await;
        stream.write_all(b"GET /live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut bytes = Vec::new();
        // A refused connection may be reset under our request.
        let _ = stream.read_to_end(&mut bytes).await;
        if bytes.starts_with(b"HTTP/1.1 200 ") {
            break;
        }
        assert!(Instant::now() < deadline, "the place was not given back");
    }
}

#[tokio::test]
async fn stopping_ends_idle_connections_at_once_and_finishes_answers() {
    let asked = Arc::new(AtomicUsize::new(0));
    let asked_by_server = asked.clone();
    let mut state = state_that_is(Readiness::Ready);
    state.ready = Arc::new(move || {
        asked_by_server.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(200));
        Readiness::Draining
    });
    let mut server = Server::start_with(state, connection::WAITS).await;
    let (mut idle, mut busy) = (server.connect().await, server.connect().await);
    busy.write_all(b"GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let started = Instant::now();
    while asked.load(Ordering::SeqCst) == 0 {
        assert!(started.elapsed() < Duration::from_secs(10), "the request did not arrive");
        sleep(Duration::from_millis(5)).await;
    }
    drop(server.stop.take());
    let started = Instant::now();
    assert_eq!(read_to_end(&mut idle).await, "");
    assert!(read_to_end(&mut busy).await.contains("draining"));
    server.task.await.unwrap();
    assert!(started.elapsed() < STOP_WAIT);
    assert!(TcpStream::connect(server.address).await.is_err(), "it listens no more");
}

#[tokio::test]
async fn an_endpoint_that_breaks_down_is_told_500_and_the_server_lives() {
    let mut state = state_that_is(Readiness::Ready);
    state.ready = Arc::new(|| panic!("on purpose"));
    let server = Server::start_with(state, connection::WAITS).await;
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert!(server.talk(request("/ready").as_bytes()).await.starts_with("HTTP/1.1 500 "));
    assert!(server.talk(request("/live").as_bytes()).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn its_metrics_keep_the_naming_rules() {
    let server = Server::start(connection::WAITS).await;
    drop(server.connect().await);
    sleep(Duration::from_millis(20)).await;
    assert_eq!(server.registry.lint(), Vec::<String>::new());
}
