//! Upgrade requests to a Durable Object, and paths.

use durable_event_iterator::{
    Channel, DurableEventIteratorObject, Result, Value,
    http::{decode_segment, path_of, query_of},
};
use durable_event_test::{Rejected, TestObject, TestSocket};
use durable_event_token::{ChannelName, ClientKind};
use worker::Env;

use super::tokens::{check_claims, good, keys, new_object, now};

/// A Durable Object that does nothing.
struct Silent {
    channel: Channel<Value>,
}

impl DurableEventIteratorObject for Silent {
    type Channel = Channel<Value>;

    fn new(channel: Self::Channel, _: Env) -> Result<Self> {
        Ok(Self { channel })
    }
}

/// Three lines: the header `upgrade`, the query, and a URL. In a query, `{1}` and `{2}` stand for good tokens.
pub(super) fn check(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let mut lines = text.splitn(3, '\n');
    let upgrade = lines.next();
    let query = lines.next().unwrap_or_default();
    let query = query.replace("{1}", good(ClientKind::DurableEventIterator));
    let query = query.replace("{2}", &escaped(good(ClientKind::DurableIterator)));
    // A fragment is no part of it.
    let query = query.split_once('#').map_or(&*query, |(query, _)| query);
    let request = Request { upgrade, query };
    let object = new_object::<Silent>();
    match object.request(upgrade, query) {
        Ok(socket) => check_accepted(&request, &object, &socket),
        Err(rejected) => check_rejected(&request, &rejected),
    }
    // Nobody learns a token from the log.
    let log = object.take_log();
    let token = request.token();
    let signature =
        token.as_deref().and_then(|token| token.rsplit('.').next()).filter(|text| text.len() > 40);
    assert!(log.iter().all(|line| signature.is_none_or(|signature| !line.contains(signature))), "{log:?}");
    check_url(lines.next().unwrap_or_default());
}

fn escaped(token: &str) -> String {
    token.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

struct Request<'a> {
    upgrade: Option<&'a str>,
    query: &'a str,
}

impl Request<'_> {
    /// The last parameter of this name, as a browser would see it. An empty one counts as missing.
    fn parameter(&self, name: &str) -> Option<String> {
        let parameters = form_urlencoded::parse(self.query.as_bytes()).filter(|(other, _)| other == name);
        parameters.last().map(|(_, value)| value.into_owned()).filter(|value| !value.is_empty())
    }

    fn token(&self) -> Option<String> {
        self.parameter("token")
    }
}

/// What the Durable Object knows of the client is what the token says.
fn check_accepted(request: &Request<'_>, object: &TestObject<Silent>, socket: &TestSocket<Silent>) {
    assert!(request.upgrade.is_some_and(|upgrade| upgrade.eq_ignore_ascii_case("websocket")));
    let token = request.token().expect("a token");
    let claims = keys().verify(&token, now()).expect("a good token");
    check_claims(&token, &claims);
    let id = request.parameter("id");
    assert!(id.as_ref().is_none_or(|id| id.len() <= 128 && id.bytes().all(|byte| byte.is_ascii_graphic())));
    assert!(claims.client_kind() == ClientKind::DurableEventIterator || id.is_some());

    let sockets = object.object().channel.sockets().unwrap();
    let [seen] = sockets.as_slice() else { panic!("{} sockets", sockets.len()) };
    assert_eq!(seen.connection_id(), id.as_deref());
    assert_eq!(seen.tags().unwrap(), claims.tags());
    assert_eq!(seen.allowed_procedures().unwrap(), claims.procedures());
    assert_eq!(claims.channel().as_str(), object.name());
    assert!(socket.is_open() && socket.messages().is_empty());
}

fn check_rejected(request: &Request<'_>, rejected: &Rejected) {
    let Rejected { status, text, retry_after, .. } = *rejected;
    match (status, text) {
        (426, "Expected WebSocket upgrade") => {
            assert!(request.upgrade.is_none_or(|upgrade| !upgrade.eq_ignore_ascii_case("websocket")));
        }
        (401, "Token is required") => assert_eq!(request.token(), None),
        (401, "Invalid Token") => {
            let claims = keys().verify(&request.token().expect("a token"), now());
            assert!(claims.is_err(), "a good token is rejected");
        }
        (401, "ID is required") => assert_eq!(request.parameter("id"), None),
        (400, "Invalid ID") => assert!(request.parameter("id").is_some()),
        other => panic!("no rejection of such a request: {other:?}"),
    }
    assert_eq!(retry_after, None);
}

fn check_url(url: &str) {
    let query = query_of(url);
    assert!(query.is_none_or(|query| url.contains(query) && !query.contains('#')));
    let path = path_of(url);
    assert!(path.starts_with('/') && !path.contains(['?', '#']));
    for segment in path.split('/').chain(url.split('/')) {
        let Some(decoded) = decode_segment(segment) else { continue };
        assert!(decoded.len() <= segment.len());
        if let Ok(channel) = ChannelName::try_from(decoded.as_str()) {
            assert_eq!(channel.as_str(), decoded);
        }
    }
}
