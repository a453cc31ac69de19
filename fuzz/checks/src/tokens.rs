//! Tokens: any text, anything that somebody with the key could sign, and changes of good ones.

use serde_json::value::RawValue;
use std::{
    collections::BTreeMap,
    sync::LazyLock,
    time::{Duration, SystemTime},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use durable_event_iterator::DurableEventIteratorObject;
use durable_event_test::TestObject;
use durable_event_token::{Claims, ClientKind, SigningKeys, Token, TokenError};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The key that signs.
const KEY: &str = "a key";

/// The time of the targets' clocks, in milliseconds since 1970.
pub(super) const NOW_MS: u64 = 1_800_000_000_000;

pub(super) fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(NOW_MS)
}

/// A Durable Object of the channel that the good tokens are for.
pub(super) fn new_object<O: DurableEventIteratorObject>() -> TestObject<O> {
    TestObject::builder().name("a").now(now()).signing_keys(keys().clone()).build().unwrap()
}

/// What the targets sign and verify with, and a good token for each kind of client.
struct Signed {
    keys: SigningKeys,
    first: String,
    second: String,
}

static SIGNED: LazyLock<Signed> = LazyLock::new(|| {
    let keys = SigningKeys::parse(KEY, Some("the key before")).unwrap();
    let token = || {
        let token = Token::builder("a").procedures(["echo", "router"]).attachment(&[1]);
        token.lifetime(Duration::from_secs(60))
    };
    let first = token().sign(&keys, now()).unwrap();
    let second = token().for_clients(ClientKind::DurableIterator).tags(["x"]).sign(&keys, now()).unwrap();
    Signed { keys, first, second }
});

/// Makes what is made once.
pub(super) fn prepare() {
    LazyLock::force(&SIGNED);
}

pub(super) fn keys() -> &'static SigningKeys {
    &SIGNED.keys
}

/// A token that is good now.
pub(super) fn good(kind: ClientKind) -> &'static str {
    match kind {
        ClientKind::DurableEventIterator => &SIGNED.first,
        ClientKind::DurableIterator => &SIGNED.second,
    }
}

pub(super) fn check(input: &[u8]) {
    let Some((kind, input)) = input.split_first() else { return };
    match kind % 4 {
        0 => check_text(input),
        1 => check_payload(input),
        2 => check_header(input),
        _ => check_changed(input),
    }
}

/// A text from the network.
fn check_text(input: &[u8]) {
    let Ok(token) = str::from_utf8(input) else { return };
    match keys().verify(token, now()) {
        Ok(claims) => check_claims(token, &claims),
        Err(error) => check_refusal(&error),
    }
}

/// A payload, signed in both forms.
fn check_payload(input: &[u8]) {
    let Ok(payload) = str::from_utf8(input) else { return };
    for token in [jws(HEADER.as_bytes(), payload.as_bytes()), signed_json(payload)] {
        match keys().verify(&token, now()) {
            Ok(claims) => check_claims(&token, &claims),
            Err(error) => check_refusal(&error),
        }
    }
}

/// A JWS with any header, signed.
fn check_header(header: &[u8]) {
    let payload = r#"{"chn":"a","rpc":[],"iat":1800000000,"exp":1800000001}"#;
    let token = jws(header, payload.as_bytes());
    match keys().verify(&token, now()) {
        Ok(claims) => {
            check_claims(&token, &claims);
            let header: BTreeMap<String, &RawValue> = serde_json::from_slice(header).expect("JSON");
            assert_eq!(serde_json::from_str::<String>(header["alg"].get()).unwrap(), "HS256");
            assert!(!header.contains_key("crit"));
        }
        Err(error) => check_refusal(&error),
    }
}

/// A good token, changed: at a place (two bytes), so many bytes (one) are replaced by the rest.
fn check_changed(input: &[u8]) {
    let [kind, high, low, length, replacement @ ..] = input else { return };
    let clients =
        if kind.is_multiple_of(2) { ClientKind::DurableEventIterator } else { ClientKind::DurableIterator };
    let good = good(clients);
    let at = usize::from(u16::from_be_bytes([*high, *low])) % good.len();
    let end = good.len().min(at + usize::from(*length));
    let changed = [&good.as_bytes()[..at], replacement, &good.as_bytes()[end..]].concat();
    let Ok(changed) = String::from_utf8(changed) else { return };
    let verified = keys().verify(&changed, now());
    assert_eq!(verified.is_ok(), changed == good, "{changed}");
    if let Err(error) = verified {
        check_refusal(&error);
    }
}

/// What is accepted is within its time, keeps with a socket, and is the same when it is issued again.
pub(super) fn check_claims(token: &str, claims: &Claims) {
    assert!(token.len() <= 8 * 1024);
    for time in [Some(claims.issued_at()), Some(claims.expires_at()), claims.not_before()] {
        assert!(time.is_none_or(|time| time >= SystemTime::UNIX_EPOCH));
    }
    assert!(claims.expires_at() >= now() && claims.not_before().is_none_or(|from| from <= now()));
    assert!(!claims.channel().as_str().is_empty());
    assert!(claims.client_kind() == ClientKind::DurableIterator || claims.tags().is_empty());
    let other = SigningKeys::parse("another key", None).unwrap();
    assert!(matches!(other.verify(token, now()), Err(TokenError::WrongSignature)));
    let after = claims.expires_at() + Duration::from_secs(1);
    // Later times than every platform can represent are clamped.
    if let Err(error) = keys().verify(token, after) {
        assert!(matches!(error, TokenError::Expired));
    } else {
        assert!(after > SystemTime::UNIX_EPOCH + Duration::from_secs(100_000_000_000));
    }

    let again = Token::builder(claims.channel().clone())
        .for_clients(claims.client_kind())
        .procedures(claims.procedures())
        .tags(claims.tags());
    let again = match claims.attachment_raw() {
        Some(attachment) => again.attachment(attachment),
        None => again,
    };
    // What was written tightly can become a little longer, and too long by it. A text of JavaScript may have no form in Rust.
    match again.sign(keys(), now()) {
        Ok(again) => assert_same(claims, &keys().verify(&again, now()).unwrap()),
        Err(error) => {
            assert!(
                matches!(
                    error,
                    TokenError::TooLong { .. }
                        | TokenError::LoneSurrogate(_)
                        | TokenError::TooManyTags { .. }
                        | TokenError::InvalidTag { .. }
                ),
                "{error:?}"
            );
        }
    }
}

fn assert_same(claims: &Claims, again: &Claims) {
    assert_eq!(claims.channel(), again.channel());
    assert_eq!((claims.procedures(), claims.tags()), (again.procedures(), again.tags()));
    assert_eq!(claims.attachment_json(), again.attachment_json());
}

/// The header that issuers write.
const HEADER: &str = r#"{"alg":"HS256"}"#;

fn sign(message: &[u8]) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(KEY.as_bytes()).unwrap();
    BASE64.encode(mac.chain_update(message).finalize().into_bytes())
}

/// A signed token of a `DurableEventIterator` client, of any header and payload.
fn jws(header: &[u8], payload: &[u8]) -> String {
    let message = format!("{}.{}", BASE64.encode(header), BASE64.encode(payload));
    let signature = sign(message.as_bytes());
    message + "." + &signature
}

/// A signed token of a `DurableIterator` client.
fn signed_json(payload: &str) -> String {
    format!("{payload}.{}", sign(payload.as_bytes()))
}

/// A refusal says why in our words alone.
fn check_refusal(error: &TokenError) {
    assert!(error.to_string().len() < 100 && format!("{error:?}").len() < 100, "{error:?}");
}
