//! Durations and sizes as people write them, read and written.
//!
//! What `format_*` writes, `parse_*` reads back to the same value. Neither clock nor file is touched here.

use std::{fmt, time::Duration};

/// Why a text is no duration or size; the sentence goes on from "is".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitError {
    /// Nothing is written.
    Empty,
    /// A number was expected at this place.
    NoNumber,
    /// A number stands alone.
    NoUnit,
    /// The unit is none of ours.
    UnknownUnit,
    /// Units must fall from large to small, each once.
    Order,
    /// More than the type holds.
    TooLarge,
}

impl fmt::Display for UnitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "empty",
            Self::NoNumber => "not a number followed by a unit",
            Self::NoUnit => "a number without a unit",
            Self::UnknownUnit => "in a unit that is not known",
            Self::Order => "not in the order of its units, the largest first",
            Self::TooLarge => "too large",
        })
    }
}

impl std::error::Error for UnitError {}

/// Reads `250ms`, `30s`, `5m`, `1h30m`, `1d`, or `0`: whole numbers with units, the largest first.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = 0_u64;
    let mut smaller_than = u64::MAX;
    if rest.is_empty() {
        return Err(UnitError::Empty);
    }
    while !rest.is_empty() {
        let (number, after) = take_number(rest)?;
        let unit_end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_end);
        let scale = scale_of(DURATION_UNITS, unit.trim())?;
        if scale >= smaller_than {
            return Err(UnitError::Order);
        }
        smaller_than = scale;
        let part = number.checked_mul(scale).ok_or(UnitError::TooLarge)?;
        total = total.checked_add(part).ok_or(UnitError::TooLarge)?;
        rest = next;
    }
    Ok(Duration::from_millis(total))
}

/// Writes what [`parse_duration`] reads; less than a millisecond is cut off.
pub fn format_duration(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if rest == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for &(unit, scale) in DURATION_UNITS {
        if rest >= scale {
            text.push_str(&format!("{}{unit}", rest / scale));
            rest %= scale;
        }
    }
    text
}

/// Reads `64MiB`, `10MB`, `512KiB`, `100B` or a plain number of bytes.
pub fn parse_size(text: &str) -> Result<u64, UnitError> {
    if text.is_empty() {
        return Err(UnitError::Empty);
    }
    let (number, unit) = take_number(text)?;
    match unit.trim() {
        "" => Ok(number),
        unit => number.checked_mul(scale_of(SIZE_UNITS, unit)?).ok_or(UnitError::TooLarge),
    }
}

/// Writes what [`parse_size`] reads, in the largest binary unit that loses nothing.
pub fn format_size(bytes: u64) -> String {
    SIZE_UNITS
        .iter()
        .filter(|(unit, scale)| {
            (unit.ends_with("iB") || *scale == 1) && bytes >= *scale && bytes.is_multiple_of(*scale)
        })
        .map(|(unit, scale)| format!("{}{unit}", bytes / scale))
        .next()
        .unwrap_or_else(|| format!("{bytes}B"))
}

/// The digits in front, and what follows them.
fn take_number(text: &str) -> Result<(u64, &str), UnitError> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    if digits.is_empty() {
        return Err(UnitError::NoNumber);
    }
    Ok((digits.parse().map_err(|_| UnitError::TooLarge)?, rest))
}

fn scale_of(units: &[(&str, u64)], unit: &str) -> Result<u64, UnitError> {
    if unit.is_empty() {
        return Err(UnitError::NoUnit);
    }
    units.iter().find(|(name, _)| *name == unit).map(|(_, scale)| *scale).ok_or(UnitError::UnknownUnit)
}

/// In milliseconds, the largest first.
const DURATION_UNITS: &[(&str, u64)] =
    &[("d", 24 * 60 * 60 * 1000), ("h", 60 * 60 * 1000), ("m", 60 * 1000), ("s", 1000), ("ms", 1)];

/// In bytes, the largest first.
const SIZE_UNITS: &[(&str, u64)] = &[
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1000),
    ("KB", 1000),
    ("B", 1),
];

#[cfg(test)]
mod tests;
