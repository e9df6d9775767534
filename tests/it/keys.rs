//! What makes two requests the same to the cache, and who may take answers out of it.

use crate::support::*;

/// An origin whose answers are numbered and fresh for a minute.
async fn origin() -> Origin {
    let make = by(|_, number| reply(200).field("Cache-Control", "max-age=60").body(format!("answer {number}")));
    Origin::new().otherwise(make).start().await
}

async fn before(origin: &Origin, cache: &str) -> Gateway {
    Gateway::before_with(origin, &format!("[[routes]]\ncache = {cache}")).await
}

#[tokio::test]
async fn ignored_parameters_share_an_answer_and_reach_the_backend() {
    let origin = origin().await;
    let gateway = before(&origin, r#"{ key = { query = { ignore = ["utm_*"] }, sort_query = true } }"#).await;
    assert_eq!(gateway.get("/a?utm_source=x&b=1&a=2").await.text(), "answer 1");
    for same in ["/a?a=2&b=1", "/a?b=1&a=2&utm_medium=y", "/a?&b=1&&a=2"] {
        let hit = gateway.get(same).await;
        assert!(hit.is_hit() && hit.text() == "answer 1", "{same}: {}", hit.told());
    }
    assert_eq!(gateway.get("/a?a=2").await.text(), "answer 2");
    assert_eq!(gateway.get("/a?a=2;utm_source=x").await.text(), "answer 3");
    let targets: Vec<String> = origin.requests().iter().map(|request| request.target.clone()).collect();
    assert_eq!(targets, ["/a?utm_source=x&b=1&a=2", "/a?a=2", "/a?a=2;utm_source=x"]);
}

#[tokio::test]
async fn queries_that_backends_read_differently_share_no_answer() {
    let origin = origin().await;
    let gateway = before(&origin, "{ key = { sort_query = true } }").await;
    for (one, other) in [("?%61=1&a=2", "?a=2&%61=1"), ("?A=1&a=2", "?a=2&A=1"), ("?a[]=1&a[0]=2", "?a[0]=2&a[]=1")] {
        gateway.get(&format!("/{one}")).await.must_miss();
        gateway.get(&format!("/{other}")).await.must_miss();
        gateway.get(&format!("/{one}")).await.must_hit();
    }
}

#[tokio::test]
async fn fields_of_the_key_need_no_vary() {
    let origin = origin().await;
    let gateway = before(&origin, r#"{ key = { fields = "X-Country" } }"#).await;
    assert_eq!(gateway.get_with("/a", &[("X-Country", "DE")]).await.text(), "answer 1");
    assert_eq!(gateway.get_with("/a", &[("X-Country", "FR")]).await.text(), "answer 2");
    assert_eq!(gateway.get("/a").await.text(), "answer 3");
    assert_eq!(gateway.get_with("/a", &[("x-country", "DE"), ("X-Other", "1")]).await.text(), "answer 1");
    // A backend that takes `_` for `-` is not told otherwise than the key.
    let twin = gateway.get_with("/b", &[("X-Country", "DE"), ("X_Country", "FR")]).await;
    assert_eq!(twin.text(), "answer 1");
    assert!(!origin.request_for("/b").has("X_Country"), "{}", origin.log());
}

#[tokio::test]
async fn an_unsafe_method_invalidates_what_shaped_keys_hold() {
    let origin = origin().await;
    let cache = r#"{ key = { query = { ignore = "utm_*" }, fields = "X-Country" } }"#;
    let gateway = before(&origin, cache).await;
    gateway.get_with("/a?utm_a=1", &[("X-Country", "DE")]).await;
    gateway.get("/a").await.must_miss();
    gateway.ask("POST", "/a?utm_b=2", &[], b"x").await;
    gateway.get_with("/a?utm_c=3", &[("X-Country", "DE")]).await.must_miss();
    gateway.get("/a").await.must_miss();
}

#[tokio::test]
async fn purge_takes_one_url_out_for_those_who_may() {
    let origin = origin().await;
    let cache = r#"{ key = { query = { ignore = "utm_*" } }, purge_from = "127.0.0.0/8" }"#;
    let gateway = before(&origin, cache).await;
    for target in ["/a", "/a?b", "/b"] {
        gateway.get(target).await;
    }
    let purged = gateway.ask("PURGE", "/a?utm_a=1", &[], b"").await;
    assert_eq!((purged.status, purged.text().as_str()), (200, "{\"purged\":1,\"soft\":false}\n"), "{}", purged.told());
    assert_eq!(gateway.ask("PURGE", "/a?utm_a=1", &[], b"").await.text(), "{\"purged\":0,\"soft\":false}\n");
    gateway.get("/a").await.must_miss();
    gateway.get("/a?b").await.must_hit();
    gateway.get("/b").await.must_hit();
    assert_eq!(gateway.metric("tidegate_http_requests_total", &[("code", "200"), ("method", "_OTHER")]).await, 2.0);
    assert!(origin.requests().iter().all(|request| request.method == "GET"), "{}", origin.log());
}

#[tokio::test]
async fn a_soft_purge_leaves_answers_for_a_backend_that_fails() {
    let make = by(|_, number| match number {
        1 => reply(200).field("Cache-Control", "max-age=60").body("answer 1"),
        _ => reply(503).body("down"),
    });
    let origin = Origin::new().otherwise(make).start().await;
    let gateway = before(&origin, r#"{ stale_if_error = "1h", purge_from = "127.0.0.1" }"#).await;
    gateway.get("/a").await;
    let purged = gateway.ask("PURGE", "/a", &[("Soft-Purge", "1")], b"").await;
    assert_eq!(purged.text(), "{\"purged\":1,\"soft\":true}\n");
    let stale = gateway.get("/a").await;
    assert_eq!((stale.status, stale.text().as_str()), (200, "answer 1"), "{}", stale.told());
    assert_eq!(origin.requests().len(), 2);
}

#[tokio::test]
async fn purge_from_elsewhere_is_refused() {
    let origin = origin().await;
    let trusted = "trusted_proxies = [\"127.0.0.1\"]\n[[routes]]\ncache = { purge_from = \"10.0.0.0/8\" }";
    let gateway = Gateway::before_with(&origin, trusted).await;
    gateway.get("/a").await;
    let refused = gateway.ask("PURGE", "/a", &[("X-Forwarded-For", "10.0.0.1, 192.0.2.1")], b"").await;
    assert_eq!(refused.status, 403, "{}", refused.told());
    gateway.get("/a").await.must_hit();
    // The client's address is what a trusted proxy says.
    let obeyed = gateway.ask("PURGE", "/a", &[("X-Forwarded-For", "192.0.2.1, 10.0.0.1")], b"").await;
    assert_eq!(obeyed.status, 200, "{}", obeyed.told());
    gateway.get("/a").await.must_miss();
}

#[tokio::test]
async fn purge_is_a_method_like_others_where_nobody_may() {
    let origin = Origin::new().otherwise(by(|request, _| reply(202).body(&request.method))).start().await;
    let gateway = Gateway::before(&origin).await;
    let answer = gateway.ask("PURGE", "/a", &[], b"").await;
    assert_eq!((answer.status, answer.text().as_str()), (202, "PURGE"), "{}", answer.told());
}

#[tokio::test]
async fn what_is_stored_for_http_is_not_given_to_https() {
    // RFC 9110 §4.2.2: the same host by another scheme is another origin.
    let by_scheme =
        by(|seen, _| reply(200).field("Cache-Control", "max-age=60").body(seen.field("X-Forwarded-Proto").unwrap()));
    let origin = Origin::new().otherwise(by_scheme).start().await;
    let (authority, directory, secure) = (Authority::new(), tempfile::tempdir().unwrap(), free_address());
    let pair = authority.issue(&["example.test"]).write(directory.path(), "front");
    let text = format!("upstream = {:?}\n[[listener]]\naddress = \"{secure}\"\ntls = [{pair}]\n", origin.address);
    let gateway = Gateway::in_directory(directory, &text).await;
    let mut client = Connection::tls(secure, "example.test", &authority).await;
    for _ in 0..2 {
        assert_eq!(gateway.get("/").await.text(), "http");
        assert_eq!(client.get("/").await.text(), "https");
    }
    assert_eq!(origin.requests().len(), 2, "{}", origin.log());
}

#[tokio::test]
async fn an_answer_to_a_host_written_otherwise_is_given_to_nobody_else() {
    let echoing = by(|seen, _| {
        let host = seen.field("Host").unwrap_or_default().to_owned();
        reply(301).field("Cache-Control", "public, max-age=60").field("Location", &format!("https://{host}/r"))
    });
    let origin = Origin::new().on("/r", echoing).start().await;
    let gateway = Gateway::before(&origin).await;
    let location = async |host| {
        let answer = gateway.get_with("/r", &[("Host", host)]).await;
        (answer.field("Location").unwrap().to_owned(), answer.field("Cache-Status").unwrap().contains("hit"))
    };
    for host in ["h.test:80", "h.test:", "H.test"] {
        assert_eq!(location(host).await, (format!("https://{host}/r"), false));
    }
    assert_eq!(location("h.test").await, ("https://h.test/r".to_owned(), false));
    // It means the same, so what was stored for the others is given.
    for host in ["h.test", "h.test:80", "h.test:", "H.test"] {
        assert_eq!(location(host).await, ("https://h.test/r".to_owned(), true));
    }
    let other = gateway.get_with("/r", &[("Host", "h.test:8080")]).await;
    assert_eq!(other.field("Location"), Some("https://h.test:8080/r"));
}
