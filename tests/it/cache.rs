//! What is kept and given again, and above all what is not.

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
    assert!(!miss.has("Age") && miss.cache_status().contains("fwd=uri-miss"), "{}", miss.told());
    let hit = gateway.get("/a").await;
    assert_eq!((hit.status, hit.text().as_str()), (200, "answer 1"), "{}", hit.told());
    assert!(hit.is_hit() && hit.cache_status().contains("ttl="), "{}", hit.told());
    let age: u64 = hit.field("Age").unwrap_or("none").parse().unwrap();
    assert!(age < 30, "{}", hit.told());
    for (name, value) in [
        ("Date", DATE),
        ("ETag", "\"v1\""),
        ("X-Odd", "kept"),
        ("Cache-Control", "max-age=60"),
        ("Content-Length", "8"),
    ] {
        assert_eq!(hit.field(name), Some(value), "{}", hit.told());
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
    assert!(hit.is_hit() && (100..160).contains(&age), "{}", hit.told());
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
        assert!(second.text() == "answer 2" && !second.is_hit(), "{fields:?}\n{}", second.told());
    }
}

#[tokio::test]
async fn a_set_cookie_is_stored_only_by_explicit_wish() {
    let origin = numbered(&[("Cache-Control", "public, max-age=60"), ("Set-Cookie", "theme=dark")]).await;
    let gateway = Gateway::before(&origin).await;
    gateway.get("/a").await;
    gateway.get("/a").await.must_hit();
}

#[tokio::test]
async fn a_date_does_not_tell_the_pages_of_two_people_apart() {
    let page = by(|seen, _| match seen.field("If-Modified-Since") {
        // As many a backend does that chooses a file by a cookie: this one is no newer than that.
        Some(_) => reply(304),
        None => reply(200)
            .field("Last-Modified", "Sat, 01 Jun 2024 00:00:00 GMT")
            .body(format!("for {}", seen.field("Cookie").unwrap_or("nobody"))),
    });
    let origin = Origin::new().otherwise(page).start().await;
    let gateway = Gateway::before(&origin).await;
    for first in ["uid=alice", ""] {
        let path = format!("/page{}", first.len());
        let get = async |cookie: &str| match cookie {
            "" => gateway.get(&path).await.text(),
            _ => gateway.get_with(&path, &[("Cookie", cookie)]).await.text(),
        };
        get(first).await;
        for _ in 0..2 {
            assert_eq!(get("uid=bob").await, "for uid=bob", "{first}");
            assert_eq!(get("uid=alice").await, "for uid=alice", "{first}");
            assert_eq!(get("").await, "for nobody", "{first}");
        }
    }
    // Of whoever has none it may be guessed as ever.
    gateway.get("/page0").await.must_hit();
}

#[tokio::test]
async fn what_is_kept_for_its_tag_alone_is_given_to_nobody_unasked() {
    let page = script(|talk| async move {
        let cookie = talk.request.field("Cookie").unwrap_or("nobody").to_owned();
        let own = reply(200).field("ETag", &format!("\"{cookie}\"")).body(format!("for {cookie}"));
        if talk.number > 2 { Next::Close } else { talk.answer(&own).await }
    });
    let origin = Origin::new().otherwise(page).start().await;
    let gateway = Gateway::before(&origin).await;
    let alice = gateway.get_with("/", &[("Cookie", "uid=alice")]).await;
    assert_eq!(alice.text(), "for uid=alice");
    assert!(alice.cache_status().contains("stored"), "{}", alice.told());
    let greedy = [("Cookie", "uid=bob"), ("Cache-Control", "max-stale=100000")];
    assert_eq!(gateway.get_with("/", &greedy).await.text(), "for uid=bob");
    // The backend is gone.
    for fields in [&greedy[..], &[("Cookie", "uid=alice")], &[]] {
        assert_eq!(gateway.get_with("/", fields).await.status, 502, "{fields:?}");
    }
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
    // RFC 9111 §3.5.
    gateway.get("/a").await.must_hit();
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
        gateway.get_with(target, &[("Host", host)]).await.must_miss();
    }
    for (host, target) in urls {
        gateway.get_with(target, &[("Host", host)]).await.must_hit();
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
    client.get("/a").await.must_hit();
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
    assert_eq!((renewed.status, renewed.text().as_str()), (200, "body"), "{}", renewed.told());
    assert_eq!((renewed.field("X-Count"), renewed.field("X-Old")), (Some("2"), Some("stays")), "{}", renewed.told());
    assert!(renewed.cache_status().contains("fwd=stale"), "{}", renewed.told());
    let hit = gateway.get("/a").await;
    assert!(hit.is_hit() && hit.text() == "body" && hit.field("X-Count") == Some("2"), "{}", hit.told());
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
    assert!(hit.is_hit() && hit.text() == "body 2", "{}", hit.told());
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
        gateway.get(&path).await.must_hit();
        gateway.ask(method, &path, &[], b"").await;
        gateway.get(&path).await.must_miss();
    }
    gateway.get("/fails").await;
    gateway.ask("POST", "/fails", &[], b"").await;
    // A failed one invalidates nothing, and neither does a safe one.
    gateway.get("/fails").await.must_hit();
    gateway.get("/safe").await;
    gateway.ask("OPTIONS", "/safe", &[], b"").await;
    gateway.get("/safe").await.must_hit();
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
        "X.Forwarded.Host",
        "X-Scheme",
        "X-Proxy-Host",
        "Front-End-Https",
        "True-Client-IP",
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
    gateway.get("/fat").await.must_hit();
}

#[tokio::test]
async fn clients_cache_control_is_honoured() {
    let origin = numbered(FRESH).await;
    let gateway = Gateway::before(&origin).await;
    gateway.get("/a").await;
    let reload = gateway.get_with("/a", &[("Cache-Control", "no-cache")]).await;
    assert_eq!(reload.text(), "answer 2");
    assert_eq!(gateway.get_with("/a", &[("Pragma", "no-cache")]).await.text(), "answer 3");
    gateway.get_with("/a", &[("Cache-Control", "only-if-cached")]).await.must_hit();
    assert_eq!(gateway.get_with("/b", &[("Cache-Control", "only-if-cached")]).await.status, 504);
    gateway.get_with("/c", &[("Cache-Control", "no-store")]).await;
    // What was asked for with no-store is not kept.
    gateway.get("/c").await.must_miss();
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
            assert_eq!((later.status, later.text().as_str()), (200, "old"), "{control}\n{}", later.told());
        } else {
            assert!(later.status == 502 || later.status == 504, "{control}\n{}", later.told());
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
async fn capacity_zero_and_a_switched_off_route_store_nothing() {
    let origin = numbered(FRESH).await;
    let off = Gateway::before_with(&origin, "[cache]\ncapacity = \"0\"\n").await;
    off.get("/a").await;
    assert_eq!(off.get("/a").await.text(), "answer 2");
    let route = Gateway::before_with(&origin, "[[routes]]\nmatch = { path = \"/b\" }\ncache = false\n").await;
    route.get("/b").await;
    assert_eq!(route.get("/b").await.text(), "answer 2");
    route.get("/c").await;
    route.get("/c").await.must_hit();
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
async fn a_field_that_goes_no_further_than_the_gateway_chooses_no_variant() {
    let make = by(|seen, _| {
        let language = seen.field("Accept-Language").unwrap_or("none");
        reply(200).field("Cache-Control", "max-age=60").field("Vary", "Accept-Language").body(language)
    });
    let origin = Origin::new().otherwise(make).start().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    let nominating = [("Connection", "Accept-Language"), ("Accept-Language", "de")];
    assert_eq!(client.get_with("/v", &nominating).await.text(), "none");
    assert_eq!(client.get_with("/v", &[("Accept-Language", "de")]).await.text(), "de", "{}", client.transcript());
    client.get("/v").await.must_hit();
}

#[tokio::test]
async fn what_depends_on_who_the_client_is_is_not_shared() {
    for name in ["X-Forwarded-For", "X-Real-IP", "Accept, Forwarded"] {
        let origin = numbered(&[("Cache-Control", "max-age=60"), ("Vary", name)]).await;
        let gateway = Gateway::before(&origin).await;
        gateway.get("/a").await;
        assert_eq!(gateway.get("/a").await.text(), "answer 2", "{name}");
    }
}

#[tokio::test]
async fn what_fields_route_apart_is_stored_apart_and_invalidated_together() {
    let side = by(|seen, number| {
        let side = seen.field("X-Side").unwrap_or("plain");
        reply(200).field("Cache-Control", "max-age=60").body(format!("{side} {number}"))
    });
    let origin = Origin::new().otherwise(side).start().await;
    let routes = "[[routes]]\nmatch = { path = \"/\", fields = { \"X-Beta\" = \"1\" } }\n\
                  request_fields = { set = { \"X-Side\" = \"beta\" } }\n\
                  [[routes]]\nmatch = { path = \"/\", methods = [\"POST\"] }\ncache = false\n";
    let gateway = Gateway::before_with(&origin, routes).await;
    let mut client = gateway.connect().await;
    let beta = [("X-Beta", "1")];
    for round in [[1, 2], [4, 5]] {
        for _ in 0..2 {
            assert_eq!(client.get("/a").await.text(), format!("plain {}", round[0]), "{}", client.transcript());
            assert_eq!(client.get_with("/a", &beta).await.text(), format!("beta {}", round[1]));
        }
        // RFC 9111 §4.4: it changes the resource, whatever route it takes.
        client.ask("POST", "/a", &[], b"").await;
    }
}

#[tokio::test]
async fn conditions_on_what_is_not_stored_reach_the_backend() {
    let make = by(|seen, _| match seen.field("If-None-Match") {
        Some("\"v1\"") => reply(304).field("ETag", "\"v1\"").field("Cache-Control", "private"),
        _ => reply(200).field("ETag", "\"v1\"").field("Cache-Control", "private").body("mine"),
    });
    let origin = Origin::new().otherwise(make).start().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    let condition = [("If-None-Match", "\"v1\"")];
    client.get("/a").await;
    // The first may have been asked for everybody; from then on it is known that there is no everybody.
    client.get_with("/a", &condition).await;
    for _ in 0..3 {
        let answer = client.get_with("/a", &condition).await;
        assert_eq!(answer.status, 304, "{}", client.transcript());
        assert_eq!(answer.cache_status(), "tidegate; fwd=uri-miss; detail=private");
    }
    assert_eq!(client.get("/a").await.text(), "mine");
}

#[tokio::test]
async fn an_error_to_a_validation_leaves_what_is_stored_however_fresh_it_says_it_is() {
    for (status, control) in [(500, "no-store"), (503, "max-age=600")] {
        let make = by(move |_, number| match number {
            1 => reply(200).field("Cache-Control", "max-age=0").field("ETag", "\"v\"").body("old"),
            2 => reply(status).field("Cache-Control", control).body("trouble"),
            _ => reply(304).field("ETag", "\"v\""),
        });
        let origin = Origin::new().otherwise(make).start().await;
        let gateway = Gateway::before(&origin).await;
        let mut client = gateway.connect().await;
        client.get("/a").await;
        let trouble = client.get("/a").await;
        assert_eq!((trouble.status, trouble.text().as_str()), (status, "trouble"));
        assert_eq!(trouble.cache_status(), "tidegate; fwd=stale; detail=server_error");
        let after = client.get("/a").await;
        assert_eq!((after.status, after.text().as_str()), (200, "old"), "RFC 9111 §4.3.3\n{}", client.transcript());
        assert_eq!(after.cache_status(), "tidegate; fwd=stale; fwd-status=304; stored");
    }
}

#[tokio::test]
async fn a_stale_answer_stands_in_for_an_error_where_it_says_so_and_for_head_too() {
    let make = by(|_, number| match number {
        1 => {
            let control = "max-age=0, stale-if-error=600";
            reply(200).field("Cache-Control", control).field("ETag", "\"v\"").body("old")
        }
        _ => reply(503).body("trouble"),
    });
    let origin = Origin::new().otherwise(make).start().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    client.get("/a").await;
    for method in ["GET", "HEAD"] {
        let answer = client.ask(method, "/a", &[], b"").await;
        assert_eq!((answer.status, answer.field("Content-Length")), (200, Some("3")), "{}", client.transcript());
        assert!(answer.cache_status().starts_with("tidegate; fwd=stale; fwd-status=503; ttl="), "{}", answer.told());
    }
}

#[tokio::test]
async fn a_304_does_not_undo_the_routes_edits() {
    let make = by(|seen, _| {
        let answer = if seen.has("If-None-Match") { reply(304) } else { reply(200).body("body") };
        answer
            .field("Cache-Control", "max-age=0")
            .field("ETag", "\"v\"")
            .field("X-Powered-By", "secret")
            .field("X-Own", "b")
    });
    let origin = Origin::new().otherwise(make).start().await;
    let edits = "[[routes]]\nmatch = { path = \"/\" }\nresponse_fields = { remove = [\"X-Powered-By\"], \
                 set = { \"X-Own\" = \"ours\" }, add = { \"X-More\" = \"1\", \"ETag-Too\" = \"2\" } }\n";
    let gateway = Gateway::before_with(&origin, edits).await;
    let mut client = gateway.connect().await;
    for _ in 0..3 {
        let answer = client.get("/a").await;
        assert!(!answer.has("X-Powered-By"), "{}", client.transcript());
        assert_eq!(answer.all("X-Own"), ["ours"]);
        assert_eq!((answer.all("X-More"), answer.all("ETag-Too")), (vec!["1"], vec!["2"]));
    }
}

#[tokio::test]
async fn an_answer_without_content_announces_no_length() {
    let origin = Origin::new().otherwise(by(|_, _| reply(204).field("Cache-Control", "max-age=60"))).start().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    for _ in 0..2 {
        let answer = client.get("/a").await;
        // RFC 9110 §8.6
        assert!(answer.status == 204 && !answer.has("Content-Length"), "{}", client.transcript());
    }
    client.get("/a").await.must_hit();
}

#[tokio::test]
async fn only_if_cached_never_reaches_the_backend() {
    let origin = numbered(FRESH).await;
    let gateway = Gateway::before(&origin).await;
    for also in [("X-Nothing", "0"), ("Range", "bytes=0-1"), ("If-Match", "\"x\"")] {
        let answer = gateway.get_with("/a", &[("Cache-Control", "only-if-cached"), also]).await;
        // RFC 9111 §5.2.1.7
        assert_eq!(answer.status, 504, "{also:?}");
    }
    assert!(origin.requests().is_empty(), "{}", origin.log());
}

#[tokio::test]
async fn cache_status_says_what_happened() {
    let make = by(|seen, _| match seen.path() {
        "/private" => reply(200).field("Cache-Control", "private").body("x"),
        _ => reply(200).field("Cache-Control", "max-age=60").field("ETag", "\"v\"").body("x"),
    });
    let origin = Origin::new().otherwise(make).start().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    for (method, path, field, told) in [
        ("HEAD", "/a", ("X-None", ""), "tidegate; fwd=uri-miss"),
        ("GET", "/b", ("If-None-Match", "\"v\""), "tidegate; fwd=uri-miss; fwd-status=200; stored"),
        ("GET", "/a", ("X-None", ""), "tidegate; fwd=uri-miss; stored"),
        ("GET", "/a", ("Cache-Control", "no-cache"), "tidegate; fwd=request; stored; detail=request_no_cache"),
        ("GET", "/a", ("Cache-Control", "no-store"), "tidegate; fwd=request; detail=request_no_store"),
        ("GET", "/a", ("Authorization", "Basic eDp5"), "tidegate; fwd=request; detail=authorization"),
        ("GET", "/cold", ("Range", "bytes=0-0"), "tidegate; fwd=uri-miss; stored"),
        ("GET", "/private", ("X-None", ""), "tidegate; fwd=uri-miss; detail=private"),
    ] {
        let answer = client.ask(method, path, &[field], b"").await;
        assert_eq!(answer.cache_status(), told, "{method} {path} {field:?}\n{}", client.transcript());
    }
}
