//! Conversion of a [`Value`] to any `Deserialize` type.

mod access;
mod key;

use std::fmt;

use serde::{
    Deserializer, Serialize,
    de::{self, DeserializeOwned, Visitor},
};

use self::access::{Entries, Fields, Items, Marker, Pairs, Variant};
use super::{
    InvalidInput, PathSegment, SerializeError, Value,
    ser::serialize,
    tag::{BIGINT_TYPE, DATE_TYPE, MAP_TYPE, REGEXP_TYPE, SET_TYPE, Tag, URL_TYPE, tag_of},
    value::handover,
    value::number::Repr,
};

/// The newtype name by which serde_json's `RawValue` identifies itself. It expects a map with this name as its only
/// key.
const RAW_VALUE: &str = "$serde_json::private::RawValue";

/// Converts a value to a typed value.
///
/// Types are not coerced: a string is not a [`Date`](crate::Date), and a [`Set`](crate::Set) is not a `Vec`. An
/// `Option` accepts undefined, null and a missing property; `()` accepts undefined and null.
///
/// # Errors
/// The value does not match the type. The error contains the expected type and the path.
///
/// ```
/// use durable_event_wire::{Date, Value, from_value, to_value};
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Message { text: String, at: Date }
///
/// let value = to_value(&Message { text: "hello".into(), at: Date::from_millis(0) })?;
/// let message: Message = from_value(value)?;
/// assert_eq!(message.at.millis(), Some(0));
/// assert!(from_value::<Message>(Value::Null).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn from_value<T: DeserializeOwned>(value: Value) -> Result<T, InvalidInput> {
    T::deserialize(ValueDeserializer(value)).map_err(|error| InvalidInput::new(error.message, error.path))
}

/// A mismatch and its path. Containers append their segments, so the path is reversed.
#[derive(Debug)]
struct Mismatch {
    message: String,
    path: Vec<PathSegment>,
}

impl Mismatch {
    fn expected(expected: &dyn de::Expected, found: &'static str) -> Self {
        Self { message: format!("expected {}, found {found}", public_name(expected)), path: Vec::new() }
    }

    fn at(mut self, segment: PathSegment) -> Self {
        self.path.push(segment);
        self
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Mismatch {}

impl de::Error for Mismatch {
    fn custom<T: fmt::Display>(message: T) -> Self {
        let message = message.to_string();
        let matches_none = NO_VARIANT.iter().any(|start| message.starts_with(start));
        let message = if matches_none { NO_ALTERNATIVE.to_owned() } else { message };
        Self { message, path: Vec::new() }
    }

    // The messages never contain the input: it may be large or secret.

    fn invalid_type(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::expected(expected, kind_of(found))
    }

    fn invalid_value(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::expected(
            expected,
            match kind_of(found) {
                "a number" => "a number out of range",
                kind => kind,
            },
        )
    }

    fn invalid_length(length: usize, expected: &dyn de::Expected) -> Self {
        Self::custom(format_args!("expected {}, found {length}", public_name(expected)))
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::custom(format_args!("expected one of {}", expected.join(", ")))
    }

    fn unknown_field(_: &str, expected: &'static [&'static str]) -> Self {
        Self::custom(format_args!("unknown property, expected one of {}", expected.join(", ")))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::custom("missing").at(PathSegment::Key(field.to_owned()))
    }
}

/// The prefixes of serde's messages for an untagged or flattened enum without a matching variant. The enum's name
/// follows.
const NO_VARIANT: [&str; 2] = ["data did not match any variant of untagged enum", "no variant of enum"];
const NO_ALTERNATIVE: &str = "does not match any alternative";

/// Returns the expected type in JavaScript terms, because serde's names of Rust types mean nothing to a client.
fn public_name(expected: &dyn de::Expected) -> String {
    let name = expected.to_string();
    let elements = name.rsplit_once(" with ").map(|(_, elements)| elements);
    let is = |kinds: &[&str]| kinds.iter().any(|kind| name.starts_with(kind));
    if let Some(number) = public_number(&name) {
        number
    } else if is(&["tuple struct ", "tuple variant "]) {
        elements.map_or_else(|| "an array".to_owned(), |elements| format!("an array with {elements}"))
    } else if let Some(size) = name.strip_prefix("a tuple of size ") {
        format!("an array with {size} elements")
    } else if is(&["struct ", "struct variant ", "internally tagged enum ", "adjacently tagged enum "]) {
        "an object".to_owned()
    } else if is(&["enum "]) {
        "a string or an object".to_owned()
    } else if is(&["unit struct ", "unit variant "]) {
        "null".to_owned()
    } else if is(&["newtype struct ", "newtype variant "]) {
        "a value".to_owned()
    } else {
        match name.as_str() {
            "a sequence" => "an array".to_owned(),
            "a map" => "an object".to_owned(),
            "unit" => "null or undefined".to_owned(),
            "option" => "a value or null".to_owned(),
            "any value" => "a value".to_owned(),
            "byte array" => "a Blob".to_owned(),
            "a borrowed string" => "a string".to_owned(),
            "a character" => "a string of one character".to_owned(),
            _ => name,
        }
    }
}

/// Returns the range of a Rust number type by its name: `u8`, `f64`, `a nonzero i32`.
fn public_number(name: &str) -> Option<String> {
    let (name, is_nonzero) = match name.strip_prefix("a nonzero ") {
        Some(name) => (name, true),
        None => (name, false),
    };
    macro_rules! integers {
        ($($integer:ident)*) => {
            match name {
                "f32" | "f64" => return Some("a number".to_owned()),
                $(stringify!($integer) => (i128::from($integer::MIN), $integer::MAX.to_string()),)*
                "usize" => (0, usize::MAX.to_string()),
                "isize" => (isize::MIN as i128, isize::MAX.to_string()),
                "u128" => (0, u128::MAX.to_string()),
                _ => return None,
            }
        };
    }
    let (least, most) = integers!(u8 u16 u32 u64 i8 i16 i32 i64 i128);
    Some(match (is_nonzero, least) {
        (true, 0) => format!("an integer from 1 to {most}"),
        (true, least) => format!("an integer from {least} to {most} except 0"),
        (false, least) => format!("an integer from {least} to {most}"),
    })
}

fn kind_of(found: de::Unexpected<'_>) -> &'static str {
    match found {
        de::Unexpected::Bool(_) => "a boolean",
        // Floats are unexpected only where an integer is expected.
        de::Unexpected::Float(number) if number.is_nan() => "NaN",
        de::Unexpected::Float(number) if number.fract() != 0.0 => "a number with a fraction",
        de::Unexpected::Unsigned(_) | de::Unexpected::Signed(_) | de::Unexpected::Float(_) => "a number",
        de::Unexpected::Char(_) | de::Unexpected::Str(_) => "a string",
        de::Unexpected::Unit | de::Unexpected::Option => "null",
        de::Unexpected::Seq => "an array",
        de::Unexpected::Map => "an object",
        _ => "something else",
    }
}

struct ValueDeserializer(Value);

impl ValueDeserializer {
    fn reject<'de, V: Visitor<'de>>(self, visitor: &V) -> Result<V::Value, Mismatch> {
        Err(Mismatch::expected(visitor, self.0.kind()))
    }

    fn number<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.0 {
            Value::Number(number) => match number.repr() {
                Repr::Unsigned(number) => visitor.visit_u64(number),
                Repr::Negative(number) => visitor.visit_i64(number),
                Repr::Float(number) => visitor.visit_f64(number),
            },
            _ => self.reject(&visitor),
        }
    }

    fn text<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.0 {
            Value::String(text) => visitor.visit_string(text),
            _ => self.reject(&visitor),
        }
    }

    fn items<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.0 {
            Value::Array(items) => Items::visit(items, visitor),
            _ => self.reject(&visitor),
        }
    }

    fn entries<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.0 {
            Value::Object(object) => Entries::visit(object, visitor),
            _ => self.reject(&visitor),
        }
    }

    /// Deserializes one of this crate's types. Its visitor receives the value through a method that no other format
    /// calls.
    fn tagged<'de, V: Visitor<'de>>(self, tag: Tag, visitor: V) -> Result<V::Value, Mismatch> {
        match (tag, self.0) {
            (Tag::Value, value) => {
                handover::put_value(value);
                visitor.visit_enum(Marker)
            }
            (Tag::Blob, value @ Value::Blob(_)) => {
                handover::put_value(value);
                visitor.visit_enum(Marker)
            }
            (Tag::BuiltIn(BIGINT_TYPE), Value::BigInt(number)) => visitor.visit_str(number.as_str()),
            (Tag::BuiltIn(DATE_TYPE), Value::Date(date)) => {
                visitor.visit_i128(date.millis().map_or(i128::MAX, i128::from))
            }
            (Tag::BuiltIn(URL_TYPE), Value::Url(url)) => visitor.visit_str(url.as_str()),
            (Tag::BuiltIn(REGEXP_TYPE), Value::RegExp(expression)) => visitor.visit_str(expression.as_str()),
            (Tag::BuiltIn(SET_TYPE), Value::Set(items)) => {
                visitor.visit_newtype_struct(Self(Value::Array(items)))
            }
            (Tag::BuiltIn(MAP_TYPE), Value::Map(pairs)) => visitor.visit_newtype_struct(Pairs(pairs)),
            (Tag::Custom, Value::Custom(number, content)) => {
                visitor.visit_enum(Variant::custom(number, *content))
            }
            (tag, value) => {
                let expected = match tag {
                    Tag::BuiltIn(SET_TYPE) => "a Set",
                    Tag::BuiltIn(MAP_TYPE) => "a Map",
                    _ => return Self(value).reject(&visitor),
                };
                Err(Mismatch::expected(&expected, value.kind()))
            }
        }
    }

    /// Deserializes the JSON form, for types that accept anything.
    fn json_form<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.0 {
            Value::Undefined | Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(value),
            Value::Number(_) => self.number(visitor),
            Value::String(text) => visitor.visit_string(text),
            Value::Array(items) | Value::Set(items) => Items::visit(items, visitor),
            Value::Object(object) => Entries::visit(object, visitor),
            Value::BigInt(number) => visitor.visit_str(number.as_str()),
            Value::Date(date) if date.millis().is_none() => visitor.visit_unit(),
            Value::Date(date) => visitor.visit_string(date.to_string()),
            Value::Url(url) => visitor.visit_str(url.as_str()),
            Value::RegExp(expression) => visitor.visit_str(expression.as_str()),
            Value::Map(pairs) => Pairs(pairs).visit(visitor),
            Value::Blob(blob) => Fields::visit(blob, visitor),
            Value::Custom(_, content) => Self(*content).json_form(visitor),
        }
    }
}

/// Returns the JSON text of a value that contains only JSON types.
fn json_text(value: &impl Serialize) -> Result<String, Mismatch> {
    let mismatch = |error: SerializeError| de::Error::custom(error);
    let serialized = serialize(value).map_err(mismatch)?;
    match (serialized.json, serialized.meta, serialized.blobs.is_empty()) {
        (Some(json), None, true) => Ok(json),
        _ => Err(de::Error::custom("expected only JSON types")),
    }
}

/// Implements methods that forward to the same inner method.
macro_rules! forward {
    ($inner:ident: $($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
            self.$inner(visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for ValueDeserializer {
    type Error = Mismatch;

    forward! { json_form: deserialize_any }
    forward! {
        number: deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
            deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
            deserialize_f32 deserialize_f64
    }
    forward! { text: deserialize_char deserialize_str deserialize_string deserialize_identifier }
    forward! { items: deserialize_seq }
    forward! { entries: deserialize_map }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.0 {
            Value::Bool(value) => visitor.visit_bool(value),
            _ => self.reject(&visitor),
        }
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.0 {
            Value::Blob(blob) => visitor.visit_byte_buf(blob.into_bytes()),
            _ => self.items(visitor),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.0 {
            Value::Undefined | Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.0 {
            Value::Undefined | Value::Null => visitor.visit_unit(),
            _ => self.reject(&visitor),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        if name == RAW_VALUE {
            return visitor.visit_map(Fields::raw(json_text(&self.0)?));
        }
        match tag_of(name) {
            Some(tag) => self.tagged(tag, visitor),
            None => visitor.visit_newtype_struct(self),
        }
    }

    /// Missing items at the end become undefined, like missing arguments in JavaScript.
    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Mismatch> {
        match self.0 {
            Value::Array(mut items) if items.len() < length => {
                items.resize_with(length, Value::default);
                Self(Value::Array(items)).items(visitor)
            }
            _ => self.items(visitor),
        }
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        self.items(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        self.entries(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        match self.0 {
            Value::String(name) => visitor.visit_enum(Variant::named(name, None)),
            Value::Object(object) => {
                let mut entries = object.into_iter();
                match (entries.next(), entries.next()) {
                    (Some((name, content)), None) => visitor.visit_enum(Variant::named(name, Some(content))),
                    _ => Err(de::Error::custom(
                        "expected an object with one property, named after the variant",
                    )),
                }
            }
            _ => self.reject(&visitor),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_unit()
    }
}

#[cfg(test)]
mod tests;
