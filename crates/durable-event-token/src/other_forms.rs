//! Tokens in other formats of the JOSE standards, and attacks on the format of `DurableIterator` tokens.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD as BASE64};
use serde_json::json;

use super::{
    jws::{seal as seal_jws, seal_with_header},
    signed_json::seal as seal_signed_json,
    time::at,
    *,
};

const NOW_MS: u64 = 1_800_000_000_000;
const PAYLOAD: &str = r#"{"chn":"a.b","rpc":[],"iat":1800000000,"exp":1800000060,"tags":["t"],"att":"."}"#;

fn keys() -> SigningKeys {
    SigningKeys::parse("the key of these tests", None).unwrap()
}

fn check(token: &str) -> Result<Claims, TokenError> {
    keys().verify(token, at(NOW_MS))
}

/// Returns the `DurableIterator` token for a payload.
fn signed_json_token(payload: &str) -> String {
    seal_signed_json(payload.to_owned(), &keys())
}

#[test]
fn the_example_of_rfc_7515_is_verified() {
    // RFC 7515, appendix A.1: HS256, with a line break in its header.
    let key = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt\
                 cGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let key = SigningKey::new(BASE64.decode(key).unwrap()).unwrap();
    let keys = SigningKeys::new(key);
    // The signature is valid; the claims are those of another application.
    assert!(matches!(keys.verify(token, at(0)), Err(TokenError::MissingClaim("chn"))));
    let changed = token.replace("dBjf", "dBjg");
    assert!(matches!(keys.verify(&changed, at(0)), Err(TokenError::WrongSignature)));
}

#[test]
fn a_jws_in_json_is_rejected() {
    let compact = seal_jws(PAYLOAD, &keys());
    let [protected, payload, signature] = compact.split('.').collect::<Vec<_>>().try_into().unwrap();
    let flattened = json!({ "payload": payload, "protected": protected, "signature": signature });
    let general =
        json!({ "payload": payload, "signatures": [{ "protected": protected, "signature": signature }] });
    for token in [flattened.to_string(), general.to_string(), json!([compact]).to_string()] {
        assert!(check(&token).is_err(), "{token}");
        assert!(check(&format!("{token}.{signature}")).is_err(), "{token}");
    }
}

#[test]
fn a_jwe_is_rejected() {
    let header = BASE64.encode(r#"{"alg":"dir","enc":"A128CBC-HS256"}"#);
    for parts in ["AA", "", "AA.AA"] {
        let token = format!("{header}.{parts}.AA.AA.AA");
        assert!(check(&token).is_err(), "{token}");
    }
}

#[test]
fn a_key_inside_the_token_is_not_used() {
    let attacker = SigningKeys::parse("attacker", None).unwrap();
    let embedded = BASE64.encode("attacker");
    for header in [
        json!({ "alg": "HS256", "jwk": { "kty": "oct", "k": embedded } }),
        json!({ "alg": "HS256", "jku": "https://attacker.example/keys" }),
        json!({ "alg": "HS256", "x5u": "https://attacker.example/", "x5c": [embedded] }),
        json!({ "alg": "HS256", "kid": "../../dev/null" }),
        json!({ "alg": "HS256", "kid": "' UNION SELECT 'attacker" }),
    ] {
        let token = seal_with_header(header.to_string().as_bytes(), PAYLOAD.as_bytes(), &attacker);
        assert!(matches!(check(&token), Err(TokenError::WrongSignature)), "{header}");
    }
}

#[test]
fn an_unencoded_payload_is_rejected() {
    // RFC 7797, without the `crit` that it requires.
    let header = BASE64.encode(r#"{"alg":"HS256","b64":false}"#);
    for payload in [PAYLOAD, r#"{"chn":"a"}"#, "plain"] {
        let message = format!("{header}.{payload}");
        let token = format!("{message}.{}", BASE64.encode(keys().sign(message.as_bytes())));
        assert!(check(&token).is_err(), "{payload}");
    }
    let detached = format!("{header}..{}", BASE64.encode(keys().sign(format!("{header}.").as_bytes())));
    assert!(matches!(check(&detached), Err(TokenError::Malformed)));
}

#[test]
fn whitespace_and_padding_are_rejected_in_both_formats() {
    for token in [seal_jws(PAYLOAD, &keys()), signed_json_token(PAYLOAD)] {
        check(&token).unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let (first, rest) = signature.split_at(20);
        for changed in [
            format!("{token}="),
            format!("{token}=="),
            format!("{token}\n"),
            format!("{token}\r\n"),
            format!(" {token}"),
            format!("\t{token}"),
            format!("\u{feff}{token}"),
            format!("Bearer {token}"),
            format!("\"{token}\""),
            format!("{signed}.{first}\n{rest}"),
            format!("{signed}.{first} {rest}"),
            format!("{signed}\n.{signature}"),
            format!("{signed}. {signature}"),
            format!("{signed}.{signature}.{signature}"),
            format!("{signed}.{}", STANDARD.encode(BASE64.decode(signature).unwrap())),
        ] {
            assert!(check(&changed).is_err(), "{changed:?}");
        }
    }
}

#[test]
fn a_durable_iterator_token_is_split_at_its_last_dot() {
    let token = signed_json_token(PAYLOAD);
    let claims = check(&token).unwrap();
    assert_eq!((claims.channel().as_str(), claims.client_kind()), ("a.b", ClientKind::DurableIterator));
    // At any other dot, the rest is not a signature of the text before it.
    for (at, _) in PAYLOAD.match_indices('.') {
        assert!(check(token.get(..at).unwrap()).is_err());
    }
    assert!(matches!(check(PAYLOAD), Err(TokenError::Malformed | TokenError::WrongSignature)));
    assert!(matches!(check(r#"{"chn":"a"}"#), Err(TokenError::Malformed)), "without a dot");
}

#[test]
fn every_changed_bit_of_a_durable_iterator_token_is_detected() {
    let token = signed_json_token(PAYLOAD);
    for position in 0..token.len() {
        for bit in 0..7 {
            let mut bytes = token.clone().into_bytes();
            bytes[position] ^= 1 << bit;
            let changed = String::from_utf8(bytes).unwrap();
            assert!(check(&changed).is_err(), "bit {bit} of byte {position}: {changed}");
        }
    }
}

#[test]
fn a_signature_is_valid_for_one_payload_in_one_format() {
    let (jws, signed_json) = (seal_jws(PAYLOAD, &keys()), signed_json_token(PAYLOAD));
    let other = signed_json_token(&PAYLOAD.replace("a.b", "other"));
    let signature = |token: &str| token.rsplit_once('.').unwrap().1.to_owned();
    for token in [
        format!("{PAYLOAD}.{}", signature(&other)),
        format!("{PAYLOAD}.{}", signature(&jws)),
        format!("{}.{}", jws.rsplit_once('.').unwrap().0, signature(&signed_json)),
        format!("{PAYLOAD}."),
        format!("{PAYLOAD}.{}", BASE64.encode([0; 32])),
    ] {
        assert!(matches!(check(&token), Err(TokenError::WrongSignature)), "{token}");
    }
}

#[test]
fn claims_of_wrong_types_are_rejected_in_durable_iterator_tokens() {
    let member = |name: &str, json: &str| PAYLOAD.replacen('{', &format!(r#"{{"{name}":{json},"#), 1);
    for (name, json) in [("chn", "\"x\""), ("exp", "1e300"), ("tags", "[]"), ("\\u0063hn", "\"x\"")] {
        let twice = signed_json_token(&member(name, json));
        assert!(matches!(check(&twice), Err(TokenError::Malformed)), "{name} twice");
    }
    let changed = |from: &str, to: &str| check(&signed_json_token(&PAYLOAD.replace(from, to)));
    for time in ["-1", "1e308", "1e999", "null", "\"1\"", "9007199254740992", "[1]"] {
        assert!(matches!(changed("1800000060", time), Err(TokenError::InvalidClaim("exp"))), "{time}");
        assert!(matches!(changed("1800000000", time), Err(TokenError::InvalidClaim("iat"))), "{time}");
    }
    for number in ["NaN", "-Infinity", "01", "1.", "+1", "0x1"] {
        assert!(matches!(changed("1800000060", number), Err(TokenError::Malformed)), "{number}");
    }
    for tags in ["null", "\"t\"", "[1]", "[null]", "{}"] {
        assert!(matches!(changed(r#"["t"]"#, tags), Err(TokenError::InvalidClaim("tags"))), "{tags}");
    }
    let lone = changed(r#"["t"]"#, r#"["\ud800"]"#);
    assert!(matches!(lone, Err(TokenError::LoneSurrogate("tags"))));
    for rpc in ["null", "\"x\"", "[1]", "[[]]"] {
        let wrong = changed(r#""rpc":[]"#, &format!(r#""rpc":{rpc}"#));
        assert!(matches!(wrong, Err(TokenError::InvalidClaim("rpc"))), "{rpc}");
    }
    let deep = format!("{}{}", "[".repeat(128), "]".repeat(128));
    assert!(matches!(changed("\".\"", &deep), Err(TokenError::AttachmentTooDeep)));
    let large = changed("a.b", &"x".repeat(limits::MAX_TOKEN_BYTES));
    assert!(matches!(large, Err(TokenError::TooLong { .. })));
    for root in ["[]", "null", "1", "\"{}\"", "", "{", "{}x"] {
        assert!(check(&signed_json_token(root)).is_err(), "{root}");
    }
}

#[test]
fn a_token_that_is_not_yet_valid_is_rejected_in_both_formats() {
    let later = PAYLOAD.replacen('{', r#"{"nbf":1800000001,"#, 1);
    for token in [seal_jws(&later, &keys()), signed_json_token(&later)] {
        assert!(matches!(check(&token), Err(TokenError::NotYetValid)));
        keys().verify(&token, at(NOW_MS + 1_000)).unwrap();
    }
}

#[test]
fn the_error_for_an_attachment_of_another_type_does_not_contain_it() {
    let token = Token::builder("a").attachment(&["anna@example.org"]).sign(&keys(), at(NOW_MS)).unwrap();
    let claims = check(&token).unwrap();
    let error = claims.attachment::<Vec<u8>>().unwrap_err();
    let source = std::error::Error::source(&error).map(ToString::to_string);
    let shown = format!("{error} {error:?} {error:#?} {source:?}");
    assert!(!shown.contains("example.org"), "{shown}");
}

#[test]
fn the_builders_debug_output_does_not_contain_the_attachment() {
    let builder = Token::builder("a").attachment(&"someone@example.org");
    let shown = format!("{builder:?} {builder:#?}");
    assert!(!shown.contains("example.org"), "{shown}");
}
