//! The options of `stub.publish` and `stub.publishBatch`, as one Worker sends them to another.

pub(crate) mod removal;

use super::{
    Audience, PublishOptions,
    audience::AudienceRule,
    batch::{BATCH_EVENTS, check_count},
    event_body,
    publish_options::milliseconds,
};
use crate::error::Error;
use durable_event_token::{ConnectionId, limits::TAG_BYTES};
use durable_event_wire::{InvalidInput, Issue, MAX_RETRY_MS, Object, Serialized, Value, parse};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::time::Duration;

/// The second argument of `stub.publish`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RpcOptions {
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
    idempotency_key: Option<String>,
    /// True if [`ChannelStub`](crate::ChannelStub) publishes: the event is `{ json, meta }`, in oRPC's serialized form.
    #[serde(skip_serializing_if = "is_false")]
    serialized: bool,
}

fn is_false(value: &bool) -> bool {
    !value
}

impl RpcOptions {
    /// Reads the options that a Worker has passed.
    pub(crate) fn read(value: Value) -> Result<Self, InvalidInput> {
        let mut fields = object(value)?;
        let serialized = optional(&mut fields, "serialized", boolean)?.unwrap_or_default();
        // In JavaScript an empty list is rejected as a mistake; in Rust it addresses nobody.
        let is_allowed = |names: &[String]| serialized || !names.is_empty();
        let options = Self {
            to: given(&mut fields, "to", |value| {
                names(value, CONNECTION_IDS, is_connection_id).and_then(not_empty(CONNECTION_IDS, is_allowed))
            })?,
            tags: given(&mut fields, "tags", |value| {
                names(value, TAGS, is_tag).and_then(not_empty(TAGS, is_allowed))
            })?,
            except: given(&mut fields, "except", |value| names(value, CONNECTION_IDS, is_connection_id))?
                .unwrap_or_default(),
            retry: optional(&mut fields, "retry", retry)?,
            comments: optional(&mut fields, "comments", strings)?.unwrap_or_default(),
            idempotency_key: given(&mut fields, "idempotencyKey", string)?,
            serialized,
        };
        // A misspelt audience must not become "everyone".
        nothing_else(&fields, "to, tags, except, retry, comments, idempotencyKey, serialized")?;
        Ok(options)
    }

    pub(crate) fn is_serialized(&self) -> bool {
        self.serialized
    }
}

impl From<&PublishOptions> for RpcOptions {
    /// Leaves out sockets without a connection id, which another Durable Object cannot identify.
    fn from(options: &PublishOptions) -> Self {
        let PublishOptions { audience, retry, comments, idempotency_key } = options;
        let (to, tags, except) = audience.rule.parts();
        Self {
            to: to.map(<[_]>::to_vec),
            tags: tags.map(<[_]>::to_vec),
            except: except.to_vec(),
            retry: retry.map(milliseconds),
            comments: comments.clone(),
            idempotency_key: idempotency_key.clone(),
            serialized: true,
        }
    }
}

impl From<RpcOptions> for PublishOptions {
    fn from(options: RpcOptions) -> Self {
        let RpcOptions { to, tags, except, retry, comments, idempotency_key, .. } = options;
        let mut rule = AudienceRule::everyone();
        if let Some(to) = to {
            rule = rule.only_to(to);
        }
        if let Some(tags) = tags {
            rule = rule.only_tagged(tags);
        }
        let audience = Audience::from_rule(rule.except(except));
        let retry = retry.map(|milliseconds| Duration::from_millis(milliseconds.into()));
        Self { audience, retry, comments, idempotency_key }
    }
}

/// The arguments of `stub.publishBatch`, as [`ChannelStub`](crate::ChannelStub) passes them.
pub(crate) struct BatchCall {
    pub(crate) events: Vec<SerializedEvent>,
    pub(crate) options: Vec<RpcOptions>,
}

/// An event in oRPC's serialized form.
#[derive(Serialize)]
pub(crate) struct SerializedEvent {
    #[serde(skip_serializing_if = "Option::is_none")]
    json: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    meta: Option<String>,
}

impl BatchCall {
    /// Serializes the events of a batch.
    ///
    /// # Errors
    /// An event cannot be serialized.
    pub(crate) fn of<'e, E: Serialize + ?Sized + 'e>(
        events: impl IntoIterator<Item = (&'e E, PublishOptions)>,
    ) -> Result<Self, Error> {
        // One more than a batch may have is enough to reject it.
        let events = events.into_iter().take(BATCH_EVENTS.end().saturating_add(1)).enumerate();
        let (mut serialized, mut all) = (Vec::new(), Vec::new());
        for (at, (event, options)) in events {
            let Serialized { json, meta, .. } = event_body(event).map_err(|error| error.at_event(at))?;
            serialized.push(SerializedEvent { json, meta });
            all.push(RpcOptions::from(&options));
        }
        check_count(serialized.len())?;
        Ok(Self { events: serialized, options: all })
    }
}

/// The body of a request in oRPC's serialized form. oRPC ignores other properties, but here they could be meant as options.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SerializedBody<'a> {
    #[serde(borrow)]
    json: Option<&'a RawValue>,
    #[serde(borrow)]
    meta: Option<&'a RawValue>,
}

impl<'a> SerializedBody<'a> {
    /// Reads a body, with or without a byte order mark.
    ///
    /// # Errors
    /// BAD_REQUEST if it is malformed, or has an unknown property.
    pub(crate) fn read(body: &'a [u8]) -> Result<Self, Error> {
        let text = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
        serde_json::from_slice(text).map_err(|_| Error::malformed_request())
    }

    /// Returns the value.
    ///
    /// # Errors
    /// BAD_REQUEST if it is malformed.
    pub(crate) fn parse(&self) -> Result<Value, Error> {
        let Self { json, meta } = self;
        parse(json.map(RawValue::get), meta.map(RawValue::get)).map_err(Error::malformed)
    }
}

/// Options that restrict the audience or make the publish idempotent. `undefined` is rejected: it must not publish to everyone.
pub(crate) const RESTRICTIONS: [&str; 4] = ["to", "tags", "except", "idempotencyKey"];

/// The expected form of a list, for error messages.
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

/// Reads an optional property. `undefined` and `null` are rejected: such an audience must not become "everyone".
fn given<T>(
    fields: &mut Object,
    key: &str,
    read: impl FnOnce(Value) -> Result<T, InvalidInput>,
) -> Result<Option<T>, InvalidInput> {
    fields.remove(key).map(read).transpose().map_err(|error| error.within(key))
}

/// Reads a list of strings, each of which must satisfy `fits`.
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

fn not_empty(
    expected: Expected,
    is_allowed: impl Fn(&[String]) -> bool,
) -> impl FnOnce(Vec<String>) -> Result<Vec<String>, InvalidInput> {
    move |names| match is_allowed(&names) {
        true => Ok(names),
        false => Err(Issue::new(format!("expected {}, found an empty one", expected.list)).into()),
    }
}

/// Reads a retry delay in milliseconds.
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

/// Reads an object.
fn object(value: Value) -> Result<Object, InvalidInput> {
    match value {
        Value::Object(object) => Ok(object),
        other => Err(expected("an object", &other)),
    }
}

/// Reads an optional property. `undefined` and `null` are the same as a missing property.
fn optional<T>(
    object: &mut Object,
    key: &str,
    read: impl FnOnce(Value) -> Result<T, InvalidInput>,
) -> Result<Option<T>, InvalidInput> {
    match object.remove(key) {
        None | Some(Value::Undefined | Value::Null) => Ok(None),
        Some(value) => read(value).map(Some).map_err(|error| error.within(key)),
    }
}

/// Rejects properties that have not been read, which are unknown.
fn nothing_else(object: &Object, known: &str) -> Result<(), InvalidInput> {
    object.keys().next().map_or(Ok(()), |unknown| {
        Err(Issue::new(format!("unknown property, expected one of {known}")).at(unknown).into())
    })
}

/// Reads a string.
fn string(value: Value) -> Result<String, InvalidInput> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(expected("a string", &other)),
    }
}

/// Reads an array of strings.
fn strings(value: Value) -> Result<Vec<String>, InvalidInput> {
    let Value::Array(items) = value else { return Err(expected("an array", &value)) };
    let mut strings = Vec::with_capacity(items.len());
    for (at, item) in items.into_iter().enumerate() {
        strings.push(string(item).map_err(|error| error.within(at))?);
    }
    Ok(strings)
}

/// Reads a boolean.
fn boolean(value: Value) -> Result<bool, InvalidInput> {
    match value {
        Value::Bool(value) => Ok(value),
        other => Err(expected("a boolean", &other)),
    }
}

fn expected(what: &str, found: &Value) -> InvalidInput {
    Issue::new(format!("expected {what}, found {}", found.kind())).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use durable_event_wire::to_value;

    fn read(json: &str) -> Result<RpcOptions, InvalidInput> {
        RpcOptions::read(parse(Some(json), None).unwrap())
    }

    #[test]
    fn a_serialized_body_has_only_json_and_meta() {
        let read = |body: &str| SerializedBody::read(body.as_bytes()).and_then(|body| body.parse());
        assert_eq!(
            read(r#"{"json":{"n":1},"meta":[]}"#).unwrap(),
            Value::Object(Object::from_iter([("n", Value::from(1_u32))]))
        );
        assert_eq!(read("\u{feff}{\"json\":1}").unwrap(), Value::from(1_u32));
        for body in [
            "",
            "[]",
            "null",
            r#"{"json":1,"to":["a"]}"#,
            r#"{"json":1,"json":2}"#,
            r#"{"json":1,"meta":[[1,"x"]]}"#,
        ] {
            assert_eq!(read(body).unwrap_err().status(), 400, "{body}");
        }
        assert_eq!(SerializedBody::read(b"{\"json\":\"\xff\"}").err().unwrap().status(), 400);
    }

    #[test]
    fn reading_written_options_returns_the_same_options() {
        let audience = Audience::everyone().to("a").tagged_any(["x", "y"]).except_connection("b");
        let all = PublishOptions::new()
            .to(audience)
            .retry(Duration::from_millis(7))
            .comment("c")
            .idempotency_key("once");
        let nobody = Audience::everyone().to_connections::<String>([]).into();
        for options in [PublishOptions::new(), Audience::everyone().tagged("x").into(), nobody, all] {
            let written = RpcOptions::from(&options);
            assert_eq!(RpcOptions::read(to_value(&written).unwrap()), Ok(written.clone()));
            let read = PublishOptions::from(written);
            assert_eq!(read.audience.rule, options.audience.rule);
            assert_eq!((read.retry, &read.comments), (options.retry, &options.comments));
            assert_eq!(read.idempotency_key, options.idempotency_key);
        }
    }

    #[test]
    fn an_issue_states_the_expected_form() {
        for (json, expected) in [
            (r#"{"to":null}"#, "expected a non-empty array of connection ids, found null"),
            (r#"{"tags":[]}"#, "expected a non-empty array of tags, found an empty one"),
            (r#"{"except":["a b"]}"#, "expected a connection id of 1–128 visible ASCII characters"),
        ] {
            let error = read(json).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn an_empty_list_of_exclusions_is_accepted() {
        let options = read(r#"{"except":[]}"#);
        assert_eq!(options, Ok(RpcOptions::default()));
    }

    #[test]
    fn an_invalid_retry_delay_is_rejected() {
        for number in [f64::NAN, f64::INFINITY, -1.0, 1.5, 2_147_483_648.0, 9_007_199_254_740_993.0, 1e300] {
            let options = Value::from(durable_event_wire::Object::from_iter([("retry", number)]));
            let error = RpcOptions::read(options).unwrap_err().to_string();
            assert!(
                error.contains("an integer from 0 to 2147483647") && error.ends_with("/retry"),
                "{error}"
            );
        }
        let longest = PublishOptions::from(read(r#"{"retry":2147483647}"#).unwrap());
        assert!(longest.meta().is_ok());
        assert!(longest.retry(Duration::from_millis(2_147_483_648)).meta().is_err());
    }

    #[test]
    fn misspelt_and_invalid_options_are_rejected() {
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
            r#"{"idempotencyKey":null}"#,
            r#"{"idempotencyKey":7}"#,
            r#"{"key":"a"}"#,
            "[]",
            "null",
        ] {
            assert!(read(json).is_err(), "{json}");
        }
    }
}
