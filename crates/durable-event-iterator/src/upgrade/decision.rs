//! The upgrade decision: whether a request may open a WebSocket to a channel, and to which.
//!
//! Pure: what the decision needs comes in as values, and whoever asks carries it out.

use crate::time::from_millis;
use crate::{error::TRANSIENT_RETRY_AFTER, runtime::JsError};
use durable_event_token::{
    Claims, ClientKind, ConnectionId, InvalidConnectionId, SigningKeys, TokenError, check_tags,
};

/// What the decision needs to know of a request.
#[derive(Clone, Copy)]
pub(crate) struct RequestHead<'a> {
    /// The value of the `Upgrade` header.
    pub(crate) upgrade: Option<&'a str>,
    /// The query as it was sent, percent-encoded and without its `?`.
    pub(crate) query: Option<&'a str>,
}

/// A request that may open a WebSocket to the object that `claims` names.
pub(crate) struct Accepted {
    pub(crate) claims: Claims,
    /// `None` for stock clients of generation 1, which send none.
    pub(crate) connection_id: Option<ConnectionId>,
}

/// Why a request may not open a WebSocket.
#[derive(Debug)]
pub(crate) enum Rejection {
    /// The request does not ask for a WebSocket.
    NotAWebSocket,
    /// There is no token, or an empty one.
    TokenMissing,
    /// There is a token, but not a valid one. The reason is for logs, not for the client.
    InvalidToken(TokenError),
    /// There is a valid token, but for another channel than that of the object that was asked.
    OtherChannel,
    /// The token is one of generation 2, whose clients must send a connection id, and there is none.
    ConnectionIdMissing,
    /// The token has more tags, or larger ones, than the Workers runtime accepts. The reason is for logs.
    InvalidTags(TokenError),
    /// There is a connection id, but not one that can be stored and compared.
    InvalidConnectionId(InvalidConnectionId),
    /// The token's attachment does not fit into a socket's.
    AttachmentTooLarge,
    /// There are no keys to verify tokens with.
    NoKeys,
    /// The Durable Object has no name, and nothing proves that it is the channel's.
    NoName,
    /// The Durable Object has as many sockets as it may have.
    Full,
    /// There are as many sockets with this connection id as there may be.
    ManyPerConnection,
    /// There are as many sockets of this subject as there may be.
    ManyPerSubject,
    /// The runtime has refused. The reason is for logs, not for the client.
    Runtime(JsError),
}

impl From<JsError> for Rejection {
    fn from(error: JsError) -> Self {
        Self::Runtime(error)
    }
}

impl Rejection {
    /// The HTTP status of the answer.
    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::NotAWebSocket => 426,
            Self::TokenMissing | Self::InvalidToken(_) | Self::OtherChannel | Self::ConnectionIdMissing => {
                401
            }
            Self::InvalidConnectionId(_) | Self::InvalidTags(_) => 400,
            Self::AttachmentTooLarge => 413,
            Self::ManyPerConnection | Self::ManyPerSubject => 429,
            Self::Full => 503,
            Self::Runtime(error) if error.is_transient() => 503,
            Self::NoKeys | Self::NoName | Self::Runtime(_) => 500,
        }
    }

    /// When another try may succeed, in seconds: a header of the answer.
    pub(crate) fn retry_after(&self) -> Option<u32> {
        match self {
            Self::Full | Self::ManyPerConnection | Self::ManyPerSubject => Some(CAPPED_RETRY_AFTER),
            Self::Runtime(error) if error.is_transient() => Some(TRANSIENT_RETRY_AFTER),
            _ => None,
        }
    }

    /// The text of the answer. It tells a client no more than it needs: every bad token reads alike.
    pub(crate) fn text(&self) -> &'static str {
        match self {
            Self::NotAWebSocket => "Expected WebSocket upgrade",
            Self::TokenMissing => "Token is required",
            Self::InvalidToken(_) | Self::OtherChannel => "Invalid Token",
            Self::ConnectionIdMissing => "ID is required",
            Self::InvalidConnectionId(_) => "Invalid ID",
            Self::InvalidTags(_) => "Invalid tags: expected at most 10 tags of 1-256 UTF-8 bytes",
            Self::AttachmentTooLarge => "Token attachment is too large",
            Self::NoName => NO_NAME,
            Self::Full => "Too many connections to this channel",
            Self::ManyPerConnection => "Too many connections with this ID",
            Self::ManyPerSubject => "Too many connections of this subject",
            Self::Runtime(error) if error.is_transient() => "Service Unavailable",
            Self::NoKeys | Self::Runtime(_) => "Internal Server Error",
        }
    }
}

/// What to do about a Durable Object without a name. It concerns developers, and reveals nothing.
const NO_NAME: &str = "This Durable Object has no name, so it cannot check that the token is for its channel. It was reached \
    through another dev process, or by an id that was not made from a name. Run both Workers in one process \
    (wrangler dev -c a/wrangler.toml -c b/wrangler.toml), and reach it by idFromName or getByName.";

/// How long a client waits when there are too many sockets, in seconds: others have to close first.
const CAPPED_RETRY_AFTER: u32 = 10;

/// Decides about a request at `now_ms`, in milliseconds since 1970. The checks go in the order of the answers that
/// clients know: no token, a bad token, then a bad connection id.
///
/// A request that is no upgrade and has a token is refused for what is wrong with its token: a browser does not report the
/// status of a failed upgrade, and our client learns it by such a request.
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
    Parameters { token, id }: Parameters,
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
    Ok(Accepted { claims, connection_id })
}

/// Tokens do not belong in logs.
impl std::fmt::Debug for Accepted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Accepted")
            .field("claims", &self.claims)
            .field("connection_id", &self.connection_id)
            .finish_non_exhaustive()
    }
}

/// The parameters of an upgrade request. The last one of a name counts, and an empty one is none, even if one before it
/// was not empty.
#[derive(Default)]
struct Parameters {
    token: Option<String>,
    id: Option<String>,
}

impl Parameters {
    /// Decodes as `URLSearchParams` does; bytes that are no UTF-8 become U+FFFD, which no token and no id may hold.
    fn of(query: &str) -> Self {
        let mut parameters = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let parameter = match &*name {
                "token" => &mut parameters.token,
                "id" => &mut parameters.id,
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
    fn assert_refused(result: Result<Accepted, Rejection>, status: u16, text: &str) {
        let refusal = result.unwrap_err();
        assert_eq!((refusal.status(), refusal.text()), (status, text));
    }

    #[test]
    fn a_good_token_opens_the_channel_it_names() {
        let token = token();
        let accepted = ask(&format!("token={token}")).unwrap();
        assert_eq!(accepted.claims.channel().as_str(), "some-room");
        assert_eq!(accepted.connection_id, None);
    }

    #[test]
    fn the_upgrade_header_comes_in_any_case() {
        let query = format!("token={}", token());
        for upgrade in ["websocket", "WebSocket", "WEBSOCKET"] {
            let head = RequestHead { upgrade: Some(upgrade), query: Some(&query) };
            assert!(decide(&head, &keys(), NOW_MS).is_ok(), "{upgrade}");
        }
        for upgrade in [None, Some(""), Some("h2c"), Some("websockets")] {
            for query in [None, Some(query.as_str()), Some("token=")] {
                let refused = decide(&RequestHead { upgrade, query }, &keys(), NOW_MS);
                assert_refused(refused, 426, "Expected WebSocket upgrade");
            }
        }
    }

    #[test]
    fn a_request_that_is_no_upgrade_is_refused_for_its_bad_token() {
        for (query, status, text) in [
            ("token=garbage".to_owned(), 401, "Invalid Token"),
            (format!("token={}&id=a%20b", token()), 400, "Invalid ID"),
        ] {
            let refused = decide(&RequestHead { upgrade: None, query: Some(&query) }, &keys(), NOW_MS);
            assert_refused(refused, status, text);
        }
    }

    #[test]
    fn without_a_token_it_is_required() {
        let no_query = RequestHead { upgrade: Some("websocket"), query: None };
        assert_refused(decide(&no_query, &keys(), NOW_MS), 401, "Token is required");
        for query in
            ["", "&", "=", "token", "token=", "id=1", "Token=x", "tokens=x", "?token=x", "token%00=x"]
        {
            assert_refused(ask(query), 401, "Token is required");
        }
    }

    #[test]
    fn every_bad_token_reads_alike() {
        let good = token();
        let (message, _) = good.rsplit_once('.').unwrap();
        for bad in ["garbage", message, &format!("{message}."), &format!("+{good}"), &format!("{good}%20")] {
            assert_refused(ask(&format!("token={bad}")), 401, "Invalid Token");
        }
        let day_ms = 86_400_000;
        let head = format!("token={good}");
        let head = RequestHead { upgrade: Some("websocket"), query: Some(&head) };
        assert_refused(decide(&head, &keys(), NOW_MS + day_ms), 401, "Invalid Token");
    }

    #[test]
    fn of_several_tokens_the_last_counts() {
        let good = token();
        assert!(ask(&format!("token=garbage&token={good}")).is_ok());
        assert!(ask(&format!("token=&x=1&%74oken={good}")).is_ok());
        assert_refused(ask(&format!("token={good}&token=garbage")), 401, "Invalid Token");
        assert_refused(ask(&format!("token={good}&token=")), 401, "Token is required");
    }

    #[test]
    fn the_query_is_percent_decoded_once() {
        let good = token();
        let escaped: String = good.bytes().map(|byte| format!("%{byte:02x}")).collect();
        assert!(ask(&format!("token={escaped}")).is_ok());
        let twice = escaped.replace('%', "%25");
        assert_refused(ask(&format!("token={twice}")), 401, "Invalid Token");
    }

    #[test]
    fn bytes_that_are_no_utf8_open_nothing() {
        let good = token();
        for bytes in ["%FF", "%C3%28", "%ED%A0%80", "%", "%4", "%zz", "%00"] {
            assert_refused(ask(&format!("token={good}{bytes}")), 401, "Invalid Token");
            assert_refused(ask(&format!("token={bytes}{good}")), 401, "Invalid Token");
        }
        assert_refused(ask(&format!("token={good}&id=%FF")), 400, "Invalid ID");
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
            assert_refused(ask(&format!("token={good}&id={id}")), 400, "Invalid ID");
        }
        assert_eq!(ask(&format!("token={good}&id=")).unwrap().connection_id, None);
        let last = ask(&format!("token={good}&id=%20&id=second")).unwrap().connection_id.unwrap();
        assert_eq!(last.as_str(), "second");
    }

    #[test]
    fn a_bad_token_is_told_before_a_bad_id() {
        assert_refused(ask("token=garbage&id=%20"), 401, "Invalid Token");
    }

    #[test]
    fn debug_shows_no_token() {
        let good = token();
        let shown = format!("{:?}", ask(&format!("token={good}&id=1")).unwrap());
        assert!(!shown.contains("eyJ"), "{shown}");
        let refused = format!("{:?}", ask(&format!("token={good}A")).unwrap_err());
        assert!(!refused.contains("eyJ"), "{refused}");
    }

    #[test]
    fn the_answer_to_invalid_tags_names_the_limits() {
        let text = Rejection::InvalidTags(TokenError::TooManyTags { count: 11 }).text();
        let limits = format!("tags of {}-{} UTF-8 bytes", TAG_BYTES.start(), TAG_BYTES.end());
        assert!(text.contains(&limits), "{text}");
    }

    proptest! {
        #[test]
        fn no_query_makes_it_panic(query in ".{0,200}", upgrade in prop::option::of(".{0,12}")) {
            let _ = ask(&query);
            let _ = ask(&format!("token={query}&id={query}"));
            let head = RequestHead { upgrade: upgrade.as_deref(), query: Some(&query) };
            prop_assert!(decide(&head, &keys(), NOW_MS).is_err());
        }
    }
}
