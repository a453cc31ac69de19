//! Regular expressions.

use std::{fmt, str::FromStr};

use super::checked_string;
use crate::tag;

/// The flags of ECMA-262.
const FLAGS: &str = "dgimsuvy";
/// The line terminators of ECMA-262, which end a regular expression literal.
const LINE_TERMINATORS: [char; 4] = ['\n', '\r', '\u{2028}', '\u{2029}'];
/// The maximum length of a source in bytes. V8 throws if groups are nested about 50,000 levels deep, other engines
/// possibly earlier.
const MAX_BYTES: usize = 10_000;
/// JavaScript's text for an empty source, since `//` begins a comment.
const EMPTY_SOURCE: &str = "(?:)";

/// JavaScript's `RegExp`: a source and flags. The expression is transferred and never executed.
///
/// An expression is valid if `new RegExp(source, flags)` accepts it. In a Worker the constructor of the Workers
/// runtime (V8) decides; an older browser may not support all of its syntax. Outside a Worker (native tests) only
/// plain syntax is accepted: groups, quantifiers, alternatives, and simple classes and escapes.
///
/// ```
/// use durable_event_wire::RegExp;
/// let expression = RegExp::new(r"a\/b+(c)", "gi")?;
/// assert_eq!(expression.to_string(), r"/a\/b+(c)/gi");
/// assert_eq!((expression.source(), expression.flags()), (r"a\/b+(c)", "gi"));
/// # Ok::<(), durable_event_wire::InvalidRegExp>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RegExp {
    /// The form `/source/flags`.
    text: Box<str>,
}

impl RegExp {
    /// Creates a regular expression.
    ///
    /// # Errors
    /// JavaScript's constructor throws, or the source has a line break, or more than 10,000 bytes.
    ///
    /// ```
    /// use durable_event_wire::RegExp;
    /// assert!(RegExp::new("a", "x").is_err());
    /// assert_eq!(RegExp::new("", "")?.source(), "(?:)");
    /// # Ok::<(), durable_event_wire::InvalidRegExp>(())
    /// ```
    pub fn new(source: &str, flags: &str) -> Result<Self, InvalidRegExp> {
        let source = if source.is_empty() { EMPTY_SOURCE } else { source };
        // Checks for unknown flags first, so that the search for repeated ones is short.
        let known_once =
            flags.char_indices().all(|(at, flag)| FLAGS.contains(flag) && flags.find(flag) == Some(at));
        let is_plain = source.len() <= MAX_BYTES && !source.contains(LINE_TERMINATORS);
        let are_flags = known_once && !(flags.contains('u') && flags.contains('v'));
        if !is_plain || !are_flags || !is_regexp(source, flags) {
            return Err(InvalidRegExp(()));
        }
        Ok(Self { text: format!("/{source}/{flags}").into_boxed_str() })
    }

    /// Returns the source, the text between the slashes.
    ///
    /// ```
    /// assert_eq!(durable_event_wire::RegExp::new("a", "g").unwrap().source(), "a");
    /// ```
    #[must_use]
    pub fn source(&self) -> &str {
        self.parts().0
    }

    /// Returns the flags, the text after the last slash.
    ///
    /// ```
    /// assert_eq!(durable_event_wire::RegExp::new("a", "g").unwrap().flags(), "g");
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

#[cfg(target_arch = "wasm32")]
use crate::javascript::is_regexp;

/// Returns whether any engine accepts the expression. Covers only plain syntax, which has the same meaning with all
/// flags.
#[cfg(not(target_arch = "wasm32"))]
fn is_regexp(source: &str, _flags: &str) -> bool {
    let mut chars = source.chars().peekable();
    let mut open = 0_usize;
    // Whether a quantifier is allowed next.
    let mut is_atom = false;
    while let Some(char) = chars.next() {
        is_atom = match char {
            '(' => {
                open = open.saturating_add(1);
                if chars.next_if_eq(&'?').is_some()
                    && chars.next_if(|kind| matches!(kind, ':' | '=' | '!')).is_none()
                {
                    return false;
                }
                false
            }
            ')' => {
                let Some(outer) = open.checked_sub(1) else { return false };
                open = outer;
                // A quantified group may be a lookahead, which some flags do not allow.
                if matches!(chars.peek(), Some('*' | '+' | '?')) && source.contains("(?") {
                    return false;
                }
                true
            }
            '*' | '+' | '?' => {
                if !is_atom {
                    return false;
                }
                chars.next_if_eq(&'?');
                false
            }
            '|' | '^' | '$' => false,
            '\\' => match chars.next() {
                Some('b' | 'B') => false,
                escaped if is_escape(escaped) => true,
                _ => return false,
            },
            '[' => {
                chars.next_if_eq(&'^');
                loop {
                    match chars.next() {
                        Some(']') => break true,
                        Some('\\') if is_escape(chars.next()) => {}
                        Some(char) if char.is_ascii_alphanumeric() => {}
                        _ => return false,
                    }
                }
            }
            ']' | '{' | '}' => return false,
            _ => true,
        };
    }
    open == 0
}

/// Returns whether an escape has the same meaning with all flags, within a class or not.
#[cfg(not(target_arch = "wasm32"))]
fn is_escape(escaped: Option<char>) -> bool {
    escaped.is_some_and(|char| "dDsSwWtnrvf^$\\.*+?()[]{}|/".contains(char))
}

/// Parses the form `/source/flags`.
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

/// The error of creating an invalid regular expression.
///
/// ```
/// assert!("a".parse::<durable_event_wire::RegExp>().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidRegExp(());

impl fmt::Display for InvalidRegExp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("regular expression must have the form /source/flags and be valid in JavaScript")
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
    fn other_texts_are_rejected() {
        for text in [
            "",
            "/",
            "a",
            "a/g",
            "/a/x",
            "/a/gg",
            "/a/uv",
            "/a\nb/",
            "/\u{2028}/",
            "/a/G",
            "/(/",
            "/)/",
            "/*/",
            "/a**/",
            "/[/",
            "/\\/",
            "/(?<a/",
        ] {
            assert!(text.parse::<RegExp>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_expression_round_trips(source in "((\\[[a-z]{1,3}\\]|\\(a\\)|[a-z/é]|\\\\[/.d])[*+?]?){0,8}", flags in prop::sample::subsequence(vec!['d', 'g', 'i', 'u'], 0..4)) {
            let flags: String = flags.into_iter().collect();
            let expression = RegExp::new(&source, &flags).unwrap();
            prop_assert_eq!(expression.to_string().parse::<RegExp>().unwrap(), expression);
        }

        #[test]
        fn parsing_any_text_never_panics(text in ".*") {
            let _ = text.parse::<RegExp>();
        }
    }
}
