//! Cross-origin resource sharing (CORS).

use super::call::{DURABLE_ITERATOR_HEADER, ITERATOR_HEADER};
use std::time::Duration;

/// The methods that oRPC's clients use. HEAD is not supported.
const METHODS: &str = "GET, POST, PUT, PATCH, DELETE";

/// Allows pages of other origins to call the procedures (CORS, defined in the Fetch standard).
///
/// Browsers hide most response headers from such pages. The headers of [`HttpCall::iterator`](super::HttpCall::iterator) are
/// always exposed.
///
/// ```
/// use durable_event_iterator::http::Cors;
/// use std::time::Duration;
///
/// let public = Cors::any();
/// let with_cookies = Cors::origins(["https://app.example"]).credentials().max_age(Duration::from_secs(3_600));
/// # let _ = (public, with_cookies);
/// ```
// Not `worker::Cors` (0.8): it joins several origins into one header, which no browser accepts, and does not depend on the
// request, so that it sends no `Vary` either.
#[derive(Debug, Clone)]
#[must_use = "it has no effect until it is passed to `Handler::cors`"]
pub struct Cors {
    /// `None` allows any origin.
    origins: Option<Vec<String>>,
    credentials: Option<&'static str>,
    exposed: String,
    max_age: Option<Duration>,
}

impl Cors {
    /// Allows pages of any origin, without cookies. To allow cookies, use [`Cors::origins`].
    pub fn any() -> Self {
        Self {
            origins: None,
            credentials: None,
            exposed: [ITERATOR_HEADER, DURABLE_ITERATOR_HEADER].join(", "),
            max_age: None,
        }
    }

    /// Allows pages of these origins. The form is that of the header `Origin`: `https://app.example`, without a trailing slash.
    pub fn origins<O: Into<String>>(origins: impl IntoIterator<Item = O>) -> Self {
        Self { origins: Some(origins.into_iter().map(Into::into).collect()), ..Self::any() }
    }

    /// Allows cookies and other credentials. It has no effect with [`Cors::any`], for which browsers do not allow credentials.
    pub fn credentials(mut self) -> Self {
        self.credentials = Some("true");
        self
    }

    /// Exposes a response header to pages of other origins.
    pub fn expose(mut self, header: &str) -> Self {
        self.exposed.push_str(", ");
        self.exposed.push_str(header);
        self
    }

    /// Sets how long browsers cache the response to a preflight request. The browsers' default is a few seconds.
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// Whether [`Cors::origins`] lists the origin.
    pub(super) fn lists(&self, origin: &str) -> bool {
        self.origins.as_ref().is_some_and(|origins| origins.iter().any(|allowed| allowed == origin))
    }

    /// Whether pages of any origin are allowed.
    pub(super) fn is_any(&self) -> bool {
        self.origins.is_none()
    }

    /// Returns the headers of a response to a request of this origin.
    pub(super) fn response_headers(&self, origin: Option<&str>) -> Vec<(&'static str, String)> {
        let mut headers = Vec::new();
        if self.is_any() {
            headers.push(("access-control-allow-origin", "*".into()));
            headers.push(("access-control-expose-headers", self.exposed.clone()));
            return headers;
        }
        // For every origin: a cache must not serve a response for one page to another.
        headers.push(("vary", "origin".into()));
        if let Some(origin) = origin.filter(|origin| self.lists(origin)) {
            headers.push(("access-control-allow-origin", origin.into()));
            headers.push(("access-control-expose-headers", self.exposed.clone()));
            headers
                .extend(self.credentials.map(|allowed| ("access-control-allow-credentials", allowed.into())));
        }
        headers
    }

    /// Returns the additional headers of a response to a preflight request; `requested` are the headers that the page wants to
    /// send.
    pub(super) fn preflight_headers(&self, requested: Option<&str>) -> Vec<(&'static str, String)> {
        let mut headers = vec![("access-control-allow-methods", METHODS.into())];
        headers.extend(requested.map(|requested| ("access-control-allow-headers", requested.into())));
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
    fn any_origin_is_allowed_without_cookies() {
        let headers = Cors::any().credentials().response_headers(Some("https://evil.example"));
        assert_eq!(header(&headers, "access-control-allow-origin"), Some("*"));
        assert_eq!(
            header(&headers, "access-control-expose-headers"),
            Some("x-orpc-dei, x-orpc-durable-iterator")
        );
        assert_eq!(header(&headers, "access-control-allow-credentials"), None);
    }

    #[test]
    fn a_listed_origin_is_allowed_by_name() {
        let cors = Cors::origins(["https://a.example", "https://b.example"]).credentials().expose("x-more");
        let headers = cors.response_headers(Some("https://b.example"));
        assert_eq!(header(&headers, "access-control-allow-origin"), Some("https://b.example"));
        assert_eq!(
            header(&headers, "access-control-expose-headers"),
            Some("x-orpc-dei, x-orpc-durable-iterator, x-more")
        );
        assert_eq!(header(&headers, "access-control-allow-credentials"), Some("true"));
        assert_eq!(header(&headers, "vary"), Some("origin"));
    }

    #[test]
    fn other_origins_are_not_allowed() {
        let cors = Cors::origins(["https://a.example"]).credentials();
        for origin in [None, Some("https://a.example.evil"), Some("https://A.example"), Some("null")] {
            assert_eq!(cors.response_headers(origin), [("vary", "origin".to_owned())], "{origin:?}");
        }
    }

    #[test]
    fn a_preflight_allows_the_requested_headers() {
        let headers =
            Cors::any().max_age(Duration::from_secs(60)).preflight_headers(Some("content-type,x-own"));
        assert_eq!(header(&headers, "access-control-allow-headers"), Some("content-type,x-own"));
        assert_eq!(header(&headers, "access-control-max-age"), Some("60"));
        assert!(header(&headers, "access-control-allow-methods").unwrap().contains("POST"));
        assert_eq!(header(&Cors::any().preflight_headers(None), "access-control-allow-headers"), None);
    }
}
