//! POST and its kin: what Cache-Status says of them, what they take out of the store, and what of theirs goes into it.

use serde_json::json;
use tokio::sync::watch;

use crate::{operators::order, support::*};

/// GET is fresh for a minute; so is the answer to a POST, which says that a GET would get the same, once it is let go.
async fn held_posts() -> (Origin, watch::Sender<bool>) {
    let (release, released) = watch::channel(false);
    let play = script(move |mut talk| {
        let mut released = released.clone();
        async move {
            talk.read_body().await;
            if talk.request.method == "POST" {
                released.wait_for(|go| *go).await.unwrap();
            }
            let fresh = reply(200).field("Cache-Control", "max-age=60").field("Cache-Tag", "all");
            let answer = fresh.field("Content-Location", talk.request.path());
            let answer = answer.body(format!("{} {}", talk.request.method, talk.number));
            talk.answer(&answer).await
        }
    });
    (Origin::new().otherwise(play).start().await, release)
}

#[tokio::test]
async fn a_purge_is_visible_to_what_comes_after_it_whatever_a_post_under_way_brings() {
    for purge in [
        json!({ "url": "http://example.test/a" }),
        json!({ "url": "http://example.test/a", "soft": true }),
        json!({ "prefix": "http://example.test/" }),
        json!({ "tag": "all" }),
        json!({ "all": true }),
    ] {
        let (origin, release) = held_posts().await;
        let gateway = Gateway::before(&origin).await;
        let mut client = gateway.connect().await;
        client.send("POST /a HTTP/1.1\r\nHost: example.test\r\nContent-Length: 0\r\n\r\n").await;
        origin.reached("/a", 1).await;
        assert_eq!(order(&gateway, "/purge", &purge).await.0, 200);
        release.send_replace(true);
        let posted = client.answer_to("POST").await;
        assert_eq!(posted.text(), "POST 1", "{purge}");
        // What was made before the purge came is not given as fresh after it.
        assert_eq!(gateway.get("/a").await.text(), "GET 2", "{purge}: {}", origin.log());
    }
}

#[tokio::test]
async fn a_change_of_the_same_resource_keeps_an_older_posts_answer_out() {
    // RFC 9111 §4.4
    let (origin, release) = held_posts().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    client.send("POST /a HTTP/1.1\r\nHost: example.test\r\nContent-Length: 0\r\n\r\n").await;
    origin.reached("/a", 1).await;
    gateway.ask("PUT", "/a", &[], b"new").await;
    release.send_replace(true);
    assert_eq!(client.answer_to("POST").await.text(), "POST 1");
    assert_eq!(gateway.get("/a").await.text(), "GET 3", "{}", origin.log());
    // Of another resource it is no matter.
    release.send_replace(false);
    client.send("POST /b HTTP/1.1\r\nHost: example.test\r\nContent-Length: 0\r\n\r\n").await;
    origin.reached("/b", 1).await;
    gateway.ask("PUT", "/c", &[], b"new").await;
    release.send_replace(true);
    assert_eq!(client.answer_to("POST").await.text(), "POST 1");
    let got = gateway.get("/b").await;
    assert!(got.is_hit() && got.text() == "POST 1", "{}", got.told());
}

#[tokio::test]
async fn cache_status_says_why_the_cache_has_no_part_in_it() {
    // RFC 9211 §2.2
    let origin = Origin::new().otherwise(reply(200).body("x")).start().await;
    let plain = free_address();
    let more = format!(
        "[[listener]]\naddress = \"{plain}\"\nh2c = true\n\
         [[routes]]\nmatch.path = \"/off\"\ncache = false"
    );
    let gateway = Gateway::before_with(&origin, &more).await;
    let http2 = Http2::prior_knowledge(plain).await;
    for (method, path, body, status) in [
        ("POST", "/a", &b"form"[..], "tidegate; fwd=method"),
        ("PUT", "/a", b"new", "tidegate; fwd=method"),
        ("DELETE", "/a", b"", "tidegate; fwd=method"),
        ("OPTIONS", "/a", b"", "tidegate; fwd=method"),
        ("FOO", "/a", b"", "tidegate; fwd=method"),
        ("GET", "/a", b"query", "tidegate; fwd=request; detail=request_body"),
        ("POST", "/off", b"form", ""),
    ] {
        let answer = gateway.ask(method, path, &[], body).await;
        assert_eq!(answer.cache_status(), status, "{method} {path}: {}", answer.told());
        let answer = http2.clone().ask(method, path, &[], body).await;
        assert_eq!(answer.cache_status(), status, "HTTP/2 {method} {path}: {}", answer.told());
    }
    let origin = Origin::new().otherwise(reply(200).field("Cache-Control", "private").field("Content-Location", "/a"));
    let origin = origin.start().await;
    let gateway = Gateway::before(&origin).await;
    let refused = gateway.ask("POST", "/a", &[], b"form").await;
    assert_eq!(refused.cache_status(), "tidegate; fwd=method; detail=private", "{}", refused.told());
    let quiet = Gateway::before_with(&origin, "[cache]\nstatus_field = false").await;
    assert!(!quiet.ask("POST", "/a", &[], b"form").await.has("Cache-Status"));
    let off = Gateway::before_with(&origin, "[cache]\nenabled = false").await;
    assert_eq!(off.ask("POST", "/a", &[], b"").await.cache_status(), "tidegate; fwd=bypass; detail=off");
}

/// GET is fresh and in a group that its path names; a DELETE names groups that it has changed.
async fn grouped() -> Origin {
    let make = by(|seen, number| match (seen.method.as_str(), seen.path()) {
        ("GET", path) => {
            let answer = reply(200).field("Cache-Control", "max-age=60").body(format!("answer {number}"));
            answer.field("Cache-Groups", if path == "/c" { "\"Page\"" } else { "\"page\", \"site\";x=1" })
        }
        (_, "/refused") => reply(409).field("Cache-Group-Invalidation", "\"page\""),
        (_, "/upper") => reply(200).field("Cache-Group-Invalidation", "\"PAGE\""),
        (_, "/garbled") => reply(200).field("Cache-Group-Invalidation", "page, \"site\""),
        (_, "/lines") => {
            reply(200).field("Cache-Group-Invalidation", "\"none\"").field("cache-group-invalidation", "\"site\";y")
        }
        _ => reply(200),
    });
    Origin::new().otherwise(make).start().await
}

#[tokio::test]
async fn groups_that_an_unsafe_request_has_changed_are_asked_for_anew() {
    // RFC 9875 §2.2.1, §3
    let origin = grouped().await;
    let gateway = Gateway::before(&origin).await;
    let mut elsewhere = gateway.connect().await;
    for (method, path, gone) in [
        ("DELETE", "/refused", &["/a", "/b"][..]),
        ("DELETE", "/upper", &[]),
        ("DELETE", "/garbled", &[]),
        ("POST", "/lines", &["/a", "/b"]),
        ("OPTIONS", "/lines", &[]),
        // What is changed takes along what shares a group with it.
        ("PUT", "/a", &["/a", "/b"]),
        ("PUT", "/c", &["/c"]),
        ("PUT", "/d", &[]),
    ] {
        for path in ["/a", "/b", "/c"] {
            gateway.get(path).await;
            elsewhere.ask("GET", path, &[("Host", "elsewhere.test")], b"").await;
        }
        gateway.ask(method, path, &[], b"").await;
        for left in ["/a", "/b", "/c"] {
            let got = gateway.get(left).await;
            assert_eq!(!got.is_hit(), gone.contains(&left), "{method} {path}: {left} {}", got.told());
            // RFC 9875 §2.1: a group belongs to its origin.
            assert!(elsewhere.ask("GET", left, &[("Host", "elsewhere.test")], b"").await.is_hit(), "{method} {path}");
        }
    }
}
