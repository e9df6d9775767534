//! Vary: an answer always fits the request that it was given to.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate::{cache::policy::vary::Vary, wire::Fields};

fuzz_target!(|input: (&[u8], &[u8])| {
    let (vary, value) = input;
    let answer: Fields = [("Vary", vary)].into_iter().collect();
    let request: Fields = [("accept-language", value), ("accept", value), ("x", vary)].into_iter().collect();
    if let Ok(variant) = Vary::of(&answer, &request) {
        assert!(variant.matches(&request));
    }
});
