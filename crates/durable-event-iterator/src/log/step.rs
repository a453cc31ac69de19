//! Replay, one bounded statement at a time.

use super::Log;
use super::segment::Segment;

/// One statement of a replay.
///
/// Its rows, in the order of ids: id (TEXT), the frame's tail or a marked row (TEXT, see [`MARKED`]), audience (TEXT or NULL), and the bytes of its table's
/// events up to it (a number). They must be read to the end, as a half-read cursor keeps the table locked.
///
/// The next step begins after the last row's id, or after [`end`](Self::end) if no row came.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Step {
    /// One text per table, so that the runtime's cache of prepared statements is hit.
    pub(crate) sql: String,
    /// What to bind to `?1`, `?2` and so on.
    pub(crate) params: [f64; 3],
    /// The highest id of the table that is read.
    pub(crate) end: u64,
}

/// What a step yields before it stops, in bytes of stored texts plus [`ROW_COST`] per event. 256 KiB: some milliseconds of
/// sending, after which others get their turn. A single larger event is a step of its own.
pub(crate) const STEP_BYTES: u64 = 256 * 1024;

/// What an event costs besides its texts, in bytes: about its frame and its call. It bounds a step of tiny events at
/// 1,024 rows.
const ROW_COST: u64 = 256;

impl Log {
    /// The statement that reads the next events after `after`, from one table. None: there are no more.
    ///
    /// Give every step of a replay the time of its resume: the answer has promised what was retained then, and
    /// a later time would leave out silently what has expired since. No event that was past retention at that time comes.
    pub(crate) fn step(&self, after: u64, now_us: u64) -> Option<Step> {
        let after = after.max(self.retention.horizon(now_us));
        let segment =
            self.segments.iter().find(|segment| segment.content.is_some() && segment.last() > after)?;
        Some(Step {
            sql: step_sql(segment),
            params: [after as f64, STEP_BYTES as f64, segment.last() as f64],
            end: segment.last(),
        })
    }
}

/// The inner statement finds the event at which the step is full. It must not look for it by a plain condition on the sums:
/// SQLite would then read every row to the table's end, although the sums only grow.
fn step_sql(segment: &Segment) -> String {
    let table = &segment.table;
    format!(
        "SELECT id, CASE WHEN meta IS NULL AND extra IS NULL THEN {PLAIN_TAIL} WHEN {MARKED} THEN {MARKED_ROW} ELSE {FRAME_TAIL} END, audience FROM \"{table}\" WHERE id > ?1 AND id <= coalesce(\
         (SELECT id FROM \"{table}\" WHERE id > ?1 AND bytes + {ROW_COST} * count >= ?2 + coalesce(\
         (SELECT bytes + {ROW_COST} * count FROM \"{table}\" WHERE id <= ?1 ORDER BY id DESC LIMIT 1), 0) \
         ORDER BY id LIMIT 1), ?3) ORDER BY id"
    )
}

/// The tail of an event that has neither: most do, and a shorter expression takes less.
const PLAIN_TAIL: &str =
    r#"',"t":3,"p":{"e":"message","d":{"json":' || json || '},"m":{"id":"' || id || '"}}}'"#;

/// The rest of an event's frame after `{"i":"…"`, in the dialect of generation 1; byte for byte what is sent live.
const FRAME_TAIL: &str = r#"',"t":3,"p":{"e":"message","d":{"json":' || json || coalesce(',"meta":' || meta, '') || '},"m":{' || coalesce(extra || ',', '') || '"id":"' || id || '"}}}'"#;

/// Whether a row can hold what clients throw on. Earlier versions accepted URLs and regular expressions (types 4 and 5) that no
/// client can construct, integers (type 0) of more than 4,300 digits, comments with `\r` (two characters in JSON), and a
/// `retry` beyond a timer's range. Such a row is given to [`safe_tail`](crate::wire::safe_tail); a row without meta never is.
const MARKED: &str = r#"instr(meta, '[4,') OR instr(meta, '[5,') OR (length(json) > 4300 AND instr(meta, '[0,')) OR instr(extra, '\r') OR (substr(extra, 1, 8) = '"retry":' AND CAST(substr(extra, 9, 10) AS INTEGER) > 2147483647)"#;

/// A marked row: it begins with `[`, a tail with a comma. Bytes, which are there only by hand, would end the statement.
const MARKED_ROW: &str =
    "json_array(CAST(json AS TEXT), CAST(meta AS TEXT), CAST(extra AS TEXT), CAST(id AS TEXT))";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Record;
    use super::super::database::{Database, Param};
    use super::super::test_database::{NOW, SECOND, TestDatabase, USUAL, append, event, open, replay};

    /// The tail as it is sent live.
    fn live_tail(record: &Record<'_>, id: u64) -> String {
        let meta = record.meta.map_or(String::new(), |meta| format!(r#","meta":{meta}"#));
        let extra = record.extra.map_or(String::new(), |extra| format!("{extra},"));
        let json = record.json;
        format!(r#","t":3,"p":{{"e":"message","d":{{"json":{json}{meta}}},"m":{{{extra}"id":"{id}"}}}}}}"#)
    }

    #[test]
    fn a_replayed_tail_is_the_live_one() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        let json = r#"{"a":"é \u0000 \" ' 𝄞","b":[1,null]}"#;
        for (meta, extra) in [
            (None, None),
            (Some(r#"[[1,"a"]]"#), None),
            (None, Some(r#""retry":4321,"comments":["it's"]"#)),
            (Some(r#"[[1,"a"]]"#), Some(r#""retry":0"#)),
        ] {
            let record = Record { meta, extra, ..event(json) };
            let id = log.append(&db, NOW, &record).unwrap().as_micros();
            let (events, _) = replay(&log, &db, id - 1, NOW);
            assert_eq!(events[0].tail, live_tail(&record, id));
            let frame = format!(r#"{{"i":"1"{}"#, events[0].tail);
            serde_json::from_str::<serde_json::Value>(&frame).unwrap();
        }
    }

    #[test]
    fn rows_that_clients_may_throw_on_are_marked_and_made_safe() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        let long = format!(r#"{{"n":"{}"}}"#, "9".repeat(4_301));
        // Stored, and sent where that differs.
        let plain = |json| (Record { json, ..event("") }, None);
        let with = |json, meta, extra, safe| (Record { json, meta, extra, audience: None }, Some(safe));
        let rows = [
            plain(r#"{"x":"[4,","r":"\r"}"#),
            with(r#"{"x":"foo://@/"}"#, Some(r#"[[4,"x"]]"#), None, (r#"{"x":"foo://@/"}"#, None, None)),
            with(
                r#"{"x":"https://a/"}"#,
                Some(r#"[[4,"x"]]"#),
                Some(r#""comments":["a\r\nb"]"#),
                (r#"{"x":"https://a/"}"#, Some(r#"[[4,"x"]]"#), Some(r#""comments":["a","b"]"#)),
            ),
            with(
                r#"{"x":"/(/"}"#,
                Some(r#"[[5,"x"]]"#),
                Some(r#""retry":9"#),
                (r#"{"x":"/(/"}"#, None, Some(r#""retry":9"#)),
            ),
            with(
                "{}",
                None,
                Some(r#""retry":4294967295,"comments":["c"]"#),
                ("{}", None, Some(r#""comments":["c"]"#)),
            ),
            with(&long, Some(r#"[[0,"n"]]"#), None, (&long, None, None)),
            with("{}", None, Some(r#""retry":2147483647"#), ("{}", None, Some(r#""retry":2147483647"#))),
        ];
        let ids: Vec<u64> =
            rows.iter().map(|(record, _)| log.append(&db, NOW, record).unwrap().as_micros()).collect();
        let (events, _) = replay(&log, &db, 0, NOW);
        for ((event, id), (record, safe)) in events.iter().zip(ids).zip(&rows) {
            let expected = match safe {
                None => live_tail(record, id),
                Some((json, meta, extra)) => {
                    live_tail(&Record { json, meta: *meta, extra: *extra, audience: None }, id)
                }
            };
            assert_eq!(event.tail, expected);
        }
    }

    #[test]
    fn empty_texts_are_stored_as_none() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        let record = Record { meta: Some(""), extra: Some(""), audience: Some(""), ..event("{}") };
        let id = log.append(&db, NOW, &record).unwrap().as_micros();
        let (events, _) = replay(&log, &db, 0, NOW);
        assert_eq!(events[0].tail, live_tail(&event("{}"), id));
        assert_eq!(
            events[0].audience.as_deref(),
            Some(""),
            "an unreadable audience does not become everyone"
        );
    }

    #[test]
    fn the_largest_id_and_the_smallest_are_written_in_plain_digits() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        append(&mut log, &db, 0);
        append(&mut log, &db, u64::MAX);
        let (events, _) = replay(&log, &db, 0, 1);
        assert!(events[0].tail.ends_with(r#""id":"1"}}}"#));
        assert!(events[1].tail.ends_with(r#""id":"9007199254740991"}}}"#));
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
    fn a_step_reads_one_table_and_stops_at_its_budget() {
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
    fn large_events_among_small_ones_do_not_come_all_at_once() {
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
        while let Some(step) = log.step(after, NOW) {
            let rows = db.execute(&step.sql, &step.params.map(Param::Number)).unwrap();
            sizes.push(rows.len());
            let super::super::Cell::Number(id) = &rows.last().unwrap()[0] else { panic!() };
            after = *id as u64;
        }
        assert_eq!(sizes, [201, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
    }

    #[test]
    fn a_step_of_tiny_events_is_bounded_and_reads_little_more_than_it_yields() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        for n in 0..5_000 {
            append(&mut log, &db, NOW + n);
        }
        let step = log.step(0, NOW).unwrap();
        let rows = db.execute(&step.sql, &step.params.map(Param::Number)).unwrap();
        let full_effort = db.effort.get();
        assert!((1_000..=1_024).contains(&rows.len()), "{}", rows.len());
        let last = log.step(NOW + 4_900, NOW).unwrap();
        db.execute(&last.sql, &last.params.map(Param::Number)).unwrap();
        assert!(full_effort < 60 * 1_024, "{full_effort} for {} rows", rows.len());
        assert!(db.effort.get() < 60 * 100, "{} for 99 rows", db.effort.get());
    }

    #[test]
    fn the_steps_of_one_table_have_one_text() {
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
    fn an_expired_event_is_never_served_although_its_table_is_there() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        let (a, b) = (append(&mut log, &db, NOW), append(&mut log, &db, NOW + SECOND));
        let ids = |now| replay(&log, &db, 0, now).0.iter().map(|event| event.id).collect::<Vec<_>>();
        assert_eq!(ids(a + 300 * SECOND - 1), [a, b]);
        assert_eq!(ids(a + 300 * SECOND), [b]);
        assert_eq!(ids(b + 300 * SECOND), [0_u64; 0]);
        assert_eq!(log.step(0, b + 300 * SECOND), None);
        assert_eq!(log.step(0, u64::MAX), None);
        assert_eq!(log.step(u64::MAX, NOW), None);
    }

    #[test]
    fn a_row_that_was_changed_by_hand_does_not_stop_the_others() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        for n in 0..3 {
            append(&mut log, &db, NOW + n);
        }
        let table = db.tables().remove(0);
        db.run(&format!("UPDATE {table} SET json = 'no json', audience = '?' WHERE id = {}", NOW + 1));
        let log = open(&db, USUAL);
        let (events, _) = replay(&log, &db, 0, NOW);
        assert_eq!(events.len(), 3);
        assert_eq!(events[1].tail, live_tail(&event("no json"), NOW + 1));
        let rule = crate::audience::AudienceRule::stored(events[1].audience.as_deref());
        assert!(!rule.admits(Some("a"), &["x"], false));
    }

    #[test]
    fn rows_that_were_removed_by_hand_do_not_keep_a_replay_going_for_ever() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        for n in 0..3 {
            append(&mut log, &db, NOW + n);
        }
        let table = db.tables().remove(0);
        db.run(&format!("DELETE FROM {table}"));
        assert_eq!(replay(&log, &db, 0, NOW), (vec![], 1));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_tail_is_the_live_one(
            json in r#"[\{\[]\PC{0,20}"#,
            meta in proptest::option::of(r"\[\PC{1,10}\]x"),
            extra in proptest::option::of("\\PC{1,10}"),
            id in 1..(1_u64 << 53) - 1,
        ) {
            let db = TestDatabase::new();
            let mut log = open(&db, USUAL);
            let record = Record { json: &json, meta: meta.as_deref(), extra: extra.as_deref(), audience: None };
            log.append(&db, id, &record).unwrap();
            // What is marked goes another way, and these are no JSON.
            prop_assume!(!meta.as_ref().is_some_and(|meta| meta.contains("[4,") || meta.contains("[5,")));
            prop_assume!(!extra.as_ref().is_some_and(|extra| extra.contains("\\r")));
            prop_assert_eq!(&replay(&log, &db, 0, id).0[0].tail, &live_tail(&record, id));
        }
    }
}
