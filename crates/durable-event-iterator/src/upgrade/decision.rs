//! The upgrade decision: whether a request may open a WebSocket, and to which channel.
//!
//! The decision is a pure function; its caller carries it out.

use crate::{
    channel::revocation::REVOKED,
    error::{Error, TRANSIENT_RETRY_AFTER},
    runtime::JsError,
    time::from_millis,
};
use durable_event_token::{
    Claims, ClientKind, ConnectionId, InvalidConnectionId, SigningKeys, TokenError, check_tags,
};

/// The parts of a request on which the decision depends.
#[derive(Clone, Copy)]
pub(crate) struct RequestHead<'a> {
    /// The value of the `Upgrade` header.
    pub(crate) upgrade: Option<&'a str>,
    /// The query, percent-encoded and without its `?`.
    pub(crate) query: Option<&'a str>,
}

/// An accepted request, which may open a WebSocket to the channel in `claims`.
pub(crate) struct Accepted {
    pub(crate) claims: Claims,
    /// `None` for unmodified `DurableEventIterator` clients, which do not send a connection id.
    pub(crate) connection_id: Option<ConnectionId>,
    /// Whether the socket is that of a call over HTTP.
    pub(crate) is_call: bool,
}

/// The reason why a request may not open a WebSocket.
#[derive(Debug)]
pub(crate) enum Rejection {
    /// The request is not a WebSocket upgrade.
    NotAWebSocket,
    /// The token is missing or empty.
    TokenMissing,
    /// The token is invalid. The reason is for logs, not for the client.
    InvalidToken(TokenError),
    /// The token is revoked.
    Revoked,
    /// The storage failed, so that the Durable Object cannot check whether the token is revoked. The reason is for logs.
    Storage(Error),
    /// The token is valid, but for another channel than the Durable Object's.
    OtherChannel,
    /// The token is for a `DurableIterator` client, which must send a connection id, and the connection id is missing.
    ConnectionIdMissing,
    /// The token has more tags, or larger ones, than the Workers runtime accepts. The reason is for logs.
    InvalidTags(TokenError),
    /// The connection id is invalid.
    InvalidConnectionId(InvalidConnectionId),
    /// The token's attachment exceeds the size of a socket's attachment.
    AttachmentTooLarge,
    /// There is no signing key to verify tokens with.
    NoKeys,
    /// The Durable Object has no name, so that it cannot check that the token is for its channel.
    NoName,
    /// The Durable Object has reached its maximum number of sockets.
    Full,
    /// The maximum number of sockets with this connection id is reached.
    ManyPerConnection,
    /// The maximum number of sockets of this subject is reached.
    ManyPerSubject,
    /// An error of the Workers runtime. The reason is for logs, not for the client.
    Runtime(JsError),
}

impl From<JsError> for Rejection {
    fn from(error: JsError) -> Self {
        Self::Runtime(error)
    }
}

impl Rejection {
    /// Returns the HTTP status of the response.
    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::NotAWebSocket => 426,
            Self::TokenMissing
            | Self::InvalidToken(_)
            | Self::Revoked
            | Self::OtherChannel
            | Self::ConnectionIdMissing => 401,
            Self::InvalidConnectionId(_) | Self::InvalidTags(_) => 400,
            Self::AttachmentTooLarge => 413,
            Self::ManyPerConnection | Self::ManyPerSubject => 429,
            Self::Full | Self::Storage(_) => 503,
            Self::Runtime(error) if error.is_transient() => 503,
            Self::NoKeys | Self::NoName | Self::Runtime(_) => 500,
        }
    }

    /// Returns the name of the reason in statistics and logs.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::NotAWebSocket => "not_websocket",
            Self::TokenMissing => "token_missing",
            Self::InvalidToken(TokenError::Expired) => "token_expired",
            Self::InvalidToken(_) => "token_invalid",
            Self::Revoked => "token_revoked",
            Self::Storage(_) => "storage_failure",
            Self::OtherChannel => "other_channel",
            Self::ConnectionIdMissing => "connection_id_missing",
            Self::InvalidTags(_) => "tags_invalid",
            Self::InvalidConnectionId(_) => "connection_id_invalid",
            Self::AttachmentTooLarge => "attachment_too_large",
            Self::NoKeys => "no_signing_key",
            Self::NoName => "no_name",
            Self::Full => "max_sockets",
            Self::ManyPerConnection => "max_sockets_per_connection",
            Self::ManyPerSubject => "max_sockets_per_subject",
            Self::Runtime(_) => "runtime_error",
        }
    }

    /// Returns the value of the header `Retry-After`, in seconds.
    pub(crate) fn retry_after(&self) -> Option<u32> {
        match self {
            Self::Full | Self::ManyPerConnection | Self::ManyPerSubject => Some(CAPPED_RETRY_AFTER),
            Self::Storage(_) => Some(TRANSIENT_RETRY_AFTER),
            Self::Runtime(error) if error.is_transient() => Some(TRANSIENT_RETRY_AFTER),
            _ => None,
        }
    }

    /// Returns the text of the response. It is the same for every invalid token, so that a client learns nothing about the
    /// reason.
    pub(crate) fn text(&self) -> &'static str {
        match self {
            Self::NotAWebSocket => "Expected WebSocket upgrade",
            Self::TokenMissing => "Token is required",
            Self::InvalidToken(_) | Self::OtherChannel => "Invalid Token",
            Self::Revoked => REVOKED,
            Self::ConnectionIdMissing => "ID is required",
            Self::InvalidConnectionId(_) => "Invalid ID",
            Self::InvalidTags(_) => "Invalid tags: expected at most 10 tags of 1-256 UTF-8 bytes",
            Self::AttachmentTooLarge => "Token attachment is too large",
            Self::NoName => NO_NAME,
            Self::Full => "Too many connections to this channel",
            Self::ManyPerConnection => "Too many connections with this ID",
            Self::ManyPerSubject => "Too many connections of this subject",
            Self::Storage(_) => "Service Unavailable",
            Self::Runtime(error) if error.is_transient() => "Service Unavailable",
            Self::NoKeys | Self::Runtime(_) => "Internal Server Error",
        }
    }
}

/// The text for a Durable Object without a name. It is for developers, and reveals nothing to clients.
pub(crate) const NO_NAME: &str = "This Durable Object has no name, so it cannot check that the token is for its channel. It was reached \
    through another dev process, or by an id without a name. Run both Workers in one process \
    (wrangler dev -c a/wrangler.toml -c b/wrangler.toml), and use idFromName or getByName.";

/// The value of `Retry-After` when there are too many sockets, in seconds: other sockets must close first.
const CAPPED_RETRY_AFTER: u32 = 10;

/// Decides about a request at `now_ms`, in milliseconds since 1970. The order of the checks is that of oRPC's implementation:
/// missing token, invalid token, invalid connection id.
///
/// A request with an invalid token is rejected for its token even if it is not an upgrade. Browsers do not report the status of
/// a failed upgrade, so our client sends such a request to get the status.
pub(crate) fn decide(head: &RequestHead<'_>, keys: &SigningKeys, now_ms: u64) -> Result<Accepted, Rejection> {
    let is_websocket = head.upgrade.is_some_and(|upgrade| upgrade.eq_ignore_ascii_case("websocket"));
    let parameters = Parameters::of(head.query.unwrap_or_default());
    if !is_websocket && parameters.token.is_none() {
        return Err(Rejection::NotAWebSocket);
    }
    let accepted = check(parameters, keys, now_ms)?;
    if is_websocket { Ok(accepted) } else { Err(Rejection::NotAWebSocket) }
}

fn check(
    Parameters { token, id, call }: Parameters,
    keys: &SigningKeys,
    now_ms: u64,
) -> Result<Accepted, Rejection> {
    let token = token.ok_or(Rejection::TokenMissing)?;
    let claims = keys.verify(&token, from_millis(now_ms)).map_err(Rejection::InvalidToken)?;
    let connection_id = id.map(ConnectionId::try_from).transpose().map_err(Rejection::InvalidConnectionId)?;
    if claims.client_kind() == ClientKind::DurableIterator && connection_id.is_none() {
        return Err(Rejection::ConnectionIdMissing);
    }
    check_tags(claims.tags()).map_err(Rejection::InvalidTags)?;
    Ok(Accepted { claims, connection_id, is_call: call.is_some() })
}

/// Tokens do not belong in logs.
impl std::fmt::Debug for Accepted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Accepted")
            .field("claims", &self.claims)
            .field("connection_id", &self.connection_id)
            .field("is_call", &self.is_call)
            .finish_non_exhaustive()
    }
}

/// The query parameters of an upgrade request. If a parameter is repeated, the last value is used. An empty value is the same
/// as a missing parameter.
#[derive(Default)]
struct Parameters {
    token: Option<String>,
    id: Option<String>,
    /// Any value: the socket is that of a call over HTTP.
    call: Option<String>,
}

impl Parameters {
    /// Decodes a query like `URLSearchParams`. Invalid UTF-8 becomes U+FFFD, which neither a token nor a connection id may
    /// contain.
    fn of(query: &str) -> Self {
        let mut parameters = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let parameter = match &*name {
                "token" => &mut parameters.token,
                "id" => &mut parameters.id,
                "call" => &mut parameters.call,
                _ => continue,
            };
            *parameter = Some(value.into_owned()).filter(|value| !value.is_empty());
        }
        parameters
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use durable_event_token::{Token, limits::TAG_BYTES};

    const NOW_MS: u64 = 1_800_000_000_000;

    fn keys() -> SigningKeys {
        SigningKeys::parse("a key", None).unwrap()
    }

    fn token() -> String {
        Token::builder("some-room").sign(&keys(), from_millis(NOW_MS)).unwrap()
    }

    fn ask(query: &str) -> Result<Accepted, Rejection> {
        decide(&RequestHead { upgrade: Some("websocket"), query: Some(query) }, &keys(), NOW_MS)
    }

    #[track_caller]
    fn assert_rejected(result: Result<Accepted, Rejection>, status: u16, text: &str) {
        let rejection = result.unwrap_err();
        assert_eq!((rejection.status(), rejection.text()), (status, text));
    }

    #[test]
    fn a_valid_token_is_accepted_for_its_channel() {
        let token = token();
        let accepted = ask(&format!("token={token}")).unwrap();
        assert_eq!(accepted.claims.channel().as_str(), "some-room");
        assert_eq!(accepted.connection_id, None);
    }

    #[test]
    fn the_upgrade_header_is_case_insensitive() {
        let query = format!("token={}", token());
        for upgrade in ["websocket", "WebSocket", "WEBSOCKET"] {
            let head = RequestHead { upgrade: Some(upgrade), query: Some(&query) };
            assert!(decide(&head, &keys(), NOW_MS).is_ok(), "{upgrade}");
        }
        for upgrade in [None, Some(""), Some("h2c"), Some("websockets")] {
            for query in [None, Some(query.as_str()), Some("token=")] {
                let rejected = decide(&RequestHead { upgrade, query }, &keys(), NOW_MS);
                assert_rejected(rejected, 426, "Expected WebSocket upgrade");
            }
        }
    }

    #[test]
    fn a_request_without_an_upgrade_is_rejected_for_its_invalid_token() {
        for (query, status, text) in [
            ("token=garbage".to_owned(), 401, "Invalid Token"),
            (format!("token={}&id=a%20b", token()), 400, "Invalid ID"),
        ] {
            let rejected = decide(&RequestHead { upgrade: None, query: Some(&query) }, &keys(), NOW_MS);
            assert_rejected(rejected, status, text);
        }
    }

    #[test]
    fn a_request_without_a_token_is_rejected() {
        let no_query = RequestHead { upgrade: Some("websocket"), query: None };
        assert_rejected(decide(&no_query, &keys(), NOW_MS), 401, "Token is required");
        for query in
            ["", "&", "=", "token", "token=", "id=1", "Token=x", "tokens=x", "?token=x", "token%00=x"]
        {
            assert_rejected(ask(query), 401, "Token is required");
        }
    }

    #[test]
    fn the_response_is_the_same_for_every_invalid_token() {
        let good = token();
        let (message, _) = good.rsplit_once('.').unwrap();
        for bad in ["garbage", message, &format!("{message}."), &format!("+{good}"), &format!("{good}%20")] {
            assert_rejected(ask(&format!("token={bad}")), 401, "Invalid Token");
        }
        let day_ms = 86_400_000;
        let head = format!("token={good}");
        let head = RequestHead { upgrade: Some("websocket"), query: Some(&head) };
        assert_rejected(decide(&head, &keys(), NOW_MS + day_ms), 401, "Invalid Token");
    }

    #[test]
    fn the_last_of_several_tokens_is_used() {
        let good = token();
        assert!(ask(&format!("token=garbage&token={good}")).is_ok());
        assert!(ask(&format!("token=&x=1&%74oken={good}")).is_ok());
        assert_rejected(ask(&format!("token={good}&token=garbage")), 401, "Invalid Token");
        assert_rejected(ask(&format!("token={good}&token=")), 401, "Token is required");
    }

    #[test]
    fn the_query_is_percent_decoded_once() {
        let good = token();
        let escaped: String = good.bytes().map(|byte| format!("%{byte:02x}")).collect();
        assert!(ask(&format!("token={escaped}")).is_ok());
        let twice = escaped.replace('%', "%25");
        assert_rejected(ask(&format!("token={twice}")), 401, "Invalid Token");
    }

    #[test]
    fn invalid_utf8_is_rejected() {
        let good = token();
        for bytes in ["%FF", "%C3%28", "%ED%A0%80", "%", "%4", "%zz", "%00"] {
            assert_rejected(ask(&format!("token={good}{bytes}")), 401, "Invalid Token");
            assert_rejected(ask(&format!("token={bytes}{good}")), 401, "Invalid Token");
        }
        assert_rejected(ask(&format!("token={good}&id=%FF")), 400, "Invalid ID");
    }

    #[test]
    fn a_connection_id_is_visible_ascii() {
        let good = token();
        let longest = "x".repeat(128);
        for id in ["1", "a-b_c.d~", "%7E%21", longest.as_str()] {
            assert!(ask(&format!("token={good}&id={id}")).unwrap().connection_id.is_some(), "{id}");
        }
        let too_long = "x".repeat(129);
        for id in ["a+b", "%20", "%00", "%7F", "%C3%A4", "a%0Ab", too_long.as_str()] {
            assert_rejected(ask(&format!("token={good}&id={id}")), 400, "Invalid ID");
        }
        assert_eq!(ask(&format!("token={good}&id=")).unwrap().connection_id, None);
        let last = ask(&format!("token={good}&id=%20&id=second")).unwrap().connection_id.unwrap();
        assert_eq!(last.as_str(), "second");
    }

    #[test]
    fn an_invalid_token_is_reported_before_an_invalid_id() {
        assert_rejected(ask("token=garbage&id=%20"), 401, "Invalid Token");
    }

    #[test]
    fn debug_does_not_show_the_token() {
        let good = token();
        let shown = format!("{:?}", ask(&format!("token={good}&id=1")).unwrap());
        assert!(!shown.contains("eyJ"), "{shown}");
        let rejected = format!("{:?}", ask(&format!("token={good}A")).unwrap_err());
        assert!(!rejected.contains("eyJ"), "{rejected}");
    }

    #[test]
    fn the_response_for_invalid_tags_states_the_limits() {
        let text = Rejection::InvalidTags(TokenError::TooManyTags { count: 11 }).text();
        let limits = format!("tags of {}-{} UTF-8 bytes", TAG_BYTES.start(), TAG_BYTES.end());
        assert!(text.contains(&limits), "{text}");
    }

    proptest! {
        #[test]
        fn any_query_is_decided_without_a_panic(query in ".{0,200}", upgrade in prop::option::of(".{0,12}")) {
            let _ = ask(&query);
            let _ = ask(&format!("token={query}&id={query}"));
            let head = RequestHead { upgrade: upgrade.as_deref(), query: Some(&query) };
            prop_assert!(decide(&head, &keys(), NOW_MS).is_err());
        }
    }
}
