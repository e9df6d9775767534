//! A request head: never a panic; what is taken is taken the same way however much follows it, and once more when it is
//! written out again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate::wire::{Framing, HeadLimits, RequestHead};

fuzz_target!(|bytes: &[u8]| {
    let limits = HeadLimits { target_bytes: 256, head_bytes: 2048, fields: 32 };
    let mut head = RequestHead::default();
    let Ok(tidegate::wire::Parsed::Complete(length)) = head.parse(bytes, &limits) else { return };
    let mut alone = RequestHead::default();
    assert_eq!(alone.parse(&bytes[..length], &limits), Ok(tidegate::wire::Parsed::Complete(length)));
    assert_eq!((&alone.fields, alone.framing, &alone.authority), (&head.fields, head.framing, &head.authority));
    for shorter in [0, length / 2, length - 1] {
        let cut = alone.parse(&bytes[..shorter], &limits);
        assert!(!matches!(cut, Ok(tidegate::wire::Parsed::Complete(_))), "a part of a head was taken for a whole one");
    }

    // What a backend would be sent means the same.
    let mut again = format!("{} {} HTTP/1.1\r\n", head.method, head.target).into_bytes();
    if head.authority.is_empty() {
        return;
    }
    head.fields.write_http1(&mut again);
    again.extend_from_slice(b"\r\n");
    let wide = HeadLimits { target_bytes: 4096, head_bytes: 16 * 1024, fields: 64 };
    let read = alone.parse(&again, &wide);
    assert_eq!(read, Ok(tidegate::wire::Parsed::Complete(again.len())), "{}", String::from_utf8_lossy(&again));
    assert_eq!((&alone.target, alone.framing), (&head.target, head.framing));
    assert!(head.framing != Framing::Chunked || head.fields.get("content-length").is_none());
});
