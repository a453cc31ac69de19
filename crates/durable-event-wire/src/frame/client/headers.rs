//! Headers of a request.

use std::{borrow::Cow, collections::BTreeMap};

use crate::{DeserializeError, json::Reader};

/// The headers of a request, each with a list of values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers<'a>(Vec<(String, Vec<Cow<'a, str>>)>);

impl<'a> Headers<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, DeserializeError> {
        let mut headers = Vec::new();
        reader.members(&mut |reader, name| {
            let mut values = Vec::new();
            match reader.kind() {
                Some(b'n') => drop(reader.raw()?),
                Some(b'[') => reader.items(&mut |reader| {
                    values.push(reader.text()?);
                    Ok::<_, DeserializeError>(())
                })?,
                _ => values.push(reader.text()?),
            }
            headers.push((name.to_owned(), values));
            Ok::<_, DeserializeError>(())
        })?;
        Ok(Self(headers))
    }

    /// Returns the first value of a header. Names are case-insensitive.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let (_, values) = self.0.iter().find(|(other, _)| other.eq_ignore_ascii_case(name))?;
        values.first().map(|value| &**value)
    }

    /// Converts the headers to an owned map, with names in lower case.
    #[must_use]
    pub fn into_map(self) -> BTreeMap<String, Vec<String>> {
        let mut map: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, values) in self.0 {
            map.entry(name.to_ascii_lowercase()).or_default().extend(values.into_iter().map(Cow::into_owned));
        }
        map
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_has_one_or_more_values() {
        let text = r#"{"Last-Event-ID":"1","x":["a","b"],"y":[],"z":null}"#;
        let headers = Headers::read(&mut Reader::new(text)).unwrap();
        assert_eq!(headers.get("last-event-id"), Some("1"));
        assert_eq!(headers.get("x"), Some("a"));
        assert_eq!((headers.get("y"), headers.get("z"), headers.get("w")), (None, None, None));
        let map = headers.into_map();
        assert_eq!(map["last-event-id"], ["1"]);
        assert_eq!(map["x"], ["a", "b"]);
    }
}
