//! Converts values of RPC methods to and from oRPC's serialized form.

use super::RpcValue;
use crate::runtime::{Infinity, ItemLimits, JsError, JsWire, NotWire, NotWireAll};
use durable_event_wire::{Serialized, Value, serialize};

/// Returns a text as the result of an RPC method.
pub(crate) fn text(text: String) -> RpcValue {
    Value::String(text)
}

/// Serializes a value of at most `limit` bytes.
pub(crate) fn to_wire(value: &RpcValue, limit: usize, infinity: Infinity) -> Result<JsWire, NotWire> {
    if infinity == Infinity::Error && has_infinity(value) {
        return Err(NotWire::Invalid("numbers must be finite".to_owned()));
    }
    let Serialized { json, meta, blobs } =
        serialize(value).map_err(|error| NotWire::Invalid(error.to_string()))?;
    if !blobs.is_empty() {
        return Err(NotWire::Invalid("A Blob cannot be sent".to_owned()));
    }
    within(limit, JsWire { json, meta })
}

fn has_infinity(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.as_f64().is_infinite(),
        Value::Array(items) => items.iter().any(has_infinity),
        Value::Object(members) => members.iter().any(|(_, value)| has_infinity(value)),
        _ => false,
    }
}

fn within(limit: usize, wire: JsWire) -> Result<JsWire, NotWire> {
    let halves = [&wire.json, &wire.meta].into_iter().flatten();
    let bytes = halves.fold(0_usize, |sum, half| sum.saturating_add(half.len()));
    if bytes > limit { Err(NotWire::TooLarge { limit }) } else { Ok(wire) }
}

/// Reads an event that its publisher has serialized, `{ json, meta? }`.
pub(crate) fn serialized_of(event: &RpcValue, limit: usize) -> Result<JsWire, NotWire> {
    let half = |key: &str| match event {
        Value::Object(halves) => halves.get(key).cloned(),
        _ => None,
    };
    let (json, meta) = match (half("json"), half("meta")) {
        (Some(Value::String(json)), None | Some(Value::Undefined)) => (json, None),
        (Some(Value::String(json)), Some(Value::String(meta))) => (json, Some(meta)),
        _ => {
            let expected = "A serialized event must be { json: string, meta?: string }";
            return Err(NotWire::Invalid(expected.to_owned()));
        }
    };
    within(limit, JsWire { json: Some(json), meta })
}

/// Returns the number of items of an array, or `None` for any other value.
#[expect(clippy::unnecessary_wraps, reason = "on the Workers runtime it may fail")]
pub(crate) fn length_of(values: &RpcValue) -> Result<Option<usize>, JsError> {
    Ok(if let Value::Array(items) = values { Some(items.len()) } else { None })
}

/// Serializes the items of an array. With `is_serialized` they are `{ json, meta? }`.
pub(crate) fn to_wire_all(
    values: &RpcValue,
    limits: ItemLimits,
    is_serialized: bool,
) -> Result<Vec<JsWire>, NotWireAll> {
    let Value::Array(items) = values else { return Ok(Vec::new()) };
    let mut total = 0_usize;
    let mut wires = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let wire = match is_serialized {
            true => serialized_of(item, limits.one),
            false => to_wire(item, limits.one, Infinity::Null),
        };
        let wire = wire.map_err(|reason| NotWireAll { index: Some(index), reason })?;
        let halves = [&wire.json, &wire.meta].into_iter().flatten();
        total = halves.fold(total, |sum, half| sum.saturating_add(half.len()));
        if total > limits.all {
            return Err(NotWireAll { index: None, reason: NotWire::TooLarge { limit: limits.all } });
        }
        wires.push(wire);
    }
    Ok(wires)
}

/// Returns a text of at most `limit` bytes that is a member of an object, or `None` if it is not a text.
pub(crate) fn text_member(object: &RpcValue, name: &str, limit: usize) -> Result<Option<String>, NotWire> {
    let Value::Object(members) = object else { return Ok(None) };
    match members.get(name) {
        Some(Value::String(text)) if text.len() > limit => Err(NotWire::TooLarge { limit }),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        _ => Ok(None),
    }
}

/// Whether a member of an object is true.
pub(crate) fn flag_member(object: &RpcValue, name: &str) -> bool {
    matches!(object, Value::Object(members) if matches!(members.get(name), Some(Value::Bool(true))))
}

/// Returns the value of a serialized one.
///
/// # Errors
/// The value contains a file or blob, which RPC cannot clone.
pub(crate) fn from_wire(value: &Serialized) -> Result<RpcValue, JsError> {
    if !value.blobs.is_empty() {
        return Err(JsError::new("an RPC method cannot return a file or blob"));
    }
    value.clone().into_value().map_err(|error| JsError::new(error.to_string()))
}

/// Returns the first of `names` that is a member of `options` with the value undefined.
#[expect(clippy::unnecessary_wraps, reason = "on the Workers runtime it may fail")]
pub(crate) fn undefined_option(options: &RpcValue, names: &[&str]) -> Result<Option<String>, JsError> {
    let Value::Object(options) = options else { return Ok(None) };
    let is_undefined = |name: &&&str| matches!(options.get(name), Some(Value::Undefined));
    Ok(names.iter().find(is_undefined).map(|name| (*name).to_owned()))
}

/// Does the same for an array of options. Returns the index and the name.
pub(crate) fn undefined_option_in(
    list: &RpcValue,
    names: &[&str],
) -> Result<Option<(usize, String)>, JsError> {
    let Value::Array(list) = list else { return Ok(None) };
    for (index, options) in list.iter().enumerate() {
        if let Some(name) = undefined_option(options, names)? {
            return Ok(Some((index, name)));
        }
    }
    Ok(None)
}
