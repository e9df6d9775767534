use std::sync::Arc;

use super::*;
use crate::{
    access_log::AccessLog,
    config::{LogTarget, from_text},
    metrics::Registry,
    wire::saved,
};

const SHOP: &str = r#"
[cache]
capacity = "1MiB"
max_object = "64KiB"
[upstreams.app]
servers = ["10.0.0.1:3000", { address = "10.0.0.2:3000", weight = 2 }]
sticky = "cookie"
balance = "least-load"
[[routes]]
name = "secure"
match = { host = "shop.example.com" }
redirect = "https"
[[routes]]
name = "shop"
match = { host = "shop.example.com" }
upstream = "app"
body_limit = "1MiB"
cache = { key = { query = { ignore = "utm_*" }, sort_query = true, fields = "X-Country" }, stale_if_error = "1h", purge_from = "10.0.0.0/8" }
[[routes]]
name = "admin"
match = { host = "shop.example.com", path = "/admin", methods = ["GET", "POST"], fields = { Cookie = true } }
upstream = "app"
cache = false
[[routes]]
name = "elsewhere"
match = { host = "*.example.org" }
upstream = "app"
"#;

fn story(method: &str, url: &str, fields: &[(&str, &str)], answer: Option<&str>) -> String {
    let (mut config, _) = from_text("shop.toml", SHOP, |_| None).unwrap();
    config.access_log.target = LogTarget::Off;
    let registry = Registry::new();
    let log = AccessLog::start(&config.access_log, &registry).unwrap();
    let gateway = Gateway::new(Arc::new(config), &registry, log).unwrap();
    let fields: Vec<_> = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let request = saved::request(method, url, &fields).unwrap();
    let answer = answer.map(|text| saved::response(text).unwrap());
    let facts = gateway.explain(request, answer.as_ref());
    facts.iter().map(|(about, says)| format!("{about}: {says}\n")).collect()
}

#[test]
fn a_miss_is_told_with_its_route_backend_and_key() {
    let story = story("GET", "https://shop.example.com/a?b=1&a=2&utm_x=3", &[("X-Country", "DE")], None);
    insta::assert_snapshot!(story);
}

#[test]
fn an_answer_that_is_stored_is_told_with_its_terms() {
    let answer = "HTTP/2 200\ndate: Sun, 06 Nov 1994 08:49:37 GMT\ncache-control: max-age=600\nage: 60\netag: \"v1\"\n\
                  vary: Accept-Language\nsurrogate-key: a b\n";
    insta::assert_snapshot!(story("GET", "https://shop.example.com/a", &[("Accept-Language", "de")], Some(answer)));
}

#[test]
fn an_answer_that_is_not_stored_is_told_why() {
    let private = story("GET", "https://shop.example.com/a", &[], Some("HTTP/1.1 200 OK\nCache-Control: private\n"));
    insta::assert_snapshot!(private);
    let large = "HTTP/1.1 200 OK\nCache-Control: max-age=600\nContent-Length: 65537\n";
    assert!(story("GET", "https://shop.example.com/a", &[], Some(large)).contains("stored: no, too_large: "));
    let passed = [("Cache-Control", "no-store")];
    let fresh = "HTTP/1.1 200 OK\nCache-Control: max-age=600\n";
    let told = story("GET", "https://shop.example.com/a", &passed, Some(fresh));
    assert!(
        told.contains("cache: pass, request_no_store: ") && told.contains("stored: no, request_no_store: "),
        "{told}"
    );
}

#[test]
fn a_saved_206_is_told_as_the_part_that_it_would_be() {
    // RFC 9111 §3.3
    let part = "HTTP/1.1 206 Partial Content\nCache-Control: max-age=600\nETag: \"v\"\n\
                Content-Range: bytes 0-99/1000\nContent-Length: 100\n";
    let ranged = [("Range", "bytes=0-99")];
    let told = story("GET", "https://shop.example.com/a", &ranged, Some(part));
    assert!(told.contains("cache_status: tidegate; fwd=uri-miss; stored\nstored: yes\n"), "{told}");
    assert!(told.contains("part: bytes 0-99 of 1000\n"), "{told}");
    // Without its place, too large, forbidden, or to a request that asked for no part.
    for (from, to, reason) in [
        ("/1000", "/*", "partial"),
        ("bytes 0-99/1000\n", "bytes 0-9/1000\nX: y\n", "yes"),
        ("max-age=600", "private", "private"),
    ] {
        let told = story("GET", "https://shop.example.com/a", &ranged, Some(&part.replace(from, to)));
        let expected = if reason == "yes" { "stored: yes".to_owned() } else { format!("stored: no, {reason}: ") };
        assert!(told.contains(&expected), "{to}: {told}");
    }
    let unasked = story("GET", "https://shop.example.com/a", &[], Some(part));
    assert!(unasked.contains("; detail=partial\n") && unasked.contains("stored: no, partial: "), "{unasked}");
}

#[test]
fn the_answer_to_a_post_is_told_as_what_gets_would_have_of_it() {
    // RFC 9110 §9.3.3
    let own = "HTTP/1.1 200 OK\nCache-Control: max-age=600\nContent-Location: /a\n";
    let told = story("POST", "https://shop.example.com/a", &[], Some(own));
    assert!(told.contains("cache_status: tidegate; fwd=method; stored\nstored: yes\n"), "{told}");
    let told = story("POST", "https://shop.example.com/b", &[], Some(own));
    assert!(told.contains("cache_status: tidegate; fwd=method\nstored: no, method: "), "{told}");
    let told = story("POST", "https://shop.example.com/a", &[], Some(&own.replace("max-age", "no-store, x")));
    assert!(told.contains("fwd=method; detail=no_store\n"), "{told}");
}

#[test]
fn other_lanes_are_told() {
    insta::assert_snapshot!(
        [
            story("GET", "http://shop.example.com/a", &[], None),
            story("POST", "https://shop.example.com/a?utm_x=1", &[("Content-Length", "1048577")], None),
            story("PURGE", "https://shop.example.com/a", &[], None),
            story("GET", "https://shop.example.com/admin", &[("Cookie", "a=b")], None),
            story("GET", "https://example.net/", &[], None),
            story(
                "GET",
                "https://shop.example.com/socket",
                &[("Connection", "upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "12")],
                None
            ),
        ]
        .join("\n")
    );
}

#[test]
fn what_is_stored_is_told_as_it_is() {
    let (config, _) = from_text("small.toml", "upstream = \"a:1\"", |_| None).unwrap();
    let registry = Registry::new();
    let log = AccessLog::start(&config.access_log, &registry).unwrap();
    let gateway = Gateway::new(Arc::new(config), &registry, log).unwrap();
    let asked = || saved::request("GET", "http://example.com/a", &[]).unwrap();
    let head = saved::response("HTTP/1.1 200 OK\nCache-Control: max-age=600\n").unwrap();
    let (request, now) = (asked(), Now::read());
    let exchange = Exchange { request: &request, policy: &gateway.policies[0], requested: now, answered: now };
    let plan = gateway.cache.storable(&exchange, &head).unwrap();
    let mut key = Vec::new();
    key::build(&mut key, request.scheme, &request.authority, &request.target);
    gateway.cache.begin_unasked(&key, &request, now).store_whole(plan, &bytes::Bytes::from_static(b"body")).unwrap();
    let told = gateway.explain(asked(), Some(&head));
    let says = |about: &str| told.iter().find(|(name, _)| *name == about).map_or("", |(_, says)| says.as_str());
    assert!(says("cache").starts_with("hit: tidegate; hit; ttl="), "{told:?}");
    assert!(says("fresh_until").contains("GMT, for "), "{told:?}");
    assert_eq!(says("answer"), "not asked for: the stored one is given");
    assert!(!registry.render().contains("tidegate_cache_misses_total{reason=\"uri_miss\"} 1"));
    // And a 304 as what it would make of that (RFC 9111 §4.3.4).
    let news = |text: &str| {
        let fields = [("Cache-Control".to_owned(), "no-cache".to_owned())];
        let request = saved::request("GET", "http://example.com/a", &fields).unwrap();
        let told = gateway.explain(request, Some(&saved::response(text).unwrap()));
        told.iter().map(|(about, says)| format!("{about}: {says}\n")).collect::<String>()
    };
    let told = news("HTTP/1.1 304 Not Modified\nCache-Control: max-age=60\n");
    assert!(told.contains("fwd=request; fwd-status=304; stored") && told.contains("lifetime: 60 s"), "{told}");
    // A saved one was new when it was given, as another answer is.
    let told = news("HTTP/1.1 304 Not Modified\nDate: Sun, 06 Nov 1994 08:49:37 GMT\nCache-Control: max-age=60\n");
    assert!(told.contains("age: 0 s\nfresh_until: Sun, 06 Nov 1994 08:50:37 GMT, for 60 s\n"), "{told}");
    let told = news("HTTP/1.1 304 Not Modified\nCache-Control: private\n");
    assert!(told.contains("fwd-status=304; detail=private") && told.contains("stored: no, private"), "{told}");
    let told = news("HTTP/1.1 304 Not Modified\nETag: \"other\"\n");
    assert!(told.contains("answer: validator_mismatch: "), "{told}");
}
