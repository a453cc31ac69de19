//! JSON text, meta and blobs to a value.

mod path;

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use self::path::Segment;
use super::{
    Blob, MAX_DEPTH, Serialized, Value,
    json::read_json,
    tag::{BIGINT_TYPE, DATE_TYPE, MAP_TYPE, NAN_TYPE, REGEXP_TYPE, SET_TYPE, UNDEFINED_TYPE, URL_TYPE},
};

/// An application's own type may contain another at the same place (a class that is written by way of its parent
/// class). More than this many are not meant, but an attempt at the stack.
const MAX_CUSTOM_CHAIN: usize = 8;

/// The value of these two halves of the serialized form. Without `json` it is undefined.
pub(crate) fn parse(json: Option<&str>, meta: Option<&str>) -> Result<Value, DeserializeError> {
    parse_with_blobs(json, meta, None, |_| None)
}

/// The value of `{"json":…,"meta":…}`. An empty body is undefined, as oRPC has it.
pub(crate) fn parse_body(bytes: &[u8]) -> Result<Value, DeserializeError> {
    if bytes.is_empty() {
        return Ok(Value::Undefined);
    }
    let text = str::from_utf8(bytes).map_err(|_| DeserializeError::Envelope("not in UTF-8".into()))?;
    let Envelope { json, meta, .. } = Envelope::read(text)?;
    parse(json.map(RawValue::get), meta.map(RawValue::get))
}

/// As [`parse`]; `maps` is the JSON text of the blobs' paths, and `take` gives the blob of a number.
pub(crate) fn parse_with_blobs(
    json: Option<&str>,
    meta: Option<&str>,
    maps: Option<&str>,
    mut take: impl FnMut(usize) -> Option<Blob>,
) -> Result<Value, DeserializeError> {
    let mut root = json.map_or(Ok(Value::Undefined), read_json)?;
    if let Some(maps) = maps.filter(|maps| *maps != "null") {
        each_entry(
            maps,
            &mut Entries { root: &mut root, apply: Apply::Blobs(&mut take), count: 0, failed: None },
        )?;
    }
    if let Some(meta) = meta.filter(|meta| *meta != "null") {
        let mut customs = 0;
        let apply = Apply::Types { customs: &mut customs };
        each_entry(meta, &mut Entries { root: &mut root, apply, count: 0, failed: None })?;
        // Own types are the only levels that the JSON's reader has not counted.
        if customs > 0 && !fits(&root, MAX_DEPTH) {
            return Err(DeserializeError::TooDeep);
        }
    }
    Ok(root)
}

/// The value again of what our serializer wrote.
pub(crate) fn read(serialized: Serialized) -> Result<Value, DeserializeError> {
    let Serialized { json, meta, blobs } = serialized;
    let (paths, blobs): (Vec<String>, Vec<Blob>) = blobs.into_iter().unzip();
    let maps = (!paths.is_empty()).then(|| format!("[{}]", paths.join(",")));
    let mut blobs = blobs.into_iter();
    parse_with_blobs(json.as_deref(), meta.as_deref(), maps.as_deref(), |_| blobs.next())
}

/// The parts of a serialized body. Other keys are ignored.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Envelope<'a> {
    pub(crate) json: Option<&'a RawValue>,
    pub(crate) meta: Option<&'a RawValue>,
    pub(crate) maps: Option<&'a RawValue>,
}

impl<'a> Envelope<'a> {
    pub(crate) fn read(text: &'a str) -> Result<Self, DeserializeError> {
        serde_json::from_str(text).map_err(|error| DeserializeError::Envelope(error.to_string()))
    }
}

impl<'de: 'a, 'a> de::Deserialize<'de> for Envelope<'a> {
    /// By hand, since `Option` takes null for nothing, and a derived struct takes arrays.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EnvelopeVisitor;

        impl<'de> Visitor<'de> for EnvelopeVisitor {
            type Value = Envelope<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with json and meta")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Envelope<'de>, A::Error> {
                let mut envelope = Envelope::default();
                while let Some(Segment::Key(key)) = entries.next_key()? {
                    match &*key {
                        "json" => envelope.json = Some(entries.next_value()?),
                        "meta" => envelope.meta = Some(entries.next_value()?),
                        "maps" => envelope.maps = Some(entries.next_value()?),
                        _ => drop(entries.next_value::<de::IgnoredAny>()?),
                    }
                }
                Ok(envelope)
            }
        }

        deserializer.deserialize_map(EnvelopeVisitor)
    }
}

/// Why a serialized value could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DeserializeError {
    /// The JSON is none; `at` is the byte.
    Json { reason: &'static str, at: usize },
    /// It is nested too deeply.
    TooDeep,
    /// What stands around the halves.
    Envelope(String),
    /// `meta` or `maps` is no list of paths.
    Meta(String),
    /// A path leads to nothing that is in the JSON.
    NoSuchPath,
    /// A type cannot be made of the JSON at its place.
    WrongForm { kind: u32 },
    /// A blob is missing, or is none.
    NoSuchBlob { number: usize },
    /// The body is of a form that no procedure takes.
    Unreadable(&'static str),
}

impl fmt::Display for DeserializeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json { reason, at } => write!(f, "not JSON: {reason}, at byte {at}"),
            Self::TooDeep => write!(f, "nested deeper than {MAX_DEPTH} levels"),
            Self::Envelope(reason) => write!(f, "not a serialized value: {reason}"),
            Self::Meta(reason) => write!(f, "not a list of paths: {reason}"),
            Self::NoSuchPath => f.write_str("a path leads to nothing"),
            Self::WrongForm { kind } => write!(f, "a value of type {kind} has another form"),
            Self::NoSuchBlob { number } => write!(f, "blob {number} is missing"),
            Self::Unreadable(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for DeserializeError {}

/// Applies the entries of `meta`, or of `maps`, as they are read, so that none is kept.
struct Entries<'a> {
    root: &'a mut Value,
    apply: Apply<'a>,
    count: usize,
    /// Why it failed, if it did: serde_json's errors cannot carry ours.
    failed: Option<DeserializeError>,
}

enum Apply<'a> {
    /// An entry is a path; its number is the blob's.
    Blobs(&'a mut dyn FnMut(usize) -> Option<Blob>),
    /// An entry is a type and a path.
    Types { customs: &'a mut usize },
}

fn each_entry(text: &str, entries: &mut Entries<'_>) -> Result<(), DeserializeError> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let result = deserializer.deserialize_seq(&mut *entries).and_then(|()| deserializer.end());
    match (entries.failed.take(), result) {
        (Some(failed), _) => Err(failed),
        (None, Err(error)) => Err(DeserializeError::Meta(error.to_string())),
        (None, Ok(())) => Ok(()),
    }
}

impl<'de> Visitor<'de> for &mut Entries<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of paths")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Entry(&mut *self))?.is_some() {
            self.count = self.count.saturating_add(1);
        }
        Ok(())
    }
}

struct Entry<'e, 'a>(&'e mut Entries<'a>);

impl<'de> DeserializeSeed<'de> for Entry<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Entry<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a path")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut segments: A) -> Result<(), A::Error> {
        let kind = match self.0.apply {
            Apply::Blobs(_) => None,
            Apply::Types { .. } => {
                Some(segments.next_element::<u32>()?.ok_or_else(|| de::Error::custom("no type"))?)
            }
        };
        let mut place = &mut *self.0.root;
        while let Some(segment) = segments.next_element::<Segment<'de>>()? {
            match segment.child_of(place) {
                Some(child) => place = child,
                None => {
                    self.0.failed = Some(DeserializeError::NoSuchPath);
                    return Err(de::Error::custom("no such path"));
                }
            }
        }
        let result = match (&mut self.0.apply, kind) {
            (Apply::Types { customs }, Some(kind)) => revive(kind, place, customs),
            (Apply::Types { .. }, None) => Err(DeserializeError::NoSuchPath),
            (Apply::Blobs(take), _) => match take(self.0.count) {
                Some(blob) => {
                    *place = Value::Blob(blob);
                    Ok(())
                }
                None => Err(DeserializeError::NoSuchBlob { number: self.0.count }),
            },
        };
        result.map_err(|failed| {
            let error = de::Error::custom(&failed);
            self.0.failed = Some(failed);
            error
        })
    }
}

/// Makes a value of type `kind` of the JSON in its place.
fn revive(kind: u32, place: &mut Value, customs: &mut usize) -> Result<(), DeserializeError> {
    let wrong = || DeserializeError::WrongForm { kind };
    *place = match (kind, std::mem::take(place)) {
        (BIGINT_TYPE, Value::String(text)) => Value::BigInt(text.parse().map_err(|_| wrong())?),
        (DATE_TYPE, Value::String(text)) => Value::Date(text.parse().map_err(|_| wrong())?),
        (DATE_TYPE, Value::Null) => Value::Date(super::Date::INVALID),
        (NAN_TYPE, Value::Null) => Value::from(f64::NAN),
        (UNDEFINED_TYPE, Value::Null | Value::Undefined) => Value::Undefined,
        (URL_TYPE, Value::String(text)) => Value::Url(text.parse().map_err(|_| wrong())?),
        (REGEXP_TYPE, Value::String(text)) => Value::RegExp(text.parse().map_err(|_| wrong())?),
        (SET_TYPE, Value::Array(items)) => Value::Set(items),
        (MAP_TYPE, Value::Array(items)) => {
            let pairs = items.into_iter().map(|item| match item {
                Value::Array(pair) => {
                    <[Value; 2]>::try_from(pair).map(<(Value, Value)>::from).map_err(|_| wrong())
                }
                _ => Err(wrong()),
            });
            Value::Map(pairs.collect::<Result<_, _>>()?)
        }
        (BIGINT_TYPE..=MAP_TYPE, _) => return Err(wrong()),
        (number, content) => {
            *customs = customs.saturating_add(1);
            let custom = Value::Custom(number, Box::new(content));
            if chain(&custom) > MAX_CUSTOM_CHAIN {
                return Err(DeserializeError::TooDeep);
            }
            custom
        }
    };
    Ok(())
}

/// How many own types stand at one place.
fn chain(value: &Value) -> usize {
    let mut value = value;
    let mut length = 0_usize;
    while let Value::Custom(_, content) = value {
        length = length.saturating_add(1);
        value = content;
    }
    length
}

/// Whether a value has at most so many levels.
fn fits(value: &Value, levels: usize) -> bool {
    let within = |value: &Value| levels.checked_sub(1).is_some_and(|levels| fits(value, levels));
    match value {
        Value::Array(items) | Value::Set(items) => levels > 0 && items.iter().all(within),
        Value::Map(pairs) => {
            levels > 1
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
