//! Pages of stored events: statements with a maximum number of rows.

use super::log::Log;
use super::segment::Segment;

/// One SELECT statement of a page.
///
/// Each row has three columns: the id (INTEGER), the value of the caller's expression, and the audience (TEXT or NULL).
/// The second column is NULL from the row on at which the texts exceed the statement's `room`, so that large events do
/// not enter memory. Read all rows: an unfinished cursor keeps the table locked.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The statement.
    pub sql: String,
    /// The parameters, from `?1` on.
    pub params: Vec<f64>,
    /// The last id of the table in the direction of reading. A statement with fewer rows than its maximum has read the
    /// table up to this id.
    pub end: u64,
}

impl Log {
    /// Returns the statement that reads the next `rows` events after `after` from one table, oldest first, or `None` if
    /// there are no more events. Reads at most one row more.
    ///
    /// `room` is the maximum size of the stored texts in bytes. `event` and `now_us` are those of [`step`](Self::step).
    pub fn page(&self, after: u64, now_us: u64, rows: u32, room: u64, event: &str) -> Option<Page> {
        let after = after.max(self.retention.horizon(now_us));
        let segment =
            self.segments.iter().find(|segment| segment.content.is_some() && segment.last() > after)?;
        let table = &segment.table;
        let sql = format!(
            "SELECT id, CASE WHEN bytes - coalesce((SELECT bytes FROM \"{table}\" WHERE id <= ?1 ORDER BY id DESC \
             LIMIT 1), 0) <= ?3 THEN {event} END, audience FROM \"{table}\" WHERE id > ?1 ORDER BY id LIMIT ?2"
        );
        Some(Page { sql, params: vec![after as f64, f64::from(rows), room as f64], end: segment.last() })
    }

    /// Returns the statement that reads the `rows` events before `before` from one table, newest first, or `None` if there
    /// are no more events. Reads at most one row more, and none if `before` is above all ids of the table.
    ///
    /// The other parameters are those of [`page`](Self::page).
    pub fn page_before(&self, before: u64, now_us: u64, rows: u32, room: u64, event: &str) -> Option<Page> {
        let horizon = self.retention.horizon(now_us);
        let is_wanted = |segment: &&Segment| segment.lower().saturating_add(1) < before;
        let segment =
            self.segments.iter().rev().filter(is_wanted).find(|segment| segment.content.is_some())?;
        let end = horizon.max(segment.lower());
        if segment.last() <= end || before <= end.saturating_add(1) {
            return None;
        }
        // The sum of all sizes up to the first row. It is known for the newest row.
        let total = segment.content.filter(|content| before > content.last).map(|content| content.bytes);
        let (table, total) = (&segment.table, total.map_or(-1.0, |bytes| bytes as f64));
        let sql = format!(
            "SELECT id, CASE WHEN coalesce(nullif(?4, -1), (SELECT bytes FROM \"{table}\" WHERE id < ?1 ORDER BY id \
             DESC LIMIT 1)) - bytes <= ?3 THEN {event} END, audience FROM \"{table}\" WHERE id < ?1 AND id > ?5 \
             ORDER BY id DESC LIMIT ?2"
        );
        let params = vec![before as f64, f64::from(rows), room as f64, total, end as f64];
        // `before` of the next statement, which reads an earlier table.
        Some(Page { sql, params, end: end.saturating_add(1) })
    }
}

#[cfg(test)]
mod tests {
    use super::super::database::{Cell, Database, Param};
    use super::super::test_database::{NOW, SECOND, TEXT, TestDatabase, USUAL, append, event, open};
    use super::super::{Log, Retention};
    use super::Page;

    const ROOM: u64 = 1 << 20;

    /// Runs a statement and returns the ids, and whether each row has a text.
    fn run(db: &TestDatabase, page: &Page) -> Vec<(u64, bool)> {
        let params: Vec<_> = page.params.iter().copied().map(Param::Number).collect();
        let rows = db.execute(&page.sql, &params).unwrap();
        rows.iter()
            .map(|row| match row.as_slice() {
                [Cell::Number(id), text, _] => (*id as u64, matches!(text, Cell::Text(_))),
                _ => panic!("{row:?}"),
            })
            .collect()
    }

    fn ids(db: &TestDatabase, page: &Page) -> Vec<u64> {
        run(db, page).into_iter().map(|(id, _)| id).collect()
    }

    /// Reads all events backwards, `rows` at a time.
    fn all_before(log: &Log, db: &TestDatabase, now: u64, rows: u32) -> Vec<u64> {
        let mut before = u64::MAX;
        let mut all = Vec::new();
        while let Some(page) = log.page_before(before, now, rows, ROOM, TEXT) {
            let read = ids(db, &page);
            before = if read.len() < rows as usize { page.end } else { *read.last().unwrap() };
            all.extend(read);
        }
        all
    }

    #[test]
    fn a_page_reads_a_number_of_rows_in_both_directions() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        let all: Vec<u64> = (0..10).map(|n| append(&mut log, &db, NOW + n)).collect();
        assert_eq!(ids(&db, &log.page(all[2], NOW, 3, ROOM, TEXT).unwrap()), all[3..6]);
        assert_eq!(ids(&db, &log.page(0, NOW, 99, ROOM, TEXT).unwrap()), all);
        assert_eq!(log.page(all[9], NOW, 3, ROOM, TEXT), None);
        let mut newest: Vec<u64> = all[7..].to_vec();
        newest.reverse();
        assert_eq!(ids(&db, &log.page_before(u64::MAX, NOW, 3, ROOM, TEXT).unwrap()), newest);
        assert_eq!(ids(&db, &log.page_before(all[1], NOW, 3, ROOM, TEXT).unwrap()), [all[0]]);
        let rest = log.page_before(all[0], NOW, 3, ROOM, TEXT);
        assert!(rest.is_none_or(|page| ids(&db, &page).is_empty()));
    }

    #[test]
    fn several_tables_are_read_in_order() {
        let db = TestDatabase::new();
        let mut log = open(&db, Retention { events: 8, ..USUAL });
        let all: Vec<u64> = (0..8).map(|n| append(&mut log, &db, NOW + n)).collect();
        assert!(db.tables().len() >= 4);
        let mut after = 0;
        let mut read = Vec::new();
        while let Some(page) = log.page(after, NOW, 3, ROOM, TEXT) {
            let some = ids(&db, &page);
            after = if some.len() < 3 { page.end } else { *some.last().unwrap() };
            read.extend(some);
        }
        assert_eq!(read, all);
        for rows in [1, 2, 3, 8] {
            let mut backwards = all_before(&log, &db, NOW, rows);
            backwards.reverse();
            assert_eq!(backwards, all, "{rows}");
        }
    }

    #[test]
    fn texts_beyond_the_room_are_not_returned() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        let json = format!("[\"{}\"]", "x".repeat(996));
        let all: Vec<u64> =
            (0..10).map(|n| log.append(&db, NOW + n, &event(&json)).unwrap().as_micros()).collect();
        let texts = |page: &Page| run(&db, page).into_iter().map(|(_, text)| text).collect::<Vec<_>>();
        let expected: Vec<bool> = (0..8).map(|n| n < 3).collect();
        assert_eq!(texts(&log.page(all[1], NOW, 8, 3_000, TEXT).unwrap()), expected);
        // Backwards the first row always fits.
        let expected: Vec<bool> = (0..8).map(|n| n < 4).collect();
        assert_eq!(texts(&log.page_before(u64::MAX, NOW, 8, 3_000, TEXT).unwrap()), expected);
        assert_eq!(texts(&log.page_before(all[8], NOW, 8, 3_000, TEXT).unwrap()), expected);
    }

    #[test]
    fn expired_events_are_not_returned() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        let (a, b) = (append(&mut log, &db, NOW), append(&mut log, &db, NOW + SECOND));
        assert_eq!(all_before(&log, &db, a + 300 * SECOND - 1, 5), [b, a]);
        assert_eq!(all_before(&log, &db, a + 300 * SECOND, 5), [b]);
        assert_eq!(all_before(&log, &db, b + 300 * SECOND, 5), [0_u64; 0]);
        assert_eq!(ids(&db, &log.page(0, a + 300 * SECOND, 5, ROOM, TEXT).unwrap()), [b]);
    }

    #[test]
    fn a_page_reads_no_more_rows_than_it_returns() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        for n in 0..5_000 {
            append(&mut log, &db, NOW + n);
        }
        for page in [
            log.page(NOW + 10, NOW, 100, ROOM, TEXT).unwrap(),
            log.page_before(u64::MAX, NOW, 100, ROOM, TEXT).unwrap(),
            log.page_before(NOW + 4_000, NOW, 100, ROOM, TEXT).unwrap(),
        ] {
            assert_eq!(run(&db, &page).len(), 100);
            assert!(db.effort.get() < 60 * 100, "{}", db.effort.get());
        }
    }
}
