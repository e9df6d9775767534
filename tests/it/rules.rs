//! The rules of RFC 9111 and its kin as clients and backends see them, odd backends included.

use crate::support::*;

/// An origin whose answers carry these fields and their number.
async fn numbered(fields: &'static [(&'static str, &'static str)]) -> Origin {
    let make = by(move |_, number| {
        let answer = fields.iter().fold(reply(200), |answer, (name, value)| answer.field(name, value));
        answer.body(format!("answer {number}"))
    });
    Origin::new().otherwise(make).start().await
}

/// Says these bytes and ends the connection.
fn closing(bytes: &'static str) -> Responder {
    script(move |mut talk| async move {
        talk.read_body().await;
        talk.send(bytes).await;
        talk.close().await
    })
}

#[tokio::test]
async fn a_targeted_field_decides_and_is_passed_on() {
    // RFC 9213 §2.2
    let origin = numbered(&[("Cache-Control", "no-store"), ("CDN-Cache-Control", "max-age=10000")]).await;
    let gateway = Gateway::before(&origin).await;
    gateway.get("/a").await.must_miss();
    let hit = gateway.get("/a").await;
    assert!(hit.is_hit(), "{}", hit.told());
    assert_eq!(hit.field("CDN-Cache-Control"), Some("max-age=10000"), "{}", hit.told());
    assert_eq!(hit.field("Cache-Control"), Some("no-store"), "{}", hit.told());
    for forbidding in ["private", "no-store", "max-age=0", "max-age=0, no-cache"] {
        let make = by(move |_, number| {
            let answer = reply(200).field("CDN-Cache-Control", forbidding).field("Cache-Control", "max-age=10000");
            answer.field("Expires", "Thu, 01 Dec 2044 16:00:00 GMT").body(format!("answer {number}"))
        });
        let origin = Origin::new().otherwise(make).start().await;
        let gateway = Gateway::before(&origin).await;
        gateway.get("/a").await;
        assert_eq!(gateway.get("/a").await.text(), "answer 2", "{forbidding}");
    }
}

#[tokio::test]
async fn an_invalid_targeted_field_is_ignored() {
    // RFC 9213 §2.1
    for (targeted, hits) in [("max-age=0, &&", true), ("max-age=\"0\"", true), ("", true), ("max-age=0", false)] {
        let make = by(move |_, _| reply(200).field("CDN-Cache-Control", targeted).field("Cache-Control", "max-age=60"));
        let origin = Origin::new().otherwise(make).start().await;
        let gateway = Gateway::before(&origin).await;
        gateway.get("/a").await;
        assert_eq!(gateway.get("/a").await.is_hit(), hits, "{targeted}");
    }
}

#[tokio::test]
async fn the_answer_to_a_post_serves_gets_where_it_says_so() {
    // RFC 9110 §9.3.3, on HTTP/1 and HTTP/2
    let make = by(|seen, number| {
        let answer = reply(200).field("Cache-Control", "max-age=60").field("Content-Location", seen.path());
        let answer = if seen.path() == "/chunked" { answer.chunked() } else { answer };
        answer.body(format!("{} {number}: {}", seen.method, String::from_utf8_lossy(&seen.body)))
    });
    let origin = Origin::new().otherwise(make).start().await;
    let plain = free_address();
    let gateway = Gateway::before_with(&origin, &format!("[[listener]]\naddress = \"{plain}\"\nh2c = true")).await;
    for path in ["/length", "/chunked"] {
        assert_eq!(gateway.get(path).await.text(), "GET 1: ");
        let posted = gateway.ask("POST", path, &[], b"form").await;
        assert_eq!(posted.text(), "POST 2: form", "{}", posted.told());
        assert!(posted.cache_status().contains("fwd=method; stored"), "{}", posted.told());
        let got = gateway.get(path).await;
        assert!(got.is_hit() && got.text() == "POST 2: form", "{}", got.told());
        let head = gateway.ask("HEAD", path, &[], b"").await;
        assert!(head.is_hit() && head.field("Content-Length") == Some("12"), "{}", head.told());
        // A POST is never answered from the store.
        assert_eq!(gateway.ask("POST", path, &[], b"more").await.text(), "POST 3: more");
    }
    let mut http2 = Http2::prior_knowledge(plain).await;
    assert_eq!(http2.ask("POST", "/h2", &[], b"form").await.text(), "POST 1: form");
    assert_eq!(http2.get("/h2").await.text(), "POST 1: form");
}

#[tokio::test]
async fn the_answer_to_a_post_is_not_kept_otherwise() {
    for (location, control) in
        [("/other", "max-age=60"), ("/a", "no-store"), ("/a", "private, max-age=60"), ("/a", "x")]
    {
        let make = by(move |seen, number| {
            let answer = reply(200).field("Cache-Control", control).field("Content-Location", location);
            answer.body(format!("{} {number}", seen.method))
        });
        let origin = Origin::new().otherwise(make).start().await;
        let gateway = Gateway::before(&origin).await;
        assert_eq!(gateway.ask("POST", "/a", &[], b"form").await.text(), "POST 1");
        assert_eq!(gateway.get("/a").await.text(), "GET 2", "{location} {control}");
    }
}

#[tokio::test]
async fn a_field_that_a_get_could_not_bring_poisons_no_get() {
    let make = by(|seen, _| {
        let answer = reply(200).field("Cache-Control", "max-age=60").field("Content-Location", "/a");
        let said = ["X-Original-URL", "X-Proxy-Host", "X_Tenant"].iter().find_map(|name| seen.field(name));
        answer.body(said.unwrap_or("clean"))
    });
    let origin = Origin::new().otherwise(make).start().await;
    let counted = "[[routes]]\ncache = { key = { fields = [\"X-Tenant\"] } }\n";
    let gateway = Gateway::before_with(&origin, counted).await;
    for name in ["X-Original-URL", "X-Proxy-Host", "X_Tenant"] {
        assert_eq!(gateway.ask("POST", "/a", &[(name, "/evil")], b"").await.text(), "/evil", "{name}");
    }
    assert_eq!(gateway.get("/a").await.text(), "clean");
}

#[tokio::test]
async fn a_large_answer_to_a_post_streams_and_is_kept() {
    let body = pattern(0, 300_000);
    let answer = reply(200).field("Cache-Control", "max-age=60").field("Content-Location", "/a").body(&body);
    let origin = Origin::new().otherwise(answer).start().await;
    let gateway = Gateway::before(&origin).await;
    assert!(gateway.ask("POST", "/a", &[], b"form").await.body == body);
    let got = gateway.get("/a").await;
    assert!(got.is_hit() && got.body == body, "{}", got.told());
}

/// GET is stale at once and has a tag; HEAD says `fields`.
async fn stale_but_for_head(fields: &'static [(&'static str, &'static str)]) -> (Origin, Gateway) {
    let make = by(move |seen, number| match seen.method.as_str() {
        "HEAD" => fields.iter().fold(reply(200), |answer, (name, value)| answer.field(name, value)).body("12345678"),
        _ => reply(200)
            .field("Cache-Control", "max-age=0")
            .field("ETag", "\"v1\"")
            .field("X-Told", "by get")
            .body(format!("answer {number}")),
    });
    let origin = Origin::new().otherwise(make).start().await;
    let gateway = Gateway::before(&origin).await;
    gateway.get("/a").await;
    (origin, gateway)
}

#[tokio::test]
async fn a_head_refreshes_the_stored_answer() {
    // RFC 9111 §4.3.5
    let same = &[("Cache-Control", "max-age=60"), ("ETag", "\"v1\""), ("X-Told", "by head")];
    let (origin, gateway) = stale_but_for_head(same).await;
    gateway.ask("HEAD", "/a", &[], b"").await;
    let hit = gateway.get("/a").await;
    assert!(hit.is_hit() && hit.text() == "answer 1", "{}\n{}", hit.told(), origin.log());
    assert_eq!(hit.field("X-Told"), Some("by head"), "{}", hit.told());
}

#[tokio::test]
async fn a_head_of_another_representation_takes_the_stored_answer_out() {
    // RFC 9111 §4.3.5
    let (origin, gateway) = stale_but_for_head(&[("Cache-Control", "max-age=60"), ("ETag", "\"v2\"")]).await;
    gateway.ask("HEAD", "/a", &[], b"").await;
    gateway.get("/a").await;
    assert!(!origin.requests()[2].has("If-None-Match"), "{}", origin.log());
}

#[tokio::test]
async fn a_coding_that_nobody_knows_ends_with_the_connection() {
    // RFC 9112 §6.3: the body passes as it is, framed anew, and without the word; it may be kept.
    let origin = Origin::new()
        .on("/a", closing("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: cow\r\n\r\nhello"))
        .on("/gzip", closing("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello"))
        .start()
        .await;
    let gateway = Gateway::before(&origin).await;
    let miss = gateway.get("/a").await;
    assert_eq!((miss.status, miss.text().as_str()), (200, "hello"), "{}", miss.told());
    assert!(!miss.all("Transfer-Encoding").contains(&"cow"), "{}", miss.told());
    let hit = gateway.get("/a").await;
    assert!(hit.is_hit() && hit.text() == "hello" && !hit.has("Transfer-Encoding"), "{}", hit.told());
    assert_eq!(gateway.ask("POST", "/a", &[], b"").await.text(), "hello");
    // What is compressed nobody would unpack.
    assert_eq!(gateway.get("/gzip").await.status, 502);
}

#[tokio::test]
async fn an_answer_with_bytes_behind_it_is_usable_and_its_connection_is_not() {
    let origin = Origin::new()
        .on("/a", "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n")
        .start()
        .await;
    let gateway = Gateway::before_with(&origin, "threads = 1").await;
    assert_eq!(gateway.get("/a").await.text(), "ok");
    let hit = gateway.get("/a").await;
    assert!(hit.is_hit() && hit.text() == "ok", "{}", hit.told());
    assert_eq!(gateway.get("/b").await.text(), "/b");
    assert_eq!(origin.connections(), 2, "{}", origin.log());
}

#[tokio::test]
async fn a_304_with_a_length_has_no_body() {
    // RFC 9110 §15.4.5, RFC 9112 §6.3
    let make = by(|seen, number| match seen.has("If-None-Match") {
        false => reply(200).field("Cache-Control", "max-age=0").field("ETag", "\"a\"").body("whole body"),
        true => reply(304).field("ETag", "\"a\"").field("Content-Length", "3").field("X-Count", &number.to_string()),
    });
    let origin = Origin::new().otherwise(make).start().await;
    let gateway = Gateway::before_with(&origin, "threads = 1").await;
    for count in [None, Some("2"), Some("3")] {
        let answer = gateway.get("/a").await;
        assert_eq!((answer.text().as_str(), answer.field("X-Count")), ("whole body", count), "{}", answer.told());
        assert_eq!(answer.field("Content-Length"), Some("10"), "{}", answer.told());
    }
    assert_eq!(origin.connections(), 1, "{}", origin.log());
}

#[tokio::test]
async fn unknown_statuses_are_kept_like_any_other() {
    for status in [299, 399, 499, 599, 999] {
        let make =
            by(move |_, number| reply(status).field("Cache-Control", "max-age=60").body(format!("{status} {number}")));
        let origin = Origin::new().otherwise(make).start().await;
        let gateway = Gateway::before(&origin).await;
        gateway.get("/a").await;
        let hit = gateway.get("/a").await;
        assert!(hit.is_hit() && hit.status == status, "{}", hit.told());
        assert_eq!(hit.text(), format!("{status} 1"));
    }
}

#[tokio::test]
async fn what_the_route_hides_from_clients_still_counts_after_a_304() {
    // RFC 9111 §4.3.4: what a 304 omits stays, the targeted field that clients do not see included.
    let make = by(|seen, _| match seen.has("If-None-Match") {
        true => reply(304).field("ETag", "\"a\"").field("Date", "Tue, 15 Nov 2044 08:12:31 GMT"),
        false => reply(200)
            .field("ETag", "\"a\"")
            .field("Cache-Control", "no-store")
            .field("CDN-Cache-Control", "max-age=60, no-cache=\"x\"")
            .field("Age", "70")
            .body("body"),
    });
    let origin = Origin::new().otherwise(make).start().await;
    let hiding = "[[routes]]\nmatch = { path = \"/\" }\nresponse_fields = { remove = [\"CDN-Cache-Control\"] }\n";
    let gateway = Gateway::before_with(&origin, hiding).await;
    assert!(!gateway.get("/a").await.has("CDN-Cache-Control"));
    let renewed = gateway.get("/a").await;
    assert!(renewed.cache_status().contains("fwd-status=304; stored"), "{}", renewed.told());
    let hit = gateway.get("/a").await;
    assert!(hit.is_hit() && !hit.has("CDN-Cache-Control") && hit.text() == "body", "{}", hit.told());
}
