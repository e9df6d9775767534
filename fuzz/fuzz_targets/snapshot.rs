//! The cache's snapshot: whatever stands in the file, reading it never panics and never holds more than the capacity.
#![no_main]

use std::{
    io::Cursor,
    sync::LazyLock,
    time::{Duration, Instant},
};

use libfuzzer_sys::fuzz_target;
use tidegate::{cache::Cache, clock::Now, config, metrics::Registry};

static CONFIG: LazyLock<config::Cache> = LazyLock::new(|| {
    let cache = config::minimal("127.0.0.1:1", "127.0.0.1:2").unwrap().cache;
    config::Cache { capacity: 1 << 20, max_object: 1 << 18, ..cache }
});

fuzz_target!(|input: &[u8]| {
    let cache = Cache::new(&CONFIG, &Registry::new());
    let restored = cache.restore(Cursor::new(input), 0, Now::read(), Instant::now() + Duration::from_secs(1));
    let answers = restored.ok().flatten().map_or(0, |restored| restored.answers);
    assert!(cache.held_bytes() <= 1 << 20);
    assert!(answers == 0 || cache.held_bytes() > 0);
});
