use super::*;
use crate::wire::Framing;

const LIMITS: HeadLimits = HeadLimits { target_bytes: 8192, head_bytes: 65536, fields: 100 };

fn spare() -> usize {
    SPARE.with_borrow(Vec::len)
}

#[test]
fn a_head_has_nothing_of_the_request_before() {
    let (first, parsed) = parse(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nX-A: a\r\n\r\n", &LIMITS);
    assert!(matches!(parsed, Ok(Parsed::Complete(_))));
    give_back(first);
    let (second, parsed) = parse(b"GET /b HTTP/1.1\r\nHost: b\r\n\r\n", &LIMITS);
    assert!(matches!(parsed, Ok(Parsed::Complete(_))));
    assert_eq!((spare(), second.target.as_str(), second.authority.as_str()), (0, "/b", "b"));
    assert_eq!((second.framing, second.fields.iter().count()), (Framing::None, 1));
    give_back(second);
    let (third, parsed) = parse(b"GET /c", &LIMITS);
    assert_eq!(parsed, Ok(Parsed::Partial));
    assert_eq!((third.target.as_str(), third.authority.as_str(), third.fields.iter().count()), ("", "", 0));
}

#[test]
fn as_many_are_kept_as_are_warm() {
    let heads: Vec<_> = (0..2 * SPARE_MAX).map(|_| parse(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", &LIMITS).0).collect();
    heads.into_iter().for_each(give_back);
    assert_eq!(spare(), SPARE_MAX);
}

#[test]
fn a_large_one_is_not_kept() {
    let line = format!("GET / HTTP/1.1\r\nHost: a\r\nX-Large: {}\r\n\r\n", "a".repeat(KEEP_MAX));
    let (head, parsed) = parse(line.as_bytes(), &LIMITS);
    assert!(matches!(parsed, Ok(Parsed::Complete(_))));
    give_back(head);
    assert_eq!(spare(), 0);
}
