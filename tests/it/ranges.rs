//! Ranges of what is stored whole (RFC 9110 §14), of what is being fetched, and of what was changed meanwhile.

use crate::support::*;

#[tokio::test]
async fn parts_of_a_stored_answer_come_from_the_store() {
    // RFC 9110 §14
    let make = by(|seen, _| {
        assert!(!seen.has("Range"), "the whole is stored");
        let answer = reply(200).field("Cache-Control", "max-age=60").field("ETag", "\"v\"").field("X-Odd", "kept");
        answer.field("Content-Type", "video/x").body(pattern(0, 300_000))
    });
    let origin = Origin::new().on("/film", make).start().await;
    let gateway = Gateway::before(&origin).await;
    let mut client = gateway.connect().await;
    let whole = client.get("/film").await.body;
    for (range, from, to) in
        [("0-1", 0, 2), ("299999-", 299_999, 300_000), ("-70000", 230_000, 300_000), ("60000-200000", 60_000, 200_001)]
    {
        let part = client.get_with("/film", &[("Range", &format!("bytes={range}")), ("If-Range", "\"v\"")]).await;
        assert_eq!(part.status, 206, "{range}: {}", part.told());
        assert!(part.body == whole[from..to] && part.is_hit() && part.has("Age"), "{range}: {}", part.told());
        let content_range = format!("bytes {from}-{}/300000", to - 1);
        assert_eq!(part.field("Content-Range"), Some(content_range.as_str()));
        assert_eq!(part.all("Content-Length"), [(to - from).to_string()]);
        assert_eq!((part.field("X-Odd"), part.field("Content-Type")), (Some("kept"), Some("video/x")));
    }
    let two = client.get_with("/film", &[("Range", "bytes=0-3, 70000-70001")]).await;
    assert_eq!(two.status, 206, "{}", two.told());
    let boundary =
        two.field("Content-Type").unwrap().strip_prefix("multipart/byteranges; boundary=").unwrap().to_owned();
    let mut expected = Vec::new();
    for (before, range, bytes) in [("", "0-3", &whole[0..4]), ("\r\n", "70000-70001", &whole[70_000..70_002])] {
        let head =
            format!("{before}--{boundary}\r\nContent-Type: video/x\r\nContent-Range: bytes {range}/300000\r\n\r\n");
        expected.extend_from_slice(head.as_bytes());
        expected.extend_from_slice(bytes);
    }
    expected.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    assert!(two.body == expected, "{}", two.body.escape_ascii());
    let behind = client.get_with("/film", &[("Range", "bytes=300000-")]).await;
    assert_eq!((behind.status, behind.field("Content-Range"), behind.body.len()), (416, Some("bytes */300000"), 0));
    // What does not hold, is not understood or is no GET gets what it would have got without a Range.
    for (method, fields) in [
        ("GET", [("Range", "bytes=0-1"), ("If-Range", "\"other\"")]),
        ("GET", [("Range", "bytes=1-0"), ("X-None", "")]),
        ("HEAD", [("Range", "bytes=0-1"), ("X-None", "")]),
    ] {
        let answer = client.ask(method, "/film", &fields, b"").await;
        assert_eq!((answer.status, answer.field("Content-Length")), (200, Some("300000")), "{method} {fields:?}");
    }
    let known = client.get_with("/film", &[("Range", "bytes=0-1"), ("If-None-Match", "\"v\"")]).await;
    assert_eq!(known.status, 304, "{}", known.told());
    assert_eq!(origin.requests().len(), 1, "{}", origin.log());
}

#[tokio::test]
async fn ranges_over_http2_are_the_same() {
    let make = by(|_, _| {
        let answer = reply(200).field("Cache-Control", "max-age=60").field("ETag", "\"v\"");
        answer.body(pattern(0, 100_000))
    });
    let origin = Origin::new().on("/film", make).start().await;
    let address = free_address();
    let listener = format!("[[listener]]\naddress = \"{address}\"\nh2c = true");
    let _gateway = Gateway::before_with(&origin, &listener).await;
    let mut client = Http2::prior_knowledge(address).await;
    let whole = client.get("/film").await.body;
    for (range, status, content_range, body) in [
        ("bytes=10-19", 206, Some("bytes 10-19/100000"), &whole[10..20]),
        ("bytes=-5", 206, Some("bytes 99995-99999/100000"), &whole[99_995..]),
        ("bytes=100000-", 416, Some("bytes */100000"), &[][..]),
        ("lines=1-2", 200, None, &whole[..]),
    ] {
        let answer = client.ask("GET", "/film", &[("range", range)], b"").await;
        assert_eq!((answer.status, answer.field("content-range")), (status, content_range), "{}", answer.told());
        assert!(answer.body == body && answer.is_hit(), "{}", answer.told());
    }
    let known = client.ask("GET", "/film", &[("range", "bytes=0-1"), ("if-none-match", "\"v\"")], b"").await;
    assert_eq!((known.status, known.body.len()), (304, 0));
    assert_eq!(origin.requests().len(), 1, "{}", origin.log());
}

#[tokio::test]
async fn an_empty_answer_has_no_parts_and_other_statuses_none_either() {
    let make = by(|seen, _| {
        let status = if seen.path() == "/gone" { 410 } else { 200 };
        let answer = reply(status).field("Cache-Control", "max-age=60");
        if status == 410 { answer.body("gone") } else { answer }
    });
    let origin = Origin::new().otherwise(make).start().await;
    let gateway = Gateway::before(&origin).await;
    for (path, status, body) in [("/empty", 200, ""), ("/gone", 410, "gone")] {
        gateway.get(path).await;
        for range in ["bytes=0-", "bytes=-1", "bytes=0-0"] {
            let answer = gateway.get_with(path, &[("Range", range)]).await;
            assert_eq!((answer.status, answer.text().as_str()), (status, body), "{}", answer.told());
            answer.must_hit();
        }
    }
}

#[tokio::test]
async fn a_range_near_what_is_being_fetched_waits_for_it_and_one_far_ahead_does_not() {
    let length = 4 << 20;
    let (go, gate) = tokio::sync::watch::channel(0usize);
    let play = script(move |mut talk: Talk| {
        let mut gate = gate.clone();
        async move {
            talk.read_body().await;
            if let Some(range) = talk.request.field("Range") {
                assert_eq!(range, "bytes=3000000-3000009");
                let head = format!(
                    "HTTP/1.1 206 OK\r\nCache-Control: no-store\r\nContent-Range: bytes 3000000-3000009/{length}\r\nContent-Length: 10\r\n\r\n"
                );
                talk.send(head).await;
                talk.send(pattern(3_000_000, 10)).await;
                return talk.keep();
            }
            talk.send(format!("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: {length}\r\n\r\n"))
                .await;
            talk.send(pattern(0, 200_000)).await;
            gate.wait_for(|step| *step >= 1).await.unwrap();
            talk.send(pattern(200_000, length - 200_000)).await;
            talk.keep()
        }
    });
    let origin = Origin::new().on("/film", play).start().await;
    let gateway = Gateway::before(&origin).await;
    let mut first = gateway.connect().await;
    first.send("GET /film HTTP/1.1\r\nHost: example.test\r\n\r\n").await;
    first.head().await;
    first.bytes(200_000).await;
    // What is here comes at once, although the fetch stands still.
    let here = gateway.get_with("/film", &[("Range", "bytes=1000-1999")]).await;
    assert!(here.status == 206 && here.body == pattern(1000, 1000), "{}", here.told());
    assert_eq!(here.field("Content-Range"), Some(format!("bytes 1000-1999/{length}").as_str()));
    assert!(here.cache_status().contains("collapsed"), "{}", here.told());
    // What lies far ahead is asked for beside it.
    let far = gateway.get_with("/film", &[("Range", "bytes=3000000-3000009")]).await;
    assert!(far.status == 206 && far.body == pattern(3_000_000, 10), "{}", far.told());
    // And what comes soon is waited for.
    let mut soon = gateway.connect().await;
    soon.send("GET /film HTTP/1.1\r\nHost: example.test\r\nRange: bytes=199990-400000\r\n\r\n").await;
    assert_eq!(soon.head().await.status, 206);
    assert_eq!(soon.bytes(10).await, pattern(199_990, 10));
    go.send_replace(1);
    assert!(soon.bytes(200_001).await == pattern(200_000, 200_001));
    assert!(first.bytes(length - 200_000).await == pattern(200_000, length - 200_000));
    gateway.get_with("/film", &[("Range", "bytes=3000000-3000009")]).await.must_hit();
    assert_eq!(origin.requests().len(), 2, "{}", origin.log());
}

#[tokio::test]
async fn a_range_of_what_is_stale_is_validated_and_then_comes_from_the_store() {
    let make = by(|seen, number| {
        if number > 2 {
            // Another version: in parts at once.
            return reply(206)
                .field("Cache-Control", "max-age=60")
                .field("ETag", "\"w\"")
                .field("Content-Range", "bytes 2-3/8")
                .body("CD");
        }
        let answer = reply(if number == 1 { 200 } else { 304 });
        assert_eq!(
            (seen.field("If-None-Match"), seen.field("Range")),
            match number {
                1 => (None, None),
                _ => (Some("\"v\""), Some("bytes=2-3")),
            }
        );
        answer.field("Cache-Control", "max-age=1").field("Age", "1").field("ETag", "\"v\"").body("abcdef")
    });
    let origin = Origin::new().on("/a", make).start().await;
    let gateway = Gateway::before(&origin).await;
    gateway.get("/a").await;
    let range = [("Range", "bytes=2-3")];
    let part = gateway.get_with("/a", &range).await;
    assert_eq!((part.status, part.text().as_str()), (206, "cd"), "{}", part.told());
    assert_eq!(part.cache_status(), "tidegate; fwd=stale; fwd-status=304; stored");
    let other = gateway.get_with("/a", &range).await;
    assert_eq!((other.text().as_str(), other.field("Content-Range")), ("CD", Some("bytes 2-3/8")), "{}", other.told());
    let stored = gateway.get_with("/a", &range).await;
    assert_eq!(stored.text(), "CD");
    stored.must_hit();
}

#[tokio::test]
async fn a_stale_part_stands_in_for_a_dead_backend() {
    // RFC 9111 §4.2.4
    let play = script(|mut talk: Talk| async move {
        talk.read_body().await;
        if talk.number > 1 {
            return talk.reset();
        }
        talk.send("HTTP/1.1 206 OK\r\nCache-Control: max-age=1\r\nAge: 1\r\nContent-Range: bytes 2-4/9\r\nContent-Length: 3\r\n\r\ncde").await;
        talk.keep()
    });
    let origin = Origin::new().on("/a", play).start().await;
    let gateway = Gateway::before(&origin).await;
    gateway.get_with("/a", &[("Range", "bytes=2-4")]).await;
    let stale = gateway.get_with("/a", &[("Range", "bytes=3-3")]).await;
    assert_eq!((stale.status, stale.text().as_str()), (206, "d"), "{}", stale.told());
    assert_eq!(gateway.get_with("/a", &[("Range", "bytes=5-5")]).await.status, 502);
}
