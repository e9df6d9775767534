//! Dates as the two formats write them, always UTC; the text of a second is made once for each thread.

use std::time::Duration;

/// Whole seconds as text, remembered until the second changes.
#[derive(Default)]
pub(super) struct TextClock {
    second: Option<u64>,
    date: Date,
    combined: Vec<u8>,
    rfc3339: Vec<u8>,
}

/// A date and time of day in UTC, proleptic Gregorian.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Date {
    pub(super) year: u64,
    /// 1 to 12.
    pub(super) month: u8,
    /// 1 to 31.
    pub(super) day: u8,
    pub(super) hour: u8,
    pub(super) minute: u8,
    pub(super) second: u8,
}

impl TextClock {
    /// `10/Oct/2000:13:55:36 +0000`.
    pub(super) fn combined(&mut self, unix: Duration) -> &[u8] {
        self.turn(unix.as_secs());
        &self.combined
    }

    /// `2000-10-10T13:55:36`; fraction and `Z` are the caller's.
    pub(super) fn rfc3339(&mut self, unix: Duration) -> &[u8] {
        self.turn(unix.as_secs());
        &self.rfc3339
    }

    fn turn(&mut self, second: u64) {
        if self.second == Some(second) {
            return;
        }
        self.second = Some(second);
        self.date = Date::from_unix(second);
        let Date { year, month, day, hour, minute, second } = self.date;
        let name = MONTHS[usize::from(month - 1)];
        self.combined = format!("{day:02}/{name}/{year:04}:{hour:02}:{minute:02}:{second:02} +0000").into_bytes();
        self.rfc3339 = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}").into_bytes();
    }
}

impl Date {
    /// The date of a number of seconds since 1970-01-01T00:00:00Z.
    pub(super) fn from_unix(seconds: u64) -> Self {
        // Days are counted from 0000-03-01, so that a leap day is the last of its year; 400 years are one full cycle.
        let days = seconds / 86_400 + DAYS_FROM_YEAR_0_TO_1970;
        let cycle = days / DAYS_PER_CYCLE;
        let day_of_cycle = days % DAYS_PER_CYCLE;
        let year_of_cycle =
            (day_of_cycle - day_of_cycle / 1_460 + day_of_cycle / 36_524 - day_of_cycle / 146_096) / 365;
        let day_of_year = day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let of_day = seconds % 86_400;
        Self {
            year: cycle * 400 + year_of_cycle + u64::from(month <= 2),
            month: month as u8,
            day: day as u8,
            hour: (of_day / 3_600) as u8,
            minute: (of_day / 60 % 60) as u8,
            second: (of_day % 60) as u8,
        }
    }
}

const DAYS_FROM_YEAR_0_TO_1970: u64 = 719_468;
const DAYS_PER_CYCLE: u64 = 146_097;
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
