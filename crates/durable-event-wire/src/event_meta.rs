//! Event meta (id, retry delay and comments), and its validation.
//!
//! | member | valid values | otherwise |
//! | --- | --- | --- |
//! | `id` of a stream's item | printable ASCII, no space at either end, at most 1,024 bytes | error |
//! | `retry` | integer from 0 to 2,147,483,647 (milliseconds) | error |
//! | `comments` | any text | split at line breaks (`\r\n`, `\r`, `\n`) into several comments |
//!
//! Invalid meta is harmful: a client that throws on an event resumes and receives the same event again, endlessly.
//! The limits come from the clients:
//!
//! - All clients throw on `\n` in an id or a comment, and 1.16.1 (but not 1.14.6) also on `\r` (`assertEventId` and
//!   `assertEventComment` of `@orpc/standard-server`).
//! - A client resumes an HTTP stream by sending the id as a header. `fetch` throws on characters beyond Latin-1 and
//!   strips spaces at the ends.
//! - All clients throw unless `retry` is a non-negative integer (`assertEventRetry`). They pass it to `setTimeout`,
//!   which treats delays above 2^31 - 1 milliseconds as 0.
//!
//! [`EventMeta::checked`] is the only way to create a [`CheckedMeta`] from new data, and only a [`CheckedMeta`] is
//! written to a frame.

use std::fmt;

use super::{
    deserialize_error::DeserializeError,
    json::read_members,
    text::{push_integer, push_string, push_strings},
};

/// The maximum retry delay in milliseconds. JavaScript's timers treat longer delays as 0.
pub const MAX_RETRY_MS: u32 = 2_147_483_647;

/// The maximum length of an event id in bytes. Clients send it in a header.
const MAX_ID_BYTES: usize = 1_024;

/// The meta of a streamed event besides its data, as in server-sent events.
///
/// ```
/// use durable_event_wire::EventMeta;
/// let meta = EventMeta { retry: Some(4_321), comments: vec!["a".into()], id: None };
/// # drop(meta);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[cfg_attr(test, derive(serde::Deserialize), serde(default))]
pub struct EventMeta {
    /// The delay in milliseconds before a client reconnects after a connection loss, at most 2,147,483,647.
    pub retry: Option<u32>,
    /// Comments, for example for debugging. A text of several lines is sent as several comments.
    pub comments: Vec<String>,
    /// The event id from which a client resumes: printable ASCII, at most 1,024 bytes, without a space at either end.
    /// Channel events get their id from the log; this one is for streams of procedures.
    pub id: Option<String>,
}

impl EventMeta {
    /// Validates that clients can read the meta, and splits comments into lines.
    ///
    /// # Errors
    /// The retry delay is longer than [`MAX_RETRY_MS`], or the id is not printable ASCII of at most 1,024 bytes
    /// without a space at either end.
    pub fn checked(self) -> Result<CheckedMeta, InvalidEventMeta> {
        let Self { retry, comments, id } = self;
        if let Some(retry) = retry.filter(|retry| *retry > MAX_RETRY_MS) {
            return Err(InvalidEventMeta::Retry(retry));
        }
        if let Some(id) = id.as_deref().filter(|id| !is_id(id)) {
            return Err(InvalidEventMeta::Id { bytes: id.len() });
        }
        Ok(CheckedMeta(Self { retry, comments: lines(comments), id }))
    }
}

fn is_id(id: &str) -> bool {
    id.len() <= MAX_ID_BYTES && id.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && id.trim() == id
}

/// Splits comments at line breaks.
fn lines(comments: Vec<String>) -> Vec<String> {
    const LINE_BREAKS: [char; 2] = ['\r', '\n'];
    if !comments.iter().any(|comment| comment.contains(LINE_BREAKS)) {
        return comments;
    }
    let lines = |comment: String| {
        let comment = comment.replace("\r\n", "\n");
        comment.split(LINE_BREAKS).map(str::to_owned).collect::<Vec<_>>()
    };
    comments.into_iter().flat_map(lines).collect()
}

/// Event meta that every supported client can read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckedMeta(EventMeta);

impl CheckedMeta {
    /// Returns the members other than the id as JSON without braces, such as `"retry":4321,"comments":["a"]`, or
    /// `None` if there are none. Events are stored with this form.
    #[must_use]
    pub fn to_extra(&self) -> Option<String> {
        let mut extra = String::new();
        self.push_members(&mut extra);
        (!extra.is_empty()).then_some(extra)
    }

    /// Parses the form of [`to_extra`](Self::to_extra). Members that clients cannot read, possibly written by an
    /// earlier version, are omitted.
    #[must_use]
    pub fn from_extra(extra: &str) -> Self {
        let mut meta = EventMeta::default();
        let read = read_members::<DeserializeError>(&format!("{{{extra}}}"), &mut |reader, key| {
            match key {
                "retry" => {
                    meta.retry = u32::try_from(reader.unsigned()?).ok().filter(|ms| *ms <= MAX_RETRY_MS)
                }
                "comments" => meta.comments = reader.texts()?,
                _ => drop(reader.raw()?),
            }
            Ok(())
        });
        match read {
            Ok(()) => meta.checked().unwrap_or_default(),
            Err(_) => Self::default(),
        }
    }

    /// Returns the meta as a JSON object, or `None` if it is empty.
    #[must_use]
    pub fn to_json(&self) -> Option<String> {
        let mut json = String::from("{");
        if let Some(id) = self.id() {
            json.push_str("\"id\":");
            push_string(&mut json, id);
        }
        let mut members = String::new();
        self.push_members(&mut members);
        if json.len() > 1 && !members.is_empty() {
            json.push(',');
        }
        json.push_str(&members);
        json.push('}');
        (json.len() > 2).then_some(json)
    }

    /// Returns the retry delay in milliseconds.
    #[must_use]
    pub fn retry(&self) -> Option<u32> {
        self.0.retry
    }

    /// Returns the comments, each without line breaks.
    #[must_use]
    pub fn comments(&self) -> &[String] {
        &self.0.comments
    }

    /// Returns the event id.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.0.id.as_deref()
    }

    fn push_members(&self, out: &mut String) {
        if let Some(retry) = self.retry() {
            out.push_str("\"retry\":");
            push_integer(out, retry);
        }
        if !self.comments().is_empty() {
            out.push_str(if out.is_empty() { "\"comments\":" } else { ",\"comments\":" });
            push_strings(out, self.comments());
        }
    }
}

/// The error of event meta that clients cannot read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidEventMeta {
    /// The retry delay, in milliseconds, is longer than [`MAX_RETRY_MS`].
    Retry(u32),
    /// The id is not printable ASCII of at most 1,024 bytes without a space at either end.
    Id {
        /// The length of the id in bytes.
        bytes: usize,
    },
}

impl fmt::Display for InvalidEventMeta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry(retry) => {
                write!(
                    f,
                    "event meta `retry` must be an integer from 0 to {MAX_RETRY_MS} (milliseconds), got {retry}"
                )
            }
            Self::Id { bytes } if *bytes > MAX_ID_BYTES => {
                write!(f, "event meta `id` must be at most {MAX_ID_BYTES} bytes, got {bytes}")
            }
            Self::Id { .. } => {
                f.write_str("event meta `id` must be printable ASCII without a space at either end")
            }
        }
    }
}

impl std::error::Error for InvalidEventMeta {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn meta(retry: Option<u32>, comments: &[&str], id: Option<&str>) -> EventMeta {
        let comments = comments.iter().copied().map(str::to_owned).collect();
        EventMeta { retry, comments, id: id.map(str::to_owned) }
    }

    fn checked(retry: Option<u32>, comments: &[&str], id: Option<&str>) -> CheckedMeta {
        meta(retry, comments, id).checked().unwrap()
    }

    #[test]
    fn extra_contains_the_members_without_braces() {
        assert_eq!(checked(None, &[], Some("x")).to_extra(), None);
        assert_eq!(checked(Some(10), &[], None).to_extra().unwrap(), r#""retry":10"#);
        assert_eq!(checked(None, &["a\"", "b"], None).to_extra().unwrap(), r#""comments":["a\"","b"]"#);
        assert_eq!(checked(Some(1), &["a"], None).to_extra().unwrap(), r#""retry":1,"comments":["a"]"#);
    }

    #[test]
    fn the_meta_is_written_like_the_recording() {
        let json = checked(Some(1234), &["hello", "world"], Some("ev-2")).to_json().unwrap();
        assert_eq!(json, r#"{"id":"ev-2","retry":1234,"comments":["hello","world"]}"#);
        assert_eq!(CheckedMeta::default().to_json(), None);
    }

    #[test]
    fn a_comment_of_several_lines_becomes_several_comments() {
        for (text, split) in [
            ("a\nb", &["a", "b"][..]),
            ("a\rb", &["a", "b"]),
            ("a\r\nb", &["a", "b"]),
            ("\r", &["", ""]),
            ("a\n\rb\r", &["a", "", "b", ""]),
            ("a\u{2028}b\0", &["a\u{2028}b\0"]),
        ] {
            assert_eq!(checked(None, &[text, "z"], None).comments(), [split, &["z"]].concat(), "{text:?}");
        }
    }

    #[test]
    fn an_id_must_be_a_valid_header_value() {
        for id in ["", "50", "a b~!", &"x".repeat(MAX_ID_BYTES)] {
            assert_eq!(checked(None, &[], Some(id)).id(), Some(id));
        }
        for id in ["a\n", "a\rb", "\0", "é", "漢", " a", "a ", "\u{7f}", &"x".repeat(MAX_ID_BYTES + 1)] {
            let error = meta(None, &[], Some(id)).checked().unwrap_err().to_string();
            assert!(error.starts_with("event meta `id` must"), "{id:?} {error}");
        }
    }

    #[test]
    fn a_retry_delay_must_be_valid_for_a_timer() {
        assert!(meta(Some(MAX_RETRY_MS), &[], None).checked().is_ok());
        let error = meta(Some(MAX_RETRY_MS + 1), &[], None).checked().unwrap_err().to_string();
        assert!(error.contains("0 to 2147483647") && error.contains("2147483648"), "{error}");
    }

    #[test]
    fn stored_members_are_read_leniently() {
        for (stored, safe) in [
            (r#""retry":10,"comments":["a"]"#, Some(r#""retry":10,"comments":["a"]"#)),
            (r#""comments":["a\rb"]"#, Some(r#""comments":["a","b"]"#)),
            (r#""retry":4294967295,"comments":["a"]"#, Some(r#""comments":["a"]"#)),
            (r#""retry":4294967295"#, None),
            (r#""other":[1],"comments":[]"#, None),
            ("nonsense", None),
            (r#""comments":[1]"#, None),
            (r#""retry":1.5"#, None),
        ] {
            assert_eq!(CheckedMeta::from_extra(stored).to_extra().as_deref(), safe, "{stored}");
        }
    }

    proptest! {
        #[test]
        fn written_meta_contains_no_line_break(
            retry: Option<u32>,
            comments in prop::collection::vec("[a\r\n\u{2028}\"\\\\]{0,6}", 0..4),
            id in prop::option::of("[ a\r\né]{0,4}"),
        ) {
            let count = comments.iter().map(|comment| comment.replace("\r\n", "\n").split(['\r', '\n']).count()).sum::<usize>();
            let Ok(checked) = (EventMeta { retry, comments, id }).checked() else { return Ok(()) };
            prop_assert_eq!(checked.comments().len(), count);
            let json = checked.to_json().unwrap_or_default();
            prop_assert!(!json.contains("\\r") && !json.contains("\\n"), "{}", json);
            if let Some(extra) = checked.to_extra() {
                prop_assert_eq!(CheckedMeta::from_extra(&extra).to_extra(), Some(extra));
            }
        }
    }
}
