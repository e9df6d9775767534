//! Cache-Control and the other fields that decide whether an answer is stored: never a panic, and `no-store` wins
//! wherever else the answer says something.
#![no_main]

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use libfuzzer_sys::fuzz_target;
use tidegate::{
    cache::{Cache, Exchange, Policy},
    clock::Now,
    config,
    metrics::Registry,
    wire::{Fields, RequestHead, ResponseHead},
};

static CACHE: LazyLock<Arc<Cache>> = LazyLock::new(|| {
    let config = config::minimal("127.0.0.1:1", "127.0.0.1:2").unwrap();
    Cache::new(&config.cache, &Registry::new())
});

fuzz_target!(|input: (&[u8], &[u8], &[u8])| {
    let (control, date, asked) = input;
    let policy = Policy {
        store_set_cookie: false,
        client_cache_control: true,
        heuristic: Some(Duration::from_secs(60)),
        stale_if_error: Duration::ZERO,
    };
    let mut request = RequestHead { target: "/".to_owned(), ..RequestHead::default() };
    request.fields.push("Cache-Control", asked);
    let now = Now::read();
    let exchange = Exchange { request: &request, policy: &policy, requested: now, answered: now };
    let dates = ["Date", "Expires", "Last-Modified", "Age"].map(|name| (name, date));
    let fields: Fields = [("Cache-Control", control)].into_iter().chain(dates).collect();
    let mut head = ResponseHead { status: 200, fields, ..ResponseHead::default() };
    let _plan = CACHE.storable(&exchange, &head);
    head.fields.push("Cache-Control", "no-store");
    assert!(CACHE.storable(&exchange, &head).is_err());
});
