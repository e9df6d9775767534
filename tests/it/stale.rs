//! What is given when the backend fails, and what is not (RFC 9111 §4.2.4, RFC 5861 §4).

use crate::support::*;

/// What a backend does instead of answering.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    Drop,
    Reset,
    Silence,
    Status(u16),
}

/// Answers once, stale from the start; everything later is trouble.
async fn once_then(control: &'static str, trouble: Trouble) -> Origin {
    let play = script(move |mut talk| async move {
        if talk.number == 1 {
            let first = reply(200).field("Cache-Control", control).field("ETag", "\"v\"").body("old");
            return talk.answer(&first).await;
        }
        match trouble {
            Trouble::Drop => Next::Close,
            Trouble::Reset => talk.reset(),
            Trouble::Silence => {
                talk.gone().await;
                Next::Close
            }
            Trouble::Status(status) => talk.answer(&reply(status).body("trouble")).await,
        }
    });
    Origin::new().otherwise(play).start().await
}

#[track_caller]
fn must_be_old(answer: &Answer) {
    assert_eq!((answer.status, answer.field("ETag")), (200, Some("\"v\"")), "{}", answer.told());
    assert!(answer.cache_status().contains("detail=stale_on_error"), "{}", answer.told());
    assert!(answer.has("Age"), "{}", answer.told());
}

#[tokio::test]
async fn a_dropped_connection_a_reset_and_a_refusal_are_all_a_dead_backend() {
    for trouble in [Trouble::Drop, Trouble::Reset] {
        let origin = once_then("max-age=0", trouble).await;
        let gateway = Gateway::before(&origin).await;
        gateway.get("/a").await;
        let stale = gateway.get("/a").await;
        must_be_old(&stale);
        assert_eq!(stale.text(), "old");
        drop(origin);
        must_be_old(&gateway.get("/a").await);
        must_be_old(&gateway.ask("HEAD", "/a", &[], b"").await);
        let logged = eventually("four lines of the log", async || {
            let log = gateway.access_log();
            (log.len() == 4).then_some(log)
        });
        let logged = logged.await;
        let reasons: Vec<_> = logged.iter().map(|line| line["cache_reason"].as_str().unwrap_or_default()).collect();
        assert_eq!(reasons, ["uri_miss", "stale_on_error", "stale_on_error", "stale_on_error"]);
        // Each validation has one result, a HEAD's too.
        gateway.metric_becomes("tidegate_cache_validations_total", &[("result", "stale")], 3.0).await;
        assert_eq!(gateway.metric("tidegate_cache_validations_total", &[]).await, 3.0);
        // Twice the body came from the store.
        gateway.metric_becomes("tidegate_cache_saved_bytes_total", &[], 6.0).await;
    }
}

#[tokio::test]
async fn what_a_304_has_made_fresh_spares_its_body() {
    let play = script(|talk| async move {
        let status = if talk.request.has("If-None-Match") { 304 } else { 200 };
        let answer = reply(status).field("Cache-Control", "max-age=0").field("ETag", "\"v\"");
        talk.answer(&if status == 200 { answer.body("four") } else { answer }).await
    });
    let origin = Origin::new().otherwise(play).start().await;
    let gateway = Gateway::before(&origin).await;
    gateway.get("/a").await;
    assert_eq!(gateway.metric("tidegate_cache_saved_bytes_total", &[]).await, 0.0);
    assert_eq!(gateway.get("/a").await.text(), "four");
    assert_eq!(gateway.metric("tidegate_cache_saved_bytes_total", &[]).await, 4.0);
    assert_eq!(gateway.metric("tidegate_cache_validations_total", &[]).await, 1.0);
}

#[tokio::test]
async fn every_validation_has_one_result() {
    // What the second answer is, to whom, and how the validation of the first is counted.
    let cases = [
        ("GET", "", reply(200).field("Cache-Control", "max-age=60").body("new!"), "replaced"),
        ("GET", "", reply(200).field("Cache-Control", "no-store").body("new!"), "not_stored"),
        ("GET", "", reply(304).field("ETag", "\"other\""), "mismatch"),
        ("GET", "", reply(503).body("trouble"), "failed"),
        ("HEAD", "", reply(503), "failed"),
        ("HEAD", "", reply(200).field("ETag", "\"v\"").body("old"), "not_modified"),
        ("GET", "bytes=0-1", reply(503).body("trouble"), "failed"),
        ("GET", "bytes=0-1", reply(304).field("ETag", "\"v\""), "not_modified"),
        ("GET", "bytes=0-1", reply(404).body("gone"), "not_stored"),
    ];
    for (method, range, second, result) in cases {
        let told = format!("{method} {range} {result}");
        let play = script(move |talk| {
            let second = second.clone();
            async move {
                let first = reply(200).field("Cache-Control", "max-age=0, must-revalidate").field("ETag", "\"v\"");
                let answer = if talk.number == 1 { first.body("old") } else { second };
                talk.answer(&answer).await
            }
        });
        let origin = Origin::new().otherwise(play).start().await;
        let gateway = Gateway::before(&origin).await;
        gateway.get("/a").await;
        let fields: Vec<_> = Some(("Range", range)).into_iter().filter(|(_, range)| !range.is_empty()).collect();
        gateway.ask(method, "/a", &fields, b"").await;
        gateway.metric_becomes("tidegate_cache_validations_total", &[("result", result)], 1.0).await;
        assert_eq!(gateway.metric("tidegate_cache_validations_total", &[]).await, 1.0, "{told}");
    }
}

#[tokio::test]
async fn a_backend_that_never_answers_is_dead_too() {
    let origin = once_then("max-age=0", Trouble::Silence).await;
    let text = format!(
        "[upstreams.app]\nservers = [{:?}]\nanswer_timeout = \"1s\"\n[[routes]]\nupstream = \"app\"\n",
        origin.address
    );
    let gateway = Gateway::with(&text).await;
    gateway.get("/a").await;
    must_be_old(&gateway.get("/a").await);
}

#[tokio::test]
async fn what_must_not_be_stale_gets_a_whole_error_instead() {
    for control in ["max-age=0, must-revalidate", "max-age=0, proxy-revalidate", "s-maxage=0", "no-cache"] {
        let origin = once_then(control, Trouble::Drop).await;
        let gateway = Gateway::before(&origin).await;
        gateway.get("/a").await;
        for lost in [false, true] {
            let answer = gateway.get("/a").await;
            assert!(matches!(answer.status, 502 | 504), "{control}, {lost}\n{}", answer.told());
            assert!(!answer.text().is_empty() && !answer.text().contains("old"), "{control}\n{}", answer.told());
        }
    }
}

#[tokio::test]
async fn who_asks_for_a_new_answer_is_not_given_a_stale_one() {
    let origin = once_then("max-age=0", Trouble::Drop).await;
    let gateway = Gateway::before(&origin).await;
    gateway.get("/a").await;
    assert_eq!(gateway.get_with("/a", &[("Cache-Control", "no-cache")]).await.status, 502);
    must_be_old(&gateway.get("/a").await);
}

#[tokio::test]
async fn errors_are_stood_in_for_within_the_window_only() {
    let route = "[[routes]]\ncache = { stale_if_error = \"60s\" }\n";
    for (control, text, status, stands_in) in [
        ("max-age=0, stale-if-error=60", "", 500, true),
        ("max-age=0, stale-if-error=60", "", 502, true),
        ("max-age=0, stale-if-error=60", "", 503, true),
        ("max-age=0, stale-if-error=60", "", 504, true),
        // Only these four say that the backend is in trouble.
        ("max-age=0, stale-if-error=60", "", 501, false),
        ("max-age=0, stale-if-error=60", "", 404, false),
        ("max-age=0", route, 503, true),
        ("max-age=0, stale-if-error=0", route, 503, false),
        ("max-age=0, must-revalidate", route, 503, false),
        ("max-age=0", "", 503, false),
    ] {
        let origin = once_then(control, Trouble::Status(status)).await;
        let gateway = Gateway::before_with(&origin, text).await;
        gateway.get("/a").await;
        let later = gateway.get("/a").await;
        if stands_in {
            must_be_old(&later);
            assert!(later.cache_status().contains(&format!("fwd-status={status}")), "{}", later.told());
        } else {
            assert_eq!((later.status, later.text().as_str()), (status, "trouble"), "{control}\n{}", later.told());
        }
    }
}

#[tokio::test]
async fn an_answer_is_out_of_its_window_when_it_came_out_of_it() {
    let aged = script(|talk| async move {
        let answer = match talk.number {
            1 => reply(200).field("Cache-Control", "max-age=10, stale-if-error=60").field("Age", "100").body("old"),
            _ => reply(503).body("trouble"),
        };
        talk.answer(&answer).await
    });
    let origin = Origin::new().otherwise(aged).start().await;
    let gateway = Gateway::before(&origin).await;
    gateway.get("/a").await;
    assert_eq!(gateway.get("/a").await.status, 503);
}

#[tokio::test]
async fn the_trouble_of_one_page_is_not_the_trouble_of_another() {
    let mixed = script(|talk| async move {
        match talk.request.path() {
            "/drops" => Next::Close,
            "/resets" => talk.reset(),
            "/fails" => talk.answer(&reply(500).body("failed")).await,
            _ => talk.answer(&reply(200).field("Cache-Control", "no-store").body("well")).await,
        }
    });
    let (one, two) =
        (Origin::new().otherwise(mixed.clone()).start().await, Origin::new().otherwise(mixed).start().await);
    for servers in [format!("[{:?}]", one.address), format!("[{:?}, {:?}]", one.address, two.address)] {
        let text = format!("[upstreams.app]\nservers = {servers}\n[[routes]]\nupstream = \"app\"\n");
        let gateway = Gateway::with(&text).await;
        for _ in 0..5 {
            for (path, status) in [("/drops", 502), ("/resets", 502), ("/fails", 500)] {
                assert_eq!(gateway.get(path).await.status, status, "{servers} {path}");
            }
            assert_eq!(gateway.get("/well").await.text(), "well", "{servers}");
        }
    }
}
