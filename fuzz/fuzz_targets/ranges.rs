//! Range, If-Range and Content-Range: whatever they say, what is cut lies within the answer, and what is placed within the
//! whole.
#![no_main]

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use libfuzzer_sys::fuzz_target;
use tidegate::{
    cache::{
        Cache, Exchange, Policy, Wanted,
        policy::{content_range, range},
    },
    clock::Now,
    config,
    metrics::Registry,
    wire::{RequestHead, ResponseHead},
};

static CACHE: LazyLock<Arc<Cache>> = LazyLock::new(|| {
    let config = config::minimal("127.0.0.1:1", "127.0.0.1:2").unwrap();
    Cache::new(&config.cache, &Registry::new())
});

fuzz_target!(|input: (&[u8], &[u8], &[u8], u16)| {
    let (asked, if_range, content_range, length) = input;
    if let Some((bytes, complete)) = content_range::parse(content_range) {
        assert!(bytes.start < bytes.end && bytes.end <= complete);
        let written = format!("bytes {}-{}/{complete}", bytes.start, bytes.end - 1);
        assert_eq!(content_range::parse(written.as_bytes()), Some((bytes, complete)));
    }
    let policy = Policy {
        store_set_cookie: false,
        client_cache_control: true,
        heuristic: None,
        stale_if_error: Duration::ZERO,
        stale_while_revalidate: Duration::ZERO,
        default_ttl: None,
        targeted_fields: Arc::from([]),
    };
    let mut request = RequestHead { target: "/".to_owned(), ..RequestHead::default() };
    request.fields.push("Range", asked);
    let now = Now::read();
    let mut head = ResponseHead { status: 200, ..ResponseHead::default() };
    head.fields.push("Cache-Control", "max-age=60");
    head.fields.push("ETag", "\"a\"");
    let exchange = Exchange { request: &request, policy: &policy, requested: now, answered: now };
    let mut part = ResponseHead { status: 206, ..head.clone() };
    part.fields.push("Content-Range", content_range);
    part.fields.push("Content-Length", length.to_string());
    if let Ok(plan) = CACHE.storable_part(b"key", &exchange, &part) {
        assert!(plan.answer().length.is_some_and(|complete| complete >= u64::from(length)));
    }
    head.fields.push("Content-Length", length.to_string());
    let answer = CACHE.storable(&exchange, &head).unwrap();
    let mut request = request.clone();
    request.fields.push("If-Range", if_range);
    let wanted = range::evaluate(&request, answer.answer());
    assert!(wanted == Wanted::Whole || if_range == b"\"a\"");
    if let Wanted::Parts(parts) = wanted {
        assert!(!parts.is_empty());
        assert!(parts.iter().all(|part| part.start < part.end && part.end <= u64::from(length)));
    }
});
