//! Dates in the three layouts of RFC 9110 §5.6.7, and their places in a case: `{now-60}`, `{now:850}`, `{now:asctime}`.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970.
pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

/// The preferred layout.
pub fn imf(at: i64) -> String {
    written(at, "")
}

/// `text` with its places filled in.
pub fn filled(text: &str, now: i64) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{now") {
        let (place, after) = after.split_once('}').unwrap();
        let (offset, layout) = place.split_once(':').unwrap_or((place, ""));
        let offset: i64 = if offset.is_empty() { 0 } else { offset.parse().unwrap() };
        out += before;
        out += &written(now + offset, layout);
        rest = after;
    }
    out + rest
}

fn written(at: i64, layout: &str) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    const DAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];
    let weekday = DAYS[at.div_euclid(86_400).rem_euclid(7) as usize];
    let (mut day, mut year) = (at.div_euclid(86_400), 1970);
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    while day >= 365 + i64::from(leap(year)) {
        day -= 365 + i64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + i64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while day >= lengths[month] {
        day -= lengths[month];
        month += 1;
    }
    let (day, month, second) = (day + 1, MONTHS[month], at.rem_euclid(86_400));
    let time = format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60);
    match layout {
        "850" => format!("{weekday}, {day:02}-{month}-{:02} {time} GMT", year % 100),
        "asctime" => format!("{} {month} {day:2} {time} {year}", &weekday[..3]),
        _ => format!("{}, {day:02} {month} {year} {time} GMT", &weekday[..3]),
    }
}
