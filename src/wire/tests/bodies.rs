use bytes::BytesMut;
use proptest::prelude::*;

use crate::wire::body::{chunk_header, last_chunk};
use crate::wire::{AnswerFraming, BadBody, BodyDecoder, Decoded, Fields, Framing};

/// What a decoder makes of `pieces`: the data, what is left over, or what is wrong. The connection ends after them.
type Reading = Result<(Vec<u8>, Vec<u8>), BadBody>;

fn read_with(decoder: &mut BodyDecoder, pieces: &[&[u8]]) -> Reading {
    let (mut input, mut data) = (BytesMut::new(), Vec::new());
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            match decoder.decode(&mut input)? {
                Decoded::Data(piece) => {
                    assert!(!piece.is_empty());
                    data.extend_from_slice(&piece);
                }
                Decoded::NeedMore => {
                    assert!(input.is_empty() && !decoder.is_ended());
                    break;
                }
                Decoded::End => {
                    assert!(decoder.is_ended());
                    break;
                }
            }
        }
    }
    decoder.end_of_input()?;
    Ok((data, input.to_vec()))
}

fn chunked(pieces: &[&[u8]]) -> Reading {
    read_with(&mut BodyDecoder::for_request(Framing::Chunked), pieces)
}

/// The plain twin: the whole text at once, by splitting at CRLF.
fn plain_chunked(text: &[u8]) -> Result<(Vec<u8>, Vec<u8>), ()> {
    let mut data = Vec::new();
    let mut rest = text;
    let (mut extensions, split) = (0, |text: &[u8]| {
        let end = text.windows(2).position(|pair| pair == b"\r\n")?;
        Some((text[..end].to_vec(), text[end + 2..].to_vec()))
    });
    let mut owned;
    loop {
        let (line, after) = split(rest).ok_or(())?;
        let (size, extension) = match line.iter().position(|byte| b"; \t".contains(byte)) {
            Some(place) => (&line[..place], &line[place..]),
            None => (&line[..], &b""[..]),
        };
        extensions += extension.len();
        let is_sound = extension.is_empty() || extension.trim_ascii_start().first() == Some(&b';');
        if !is_sound || extension.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') || extensions > 16384 {
            return Err(());
        }
        if size.is_empty() || size.len() > 16 || !size.iter().all(u8::is_ascii_hexdigit) {
            return Err(());
        }
        let size = u64::from_str_radix(std::str::from_utf8(size).unwrap(), 16).unwrap();
        owned = after;
        if size == 0 {
            break;
        }
        let size = usize::try_from(size).map_err(|_| ())?;
        data.extend_from_slice(owned.get(..size).ok_or(())?);
        let behind = owned.get(size..).and_then(|behind| behind.strip_prefix(b"\r\n")).ok_or(())?.to_vec();
        owned = behind;
        rest = &owned;
    }
    let mut rest = owned;
    loop {
        let (line, after) = split(&rest).ok_or(())?;
        if line.is_empty() {
            return Ok((data, after));
        }
        let colon = line.iter().position(|&byte| byte == b':').ok_or(())?;
        let (name, value) = line.split_at(colon);
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
        if name.is_empty() || !name.iter().all(is_name) {
            return Err(());
        }
        if value.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
            return Err(());
        }
        rest = after;
    }
}

#[test]
fn bodies_of_a_length_end_there() {
    let mut decoder = BodyDecoder::for_request(Framing::Length(5));
    assert_eq!(decoder.remaining(), Some(5));
    assert_eq!(read_with(&mut decoder, &[b"he", b"llo wo", b"rld"]), Ok((b"hello".into(), b" world".into())));
    assert_eq!(decoder.remaining(), Some(0));
    let mut short = BodyDecoder::for_answer(AnswerFraming::Length(5));
    assert_eq!(read_with(&mut short, &[b"hell"]), Err(BadBody::CutShort));
    assert_eq!(short.remaining(), Some(1));
    for mut none in [
        BodyDecoder::for_request(Framing::None),
        BodyDecoder::for_request(Framing::Length(0)),
        BodyDecoder::for_answer(AnswerFraming::None),
        BodyDecoder::for_answer(AnswerFraming::Length(0)),
    ] {
        assert!(none.is_ended());
        assert_eq!(read_with(&mut none, &[b"next"]), Ok((vec![], b"next".into())));
    }
}

#[test]
fn a_body_until_close_ends_with_the_connection() {
    let mut decoder = BodyDecoder::for_answer(AnswerFraming::UntilClose);
    assert!(!decoder.is_ended());
    assert_eq!(decoder.remaining(), None);
    assert_eq!(read_with(&mut decoder, &[b"a", b"bc"]), Ok((b"abc".into(), vec![])));
    assert!(decoder.is_ended());
}

#[test]
fn data_are_views_of_the_input() {
    let mut input = BytesMut::from(&b"5\r\nhello\r\n0\r\n\r\n"[..]);
    let place = input[3..].as_ptr();
    let decoded = BodyDecoder::for_request(Framing::Chunked).decode(&mut input);
    assert!(matches!(decoded, Ok(Decoded::Data(data)) if data.as_ptr() == place && data == "hello"));
}

#[test]
fn chunked_bodies_of_the_catalogue() {
    use BadBody::*;
    type Case = (&'static [u8], Result<&'static [u8], BadBody>);
    let cases: &[Case] = &[
        (b"0\r\n\r\n", Ok(b"")),
        (b"5\r\nhello\r\n0\r\n\r\n", Ok(b"hello")),
        (b"A\r\n0123456789\r\na\r\n0123456789\r\n000\r\n\r\n", Ok(b"01234567890123456789")),
        (b"0000000000000001\r\nx\r\n0\r\n\r\n", Ok(b"x")),
        (b"1;a=b;c=\"d;e\"\r\nx\r\n0;z\r\n\r\n", Ok(b"x")),
        (b"1 ; a\r\nx\r\n0\r\n\r\n", Ok(b"x")),
        (b"1;\r\nx\r\n0\r\n\r\n", Ok(b"x")),
        (b"\r\n", Err(ChunkSize)),
        (b";a\r\nx\r\n0\r\n\r\n", Err(ChunkSize)),
        (b" 1\r\nx\r\n0\r\n\r\n", Err(ChunkSize)),
        (b"1 \r\nx\r\n0\r\n\r\n", Err(ChunkSize)),
        (b"1\t\r\nx\r\n0\r\n\r\n", Err(ChunkSize)),
        (b"1 1\r\nx\r\n0\r\n\r\n", Err(ChunkSize)),
        (b"+1\r\nx\r\n0\r\n\r\n", Err(ChunkSize)),
        (b"-1\r\nx\r\n0\r\n\r\n", Err(ChunkSize)),
        (b"0x1\r\nx\r\n0\r\n\r\n", Err(ChunkSize)),
        (b"1_0\r\nx\r\n0\r\n\r\n", Err(ChunkSize)),
        (b"g\r\nx\r\n0\r\n\r\n", Err(ChunkSize)),
        (b"00000000000000001\r\nx\r\n0\r\n\r\n", Err(ChunkSize)),
        (b"1\nx\r\n0\r\n\r\n", Err(ChunkSize)),
        (b"1\0\r\nx\r\n0\r\n\r\n", Err(ChunkSize)),
        (b"1\rx\r\n0\r\n\r\n", Err(ChunkEnd)),
        (b"1\r\r\nx\r\n0\r\n\r\n", Err(ChunkEnd)),
        (b"1;a\nx\r\n0\r\n\r\n", Err(ChunkExtension)),
        (b"1;a\rb\r\nx\r\n0\r\n\r\n", Err(ChunkEnd)),
        (b"1;\0\r\nx\r\n0\r\n\r\n", Err(ChunkExtension)),
        (b"1;\x7f\r\nx\r\n0\r\n\r\n", Err(ChunkExtension)),
        (b"1\r\nxy\r\n0\r\n\r\n", Err(ChunkEnd)),
        (b"1\r\nx\n0\r\n\r\n", Err(ChunkEnd)),
        (b"1\r\nx\r0\r\n\r\n", Err(ChunkEnd)),
        (b"1\r\nx0\r\n\r\n", Err(ChunkEnd)),
        (b"0\r\n\n", Err(Trailers)),
        (b"0\n\n", Err(ChunkSize)),
        (b"0\r\nA: b\n\r\n", Err(Trailers)),
        (b"0\r\nA b\r\n\r\n", Err(Trailers)),
        (b"0\r\nA : b\r\n\r\n", Err(Trailers)),
        (b"0\r\nA: b\r\n c\r\n\r\n", Err(Trailers)),
        (b"0\r\nA: b\0\r\n\r\n", Err(Trailers)),
        (b"", Err(CutShort)),
        (b"5", Err(CutShort)),
        (b"5\r\nhell", Err(CutShort)),
        (b"5\r\nhello\r\n", Err(CutShort)),
        (b"5\r\nhello\r\n0\r\n", Err(CutShort)),
        (b"0\r\nA: b\r\n", Err(CutShort)),
        (b"FFFFFFFFFFFFFFFF\r\nhello", Err(CutShort)),
    ];
    for (text, wanted) in cases {
        let one_by_one: Vec<&[u8]> = text.chunks(1).collect();
        for pieces in [&[*text][..], &one_by_one] {
            let data = chunked(pieces).map(|(data, rest)| {
                assert!(rest.is_empty());
                data
            });
            assert_eq!(data.as_deref().map_err(|bad| *bad), *wanted, "{}", text.escape_ascii());
        }
    }
}

#[test]
fn what_follows_the_body_is_left_in_the_input() {
    let read = chunked(&[b"1\r\nx\r\n0\r\n\r\nGET / HTTP/1.1\r\n"]);
    assert_eq!(read, Ok((b"x".into(), b"GET / HTTP/1.1\r\n".into())));
}

#[test]
fn extensions_are_bounded_by_line_and_by_message() {
    let with_extension = |bytes: usize| format!("1;{}\r\nx\r\n", "a".repeat(bytes - 1));
    let body = |lines: &[usize]| lines.iter().map(|&bytes| with_extension(bytes)).collect::<String>() + "0\r\n\r\n";
    assert!(chunked(&[body(&[4096]).as_bytes()]).is_ok());
    assert_eq!(chunked(&[body(&[4097]).as_bytes()]), Err(BadBody::ChunkExtension));
    assert!(chunked(&[body(&[4000, 4000, 4000, 4000]).as_bytes()]).is_ok());
    assert_eq!(chunked(&[body(&[4000, 4000, 4000, 4000, 4000]).as_bytes()]), Err(BadBody::ChunkExtension));
    // Very many small ones, as in a body of one-byte chunks.
    assert_eq!(chunked(&[body(&[2; 9000]).as_bytes()]), Err(BadBody::ChunkExtension));
}

#[test]
fn trailers_are_bounded_and_sifted() {
    let mut decoder = BodyDecoder::for_answer(AnswerFraming::Chunked);
    let text =
        b"0\r\nServer-Timing: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nhost: x\r\nCONTENT_LENGTH: 1\r\n\
        Set-Cookie: a\r\nAuthorization: a\r\nConnection: close\r\nX-Forwarded-For: a\r\nX-Sum: b\r\n\r\n";
    assert_eq!(read_with(&mut decoder, &[text]), Ok((vec![], vec![])));
    let wanted: Fields = [("Server-Timing", "a"), ("X-Sum", "b")].into_iter().collect();
    assert_eq!(decoder.take_trailers(), Some(wanted));
    assert_eq!(decoder.take_trailers(), None);

    let mut forbidden = BodyDecoder::for_answer(AnswerFraming::Chunked);
    assert!(read_with(&mut forbidden, &[b"0\r\nHost: a\r\n\r\n"]).is_ok());
    assert_eq!(forbidden.take_trailers(), None);

    let lines = |count: usize| format!("0\r\n{}\r\n", "A: b\r\n".repeat(count));
    assert!(chunked(&[lines(64).as_bytes()]).is_ok());
    assert_eq!(chunked(&[lines(65).as_bytes()]), Err(BadBody::Trailers));
    let endless = format!("0\r\nA: {}", "b".repeat(17 * 1024));
    assert_eq!(chunked(&[endless.as_bytes()]), Err(BadBody::Trailers));
    let one_by_one: Vec<&[u8]> = endless.as_bytes().chunks(1).collect();
    assert_eq!(chunked(&one_by_one), Err(BadBody::Trailers));
}

#[test]
fn what_is_written_in_chunks_is_read_back() {
    let trailers: Fields = [("X-Sum", "1")].into_iter().collect();
    let mut text = Vec::new();
    for piece in ["hello", " ", "a longer piece of the body"] {
        chunk_header(piece.len().try_into().unwrap(), &mut text);
        text.extend_from_slice(piece.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    last_chunk(Some(&trailers), &mut text);
    let mut decoder = BodyDecoder::for_request(Framing::Chunked);
    assert_eq!(read_with(&mut decoder, &[&text]), Ok((b"hello a longer piece of the body".into(), vec![])));
    assert_eq!(decoder.take_trailers(), Some(trailers));
}

/// Mostly sound chunked bodies with a few bytes changed.
fn chunked_text() -> impl Strategy<Value = Vec<u8>> {
    let chunk = (prop::collection::vec(any::<u8>(), 1..20), prop::sample::select(vec!["", ";a", " ;b=c", ";\"d\""]));
    let trailers = prop::sample::select(vec!["", "A: b\r\n", "A: b\r\nHost: c\r\n"]);
    let changes = prop::collection::vec(
        (any::<prop::sample::Index>(), prop::sample::select(b"\r\n\0 ;0a:\x7f\xff".to_vec())),
        0..3,
    );
    (prop::collection::vec(chunk, 0..6), trailers, changes, any::<bool>()).prop_map(
        |(chunks, trailers, changes, break_it)| {
            let mut text = Vec::new();
            for (data, extension) in chunks {
                text.extend_from_slice(format!("{:x}{extension}\r\n", data.len()).as_bytes());
                text.extend_from_slice(&data);
                text.extend_from_slice(b"\r\n");
            }
            text.extend_from_slice(format!("0\r\n{trailers}\r\nnext").as_bytes());
            if break_it {
                for (index, byte) in changes {
                    let place = index.index(text.len());
                    text[place] = byte;
                }
            }
            text
        },
    )
}

proptest! {
    #[test]
    fn chunks_in_any_slicing_are_read_as_by_the_plain_twin(
        text in chunked_text(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        places.extend([0, text.len()]);
        places.sort_unstable();
        let pieces: Vec<&[u8]> = places.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect();
        let whole = chunked(&[&text]);
        prop_assert_eq!(&chunked(&pieces), &whole);
        prop_assert_eq!(whole.map_err(|_| ()), plain_chunked(&text), "{}", text.escape_ascii());
    }

    #[test]
    fn arbitrary_bytes_never_panic(text in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = chunked(&[&text]);
        let _ = chunked(&[b"0\r\n", &text]);
    }
}
