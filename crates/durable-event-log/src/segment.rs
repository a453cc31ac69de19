//! One table of events, and what its name says.

use super::database::{Cell, Database, DatabaseError, Param};
use super::id::EventId;

/// What the names of a log's tables begin with: 1 to 32 of `a` to `z`, `0` to `9` and `_`.
///
/// All tables that are named `<prefix>events_<number>`, `<prefix>events_<number>_first` or `<prefix>keys_<number>` belong to
/// the log, and so do the views `<prefix>epoch` and `<prefix>lead_<number>_<number>`. No two prefixes share a name: what
/// precedes the number (or `epoch`) says which prefix it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TablePrefix(String);

impl TablePrefix {
    /// In bytes. Long enough for a name and a version, short enough to read in a listing.
    const MAX_LENGTH: usize = 32;

    /// Prefixes that belong to SQLite and to the platform.
    const RESERVED: [&str; 2] = ["sqlite_", "_cf_"];

    /// Checks a prefix.
    ///
    /// # Errors
    /// The text is not 1–32 characters of `a`–`z`, `0`–`9` and `_`, or begins with `sqlite_` or `_cf_`.
    pub fn new(text: &str) -> Result<Self, DatabaseError> {
        let plain = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        let reserved = Self::RESERVED.iter().any(|reserved| text.starts_with(reserved));
        if text.is_empty() || text.len() > Self::MAX_LENGTH || !plain || reserved {
            return Err(DatabaseError::new(format!(
                "the table prefix {text:?} is not 1 to 32 of a-z, 0-9 and _, or it is reserved"
            )));
        }
        Ok(Self(text.to_owned()))
    }

    /// The table names at which the log's own begin (inclusive) and end (exclusive) in byte order: a digit must follow
    /// `events_`, and `:` comes after `9`. Unlike LIKE this has no wildcards, and the platform's limit of 50 bytes for
    /// patterns does not apply.
    pub(crate) fn table_range(&self) -> (String, String) {
        (format!("{}events_0", self.0), format!("{}events_:", self.0))
    }

    /// The same for the tables of keys, whose names are `<prefix>keys_<number>`.
    pub(crate) fn key_table_range(&self) -> (String, String) {
        (format!("{}keys_0", self.0), format!("{}keys_:", self.0))
    }

    /// The name of the view that says that this channel has had events.
    pub(crate) fn epoch_view(&self) -> String {
        format!("{}epoch", self.0)
    }

    /// The range of names, as in [`table_range`](Self::table_range), of the views that hold the issuers' lead.
    pub(crate) fn lead_view_range(&self) -> (String, String) {
        (format!("{}lead_0", self.0), format!("{}lead_:", self.0))
    }

    /// The name of the view that holds these two numbers.
    pub(crate) fn lead_view(&self, seconds: u64, until: u64) -> String {
        format!("{}lead_{seconds}_{until}", self.0)
    }

    /// The two numbers in the name of such a view.
    pub(crate) fn parse_lead_view(&self, view: &str) -> Option<(u64, u64)> {
        let numbers = view.strip_prefix(self.0.as_str())?.strip_prefix("lead_")?;
        let (seconds, until) = numbers.split_once('_')?;
        let number = |text: &str| text.parse().ok().map(EventId::as_micros);
        Some((number(seconds)?, number(until)?))
    }

    /// The number in the name of a table of keys.
    pub(crate) fn parse_key_table(&self, table: &str) -> Option<EventId> {
        table.strip_prefix(self.0.as_str())?.strip_prefix("keys_")?.parse().ok()
    }

    /// The table of keys with this number.
    pub(crate) fn key_table(&self, number: EventId) -> String {
        format!("{}keys_{number}", self.0)
    }

    /// What a table's name says, if the table belongs to the log.
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

/// What is before a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SegmentKind {
    /// Nothing: `lower` is the time at which the log was born.
    First,
    /// Events: `lower` is the id of the last of them.
    Next,
}

/// What the name of a segment's table says. In the order of the segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SegmentName {
    /// All ids in the segment are higher, all ids in segments before it are not.
    pub(crate) lower: EventId,
    pub(crate) kind: SegmentKind,
}

/// A table of events and how full it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) table: String,
    pub(crate) name: SegmentName,
    /// None: the segment is empty.
    pub(crate) content: Option<Content>,
}

/// What a segment that is not empty holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    /// The highest id.
    pub(crate) last: u64,
    /// How many events.
    pub(crate) count: u64,
    /// How many bytes of json, meta, extra and audience.
    pub(crate) bytes: u64,
}

/// What follows a table's name in the statement that creates it. It has no apostrophes.
///
/// `id` orders, expires and finds events; there is no other index, so an event costs one row written. `count` and `bytes` are
/// sums up to and including the row, within the table. They come before the texts, because SQLite reads a long row only as
/// far as it must.
pub(super) const LAYOUT: &str = "\" (id INTEGER PRIMARY KEY, count INTEGER NOT NULL, bytes INTEGER NOT NULL, \
    json TEXT NOT NULL, meta TEXT, extra TEXT, audience TEXT)";

impl Segment {
    /// An empty segment whose table does not exist yet.
    pub(crate) fn new(prefix: &TablePrefix, name: SegmentName) -> Self {
        Self { table: prefix.table(name), name, content: None }
    }

    /// All ids in the segment are higher.
    pub(crate) fn lower(&self) -> u64 {
        self.name.lower.as_micros()
    }

    /// The highest id ever up to and including this segment; for an empty first one the log's birth.
    pub(crate) fn last(&self) -> u64 {
        self.content.map_or(self.lower(), |content| content.last)
    }

    /// Creates the table. It must not exist.
    pub(crate) fn create(&self, db: &impl Database) -> Result<(), DatabaseError> {
        db.execute(&self.create_sql(), &[]).map(drop)
    }

    /// Removes the table, if it is there.
    pub(crate) fn drop_table(&self, db: &impl Database) -> Result<(), DatabaseError> {
        db.execute(&format!("DROP TABLE IF EXISTS \"{}\"", self.table), &[]).map(drop)
    }

    /// Reads how full the table is: one row, however many there are, since each holds the sums up to it.
    ///
    /// Ids outside the segment's range and sums of another type can only be there by hand; they must not keep the log from
    /// opening, so the former are passed over, and the latter count as what SQLite makes of them.
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
            Some(_) => return Err(DatabaseError::new(format!("the last row of {table} is not an event"))),
        };
        Ok(())
    }

    /// Reads the lowest id of a segment that is not empty.
    pub(crate) fn read_first(&self, db: &impl Database) -> Result<u64, DatabaseError> {
        let sql = ["SELECT min(id) FROM \"", &self.table, "\" WHERE id > ?1"].concat();
        let rows = db.execute(&sql, &[Param::Number(self.lower() as f64)])?;
        match rows.first().map(Vec::as_slice) {
            Some([Cell::Number(first)]) => Ok(*first as u64),
            // Only if rows were removed by hand since.
            _ => Ok(self.last()),
        }
    }

    /// The statement that creates the table, word for word as SQLite keeps it.
    pub(crate) fn create_sql(&self) -> String {
        ["CREATE TABLE \"", &self.table, LAYOUT].concat()
    }
}

/// Reads an id that a statement returned.
pub(super) fn id(text: &str) -> Result<u64, DatabaseError> {
    text.parse()
        .map(EventId::as_micros)
        .map_err(|_| DatabaseError::new(format!("{text:?} is stored as an event's id")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix() -> TablePrefix {
        TablePrefix::new("dei_").unwrap()
    }

    #[test]
    fn a_name_is_read_as_it_was_written() {
        for kind in [SegmentKind::First, SegmentKind::Next] {
            for lower in [0, 5, EventId::MAX.as_micros()] {
                let name = SegmentName { lower: EventId::saturating(lower), kind };
                let table = Segment::new(&prefix(), name).table;
                assert_eq!(prefix().parse(&table), Some(name));
            }
        }
    }

    #[test]
    fn names_that_look_similar_are_not_ours() {
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
    fn the_range_of_names_holds_every_digit_and_no_letter() {
        let (from, to) = prefix().table_range();
        for table in ["dei_events_0", "dei_events_5_first", "dei_events_9007199254740991"] {
            assert!(from.as_str() <= table && table < to.as_str());
        }
        for table in ["dei_events_", "dei_events_a", "dei_events_events_5", "deiXevents_5"] {
            assert!(!(from.as_str() <= table && table < to.as_str()), "{table}");
        }
    }

    #[test]
    fn a_prefix_is_plain_and_short_and_not_reserved() {
        for good in ["dei_", "a", "0", "_", "v2_chat_", &"a".repeat(32)] {
            assert!(TablePrefix::new(good).is_ok(), "{good:?}");
        }
        for bad in ["", "A", "a-b", "a b", "a\"b", "a%", "é", "sqlite_", "sqlite_x", "_cf_", &"a".repeat(33)]
        {
            assert!(TablePrefix::new(bad).is_err(), "{bad:?}");
        }
    }
}
