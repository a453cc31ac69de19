//! The SQL expressions with which SQLite writes the message of a replayed event.

/// Returns the SQL expression for the tail of an event's message, over the columns of the log.
///
/// Its result is byte for byte that of [`event_tail`](durable_event_wire::frame::event_tail), which begins with a comma. For a
/// marked row it is the array that [`safe_tail`](durable_event_wire::frame::safe_tail) accepts, which begins with `[`.
pub(crate) fn event_expression() -> String {
    format!(
        "CASE WHEN meta IS NULL AND extra IS NULL THEN {PLAIN_TAIL} WHEN {MARKED} THEN {MARKED_ROW} ELSE {FULL_TAIL} END"
    )
}

/// Returns the SQL expression for an event's message to a publisher's subscriber, over the columns of the log.
///
/// Its result is byte for byte that of [`publisher::message`](durable_event_wire::publisher::message), or a marked row.
pub(crate) fn publisher_expression() -> String {
    format!(
        "CASE WHEN {MARKED} THEN {MARKED_ROW} WHEN {BUILT_IN_ROOT} THEN {BUILT_IN_MESSAGE} ELSE {PUBLISHER_MESSAGE} END"
    )
}

/// The condition for an event that is a Date, Map, Set, URL or RegExp, or a primitive value with a type.
const BUILT_IN_ROOT: &str =
    "substr(meta, -4, 1) = '[' AND substr(meta, -3, 1) BETWEEN '0' AND '7' AND substr(meta, -2) = ']]'";

const BUILT_IN_MESSAGE: &str = r#"'{"data":{"json":' || json || ',"meta":' || meta || '}}'"#;

const PUBLISHER_MESSAGE: &str = r#"'{"data":{"json":' || json || ',"meta":' || coalesce(meta, '[]') || '},"meta":{' || coalesce(extra || ',', '') || '"id":"' || id || '"}}'"#;

/// The tail of an event without meta and extra. Most events have none, and SQLite evaluates a shorter expression in less time.
const PLAIN_TAIL: &str =
    r#"',"t":3,"p":{"e":"message","d":{"json":' || json || '},"m":{"id":"' || id || '"}}}'"#;

/// Returns the SQL expression for an event of a page, over the columns of the log. Its result is that of [`event_of`].
///
/// For a marked row, and for one that was edited by hand and would make the page's JSON invalid, it is the same array as that of
/// [`event_expression`].
pub(crate) fn page_expression() -> String {
    format!(
        "CASE WHEN meta IS NULL AND extra IS NULL AND json_valid(json) THEN {PLAIN_EVENT} WHEN {MARKED} OR NOT json_valid(json) \
         OR NOT json_valid(coalesce(meta, 0)) OR NOT json_valid('{{' || coalesce(extra, '') || '}}') THEN {MARKED_ROW} \
         ELSE {FULL_EVENT} END"
    )
}

/// Returns the event of a page from the tail of its message: `{"id":"…","json":…}`, with `meta`, `retry` and `comments` if it has
/// them.
pub(crate) fn event_of(tail: &str) -> Option<String> {
    let body = tail.strip_prefix(r#","t":3,"p":{"e":"message","d":{"#)?;
    let (data, meta) = body.rsplit_once(r#"},"m":{"#)?;
    let meta = meta.strip_suffix("}}}")?;
    Some(["{", meta, ",", data, "}"].concat())
}

const PLAIN_EVENT: &str = r#"'{"id":"' || id || '","json":' || json || '}'"#;

const FULL_EVENT: &str = r#"'{' || coalesce(extra || ',', '') || '"id":"' || id || '","json":' || json || coalesce(',"meta":' || meta, '') || '}'"#;

const FULL_TAIL: &str = r#"',"t":3,"p":{"e":"message","d":{"json":' || json || coalesce(',"meta":' || meta, '') || '},"m":{' || coalesce(extra || ',', '') || '"id":"' || id || '"}}}'"#;

/// The condition for a marked row, which may contain content that makes clients throw. Earlier versions accepted URLs and regular
/// expressions (types 4 and 5) that clients cannot construct, integers (type 0) of more than 4,300 digits, comments with `\r` (two
/// characters in JSON), and a `retry` beyond the range of a timer.
const MARKED: &str = r#"instr(meta, '[4,') OR instr(meta, '[5,') OR (length(json) > 4300 AND instr(meta, '[0,')) OR instr(extra, '\r') OR (substr(extra, 1, 8) = '"retry":' AND CAST(substr(extra, 9, 10) AS INTEGER) > 2147483647)"#;

/// The array of a marked row. The casts prevent an error of the statement if a row was edited by hand and contains bytes.
const MARKED_ROW: &str =
    "json_array(CAST(json AS TEXT), CAST(meta AS TEXT), CAST(extra AS TEXT), CAST(id AS TEXT))";

#[cfg(test)]
mod tests {
    use super::*;
    use durable_event_wire::{
        frame::{event_tail, safe_event, safe_tail},
        publisher,
    };
    use proptest::prelude::*;
    use rusqlite::Connection;

    type Row<'a> = (&'a str, Option<&'a str>, Option<&'a str>);

    /// Evaluates the expression of a replay for a row in SQLite.
    fn evaluate(id: u64, row: Row<'_>) -> String {
        evaluate_expression(&event_expression(), id, row)
    }

    fn evaluate_expression(expression: &str, id: u64, (json, meta, extra): Row<'_>) -> String {
        let sql = format!("SELECT {expression} FROM (SELECT ?1 AS id, ?2 AS json, ?3 AS meta, ?4 AS extra)");
        let database = Connection::open_in_memory().unwrap();
        database.query_row(&sql, (id as i64, json, meta, extra), |row| row.get(0)).unwrap()
    }

    fn live(id: u64, (json, meta, extra): Row<'_>) -> String {
        event_tail(json, meta, extra, id)
    }

    #[test]
    fn a_replayed_tail_equals_the_live_tail() {
        let json = r#"{"a":"é \u0000 \" ' 𝄞","b":[1,null]}"#;
        for row in [
            (json, None, None),
            (json, Some(r#"[[1,"a"]]"#), None),
            (json, None, Some(r#""retry":4321,"comments":["it's"]"#)),
            (json, Some(r#"[[1,"a"]]"#), Some(r#""retry":0"#)),
        ] {
            let tail = evaluate(7, row);
            assert_eq!(tail, live(7, row));
            serde_json::from_str::<serde_json::Value>(&format!(r#"{{"i":"1"{tail}"#)).unwrap();
        }
    }

    #[test]
    fn rows_on_which_clients_may_throw_are_marked() {
        let long = format!(r#"{{"n":"{}"}}"#, "9".repeat(4_301));
        let unmarked = [
            (r#"{"x":"[4,","r":"\r"}"#, None, None),
            ("{}", Some(r#"[[1,"a"]]"#), Some(r#""retry":2147483647"#)),
        ];
        for row in unmarked {
            assert_eq!(evaluate(7, row), live(7, row));
        }
        // The stored row, and the row that is sent.
        let url = r#"{"x":"https://a/"}"#;
        let marked: [(Row<'_>, Row<'_>); 5] = [
            ((r#"{"x":"foo://@/"}"#, Some(r#"[[4,"x"]]"#), None), (r#"{"x":"foo://@/"}"#, None, None)),
            (
                (url, Some(r#"[[4,"x"]]"#), Some(r#""comments":["a\r\nb"]"#)),
                (url, Some(r#"[[4,"x"]]"#), Some(r#""comments":["a","b"]"#)),
            ),
            (
                (r#"{"x":"/(/"}"#, Some(r#"[[5,"x"]]"#), Some(r#""retry":9"#)),
                (r#"{"x":"/(/"}"#, None, Some(r#""retry":9"#)),
            ),
            (
                ("{}", None, Some(r#""retry":4294967295,"comments":["c"]"#)),
                ("{}", None, Some(r#""comments":["c"]"#)),
            ),
            ((&long, Some(r#"[[0,"n"]]"#), None), (&long, None, None)),
        ];
        for (stored, sent) in marked {
            let row = evaluate(7, stored);
            assert!(row.starts_with('['), "{row}");
            assert_eq!(safe_tail(&row).unwrap().tail, live(7, sent));
            assert_eq!(evaluate_expression(&publisher_expression(), 7, stored), row);
            let (json, meta, extra) = sent;
            let safe = safe_event(&row, publisher::message).unwrap().tail;
            assert_eq!(safe, publisher::message(json, meta, extra, 7));
        }
    }

    #[test]
    fn the_message_for_a_publisher_equals_the_live_message() {
        for meta in
            [None, Some("[[1]]"), Some("[[21]]"), Some("[[1,0],[7]]"), Some(r#"[[1,"["]]"#), Some("[[1,7]]")]
        {
            for extra in [None, Some(r#""retry":1"#)] {
                let row = ("[\"x\"]", meta, extra);
                let message = publisher::message(row.0, meta, extra, 7);
                assert_eq!(evaluate_expression(&publisher_expression(), 7, row), message);
            }
        }
    }

    #[test]
    fn an_event_of_a_page_is_that_of_the_tail() {
        let json = r#"{"a":"é \u0000 \" ' 𝄞 },\"m\":{","b":[1,null]}"#;
        for row in [
            (json, None, None),
            ("[]", Some(r#"[[1,"a"]]"#), None),
            (json, None, Some(r#""retry":4321,"comments":["it's","},\"m\":{"]"#)),
            (json, Some(r#"[[1,"a"]]"#), Some(r#""retry":0"#)),
        ] {
            let event = evaluate_expression(&page_expression(), 7, row);
            assert_eq!(Some(event.as_str()), event_of(&live(7, row)).as_deref());
            serde_json::from_str::<serde_json::Value>(&event).unwrap();
        }
        assert_eq!(event_of("x"), None);
    }

    #[test]
    fn a_row_that_would_make_a_page_invalid_is_marked() {
        for row in [
            ("no json", None, None),
            ("{}", Some("["), None),
            ("{}", None, Some("x")),
            (r#"{"x":"/(/"}"#, Some(r#"[[5,"x"]]"#), None),
            ("{}", None, Some(r#""comments":["\r"]"#)),
        ] {
            let event = evaluate_expression(&page_expression(), 7, row);
            assert!(event.starts_with('['), "{event}");
        }
    }

    #[test]
    fn ids_are_written_in_plain_digits() {
        for id in [1, (1 << 53) - 1] {
            assert_eq!(evaluate(id, ("{}", None, None)), live(id, ("{}", None, None)));
        }
    }

    #[test]
    fn a_row_that_was_edited_by_hand_is_sent_unchanged() {
        assert_eq!(evaluate(7, ("no json", None, None)), live(7, ("no json", None, None)));
    }

    proptest! {
        #[test]
        fn every_replayed_tail_equals_the_live_tail(
            json in r#"[\{\[]\PC{0,20}"#,
            meta in proptest::option::of(r"\[\PC{1,10}\]x"),
            extra in proptest::option::of("\\PC{1,10}"),
            id in 1..(1_u64 << 53) - 1,
        ) {
            // Marked rows take another path, and these texts are not JSON.
            prop_assume!(!meta.as_ref().is_some_and(|meta| meta.contains("[4,") || meta.contains("[5,")));
            prop_assume!(!extra.as_ref().is_some_and(|extra| extra.contains("\\r")));
            let row = (&*json, meta.as_deref(), extra.as_deref());
            prop_assert_eq!(evaluate(id, row), live(id, row));
            let message = publisher::message(&json, meta.as_deref(), extra.as_deref(), id);
            prop_assert_eq!(evaluate_expression(&publisher_expression(), id, row), message);
        }
    }
}
