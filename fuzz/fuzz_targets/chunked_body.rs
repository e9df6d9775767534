//! A chunked body: the same data, end and verdict in one piece as byte by byte.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use tidegate::wire::{BadBody, BodyDecoder, Decoded, Framing};

/// Data, what is left behind the end (`None` where it was not reached), and the fault.
fn decode(bytes: &[u8], slice: usize) -> (Vec<u8>, Option<usize>, Option<BadBody>) {
    let mut decoder = BodyDecoder::for_request(Framing::Chunked);
    let (mut data, mut input, mut fed) = (Vec::new(), BytesMut::new(), 0);
    for piece in bytes.chunks(slice) {
        input.extend_from_slice(piece);
        fed += piece.len();
        loop {
            match decoder.decode(&mut input) {
                Ok(Decoded::Data(piece)) => data.extend_from_slice(&piece),
                Ok(Decoded::NeedMore) => break,
                Ok(Decoded::End) => return (data, Some(bytes.len() - fed + input.len()), None),
                Err(fault) => return (data, None, Some(fault)),
            }
        }
    }
    (data, None, None)
}

fuzz_target!(|bytes: &[u8]| {
    let whole = decode(bytes, bytes.len().max(1));
    for slice in [1, 2, 7] {
        assert_eq!(decode(bytes, slice), whole, "in slices of {slice}");
    }
});
