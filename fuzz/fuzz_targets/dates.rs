//! Dates: what is read is written and read again as the same second, wherever now is.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate::cache::policy::date;

fuzz_target!(|input: (&[u8], u32)| {
    let (text, now) = input;
    let now = i64::from(now);
    let Some(seconds) = date::parse(text, now) else { return };
    let Ok(seconds) = u64::try_from(seconds) else { return };
    let mut written = Vec::new();
    date::format(seconds, &mut written);
    assert_eq!(date::parse(&written, now), Some(seconds as i64));
});
