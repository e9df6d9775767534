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
