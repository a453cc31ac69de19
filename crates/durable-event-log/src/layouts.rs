//! Tests that databases of earlier versions can be read. There have been two layouts so far; the second one added the
//! epoch view and has the same tables. A changed table definition fails the last test until its layout has a file and
//! a test here.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // test helpers outside of test functions

use super::{
    Appended, Log, ResumeFrom,
    test_database::{
        NOW, PREFIX, SECOND, TestDatabase, USUAL, append, event, open, open_at, replay, resumed,
    },
};

/// The time of the next event.
const AFTER: u64 = NOW + 200 * SECOND;

#[test]
fn a_database_of_layout_1_is_replayed_and_continued() {
    let db = TestDatabase::new();
    db.run(include_str!("layouts/1.sql"));
    let mut log = Log::open(&db, PREFIX, USUAL).unwrap();
    let ids = [NOW, NOW + 1, NOW + 150 * SECOND];
    assert_eq!(resumed(&log, &db, AFTER, ResumeFrom::IssuedAt(0.0)), (ids.to_vec(), None));
    assert_eq!(resumed(&log, &db, AFTER, ResumeFrom::LastEventId(&ids[0].to_string())).1, None);
    let texts: Vec<String> = replay(&log, &db, 0, AFTER).0.into_iter().map(|event| event.text).collect();
    assert_eq!(texts[0], r#"{"n":1}||"#);
    assert!(texts[1].contains(r#"|[[1,"at"]]|"#) && texts[1].contains(r#""retry":5"#), "{}", texts[1]);

    // An idempotency key stored then still returns its event.
    let again = log.append_once(&db, AFTER, &event("{}"), "order-17-paid").unwrap();
    assert!(matches!(again, Appended::Duplicate(id) if id.as_micros() == ids[2]));
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
    assert!(db.views().is_empty(), "an event costs no additional write");
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
    db.delete_all();
    log.reload(&db, AFTER).unwrap();
    let log = open_at(&db, USUAL, AFTER + SECOND);
    assert_eq!(resumed(&log, &db, AFTER + SECOND, ResumeFrom::IssuedAt(0.0)), (vec![], Some(AFTER + 1)));
}

/// Segments are emptied by `prune`, or stay empty after a failed publish.
#[test]
fn an_empty_segment_of_layout_1_is_not_a_loss() {
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
fn new_tables_have_the_columns_of_layout_1() {
    let (earlier, today) = (TestDatabase::new(), TestDatabase::new());
    earlier.run(include_str!("layouts/1.sql"));
    let mut log = Log::open(&today, PREFIX, USUAL).unwrap();
    append(&mut log, &today, NOW);
    append(&mut log, &today, NOW + 1);
    log.append_once(&today, NOW + 150 * SECOND, &event("{}"), "order-17-paid").unwrap();
    assert_eq!(columns(&today), columns(&earlier), "a new layout needs its own file and test here");
}

/// Returns the columns of each kind of table.
fn columns(db: &TestDatabase) -> std::collections::BTreeSet<String> {
    let mut statement = db.connection.prepare("SELECT sql FROM sqlite_master WHERE type = 'table'").unwrap();
    let sql = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
    sql.map(|sql| sql.unwrap().split_once('(').unwrap().1.to_owned()).collect()
}
