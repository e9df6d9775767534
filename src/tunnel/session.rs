//! When the session ends that a tunnel was let in with: pure, with the time as a value.
//!
//! Who opens a tunnel is known to the backend, which has seen the cookie or the token; the gateway is told by a field of
//! the 101 how long that holds, and closes the tunnel then, as an expired cookie would have ended requests.

use std::time::{Duration, UNIX_EPOCH};

/// How long the session still lasts by the value of the backend's field, at a moment since the Unix epoch: a number of
/// seconds, or a date, as an HTTP-date (RFC 9110 §5.6.7) or in seconds since 1970. `None` for anything else.
pub fn session_left(value: &[u8], unix: Duration) -> Option<Duration> {
    let text = std::str::from_utf8(value).ok()?.trim();
    let left = match text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => match text.parse().ok()? {
            seconds @ ..FIRST_DATE => Duration::from_secs(seconds),
            date => Duration::from_secs(date).saturating_sub(unix),
        },
        false => {
            let date = httpdate::parse_http_date(text).ok()?;
            // A date before 1970 has passed as well.
            date.duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(unix)
        }
    };
    Some(left.min(LONGEST))
}

/// Numbers from here on, September 2001, are dates: as a span they would be 31 years.
const FIRST_DATE: u64 = 1_000_000_000;
/// Ten years.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_and_both_kinds_of_date_are_understood() {
        let now = Duration::from_millis(1_700_000_000_500);
        for (value, left) in [
            ("0", Some(0)),
            (" 3600 ", Some(3_600_000)),
            ("1700000060", Some(59_500)),
            ("1600000000", Some(0)),
            ("Tue, 14 Nov 2023 22:14:20 GMT", Some(59_500)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(0)),
            ("18446744073709551615", Some(LONGEST.as_millis() as u64)),
            ("99999999999999999999", None),
            ("", None),
            ("-1", None),
            ("1h", None),
            ("soon", None),
        ] {
            assert_eq!(session_left(value.as_bytes(), now), left.map(Duration::from_millis), "{value}");
        }
        assert_eq!(session_left(b"\xff", now), None);
    }
}
