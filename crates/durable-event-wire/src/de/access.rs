//! Access to the content of containers. Errors contain the path of the failing part.

use serde::{
    Deserializer,
    de::{
        self, DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess, Visitor,
        value::{StringDeserializer, U32Deserializer},
    },
    forward_to_deserialize_any,
};

use super::{Mismatch, ValueDeserializer, key::KeyDeserializer};
use crate::{Blob, Object, PathSegment, Value};

/// The items of an array.
pub(super) struct Items {
    items: std::vec::IntoIter<Value>,
    at: usize,
}

impl Items {
    pub(super) fn visit<'de, V: Visitor<'de>>(items: Vec<Value>, visitor: V) -> Result<V::Value, Mismatch> {
        let count = items.len();
        let mut items = Self { items: items.into_iter(), at: 0 };
        let value = visitor.visit_seq(&mut items)?;
        if items.items.len() == 0 {
            return Ok(value);
        }
        Err(de::Error::custom(format_args!("expected {} items, found {count}", items.at)))
    }
}

impl<'de> SeqAccess<'de> for &mut Items {
    type Error = Mismatch;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Mismatch> {
        let Some(item) = self.items.next() else { return Ok(None) };
        let at = self.at;
        self.at = at.saturating_add(1);
        seed.deserialize(ValueDeserializer(item))
            .map(Some)
            .map_err(|mismatch| mismatch.at(PathSegment::Index(at)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

/// The properties of an object.
pub(super) struct Entries {
    entries: std::vec::IntoIter<(String, Value)>,
    pending: Option<(String, Value)>,
}

impl Entries {
    pub(super) fn visit<'de, V: Visitor<'de>>(object: Object, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_map(Self { entries: object.into_iter(), pending: None })
    }
}

impl<'de> MapAccess<'de> for Entries {
    type Error = Mismatch;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Mismatch> {
        let Some((key, value)) = self.entries.next() else { return Ok(None) };
        let result = seed.deserialize(KeyDeserializer(&key));
        let result = result.map(Some).map_err(|mismatch| mismatch.at(PathSegment::Key(key.clone())));
        self.pending = Some((key, value));
        result
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Mismatch> {
        let (key, value) = self
            .pending
            .take()
            .ok_or_else(|| <Mismatch as de::Error>::custom("value requested before its key"))?;
        seed.deserialize(ValueDeserializer(value)).map_err(|mismatch| mismatch.at(PathSegment::Key(key)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.entries.len())
    }
}

/// A map as an array of pairs.
pub(super) struct Pairs(pub(super) Vec<(Value, Value)>);

impl Pairs {
    pub(super) fn visit<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        let pairs = self.0.into_iter().map(|(key, value)| Value::Array(vec![key, value])).collect();
        Items::visit(pairs, visitor)
    }
}

impl<'de> Deserializer<'de> for Pairs {
    type Error = Mismatch;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        self.visit(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// Named fields.
pub(super) struct Fields(std::vec::IntoIter<(&'static str, Value)>, Option<Value>);

impl Fields {
    /// Passes the fields of a blob to a visitor that accepts anything.
    pub(super) fn visit<'de, V: Visitor<'de>>(blob: Blob, visitor: V) -> Result<V::Value, Mismatch> {
        let content_type = Value::from(blob.get_content_type());
        let name = Value::from(blob.get_name());
        let bytes = Value::Array(blob.into_bytes().into_iter().map(Value::from).collect());
        let parts = vec![("bytes", bytes), ("contentType", content_type), ("name", name)];
        visitor.visit_map(Self(parts.into_iter(), None))
    }

    /// Returns the map that serde_json's `RawValue` expects: its name is the only key.
    pub(super) fn raw(json: String) -> Self {
        Self(vec![(super::RAW_VALUE, Value::String(json))].into_iter(), None)
    }
}

impl<'de> MapAccess<'de> for Fields {
    type Error = Mismatch;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Mismatch> {
        let Some((key, value)) = self.0.next() else { return Ok(None) };
        self.1 = Some(value);
        seed.deserialize(key.into_deserializer()).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Mismatch> {
        seed.deserialize(ValueDeserializer(self.1.take().unwrap_or_default()))
    }
}

/// Signals a visitor of this crate to take its value from [`handover`](crate::value::handover).
pub(super) struct Marker;

impl<'de> EnumAccess<'de> for Marker {
    type Error = Mismatch;
    type Variant = Content;

    fn variant_seed<V: DeserializeSeed<'de>>(self, _: V) -> Result<(V::Value, Self::Variant), Mismatch> {
        Err(de::Error::custom("this type is read only by its own visitor"))
    }
}

/// An enum: a variant and its content.
pub(super) struct Variant<N> {
    name: N,
    content: Option<Value>,
    segment: Option<PathSegment>,
}

impl Variant<StringDeserializer<Mismatch>> {
    pub(super) fn named(name: String, content: Option<Value>) -> Self {
        let segment = content.is_some().then(|| PathSegment::Key(name.clone()));
        Self { name: name.into_deserializer(), content, segment }
    }
}

impl Variant<U32Deserializer<Mismatch>> {
    /// Creates the variant of a custom type, named by its type number.
    pub(super) fn custom(number: u32, content: Value) -> Self {
        Self { name: number.into_deserializer(), content: Some(content), segment: None }
    }
}

impl<'de, N: Deserializer<'de, Error = Mismatch>> EnumAccess<'de> for Variant<N> {
    type Error = Mismatch;
    type Variant = Content;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Content), Mismatch> {
        Ok((seed.deserialize(self.name)?, Content { value: self.content, segment: self.segment }))
    }
}

/// The content of a variant.
pub(super) struct Content {
    value: Option<Value>,
    segment: Option<PathSegment>,
}

impl Content {
    fn read<T>(self, read: impl FnOnce(ValueDeserializer) -> Result<T, Mismatch>) -> Result<T, Mismatch> {
        read(ValueDeserializer(self.value.unwrap_or_default())).map_err(|mismatch| match self.segment {
            Some(segment) => mismatch.at(segment),
            None => mismatch,
        })
    }
}

impl<'de> VariantAccess<'de> for Content {
    type Error = Mismatch;

    fn unit_variant(self) -> Result<(), Mismatch> {
        self.read(serde::Deserialize::deserialize)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Mismatch> {
        self.read(|content| seed.deserialize(content))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Mismatch> {
        self.read(|content| content.deserialize_seq(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        self.read(|content| content.deserialize_map(visitor))
    }
}
