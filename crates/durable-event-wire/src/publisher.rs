//! The messages of oRPC's publisher for Durable Objects (npm `@orpc/experimental-publisher-durable-object`).
//!
//! A Worker publishes the JSON text `{"data":{"json":…,"meta":[…]},"meta":{…}}`: the event in serialized form, and its event
//! meta. Subscribers receive the same text with the event's id in its event meta.

use crate::{
    DeserializeError, EventMeta, Value,
    body::without_bom,
    json::Reader,
    parse::{Envelope, parse},
    text::push_integer,
};

/// A published event.
#[derive(Debug, Clone, PartialEq)]
pub struct Publication {
    /// The event, of any type.
    pub event: Value,
    /// The retry delay and the comments. A retry delay above `u32::MAX` milliseconds becomes `u32::MAX`. The id is ignored, since
    /// the log assigns it.
    pub meta: EventMeta,
}

impl Publication {
    /// Reads the body of a publish request, with or without a byte order mark.
    ///
    /// ```
    /// use durable_event_wire::publisher::Publication;
    ///
    /// let body = br#"{"data":{"json":{"n":"1"},"meta":[[0,"n"]]},"meta":{"retry":5000}}"#;
    /// assert_eq!(Publication::read(body)?.meta.retry, Some(5_000));
    /// # Ok::<(), durable_event_wire::DeserializeError>(())
    /// ```
    ///
    /// # Errors
    /// The body is not JSON in UTF-8, it has no `data`, or the event or the event meta is invalid.
    pub fn read(body: &[u8]) -> Result<Self, DeserializeError> {
        let text = str::from_utf8(without_bom(body))
            .map_err(|_| DeserializeError::Unreadable("the body must be UTF-8"))?;
        let (mut event, mut meta) = (None, EventMeta::default());
        let mut reader = Reader::new(text);
        reader.members(&mut |reader, key| {
            match key {
                "data" => {
                    let Envelope { json, meta, .. } = Envelope::read_from(reader)?;
                    event = Some(parse(json, meta)?);
                }
                "meta" => meta = read_meta(reader)?,
                _ => drop(reader.raw()?),
            }
            Ok::<_, DeserializeError>(())
        })?;
        reader.end()?;
        let event = event.ok_or_else(|| DeserializeError::Envelope("`data` is missing".into()))?;
        Ok(Self { event, meta })
    }
}

fn read_meta(reader: &mut Reader<'_>) -> Result<EventMeta, DeserializeError> {
    let mut meta = EventMeta::default();
    if reader.kind() == Some(b'n') {
        reader.value()?; // null
        return Ok(meta);
    }
    reader.members(&mut |reader, key| {
        match key {
            "retry" => meta.retry = Some(u32::try_from(reader.unsigned()?).unwrap_or(u32::MAX)),
            "comments" => meta.comments = reader.texts()?,
            _ => drop(reader.raw()?),
        }
        Ok::<_, DeserializeError>(())
    })?;
    Ok(meta)
}

/// Returns the message of an event to a subscriber. `json` and `meta` are the serialized event; `extra` has the form of
/// [`CheckedMeta::to_extra`](crate::CheckedMeta::to_extra). Subscribers throw if the meta is missing, so it may be empty.
///
/// A Date, Map, Set, URL or RegExp has no event meta: the publisher would wrap it in a `Proxy`, on which its methods throw.
///
/// ```
/// use durable_event_wire::publisher::message;
///
/// let text = message(r#"{"n":1}"#, None, Some(r#""retry":5000"#), 7);
/// assert_eq!(text, r#"{"data":{"json":{"n":1},"meta":[]},"meta":{"retry":5000,"id":"7"}}"#);
/// ```
#[must_use]
pub fn message(json: &str, meta: Option<&str>, extra: Option<&str>, id: u64) -> String {
    const START: &str = r#"{"data":{"json":"#;
    const META: &str = r#","meta":"#;
    const NO_META: &str = "[]";
    const MEMBERS: &str = r#"},"meta":{"#;
    const ID: &str = r#""id":""#;
    const END: &str = r#""}}"#;
    /// The maximum number of digits of a u64.
    const DIGITS: usize = 20;

    let meta = meta.unwrap_or(NO_META);
    if has_built_in_root(meta) {
        return [START, json, META, meta, "}}"].concat();
    }
    let parts = [START, json, META, meta, MEMBERS, extra.unwrap_or_default(), ",", ID, END];
    let length = parts.iter().fold(DIGITS, |sum, part| sum.saturating_add(part.len()));
    let mut message = String::with_capacity(length);
    for part in [START, json, META, meta, MEMBERS] {
        message.push_str(part);
    }
    if let Some(extra) = extra {
        message.push_str(extra);
        message.push(',');
    }
    message.push_str(ID);
    push_integer(&mut message, id);
    message.push_str(END);
    message
}

/// Whether the last entry of the meta, which is that of the root if there is one, is a built-in type without a path: `[7]]`.
fn has_built_in_root(meta: &str) -> bool {
    matches!(meta.as_bytes(), [.., b'[', b'0'..=b'7', b']', b']'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Date, arbitrary::any_value, loss::after_json, serialize};
    use proptest::prelude::*;

    fn read(body: &str) -> Result<Publication, DeserializeError> {
        Publication::read(body.as_bytes())
    }

    #[test]
    fn a_publication_is_read_with_its_types_and_event_meta() {
        let body = r#"{"data":{"json":{"at":"1970-01-01T00:00:00.000Z"},"meta":[[1,"at"]]},"meta":{"id":"x","retry":1,"comments":["a"]}}"#;
        let Publication { event, meta } = read(body).unwrap();
        assert_eq!(event, Value::Object([("at", Value::Date(Date::from_millis(0)))].into_iter().collect()));
        assert_eq!(meta, EventMeta { retry: Some(1), comments: vec!["a".into()], id: None });
    }

    #[test]
    fn a_publication_without_json_is_undefined() {
        for body in
            [r#"{"data":{"meta":[]}}"#, "\u{feff}{\"meta\":null,\"data\":{}}", r#"{"data":{},"meta":{}}"#]
        {
            let undefined = Publication { event: Value::Undefined, meta: EventMeta::default() };
            assert_eq!(read(body), Ok(undefined), "{body}");
        }
    }

    #[test]
    fn a_malformed_publication_is_rejected() {
        for body in [
            "",
            "null",
            "[]",
            "{}",
            "{",
            r#"{"data":null}"#,
            r#"{"data":[]}"#,
            r#"{"data":{"json":{}}} x"#,
            r#"{"data":{"json":{},"meta":[[1,"a"]]}}"#,
            r#"{"data":{"json":"x","meta":[[4]]}}"#,
            r#"{"data":{},"meta":[]}"#,
            r#"{"data":{},"meta":{"retry":-1}}"#,
            r#"{"data":{},"meta":{"retry":"1"}}"#,
            r#"{"data":{},"meta":{"comments":"a"}}"#,
            r#"{"data":{},"meta":{"comments":[1]}}"#,
        ] {
            assert!(read(body).is_err(), "{body}");
        }
        assert!(Publication::read(b"{\"data\":{\"json\":\"\xff\"}}").is_err());
    }

    #[test]
    fn a_retry_delay_that_is_too_long_for_32_bits_is_still_too_long() {
        let meta = read(r#"{"data":{},"meta":{"retry":4294967296}}"#).unwrap().meta;
        assert_eq!(meta.retry, Some(u32::MAX));
        assert!(meta.checked().is_err());
    }

    #[test]
    fn a_value_whose_methods_need_the_value_itself_has_no_event_meta() {
        for meta in ["[[1]]", r#"[[1,0,1],[7]]"#] {
            assert_eq!(
                message("[]", Some(meta), Some(r#""retry":1"#), 7),
                format!(r#"{{"data":{{"json":[],"meta":{meta}}}}}"#)
            );
        }
        for meta in ["[]", "[[21]]", "[[8]]", "[[1,0]]", r#"[[1,"["]]"#, r#"[[1,"[7"]]"#] {
            assert!(message("[]", Some(meta), None, 7).ends_with(r#"},"meta":{"id":"7"}}"#), "{meta}");
        }
    }

    #[test]
    fn a_message_is_built_in_one_allocation() {
        for meta in [None, Some(r#"[[1,"a"]]"#)] {
            for extra in [None, Some(r#""retry":4321,"comments":["a"]"#)] {
                for id in [0, u64::MAX] {
                    let counted = allocation_counter::measure(|| drop(message("{}", meta, extra, id)));
                    assert_eq!(counted.count_total, 1, "{meta:?} {extra:?} {id}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn every_value_is_read_from_its_message(value in any_value(), id: u64) {
            let written = serialize(&value).unwrap();
            prop_assume!(written.blobs.is_empty() && written.json.is_some());
            let text = message(written.json.as_deref().unwrap(), written.meta.as_deref(), None, id);
            let read = read(&text).unwrap();
            prop_assert_eq!(read.event, after_json(value));
        }
    }
}
