//! The upgrade decision: whether a request may open a WebSocket to a channel, and to which.
//!
//! Pure: what the decision needs comes in as values, and whoever asks carries it out.


use super::connection_id::{ConnectionId, InvalidConnectionId};

use crate::token::{Claims, SigningKeys, TokenError, verify};

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
    /// The token as it was sent (decoded once from the query), which the object verifies again.
    pub(crate) token: String,
    pub(crate) claims: Claims,
    /// `None` for stock clients of generation 1, which send none.
    pub(crate) connection_id: Option<ConnectionId>,
}

/// Why a request may not open a WebSocket.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The request does not ask for a WebSocket.
    NotAWebSocket,
    /// There is no token, or an empty one.
    TokenMissing,
    /// There is a token, but not a valid one. The reason is for logs, not for the client.
    InvalidToken(TokenError),
    /// There is a valid token, but for another channel than that of the object that was asked.
    OtherChannel,
    /// There is a connection id, but not one that can be stored and compared.
    InvalidConnectionId(InvalidConnectionId),
}

impl Refusal {
    /// The HTTP status of the answer.
    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::NotAWebSocket => 426,
            Self::TokenMissing | Self::InvalidToken(_) | Self::OtherChannel => 401,
            Self::InvalidConnectionId(_) => 400,
        }
    }

    /// The text of the answer. It tells a client no more than it needs: every bad token reads alike.
    pub(crate) fn text(&self) -> &'static str {
        match self {
            Self::NotAWebSocket => "Expected WebSocket upgrade",
            Self::TokenMissing => "Token is required",
            Self::InvalidToken(_) | Self::OtherChannel => "Invalid Token",
            Self::InvalidConnectionId(_) => "Invalid ID",
        }
    }
}

/// Decides about a request at `now_ms`, in milliseconds since 1970. The checks go in the order of the answers that
/// clients know: no WebSocket, no token, a bad token, then a bad connection id.
pub(crate) fn decide(head: &RequestHead<'_>, keys: &SigningKeys, now_ms: u64) -> Result<Accepted, Refusal> {
    if !head.upgrade.is_some_and(|upgrade| upgrade.eq_ignore_ascii_case("websocket")) {
        return Err(Refusal::NotAWebSocket);
    }
    let Parameters { token, id } = Parameters::of(head.query.unwrap_or_default());
    let token = token.ok_or(Refusal::TokenMissing)?;
    let claims = verify(&token, keys, now_ms).map_err(Refusal::InvalidToken)?;
    let connection_id = id.map(ConnectionId::try_from).transpose().map_err(Refusal::InvalidConnectionId)?;
    Ok(Accepted { token, claims, connection_id })
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
