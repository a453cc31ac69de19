//! Revocations: tokens that the channel rejects before they expire.
//!
//! A token has no id, so a revocation is about the tokens of a connection id or of a subject that were issued before a
//! time, or about all tokens that were issued before a time. It is one row of the table `<prefix>revoked`. The table is
//! created with the first revocation; opening the log finds it by its name, so a channel without revocations costs
//! nothing. A lookup reads at most three rows.
//!
//! A token may expire at any time, so a row is never out of date by itself. There are at most [`MAX_REVOCATIONS`] rows:
//! when there would be more, the oldest tenth becomes one row that revokes all tokens that were issued before them. It
//! rejects more tokens than before, all of them older, and never fewer.
//!
//! A table with this name but other columns is neither read nor dropped, and the log then stores no revocation.

use super::database::{Cell, Database, DatabaseError, Param};
use super::id::EventId;
use super::issuer_clock::{MAX_LEAD_US, micros};
use super::lead::MICROS_PER_SECOND;
use super::log::Log;
use super::revocation_table::{COLUMNS, RevocationTable, Revocations};

/// The maximum number of revocations of connection ids and subjects. The table then takes about 1 MB.
pub const MAX_REVOCATIONS: u64 = 10_000;

/// The number of rows that become one row when the maximum is exceeded: a tenth, so that it rarely happens.
const MERGED: u64 = 1_000;

/// The name of the row about all tokens.
const ALL: &str = "";

/// The tokens that a channel rejects before they expire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// The tokens that clients with this connection id use, if they have been issued until now.
    Connection(String),
    /// The tokens of this subject that have been issued until now.
    Subject(String),
    /// All tokens that were issued before this time, in microseconds since the Unix epoch.
    IssuedBefore(u64),
}

/// The parts of a token that revocations are about.
#[derive(Clone, Copy, Debug)]
pub struct TokenParts<'a> {
    /// The connection id with which the token is used.
    pub connection: Option<&'a str>,
    /// The subject of the token.
    pub subject: Option<&'a str>,
    /// The time of issue, in seconds since the Unix epoch.
    pub issued_at: f64,
}

impl Revocation {
    fn name(&self) -> String {
        match self {
            Self::Connection(id) => connection_name(id),
            Self::Subject(subject) => subject_name(subject),
            Self::IssuedBefore(_) => ALL.to_owned(),
        }
    }

    /// Returns whether the revocation is about the tokens of this connection id or subject, whenever they were issued.
    #[must_use]
    pub fn is_about(&self, token: &TokenParts<'_>) -> bool {
        match self {
            Self::Connection(id) => token.connection == Some(id),
            Self::Subject(subject) => token.subject == Some(subject),
            Self::IssuedBefore(_) => true,
        }
    }
}

fn connection_name(id: &str) -> String {
    ["c:", id].concat()
}

fn subject_name(subject: &str) -> String {
    ["s:", subject].concat()
}

impl Log {
    /// Returns whether a token is revoked. Without revocations this runs no statement.
    ///
    /// # Errors
    /// The statement fails.
    pub fn is_revoked(
        &self,
        db: &impl Database,
        now_us: u64,
        token: &TokenParts<'_>,
    ) -> Result<bool, DatabaseError> {
        if self.revocations.table != RevocationTable::Ours {
            return Ok(false);
        }
        let connection = token.connection.map(connection_name);
        let subject = token.subject.map(subject_name);
        let sql =
            format!("SELECT before, lead FROM \"{}\" WHERE name IN (?1, ?2, ?3)", self.revocation_table());
        let names =
            [Param::optional(connection.as_deref()), Param::optional(subject.as_deref()), Param::Text(ALL)];
        let rows = db.execute(&sql, &names)?;
        Ok(rows.iter().any(|row| {
            let [Cell::Number(before), Cell::Number(lead)] = row.as_slice() else {
                return true; // a row that was changed by hand must not admit anyone
            };
            self.is_issued_before(now_us, token.issued_at, *before as u64, *lead as u64)
        }))
    }

    /// Returns whether a token may have been issued before a time, by a clock that is up to `lead` seconds ahead, or as
    /// far ahead as the log knows.
    fn is_issued_before(&self, now_us: u64, issued_at: f64, before_us: u64, lead: u64) -> bool {
        let with_lead = before_us.saturating_add(lead.saturating_mul(MICROS_PER_SECOND));
        micros(issued_at) < with_lead || self.earliest_issue(now_us, issued_at) < before_us
    }

    /// Returns whether a revocation includes a token that is used now.
    pub fn revokes(&self, now_us: u64, revocation: &Revocation, token: &TokenParts<'_>) -> bool {
        revocation.is_about(token)
            && match revocation {
                Revocation::IssuedBefore(time) => self.is_issued_before(now_us, token.issued_at, *time, 0),
                _ => true, // it has been issued before now
            }
    }

    /// Stores a revocation. `issued` are the times of issue, in seconds since the Unix epoch, of the tokens that are used
    /// now and that the revocation includes.
    ///
    /// A token of the connection id or subject is revoked if it was issued until now. Times of issue are whole seconds,
    /// so this is the start of the next second. The time is later by the lead of issuers whose clocks are ahead, as far
    /// as the log knows it, and not before any of `issued`.
    ///
    /// # Errors
    /// A statement fails, or there is a table of this name that is not the log's. Nothing is stored then.
    pub fn revoke(
        &mut self,
        db: &impl Database,
        now_us: u64,
        revocation: &Revocation,
        issued: impl IntoIterator<Item = f64>,
    ) -> Result<(), DatabaseError> {
        let table = self.revocation_table();
        if self.revocations.table == RevocationTable::Foreign {
            return Err(DatabaseError::new(format!(
                "the table {table} has other columns than revocations need"
            )));
        }
        let lead = self.lead.filter(|lead| lead.is_active(now_us)).map_or(0, |lead| lead.seconds);
        let before = match revocation {
            Revocation::IssuedBefore(time) => EventId::saturating(*time).as_micros(),
            Revocation::Connection(_) | Revocation::Subject(_) => {
                let latest = now_us.saturating_add(MAX_LEAD_US);
                let issued = issued.into_iter().map(micros).filter(|issued| *issued <= latest).max();
                // Not `div_ceil`: at the start of a second, tokens of this second are revoked too.
                let next_second =
                    (now_us / MICROS_PER_SECOND).saturating_add(1).saturating_mul(MICROS_PER_SECOND);
                EventId::saturating(next_second.max(issued.unwrap_or_default().saturating_add(1))).as_micros()
            }
        };
        let known = self.revocations;
        let mut stored = Err(DatabaseError::new("the transaction did not run"));
        let ended = db.atomically(&mut || {
            stored = self.store_revocation(db, &table, &revocation.name(), before, lead);
            stored.is_ok()
        });
        let stored = ended.and(stored);
        if stored.is_err() {
            self.revocations = known; // the transaction is rolled back, including the table that it created
        }
        stored
    }

    fn store_revocation(
        &mut self,
        db: &impl Database,
        table: &str,
        name: &str,
        before_us: u64,
        lead: u64,
    ) -> Result<(), DatabaseError> {
        if self.revocations.table == RevocationTable::Missing {
            db.execute(&["CREATE TABLE \"", table, COLUMNS].concat(), &[])?;
            self.revocations = Revocations { table: RevocationTable::Ours, at_most: Some(0) };
        }
        upsert(db, table, name, before_us, lead)?;
        if name == ALL {
            self.drop_included(db, table, before_us)?;
            self.revocations.at_most = None;
            return Ok(());
        }
        let at_most = match self.revocations.at_most {
            Some(known) if known < MAX_REVOCATIONS => known.saturating_add(1),
            _ => self.merge_oldest(db, table)?,
        };
        self.revocations.at_most = Some(at_most);
        Ok(())
    }

    /// Counts the rows. If there are too many, merges the oldest ones into one. Returns the number of rows.
    fn merge_oldest(&self, db: &impl Database, table: &str) -> Result<u64, DatabaseError> {
        let rows = db.execute(&format!("SELECT count(*) FROM \"{table}\" WHERE name <> ''"), &[])?;
        let count = number(&rows)?.0;
        if count <= MAX_REVOCATIONS {
            return Ok(count);
        }
        let oldest = format!(
            "SELECT max(before), max(lead) FROM \
             (SELECT before, lead FROM \"{table}\" WHERE name <> '' ORDER BY before LIMIT {MERGED})"
        );
        let (before, lead) = number(&db.execute(&oldest, &[])?)?;
        upsert(db, table, ALL, before, lead)?;
        self.drop_included(db, table, before)?;
        let rows = db.execute(&format!("SELECT count(*) FROM \"{table}\" WHERE name <> ''"), &[])?;
        Ok(number(&rows)?.0)
    }

    /// Deletes the rows that the one about all tokens includes.
    fn drop_included(&self, db: &impl Database, table: &str, before_us: u64) -> Result<(), DatabaseError> {
        let sql = format!(
            "DELETE FROM \"{table}\" WHERE name <> '' AND before <= ?1 \
             AND lead <= (SELECT lead FROM \"{table}\" WHERE name = '')"
        );
        db.execute(&sql, &[Param::Number(before_us as f64)]).map(drop)
    }

    fn revocation_table(&self) -> String {
        self.prefix.revocation_table()
    }
}

/// Adds a row, or extends the row with this name.
fn upsert(
    db: &impl Database,
    table: &str,
    name: &str,
    before_us: u64,
    lead: u64,
) -> Result<(), DatabaseError> {
    let sql = format!(
        "INSERT INTO \"{table}\" (name, before, lead) VALUES (?1, ?2, ?3) ON CONFLICT (name) DO UPDATE SET \
         before = max(before, excluded.before), lead = max(lead, excluded.lead)"
    );
    let params = [Param::Text(name), Param::Number(before_us as f64), Param::Number(lead as f64)];
    db.execute(&sql, &params).map(drop)
}

/// Returns the numbers of a row with one column or two.
fn number(rows: &[Vec<Cell>]) -> Result<(u64, u64), DatabaseError> {
    match rows.first().map(Vec::as_slice) {
        Some([Cell::Number(first)]) => Ok((*first as u64, 0)),
        Some([Cell::Number(first), Cell::Number(second)]) => Ok((*first as u64, *second as u64)),
        _ => Err(DatabaseError::new("the table of revocations contains no numbers")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_database::{NOW, SECOND, TestDatabase, USUAL, append, open, open_at};
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const NOW_S: f64 = (NOW / SECOND) as f64;

    fn connection(id: &str) -> Revocation {
        Revocation::Connection(id.to_owned())
    }

    fn subject(name: &str) -> Revocation {
        Revocation::Subject(name.to_owned())
    }

    fn token<'a>(
        connection: impl Into<Option<&'a str>>,
        subject: impl Into<Option<&'a str>>,
        issued_at: f64,
    ) -> TokenParts<'a> {
        TokenParts { connection: connection.into(), subject: subject.into(), issued_at }
    }

    fn revoke(log: &mut Log, db: &TestDatabase, now_us: u64, revocation: &Revocation) {
        log.revoke(db, now_us, revocation, []).unwrap();
    }

    fn is_revoked(log: &Log, db: &TestDatabase, now_us: u64, token: TokenParts<'_>) -> bool {
        log.is_revoked(db, now_us, &token).unwrap()
    }

    #[test]
    fn without_revocations_nothing_is_read_or_written() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        append(&mut log, &db, NOW);
        db.verbs();
        assert!(!is_revoked(&log, &db, NOW, token("a", "anna", NOW_S)));
        assert!(db.verbs().is_empty());
        assert_eq!(open(&db, USUAL).revocations, Revocations::default());
    }

    #[test]
    fn a_revocation_is_about_one_connection_id_or_one_subject() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        revoke(&mut log, &db, NOW, &connection("a"));
        revoke(&mut log, &db, NOW, &subject("anna"));
        let reopened = open(&db, USUAL);
        for log in [&log, &reopened] {
            for (token, expected) in [
                (token("a", None, NOW_S), true),
                (token("a", "bert", NOW_S), true),
                (token("b", "anna", NOW_S), true),
                (token(None, "anna", NOW_S), true),
                (token("anna", "a", NOW_S), false),
                (token("b", "bert", NOW_S), false),
                (token("", "", NOW_S), false),
                (token(None, None, NOW_S), false),
            ] {
                assert_eq!(is_revoked(log, &db, NOW, token), expected, "{token:?}");
            }
        }
        assert_eq!(db.tables(), ["dei_revoked"]);
    }

    #[test]
    fn a_token_that_is_issued_later_is_accepted() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        let now = NOW + 300_000; // in the middle of a second
        revoke(&mut log, &db, now, &subject("anna"));
        for (issued, expected) in
            [(-100.0, true), (0.0, true), (0.9, true), (1.0, false), (1.9, false), (100.0, false)]
        {
            let issued = NOW_S + issued;
            // When the token arrives does not matter.
            for late in [100 * SECOND, 5_000 * SECOND] {
                assert_eq!(
                    is_revoked(&log, &db, now + late, token("a", "anna", issued)),
                    expected,
                    "{issued}"
                );
            }
        }
    }

    #[test]
    fn a_later_revocation_replaces_an_earlier_one_and_not_the_reverse() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        let of_anna = |issued| token(None, "anna", NOW_S + issued);
        for at in [0, 100, 50] {
            revoke(&mut log, &db, NOW + at * SECOND, &subject("anna"));
        }
        let later = NOW + 200 * SECOND;
        assert!(is_revoked(&log, &db, later, of_anna(100.0)));
        assert!(!is_revoked(&log, &db, later, of_anna(102.0)));
        assert_eq!(db.verbs().iter().filter(|verb| *verb == "CREATE").count(), 1);
    }

    #[test]
    fn all_tokens_from_before_a_time_are_revoked() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        revoke(&mut log, &db, NOW, &Revocation::IssuedBefore(NOW - 10 * SECOND));
        for (issued, expected) in [(-11.0, true), (-10.0, false), (0.0, false)] {
            for token in [token(None, None, NOW_S + issued), token("a", "anna", NOW_S + issued)] {
                assert_eq!(is_revoked(&log, &db, NOW, token), expected, "{issued}");
            }
        }
        // An earlier time changes nothing.
        revoke(&mut log, &db, NOW, &Revocation::IssuedBefore(NOW - 500 * SECOND));
        assert!(is_revoked(&log, &db, NOW, token(None, None, NOW_S - 11.0)));
    }

    #[test]
    fn a_revocation_of_all_tokens_deletes_the_ones_that_it_includes() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        for n in 0..5 {
            revoke(&mut log, &db, NOW + n * SECOND, &subject(&n.to_string()));
        }
        revoke(&mut log, &db, NOW + 9 * SECOND, &Revocation::IssuedBefore(NOW + 3 * SECOND));
        let rows = db.execute("SELECT name FROM dei_revoked ORDER BY name", &[]).unwrap();
        let text = |text: &str| vec![Cell::Text(text.to_owned())];
        assert_eq!(
            rows,
            [text(""), text("s:3"), text("s:4")],
            "a subject's time is the start of the next second"
        );
    }

    #[test]
    fn a_clock_that_is_ahead_does_not_evade_a_revocation() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        let early = token(None, "anna", NOW_S + 60.0);
        // The token arrives before its time of issue, after it was revoked.
        revoke(&mut log, &db, NOW + SECOND, &subject("anna"));
        assert!(
            log.note_token(&db, NOW + 2 * SECOND, early.issued_at, early.issued_at + 300.0)
                .unwrap()
                .is_some()
        );
        assert!(is_revoked(&log, &db, NOW + 2 * SECOND, early));
        assert!(is_revoked(&log, &db, NOW + 61 * SECOND, early));
        assert!(is_revoked(&open(&db, USUAL), &db, NOW + 61 * SECOND, early));
        // A lead that is known when tokens are revoked applies to them even after it is forgotten.
        revoke(&mut log, &db, NOW + 3 * SECOND, &subject("bert"));
        let later = NOW + 10 * 86_400 * SECOND;
        let forgotten = open_at(&db, USUAL, later);
        assert!(is_revoked(&forgotten, &db, later, token(None, "bert", NOW_S + 67.0)));
        assert!(!is_revoked(&forgotten, &db, later, token(None, "bert", NOW_S + 68.0)));
    }

    /// Afterwards, it cannot be distinguished from a token that was issued after the revocation by a clock that is ahead.
    #[test]
    fn a_revoked_token_from_a_clock_that_is_more_than_a_day_ahead_is_rejected_until_it_is_a_day_ahead() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        let early = token(None, "anna", NOW_S + 2.0 * 86_400.0);
        revoke(&mut log, &db, NOW, &subject("anna"));
        let a_day = NOW + 86_400 * SECOND;
        assert!(is_revoked(&log, &db, NOW, early));
        assert!(is_revoked(&log, &db, a_day - SECOND, early));
        assert!(!is_revoked(&log, &db, a_day, early));
    }

    #[test]
    fn tokens_that_are_in_use_are_revoked_whatever_their_time_of_issue() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        // A clock that is 2 s ahead is not noted.
        log.revoke(&db, NOW, &subject("anna"), [NOW_S - 5.0, NOW_S + 2.0]).unwrap();
        assert!(is_revoked(&log, &db, NOW + 9 * SECOND, token(None, "anna", NOW_S + 2.0)));
        assert!(!is_revoked(&log, &db, NOW + 9 * SECOND, token(None, "anna", NOW_S + 3.0)));
        // A time that no clock explains does not lock the subject out.
        log.revoke(&db, NOW, &subject("bert"), [9e15, f64::NAN, f64::INFINITY, -1.0]).unwrap();
        assert!(is_revoked(&log, &db, NOW + SECOND, token(None, "bert", 9e15)), "a token of any age");
        assert!(!is_revoked(&log, &db, NOW + 9 * SECOND, token(None, "bert", NOW_S + 3.0)));
    }

    #[test]
    fn the_oldest_revocations_become_one_when_there_are_too_many() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        for n in 0..=MAX_REVOCATIONS {
            revoke(&mut log, &db, NOW + n * SECOND, &subject(&n.to_string()));
        }
        let count = || number(&db.execute("SELECT count(*) FROM dei_revoked", &[]).unwrap()).unwrap().0;
        assert_eq!(count(), MAX_REVOCATIONS + 1 - MERGED + 1);
        let reopened = open(&db, USUAL);
        for log in [&log, &reopened] {
            for n in [0, 999, 1_000, MAX_REVOCATIONS] {
                let name = n.to_string();
                let at = NOW + 2 * MAX_REVOCATIONS * SECOND;
                assert!(is_revoked(log, &db, at, token(None, name.as_str(), NOW_S + n as f64)), "{n}");
                assert!(!is_revoked(
                    log,
                    &db,
                    at,
                    token(None, name.as_str(), NOW_S + MAX_REVOCATIONS as f64 + 2.0)
                ));
            }
            // The tokens of others from the same time are rejected too.
            assert!(is_revoked(log, &db, NOW, token("x", "other", NOW_S + 999.0)));
            assert!(!is_revoked(log, &db, NOW + 2_000 * SECOND, token("x", "other", NOW_S + 1_010.0)));
        }
        // A new instance counts the rows once.
        let mut reopened = reopened;
        db.verbs();
        revoke(&mut reopened, &db, NOW, &subject("y"));
        revoke(&mut reopened, &db, NOW, &subject("z"));
        assert_eq!(db.verbs().iter().filter(|verb| *verb == "SELECT").count(), 1);
    }

    #[test]
    fn revoking_all_at_once_stays_below_the_maximum() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        for n in 0..=MAX_REVOCATIONS {
            revoke(&mut log, &db, NOW, &subject(&n.to_string()));
        }
        let rows = db.execute("SELECT count(*) FROM dei_revoked", &[]).unwrap();
        assert_eq!(number(&rows).unwrap().0, 1, "the one about all tokens includes those of the same second");
        assert!(is_revoked(&log, &db, NOW, token(None, "77", NOW_S)));
    }

    #[test]
    fn a_failed_revocation_changes_nothing() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        for failing in ["CREATE", "INSERT", "SAVEPOINT"] {
            db.fail_on(failing);
            assert!(log.revoke(&db, NOW, &subject("anna"), []).is_err(), "{failing}");
            db.stop_failing();
            assert!(db.tables().is_empty(), "{failing}");
            assert!(!is_revoked(&log, &db, NOW, token(None, "anna", NOW_S)));
        }
        revoke(&mut log, &db, NOW, &subject("anna"));
        db.fail_on("SELECT");
        assert!(log.is_revoked(&db, NOW, &token(None, "anna", NOW_S)).is_err(), "not accepted");
    }

    #[test]
    fn a_row_that_was_changed_by_hand_admits_nobody() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        revoke(&mut log, &db, NOW, &subject("anna"));
        db.run("UPDATE dei_revoked SET before = 'x'");
        assert!(is_revoked(&log, &db, NOW, token(None, "anna", NOW_S + 1e6)));
    }

    #[test]
    fn a_foreign_table_with_the_name_is_kept() {
        let db = TestDatabase::new();
        db.run("CREATE TABLE dei_revoked (x)");
        let mut log = open(&db, USUAL);
        assert!(!is_revoked(&log, &db, NOW, token(None, "anna", NOW_S)));
        let error = log.revoke(&db, NOW, &subject("anna"), []).unwrap_err().to_string();
        assert!(error.contains("dei_revoked"), "{error}");
        assert_eq!(db.tables(), ["dei_revoked"]);
    }

    #[test]
    fn deleting_the_storage_deletes_revocations() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        revoke(&mut log, &db, NOW, &subject("anna"));
        db.delete_all();
        log.reload(&db, NOW).unwrap();
        assert!(!is_revoked(&log, &db, NOW, token(None, "anna", NOW_S)));
        revoke(&mut log, &db, NOW, &subject("anna"));
        assert!(is_revoked(&open(&db, USUAL), &db, NOW, token(None, "anna", NOW_S)));
    }

    #[test]
    fn a_table_of_the_first_release_with_revocations_is_read() {
        let db = TestDatabase::new();
        db.run(
            "CREATE TABLE \"dei_revoked\" (name TEXT PRIMARY KEY, before INTEGER NOT NULL, lead INTEGER NOT NULL) \
             WITHOUT ROWID; INSERT INTO dei_revoked VALUES ('s:anna', 1767225602000000, 0)",
        );
        let log = open(&db, USUAL);
        assert!(is_revoked(&log, &db, NOW, token(None, "anna", NOW_S)));
        assert!(!is_revoked(&log, &db, NOW, token(None, "anna", NOW_S + 2.0)));
    }

    /// Returns the time some seconds after the start.
    fn at(seconds: u64) -> u64 {
        NOW.saturating_add(seconds.saturating_mul(SECOND))
    }

    proptest! {
        /// No sequence of revocations accepts a token that one of them has revoked.
        #[test]
        fn revoked_tokens_stay_revoked(steps in proptest::collection::vec((0_u8..3, 0_u8..4, 0_u64..50), 1..40)) {
            let db = TestDatabase::new();
            let mut log = open(&db, USUAL);
            let mut revoked: BTreeMap<(u8, u8), u64> = BTreeMap::new();
            for (kind, who, second) in steps {
                let now = at(second);
                let name = who.to_string();
                let (key, revocation) = match kind {
                    0 => ((0, who), connection(&name)),
                    1 => ((1, who), subject(&name)),
                    _ => ((2, 0), Revocation::IssuedBefore(now)),
                };
                revoke(&mut log, &db, now, &revocation);
                let until = revoked.entry(key).or_default();
                *until = (*until).max(if kind == 2 { now } else { now.saturating_add(SECOND) });
                if second.is_multiple_of(7) {
                    log = open(&db, USUAL);
                }
                for other in 0_u8..4 {
                    for issued in [0_u64, 10, 25, 51, 60] {
                        let issued_us = at(issued);
                        let of = |key| revoked.get(&key).is_some_and(|until| issued_us < *until);
                        let expected = of((0, other)) || of((1, other)) || of((2, 0));
                        let text = other.to_string();
                        let found = is_revoked(&log, &db, at(100), token(text.as_str(), text.as_str(), NOW_S + issued as f64));
                        prop_assert_eq!(found, expected);
                    }
                }
            }
        }
    }
}
