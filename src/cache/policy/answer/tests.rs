use crate::{
    cache::policy::testing::{Clock, Lines, answer, get, http_date, response, rfc, weigh},
    wire::ResponseHead,
};

const FRESH: (&str, &str) = ("Cache-Control", "max-age=3600");

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn http1(status: u16, fields: Lines<'_>) -> String {
    text(&weigh(&get(&[]), &response(status, fields), &rfc()).unwrap().http1)
}

#[test]
fn every_end_to_end_field_is_kept_as_it_came() {
    // RFC 9111 §3.1
    let fields = [
        ("dAtE", "@0"),
        FRESH,
        ("Content-Encoding", "klingon"),
        ("Content-Range", "bytes 0-1/2"),
        ("Set-Cookie", "a=b"),
        ("X", "1"),
        ("Set-Cookie", "c=d"),
        ("Clear-Site-Data", "\"cache\""),
        ("x", "2"),
        ("Content-Length", "5"),
    ];
    let date = http_date(0);
    let expected = format!(
        "HTTP/1.1 200 Reason\r\ndAtE: {date}\r\nCache-Control: max-age=3600\r\nContent-Encoding: klingon\r\n\
         Content-Range: bytes 0-1/2\r\nSet-Cookie: a=b\r\nX: 1\r\nSet-Cookie: c=d\r\nClear-Site-Data: \"cache\"\r\n\
         x: 2\r\nContent-Length: 5\r\n"
    );
    assert_eq!(http1(200, &fields), expected);
}

#[test]
fn fields_of_the_connection_are_not_kept_and_do_not_stop_storing() {
    // RFC 9111 §3.1, RFC 9110 §7.6.1
    let fields = [
        FRESH,
        ("Connection", "a, X-Hop"),
        ("A", "1"),
        ("x-hop", "1"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Authenticate", "Basic"),
        ("Proxy-Authentication-Info", "x"),
        ("Proxy-Authorization", "x"),
        ("Proxy-Connection", "x"),
        ("TE", "trailers"),
        ("Transfer-Encoding", "chunked"),
        ("Upgrade", "h2c"),
        ("Trailer", "x"),
        ("Age", "7"),
        ("Date", "@0"),
    ];
    assert_eq!(
        http1(200, &fields),
        format!("HTTP/1.1 200 Reason\r\nCache-Control: max-age=3600\r\nDate: {}\r\n", http_date(0))
    );
}

#[test]
fn fields_named_by_no_cache_and_private_are_left_out() {
    // RFC 9111 §5.2.2.4, §5.2.2.7
    let kept = answer(&[
        ("Cache-Control", "max-age=60, no-cache=\"a\", private=\"Set-Cookie\""),
        ("A", "1"),
        ("set-cookie", "x"),
    ]);
    assert!(!kept.head.fields.contains("a") && !kept.head.fields.contains("set-cookie"));
    assert!(!kept.no_cache && kept.is_shareable());
}

#[test]
fn a_missing_date_becomes_the_time_of_reception() {
    // RFC 9110 §6.6.1
    assert_eq!(text(answer(&[FRESH]).head.fields.get("date").unwrap()), http_date(0));
    assert_eq!(answer(&[FRESH, ("Date", "bad")]).head.fields.get("date"), Some(&b"bad"[..]));
}

#[test]
fn the_length_is_known_from_the_head_or_from_the_whole_body() {
    assert_eq!(answer(&[FRESH, ("Content-Length", "12")]).length, Some(12));
    let chunked = answer(&[FRESH, ("Transfer-Encoding", "chunked")]);
    assert_eq!(chunked.length, None);
    let whole = chunked.with_length(5);
    assert!(text(&whole.http1).ends_with("Content-Length: 5\r\n"));
    assert_eq!(whole.head.fields.get("content-length"), Some(&b"5"[..]));
    // RFC 9110 §8.6
    let empty = weigh(&get(&[]), &response(204, &[FRESH, ("Content-Length", "0")]), &rfc()).unwrap();
    assert_eq!((empty.length, empty.head.fields.contains("content-length")), (Some(0), false));
}

#[test]
fn a_304_repeats_what_guides_caches() {
    // RFC 9110 §15.4.5
    let kept = answer(&[
        ("Content-Type", "text/plain"),
        FRESH,
        ("ETag", "W/\"a\""),
        ("Last-Modified", "@-100"),
        ("Vary", "x"),
        ("Expires", "@9"),
        ("Content-Location", "/x"),
        ("Date", "@0"),
        ("Set-Cookie", "a=b"),
    ]);
    let (date, expires) = (http_date(0), http_date(9));
    assert_eq!(
        text(&kept.not_modified_http1),
        format!(
            "HTTP/1.1 304 Not Modified\r\nCache-Control: max-age=3600\r\nETag: W/\"a\"\r\nVary: x\r\nExpires: {expires}\r\n\
             Content-Location: /x\r\nDate: {date}\r\n"
        )
    );
    let is_repeated = kept.repeated_in_not_modified();
    assert!(is_repeated(b"eTag") && !is_repeated(b"last-modified") && !is_repeated(b"content-type"));
    let dated = answer(&[FRESH, ("Last-Modified", "@-100")]);
    assert!(text(&dated.not_modified_http1).contains("Last-Modified: "));
}

#[test]
fn what_each_use_validates_is_not_shared_with_waiters() {
    let clock = Clock::new();
    assert!(answer(&[FRESH]).is_shareable());
    assert!(!answer(&[("Cache-Control", "no-cache"), ("ETag", "\"a\"")]).is_shareable());
    assert!(!answer(&[("Cache-Control", "max-age=0")]).is_shareable());
    let old = answer(&[FRESH, ("Age", "7200")]);
    assert!(!old.is_shareable());
    assert_eq!(old.ttl(old.age(clock.at(0))), -3600);
}

#[test]
fn edits_are_for_clients_and_the_backends_head_is_known() {
    let mut kept = answer(&[FRESH, ("Surrogate-Key", "a"), ("Via", "1.1 other"), ("X", "1")]);
    let (before, plain) = (kept.head.clone(), kept.memory());
    kept.edit_head(|head| {
        head.fields.remove("surrogate-key");
        head.fields.set("X", "2");
        head.fields.push("Via", "1.1 tidegate");
    });
    assert!(!kept.head.fields.contains("surrogate-key") && kept.tags.len() == 1);
    let lines = |head: &ResponseHead| {
        let mut lines: Vec<_> = head.fields.iter().map(|(name, value)| [name, value].map(<[u8]>::to_vec)).collect();
        lines.sort();
        lines
    };
    assert_eq!(lines(&kept.backends_head()), lines(&before));
    assert!(kept.memory() > plain);
}
