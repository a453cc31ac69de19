//! Parsing of JSON text, meta and blobs into a value.

use super::{
    Blob, MAX_DEPTH, Serialized, Value,
    deserialize_error::DeserializeError,
    json::{Reader, read_json},
    tag::{BIGINT_TYPE, DATE_TYPE, MAP_TYPE, NAN_TYPE, REGEXP_TYPE, SET_TYPE, UNDEFINED_TYPE, URL_TYPE},
};

/// The maximum number of nested custom types at one path. A custom type may directly contain another one (a class
/// serialized through its parent class); longer chains only occur in attacks on the stack.
const MAX_CUSTOM_CHAIN: usize = 8;

/// Parses the two parts of the serialized form. Without `json` the value is undefined.
///
/// # Errors
/// `json` or `meta` is invalid, or the value is nested deeper than [`MAX_DEPTH`] levels.
pub fn parse(json: Option<&str>, meta: Option<&str>) -> Result<Value, DeserializeError> {
    parse_with_blobs(json, meta, None, |_| None)
}

/// Parses the body `{"json":…,"meta":…}`. An empty body is undefined, as in oRPC.
pub(crate) fn parse_body(bytes: &[u8]) -> Result<Value, DeserializeError> {
    if bytes.is_empty() {
        return Ok(Value::Undefined);
    }
    let text =
        str::from_utf8(bytes).map_err(|_| DeserializeError::Envelope("the body must be UTF-8".into()))?;
    let Envelope { json, meta, .. } = Envelope::read(text)?;
    parse(json, meta)
}

/// Parses like [`parse`], with blobs: `maps` is the JSON text of their paths, and `take` returns the blob with a
/// number.
pub(crate) fn parse_with_blobs(
    json: Option<&str>,
    meta: Option<&str>,
    maps: Option<&str>,
    mut take: impl FnMut(usize) -> Option<Blob>,
) -> Result<Value, DeserializeError> {
    let mut root = json.map_or(Ok(Value::Undefined), read_json)?;
    if let Some(maps) = maps.filter(|maps| *maps != "null") {
        each_entry(maps, &mut root, &mut Apply::Blobs(&mut take))?;
    }
    if let Some(meta) = meta.filter(|meta| *meta != "null") {
        let mut customs = 0;
        each_entry(meta, &mut root, &mut Apply::Types { customs: &mut customs })?;
        // Custom types are the only levels that the JSON reader has not counted.
        if customs > 0 && !fits(&root, MAX_DEPTH) {
            return Err(DeserializeError::TooDeep);
        }
    }
    Ok(root)
}

/// Applies all valid entries of `meta`. Where an entry is invalid, the JSON form is kept.
pub(crate) fn read_leniently(mut root: Value, meta: Option<&str>) -> Value {
    let mut reader = Reader::new(meta.unwrap_or_default());
    // An error ends the valid part of the list.
    let _ = reader.items(&mut |reader| {
        let mut entry_reader = Reader::new(reader.raw()?);
        let _ = entry(&mut entry_reader, &mut root, &mut Apply::Types { customs: &mut 0 }, 0);
        Ok::<_, DeserializeError>(())
    });
    root
}

impl Serialized {
    /// Parses the serialized value.
    ///
    /// # Errors
    /// The parts were not created by [`serialize`](crate::serialize).
    pub fn into_value(self) -> Result<Value, DeserializeError> {
        let Self { json, meta, blobs } = self;
        let (paths, blobs): (Vec<String>, Vec<Blob>) = blobs.into_iter().unzip();
        let maps = (!paths.is_empty()).then(|| format!("[{}]", paths.join(",")));
        let mut blobs = blobs.into_iter();
        parse_with_blobs(json.as_deref(), meta.as_deref(), maps.as_deref(), |_| blobs.next())
    }
}

/// The members of a serialized body as raw JSON texts. Other members are ignored.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Envelope<'a> {
    pub(crate) json: Option<&'a str>,
    pub(crate) meta: Option<&'a str>,
    pub(crate) maps: Option<&'a str>,
}

impl<'a> Envelope<'a> {
    pub(crate) fn read(text: &'a str) -> Result<Self, DeserializeError> {
        let mut reader = Reader::new(text);
        let envelope = Self::read_from(&mut reader).and_then(|envelope| reader.end().map(|()| envelope));
        envelope.map_err(|error| DeserializeError::Envelope(error.to_string()))
    }

    pub(crate) fn read_from(reader: &mut Reader<'a>) -> Result<Self, DeserializeError> {
        let mut envelope = Self::default();
        reader.members(&mut |reader, key| {
            let value = reader.raw()?;
            match key {
                "json" => envelope.json = Some(value),
                "meta" => envelope.meta = Some(value),
                "maps" => envelope.maps = Some(value),
                _ => {}
            }
            Ok::<_, DeserializeError>(())
        })?;
        Ok(envelope)
    }
}

/// How entries of `maps` or `meta` change the value. Entries are applied while they are read, so that none are
/// stored.
enum Apply<'a> {
    /// Each entry is a path; the index of the entry is the number of the blob.
    Blobs(&'a mut dyn FnMut(usize) -> Option<Blob>),
    /// Each entry is a type and a path. Counts the custom types.
    Types { customs: &'a mut usize },
}

fn each_entry(text: &str, root: &mut Value, apply: &mut Apply<'_>) -> Result<(), DeserializeError> {
    let meta = |error| match error {
        DeserializeError::Json { .. } => DeserializeError::Meta(error.to_string()),
        other => other,
    };
    let mut reader = Reader::new(text);
    let mut number = 0_usize;
    reader
        .items(&mut |reader| {
            entry(reader, root, apply, number)?;
            number = number.saturating_add(1);
            Ok(())
        })
        .and_then(|()| reader.end())
        .map_err(meta)
}

fn entry(
    reader: &mut Reader<'_>,
    root: &mut Value,
    apply: &mut Apply<'_>,
    number: usize,
) -> Result<(), DeserializeError> {
    let mut kind = None;
    // The value at the path so far.
    let mut place = Some(root);
    reader.items(&mut |reader| {
        if kind.is_none() && matches!(apply, Apply::Types { .. }) {
            let number = u32::try_from(reader.unsigned()?);
            kind = Some(number.map_err(|_| DeserializeError::Meta("an entry has no type number".into()))?);
            return Ok(());
        }
        let child = match (reader.kind(), place.take()) {
            // Only own properties and items, never inherited ones as in JavaScript.
            (Some(b'"'), Some(Value::Object(object))) => object.get_mut(&reader.text()?),
            (Some(b'"'), _) => reader.text().map(|_| None)?,
            (_, Some(Value::Array(items))) => index(reader)?.and_then(|index| items.get_mut(index)),
            _ => index(reader).map(|_| None)?,
        };
        place = Some(child.ok_or(DeserializeError::NoSuchPath)?);
        Ok(())
    })?;
    let place = place.ok_or(DeserializeError::NoSuchPath)?;
    match apply {
        Apply::Types { customs } => {
            let kind = kind.ok_or_else(|| DeserializeError::Meta("an entry has no type number".into()))?;
            revive(kind, place, customs)
        }
        Apply::Blobs(take) => {
            *place = Value::Blob(take(number).ok_or(DeserializeError::NoSuchBlob { number })?);
            Ok(())
        }
    }
}

fn index(reader: &mut Reader<'_>) -> Result<Option<usize>, DeserializeError> {
    reader.unsigned().map(|index| usize::try_from(index).ok())
}

/// Replaces the JSON form in `place` by a value of type `kind`.
fn revive(kind: u32, place: &mut Value, customs: &mut usize) -> Result<(), DeserializeError> {
    let wrong = || DeserializeError::WrongForm { kind };
    // After an error `place` is unchanged.
    *place = match (kind, &mut *place) {
        (BIGINT_TYPE, Value::String(text)) => Value::BigInt(text.parse().map_err(|_| wrong())?),
        (DATE_TYPE, Value::String(text)) => Value::Date(text.parse().map_err(|_| wrong())?),
        (DATE_TYPE, Value::Null) => Value::Date(super::Date::INVALID),
        (NAN_TYPE, Value::Null) => Value::from(f64::NAN),
        (UNDEFINED_TYPE, Value::Null | Value::Undefined) => Value::Undefined,
        (URL_TYPE, Value::String(text)) => Value::Url(text.parse().map_err(|_| wrong())?),
        (REGEXP_TYPE, Value::String(text)) => Value::RegExp(text.parse().map_err(|_| wrong())?),
        (SET_TYPE, Value::Array(items)) => Value::Set(std::mem::take(items)),
        (MAP_TYPE, Value::Array(items)) => {
            if !items.iter().all(|item| matches!(item, Value::Array(pair) if pair.len() == 2)) {
                return Err(wrong());
            }
            let pairs = std::mem::take(items).into_iter().filter_map(|item| match item {
                Value::Array(pair) => <[Value; 2]>::try_from(pair).map(<(Value, Value)>::from).ok(),
                _ => None,
            });
            Value::Map(pairs.collect())
        }
        (BIGINT_TYPE..=MAP_TYPE, _) => return Err(wrong()),
        (number, content) => {
            if chain(content) >= MAX_CUSTOM_CHAIN {
                return Err(DeserializeError::TooDeep);
            }
            *customs = customs.saturating_add(1);
            Value::Custom(number, Box::new(std::mem::take(content)))
        }
    };
    Ok(())
}

/// Returns the number of directly nested custom types.
fn chain(value: &Value) -> usize {
    let mut value = value;
    let mut length = 0_usize;
    while let Value::Custom(_, content) = value {
        length = length.saturating_add(1);
        value = content;
    }
    length
}

/// Returns whether a value has at most this many levels.
fn fits(value: &Value, levels: usize) -> bool {
    let within = |value: &Value| levels.checked_sub(1).is_some_and(|levels| fits(value, levels));
    match value {
        Value::Array(items) | Value::Set(items) => levels > 0 && items.iter().all(within),
        Value::Map(pairs) => {
            levels > 0
                && pairs.iter().all(|(key, value)| {
                    levels.checked_sub(2).is_some_and(|levels| fits(key, levels) && fits(value, levels))
                })
        }
        Value::Object(object) => levels > 0 && object.iter().all(|(_, value)| within(value)),
        Value::Custom(_, content) => within(content),
        _ => true,
    }
}

#[cfg(test)]
mod tests;
