use proptest::prelude::*;

use super::*;

#[test]
fn durations_are_read_as_people_write_them() {
    for (text, milliseconds) in [
        ("0", 0),
        ("0s", 0),
        ("250ms", 250),
        ("30s", 30_000),
        ("5m", 300_000),
        ("1h30m", 5_400_000),
        ("1h 30m", 5_400_000),
        ("1d", 86_400_000),
        ("1m1ms", 60_001),
    ] {
        assert_eq!(parse_duration(text).map(|d| d.as_millis()), Ok(milliseconds), "{text}");
    }
}

#[test]
fn wrong_durations_are_named() {
    for (text, error) in [
        ("", UnitError::Empty),
        ("30", UnitError::NoUnit),
        ("s", UnitError::NoNumber),
        ("-1s", UnitError::NoNumber),
        ("1.5s", UnitError::UnknownUnit),
        ("3 weeks", UnitError::UnknownUnit),
        ("30m1h", UnitError::Order),
        ("1s1s", UnitError::Order),
        ("99999999999999999999s", UnitError::TooLarge),
        ("999999999999999999d", UnitError::TooLarge),
    ] {
        assert_eq!(parse_duration(text), Err(error), "{text}");
    }
}

#[test]
fn sizes_are_read_as_people_write_them() {
    for (text, bytes) in [("0", 0), ("17", 17), ("100B", 100), ("512KiB", 524_288), ("10MB", 10_000_000)] {
        assert_eq!(parse_size(text), Ok(bytes), "{text}");
    }
    assert_eq!(parse_size("64 MiB"), Ok(64 << 20));
    assert_eq!(parse_size("64 Mib"), Err(UnitError::UnknownUnit));
    assert_eq!(parse_size("MiB"), Err(UnitError::NoNumber));
    assert_eq!(parse_size("99999999999TiB"), Err(UnitError::TooLarge));
}

#[test]
fn values_are_written_in_their_largest_unit() {
    assert_eq!(format_duration(Duration::from_secs(5400)), "1h30m");
    assert_eq!(format_duration(Duration::ZERO), "0s");
    assert_eq!(format_size(256 << 20), "256MiB");
    assert_eq!(format_size(1500), "1500B");
    assert_eq!(format_size(0), "0B");
}

proptest! {
    #[test]
    fn a_duration_is_read_back_as_written(milliseconds in any::<u64>()) {
        let duration = Duration::from_millis(milliseconds);
        prop_assert_eq!(parse_duration(&format_duration(duration)).unwrap(), duration);
    }

    #[test]
    fn a_size_is_read_back_as_written(bytes in any::<u64>(), shift in 0_u32..64) {
        prop_assert_eq!(parse_size(&format_size(bytes >> shift)).unwrap(), bytes >> shift);
    }

    #[test]
    fn no_text_makes_the_readers_panic(text in ".{0,40}") {
        let _ = (parse_duration(&text), parse_size(&text));
    }
}
