//! A response head: never a panic, and the framing does not depend on what follows.
#![no_main]

use http::Method;
use libfuzzer_sys::fuzz_target;
use tidegate::wire::{Parsed, ResponseHead};

fuzz_target!(|bytes: &[u8]| {
    let mut head = ResponseHead::default();
    let Ok(Parsed::Complete(length)) = head.parse(bytes, 2048, 32) else { return };
    let mut alone = ResponseHead::default();
    assert_eq!(alone.parse(&bytes[..length], 2048, 32), Ok(Parsed::Complete(length)));
    for method in [Method::GET, Method::HEAD] {
        assert_eq!(head.framing(&method), alone.framing(&method));
    }
    assert_eq!(head.keep_alive(), alone.keep_alive());
    let _http2 = head.fields.to_header_map();
});
