//! What earlier versions have left in databases is read as if it were ours. There has been one layout so far. A test for
//! each keeps a change of the tables from being made without a way to read them: it fails until there is one.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // test code, though not all of it is in test functions

use super::{
    Appended, Log, ResumeFrom,
    test_database::{NOW, PREFIX, SECOND, TestDatabase, USUAL, append, event, replay, resumed},
};

/// The next event of each layout.
const AFTER: u64 = NOW + 200 * SECOND;

#[test]
fn a_database_of_layout_1_is_served_whole_and_carried_on() {
    let db = TestDatabase::new();
    db.run(include_str!("layouts/1.sql"));
    let mut log = Log::open(&db, PREFIX, USUAL).unwrap();
    let ids = [NOW, NOW + 1, NOW + 150 * SECOND];
    assert_eq!(resumed(&log, &db, AFTER, ResumeFrom::IssuedAt(0.0)), (ids.to_vec(), None));
    assert_eq!(resumed(&log, &db, AFTER, ResumeFrom::LastEventId(&ids[0].to_string())).1, None);
    let tails: Vec<String> = replay(&log, &db, 0, AFTER).0.into_iter().map(|event| event.tail).collect();
    assert!(tails[0].contains(r#""json":{"n":1}"#), "{}", tails[0]);
    assert!(tails[1].contains(r#""meta":[[1,"at"]]"#) && tails[1].contains(r#""retry":5"#), "{}", tails[1]);

    // A key that was given then still names its event.
    let again = log.append_once(&db, AFTER, &event("{}"), "order-17-paid").unwrap();
    assert!(matches!(again, Appended::Before(id) if id.as_micros() == ids[2]));
    let id = append(&mut log, &db, AFTER);
    assert_eq!(id, AFTER);
    assert_eq!(
        resumed(&log, &db, AFTER, ResumeFrom::LastEventId(&ids[1].to_string())),
        (vec![ids[2], id], None)
    );
}

#[test]
fn what_is_written_today_is_of_layout_1() {
    let (earlier, today) = (TestDatabase::new(), TestDatabase::new());
    earlier.run(include_str!("layouts/1.sql"));
    let mut log = Log::open(&today, PREFIX, USUAL).unwrap();
    append(&mut log, &today, NOW);
    append(&mut log, &today, NOW + 1);
    log.append_once(&today, NOW + 150 * SECOND, &event("{}"), "order-17-paid").unwrap();
    assert_eq!(columns(&today), columns(&earlier), "a new layout needs a file and a test of its own here");
}

/// The columns of each kind of table.
fn columns(db: &TestDatabase) -> std::collections::BTreeSet<String> {
    let mut statement = db.connection.prepare("SELECT sql FROM sqlite_master WHERE type = 'table'").unwrap();
    let sql = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
    sql.map(|sql| sql.unwrap().split_once('(').unwrap().1.to_owned()).collect()
}
