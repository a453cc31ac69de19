//! How containers hand over what they hold, each failure with its place.

use serde::{
    Deserializer,
    de::{
        self, DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess, Visitor,
        value::{StringDeserializer, U32Deserializer},
    },
    forward_to_deserialize_any,
};

use super::{Misfit, ValueDeserializer, key::KeyDeserializer};
use crate::{Blob, Object, PathSegment, Value};

/// An array's items.
pub(super) struct Items {
    items: std::vec::IntoIter<Value>,
    at: usize,
}

impl Items {
    pub(super) fn visit<'de, V: Visitor<'de>>(items: Vec<Value>, visitor: V) -> Result<V::Value, Misfit> {
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
    type Error = Misfit;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Misfit> {
        let Some(item) = self.items.next() else { return Ok(None) };
        let at = self.at;
        self.at = at.saturating_add(1);
        seed.deserialize(ValueDeserializer(item))
            .map(Some)
            .map_err(|misfit| misfit.at(PathSegment::Index(at)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

/// An object's properties.
pub(super) struct Entries {
    entries: std::vec::IntoIter<(String, Value)>,
    pending: Option<(String, Value)>,
}

impl Entries {
    pub(super) fn visit<'de, V: Visitor<'de>>(object: Object, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_map(Self { entries: object.into_iter(), pending: None })
    }
}

impl<'de> MapAccess<'de> for Entries {
    type Error = Misfit;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Misfit> {
        let Some((key, value)) = self.entries.next() else { return Ok(None) };
        let result = seed.deserialize(KeyDeserializer(&key));
        let result = result.map(Some).map_err(|misfit| misfit.at(PathSegment::Key(key.clone())));
        self.pending = Some((key, value));
        result
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Misfit> {
        let (key, value) =
            self.pending.take().ok_or_else(|| <Misfit as de::Error>::custom("a value without a key"))?;
        seed.deserialize(ValueDeserializer(value)).map_err(|misfit| misfit.at(PathSegment::Key(key)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.entries.len())
    }
}

/// A map, as an array of pairs.
pub(super) struct Pairs(pub(super) Vec<(Value, Value)>);

impl Pairs {
    pub(super) fn visit<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        let pairs = self.0.into_iter().map(|(key, value)| Value::Array(vec![key, value])).collect();
        Items::visit(pairs, visitor)
    }
}

impl<'de> Deserializer<'de> for Pairs {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.visit(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// Named parts.
pub(super) struct Fields(std::vec::IntoIter<(&'static str, Value)>, Option<Value>);

impl Fields {
    /// A blob, for who takes anything.
    pub(super) fn visit<'de, V: Visitor<'de>>(blob: Blob, visitor: V) -> Result<V::Value, Misfit> {
        let content_type = Value::from(blob.get_content_type());
        let name = Value::from(blob.get_name());
        let bytes = Value::Array(blob.into_bytes().into_iter().map(Value::from).collect());
        let parts = vec![("bytes", bytes), ("contentType", content_type), ("name", name)];
        visitor.visit_map(Self(parts.into_iter(), None))
    }

    /// What serde_json's `RawValue` reads: a map whose one key is its name.
    pub(super) fn raw(json: String) -> Self {
        Self(vec![(super::RAW_VALUE, Value::String(json))].into_iter(), None)
    }
}

impl<'de> MapAccess<'de> for Fields {
    type Error = Misfit;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Misfit> {
        let Some((key, value)) = self.0.next() else { return Ok(None) };
        self.1 = Some(value);
        seed.deserialize(key.into_deserializer()).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Misfit> {
        seed.deserialize(ValueDeserializer(self.1.take().unwrap_or_default()))
    }
}

/// Tells a visitor of ours that its value lies ready: see `handover`.
pub(super) struct Marker;

impl<'de> EnumAccess<'de> for Marker {
    type Error = Misfit;
    type Variant = Content;

    fn variant_seed<V: DeserializeSeed<'de>>(self, _: V) -> Result<(V::Value, Self::Variant), Misfit> {
        Err(de::Error::custom("expected a value that lies ready"))
    }
}

/// An enum: a variant and what it holds.
pub(super) struct Variant<N> {
    name: N,
    content: Option<Value>,
    segment: Option<PathSegment>,
}

impl Variant<StringDeserializer<Misfit>> {
    pub(super) fn named(name: String, content: Option<Value>) -> Self {
        let segment = content.is_some().then(|| PathSegment::Key(name.clone()));
        Self { name: name.into_deserializer(), content, segment }
    }
}

impl Variant<U32Deserializer<Misfit>> {
    /// An application's own type, of which the number is the variant.
    pub(super) fn custom(number: u32, content: Value) -> Self {
        Self { name: number.into_deserializer(), content: Some(content), segment: None }
    }
}

impl<'de, N: Deserializer<'de, Error = Misfit>> EnumAccess<'de> for Variant<N> {
    type Error = Misfit;
    type Variant = Content;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Content), Misfit> {
        Ok((seed.deserialize(self.name)?, Content { value: self.content, segment: self.segment }))
    }
}

/// What a variant holds.
pub(super) struct Content {
    value: Option<Value>,
    segment: Option<PathSegment>,
}

impl Content {
    fn read<T>(self, read: impl FnOnce(ValueDeserializer) -> Result<T, Misfit>) -> Result<T, Misfit> {
        read(ValueDeserializer(self.value.unwrap_or_default())).map_err(|misfit| match self.segment {
            Some(segment) => misfit.at(segment),
            None => misfit,
        })
    }
}

impl<'de> VariantAccess<'de> for Content {
    type Error = Misfit;

    fn unit_variant(self) -> Result<(), Misfit> {
        self.read(serde::Deserialize::deserialize)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Misfit> {
        self.read(|content| seed.deserialize(content))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Misfit> {
        self.read(|content| content.deserialize_seq(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        self.read(|content| content.deserialize_map(visitor))
    }
}
