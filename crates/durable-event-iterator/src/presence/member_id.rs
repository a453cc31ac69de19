//! The ids of members.

use super::options::MemberKey;
use crate::socket::session::{RawJson, Session};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The length of an id that is a digest: 132 bits.
const DIGEST_CHARACTERS: usize = 22;

/// Returns the member id of a socket, or `None` if it has neither the key nor a connection id.
pub(crate) fn member_id(key: &MemberKey, session: &Session) -> Option<String> {
    let by_key = match key {
        MemberKey::Connection => None,
        MemberKey::Subject => session.claims.subject.as_deref().map(str::to_owned),
        MemberKey::Attachment(property) => {
            session.claims.att.as_ref().and_then(|attachment| property_of(attachment, property))
        }
    };
    by_key.or_else(|| session.connection.as_deref().map(digest))
}

/// Returns a text or an integer of the token's attachment. Other values are not used as a key.
fn property_of(attachment: &RawJson, property: &str) -> Option<String> {
    match serde_json::from_str::<Value>(attachment.as_str()).ok()?.get(property)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) if number.is_i64() || number.is_u64() => Some(number.to_string()),
        _ => None,
    }
}

/// Returns the id of a socket without a key and connection id. The numbers make it unique: the time, and the socket's id, which is
/// unique in its instance.
pub(crate) fn generated_id(now_ms: u64, socket_id: u32) -> String {
    digest(&format!("{now_ms} {socket_id}"))
}

fn digest(text: &str) -> String {
    let mut digest = URL_SAFE_NO_PAD.encode(Sha256::digest(text.as_bytes()));
    digest.truncate(DIGEST_CHARACTERS);
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(json: &str) -> Session {
        Session::decode(json.as_bytes()).unwrap()
    }

    fn with(claims: &str, rest: &str) -> Session {
        session(&format!(r#"{{"claims":{{"rpc":[],"iat":1,"exp":2{claims}}},"enforced":true{rest}}}"#))
    }

    #[test]
    fn a_key_is_the_subject_or_a_property_and_otherwise_the_connection() {
        let connection = r#","connection":"c-1""#;
        let property = MemberKey::Attachment("userId".into());
        let id = |key: &MemberKey, claims: &str| member_id(key, &with(claims, connection)).unwrap();
        let by_connection = id(&MemberKey::Connection, r#","sub":"anna""#);
        assert_eq!(by_connection.len(), DIGEST_CHARACTERS);
        assert!(!by_connection.contains("c-1"));
        assert_eq!(id(&MemberKey::Subject, r#","sub":"anna""#), "anna");
        assert_eq!(id(&MemberKey::Subject, ""), by_connection);
        assert_eq!(id(&property, r#","att":{"userId":"bert"}"#), "bert");
        assert_eq!(id(&property, r#","att":{"userId":7}"#), "7");
        for other in
            ["", r#","att":{"userId":""}"#, r#","att":{"userId":1.5}"#, r#","att":[1]"#, r#","att":null"#]
        {
            assert_eq!(id(&property, other), by_connection, "{other}");
        }
        assert_eq!(member_id(&MemberKey::Connection, &with("", "")), None);
        assert_ne!(generated_id(1, 2), generated_id(2, 1));
    }
}
