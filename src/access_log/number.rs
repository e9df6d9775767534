//! Numbers as decimal text, without the machinery of `format_args!`: each line has half a dozen of them.

use std::time::Duration;

/// Appends the number.
pub(super) fn decimal(out: &mut Vec<u8>, number: u64) {
    padded(out, number, 1);
}

/// Appends seconds with six digits after the point.
pub(super) fn seconds(out: &mut Vec<u8>, duration: Duration) {
    decimal(out, duration.as_secs());
    out.push(b'.');
    padded(out, duration.subsec_micros().into(), 6);
}

/// Appends the number with at least so many digits, at most 20.
pub(super) fn padded(out: &mut Vec<u8>, mut number: u64, digits_min: usize) {
    let mut digits = [b'0'; DIGITS_MAX];
    let mut start = DIGITS_MAX;
    while number > 0 {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    out.extend_from_slice(&digits[start.min(DIGITS_MAX.saturating_sub(digits_min))..]);
}

/// Of the largest `u64`.
const DIGITS_MAX: usize = 20;
