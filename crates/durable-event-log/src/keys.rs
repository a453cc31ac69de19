//! Which event an idempotency key stands for.
//!
//! Keys live in tables of their own, `<prefix>keys_<start>`: those of the events that were stored from the time `start` on,
//! for half the window. So they are dropped by the table, like events, and a key costs one row written over its life. Without
//! a row id there is no index beside the table: looking for a key reads one row of each table, of which there are three at
//! most.
//!
//! A table that bears such a name without having our columns is neither read nor dropped.

use super::database::{Cell, Database, DatabaseError, Param};
use super::id::EventId;
use super::retention::Retention;
use super::segment::{TablePrefix, id};

/// What follows a table's name in the statement that creates it. It has no apostrophes.
pub(super) const LAYOUT: &str = "\" (key TEXT PRIMARY KEY, id INTEGER NOT NULL) WITHOUT ROWID";

/// The tables of keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct KeyTables {
    /// Oldest first. The newest takes the next key.
    tables: Vec<KeyTable>,
    /// The highest number that belongs to no table of ours.
    foreign: Option<EventId>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct KeyTable {
    start: EventId,
    name: String,
}

impl KeyTable {
    fn new(prefix: &TablePrefix, start: EventId) -> Self {
        Self { start, name: prefix.key_table(start) }
    }

    /// The statement that creates the table, word for word as SQLite keeps it.
    fn create_sql(&self) -> String {
        ["CREATE TABLE \"", &self.name, LAYOUT].concat()
    }

    /// Whether at this time keys go into the next table.
    fn is_full(&self, now_us: u64, retention: &Retention) -> bool {
        now_us.saturating_sub(self.start.as_micros()) >= retention.key_table_micros()
    }

    /// From when on none of its keys counts, in microseconds since the epoch.
    fn expiry(&self, retention: &Retention) -> u64 {
        self.start
            .as_micros()
            .saturating_add(retention.key_table_micros())
            .saturating_add(retention.key_micros())
    }
}

impl KeyTables {
    /// Takes note of a table that is there.
    pub(super) fn add(&mut self, prefix: &TablePrefix, start: EventId, is_ours: bool) {
        if is_ours {
            let table = KeyTable::new(prefix, start);
            self.tables.insert(self.tables.partition_point(|other| *other < table), table);
        } else {
            self.foreign = self.foreign.max(Some(start));
        }
    }

    /// The event of this key, if the key is within its window.
    pub(super) fn find(
        &self,
        db: &impl Database,
        key: &str,
        now_us: u64,
        retention: &Retention,
    ) -> Result<Option<EventId>, DatabaseError> {
        if self.tables.is_empty() {
            return Ok(None);
        }
        let selects: Vec<String> = self
            .tables
            .iter()
            .map(|table| format!("SELECT CAST(id AS TEXT) FROM \"{}\" WHERE key = ?1", table.name))
            .collect();
        let rows = db.execute(&selects.join(" UNION ALL "), &[Param::Text(key)])?;
        let horizon = now_us.saturating_sub(retention.key_micros());
        let mut found = None;
        for row in &rows {
            let [Cell::Text(text)] = row.as_slice() else { continue };
            found = found.max(Some(id(text)?)); // a key that was used again after its window stands in two tables
        }
        Ok(found.filter(|id| *id > horizon).map(EventId::saturating))
    }

    /// Remembers that the key stands for this event. Creates a table, if the newest is full.
    ///
    /// Where that fails, so does this: which table a key is in says until when it is kept.
    pub(super) fn insert(
        &mut self,
        db: &impl Database,
        prefix: &TablePrefix,
        key: &str,
        event: EventId,
        now_us: u64,
        retention: &Retention,
    ) -> Result<(), DatabaseError> {
        if self.tables.last().is_none_or(|newest| newest.is_full(now_us, retention)) {
            let next = |start: EventId| start.as_micros().saturating_add(1);
            let free = self.foreign.max(self.tables.last().map(|newest| newest.start)).map_or(0, next);
            let table = KeyTable::new(prefix, EventId::saturating(now_us.max(free)));
            db.execute(&table.create_sql(), &[])?;
            self.tables.push(table);
        }
        let Some(newest) = self.tables.last() else {
            return Err(DatabaseError::new("there is no table for the key"));
        };
        // It replaces the same key only where that is past its window: within it, the key was found.
        let sql = format!("INSERT OR REPLACE INTO \"{}\" (key, id) VALUES (?1, ?2)", newest.name);
        db.execute(&sql, &[Param::Text(key), Param::Number(event.as_micros() as f64)]).map(drop)
    }

    /// Whether the newest table is there. When that cannot be found out, it is.
    pub(super) fn are_as_stored(&self, db: &impl Database) -> bool {
        let Some(newest) = self.tables.last() else {
            return true;
        };
        let sql = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1";
        db.execute(sql, &[Param::Text(&newest.name)]).map_or(true, |rows| !rows.is_empty())
    }

    /// Drops the tables none of whose keys counts any more.
    pub(super) fn drop_expired(
        &mut self,
        db: &impl Database,
        now_us: u64,
        retention: &Retention,
    ) -> Result<(), DatabaseError> {
        while let Some(oldest) = self.tables.first().filter(|oldest| oldest.expiry(retention) <= now_us) {
            db.execute(&format!("DROP TABLE IF EXISTS \"{}\"", oldest.name), &[])?;
            self.tables.remove(0);
        }
        Ok(())
    }

    /// When the oldest table can be dropped, in microseconds since the epoch.
    pub(super) fn next_expiry(&self, retention: &Retention) -> Option<u64> {
        self.tables.first().map(|oldest| oldest.expiry(retention))
    }
}
