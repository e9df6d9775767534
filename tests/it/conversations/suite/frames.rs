//! Framing, Pings, reserved bits and opcodes, pieces, and Closes: Autobahn's groups 1 to 5 and 7.

use super::table::{CHOPS, Chop, Conversation, control, piece};
use crate::support::{Frame, pattern};

/// Group 1: texts and binary messages of all forms of length.
pub fn framing() -> Vec<Conversation> {
    let mut table = Vec::new();
    for (group, opcode) in [("1.1", 1), ("1.2", 2)] {
        for length in [0, 125, 126, 127, 128, 65_535, 65_536] {
            let frame = Frame { fin: true, opcode, payload: letters(length) };
            table.push(Conversation::new(format!("{group}-{length}")).echo(frame).closed(1000));
        }
        let frame = Frame { fin: true, opcode, payload: letters(65_536) };
        let chopped = Conversation::new(format!("{group}.8")).chopped(Chop::Bytes(997));
        table.push(chopped.echo(frame).closed(1000));
    }
    table
}

/// Group 2: Pings and Pongs.
pub fn pings() -> Vec<Conversation> {
    let new = Conversation::new;
    let mut table = vec![
        new("2.1").ping(b"").closed(1000),
        new("2.2").ping(b"Hello, world!").closed(1000),
        new("2.3").ping(b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff").closed(1000),
        new("2.4").ping(&[0xfe; 125]).closed(1000),
        new("2.5").says(control(9, &[0xfe; 126])).fails(),
        new("2.6").chopped(Chop::Bytes(1)).ping(&[0xfe; 125]).closed(1000),
        new("2.7").says(control(10, b"")).closed(1000),
        new("2.8").says(control(10, b"unsolicited")).closed(1000),
        new("2.9").says(control(10, b"unsolicited")).ping(b"ping").closed(1000),
    ];
    for (number, chop) in [("2.10", Chop::Whole), ("2.11", Chop::Bytes(1))] {
        let ten = (0..10).fold(new(number).chopped(chop), |it, at| it.ping(format!("payload-{at}").as_bytes()));
        table.push(ten.closed(1000));
    }
    table
}

/// Groups 3 and 4: reserved bits that no extension has asked for, and opcodes that nobody has given a meaning.
pub fn reserved() -> Vec<Conversation> {
    let mut table = Vec::new();
    for bits in 1..8 {
        for opcode in [1, 2, 8, 9] {
            let frame = Frame { fin: true, opcode: bits << 4 | opcode, payload: b"reserved".into() };
            table.push(Conversation::new(format!("3.{bits}-{opcode}")).says(frame).fails());
        }
    }
    for chop in CHOPS {
        let begun = Conversation::new(format!("3.{chop:?}")).chopped(chop).echo(Frame::text("Hello"));
        table.push(begun.says(Frame { opcode: 0x21, ..Frame::text("Hello") }).says(control(9, b"")).fails());
    }
    for opcode in (3..8).chain(11..16) {
        for payload in [&b""[..], b"reserved"] {
            let number = format!("4-{opcode}-{}", payload.len());
            table.push(Conversation::new(number).says(control(opcode, payload)).fails());
        }
        for chop in CHOPS {
            let begun = Conversation::new(format!("4-{opcode}-{chop:?}")).chopped(chop).echo(Frame::text("Hello"));
            table.push(begun.says(control(opcode, b"reserved")).says(control(9, b"")).fails());
        }
    }
    table
}

/// Group 5: messages in pieces, with and without control frames between them.
pub fn pieces() -> Vec<Conversation> {
    let mut table = Vec::new();
    for (number, opcode) in [("5.1", 9), ("5.2", 10)] {
        table.push(Conversation::new(number).pieces(opcode, &[b"fragment1", b"fragment2"]).fails());
    }
    let both = Frame::text("fragment1fragment2");
    for chop in CHOPS {
        let new = |number: &str| Conversation::new(format!("{number}-{chop:?}")).chopped(chop);
        // 5.3 to 5.5: two pieces. 5.6 to 5.8: a Ping between them.
        table.push(new("5.3").pieces(1, &[b"fragment1", b"fragment2"]).hears(both.clone()).closed(1000));
        let parted = new("5.6").says(piece(false, 1, b"fragment1")).ping(b"ping");
        table.push(parted.says(piece(true, 0, b"fragment2")).hears(both.clone()).closed(1000));
        // 5.9 to 5.14: a piece of no message, the last one or not, before a text.
        for fin in [true, false] {
            let stray = new(&format!("5.9-{fin}")).says(piece(fin, 0, b"non-continuation payload"));
            table.push(stray.says(Frame::text("Hello, world!")).fails());
        }
        // 5.15 to 5.17: the same behind a message.
        for fin in [true, false] {
            let sound = new(&format!("5.15-{fin}")).pieces(1, &[b"fragment1", b"fragment2"]).hears(both.clone());
            table.push(sound.says(piece(fin, 0, b"fragment3")).says(Frame::text("fragment4")).fails());
        }
        // 5.18: a message within another.
        table.push(new("5.18").says(piece(false, 1, b"fragment1")).says(piece(true, 1, b"fragment2")).fails());
        // 5.19 and 5.20: five pieces, Pings among them.
        let five = new("5.19").says(piece(false, 1, b"fragment1")).says(piece(false, 0, b"fragment2")).ping(b"ping 1");
        let five =
            five.awaits().says(piece(false, 0, b"fragment3")).says(piece(false, 0, b"fragment4")).ping(b"ping 2");
        let five = five.says(piece(true, 0, b"fragment5"));
        let whole = Frame::text("fragment1fragment2fragment3fragment4fragment5");
        table.push(five.hears(whole).closed(1000));
        // Nothing in some of the pieces.
        table.push(new("6.1.2").pieces(1, &[b"", b"", b""]).hears(Frame::text("")).closed(1000));
        table.push(new("6.1.3").pieces(1, &[b"", b"middle", b""]).hears(Frame::text("middle")).closed(1000));
    }
    table
}

/// Group 7: how conversations end.
pub fn closes() -> Vec<Conversation> {
    let new = |number: &str| Conversation::new(number);
    let code = 1000_u16.to_be_bytes();
    let (hello, close) = (Frame::text("Hello"), Frame::close(1000));
    let mut table = vec![
        new("7.1.1").echo(hello.clone()).closed(1000),
        // 7.1.2 to 7.1.4: what comes behind a Close is no part of the conversation.
        new("7.1.2").chopped(Chop::Whole).close(&code).close(&code).hears(close.clone()),
        new("7.1.3").chopped(Chop::Whole).close(&code).says(control(9, b"")).hears(close.clone()),
        new("7.1.4").chopped(Chop::Whole).close(&code).says(hello.clone()).hears(close.clone()),
        // Amid a message.
        new("7.1.5").chopped(Chop::Whole).says(piece(false, 1, b"fragment1")).close(&code).hears(close.clone()),
        new("7.1.6").echo(Frame::binary(pattern(7, 256 << 10))).echo(hello.clone()).close(&code).hears(close.clone()),
        new("7.3.1").close(b"").hears(control(8, b"")),
        new("7.3.2").close(b"\x03").fails(),
        new("7.3.4").close(b"\x03\xe8Hello, world!").hears(close.clone()),
        new("7.3.5").close(&[&code[..], &[b'*'; 123]].concat()).hears(close.clone()),
        new("7.3.6").close(&[&code[..], &[b'*'; 124]].concat()).fails(),
        new("7.5.1").close(b"\x03\xe8\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited").fails_as_text(),
        // Octet by octet, and with the message before it in one write.
        new("7-octets").chopped(Chop::Bytes(1)).echo(hello.clone()).closed(1000),
        new("7-at-once").chopped(Chop::Whole).echo(hello.clone()).close(&code).hears(close),
        // Without a Close: between two frames, amid a message, a frame, a header.
        new("7-leaves").echo(hello.clone()).leaves(),
        new("7-leaves-message").echo(hello.clone()).says(piece(false, 1, b"half")).leaves(),
        new("7-leaves-frame").echo(hello.clone()).says_bytes(hello.masked()[..8].into()).leaves(),
        new("7-leaves-header").echo(hello.clone()).says_bytes(hello.masked()[..1].into()).leaves(),
    ];
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
        table.push(Conversation::new(format!("7.7-{code}")).closed(code));
    }
    for code in [0_u16, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65_535] {
        table.push(Conversation::new(format!("7.9-{code}")).close(&code.to_be_bytes()).fails());
    }
    table
}

/// A text of this length.
pub fn letters(length: usize) -> Vec<u8> {
    pattern(length as u64, length).iter().map(|byte| b'a' + byte % 26).collect()
}
