//! Protection from cross-site request forgery (CSRF).

use super::Cors;
use crate::error::{Code, Error, Result};
use std::collections::BTreeMap;
use worker::Method;

/// Protects procedures from cross-site request forgery.
///
/// A page of another site can cause a browser to send some requests, with cookies, without a CORS preflight request (defined in
/// the Fetch standard): GET, and POST without a content type or with `text/plain`, `multipart/form-data` or
/// `application/x-www-form-urlencoded`. CORS prevents the page from reading the response, but does not prevent the procedure
/// from running. Such a request is rejected with FORBIDDEN unless at least one of these conditions is true:
///
/// - `Sec-Fetch-Site` is `same-origin` or `none`. Browsers set this header; pages cannot.
/// - `Origin` is the server's own origin, one of [`Cors::origins`], or one of [`Csrf::origin`].
/// - The request has the header of [`Csrf::header`], which a page can set only after a preflight request.
/// - The request has neither cookies nor `Authorization`; and it has no `Origin`, or [`Cors::any`] is set.
/// - The request is a GET with neither `Origin` nor `Sec-Fetch-Site`, as older browsers send it.
///
/// All other requests require a preflight request and are not checked. oRPC's clients work unchanged on pages of the server's
/// origin and of the configured origins. They send JSON, or a form if the input contains files.
///
/// ```
/// use durable_event_iterator::http::Csrf;
///
/// let with_another_header = Csrf::new().header("x-app", "1").origin("https://admin.example");
/// let without = Csrf::disabled();
/// # let _ = (with_another_header, without);
/// ```
#[derive(Debug, Clone)]
#[must_use = "it has no effect until it is passed to `Handler::csrf`"]
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
    /// Returns the default protection, with the header `x-csrf-token: orpc` of oRPC's `SimpleCsrfProtectionLinkPlugin`.
    pub fn new() -> Self {
        Self { is_enabled: true, origins: Vec::new(), header: ("x-csrf-token".into(), "orpc".into()) }
    }

    /// Disables the protection, for servers that never identify a client by cookies, HTTP authentication or network address.
    pub fn disabled() -> Self {
        Self { is_enabled: false, ..Self::new() }
    }

    /// Trusts pages of this origin, in addition to those that [`Cors`] allows. The form is that of the header `Origin`:
    /// `https://app.example`.
    pub fn origin(mut self, origin: impl Into<String>) -> Self {
        self.origins.push(origin.into());
        self
    }

    /// Sets the header that proves that a request is not forged. Its name can be any that the Fetch standard does not safelist.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.header = (name.to_ascii_lowercase(), value.to_owned());
        self
    }

    /// Rejects a request that may be forged by a page of another site. The names of the headers are in lower case.
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
                    || cors.is_some_and(|cors| cors.lists(origin) || (cors.is_any() && !has_credentials))
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

/// The content types that a page can send without a preflight request.
const SIMPLE_TYPES: [&str; 3] = ["text/plain", "multipart/form-data", "application/x-www-form-urlencoded"];

/// Whether browsers send such a cross-origin request only after a successful preflight request.
fn needs_preflight(method: &Method, content_type: Option<&str>) -> bool {
    if !matches!(method, Method::Get | Method::Head | Method::Post) {
        return true;
    }
    let essence =
        content_type.and_then(|content_type| content_type.split(';').next()).unwrap_or_default().trim();
    // A text that is not a media type may be parsed as any of them.
    essence.contains('/') && !SIMPLE_TYPES.iter().any(|simple| essence.eq_ignore_ascii_case(simple))
}

/// Returns the origin of a URL that the Workers runtime has normalized, in the form of the header `Origin`.
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
    fn proofs_of_the_same_origin_are_accepted() {
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
        let listed = Cors::origins(["https://friend.example"]);
        assert!(ask(&Csrf::new(), Some(&listed), Method::Post, &friend));
        assert!(ask(&Csrf::new().origin("https://friend.example"), None, Method::Post, &friend));
        assert!(!ask(&Csrf::new(), Some(&Cors::origins(["https://other.example"])), Method::Post, &friend));
        let custom = Csrf::new().header("X-App", "1");
        assert!(ask(&custom, None, Method::Post, &[("cookie", "a"), ("x-app", "1")]));
        assert!(!ask(&custom, None, Method::Post, &[("cookie", "a"), ("x-csrf-token", "orpc")]));
        assert!(ask(&Csrf::disabled(), None, Method::Post, &friend));
    }

    #[test]
    fn any_origin_is_allowed_only_without_cookies() {
        let any = Cors::any();
        assert!(ask(&Csrf::new(), Some(&any), Method::Post, &[("origin", "https://page.example")]));
        let headers = [("origin", "https://page.example"), ("cookie", "a")];
        assert!(!ask(&Csrf::new(), Some(&any), Method::Post, &headers));
    }

    #[test]
    fn cross_site_reads_with_cookies_are_rejected() {
        let get = |headers: &[(&str, &str)]| ask(&Csrf::new(), None, Method::Get, headers);
        assert!(get(&[("cookie", "a")]), "a browser that sends neither header");
        assert!(get(&[("cookie", "a"), ("sec-fetch-site", "same-origin")]));
        assert!(!get(&[("cookie", "a"), ("sec-fetch-site", "cross-site")]));
        assert!(!get(&[("origin", "https://evil.example")]));
        assert!(get(&[("sec-fetch-site", "cross-site")]), "without cookies");
    }
}
