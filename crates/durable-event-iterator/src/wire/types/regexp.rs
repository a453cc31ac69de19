//! Regular expressions.

use std::{fmt, str::FromStr};

use super::checked_string;
use crate::wire::tag;

/// The flags of ECMA-262.
const FLAGS: &str = "dgimsuvy";
/// What ends a line in ECMA-262, and so a regular expression.
const LINE_TERMINATORS: [char; 4] = ['\n', '\r', '\u{2028}', '\u{2029}'];
/// What JavaScript writes for an empty source, since `//` begins a comment.
const EMPTY_SOURCE: &str = "(?:)";

/// JavaScript's `RegExp`: a source and flags, which are carried and not run.
///
/// ```
/// use durable_event_iterator::RegExp;
/// let expression = RegExp::new(r"a\/b+(c)", "gi")?;
/// assert_eq!(expression.to_string(), r"/a\/b+(c)/gi");
/// assert_eq!((expression.source(), expression.flags()), (r"a\/b+(c)", "gi"));
/// # Ok::<(), durable_event_iterator::InvalidRegExp>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RegExp {
    /// `/source/flags`.
    text: Box<str>,
}

impl RegExp {
    /// A regular expression. The source's grammar is left to the client.
    ///
    /// # Errors
    /// A line break in the source, or a flag that JavaScript does not know, or has twice, or `u` and `v` together.
    ///
    /// ```
    /// use durable_event_iterator::RegExp;
    /// assert!(RegExp::new("a", "x").is_err());
    /// assert_eq!(RegExp::new("", "")?.source(), "(?:)");
    /// # Ok::<(), durable_event_iterator::InvalidRegExp>(())
    /// ```
    pub fn new(source: &str, flags: &str) -> Result<Self, InvalidRegExp> {
        let source = if source.is_empty() { EMPTY_SOURCE } else { source };
        // First whether each is known: of those that are, only eight can be there once.
        let known_once =
            flags.char_indices().all(|(at, flag)| FLAGS.contains(flag) && flags.find(flag) == Some(at));
        if !known_once || (flags.contains('u') && flags.contains('v')) || source.contains(LINE_TERMINATORS) {
            return Err(InvalidRegExp(()));
        }
        Ok(Self { text: format!("/{source}/{flags}").into_boxed_str() })
    }

    /// What stands between the slashes.
    ///
    /// ```
    /// assert_eq!(durable_event_iterator::RegExp::new("a", "g").unwrap().source(), "a");
    /// ```
    #[must_use]
    pub fn source(&self) -> &str {
        self.parts().0
    }

    /// What stands behind the last slash.
    ///
    /// ```
    /// assert_eq!(durable_event_iterator::RegExp::new("a", "g").unwrap().flags(), "g");
    /// ```
    #[must_use]
    pub fn flags(&self) -> &str {
        self.parts().1
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    fn parts(&self) -> (&str, &str) {
        split(&self.text).unwrap_or_default()
    }
}

/// `/source/flags`.
impl FromStr for RegExp {
    type Err = InvalidRegExp;

    fn from_str(text: &str) -> Result<Self, InvalidRegExp> {
        let (source, flags) = split(text).ok_or(InvalidRegExp(()))?;
        Self::new(source, flags)
    }
}

fn split(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix('/')?.rsplit_once('/')
}

/// A text is no regular expression of JavaScript's.
///
/// ```
/// assert!("a".parse::<durable_event_iterator::RegExp>().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidRegExp(());

impl fmt::Display for InvalidRegExp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a regular expression of the form /source/flags")
    }
}

impl std::error::Error for InvalidRegExp {}

checked_string!(RegExp, tag::REGEXP, "a RegExp");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn source_and_flags_are_split_at_the_last_slash() {
        let expression: RegExp = "/a/b/gi".parse().unwrap();
        assert_eq!((expression.source(), expression.flags()), ("a/b", "gi"));
    }

    #[test]
    fn what_is_no_regular_expression_is_refused() {
        for text in ["", "/", "a", "a/g", "/a/x", "/a/gg", "/a/uv", "/a\nb/", "/\u{2028}/", "/a/G"] {
            assert!(text.parse::<RegExp>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_expression_is_read_back(source in "[^\n\r\u{2028}\u{2029}]*", flags in prop::sample::subsequence(vec!['d', 'g', 'i', 'u'], 0..4)) {
            let flags: String = flags.into_iter().collect();
            let expression = RegExp::new(&source, &flags).unwrap();
            prop_assert_eq!(expression.to_string().parse::<RegExp>().unwrap(), expression);
        }

        #[test]
        fn reading_any_text_never_panics(text in ".*") {
            let _ = text.parse::<RegExp>();
        }
    }
}
