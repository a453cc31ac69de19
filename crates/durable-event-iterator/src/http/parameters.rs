//! The query parameters of requests that read a channel.

use crate::{
    channel::page::MAX_PAGE_EVENTS,
    error::{Code, Error, Result},
    path,
};
use std::ops::RangeInclusive;

/// Duration of a long poll, in seconds.
const WAIT_S: RangeInclusive<u32> = 1..=60;

/// How a request reads a channel: the last segment of its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Events,
    /// The same as events, under the name of the procedure that oRPC's clients call.
    Subscribe,
    Call,
}

impl Route {
    pub(super) fn of(segment: &str) -> Option<Self> {
        match segment {
            "events" => Some(Self::Events),
            "subscribe" => Some(Self::Subscribe),
            "call" => Some(Self::Call),
            _ => None,
        }
    }
}

/// Where a reader begins.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Position {
    /// After the event with this id.
    After(String),
    /// With the events stored at or after this time, in seconds since 1970.
    Since(f64),
    /// With this number of newest events.
    Last(u32),
}

/// The query parameters.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Parameters {
    pub(super) token: Option<String>,
    pub(super) id: Option<String>,
    pub(super) position: Option<Position>,
    /// Maximum number of events of a page.
    pub(super) limit: Option<u32>,
    /// Duration of a long poll, in seconds.
    pub(super) wait: Option<u32>,
    /// Whether there is the parameter `data`, in which oRPC's clients send the input of a GET request.
    has_data: bool,
}

const NAMES: &str = "after, channel, id, last, limit, since, token, wait";

impl Parameters {
    /// Reads a query.
    ///
    /// # Errors
    /// BAD_REQUEST that names the parameter and the expected form.
    pub(super) fn of(query: &Query) -> Result<Self> {
        let mut parameters = Self::default();
        for (name, value) in query.single()? {
            let text = || Some(value.to_owned()).filter(|value| !value.is_empty());
            let position = match name {
                "channel" => None,
                "token" => {
                    parameters.token = text();
                    None
                }
                "id" => {
                    parameters.id = text();
                    None
                }
                "limit" => {
                    parameters.limit = Some(integer("limit", value, &(1..=MAX_PAGE_EVENTS))?);
                    None
                }
                "wait" => {
                    parameters.wait = Some(integer("wait", value, &WAIT_S)?);
                    None
                }
                "data" => {
                    parameters.has_data = true;
                    None
                }
                "after" => match text() {
                    Some(id) => Some(Position::After(id)),
                    None => return Err(invalid("after", "expected the id of an event")),
                },
                "since" => Some(Position::Since(time(value)?)),
                "last" => Some(Position::Last(integer("last", value, &(0..=MAX_PAGE_EVENTS))?)),
                other => return Err(unknown(other, NAMES)),
            };
            if position.is_some() && parameters.position.is_some() {
                return Err(invalid(name, "expected at most one of after, since and last"));
            }
            parameters.position = position.or(parameters.position);
        }
        if parameters.limit.is_some() && matches!(parameters.position, Some(Position::Last(_))) {
            return Err(invalid("limit", "it does not apply to last"));
        }
        Ok(parameters)
    }

    /// Checks that the parameters apply to a request.
    pub(super) fn check(&self, route: Route, is_stream: bool) -> Result<()> {
        let inapplicable = [
            ("limit", self.limit.is_some() && (is_stream || route == Route::Call)),
            ("wait", self.wait.is_some() && (is_stream || route == Route::Call)),
            ("after, since and last", self.position.is_some() && route == Route::Call),
            ("data", self.has_data && route != Route::Subscribe),
        ];
        match inapplicable.into_iter().find(|(_, is_given)| *is_given) {
            Some((name, _)) if route == Route::Call => Err(invalid(name, "it does not apply to a call")),
            Some((name @ "data", _)) => Err(unknown(name, NAMES)),
            Some((name, _)) => Err(invalid(name, "it does not apply to server-sent events")),
            None => Ok(()),
        }
    }
}

/// A decoded query.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Decodes a query.
    ///
    /// # Errors
    /// BAD_REQUEST if it is not UTF-8.
    pub(super) fn of(query: &str) -> Result<Self> {
        let pairs = path::pairs_of(query);
        pairs.map(Self).ok_or_else(|| bad_request("The query must be UTF-8, percent-encoded.".to_owned()))
    }

    /// Returns the parameter `channel`.
    pub(super) fn channel(&self) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == "channel").map(|(_, channel)| channel.as_str())
    }

    /// Returns all parameters.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Returns the parameters, each of which must occur once.
    fn single(&self) -> Result<impl Iterator<Item = (&str, &str)>> {
        self.check_single(|_| true)?;
        Ok(self.all())
    }

    /// Checks that the parameters of which `is_single` is true occur once.
    pub(super) fn check_single(&self, is_single: impl Fn(&str) -> bool) -> Result<()> {
        let mut seen = Vec::new();
        for (name, _) in self.all() {
            if is_single(name) && seen.contains(&name) {
                return Err(invalid(name, "expected at most one value"));
            }
            seen.push(name);
        }
        Ok(())
    }
}

/// Returns the error for an unknown parameter. `names` are those that are expected.
pub(super) fn unknown(name: &str, names: &str) -> Error {
    let name: String = name.chars().take(40).collect();
    bad_request(format!("Unknown query parameter {name:?}, expected {names}."))
}

fn bad_request(message: String) -> Error {
    Error::new(Code::BadRequest).message(message)
}

pub(super) fn invalid(name: &str, message: &str) -> Error {
    bad_request(format!("{name}: {message}"))
}

pub(super) fn integer(name: &str, text: &str, range: &RangeInclusive<u32>) -> Result<u32> {
    // `parse` accepts a leading plus.
    let number = if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None };
    number.filter(|number| range.contains(number)).ok_or_else(|| {
        invalid(name, &format!("expected an integer from {} to {}", range.start(), range.end()))
    })
}

/// Reads a time: seconds since 1970, or a date and time of ISO 8601.
fn time(text: &str) -> Result<f64> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let seconds = if is_number { text.parse().ok() } else { iso_8601(text) };
    seconds.filter(|seconds: &f64| seconds.is_finite() && *seconds >= 0.0).ok_or_else(|| {
        invalid("since", "expected seconds since 1970, or a date and time such as 2026-01-31T12:00:00Z")
    })
}

/// Reads `2026-01-31T12:00:00Z`, with an optional fraction of the second, and with `Z` or an offset.
fn iso_8601(text: &str) -> Option<f64> {
    let (date, rest) = text.split_once('T')?;
    let mut date = date.splitn(3, '-');
    let year: i64 = digits(date.next()?, 4)?.into();
    let month: i64 = digits(date.next()?, 2)?.into();
    let day: i64 = digits(date.next()?, 2)?.into();
    let at = rest.find(['Z', '+', '-'])?;
    let (time, zone) = (rest.get(..at)?, rest.get(at..)?);
    let (time, fraction) = match time.split_once('.') {
        Some((time, fraction))
            if !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            (time, format!("0.{fraction}").parse().ok()?)
        }
        Some(_) => return None,
        None => (time, 0.0),
    };
    let mut time = time.splitn(3, ':');
    let hour: i64 = digits(time.next()?, 2)?.into();
    let minute: i64 = digits(time.next()?, 2)?.into();
    let second: i64 = digits(time.next()?, 2)?.into();
    let offset_minutes: i64 = match zone.split_at_checked(1)? {
        ("Z", "") => 0,
        (sign, offset) => {
            let (hours, minutes) = offset.split_once(':')?;
            let minutes =
                i64::from(digits(hours, 2)?).checked_mul(60)?.checked_add(digits(minutes, 2)?.into())?;
            if sign == "-" { minutes.checked_neg()? } else { minutes }
        }
    };
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let minutes = days_since_1970(year, month, day)?
        .checked_mul(24 * 60)?
        .checked_add(hour.checked_mul(60)?)?
        .checked_add(minute)?
        .checked_sub(offset_minutes)?;
    let seconds = minutes.checked_mul(60)?.checked_add(second)?;
    Some(seconds as f64 + fraction)
}

fn digits(text: &str, count: usize) -> Option<u32> {
    let is_number = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

/// Returns the days from 1970-01-01 to a date of the Gregorian calendar. Years are counted from March, so that the leap day is the
/// last one.
fn days_since_1970(year: i64, month: i64, day: i64) -> Option<i64> {
    let year = if month <= 2 { year.checked_sub(1)? } else { year };
    let month = month.checked_add(9)?.checked_rem(12)?;
    let leap_days =
        year.div_euclid(4).checked_sub(year.div_euclid(100))?.checked_add(year.div_euclid(400))?;
    let days_before_month = month.checked_mul(153)?.checked_add(2)?.div_euclid(5);
    let days = year.checked_mul(365)?.checked_add(leap_days)?.checked_add(days_before_month)?;
    days.checked_add(day)?.checked_sub(719_469)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_query_is_read_without_a_panic(query in ".{0,200}", since in "[0-9TZ:.+-]{0,30}") {
            let _ = read(&query);
            let _ = read(&format!("since={since}&limit={query}"));
            let _ = time(&since);
        }
    }

    fn read(query: &str) -> Result<Parameters> {
        Parameters::of(&Query::of(query)?)
    }

    fn rejected(query: &str) -> String {
        read(query).unwrap_err().public_message().to_owned()
    }

    #[test]
    fn each_parameter_has_a_form() {
        let parameters = read("token=a%2Eb&id=x&after=7&limit=5&wait=60&channel=%2E").unwrap();
        assert_eq!(parameters.token.as_deref(), Some("a.b"));
        assert_eq!(Query::of("limit=5&channel=%2E").unwrap().channel(), Some("."));
        assert_eq!((parameters.limit, parameters.wait), (Some(5), Some(60)));
        assert_eq!(parameters.position, Some(Position::After("7".into())));
        assert_eq!(read("").unwrap(), Parameters::default());
    }

    #[test]
    fn an_invalid_parameter_is_named() {
        for (query, name) in [
            ("limit=0", "limit: expected an integer from 1 to 1000"),
            ("limit=+5", "limit"),
            ("limit=", "limit"),
            ("wait=61", "wait: expected an integer from 1 to 60"),
            ("last=1001", "last: expected an integer from 0 to 1000"),
            ("last=99999999999", "last"),
            ("after=", "after: expected the id of an event"),
            ("since=", "since"),
            ("since=-1", "since"),
            ("since=1e3", "since"),
            ("since=1.2.3", "since"),
            ("since=2026-13-01T00:00:00Z", "since"),
            ("since=2026-01-01", "since"),
            ("after=1&since=1", "since: expected at most one of after, since and last"),
            ("limit=5&last=5", "limit: it does not apply to last"),
            ("after=1&after=1", "after: expected at most one value"),
            ("token=a&token=a", "token: expected at most one value"),
            ("Limit=5", "Unknown query parameter \"Limit\""),
            ("%FF=5", "The query must be UTF-8"),
        ] {
            let message = rejected(query);
            assert!(message.contains(name), "{query}: {message}");
        }
    }

    #[test]
    fn a_time_is_a_number_of_seconds_or_a_date() {
        let since = |text: &str| match read(&format!("since={text}")).unwrap().position {
            Some(Position::Since(seconds)) => seconds,
            other => panic!("{other:?}"),
        };
        assert_eq!(since("1767225600.25"), 1_767_225_600.25);
        assert_eq!(since("2026-01-01T00:00:00Z"), 1_767_225_600.0);
        assert_eq!(since("2026-01-01T01:30:00.5%2B01:30"), 1_767_225_600.5);
        assert_eq!(since("2024-02-29T12:00:00Z"), 1_709_208_000.0);
        assert_eq!(since("1970-01-01T00:00:00Z"), 0.0);
        assert_eq!(since("2000-03-01T00:00:00-00:30"), 951_870_600.0);
    }

    #[test]
    fn parameters_of_pages_do_not_apply_to_streams_and_calls() {
        let check = |query: &str, route, is_stream| read(query).unwrap().check(route, is_stream);
        assert!(check("limit=1&wait=5&after=1", Route::Events, false).is_ok());
        assert!(check("after=1", Route::Events, true).is_ok());
        assert!(check("data=%7B%7D", Route::Subscribe, true).is_ok());
        for (query, route, is_stream) in [
            ("limit=1", Route::Events, true),
            ("wait=1", Route::Subscribe, true),
            ("data=1", Route::Events, false),
            ("last=1", Route::Call, false),
        ] {
            assert!(check(query, route, is_stream).is_err(), "{query}");
        }
    }
}
