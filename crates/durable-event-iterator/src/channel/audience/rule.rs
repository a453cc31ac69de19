//! Who an event is for, as it is stored.
//!
//! Stored with the event in terms that outlive a socket, so that a replay honours it: an event meant for A never reaches B
//! because B reconnects.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

/// Who an event is for: everyone, unless restricted by connection ids or tags.
///
/// Kinds add up: a subscriber must be named by [`only_to`](Self::only_to), if anyone is, *and* carry one of the tags, if there are
/// any. [`except`](Self::except) wins over both.
///
/// A subscriber without a connection id is never among those named, and `except` cannot mean it.
// A restriction that this version does not know must not be overlooked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AudienceRule {
    /// Connection ids. Some and empty: nobody.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    to: Option<Names>,
    /// Some and empty: nobody.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    tagged: Option<Names>,
    /// Connection ids.
    #[serde(default, skip_serializing_if = "Names::is_empty")]
    except: Names,
}

/// The text of an audience without anybody.
const NOBODY: &str = r#"{"to":[]}"#;

/// Reads a list that is there. Null is no list of ours: it must not admit everyone.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Names>, D::Error> {
    Names::deserialize(deserializer).map(Some)
}

/// Connection ids or tags, each once and in order: there may be thousands, and each subscriber is looked for among them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<String>")]
struct Names(Vec<String>);

impl From<Vec<String>> for Names {
    fn from(mut names: Vec<String>) -> Self {
        names.sort_unstable();
        names.dedup();
        Self(names)
    }
}

impl Names {
    fn with<T: Into<String>>(self, more: impl IntoIterator<Item = T>) -> Self {
        let mut names = self.0;
        names.extend(more.into_iter().map(Into::into));
        names.into()
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn contains(&self, name: &str) -> bool {
        self.0.binary_search_by(|other| other.as_str().cmp(name)).is_ok()
    }
}

impl AudienceRule {
    /// Every subscriber.
    pub(crate) fn everyone() -> Self {
        Self::default()
    }

    /// No subscriber.
    pub(crate) fn nobody() -> Self {
        Self::everyone().only_to::<String>([])
    }

    /// Only these connections, and others that are named so. With no connection at all: nobody, not everyone.
    pub(crate) fn only_to<C: Into<String>>(mut self, connections: impl IntoIterator<Item = C>) -> Self {
        self.to = Some(self.to.unwrap_or_default().with(connections));
        self
    }

    /// Only those who carry one of these tags, or another one that is named so. With no tag at all: nobody.
    pub(crate) fn only_tagged<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.tagged = Some(self.tagged.unwrap_or_default().with(tags));
        self
    }

    /// Not these connections, whatever else is said.
    pub(crate) fn except<C: Into<String>>(mut self, connections: impl IntoIterator<Item = C>) -> Self {
        self.except = self.except.with(connections);
        self
    }

    /// Whether a subscriber with this connection id and these tags gets the event. `is_chosen` says that its socket is one of
    /// those that [`only_to`](Self::only_to) would name, if it had an id: that is known only while it is open.
    pub(crate) fn admits(&self, connection: Option<&str>, tags: &[impl AsRef<str>], is_chosen: bool) -> bool {
        let named = |list: &Names| connection.is_some_and(|id| list.contains(id));
        let carries = |list: &Names| tags.iter().any(|tag| list.contains(tag.as_ref()));
        !named(&self.except)
            && self.to.as_ref().is_none_or(|list| is_chosen || named(list))
            && self.tagged.as_ref().is_none_or(carries)
    }

    /// The connection ids it is for, the tags it is for (`None`: no such restriction), and the connection ids it is not for.
    pub(crate) fn parts(&self) -> (Option<&[String]>, Option<&[String]>, &[String]) {
        (self.to.as_ref().map(|names| &*names.0), self.tagged.as_ref().map(|names| &*names.0), &self.except.0)
    }

    /// The text that is stored: compact JSON; none for everyone.
    pub(crate) fn to_text(&self) -> Option<String> {
        let text = (*self != Self::everyone()).then(|| serde_json::to_string(self));
        text.map(|text| text.unwrap_or_else(|_| NOBODY.to_owned())) // lists of strings can be serialized
    }

    /// Reads what [`to_text`](Self::to_text) wrote.
    pub(crate) fn from_text(text: Option<&str>) -> Result<Self, InvalidAudience> {
        let Some(text) = text else { return Ok(Self::everyone()) };
        let is_object = text.trim_start().starts_with('{'); // serde would also take an array
        serde_json::from_str(text).ok().filter(|_| is_object).ok_or(InvalidAudience(()))
    }

    /// Reads a stored rule; one that cannot be read is for nobody, since a wrong guess would give an event away.
    pub(crate) fn stored(text: Option<&str>) -> Self {
        Self::from_text(text).unwrap_or_else(|_| Self::nobody())
    }
}

/// A text that is no audience.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InvalidAudience(());

impl fmt::Display for InvalidAudience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an audience")
    }
}

impl std::error::Error for InvalidAudience {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NO_TAGS: [&str; 0] = [];

    #[test]
    fn everyone_is_stored_as_nothing_and_admits_whoever_comes() {
        let rule = AudienceRule::everyone();
        assert_eq!(rule.to_text(), None);
        assert!(rule.admits(None, &NO_TAGS, false));
        assert!(rule.admits(Some("a"), &["x"], false));
    }

    #[test]
    fn an_event_for_one_reaches_nobody_else() {
        let rule = AudienceRule::everyone().only_to(["a"]);
        assert!(rule.admits(Some("a"), &NO_TAGS, false));
        assert!(!rule.admits(Some("b"), &NO_TAGS, false));
        assert!(!rule.admits(Some("A"), &NO_TAGS, false));
        assert!(!rule.admits(None, &NO_TAGS, false));
    }

    #[test]
    fn within_a_kind_one_is_enough_and_between_kinds_all_are_needed() {
        let rule =
            AudienceRule::everyone().only_to(["a"]).only_to(["b"]).only_tagged(["x"]).only_tagged(["y"]);
        assert!(rule.admits(Some("a"), &["x"], false));
        assert!(rule.admits(Some("b"), &["z", "y"], false));
        assert!(!rule.admits(Some("a"), &["z"], false));
        assert!(!rule.admits(Some("c"), &["x"], false));
    }

    #[test]
    fn an_exclusion_wins() {
        let rule = AudienceRule::everyone().only_to(["a"]).only_tagged(["x"]).except(["a"]);
        assert!(!rule.admits(Some("a"), &["x"], false));
    }

    #[test]
    fn an_exclusion_cannot_mean_a_subscriber_without_an_id() {
        let rule = AudienceRule::everyone().except(["a"]);
        assert!(rule.admits(None, &NO_TAGS, false));
        assert!(!rule.admits(Some("a"), &NO_TAGS, false));
    }

    #[test]
    fn a_chosen_socket_counts_as_named_and_is_bound_by_the_rest() {
        let nobody = AudienceRule::nobody();
        assert!(nobody.admits(None, &NO_TAGS, true));
        assert!(!nobody.admits(None, &NO_TAGS, false));
        assert!(!nobody.clone().only_tagged(["x"]).admits(None, &["y"], true));
        assert!(!nobody.except(["a"]).admits(Some("a"), &NO_TAGS, true));
    }

    #[test]
    fn tags_admit_a_subscriber_without_an_id() {
        assert!(AudienceRule::everyone().only_tagged(["x"]).admits(None, &["x"], false));
    }

    #[test]
    fn an_empty_list_is_nobody_and_not_everyone() {
        for rule in [
            AudienceRule::nobody(),
            AudienceRule::everyone().only_to::<String>([]),
            AudienceRule::everyone().only_tagged::<String>([]),
        ] {
            let stored = AudienceRule::stored(rule.to_text().as_deref());
            assert_eq!(stored, rule);
            assert!(!stored.admits(None, &NO_TAGS, false));
            assert!(!stored.admits(Some("a"), &["x"], false));
        }
    }

    #[test]
    fn the_stored_text_is_compact() {
        let rule = AudienceRule::everyone().only_to(["a"]).only_to(["a"]).only_tagged(["x"]).except(["b"]);
        assert_eq!(rule.to_text().unwrap(), r#"{"to":["a"],"tagged":["x"],"except":["b"]}"#);
    }

    #[test]
    fn a_stored_text_that_cannot_be_read_is_for_nobody() {
        for text in [
            "",
            "x",
            "[]7",
            "null",
            "{",
            r#"{"to":"a"}"#,
            r#"{"to":["a"],"region":["eu"]}"#,
            r#"{"to":[1]}"#,
            r#"{"to":null}"#,
            r#"{"except":null}"#,
        ] {
            assert!(AudienceRule::from_text(Some(text)).is_err(), "{text}");
            assert!(!AudienceRule::stored(Some(text)).admits(Some("a"), &["x"], false), "{text}");
        }
    }

    #[test]
    fn a_rule_of_many_is_quick_to_ask() {
        let id = |n: u32| format!("00000000-0000-4000-8000-{n:012}");
        let rule = AudienceRule::everyone().only_to((0..20_000).step_by(2).map(id));
        // By looking through a list these were 200 million comparisons.
        let admitted = (0..20_000).filter(|n| rule.admits(Some(&id(*n)), &NO_TAGS, false)).count();
        assert_eq!(admitted, 10_000);
    }

    proptest! {
        #[test]
        fn a_rule_is_read_as_it_was_written_and_admits_by_definition(
            to in proptest::option::of(proptest::collection::vec("[abc\"\\\\é]", 0..3)),
            tagged in proptest::option::of(proptest::collection::vec("[xyz]", 0..3)),
            except in proptest::collection::vec("[abc\"]", 0..3),
            connection in proptest::option::of("[abc\"\\\\é]"),
            tags in proptest::collection::vec("[xyz]", 0..3),
        ) {
            let mut rule = AudienceRule::everyone();
            if let Some(to) = &to { rule = rule.only_to(to.clone()); }
            if let Some(tagged) = &tagged { rule = rule.only_tagged(tagged.clone()); }
            rule = rule.except(except.clone());

            let expected = connection.as_ref().is_none_or(|id| !except.contains(id))
                && to.as_ref().is_none_or(|to| connection.as_ref().is_some_and(|id| to.contains(id)))
                && tagged.as_ref().is_none_or(|tagged| tags.iter().any(|tag| tagged.contains(tag)));
            let stored = AudienceRule::stored(rule.to_text().as_deref());
            prop_assert_eq!(&stored, &rule);
            prop_assert_eq!(stored.admits(connection.as_deref(), &tags, false), expected);
        }
    }
}
