//! The presence events, which clients receive.

use super::roster::{Entry, MemberId, Update};
use durable_event_wire::{Serialized, Value};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Maximum size of the lists of one event in bytes of JSON, except for its last entry. Longer lists are sent as several events.
const PART_BYTES: usize = 64 * 1024;

// Generated TypeScript contains these comments, so they have no links and no examples in Rust.
/// A presence event: the content of the variant `Presence` of the application's events, an enum with the tag `type`.
///
/// Apply the members in this order: `members` replaces the whole list, `joined` and `changed` add or replace members, `left` removes
/// members. A long list has several parts: the further ones are `joined`, and the last one has the member itself (`self`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[serde(bound(deserialize = "S: Deserialize<'de>"))]
pub struct PresenceEvent<S = Value> {
    /// The id of the member that receives the event. Present after each subscription.
    #[serde(default, rename = "self", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(optional))]
    pub own_id: Option<String>,
    /// All members.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(optional))]
    pub members: Option<Vec<PresenceMember<S>>>,
    /// The members who have joined.
    #[serde(default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "typescript", ts(as = "Option<Vec<PresenceMember<S>>>", optional))]
    pub joined: Vec<PresenceMember<S>>,
    /// The members whose state has changed.
    #[serde(default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "typescript", ts(as = "Option<Vec<PresenceMember<S>>>", optional))]
    pub changed: Vec<PresenceMember<S>>,
    /// The ids of the members who have left.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "typescript", ts(as = "Option<Vec<String>>", optional))]
    pub left: Vec<String>,
}

/// A member in a presence event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[serde(bound(deserialize = "S: Deserialize<'de>"))]
pub struct PresenceMember<S = Value> {
    /// The id.
    pub id: String,
    /// The state that the member has set.
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(optional))]
    pub state: Option<S>,
}

/// `Option::default` would require that `S` has a default.
const fn none<S>() -> Option<S> {
    None
}

/// A member of a channel, returned by [`Channel::members`](crate::Channel::members).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Member {
    /// The id.
    pub id: String,
    /// The state that the member has set.
    pub state: Option<Value>,
    /// The number of sockets with a subscription: 0 during the grace period.
    pub connections: usize,
}

/// Returns the events with the full list. `own_id` is the id of the member that receives it.
pub(crate) fn list(entries: impl IntoIterator<Item = Entry>, own_id: Option<&str>) -> Vec<Serialized> {
    let mut writer = Writer::new();
    writer.begin("members");
    for entry in entries {
        writer.entry(&entry, "joined");
    }
    writer.end();
    writer.own_id(own_id);
    writer.finish()
}

/// Returns the events of an update.
pub(crate) fn events(update: Update) -> Vec<Serialized> {
    changes_for(update, None)
}

/// Returns the events of an update for the member with the id `own_id`.
pub(crate) fn changes_for(update: Update, own_id: Option<&str>) -> Vec<Serialized> {
    match update {
        Update::List(entries) => list(entries, own_id),
        Update::Changes { joined, changed, left } => {
            let mut writer = Writer::new();
            for (name, entries) in [("joined", joined), ("changed", changed)] {
                if entries.is_empty() {
                    continue;
                }
                writer.begin(name);
                for entry in entries {
                    writer.entry(&entry, name);
                }
                writer.end();
            }
            writer.left(&left);
            writer.own_id(own_id);
            writer.finish()
        }
    }
}

/// Writes events as JSON text: parsing the states, which are JSON texts already, would cost much on a large channel.
struct Writer {
    done: Vec<Serialized>,
    json: String,
    /// The entries of the meta, separated by commas.
    meta: String,
    list: &'static str,
    /// The number of items in the list.
    count: usize,
}

const START: &str = r#"{"type":"presence""#;

impl Writer {
    fn new() -> Self {
        Self { done: Vec::new(), json: START.to_owned(), meta: String::new(), list: "", count: 0 }
    }

    fn begin(&mut self, list: &'static str) {
        self.json.push_str(",\"");
        self.json.push_str(list);
        self.json.push_str("\":[");
        (self.list, self.count) = (list, 0);
    }

    fn end(&mut self) {
        self.json.push(']');
    }

    /// Begins an item of the list. A list that is too long goes on in another event, as the list `rest`.
    fn item(&mut self, rest: &'static str) {
        if self.json.len() >= PART_BYTES {
            self.end();
            self.part();
            self.begin(rest);
        }
        if self.count > 0 {
            self.json.push(',');
        }
    }

    fn entry(&mut self, Entry { id, state, .. }: &Entry, rest: &'static str) {
        self.item(rest);
        self.json.push_str(r#"{"id":"#);
        push_text(&mut self.json, id);
        if let Some(state) = state
            && let Some(json) = &state.json
        {
            self.json.push_str(r#","state":"#);
            self.json.push_str(json.as_str());
            if let Some(meta) = &state.meta {
                self.meta(meta.as_str());
            }
        }
        self.json.push('}');
        self.count = self.count.saturating_add(1);
    }

    /// Adds the meta of a state, whose paths begin at the state.
    fn meta(&mut self, meta: &str) {
        // What is stored as a state's meta was written by our serializer.
        let entries: Vec<Vec<&RawValue>> = serde_json::from_str(meta).unwrap_or_default();
        for entry in entries {
            let Some((kind, path)) = entry.split_first() else { continue };
            if !self.meta.is_empty() {
                self.meta.push(',');
            }
            self.meta.push_str(&format!(r#"[{kind},"{}",{},"state""#, self.list, self.count));
            for segment in path {
                self.meta.push(',');
                self.meta.push_str(segment.get());
            }
            self.meta.push(']');
        }
    }

    fn own_id(&mut self, id: Option<&str>) {
        if let Some(id) = id {
            self.json.push_str(r#","self":"#);
            push_text(&mut self.json, id);
        }
    }

    fn left(&mut self, ids: &[MemberId]) {
        if ids.is_empty() {
            return;
        }
        self.begin("left");
        for id in ids {
            self.item("left");
            push_text(&mut self.json, id);
            self.count = self.count.saturating_add(1);
        }
        self.end();
    }

    /// Ends an event and begins another one.
    fn part(&mut self) {
        let mut json = std::mem::replace(&mut self.json, START.to_owned());
        json.push('}');
        let meta = std::mem::take(&mut self.meta);
        let meta = (!meta.is_empty()).then(|| format!("[{meta}]"));
        self.done.push(Serialized { json: Some(json), meta, blobs: Vec::new() });
    }

    fn finish(mut self) -> Vec<Serialized> {
        if self.json.len() > START.len() {
            self.part();
        }
        self.done
    }
}

fn push_text(json: &mut String, text: &str) {
    // A text is always JSON.
    json.push_str(&serde_json::to_string(text).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::session::{MemberState, RawJson};
    use durable_event_wire::{Object, from_value, parse, to_value};
    use std::rc::Rc;

    fn entry(id: &str, state: Option<(&str, Option<&str>)>) -> Entry {
        let raw = |text: &str| RawJson::new(text.to_owned()).unwrap();
        let state = state
            .map(|(json, meta)| Rc::new(MemberState { json: Some(raw(json)), meta: meta.map(raw), at: 1 }));
        Entry { id: id.into(), state, connections: 1 }
    }

    fn value(body: &Serialized) -> Value {
        parse(body.json.as_deref(), body.meta.as_deref()).unwrap()
    }

    fn parsed(bodies: &[Serialized]) -> Vec<PresenceEvent> {
        bodies.iter().map(|body| from_value(value(body)).unwrap()).collect()
    }

    #[test]
    fn an_event_has_only_lists_with_items() {
        let joined = vec![entry("a\"b", None), entry("c", Some((r#"{"x":1}"#, None)))];
        let update = Update::Changes {
            joined,
            changed: vec![entry("d", Some(("null", None)))],
            left: vec!["e".into()],
        };
        let text = r#"{"type":"presence","joined":[{"id":"a\"b"},{"id":"c","state":{"x":1}}],"changed":[{"id":"d","state":null}],"left":["e"]}"#;
        let bodies = events(update);
        assert_eq!(bodies.iter().map(|body| body.json.as_deref().unwrap()).collect::<Vec<_>>(), [text]);
        assert_eq!(events(Update::Changes { joined: vec![], changed: vec![], left: vec![] }), []);
        assert_eq!(list([], None)[0].json.as_deref(), Some(r#"{"type":"presence","members":[]}"#));
    }

    #[test]
    fn states_keep_their_types() {
        let since = r#""2027-01-15T08:00:00.000Z""#;
        let entries = [
            entry("a", Some((since, Some("[[1]]")))),
            entry("b", Some((r#"{"x":["1"]}"#, Some(r#"[[0,"x",0]]"#)))),
        ];
        let bodies = list(entries, Some("b"));
        assert_eq!(
            bodies[0].meta.as_deref(),
            Some(r#"[[1,"members",0,"state"],[0,"members",1,"state","x",0]]"#)
        );
        let Value::Object(event) = value(&bodies[0]) else { panic!("an object") };
        let date = durable_event_wire::Date::from_millis(1_800_000_000_000);
        let expected: Object =
            [("id".to_owned(), "a".into()), ("state".to_owned(), to_value(&date).unwrap())]
                .into_iter()
                .collect();
        let Some(Value::Array(members)) = event.get("members") else { panic!("an array") };
        assert_eq!(members.first(), Some(&Value::Object(expected)));
    }

    #[test]
    fn long_lists_have_parts_with_their_own_meta() {
        let json = format!("\"{}\"", "2027-01-15T08:00:00.000Z");
        let entries = |count: usize| {
            (0..count)
                .map(|n| entry(&format!("{n:04}{}", "x".repeat(96)), Some((&json, Some("[[1]]")))))
                .collect::<Vec<_>>()
        };
        let parts = list(entries(1_000), Some("me"));
        assert!(parts.len() > 1);
        assert!(parts.iter().all(|part| part.json.as_ref().unwrap().len() < PART_BYTES + 2_048));
        let events = parsed(&parts);
        assert_eq!(
            events.iter().map(|event| event.own_id.is_some()).collect::<Vec<_>>(),
            [false, false, true]
        );
        let members: Vec<_> =
            events.iter().flat_map(|event| event.members.iter().flatten().chain(&event.joined)).collect();
        assert_eq!(members.len(), 1_000);
        assert!(events[1..].iter().all(|event| event.members.is_none()));
        for part in &parts {
            assert!(part.meta.as_ref().unwrap().starts_with(r#"[[1,""#));
        }
        let left = (0..1_000).map(|n| MemberId::from(format!("{n:0100}"))).collect();
        let update = Update::Changes { joined: entries(600), changed: entries(600), left };
        let events = parsed(&super::events(update));
        assert!(events.len() > 3);
        let sum = |count: fn(&PresenceEvent) -> usize| events.iter().map(count).sum::<usize>();
        assert_eq!(
            [
                sum(|event| event.joined.len()),
                sum(|event| event.changed.len()),
                sum(|event| event.left.len())
            ],
            [600, 600, 1_000]
        );
    }
}
