//! Which pages of other origins may read the answers.

use super::call::{ITERATOR_HEADER, SECOND_ITERATOR_HEADER};
use std::time::Duration;

/// What oRPC's clients send with. HEAD is not served.
const METHODS: &str = "GET, POST, PUT, PATCH, DELETE";

/// Lets pages of other origins call the procedures (the Fetch standard's CORS protocol).
///
/// Browsers hide most headers of an answer from such pages; those that announce an iterator are always exposed.
///
/// ```
/// use durable_event_iterator::http::Cors;
/// use std::time::Duration;
///
/// let public = Cors::any();
/// let with_cookies = Cors::origins(["https://app.example"]).credentials().max_age(Duration::from_secs(3_600));
/// # let _ = (public, with_cookies);
/// ```
#[derive(Debug, Clone)]
#[must_use = "it does nothing until a `Handler` gets it"]
pub struct Cors {
    /// None: any.
    origins: Option<Vec<String>>,
    credentials: Option<&'static str>,
    exposed: String,
    max_age: Option<Duration>,
}

impl Cors {
    /// Pages of any origin. They cannot send cookies: for that, an origin must be named.
    pub fn any() -> Self {
        Self {
            origins: None,
            credentials: None,
            exposed: [ITERATOR_HEADER, SECOND_ITERATOR_HEADER].join(", "),
            max_age: None,
        }
    }

    /// Pages of these origins, each as the browser writes it: `https://app.example`, without a slash at the end.
    pub fn origins<O: Into<String>>(origins: impl IntoIterator<Item = O>) -> Self {
        Self { origins: Some(origins.into_iter().map(Into::into).collect()), ..Self::any() }
    }

    /// Pages may send cookies and the like. Without effect on [`Cors::any`], where browsers refuse it.
    pub fn credentials(mut self) -> Self {
        self.credentials = Some("true");
        self
    }

    /// Exposes another header of the answers.
    pub fn expose(mut self, header: &str) -> Self {
        self.exposed.push_str(", ");
        self.exposed.push_str(header);
        self
    }

    /// How long browsers remember a preflight's answer. Their own default is a few seconds.
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// Whether the origin is one of those that are named.
    pub(super) fn names(&self, origin: &str) -> bool {
        self.origins.as_ref().is_some_and(|origins| origins.iter().any(|allowed| allowed == origin))
    }

    /// Whether it allows pages of any origin.
    pub(super) fn is_any(&self) -> bool {
        self.origins.is_none()
    }

    /// The headers of an answer to a request of this origin.
    pub(super) fn answer(&self, origin: Option<&str>) -> Vec<(&'static str, String)> {
        let mut headers = Vec::new();
        if self.is_any() {
            headers.push(("access-control-allow-origin", "*".into()));
            headers.push(("access-control-expose-headers", self.exposed.clone()));
            return headers;
        }
        // Whatever the origin: a cache must not hand one page's answer to another.
        headers.push(("vary", "origin".into()));
        if let Some(origin) = origin.filter(|origin| self.names(origin)) {
            headers.push(("access-control-allow-origin", origin.into()));
            headers.push(("access-control-expose-headers", self.exposed.clone()));
            headers.extend(self.credentials.map(|yes| ("access-control-allow-credentials", yes.into())));
        }
        headers
    }

    /// What a preflight's answer has besides; `wanted` are the headers that the page wants to send.
    pub(super) fn preflight(&self, wanted: Option<&str>) -> Vec<(&'static str, String)> {
        let mut headers = vec![("access-control-allow-methods", METHODS.into())];
        headers.extend(wanted.map(|wanted| ("access-control-allow-headers", wanted.into())));
        headers.extend(self.max_age.map(|age| ("access-control-max-age", age.as_secs().to_string())));
        headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header<'a>(headers: &'a [(&str, String)], wanted: &str) -> Option<&'a str> {
        headers.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.as_str())
    }

    #[test]
    fn any_origin_is_a_star_without_cookies() {
        let headers = Cors::any().credentials().answer(Some("https://evil.example"));
        assert_eq!(header(&headers, "access-control-allow-origin"), Some("*"));
        assert_eq!(
            header(&headers, "access-control-expose-headers"),
            Some("x-orpc-dei, x-orpc-durable-iterator")
        );
        assert_eq!(header(&headers, "access-control-allow-credentials"), None);
    }

    #[test]
    fn a_named_origin_is_answered_by_its_name() {
        let cors = Cors::origins(["https://a.example", "https://b.example"]).credentials().expose("x-more");
        let headers = cors.answer(Some("https://b.example"));
        assert_eq!(header(&headers, "access-control-allow-origin"), Some("https://b.example"));
        assert_eq!(
            header(&headers, "access-control-expose-headers"),
            Some("x-orpc-dei, x-orpc-durable-iterator, x-more")
        );
        assert_eq!(header(&headers, "access-control-allow-credentials"), Some("true"));
        assert_eq!(header(&headers, "vary"), Some("origin"));
    }

    #[test]
    fn another_origin_gets_nothing() {
        let cors = Cors::origins(["https://a.example"]).credentials();
        for origin in [None, Some("https://a.example.evil"), Some("https://A.example"), Some("null")] {
            assert_eq!(cors.answer(origin), [("vary", "origin".to_owned())], "{origin:?}");
        }
    }

    #[test]
    fn a_preflight_allows_what_the_page_wants_to_send() {
        let headers = Cors::any().max_age(Duration::from_secs(60)).preflight(Some("content-type,x-own"));
        assert_eq!(header(&headers, "access-control-allow-headers"), Some("content-type,x-own"));
        assert_eq!(header(&headers, "access-control-max-age"), Some("60"));
        assert!(header(&headers, "access-control-allow-methods").unwrap().contains("POST"));
        assert_eq!(header(&Cors::any().preflight(None), "access-control-allow-headers"), None);
    }
}
