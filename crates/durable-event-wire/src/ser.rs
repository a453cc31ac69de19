//! Serialization of any `Serialize` type to JSON text and meta, in one pass without an intermediate tree.

mod key;

use std::{any::TypeId, fmt};

use serde::{
    Serialize, Serializer,
    ser::{
        self, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
        SerializeTupleStruct, SerializeTupleVariant,
    },
};

use self::key::KeyWriter;
use super::{
    Blob, MAX_DEPTH, Value,
    tag::{self, Tag, tag_of},
    text::{push_f32, push_f64, push_integer, push_string},
    value::handover,
};

/// The struct name by which serde_json's `RawValue` identifies itself. Its text is written unchanged.
const RAW_VALUE: &str = "$serde_json::private::RawValue";

/// The serialized form of a value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Serialized {
    /// The JSON text. `None` is undefined.
    pub json: Option<String>,
    /// The JSON text of `meta`, such as `[[1,"a"]]`. `None` if all types are JSON types.
    pub meta: Option<String>,
    /// The blobs, each with the JSON text of its path, such as `["a",0]`.
    pub blobs: Vec<(String, Blob)>,
}

impl Serialized {
    /// Returns whether the root is a plain object or array. Clients attach an event id only to these.
    #[must_use]
    pub fn has_plain_root(&self) -> bool {
        let json = self.json.as_deref().unwrap_or_default();
        json.trim_start_matches([' ', '\t', '\r', '\n']).starts_with(['{', '['])
            && !self.meta.as_deref().is_some_and(names_the_root)
    }
}

/// Returns whether the last entry of the meta is `[type]` without a path. Then the root is not a plain object or
/// array, but a Map, for example. The entry of the root is always the last one. A string in a path cannot be mistaken
/// for it, since its closing quote would precede `]]`.
fn names_the_root(meta: &str) -> bool {
    meta.strip_suffix("]]").is_some_and(|entries| {
        let before_type = entries.trim_end_matches(|c: char| c.is_ascii_digit());
        before_type.len() < entries.len() && before_type.ends_with('[')
    })
}

/// Serializes a value.
///
/// # Errors
/// The value is nested deeper than 127 levels, or its own `Serialize` fails.
pub fn serialize<T: Serialize + ?Sized>(value: &T) -> Result<Serialized, SerializeError> {
    let mut writer = Writer::default();
    let written = value.serialize(&mut writer)?;
    if !writer.meta.is_empty() {
        writer.meta.push(']');
    }
    Ok(Serialized {
        json: matches!(written, Written::Json).then_some(writer.json),
        meta: (!writer.meta.is_empty()).then_some(writer.meta),
        blobs: writer.blobs,
    })
}

/// Serializes the output of a procedure. `()` becomes undefined, like a JavaScript function without a result.
///
/// # Errors
/// Same as [`serialize`].
pub fn serialize_output<T: Serialize + 'static>(value: &T) -> Result<Serialized, SerializeError> {
    if TypeId::of::<T>() == TypeId::of::<()>() { Ok(Serialized::default()) } else { serialize(value) }
}

/// Converts `value` to the [`Value`] that a client receives.
///
/// # Errors
/// The value cannot be serialized, see [`SerializeError`].
///
/// ```
/// use durable_event_wire::{Value, to_value};
/// assert_eq!(to_value(&[1, 2])?, Value::Array(vec![Value::from(1), Value::from(2)]));
/// # Ok::<(), durable_event_wire::SerializeError>(())
/// ```
pub fn to_value<T: Serialize + ?Sized>(value: &T) -> Result<Value, SerializeError> {
    // Through the wire form, so that its differences (infinities are null) are visible.
    serialize(value)?.into_value().map_err(|error| SerializeError::new(error.to_string()))
}

/// The error of serializing an unsupported value: it is nested deeper than 127 levels, has a map with keys that are
/// not strings, contains an integer beyond 64 bits (use [`BigInt`](super::BigInt)), or its own `Serialize` failed.
///
/// ```
/// let error = durable_event_wire::to_value(&u128::MAX).unwrap_err();
/// assert!(error.to_string().contains("BigInt"));
/// ```
#[derive(Debug)]
pub struct SerializeError {
    reason: String,
}

impl SerializeError {
    fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

impl fmt::Display for SerializeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for SerializeError {}

impl ser::Error for SerializeError {
    fn custom<T: fmt::Display>(reason: T) -> Self {
        Self::new(reason.to_string())
    }
}

/// The result of writing a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    Json,
    /// Nothing was written. The container decides how to represent undefined.
    Undefined,
}

#[derive(Default)]
struct Writer {
    json: String,
    /// The meta without its closing bracket. Empty if there are no entries.
    meta: String,
    path: Vec<Segment>,
    blobs: Vec<(String, Blob)>,
    depth: usize,
    /// The digits of a custom type's number so far.
    custom: u32,
    /// Whether the next string is raw JSON.
    raw: bool,
}

/// A segment of a path. A key is stored as its range in `json`, where it is already escaped.
#[derive(Debug, Clone, Copy)]
enum Segment {
    Key { start: usize, end: usize },
    Index(usize),
}

impl Writer {
    fn enter(&mut self) -> Result<(), SerializeError> {
        if self.depth >= MAX_DEPTH {
            return Err(SerializeError::new(format!("value must be nested at most {MAX_DEPTH} levels deep")));
        }
        self.depth = self.depth.saturating_add(1);
        Ok(())
    }

    fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    fn entry(&mut self, kind: u32) {
        self.meta.push_str(if self.meta.is_empty() { "[[" } else { ",[" });
        push_integer(&mut self.meta, kind);
        push_path(&mut self.meta, &self.json, &self.path, Lead::Comma);
        self.meta.push(']');
    }

    /// Writes undefined where a value is required.
    fn undefined_in_place(&mut self) {
        self.json.push_str("null");
        self.entry(tag::UNDEFINED_TYPE);
    }

    fn blob<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<Written, SerializeError> {
        let start = self.json.len();
        self.enter()?; // the JSON contains an object in its place, which parsers count as a level
        let (result, blob) = handover::capture_blob(|| value.serialize(&mut *self));
        result?;
        self.leave();
        let blob = blob.ok_or_else(|| {
            SerializeError::new("a Blob cannot be serialized in a flattened or internally tagged type")
        })?;
        self.json.truncate(start);
        self.json.push_str("{}");
        let mut path = String::from("[");
        push_path(&mut path, &self.json, &self.path, Lead::None);
        path.push(']');
        self.blobs.push((path, blob));
        Ok(Written::Json)
    }

    fn variant(&mut self, name: &str) -> Result<(), SerializeError> {
        self.enter()?;
        self.json.push('{');
        let start = self.json.len();
        push_string(&mut self.json, name);
        self.path.push(Segment::Key { start, end: self.json.len() });
        self.json.push(':');
        Ok(())
    }

    fn end_variant(&mut self) {
        self.path.pop();
        self.json.push('}');
        self.leave();
    }

    fn array(&mut self) -> Result<Items<'_>, SerializeError> {
        self.enter()?;
        self.json.push('[');
        self.path.push(Segment::Index(0));
        Ok(Items { writer: self, count: 0 })
    }

    fn object(&mut self) -> Result<Properties<'_>, SerializeError> {
        self.enter()?;
        self.json.push('{');
        Ok(Properties { writer: self, start: 0, separator: "" })
    }
}

/// The text before the first segment of a path.
#[derive(Clone, Copy, PartialEq)]
enum Lead {
    None,
    Comma,
}

fn push_path(out: &mut String, json: &str, path: &[Segment], lead: Lead) {
    for (at, segment) in path.iter().enumerate() {
        if at > 0 || lead == Lead::Comma {
            out.push(',');
        }
        match segment {
            Segment::Key { start, end } => out.push_str(json.get(*start..*end).unwrap_or("\"\"")),
            Segment::Index(index) => push_integer(out, *index),
        }
    }
}

/// Implements methods that write an integer.
macro_rules! integers {
    ($($method:ident: $integer:ty),*) => {$(
        fn $method(self, value: $integer) -> Result<Written, SerializeError> {
            push_integer(&mut self.json, value);
            Ok(Written::Json)
        }
    )*};
}

impl<'a> Serializer for &'a mut Writer {
    type Ok = Written;
    type Error = SerializeError;
    type SerializeSeq = Items<'a>;
    type SerializeTuple = Items<'a>;
    type SerializeTupleStruct = Items<'a>;
    type SerializeTupleVariant = VariantItems<'a>;
    type SerializeMap = Properties<'a>;
    type SerializeStruct = Fields<'a>;
    type SerializeStructVariant = VariantProperties<'a>;

    integers! {
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64
    }

    fn serialize_i128(self, value: i128) -> Result<Written, SerializeError> {
        match i64::try_from(value) {
            Ok(value) => self.serialize_i64(value),
            Err(_) => self.serialize_u128(u128::try_from(value).unwrap_or(u128::MAX)),
        }
    }

    fn serialize_u128(self, value: u128) -> Result<Written, SerializeError> {
        let value = u64::try_from(value)
            .map_err(|_| SerializeError::new("integer is beyond 64 bits; use a BigInt"))?;
        self.serialize_u64(value)
    }

    fn serialize_bool(self, value: bool) -> Result<Written, SerializeError> {
        self.json.push_str(if value { "true" } else { "false" });
        Ok(Written::Json)
    }

    fn serialize_f32(self, value: f32) -> Result<Written, SerializeError> {
        if value.is_finite() {
            push_f32(&mut self.json, value);
            return Ok(Written::Json);
        }
        self.serialize_f64(f64::from(value))
    }

    fn serialize_f64(self, value: f64) -> Result<Written, SerializeError> {
        if value.is_finite() {
            push_f64(&mut self.json, value);
            return Ok(Written::Json);
        }
        // As in oRPC: NaN has a type, the infinities do not.
        self.json.push_str("null");
        if value.is_nan() {
            self.entry(tag::NAN_TYPE);
        }
        Ok(Written::Json)
    }

    fn serialize_char(self, value: char) -> Result<Written, SerializeError> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<Written, SerializeError> {
        if std::mem::take(&mut self.raw) {
            self.json.push_str(value);
        } else {
            push_string(&mut self.json, value);
        }
        Ok(Written::Json)
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<Written, SerializeError> {
        value.serialize(self)
    }

    fn serialize_none(self) -> Result<Written, SerializeError> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Written, SerializeError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<Written, SerializeError> {
        self.json.push_str("null");
        Ok(Written::Json)
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<Written, SerializeError> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<Written, SerializeError> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<Written, SerializeError> {
        let kind = match tag_of(name) {
            None | Some(Tag::Value) => return value.serialize(self),
            Some(Tag::Undefined) => return Ok(Written::Undefined),
            Some(Tag::Blob) => return self.blob(value),
            Some(Tag::CustomDigit(digit)) => {
                let custom =
                    self.custom.checked_mul(10).and_then(|custom| custom.checked_add(u32::from(digit)));
                self.custom = custom.ok_or_else(|| {
                    SerializeError::new("number of a custom type must be at most 4294967295")
                })?;
                return value.serialize(self);
            }
            Some(Tag::BuiltIn(kind)) => {
                value.serialize(&mut *self)?;
                kind
            }
            Some(Tag::Custom) => {
                let kind = std::mem::take(&mut self.custom);
                self.enter()?;
                if value.serialize(&mut *self)? == Written::Undefined {
                    self.undefined_in_place();
                }
                self.leave();
                kind
            }
        };
        // After the content: a container's entry follows the entries of its content.
        self.entry(kind);
        Ok(Written::Json)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Written, SerializeError> {
        self.variant(variant)?;
        if value.serialize(&mut *self)? == Written::Undefined {
            self.undefined_in_place();
        }
        self.end_variant();
        Ok(Written::Json)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Items<'a>, SerializeError> {
        self.array()
    }

    fn serialize_tuple(self, _: usize) -> Result<Items<'a>, SerializeError> {
        self.array()
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Items<'a>, SerializeError> {
        self.array()
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<VariantItems<'a>, SerializeError> {
        self.variant(variant)?;
        self.array().map(VariantItems)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Properties<'a>, SerializeError> {
        self.object()
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Fields<'a>, SerializeError> {
        if name == RAW_VALUE {
            self.raw = true;
            return Ok(Fields::Raw(self));
        }
        self.object().map(Fields::Properties)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<VariantProperties<'a>, SerializeError> {
        self.variant(variant)?;
        self.object().map(VariantProperties)
    }
}

/// An array being written.
struct Items<'a> {
    writer: &'a mut Writer,
    count: usize,
}

impl<'a> Items<'a> {
    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerializeError> {
        if self.count > 0 {
            self.writer.json.push(',');
            if let Some(last) = self.writer.path.last_mut() {
                *last = Segment::Index(self.count);
            }
        }
        self.count = self.count.saturating_add(1);
        if value.serialize(&mut *self.writer)? == Written::Undefined {
            self.writer.undefined_in_place();
        }
        Ok(())
    }

    fn close(self) -> &'a mut Writer {
        self.writer.json.push(']');
        self.writer.path.pop();
        self.writer.leave();
        self.writer
    }
}

/// An object being written.
struct Properties<'a> {
    writer: &'a mut Writer,
    /// The start of the current property, including its comma.
    start: usize,
    separator: &'static str,
}

impl<'a> Properties<'a> {
    fn key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), SerializeError> {
        self.start = self.writer.json.len();
        self.writer.json.push_str(self.separator);
        let start = self.writer.json.len();
        key.serialize(KeyWriter(&mut self.writer.json))?;
        self.writer.path.push(Segment::Key { start, end: self.writer.json.len() });
        self.writer.json.push(':');
        Ok(())
    }

    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerializeError> {
        match value.serialize(&mut *self.writer)? {
            Written::Json => self.separator = ",",
            // The key is removed, too, as in JSON.stringify.
            Written::Undefined => self.writer.json.truncate(self.start),
        }
        self.writer.path.pop();
        Ok(())
    }

    fn close(self) -> &'a mut Writer {
        self.writer.json.push('}');
        self.writer.leave();
        self.writer
    }
}

enum Fields<'a> {
    Properties(Properties<'a>),
    /// The `RawValue` of serde_json, whose only field is the text.
    Raw(&'a mut Writer),
}

struct VariantItems<'a>(Items<'a>);

struct VariantProperties<'a>(Properties<'a>);

impl SerializeSeq for Items<'_> {
    type Ok = Written;
    type Error = SerializeError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerializeError> {
        self.item(value)
    }

    fn end(self) -> Result<Written, SerializeError> {
        self.close();
        Ok(Written::Json)
    }
}

impl SerializeTuple for Items<'_> {
    type Ok = Written;
    type Error = SerializeError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerializeError> {
        self.item(value)
    }

    fn end(self) -> Result<Written, SerializeError> {
        self.close();
        Ok(Written::Json)
    }
}

impl SerializeTupleStruct for Items<'_> {
    type Ok = Written;
    type Error = SerializeError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerializeError> {
        self.item(value)
    }

    fn end(self) -> Result<Written, SerializeError> {
        self.close();
        Ok(Written::Json)
    }
}

impl SerializeTupleVariant for VariantItems<'_> {
    type Ok = Written;
    type Error = SerializeError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerializeError> {
        self.0.item(value)
    }

    fn end(self) -> Result<Written, SerializeError> {
        self.0.close().end_variant();
        Ok(Written::Json)
    }
}

impl SerializeMap for Properties<'_> {
    type Ok = Written;
    type Error = SerializeError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), SerializeError> {
        self.key(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerializeError> {
        self.value(value)
    }

    fn end(self) -> Result<Written, SerializeError> {
        self.close();
        Ok(Written::Json)
    }
}

impl SerializeStruct for Fields<'_> {
    type Ok = Written;
    type Error = SerializeError;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), SerializeError> {
        match self {
            Self::Properties(properties) => {
                properties.key(key)?;
                properties.value(value)
            }
            Self::Raw(writer) => value.serialize(&mut **writer).map(drop),
        }
    }

    fn end(self) -> Result<Written, SerializeError> {
        if let Self::Properties(properties) = self {
            properties.close();
        }
        Ok(Written::Json)
    }
}

impl SerializeStructVariant for VariantProperties<'_> {
    type Ok = Written;
    type Error = SerializeError;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), SerializeError> {
        self.0.key(key)?;
        self.0.value(value)
    }

    fn end(self) -> Result<Written, SerializeError> {
        self.0.close().end_variant();
        Ok(Written::Json)
    }
}

#[cfg(test)]
mod tests;
