//! Points in time.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::tag;

/// The largest time value of ECMA-262 in milliseconds: 100,000,000 days before or after the epoch.
const MAX_MILLIS: i64 = 8_640_000_000_000_000;
const MILLIS_PER_SECOND: i64 = 1_000;
const MILLIS_PER_MINUTE: i64 = 60 * MILLIS_PER_SECOND;
const MILLIS_PER_HOUR: i64 = 60 * MILLIS_PER_MINUTE;
const MILLIS_PER_DAY: i64 = 24 * MILLIS_PER_HOUR;
/// The period of the Gregorian calendar, in years and in days.
const YEARS_PER_ERA: i64 = 400;
const DAYS_PER_ERA: i64 = 146_097;
/// The days from 0000-03-01, the first day of the calculation below, to the epoch.
const DAYS_TO_EPOCH: i64 = 719_468;

/// JavaScript's `Date`: milliseconds since the Unix epoch, or the invalid date.
///
/// ```
/// use durable_event_wire::Date;
/// let date: Date = "2020-01-02T03:04:05.678Z".parse()?;
/// assert_eq!(date.millis(), Some(1_577_934_245_678));
/// assert_eq!(date.to_string(), "2020-01-02T03:04:05.678Z");
/// assert_eq!(Date::INVALID.millis(), None);
/// # Ok::<(), durable_event_wire::InvalidDate>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Date(Option<i64>);

impl Date {
    /// The invalid date, JavaScript's `new Date(NaN)`.
    ///
    /// ```
    /// assert_eq!(durable_event_wire::Date::INVALID.to_string(), "Invalid Date");
    /// ```
    pub const INVALID: Self = Self(None);

    /// Creates a date from milliseconds since the Unix epoch. Beyond ±8.64e15 ms, the range of JavaScript's time, it
    /// is invalid.
    ///
    /// ```
    /// assert_eq!(durable_event_wire::Date::from_millis(0).to_string(), "1970-01-01T00:00:00.000Z");
    /// ```
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        if millis >= -MAX_MILLIS && millis <= MAX_MILLIS { Self(Some(millis)) } else { Self::INVALID }
    }

    /// Returns the milliseconds since the Unix epoch, or `None` if the date is invalid.
    ///
    /// ```
    /// assert_eq!(durable_event_wire::Date::from_millis(5).millis(), Some(5));
    /// ```
    #[must_use]
    pub const fn millis(self) -> Option<i64> {
        self.0
    }
}

/// Writes ISO 8601 in UTC with milliseconds, as JavaScript's `toISOString` does, or `Invalid Date`.
impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(millis) = self.0 else { return f.write_str("Invalid Date") };
        let (year, month, day) = civil(millis.div_euclid(MILLIS_PER_DAY));
        match year {
            0..=9999 => write!(f, "{year:04}")?,
            year => write!(f, "{}{:06}", if year < 0 { '-' } else { '+' }, year.unsigned_abs())?,
        }
        let of_day = millis.rem_euclid(MILLIS_PER_DAY);
        let hour = of_day.div_euclid(MILLIS_PER_HOUR);
        let minute = of_day.rem_euclid(MILLIS_PER_HOUR).div_euclid(MILLIS_PER_MINUTE);
        let second = of_day.rem_euclid(MILLIS_PER_MINUTE).div_euclid(MILLIS_PER_SECOND);
        let milli = of_day.rem_euclid(MILLIS_PER_SECOND);
        write!(f, "-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
    }
}

/// Parses the format of ECMA-262, section "Date Time String Format": a date such as `2020-01-02`, optionally with a
/// time and `Z` or an offset. Digits beyond milliseconds are truncated.
impl FromStr for Date {
    type Err = InvalidDate;

    fn from_str(text: &str) -> Result<Self, InvalidDate> {
        read(text).ok_or(InvalidDate(()))
    }
}

/// The error of parsing a text that is not a date in the format of ECMA-262 with a time zone.
///
/// ```
/// assert!("yesterday".parse::<durable_event_wire::Date>().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidDate(());

impl fmt::Display for InvalidDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("date must have the ISO 8601 form 2020-01-02 or 2020-01-02T03:04:05.678Z")
    }
}

impl std::error::Error for InvalidDate {}

/// Returns the year, month and day of a number of days since the epoch. Years are counted from March, so that the
/// leap day is the last day of a year.
#[allow(clippy::arithmetic_side_effects)] // `days` is between -1e8 and 1e8
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + DAYS_TO_EPOCH;
    let era = days.div_euclid(DAYS_PER_ERA);
    let day_of_era = days.rem_euclid(DAYS_PER_ERA);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * YEARS_PER_ERA + i64::from(month <= 2), month, day)
}

/// Returns the days since the epoch of a date, the inverse of [`civil`].
#[allow(clippy::arithmetic_side_effects)] // a year has at most six digits, month and day have two
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(YEARS_PER_ERA);
    let year_of_era = year.rem_euclid(YEARS_PER_ERA);
    let month_from_march = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * DAYS_PER_ERA + day_of_era - DAYS_TO_EPOCH
}

fn read(text: &str) -> Option<Date> {
    let mut rest = Rest(text.as_bytes());
    let year = match rest.0.first()? {
        b'+' => rest.after(b'+')?.digits(6)?,
        b'-' => match rest.after(b'-')?.digits(6)? {
            0 => return None, // ECMA-262: "-000000" is invalid
            year => year.checked_neg()?,
        },
        _ => rest.digits(4)?,
    };
    let month = rest.after(b'-')?.digits(2)?;
    let day = rest.after(b'-')?.digits(2)?;
    let days = days_of(year, month, day);
    if !(1..=12).contains(&month) || civil(days) != (year, month, day) {
        return None;
    }
    let mut millis = days.checked_mul(MILLIS_PER_DAY)?;
    if !rest.0.is_empty() {
        let hour = rest.after(b'T')?.digits(2)?;
        let minute = rest.after(b':')?.digits(2)?;
        let mut second = 0;
        let mut milli = 0;
        if rest.0.first() == Some(&b':') {
            second = rest.after(b':')?.digits(2)?;
            if rest.0.first() == Some(&b'.') {
                milli = rest.after(b'.')?.fraction()?;
            }
        }
        let midnight_after = hour == 24 && minute == 0 && second == 0 && milli == 0;
        if (hour > 23 && !midnight_after) || minute > 59 || second > 59 {
            return None;
        }
        let of_day = [
            hour.checked_mul(MILLIS_PER_HOUR)?,
            minute.checked_mul(MILLIS_PER_MINUTE)?,
            second.checked_mul(MILLIS_PER_SECOND)?,
            milli,
        ];
        millis = of_day
            .iter()
            .try_fold(millis, |sum, part| sum.checked_add(*part))?
            .checked_sub(rest.offset()?)?;
    }
    (rest.0.is_empty() && (-MAX_MILLIS..=MAX_MILLIS).contains(&millis)).then_some(Date(Some(millis)))
}

/// The unread rest of the text.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn after(&mut self, byte: u8) -> Option<&mut Self> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        (*first == byte).then_some(self)
    }

    fn digits(&mut self, count: usize) -> Option<i64> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        number(digits)
    }

    /// Reads a fraction of a second as milliseconds.
    fn fraction(&mut self) -> Option<i64> {
        let end = self.0.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(self.0.len());
        let (digits, rest) = self.0.split_at_checked(end)?;
        self.0 = rest;
        match digits {
            [] => None,
            [a] => number(&[*a, b'0', b'0']),
            [a, b] => number(&[*a, *b, b'0']),
            [a, b, c, ..] => number(&[*a, *b, *c]),
        }
    }

    /// Reads `Z` or an offset; returns the milliseconds that local time is ahead of UTC.
    fn offset(&mut self) -> Option<i64> {
        let (sign, rest) = self.0.split_first()?;
        self.0 = rest;
        if *sign == b'Z' {
            return Some(0);
        }
        let hours = self.digits(2)?;
        let minutes = self.after(b':')?.digits(2)?;
        if hours > 23 || minutes > 59 {
            return None;
        }
        let offset =
            hours.checked_mul(MILLIS_PER_HOUR)?.checked_add(minutes.checked_mul(MILLIS_PER_MINUTE)?)?;
        match sign {
            b'+' => Some(offset),
            b'-' => offset.checked_neg(),
            _ => None,
        }
    }
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0_i64, |number, digit| {
        let digit = char::from(*digit).to_digit(10)?;
        number.checked_mul(10)?.checked_add(i64::from(digit))
    })
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Json(Date);

        impl Serialize for Json {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self.0.0 {
                    Some(_) => serializer.collect_str(&self.0),
                    None => serializer.serialize_none(),
                }
            }
        }

        serializer.serialize_newtype_struct(tag::DATE, &Json(*self))
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(tag::DATE, DateVisitor)
    }
}

struct DateVisitor;

impl<'de> de::Visitor<'de> for DateVisitor {
    type Value = Date;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a Date")
    }

    /// Called by this crate's deserializer with milliseconds.
    fn visit_i128<E: de::Error>(self, millis: i128) -> Result<Date, E> {
        Ok(i64::try_from(millis).map_or(Date::INVALID, Date::from_millis))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Date, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Date, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_unit<E: de::Error>(self) -> Result<Date, E> {
        Ok(Date::INVALID)
    }

    fn visit_none<E: de::Error>(self) -> Result<Date, E> {
        Ok(Date::INVALID)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn millis(text: &str) -> Option<i64> {
        text.parse::<Date>().ok()?.millis()
    }

    #[test]
    fn dates_are_written_as_javascript_writes_them() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
            (253_402_300_800_000, "+010000-01-01T00:00:00.000Z"),
            (-62_167_219_200_000, "0000-01-01T00:00:00.000Z"),
            (-62_167_219_200_001, "-000001-12-31T23:59:59.999Z"),
            (MAX_MILLIS, "+275760-09-13T00:00:00.000Z"),
            (-MAX_MILLIS, "-271821-04-20T00:00:00.000Z"),
        ] {
            assert_eq!(Date::from_millis(millis).to_string(), text);
            assert_eq!(text.parse::<Date>().unwrap().millis(), Some(millis));
        }
    }

    #[test]
    fn a_date_beyond_the_range_of_javascript_is_invalid() {
        assert_eq!(Date::from_millis(MAX_MILLIS + 1), Date::INVALID);
        assert_eq!(millis("+275760-09-13T00:00:00.001Z"), None);
    }

    #[test]
    fn other_precisions_and_offsets_are_read() {
        assert_eq!(millis("1970-01-02"), Some(MILLIS_PER_DAY));
        assert_eq!(millis("1970-01-01T00:01Z"), Some(60_000));
        assert_eq!(millis("1970-01-01T00:00:01.5Z"), Some(1_500));
        assert_eq!(millis("1970-01-01T00:00:01.123456Z"), Some(1_123));
        assert_eq!(millis("1970-01-01T02:00:00+01:30"), Some(30 * MILLIS_PER_MINUTE));
        assert_eq!(millis("1969-12-31T24:00:00Z"), Some(0));
    }

    #[test]
    fn other_texts_are_rejected() {
        for text in [
            "",
            "x",
            "2020",
            "2020-13-01",
            "2021-02-29",
            "2020-00-10",
            "2020-01-00",
            "2020-01-01T24:01Z",
            "2020-01-01T00:60Z",
            "2020-01-01T00:00",
            "2020-01-01T00:00:00.Z",
            "2020-01-01T00:00:00.000Zx",
            "-000000-01-01T00:00:00Z",
            "2020-01-01 00:00Z",
            "２０２０-01-01",
        ] {
            assert_eq!(millis(text), None, "{text}");
        }
    }

    #[test]
    fn other_formats_receive_a_text_or_null() {
        let date = Date::from_millis(0);
        assert_eq!(
            serde_json::to_string(&[date, Date::INVALID]).unwrap(),
            r#"["1970-01-01T00:00:00.000Z",null]"#
        );
        let read: Vec<Date> = serde_json::from_str(r#"["1970-01-01T00:00:00.000Z",null]"#).unwrap();
        assert_eq!(read, [date, Date::INVALID]);
        assert!(serde_json::from_str::<Date>("0").is_err());
    }

    proptest! {
        #[test]
        fn every_date_round_trips(millis in -MAX_MILLIS..=MAX_MILLIS) {
            let date = Date::from_millis(millis);
            prop_assert_eq!(date.to_string().parse::<Date>(), Ok(date));
        }

        #[test]
        fn parsing_any_text_never_panics(text in ".*", close in "[-+]?[0-9]{4,6}-[0-9]{2}-[0-9]{2}(T[0-9:.+Z-]*)?") {
            let _ = text.parse::<Date>();
            let _ = close.parse::<Date>();
        }
    }
}
