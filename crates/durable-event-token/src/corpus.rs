//! The limits and tokens on which this crate, the TypeScript issuer and a real Durable Object must agree.
//! `tests/token/corpus.test.ts` tests the other two.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{json, value::RawValue};

use super::{ChannelName, ClientKind, ConnectionId, SigningKeys, Token, limits, time::at};

const LIMITS: &str = include_str!("../../../tests/token/limits.json");
const CORPUS: &str = include_str!("../../../tests/token/corpus.json");

#[derive(Deserialize)]
struct Case<'a> {
    name: &'a str,
    generation: Option<u8>,
    #[serde(borrow)]
    options: &'a RawValue,
    reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Options {
    channel: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    rpc: Vec<String>,
    subject: Option<String>,
    attachment: Option<Box<RawValue>>,
    lifetime_seconds: Option<f64>,
}

/// Expands `{{text*number}}` to `text`, repeated `number` times.
fn expand(mut text: &str) -> String {
    let mut expanded = String::new();
    while let Some((before, rest)) = text.split_once("{{") {
        let (repeated, rest) = rest.split_once('*').unwrap();
        let (count, rest) = rest.split_once("}}").unwrap();
        expanded.push_str(before);
        expanded.push_str(&repeated.repeat(count.parse().unwrap()));
        text = rest;
    }
    expanded + text
}

#[test]
fn the_limits_equal_those_of_the_shared_table() {
    let bytes = |range: &std::ops::RangeInclusive<usize>| json!({ "minBytes": range.start(), "maxBytes": range.end() });
    let mut tags = bytes(&limits::TAG_BYTES);
    tags["maxCount"] = limits::MAX_TAGS.into();
    let limits_here = json!({
        "token": { "maxBytes": limits::MAX_TOKEN_BYTES },
        "channel": { "minBytes": 1, "maxBytes": ChannelName::MAX_BYTES },
        "tags": tags,
        "subject": bytes(&limits::SUBJECT_BYTES),
        "attachment": { "maxDepth": limits::MAX_ATTACHMENT_DEPTH },
        "lifetime": { "minSeconds": limits::LIFETIME_S.start(), "maxSeconds": limits::LIFETIME_S.end() },
        "time": { "minSeconds": *limits::TIMES_S.start() as u64, "maxSeconds": *limits::TIMES_S.end() as u64 },
        "connectionId": { "minBytes": 1, "maxBytes": ConnectionId::MAX_LENGTH },
    });
    assert_eq!(limits_here, serde_json::from_str::<serde_json::Value>(LIMITS).unwrap());
}

#[test]
fn the_builder_agrees_with_the_corpus() {
    let corpus = expand(CORPUS);
    let cases: Vec<Case<'_>> = serde_json::from_str(&corpus).unwrap();
    for Case { name, generation, options, reason } in cases {
        let Ok(options) = serde_json::from_str::<Options>(options.get()) else {
            // A Rust string cannot contain a lone surrogate.
            assert!(reason.is_some_and(|reason| reason.contains("lone surrogate")), "{name}");
            continue;
        };
        for (number, kind) in [(1, ClientKind::DurableEventIterator), (2, ClientKind::DurableIterator)] {
            if generation.is_some_and(|only| only != number) {
                continue;
            }
            let mut builder = Token::builder(options.channel.as_deref().unwrap_or("room"))
                .for_clients(kind)
                .tags(options.tags.clone())
                .procedures(options.rpc.clone());
            if let Some(subject) = &options.subject {
                builder = builder.subject(subject);
            }
            if let Some(attachment) = &options.attachment {
                builder = builder.attachment(attachment);
            }
            if let Some(seconds) = options.lifetime_seconds {
                let nearest = if seconds < 0.0 { Duration::ZERO } else { Duration::MAX };
                builder = builder.lifetime(Duration::try_from_secs_f64(seconds).unwrap_or(nearest));
            }
            let keys = SigningKeys::parse("key", None).unwrap();
            let signed = builder.sign(&keys, at(1_800_000_000_000));
            match (&reason, signed) {
                (None, Ok(token)) => drop(keys.verify(&token, at(1_800_000_000_000)).unwrap()),
                (Some(reason), Err(error)) => {
                    assert!(error.to_string().starts_with(reason), "{name}: {error}");
                }
                (_, signed) => panic!("{name}, generation {number}: {signed:?}"),
            }
        }
    }
}
