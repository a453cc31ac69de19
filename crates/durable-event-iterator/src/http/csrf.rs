//! Cross-site request forgery: which requests a page of another site may have made a browser send.

use super::Cors;
use crate::error::{Code, Error, Result};
use std::collections::BTreeMap;
use worker::Method;

/// Protects procedures from cross-site request forgery.
///
/// A page of another site can make a browser send some requests, cookies included, without asking the server first (the Fetch
/// standard's CORS preflight): GET, and POST without a content type or with `text/plain`, `multipart/form-data` or
/// `application/x-www-form-urlencoded`. CORS prevents the page from reading the response, not the procedure from running. Such
/// a request is rejected with FORBIDDEN unless one of these holds:
///
/// - `Sec-Fetch-Site` is `same-origin` or `none`, which browsers set and pages cannot;
/// - `Origin` is the server's own, one of [`Cors::origins`], or one of [`Csrf::origin`];
/// - it has the header of [`Csrf::header`], which a page can set only after a preflight;
/// - it has no cookies and no `Authorization`, and either no `Origin` or [`Cors::any`] allows all;
/// - it is a GET with neither `Origin` nor `Sec-Fetch-Site`, as older browsers send it.
///
/// All other requests need a preflight and are not looked at. oRPC's clients work unchanged on pages of the same origin and
/// of the configured ones: they send JSON, or a form where there are files.
///
/// ```
/// use durable_event_iterator::http::Csrf;
///
/// let with_another_header = Csrf::new().header("x-app", "1").origin("https://admin.example");
/// let without = Csrf::disabled();
/// # let _ = (with_another_header, without);
/// ```
#[derive(Debug, Clone)]
#[must_use = "it does nothing until a `Handler` gets it"]
pub struct Csrf {
    is_enabled: bool,
    origins: Vec<String>,
    header: (String, String),
}

impl Default for Csrf {
    fn default() -> Self {
        Self::new()
    }
}

impl Csrf {
    /// The default protection. Its header is `x-csrf-token: orpc`, that of oRPC's `SimpleCsrfProtectionLinkPlugin`.
    pub fn new() -> Self {
        Self { is_enabled: true, origins: Vec::new(), header: ("x-csrf-token".into(), "orpc".into()) }
    }

    /// No protection: for servers that never identify a client by cookies, HTTP authentication or network address.
    pub fn disabled() -> Self {
        Self { is_enabled: false, ..Self::new() }
    }

    /// Trusts pages of this origin besides those that [`Cors`] allows, as the browser writes it: `https://app.example`.
    pub fn origin(mut self, origin: impl Into<String>) -> Self {
        self.origins.push(origin.into());
        self
    }

    /// Sets the header that proves that a request was not forged: any name that is not safelisted by the Fetch standard.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.header = (name.to_ascii_lowercase(), value.to_owned());
        self
    }

    /// Rejects what a page of another site may have made a browser send. The headers' names are in lower case.
    pub(super) fn check(
        &self,
        method: &Method,
        url: &str,
        headers: &BTreeMap<String, String>,
        cors: Option<&Cors>,
    ) -> Result<()> {
        let header = |name: &str| headers.get(name).map(String::as_str);
        let is_proven = |site: &str| matches!(site, "same-origin" | "none");
        if !self.is_enabled
            || needs_preflight(method, header("content-type"))
            || header(&self.header.0) == Some(&self.header.1)
            || header("sec-fetch-site").is_some_and(is_proven)
        {
            return Ok(());
        }
        let has_credentials = header("cookie").is_some() || header("authorization").is_some();
        let is_allowed = match header("origin") {
            Some(origin) => {
                origin_of(url) == Some(origin)
                    || self.origins.iter().any(|trusted| trusted == origin)
                    || cors.is_some_and(|cors| cors.names(origin) || (cors.is_any() && !has_credentials))
            }
            None => !has_credentials || (*method == Method::Get && header("sec-fetch-site").is_none()),
        };
        if is_allowed {
            return Ok(());
        }
        let (name, value) = &self.header;
        Err(Error::new(Code::Forbidden).message(format!(
            "Cross-site request rejected: send it from an allowed origin, with `Content-Type: application/json`, or with \
             the header `{name}: {value}`."
        )))
    }
}

/// The content types that a page may send without a preflight.
const SIMPLE_TYPES: [&str; 3] = ["text/plain", "multipart/form-data", "application/x-www-form-urlencoded"];

/// Whether browsers send such a request of another origin only after the server has allowed it.
fn needs_preflight(method: &Method, content_type: Option<&str>) -> bool {
    if !matches!(method, Method::Get | Method::Head | Method::Post) {
        return true;
    }
    let essence =
        content_type.and_then(|content_type| content_type.split(';').next()).unwrap_or_default().trim();
    // What is not a media type may be read as any.
    essence.contains('/') && !SIMPLE_TYPES.iter().any(|simple| essence.eq_ignore_ascii_case(simple))
}

/// The origin of a URL as the runtime writes it, which is in the same form as the header `Origin`.
fn origin_of(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    url.get(..scheme.len().checked_add("://".len())?.checked_add(authority.len())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://api.example/rpc/pay?x=/";

    fn ask(csrf: &Csrf, cors: Option<&Cors>, method: Method, headers: &[(&str, &str)]) -> bool {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        match csrf.check(&method, URL, &headers, cors) {
            Ok(()) => true,
            Err(error) => {
                assert_eq!((error.code(), error.status()), ("FORBIDDEN", 403));
                false
            }
        }
    }

    fn post(headers: &[(&str, &str)]) -> bool {
        ask(&Csrf::new(), None, Method::Post, headers)
    }

    #[test]
    fn simple_requests_with_cookies_are_rejected() {
        for content_type in [
            None,
            Some(""),
            Some("text/plain"),
            Some("TEXT/PLAIN;charset=UTF-8"),
            Some("text/plain; application/json"),
            Some("multipart/form-data; boundary=x"),
            Some("application/x-www-form-urlencoded"),
            Some("json"),
        ] {
            let mut headers = vec![("cookie", "session=1")];
            headers.extend(content_type.map(|content_type| ("content-type", content_type)));
            assert!(!post(&headers), "{content_type:?}");
            headers.push(("origin", "https://evil.example"));
            assert!(!post(&headers), "{content_type:?}");
            headers[0].0 = "x-nothing";
            assert!(!post(&headers), "{content_type:?} without cookies");
            headers.push(("sec-fetch-site", "cross-site"));
            assert!(!post(&headers), "{content_type:?} without cookies");
        }
        assert!(!post(&[("authorization", "Basic eDp5")]));
        assert!(!post(&[("origin", "null")]));
        assert!(!post(&[("cookie", "a"), ("sec-fetch-site", "same-site")]));
    }

    #[test]
    fn requests_that_need_a_preflight_pass() {
        let headers =
            [("cookie", "a"), ("origin", "https://evil.example"), ("content-type", "application/json")];
        assert!(post(&headers));
        assert!(post(&[("cookie", "a"), ("content-type", "application/json; charset=utf-8")]));
        for method in [Method::Put, Method::Patch, Method::Delete] {
            assert!(ask(&Csrf::new(), None, method, &[("cookie", "a"), ("origin", "https://evil.example")]));
        }
    }

    #[test]
    fn proofs_are_accepted() {
        for proof in [
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-site", "none"),
            ("origin", "https://api.example"),
            ("x-csrf-token", "orpc"),
        ] {
            assert!(post(&[("cookie", "a"), proof]), "{proof:?}");
        }
        for other in [
            ("sec-fetch-site", "same-site"),
            ("origin", "http://api.example"),
            ("origin", "https://api.example:8443"),
            ("origin", "https://api.example.evil"),
            ("x-csrf-token", ""),
        ] {
            assert!(!post(&[("cookie", "a"), other]), "{other:?}");
        }
        assert!(post(&[]), "not a browser");
    }

    #[test]
    fn configured_origins_and_headers_are_accepted() {
        let friend = [("cookie", "a"), ("origin", "https://friend.example")];
        let named = Cors::origins(["https://friend.example"]);
        assert!(ask(&Csrf::new(), Some(&named), Method::Post, &friend));
        assert!(ask(&Csrf::new().origin("https://friend.example"), None, Method::Post, &friend));
        assert!(!ask(&Csrf::new(), Some(&Cors::origins(["https://other.example"])), Method::Post, &friend));
        let own = Csrf::new().header("X-App", "1");
        assert!(ask(&own, None, Method::Post, &[("cookie", "a"), ("x-app", "1")]));
        assert!(!ask(&own, None, Method::Post, &[("cookie", "a"), ("x-csrf-token", "orpc")]));
        assert!(ask(&Csrf::disabled(), None, Method::Post, &friend));
    }

    #[test]
    fn any_origin_is_allowed_without_cookies_only() {
        let any = Cors::any();
        assert!(ask(&Csrf::new(), Some(&any), Method::Post, &[("origin", "https://page.example")]));
        let headers = [("origin", "https://page.example"), ("cookie", "a")];
        assert!(!ask(&Csrf::new(), Some(&any), Method::Post, &headers));
    }

    #[test]
    fn reads_are_rejected_where_the_browser_says_that_they_are_cross_site() {
        let get = |headers: &[(&str, &str)]| ask(&Csrf::new(), None, Method::Get, headers);
        assert!(get(&[("cookie", "a")]), "a browser that sends neither header");
        assert!(get(&[("cookie", "a"), ("sec-fetch-site", "same-origin")]));
        assert!(!get(&[("cookie", "a"), ("sec-fetch-site", "cross-site")]));
        assert!(!get(&[("origin", "https://evil.example")]));
        assert!(get(&[("sec-fetch-site", "cross-site")]), "without cookies");
    }
}
