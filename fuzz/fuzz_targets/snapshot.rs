//! The cache's snapshot: whatever stands in the file, reading it never panics and never holds more than the capacity; nor
//! where all its checksums are right, so that nothing but the reading of each answer stands in the way.
#![no_main]

use std::{
    fs,
    io::Cursor,
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use libfuzzer_sys::fuzz_target;
use tidegate::{
    cache::{Cache, Purge, Purged},
    clock::Now,
    config,
    metrics::Registry,
};

const CAPACITY: u64 = 1 << 20;
const TIME: Duration = Duration::from_secs(1);

static CONFIG: LazyLock<config::Cache> = LazyLock::new(|| {
    let cache = config::minimal("127.0.0.1:1", "127.0.0.1:2").unwrap().cache;
    config::Cache { capacity: CAPACITY, max_object: CAPACITY / 4, ..cache }
});

/// What a file begins with: a snapshot of nothing. It ends with the mark of its records and a checksum.
static HEADER: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let path = std::env::temp_dir().join(format!("tidegate-fuzz-{}", std::process::id()));
    let snapshot = config::Snapshot { path: path.clone(), bytes: CAPACITY, time: TIME };
    cache().write_snapshot(&snapshot, 0, Now::read());
    let header = fs::read(&path).unwrap();
    fs::remove_file(path).unwrap();
    header
});

fuzz_target!(|input: &[u8]| {
    read(input);
    read(&sealed(input));
});

fn cache() -> Arc<Cache> {
    Cache::new(&CONFIG, &Registry::new())
}

fn read(file: &[u8]) {
    let cache = cache();
    let restored = cache.restore(Cursor::new(file), 0, Now::read(), Instant::now() + TIME);
    let answers = restored.ok().flatten().map_or(0, |restored| restored.answers);
    assert!(cache.held_bytes() <= CAPACITY);
    assert!(answers == 0 || cache.held_bytes() > 0);
    // Answers of one key and the same request are one.
    assert!(cache.purge(&Purge { what: Purged::All, soft: false }) <= answers);
}

/// A file of one record: the first two bytes of the input tell how much of the rest is the answer; what is left is the body.
fn sealed(input: &[u8]) -> Vec<u8> {
    let Some((length, parts)) = input.split_first_chunk() else { return Vec::new() };
    let (answer, body) = parts.split_at(usize::from(u16::from_le_bytes(*length)).min(parts.len()));
    let mark = HEADER.len() - 12..HEADER.len() - 4;
    let mut record = HEADER[mark].to_vec();
    record.extend((answer.len() as u64).to_le_bytes());
    record.extend((body.len() as u64).to_le_bytes());
    record.extend(crc32fast::hash(parts).to_le_bytes());
    record.extend(crc32fast::hash(&record).to_le_bytes());
    [&HEADER, &record[..], parts].concat()
}
