//! The id of an event.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The id of a published event: its cursor, and the time at which the event was stored.
///
/// The value is a number of microseconds since the Unix epoch, at most 2^53 − 1. Ids of one channel always increase.
/// If the clock steps back, new ids continue above the last one and run ahead of the clock. In text and JSON an id is
/// a string of decimal digits; clients must treat it as opaque.
///
/// ```
/// use durable_event_log::EventId;
///
/// let older: EventId = "9".parse()?;
/// let newer: EventId = "10".parse()?;
/// assert!(older < newer);
/// assert_eq!(newer.to_string(), "10");
/// # Ok::<(), durable_event_log::InvalidEventId>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(u64);

impl EventId {
    /// The largest id, 2^53 − 1: the largest integer that a JavaScript number represents exactly. The clock reaches
    /// it in the year 2255.
    pub const MAX: Self = Self((1 << 53) - 1);

    /// Returns the id as a number of microseconds since the Unix epoch.
    ///
    /// ```
    /// use durable_event_log::EventId;
    ///
    /// let id: EventId = "1767225600000000".parse()?;
    /// assert_eq!(id.as_micros() / 1_000_000, 1_767_225_600); // 2026-01-01T00:00:00Z
    /// # Ok::<(), durable_event_log::InvalidEventId>(())
    /// ```
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Returns the time at which the event was published. It is later than the clock if the clock has stepped back.
    ///
    /// ```
    /// use durable_event_log::EventId;
    /// use std::time::{Duration, SystemTime};
    ///
    /// let id: EventId = "1767225600000000".parse()?;
    /// assert_eq!(id.published_at(), SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600));
    /// # Ok::<(), durable_event_log::InvalidEventId>(())
    /// ```
    #[must_use]
    pub fn published_at(self) -> SystemTime {
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_micros(self.0)).unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// Creates the id with this number of microseconds. Larger numbers become [`EventId::MAX`].
    pub fn saturating(micros: u64) -> Self {
        Self(micros).min(Self::MAX)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Parses the format of `Display`: decimal digits without sign, spaces or leading zeros, up to [`EventId::MAX`].
///
/// Each id has exactly one text, so two ids are equal if and only if their texts are equal.
impl FromStr for EventId {
    type Err = InvalidEventId;

    fn from_str(text: &str) -> Result<Self, InvalidEventId> {
        let canonical = match text.as_bytes() {
            [b'0'] => true,
            [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
            _ => false,
        };
        if !canonical {
            return Err(InvalidEventId(()));
        }
        let id = text.parse().map(Self).map_err(|_| InvalidEventId(()))?;
        if id > Self::MAX { Err(InvalidEventId(())) } else { Ok(id) }
    }
}

impl Serialize for EventId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EventId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// An event id is a string in TypeScript.
#[cfg(feature = "typescript")]
impl ts_rs::TS for EventId {
    type WithoutGenerics = Self;
    type OptionInnerType = Self;

    fn name(_: &ts_rs::Config) -> String {
        "string".to_owned()
    }

    fn inline(config: &ts_rs::Config) -> String {
        Self::name(config)
    }
}

/// The error of parsing an invalid event id.
///
/// ```
/// use durable_event_log::EventId;
///
/// assert!("+5".parse::<EventId>().is_err());
/// assert!("007".parse::<EventId>().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidEventId(());

impl fmt::Display for InvalidEventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "event id must be a decimal integer of at most 9007199254740991, without sign or leading zeros",
        )
    }
}

impl std::error::Error for InvalidEventId {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parsed_id_has_the_same_text() {
        for text in ["0", "7", "10", "1767225600000000", "9007199254740991"] {
            assert_eq!(text.parse::<EventId>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn other_texts_are_rejected() {
        for text in [
            "",
            " ",
            "+1",
            "-1",
            "01",
            "00",
            " 1",
            "1 ",
            "1.0",
            "1e3",
            "0x1",
            "a",
            "１",
            "1\0",
            "9007199254740992",
            "18446744073709551615",
            "18446744073709551616",
            "99999999999999999999999999999999",
        ] {
            assert_eq!(text.parse::<EventId>(), Err(InvalidEventId(())), "{text:?}");
        }
    }

    #[test]
    fn an_id_is_a_string_in_json() {
        let id: EventId = "12".parse().unwrap();
        assert_eq!(serde_json::to_string(&id).unwrap(), r#""12""#);
        assert_eq!(serde_json::from_str::<EventId>(r#""12""#).unwrap(), id);
        assert!(serde_json::from_str::<EventId>("12").is_err());
        assert!(serde_json::from_str::<EventId>(r#""x""#).is_err());
    }

    #[test]
    fn a_too_large_number_saturates() {
        assert_eq!(EventId::saturating(u64::MAX), EventId::MAX);
        assert_eq!(EventId::saturating(5).as_micros(), 5);
    }
}
