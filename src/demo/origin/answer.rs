//! Answers on the wire: heads with what every answer has, whole bodies, and the date (RFC 9110 §6.6.1).

use std::io::Write;

use bytes::Bytes;
use http::{Method, StatusCode};

use crate::wire::{Fields, RequestHead, Version};

/// An answer whose body is known before it is sent.
pub(super) struct Answer {
    pub(super) status: u16,
    /// Date, Content-Length and Connection are added when it is written.
    pub(super) fields: Fields,
    pub(super) body: Bytes,
}

impl Answer {
    /// A fresh word that no cache may keep.
    pub(super) fn json(text: String) -> Self {
        let fields = [("Content-Type", "application/json"), ("Cache-Control", "no-store")].into_iter().collect();
        Self { status: 200, fields, body: Bytes::from(text) }
    }

    /// A short sentence with a status.
    pub(super) fn text(status: u16, text: &'static str) -> Self {
        let fields = [("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store")];
        Self { status, fields: fields.into_iter().collect(), body: Bytes::from_static(text.as_bytes()) }
    }

    /// With one more field.
    pub(super) fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.fields.push(name, value);
        self
    }

    /// Head and body as bytes, ready to send. `keep_alive` says whether the connection stays.
    pub(super) fn to_bytes(&self, request: &RequestHead, keep_alive: bool, unix_seconds: u64) -> Vec<u8> {
        let mut out = Vec::with_capacity(512 + self.body.len());
        open_head(&mut out, self.status, unix_seconds);
        self.fields.write_http1(&mut out);
        // RFC 9110 §8.6: a 304 has no length of its own to tell.
        if self.status != 304 {
            field(&mut out, "Content-Length", self.body.len());
        }
        close_head(&mut out, request.version, keep_alive);
        if request.method != Method::HEAD {
            out.extend_from_slice(&self.body);
        }
        out
    }
}

/// Status line and what every answer has.
pub(super) fn open_head(out: &mut Vec<u8>, status: u16, unix_seconds: u64) {
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or_default();
    // Invariant: writing to a Vec can't fail.
    let _ = write!(out, "HTTP/1.1 {status} {reason}\r\n");
    field(out, "Date", date(unix_seconds));
    field(out, "X-Content-Type-Options", "nosniff");
}

/// One field line.
pub(super) fn field(out: &mut Vec<u8>, name: &str, value: impl std::fmt::Display) {
    // Invariant: writing to a Vec can't fail.
    let _ = write!(out, "{name}: {value}\r\n");
}

/// Connection, where the version's default is not meant (RFC 9112 §9.3), and the empty line.
pub(super) fn close_head(out: &mut Vec<u8>, version: Version, keep_alive: bool) {
    match (version, keep_alive) {
        (Version::Http10, true) => field(out, "Connection", "keep-alive"),
        (Version::Http10, false) | (_, true) => {}
        (_, false) => field(out, "Connection", "close"),
    }
    out.extend_from_slice(b"\r\n");
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 §5.6.7).
pub(super) fn date(unix_seconds: u64) -> String {
    const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (days, second) = (unix_seconds / 86_400, unix_seconds % 86_400);
    // Days to a civil date: years begin in March, so that the leap day is the last of its year.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12;
    let year = era * 400 + year_of_era + u64::from(month < 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let (weekday, month) = (WEEKDAYS[(days % 7) as usize], MONTHS[month as usize]);
    format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}
