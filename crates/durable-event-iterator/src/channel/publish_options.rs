//! What a publish through a stub says besides the event.

use crate::channel::{
    audience::{Audience, AudienceRule},
    fields::{boolean, nothing_else, object, optional, string, strings},
};
use durable_event_token::{ConnectionId, limits::TAG_BYTES};
use durable_event_wire::{
    CheckedMeta, EventMeta, InvalidEventMeta, InvalidInput, Issue, MAX_RETRY_MS, Object, Value,
};
use serde::Serialize;

/// What a publish says besides the event; all of it is optional.
///
/// ```
/// use durable_event_iterator::PublishOptions;
///
/// let options = PublishOptions::default().tagged("staff").except("a-connection-id").key("order-17-paid");
/// # let _ = options;
/// ```
///
/// In JavaScript it is the second argument of `stub.publish`: `{ to, tags, except, retry, comments, key }`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PublishOptions {
    /// Connection ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<Vec<String>>,
    /// Connection ids.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    except: Vec<String>,
    /// Milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    comments: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// The event is `{ json, meta }`, in oRPC's serialized form.
    serialized: bool,
}

impl PublishOptions {
    /// Only the client with this connection id, or one of several.
    #[must_use]
    pub fn to(mut self, connection_id: impl Into<String>) -> Self {
        self.to.get_or_insert_default().push(connection_id.into());
        self
    }

    /// Only the clients with these connection ids. With none, publishing fails with BAD_REQUEST.
    #[must_use]
    pub fn to_connections<C: Into<String>>(mut self, connection_ids: impl IntoIterator<Item = C>) -> Self {
        self.to.get_or_insert_default().extend(connection_ids.into_iter().map(Into::into));
        self
    }

    /// Only clients whose token has one of these tags. With none, publishing fails with BAD_REQUEST.
    #[must_use]
    pub fn tagged_any<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.tags.get_or_insert_default().extend(tags.into_iter().map(Into::into));
        self
    }

    /// Only clients whose token has this tag, or one of several.
    #[must_use]
    pub fn tagged(mut self, tag: impl Into<String>) -> Self {
        self.tags.get_or_insert_default().push(tag.into());
        self
    }

    /// Not the client with this connection id.
    #[must_use]
    pub fn except(mut self, connection_id: impl Into<String>) -> Self {
        self.except.push(connection_id.into());
        self
    }

    /// After how many milliseconds a client that loses the connection retries, at most 2,147,483,647.
    #[must_use]
    pub fn retry(mut self, milliseconds: u32) -> Self {
        self.retry = Some(milliseconds);
        self
    }

    /// A comment that travels with the event. A text of several lines is sent as several comments.
    #[must_use]
    pub fn comment(mut self, comment: impl Into<String>) -> Self {
        self.comments.push(comment.into());
        self
    }

    /// Stores the event once, however often it is published with this key: see [`Draft::key`](crate::Draft::key). With it, a
    /// publish whose answer was lost can be tried again.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Reads what a Worker hands over.
    pub(crate) fn read(value: Value) -> Result<Self, InvalidInput> {
        let mut fields = object(value)?;
        let options = Self {
            to: given(&mut fields, "to", |value| {
                names(value, CONNECTION_IDS, is_connection_id).and_then(not_empty(CONNECTION_IDS))
            })?,
            tags: given(&mut fields, "tags", |value| names(value, TAGS, is_tag).and_then(not_empty(TAGS)))?,
            except: given(&mut fields, "except", |value| names(value, CONNECTION_IDS, is_connection_id))?
                .unwrap_or_default(),
            retry: optional(&mut fields, "retry", retry)?,
            comments: optional(&mut fields, "comments", strings)?.unwrap_or_default(),
            key: given(&mut fields, "key", string)?,
            serialized: optional(&mut fields, "serialized", boolean)?.unwrap_or_default(),
        };
        // A misspelt audience must not become "everyone".
        nothing_else(&fields, "to, tags, except, retry, comments, key, serialized")?;
        Ok(options)
    }

    pub(crate) fn set_serialized(&mut self) {
        self.serialized = true;
    }

    pub(crate) fn is_serialized(&self) -> bool {
        self.serialized
    }

    pub(crate) fn idempotency_key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    pub(crate) fn meta(&self) -> Result<CheckedMeta, InvalidEventMeta> {
        EventMeta { retry: self.retry, comments: self.comments.clone(), id: None }.checked()
    }

    pub(crate) fn audience(&self) -> Audience {
        let mut rule = AudienceRule::everyone();
        if let Some(to) = &self.to {
            rule = rule.only_to(to);
        }
        if let Some(tags) = &self.tags {
            rule = rule.only_tagged(tags);
        }
        Audience::from_rule(rule.except(&self.except))
    }
}

/// Options that restrict who gets an event, or that it is stored once: undefined must not mean that they were left out.
pub(crate) const RESTRICTIONS: [&str; 4] = ["to", "tags", "except", "key"];

/// What a list must be.
#[derive(Clone, Copy)]
struct Expected {
    list: &'static str,
    item: &'static str,
}

const CONNECTION_IDS: Expected = Expected {
    list: "a non-empty array of connection ids",
    item: "a connection id of 1–128 visible ASCII characters",
};
const TAGS: Expected = Expected { list: "a non-empty array of tags", item: "a tag of 1–256 UTF-8 bytes" };

fn is_connection_id(name: &str) -> bool {
    ConnectionId::try_from(name).is_ok()
}

fn is_tag(name: &str) -> bool {
    TAG_BYTES.contains(&name.len())
}

/// A property that may be left out, but be neither undefined nor null: such an audience must not become "everyone".
fn given<T>(
    fields: &mut Object,
    key: &str,
    read: impl FnOnce(Value) -> Result<T, InvalidInput>,
) -> Result<Option<T>, InvalidInput> {
    fields.remove(key).map(read).transpose().map_err(|error| error.within(key))
}

/// A list of names, each of which can be that of somebody.
fn names(value: Value, expected: Expected, fits: fn(&str) -> bool) -> Result<Vec<String>, InvalidInput> {
    let Value::Array(items) = value else {
        return Err(Issue::new(format!("expected {}, found {}", expected.list, value.kind())).into());
    };
    let read = |(at, item)| match item {
        Value::String(name) if fits(&name) => Ok(name),
        Value::String(_) => Err(Issue::new(format!("expected {}", expected.item)).at(at).into()),
        other => Err(Issue::new(format!("expected {}, found {}", expected.item, other.kind())).at(at).into()),
    };
    items.into_iter().enumerate().map(read).collect()
}

fn not_empty(expected: Expected) -> impl FnOnce(Vec<String>) -> Result<Vec<String>, InvalidInput> {
    move |names| match names.is_empty() {
        true => Err(Issue::new(format!("expected {}, found an empty one", expected.list)).into()),
        false => Ok(names),
    }
}

/// A retry delay in milliseconds.
fn retry(value: Value) -> Result<u32, InvalidInput> {
    let Value::Number(number) = value else {
        let expected = format!("expected an integer from 0 to {MAX_RETRY_MS}, found {}", value.kind());
        return Err(Issue::new(expected).into());
    };
    let milliseconds = number.as_u64().and_then(|number| u32::try_from(number).ok());
    milliseconds.filter(|milliseconds| *milliseconds <= MAX_RETRY_MS).ok_or_else(|| {
        let found = number.as_f64();
        Issue::new(format!("expected an integer from 0 to {MAX_RETRY_MS}, found {found}")).into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use durable_event_wire::{parse, to_value};

    #[test]
    fn options_are_read_as_they_are_written() {
        let mut options = PublishOptions::default()
            .to("a")
            .tagged_any(["x", "y"])
            .except("b")
            .retry(7)
            .comment("c")
            .key("once");
        options.set_serialized();
        for options in [PublishOptions::default(), PublishOptions::default().tagged("x"), options] {
            assert_eq!(PublishOptions::read(to_value(&options).unwrap()), Ok(options));
        }
    }

    #[test]
    fn an_issue_names_the_option_and_what_is_expected() {
        for (json, expected) in [
            (r#"{"to":null}"#, "expected a non-empty array of connection ids, found null"),
            (r#"{"tags":[]}"#, "expected a non-empty array of tags, found an empty one"),
            (r#"{"except":["a b"]}"#, "expected a connection id of 1–128 visible ASCII characters"),
        ] {
            let error = PublishOptions::read(parse(Some(json), None).unwrap()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn nobody_is_excepted_by_an_empty_list() {
        let options = PublishOptions::read(parse(Some(r#"{"except":[]}"#), None).unwrap());
        assert_eq!(options, Ok(PublishOptions::default()));
    }

    #[test]
    fn a_retry_that_is_no_delay_is_rejected() {
        for number in [f64::NAN, f64::INFINITY, -1.0, 1.5, 2_147_483_648.0, 9_007_199_254_740_993.0, 1e300] {
            let options = Value::from(durable_event_wire::Object::from_iter([("retry", number)]));
            let error = PublishOptions::read(options).unwrap_err().to_string();
            assert!(
                error.contains("an integer from 0 to 2147483647") && error.ends_with("/retry"),
                "{error}"
            );
        }
        let longest = PublishOptions::read(parse(Some(r#"{"retry":2147483647}"#), None).unwrap()).unwrap();
        assert!(longest.meta().is_ok());
        assert!(PublishOptions::default().retry(u32::MAX).meta().is_err());
    }

    #[test]
    fn a_misspelt_option_is_refused() {
        for json in [
            r#"{"tag":["staff"]}"#,
            r#"{"taggs":["staff"]}"#,
            r#"{"To":["a"]}"#,
            r#"{"to":"a"}"#,
            r#"{"to":null}"#,
            r#"{"to":{}}"#,
            r#"{"to":{"tags":[]}}"#,
            r#"{"to":[]}"#,
            r#"{"to":[null]}"#,
            r#"{"to":[""]}"#,
            r#"{"to":["a b"]}"#,
            r#"{"tags":null}"#,
            r#"{"tags":[]}"#,
            r#"{"tags":[1]}"#,
            r#"{"tags":[""]}"#,
            r#"{"except":null}"#,
            r#"{"except":"a"}"#,
            r#"{"except":["ü"]}"#,
            r#"{"key":null}"#,
            r#"{"key":7}"#,
            "[]",
            "null",
        ] {
            assert!(PublishOptions::read(parse(Some(json), None).unwrap()).is_err(), "{json}");
        }
    }
}
