//! The vendored zlib: flate2 compresses and restores through `vendor/libz-ng-sys`.
//!
//! flate2 hands its stream over as a pointer, so a wrong layout in the shim shows here as garbage, not as a build error.

use std::io::{Read, Write};

use flate2::{
    Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status,
    read::{DeflateDecoder, GzDecoder, ZlibDecoder},
    write::{DeflateEncoder, GzEncoder, ZlibEncoder},
};

#[test]
fn every_wrapping_and_level_restores_what_was_compressed() {
    for original in samples() {
        for level in 0..=9 {
            let level = Compression::new(level);

            let mut encoder = ZlibEncoder::new(Vec::new(), level);
            encoder.write_all(&original).unwrap();
            assert_eq!(read_all(ZlibDecoder::new(&encoder.finish().unwrap()[..])), original);

            let mut encoder = GzEncoder::new(Vec::new(), level);
            encoder.write_all(&original).unwrap();
            assert_eq!(read_all(GzDecoder::new(&encoder.finish().unwrap()[..])), original);

            let mut encoder = DeflateEncoder::new(Vec::new(), level);
            encoder.write_all(&original).unwrap();
            assert_eq!(read_all(DeflateDecoder::new(&encoder.finish().unwrap()[..])), original);
        }
    }
}

#[test]
fn repetition_is_really_compressed() {
    let original = vec![b'a'; 1 << 20];
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&original).unwrap();
    assert!(encoder.finish().unwrap().len() < 4096);
}

#[test]
fn counters_and_status_come_back_through_the_shared_struct() {
    let original = b"the tide comes in, the tide goes out; ".repeat(50);
    let mut packed = Vec::with_capacity(original.len());
    let mut compress = Compress::new(Compression::best(), true);
    let status = compress.compress_vec(&original, &mut packed, FlushCompress::Finish).unwrap();
    assert_eq!(status, Status::StreamEnd);
    assert_eq!(compress.total_in(), original.len() as u64);
    assert_eq!(compress.total_out(), packed.len() as u64);

    let mut restored = Vec::with_capacity(original.len());
    let mut decompress = Decompress::new(true);
    let status = decompress.decompress_vec(&packed, &mut restored, FlushDecompress::Finish).unwrap();
    assert_eq!(status, Status::StreamEnd);
    assert_eq!(decompress.total_in(), packed.len() as u64);
    assert_eq!(restored, original);

    // The same objects serve again after a reset.
    compress.reset();
    decompress.reset(true);
    let (mut packed_again, mut restored_again) = (Vec::with_capacity(4096), Vec::with_capacity(4096));
    compress.compress_vec(&original, &mut packed_again, FlushCompress::Finish).unwrap();
    decompress.decompress_vec(&packed_again, &mut restored_again, FlushDecompress::Finish).unwrap();
    assert_eq!((packed_again, restored_again), (packed, original));
}

#[test]
fn damaged_data_are_an_error_and_no_crash() {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&samples()[3]).unwrap();
    let mut packed = encoder.finish().unwrap();
    let last = packed.len() - 1;
    packed[last] ^= 0xff;
    assert!(ZlibDecoder::new(&packed[..]).read_to_end(&mut Vec::new()).is_err(), "the checksum is wrong");
    assert!(ZlibDecoder::new(&b"no zlib at all"[..]).read_to_end(&mut Vec::new()).is_err());
}

/// Nothing, a byte, text, and bytes that don't compress.
fn samples() -> Vec<Vec<u8>> {
    let mut random = fastrand::Rng::with_seed(7);
    let noise = std::iter::repeat_with(|| random.u8(..)).take(100_000).collect();
    vec![Vec::new(), vec![0], b"the tide comes in, the tide goes out; ".repeat(3000), noise]
}

fn read_all(mut reader: impl Read) -> Vec<u8> {
    let mut restored = Vec::new();
    reader.read_to_end(&mut restored).unwrap();
    restored
}
