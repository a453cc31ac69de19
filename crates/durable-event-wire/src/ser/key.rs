//! Serialization of object keys.

use std::fmt::Display;

use serde::{Serialize, Serializer, ser::Impossible};

use super::SerializeError;
use crate::text::push_string;

/// Writes a key as a string literal. Integers, booleans and characters are converted to strings, as in serde_json.
pub(super) struct KeyWriter<'a>(pub(super) &'a mut String);

impl KeyWriter<'_> {
    /// Writes the text of a key.
    fn plain(self, key: impl Display) -> Result<(), SerializeError> {
        push_string(self.0, &key.to_string());
        Ok(())
    }
}

fn invalid_key<T>() -> Result<T, SerializeError> {
    Err(SerializeError::new("an object key must be a string; use a Map for other keys"))
}

macro_rules! texts {
    ($($method:ident: $type:ty),*) => {$(
        fn $method(self, key: $type) -> Result<(), SerializeError> {
            self.plain(key)
        }
    )*};
}

impl Serializer for KeyWriter<'_> {
    type Ok = ();
    type Error = SerializeError;
    type SerializeSeq = Impossible<(), SerializeError>;
    type SerializeTuple = Impossible<(), SerializeError>;
    type SerializeTupleStruct = Impossible<(), SerializeError>;
    type SerializeTupleVariant = Impossible<(), SerializeError>;
    type SerializeMap = Impossible<(), SerializeError>;
    type SerializeStruct = Impossible<(), SerializeError>;
    type SerializeStructVariant = Impossible<(), SerializeError>;

    texts! {
        serialize_bool: bool, serialize_char: char,
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64, serialize_i128: i128,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64, serialize_u128: u128
    }

    fn serialize_str(self, key: &str) -> Result<(), SerializeError> {
        push_string(self.0, key);
        Ok(())
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), SerializeError> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        key: &T,
    ) -> Result<(), SerializeError> {
        key.serialize(self)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, key: &T) -> Result<(), SerializeError> {
        key.serialize(self)
    }

    fn serialize_f32(self, _: f32) -> Result<(), SerializeError> {
        invalid_key()
    }

    fn serialize_f64(self, _: f64) -> Result<(), SerializeError> {
        invalid_key()
    }

    fn serialize_bytes(self, _: &[u8]) -> Result<(), SerializeError> {
        invalid_key()
    }

    fn serialize_none(self) -> Result<(), SerializeError> {
        invalid_key()
    }

    fn serialize_unit(self) -> Result<(), SerializeError> {
        invalid_key()
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), SerializeError> {
        invalid_key()
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), SerializeError> {
        invalid_key()
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, SerializeError> {
        invalid_key()
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, SerializeError> {
        invalid_key()
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleStruct, SerializeError> {
        invalid_key()
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, SerializeError> {
        invalid_key()
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, SerializeError> {
        invalid_key()
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeStruct, SerializeError> {
        invalid_key()
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, SerializeError> {
        invalid_key()
    }
}
