//! Paths and queries of request URLs.

/// Decodes a percent-encoded segment of a path. Returns `None` if the result is not UTF-8.
///
/// ```
/// use durable_event_iterator::http::decode_segment;
///
/// assert_eq!(decode_segment("a%2Fb").as_deref(), Some("a/b"));
/// assert_eq!(decode_segment("%FF"), None);
/// ```
#[must_use]
pub fn decode_segment(segment: &str) -> Option<String> {
    percent_encoding::percent_decode_str(segment).decode_utf8().ok().map(Into::into)
}

/// Returns the decoded segments of a procedure's path. A segment that is not UTF-8 becomes empty and matches no procedure.
pub(crate) fn decode_path(path: &str) -> Vec<String> {
    path.split('/').map(|segment| decode_segment(segment).unwrap_or_default()).collect()
}

/// Returns the part of a path after the prefix, without a leading and a trailing slash, or `None` if the path has another prefix.
pub(crate) fn below<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    let path = path.strip_prefix(prefix)?;
    let path = if path.is_empty() { path } else { path.strip_prefix('/')? };
    Some(path.strip_suffix('/').unwrap_or(path))
}

/// Returns the path of a URL, with a leading slash, without query and fragment. It is not percent-decoded.
///
/// ```
/// use durable_event_iterator::http::path_of;
///
/// assert_eq!(path_of("https://host:8787/channels/a%2Fb/events?x=/#y"), "/channels/a%2Fb/events");
/// assert_eq!(path_of("https://host"), "/");
/// ```
#[must_use]
pub fn path_of(url: &str) -> &str {
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    let end = after_scheme.find(['?', '#']).unwrap_or(after_scheme.len());
    let host_and_path = after_scheme.get(..end).unwrap_or_default();
    host_and_path.find('/').and_then(|start| host_and_path.get(start..)).unwrap_or("/")
}

/// Returns the query of a URL, without its `?`. It is not percent-decoded.
///
/// `worker::Request::url` parses the URL, which adds 79 KB of Unicode tables to a Worker.
///
/// ```
/// use durable_event_iterator::http::query_of;
///
/// assert_eq!(query_of("https://host/events?channel=a%2Fb#y"), Some("channel=a%2Fb"));
/// assert_eq!(query_of("https://host/events"), None);
/// ```
#[must_use]
pub fn query_of(url: &str) -> Option<&str> {
    let url = url.split_once('#').map_or(url, |(url, _)| url);
    url.split_once('?').map(|(_, query)| query)
}

/// Returns the decoded names and values of a query, or `None` if one of them is not UTF-8.
pub(crate) fn pairs_of(query: &str) -> Option<Vec<(String, String)>> {
    let decode = |text: &str| decode_segment(&text.replace('+', " "));
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode(name)?, decode(value)?))
        })
        .collect()
}

/// Returns the input of a GET request: the last parameter `data` of the query.
pub(crate) fn data_of(query: &str) -> Option<String> {
    let data = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "data").last();
    data.map(|(_, data)| data.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_consists_of_whole_segments() {
        assert_eq!(below("/rpc/router/ping", "/rpc"), Some("router/ping"));
        assert_eq!(below("/rpc/ping/", "/rpc"), Some("ping"));
        assert_eq!(below("/rpc", "/rpc"), Some(""));
        assert_eq!(below("/rpcs/ping", "/rpc"), None);
        assert_eq!(below("/ping", "/rpc"), None);
        assert_eq!(below("/ping", ""), Some("ping"));
    }

    #[test]
    fn a_query_is_decoded_and_must_be_utf_8() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let pairs = pairs_of("channel=a+b%2Bc&x&=y&&to=%C3%BC").unwrap();
        assert_eq!(pairs, [pair("channel", "a b+c"), pair("x", ""), pair("", "y"), pair("to", "ü")]);
        assert_eq!(pairs_of(""), Some(vec![]));
        assert_eq!(pairs_of("channel=%FF"), None);
        assert_eq!(pairs_of("%FF=1"), None);
    }

    #[test]
    fn the_last_data_parameter_is_used() {
        let url = "http://host/rpc/find?data=1&x=2&data=%7B%22json%22%3A%22a+b%22%7D#data=3";
        assert_eq!(data_of(query_of(url).unwrap()).as_deref(), Some(r#"{"json":"a b"}"#));
        assert_eq!(data_of("x=1"), None);
        assert_eq!(query_of("http://host/#?data=1"), None);
    }
}
