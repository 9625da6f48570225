//! Timestamps as text, in the form in which SQLite stores them.
//!
//! No calendar arithmetic: the database has that, and knows the time zones.

use std::fmt;
use std::str::FromStr;

use crate::types::{Error, Timestamp};

const DAY_MICROSECONDS: i64 = 86_400 * 1_000_000;

impl fmt::Display for Timestamp {
    /// `2026-11-22 09:30:00.000000`, in UTC.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil(self.microseconds.div_euclid(DAY_MICROSECONDS));
        let rest = self.microseconds.rem_euclid(DAY_MICROSECONDS);
        let (seconds, fraction) = (rest / 1_000_000, rest % 1_000_000);
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{fraction:06}"
        )
    }
}

impl FromStr for Timestamp {
    type Err = Error;

    /// Reads `2026-11-22`, `2026-11-22 09:30:00` and up to six digits of a fraction;
    /// `T` may stand for the space, and `Z` may follow.
    fn from_str(text: &str) -> Result<Self, Error> {
        const INVALID_DATETIME_FORMAT: &str = "22007";
        parse(text).ok_or_else(|| {
            let message = format!("\"{text}\" is not a timestamp such as 2026-11-22 09:30:00");
            Error::failed(INVALID_DATETIME_FORMAT, message)
        })
    }
}

fn parse(text: &str) -> Option<Timestamp> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (date, time) = match text.split_once([' ', 'T']) {
        Some((date, time)) => (date, parse_time(time)?),
        None => (text, 0),
    };
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let days = days_since_epoch(year, month, day);
    // A day that a month does not have (or month 13) comes back as another date.
    (civil(days) == (year, month, day)).then_some(Timestamp {
        microseconds: days * DAY_MICROSECONDS + time,
    })
}

fn parse_time(text: &str) -> Option<i64> {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let [hour, minute, second] = numbers(clock, ':', [2, 2, 2])?;
    let [fraction_digits] = numbers(fraction, '.', [fraction.len()])?;
    if hour > 23 || minute > 59 || second > 59 || fraction.len() > 6 {
        return None;
    }
    let scale = 10_i64.pow(6 - fraction.len() as u32);
    Some(((hour * 60 + minute) * 60 + second) * 1_000_000 + fraction_digits * scale)
}

/// Exactly `N` numbers of exactly these widths, so that `-5` or `+7` is none.
fn numbers<const N: usize>(text: &str, separator: char, widths: [usize; N]) -> Option<[i64; N]> {
    let mut parts = text.split(separator);
    let mut numbers = [0; N];
    for (number, width) in numbers.iter_mut().zip(widths) {
        let part = parts.next()?;
        if part.len() != width || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

/// Days from 1970-01-01 in the Gregorian calendar. Years begin in March here, so
/// that the leap day is a year's last and months follow one linear rule.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + (153 * month_from_march + 2) / 5 + day - 1 - MARCH_0_TO_EPOCH_DAYS
}

/// From 0000-03-01, where the years of `days_since_epoch` begin, to 1970-01-01.
const MARCH_0_TO_EPOCH_DAYS: i64 = 719_468;

/// The inverse of `days_since_epoch`: year, month, day.
fn civil(days: i64) -> (i64, i64, i64) {
    const ERA_DAYS: i64 = 146_097;
    let days = days + MARCH_0_TO_EPOCH_DAYS;
    let (era, day) = (days.div_euclid(ERA_DAYS), days.rem_euclid(ERA_DAYS));
    let year = (day - day / 1460 + day / 36_524 - day / (ERA_DAYS - 1)) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month_from_march = (5 * day + 2) / 153;
    let day = day - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_microseconds_agree() {
        for (text, microseconds) in [
            ("1970-01-01 00:00:00.000000", 0),
            ("1969-12-31 23:59:59.999999", -1),
            ("2000-02-29 12:00:00.500000", 951_825_600_500_000),
            ("2026-11-22 09:30:00.000000", 1_795_339_800_000_000),
            ("0001-01-01 00:00:00.000000", -62_135_596_800_000_000),
            ("9999-12-31 23:59:59.999999", 253_402_300_799_999_999),
        ] {
            assert_eq!(Timestamp { microseconds }.to_string(), text);
            assert_eq!(text.parse(), Ok(Timestamp { microseconds }), "{text}");
        }
    }

    #[test]
    fn every_day_of_four_centuries_survives() {
        let first = days_since_epoch(1800, 1, 1);
        for days in first..first + 146_097 {
            let (year, month, day) = civil(days);
            assert_eq!(days_since_epoch(year, month, day), days);
        }
    }

    #[test]
    fn shorter_forms_are_read_too() {
        let midnight = "2026-11-22".parse::<Timestamp>();
        assert_eq!(midnight, "2026-11-22T00:00:00Z".parse());
        assert_eq!(midnight, "2026-11-22 00:00:00.0".parse());
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "",
            "2026-02-29",
            "2026-13-01",
            "2026-00-10",
            "2026-1-1",
            "2026-11-22 24:00:00",
            "2026-11-22 09:30",
            "2026-11-22 09:30:00.1234567",
            "2026-11-22 09:30:00.",
            "2026-11-22 09:30:00+01:00",
        ] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }
}
