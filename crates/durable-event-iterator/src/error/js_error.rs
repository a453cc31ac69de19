//! JavaScript exceptions.

use std::fmt;

/// A JavaScript exception, as text for the log. It never reaches a client.
#[derive(Debug)]
pub(crate) struct JsError {
    text: String,
    is_transient: bool,
}

impl JsError {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_transient: false }
    }

    /// Sets whether a retry may succeed: for an overloaded Durable Object, or a lost connection.
    pub(crate) fn transient(self, is_transient: bool) -> Self {
        Self { is_transient, ..self }
    }

    /// Whether a retry may succeed.
    pub(crate) fn is_transient(&self) -> bool {
        self.is_transient
    }
}

impl fmt::Display for JsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for JsError {}
