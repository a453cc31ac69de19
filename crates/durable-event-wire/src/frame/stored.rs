//! Repair of stored events that clients cannot read.
//!
//! An earlier version with fewer checks may have stored values that clients cannot revive, or meta on which clients
//! throw. Without repair such a client would resume and receive the same event again, endlessly.

use super::event_tail;
use crate::{
    CheckedMeta,
    deserialize_error::DeserializeError,
    json::{Reader, read_json},
    parse::{parse, read_leniently},
    ser::serialize,
};

/// A stored event in a form that every client can read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SafeTail {
    /// The tail of the event's message, as [`event_tail`] writes it, or what the caller of [`safe_event`] writes instead.
    pub tail: String,
    /// Whether it differs from the stored event.
    pub is_changed: bool,
}

/// Returns the tail of a stored event in a form that every client can read.
///
/// `row` is the JSON text of `[json, meta, extra, id]`, each a string or null. A value that clients cannot revive is
/// sent in its JSON form, for example an invalid URL as a string. Returns `None` if the event cannot be read at all.
#[must_use]
pub fn safe_tail(row: &str) -> Option<SafeTail> {
    safe_event(row, event_tail)
}

/// Does the same as [`safe_tail`] for messages that `write` writes from json, meta, extra and id.
#[must_use]
pub fn safe_event(row: &str, write: fn(&str, Option<&str>, Option<&str>, u64) -> String) -> Option<SafeTail> {
    let [json, meta, extra, id] = read_row(row).ok()?;
    let (json, id) = (json?, id?.parse().ok()?);
    let safe_extra = extra.as_deref().and_then(|extra| CheckedMeta::from_extra(extra).to_extra());
    let is_extra_changed = safe_extra != extra;
    if parse(Some(&json), meta.as_deref()).is_ok() {
        let tail = write(&json, meta.as_deref(), safe_extra.as_deref(), id);
        return Some(SafeTail { tail, is_changed: is_extra_changed });
    }
    let value = read_leniently(read_json(&json).ok()?, meta.as_deref());
    let value = serialize(&value).ok()?;
    let tail = write(&value.json?, value.meta.as_deref(), safe_extra.as_deref(), id);
    Some(SafeTail { tail, is_changed: true })
}

fn read_row(row: &str) -> Result<[Option<String>; 4], DeserializeError> {
    let mut columns = [const { None }; 4];
    let mut reader = Reader::new(row);
    let mut rest = columns.iter_mut();
    reader.items(&mut |reader| {
        let text = match reader.kind() {
            Some(b'"') => Some(reader.text()?.into_owned()),
            _ => reader.raw().map(|_| None)?,
        };
        if let Some(column) = rest.next() {
            *column = text;
        }
        Ok::<_, DeserializeError>(())
    })?;
    Ok(columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the safe tail of an event with these columns.
    fn safe(json: &str, meta: Option<&str>, extra: Option<&str>) -> Option<SafeTail> {
        safe_tail(&serde_json::json!([json, meta, extra, "7"]).to_string())
    }

    #[test]
    fn readable_events_are_unchanged() {
        for (json, meta, extra) in [
            (r#"{"u":"https://a/","d":"é\n"}"#, Some(r#"[[4,"u"]]"#), None),
            (
                r#"{"r":"/a,(4)b/g","s":"[4,"}"#,
                Some(r#"[[5,"r"]]"#),
                Some(r#""retry":1,"comments":["a\\r"]"#),
            ),
            (r#"{"n":1}"#, None, Some(r#""comments":["\\\\r"]"#)),
        ] {
            let tail = event_tail(json, meta, extra, 7);
            assert_eq!(safe(json, meta, extra), Some(SafeTail { tail, is_changed: false }));
        }
    }

    #[test]
    fn a_value_that_cannot_be_revived_is_sent_in_its_json_form() {
        for (json, meta, safe_json, safe_meta) in [
            (r#"{"x":"foo://@/"}"#, r#"[[4,"x"]]"#, r#"{"x":"foo://@/"}"#, None),
            (
                r#"{"x":"/(/","d":"1970-01-01T00:00:00.000Z"}"#,
                r#"[[5,"x"],[1,"d"]]"#,
                r#"{"x":"/(/","d":"1970-01-01T00:00:00.000Z"}"#,
                Some(r#"[[1,"d"]]"#),
            ),
            (
                r#"{"s":["foo://@/","a"]}"#,
                r#"[[4,"s",0],[6,"s"]]"#,
                r#"{"s":["foo://@/","a"]}"#,
                Some(r#"[[6,"s"]]"#),
            ),
            (r#"{"x":"a"}"#, r#"[[4,"y"],[4,"x"]]"#, r#"{"x":"a"}"#, None),
            (r#"{"x":"a"}"#, r#"[[4,"x"],["#, r#"{"x":"a"}"#, None),
        ] {
            let tail = event_tail(safe_json, safe_meta, None, 7);
            assert_eq!(safe(json, Some(meta), None), Some(SafeTail { tail, is_changed: true }), "{meta}");
        }
        let long = format!(r#"{{"n":"{}"}}"#, "9".repeat(4_301));
        let tail = event_tail(&long, None, None, 7);
        assert_eq!(safe(&long, Some(r#"[[0,"n"]]"#), None), Some(SafeTail { tail, is_changed: true }));
    }

    #[test]
    fn meta_on_which_clients_throw_is_split_or_omitted() {
        let expect = |extra, safe_extra| {
            let tail = event_tail("{}", None, safe_extra, 7);
            assert_eq!(safe("{}", None, Some(extra)), Some(SafeTail { tail, is_changed: true }), "{extra}");
        };
        expect(r#""comments":["a\rb"]"#, Some(r#""comments":["a","b"]"#));
        expect(r#""retry":4294967295,"comments":["a"]"#, Some(r#""comments":["a"]"#));
        expect("nonsense\\r", None);
    }

    #[test]
    fn unreadable_rows_return_none() {
        for row in [
            "",
            "[",
            "[]",
            "[null,null,null,\"1\"]",
            "[\"{\",null,null,\"1\"]",
            "[\"{}\",null,null,\"x\"]",
            "1",
        ] {
            assert_eq!(safe_tail(row), None, "{row}");
        }
    }
}
