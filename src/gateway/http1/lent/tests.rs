use super::*;
use crate::wire::Framing;

const LIMITS: HeadLimits = HeadLimits { target_bytes: 8192, head_bytes: 65536, fields: 100 };

#[test]
fn a_head_has_nothing_of_the_request_before() {
    let (first, parsed) = parse(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nX-A: a\r\n\r\n", &LIMITS);
    assert!(matches!(parsed, Ok(Parsed::Complete(_))));
    give_back(first);
    let (second, parsed) = parse(b"GET /b HTTP/1.1\r\nHost: b\r\n\r\n", &LIMITS);
    assert!(matches!(parsed, Ok(Parsed::Complete(_))));
    assert!(SPARE.with(Spare::take).is_none(), "the second is the first one's memory");
    assert_eq!((second.target.as_str(), second.authority.as_str()), ("/b", "b"));
    assert_eq!((second.framing, second.fields.iter().count()), (Framing::None, 1));
    give_back(second);
    let (third, parsed) = parse(b"GET /c", &LIMITS);
    assert_eq!(parsed, Ok(Parsed::Partial));
    assert_eq!((third.target.as_str(), third.authority.as_str(), third.fields.iter().count()), ("", "", 0));
}
