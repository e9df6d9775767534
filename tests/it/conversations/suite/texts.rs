//! UTF-8, sound and broken: Autobahn's group 6.

use super::table::{Chop, Conversation, piece};
use crate::support::Frame;

/// Each text whole, octet by octet on the wire, and in pieces of one octet.
pub fn texts() -> Vec<Conversation> {
    let sound = SOUND.iter().enumerate().flat_map(|(at, text)| {
        let frame = Frame { fin: true, opcode: 1, payload: text.to_vec() };
        let new = |form: &str| Conversation::new(format!("6-sound-{at}-{form}"));
        let split = [&text[..], b"x"].concat();
        let octets: Vec<&[u8]> = split.chunks(1).collect();
        let whole = Frame { fin: true, opcode: 1, payload: split.clone() };
        [
            new("whole").echo(frame.clone()).closed(1000),
            new("chopped").chopped(Chop::Bytes(1)).echo(frame).closed(1000),
            new("pieces").pieces(1, &octets).hears(whole).closed(1000),
        ]
    });
    let broken = BROKEN.iter().enumerate().flat_map(|(at, text)| {
        let frame = Frame { fin: true, opcode: 1, payload: text.to_vec() };
        let new = |form: &str| Conversation::new(format!("6-broken-{at}-{form}"));
        // 6.4: more is to come, but it is lost already.
        let early = new("early").echo(Frame::text("before")).says(piece(false, 1, text)).says(piece(false, 0, b"more"));
        let octets: Vec<&[u8]> = text.chunks(1).collect();
        [
            new("whole").says(frame.clone()).fails_as_text(),
            new("chopped").chopped(Chop::Bytes(1)).says(frame).fails_as_text(),
            new("pieces").pieces(1, &octets).fails_as_text(),
            early.says(piece(true, 0, b"")).fails_as_text(),
        ]
    });
    sound.chain(broken).collect()
}

/// After Markus Kuhn's "UTF-8 decoder capability and stress test".
const SOUND: &[&[u8]] = &[
    "Hello-µ@ßöäüàá-UTF-8!!".as_bytes(),
    "κόσμε".as_bytes(),
    // The first and the last of each length.
    b"\0",
    "\u{80}".as_bytes(),
    "\u{800}".as_bytes(),
    "\u{10000}".as_bytes(),
    "\u{7f}".as_bytes(),
    "\u{7ff}".as_bytes(),
    "\u{ffff}".as_bytes(),
    "\u{10ffff}".as_bytes(),
    // Beside the surrogates, and what stands for the unknown.
    "\u{d7ff}".as_bytes(),
    "\u{e000}".as_bytes(),
    "\u{fffd}".as_bytes(),
    // No characters, but sound.
    "\u{fffe}".as_bytes(),
    "\u{1fffe}".as_bytes(),
    "\u{1ffff}".as_bytes(),
    "\u{10fffe}".as_bytes(),
];

const BROKEN: &[&[u8]] = &[
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80edited",
    // Longer than any sequence may be.
    b"\xf8\x88\x80\x80\x80",
    b"\xfc\x84\x80\x80\x80\x80",
    b"\xf7\xbf\xbf\xbf",
    b"\xfb\xbf\xbf\xbf\xbf",
    b"\xfd\xbf\xbf\xbf\xbf\xbf",
    b"\xf4\x90\x80\x80",
    // Octets that continue nothing.
    b"\x80",
    b"\xbf",
    b"\x80\xbf\x80\xbf\x80\xbf",
    // Octets that begin something, and nothing follows.
    b"\xc2 \xdf ",
    b"\xe0 \xef ",
    b"\xf0 \xf4 ",
    b"\xe0\x80 ",
    b"\xf7\xbf\xbf ",
    // Never in UTF-8.
    b"\xfe",
    b"\xff",
    b"\xfe\xfe\xff\xff",
    // Written longer than need be.
    b"\xc0\xaf",
    b"\xe0\x80\xaf",
    b"\xf0\x80\x80\xaf",
    b"\xc1\xbf",
    b"\xe0\x9f\xbf",
    b"\xf0\x8f\xbf\xbf",
    b"\xc0\x80",
    b"\xe0\x80\x80",
    // Surrogates, alone and in pairs.
    b"\xed\xa0\x80",
    b"\xed\xad\xbf",
    b"\xed\xbf\xbf",
    b"\xed\xa0\x80\xed\xb0\x80",
    b"\xed\xaf\xbf\xed\xbf\xbf",
];
