//! Attacks on tokens, and valid tokens that must be accepted.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::Sha512;

use super::{time::at, *};

const NOW_MS: u64 = 1_800_000_000_000;
const NOW_S: u64 = 1_800_000_000;
const HS256: &str = r#"{"alg":"HS256"}"#;
const SECRET: &str = "the-signing-key-of-these-tests";

/// In seconds.
fn lifetime_of(claims: &Claims) -> u64 {
    claims.expires_at().duration_since(claims.issued_at()).unwrap().as_secs()
}

fn keys() -> SigningKeys {
    SigningKeys::parse(SECRET, None).unwrap()
}

fn good_payload() -> Value {
    json!({ "chn": "some-room", "rpc": ["ping"], "att": { "userId": "u" }, "iat": NOW_S, "exp": NOW_S + 60 })
}

/// Signs any header and payload with the signing key.
fn signed(header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
    let message = format!("{}.{}", BASE64.encode(header), BASE64.encode(payload));
    format!("{message}.{}", BASE64.encode(keys().sign(message.as_bytes())))
}

fn check(token: &str) -> Result<Claims, TokenError> {
    keys().verify(token, at(NOW_MS))
}

fn check_payload(payload: impl ToString) -> Result<Claims, TokenError> {
    check(&signed(HS256, payload.to_string()))
}

/// The valid payload with one claim set to raw JSON text.
fn with_claim(claim: &str, json: &str) -> String {
    let mut payload = good_payload();
    payload[claim] = json!("@");
    payload.to_string().replace(r#""@""#, json)
}

fn without_claim(claim: &str) -> String {
    let mut payload = good_payload();
    payload.as_object_mut().unwrap().remove(claim);
    payload.to_string()
}

fn nested(levels: usize) -> String {
    format!("{}{}", "[".repeat(levels), "]".repeat(levels))
}

#[test]
fn verification_returns_the_signed_claims() {
    let claims = check_payload(good_payload()).unwrap();
    assert_eq!(claims.channel().as_str(), "some-room");
    assert_eq!(claims.procedures(), ["ping"]);
    assert_eq!(claims.attachment_json(), Some(r#"{"userId":"u"}"#));
    assert_eq!((claims.issued_at(), claims.expires_at()), (at(NOW_MS), at(NOW_MS + 60_000)));
    assert_eq!(claims.not_before(), None);
}

#[test]
fn our_tokens_have_the_shape_of_the_recorded_ones() {
    // Recorded from a server that uses the oRPC package; its signing key is unknown.
    let recorded = "eyJhbGciOiJIUzI1NiJ9.eyJjaG4iOiJzb21lLXJvb20iLCJycGMiOlsicHVibGlzaE1lc3NhZ2UiLCJyb3V0ZXIiLCJleHRyYSJd\
                    LCJhdHQiOnsidXNlcklkIjoidXNlci0xMjMifSwiaWF0IjoxNzk1MzczODQ2LCJleHAiOjE3OTU0NjAyNDZ9";
    let token = Token::builder("some-room")
        .procedures(["publishMessage", "router", "extra"])
        .attachment(&json!({ "userId": "user-123" }))
        .sign(&keys(), at(1_795_373_846_999))
        .unwrap();
    assert_eq!(token.rsplit_once('.').unwrap().0, recorded);
}

#[test]
fn a_recorded_token_is_rejected_only_for_its_signature() {
    let recorded = "eyJhbGciOiJIUzI1NiJ9.eyJjaG4iOiJ0LXJvb20iLCJycGMiOltdLCJpYXQiOjE3OTUzNzM4NTgsImV4cCI6MTc5NTQ2MDI1OH0.\
                    BoqBqzqcaFbezrWR88CbNBMViQTnr3cuf0zo6PJ4muA";
    assert!(matches!(check(recorded), Err(TokenError::WrongSignature)));
}

#[test]
fn every_changed_bit_is_detected() {
    let token = signed(HS256, good_payload().to_string());
    check(&token).unwrap();
    for position in 0..token.len() {
        // With the eighth bit set, the text would not be UTF-8.
        for bit in 0..7 {
            let mut bytes = token.clone().into_bytes();
            bytes[position] ^= 1 << bit;
            let changed = String::from_utf8(bytes).unwrap();
            assert!(check(&changed).is_err(), "bit {bit} of byte {position}: {changed}");
        }
    }
}

#[test]
fn each_part_has_exactly_one_encoding() {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/=";
    let token = signed(HS256, good_payload().to_string());
    let parts: Vec<&str> = token.split('.').collect();
    for part in 0..3 {
        let last = parts[part].chars().last().unwrap();
        for other in ALPHABET.chars().filter(|other| *other != last) {
            let mut changed: Vec<String> = parts.iter().map(|part| part.to_string()).collect();
            changed[part].pop();
            changed[part].push(other);
            assert!(check(&changed.join(".")).is_err(), "part {part} ending in {other}");
        }
        for addition in ["=", "==", "A", " ", "\n", "\0", "%3D"] {
            let mut changed: Vec<String> = parts.iter().map(|part| part.to_string()).collect();
            changed[part].push_str(addition);
            assert!(check(&changed.join(".")).is_err(), "part {part} followed by {addition:?}");
        }
    }
    assert!(check(&format!(" {token}")).is_err());
}

#[test]
fn a_token_has_exactly_three_parts() {
    let token = signed(HS256, good_payload().to_string());
    let (signed_part, signature) = token.rsplit_once('.').unwrap();
    let (header, payload) = signed_part.split_once('.').unwrap();
    let cases = [
        String::new(),
        ".".into(),
        "..".into(),
        "...".into(),
        "garbage".into(),
        header.into(),
        format!("{header}.{payload}"),
        format!("{header}.{payload}."),
        format!("{header}..{signature}"),
        format!(".{payload}.{signature}"),
        format!("{header}.{payload}.{signature}."),
        format!(".{token}"),
        format!("{token}.{signature}"),
        format!("{header}.{payload}.{payload}.{signature}"),
        token.replace('.', "。"),
    ];
    for case in cases {
        assert!(check(&case).is_err(), "{case}");
    }
}

#[test]
fn a_signature_of_another_length_is_rejected() {
    let token = signed(HS256, good_payload().to_string());
    let (message, signature) = token.rsplit_once('.').unwrap();
    let signature = BASE64.decode(signature).unwrap();
    for length in 0..signature.len() {
        let short = format!("{message}.{}", BASE64.encode(&signature[..length]));
        assert!(matches!(check(&short), Err(TokenError::WrongSignature)), "{length} bytes");
    }
    for long in [[&signature[..], &[0]].concat(), [&signature[..], &signature].concat(), vec![0; 32]] {
        let long = format!("{message}.{}", BASE64.encode(long));
        assert!(matches!(check(&long), Err(TokenError::WrongSignature)));
    }
}

#[test]
fn a_signature_of_another_token_is_rejected() {
    let one = signed(HS256, with_claim("chn", r#""one""#));
    let two = signed(HS256, with_claim("chn", r#""two""#));
    let mixed = format!("{}.{}", one.rsplit_once('.').unwrap().0, two.rsplit_once('.').unwrap().1);
    assert!(matches!(check(&mixed), Err(TokenError::WrongSignature)));
}

#[test]
fn other_algorithms_are_rejected_signed_or_not() {
    for alg in [
        "none", "None", "NONE", "", "hs256", "HS256 ", "HS384", "HS512", "RS256", "ES256", "EdDSA", "HS256\0",
    ] {
        let header = json!({ "alg": alg }).to_string();
        let token = signed(&header, good_payload().to_string());
        assert!(matches!(check(&token), Err(TokenError::UnsupportedAlgorithm)), "{alg:?}");
        let unsigned = format!("{}.", token.rsplit_once('.').unwrap().0);
        assert!(matches!(check(&unsigned), Err(TokenError::UnsupportedAlgorithm)), "{alg:?}, unsigned");
    }
}

#[test]
fn a_real_hs512_signature_is_rejected() {
    for header in [r#"{"alg":"HS512"}"#, HS256] {
        let message = format!("{}.{}", BASE64.encode(header), BASE64.encode(good_payload().to_string()));
        let mac = Hmac::<Sha512>::new_from_slice(SECRET.as_bytes()).unwrap();
        let signature = mac.chain_update(&message).finalize().into_bytes();
        assert!(check(&format!("{message}.{}", BASE64.encode(signature))).is_err());
        assert!(check(&format!("{message}.{}", BASE64.encode(&signature[..32]))).is_err());
    }
}

#[test]
fn a_header_without_exactly_one_algorithm_is_malformed() {
    for header in [
        "",
        "null",
        "\"HS256\"",
        "[\"HS256\"]",
        "[\"HS256\",null]",
        "{}",
        "{\"alg\":null}",
        "{\"alg\":[\"HS256\"]}",
        "{\"alg\":256}",
        "{\"ALG\":\"HS256\"}",
        "{\"alg\":\"HS256\"",
        "{\"alg\":\"HS256\"}x",
        "{\"alg\":\"HS256\",}",
        "{\"alg\":\"none\",\"alg\":\"HS256\"}",
        "{\"alg\":\"HS256\",\"alg\":\"HS256\"}",
        "{\"alg\":\"HS256\",\"\\u0061lg\":\"none\"}",
        "\u{feff}{\"alg\":\"HS256\"}",
        "\u{c}{\"alg\":\"HS256\"}",
    ] {
        let token = signed(header, good_payload().to_string());
        assert!(matches!(check(&token), Err(TokenError::Malformed)), "{header}");
    }
    let not_utf8 = signed(b"{\"alg\":\"HS256\",\"x\":\"\xff\"}", good_payload().to_string());
    assert!(matches!(check(&not_utf8), Err(TokenError::Malformed)));
}

#[test]
fn header_parameters_without_effect_are_allowed() {
    for header in [
        r#"{"alg":"HS256","typ":"JWT"}"#,
        r#"{"typ":"JWT","alg":"HS256","kid":"1"}"#,
        " { \"alg\" : \"HS256\" } ",
        r#"{"\u0061lg":"HS256"}"#,
    ] {
        check(&signed(header, good_payload().to_string())).unwrap();
    }
}

#[test]
fn crit_is_rejected_with_any_value() {
    for crit in ["[]", "[\"b64\"]", "[\"exp\"]", "null", "\"\"", "{}", "false"] {
        let header = format!(r#"{{"alg":"HS256","crit":{crit},"b64":true,"exp":1}}"#);
        let token = signed(header, good_payload().to_string());
        assert!(matches!(check(&token), Err(TokenError::UnsupportedExtension)), "{crit}");
    }
}

#[test]
fn a_payload_that_is_not_an_object_is_malformed() {
    for payload in [
        "",
        "null",
        "1",
        "\"chn\"",
        "[]",
        "[\"some-room\",[],null,1,2000000000,null]",
        "{",
        "{}x",
        "\u{feff}{}",
    ] {
        assert!(matches!(check_payload(payload), Err(TokenError::Malformed)), "{payload}");
    }
    let not_utf8 = signed(HS256, b"{\"chn\":\"\xff\"}");
    assert!(matches!(check(&not_utf8), Err(TokenError::Malformed)));
}

#[test]
fn a_duplicate_claim_is_rejected() {
    for (claim, again) in [
        ("chn", r#""other-room""#),
        ("rpc", r#"["publishMessage"]"#),
        ("att", "null"),
        ("iat", "1"),
        ("exp", "9999999999"),
        ("\\u0065xp", "9999999999"),
    ] {
        let payload = good_payload().to_string();
        let twice = format!(r#"{},"{claim}":{again}}}"#, payload.strip_suffix('}').unwrap());
        assert!(matches!(check_payload(&twice), Err(TokenError::Malformed)), "{twice}");
    }
}

#[test]
fn claims_of_wrong_types_are_rejected() {
    let times = [
        "null",
        "\"1800000060\"",
        "[1800000060]",
        "{}",
        "true",
        "-1",
        "-1e300",
        "1e300",
        "1e999",
        "-1e999",
        "9007199254740992",
        "1e99999999999999999999",
    ];
    for (claim, wrong) in
        times.into_iter().flat_map(|time| ["iat", "exp", "nbf"].map(|claim| (claim, time))).chain([
            ("chn", "null"),
            ("chn", "1"),
            ("chn", "[\"some-room\"]"),
            ("sub", "null"),
            ("sub", "1"),
            ("sub", "[\"user\"]"),
            ("rpc", "null"),
            ("rpc", "\"ping\""),
            ("rpc", "{}"),
            ("rpc", "[1]"),
            ("rpc", "[null]"),
            ("rpc", "[[\"ping\"]]"),
        ])
    {
        match check_payload(with_claim(claim, wrong)) {
            Err(TokenError::InvalidClaim(named)) => assert_eq!(named, claim, "{wrong}"),
            // A number beyond the range of an f64 may already fail as JSON.
            Err(TokenError::Malformed) if wrong.contains("e99") => {}
            other => panic!("{claim} {wrong}: {other:?}"),
        }
    }
    for not_json in ["NaN", "Infinity", "-Infinity", "+1", "0x10", "01", "1.", ".5", "undefined"] {
        assert!(
            matches!(check_payload(with_claim("exp", not_json)), Err(TokenError::Malformed)),
            "{not_json}"
        );
    }
}

#[test]
fn a_channel_name_beyond_its_limit_is_rejected() {
    check_payload(with_claim("chn", &json!("x".repeat(512)).to_string())).unwrap();
    let long = check_payload(with_claim("chn", &json!("x".repeat(513)).to_string()));
    assert!(matches!(long, Err(TokenError::Channel(_))));
    assert!(matches!(check_payload(with_claim("chn", "\"\"")), Err(TokenError::Channel(_))));
}

#[test]
fn missing_claims_are_named() {
    for claim in ["chn", "rpc", "iat", "exp"] {
        let missing = check_payload(without_claim(claim));
        assert!(matches!(missing, Err(TokenError::MissingClaim(named)) if named == claim), "{claim}");
    }
    assert_eq!(check_payload(without_claim("att")).unwrap().attachment_json(), None);
}

#[test]
fn unknown_claims_are_ignored() {
    let strange = with_claim("__proto__", &nested(2_000));
    check_payload(strange).unwrap();
    check_payload(with_claim("EXP", "0")).unwrap();
    check_payload(with_claim("exp ", "0")).unwrap();
}

#[test]
fn a_null_attachment_is_an_attachment() {
    let claims = check_payload(with_claim("att", "null")).unwrap();
    assert_eq!(claims.attachment_json(), Some("null"));
    assert_eq!(claims.attachment::<Option<String>>().unwrap(), None);
    assert!(matches!(claims.attachment::<String>(), Err(TokenError::Attachment(_))));
}

#[test]
fn attachments_are_nested_at_most_as_deep_as_serde_json_reads() {
    let deepest = check_payload(with_claim("att", &nested(127))).unwrap();
    deepest.attachment::<Value>().unwrap();
    for levels in [128, 129, 2_500] {
        let too_deep = check_payload(with_claim("att", &nested(levels)));
        assert!(matches!(too_deep, Err(TokenError::AttachmentTooDeep)), "{levels}");
    }
    let brackets_in_strings = json!([format!("\"\\\\{}\\\"", "[{".repeat(500)), "\\", "[[[["]).to_string();
    check_payload(with_claim("att", &brackets_in_strings)).unwrap();
    let after_a_string = with_claim("att", &format!(r#"["\\","\"",{}]"#, nested(127)));
    assert!(matches!(check_payload(after_a_string), Err(TokenError::AttachmentTooDeep)));
    // Deep nesting elsewhere: any error is correct, a stack overflow is not.
    for claim in ["chn", "rpc", "iat", "exp", "nbf"] {
        assert!(check_payload(with_claim(claim, &nested(2_500))).is_err());
    }
    assert!(check(&signed(nested(2_500), good_payload().to_string())).is_err());
}

#[test]
fn a_token_is_at_most_8_kib() {
    // Three bytes of payload become four bytes of the token, so token lengths increase in steps.
    let lengths = (5_900..6_200).map(|padding| {
        let token = signed(HS256, with_claim("att", &json!("x".repeat(padding)).to_string()));
        (token.len(), check(&token))
    });
    let (mut accepted, mut rejected) = (0, 0);
    for (length, result) in lengths {
        match result {
            Ok(_) => accepted = accepted.max(length),
            Err(TokenError::TooLong { bytes, limit: 8_192 }) => {
                assert_eq!(bytes, length);
                assert!(length > 8_192);
                rejected += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!((8_188..=8_192).contains(&accepted), "{accepted}");
    assert!(rejected > 0);
    assert!(matches!(check(&"A".repeat(10_000_000)), Err(TokenError::TooLong { .. })));
}

#[test]
fn a_token_expires_exactly_at_its_exp() {
    let token = signed(HS256, good_payload().to_string());
    let exp_ms = (NOW_S + 60) * 1_000;
    keys().verify(&token, at(exp_ms - 1)).unwrap();
    assert!(matches!(keys().verify(&token, at(exp_ms)), Err(TokenError::Expired)));
    assert!(matches!(keys().verify(&token, at(exp_ms + 1)), Err(TokenError::Expired)));
    assert!(matches!(keys().verify(&token, at(u64::MAX)), Err(TokenError::Expired)));
}

#[test]
fn a_fraction_of_a_second_in_exp_counts() {
    let token = signed(HS256, with_claim("exp", "1800000000.5"));
    keys().verify(&token, at(NOW_MS + 499)).unwrap();
    assert!(matches!(keys().verify(&token, at(NOW_MS + 500)), Err(TokenError::Expired)));
}

#[test]
fn a_token_is_valid_exactly_from_its_nbf() {
    let token = signed(HS256, with_claim("nbf", &(NOW_S + 10).to_string()));
    let nbf_ms = (NOW_S + 10) * 1_000;
    assert!(matches!(keys().verify(&token, at(nbf_ms - 1)), Err(TokenError::NotYetValid)));
    assert_eq!(keys().verify(&token, at(nbf_ms)).unwrap().not_before(), Some(at(nbf_ms)));
}

#[test]
fn times_at_the_limits_are_accepted() {
    let latest = check_payload(with_claim("exp", "9007199254740991")).unwrap();
    assert!(!latest.is_expired_at(at(u64::MAX / 4_096)));
    check_payload(with_claim("iat", "0")).unwrap();
    check_payload(with_claim("iat", "-0.0")).unwrap();
    check_payload(with_claim("iat", &(NOW_S + 1_000).to_string())).unwrap();
    check_payload(with_claim("nbf", "0")).unwrap();
}

#[test]
fn a_previous_key_verifies_until_it_is_removed() {
    let token = Token::builder("some-room").sign(&keys(), at(NOW_MS)).unwrap();
    let rotated = SigningKeys::parse("new", Some(SECRET)).unwrap();
    rotated.verify(&token, at(NOW_MS)).unwrap();
    let newer = Token::builder("some-room").sign(&rotated, at(NOW_MS)).unwrap();
    rotated.verify(&newer, at(NOW_MS)).unwrap();
    assert!(matches!(check(&newer), Err(TokenError::WrongSignature)));
    let removed = SigningKeys::parse("new", None).unwrap();
    assert!(matches!(removed.verify(&token, at(NOW_MS)), Err(TokenError::WrongSignature)));
}

#[test]
fn debug_and_display_contain_no_key_token_or_attachment() {
    let token = signed(HS256, with_claim("att", r#"{"email":"someone@example.org"}"#));
    let claims = check(&token).unwrap();
    let mut shown = vec![format!("{:?} {claims:?} {claims:#?}", keys())];
    for changed in [
        token.replace('.', "!"),
        format!("{token}A"),
        token.replace("eyJhbGci", "eyJhbGcj"),
        "x".repeat(9_000),
    ] {
        let error = check(&changed).unwrap_err();
        shown.push(format!("{error:?} {error}"));
    }
    for payload in [
        with_claim("exp", "\"someone@example.org\""),
        with_claim("rpc", "\"someone@example.org\""),
        with_claim("exp", "1"),
    ] {
        let error = check_payload(payload).unwrap_err();
        shown.push(format!("{error:?} {error}"));
    }
    for text in shown {
        let leaks = text.contains(SECRET)
            || text.contains("eyJ")
            || text.contains("xxxx")
            || text.contains("example.org");
        assert!(!leaks, "{text}");
        assert!(token.split('.').all(|part| !text.contains(part)), "{text}");
    }
}

#[test]
fn the_issuer_rejects_what_verification_rejects() {
    let now = |builder: TokenBuilder| builder.sign(&keys(), at(NOW_MS));
    let room = || Token::builder("some-room");
    assert!(matches!(now(Token::builder("")), Err(TokenError::Channel(_))));
    assert!(matches!(now(Token::builder("x".repeat(513))), Err(TokenError::Channel(_))));
    assert!(matches!(now(room().attachment(&"x".repeat(6_200))), Err(TokenError::TooLong { .. })));
    assert!(matches!(now(room().lifetime(std::time::Duration::ZERO)), Err(TokenError::InvalidLifetime)));
    assert!(matches!(now(room().lifetime(std::time::Duration::MAX)), Err(TokenError::InvalidLifetime)));
    assert!(matches!(room().sign(&keys(), at(u64::MAX)), Err(TokenError::InvalidLifetime)));
    let not_json = std::collections::BTreeMap::from([((1, 2), 3)]);
    assert!(matches!(now(room().attachment(&not_json)), Err(TokenError::Attachment(_))));
    let deep: Box<serde_json::value::RawValue> = serde_json::from_str(&nested(128)).unwrap();
    assert!(matches!(now(room().attachment(&deep)), Err(TokenError::AttachmentTooDeep)));
    let both = room().procedures_from(&["a"], ["a", "b"]).attachment(&not_json);
    assert!(matches!(now(both), Err(TokenError::UnknownProcedure(name)) if name == "b"));
}

#[test]
fn a_lifetime_is_rounded_up_to_seconds() {
    for (lifetime_ms, expected_s) in [(1_000, 1), (1_001, 2), (1_999, 2), (3_600_000, 3_600)] {
        let lifetime = std::time::Duration::from_millis(lifetime_ms);
        let token = Token::builder("some-room").lifetime(lifetime).sign(&keys(), at(NOW_MS)).unwrap();
        let claims = check(&token).unwrap();
        assert_eq!(lifetime_of(&claims), expected_s, "{lifetime_ms} ms");
    }
    for lifetime_ms in [1, 999] {
        let token = Token::builder("some-room").lifetime(std::time::Duration::from_millis(lifetime_ms));
        assert!(
            matches!(token.sign(&keys(), at(NOW_MS)), Err(TokenError::InvalidLifetime)),
            "{lifetime_ms} ms"
        );
    }
}

#[test]
fn reading_and_writing_a_payload_preserves_its_text() {
    let payload =
        r#"{"chn":"r","rpc":["a"],"att":{"z":1, "a":null},"iat":1.5,"exp":9007199254740991,"nbf":0}"#;
    assert_eq!(
        Claims::from_payload(payload, ClientKind::DurableEventIterator).unwrap().to_payload().unwrap(),
        payload
    );
}

proptest! {
    #[test]
    fn verifying_any_text_does_not_panic(text in ".{0,400}", bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(check(&text).is_err());
        prop_assert!(check(&String::from_utf8_lossy(&bytes)).is_err());
    }

    #[test]
    fn verifying_any_signed_bytes_does_not_panic(
        header in prop::collection::vec(any::<u8>(), 0..60),
        payload in prop::collection::vec(any::<u8>(), 0..200),
        json in "[\\[\\]{}\":,\\\\a-z0-9.e-]{0,60}",
    ) {
        let _ = check(&signed(&header, &payload));
        let _ = check(&signed(HS256, &payload));
        let _ = check(&signed(HS256, &json));
        let _ = check(&signed(HS256, with_claim("att", &json)));
        let _ = check(&signed(&json, good_payload().to_string()));
    }

    #[test]
    fn verification_returns_what_was_issued(
        channel in ".{1,100}",
        procedures in prop::collection::vec(".{0,20}", 0..5),
        attachment in prop::option::of(prop::collection::btree_map(".{0,10}", any::<i64>(), 0..5)),
        lifetime_s in 1_u64..1_000_000_000,
        now_ms in 0_u64..4_000_000_000_000,
        secret in prop::collection::vec(any::<u8>(), 1..100),
    ) {
        let keys = SigningKeys::new(SigningKey::new(&secret).unwrap());
        let builder = Token::builder(channel.as_str())
            .procedures(procedures.iter().map(String::as_str))
            .lifetime(std::time::Duration::from_secs(lifetime_s));
        let builder = match &attachment {
            Some(attachment) => builder.attachment(attachment),
            None => builder,
        };
        let token = builder.sign(&keys, at(now_ms)).unwrap();
        let claims = keys.verify(&token, at(now_ms)).unwrap();
        prop_assert_eq!(claims.channel().as_str(), channel);
        prop_assert_eq!(claims.procedures(), &procedures[..]);
        prop_assert_eq!(claims.attachment::<Option<std::collections::BTreeMap<String, i64>>>().unwrap(), attachment);
        prop_assert_eq!(claims.issued_at(), at((now_ms / 1_000).saturating_mul(1_000)));
        prop_assert_eq!(lifetime_of(&claims), lifetime_s);
        prop_assert!(!claims.is_expired_at(at(now_ms)));
        prop_assert!(claims.is_expired_at(claims.expires_at()));
    }
}
