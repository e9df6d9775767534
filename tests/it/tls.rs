//! TLS listeners: which certificate, which protocol, and the way from http to https.

use std::path::Path;

use crate::support::*;

/// A gateway with a TLS listener that has a certificate for each list of names, in this order.
struct Secure {
    gateway: Gateway,
    address: std::net::SocketAddr,
    authority: Authority,
    certificates: Vec<Certificate>,
    origin: Origin,
}

impl Secure {
    async fn start(names: &[&[&str]], more: &str) -> Self {
        let origin = Origin::new().start().await;
        let authority = Authority::new();
        let directory = tempfile::tempdir().unwrap();
        let certificates: Vec<Certificate> = names.iter().map(|names| authority.issue(names)).collect();
        let pairs: Vec<String> =
            certificates.iter().enumerate().map(|(at, one)| one.write(directory.path(), &format!("c{at}"))).collect();
        let address = free_address();
        let text = format!(
            "upstream = \"{}\"\n[[listener]]\naddress = \"{address}\"\ntls = [{}]\n{more}\n",
            origin.address,
            pairs.join(", ")
        );
        let gateway = Gateway::in_directory(directory, &text).await;
        Self { gateway, address, authority, certificates, origin }
    }

    async fn connect(&self, name: &str) -> Connection {
        Connection::tls(self.address, name, &self.authority).await
    }
}

#[tokio::test]
async fn requests_over_tls_are_told_as_https() {
    let secure = Secure::start(&[&["app.test"]], "").await;
    let mut client = secure.connect("app.test").await;
    assert_eq!(client.get("/one").await.text(), "/one");
    assert_eq!(client.ask("POST", "/two", &[], &pattern(0, 100_000)).await.text(), "/two");
    for path in ["/one", "/two"] {
        assert_eq!(secure.origin.request_for(path).field("X-Forwarded-Proto"), Some("https"));
    }
    assert!(secure.origin.request_for("/two").body == pattern(0, 100_000));
}

#[tokio::test]
async fn the_certificate_is_chosen_by_name() {
    let secure = Secure::start(&[&["one.test", "127.0.0.1"], &["two.test"], &["*.wild.test"]], "").await;
    for (name, at) in [("one.test", 0), ("two.test", 1), ("TWO.test", 1), ("a.wild.test", 2)] {
        let socket = secure.authority.connect(secure.address, name, &[]).await.unwrap();
        assert!(socket.peer_certificate() == secure.certificates[at].der(), "the certificate for {name}");
    }
    // No name at all (the client asks for an address): the first certificate.
    let socket = secure.authority.connect(secure.address, "127.0.0.1", &[]).await.unwrap();
    assert!(socket.peer_certificate() == secure.certificates[0].der());
    // A name that none covers gets the first too, and the client sees that it is wrong.
    assert!(secure.authority.connect(secure.address, "b.a.wild.test", &[]).await.is_err());
}

#[tokio::test]
async fn the_protocol_is_agreed_by_alpn() {
    let secure = Secure::start(&[&["app.test"]], "").await;
    for (offered, agreed) in [
        (&["h2", "http/1.1"][..], Some("h2")),
        (&["http/1.1", "h2"], Some("h2")),
        (&["http/1.1"], Some("http/1.1")),
        (&[], None),
    ] {
        let socket = secure.authority.connect(secure.address, "app.test", offered).await.unwrap();
        assert_eq!(socket.protocol().as_deref(), agreed, "{offered:?}");
    }
    let off = Secure::start(&[&["app.test"]], "http2 = false").await;
    let socket = off.authority.connect(off.address, "app.test", &["h2", "http/1.1"]).await.unwrap();
    assert_eq!(socket.protocol().as_deref(), Some("http/1.1"));
}

#[tokio::test]
async fn a_new_certificate_is_used_without_a_restart() {
    let secure = Secure::start(&[&["app.test"]], "").await;
    let mut old = secure.connect("app.test").await;
    assert_eq!(old.get("/before").await.status, 200);
    let renewed = secure.authority.issue(&["app.test"]);
    let directory = Path::new(&secure.gateway.path()).to_owned();
    renewed.write(&directory, "c0");
    let shown = async || {
        let socket = secure.authority.connect(secure.address, "app.test", &[]).await.unwrap();
        (socket.peer_certificate() == renewed.der()).then_some(())
    };
    eventually("the new certificate", shown).await;
    // Who was connected stays connected.
    assert_eq!(old.get("/after").await.status, 200);
}

#[tokio::test]
async fn a_bad_new_certificate_changes_nothing() {
    let secure = Secure::start(&[&["app.test"]], "").await;
    std::fs::write(secure.gateway.path().join("c0.pem"), "no certificate").unwrap();
    let said = async || secure.gateway.printed().contains("c0.pem").then_some(());
    eventually("a word about the bad file", said).await;
    assert_eq!(secure.connect("app.test").await.get("/still").await.text(), "/still");
}

#[tokio::test]
async fn plain_http_on_a_tls_listener_harms_nobody() {
    let secure = Secure::start(&[&["app.test"]], "").await;
    let mut client = Connection::tcp(secure.address).await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.until_closed().await;
    assert!(secure.origin.requests().is_empty());
    assert_eq!(secure.connect("app.test").await.get("/well").await.text(), "/well");
}

#[tokio::test]
async fn a_handshake_that_stops_has_a_deadline() {
    let secure = Secure::start(&[&["app.test"]], "[timeouts]\ntls_handshake = \"300ms\"").await;
    let mut client = Connection::tcp(secure.address).await;
    client.send(b"\x16\x03\x01\x02\x00\x01").await;
    client.until_closed().await;
}

#[tokio::test]
async fn http_is_sent_to_https_with_the_same_url() {
    let routes = "[[routes]]\nmatch = { host = \"app.test\", path = \"/\" }\nredirect = \"https\"\n";
    let origin = Origin::new().start().await;
    let gateway = Gateway::before_with(&origin, routes).await;
    for (method, statuses) in [("GET", &[301, 308][..]), ("HEAD", &[301, 308]), ("POST", &[308])] {
        let answer = gateway.ask(method, "/a%20b?c=d", &[("Host", "app.test")], b"").await;
        assert!(statuses.contains(&answer.status), "{method}\n{}", answer.told());
        assert_eq!(answer.field("Location"), Some("https://app.test/a%20b?c=d"), "{}", answer.told());
    }
    let port = gateway.address.port();
    let answer = gateway.get_with("/p", &[("Host", &format!("app.test:{port}"))]).await;
    let location = answer.field("Location").unwrap();
    assert!(location.starts_with("https://app.test") && !location.contains(&port.to_string()), "{location}");
    assert!(origin.requests().is_empty(), "{}", origin.log());
}

#[tokio::test]
async fn the_way_to_https_names_its_port_to_who_asked_for_ours() {
    let secure =
        Secure::start(&[&["app.test"]], "[[routes]]\nmatch = { host = \"app.test\" }\nredirect = \"https\"\n").await;
    let (plain, port) = (secure.gateway.address.port(), secure.address.port());
    // Who names no port, or another, has come by way of one that leads here.
    for (host, location) in [
        (format!("app.test:{plain}"), format!("https://app.test:{port}/p?q")),
        ("app.test".to_owned(), "https://app.test/p?q".to_owned()),
        ("app.test:80".to_owned(), "https://app.test/p?q".to_owned()),
        (format!("app.test:{port}"), "https://app.test/p?q".to_owned()),
    ] {
        let answer = secure.gateway.get_with("/p?q", &[("Host", &host)]).await;
        assert_eq!(answer.field("Location"), Some(location.as_str()), "{host}");
    }
}

#[tokio::test]
async fn pipelined_and_glued_requests_survive_the_handshake() {
    let secure = Secure::start(&[&["app.test"]], "").await;
    let mut client = secure.connect("app.test").await;
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    client.send([get("/1"), get("/2"), get("/3")].concat()).await;
    for path in ["/1", "/2", "/3"] {
        assert_eq!(client.answer().await.text(), path, "{}", client.transcript());
    }
}
