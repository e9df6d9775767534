//! Routes that fetch the whole for a range of it (`range_fill = "whole"`).

use std::sync::Arc;

use crate::support::*;

const WHOLE: &str = "[[routes]]\nupstream = \"default\"\ncache = { range_fill = \"whole\" }\n";

/// An origin of one file of these many bytes; asked for a range it gives that, uncacheable, so that what comes from the
/// store comes from the whole.
async fn film(length: usize, fields: &'static [(&'static str, &'static str)]) -> Origin {
    let make = by(move |seen, _| {
        let Some(range) = seen.field("Range") else {
            let answer = fields.iter().fold(reply(200), |answer, (name, value)| answer.field(name, value));
            return answer.body(pattern(0, length));
        };
        let (first, last) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
        let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
        let answer = reply(206).field("Cache-Control", "no-store");
        let answer = answer.field("Content-Range", &format!("bytes {first}-{last}/{length}"));
        answer.body(pattern(first as u64, last + 1 - first))
    });
    Origin::new().otherwise(make).start().await
}

async fn gateway(origin: &Origin, more: &str) -> Gateway {
    let text = format!("[upstreams.default]\nservers = [{:?}]\n{more}\n{WHOLE}", origin.address);
    Gateway::with(&text).await
}

/// What the origin was asked for, in order: the Range, or nothing.
fn asked(origin: &Origin) -> Vec<Option<String>> {
    origin.requests().iter().map(|request| request.field("Range").map(str::to_owned)).collect()
}

const FRESH: &[(&str, &str)] = &[("Cache-Control", "max-age=60"), ("ETag", "\"v\"")];

#[tokio::test]
async fn a_range_brings_the_whole_and_the_next_is_a_hit() {
    for length in [5000, 3 << 20] {
        let origin = film(length, FRESH).await;
        let gateway = gateway(&origin, "").await;
        let first = gateway.get_with("/a", &[("Range", "bytes=1000-1999"), ("If-Range", "\"v\"")]).await;
        assert!(first.status == 206 && first.body == pattern(1000, 1000), "{}", first.told());
        assert_eq!(first.cache_status(), "tidegate; fwd=uri-miss; fwd-status=200; stored");
        let hit = eventually("the whole in the store", async || {
            let whole = gateway.get_with("/a", &[("Cache-Control", "only-if-cached")]).await;
            (whole.status == 200).then_some(whole)
        });
        assert!(hit.await.body == pattern(0, length));
        gateway.get_with("/a", &[("Range", "bytes=-1")]).await.must_hit();
        assert_eq!(asked(&origin), [None], "{}", origin.log());
        assert!(!origin.requests()[0].has("If-Range"));
    }
}

#[tokio::test]
async fn a_range_far_ahead_is_asked_for_beside_the_whole() {
    let length = 4 << 20;
    let origin = film(length, FRESH).await;
    let gateway = gateway(&origin, "").await;
    let far = gateway.get_with("/a", &[("Range", "bytes=4000000-4000009")]).await;
    assert!(far.status == 206 && far.body == pattern(4_000_000, 10), "{}", far.told());
    let whole = eventually("the whole in the store", async || {
        let whole = gateway.get_with("/a", &[("Cache-Control", "only-if-cached")]).await;
        (whole.status == 200).then_some(whole)
    });
    assert!(whole.await.body == pattern(0, length));
    gateway.get_with("/a", &[("Range", "bytes=4000000-4000009")]).await.must_hit();
    // It may have come so quickly that it was not far ahead any more.
    let asked = asked(&origin);
    assert!(asked.len() <= 2 && asked[0].is_none(), "{}", origin.log());
}

#[tokio::test]
async fn what_is_not_to_be_kept_is_not_fetched_whole_again() {
    let private: &[(&str, &str)] = &[("Cache-Control", "private, max-age=60")];
    for (length, fields, more) in
        [(5000, private, ""), (2 << 20, FRESH, "[cache]\ncapacity = \"16MiB\"\nmax_object = \"1MiB\"")]
    {
        let origin = film(length, fields).await;
        let gateway = gateway(&origin, more).await;
        for _ in 0..3 {
            let part = gateway.get_with("/a", &[("Range", "bytes=10-19")]).await;
            assert!(part.status == 206 && part.body == pattern(10, 10), "{}", part.told());
            part.must_miss();
        }
        let range = Some("bytes=10-19".to_owned());
        assert_eq!(asked(&origin), [None, range.clone(), range.clone(), range], "{}", origin.log());
    }
}

#[tokio::test]
async fn an_answer_that_is_not_the_file_goes_to_the_client() {
    let origin = Origin::new().otherwise(reply(404).field("Cache-Control", "no-store").body("none")).start().await;
    let gateway = gateway(&origin, "").await;
    let answer = gateway.get_with("/a", &[("Range", "bytes=0-1")]).await;
    assert_eq!((answer.status, answer.text().as_str()), (404, "none"));
    assert_eq!(asked(&origin), [None]);
}

#[tokio::test]
async fn many_ranges_of_a_cold_file_cost_one_request() {
    let length = 900_000;
    let origin = film(length, FRESH).await;
    let gateway = Arc::new(gateway(&origin, "").await);
    let asks = (0..30u64).map(|number| {
        let gateway = gateway.clone();
        tokio::spawn(async move {
            let start = number * 30_000;
            let part = gateway.get_with("/a", &[("Range", &format!("bytes={start}-{}", start + 29_999))]).await;
            assert!(part.status == 206 && part.body == pattern(start, 30_000), "{}", part.told());
        })
    });
    for ask in asks.collect::<Vec<_>>() {
        ask.await.unwrap();
    }
    assert_eq!(asked(&origin), [None], "{}", origin.log());
}

#[tokio::test]
async fn a_client_that_seeks_away_does_not_stop_the_fetch() {
    let (go, gate) = tokio::sync::watch::channel(false);
    let play = script(move |mut talk: Talk| {
        let mut gate = gate.clone();
        async move {
            talk.read_body().await;
            talk.send("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 200000\r\n\r\n").await;
            talk.send(pattern(0, 100_000)).await;
            gate.wait_for(|go| *go).await.unwrap();
            talk.send(pattern(100_000, 100_000)).await;
            talk.keep()
        }
    });
    let origin = Origin::new().otherwise(play).start().await;
    let gateway = gateway(&origin, "").await;
    let mut client = gateway.connect().await;
    client.send("GET /a HTTP/1.1\r\nHost: example.test\r\nRange: bytes=50000-150000\r\n\r\n").await;
    assert_eq!(client.head().await.status, 206);
    assert!(client.bytes(50_000).await == pattern(50_000, 50_000));
    drop(client);
    go.send_replace(true);
    let whole = eventually("the whole in the store", async || {
        let whole = gateway.get_with("/a", &[("Cache-Control", "only-if-cached")]).await;
        (whole.status == 200).then_some(whole)
    });
    assert!(whole.await.body == pattern(0, 200_000));
}
