use proptest::prelude::*;

use super::*;
use crate::cache::policy::testing::PRESENT;

fn read(text: &str) -> Option<i64> {
    parse(text.as_bytes(), PRESENT as i64)
}

#[test]
fn three_layouts_name_the_same_moment() {
    // RFC 9110 §5.6.7
    for text in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
        assert_eq!(read(text), Some(784_111_777), "{text}");
    }
    assert_eq!(read("Wed Nov 16 08:49:37 1994"), Some(784_975_777));
}

#[test]
fn case_and_weekday_do_not_matter() {
    let expected = read("Thu, 18 Aug 2050 02:01:18 GMT");
    assert_eq!(expected, Some(2_544_400_878));
    for text in ["THU, 18 Aug 2050 02:01:18 GMT", "Thu, 18 AUG 2050 02:01:18 gMT", "Mon, 18 Aug 2050 02:01:18 GMT"] {
        assert_eq!(read(text), expected, "{text}");
    }
}

#[test]
fn what_is_not_of_a_layout_is_no_date() {
    for text in [
        "",
        "0",
        "Thu, 18 Aug 2050 02:01:18 UTC",
        "Thu, 18 Aug 2050 02:01:18 AEST",
        "Thu, 18 Aug 50 02:01:18 GMT",
        "Thu 18 Aug 2050 02:01:18 GMT",
        "Thu, 18  Aug  2050 02:01:18 GMT",
        "Thu, 18-Aug-2050 02:01:18 GMT",
        "Thu, 18 Aug 2050 02.01.18 GMT",
        "Thu, 18 Aug 2050 2:01:18 GMT",
        "Thu, 18 Aug 2050 24:01:18 GMT",
        "Thu, 18 Aug 2050 02:60:18 GMT",
        "Thu, 18 Aug 2050 02:01:61 GMT",
        "Thu, 00 Aug 2050 02:01:18 GMT",
        "Thu, 29 Feb 2050 02:01:18 GMT",
        "Thu, 31 Jun 2050 02:01:18 GMT",
        "Xxx, 18 Aug 2050 02:01:18 GMT",
        "Thu, 18 Xxx 2050 02:01:18 GMT",
        " Thu, 18 Aug 2050 02:01:18 GMT",
        "Thu, 18 Aug 2050 02:01:18 GMT ",
        "Thu, +8 Aug 2050 02:01:18 GMT",
        "Thursday, 18-Aug-2050 02:01:18 GMT",
        "Thu Aug 18 02:01:18 50",
    ] {
        assert_eq!(read(text), None, "{text}");
    }
}

#[test]
fn two_digit_years_are_at_most_fifty_years_ahead() {
    let year = |digits: &str| civil(read(&format!("Sunday, 01-Jan-{digits} 00:00:00 GMT")).unwrap() / 86_400).0;
    assert_eq!((year("76"), year("77"), year("26"), year("00"), year("99")), (2076, 1977, 2026, 2000, 1999));
}

#[test]
fn leap_days_and_leap_seconds_are_dates() {
    assert!(read("Thu, 29 Feb 2024 23:59:60 GMT").is_some());
    assert!(read("Thu, 29 Feb 2000 00:00:00 GMT").is_some());
    assert_eq!(read("Thu, 29 Feb 1900 00:00:00 GMT"), None);
}

proptest! {
    #[test]
    fn what_is_written_reads_back(seconds in 0u64..253_402_300_800) {
        let mut text = Vec::new();
        format(seconds, &mut text);
        prop_assert_eq!(text.len(), 29);
        prop_assert_eq!(parse(&text, PRESENT as i64), Some(seconds as i64));
    }

    #[test]
    fn counting_days_one_by_one_agrees(years in 0i64..60) {
        let days: i64 = (1970..1970 + years).map(|year| (1..=12).map(|month| month_length(year, month)).sum::<i64>()).sum();
        prop_assert_eq!(days_since_epoch(1970 + years, 1, 1), days);
        prop_assert_eq!(civil(days), (1970 + years, 1, 1));
    }

    #[test]
    fn no_bytes_panic(text in any::<Vec<u8>>(), now in any::<i64>()) {
        let _ = parse(&text, now / 4096);
    }
}
