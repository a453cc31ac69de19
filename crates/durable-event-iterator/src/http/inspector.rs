//! The inspector: a page that shows one channel. It contains no secret and no data: it requests a key, and then uses the HTTP API.

use crate::runtime::{self, JsError};
use std::fmt::Write;
use wasm_bindgen::JsValue;
use worker::web_sys::{Request, Response};

const OK: u16 = 200;
const PERMANENT_REDIRECT: u16 = 308;
const NOT_MODIFIED: u16 = 304;
const NOT_FOUND: u16 = 404;
const METHOD_NOT_ALLOWED: u16 = 405;

/// The path of the page. Its assets are below it.
const PATH: &str = "/inspect";

/// The part of the page that is replaced by the path prefix of the API.
const PREFIX_PLACEHOLDER: &str = "{prefix}";

/// Only scripts, styles and images of this path, requests to the same origin, and no HTML from strings (trusted types).
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

struct Asset {
    name: &'static str,
    content_type: &'static str,
    text: &'static str,
}

macro_rules! assets {
    ($($name:literal $content_type:ident),* $(,)?) => {
        &[$(Asset {
            name: $name,
            content_type: $content_type,
            text: include_str!(concat!("inspector/", $name)),
        }),*]
    };
}

const PAGE: &str = include_str!("inspector/index.html");

const ASSETS: &[Asset] = assets![
    "style.css" CSS,
    "icon.svg" SVG,
    "main.js" JAVASCRIPT,
    "api.js" JAVASCRIPT,
    "dom.js" JAVASCRIPT,
    "event-rows.js" JAVASCRIPT,
    "event-stream.js" JAVASCRIPT,
    "format.js" JAVASCRIPT,
    "forms.js" JAVASCRIPT,
    "history.js" JAVASCRIPT,
    "live-events.js" JAVASCRIPT,
    "panels.js" JAVASCRIPT,
    "timeline.js" JAVASCRIPT,
    "tree.js" JAVASCRIPT,
    "value.js" JAVASCRIPT,
];

/// Whether a path is that of the page or of one of its assets.
pub(super) fn is_path(path: &str) -> bool {
    path.strip_prefix(PATH).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Serves the page and its assets.
///
/// `prefix` is the path prefix of the API.
///
/// # Errors
/// An error of the Workers runtime while creating the response.
pub(super) fn respond(request: &Request, path: &str, prefix: &str) -> Result<Response, JsError> {
    let known = request.headers().get("if-none-match").ok().flatten();
    let Served { status, headers, body } = serve(&request.method(), path, prefix, known.as_deref());
    runtime::respond(status, &body.map_or(JsValue::NULL, JsValue::from), &headers)
}

/// A response.
#[derive(Debug)]
struct Served {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Option<String>,
}

fn serve(method: &str, path: &str, prefix: &str, known: Option<&str>) -> Served {
    let mut headers = vec![
        ("content-security-policy", CONTENT_SECURITY_POLICY.to_owned()),
        ("cross-origin-opener-policy", "same-origin".to_owned()),
        ("cross-origin-resource-policy", "same-origin".to_owned()),
        ("referrer-policy", "no-referrer".to_owned()),
        ("x-content-type-options", "nosniff".to_owned()),
        ("x-frame-options", "DENY".to_owned()),
        // Browsers check for another version, which the tag makes cheap.
        ("cache-control", "no-cache".to_owned()),
    ];
    if !matches!(method, "GET" | "HEAD") {
        headers.push(("allow", "GET, HEAD".to_owned()));
        return Served { status: METHOD_NOT_ALLOWED, headers, body: None };
    }
    let rest = path.strip_prefix(PATH).unwrap_or_default();
    let (content_type, text) = match rest {
        "" => (HTML, PAGE.replace(PREFIX_PLACEHOLDER, &escape(prefix))),
        "/" => {
            headers.push(("location", PATH.to_owned()));
            return Served { status: PERMANENT_REDIRECT, headers, body: None };
        }
        rest => {
            let name = rest.trim_start_matches('/');
            match ASSETS.iter().find(|asset| asset.name == name) {
                Some(Asset { content_type, text, .. }) => (*content_type, (*text).to_owned()),
                None => return Served { status: NOT_FOUND, headers, body: None },
            }
        }
    };
    let tag = tag_of(&text);
    let is_known = known.is_some_and(|known| known.split(',').any(|known| known.trim() == tag));
    headers.push(("etag", tag));
    if is_known {
        return Served { status: NOT_MODIFIED, headers, body: None };
    }
    headers.push(("content-type", content_type.to_owned()));
    Served { status: OK, headers, body: (method == "GET").then_some(text) }
}

/// Returns the text as the value of an attribute.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;")
}

/// Returns the entity tag of a text: weak, since a proxy may compress the response. The hash is FNV-1a.
fn tag_of(text: &str) -> String {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let mut tag = String::with_capacity(20);
    // Writing to a `String` cannot fail.
    let _ = write!(tag, "W/\"{hash:016x}\"");
    tag
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header<'a>(served: &'a Served, name: &str) -> Option<&'a str> {
        served.headers.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str())
    }

    #[test]
    fn paths_are_whole_segments() {
        for path in ["/inspect", "/inspect/", "/inspect/main.js"] {
            assert!(is_path(path), "{path}");
        }
        for path in ["/", "/inspector", "/inspect.js", "/channels/inspect"] {
            assert!(!is_path(path), "{path}");
        }
    }

    #[test]
    fn the_page_contains_the_prefix() {
        let served = serve("GET", "/inspect", "/a\"><script>", None);
        assert_eq!((served.status, header(&served, "content-type")), (200, Some(HTML)));
        assert!(served.body.unwrap().contains("data-prefix=\"/a&quot;>&lt;script>\""));
    }

    #[test]
    fn every_asset_of_the_page_and_of_the_modules_exists() {
        let modules = ASSETS.iter().flat_map(|asset| {
            let imported = asset.text.split("from './").skip(1);
            imported.filter_map(|rest| rest.split('\'').next()).map(|name| format!("/inspect/{name}"))
        });
        let linked = PAGE.split("=\"/inspect/").skip(1).filter_map(|rest| rest.split('"').next());
        for path in modules.chain(linked.map(|name| format!("/inspect/{name}"))) {
            let served = serve("GET", &path, "/channels", None);
            assert_eq!(served.status, 200, "{path}");
            assert!(served.body.is_some_and(|body| !body.is_empty()), "{path}");
        }
    }

    #[test]
    fn every_file_is_served() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/http/inspector");
        for file in std::fs::read_dir(folder).unwrap() {
            let name = file.unwrap().file_name().into_string().unwrap();
            let is_asset = ASSETS.iter().any(|asset| asset.name == name);
            assert!(is_asset || name == "index.html" || name == "tsconfig.json", "{name}");
        }
    }

    #[test]
    fn responses_are_strict() {
        for path in ["/inspect", "/inspect/main.js", "/inspect/none", "/inspect/"] {
            let served = serve("GET", path, "/channels", None);
            let policy = header(&served, "content-security-policy").unwrap();
            assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
            assert!(!policy.contains("unsafe"));
            assert_eq!(header(&served, "x-content-type-options"), Some("nosniff"));
            assert_eq!(header(&served, "referrer-policy"), Some("no-referrer"));
            assert_eq!(header(&served, "cache-control"), Some("no-cache"));
        }
    }

    #[test]
    fn other_paths_and_methods_are_rejected() {
        assert_eq!(serve("GET", "/inspect/index.html", "", None).status, 404);
        assert_eq!(serve("GET", "/inspect/../main.js", "", None).status, 404);
        let redirected = serve("GET", "/inspect/", "", None);
        assert_eq!((redirected.status, header(&redirected, "location")), (308, Some("/inspect")));
        let rejected = serve("POST", "/inspect", "", None);
        assert_eq!((rejected.status, header(&rejected, "allow")), (405, Some("GET, HEAD")));
    }

    #[test]
    fn a_known_version_and_head_have_no_body() {
        let first = serve("HEAD", "/inspect/main.js", "", None);
        assert_eq!((first.status, first.body.as_deref()), (200, None));
        let tag = header(&first, "etag").unwrap();
        let second = serve("GET", "/inspect/main.js", "", Some(&format!("\"x\", {tag}")));
        assert_eq!((second.status, second.body.as_deref()), (304, None));
        assert_ne!(header(&serve("GET", "/inspect/api.js", "", None), "etag"), Some(tag));
    }
}
