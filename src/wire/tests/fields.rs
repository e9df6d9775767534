//! Field lines as they are written.

use proptest::prelude::*;

use crate::wire::{Fields, Parsed, ResponseHead, fields::write_line};

/// Line by line, as `write_http1` once did.
fn one_by_one(fields: &Fields) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields.iter() {
        write_line(&mut out, name, value);
    }
    out
}

fn written(fields: &Fields) -> String {
    let mut out = Vec::new();
    fields.write_http1(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn cookies_are_read_over_all_lines_and_whatever_their_bytes() {
    let mut fields = Fields::new();
    fields.push("Cookie", " a=1;b; ;\tc=\"2=3\" ;;=4; d = 5");
    fields.push("Set-Cookie", "e=6");
    fields.push("cookie", b"f=\xff;\xa0g=");
    let expected: [(&[u8], Option<&[u8]>); 7] = [
        (b"a", Some(b"1")),
        (b"b", None),
        (b"c", Some(b"\"2=3\"")),
        (b"", Some(b"4")),
        (b"d ", Some(b" 5")),
        (b"f", Some(b"\xff")),
        (b"\xa0g", Some(b"")),
    ];
    assert_eq!(fields.cookies().collect::<Vec<_>>(), expected);
    assert_eq!(Fields::new().cookies().count(), 0);
}

#[test]
fn what_stood_round_a_value_is_not_passed_on() {
    let mut head = ResponseHead::default();
    let text = b"HTTP/1.1 200 OK\r\nA:1\r\nB:  2\r\nC: 3 \t\r\nD:\r\nE: \r\nF: 6\r\n\r\n";
    assert_eq!(head.parse(text, 1024, 64).unwrap(), Parsed::Complete(text.len()));
    assert_eq!(written(&head.fields), "A: 1\r\nB: 2\r\nC: 3\r\nD: \r\nE: \r\nF: 6\r\n");
    head.fields.remove("b");
    head.fields.push("G", "7");
    head.fields.push("H", "");
    assert_eq!(written(&head.fields), "A: 1\r\nC: 3\r\nD: \r\nE: \r\nF: 6\r\nG: 7\r\nH: \r\n");
}

proptest! {
    #[test]
    fn runs_of_lines_are_written_as_the_lines_one_by_one(
        read in prop::collection::vec(("[A-Za-z-]{1,4}", "[ \t]{0,3}", "([!-~]( ?[!-~]){0,3})?", "[ \t]{0,2}"), 0..8),
        added in prop::collection::vec(("[A-Za-z-]{1,4}", "[!-~]{0,4}"), 0..4),
        kept in any::<u16>(),
    ) {
        let mut text = String::from("HTTP/1.1 200 OK\r\n");
        for (name, before, value, behind) in &read {
            text += &format!("X-{name}:{before}{value}{behind}\r\n");
        }
        text += "\r\n";
        let mut head = ResponseHead::default();
        prop_assert_eq!(head.parse(text.as_bytes(), 1024, 64), Ok(Parsed::Complete(text.len())));
        for (name, value) in &added {
            head.fields.push(name, value);
        }
        let mut place = 0;
        head.fields.retain(|_, _| {
            place += 1;
            kept >> place & 1 == 1
        });
        prop_assert_eq!(written(&head.fields).into_bytes(), one_by_one(&head.fields));
        head.fields.shrink();
        prop_assert_eq!(written(&head.fields).into_bytes(), one_by_one(&head.fields));
    }
}
