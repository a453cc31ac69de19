//! Where a request goes, as text.

/// A segment of a path, percent-decoded; nothing if it is no UTF-8 then.
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

/// The segments of a procedure's path, decoded. One that is no UTF-8 names no procedure.
pub(crate) fn decode_path(path: &str) -> Vec<String> {
    path.split('/').map(|segment| decode_segment(segment).unwrap_or_default()).collect()
}

/// The procedure's part of a path below a prefix, without slashes at its ends.
pub(crate) fn below<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    let path = path.strip_prefix(prefix)?;
    let path = if path.is_empty() { path } else { path.strip_prefix('/')? };
    Some(path.strip_suffix('/').unwrap_or(path))
}

/// The path of a request's URL, raw: with a leading slash, without query and fragment.
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

/// The query of a URL, raw and without its `?`. Not by `Request::url()`: parsing it brings 79 KB of Unicode tables along.
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

/// What a GET brings: the last parameter `data`.
pub(crate) fn data_of(query: &str) -> Option<String> {
    let data = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "data").last();
    data.map(|(_, data)| data.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_where_a_segment_does() {
        assert_eq!(below("/rpc/router/ping", "/rpc"), Some("router/ping"));
        assert_eq!(below("/rpc/ping/", "/rpc"), Some("ping"));
        assert_eq!(below("/rpc", "/rpc"), Some(""));
        assert_eq!(below("/rpcs/ping", "/rpc"), None);
        assert_eq!(below("/ping", "/rpc"), None);
        assert_eq!(below("/ping", ""), Some("ping"));
    }

    #[test]
    fn the_last_data_counts() {
        let url = "http://host/rpc/find?data=1&x=2&data=%7B%22json%22%3A%22a+b%22%7D#data=3";
        assert_eq!(data_of(query_of(url).unwrap()).as_deref(), Some(r#"{"json":"a b"}"#));
        assert_eq!(data_of("x=1"), None);
        assert_eq!(query_of("http://host/#?data=1"), None);
    }
}
