//! Dates in the three layouts of RFC 9110 §5.6.7, read strictly, and written in the first.

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const LONG_DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const SECONDS_PER_DAY: i64 = 86_400;

/// Seconds since the Unix epoch. Names and `GMT` in any case, widths fixed; the day's name is read but need not be the
/// right one. `now` (same unit) places a two-digit year: never more than 50 years ahead.
pub fn parse(text: &[u8], now: i64) -> Option<i64> {
    match text {
        [_, _, _, b',', b' ', rest @ ..] => {
            short_day(&text[..3])?;
            imf(rest)
        }
        [_, _, _, b' ', rest @ ..] => {
            short_day(&text[..3])?;
            asctime(rest)
        }
        _ => {
            let comma = text.iter().position(|&byte| byte == b',')?;
            LONG_DAYS.iter().find(|day| day.as_bytes().eq_ignore_ascii_case(&text[..comma]))?;
            rfc850(text[comma + 1..].strip_prefix(b" ")?, now)
        }
    }
}

/// Writes the layout that everybody sends: `Sun, 06 Nov 1994 08:49:37 GMT`. Years past 9999 are written as 9999-12-31.
pub fn format(unix_seconds: u64, out: &mut Vec<u8>) {
    use std::io::Write;
    const LAST: u64 = 253_402_300_799;
    let seconds = unix_seconds.min(LAST);
    let (days, time) = (seconds / SECONDS_PER_DAY as u64, seconds % SECONDS_PER_DAY as u64);
    let (year, month, day) = civil(days as i64);
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    let name = DAYS[(days % 7) as usize];
    let month = MONTHS[month as usize - 1];
    // Invariant: writing to a Vec can't fail.
    let _ = write!(out, "{name}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT");
}

/// The same in bytes of its own.
pub fn written(unix_seconds: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity("Sun, 06 Nov 1994 08:49:37 GMT".len());
    format(unix_seconds, &mut out);
    out
}

/// `06 Nov 1994 08:49:37 GMT`
fn imf(text: &[u8]) -> Option<i64> {
    let text: &[u8; 24] = text.try_into().ok()?;
    expect(text[2] == b' ' && text[6] == b' ' && text[11] == b' ')?;
    zone(&text[20..])?;
    seconds(number(&text[7..11])?, month(&text[3..6])?, number(&text[..2])?, &text[12..20])
}

/// `06-Nov-94 08:49:37 GMT`
fn rfc850(text: &[u8], now: i64) -> Option<i64> {
    let text: &[u8; 22] = text.try_into().ok()?;
    expect(text[2] == b'-' && text[6] == b'-' && text[9] == b' ')?;
    zone(&text[18..])?;
    let two_digits = number(&text[7..9])?;
    let this_year = civil(now.div_euclid(SECONDS_PER_DAY)).0;
    // RFC 9110 §5.6.7: what seems more than 50 years ahead is the latest past year with these digits.
    let mut year = this_year - this_year.rem_euclid(100) + two_digits;
    if year > this_year + 50 {
        year -= 100;
    }
    seconds(year, month(&text[3..6])?, number(&text[..2])?, &text[10..18])
}

/// `Nov  6 08:49:37 1994`
fn asctime(text: &[u8]) -> Option<i64> {
    let text: &[u8; 20] = text.try_into().ok()?;
    expect(text[3] == b' ' && text[6] == b' ' && text[15] == b' ')?;
    let day = if text[4] == b' ' { number(&text[5..6])? } else { number(&text[4..6])? };
    seconds(number(&text[16..])?, month(&text[..3])?, day, &text[7..15])
}

fn seconds(year: i64, month: i64, day: i64, time: &[u8]) -> Option<i64> {
    expect(time[2] == b':' && time[5] == b':')?;
    let (hour, minute, second) = (number(&time[..2])?, number(&time[3..5])?, number(&time[6..])?);
    // 60 is a leap second (RFC 9110 §5.6.7).
    expect((1..=month_length(year, month)).contains(&day) && hour < 24 && minute < 60 && second <= 60)?;
    Some(days_since_epoch(year, month, day) * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second)
}

fn expect(holds: bool) -> Option<()> {
    holds.then_some(())
}

fn zone(text: &[u8]) -> Option<()> {
    expect(text.eq_ignore_ascii_case(b" GMT"))
}

fn short_day(text: &[u8]) -> Option<()> {
    expect(DAYS.iter().any(|day| day.as_bytes().eq_ignore_ascii_case(text)))
}

fn month(text: &[u8]) -> Option<i64> {
    MONTHS.iter().position(|name| name.as_bytes().eq_ignore_ascii_case(text)).map(|index| index as i64 + 1)
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0')))
}

fn month_length(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar, by counting years from March so that the leap day is last.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The reverse: (year, month, day).
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests;
