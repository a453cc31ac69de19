//! Idempotency key tables, which map idempotency keys to event ids.
//!
//! Idempotency keys are stored in tables named `<prefix>keys_<start>`. A table contains the keys of events stored
//! from the time `start` on, for half the idempotency window. Expired keys are deleted by dropping whole tables, as
//! with events, so a key costs one written row over its lifetime. The tables are WITHOUT ROWID and therefore have no
//! separate index: a lookup reads one row of each table, and there are at most three tables.
//!
//! A table with such a name but other columns is neither read nor dropped.

use super::database::{Cell, Database, DatabaseError, Param};
use super::id::EventId;
use super::retention::Retention;
use super::segment::{TablePrefix, id};

/// The part of the CREATE TABLE statement after the table's name. It contains no apostrophes.
pub(super) const COLUMNS: &str = "\" (key TEXT PRIMARY KEY, id INTEGER NOT NULL) WITHOUT ROWID";

/// The idempotency key tables of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct KeyTables {
    /// The tables, oldest first. The newest stores the next key.
    tables: Vec<KeyTable>,
    /// The highest number in the name of a table with other columns.
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

    /// Returns the CREATE TABLE statement exactly as SQLite stores it.
    fn create_sql(&self) -> String {
        ["CREATE TABLE \"", &self.name, COLUMNS].concat()
    }

    /// Returns whether new keys need the next table.
    fn is_full(&self, now_us: u64, retention: &Retention) -> bool {
        now_us.saturating_sub(self.start.as_micros()) >= retention.key_table_micros()
    }

    /// Returns when the last key of the table expires, in microseconds since the Unix epoch.
    fn expiry(&self, retention: &Retention) -> u64 {
        self.start
            .as_micros()
            .saturating_add(retention.key_table_micros())
            .saturating_add(retention.key_micros())
    }
}

impl KeyTables {
    /// Adds an existing table.
    pub(super) fn add(&mut self, prefix: &TablePrefix, start: EventId, is_ours: bool) {
        if is_ours {
            let table = KeyTable::new(prefix, start);
            self.tables.insert(self.tables.partition_point(|other| *other < table), table);
        } else {
            self.foreign = self.foreign.max(Some(start));
        }
    }

    /// Returns the newest event of an idempotency key, which may have expired.
    pub(super) fn find(&self, db: &impl Database, key: &str) -> Result<Option<EventId>, DatabaseError> {
        if self.tables.is_empty() {
            return Ok(None);
        }
        let selects: Vec<String> = self
            .tables
            .iter()
            .map(|table| format!("SELECT CAST(id AS TEXT) FROM \"{}\" WHERE key = ?1", table.name))
            .collect();
        let rows = db.execute(&selects.join(" UNION ALL "), &[Param::Text(key)])?;
        let mut found = None;
        for row in &rows {
            let [Cell::Text(text)] = row.as_slice() else { continue };
            found = found.max(Some(id(text)?)); // a key reused after its window is in two tables
        }
        Ok(found.map(EventId::saturating))
    }

    /// Stores an idempotency key with the id of its event. Creates a table if the newest one is full.
    ///
    /// Unlike with segments, a failure to create the table is an error, because the table determines when the key
    /// expires.
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
            return Err(DatabaseError::new("there is no table for the idempotency key"));
        };
        // Replaces only an expired key: a key within its window has been found before.
        let sql = format!("INSERT OR REPLACE INTO \"{}\" (key, id) VALUES (?1, ?2)", newest.name);
        db.execute(&sql, &[Param::Text(key), Param::Number(event.as_micros() as f64)]).map(drop)
    }

    /// Returns whether the newest table exists. Returns true if the query fails.
    pub(super) fn newest_table_exists(&self, db: &impl Database) -> bool {
        let Some(newest) = self.tables.last() else {
            return true;
        };
        let sql = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1";
        db.execute(sql, &[Param::Text(&newest.name)]).map_or(true, |rows| !rows.is_empty())
    }

    /// Drops the tables whose keys have all expired.
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

    /// Returns when the oldest table can be dropped, in microseconds since the Unix epoch.
    pub(super) fn next_expiry(&self, retention: &Retention) -> Option<u64> {
        self.tables.first().map(|oldest| oldest.expiry(retention))
    }
}
