//! Structured Fields: targeted directives, cache groups and tags. Never a panic; a targeted `no-store` at the end of a
//! sound dictionary wins, and an unsound one is as if it were not there.
#![no_main]

use std::{sync::Arc, time::Duration};

use libfuzzer_sys::fuzz_target;
use tidegate::{
    cache::{
        Exchange, Policy, Reason,
        policy::{
            explain::explain,
            tags::{TAG_BYTES_MAX, TAGS_MAX, Tags, invalidated_groups},
        },
    },
    clock::Now,
    wire::{Fields, RequestHead, ResponseHead},
};

fuzz_target!(|input: (&[u8], &[u8])| {
    let (targeted, words) = input;
    let policy = Policy {
        store_set_cookie: true,
        client_cache_control: true,
        heuristic: None,
        stale_if_error: Duration::ZERO,
        stale_while_revalidate: Duration::ZERO,
        default_ttl: None,
        targeted_fields: Arc::from([Box::from("cdn-cache-control")]),
    };
    let request = RequestHead { target: "/".to_owned(), ..RequestHead::default() };
    let now = Now::read();
    let exchange = Exchange { request: &request, policy: &policy, requested: now, answered: now };
    let lines = [("CDN-Cache-Control", targeted), ("Cache-Control", b"max-age=7"), ("Cache-Groups", words)];
    let mut fields: Fields =
        lines.into_iter().chain([("Cache-Tag", words), ("Cache-Group-Invalidation", words)]).collect();
    if let Ok(Tags { tags, groups }) = Tags::of(&fields) {
        assert!(tags.len() <= TAGS_MAX && groups.len() <= TAGS_MAX);
        assert!(tags.iter().chain(&groups).all(|word| word.len() <= TAG_BYTES_MAX));
    }
    assert!(invalidated_groups(&fields).len() <= TAGS_MAX);
    let head = ResponseHead { status: 200, fields: fields.clone(), ..ResponseHead::default() };
    let told = explain(&exchange, &head);
    if &*told.control == "cache-control" {
        assert_eq!(told.lifetime, 7);
    } else if !targeted.windows(15).any(|part| part == b"must-understand") {
        fields.push("CDN-Cache-Control", "no-store");
        let head = ResponseHead { fields, ..head };
        assert!(matches!(explain(&exchange, &head).refused, Some(Reason::NoStore | Reason::Private)));
    }
});
