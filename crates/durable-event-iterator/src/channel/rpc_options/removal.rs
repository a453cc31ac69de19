//! The options of `stub.disconnect` and `stub.revoke`, as one Worker sends them to another.

use super::{
    CONNECTION_IDS, TAGS, expected, given, is_connection_id, is_tag, names, not_empty, nothing_else, object,
    optional, string,
};
use crate::channel::{Audience, Revocation, audience::AudienceRule, revocation::MAX_AHEAD};
use durable_event_token::limits::SUBJECT_BYTES;
use durable_event_wire::{Date, InvalidInput, Issue, Object, Value};
use std::time::{Duration, SystemTime};

/// The options that select clients. `undefined` is rejected: it must not select more clients than intended.
pub(crate) const SELECTIONS: [&str; 7] =
    ["to", "tags", "except", "everyone", "connection", "subject", "issuedBefore"];

/// The argument of `~disconnect`.
#[derive(Debug)]
pub(crate) struct DisconnectOptions {
    pub(crate) audience: Audience,
    pub(crate) reason: Option<String>,
}

impl DisconnectOptions {
    /// Reads the options that a Worker has passed.
    pub(crate) fn read(value: Value) -> Result<Self, InvalidInput> {
        let mut fields = object(value)?;
        let is_allowed = |names: &[String]| !names.is_empty();
        let to = given(&mut fields, "to", |value| {
            names(value, CONNECTION_IDS, is_connection_id).and_then(not_empty(CONNECTION_IDS, is_allowed))
        })?;
        let tags = given(&mut fields, "tags", |value| {
            names(value, TAGS, is_tag).and_then(not_empty(TAGS, is_allowed))
        })?;
        let except = given(&mut fields, "except", |value| names(value, CONNECTION_IDS, is_connection_id))?;
        let everyone = given(&mut fields, "everyone", |value| match value {
            Value::Bool(true) => Ok(()),
            other => Err(expected("true", &other)),
        })?;
        let reason = optional(&mut fields, "reason", string)?;
        nothing_else(&fields, "to, tags, except, everyone, reason")?;
        match (&to, &tags, everyone) {
            (None, None, None) => {
                return Err(Issue::new("expected to, tags or everyone: true").into());
            }
            (Some(_), _, Some(())) | (_, Some(_), Some(())) => {
                return Err(Issue::new("expected either everyone, or to and tags").at("everyone").into());
            }
            _ => {}
        }
        let mut rule = AudienceRule::everyone();
        if let Some(to) = to {
            rule = rule.only_to(to);
        }
        if let Some(tags) = tags {
            rule = rule.only_tagged(tags);
        }
        let audience = Audience::from_rule(rule.except(except.unwrap_or_default()));
        Ok(Self { audience, reason })
    }

    /// Returns the options that select an audience, or `None` if it addresses nobody. Sockets without a connection id are left out,
    /// since another Durable Object cannot identify them.
    pub(crate) fn write(audience: &Audience, reason: &str) -> Option<Value> {
        let (to, tags, except) = audience.rule.parts();
        if [to, tags].into_iter().flatten().any(<[String]>::is_empty) {
            return None;
        }
        let list = |names: &[String]| Value::Array(names.iter().map(|name| name.as_str().into()).collect());
        let mut fields = Object::from_iter([("reason", Value::from(reason))]);
        if to.is_none() && tags.is_none() {
            fields.insert("everyone", true);
        }
        for (key, names) in [("to", to), ("tags", tags), ("except", Some(except))] {
            if let Some(names) = names {
                fields.insert(key, list(names));
            }
        }
        Some(fields.into())
    }
}

/// The argument of `~revoke`.
#[derive(Debug)]
pub(crate) struct RevokeOptions {
    pub(crate) revocation: Revocation,
    pub(crate) reason: Option<String>,
}

impl RevokeOptions {
    /// Reads the options that a Worker has passed at `now`. A time that is more than a day later is rejected: the channel would accept
    /// no client until then.
    pub(crate) fn read(value: Value, now: SystemTime) -> Result<Self, InvalidInput> {
        let mut fields = object(value)?;
        let connection = given(&mut fields, "connection", |value| {
            let id = string(value)?;
            let issue = || Issue::new(format!("expected {}", CONNECTION_IDS.item)).into();
            is_connection_id(&id).then_some(id).ok_or_else(issue)
        })?;
        let subject = given(&mut fields, "subject", |value| {
            let subject = string(value)?;
            let (min, max) = (SUBJECT_BYTES.start(), SUBJECT_BYTES.end());
            let issue = || Issue::new(format!("expected a subject of {min}–{max} UTF-8 bytes")).into();
            SUBJECT_BYTES.contains(&subject.len()).then_some(subject).ok_or_else(issue)
        })?;
        let time = given(&mut fields, "issuedBefore", |value| time(&value, now))?;
        let reason = optional(&mut fields, "reason", string)?;
        nothing_else(&fields, "connection, subject, issuedBefore, reason")?;
        let revocation = match (connection, subject, time) {
            (Some(id), None, None) => Revocation::connection(id),
            (None, Some(subject), None) => Revocation::subject(subject),
            (None, None, Some(time)) => Revocation::issued_before(time),
            _ => {
                return Err(Issue::new("expected exactly one of connection, subject and issuedBefore").into());
            }
        };
        Ok(Self { revocation, reason })
    }

    /// Returns the options of a revocation.
    pub(crate) fn write(revocation: &Revocation, reason: &str) -> Value {
        let (key, value) = match &revocation.0 {
            durable_event_log::Revocation::Connection(id) => ("connection", Value::from(id.as_str())),
            durable_event_log::Revocation::Subject(subject) => ("subject", subject.as_str().into()),
            durable_event_log::Revocation::IssuedBefore(micros) => {
                ("issuedBefore", (*micros as f64 / 1e6).into())
            }
        };
        Object::from_iter([(key, value), ("reason", reason.into())]).into()
    }
}

/// Reads a time: a `Date`, its ISO 8601 form, or seconds since 1970.
fn time(value: &Value, now: SystemTime) -> Result<SystemTime, InvalidInput> {
    const EXPECTED: &str = "a Date, an ISO 8601 date with a time zone, or a number of seconds since 1970";
    let of_date = |date: Date| {
        let millis = date.millis().and_then(|millis| u64::try_from(millis).ok());
        millis.map(Duration::from_millis)
    };
    let since = match value {
        Value::Date(date) => of_date(*date),
        Value::String(text) => text.parse().ok().and_then(of_date),
        Value::Number(number) => Duration::try_from_secs_f64(number.as_f64()).ok(),
        other => return Err(expected(EXPECTED, other)),
    };
    let time = since.and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since));
    let Some(time) = time else {
        return Err(Issue::new(format!("expected {EXPECTED}, from 1970 on")).into());
    };
    match time.duration_since(now) {
        Ok(ahead) if ahead > MAX_AHEAD => {
            Err(Issue::new("expected a time that is at most a day in the future; a number is in seconds")
                .into())
        }
        _ => Ok(time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use durable_event_wire::parse;

    const NOW: Duration = Duration::from_secs(1_767_225_600);

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH.checked_add(NOW).unwrap()
    }

    fn disconnect(json: &str) -> Result<DisconnectOptions, InvalidInput> {
        DisconnectOptions::read(parse(Some(json), None).unwrap())
    }

    fn revoke(json: &str) -> Result<RevokeOptions, InvalidInput> {
        RevokeOptions::read(parse(Some(json), None).unwrap(), now())
    }

    #[test]
    fn a_selection_is_read() {
        let rule = |json: &str| disconnect(json).unwrap().audience.rule;
        let everyone = AudienceRule::everyone;
        assert_eq!(rule(r#"{"everyone":true}"#), everyone());
        assert_eq!(rule(r#"{"to":["a"],"reason":null}"#), everyone().only_to(["a"]));
        assert_eq!(
            rule(r#"{"to":["a"],"tags":["x"],"except":["b"]}"#),
            everyone().only_to(["a"]).only_tagged(["x"]).except(["b"])
        );
        assert_eq!(rule(r#"{"everyone":true,"except":["b"]}"#), everyone().except(["b"]));
        assert_eq!(disconnect(r#"{"to":["a"],"reason":"x"}"#).unwrap().reason.as_deref(), Some("x"));
    }

    #[test]
    fn an_empty_or_misspelt_selection_is_an_error_that_names_the_member() {
        for (json, expected) in [
            ("{}", "expected to, tags or everyone: true"),
            (r#"{"reason":"x"}"#, "expected to, tags or everyone: true"),
            (r#"{"except":["a"]}"#, "expected to, tags or everyone: true"),
            (r#"{"to":[]}"#, "/to"),
            (r#"{"to":null}"#, "/to"),
            (r#"{"to":"a"}"#, "/to"),
            (r#"{"to":["a b"]}"#, "/to/0"),
            (r#"{"tags":[]}"#, "/tags"),
            (r#"{"tags":[""]}"#, "/tags/0"),
            (r#"{"to":["a"],"except":null}"#, "/except"),
            (r#"{"everyone":false}"#, "/everyone"),
            (r#"{"everyone":1}"#, "/everyone"),
            (r#"{"everyone":null}"#, "/everyone"),
            (r#"{"everyone":true,"to":["a"]}"#, "/everyone"),
            (r#"{"everyone":true,"tags":["a"]}"#, "/everyone"),
            (r#"{"everyone":true,"reason":7}"#, "/reason"),
            (r#"{"everyone":true,"exept":["a"]}"#, "/exept"),
            ("[]", "expected an object"),
            ("null", "expected an object"),
            (r#""everyone""#, "expected an object"),
        ] {
            let error = disconnect(json).unwrap_err().to_string();
            assert!(error.contains(expected), "{json}: {error}");
        }
    }

    #[test]
    fn a_revocation_is_read() {
        let revocation = |json: &str| revoke(json).unwrap().revocation;
        assert_eq!(revocation(r#"{"connection":"a"}"#), Revocation::connection("a"));
        assert_eq!(revocation(r#"{"subject":"anna","reason":null}"#), Revocation::subject("anna"));
        let until_now = Revocation::issued_before(now());
        assert_eq!(revocation(r#"{"issuedBefore":1767225600}"#), until_now);
        assert_eq!(revocation(r#"{"issuedBefore":"2026-01-01T00:00:00Z"}"#), until_now);
        let date = Date::from_millis(NOW.as_millis().try_into().unwrap());
        let options = Object::from_iter([("issuedBefore", Value::Date(date))]);
        let read = RevokeOptions::read(options.into(), now()).unwrap();
        assert_eq!(read.revocation, until_now);
    }

    #[test]
    fn an_invalid_revocation_is_an_error_that_names_the_member() {
        for (json, expected) in [
            ("{}", "exactly one of connection, subject and issuedBefore"),
            (r#"{"connection":"a","subject":"b"}"#, "exactly one of connection, subject and issuedBefore"),
            (r#"{"connection":null}"#, "/connection"),
            (r#"{"connection":""}"#, "/connection"),
            (r#"{"connection":["a"]}"#, "/connection"),
            (r#"{"subject":""}"#, "/subject"),
            (r#"{"subject":7}"#, "/subject"),
            (r#"{"issuedBefore":"yesterday"}"#, "/issuedBefore"),
            (r#"{"issuedBefore":-1}"#, "/issuedBefore"),
            (r#"{"issuedBefore":true}"#, "/issuedBefore"),
            // Milliseconds in place of seconds, which would lock everyone out.
            (r#"{"issuedBefore":1767225600000}"#, "at most a day in the future; a number is in seconds"),
            (r#"{"issuedBefore":"9999-01-01"}"#, "at most a day in the future"),
            (r#"{"issuedBefore":1e300}"#, "/issuedBefore"),
            (r#"{"subject":"a","reason":[]}"#, "/reason"),
            (r#"{"subjects":"a"}"#, "/subjects"),
            (r#"{"subject":"a","everyone":true}"#, "/everyone"),
            ("[]", "expected an object"),
        ] {
            let error = revoke(json).unwrap_err().to_string();
            assert!(error.contains(expected), "{json}: {error}");
        }
        let long = format!(r#"{{"subject":"{}"}}"#, "x".repeat(257));
        assert!(revoke(&long).is_err());
    }

    #[test]
    fn written_options_are_read_as_the_same_selection() {
        let audiences = [
            Audience::everyone(),
            Audience::everyone().to("a").tagged_any(["x", "y"]).except_connection("b"),
            Audience::everyone().except_connection("b"),
        ];
        for audience in audiences {
            let written = DisconnectOptions::write(&audience, "why").unwrap();
            let read = DisconnectOptions::read(written).unwrap();
            assert_eq!((read.audience.rule, read.reason.as_deref()), (audience.rule, Some("why")));
        }
        assert!(DisconnectOptions::write(&Audience::everyone().to_connections::<String>([]), "").is_none());
        assert!(DisconnectOptions::write(&Audience::everyone().tagged_any::<String>([]), "").is_none());
        for revocation in [
            Revocation::connection("a"),
            Revocation::subject("anna"),
            Revocation::issued_before(now().checked_add(Duration::from_millis(250)).unwrap()),
        ] {
            let read = RevokeOptions::read(RevokeOptions::write(&revocation, "why"), now()).unwrap();
            assert_eq!((read.revocation, read.reason.as_deref()), (revocation, Some("why")));
        }
    }
}
