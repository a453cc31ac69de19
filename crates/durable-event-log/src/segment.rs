//! Segments: tables of events, and their names.

use super::database::{Cell, Database, DatabaseError, Param};
use super::id::EventId;

/// The prefix of a log's table names: 1–32 characters of `a`–`z`, `0`–`9` and `_`, not beginning with `sqlite_` or
/// `_cf_`.
///
/// The log owns all tables named `<prefix>events_<number>`, `<prefix>events_<number>_first`, `<prefix>keys_<number>` or
/// `<prefix>revoked`, and all views named `<prefix>epoch` or `<prefix>lead_<number>_<number>`. Logs with
/// different prefixes never share a name: the text before the number (or before `epoch` or `revoked`) identifies the prefix.
///
/// ```
/// use durable_event_log::TablePrefix;
///
/// assert!(TablePrefix::new("chat_").is_ok());
/// assert!(TablePrefix::new("Chat!").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TablePrefix(String);

impl TablePrefix {
    /// The maximum length in bytes: enough for a name and a version, and readable in a list of tables.
    const MAX_LENGTH: usize = 32;

    /// Prefixes that SQLite and the Workers runtime reserve.
    const RESERVED: [&str; 2] = ["sqlite_", "_cf_"];

    /// Validates a prefix.
    ///
    /// # Errors
    /// The text is not 1–32 characters of `a`–`z`, `0`–`9` and `_`, or begins with `sqlite_` or `_cf_`.
    pub fn new(text: &str) -> Result<Self, DatabaseError> {
        let plain = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        let reserved = Self::RESERVED.iter().any(|reserved| text.starts_with(reserved));
        if text.is_empty() || text.len() > Self::MAX_LENGTH || !plain || reserved {
            return Err(DatabaseError::new(format!(
                "table prefix must be 1–32 characters of a-z, 0-9 and _, not beginning with sqlite_ or _cf_, \
                 got {text:?}"
            )));
        }
        Ok(Self(text.to_owned()))
    }

    /// Returns the range of segment names in byte order, from inclusive to exclusive: `events_` is followed by a
    /// digit, and `:` follows `9`. Unlike LIKE, a range has no wildcards and is not subject to the Workers runtime's
    /// limit of 50 bytes for patterns.
    pub(crate) fn table_range(&self) -> (String, String) {
        (format!("{}events_0", self.0), format!("{}events_:", self.0))
    }

    /// Returns the range of names of idempotency key tables, as in [`table_range`](Self::table_range).
    pub(crate) fn key_table_range(&self) -> (String, String) {
        (format!("{}keys_0", self.0), format!("{}keys_:", self.0))
    }

    /// Returns the name of the view that marks a log that has stored events.
    pub(crate) fn epoch_view(&self) -> String {
        format!("{}epoch", self.0)
    }

    /// Returns the range of names of clock lead views, as in [`table_range`](Self::table_range).
    pub(crate) fn lead_view_range(&self) -> (String, String) {
        (format!("{}lead_0", self.0), format!("{}lead_:", self.0))
    }

    /// Returns the name of the clock lead view with these two numbers.
    pub(crate) fn lead_view(&self, seconds: u64, until: u64) -> String {
        format!("{}lead_{seconds}_{until}", self.0)
    }

    /// Parses the two numbers in the name of a clock lead view.
    pub(crate) fn parse_lead_view(&self, view: &str) -> Option<(u64, u64)> {
        let numbers = view.strip_prefix(self.0.as_str())?.strip_prefix("lead_")?;
        let (seconds, until) = numbers.split_once('_')?;
        let number = |text: &str| text.parse().ok().map(EventId::as_micros);
        Some((number(seconds)?, number(until)?))
    }

    /// Parses the number in the name of an idempotency key table.
    pub(crate) fn parse_key_table(&self, table: &str) -> Option<EventId> {
        table.strip_prefix(self.0.as_str())?.strip_prefix("keys_")?.parse().ok()
    }

    /// Returns the name of the idempotency key table with this number.
    pub(crate) fn key_table(&self, number: EventId) -> String {
        format!("{}keys_{number}", self.0)
    }

    /// Returns the name of the table of revocations.
    pub(crate) fn revocation_table(&self) -> String {
        format!("{}revoked", self.0)
    }

    /// Parses the name of a segment's table. Returns `None` if the table does not belong to the log.
    pub(crate) fn parse(&self, table: &str) -> Option<SegmentName> {
        let number = table.strip_prefix(self.0.as_str())?.strip_prefix("events_")?;
        let (number, kind) = match number.strip_suffix("_first") {
            Some(number) => (number, SegmentKind::First),
            None => (number, SegmentKind::Next),
        };
        Some(SegmentName { lower: number.parse().ok()?, kind })
    }

    fn table(&self, name: SegmentName) -> String {
        let suffix = match name.kind {
            SegmentKind::First => "_first",
            SegmentKind::Next => "",
        };
        format!("{}events_{}{suffix}", self.0, name.lower)
    }
}

/// Whether a segment is the first one of its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SegmentKind {
    /// The first segment: `lower` is the time at which the log was created.
    First,
    /// A later segment: `lower` is the highest id before it.
    Next,
}

/// The parsed name of a segment's table. Names are ordered as the segments are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SegmentName {
    /// All ids in the segment are higher; all ids in earlier segments are not.
    pub(crate) lower: EventId,
    pub(crate) kind: SegmentKind,
}

/// A table of events, and the size of its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) table: String,
    pub(crate) name: SegmentName,
    /// `None` if the segment is empty.
    pub(crate) content: Option<Content>,
}

/// The size of a segment that is not empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    /// The highest id.
    pub(crate) last: u64,
    /// The number of events.
    pub(crate) count: u64,
    /// The sum of json, meta, extra and audience, in bytes.
    pub(crate) bytes: u64,
}

/// The part of the CREATE TABLE statement after the table's name. It contains no apostrophes.
///
/// `id` is the order, the age and the key of an event; there is no other index, so an event costs one written row.
/// `count` and `bytes` are running sums within the table, including the row itself. They precede the texts because
/// SQLite reads a long row only as far as necessary.
pub(super) const COLUMNS: &str = "\" (id INTEGER PRIMARY KEY, count INTEGER NOT NULL, bytes INTEGER NOT NULL, \
    json TEXT NOT NULL, meta TEXT, extra TEXT, audience TEXT)";

impl Segment {
    /// Creates an empty segment without creating its table.
    pub(crate) fn new(prefix: &TablePrefix, name: SegmentName) -> Self {
        Self { table: prefix.table(name), name, content: None }
    }

    /// Returns the lower bound: all ids in the segment are higher.
    pub(crate) fn lower(&self) -> u64 {
        self.name.lower.as_micros()
    }

    /// Returns the highest id up to and including this segment. For an empty first segment this is the creation time
    /// of the log.
    pub(crate) fn last(&self) -> u64 {
        self.content.map_or(self.lower(), |content| content.last)
    }

    /// Creates the table, which must not exist.
    pub(crate) fn create(&self, db: &impl Database) -> Result<(), DatabaseError> {
        db.execute(&self.create_sql(), &[]).map(drop)
    }

    /// Drops the table if it exists.
    pub(crate) fn drop_table(&self, db: &impl Database) -> Result<(), DatabaseError> {
        db.execute(&format!("DROP TABLE IF EXISTS \"{}\"", self.table), &[]).map(drop)
    }

    /// Reads the size of the table from its last row, which contains the sums of all rows.
    ///
    /// Rows inserted by hand must not prevent the log from opening: ids outside the segment's range are ignored, and
    /// sums of another type are cast by SQLite.
    pub(crate) fn read_content(&mut self, db: &impl Database) -> Result<(), DatabaseError> {
        let table = &self.table;
        let rows = db.execute(
            &[
                "SELECT id, CAST(count AS INTEGER), CAST(bytes AS INTEGER) FROM \"",
                table,
                "\" WHERE id > ?1 AND id <= ?2 ORDER BY id DESC LIMIT 1",
            ]
            .concat(),
            &[Param::Number(self.lower() as f64), Param::Number(EventId::MAX.as_micros() as f64)],
        )?;
        self.content = match rows.first().map(Vec::as_slice) {
            None => None,
            Some([Cell::Number(last), Cell::Number(count), Cell::Number(bytes)]) => {
                Some(Content { last: *last as u64, count: *count as u64, bytes: *bytes as u64 })
            }
            Some(_) => {
                return Err(DatabaseError::new(format!(
                    "the last row of {table} has no numeric id, count and bytes"
                )));
            }
        };
        Ok(())
    }

    /// Reads the lowest id of a segment that is not empty.
    pub(crate) fn read_first(&self, db: &impl Database) -> Result<u64, DatabaseError> {
        let sql = ["SELECT min(id) FROM \"", &self.table, "\" WHERE id > ?1"].concat();
        let rows = db.execute(&sql, &[Param::Number(self.lower() as f64)])?;
        match rows.first().map(Vec::as_slice) {
            Some([Cell::Number(first)]) => Ok(*first as u64),
            // Rows were deleted by hand.
            _ => Ok(self.last()),
        }
    }

    /// Returns the CREATE TABLE statement exactly as SQLite stores it.
    pub(crate) fn create_sql(&self) -> String {
        ["CREATE TABLE \"", &self.table, COLUMNS].concat()
    }
}

/// Parses an id that a statement returned as text.
pub(super) fn id(text: &str) -> Result<u64, DatabaseError> {
    text.parse()
        .map(EventId::as_micros)
        .map_err(|_| DatabaseError::new(format!("the database contains an invalid event id: {text:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix() -> TablePrefix {
        TablePrefix::new("dei_").unwrap()
    }

    #[test]
    fn a_parsed_name_has_the_same_text() {
        for kind in [SegmentKind::First, SegmentKind::Next] {
            for lower in [0, 5, EventId::MAX.as_micros()] {
                let name = SegmentName { lower: EventId::saturating(lower), kind };
                let table = Segment::new(&prefix(), name).table;
                assert_eq!(prefix().parse(&table), Some(name));
            }
        }
    }

    #[test]
    fn similar_names_are_rejected() {
        for table in [
            "dei_events_",
            "dei_events__first",
            "dei_events_first",
            "dei_events_12x",
            "dei_events_x12",
            "dei_events_1_first_x",
            "dei_events_1_first_first",
            "dei_events_01",
            "dei_events_-1",
            "dei_events_1 ",
            "dei_events_9007199254740992",
            "deiXevents_5",
            "dei_eventsX5",
            "DEI_EVENTS_5",
            "dei_events_events_5",
            "xdei_events_5",
            "events_5",
            "",
        ] {
            assert_eq!(prefix().parse(table), None, "{table:?}");
        }
    }

    #[test]
    fn the_range_of_names_contains_every_digit_and_no_letter() {
        let (from, to) = prefix().table_range();
        for table in ["dei_events_0", "dei_events_5_first", "dei_events_9007199254740991"] {
            assert!(from.as_str() <= table && table < to.as_str());
        }
        for table in ["dei_events_", "dei_events_a", "dei_events_events_5", "deiXevents_5"] {
            assert!(!(from.as_str() <= table && table < to.as_str()), "{table}");
        }
    }

    #[test]
    fn a_prefix_is_lowercase_short_and_not_reserved() {
        for good in ["dei_", "a", "0", "_", "v2_chat_", &"a".repeat(32)] {
            assert!(TablePrefix::new(good).is_ok(), "{good:?}");
        }
        for bad in ["", "A", "a-b", "a b", "a\"b", "a%", "é", "sqlite_", "sqlite_x", "_cf_", &"a".repeat(33)]
        {
            assert!(TablePrefix::new(bad).is_err(), "{bad:?}");
        }
    }
}
