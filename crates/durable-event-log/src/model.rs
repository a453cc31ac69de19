//! Tests the log against a simple model that keeps all events.
//!
//! The expected result of a resume follows from two lists: the ids of all events so far, and the ids of the stored
//! rows. The gap rule is checked by its definition (an expected event is not stored), not by the log's computation.
#![allow(clippy::arithmetic_side_effects)] // test helpers outside of test functions

use std::time::Duration;

use proptest::prelude::*;

use super::test_database::{NOW, PREFIX, SECOND, TestDatabase, USUAL, event, open, open_at, resumed};
use super::{Appended, BatchItem, EventId, Log, Memory, ResumeFrom, Retention};

#[derive(Clone, Debug)]
enum Action {
    /// Moves the clock by some microseconds, then publishes an event of some bytes.
    Append(i64, usize),
    /// Moves the clock, then publishes a batch of events of these sizes.
    AppendBatch(i64, Vec<usize>),
    /// The same, but inserting fails.
    FailedBatch(i64, Vec<usize>),
    /// Publishes one event, but statements that begin with this text fail.
    FailedAppend(i64, usize, &'static str),
    /// Moves the clock, then deletes expired events.
    DeleteExpired(i64),
    /// Moves the clock, then prunes the log.
    Prune(i64),
    /// The same, but dropping a table fails.
    FailedPrune(i64),
    /// The instance is evicted.
    Reopen,
    /// The application calls `deleteAll`.
    DeleteAll,
    /// All tables are dropped. If true, the next instance detects it, otherwise the next event.
    DropAll(bool),
    /// The table with this number (modulo the number of tables) is dropped. If true, a new instance opens the log,
    /// otherwise the same one.
    DropOne(usize, bool),
}

/// Generates clock steps: some microseconds, around the shortest span of a table, around the retention, and back.
fn clock() -> impl Strategy<Value = i64> {
    prop_oneof![
        4 => 0..3_i64,
        3 => 0..2_000_000_i64,
        2 => 0..6_000_000_i64,
        1 => -4_000_000..0_i64,
        1 => 20_000_000..40_000_000_i64,
    ]
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0..40_usize, 1..12)
}

fn action() -> impl Strategy<Value = Action> {
    let failing = prop_oneof![Just("INSERT"), Just("CREATE")];
    prop_oneof![
        12 => (clock(), 0..40_usize).prop_map(|(step, size)| Action::Append(step, size)),
        4 => (clock(), sizes()).prop_map(|(step, sizes)| Action::AppendBatch(step, sizes)),
        1 => (clock(), sizes()).prop_map(|(step, sizes)| Action::FailedBatch(step, sizes)),
        2 => (clock(), 0..40_usize, failing).prop_map(|(step, size, sql)| Action::FailedAppend(step, size, sql)),
        4 => clock().prop_map(Action::DeleteExpired),
        2 => clock().prop_map(Action::Prune),
        1 => clock().prop_map(Action::FailedPrune),
        2 => Just(Action::Reopen),
        1 => Just(Action::DeleteAll),
        1 => any::<bool>().prop_map(Action::DropAll),
        1 => (0..8_usize, any::<bool>()).prop_map(|(table, is_new)| Action::DropOne(table, is_new)),
    ]
}

fn retention() -> impl Strategy<Value = Retention> {
    let time = prop_oneof![Just(0), Just(1), 1..100_u64, Just(2 * SECOND), 1..8 * SECOND, Just(u64::MAX)];
    let events = prop_oneof![0..3_u64, 3..20_u64, Just(u64::MAX)];
    let bytes = prop_oneof![0..3_u64, 3..400_u64, Just(u64::MAX)];
    (time, events, bytes).prop_map(|(time, events, bytes)| Retention {
        period: Duration::from_micros(time),
        events,
        bytes,
        keys: USUAL.keys,
    })
}

/// A published event.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Published {
    id: u64,
    bytes: u64,
}

struct Model {
    retention: Retention,
    now: u64,
    /// The creation time of the log: the first event's id minus one.
    created: Option<u64>,
    published: Vec<Published>,
    /// The end of the lost events: events up to this id are not replayed, and older cursors have a gap.
    lost_up_to: Option<u64>,
}

impl Model {
    fn move_clock(&mut self, by: i64) {
        self.now = self.now.saturating_add_signed(by);
    }

    fn is_expired(&self, id: u64) -> bool {
        let age = i128::from(self.now) - i128::from(id);
        self.retention.period.is_zero() || age >= self.retention.period.as_micros() as i128
    }

    /// Returns the ids of a full replay.
    fn retained(&self, stored: &[u64]) -> Vec<u64> {
        let is_retained = |id: &u64| !self.is_expired(*id) && Some(*id) > self.lost_up_to;
        stored.iter().copied().filter(is_retained).collect()
    }

    /// Returns the highest id that is no longer retained, or the end of the lost events.
    fn lost(&self, retained: &[u64]) -> Option<u64> {
        self.published.iter().map(|event| event.id).rfind(|id| !retained.contains(id)).max(self.lost_up_to)
    }

    /// Returns the highest id, the end of the lost events, or the creation time.
    fn last(&self) -> Option<u64> {
        self.published.last().map(|event| event.id).max(self.lost_up_to).or(self.created)
    }

    /// Moves the clock past the last event, as a new instance knows no ids but the clock. (If the clock had stepped
    /// back, ids would begin again with it.)
    fn wake(&mut self) {
        self.now = self.now.max(self.last().map_or(0, |last| last + 1));
    }

    /// Marks all events as lost now.
    fn lose_all(&mut self) {
        if let Some(last) = self.last() {
            self.lost_up_to = Some(self.now.max(last + 1));
        }
    }
}

/// Returns the number in a table's name.
fn lower(table: &str) -> u64 {
    table.split('_').nth(2).unwrap().parse().unwrap()
}

/// Returns the tables, oldest first.
fn sorted(db: &TestDatabase) -> Vec<String> {
    let mut tables = db.tables();
    tables.sort_by_key(|table| lower(table));
    tables
}

/// Returns the ids in each table, oldest table first.
fn stored(db: &TestDatabase) -> Vec<Vec<u64>> {
    let ids = |table: &String| {
        let mut select = db.connection.prepare(&format!("SELECT id FROM {table} ORDER BY id")).unwrap();
        select.query_map([], |row| row.get::<_, i64>(0)).unwrap().map(|id| id.unwrap() as u64).collect()
    };
    sorted(db).iter().map(ids).collect()
}

fn check_resume_by_id(model: &Model, log: &Log, db: &TestDatabase, retained: &[u64], seen: u64) {
    let lost = model.lost(retained);
    let before_all = lost.or(model.created).unwrap_or(0);
    let is_known =
        Some(seen) >= model.lost_up_to.or(model.created).or(Some(u64::MAX)) && model.last() >= Some(seen);
    let misses = lost.is_some_and(|lost| lost > seen);
    let (served, gap) = resumed(log, db, model.now, ResumeFrom::LastEventId(&seen.to_string()));
    if is_known && !misses {
        assert_eq!(gap, None, "complete from {seen}");
        assert_eq!(
            served,
            retained.iter().copied().filter(|id| *id > seen).collect::<Vec<_>>(),
            "from {seen}"
        );
    } else {
        let expected = if model.created.is_some() { before_all + 1 } else { model.now.max(1) };
        assert_eq!(gap, Some(expected), "gap from {seen}");
        assert_eq!(served, retained, "all events after the gap from {seen}");
    }
}

const DAY: Duration = Duration::from_secs(86_400);

fn check_first_connect(model: &Model, log: &Log, db: &TestDatabase, retained: &[u64], issued: u64) {
    // The model rounds seconds as the log does.
    let seconds = issued as f64 / 1e6;
    let stated = (seconds * 1e6) as u64;
    // A token that arrives before it was issued counts as issued now; one that is more than a day early may be of any
    // age.
    let issued = match stated.saturating_sub(model.now) {
        ahead if u128::from(ahead) > DAY.as_micros() => 0,
        ahead if ahead > 2 * SECOND => model.now,
        _ => stated,
    };
    let lost = model.lost(retained);
    let expected_gap = lost.filter(|lost| *lost >= issued).map(|lost| lost + 1);
    let (served, gap) = resumed(log, db, model.now, ResumeFrom::IssuedAt(seconds));
    assert_eq!(gap, expected_gap, "issued at {stated}, now {}", model.now);
    let wanted = issued.saturating_sub(2 * SECOND);
    assert_eq!(
        served,
        retained.iter().copied().filter(|id| *id >= wanted).collect::<Vec<_>>(),
        "issued at {stated}, now {}",
        model.now
    );
}

/// Checks that a replay that has not passed the lost events is aborted.
fn check_replay(model: &Model, log: &Log, after: u64) {
    if let Some(lost_up_to) = model.lost_up_to {
        assert!(log.has_dropped_after(after) || after >= lost_up_to, "a replay after {after}");
    }
}

fn check(model: &Model, log: &Log, db: &TestDatabase) {
    let stored = stored(db).concat();
    let retained = model.retained(&stored);

    let reopened = open(db, model.retention);
    assert_eq!(reopened.segments, log.segments, "the state in memory equals the stored state");
    assert_eq!(log.last_id().map(EventId::as_micros), model.last());

    let mut points: Vec<u64> = vec![0, 1, model.now, EventId::MAX.as_micros()];
    points.extend(model.created);
    points.extend(model.lost_up_to);
    points.extend(model.published.iter().rev().take(6).map(|event| event.id));
    points.extend(model.lost(&retained));
    points.extend(retained.first());
    let mut around: Vec<u64> =
        points.iter().flat_map(|point| [point.saturating_sub(1), *point, point.saturating_add(1)]).collect();
    around.sort_unstable();
    around.dedup();
    for point in around.into_iter().filter(|point| *point <= EventId::MAX.as_micros()) {
        check_resume_by_id(model, log, db, &retained, point);
        check_replay(model, log, point);
        check_first_connect(model, log, db, &retained, point);
        check_first_connect(
            model,
            log,
            db,
            &retained,
            point.saturating_add(2 * SECOND).min(EventId::MAX.as_micros()),
        );
    }
    let unreadable = resumed(log, db, model.now, ResumeFrom::LastEventId("x"));
    assert_eq!(unreadable.0, retained);
    assert!(unreadable.1.is_some());
}

/// Checks that exactly the surplus tables were deleted.
fn check_removal(model: &Model, before: &[Vec<u64>], after: &[Vec<u64>]) {
    let size = |tables: &[Vec<u64>]| {
        let ids = tables.concat();
        let bytes: u64 =
            model.published.iter().filter(|event| ids.contains(&event.id)).map(|event| event.bytes).sum();
        (ids.len() as u64, bytes)
    };
    let exceeds =
        |(events, bytes): (u64, u64)| events > model.retention.events || bytes > model.retention.bytes;
    let expired = |table: &[u64]| table.iter().all(|id| model.is_expired(*id));

    let kept = after.concat();
    let removed: Vec<_> =
        before.iter().enumerate().filter(|(_, table)| !table.iter().all(|id| kept.contains(id))).collect();
    for (place, table) in removed {
        if table.iter().all(|id| Some(*id) <= model.lost_up_to) {
            continue; // its events counted as lost
        }
        assert!(
            expired(table) || exceeds(size(&before[place..])),
            "{table:?} was deleted although it is not expired and within the bounds"
        );
    }
    assert!(after.len() <= 1 || !exceeds(size(after)), "within the bounds");
    if let [oldest, _, ..] = after {
        assert!(!expired(oldest), "the oldest of several tables has a retained event");
    }
}

fn run(retention: Retention, start: u64, actions: Vec<Action>) {
    let db = TestDatabase::new();
    let mut log = open(&db, retention);
    let mut model = Model { retention, now: start, created: None, published: Vec::new(), lost_up_to: None };
    check(&model, &log, &db);
    for action in actions {
        let before = stored(&db);
        match action {
            Action::Append(step, size) | Action::FailedAppend(step, size, _) => {
                model.move_clock(step);
                if let Action::FailedAppend(_, _, sql) = action {
                    db.fail_on(sql);
                }
                let json = format!("[{}]", "1".repeat(size));
                let expected = log.last_id().map_or(0, |id| id.as_micros()).saturating_add(1).max(model.now);
                let appended = log.append(&db, model.now, &event(&json));
                db.stop_failing();
                let is_created = !db.tables().is_empty();
                if model.created.is_none() && is_created {
                    model.created = Some(expected - 1);
                }
                let is_failure = match action {
                    Action::FailedAppend(_, _, "INSERT") => true,
                    Action::FailedAppend(..) => !is_created,
                    _ => false,
                };
                assert_eq!(appended.is_err(), is_failure);
                if let Ok(id) = appended {
                    assert_eq!(id.as_micros(), expected);
                    model.published.push(Published { id: expected, bytes: json.len() as u64 });
                }
                assert_eq!(stored(&db).concat().len(), before.concat().len() + usize::from(!is_failure));
            }
            Action::AppendBatch(step, sizes) => {
                model.move_clock(step);
                let texts: Vec<_> = sizes.iter().map(|size| format!("[{}]", "1".repeat(*size))).collect();
                let items: Vec<_> =
                    texts.iter().map(|json| BatchItem { record: event(json), key: None }).collect();
                let first = log.last_id().map_or(0, |id| id.as_micros()).saturating_add(1).max(model.now);
                let appended = log.append_batch(&db, model.now, &items).unwrap();
                model.created.get_or_insert(first - 1);
                let ids: Vec<_> = (first..).take(items.len()).collect();
                let stored_ids = ids.iter().map(|id| Appended::Stored(EventId::saturating(*id)));
                assert_eq!(appended, stored_ids.collect::<Vec<_>>());
                let published =
                    ids.iter().zip(&texts).map(|(id, json)| Published { id: *id, bytes: json.len() as u64 });
                model.published.extend(published);
                assert_eq!(stored(&db).concat().len(), before.concat().len() + items.len());
            }
            Action::FailedBatch(step, sizes) => {
                model.move_clock(step);
                let texts: Vec<_> = sizes.iter().map(|size| format!("[{}]", "1".repeat(*size))).collect();
                let items: Vec<_> =
                    texts.iter().map(|json| BatchItem { record: event(json), key: None }).collect();
                db.fail_on("INSERT");
                log.append_batch(&db, model.now, &items).unwrap_err();
                db.stop_failing();
                assert_eq!(stored(&db), before);
            }
            Action::DeleteExpired(step) => {
                model.move_clock(step);
                log.delete_expired(&db, model.now).unwrap();
                check_removal(&model, &before, &stored(&db));
            }
            Action::Prune(step) => {
                model.move_clock(step);
                let due = log.next_expiry();
                log.prune(&db, model.now).unwrap();
                let after = stored(&db);
                check_removal(&model, &before, &after);
                let all_expired = before.concat().iter().all(|id| model.is_expired(*id));
                assert!(!all_expired || after.concat().is_empty(), "no expired event is kept");
                if due.is_some_and(|due| due <= model.now) {
                    assert_ne!(before, after, "next_expiry announced a deletion");
                }
                if after.concat().is_empty() {
                    assert_eq!(log.next_expiry(), None);
                }
            }
            Action::FailedPrune(step) => {
                model.move_clock(step);
                db.fail_on("DROP");
                let _ = log.prune(&db, model.now);
                db.stop_failing();
                assert_eq!(stored(&db).concat(), before.concat());
            }
            Action::Reopen => log = open_at(&db, retention, model.now),
            Action::DeleteAll => {
                db.delete_all();
                log.reload(&db, model.now).unwrap();
                model.lose_all();
                assert_eq!(db.views().is_empty(), model.lost_up_to.is_none());
            }
            Action::DropAll(is_new_instance) => {
                db.drop_tables(|_| true);
                if is_new_instance {
                    model.wake();
                    log = open_at(&db, retention, model.now);
                    model.lose_all();
                } else {
                    let id = log.append(&db, model.now, &event("[]")).unwrap().as_micros();
                    model.lose_all();
                    model.created.get_or_insert(id - 1);
                    model.published.push(Published { id, bytes: 2 });
                    assert!(model.lost_up_to.is_none_or(|lost_up_to| id == lost_up_to + 1));
                }
            }
            Action::DropOne(n, is_new_instance) => {
                let Some(n) = n.checked_rem(before.len()) else { continue };
                let tables = sorted(&db);
                db.drop_tables(|table| table == tables[n]);
                let is_newest = n + 1 == tables.len();
                if is_newest && is_new_instance && tables.len() > 1 {
                    return; // this loss cannot be detected
                }
                if is_new_instance {
                    model.wake();
                }
                let memory = if is_new_instance { Memory::default() } else { log.memory() };
                log = Log::open(&db, PREFIX, retention).unwrap();
                log.restore(&db, model.now, memory);
                match tables.get(n + 1) {
                    Some(next) => model.lost_up_to = model.lost_up_to.max(Some(lower(next))),
                    None if n > 0 && before[n].is_empty() => {} // it was empty
                    None => model.lose_all(),
                }
            }
        }
        check(&model, &log, &db);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_log_replays_all_retained_events_and_reports_all_gaps(
        retention in retention(),
        start in prop_oneof![4 => Just(NOW), 1 => 0..10_u64],
        actions in proptest::collection::vec(action(), 1..30),
    ) {
        run(retention, start, actions);
    }
}
