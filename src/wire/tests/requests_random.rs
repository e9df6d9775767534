use proptest::prelude::*;

use super::LIMITS;
use crate::wire::{Framing, Parsed, RequestHead};

/// A sound head as its parts: target, authority, other lines.
fn sound_head() -> impl Strategy<Value = (String, String, Vec<(String, String)>)> {
    let line = ("X-[A-Za-z0-9!#$%&'*+.^`|~-]{1,12}", "([!-~]([ -~\t]{0,20}[!-~])?)?");
    // Forwarding twins have an underscore, which the alphabet above leaves out.
    ("/[!-\"$-~]{0,40}", "[a-z0-9.-]{1,20}(:[0-9]{1,4})?", prop::collection::vec(line, 0..20))
}

fn write((target, authority, lines): &(String, String, Vec<(String, String)>)) -> Vec<u8> {
    let mut text = format!("GET {target} HTTP/1.1\r\nHost: {authority}\r\n");
    for (name, value) in lines {
        text += &format!("{name}: {value}\r\n");
    }
    (text + "\r\n").into_bytes()
}

/// The plain twin: splits at CRLF and colon; for sound heads only.
fn plain_reading(text: &[u8]) -> (String, Vec<(String, String)>) {
    let text = std::str::from_utf8(text).unwrap();
    let mut lines = text.strip_suffix("\r\n\r\n").unwrap().split("\r\n");
    let target = lines.next().unwrap().split(' ').nth(1).unwrap().to_owned();
    let fields = lines.map(|line| line.split_once(": ").unwrap()).map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    (target, fields)
}

proptest! {
    #[test]
    fn a_sound_head_is_read_as_written_and_written_as_read(parts in sound_head()) {
        let text = write(&parts);
        let mut head = RequestHead::default();
        prop_assert_eq!(head.parse(&text, &LIMITS), Ok(Parsed::Complete(text.len())));
        let (target, fields) = plain_reading(&text);
        prop_assert_eq!(&head.target, &target);
        prop_assert_eq!(&head.authority, &parts.1);
        let read: Vec<_> = head
            .fields
            .iter()
            .map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), String::from_utf8_lossy(value).into_owned()))
            .collect();
        prop_assert_eq!(read, fields);
        let mut written = format!("GET {target} HTTP/1.1\r\n").into_bytes();
        head.fields.write_http1(&mut written);
        written.extend_from_slice(b"\r\n");
        prop_assert_eq!(written, text);
    }

    #[test]
    fn every_prefix_of_a_sound_head_is_partial_and_more_behind_it_changes_nothing(
        parts in sound_head(),
        empty_line in any::<bool>(),
        behind in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let mut text = if empty_line { b"\r\n".to_vec() } else { Vec::new() };
        text.extend(write(&parts));
        let whole = text.len();
        text.extend(behind);
        let mut head = RequestHead::default();
        for end in 0..whole {
            prop_assert_eq!(head.parse(&text[..end], &LIMITS), Ok(Parsed::Partial), "{} bytes", end);
        }
        prop_assert_eq!(head.parse(&text[..whole], &LIMITS), Ok(Parsed::Complete(whole)));
        let first = format!("{head:?}");
        prop_assert_eq!(head.parse(&text, &LIMITS), Ok(Parsed::Complete(whole)));
        prop_assert_eq!(format!("{head:?}"), first);
    }

    #[test]
    fn arbitrary_bytes_never_panic(text in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = RequestHead::default().parse(&text, &LIMITS);
    }

    #[test]
    fn a_head_with_bytes_changed_is_sound_or_refused_and_what_is_taken_is_unambiguous(
        parts in sound_head(),
        extra in prop::sample::select(vec!["", "Content-Length: 7\r\n", "Transfer-Encoding: chunked\r\n", "Expect: 100-continue\r\n"]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(b"\r\n\0 \t:,;_/#@\x7f\xffcC5*".to_vec())), 0..4),
    ) {
        let mut text = write(&parts);
        text.truncate(text.len() - 2);
        text.extend_from_slice(extra.as_bytes());
        text.extend_from_slice(b"\r\n");
        for (index, byte) in changes {
            let place = index.index(text.len());
            text[place] = byte;
        }
        let mut head = RequestHead::default();
        if let Ok(Parsed::Complete(length)) = head.parse(&text, &LIMITS) {
            prop_assert!(text[..length].ends_with(b"\r\n\r\n"));
            let bare = text[..length].iter().enumerate().any(|(place, byte)| match byte {
                b'\n' => place == 0 || text[place - 1] != b'\r',
                b'\r' => text[place + 1] != b'\n',
                0 | 0x7f => true,
                _ => false,
            });
            prop_assert!(!bare, "{}", text.escape_ascii());
            let lengths = head.fields.all("content-length").count();
            let codings = head.fields.all("transfer-encoding").count();
            prop_assert_eq!((lengths, codings), match head.framing {
                Framing::None => (0, 0),
                Framing::Length(_) => (1, 0),
                Framing::Chunked => (0, 1),
            });
            // Written out anew, it is read as the same.
            let mut again = format!("{} {} HTTP/1.1\r\n", head.method, head.target).into_bytes();
            head.fields.write_http1(&mut again);
            again.extend_from_slice(b"\r\n");
            let mut second = RequestHead::default();
            if head.version == crate::wire::Version::Http11 {
                prop_assert_eq!(second.parse(&again, &LIMITS), Ok(Parsed::Complete(again.len())));
                prop_assert_eq!((second.framing, second.keep_alive), (head.framing, head.keep_alive));
                prop_assert_eq!((&second.authority, &second.target), (&head.authority, &head.target));
                prop_assert_eq!(&second.fields, &head.fields);
            }
        }
    }
}
