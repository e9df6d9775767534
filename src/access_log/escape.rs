//! Text that a client chose, made harmless: it can't end a line or a field, and a terminal sees no control in it.

use std::io::Write;

use super::TEXT_BYTES_MAX;

/// For `combined`: printable ASCII as it is; quote, backslash and every other byte as `\xHH`, as nginx does.
/// An empty text is `-`.
pub(super) fn quoted(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    if text.is_empty() {
        out.push(b'-');
    }
    inside_quotes(out, text);
    out.push(b'"');
}

/// As `quoted`, without the quotes and the dash.
pub(super) fn inside_quotes(out: &mut Vec<u8>, text: &[u8]) {
    let (text, was_cut) = cut(text);
    if is_all_plain(text) {
        out.extend_from_slice(text);
    } else {
        for &byte in text {
            if is_plain(byte) {
                out.push(byte);
            } else {
                let (high, low) = (UPPER_HEX[usize::from(byte >> 4)], UPPER_HEX[usize::from(byte & 15)]);
                out.extend_from_slice(&[b'\\', b'x', high, low]);
            }
        }
    }
    if was_cut {
        out.extend_from_slice(b"...");
    }
}

/// The value of a JSON string, quotes included (RFC 8259 §7). Bytes that are not UTF-8 become U+FFFD; control
/// characters, and those that turn the direction of text or break lines, are written as `\uHHHH`.
pub(super) fn json_string(out: &mut Vec<u8>, text: &[u8]) {
    let (text, was_cut) = cut(text);
    out.push(b'"');
    if is_all_plain(text) {
        out.extend_from_slice(text);
    } else {
        for chunk in text.utf8_chunks() {
            json_characters(out, chunk.valid());
            if !chunk.invalid().is_empty() {
                out.extend_from_slice("\u{FFFD}".as_bytes());
            }
        }
    }
    if was_cut {
        out.extend_from_slice(b"...");
    }
    out.push(b'"');
}

fn json_characters(out: &mut Vec<u8>, text: &str) {
    for character in text.chars() {
        match character {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            character if is_unprintable(character) => {
                // Invariant: all of them are below U+10000, so that one escape holds each; a Vec takes every write.
                let _ = write!(out, "\\u{:04x}", u32::from(character));
            }
            character => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// C0, DEL and C1; line and paragraph separators; marks, embeddings and isolates of direction; the byte order mark.
fn is_unprintable(character: char) -> bool {
    matches!(character,
        '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{61c}' | '\u{200e}' | '\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Printable ASCII without quote and backslash. Without branches, so that many bytes are looked at in one instruction.
fn is_plain(byte: u8) -> bool {
    (b' '..=b'~').contains(&byte) & (byte != b'"') & (byte != b'\\')
}

/// Nearly all texts are: they are copied whole.
fn is_all_plain(text: &[u8]) -> bool {
    text.chunks(64).all(|chunk| chunk.iter().fold(true, |plain, byte| plain & is_plain(*byte)))
}

/// At most `TEXT_BYTES_MAX` bytes, never the first half of a character; and whether anything was cut.
fn cut(text: &[u8]) -> (&[u8], bool) {
    if text.len() <= TEXT_BYTES_MAX {
        return (text, false);
    }
    let is_continuation = |byte: u8| byte & 0b1100_0000 == 0b1000_0000;
    let mut end = TEXT_BYTES_MAX;
    // A character has at most three continuation bytes.
    while end > TEXT_BYTES_MAX - 3 && is_continuation(text[end]) {
        end -= 1;
    }
    (&text[..end], true)
}

const UPPER_HEX: &[u8; 16] = b"0123456789ABCDEF";
