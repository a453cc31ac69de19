//! Upgrade requests, paths and queries.

use super::tokens::{NOW_MS, check_claims, good, keys};
use crate::{
    http::{data_of, decode_path, decode_segment, query_of},
    token::{ChannelName, Generation},
    upgrade::{Accepted, Refusal, RequestHead, decide},
};

/// Three lines: the header `upgrade`, the query, and a URL. In a query, `{1}` and `{2}` stand for good tokens.
pub(super) fn check(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let mut lines = text.splitn(3, '\n');
    let upgrade = lines.next();
    let query = lines.next().map(|query| {
        query.replace("{1}", good(Generation::One)).replace("{2}", &escaped(good(Generation::Two)))
    });
    let head = RequestHead { upgrade, query: query.as_deref() };
    match decide(&head, keys(), NOW_MS) {
        Ok(accepted) => check_accepted(&head, &accepted),
        Err(refusal) => check_refusal(&head, &refusal),
    }
    check_url(lines.next().unwrap_or_default());
}

fn escaped(token: &str) -> String {
    token.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

/// The parameters that a browser would see.
fn parameters(head: &RequestHead<'_>, name: &str) -> Vec<String> {
    let query = head.query.unwrap_or_default().as_bytes();
    let parameters = form_urlencoded::parse(query).filter(|(other, _)| other == name);
    parameters.map(|(_, value)| value.into_owned()).collect()
}

fn check_accepted(head: &RequestHead<'_>, accepted: &Accepted) {
    let Accepted { claims, connection_id } = accepted;
    assert!(head.upgrade.is_some_and(|upgrade| upgrade.eq_ignore_ascii_case("websocket")));
    let token = parameters(head, "token").pop().expect("a token");
    check_claims(&token, claims);
    let id = parameters(head, "id").pop().filter(|id| !id.is_empty());
    assert_eq!(connection_id.as_ref().map(|id| id.as_str().to_owned()), id);
    assert!(id.is_none_or(|id| id.len() <= 128 && id.bytes().all(|byte| byte.is_ascii_graphic())));
    assert!(claims.generation() == Generation::One || connection_id.is_some());
    assert!(claims.tags().len() <= 10);
    let shown = format!("{accepted:?}");
    let signature = token.rsplit('.').next().unwrap();
    assert!(!shown.contains(&token) && !shown.contains(signature), "{shown}");
}

fn check_refusal(head: &RequestHead<'_>, refusal: &Refusal) {
    let token = parameters(head, "token").pop().filter(|token| !token.is_empty());
    match refusal {
        Refusal::NotAWebSocket => assert_eq!(refusal.status(), 426),
        Refusal::TokenMissing => assert_eq!((refusal.status(), token), (401, None)),
        Refusal::InvalidToken(_) | Refusal::OtherChannel | Refusal::ConnectionIdMissing => {
            assert_eq!(refusal.status(), 401);
        }
        Refusal::InvalidTags(_) | Refusal::InvalidConnectionId(_) => assert_eq!(refusal.status(), 400),
        other => panic!("decided by the Durable Object alone: {other:?}"),
    }
    assert!(refusal.text().len() < 80 && format!("{refusal:?}").len() < 120, "{refusal:?}");
}

fn check_url(url: &str) {
    if let Some(data) = query_of(url).and_then(data_of) {
        assert!(data.len() <= url.len() * 3, "a byte that is no UTF-8 becomes three");
    }
    let path = decode_path(url);
    assert_eq!(path.len(), url.split('/').count());
    for (segment, decoded) in url.split('/').zip(&path) {
        assert!(decoded.len() <= segment.len());
        if let Some(decoded) = decode_segment(segment)
            && let Ok(channel) = ChannelName::try_from(decoded.as_str())
        {
            assert_eq!(channel.as_str(), decoded);
        }
    }
}
