//! Stale answers that are given at once and refreshed behind the client's back (RFC 5861 §3).

use tokio::sync::watch;

use crate::support::*;

const WINDOW: &str = "max-age=0, stale-while-revalidate=60";

/// The first answer is stale from the start; later ones come from `later`, when they may.
async fn stale_then(later: fn(&Request, usize) -> Reply) -> (Origin, watch::Sender<bool>) {
    let (release, released) = watch::channel(false);
    let play = script(move |mut talk| {
        let mut released = released.clone();
        async move {
            talk.read_body().await;
            if talk.number == 1 {
                let first = reply(200).field("Cache-Control", WINDOW).field("ETag", "\"1\"").body("old");
                return talk.answer(&first).await;
            }
            released.wait_for(|go| *go).await.unwrap();
            let answer = later(&talk.request, talk.number);
            talk.answer(&answer).await
        }
    });
    (Origin::new().on("/a", play).start().await, release)
}

fn renewed(_: &Request, _: usize) -> Reply {
    reply(304).field("Cache-Control", "max-age=60").field("ETag", "\"1\"")
}

#[track_caller]
fn must_be_old(answer: &Answer) {
    assert_eq!((answer.status, answer.text().as_str()), (200, "old"), "{}", answer.told());
    let status = answer.cache_status();
    assert!(
        status.starts_with("tidegate; hit; ttl=") && status.ends_with("; detail=stale_while_revalidate"),
        "{status}"
    );
}

async fn refreshed(gateway: &Gateway, outcome: &str, times: f64) {
    let labels = [("kind", "refresh"), ("outcome", outcome)];
    gateway.metric_becomes("tidegate_cache_background_fetches_total", &labels, times).await;
}

#[tokio::test]
async fn a_stale_hit_is_given_at_once_and_refreshed_once() {
    let (origin, release) = stale_then(renewed).await;
    let gateway = Gateway::before(&origin).await;
    gateway.get("/a").await;
    for _ in 0..10 {
        must_be_old(&gateway.get_with("/a", &[("X-Trace", "yes"), ("If-None-Match", "\"other\"")]).await);
    }
    origin.reached("/a", 2).await;
    gateway.metric_becomes("tidegate_cache_background_fetches", &[("kind", "refresh")], 1.0).await;
    let refresh = &origin.requests_for("/a")[1];
    let (tag, trace) = (refresh.field("If-None-Match"), refresh.field("X-Trace"));
    assert_eq!((tag, trace), (Some("\"1\""), Some("yes")), "{}", origin.log());
    release.send_replace(true);
    refreshed(&gateway, "validated", 1.0).await;
    let hit = gateway.get("/a").await;
    assert_eq!(hit.text(), "old");
    hit.must_hit();
    assert!(!hit.cache_status().contains("detail"), "{}", hit.told());
    assert_eq!(origin.requests_for("/a").len(), 2, "{}", origin.log());
    gateway.metric_becomes("tidegate_cache_background_fetches", &[("kind", "refresh")], 0.0).await;
}

#[tokio::test]
async fn a_whole_answer_to_a_refresh_replaces_what_was_stored() {
    let (origin, release) = stale_then(|_, _| reply(200).field("Cache-Control", "max-age=60").body("new")).await;
    let gateway = Gateway::before(&origin).await;
    gateway.get("/a").await;
    release.send_replace(true);
    must_be_old(&gateway.get("/a").await);
    refreshed(&gateway, "stored", 1.0).await;
    let hit = gateway.get("/a").await;
    assert_eq!(hit.text(), "new");
    hit.must_hit();
}

#[tokio::test]
async fn a_head_is_given_the_stale_answer_and_has_it_refreshed_by_a_get() {
    let (origin, release) = stale_then(renewed).await;
    let gateway = Gateway::before(&origin).await;
    gateway.get("/a").await;
    release.send_replace(true);
    let head = gateway.ask("HEAD", "/a", &[], b"").await;
    assert!(head.cache_status().contains("stale_while_revalidate"), "{}", head.told());
    refreshed(&gateway, "validated", 1.0).await;
    gateway.get("/a").await.must_hit();
    let methods: Vec<String> = origin.requests_for("/a").iter().map(|request| request.method.clone()).collect();
    assert_eq!(methods, ["GET", "GET"]);
}

#[tokio::test]
async fn a_range_of_it_is_given_stale_at_once_and_the_whole_is_refreshed() {
    for (later, outcome, text) in [
        (renewed as fn(&Request, usize) -> Reply, "validated", "old"),
        (|_, _| reply(200).field("Cache-Control", "max-age=60").body("new"), "stored", "new"),
        // The length comes with the last byte.
        (|_, _| reply(200).field("Cache-Control", "max-age=60").chunked().body("new"), "stored", "new"),
    ] {
        let (origin, release) = stale_then(later).await;
        let gateway = Gateway::before(&origin).await;
        gateway.get("/a").await;
        for (range, status, body) in
            [("bytes=1-1", 206, "l"), ("bytes=-2", 206, "ld"), ("bytes=9-", 416, ""), ("lines=1", 200, "old")]
        {
            let part = gateway.get_with("/a", &[("Range", range)]).await;
            assert_eq!((part.status, &*part.text()), (status, body), "{range}: {}", part.told());
            let said = part.cache_status();
            assert!(said.starts_with("tidegate; hit; ttl=") && said.ends_with("stale_while_revalidate"), "{said}");
        }
        let held = gateway.get_with("/a", &[("Range", "bytes=1-1"), ("If-None-Match", "\"1\"")]).await;
        assert_eq!(held.status, 304, "{}", held.told());
        origin.reached("/a", 2).await;
        let refresh = &origin.requests_for("/a")[1];
        assert!(!refresh.has("Range") && refresh.field("If-None-Match") == Some("\"1\""), "{}", origin.log());
        release.send_replace(true);
        refreshed(&gateway, outcome, 1.0).await;
        let hit = gateway.get("/a").await;
        assert!(hit.is_hit() && hit.text() == text, "{}", hit.told());
        assert_eq!(origin.requests_for("/a").len(), 2, "{}", origin.log());
    }
}

/// A part of `/a` first, stale from the start, and without a validator if `tag` is none; then what the range asks for.
async fn stale_part(tag: Option<&'static str>) -> Origin {
    let make = by(move |seen, number| {
        if number > 1 && seen.has("If-None-Match") {
            return renewed(seen, number);
        }
        let part = reply(206).field("Content-Range", "bytes 0-3/10").field("Cache-Control", WINDOW).body("part");
        tag.into_iter().fold(part, |part, tag| part.field("ETag", tag))
    });
    Origin::new().on("/a", make).start().await
}

#[tokio::test]
async fn a_part_is_given_stale_where_a_validation_can_refresh_it() {
    let origin = stale_part(Some("\"1\"")).await;
    let gateway = Gateway::before(&origin).await;
    let ranged = async |range| gateway.get_with("/a", &[("Range", range)]).await;
    ranged("bytes=0-3").await;
    let part = ranged("bytes=1-2").await;
    assert_eq!((part.status, &*part.text()), (206, "ar"), "{}", part.told());
    assert!(part.cache_status().ends_with("stale_while_revalidate"), "{}", part.told());
    refreshed(&gateway, "validated", 1.0).await;
    ranged("bytes=1-2").await.must_hit();
    assert_eq!(origin.requests_for("/a").len(), 2, "{}", origin.log());

    let origin = stale_part(None).await;
    let gateway = Gateway::before(&origin).await;
    gateway.get_with("/a", &[("Range", "bytes=0-3")]).await;
    let part = gateway.get_with("/a", &[("Range", "bytes=0-3")]).await;
    assert!(!part.is_hit() && part.text() == "part", "{}", part.told());
}

#[tokio::test]
async fn a_failed_refresh_keeps_the_answer_and_is_not_repeated_by_each_hit() {
    let (origin, release) = stale_then(|_, _| reply(503).field("Cache-Control", "max-age=600").body("trouble")).await;
    let gateway = Gateway::before(&origin).await;
    gateway.get("/a").await;
    release.send_replace(true);
    let began = std::time::Instant::now();
    must_be_old(&gateway.get("/a").await);
    refreshed(&gateway, "not_stored", 1.0).await;
    for _ in 0..20 {
        must_be_old(&gateway.get("/a").await);
    }
    // One refresh each two seconds, however many ask.
    let most = 2 + began.elapsed().as_secs() as usize / 2;
    let requests = origin.requests_for("/a").len();
    assert!((2..=most.max(2) + 1).contains(&requests), "{requests} requests in {:?}", began.elapsed());
    // And then the next.
    eventually("another refresh", async || {
        must_be_old(&gateway.get("/a").await);
        (origin.requests_for("/a").len() > requests).then_some(())
    })
    .await;
}

#[tokio::test]
async fn within_its_window_an_answer_needs_no_backend_at_all() {
    let (origin, _release) = stale_then(renewed).await;
    let gateway = Gateway::before(&origin).await;
    gateway.get("/a").await;
    drop(origin);
    must_be_old(&gateway.get("/a").await);
    refreshed(&gateway, "failed", 1.0).await;
    must_be_old(&gateway.get("/a").await);
}

#[tokio::test]
async fn who_must_not_have_it_stale_waits_for_the_refresh() {
    let (origin, release) = stale_then(renewed).await;
    let gateway = Gateway::before(&origin).await;
    gateway.get("/a").await;
    must_be_old(&gateway.get("/a").await);
    origin.reached("/a", 2).await;
    let mut strict = gateway.connect().await;
    strict.send("GET /a HTTP/1.1\r\nHost: example.test\r\nCache-Control: max-age=30\r\n\r\n").await;
    release.send_replace(true);
    let answer = strict.answer().await;
    assert_eq!(answer.text(), "old");
    assert!(!answer.cache_status().contains("detail=stale"), "{}", answer.told());
}

#[tokio::test]
async fn a_refresh_under_way_does_not_hold_up_the_end() {
    let (origin, _release) = stale_then(renewed).await;
    let gateway = Gateway::before(&origin).await;
    gateway.get("/a").await;
    must_be_old(&gateway.get("/a").await);
    origin.reached("/a", 2).await;
    let began = std::time::Instant::now();
    gateway.signal(Signal::Term);
    assert!(gateway.exited().await.success());
    assert!(began.elapsed() < std::time::Duration::from_secs(5), "{:?}", began.elapsed());
}
