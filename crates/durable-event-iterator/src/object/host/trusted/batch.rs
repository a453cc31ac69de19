//! `~publishBatch`, which publishes the batch of an HTTP request.

use super::Host;
use crate::{
    channel::{
        IsChannel, PublishOptions, Published,
        batch::{BatchEvent, MAX_BATCH_BYTES, check_count, shared_key, too_large},
        event_body,
        rpc_options::{RpcOptions, SerializedBody},
    },
    error::{Error, Result},
    object::{
        DurableEventIteratorObject,
        host::rpc_methods::{invalid_options, is_untyped, typed_event},
    },
    runtime::{self, RpcValue},
};
use durable_event_wire::{Issue, Value};
use serde::Serialize;
use serde_json::value::RawValue;

/// Maximum number of values of a batch in oRPC's serialized form, which is read as a whole: one value takes 40 bytes in WASM.
const MAX_VALUES: usize = 1_000_000;

/// The response.
#[derive(Serialize)]
struct Response {
    published: Vec<Published>,
}

impl<O: DurableEventIteratorObject> Host<O> {
    /// Handles `~publishBatch`: returns the published ids as JSON text. The argument is `{ body, serialized, idempotencyKey? }`.
    ///
    /// # Errors
    /// BAD_REQUEST for a malformed body and invalid options, and the errors of [`ChannelCore::publish_batch`](
    /// crate::channel::ChannelCore::publish_batch).
    pub(super) fn publish_http_batch(&self, batch: &RpcValue) -> Result<String> {
        let body = runtime::text_member(batch, "body", MAX_BATCH_BYTES).map_err(|_| too_large())?;
        let body = body.ok_or_else(Error::malformed_request)?;
        let is_serialized = runtime::flag_member(batch, "serialized");
        let key = runtime::text_member(batch, "idempotencyKey", usize::MAX).ok().flatten();
        let items = if is_serialized { Items::read(&body)? } else { Items::read_json(&body)? };
        let mut events = Vec::with_capacity(items.len());
        items.for_each(|at, item| {
            events.push(self.batch_event(item, at, key.as_deref()).map_err(|error| error.at_event(at))?);
            Ok(())
        })?;
        drop(body);
        let published = self.core.publish_batch(&events)?;
        Ok(serde_json::to_string(&Response { published })?)
    }

    /// Reads an item of the array.
    fn batch_event(&self, item: Value, index: usize, shared: Option<&str>) -> Result<BatchEvent> {
        let Value::Object(mut properties) = item else {
            return Err(invalid_options(Issue::new("expected an object { event, … }").into()));
        };
        let event = properties
            .remove("event")
            .ok_or_else(|| invalid_options(Issue::new("expected an event").at("event").into()))?;
        if properties.get("serialized").is_some() {
            return Err(invalid_options(Issue::new("unknown property").at("serialized").into()));
        }
        let options = RpcOptions::read(properties.into()).map_err(invalid_options)?;
        let mut options = PublishOptions::from(options);
        match (shared, &options.idempotency_key) {
            (Some(_), Some(_)) => {
                let issue = Issue::new("expected none, since the request has the header Idempotency-Key");
                return Err(invalid_options(issue.at("idempotencyKey").into()));
            }
            (Some(key), None) => options.idempotency_key = Some(shared_key(key, index)?),
            (None, _) => {}
        }
        let body = match is_untyped::<O>() {
            true => event_body(&event)?,
            false => event_body::<<O::Channel as IsChannel>::Event>(&typed_event::<O>(event)?)?,
        };
        Ok(BatchEvent::new(body, options))
    }
}

/// The items of a batch.
enum Items<'a> {
    /// Each is parsed when its turn comes, so that there is one parsed event at a time.
    Json(Vec<&'a RawValue>),
    Values(Vec<Value>),
}

impl<'a> Items<'a> {
    /// Reads an array of JSON.
    fn read_json(body: &'a str) -> Result<Self> {
        let items: Vec<&RawValue> = serde_json::from_str(body).map_err(|_| Error::malformed_request())?;
        check_count(items.len())?;
        Ok(Self::Json(items))
    }

    /// Reads an array in oRPC's serialized form.
    fn read(body: &str) -> Result<Self> {
        if !has_at_most(body, MAX_VALUES) {
            return Err(too_large());
        }
        let Value::Array(items) = SerializedBody::read(body.as_bytes())?.parse()? else {
            return Err(Error::malformed_request());
        };
        check_count(items.len())?;
        Ok(Self::Values(items))
    }

    const fn len(&self) -> usize {
        match self {
            Self::Json(items) => items.len(),
            Self::Values(items) => items.len(),
        }
    }

    fn for_each(self, mut work: impl FnMut(usize, Value) -> Result<()>) -> Result<()> {
        match self {
            Self::Json(items) => items.into_iter().enumerate().try_for_each(|(at, item)| {
                let item = Value::from_json(item.get().as_bytes());
                work(at, item.map_err(|_| Error::malformed_request().at_event(at))?)
            }),
            Self::Values(items) => items.into_iter().enumerate().try_for_each(|(at, item)| work(at, item)),
        }
    }
}

/// Whether a JSON text contains at most this number of values: one more than its commas, colons and opening brackets outside strings.
fn has_at_most(json: &str, values: usize) -> bool {
    let mut count = 1_usize;
    let mut is_string = false;
    let mut is_escaped = false;
    for byte in json.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_string => is_escaped = true,
            b'"' => is_string = !is_string,
            b',' | b'[' | b'{' if !is_string => count = count.saturating_add(1),
            _ => {}
        }
    }
    count <= values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_outside_strings() {
        assert!(has_at_most("[1,2,3]", 4) && !has_at_most("[1,2,3]", 3));
        assert!(has_at_most(r#"["a,b,[{,\",,,"]"#, 2));
        assert!(has_at_most(r#"[{"a":"\\"},{"b":[]}]"#, 6));
        assert!(!has_at_most(&format!("[{}]", "[],".repeat(1_000)), 1_000));
    }

    #[test]
    fn a_body_must_be_an_array_of_1_to_1000_items() {
        for body in ["", "{}", "null", "[1", "\"x\"", "[]", r#"{"json":[{}]}"#] {
            assert_eq!(Items::read_json(body).err().unwrap().status(), 400, "{body}");
        }
        let many = format!("[{}{{}}]", "{},".repeat(1_000));
        assert_eq!(
            Items::read_json(&many).err().unwrap().public_message(),
            "a batch must have 1–1000 events, got more"
        );
        for body in [
            "",
            "[]",
            "{}",
            r#"{"json":{}}"#,
            r#"{"json":[{}],"to":["a"]}"#,
            r#"{"json":[{}],"meta":[[1,"x"]]}"#,
        ] {
            assert_eq!(Items::read(body).err().unwrap().status(), 400, "{body}");
        }
        assert_eq!(Items::read_json("[{},{}]").unwrap().len(), 2);
        assert_eq!(Items::read(r#"{"json":[{},null],"meta":[[3,1]]}"#).unwrap().len(), 2);
        let values = format!(r#"{{"json":[[{}0]]}}"#, "0,".repeat(MAX_VALUES));
        assert_eq!(Items::read(&values).err().unwrap().status(), 413);
    }
}
