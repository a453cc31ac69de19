//! The log against a model that remembers everything and counts on its fingers.
//!
//! What a resume must get follows from two lists: the ids of all events ever, and those of the rows that are in the tables.
//! The gap rule is checked as it is meant, an event that should have come is not there, and not as it is computed.
#![allow(clippy::arithmetic_side_effects)] // test code, though not all of it is in test functions

use std::time::Duration;

use proptest::prelude::*;

use super::test_database::{NOW, PREFIX, SECOND, TestDatabase, USUAL, event, open, open_at, resumed};
use super::{EventId, Log, Memory, ResumeFrom, Retention};

#[derive(Clone, Debug)]
enum Action {
    /// The clock moves by so many microseconds, then an event with so many bytes is published.
    Append(i64, usize),
    /// The same, but the database refuses statements that begin so.
    FailedAppend(i64, usize, &'static str),
    /// The clock moves, then the log is tidied or pruned.
    Tidy(i64),
    Prune(i64),
    /// The same, but no table can be dropped.
    FailedPrune(i64),
    /// The instance is evicted.
    Reopen,
    /// The application calls `deleteAll`.
    DeleteAll,
    /// Somebody drops all tables. Either the next event, or the next instance finds out.
    DropAll(bool),
    /// Somebody drops the table of this number, counted around. Either this instance opens the log anew, or the next one
    /// does.
    DropOne(usize, bool),
}

/// Steps of the clock: within a microsecond, around the second that a table spans at least, around retention, and back.
fn clock() -> impl Strategy<Value = i64> {
    prop_oneof![
        4 => 0..3_i64,
        3 => 0..2_000_000_i64,
        2 => 0..6_000_000_i64,
        1 => -4_000_000..0_i64,
        1 => 20_000_000..40_000_000_i64,
    ]
}

fn action() -> impl Strategy<Value = Action> {
    let refused = prop_oneof![Just("INSERT"), Just("CREATE")];
    prop_oneof![
        12 => (clock(), 0..40_usize).prop_map(|(step, size)| Action::Append(step, size)),
        2 => (clock(), 0..40_usize, refused).prop_map(|(step, size, sql)| Action::FailedAppend(step, size, sql)),
        4 => clock().prop_map(Action::Tidy),
        2 => clock().prop_map(Action::Prune),
        1 => clock().prop_map(Action::FailedPrune),
        2 => Just(Action::Reopen),
        1 => Just(Action::DeleteAll),
        1 => any::<bool>().prop_map(Action::DropAll),
        1 => (0..8_usize, any::<bool>()).prop_map(|(table, asleep)| Action::DropOne(table, asleep)),
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

/// An event that was published.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Published {
    id: u64,
    bytes: u64,
}

struct Model {
    retention: Retention,
    now: u64,
    /// Before the first event's id.
    born: Option<u64>,
    ever: Vec<Published>,
    /// Tables were lost: nothing is served from up to here, and whoever knows nothing later has a gap.
    gone: Option<u64>,
}

impl Model {
    fn move_clock(&mut self, by: i64) {
        self.now = self.now.saturating_add_signed(by);
    }

    fn is_expired(&self, id: u64) -> bool {
        let age = i128::from(self.now) - i128::from(id);
        self.retention.period.is_zero() || age >= self.retention.period.as_micros() as i128
    }

    /// The ids that must be served to whoever asks for all.
    fn there(&self, stored: &[u64]) -> Vec<u64> {
        let is_there = |id: &u64| !self.is_expired(*id) && Some(*id) > self.gone;
        stored.iter().copied().filter(is_there).collect()
    }

    /// The highest id that is not served any more, or the end of what was lost.
    fn lost(&self, there: &[u64]) -> Option<u64> {
        self.ever.iter().map(|event| event.id).rfind(|id| !there.contains(id)).max(self.gone)
    }

    /// The highest id, or what stands for it while there is none.
    fn last(&self) -> Option<u64> {
        self.ever.last().map(|event| event.id).max(self.gone).or(self.born)
    }

    /// Another instance finds out what is lost, later than the last event. (It knows no ids, only the clock: if that has
    /// stepped back, ids begin again with it.)
    fn wake(&mut self) {
        self.now = self.now.max(self.last().map_or(0, |last| last + 1));
    }

    /// Everything is lost, which is noticed now.
    fn lose_all(&mut self) {
        if let Some(last) = self.last() {
            self.gone = Some(self.now.max(last + 1));
        }
    }
}

/// The number in a table's name.
fn lower(table: &str) -> u64 {
    table.split('_').nth(2).unwrap().parse().unwrap()
}

/// The tables, oldest first.
fn sorted(db: &TestDatabase) -> Vec<String> {
    let mut tables = db.tables();
    tables.sort_by_key(|table| lower(table));
    tables
}

/// The ids in each table, in the order of tables.
fn stored(db: &TestDatabase) -> Vec<Vec<u64>> {
    let ids = |table: &String| {
        let mut select = db.connection.prepare(&format!("SELECT id FROM {table} ORDER BY id")).unwrap();
        select.query_map([], |row| row.get::<_, i64>(0)).unwrap().map(|id| id.unwrap() as u64).collect()
    };
    sorted(db).iter().map(ids).collect()
}

fn check_resume_by_id(model: &Model, log: &Log, db: &TestDatabase, there: &[u64], seen: u64) {
    let lost = model.lost(there);
    let before_all = lost.or(model.born).unwrap_or(0);
    let in_this_life =
        Some(seen) >= model.gone.or(model.born).or(Some(u64::MAX)) && model.last() >= Some(seen);
    let misses = lost.is_some_and(|lost| lost > seen);
    let (served, gap) = resumed(log, db, model.now, ResumeFrom::LastEventId(&seen.to_string()));
    if in_this_life && !misses {
        assert_eq!(gap, None, "whole from {seen}");
        assert_eq!(served, there.iter().copied().filter(|id| *id > seen).collect::<Vec<_>>(), "from {seen}");
    } else {
        let expected = if model.born.is_some() { before_all + 1 } else { model.now.max(1) };
        assert_eq!(gap, Some(expected), "gap from {seen}");
        assert_eq!(served, there, "all after the gap from {seen}");
    }
}

const DAY: Duration = Duration::from_secs(86_400);

fn check_first_connect(model: &Model, log: &Log, db: &TestDatabase, there: &[u64], issued: u64) {
    // Whole milliseconds are exact enough in seconds; what rounding there is, the model does too.
    let seconds = issued as f64 / 1e6;
    let stated = (seconds * 1e6) as u64;
    // A token that arrives before it was issued is at most as young as now, and one from another century of any age.
    let issued = match stated.saturating_sub(model.now) {
        ahead if u128::from(ahead) > DAY.as_micros() => 0,
        ahead if ahead > 2 * SECOND => model.now,
        _ => stated,
    };
    let lost = model.lost(there);
    let expected_gap = lost.filter(|lost| *lost >= issued).map(|lost| lost + 1);
    let (served, gap) = resumed(log, db, model.now, ResumeFrom::IssuedAt(seconds));
    assert_eq!(gap, expected_gap, "issued at {stated}, now {}", model.now);
    let wanted = issued.saturating_sub(2 * SECOND);
    assert_eq!(
        served,
        there.iter().copied().filter(|id| *id >= wanted).collect::<Vec<_>>(),
        "issued at {stated}, now {}",
        model.now
    );
}

/// A replay that was half-way through what is gone is given up.
fn check_replay(model: &Model, log: &Log, after: u64) {
    if let Some(gone) = model.gone {
        assert!(log.has_dropped_after(after) || after >= gone, "a replay after {after}");
    }
}

fn check(model: &Model, log: &Log, db: &TestDatabase) {
    let stored = stored(db).concat();
    let there = model.there(&stored);

    let reopened = open(db, model.retention);
    assert_eq!(reopened.segments, log.segments, "what is in memory is what is stored");
    assert_eq!(log.last_id().map(EventId::as_micros), model.last());

    let mut points: Vec<u64> = vec![0, 1, model.now, EventId::MAX.as_micros()];
    points.extend(model.born);
    points.extend(model.gone);
    points.extend(model.ever.iter().rev().take(6).map(|event| event.id));
    points.extend(model.lost(&there));
    points.extend(there.first());
    let mut around: Vec<u64> =
        points.iter().flat_map(|point| [point.saturating_sub(1), *point, point.saturating_add(1)]).collect();
    around.sort_unstable();
    around.dedup();
    for point in around.into_iter().filter(|point| *point <= EventId::MAX.as_micros()) {
        check_resume_by_id(model, log, db, &there, point);
        check_replay(model, log, point);
        check_first_connect(model, log, db, &there, point);
        check_first_connect(
            model,
            log,
            db,
            &there,
            point.saturating_add(2 * SECOND).min(EventId::MAX.as_micros()),
        );
    }
    let unreadable = resumed(log, db, model.now, ResumeFrom::LastEventId("x"));
    assert_eq!(unreadable.0, there);
    assert!(unreadable.1.is_some());
}

/// What was removed had to go, what had to go was removed.
fn check_removal(model: &Model, before: &[Vec<u64>], after: &[Vec<u64>]) {
    let size = |tables: &[Vec<u64>]| {
        let ids = tables.concat();
        let bytes: u64 =
            model.ever.iter().filter(|event| ids.contains(&event.id)).map(|event| event.bytes).sum();
        (ids.len() as u64, bytes)
    };
    let exceeds =
        |(events, bytes): (u64, u64)| events > model.retention.events || bytes > model.retention.bytes;
    let expired = |table: &[u64]| table.iter().all(|id| model.is_expired(*id));

    let kept = after.concat();
    let removed: Vec<_> =
        before.iter().enumerate().filter(|(_, table)| !table.iter().all(|id| kept.contains(id))).collect();
    for (place, table) in removed {
        if table.iter().all(|id| Some(*id) <= model.gone) {
            continue; // it counted as lost
        }
        assert!(expired(table) || exceeds(size(&before[place..])), "{table:?} had to go");
    }
    assert!(after.len() <= 1 || !exceeds(size(after)), "within the bounds");
    if let [oldest, _, ..] = after {
        assert!(!expired(oldest), "the oldest of several tables has an event to serve");
    }
}

fn run(retention: Retention, start: u64, actions: Vec<Action>) {
    let db = TestDatabase::new();
    let mut log = open(&db, retention);
    let mut model = Model { retention, now: start, born: None, ever: Vec::new(), gone: None };
    check(&model, &log, &db);
    for action in actions {
        let before = stored(&db);
        match action {
            Action::Append(step, size) | Action::FailedAppend(step, size, _) => {
                model.move_clock(step);
                if let Action::FailedAppend(_, _, sql) = action {
                    db.refuse(sql);
                }
                let json = format!("[{}]", "1".repeat(size));
                let expected = log.last_id().map_or(0, |id| id.as_micros()).saturating_add(1).max(model.now);
                let appended = log.append(&db, model.now, &event(&json));
                db.accept();
                let is_born = !db.tables().is_empty();
                if model.born.is_none() && is_born {
                    model.born = Some(expected - 1);
                }
                let refused_all = match action {
                    Action::FailedAppend(_, _, "INSERT") => true,
                    Action::FailedAppend(..) => !is_born,
                    _ => false,
                };
                assert_eq!(appended.is_err(), refused_all);
                if let Ok(id) = appended {
                    assert_eq!(id.as_micros(), expected);
                    model.ever.push(Published { id: expected, bytes: json.len() as u64 });
                }
                assert_eq!(stored(&db).concat().len(), before.concat().len() + usize::from(!refused_all));
            }
            Action::Tidy(step) => {
                model.move_clock(step);
                log.tidy(&db, model.now).unwrap();
                check_removal(&model, &before, &stored(&db));
            }
            Action::Prune(step) => {
                model.move_clock(step);
                let due = log.next_expiry();
                log.prune(&db, model.now).unwrap();
                let after = stored(&db);
                check_removal(&model, &before, &after);
                let all_expired = before.concat().iter().all(|id| model.is_expired(*id));
                assert!(!all_expired || after.concat().is_empty(), "nothing outlives its time");
                if due.is_some_and(|due| due <= model.now) {
                    assert_ne!(before, after, "there was something to do");
                }
                if after.concat().is_empty() {
                    assert_eq!(log.next_expiry(), None);
                }
            }
            Action::FailedPrune(step) => {
                model.move_clock(step);
                db.refuse("DROP");
                let _ = log.prune(&db, model.now);
                db.accept();
                assert_eq!(stored(&db).concat(), before.concat());
            }
            Action::Reopen => log = open_at(&db, retention, model.now),
            Action::DeleteAll => {
                db.wipe();
                log.read_again(&db, model.now).unwrap();
                model.lose_all();
                assert_eq!(db.views().is_empty(), model.gone.is_none());
            }
            Action::DropAll(is_asleep) => {
                db.drop_tables(|_| true);
                if is_asleep {
                    model.wake();
                    log = open_at(&db, retention, model.now);
                    model.lose_all();
                } else {
                    let id = log.append(&db, model.now, &event("[]")).unwrap().as_micros();
                    model.lose_all();
                    model.born.get_or_insert(id - 1);
                    model.ever.push(Published { id, bytes: 2 });
                    assert!(model.gone.is_none_or(|gone| id == gone + 1));
                }
            }
            Action::DropOne(n, is_asleep) => {
                let Some(n) = n.checked_rem(before.len()) else { continue };
                let tables = sorted(&db);
                db.drop_tables(|table| table == tables[n]);
                let is_newest = n + 1 == tables.len();
                if is_newest && is_asleep && tables.len() > 1 {
                    return; // nothing is left that tells
                }
                if is_asleep {
                    model.wake();
                }
                let memory = if is_asleep { Memory::default() } else { log.memory() };
                log = Log::open(&db, PREFIX, retention).unwrap();
                log.go_on(&db, model.now, memory);
                match tables.get(n + 1) {
                    Some(next) => model.gone = model.gone.max(Some(lower(next))),
                    None if n > 0 && before[n].is_empty() => {} // nothing was in it
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
    fn a_log_serves_exactly_what_is_there_and_reports_exactly_what_is_not(
        retention in retention(),
        start in prop_oneof![4 => Just(NOW), 1 => 0..10_u64],
        actions in proptest::collection::vec(action(), 1..30),
    ) {
        run(retention, start, actions);
    }
}
