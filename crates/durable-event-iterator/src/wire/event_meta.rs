//! What accompanies an event of a stream.

use super::text::{push_integer, push_string};

/// What accompanies an event of a stream beside its data, as in server-sent events.
///
/// ```
/// use durable_event_iterator::EventMeta;
/// let meta = EventMeta { retry: Some(4_321), comments: vec!["a".into()], id: None };
/// # drop(meta);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[cfg_attr(test, derive(serde::Deserialize), serde(default))]
pub struct EventMeta {
    /// Milliseconds after which a client comes back when its connection is lost.
    pub retry: Option<u32>,
    /// Remarks for whoever watches the stream. Each line of a text is one remark.
    pub comments: Vec<String>,
    /// The position to resume from. A channel's events get theirs from the log; this is for streams of procedures. Line
    /// breaks are left out.
    pub id: Option<String>,
}

impl EventMeta {
    /// The members that are stored with an event, as JSON without braces: `"retry":4321,"comments":["a"]`. The id is the
    /// log's matter. None if there are none.
    pub(crate) fn to_extra(&self) -> Option<String> {
        let mut extra = String::new();
        self.push_members(&mut extra);
        (!extra.is_empty()).then_some(extra)
    }

    /// The whole of it as a JSON object. None if there is nothing in it.
    pub(crate) fn to_json(&self) -> Option<String> {
        let mut json = String::from("{");
        if let Some(id) = &self.id {
            json.push_str("\"id\":");
            // Clients throw at line breaks here and in comments (`assertEventId`, `assertEventComment`).
            push_string(&mut json, &id.replace('\n', ""));
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

    fn push_members(&self, out: &mut String) {
        if let Some(retry) = self.retry {
            out.push_str("\"retry\":");
            push_integer(out, retry);
        }
        let mut lines = self.comments.iter().flat_map(|comment| comment.split('\n')).peekable();
        if lines.peek().is_none() {
            return;
        }
        out.push_str(if out.is_empty() { "\"comments\":[" } else { ",\"comments\":[" });
        while let Some(line) = lines.next() {
            push_string(out, line);
            out.push_str(if lines.peek().is_some() { "," } else { "]" });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(retry: Option<u32>, comments: &[&str], id: Option<&str>) -> EventMeta {
        let comments = comments.iter().copied().map(str::to_owned).collect();
        EventMeta { retry, comments, id: id.map(str::to_owned) }
    }

    #[test]
    fn extra_is_the_members_without_braces() {
        assert_eq!(meta(None, &[], Some("x")).to_extra(), None);
        assert_eq!(meta(Some(10), &[], None).to_extra().unwrap(), r#""retry":10"#);
        assert_eq!(meta(None, &["a\"", "b"], None).to_extra().unwrap(), r#""comments":["a\"","b"]"#);
        assert_eq!(meta(Some(1), &["a"], None).to_extra().unwrap(), r#""retry":1,"comments":["a"]"#);
    }

    #[test]
    fn the_whole_is_written_as_recorded() {
        let json = meta(Some(1234), &["hello", "world"], Some("ev-2")).to_json().unwrap();
        assert_eq!(json, r#"{"id":"ev-2","retry":1234,"comments":["hello","world"]}"#);
        assert_eq!(EventMeta::default().to_json(), None);
    }

    #[test]
    fn line_breaks_never_reach_a_client() {
        assert_eq!(
            meta(None, &["a\nb"], Some("1\n2")).to_json().unwrap(),
            r#"{"id":"12","comments":["a","b"]}"#
        );
    }
}
