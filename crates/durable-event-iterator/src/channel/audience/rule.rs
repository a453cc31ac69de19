//! The audience of an event, as it is stored.
//!
//! It consists of connection ids and tags, which outlive a socket, so that it applies to replays too: an event for A never
//! reaches B when B reconnects.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

/// The audience of an event: everyone, unless it is restricted by connection ids or tags.
///
/// A subscriber must have one of the connection ids of [`only_to`](Self::only_to), if there is such a list, *and* one of the
/// tags of [`only_tagged`](Self::only_tagged), if there is such a list. The connection ids of [`except`](Self::except) are
/// always excluded.
///
/// A subscriber without a connection id is in neither list of connection ids.
// A rule with a restriction of a later version must not be read without it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AudienceRule {
    /// Connection ids. An empty list addresses nobody.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    to: Option<Names>,
    /// Tags. An empty list addresses nobody.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    tagged: Option<Names>,
    /// Connection ids.
    #[serde(default, skip_serializing_if = "Names::is_empty")]
    except: Names,
}

/// The text of a rule that addresses nobody.
const NOBODY: &str = r#"{"to":[]}"#;

/// Reads a list that is present. `null` is rejected: it must not address everyone.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Names>, D::Error> {
    Names::deserialize(deserializer).map(Some)
}

/// Connection ids or tags, sorted and without duplicates, for a binary search: there may be thousands of them.
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
    /// Returns the rule that admits every subscriber.
    pub(crate) fn everyone() -> Self {
        Self::default()
    }

    /// Returns the rule that admits no subscriber.
    pub(crate) fn nobody() -> Self {
        Self::everyone().only_to::<String>([])
    }

    /// Adds connection ids to the recipients. An empty list addresses nobody, not everyone.
    pub(crate) fn only_to<C: Into<String>>(mut self, connections: impl IntoIterator<Item = C>) -> Self {
        self.to = Some(self.to.unwrap_or_default().with(connections));
        self
    }

    /// Adds tags, of which a recipient must have one. An empty list addresses nobody, not everyone.
    pub(crate) fn only_tagged<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.tagged = Some(self.tagged.unwrap_or_default().with(tags));
        self
    }

    /// Excludes connection ids.
    pub(crate) fn except<C: Into<String>>(mut self, connections: impl IntoIterator<Item = C>) -> Self {
        self.except = self.except.with(connections);
        self
    }

    /// Whether a subscriber with this connection id and these tags receives the event. `is_chosen` is true for an addressed
    /// socket without a connection id, which is known only while the socket is open.
    pub(crate) fn admits(&self, connection: Option<&str>, tags: &[impl AsRef<str>], is_chosen: bool) -> bool {
        let is_listed = |list: &Names| connection.is_some_and(|id| list.contains(id));
        let is_tagged = |list: &Names| tags.iter().any(|tag| list.contains(tag.as_ref()));
        !is_listed(&self.except)
            && self.to.as_ref().is_none_or(|list| is_chosen || is_listed(list))
            && self.tagged.as_ref().is_none_or(is_tagged)
    }

    /// Returns the connection ids and the tags of the recipients (`None` without such a restriction), and the excluded
    /// connection ids.
    pub(crate) fn parts(&self) -> (Option<&[String]>, Option<&[String]>, &[String]) {
        (self.to.as_ref().map(|names| &*names.0), self.tagged.as_ref().map(|names| &*names.0), &self.except.0)
    }

    /// Returns the size of all names, in bytes.
    #[cfg(target_arch = "wasm32")]
    pub(crate) fn bytes(&self) -> usize {
        let lists = [self.to.as_ref(), self.tagged.as_ref(), Some(&self.except)];
        let names = lists.into_iter().flatten().flat_map(|Names(names)| names);
        names.fold(0, |sum, name| sum.saturating_add(name.len()))
    }

    /// Returns the text that is stored: compact JSON, or `None` for everyone.
    pub(crate) fn to_text(&self) -> Option<String> {
        let text = (*self != Self::everyone()).then(|| serde_json::to_string(self));
        text.map(|text| text.unwrap_or_else(|_| NOBODY.to_owned())) // serializing lists of strings cannot fail
    }

    /// Reads the text of [`to_text`](Self::to_text).
    pub(crate) fn from_text(text: Option<&str>) -> Result<Self, InvalidAudience> {
        let Some(text) = text else { return Ok(Self::everyone()) };
        let is_object = text.trim_start().starts_with('{'); // serde would also accept an array
        serde_json::from_str(text).ok().filter(|_| is_object).ok_or(InvalidAudience(()))
    }

    /// Reads a stored rule. An invalid rule admits nobody, so that no event reaches a wrong subscriber.
    pub(crate) fn stored(text: Option<&str>) -> Self {
        Self::from_text(text).unwrap_or_else(|_| Self::nobody())
    }
}

/// The error for a text that is not a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InvalidAudience(());

impl fmt::Display for InvalidAudience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stored audience is invalid")
    }
}

impl std::error::Error for InvalidAudience {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NO_TAGS: [&str; 0] = [];

    #[test]
    fn everyone_is_not_stored_and_admits_every_subscriber() {
        let rule = AudienceRule::everyone();
        assert_eq!(rule.to_text(), None);
        assert!(rule.admits(None, &NO_TAGS, false));
        assert!(rule.admits(Some("a"), &["x"], false));
    }

    #[test]
    fn an_event_for_one_connection_id_is_not_for_others() {
        let rule = AudienceRule::everyone().only_to(["a"]);
        assert!(rule.admits(Some("a"), &NO_TAGS, false));
        assert!(!rule.admits(Some("b"), &NO_TAGS, false));
        assert!(!rule.admits(Some("A"), &NO_TAGS, false));
        assert!(!rule.admits(None, &NO_TAGS, false));
    }

    #[test]
    fn a_recipient_has_one_of_the_ids_and_one_of_the_tags() {
        let rule =
            AudienceRule::everyone().only_to(["a"]).only_to(["b"]).only_tagged(["x"]).only_tagged(["y"]);
        assert!(rule.admits(Some("a"), &["x"], false));
        assert!(rule.admits(Some("b"), &["z", "y"], false));
        assert!(!rule.admits(Some("a"), &["z"], false));
        assert!(!rule.admits(Some("c"), &["x"], false));
    }

    #[test]
    fn an_exclusion_overrides_other_restrictions() {
        let rule = AudienceRule::everyone().only_to(["a"]).only_tagged(["x"]).except(["a"]);
        assert!(!rule.admits(Some("a"), &["x"], false));
    }

    #[test]
    fn an_exclusion_does_not_apply_to_a_subscriber_without_an_id() {
        let rule = AudienceRule::everyone().except(["a"]);
        assert!(rule.admits(None, &NO_TAGS, false));
        assert!(!rule.admits(Some("a"), &NO_TAGS, false));
    }

    #[test]
    fn a_chosen_socket_is_addressed_and_must_satisfy_the_other_restrictions() {
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
    fn an_empty_list_addresses_nobody() {
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
    fn an_invalid_stored_text_admits_nobody() {
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
    fn a_rule_with_many_ids_is_fast() {
        let id = |n: u32| format!("00000000-0000-4000-8000-{n:012}");
        let rule = AudienceRule::everyone().only_to((0..20_000).step_by(2).map(id));
        // With a linear search these would be 200 million comparisons.
        let admitted = (0..20_000).filter(|n| rule.admits(Some(&id(*n)), &NO_TAGS, false)).count();
        assert_eq!(admitted, 10_000);
    }

    proptest! {
        #[test]
        fn a_rule_that_is_stored_and_read_admits_by_definition(
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
