//! Much at once, and often: Autobahn's groups 9, 10, 12 and 13.

use super::{
    deflate::Codec,
    frames::letters,
    table::{Chop, Conversation},
};
use crate::support::{Frame, pattern};

/// Groups 9 and 10.
pub fn volumes() -> Vec<Conversation> {
    let mut table = Vec::new();
    let new = |number: String| Conversation::new(number);
    // 9.1 and 9.2: one frame.
    for length in [64 << 10, 256 << 10, 1 << 20] {
        let text = Frame { fin: true, opcode: 1, payload: letters(length) };
        table.push(new(format!("9.1-{length}")).echo(text).closed(1000));
    }
    for length in [4 << 20, 16 << 20] {
        let large = Frame::binary(pattern(9, length));
        let masked = large.masked_with([0; 4]);
        table.push(new(format!("9.2-{length}")).says_bytes(masked).hears(large).closed(1000));
    }
    // 9.3 and 9.4: in pieces; 10.1: in those that a sender makes by itself.
    for (number, length, size) in
        [("9.3", 64 << 10, 64), ("9.3", 256 << 10, 4096), ("9.3", 1 << 20, 64 << 10), ("10.1", 65_536, 1300)]
    {
        let text = letters(length);
        let pieces: Vec<&[u8]> = text.chunks(size).collect();
        let whole = Frame { fin: true, opcode: 1, payload: text.clone() };
        table.push(new(format!("{number}-{size}")).pieces(1, &pieces).hears(whole).closed(1000));
    }
    // 9.5 and 9.6: in small writes.
    for size in [64, 512, 2048] {
        let frame = Frame::binary(pattern(size as u64, 128 << 10));
        table.push(new(format!("9.6-{size}")).chopped(Chop::Bytes(size)).echo(frame).closed(1000));
    }
    // 9.7 and 9.8: one after another, there and back.
    for (opcode, length) in [(1, 0), (1, 64), (2, 1024), (2, 4096)] {
        let frame = Frame { fin: true, opcode, payload: letters(length) };
        let round = |it: Conversation, _| it.echo(frame.clone()).awaits();
        table.push((0..200).fold(new(format!("9.7-{length}")), round).closed(1000));
    }
    // None of them awaited.
    let frame = Frame::binary(pattern(1, 300));
    let burst = (0..1000).fold(new("9.8-burst".into()).chopped(Chop::Whole), |it, _| it.echo(frame.clone()));
    table.push(burst.closed(1000));
    table
}

/// Groups 12 and 13: the gateway opens nothing, so the same octets come out.
pub fn deflated() -> Vec<Conversation> {
    let mut table = Vec::new();
    for (at, extension) in EXTENSIONS.into_iter().enumerate() {
        for length in [16, 64, 256, 1024, 4096, 8192, 131_072] {
            for chop in [Chop::Frames, Chop::Bytes(4096)] {
                let mut codec = Codec::new(extension);
                let new = Conversation::new(format!("12.{at}-{length}-{chop:?}")).extended(extension).chopped(chop);
                let messages = (0..10).fold(new, |it, round| {
                    let message = if round % 2 == 0 { letters(length) } else { pattern(round, length) };
                    let payload = codec.deflate(&message);
                    it.echo(Frame { fin: true, opcode: DEFLATED | (1 + round as u8 % 2), payload })
                });
                table.push(messages.closed(1000));
            }
        }
        // A message in pieces: only the first is marked (RFC 7692 §6.1). And one that is not deflated.
        let payload = Codec::new(extension).deflate(&letters(5000));
        let pieces: Vec<&[u8]> = payload.chunks(100).collect();
        let new = Conversation::new(format!("13.{at}-pieces")).extended(extension);
        let whole = Frame { fin: true, opcode: DEFLATED | 1, payload: payload.clone() };
        let both = new.pieces(DEFLATED | 1, &pieces).hears(whole).ping(b"between").echo(Frame::text("plain"));
        table.push(both.closed(1000));
        // What is marked in the middle is broken.
        let new = Conversation::new(format!("13.{at}-marked")).extended(extension);
        let marked = new.says(Frame { fin: false, opcode: DEFLATED | 1, payload: payload.clone() });
        table.push(marked.says(Frame { fin: true, opcode: DEFLATED, payload }).fails());
    }
    table
}

const EXTENSIONS: [&str; 2] =
    ["permessage-deflate", "permessage-deflate; client_no_context_takeover; server_no_context_takeover"];

/// RSV1 (RFC 7692 §6).
const DEFLATED: u8 = 0x40;
