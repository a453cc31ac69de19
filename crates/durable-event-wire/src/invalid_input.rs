//! Validation errors.

use std::fmt;

use serde::{Serialize, Serializer};

/// The error of an input that does not match its type or fails a check.
///
/// ```
/// use durable_event_wire::{Value, from_value};
/// let error = from_value::<Vec<u8>>(Value::Array(vec![Value::from("x")])).unwrap_err();
/// assert_eq!(error.issues()[0].message(), "expected an integer from 0 to 255, found a string");
/// ```
///
/// For cross-field checks, or to report several problems at once, return a list of [`Issue`]s:
///
/// ```
/// use durable_event_wire::{InvalidInput, Issue};
///
/// fn validate(name: &str, age: u32) -> Result<(), InvalidInput> {
///     let mut issues = Vec::new();
///     if name.trim().is_empty() {
///         issues.push(Issue::new("expected a name").at("name"));
///     }
///     if age < 18 {
///         issues.push(Issue::new("expected 18 or more").at("age"));
///     }
///     if issues.is_empty() { Ok(()) } else { Err(issues.into()) }
/// }
/// assert_eq!(validate(" ", 12).unwrap_err().issues().len(), 2);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InvalidInput {
    issues: Vec<Issue>,
}

/// Collects issues, for example those of a validation crate. An empty list is invalid input, too.
impl FromIterator<Issue> for InvalidInput {
    fn from_iter<I: IntoIterator<Item = Issue>>(issues: I) -> Self {
        Self { issues: issues.into_iter().collect() }
    }
}

impl From<Vec<Issue>> for InvalidInput {
    fn from(issues: Vec<Issue>) -> Self {
        Self { issues }
    }
}

impl From<Issue> for InvalidInput {
    fn from(issue: Issue) -> Self {
        Self { issues: vec![issue] }
    }
}

impl InvalidInput {
    pub(crate) fn new(message: String, mut reversed_path: Vec<PathSegment>) -> Self {
        reversed_path.reverse();
        Self { issues: vec![Issue { message, path: reversed_path }] }
    }

    /// Prefixes the path of every issue, for an invalid value that is part of another value.
    #[must_use]
    pub fn within(mut self, segment: impl Into<PathSegment>) -> Self {
        let segment = segment.into();
        for issue in &mut self.issues {
            issue.path.insert(0, segment.clone());
        }
        self
    }

    /// Returns the issues.
    ///
    /// ```
    /// # use durable_event_wire::{Value, from_value};
    /// assert_eq!(from_value::<bool>(Value::Null).unwrap_err().issues().len(), 1);
    /// ```
    #[must_use]
    pub fn issues(&self) -> &[Issue] {
        &self.issues
    }
}

impl fmt::Display for InvalidInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("invalid input")?;
        for issue in &self.issues {
            write!(f, ": {} at /", issue.message)?;
            for (at, segment) in issue.path.iter().enumerate() {
                write!(f, "{}{segment}", if at == 0 { "" } else { "/" })?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for InvalidInput {}

/// One validation issue. Clients receive it as `{"message","path"}`, as in the Standard Schema specification.
///
/// ```
/// # use durable_event_wire::{PathSegment, Value, from_value};
/// let error = from_value::<Vec<u8>>(Value::Array(vec![Value::from("x")])).unwrap_err();
/// assert_eq!(error.issues()[0].path(), [PathSegment::Index(0)]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Issue {
    message: String,
    path: Vec<PathSegment>,
}

impl Issue {
    /// Creates an issue with an empty path, which refers to the whole input. The client receives the message
    /// unchanged.
    ///
    /// ```
    /// use durable_event_wire::Issue;
    /// assert!(Issue::new("the end is before the start").path().is_empty());
    /// ```
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), path: Vec::new() }
    }

    /// Appends a segment to the path: a key, or the index in an array.
    ///
    /// ```
    /// use durable_event_wire::{Issue, PathSegment};
    /// let issue = Issue::new("expected a name").at("members").at(2);
    /// assert_eq!(issue.path(), [PathSegment::Key("members".into()), PathSegment::Index(2)]);
    /// ```
    #[must_use]
    pub fn at(mut self, segment: impl Into<PathSegment>) -> Self {
        self.path.push(segment.into());
        self
    }

    /// Returns the message. The messages of this crate never contain the input.
    ///
    /// ```
    /// # use durable_event_wire::{Value, from_value};
    /// let error = from_value::<bool>(Value::Null).unwrap_err();
    /// assert_eq!(error.issues()[0].message(), "expected a boolean, found null");
    /// ```
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns the path from the root to the invalid value.
    ///
    /// ```
    /// # use durable_event_wire::{Value, from_value};
    /// assert!(from_value::<bool>(Value::Null).unwrap_err().issues()[0].path().is_empty());
    /// ```
    #[must_use]
    pub fn path(&self) -> &[PathSegment] {
        &self.path
    }
}

/// A segment of a path: an object's key, or the index in an array, set or map.
///
/// ```
/// use durable_event_wire::PathSegment;
/// assert_eq!(PathSegment::Key("a".into()).to_string(), "a");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathSegment {
    /// The key of a property.
    Key(String),
    /// An index, starting at 0.
    Index(usize),
}

impl From<&str> for PathSegment {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

impl From<String> for PathSegment {
    fn from(key: String) -> Self {
        Self::Key(key)
    }
}

impl From<usize> for PathSegment {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

impl fmt::Display for PathSegment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => f.write_str(key),
            Self::Index(index) => fmt::Display::fmt(index, f),
        }
    }
}

impl Serialize for PathSegment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Key(key) => serializer.serialize_str(key),
            Self::Index(index) => index.serialize(serializer),
        }
    }
}
