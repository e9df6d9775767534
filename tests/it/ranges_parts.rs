//! Answers that are held in parts (RFC 9111 §3.3): stored, put together, completed, given up.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use proptest::prelude::*;
use tokio::sync::watch;

use crate::support::*;

/// A file behind an origin that knows ranges and validators; its version may change.
struct File {
    length: u64,
    version: AtomicU64,
    fields: &'static [(&'static str, &'static str)],
}

impl File {
    fn new(length: u64, fields: &'static [(&'static str, &'static str)]) -> Arc<Self> {
        Arc::new(Self { length, version: AtomicU64::new(1), fields })
    }

    fn content(&self) -> Vec<u8> {
        pattern(self.version.load(Ordering::Relaxed) * 1000, self.length as usize)
    }

    /// As RFC 9110 §13.2.2 has it.
    fn answer(&self, seen: &Request) -> Reply {
        let etag = format!("\"v{}\"", self.version.load(Ordering::Relaxed));
        let fields = |answer: Reply| {
            let answer = answer.field("Cache-Control", "max-age=60").field("ETag", &etag);
            self.fields.iter().fold(answer, |answer, (name, value)| answer.field(name, value))
        };
        let content = self.content();
        if seen.field("If-None-Match") == Some(&etag) {
            return fields(reply(304));
        }
        let range = seen.field("Range").filter(|_| seen.field("If-Range").is_none_or(|tag| tag == etag));
        let Some(range) = range.and_then(|range| range.strip_prefix("bytes=")) else {
            return fields(reply(200)).body(content);
        };
        let (first, last) = range.split_once('-').unwrap();
        let end = self.length;
        let (start, end) = match (first.parse::<u64>(), last.parse::<u64>()) {
            (Ok(first), Ok(last)) => (first, end.min(last + 1)),
            (Ok(first), Err(_)) => (first, end),
            (Err(_), last) => (end - end.min(last.unwrap()), end),
        };
        if start >= end {
            return fields(reply(416)).field("Content-Range", &format!("bytes */{}", self.length));
        }
        let content_range = format!("bytes {start}-{}/{}", end - 1, self.length);
        fields(reply(206)).field("Content-Range", &content_range).body(&content[start as usize..end as usize])
    }

    async fn served(self: &Arc<Self>) -> Origin {
        let file = self.clone();
        Origin::new().otherwise(by(move |seen, _| file.answer(seen))).start().await
    }
}

const TYPED: &[(&str, &str)] = &[("Content-Type", "video/x"), ("X-Odd", "kept")];

#[tokio::test]
async fn a_part_answers_the_same_range_and_all_within_it() {
    let file = File::new(1000, TYPED);
    let origin = file.served().await;
    let gateway = Gateway::before(&origin).await;
    let content = file.content();
    let first = gateway.get_with("/a", &[("Range", "bytes=100-899")]).await;
    assert_eq!(
        (first.status, first.cache_status().as_str()),
        (206, "tidegate; fwd=uri-miss; stored"),
        "{}",
        first.told()
    );
    for (range, from, to) in
        [("100-899", 100, 900), ("100-100", 100, 101), ("500-899", 500, 900), ("150-160", 150, 161)]
    {
        let part = gateway.get_with("/a", &[("Range", &format!("bytes={range}"))]).await;
        part.must_hit();
        assert!(part.status == 206 && part.body == content[from..to], "{}", part.told());
        assert_eq!(part.field("Content-Range"), Some(format!("bytes {from}-{}/1000", to - 1).as_str()));
        assert_eq!((part.field("Content-Type"), part.field("X-Odd")), (Some("video/x"), Some("kept")));
        assert!(part.has("Age") && part.has("Date"), "{}", part.told());
    }
    let two = gateway.get_with("/a", &[("Range", "bytes=100-101,200-201"), ("If-Range", "\"v1\"")]).await;
    assert!(two.status == 206 && two.field("Content-Type").unwrap().starts_with("multipart/byteranges"));
    two.must_hit();
    let known = gateway.get_with("/a", &[("Range", "bytes=100-101"), ("If-None-Match", "\"v1\"")]).await;
    assert_eq!(known.status, 304, "{}", known.told());
    assert_eq!(origin.requests().len(), 1, "{}", origin.log());
}

#[tokio::test]
async fn a_part_answers_nothing_else() {
    // RFC 9111 §3.3
    let file = File::new(1000, &[]);
    let origin = file.served().await;
    let gateway = Gateway::before(&origin).await;
    gateway.get_with("/a", &[("Range", "bytes=300-399")]).await;
    let head = gateway.ask("HEAD", "/a", &[], b"").await;
    assert_eq!((head.status, head.cache_status().as_str()), (200, "tidegate; fwd=partial"), "{}", head.told());
    let behind = gateway.get_with("/a", &[("Range", "bytes=1000-")]).await;
    assert_eq!((behind.status, behind.cache_status().as_str()), (416, "tidegate; fwd=partial; detail=range"));
    // A condition on the whole is weighed when the whole is there.
    let known = gateway.get_with("/a", &[("If-None-Match", "\"v1\"")]).await;
    assert_eq!(known.status, 304, "{}", known.told());
    known.must_miss();
    assert_eq!(origin.requests().len(), 4, "{}", origin.log());
    assert!(gateway.get("/a").await.body == file.content());
}

#[tokio::test]
async fn suffixes_are_known_by_the_complete_length() {
    let file = File::new(1000, &[]);
    let origin = file.served().await;
    let gateway = Gateway::before(&origin).await;
    gateway.get_with("/a", &[("Range", "bytes=-200")]).await;
    for range in ["bytes=-200", "bytes=-7", "bytes=800-", "bytes=999-2000"] {
        let part = gateway.get_with("/a", &[("Range", range)]).await;
        part.must_hit();
        assert!(file.content().ends_with(&part.body) && !part.body.is_empty(), "{}", part.told());
    }
    assert_eq!(origin.requests().len(), 1, "{}", origin.log());
}

#[tokio::test]
async fn where_length_and_content_range_disagree_the_bytes_count() {
    let answer = reply(206).field("Cache-Control", "max-age=3600").field("Content-Range", "bytes 4-9/10").body("01234");
    let origin = Origin::new().otherwise(answer).start().await;
    let gateway = Gateway::before(&origin).await;
    gateway.get_with("/a", &[("Range", "bytes=-5")]).await;
    for (range, body) in [("bytes=-5", "01234"), ("bytes=6-8", "234"), ("bytes=6-", "234"), ("bytes=-1", "4")] {
        let part = gateway.get_with("/a", &[("Range", range)]).await;
        part.must_hit();
        assert_eq!((part.status, part.text().as_str()), (206, body), "{range}: {}", part.told());
    }
}

#[tokio::test]
async fn a_missing_piece_is_fetched_and_put_between_what_is_held() {
    let file = File::new(100_000, TYPED);
    let origin = file.served().await;
    let gateway = Gateway::before(&origin).await;
    let content = file.content();
    gateway.get_with("/a", &[("Range", "bytes=0-29999")]).await;
    gateway.get_with("/a", &[("Range", "bytes=50000-69999")]).await;
    let middle = gateway.get_with("/a", &[("Range", "bytes=10000-59999")]).await;
    assert!(middle.status == 206 && middle.body == content[10_000..60_000], "{}", middle.told());
    assert_eq!(middle.field("Content-Range"), Some("bytes 10000-59999/100000"));
    assert_eq!(middle.cache_status(), "tidegate; fwd=partial; stored");
    let asked = origin.requests().pop().unwrap();
    assert_eq!((asked.field("Range"), asked.field("If-Range")), (Some("bytes=30000-49999"), Some("\"v1\"")));
    gateway.get_with("/a", &[("Range", "bytes=0-69999")]).await.must_hit();
    // The tail, for a GET of the whole: one request, and the answer is complete in the store.
    let whole = gateway.get("/a").await;
    assert!(whole.status == 200 && whole.body == content, "{}", whole.told());
    assert_eq!(whole.cache_status(), "tidegate; fwd=partial; fwd-status=206; stored");
    assert_eq!(whole.field("Content-Length"), Some("100000"));
    let asked = origin.requests().pop().unwrap();
    assert_eq!((asked.field("Range"), asked.field("If-Range")), (Some("bytes=70000-"), Some("\"v1\"")));
    let hit = gateway.get("/a").await;
    hit.must_hit();
    assert!(hit.body == content && hit.field("Content-Type") == Some("video/x"), "{}", hit.told());
    gateway.get_with("/a", &[("Range", "bytes=5-6,90000-90001")]).await.must_hit();
    assert_eq!(origin.requests().len(), 4, "{}", origin.log());
}

#[tokio::test]
async fn parts_that_cover_the_whole_are_the_whole() {
    let file = File::new(1000, TYPED);
    let origin = file.served().await;
    let gateway = Gateway::before(&origin).await;
    for range in ["bytes=600-", "bytes=0-299", "bytes=250-650"] {
        gateway.get_with("/a", &[("Range", range)]).await;
    }
    gateway.get_with("/b", &[("Range", "bytes=0-")]).await;
    for path in ["/a", "/b"] {
        let whole = gateway.get(path).await;
        whole.must_hit();
        assert!(whole.status == 200 && whole.body == file.content(), "{}", whole.told());
        assert!(!whole.has("Content-Range") && whole.field("Content-Length") == Some("1000"), "{}", whole.told());
    }
    assert_eq!(gateway.metric("tidegate_cache_parts_completed_total", &[]).await, 2.0);
}

#[tokio::test]
async fn a_changed_resource_replaces_its_parts() {
    let file = File::new(50_000, &[]);
    let origin = file.served().await;
    let gateway = Gateway::before(&origin).await;
    gateway.get_with("/a", &[("Range", "bytes=0-9999")]).await;
    file.version.store(2, Ordering::Relaxed);
    // If-Range fails: the backend gives all of the new one, and the client its part of that.
    let part = gateway.get_with("/a", &[("Range", "bytes=5000-14999")]).await;
    assert!(part.status == 206 && part.body == file.content()[5000..15_000], "{}", part.told());
    assert_eq!(part.cache_status(), "tidegate; fwd=partial; fwd-status=200; stored");
    assert_eq!(part.field("ETag"), Some("\"v2\""));
    let whole = eventually("the new whole in the store", async || {
        let whole = gateway.get_with("/a", &[("Cache-Control", "only-if-cached")]).await;
        (whole.status == 200).then_some(whole)
    });
    assert!(whole.await.body == file.content());
    assert_eq!(origin.requests().len(), 2, "{}", origin.log());
    // The same for a GET of the whole.
    gateway.get_with("/b", &[("Range", "bytes=0-9999")]).await;
    file.version.store(3, Ordering::Relaxed);
    let whole = gateway.get("/b").await;
    assert!(whole.status == 200 && whole.body == file.content(), "{}", whole.told());
    gateway.get("/b").await.must_hit();
    assert_eq!(origin.requests().len(), 4, "{}", origin.log());
}

#[tokio::test]
async fn a_backend_that_gives_another_part_or_none_is_asked_as_the_client_asked() {
    // 1: a part; 2 (for what is missing): another version's part, or 416; 3: as the client asks.
    for wrong in [206, 416] {
        let make = by(move |seen, number| {
            let answer = |status| reply(status).field("Cache-Control", "max-age=60");
            match (number, seen.field("Range")) {
                (1, Some("bytes=0-3")) => {
                    answer(206).field("ETag", "\"v\"").field("Content-Range", "bytes 0-3/10").body("abcd")
                }
                (2, Some("bytes=4-7")) if wrong == 206 => {
                    answer(206).field("ETag", "\"w\"").field("Content-Range", "bytes 4-7/10").body("EFGH")
                }
                (2, Some("bytes=4-7")) => answer(416).field("Content-Range", "bytes */2"),
                (3, Some("bytes=2-7")) => {
                    assert!(!seen.has("If-Range"), "not as the client asked");
                    answer(206).field("ETag", "\"w\"").field("Content-Range", "bytes 2-7/10").body("CDEFGH")
                }
                other => panic!("{other:?}"),
            }
        });
        let origin = Origin::new().otherwise(make).start().await;
        let gateway = Gateway::before(&origin).await;
        gateway.get_with("/a", &[("Range", "bytes=0-3")]).await;
        let part = gateway.get_with("/a", &[("Range", "bytes=2-7")]).await;
        assert_eq!((part.status, part.text().as_str()), (206, "CDEFGH"), "{wrong}: {}", part.told());
        gateway.get_with("/a", &[("Range", "bytes=3-6")]).await.must_hit();
        assert_eq!(origin.requests().len(), 3);
    }
}

#[tokio::test]
async fn what_has_no_strong_validator_is_never_combined() {
    // RFC 9111 §3.4
    for fields in [&[("Cache-Control", "max-age=60")][..], &[("Cache-Control", "max-age=60"), ("ETag", "W/\"v\"")]] {
        let content = pattern(0, 100);
        let make = by(move |seen, _| {
            let range = seen.field("Range").and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
            let (status, first, last) = range
                .map_or((200, 0, 99), |(first, last)| (206, first.parse().unwrap(), last.parse::<usize>().unwrap()));
            let answer = fields.iter().fold(reply(status), |answer, (name, value)| answer.field(name, value));
            let answer = answer.body(&content[first..=last]);
            if status == 206 { answer.field("Content-Range", &format!("bytes {first}-{last}/100")) } else { answer }
        });
        let origin = Origin::new().otherwise(make).start().await;
        let gateway = Gateway::before(&origin).await;
        gateway.get_with("/a", &[("Range", "bytes=0-49")]).await;
        gateway.get_with("/a", &[("Range", "bytes=10-20")]).await.must_hit();
        gateway.get_with("/a", &[("Range", "bytes=50-99")]).await.must_miss();
        // The newer part stands alone now.
        gateway.get_with("/a", &[("Range", "bytes=60-70")]).await.must_hit();
        gateway.get_with("/a", &[("Range", "bytes=40-59")]).await.must_miss();
        let asked = origin.requests().pop().unwrap();
        assert_eq!((asked.field("Range"), asked.has("If-Range")), (Some("bytes=40-59"), false));
        assert_eq!(gateway.get("/a").await.cache_status(), "tidegate; fwd=partial; stored");
        assert!(!origin.requests().pop().unwrap().has("Range"));
    }
}

#[tokio::test]
async fn parts_keep_the_rules_of_whole_answers() {
    for (asked, fields) in [
        (&[][..], &[("Cache-Control", "no-store")][..]),
        (&[], &[("Cache-Control", "private, max-age=60")]),
        (&[], &[("Cache-Control", "max-age=60"), ("Set-Cookie", "a=b")]),
        (&[], &[("Cache-Control", "max-age=60"), ("Vary", "*")]),
        (&[("Authorization", "Basic eDp5")], &[("Cache-Control", "max-age=60")]),
        (&[("Cache-Control", "no-store")], &[("Cache-Control", "max-age=60")]),
        (&[("If-Range", "\"v\"")], &[("Cache-Control", "max-age=60"), ("ETag", "\"v\"")]),
        (&[], &[("Cache-Control", "max-age=60"), ("Content-Type", "multipart/byteranges; boundary=x")]),
        (&[], &[]),
    ] {
        let make = by(move |_, _| {
            let answer = reply(206).field("Content-Range", "bytes 0-3/10").body("abcd");
            fields.iter().fold(answer, |answer, (name, value)| answer.field(name, value))
        });
        let origin = Origin::new().otherwise(make).start().await;
        let gateway = Gateway::before(&origin).await;
        for _ in 0..2 {
            let with = [&[("Range", "bytes=0-3")], asked].concat();
            let part = gateway.get_with("/a", &with).await;
            assert_eq!((part.status, part.text().as_str()), (206, "abcd"), "{fields:?}: {}", part.told());
            part.must_miss();
        }
        assert_eq!(origin.requests().len(), 2, "{asked:?} {fields:?}");
    }
}

#[tokio::test]
async fn variants_have_their_own_parts_and_invalidation_takes_all() {
    let file = File::new(100, &[("Vary", "X-Kind")]);
    let origin = file.served().await;
    let gateway = Gateway::before(&origin).await;
    let ask = |kind: &'static str| [("Range", "bytes=0-9"), ("X-Kind", kind)];
    gateway.get_with("/a", &ask("one")).await.must_miss();
    gateway.get_with("/a", &ask("two")).await.must_miss();
    gateway.get_with("/a", &ask("one")).await.must_hit();
    gateway.get_with("/a", &ask("two")).await.must_hit();
    gateway.ask("DELETE", "/a", &[], b"").await;
    gateway.get_with("/a", &ask("one")).await.must_miss();
}

#[tokio::test]
async fn a_client_that_leaves_has_left_the_part_that_came() {
    let (go, gate) = watch::channel(false);
    let play = script(move |mut talk: Talk| {
        let mut gate = gate.clone();
        async move {
            talk.read_body().await;
            talk.send("HTTP/1.1 206 OK\r\nCache-Control: max-age=60\r\nETag: \"v\"\r\nContent-Range: bytes 0-99999/100000\r\nContent-Length: 100000\r\n\r\n").await;
            talk.send(pattern(0, 40_000)).await;
            gate.wait_for(|go| *go).await.unwrap();
            talk.close().await
        }
    });
    let origin = Origin::new().otherwise(play).start().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    client.send("GET /a HTTP/1.1\r\nHost: example.test\r\nRange: bytes=0-\r\n\r\n").await;
    client.head().await;
    client.bytes(40_000).await;
    go.send_replace(true);
    client.until_closed().await;
    gateway.metric_becomes("tidegate_cache_parts_stored_total", &[], 1.0).await;
    let part = gateway.get_with("/a", &[("Range", "bytes=100-39999")]).await;
    part.must_hit();
    assert!(part.body == pattern(100, 39_900));
}

#[tokio::test]
async fn a_missing_piece_that_breaks_off_is_an_error_and_never_a_short_answer() {
    let (release, released) = watch::channel(0);
    let play = script(move |mut talk: Talk| {
        let mut released = released.clone();
        async move {
            talk.read_body().await;
            if talk.number == 1 {
                talk.send("HTTP/1.1 206 OK\r\nCache-Control: max-age=60\r\nETag: \"v\"\r\nContent-Range: bytes 0-4/20\r\nContent-Length: 5\r\n\r\n01234").await;
                return talk.keep();
            }
            // What is missing begins where the last piece of it broke off.
            let range = talk.request.field("Range").unwrap().strip_prefix("bytes=").unwrap().to_owned();
            let (first, last) = range.split_once('-').unwrap();
            let (first, last): (u64, u64) = (first.parse().unwrap(), last.parse().unwrap_or(19));
            let head = format!("Content-Range: bytes {first}-{last}/20\r\nContent-Length: {}", last - first + 1);
            talk.send(format!("HTTP/1.1 206 OK\r\nCache-Control: max-age=60\r\nETag: \"v\"\r\n{head}\r\n\r\nx")).await;
            let number = talk.number;
            released.wait_for(|count| *count >= number).await.unwrap();
            talk.close().await
        }
    });
    let origin = Origin::new().otherwise(play).start().await;
    let gateway = Gateway::before(&origin).await;
    gateway.get_with("/a", &[("Range", "bytes=0-4")]).await;
    for (number, fields, came) in [(2, "Range: bytes=2-9\r\n", "234x"), (3, "", "01234xx")] {
        let mut client = gateway.connect().await;
        client.send(format!("GET /a HTTP/1.1\r\nHost: example.test\r\n{fields}\r\n")).await;
        client.head().await;
        // It breaks off once the client has begun to read: before that it would be told 502.
        assert_eq!(client.bytes(came.len()).await, came.as_bytes(), "{}", client.transcript());
        release.send_replace(number);
        assert_eq!(client.until_closed().await, b"", "{}", client.transcript());
    }
    gateway.get_with("/a", &[("Range", "bytes=0-4")]).await.must_hit();
}

#[tokio::test]
async fn concurrent_ranges_do_not_break_each_other() {
    let file = File::new(300_000, &[]);
    let origin = file.served().await;
    let gateway = Arc::new(Gateway::before(&origin).await);
    let content = Arc::new(file.content());
    let asks = (0..40u64).map(|number| {
        let (gateway, content) = (gateway.clone(), content.clone());
        tokio::spawn(async move {
            let start = (number % 8) as usize * 30_000;
            let range = format!("bytes={start}-{}", start + 49_999);
            let part = gateway.get_with("/a", &[("Range", &range)]).await;
            assert!(part.status == 206 && part.body == content[start..start + 50_000], "{}", part.told());
        })
    });
    for ask in asks.collect::<Vec<_>>() {
        ask.await.unwrap();
    }
    assert!(gateway.get("/a").await.body == *content);
    gateway.get("/a").await.must_hit();
}

#[derive(Clone, Debug)]
enum Step {
    Range(u64, u64),
    From(u64),
    Suffix(u64),
    /// A range of the version that was so many changes ago.
    IfRange(u64, u64, u64),
    Whole,
    Change,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0u64..3000, 1u64..2000).prop_map(|(start, length)| Step::Range(start, start + length - 1)),
        2 => (0u64..3000).prop_map(Step::From),
        2 => (1u64..4000).prop_map(Step::Suffix),
        2 => (0u64..3000, 1u64..2000, 0u64..2).prop_map(|(start, length, ago)| Step::IfRange(start, start + length, ago)),
        1 => Just(Step::Whole),
        1 => Just(Step::Change),
    ];
    prop::collection::vec(step, 1..25)
}

/// Through the gateway the same comes as from the origin; after a change, what is fresh may still be the version before.
#[test]
fn random_ranges_are_byte_for_byte_what_the_origin_has() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let file = File::new(3000, TYPED);
    let (origin, gateway) = runtime.block_on(async {
        let origin = file.served().await;
        let gateway = Gateway::before(&origin).await;
        (origin, gateway)
    });
    let number = AtomicU64::new(0);
    proptest!(ProptestConfig::with_cases(40), |(steps in steps())| {
        let path = format!("/{}", number.fetch_add(1, Ordering::Relaxed));
        runtime.block_on(async {
            let mut client = gateway.connect().await;
            for step in steps {
                let range = match step {
                    Step::Change => {
                        file.version.fetch_add(1, Ordering::Relaxed);
                        continue;
                    }
                    Step::Whole => None,
                    Step::Range(first, last) | Step::IfRange(first, last, _) => Some(format!("bytes={first}-{last}")),
                    Step::From(first) => Some(format!("bytes={first}-")),
                    Step::Suffix(last) => Some(format!("bytes=-{last}")),
                };
                let mut fields: Vec<(&str, &str)> = range.iter().map(|range| ("Range", range.as_str())).collect();
                let if_range = match step {
                    Step::IfRange(_, _, ago) => Some(file.version.load(Ordering::Relaxed).saturating_sub(ago)),
                    _ => None,
                };
                let tag = if_range.map(|version| format!("\"v{version}\""));
                fields.extend(tag.iter().map(|tag| ("If-Range", tag.as_str())));
                let answer = client.get_with(&path, &fields).await;
                // The validator says which version it is of.
                let version: u64 = answer.field("ETag").unwrap().trim_matches('"')[1..].parse().unwrap();
                let content = pattern(version * 1000, 3000);
                let (start, end) = match answer.field("Content-Range") {
                    None => (0, 3000),
                    Some(line) => {
                        let (range, _) = line.strip_prefix("bytes ").unwrap().split_once('/').unwrap();
                        let (first, last) = range.split_once('-').unwrap();
                        (first.parse::<usize>().unwrap(), last.parse::<usize>().unwrap() + 1)
                    }
                };
                assert!(answer.body == content[start..end], "{}", client.transcript());
                let is_part = range.is_some() && if_range.is_none_or(|asked| asked == version);
                let asked = match step {
                    _ if !is_part => (0, 3000),
                    Step::Range(first, last) | Step::IfRange(first, last, _) => (first as usize, (last as usize + 1).min(3000)),
                    Step::From(first) => (first as usize, 3000),
                    Step::Suffix(last) => (3000usize.saturating_sub(last as usize), 3000),
                    Step::Whole | Step::Change => (0, 3000),
                };
                assert_eq!((start, end), asked, "{}", client.transcript());
                assert_eq!(answer.status, if is_part { 206 } else { 200 });
                assert_eq!(answer.field("Content-Type"), Some("video/x"));
            }
            client.ask("DELETE", &path, &[], b"").await;
        });
    });
    // The byte account is what it was before anything was stored.
    runtime.block_on(gateway.metric_becomes("tidegate_cache_size_bytes", &[], 0.0));
    drop(origin);
}

#[tokio::test]
async fn a_whole_that_finds_no_room_beside_its_parts_is_not_asked_for_again_and_again() {
    let file = File::new(5 << 20, &[]);
    let (held, answers) = (reply(200).field("Cache-Control", "max-age=60").body(file.content()), file.clone());
    let large = script(move |mut talk| {
        let bytes = held.bytes("GET");
        async move {
            talk.read_body().await;
            talk.send(&bytes[..1000]).await;
            talk.gone().await;
            Next::Close
        }
    });
    let origin = Origin::new().on("/under-way", large).otherwise(by(move |seen, _| answers.answer(seen))).start().await;
    let gateway = Gateway::before_with(&origin, "[cache]\ncapacity = \"16MiB\"\nmax_object = \"6MiB\"\n").await;
    gateway.get_with("/a", &[("Range", "bytes=0-3299999")]).await;
    gateway.get_with("/a", &[("Range", "bytes=0-3299999")]).await.must_hit();
    // What is being fetched has its room from the beginning.
    let mut other = gateway.connect().await;
    other.send("GET /under-way HTTP/1.1\r\nHost: example.test\r\n\r\n").await;
    other.head().await;
    let whole = gateway.get("/a").await;
    assert!(whole.body == file.content(), "{}", whole.told());
    assert_eq!(origin.requests_for("/a").len(), 3, "the part, what is missing, the whole: {}", origin.log());
}
