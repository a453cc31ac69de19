//! Values of any type on the wire.

pub(crate) mod handover;
mod memory;
pub(crate) mod number;
mod object;
mod types;

pub use self::{
    number::Number,
    object::Object,
    types::{
        BigInt, Blob, Custom, Date, InvalidBigInt, InvalidDate, InvalidRegExp, InvalidUrl, Map, RegExp, Set,
        Undefined, Url,
    },
};

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, EnumAccess, MapAccess, SeqAccess, Visitor},
    ser::{SerializeMap, SerializeSeq},
};

use self::handover::take_value;
use crate::tag::{self, digit_name};

/// A value of any type that the wire supports.
///
/// This crate's serializer keeps all types. Other serde formats receive the value's JSON form.
///
/// ```
/// use durable_event_wire::{Date, Object, Value, from_value, to_value};
///
/// let value = Value::from(Object::from_iter([
///     ("text", Value::from("hello")),
///     ("at", Value::from(Date::from_millis(0))),
/// ]));
/// let again: Value = from_value(to_value(&value)?)?;
/// assert_eq!(again, value);
/// assert_eq!(serde_json::to_string(&value)?, r#"{"text":"hello","at":"1970-01-01T00:00:00.000Z"}"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    /// `undefined`. An object's property with this value is not sent.
    #[default]
    Undefined,
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, including NaN.
    Number(Number),
    /// A string.
    String(String),
    /// An array.
    Array(Vec<Value>),
    /// An object.
    Object(Object),
    /// An integer of any size.
    BigInt(BigInt),
    /// A point in time, or the invalid date.
    Date(Date),
    /// A URL.
    Url(Url),
    /// A regular expression.
    RegExp(RegExp),
    /// A set, in insertion order.
    Set(Vec<Value>),
    /// A map, in insertion order.
    Map(Vec<(Value, Value)>),
    /// A file, or bytes without a file name.
    Blob(Blob),
    /// A custom type: its type number, and the value that the client's serializer returned.
    Custom(u32, Box<Value>),
}

impl Value {
    /// Returns the kind of the value in JavaScript terms, such as `a bigint`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Undefined => "undefined",
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
            Self::BigInt(_) => "a bigint",
            Self::Date(_) => "a Date",
            Self::Url(_) => "a URL",
            Self::RegExp(_) => "a RegExp",
            Self::Set(_) => "a Set",
            Self::Map(_) => "a Map",
            Self::Blob(_) => "a Blob",
            Self::Custom(..) => "a custom type",
        }
    }
}

macro_rules! from_parts {
    ($($part:ty => $variant:ident),* $(,)?) => {$(
        impl From<$part> for Value {
            fn from(part: $part) -> Self {
                Self::$variant(part.into())
            }
        }
    )*};
}
from_parts! {
    bool => Bool, &str => String, String => String, Vec<Value> => Array, Object => Object,
    BigInt => BigInt, Date => Date, Url => Url, RegExp => RegExp, Blob => Blob, Number => Number,
    u8 => Number, u16 => Number, u32 => Number, u64 => Number,
    i8 => Number, i16 => Number, i32 => Number, i64 => Number, f32 => Number, f64 => Number,
}

impl From<Undefined> for Value {
    fn from(_: Undefined) -> Self {
        Self::Undefined
    }
}

/// Converts `None` to null.
impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Undefined => Undefined.serialize(serializer),
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(value) => value.serialize(serializer),
            Self::String(value) => serializer.serialize_str(value),
            Self::Array(value) => value.serialize(serializer),
            Self::Object(value) => value.serialize(serializer),
            Self::BigInt(value) => value.serialize(serializer),
            Self::Date(value) => value.serialize(serializer),
            Self::Url(value) => value.serialize(serializer),
            Self::RegExp(value) => value.serialize(serializer),
            Self::Set(value) => serializer.serialize_newtype_struct(tag::SET, value),
            Self::Map(value) => serializer.serialize_newtype_struct(tag::MAP, &Pairs(value)),
            Self::Blob(value) => value.serialize(serializer),
            Self::Custom(number, value) => serialize_custom(*number, &**value, serializer),
        }
    }
}

/// Serializes a custom type: the digits of its number, then its content.
pub(crate) fn serialize_custom<T: Serialize + ?Sized, S: Serializer>(
    number: u32,
    content: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let digits = (0..).map_while(|position| digit_name(number, position)).count();
    Digits { number, position: u32::try_from(digits).ok().and_then(|digits| digits.checked_sub(1)), content }
        .serialize(serializer)
}

/// Serializes the digits of `number` from `position` down to 0, then the content.
struct Digits<'a, T: ?Sized> {
    number: u32,
    position: Option<u32>,
    content: &'a T,
}

impl<T: Serialize + ?Sized> Serialize for Digits<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.position.and_then(|position| Some((position, digit_name(self.number, position)?))) {
            Some((position, name)) => {
                let rest = Digits { position: position.checked_sub(1), ..*self };
                serializer.serialize_newtype_struct(name, &rest)
            }
            None => serializer.serialize_newtype_struct(tag::CUSTOM, self.content),
        }
    }
}

/// Serializes a map as an array of pairs.
struct Pairs<'a>(&'a [(Value, Value)]);

impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut pairs = serializer.serialize_seq(Some(self.0.len()))?;
        for pair in self.0 {
            pairs.serialize_element(pair)?;
        }
        pairs.end()
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.len()))?;
        for (key, value) in self.iter() {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.as_u64(), self.as_i64()) {
            (Some(number), _) => serializer.serialize_u64(number),
            (None, Some(number)) => serializer.serialize_i64(number),
            (None, None) => serializer.serialize_f64(self.as_f64()),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(tag::VALUE, ValueVisitor)
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Object(object) => Ok(object),
            other => Err(de::Error::custom(format_args!("expected an object, found {}", other.kind()))),
        }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Number(number) => Ok(number),
            other => Err(de::Error::custom(format_args!("expected a number, found {}", other.kind()))),
        }
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    /// Called by this crate's deserializer, which hands over the value directly.
    fn visit_enum<A: EnumAccess<'de>>(self, _: A) -> Result<Value, A::Error> {
        take_value().ok_or_else(|| de::Error::custom("expected any value, found an enum"))
    }

    /// Called by other formats.
    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element()? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            object.push(entry);
        }
        Ok(Value::Object(Object::from_entries(object)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_formats_receive_the_json_form() {
        let value = Value::Array(vec![
            Value::Undefined,
            Value::from(BigInt::from(1_u8)),
            Value::Set(vec![Value::from(1)]),
            Value::Map(vec![(Value::from("k"), Value::Custom(21, Box::new(Value::from("v"))))]),
        ]);
        assert_eq!(serde_json::to_string(&value).unwrap(), r#"[null,"1",[1],[["k","v"]]]"#);
    }

    #[test]
    fn plain_json_is_read_from_other_formats() {
        let text = r#"{"a":[null,true,-1,1.5,"x"],"b":{}}"#;
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&value).unwrap(), text);
    }

    #[test]
    fn values_are_created_from_rust_types() {
        assert_eq!(Value::from(None::<bool>), Value::Null);
        assert_eq!(Value::from(Some("x")), Value::String("x".into()));
        assert_eq!(Value::from(2.0), Value::from(2_u8));
        assert_eq!(Value::default(), Value::Undefined);
    }
}
