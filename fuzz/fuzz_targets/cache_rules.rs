//! Cache-Control and the other fields that decide whether an answer is stored: never a panic, `no-store` wins wherever else
//! the answer says something, and what is explained is what is done.
#![no_main]

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use libfuzzer_sys::fuzz_target;
use tidegate::{
    cache::{Cache, Exchange, Policy, policy::explain::explain},
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
        stale_while_revalidate: Duration::from_secs(5),
        default_ttl: Some(Duration::from_secs(1)),
        targeted_fields: Arc::from([]),
    };
    let mut request = RequestHead { target: "/".to_owned(), ..RequestHead::default() };
    request.fields.push("Cache-Control", asked);
    let now = Now::read();
    let exchange = Exchange { request: &request, policy: &policy, requested: now, answered: now };
    let dates = ["Date", "Expires", "Last-Modified", "Age"].map(|name| (name, date));
    let fields: Fields = [("Cache-Control", control)].into_iter().chain(dates).collect();
    let mut head = ResponseHead { status: 200, fields, ..ResponseHead::default() };
    let kept = CACHE.storable(&exchange, &head);
    let told = explain(&exchange, &head);
    assert!(told.facts().len() >= 5);
    if let Ok(plan) = &kept {
        assert_eq!((told.refused, told.lifetime), (None, plan.answer().lifetime));
    }
    head.fields.push("Cache-Control", "no-store");
    assert!(CACHE.storable(&exchange, &head).is_err());
});
