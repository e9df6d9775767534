use http::Method;

use super::{LIMITS, read, refusal, with_lines};
use crate::wire::{Framing, HeadLimits, Parsed, Refusal, RequestHead, Version};

fn with_request_line(line: &[u8]) -> Result<RequestHead, Refusal> {
    read(&[line, b"\r\nHost: a.test\r\n\r\n"].concat())
}

fn with_host(host: &[u8]) -> Result<RequestHead, Refusal> {
    read(&[b"GET / HTTP/1.1\r\nHost: ", host, b"\r\n\r\n"].concat())
}

#[test]
fn an_ordinary_head_is_taken_as_it_came() {
    let text = b"GET /a/b?c=d HTTP/1.1\r\nHost: Example.test:8080\r\nUser-Agent:  x y \t\r\nX-Empty:\r\nx-obs: \xff\xe9\r\n\r\nrest";
    let mut head = RequestHead::default();
    assert_eq!(head.parse(text, &LIMITS), Ok(Parsed::Complete(text.len() - 4)));
    assert_eq!(head.method, Method::GET);
    assert_eq!(head.version, Version::Http11);
    assert_eq!((head.target.as_str(), head.path()), ("/a/b?c=d", "/a/b"));
    assert_eq!((head.authority.as_str(), head.host()), ("Example.test:8080", "Example.test"));
    assert_eq!(head.framing, Framing::None);
    assert!(head.keep_alive && !head.expect_continue && !head.wants_websocket);
    let mut written = Vec::new();
    head.fields.write_http1(&mut written);
    assert_eq!(written, b"Host: Example.test:8080\r\nUser-Agent: x y\r\nX-Empty: \r\nx-obs: \xff\xe9\r\n");
}

#[test]
fn one_empty_line_may_stand_in_front_and_no_more() {
    let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    assert!(read(&[b"\r\n", &head[..]].concat()).is_ok());
    assert_eq!(refusal(read(&[b"\r\n\r\n", &head[..]].concat())), Some(Refusal::RequestLine));
    assert_eq!(refusal(read(&[b"\n", &head[..]].concat())), Some(Refusal::BareLineFeed));
    assert_eq!(refusal(read(&[b"\r\n\n", &head[..]].concat())), Some(Refusal::BareLineFeed));
    assert_eq!(refusal(read(&[b"\r", &head[..]].concat())), Some(Refusal::RequestLine));
}

#[test]
fn request_lines_of_the_catalogue() {
    use Refusal::*;
    let cases: &[(&[u8], Option<Refusal>)] = &[
        (b"GET / HTTP/1.1", None),
        (b"GET / HTTP/1.0", None),
        (b"GET / HTTP/1.2", None),
        (b"GET / HTTP/1.9", None),
        (b"get / HTTP/1.1", None),
        (b"M-SEARCH / HTTP/1.1", None),
        (b"OPTIONS * HTTP/1.1", None),
        (b"GET //a HTTP/1.1", None),
        (b"GET /%00%zz?<\">\\^`{|} HTTP/1.1", None),
        (b"GET  / HTTP/1.1", Some(RequestLine)),
        (b"GET /  HTTP/1.1", Some(RequestLine)),
        (b"GET / HTTP/1.1 ", Some(FieldSyntax)),
        (b" GET / HTTP/1.1", Some(Method)),
        (b"GET\t/ HTTP/1.1", Some(Method)),
        (b"GET /\tHTTP/1.1", Some(Target)),
        (b"GET /\x0bHTTP/1.1", Some(Target)),
        (b"GET / \x0cHTTP/1.1", Some(RequestLine)),
        (b"G(T / HTTP/1.1", Some(Method)),
        (b"G\xc9T / HTTP/1.1", Some(Method)),
        (b"GET /", Some(RequestLine)),
        (b"GET", Some(RequestLine)),
        (b"GET / HTTP/0.9", Some(RequestLine)),
        (b"GET / HTTP/1", Some(RequestLine)),
        (b"GET / HTTP/1.", Some(RequestLine)),
        (b"GET / HTTP/1.10", Some(FieldSyntax)),
        (b"GET / HTTP/01.1", Some(RequestLine)),
        (b"GET / HTTP/1,1", Some(RequestLine)),
        (b"GET / http/1.1", Some(RequestLine)),
        (b"GET / HTTPS/1.1", Some(RequestLine)),
        (b"GET / HTTP/2", Some(Version)),
        (b"GET / HTTP/2.0", Some(Version)),
        (b"GET / HTTP/3", Some(Version)),
        (b"GET / a HTTP/1.1", Some(RequestLine)),
        (b"GET * HTTP/1.1", Some(Target)),
        (b"GET a HTTP/1.1", Some(Target)),
        (b"GET ?a HTTP/1.1", Some(Target)),
        (b"GET /#a HTTP/1.1", Some(Target)),
        (b"GET /\x01 HTTP/1.1", Some(Target)),
        (b"GET /\x7f HTTP/1.1", Some(Target)),
        (b"GET /\x00 HTTP/1.1", Some(Target)),
        (b"GET /\xc3\xa9 HTTP/1.1", Some(Target)),
        (b"GET /\xff HTTP/1.1", Some(Target)),
        (b"GET a.test:80 HTTP/1.1", Some(Target)),
        (b"GET ftp://a.test/ HTTP/1.1", Some(Target)),
        (b"GET http:/a HTTP/1.1", Some(Target)),
        (b"GET http:///a HTTP/1.1", Some(Authority)),
        (b"GET http://u@a.test/ HTTP/1.1", Some(Authority)),
        (b"GET http://u:p@a.test/ HTTP/1.1", Some(Authority)),
        (b"GET http://a.test:99999/ HTTP/1.1", Some(Authority)),
        (b"GET http://a.test#b HTTP/1.1", Some(Target)),
        (b"CONNECT a.test:443 HTTP/1.1", Some(Connect)),
        (b"CONNECT / HTTP/1.1", Some(Connect)),
        (b"TRACE / HTTP/1.1", Some(Trace)),
        (b"PRI * HTTP/2.0", Some(Version)),
        (b"ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEF / HTTP/1.1", None),
        (b"ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG / HTTP/1.1", Some(Method)),
    ];
    for (line, wanted) in cases {
        assert_eq!(refusal(with_request_line(line)), *wanted, "{}", line.escape_ascii());
    }
}

#[test]
fn a_later_minor_version_is_read_as_1_1() {
    let text = b"\r\nPOST /x HTTP/1.7\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let head = read(text).unwrap();
    assert_eq!((head.version, head.framing), (Version::Http11, Framing::Chunked));
    assert_eq!((head.target.as_str(), head.keep_alive), ("/x", true));
    assert_eq!(RequestHead::default().parse(&text[..text.len() - 1], &LIMITS), Ok(Parsed::Partial));
}

#[test]
fn the_authority_of_an_absolute_target_replaces_host() {
    let cases = [
        ("GET http://B.test/p?q HTTP/1.1", "/p?q", "B.test"),
        ("GET HTTPS://b.test:8443/ HTTP/1.1", "/", "b.test:8443"),
        ("GET http://b.test HTTP/1.1", "/", "b.test"),
        ("GET http://b.test?q=/ HTTP/1.1", "/?q=/", "b.test"),
        ("GET http://[::1]:80/x HTTP/1.1", "/x", "[::1]:80"),
        ("OPTIONS http://b.test HTTP/1.1", "*", "b.test"),
        ("OPTIONS http://b.test/ HTTP/1.1", "/", "b.test"),
    ];
    for (line, target, authority) in cases {
        let head = read(format!("{line}\r\nA: b\r\nHost: a.test\r\nC: d\r\n\r\n").as_bytes()).unwrap();
        assert_eq!((head.target.as_str(), head.authority.as_str()), (target, authority), "{line}");
        let lines: Vec<_> = head.fields.iter().collect();
        assert_eq!(lines[1], (&b"Host"[..], authority.as_bytes()), "{line}");
        assert_eq!(lines.len(), 3);
    }
    // The field must be there and sound all the same.
    assert_eq!(refusal(read(b"GET http://b/ HTTP/1.1\r\n\r\n")), Some(Refusal::Host));
    assert_eq!(refusal(read(b"GET http://b/ HTTP/1.1\r\nHost: a b\r\n\r\n")), Some(Refusal::Host));
    let head = read(b"GET http://b.test/ HTTP/1.0\r\n\r\n").unwrap();
    assert_eq!((head.authority.as_str(), head.fields.get("host")), ("b.test", Some(&b"b.test"[..])));
}

#[test]
fn hosts_of_the_catalogue() {
    let sound: &[&[u8]] = &[
        b"a",
        b"a.test",
        b"A.TEST.",
        b"a:80",
        b"a:",
        b"a:0",
        b"a:65535",
        b"127.0.0.1:8080",
        b"[::1]",
        b"[::1]:443",
        b"[2001:db8::192.0.2.1]",
        b"a_b.test",
        b"xn--bcher-kva.test",
        b"%41.test",
    ];
    for host in sound {
        assert_eq!(with_host(host).unwrap().authority.as_bytes(), *host);
    }
    let unsound: &[&[u8]] = &[
        b"",
        b":80",
        b"a b",
        b"a,b",
        b"a, a",
        b"a/b",
        b"u@a",
        b"a:b",
        b"a:80:80",
        b"a:65536",
        b"a:-1",
        b"a:+1",
        b"a:8 0",
        b"::1",
        b"[::1",
        b"::1]",
        b"[::1]a",
        b"[]",
        b"[v1.a]",
        b"[fe80::1%25eth0]",
        b"[127.0.0.1]",
        b"a\tb",
        b"a?b",
        b"a#b",
        b"a\\b",
        b"\"a\"",
        b"<a>",
        b"http://a",
        b"a%",
        b"a%4",
        b"a%zz",
        b"\xc3\xa9",
        b"\xff",
        b"a\x7fb",
        b"a\x00b",
    ];
    for host in unsound {
        let refused = refusal(with_host(host));
        assert!(matches!(refused, Some(Refusal::Host | Refusal::FieldSyntax)), "{}: {refused:?}", host.escape_ascii());
    }
    assert_eq!(refusal(with_host(&[b'a'; 256])), Some(Refusal::Host));
    assert_eq!(refusal(read(b"GET / HTTP/1.1\r\n\r\n")), Some(Refusal::Host));
    assert_eq!(refusal(with_lines("Host: a.test\r\n")), Some(Refusal::Host));
    assert_eq!(refusal(with_lines("hOST: b.test\r\n")), Some(Refusal::Host));
    assert_eq!(read(b"GET / HTTP/1.0\r\n\r\n").unwrap().authority, "");
    assert_eq!(refusal(read(b"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n")), Some(Refusal::Host));
}

#[test]
fn field_lines_of_the_catalogue() {
    use Refusal::*;
    let cases: &[(&[u8], Option<Refusal>)] = &[
        (b"A: b", None),
        (b"A:b", None),
        (b"A:", None),
        (b"A: \t ", None),
        (b"A: b\tc", None),
        (b"A: \x80\xff", None),
        (b"!#$%&'*+-.^_`|~09azAZ: b", None),
        (b"A : b", Some(FieldSyntax)),
        (b"A\t: b", Some(FieldSyntax)),
        (b" A: b", Some(FieldSyntax)),
        (b"\tA: b", Some(FieldSyntax)),
        (b"A: b\r\n c", Some(FieldSyntax)),
        (b"A: b\r\n\tc", Some(FieldSyntax)),
        (b"A:\r\n b", Some(FieldSyntax)),
        (b"A", Some(FieldSyntax)),
        (b"A b", Some(FieldSyntax)),
        (b": b", Some(FieldSyntax)),
        (b"A\x00: b", Some(FieldSyntax)),
        (b"A\xe9: b", Some(FieldSyntax)),
        (b"A(: b", Some(FieldSyntax)),
        (b"A,B: b", Some(FieldSyntax)),
        (b"\"A\": b", Some(FieldSyntax)),
        (b"A: b\x00c", Some(FieldSyntax)),
        (b"A: b\x0bc", Some(FieldSyntax)),
        (b"A: b\x7fc", Some(FieldSyntax)),
        (b"A: b\x1bc", Some(FieldSyntax)),
        (b"A: b\rc", Some(FieldSyntax)),
        (b"A: b\r", Some(FieldSyntax)),
        (b"A: b\r\r", Some(FieldSyntax)),
        (b"A\r: b", Some(FieldSyntax)),
        (b"A: b\nC: d", Some(BareLineFeed)),
        (b"A: b\n\r\nGET / HTTP/1.1", Some(BareLineFeed)),
        (b"A: b\nC: d\r", Some(FieldSyntax)),
    ];
    for (line, wanted) in cases {
        let text = [b"POST / HTTP/1.1\r\nHost: a.test\r\n", *line, b"\r\n\r\n"].concat();
        let read = RequestHead::default().parse(&text, &LIMITS);
        assert_eq!(read.err(), *wanted, "{}", line.escape_ascii());
    }
}

#[test]
fn every_single_line_feed_needs_its_carriage_return() {
    let text = b"GET / HTTP/1.1\r\nHost: a\r\nB: c\r\n\r\n";
    for place in text.iter().enumerate().filter(|(_, byte)| **byte == b'\r').map(|(place, _)| place) {
        let bare = [&text[..place], &text[place + 1..]].concat();
        let refused = refusal(read(&bare));
        assert!(matches!(refused, Some(Refusal::BareLineFeed | Refusal::FieldSyntax)), "at {place}: {refused:?}");
    }
    // All of them bare, and a smuggled second head behind the one that a lenient reader sees.
    assert_eq!(refusal(read(b"GET / HTTP/1.1\nHost: a\n\n")), Some(Refusal::BareLineFeed));
}

#[test]
fn persistence_follows_version_and_connection() {
    let keep_alive = |version: &str, lines: &str| {
        read(format!("GET / HTTP/{version}\r\nHost: a\r\n{lines}\r\n").as_bytes()).unwrap().keep_alive
    };
    assert!(keep_alive("1.1", ""));
    assert!(keep_alive("1.1", "Connection: keep-alive\r\n"));
    assert!(!keep_alive("1.1", "Connection: close\r\n"));
    assert!(!keep_alive("1.1", "Connection: keep-alive\r\nConnection: x, Close\r\n"));
    assert!(keep_alive("1.1", "Connection: closed\r\n"));
    assert!(!keep_alive("1.0", ""));
    assert!(keep_alive("1.0", "Connection: Keep-Alive\r\n"));
    assert!(!keep_alive("1.0", "Connection: keep-alive, close\r\n"));
}

#[test]
fn a_websocket_is_wanted_when_both_fields_say_so() {
    let wants = |version: &str, lines: &str| {
        read(format!("GET / HTTP/{version}\r\nHost: a\r\n{lines}\r\n").as_bytes()).unwrap().wants_websocket
    };
    assert!(wants("1.1", "Upgrade: websocket\r\nConnection: Upgrade\r\n"));
    assert!(wants("1.1", "Connection: keep-alive, upgrade\r\nUpgrade: h2c, WebSocket\r\n"));
    assert!(!wants("1.1", "Upgrade: websocket\r\n"));
    assert!(!wants("1.1", "Connection: upgrade\r\n"));
    assert!(!wants("1.1", "Upgrade: websocket/13\r\nConnection: Upgrade\r\n"));
    assert!(!wants("1.1", "Upgrade: h2c\r\nConnection: Upgrade\r\n"));
    assert!(!wants("1.0", "Upgrade: websocket\r\nConnection: Upgrade\r\n"));
}

#[test]
fn limits_hold_to_the_byte() {
    let limits = HeadLimits { target_bytes: 10, head_bytes: 64, fields: 2 };
    let parse = |text: &str| RequestHead::default().parse(text.as_bytes(), &limits);
    assert!(matches!(parse("GET /123456789 HTTP/1.1\r\nHost: a\r\n\r\n"), Ok(Parsed::Complete(_))));
    assert_eq!(parse("GET /1234567890 HTTP/1.1\r\nHost: a\r\n\r\n"), Err(Refusal::TargetTooLong));
    let sized = |bytes: usize| {
        let text = "GET / HTTP/1.1\r\nHost: a\r\nB: ";
        format!("{text}{}\r\n\r\n", "c".repeat(bytes - text.len() - 4))
    };
    assert_eq!(parse(&sized(64)), Ok(Parsed::Complete(64)));
    assert_eq!(parse(&(sized(64) + "GET / HTTP/1.1\r\n")), Ok(Parsed::Complete(64)));
    assert_eq!(parse(&sized(65)), Err(Refusal::HeadTooLarge));
    assert_eq!(parse(&sized(66)), Err(Refusal::HeadTooLarge));
    assert!(matches!(parse("GET / HTTP/1.1\r\nHost: a\r\nB:\r\n\r\n"), Ok(Parsed::Complete(_))));
    assert_eq!(parse("GET / HTTP/1.1\r\nHost: a\r\nB:\r\nC:\r\n\r\n"), Err(Refusal::TooManyFields));
    let any = HeadLimits { target_bytes: usize::MAX, head_bytes: usize::MAX, fields: usize::MAX };
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A:\r\n".repeat(300));
    assert_eq!(RequestHead::default().parse(many.as_bytes(), &any), Err(Refusal::TooManyFields));
}

#[test]
fn a_head_that_is_not_whole_is_refused_as_soon_as_it_can_be() {
    let limits = HeadLimits { target_bytes: 10, head_bytes: 64, fields: 2 };
    let parse = |text: &[u8]| RequestHead::default().parse(text, &limits);
    assert_eq!(parse(b""), Ok(Parsed::Partial));
    assert_eq!(parse(b"\r"), Ok(Parsed::Partial));
    assert_eq!(parse(b"\r\n"), Ok(Parsed::Partial));
    assert_eq!(parse(b"GET /"), Ok(Parsed::Partial));
    assert_eq!(parse(b"GET /123456789"), Ok(Parsed::Partial));
    assert_eq!(parse(b"GET /1234567890"), Err(Refusal::TargetTooLong));
    assert_eq!(parse(b"GET /1234567890 "), Err(Refusal::TargetTooLong));
    assert_eq!(parse(&[b'A'; 33]), Err(Refusal::Method));
    assert_eq!(parse(b"\x16\x03\x01\x02\x00\x01"), Err(Refusal::Tls));
    assert_eq!(parse(b"\x16"), Err(Refusal::Tls));
    assert_eq!(parse(b"\x16GET"), Err(Refusal::Method));
    assert_eq!(parse(b"\x00"), Err(Refusal::Method));
    assert_eq!(parse(b"GET / HTTQ"), Err(Refusal::RequestLine));
    assert_eq!(parse(b"GET / HTTP/1.1\nHost"), Err(Refusal::BareLineFeed));
    assert_eq!(parse(b"GET / HTTP/1.1\r\nHost: a\r\nA: b\r\nC: d\r\n"), Err(Refusal::TooManyFields));
    let endless = [b"GET / HTTP/1.1\r\nA: ".as_slice(), &[b'b'; 60]].concat();
    assert_eq!(parse(&endless[..64]), Ok(Parsed::Partial));
    assert_eq!(parse(&endless[..65]), Err(Refusal::HeadTooLarge));
}

#[test]
fn nothing_of_the_last_head_is_left_in_the_next() {
    let mut head = RequestHead::default();
    let first =
        b"POST http://b.test/long/target HTTP/1.0\r\nHost: a\r\nContent-Length: 5, 5\r\nConnection: keep-alive\r\n\r\n";
    assert!(head.parse(first, &LIMITS).is_ok());
    assert!(head.parse(b"GET / HTTP/1.1\r\nHost: c\r\nA: b\r\n\r\n", &LIMITS).is_ok());
    let fresh = read(b"GET / HTTP/1.1\r\nHost: c\r\nA: b\r\n\r\n").unwrap();
    assert_eq!(format!("{head:?}"), format!("{fresh:?}"));
}

#[test]
fn a_warm_head_takes_no_more_memory() {
    let text = b"GET /some/path HTTP/1.1\r\nHost: a.test\r\nUser-Agent: b\r\nAccept: */*\r\n\r\n";
    let mut head = RequestHead::default();
    assert!(head.parse(text, &LIMITS).is_ok());
    let before = (head.fields.memory(), head.target.as_ptr(), head.authority.as_ptr());
    for _ in 0..10 {
        assert!(head.parse(text, &LIMITS).is_ok());
    }
    assert_eq!((head.fields.memory(), head.target.as_ptr(), head.authority.as_ptr()), before);
}

#[test]
fn shrunk_fields_keep_their_lines_and_nothing_else() {
    let mut fields = with_lines("A: b\r\nC: d\r\n").unwrap().fields;
    fields.remove("a");
    let before = fields.clone();
    fields.shrink();
    assert_eq!(fields, before);
    assert!(fields.memory() < before.memory());
}

#[test]
fn a_head_is_read_the_same_whatever_was_read_before_it() {
    let heads = [
        "GET /1 HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "GET /2 HTTP/1.1\r\nHost: a.test\r\nHost: a.test\r\n\r\n",
        "GET /3 HTTP/1.1\r\nHost: A.test:80\r\n\r\n",
        "GET /4 HTTP/1.1\r\nHost: a.test,b.test\r\n\r\n",
        "GET /5 HTTP/1.1\r\nHost:\r\n\r\n",
        "GET http://b.test/6 HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "GET http://b.test/7 HTTP/1.0\r\n\r\n",
        "GET /8 HTTP/1.0\r\n\r\n",
        "GET /9 HTTP/1.1\r\n\r\n",
        "GET /10 HTTP/1.1\r\nHost: a.test\r\nContent-Length: x\r\n\r\n",
        "GET /11 HTTP/1.1\r\nHost: a.te",
    ];
    let told = |head: &RequestHead, read: &Result<Parsed, Refusal>| format!("{read:?} {head:?}");
    for before in heads {
        for text in heads {
            let (mut fresh, mut used) = (RequestHead::default(), RequestHead::default());
            let _before = used.parse(before.as_bytes(), &LIMITS);
            let (one, other) = (fresh.parse(text.as_bytes(), &LIMITS), used.parse(text.as_bytes(), &LIMITS));
            assert_eq!(told(&used, &other), told(&fresh, &one), "{text} after {before}");
        }
    }
}
