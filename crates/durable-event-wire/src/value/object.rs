//! JavaScript objects.

use std::fmt;

use super::Value;
use crate::order::ordered;

/// The number of keys up to which a lookup compares every key. Larger objects have a sorted index, so that a client's
/// object with very many keys does not take quadratic time.
const INDEXED_FROM: usize = 16;

/// An object's properties in insertion order. Keys are unique: a repeated key keeps its first position and its last
/// value, as in JavaScript.
///
/// ```
/// use durable_event_wire::{Object, Value};
/// let mut object: Object = [("a", 1), ("b", 2)].into_iter().collect();
/// object.insert("a", 3);
/// assert_eq!(object.get("a"), Some(&Value::from(3)));
/// assert_eq!(object.keys().collect::<Vec<_>>(), ["a", "b"]);
/// ```
#[derive(Clone, Default)]
pub struct Object {
    entries: Vec<(String, Value)>,
    /// The positions of the entries, sorted by key. Empty for small objects.
    index: Vec<u32>,
}

impl Object {
    /// Creates an object without properties.
    ///
    /// ```
    /// assert!(durable_event_wire::Object::new().is_empty());
    /// ```
    #[must_use]
    pub const fn new() -> Self {
        Self { entries: Vec::new(), index: Vec::new() }
    }

    /// Returns the number of properties.
    ///
    /// ```
    /// assert_eq!(durable_event_wire::Object::new().len(), 0);
    /// ```
    #[must_use]
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether the object has no properties.
    ///
    /// ```
    /// assert!(durable_event_wire::Object::new().is_empty());
    /// ```
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the value of `key`.
    ///
    /// ```
    /// assert!(durable_event_wire::Object::new().get("a").is_none());
    /// ```
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entries.get(self.find(key).ok()?).map(|(_, value)| value)
    }

    /// Returns a mutable reference to the value of `key`.
    ///
    /// ```
    /// use durable_event_wire::{Object, Value};
    /// let mut object: Object = [("a", 1)].into_iter().collect();
    /// *object.get_mut("a").unwrap() = Value::Null;
    /// assert_eq!(object.get("a"), Some(&Value::Null));
    /// ```
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        let at = self.find(key).ok()?;
        self.entries.get_mut(at).map(|(_, value)| value)
    }

    /// Sets the value of `key` and returns the previous value.
    ///
    /// ```
    /// use durable_event_wire::{Object, Value};
    /// let mut object = Object::new();
    /// assert_eq!(object.insert("a", 1), None);
    /// assert_eq!(object.insert("a", true), Some(Value::from(1)));
    /// ```
    pub fn insert(&mut self, key: impl Into<String>, value: impl Into<Value>) -> Option<Value> {
        let (key, value) = (key.into(), value.into());
        match self.find(&key) {
            Ok(at) => self.entries.get_mut(at).map(|(_, old)| std::mem::replace(old, value)),
            Err(place) => {
                let at = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
                self.entries.push((key, value));
                match place {
                    Some(place) => self.index.insert(place, at),
                    None if self.entries.len() > INDEXED_FROM => self.build_index(),
                    None => {}
                }
                None
            }
        }
    }

    /// Removes `key` and returns its value.
    ///
    /// ```
    /// use durable_event_wire::{Object, Value};
    /// let mut object: Object = [("a", 1)].into_iter().collect();
    /// assert_eq!(object.remove("a"), Some(Value::from(1)));
    /// assert!(object.is_empty());
    /// ```
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let at = self.find(key).ok()?;
        let (_, value) = self.entries.remove(at);
        self.index.clear();
        if self.entries.len() > INDEXED_FROM {
            self.build_index();
        }
        Some(value)
    }

    /// Iterates over the properties in order.
    ///
    /// ```
    /// let object: durable_event_wire::Object = [("a", 1)].into_iter().collect();
    /// assert_eq!(object.iter().count(), 1);
    /// ```
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.entries.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Iterates over the keys in order.
    ///
    /// ```
    /// let object: durable_event_wire::Object = [("b", 1), ("a", 2)].into_iter().collect();
    /// assert_eq!(object.keys().collect::<Vec<_>>(), ["b", "a"]);
    /// ```
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &str> {
        self.entries.iter().map(|(key, _)| key.as_str())
    }

    /// Returns the capacities of the entries and of the index.
    pub(super) const fn capacities(&self) -> (usize, usize) {
        (self.entries.capacity(), self.index.capacity())
    }

    /// Creates an object from entries that may contain repeated keys.
    pub(crate) fn from_entries(mut entries: Vec<(String, Value)>) -> Self {
        if entries.len() <= INDEXED_FROM && !has_repeated(&entries) {
            return Self { entries, index: Vec::new() };
        }
        // Sorted by key, then by position. Of each run of equal keys, the first position and the last value are kept.
        let order = ordered(entries.iter().map(first));
        let runs = order.chunk_by(|(a, _), (b, _)| a == b).filter(|run| run.len() > 1);
        let repeated: Vec<Vec<usize>> =
            runs.map(|run| run.iter().map(|(_, place)| *place).collect()).collect();
        let mut superseded = vec![false; if repeated.is_empty() { 0 } else { entries.len() }];
        for run in repeated {
            if let [head, others @ .., tail] = run.as_slice() {
                let last = entries.get_mut(*tail).map(|(_, value)| std::mem::take(value));
                if let (Some(entry), Some(last)) = (entries.get_mut(*head), last) {
                    entry.1 = last;
                }
                for at in others.iter().chain([tail]) {
                    if let Some(mark) = superseded.get_mut(*at) {
                        *mark = true;
                    }
                }
            }
        }
        if !superseded.is_empty() {
            let mut marks = superseded.into_iter();
            entries.retain(|_| !marks.next().unwrap_or_default());
        }
        let mut object = Self { entries, index: Vec::new() };
        if object.entries.len() > INDEXED_FROM {
            object.build_index();
        }
        object
    }

    fn build_index(&mut self) {
        let order = ordered(self.entries.iter().map(first));
        self.index = order.into_iter().map(|(_, at)| u32::try_from(at).unwrap_or(u32::MAX)).collect();
    }

    /// Returns the position of `key`.
    ///
    /// # Errors
    /// There is no such key. The error is the index position at which to insert it, or `None` without an index.
    fn find(&self, key: &str) -> Result<usize, Option<usize>> {
        if self.index.is_empty() {
            return self.entries.iter().position(|(other, _)| other == key).ok_or(None);
        }
        let place =
            self.index.binary_search_by(|at| key_at(&self.entries, *at).cmp(&Some(key))).map_err(Some)?;
        self.index.get(place).and_then(|at| usize::try_from(*at).ok()).ok_or(None)
    }
}

/// Returns whether a key occurs twice, by comparing all pairs.
fn has_repeated(mut entries: &[(String, Value)]) -> bool {
    while let Some((last, others)) = entries.split_last() {
        if others.iter().any(|(other, _)| *other == last.0) {
            return true;
        }
        entries = others;
    }
    false
}

fn first(entry: &(String, Value)) -> &str {
    &entry.0
}

fn key_at(entries: &[(String, Value)], at: u32) -> Option<&str> {
    entries.get(usize::try_from(at).ok()?).map(first)
}

impl<K: Into<String>, V: Into<Value>> FromIterator<(K, V)> for Object {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        Self::from_entries(entries.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }
}

impl IntoIterator for Object {
    type Item = (String, Value);
    type IntoIter = std::vec::IntoIter<(String, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

/// Compares properties regardless of their order.
impl PartialEq for Object {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().all(|(key, value)| other.get(key) == Some(value))
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_repeated_key_keeps_its_first_position_and_its_last_value() {
        for padding in [0, 100] {
            let mut entries = vec![("a".to_owned(), Value::from(1)), ("b".to_owned(), Value::from(2))];
            entries.extend((0..padding).map(|n| (format!("k{n}"), Value::Null)));
            entries.push(("a".to_owned(), Value::from(3)));
            let object = Object::from_entries(entries);
            assert_eq!(object.keys().take(2).collect::<Vec<_>>(), ["a", "b"]);
            assert_eq!(object.get("a"), Some(&Value::from(3)));
            assert_eq!(object.len(), 2 + padding);
        }
    }

    proptest! {
        #[test]
        fn an_object_behaves_like_a_list_of_pairs(
            start in prop::collection::vec(("[a-d]{0,3}", 0_u8..9), 0..60),
            steps in prop::collection::vec(("[a-d]{0,3}", prop::option::of(0_u8..9)), 0..60),
        ) {
            let mut model: Vec<(String, Value)> = Vec::new();
            let set = |model: &mut Vec<(String, Value)>, key: &str, value: Value| {
                match model.iter_mut().find(|(other, _)| other == key) {
                    Some(entry) => entry.1 = value,
                    None => model.push((key.to_owned(), value)),
                }
            };
            for (key, value) in &start {
                set(&mut model, key, Value::from(*value));
            }
            let mut object: Object = start.into_iter().collect();
            for (key, value) in steps {
                match value {
                    Some(value) => {
                        set(&mut model, &key, Value::from(value));
                        object.insert(key.clone(), value);
                    }
                    None => {
                        model.retain(|(other, _)| *other != key);
                        object.remove(&key);
                    }
                }
                let expected = model.iter().find(|(other, _)| *other == key).map(|(_, value)| value);
                prop_assert_eq!(object.get(&key), expected);
            }
            prop_assert_eq!(object.into_iter().collect::<Vec<_>>(), model);
        }
    }
}
