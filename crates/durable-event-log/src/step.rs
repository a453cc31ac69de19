//! Replay of stored events, in steps of one bounded statement each.

use super::log::Log;
use super::segment::Segment;

/// One bounded SELECT statement of a replay.
///
/// Each row has three columns: the id (INTEGER), the value of the caller's expression, and the audience (TEXT or
/// NULL). Rows are ordered by id. Read all rows: an unfinished cursor keeps the table locked.
///
/// The next step begins after the id of the last row, or after [`end`](Self::end) if there are no rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The statement. Its text is the same for all steps of one table, so that the runtime's cache of prepared
    /// statements applies.
    pub sql: String,
    /// The parameters `?1` to `?3`.
    pub params: [f64; 3],
    /// The highest id in the table.
    pub end: u64,
}

/// The maximum size of a step in bytes: stored texts plus 256 bytes per event. 256 KiB take some milliseconds to
/// send, after which other subscribers are served. A single larger event is a step by itself.
pub const STEP_BYTES: u64 = 256 * 1024;

/// The fixed cost of an event besides its texts, in bytes: about the size of its frame and of the call that sends it.
/// It limits a step to 1,024 rows.
const ROW_COST: u64 = 256;

impl Log {
    /// Returns the statement that reads the next events after `after` from one table, or `None` if there are no more
    /// events.
    ///
    /// `event` is an SQL expression over the columns `id`, `json`, `meta` and `extra`; it selects the second column
    /// of each row.
    ///
    /// Pass the same `now_us` to every step of a replay, the time of its [`resume`](Self::resume): the resume has
    /// reported which events were retained at that time, and a later time would silently omit events that have
    /// expired since. Events that were past retention at that time are not returned.
    pub fn step(&self, after: u64, now_us: u64, event: &str) -> Option<Step> {
        let after = after.max(self.retention.horizon(now_us));
        let segment =
            self.segments.iter().find(|segment| segment.content.is_some() && segment.last() > after)?;
        Some(Step {
            sql: step_sql(segment, event),
            params: [after as f64, STEP_BYTES as f64, segment.last() as f64],
            end: segment.last(),
        })
    }
}

/// Returns the SQL of a step.
///
/// The inner statement finds the event at which the step is full. A plain condition on the sums would not work:
/// SQLite would then read every row to the end of the table, although the sums only increase.
fn step_sql(segment: &Segment, event: &str) -> String {
    let table = &segment.table;
    format!(
        "SELECT id, {event}, audience FROM \"{table}\" WHERE id > ?1 AND id <= coalesce(\
         (SELECT id FROM \"{table}\" WHERE id > ?1 AND bytes + {ROW_COST} * count >= ?2 + coalesce(\
         (SELECT bytes + {ROW_COST} * count FROM \"{table}\" WHERE id <= ?1 ORDER BY id DESC LIMIT 1), 0) \
         ORDER BY id LIMIT 1), ?3) ORDER BY id"
    )
}

#[cfg(test)]
mod tests {
    use super::super::Record;
    use super::super::database::{Database, Param};
    use super::super::test_database::{NOW, SECOND, TEXT, TestDatabase, USUAL, append, event, open, replay};

    #[test]
    fn empty_texts_are_stored_as_null_except_for_the_audience() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        let record = Record { meta: Some(""), extra: Some(""), audience: Some(""), ..event("{}") };
        let id = log.append(&db, NOW, &record).unwrap().as_micros();
        let (events, _) = replay(&log, &db, 0, NOW);
        assert_eq!((events[0].id, &*events[0].text), (id, "{}||"));
        assert_eq!(events[0].audience.as_deref(), Some(""), "an empty audience does not mean everyone");
    }

    #[test]
    fn ids_are_ordered_as_numbers() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        for now in [8, 9, 10, 11, 100] {
            append(&mut log, &db, now);
        }
        let ids: Vec<_> = replay(&log, &db, 8, 100).0.iter().map(|event| event.id).collect();
        assert_eq!(ids, [9, 10, 11, 100]);
    }

    #[test]
    fn a_step_reads_one_table_up_to_its_maximum_size() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        let json = format!("[\"{}\"]", "x".repeat(10_000));
        for n in 0..100 {
            log.append(&db, NOW + n, &event(&json)).unwrap();
        }
        let (events, steps) = replay(&log, &db, 0, NOW);
        assert_eq!(events.len(), 100);
        assert_eq!(steps, 4, "1 MB in steps of 256 KiB");
    }

    #[test]
    fn large_events_among_small_ones_are_separate_steps() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        let large = format!("[\"{}\"]", "x".repeat(300_000));
        for n in 0..200 {
            append(&mut log, &db, NOW + n);
        }
        for n in 200..210 {
            log.append(&db, NOW + n, &event(&large)).unwrap();
        }
        let mut after = 0;
        let mut sizes = Vec::new();
        while let Some(step) = log.step(after, NOW, TEXT) {
            let rows = db.execute(&step.sql, &step.params.map(Param::Number)).unwrap();
            sizes.push(rows.len());
            let super::super::Cell::Number(id) = &rows.last().unwrap()[0] else { panic!() };
            after = *id as u64;
        }
        assert_eq!(sizes, [201, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
    }

    #[test]
    fn a_step_of_tiny_events_is_bounded_and_reads_little_more_than_it_returns() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        for n in 0..5_000 {
            append(&mut log, &db, NOW + n);
        }
        let step = log.step(0, NOW, TEXT).unwrap();
        let rows = db.execute(&step.sql, &step.params.map(Param::Number)).unwrap();
        let full_effort = db.effort.get();
        assert!((1_000..=1_024).contains(&rows.len()), "{}", rows.len());
        let last = log.step(NOW + 4_900, NOW, TEXT).unwrap();
        db.execute(&last.sql, &last.params.map(Param::Number)).unwrap();
        assert!(full_effort < 60 * 1_024, "{full_effort} for {} rows", rows.len());
        assert!(db.effort.get() < 60 * 100, "{} for 99 rows", db.effort.get());
    }

    #[test]
    fn all_steps_of_one_table_have_the_same_sql() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        for n in 0..3_000 {
            append(&mut log, &db, NOW + n);
        }
        db.statements();
        replay(&log, &db, 0, NOW);
        replay(&log, &db, NOW + 5, NOW + SECOND);
        let mut texts = db.statements();
        texts.dedup();
        assert_eq!(texts.len(), 1);
    }

    #[test]
    fn an_expired_event_is_not_replayed_while_its_table_exists() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        let (a, b) = (append(&mut log, &db, NOW), append(&mut log, &db, NOW + SECOND));
        let ids = |now| replay(&log, &db, 0, now).0.iter().map(|event| event.id).collect::<Vec<_>>();
        assert_eq!(ids(a + 300 * SECOND - 1), [a, b]);
        assert_eq!(ids(a + 300 * SECOND), [b]);
        assert_eq!(ids(b + 300 * SECOND), [0_u64; 0]);
        assert_eq!(log.step(0, b + 300 * SECOND, TEXT), None);
        assert_eq!(log.step(0, u64::MAX, TEXT), None);
        assert_eq!(log.step(u64::MAX, NOW, TEXT), None);
    }

    #[test]
    fn a_replay_ends_although_rows_were_deleted_by_hand() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        for n in 0..3 {
            append(&mut log, &db, NOW + n);
        }
        let table = db.tables().remove(0);
        db.run(&format!("DELETE FROM {table}"));
        assert_eq!(replay(&log, &db, 0, NOW), (vec![], 1));
    }
}
