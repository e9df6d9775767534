//! What an attacker tries who has read the other stories: bytes left over from one exchange, names that only some read as
//! others, words put into a proxy's mouth, peers that stop half-way.

use std::time::Duration;

use tokio::sync::watch;

use crate::support::*;

/// One upstream with these settings, and further tables.
async fn before(origin: &Origin, top: &str, upstream: &str) -> Gateway {
    let servers = &origin.address;
    Gateway::with(&format!("{top}\nupstream = \"app\"\n[upstreams.app]\nservers = [\"{servers}\"]\n{upstream}\n")).await
}

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

/// A request with a body that is itself a request.
fn carrier(line: &str, fields: &str) -> String {
    format!("{line}\r\nHost: a\r\n{fields}Content-Length: {}\r\n\r\n{SMUGGLED}", SMUGGLED.len())
}

#[tokio::test]
async fn a_body_that_nobody_wanted_is_never_a_request() {
    let early = script(|mut talk| async move {
        talk.send("HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n").await;
        talk.read_body().await;
        talk.keep()
    });
    let kept = reply(200).field("Cache-Control", "max-age=60").body("kept");
    let origin = Origin::new().on("/early", early).on("/kept", kept).start().await;
    let gateway = Gateway::before(&origin).await;
    assert_eq!(gateway.get("/kept").await.text(), "kept");
    let handshake = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let cases = [
        carrier("GET /kept HTTP/1.1", ""),
        carrier("HEAD /kept HTTP/1.1", ""),
        carrier("OPTIONS * HTTP/1.1", ""),
        carrier("DELETE /x HTTP/1.1", ""),
        carrier("POST /early HTTP/1.1", ""),
        carrier("POST /x HTTP/1.0", "Connection: keep-alive\r\n"),
        carrier("GET /kept HTTP/1.1", handshake),
        carrier(
            "GET /kept HTTP/1.1",
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n",
        ),
        carrier("POST /early HTTP/1.1", "Expect: 100-continue\r\n"),
    ];
    for case in cases {
        let mut client = gateway.connect().await;
        client.send(format!("{case}GET /after HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).await;
        let said = client.until_closed().await;
        let text = String::from_utf8_lossy(&said);
        assert!(!text.contains("smuggled") && text.matches("HTTP/1.").count() <= 3, "{case}\n{text}");
    }
    assert!(origin.requests_for("/smuggled").is_empty() && origin.flaws().is_empty(), "{}", origin.log());
}

#[tokio::test]
async fn requests_before_a_half_close_are_all_answered() {
    let origin = Origin::new().start().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    client.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.finish().await;
    assert_eq!(client.answer().await.text(), "/1");
    assert_eq!(client.answer().await.text(), "/2");
    client.closed().await;
}

#[tokio::test]
async fn lengths_of_answers_without_a_body_go_no_further() {
    let origin = Origin::new()
        .on("/204", "HTTP/1.1 204 No\r\nContent-Length: 40\r\n\r\n")
        .on("/103", "HTTP/1.1 103 Hints\r\nContent-Length: 40\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        .start()
        .await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    assert_eq!(client.get("/204").await.field("Content-Length"), None);
    client.send("GET /103 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let hints = client.head().await;
    assert_eq!((hints.status, hints.field("Content-Length"), hints.field("Link")), (103, None, Some("</a>")));
    assert_eq!(client.answer().await.text(), "ok");
}

#[tokio::test]
async fn a_cut_answer_that_ends_with_the_connection_ends_in_a_reset() {
    let cut = "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n";
    let (go, may_go) = watch::channel(false);
    let breaking = script(move |mut talk| {
        let mut may_go = may_go.clone();
        async move {
            talk.send(cut).await;
            may_go.wait_for(|&go| go).await.unwrap();
            talk.reset()
        }
    });
    let origin = Origin::new().on("/", breaking).start().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n").await;
    assert_eq!(client.head().await.status, 200);
    assert_eq!(client.bytes(4).await, b"half");
    go.send_replace(true);
    let end = within("the cut", client.wire.fill()).await;
    assert!(end.is_err(), "it looks whole: {end:?}");
}

#[tokio::test]
async fn a_backend_that_does_not_answer_an_upload_is_504() {
    let silent = script(|mut talk| async move {
        talk.read_body().await;
        talk.gone().await;
        Next::Close
    });
    // Takes the head and not one byte of the body.
    let deaf = script(|talk| async move {
        std::future::pending::<()>().await;
        talk.keep()
    });
    let origin = Origin::new().on("/silent", silent).on("/deaf", deaf).start().await;
    let gateway = before(&origin, "", "answer_timeout = \"500ms\"").await;
    assert_eq!(gateway.ask("POST", "/silent", &[], b"body").await.status, 504);
    let mut client = gateway.connect().await;
    client.send("POST /silent HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 504);
    let mut client = gateway.connect().await;
    client.send("POST /deaf HTTP/1.1\r\nHost: a\r\nContent-Length: 50000000\r\n\r\n").await;
    let (mut bytes, piece) = (0_usize, vec![b'x'; 64 * 1024]);
    // Until nobody takes more: the gateway must not, for ever.
    while bytes < 50_000_000
        && matches!(tokio::time::timeout(Duration::from_millis(300), client.wire.send(&piece)).await, Ok(Ok(())))
    {
        bytes += piece.len();
    }
    assert_eq!(client.answer().await.status, 504, "after {bytes} bytes");
}

#[tokio::test]
async fn a_client_that_uploads_slowly_is_not_the_backends_fault() {
    let origin = Origin::new().start().await;
    let gateway = before(&origin, "", "answer_timeout = \"300ms\"").await;
    let mut client = gateway.connect().await;
    client.send("POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n").await;
    for byte in ["a", "b", "c"] {
        // The pace.
        tokio::time::sleep(Duration::from_millis(500)).await;
        client.send(byte).await;
    }
    assert_eq!(client.answer().await.text(), "/slow");
}

#[tokio::test]
async fn a_client_that_reads_slowly_is_not_the_backends_fault() {
    let body = pattern(1, 24 << 20);
    let origin = Origin::new().on("/", reply(200).field("Cache-Control", "no-store").body(&body)).start().await;
    let gateway = before(&origin, "", "read_timeout = \"300ms\"").await;
    let mut client = gateway.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    // The pace.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(client.answer().await.body == body);
}

#[tokio::test]
async fn a_request_id_is_no_way_into_a_page() {
    let origin = Origin::new().on("/", "no answer\r\n\r\n").start().await;
    let gateway = before(&origin, "trusted_proxies = [\"127.0.0.0/8\"]", "").await;
    for id in ["<script>alert(1)</script>", "q\"q", "q q", "q\\q", &"x".repeat(129)] {
        let page = gateway.get_with("/", &[("X-Request-ID", id), ("Accept", "application/json")]).await;
        assert_eq!(page.status, 502);
        assert!(!page.text().contains(id), "{}", page.text());
    }
    let page = gateway.get_with("/", &[("X-Request-ID", "4bf92f35-77b3:1")]).await;
    assert!(page.text().contains("4bf92f35-77b3:1"), "{}", page.text());
}

#[tokio::test]
async fn names_with_underscores_are_not_other_fields_to_a_backend_that_joins_them() {
    let origin = Origin::new().start().await;
    let gateway = Gateway::before_with(
        &origin,
        "[[routes]]\nrequest_fields = { set = { X-Signed-In-User = \"nobody\" }, remove = [\"X-Debug\"] }\n",
    )
    .await;
    let forged = [
        ("X_Signed-In_User", "root"),
        ("x_signed_in_user", "root"),
        ("X_Debug", "1"),
        ("X_HTTP_Method_Override", "DELETE"),
        ("X-Original_URL", "/admin"),
        ("X_Request_ID", "forged"),
        ("X_Other", "mine"),
    ];
    gateway.get_with("/twins", &forged).await;
    let seen = origin.request_for("/twins");
    let with: Vec<_> = seen.fields.iter().filter(|(name, _)| name.contains('_')).collect();
    assert_eq!(with, [&("X_Other".to_owned(), "mine".to_owned())], "{seen:?}");
}

#[tokio::test]
async fn what_a_trusted_proxy_passes_on_poisons_nobody() {
    let echo = by(|request, _| {
        let told = request.fields.iter().filter(|(name, _)| {
            let name = name.to_ascii_lowercase();
            (name.starts_with("x-forwarded-") && name != "x-forwarded-for") || name == "forwarded"
        });
        let told: Vec<_> = told.map(|(name, value)| format!("{name}: {value}")).collect();
        reply(200).field("Cache-Control", "max-age=60").body(told.join("\n"))
    });
    let origin = Origin::new().otherwise(echo).start().await;
    let gateway = before(&origin, "trusted_proxies = [\"127.0.0.0/8\"]", "").await;
    let attacks: [&[(&str, &str)]; 8] = [
        &[("X-Forwarded-Host", "evil.test")],
        &[("X-Forwarded-Host", "example.test"), ("X-Forwarded-Host", "evil.test")],
        &[("X-Forwarded-Prefix", "/evil")],
        &[("X-Forwarded-Port", "evil")],
        &[("X-Forwarded-Proto", "http"), ("X-Forwarded-Proto", "evil")],
        &[("X-Forwarded-Server", "evil.test")],
        &[("Forwarded", "for=1.2.3.4;host=evil.test")],
        &[("Forwarded", "for=\"a\\\"\";host=\"evil.test\"")],
    ];
    for (at, attack) in attacks.iter().enumerate() {
        let target = format!("/{at}");
        assert!(gateway.get_with(&target, attack).await.text().contains("evil"));
        let victim = gateway.get(&target).await.text();
        assert!(!victim.contains("evil"), "{attack:?}: {victim}");
        // The other way round as well: nobody is answered with another's.
        assert!(gateway.get_with(&target, attack).await.text().contains("evil"), "{attack:?}");
    }
    let usual = [("X-Forwarded-For", "1.2.3.4"), ("X-Forwarded-Proto", "http"), ("X-Forwarded-Host", "example.test")];
    gateway.get("/usual").await;
    gateway.get_with("/usual", &usual).await;
    assert_eq!(origin.requests_for("/usual").len(), 1, "what the gateway would say itself changes no key");
}

#[tokio::test]
async fn a_client_that_leaves_while_a_server_is_dialled_is_not_waited_for() {
    // A listener whose backlog is full takes no more connections, and refuses none.
    let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    listener.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let _filling: Vec<_> = (0..4)
        .map(|_| {
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            let _ = socket.connect(&address.into());
            socket
        })
        .collect();
    let gateway = Gateway::with(&format!(
        "upstream = \"app\"\n[upstreams.app]\nservers = [\"{address}\"]\nconnect_timeout = \"60s\"\n"
    ))
    .await;
    let mut client = gateway.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let name = eventually("the request under way", async || {
        gateway
            .metrics()
            .await
            .lines()
            .find(|line| line.contains("in_flight") && line.ends_with(" 1"))
            .map(str::to_owned)
    })
    .await;
    drop(client);
    eventually("the request to be given up", async || {
        let metrics = gateway.metrics().await;
        (!metrics.lines().any(|line| line.starts_with(name.split(' ').next().unwrap()) && line.ends_with(" 1")))
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_backend_that_drips_its_head_is_504() {
    let (stop, stopped) = watch::channel(false);
    let dripping = script(move |mut talk| {
        let stopped = stopped.clone();
        async move {
            talk.send("HTTP/1.1 200 OK\r\n").await;
            while !*stopped.borrow() && talk.send("X: y\r\n").await {
                // The pace.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Next::Close
        }
    });
    let origin = Origin::new().on("/", dripping).start().await;
    let gateway = before(&origin, "", "answer_timeout = \"500ms\"").await;
    assert_eq!(gateway.get("/").await.status, 504);
    stop.send_replace(true);
}
