//! The fields of the hop: what is set for the backend, what is believed, what ends here.

use crate::support::*;

const FORGED: [(&str, &str); 8] = [
    ("X-Forwarded-For", "6.6.6.6"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "evil.test"),
    ("X-Forwarded-Port", "666"),
    ("X-Forwarded-Prefix", "/evil"),
    ("X-Real-IP", "6.6.6.6"),
    ("Forwarded", "for=6.6.6.6;host=evil.test;proto=https"),
    ("x-forwarded-for", "6.6.6.7"),
];

#[tokio::test]
async fn host_reaches_the_origin_with_its_port() {
    let origin = Origin::new().start().await;
    let gateway = Gateway::before(&origin).await;
    let hosts = ["app.example.test", "app.example.test:8443", "127.0.0.1:1", "[::1]:8080", "MiXed.test"];
    for (at, host) in hosts.into_iter().enumerate() {
        let path = format!("/{at}");
        gateway.get_with(&path, &[("Host", host)]).await;
        assert_eq!(origin.request_for(&path).field("Host"), Some(host), "{}", origin.log());
        let answer = gateway.ask("POST", &format!("{path}/post"), &[("Host", host)], b"x").await;
        assert_eq!(answer.status, 200);
        assert_eq!(origin.request_for(&format!("{path}/post")).field("Host"), Some(host), "{}", origin.log());
    }
}

#[tokio::test]
async fn the_way_is_told_to_the_backend() {
    let origin = Origin::new().start().await;
    let gateway = Gateway::before(&origin).await;
    let host = gateway.address.to_string();
    let port = gateway.address.port().to_string();
    for (method, path) in [("GET", "/get"), ("POST", "/post")] {
        gateway.ask(method, path, &[("Host", &host)], b"").await;
        let seen = origin.request_for(path);
        let told = ["X-Forwarded-For", "X-Real-IP", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port"]
            .map(|name| seen.field(name).unwrap_or("missing"));
        assert_eq!(told, ["127.0.0.1", "127.0.0.1", "http", &host, &port], "{}", origin.log());
        assert!(!seen.has("Forwarded") && !seen.has("Via"), "off unless asked for\n{}", origin.log());
    }
}

#[tokio::test]
async fn forged_forwarding_fields_are_dropped() {
    let origin = Origin::new().start().await;
    let gateway = Gateway::before(&origin).await;
    for (method, path) in [("GET", "/get"), ("POST", "/post")] {
        gateway.ask(method, path, &FORGED, b"").await;
        let seen = origin.request_for(path);
        assert_eq!(seen.field("X-Forwarded-For"), Some("127.0.0.1"), "{}", origin.log());
        assert_eq!(seen.field("X-Real-IP"), Some("127.0.0.1"), "{}", origin.log());
        assert_eq!(seen.field("X-Forwarded-Proto"), Some("http"), "{}", origin.log());
        assert_ne!(seen.field("X-Forwarded-Port"), Some("666"), "{}", origin.log());
        let raw = show(&seen.raw);
        assert!(!["evil", "6.6.6"].iter().any(|forged| raw.contains(forged)), "{}", origin.log());
    }
}

#[tokio::test]
async fn a_trusted_proxy_is_believed_and_appended_to() {
    let origin = Origin::new().start().await;
    let gateway = Gateway::before_with(&origin, "trusted_proxies = [\"127.0.0.0/8\"]").await;
    let fields = [
        ("Host", "inner.test"),
        ("X-Forwarded-For", "203.0.113.7"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "outer.test"),
        ("X-Forwarded-Port", "443"),
    ];
    gateway.get_with("/t", &fields).await;
    let seen = origin.request_for("/t");
    assert_eq!(seen.field("X-Forwarded-For"), Some("203.0.113.7, 127.0.0.1"), "{}", origin.log());
    assert_eq!(seen.field("X-Forwarded-Proto"), Some("https"), "{}", origin.log());
    assert_eq!(seen.field("X-Forwarded-Host"), Some("outer.test"), "{}", origin.log());
    assert_eq!(seen.field("X-Forwarded-Port"), Some("443"), "{}", origin.log());
    assert_eq!(seen.field("X-Real-IP"), Some("203.0.113.7"), "{}", origin.log());
    assert_eq!(seen.field("Host"), Some("inner.test"), "{}", origin.log());
}

#[tokio::test]
async fn hop_by_hop_fields_of_a_request_end_here() {
    let origin = Origin::new().start().await;
    let gateway = Gateway::before(&origin).await;
    let fields = [
        ("Connection", "keep-alive, X-Nominated"),
        ("connection", "x-second"),
        ("X-Nominated", "hop"),
        ("X-Second", "hop"),
        ("Keep-Alive", "timeout=5, hop"),
        ("TE", "gzip;hop"),
        ("Trailer", "hop"),
        ("Proxy-Connection", "hop"),
        ("Proxy-Authorization", "hop"),
        ("Upgrade", "h2c, hop/1"),
        ("HTTP2-Settings", "hop"),
        ("X-Stays", "end to end"),
    ];
    for (method, path) in [("GET", "/get"), ("POST", "/post")] {
        gateway.ask(method, path, &fields, b"").await;
        let seen = origin.request_for(path);
        assert_eq!(seen.field("X-Stays"), Some("end to end"));
        for (name, _) in &fields[2..11] {
            assert!(!seen.has(name), "{name}\n{}", origin.log());
        }
        assert!(!show(&seen.raw).to_ascii_lowercase().contains("nominated"), "{}", origin.log());
        assert!(!seen.all("Connection").iter().any(|value| value.to_ascii_lowercase().contains("upgrade")));
    }
}

#[tokio::test]
async fn nominating_our_own_fields_strips_nothing_that_we_add() {
    let origin = Origin::new().start().await;
    let gateway = Gateway::before(&origin).await;
    let nominated = "close, Host, Content-Length, Transfer-Encoding, X-Forwarded-For, X-Forwarded-Proto, \
                     X-Forwarded-Host, X-Forwarded-Port, X-Real-IP";
    let answer = gateway.ask("POST", "/n", &[("Connection", nominated)], b"body").await;
    assert_eq!(answer.status, 200);
    let seen = origin.request_for("/n");
    assert_eq!((seen.field("Host"), &seen.body[..]), (Some("example.test"), &b"body"[..]), "{}", origin.log());
    for name in ["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "X-Real-IP"] {
        assert!(seen.has(name), "{name}\n{}", origin.log());
    }
}

#[tokio::test]
async fn hop_by_hop_fields_of_an_answer_end_here() {
    let raw = "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Secret\r\nX-Secret: hop\r\nKeep-Alive: hop\r\n\
               Proxy-Connection: hop\r\nProxy-Authentication-Info: hop\r\nUpgrade: h2c\r\nX-Stays: yes\r\n\
               Content-Length: 2\r\n\r\nok";
    let origin = Origin::new().on("/r", raw).start().await;
    let gateway = Gateway::before(&origin).await;
    for method in ["GET", "POST"] {
        let answer = gateway.ask(method, "/r", &[], b"").await;
        assert_eq!((answer.field("X-Stays"), answer.text().as_str()), (Some("yes"), "ok"));
        for name in ["X-Secret", "Keep-Alive", "Proxy-Connection", "Proxy-Authentication-Info", "Upgrade"] {
            assert!(!answer.has(name), "{name}\n{}", answer.told());
        }
        assert!(!answer.told().contains("hop"), "{}", answer.told());
    }
}

#[tokio::test]
async fn framing_and_forwarding_names_written_with_other_punctuation_are_dropped() {
    let origin = Origin::new().start().await;
    let gateway = Gateway::before(&origin).await;
    let fields = [
        ("Content_Length", "99"),
        ("Transfer_Encoding", "chunked"),
        ("X_Forwarded_For", "6.6.6.6"),
        ("Content.Length", "99"),
        ("X.Forwarded.For", "6.6.6.6"),
        ("X~Real~IP", "6.6.6.6"),
        ("X-Forwarded|Proto", "https"),
        ("X.Request.Id", "mine"),
    ];
    gateway.ask("POST", "/u", &fields, b"body").await;
    let seen = origin.request_for("/u");
    assert_eq!(seen.body, b"body");
    for (name, _) in fields {
        assert!(!seen.has(name), "{name}\n{}", origin.log());
    }
}

#[tokio::test]
async fn via_and_forwarded_are_told_when_asked_for() {
    let origin = Origin::new().start().await;
    let gateway = Gateway::before_with(&origin, "[forward]\nvia = true\nforwarded = true\n").await;
    let answer = gateway.get_with("/v", &[("Host", "app.test:81"), ("Via", "1.0 before")]).await;
    assert!(answer.all("Via").join(",").contains("1.1 "), "{}", answer.told());
    let seen = origin.request_for("/v");
    let via = seen.all("Via").join(", ");
    assert!(via.starts_with("1.0 before, 1.1 "), "{}", origin.log());
    let forwarded = seen.field("Forwarded").unwrap_or("missing").to_ascii_lowercase();
    for part in ["for=127.0.0.1", "proto=http", "host=\"app.test:81\""] {
        assert!(forwarded.contains(part), "{part} in {forwarded}");
    }
}

#[tokio::test]
async fn every_request_gets_an_id_of_its_own() {
    let origin = Origin::new().start().await;
    let gateway = Gateway::before_with(&origin, "[forward]\nrequest_id = \"X-Request-Id\"\n").await;
    let mut client = gateway.connect().await;
    client.get("/one").await;
    client.get("/two").await;
    client.ask("POST", "/three", &[], b"x").await;
    let ids: std::collections::HashSet<String> =
        origin.requests().iter().map(|seen| seen.field("X-Request-Id").unwrap_or("").to_owned()).collect();
    assert!(ids.len() == 3 && ids.iter().all(|id| id.len() >= 8), "{ids:?}\n{}", origin.log());
}

#[tokio::test]
async fn a_route_edits_fields_both_ways() {
    let from_origin = reply(200).field("X-Powered-By", "leak").field("X-Kept", "1").field("X-More", "a").body("x");
    let origin = Origin::new().otherwise(from_origin).start().await;
    let text = format!(
        "[upstreams.app]\nservers = [\"{}\"]\n\
         [[routes]]\nmatch = {{ path = \"/\" }}\nupstream = \"app\"\n\
         request_fields = {{ remove = [\"X-Debug\"], set = {{ \"X-Set\" = \"ours\" }}, add = {{ \"X-Add\" = \"b\" }} }}\n\
         response_fields = {{ remove = [\"X-Powered-By\"], set = {{ \"X-Frame-Options\" = \"DENY\" }}, add = {{ \"X-More\" = \"b\" }} }}\n",
        origin.address
    );
    let gateway = Gateway::with(&text).await;
    for (method, path) in [("GET", "/get"), ("POST", "/post")] {
        let fields = [("X-Debug", "1"), ("X-Set", "theirs"), ("X-Add", "a")];
        let answer = gateway.ask(method, path, &fields, b"").await;
        let seen = origin.request_for(path);
        assert!(!seen.has("X-Debug"), "{}", origin.log());
        assert_eq!((seen.field("X-Set"), seen.all("X-Add")), (Some("ours"), vec!["a", "b"]), "{}", origin.log());
        let raw = answer.told();
        assert!(!answer.has("X-Powered-By"), "{raw}");
        assert_eq!((answer.field("X-Frame-Options"), answer.field("X-Kept")), (Some("DENY"), Some("1")), "{raw}");
        assert_eq!(answer.all("X-More"), ["a", "b"], "{raw}");
    }
}
