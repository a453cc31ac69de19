//! URLs.

use std::{fmt, str::FromStr};

use super::checked_string;
use crate::tag;

/// The schemes that require a host (WHATWG URL, "special scheme", except `file`).
const SCHEMES_WITH_HOST: [&str; 5] = ["http", "https", "ws", "wss", "ftp"];

/// JavaScript's `URL` as a string: absolute, ASCII and percent-encoded.
///
/// A string is valid if JavaScript's `new URL(text)` accepts it; in a Worker that constructor is called. The string
/// is not normalized. Outside a Worker (native tests) internationalized names (`xn--…`) are rejected because they
/// cannot be validated there.
///
/// ```
/// use durable_event_wire::Url;
/// let url: Url = "https://example.com/a?b=c#d".parse()?;
/// assert_eq!(url.as_str(), "https://example.com/a?b=c#d");
/// assert!("/a?b=c".parse::<Url>().is_err());
/// # Ok::<(), durable_event_wire::InvalidUrl>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Url(Box<str>);

impl Url {
    /// Returns the URL as a string.
    ///
    /// ```
    /// # let url: durable_event_wire::Url = "https://example.com/".parse().unwrap();
    /// assert_eq!(url.as_str(), "https://example.com/");
    /// ```
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Url {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, InvalidUrl> {
        if is_url(text) { Ok(Self(text.into())) } else { Err(InvalidUrl(())) }
    }
}

/// The error of parsing a string that is not an absolute, percent-encoded URL.
///
/// ```
/// assert!("https://".parse::<durable_event_wire::Url>().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidUrl(());

impl fmt::Display for InvalidUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("URL must be absolute and percent-encoded")
    }
}

impl std::error::Error for InvalidUrl {}

/// Returns whether every client's `new URL(text)` accepts the text. In a Worker, JavaScript's constructor decides
/// last.
fn is_url(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    // Spaces are valid inside texts such as `data:text/plain,a b`, but WHATWG URL strips trailing ones.
    let is_plain = text.bytes().all(|byte| (b' '..0x7f).contains(&byte)) && !text.ends_with(' ');
    is_scheme && is_plain && is_rest(scheme, rest) && javascript_accepts(text)
}

#[cfg(target_arch = "wasm32")]
fn javascript_accepts(text: &str) -> bool {
    crate::javascript::is_url(text)
}

#[cfg(not(target_arch = "wasm32"))]
const fn javascript_accepts(_: &str) -> bool {
    true
}

/// Validates the part after the scheme and its colon.
fn is_rest(scheme: &str, rest: &str) -> bool {
    let is = |name: &&str| scheme.eq_ignore_ascii_case(name);
    let authority =
        |ends: &[char]| rest.strip_prefix("//").map(|rest| rest.split(ends).next().unwrap_or(rest));
    if SCHEMES_WITH_HOST.iter().any(is) {
        !rest.contains(' ')
            && authority(&ENDS_OF_SPECIAL).is_some_and(|authority| is_authority(authority, Host::Domain))
    } else if is(&"file") {
        // No port and no user. JavaScript never writes `file:a` or backslashes, which have special parsing rules.
        authority(&ENDS_OF_SPECIAL).is_some_and(|host| {
            host.is_empty() || (!host.contains(['@', ':']) && is_host(host, Host::Domain))
        })
    } else {
        authority(&ENDS).is_none_or(|authority| authority.is_empty() || is_authority(authority, Host::Opaque))
    }
}

/// The characters that end an authority. In a URL with a special scheme a backslash is a slash.
const ENDS: [char; 3] = ['/', '?', '#'];
const ENDS_OF_SPECIAL: [char; 4] = ['/', '?', '#', '\\'];

/// The kind of a host.
#[derive(Clone, Copy, PartialEq)]
enum Host {
    /// A domain or an IP address, never empty.
    Domain,
    /// Any other text (for schemes that are not special).
    Opaque,
}

fn is_authority(authority: &str, kind: Host) -> bool {
    let host_and_port = authority.rsplit_once('@').map_or(authority, |(_, host_and_port)| host_and_port);
    if let Some(literal) = host_and_port.strip_prefix('[') {
        return literal.split_once(']').is_some_and(|(address, port)| {
            is_ipv6(address) && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
        });
    }
    let (host, port) = host_and_port.split_once(':').unwrap_or((host_and_port, ""));
    is_port(port) && is_host(host, kind)
}

/// Validates a host that is not an IPv6 address. Some engines reject more characters in a domain than WHATWG URL
/// requires.
fn is_host(host: &str, kind: Host) -> bool {
    let is_forbidden = |byte: u8| match byte {
        b' ' | b'#' | b'/' | b':' | b'<' | b'>' | b'?' | b'@' | b'[' | b'\\' | b']' | b'^' | b'|' => true,
        b'"' | b'%' | b'`' | b'{' | b'}' => kind == Host::Domain,
        _ => false,
    };
    !host.is_empty() && !host.bytes().any(is_forbidden) && (kind == Host::Opaque || is_domain_or_ipv4(host))
}

/// Returns whether a label is an internationalized name. Only JavaScript has the tables to validate it.
fn is_international(label: &str) -> bool {
    label.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("xn--"))
}

fn is_port(port: &str) -> bool {
    port.is_empty() || (port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok())
}

/// Validates a domain or an IPv4 address. A host whose last label is a number must be an IPv4 address (WHATWG URL,
/// "ends in a number").
fn is_domain_or_ipv4(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host);
    let last = name.rsplit('.').next().unwrap_or(name);
    let is_hexadecimal = last
        .strip_prefix("0x")
        .or_else(|| last.strip_prefix("0X"))
        .is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let is_number = is_hexadecimal || (!last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()));
    let is_known = cfg!(target_arch = "wasm32") || !host.split('.').any(is_international);
    is_known && (!is_number || is_ipv4(name))
}

/// Validates an IPv4 address: four decimal bytes without leading zeros.
fn is_ipv4(text: &str) -> bool {
    let is_byte = |part: &str| {
        !(part.len() > 1 && part.starts_with('0'))
            && part.bytes().all(|byte| byte.is_ascii_digit())
            && part.parse::<u8>().is_ok()
    };
    text.split('.').count() == 4 && text.split('.').all(is_byte)
}

/// Validates an IPv6 address: eight groups of up to four hexadecimal digits, or fewer with one gap (`::`). The last
/// two groups may be an IPv4 address (RFC 4291, section 2.2).
fn is_ipv6(text: &str) -> bool {
    const GROUPS: usize = 8;
    let is_group =
        |group: &str| (1..=4).contains(&group.len()) && group.bytes().all(|byte| byte.is_ascii_hexdigit());
    // Counts the groups in a part; `None` if one is invalid.
    let count = |part: &str, is_last: bool| {
        let mut count = 0_usize;
        let mut groups = part.split(':').peekable();
        while let Some(group) = groups.next() {
            let is_address = is_last && groups.peek().is_none() && is_ipv4(group);
            if !part.is_empty() && !is_address && !is_group(group) {
                return None;
            }
            let width = if is_address { 2 } else { 1 };
            count = count.saturating_add(if part.is_empty() { 0 } else { width });
        }
        Some(count)
    };
    let mut parts = text.splitn(2, "::");
    match (parts.next().unwrap_or_default(), parts.next()) {
        (all, None) => count(all, true) == Some(GROUPS),
        (before, Some(after)) => match (count(before, false), count(after, true)) {
            (Some(before), Some(after)) => before.saturating_add(after) < GROUPS,
            _ => false,
        },
    }
}

checked_string!(Url, tag::URL, "a URL");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn urls_written_by_javascript_are_accepted() {
        for text in [
            "https://example.com/",
            "https://example.com/a?b=c#d",
            "http://user:pa%20ss@example.com:8080/%C3%A9",
            "http://[::1]:80/",
            "http://127.0.0.1/",
            "data:text/plain,a b\"c",
            "mailto:a@b.c",
            "blob:https://example.com/1",
            "file:///etc/hosts",
            "urn:isbn:1",
            "about:blank",
            "foo://bar/",
            "foo:///",
            "file://host/share",
            "foo://a%zz\"b/",
            "foo:///a b",
            "foo://user:p@h:1/",
            "http://a.axn--/xn--",
            "http://a_b/",
            "https://a/?q={x}|y",
        ] {
            assert!(text.parse::<Url>().is_ok(), "{text}");
        }
    }

    #[test]
    fn urls_on_which_clients_throw_are_rejected() {
        for text in [
            "",
            "a",
            "/a",
            "//a/b",
            "http:",
            "http://",
            "http:///a",
            "https://?a",
            "http://a b/",
            "http://é/",
            "http://a:99999/",
            "http://a:b/",
            "http://[::1/",
            "http://[x]/",
            "http://1.2.3.256/",
            "http://1.2/",
            "1http://a/",
            "http://a/\n",
            "http://a%41/",
            "http://<a>/",
            "data:x ",
            "http://user@/",
            "http://0xzz.0x1/",
            "foo://@/",
            "foo://:80/",
            "foo://user@/",
            "foo://a\\b/",
            "foo:// /",
            "file://host:80/",
            "file://a%b/",
            "file://u@host/",
            "file:\\\\host:80\\",
            "http://xn--/",
            "http://a.XN--E1AFMKFD/",
        ] {
            assert!(text.parse::<Url>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn addresses_are_validated_like_the_standard_library(
            four in "[0-9]{0,3}(\\.[0-9]{0,3}){0,4}",
            six in "(::)?([0-9a-fA-F]{0,5}:){0,8}(:[0-9a-f]{0,4}){0,8}([0-9]{1,3}(\\.[0-9]{1,3}){3})?(::)?",
            any in "[0-9a-f:.]{0,24}",
        ) {
            for text in [&four, &six, &any] {
                prop_assert_eq!(is_ipv4(text), text.parse::<std::net::Ipv4Addr>().is_ok(), "{}", text);
                prop_assert_eq!(is_ipv6(text), text.parse::<std::net::Ipv6Addr>().is_ok(), "{}", text);
            }
        }

        #[test]
        fn parsing_any_text_never_panics(text in ".*", close in "(http|foo):/{0,3}[a-z0-9:@\\[\\].%#?/é-]*") {
            let _ = text.parse::<Url>();
            let _ = close.parse::<Url>();
        }
    }
}
