use http::Method;
use proptest::prelude::*;

use crate::wire::{AnswerFraming, BadAnswer, Parsed, ResponseHead, Version, reason_for};

fn parse(text: &[u8]) -> Result<(ResponseHead, Parsed), BadAnswer> {
    let mut head = ResponseHead::default();
    let parsed = head.parse(text, 64 * 1024, 100)?;
    Ok((head, parsed))
}

fn framing(status_line: &str, lines: &str, method: &Method) -> Result<AnswerFraming, BadAnswer> {
    let text = format!("{status_line}\r\n{lines}\r\n");
    let (head, parsed) = parse(text.as_bytes())?;
    assert_eq!(parsed, Parsed::Complete(text.len()));
    head.framing(method)
}

fn get(lines: &str) -> Result<AnswerFraming, BadAnswer> {
    framing("HTTP/1.1 200 OK", lines, &Method::GET)
}

#[test]
fn an_ordinary_answer_is_taken_as_it_came() {
    let text = b"HTTP/1.1 404 Nicht d\xe4\r\nDate: x\r\nset-cookie: a\r\nSet-Cookie: b\r\n\r\nbody";
    let (head, parsed) = parse(text).unwrap();
    assert_eq!(parsed, Parsed::Complete(text.len() - 4));
    assert_eq!((head.version, head.status, &*head.reason), (Version::Http11, 404, &b"Nicht d\xe4"[..]));
    assert_eq!(head.fields.all("Set-Cookie").collect::<Vec<_>>(), [b"a", b"b"]);
    assert!(head.keep_alive());
}

#[test]
fn status_lines_of_the_catalogue() {
    let sound: [(&[u8], u16, &[u8]); 6] = [
        (b"HTTP/1.1 200 OK", 200, b"OK"),
        (b"HTTP/1.0 200 OK", 200, b"OK"),
        (b"HTTP/1.1 200 ", 200, b""),
        (b"HTTP/1.1 200", 200, b""),
        (b"HTTP/1.1 999  a b", 999, b" a b"),
        (b"HTTP/1.1 100 Continue", 100, b"Continue"),
    ];
    for (line, status, reason) in sound {
        let (head, parsed) = parse(&[line, b"\r\n\r\n"].concat()).unwrap();
        assert_eq!(parsed, Parsed::Complete(line.len() + 4));
        assert_eq!((head.status, &*head.reason), (status, reason));
    }
    let unsound: &[&[u8]] = &[
        b"",
        b"junk",
        b"HTTP/1.1",
        b"HTTP/1.1 ",
        b"HTTP/1.1 20",
        b"HTTP/1.1 2000",
        b"HTTP/1.1 099 x",
        b"HTTP/1.1 000",
        b"HTTP/1.1 -20 x",
        b"HTTP/1.1 2x0 x",
        b"HTTP/1.1  200 OK",
        b"HTTP/1.1\t200 OK",
        b" HTTP/1.1 200 OK",
        b"HTTP/2 200",
        b"HTTP/2.0 200 OK",
        b"HTTP/1.2 200 OK",
        b"HTTP/0.9 200 OK",
        b"http/1.1 200 OK",
        b"ICY 200 OK",
        b"HTTP/1.1 200\tOK",
        b"HTTP/1.1 200 O\x00K",
        b"HTTP/1.1 200 O\rK",
        b"HTTP/1.1 200 O\x1bK",
        b"<html>",
    ];
    for line in unsound {
        let refused = parse(&[line, &b"\r\n\r\n"[..]].concat()).err();
        assert_eq!(refused, Some(BadAnswer::StatusLine), "{}", line.escape_ascii());
    }
}

#[test]
fn field_lines_of_the_catalogue() {
    let lines: &[&[u8]] = &[
        b"A B : b",
        b" : b",
        b"A \r\n: b",
        b" A: b",
        b"A",
        b"A b",
        b": b",
        b"A: b\r\n c",
        b"A: b\x00",
        b"A: b\rc",
        b"A: b\nC: d",
        b"A\xff: b",
    ];
    for line in lines {
        let refused = parse(&[b"HTTP/1.1 200 OK\r\n", *line, b"\r\n\r\n"].concat()).err();
        assert_eq!(refused, Some(BadAnswer::FieldSyntax), "{}", line.escape_ascii());
    }
    for text in ["HTTP/1.1 200 OK\n\n", "HTTP/1.1 200 OK\r\nA: b\n\r\n", "HTTP/1.1 200 OK\nA"] {
        assert_eq!(parse(text.as_bytes()).err(), Some(BadAnswer::FieldSyntax), "{text}");
    }
}

#[test]
fn white_space_in_front_of_a_colon_is_taken_off() {
    let text = b"HTTP/1.1 200 OK\r\nA : b\r\nC \t :d\r\nE :\r\nF\t:  g \r\nH: i\r\n\r\n";
    let (head, parsed) = parse(text).unwrap();
    assert_eq!(parsed, Parsed::Complete(text.len()));
    let mut written = Vec::new();
    head.fields.write_http1(&mut written);
    assert_eq!(written.escape_ascii().to_string(), r"A: b\r\nC: d\r\nE: \r\nF: g\r\nH: i\r\n");
    // What frames the body does so with it, too.
    assert_eq!(get("Content-Length : 5\r\n"), Ok(AnswerFraming::Length(5)));
    assert_eq!(get("Transfer-Encoding\t: chunked\r\n"), Ok(AnswerFraming::Chunked));
    assert_eq!(get("Content-Length: 5\r\nContent-Length : 6\r\n"), Err(BadAnswer::ContentLength));
    assert_eq!(get("Content-Length : 5\r\nTransfer-Encoding: chunked\r\n"), Err(BadAnswer::LengthAndCoding));
    assert_eq!(get("Transfer-Encoding : chunked\r\nTransfer-Encoding: chunked\r\n"), Err(BadAnswer::TransferEncoding));
}

#[test]
fn the_length_of_an_answer_is_one_number_or_refused() {
    assert_eq!(get("Content-Length: 5\r\n"), Ok(AnswerFraming::Length(5)));
    assert_eq!(get("Content-Length: 0\r\n"), Ok(AnswerFraming::Length(0)));
    assert_eq!(get("Content-Length: 5\r\nContent-Length: 5\r\n"), Ok(AnswerFraming::Length(5)));
    assert_eq!(get("Content-Length: 5, 5\r\n"), Ok(AnswerFraming::Length(5)));
    assert_eq!(get(""), Ok(AnswerFraming::UntilClose));
    for value in ["", "+5", "-1", "0x5", "5a", "5,6", "5,", "18446744073709551616"] {
        assert_eq!(get(&format!("Content-Length: {value}\r\n")), Err(BadAnswer::ContentLength), "{value}");
    }
    let two = "Content-Length: 5\r\nContent-Length: 6\r\n";
    assert_eq!(get(two), Err(BadAnswer::ContentLength));
    assert_eq!(framing("HTTP/1.1 200 OK", two, &Method::HEAD), Err(BadAnswer::ContentLength));
}

#[test]
fn a_length_said_twice_goes_on_once() {
    let (head, _) = parse(b"HTTP/1.1 200 OK\r\nContent-Length: 05\r\nA: b\r\ncontent-length: 5, 5\r\n\r\n").unwrap();
    assert_eq!(head.fields.all("content-length").collect::<Vec<_>>(), [b"5"]);
}

#[test]
fn the_coding_of_an_answer_is_chunked_or_means_nothing_or_is_refused() {
    assert_eq!(get("Transfer-Encoding: Chunked\r\n"), Ok(AnswerFraming::Chunked));
    // RFC 9112 §6.3: a body whose last coding isn't `chunked` ends with the connection.
    for value in ["identity", "cow", "cow, identity"] {
        assert_eq!(get(&format!("Transfer-Encoding: {value}\r\n")), Ok(AnswerFraming::UntilClose), "{value}");
    }
    for value in [
        "",
        "gzip",
        "X-GZIP",
        "cow, deflate",
        "cow, chunked",
        "gzip, chunked",
        "chunked, chunked",
        "chunked, gzip",
        "xchunked",
        "\"chunked\"",
    ] {
        assert_eq!(get(&format!("Transfer-Encoding: {value}\r\n")), Err(BadAnswer::TransferEncoding), "{value}");
    }
    let twice = "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n";
    assert_eq!(get(twice), Err(BadAnswer::TransferEncoding));
    let both = "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n";
    assert_eq!(get(both), Err(BadAnswer::LengthAndCoding));
    let old = framing("HTTP/1.0 200 OK", "Transfer-Encoding: chunked\r\n", &Method::GET);
    assert_eq!(old, Err(BadAnswer::TransferEncoding));
}

#[test]
fn some_answers_have_no_body_whatever_they_say() {
    let lines = "Content-Length: 5\r\n";
    assert_eq!(framing("HTTP/1.1 200 OK", lines, &Method::HEAD), Ok(AnswerFraming::None));
    for line in ["HTTP/1.1 100 Continue", "HTTP/1.1 103 Early Hints", "HTTP/1.1 204 No Content", "HTTP/1.1 304 x"] {
        assert_eq!(framing(line, lines, &Method::GET), Ok(AnswerFraming::None), "{line}");
    }
}

#[test]
fn persistence_follows_version_and_connection() {
    let keep_alive = |text: &str| parse(format!("{text}\r\n\r\n").as_bytes()).unwrap().0.keep_alive();
    assert!(keep_alive("HTTP/1.1 200 OK"));
    assert!(!keep_alive("HTTP/1.1 200 OK\r\nConnection: a, CLOSE"));
    assert!(!keep_alive("HTTP/1.0 200 OK"));
    assert!(keep_alive("HTTP/1.0 200 OK\r\nConnection: keep-alive"));
    assert!(!keep_alive("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nConnection: close"));
}

#[test]
fn a_backend_says_how_long_it_keeps_a_connection() {
    let told = |line: &str| {
        let head = parse(format!("HTTP/1.1 200 OK\r\n{line}\r\n\r\n").as_bytes()).unwrap().0;
        head.keep_alive_timeout().map(|time| time.as_secs())
    };
    assert_eq!(told("Keep-Alive: timeout=5"), Some(5));
    assert_eq!(told("keep-alive: max=100, TIMEOUT=0"), Some(0));
    assert_eq!(told("Keep-Alive: timeout=-5"), None);
    assert_eq!(told("Keep-Alive: timeout=a, timeout=7"), Some(7));
    assert_eq!(told("Keep-Alive: 115"), None);
    assert_eq!(told("Connection: keep-alive"), None);
}

#[test]
fn limits_hold_before_the_head_is_whole() {
    let mut head = ResponseHead::default();
    let text = b"HTTP/1.1 200 OK\r\nA: b\r\nC: d\r\n\r\n";
    assert_eq!(head.parse(text, text.len(), 2), Ok(Parsed::Complete(text.len())));
    assert_eq!(head.parse(text, text.len() - 1, 2), Err(BadAnswer::HeadTooLarge));
    assert_eq!(head.parse(&text[..20], 19, 2), Err(BadAnswer::HeadTooLarge));
    assert_eq!(head.parse(&text[..20], 20, 2), Ok(Parsed::Partial));
    assert_eq!(head.parse(text, text.len(), 1), Err(BadAnswer::TooManyFields));
}

#[test]
fn reasons_are_those_of_the_registry() {
    assert_eq!((reason_for(200), reason_for(414), reason_for(799)), ("OK", "URI Too Long", ""));
}

proptest! {
    #[test]
    fn every_slicing_gives_the_same(
        reason in "[ -~]{0,12}",
        status in 100u16..=999,
        lines in prop::collection::vec(("[A-Za-z][A-Za-z0-9-]{0,12}", "([!-~]([ -~]{0,20}[!-~])?)?"), 0..12),
    ) {
        let mut text = format!("HTTP/1.1 {status} {reason}\r\n");
        for (name, value) in &lines {
            text += &format!("X-{name}: {value}\r\n");
        }
        text += "\r\n";
        let mut head = ResponseHead::default();
        for end in 0..text.len() {
            prop_assert_eq!(head.parse(&text.as_bytes()[..end], 64 * 1024, 100), Ok(Parsed::Partial));
        }
        prop_assert_eq!(head.parse(text.as_bytes(), 64 * 1024, 100), Ok(Parsed::Complete(text.len())));
        let mut written = format!("HTTP/1.1 {} ", head.status).into_bytes();
        written.extend_from_slice(&head.reason);
        written.extend_from_slice(b"\r\n");
        head.fields.write_http1(&mut written);
        written.extend_from_slice(b"\r\n");
        prop_assert_eq!(written, text.into_bytes());
    }

    #[test]
    fn arbitrary_bytes_never_panic(text in prop::collection::vec(any::<u8>(), 0..300)) {
        let with_start = [b"HTTP/1.1 200 OK\r\n", text.as_slice()].concat();
        for text in [text, with_start] {
            if let Ok((head, Parsed::Complete(_))) = parse(&text) {
                let _ = head.framing(&Method::GET);
            }
        }
    }
}
