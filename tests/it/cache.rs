//! What is kept and given again, and above all what is not.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use crate::support::*;

const DATE: &str = "Tue, 15 Nov 2044 08:12:31 GMT";

/// An origin whose answers carry their number and these fields.
async fn numbered(fields: &[(&str, &str)]) -> Origin {
    let fields: Vec<(String, String)> =
        fields.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let make = by(move |_, number| {
        fields
            .iter()
            .fold(reply(200), |answer, (name, value)| answer.field(name, value))
            .body(format!("answer {number}"))
    });
    Origin::new().otherwise(make).start().await
}

/// The field lines of `Cache-Control: max-age=60` and nothing else.
const FRESH: &[(&str, &str)] = &[("Cache-Control", "max-age=60")];

#[tokio::test]
async fn a_miss_is_stored_and_the_next_is_a_hit_with_age() {
    let origin =
        numbered(&[("Cache-Control", "max-age=60"), ("Date", DATE), ("ETag", "\"v1\""), ("X-Odd", "kept")]).await;
    let gateway = Gateway::before(&origin).await;
    let miss = gateway.get("/a").await;
    assert_eq!(miss.text(), "answer 1");
    assert!(!miss.has("Age") && miss.cache_status().contains("fwd=uri-miss"), "{}", show(&miss.raw));
    let hit = gateway.get("/a").await;
    assert_eq!((hit.status, hit.text().as_str()), (200, "answer 1"), "{}", show(&hit.raw));
    assert!(hit.is_hit() && hit.cache_status().contains("ttl="), "{}", show(&hit.raw));
    let age: u64 = hit.field("Age").unwrap_or("none").parse().unwrap();
    assert!(age < 30, "{}", show(&hit.raw));
    for (name, value) in [
        ("Date", DATE),
        ("ETag", "\"v1\""),
        ("X-Odd", "kept"),
        ("Cache-Control", "max-age=60"),
        ("Content-Length", "8"),
    ] {
        assert_eq!(hit.field(name), Some(value), "{}", show(&hit.raw));
    }
    assert_eq!(origin.requests().len(), 1);
}

#[tokio::test]
async fn a_received_age_counts_and_is_told() {
    let origin = numbered(&[("Cache-Control", "max-age=1000"), ("Age", "100")]).await;
    let gateway = Gateway::before(&origin).await;
    gateway.get("/a").await;
    let hit = gateway.get("/a").await;
    let age: u64 = hit.field("Age").unwrap_or("none").parse().unwrap();
    assert!(hit.is_hit() && (100..160).contains(&age), "{}", show(&hit.raw));
    let stale = numbered(&[("Cache-Control", "max-age=50"), ("Age", "100")]).await;
    let gateway = Gateway::before(&stale).await;
    gateway.get("/a").await;
    assert_eq!(gateway.get("/a").await.text(), "answer 2");
}

#[tokio::test]
async fn what_gives_no_lifetime_is_not_reused() {
    for fields in [
        &[][..],
        &[("Cache-Control", "public")],
        &[("ETag", "\"x\"")],
        &[("Cache-Control", "max-age=0")],
        &[("Expires", "0")],
    ] {
        let origin = numbered(fields).await;
        let gateway = Gateway::before(&origin).await;
        gateway.get("/a").await;
        assert_eq!(gateway.get("/a").await.text(), "answer 2", "{fields:?}");
    }
}

#[tokio::test]
async fn what_is_private_or_not_to_be_stored_is_not() {
    for fields in [
        &[("Cache-Control", "no-store, max-age=60")][..],
        &[("Cache-Control", "private, max-age=60")],
        &[("cache-control", "max-age=60"), ("CACHE-CONTROL", "PRIVATE")],
        &[("Cache-Control", "max-age=60"), ("Vary", "Accept, *")],
        &[("Cache-Control", "max-age=60"), ("Set-Cookie", "session=secret")],
        &[("Cache-Control", "ext=\"max-age=60\", max-age=0")],
    ] {
        let origin = numbered(fields).await;
        let gateway = Gateway::before(&origin).await;
        gateway.get("/a").await;
        let second = gateway.get("/a").await;
        assert!(second.text() == "answer 2" && !second.is_hit(), "{fields:?}\n{}", show(&second.raw));
    }
}

#[tokio::test]
async fn a_set_cookie_is_stored_only_by_explicit_wish() {
    let origin = numbered(&[("Cache-Control", "public, max-age=60"), ("Set-Cookie", "theme=dark")]).await;
    let gateway = Gateway::before(&origin).await;
    gateway.get("/a").await;
    assert!(gateway.get("/a").await.is_hit());
}

#[tokio::test]
async fn answers_to_authorization_are_not_shared() {
    let origin = numbered(FRESH).await;
    let gateway = Gateway::before(&origin).await;
    let secret = [("Authorization", "Basic c2VjcmV0")];
    assert_eq!(gateway.get_with("/a", &secret).await.text(), "answer 1");
    assert_eq!(gateway.get("/a").await.text(), "answer 2");
    let origin = numbered(&[("Cache-Control", "public, max-age=60")]).await;
    let gateway = Gateway::before(&origin).await;
    gateway.get_with("/a", &secret).await;
    assert!(gateway.get("/a").await.is_hit(), "RFC 9111 §3.5");
}

#[tokio::test]
async fn variants_live_side_by_side() {
    let make = by(|seen, number| {
        let language = seen.field("Accept-Language").unwrap_or("none");
        reply(200)
            .field("Cache-Control", "max-age=60")
            .field("Vary", "Accept-Language")
            .body(format!("{language} {number}"))
    });
    let origin = Origin::new().otherwise(make).start().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    for round in 0..2 {
        for (at, language) in ["de", "fr"].iter().enumerate() {
            let answer = client.get_with("/v", &[("Accept-Language", language)]).await;
            assert_eq!(
                (answer.text(), answer.is_hit()),
                (format!("{language} {}", at + 1), round == 1),
                "{}",
                client.transcript()
            );
        }
    }
    assert_eq!(client.get("/v").await.text(), "none 3");
}

#[tokio::test]
async fn hosts_ports_paths_and_queries_are_told_apart() {
    let origin = numbered(FRESH).await;
    let gateway = Gateway::before(&origin).await;
    let urls = [
        ("a.test", "/p"),
        ("b.test", "/p"),
        ("a.test:81", "/p"),
        ("a.test", "/P"),
        ("a.test", "/p/"),
        ("a.test", "/p?"),
        ("a.test", "/p?a=1&b=2"),
        ("a.test", "/p?b=2&a=1"),
        ("a.test", "/%70"),
        ("a.test", "//p"),
        ("a.test", "/./p"),
    ];
    for (host, target) in urls {
        assert!(!gateway.get_with(target, &[("Host", host)]).await.is_hit(), "{host} {target}");
    }
    for (host, target) in urls {
        assert!(gateway.get_with(target, &[("Host", host)]).await.is_hit(), "{host} {target}");
    }
    assert_eq!(origin.requests().len(), urls.len());
}

#[tokio::test]
async fn clients_conditions_are_answered_from_the_store() {
    let last_modified = "Mon, 14 Nov 2044 08:12:31 GMT";
    let origin = numbered(&[
        ("Cache-Control", "max-age=60"),
        ("ETag", "\"v1\""),
        ("Last-Modified", "Mon, 14 Nov 2044 08:12:31 GMT"),
        ("Date", DATE),
        ("Vary", "Accept"),
    ])
    .await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    client.get("/a").await;
    for condition in [
        ("If-None-Match", "\"v1\""),
        ("If-None-Match", "W/\"v1\""),
        ("If-None-Match", "\"x\", \"v1\""),
        ("If-None-Match", "*"),
        ("If-Modified-Since", last_modified),
    ] {
        let answer = client.get_with("/a", &[condition]).await;
        assert_eq!((answer.status, answer.body.len()), (304, 0), "{condition:?}\n{}", client.transcript());
        assert_eq!(
            (answer.field("ETag"), answer.field("Date"), answer.field("Vary")),
            (Some("\"v1\""), Some(DATE), Some("Accept"))
        );
    }
    for conditions in
        [&[("If-None-Match", "\"v2\"")][..], &[("If-None-Match", "\"v2\""), ("If-Modified-Since", last_modified)]]
    {
        let answer = client.get_with("/a", conditions).await;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, "answer 1"),
            "{conditions:?}\n{}",
            client.transcript()
        );
    }
    assert_eq!(origin.requests().len(), 1, "{}", origin.log());
}

#[tokio::test]
async fn head_is_answered_from_a_stored_get() {
    let origin = numbered(FRESH).await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    client.get("/a").await;
    let head = client.ask("HEAD", "/a", &[], b"").await;
    assert!(head.is_hit() && head.field("Content-Length") == Some("8"), "{}", client.transcript());
    assert!(client.get("/a").await.is_hit());
    assert_eq!(origin.requests().len(), 1);
}

#[tokio::test]
async fn a_head_is_not_stored_as_a_get() {
    let origin = numbered(FRESH).await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    client.ask("HEAD", "/a", &[], b"").await;
    let answer = client.get("/a").await;
    assert!(answer.text().starts_with("answer "), "{}", client.transcript());
}

#[tokio::test]
async fn a_stale_answer_is_validated_and_a_304_renews_it() {
    let make = by(|seen, number| match seen.field("If-None-Match") {
        None => reply(200)
            .field("Cache-Control", "max-age=0")
            .field("ETag", "W/\"v1\"")
            .field("X-Count", "1")
            .field("X-Old", "stays")
            .body("body"),
        Some(_) => reply(304)
            .field("Cache-Control", "max-age=60")
            .field("ETag", "W/\"v1\"")
            .field("X-Count", &number.to_string()),
    });
    let origin = Origin::new().otherwise(make).start().await;
    let gateway = Gateway::before(&origin).await;
    gateway.get("/a").await;
    let renewed = gateway.get("/a").await;
    assert_eq!((renewed.status, renewed.text().as_str()), (200, "body"), "{}", show(&renewed.raw));
    assert_eq!(
        (renewed.field("X-Count"), renewed.field("X-Old")),
        (Some("2"), Some("stays")),
        "{}",
        show(&renewed.raw)
    );
    assert!(renewed.cache_status().contains("fwd=stale"), "{}", show(&renewed.raw));
    let hit = gateway.get("/a").await;
    assert!(hit.is_hit() && hit.text() == "body" && hit.field("X-Count") == Some("2"), "{}", show(&hit.raw));
    assert_eq!(origin.requests()[1].field("If-None-Match"), Some("W/\"v1\""), "{}", origin.log());
}

#[tokio::test]
async fn a_200_to_a_validation_replaces_what_was_stored() {
    let make = by(|_, number| {
        let age = if number == 1 { "max-age=0" } else { "max-age=60" };
        reply(200).field("Cache-Control", age).field("ETag", &format!("\"{number}\"")).body(format!("body {number}"))
    });
    let origin = Origin::new().otherwise(make).start().await;
    let gateway = Gateway::before(&origin).await;
    gateway.get("/a").await;
    assert_eq!(gateway.get("/a").await.text(), "body 2");
    let hit = gateway.get("/a").await;
    assert!(hit.is_hit() && hit.text() == "body 2", "{}", show(&hit.raw));
}

#[tokio::test]
async fn fifty_clients_on_a_cold_key_cost_one_request_and_stream_together() {
    let (release, released) = watch::channel(false);
    let slow = script(move |mut talk| {
        let mut released = released.clone();
        async move {
            talk.send("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 300000\r\n\r\n").await;
            talk.send(pattern(0, 100_000)).await;
            released.wait_for(|go| *go).await.unwrap();
            talk.send(pattern(100_000, 200_000)).await;
            talk.keep()
        }
    });
    let origin = Origin::new().on("/cold", slow).start().await;
    let gateway = Gateway::before(&origin).await;
    let mut clients = Vec::new();
    for _ in 0..50 {
        let mut client = gateway.connect().await;
        client.send("GET /cold HTTP/1.1\r\nHost: a\r\n\r\n").await;
        clients.push(client);
    }
    for client in &mut clients {
        assert_eq!(client.head().await.field("Content-Length"), Some("300000"));
        // Half of it is here before the rest exists: nobody waits for the whole.
        assert!(client.bytes(100_000).await == pattern(0, 100_000));
    }
    release.send_replace(true);
    for client in &mut clients {
        assert!(client.bytes(200_000).await == pattern(100_000, 200_000));
    }
    assert_eq!(origin.requests_for("/cold").len(), 1, "{}", origin.log());
}

#[tokio::test]
async fn a_first_client_that_leaves_does_not_stop_the_others() {
    let (release, released) = watch::channel(false);
    let slow = script(move |mut talk| {
        let mut released = released.clone();
        async move {
            talk.send("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 10\r\n\r\nfirst").await;
            released.wait_for(|go| *go).await.unwrap();
            talk.send("after").await;
            talk.keep()
        }
    });
    let origin = Origin::new().on("/cold", slow).start().await;
    let gateway = Gateway::before(&origin).await;
    let get = "GET /cold HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut leader = gateway.connect().await;
    leader.send(get).await;
    leader.head().await;
    leader.bytes(5).await;
    let mut follower = gateway.connect().await;
    follower.send(get).await;
    follower.head().await;
    drop(leader);
    release.send_replace(true);
    assert_eq!(follower.bytes(10).await, b"firstafter");
    assert_eq!(origin.requests_for("/cold").len(), 1, "{}", origin.log());
}

#[tokio::test]
async fn a_slow_reader_does_not_hold_the_others() {
    let large = reply(200).field("Cache-Control", "max-age=60").body(pattern(0, 8 << 20));
    let origin = Origin::new().on("/large", large).start().await;
    let gateway = Gateway::before(&origin).await;
    let mut slow = gateway.connect().await;
    slow.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n").await;
    slow.head().await;
    let quick = gateway.get("/large").await;
    assert!(quick.body == pattern(0, 8 << 20), "{} bytes", quick.body.len());
    assert!(slow.bytes(8 << 20).await == quick.body);
    assert_eq!(origin.requests_for("/large").len(), 1);
}

#[tokio::test]
async fn uncacheable_answers_are_not_queued_for() {
    let (release, released) = watch::channel(0);
    let personal = script(move |mut talk| {
        let mut released = released.clone();
        async move {
            let number = talk.number;
            talk.send("HTTP/1.1 200 OK\r\nCache-Control: private\r\nTransfer-Encoding: chunked\r\n\r\n").await;
            released.wait_for(|go| *go >= number).await.unwrap();
            talk.chunk(&format!("for {number}")).await;
            talk.send("0\r\n\r\n").await;
            talk.keep()
        }
    });
    let origin = Origin::new().on("/me", personal).start().await;
    let gateway = Gateway::before(&origin).await;
    let mut clients = Vec::new();
    for _ in 0..10 {
        let mut client = gateway.connect().await;
        client.send("GET /me HTTP/1.1\r\nHost: a\r\n\r\n").await;
        clients.push(client);
    }
    // All ten are at the origin before any of them is answered to its end.
    origin.reached("/me", 10).await;
    release.send_replace(100);
    let mut texts = std::collections::HashSet::new();
    for client in &mut clients {
        texts.insert(client.answer().await.text());
    }
    assert_eq!(texts.len(), 10, "everybody got an answer of their own: {texts:?}");
    // What is known to be uncacheable is not queued for from the start either.
    release.send_replace(0);
    for client in &mut clients {
        client.send("GET /me HTTP/1.1\r\nHost: a\r\n\r\n").await;
    }
    origin.reached("/me", 20).await;
    release.send_replace(100);
}

#[tokio::test]
async fn a_fill_that_is_cut_is_an_error_to_all_and_is_not_stored() {
    let (release, released) = watch::channel(false);
    let cutting = script(move |mut talk| {
        let mut released = released.clone();
        async move {
            if talk.number > 1 {
                return talk.answer(&reply(200).field("Cache-Control", "max-age=60").body("whole")).await;
            }
            talk.send("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 100\r\n\r\nhalf").await;
            released.wait_for(|go| *go).await.unwrap();
            talk.close().await
        }
    });
    let origin = Origin::new().on("/cut", cutting).start().await;
    let gateway = Gateway::before(&origin).await;
    let mut clients = Vec::new();
    for _ in 0..5 {
        let mut client = gateway.connect().await;
        client.send("GET /cut HTTP/1.1\r\nHost: a\r\n\r\n").await;
        client.head().await;
        assert_eq!(client.bytes(4).await, b"half");
        clients.push(client);
    }
    release.send_replace(true);
    for client in &mut clients {
        client.closed().await;
    }
    let again = gateway.get("/cut").await;
    assert!(!again.is_hit() && again.text() == "whole", "{}", show(&again.raw));
    assert!(gateway.get("/cut").await.is_hit());
}

#[tokio::test]
async fn a_successful_unsafe_method_invalidates() {
    let origin = Origin::new()
        .otherwise(by(|seen, number| match (seen.method.as_str(), seen.path()) {
            ("GET", _) => reply(200).field("Cache-Control", "max-age=60").body(format!("answer {number}")),
            (_, "/fails") => reply(500),
            _ => reply(204),
        }))
        .start()
        .await;
    let gateway = Gateway::before(&origin).await;
    for method in ["POST", "PUT", "DELETE", "PATCH", "FOO"] {
        let path = format!("/{}", method.to_lowercase());
        gateway.get(&path).await;
        assert!(gateway.get(&path).await.is_hit());
        gateway.ask(method, &path, &[], b"").await;
        assert!(!gateway.get(&path).await.is_hit(), "{method}\n{}", origin.log());
    }
    gateway.get("/fails").await;
    gateway.ask("POST", "/fails", &[], b"").await;
    assert!(gateway.get("/fails").await.is_hit(), "a failed one invalidates nothing");
    gateway.get("/safe").await;
    gateway.ask("OPTIONS", "/safe", &[], b"").await;
    assert!(gateway.get("/safe").await.is_hit(), "a safe one invalidates nothing");
}

#[tokio::test]
async fn fields_outside_the_key_do_not_poison() {
    // The worst of origins: it builds its page from every field that it gets.
    let echo = by(|seen, _| reply(200).field("Cache-Control", "max-age=60").body(&seen.raw));
    let origin = Origin::new().otherwise(echo).start().await;
    let gateway = Gateway::before(&origin).await;
    for (at, name) in [
        "X-Forwarded-Host",
        "X-Forwarded-For",
        "X-Forwarded-Proto",
        "X-Forwarded-Port",
        "X-Forwarded-Prefix",
        "Forwarded",
        "X-Real-IP",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-HTTP-Method-Override",
        "X-Host",
        "X_Forwarded_Host",
    ]
    .iter()
    .enumerate()
    {
        let path = format!("/{at}");
        gateway.get_with(&path, &[(name, "evil.test")]).await;
        let victim = gateway.get(&path).await;
        assert!(!victim.text().contains("evil.test"), "{name} reached another client:\n{}", victim.text());
    }
}

#[tokio::test]
async fn a_get_with_a_body_is_neither_stored_nor_answered_from_the_store() {
    let echo = by(|seen, number| {
        reply(200).field("Cache-Control", "max-age=60").body(format!("{number}{}", seen.body.escape_ascii()))
    });
    let origin = Origin::new().otherwise(echo).start().await;
    let gateway = Gateway::before(&origin).await;
    assert_eq!(gateway.ask("GET", "/fat", &[], b"evil").await.text(), "1evil");
    assert_eq!(gateway.get("/fat").await.text(), "2");
    assert_eq!(gateway.ask("GET", "/fat", &[], b"more").await.text(), "3more");
    assert!(gateway.get("/fat").await.is_hit());
}

#[tokio::test]
async fn clients_cache_control_is_honoured() {
    let origin = numbered(FRESH).await;
    let gateway = Gateway::before(&origin).await;
    gateway.get("/a").await;
    let reload = gateway.get_with("/a", &[("Cache-Control", "no-cache")]).await;
    assert_eq!(reload.text(), "answer 2");
    assert_eq!(gateway.get_with("/a", &[("Pragma", "no-cache")]).await.text(), "answer 3");
    assert!(gateway.get_with("/a", &[("Cache-Control", "only-if-cached")]).await.is_hit());
    assert_eq!(gateway.get_with("/b", &[("Cache-Control", "only-if-cached")]).await.status, 504);
    gateway.get_with("/c", &[("Cache-Control", "no-store")]).await;
    assert!(!gateway.get("/c").await.is_hit(), "what was asked for with no-store is not kept");
}

#[tokio::test]
async fn a_stale_answer_stands_in_for_a_dead_backend_unless_it_forbids_that() {
    for (control, stands_in) in
        [("max-age=0", true), ("max-age=0, must-revalidate", false), ("no-cache", false), ("s-maxage=0", false)]
    {
        let make = script(move |mut talk| async move {
            if talk.number > 1 {
                return Next::Close;
            }
            talk.read_body().await;
            talk.send(reply(200).field("Cache-Control", control).field("ETag", "\"v\"").body("old").bytes("GET")).await;
            talk.keep()
        });
        let origin = Origin::new().on("/a", make).start().await;
        let gateway = Gateway::before(&origin).await;
        assert_eq!(gateway.get("/a").await.text(), "old");
        let later = gateway.get("/a").await;
        if stands_in {
            assert_eq!((later.status, later.text().as_str()), (200, "old"), "{control}\n{}", show(&later.raw));
        } else {
            assert!(later.status == 502 || later.status == 504, "{control}\n{}", show(&later.raw));
        }
    }
}

#[tokio::test]
async fn hits_are_counted_and_logged() {
    let origin = numbered(FRESH).await;
    let gateway = Gateway::before(&origin).await;
    for _ in 0..3 {
        gateway.get("/a").await;
    }
    gateway.logged("a hit", |line| line.to_string().contains("\"hit\"")).await;
    let hits = eventually("two hits among the metrics", async || {
        let text = gateway.metrics().await;
        let line = text.lines().find(|line| line.contains("\"hit\"") && line.ends_with(" 2"))?.to_owned();
        Some(line)
    });
    hits.await;
}

#[tokio::test]
async fn what_is_too_large_to_store_passes_and_the_bound_holds() {
    let make = by(|_, number| reply(200).field("Cache-Control", "max-age=60").body(pattern(number as u64, 2 << 20)));
    let origin = Origin::new().otherwise(make).start().await;
    let gateway = Gateway::before_with(&origin, "[cache]\ncapacity = \"8MiB\"\nmax_object = \"1MiB\"\n").await;
    for number in 1..3 {
        let answer = gateway.get("/big").await;
        assert!(answer.body == pattern(number, 2 << 20) && !answer.is_hit(), "{}", show(&answer.raw));
    }
}

#[tokio::test]
async fn capacity_zero_and_a_switched_off_route_store_nothing() {
    let origin = numbered(FRESH).await;
    let off = Gateway::before_with(&origin, "[cache]\ncapacity = \"0\"\n").await;
    off.get("/a").await;
    assert_eq!(off.get("/a").await.text(), "answer 2");
    let route = Gateway::before_with(&origin, "[[routes]]\nmatch = { path = \"/b\" }\ncache = false\n").await;
    route.get("/b").await;
    assert_eq!(route.get("/b").await.text(), "answer 2");
    route.get("/c").await;
    assert!(route.get("/c").await.is_hit());
}

#[tokio::test]
async fn errors_without_explicit_freshness_are_not_stored() {
    let make = by(|seen, number| reply(seen.path()[1..].parse().unwrap()).body(format!("answer {number}")));
    let origin = Origin::new().otherwise(make).start().await;
    let gateway = Gateway::before(&origin).await;
    for status in ["400", "404", "410", "431", "500", "502", "503"] {
        let path = format!("/{status}");
        gateway.get(&path).await;
        assert_eq!(gateway.get(&path).await.text(), "answer 2", "{status}");
    }
}

#[tokio::test]
async fn interim_answers_are_not_replayed() {
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 2\r\n\r\nok";
    let origin = Origin::new().on("/", hints).start().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    client.get("/").await;
    client.send("GET / HTTP/1.1\r\nHost: example.test\r\n\r\n").await;
    let head = client.head().await;
    assert!(head.status == 200 && head.is_hit() && !head.has("Link"), "{}", client.transcript());
}

#[tokio::test]
async fn pipelined_hits_come_in_order() {
    let make = by(|seen, _| reply(200).field("Cache-Control", "max-age=60").body(&seen.target));
    let origin = Origin::new().otherwise(make).start().await;
    let gateway = Gateway::before(&origin).await;
    let paths: Vec<String> = (0..50).map(|at| format!("/{}", at % 7)).collect();
    let requests: String = paths.iter().map(|path| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
    let mut client = gateway.connect().await;
    client.send(requests).await;
    for path in &paths {
        assert_eq!(&client.answer().await.text(), path, "{}", client.transcript());
    }
    assert_eq!(origin.requests().len(), 7);
}

#[tokio::test]
async fn an_answer_is_stored_whatever_its_framing() {
    let (told, mut tell) = mpsc::unbounded_channel();
    let told = Arc::new(told);
    let until_close = script(move |mut talk| {
        let told = told.clone();
        async move {
            talk.read_body().await;
            talk.send("HTTP/1.1 200 OK\r\nConnection: close\r\nCache-Control: max-age=60\r\n\r\nto the end").await;
            told.send(()).unwrap();
            talk.close().await
        }
    });
    let chunked = reply(200).field("Cache-Control", "max-age=60").body("in chunks").chunked();
    let origin = Origin::new().on("/close", until_close).on("/chunked", chunked).start().await;
    let gateway = Gateway::before(&origin).await;
    for (path, text) in [("/close", "to the end"), ("/chunked", "in chunks")] {
        assert_eq!(gateway.get(path).await.text(), text);
        let hit = gateway.get(path).await;
        assert!(hit.is_hit() && hit.text() == text && !hit.has("Connection"), "{path}\n{}", show(&hit.raw));
    }
    tell.recv().await.unwrap();
}
