use super::{read, refusal, with_lines};
use crate::wire::{Framing, Refusal, RequestHead};

fn with_line(line: &[u8]) -> Result<RequestHead, Refusal> {
    read(&[b"POST / HTTP/1.1\r\nHost: a.test\r\n", line, b"\r\n\r\n"].concat())
}

#[test]
fn content_lengths_of_the_catalogue() {
    let sound = [
        ("Content-Length: 0\r\n", 0, "0"),
        ("Content-Length: 5\r\n", 5, "5"),
        ("content-LENGTH:5  \r\n", 5, "5"),
        ("Content-Length: 5, 5\r\n", 5, "5"),
        ("Content-Length: 5,5\t, 5\r\n", 5, "5"),
        ("Content-Length: 005\r\n", 5, "5"),
        ("Content-Length: 00\r\n", 0, "0"),
        ("Content-Length: 5\r\nContent-Length: 5\r\n", 5, "5"),
        ("Content-Length: 5, 5\r\nA: b\r\ncontent-length: 5\r\n", 5, "5"),
        ("Content-Length: 18446744073709551615\r\n", u64::MAX, "18446744073709551615"),
    ];
    for (lines, length, written) in sound {
        let head = with_lines(lines).unwrap();
        assert_eq!(head.framing, Framing::Length(length), "{lines}");
        assert_eq!(head.fields.all("content-length").collect::<Vec<_>>(), [written.as_bytes()], "{lines}");
    }
    let unsound = [
        "",
        "+5",
        "-5",
        "0x5",
        "5a",
        "5 5",
        "5;5",
        "5.0",
        "\"5\"",
        "5,",
        ",5",
        "5,,5",
        "5, 6",
        "5,a",
        "18446744073709551616",
        "99999999999999999999999999",
        "1e3",
        "1_0",
        "\u{665}",
    ];
    for value in unsound {
        assert_eq!(
            refusal(with_lines(&format!("Content-Length: {value}\r\n"))),
            Some(Refusal::ContentLength),
            "{value}"
        );
    }
    assert_eq!(refusal(with_lines("Content-Length: 5\r\nContent-Length: 6\r\n")), Some(Refusal::ContentLength));
    assert_eq!(refusal(with_lines("Content-Length: 5\r\nContent-Length:\r\n")), Some(Refusal::ContentLength));
    // Also where no body is expected: RFC 9110 §9.3.1.
    let head = read(b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n").unwrap();
    assert_eq!(head.framing, Framing::Length(3));
}

#[test]
fn transfer_encodings_of_the_catalogue() {
    use Refusal::*;
    let cases: &[(&[u8], Option<Refusal>)] = &[
        (b"chunked", None),
        (b"Chunked", None),
        (b"CHUNKED ", None),
        (b"", Some(TransferEncoding)),
        (b"xchunked", Some(TransferEncoding)),
        (b"chunkedx", Some(TransferEncoding)),
        (b"x-chunked", Some(TransferEncoding)),
        (b"chunk", Some(UnknownCoding)),
        (b"chunked, chunked", Some(TransferEncoding)),
        (b"chunked, gzip", Some(TransferEncoding)),
        (b"chunked, identity", Some(TransferEncoding)),
        (b"chunked,", Some(TransferEncoding)),
        (b", chunked", Some(TransferEncoding)),
        (b"chunked;q=1", Some(TransferEncoding)),
        (b"chunked a", Some(TransferEncoding)),
        (b"\"chunked\"", Some(TransferEncoding)),
        (b"'chunked'", Some(TransferEncoding)),
        (b"\tchunked", Some(TransferEncoding)),
        (b"chunked\t", Some(TransferEncoding)),
        (b"\x0bchunked", Some(FieldSyntax)),
        (b"chunked\x0b", Some(FieldSyntax)),
        (b"\x00chunked", Some(FieldSyntax)),
        (b"chun\xffked", Some(TransferEncoding)),
        (b"\r\n chunked", Some(FieldSyntax)),
        (b"gzip", Some(UnknownCoding)),
        (b"identity", Some(UnknownCoding)),
        (b"gzip, chunked", Some(UnknownCoding)),
        (b"gzip, deflate", Some(UnknownCoding)),
        (b"cow", Some(UnknownCoding)),
    ];
    for (value, wanted) in cases {
        let read = with_line(&[b"Transfer-Encoding: ", *value].concat());
        let framing = read.as_ref().map(|head| head.framing).ok();
        assert_eq!(framing, wanted.is_none().then_some(Framing::Chunked));
        assert_eq!(refusal(read), *wanted, "{}", value.escape_ascii());
    }
    let twice = "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n";
    assert_eq!(refusal(with_lines(twice)), Some(TransferEncoding));
    let split = "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n";
    assert_eq!(refusal(with_lines(split)), Some(TransferEncoding));
    let old = b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(refusal(read(old)), Some(TransferEncoding));
}

#[test]
fn length_and_coding_together_are_refused_in_either_order() {
    for lines in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
        "Transfer-Encoding: gzip\r\nContent-Length: 5\r\n",
        "Transfer-Encoding: xchunked\r\nContent-Length: 5\r\n",
    ] {
        assert_eq!(refusal(with_lines(lines)), Some(Refusal::LengthAndCoding), "{lines}");
    }
}

#[test]
fn names_that_pass_for_framing_or_forwarding_names_are_dropped() {
    let lines = "content_length: 5\r\nTransfer_Encoding: chunked\r\nX_Forwarded_For: a\r\nx-forwarded_proto: a\r\n\
                 X_Real_IP: a\r\nX-Real_IP: a\r\nKeep_Alive: a\r\nproxy_connection: a\r\n";
    let head = with_lines(lines).unwrap();
    assert_eq!(head.fields.len(), 1, "{:?}", head.fields);
    assert_eq!(head.framing, Framing::None);
    let kept = "X-Forwarded-For: a\r\nX-Real-IP: a\r\nX_Other: a\r\nContent_Type: a\r\nContent-Lengths: 1\r\n\
                Transfer-Encodings: a\r\n";
    assert_eq!(with_lines(kept).unwrap().fields.len(), 7);
}

#[test]
fn expectations_of_the_catalogue() {
    assert!(with_lines("Expect: 100-continue\r\n").unwrap().expect_continue);
    assert!(with_lines("eXpect: 100-Continue\r\n").unwrap().expect_continue);
    for lines in [
        "Expect:\r\n",
        "Expect: 100\r\n",
        "Expect: 100-continue, 100-continue\r\n",
        "Expect: 100-continue, x\r\n",
        "Expect: y 100-continue\r\n",
        "Expect: 100-continue\r\nExpect: 100-continue\r\n",
    ] {
        assert_eq!(refusal(with_lines(lines)), Some(Refusal::Expectation), "{lines}");
    }
    let old = read(b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n").unwrap();
    assert!(!old.expect_continue && !old.fields.contains("expect"));
}
