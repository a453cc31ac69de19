//! What earlier versions have left in databases is read as if it were ours. There have been two layouts so far; the second one
//! added the epoch view, and has the tables of the first. A test for each keeps a change of the tables from being made
//! without a way to read them: it fails until there is one.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // test code, though not all of it is in test functions

use super::{
    Appended, Log, ResumeFrom,
    test_database::{
        NOW, PREFIX, SECOND, TestDatabase, USUAL, append, event, open, open_at, replay, resumed,
    },
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
    let texts: Vec<String> = replay(&log, &db, 0, AFTER).0.into_iter().map(|event| event.text).collect();
    assert_eq!(texts[0], r#"{"n":1}||"#);
    assert!(texts[1].contains(r#"|[[1,"at"]]|"#) && texts[1].contains(r#""retry":5"#), "{}", texts[1]);

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
fn a_database_of_layout_1_gets_its_epoch_view_with_the_next_segment() {
    let db = TestDatabase::new();
    db.run(include_str!("layouts/1.sql"));
    let mut log = open_at(&db, USUAL, AFTER);
    append(&mut log, &db, AFTER);
    assert!(db.views().is_empty(), "an event costs what it did");
    append(&mut log, &db, AFTER + 150 * SECOND);
    assert_eq!(db.views(), ["dei_epoch"]);
    db.drop_tables(|_| true);
    let later = AFTER + 200 * SECOND;
    let log = open_at(&db, USUAL, later);
    assert_eq!(resumed(&log, &db, later, ResumeFrom::IssuedAt(0.0)), (vec![], Some(later + 1)));
}

#[test]
fn a_database_of_layout_1_whose_storage_is_deleted_begins_an_epoch() {
    let db = TestDatabase::new();
    db.run(include_str!("layouts/1.sql"));
    let mut log = open_at(&db, USUAL, AFTER);
    db.wipe();
    log.read_again(&db, AFTER).unwrap();
    let log = open_at(&db, USUAL, AFTER + SECOND);
    assert_eq!(resumed(&log, &db, AFTER + SECOND, ResumeFrom::IssuedAt(0.0)), (vec![], Some(AFTER + 1)));
}

/// As they were emptied by `prune`, or by a publish that failed.
#[test]
fn an_empty_segment_of_layout_1_is_no_loss() {
    let db = TestDatabase::new();
    let mut log = open(&db, USUAL);
    let id = append(&mut log, &db, NOW);
    log.prune(&db, NOW + 400 * SECOND).unwrap();
    db.run("DROP VIEW dei_epoch");
    let log = open_at(&db, USUAL, NOW + 500 * SECOND);
    assert_eq!(
        resumed(&log, &db, NOW + 500 * SECOND, ResumeFrom::LastEventId(&id.to_string())),
        (vec![], None)
    );
}

#[test]
fn the_tables_that_are_written_today_are_those_of_layout_1() {
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
