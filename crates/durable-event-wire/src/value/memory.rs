//! Estimates of the memory of values.

use std::mem::size_of;

use super::{Object, Value};

/// The overhead of an allocation in bytes: its header and rounding.
const ALLOCATION: usize = 16;

impl Value {
    /// Estimates the memory of the value in bytes. A small message can contain many values: two bytes of JSON (`0,`)
    /// may need twenty times as much memory.
    #[must_use]
    pub fn memory(&self) -> usize {
        size_of::<Self>().saturating_add(self.heap())
    }

    /// Estimates the memory of the value without its inline size.
    fn heap(&self) -> usize {
        match self {
            Self::Undefined | Self::Null | Self::Bool(_) | Self::Number(_) | Self::Date(_) => 0,
            Self::String(text) => allocation(text.capacity()),
            Self::BigInt(number) => allocation(number.as_str().len()),
            Self::Url(url) => allocation(url.as_str().len()),
            Self::RegExp(expression) => allocation(expression.as_str().len()),
            Self::Array(items) | Self::Set(items) => {
                slots::<Self>(items.capacity()).saturating_add(sum(items.iter().map(Self::heap)))
            }
            Self::Map(pairs) => {
                let heaps = pairs.iter().map(|(key, value)| key.heap().saturating_add(value.heap()));
                slots::<(Self, Self)>(pairs.capacity()).saturating_add(sum(heaps))
            }
            Self::Object(object) => object.heap(),
            Self::Blob(blob) => {
                let texts = [blob.bytes().len(), blob.get_content_type().len()];
                let name = blob.get_name().map_or(0, str::len);
                sum(texts.into_iter().chain([name]).map(allocation))
            }
            Self::Custom(_, content) => ALLOCATION.saturating_add(content.memory()),
        }
    }
}

impl Object {
    fn heap(&self) -> usize {
        let (entries, index) = self.capacities();
        let heaps = self.iter().map(|(key, value)| allocation(key.len()).saturating_add(value.heap()));
        slots::<(String, Value)>(entries).saturating_add(slots::<u32>(index)).saturating_add(sum(heaps))
    }
}

/// Returns the size of an allocation for this many items.
fn slots<T>(capacity: usize) -> usize {
    allocation(capacity.saturating_mul(size_of::<T>()))
}

/// Returns the size of an allocation. Zero bytes need no allocation.
const fn allocation(bytes: usize) -> usize {
    if bytes == 0 { 0 } else { bytes.saturating_add(ALLOCATION) }
}

fn sum(bytes: impl Iterator<Item = usize>) -> usize {
    bytes.fold(0, usize::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

    /// `Object` is the largest variant. Values must be small because a client's message may contain very many.
    #[test]
    fn a_value_is_no_larger_than_an_object() {
        assert!(size_of::<Value>() <= size_of::<Object>().next_multiple_of(8), "{}", size_of::<Value>());
    }

    fn memory(json: &str) -> usize {
        parse(Some(json), None).unwrap().memory()
    }

    #[test]
    fn a_string_needs_memory_for_its_length() {
        let text = format!("{:?}", "x".repeat(100_000));
        assert!((100_000..110_000).contains(&memory(&text)));
    }

    #[test]
    fn many_small_values_need_more_memory_than_their_text() {
        let many = |item: &str| format!("[{}]", vec![item; 10_000].join(","));
        let value = size_of::<Value>();
        for (item, least) in [
            ("0", value),
            ("[]", value),
            ("[0]", 5 * value),
            (r#"{"":0}"#, value + 4 * size_of::<(String, Value)>()),
        ] {
            let json = many(item);
            assert!(memory(&json) >= 10_000 * least, "{item}: {}", memory(&json));
        }
    }
}
