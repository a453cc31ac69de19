//! Runs `script.json` on the test kit, with the class that `tests/parity.test.ts` runs it with on the Workers runtime.

#![cfg(test)]

#[expect(unreachable_pub, reason = "the file is a part of another crate, with more classes than this uses")]
#[path = "../../worker/src/journal.rs"]
mod journal;

use durable_event_iterator::{ClientKind, Token, TokenBuilder};
use durable_event_test::{Message, TestObject, TestSocket};
use journal::{Journal, Usual};
use serde::Deserialize;
use serde_json::Value;
use std::{collections::BTreeMap, time::Duration};

#[derive(Deserialize)]
struct Script {
    channel: String,
    steps: Vec<Step>,
}

/// One thing that happens, and what each client receives of it. In frames, `$1` is the id of the first event.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    /// A client connects, by this name.
    connect: Option<String>,
    /// Its connection id, which makes it a `DurableIterator` client.
    id: Option<String>,
    /// Of the token that it connects with, or that `$token` in its frame is.
    #[serde(default)]
    claims: Claims,
    /// A client sends a frame: JSON, or a text as it is.
    send: Option<String>,
    #[serde(default)]
    frame: Value,
    /// A Worker publishes.
    publish: Option<Value>,
    options: Option<Value>,
    #[serde(default)]
    hibernate: bool,
    #[serde(default)]
    received: BTreeMap<String, Vec<Value>>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Claims {
    rpc: Vec<String>,
    att: Option<Value>,
    tags: Vec<String>,
}

type Client = TestSocket<Journal<Usual>>;

#[test]
fn clients_receive_what_they_do_on_the_workers_runtime() {
    let script: Script = serde_json::from_str(include_str!("../script.json")).unwrap();
    let object = TestObject::<Journal<Usual>>::builder().name(&script.channel).build().unwrap();
    let token = |claims: &Claims, kind| -> TokenBuilder {
        let token = Token::builder(script.channel.as_str()).for_clients(kind);
        let token = token.procedures(claims.rpc.iter().cloned()).tags(claims.tags.iter().cloned());
        claims.att.iter().fold(token, TokenBuilder::attachment)
    };
    let mut clients = BTreeMap::<String, Client>::new();
    let mut ids = Vec::<String>::new();
    for (n, step) in script.steps.iter().enumerate() {
        if let Some(name) = &step.connect {
            let client = match &step.id {
                Some(id) => object.connect_as(token(&step.claims, ClientKind::DurableIterator), id),
                None => object.connect(token(&step.claims, ClientKind::DurableEventIterator)),
            };
            clients.insert(name.clone(), client.unwrap());
        }
        if let Some(name) = &step.send {
            let text = step.frame.as_str().map_or_else(|| step.frame.to_string(), str::to_owned);
            let refreshed = object.sign(token(&step.claims, ClientKind::DurableIterator));
            let text = text.replace("$token", refreshed.replace('"', "\\\"").as_str());
            clients[name].send_text(with_ids(text, &ids));
        }
        if let Some(event) = &step.publish {
            let wire = |value: &Value| durable_event_iterator::to_value(value).unwrap();
            let published =
                object.publish_value(&wire(event), step.options.as_ref().map(wire).as_ref()).unwrap();
            if !published.is_duplicate {
                ids.push(published.id.to_string());
            }
        }
        if step.hibernate {
            assert!(object.hibernate());
        }
        object.advance(Duration::from_millis(100)); // as long as a client waits between two subscriptions

        let mut received = BTreeMap::new();
        for (name, client) in &clients {
            let mut frames: Vec<Value> =
                client.take_messages().iter().map(|message| plain(message, &ids)).collect();
            if step
                .received
                .get(name)
                .is_some_and(|frames| frames.iter().any(|frame| frame.get("closed").is_some()))
            {
                let frame = client.closed().unwrap();
                frames.push(serde_json::json!({ "closed": frame.code, "reason": frame.reason }));
            }
            if !frames.is_empty() {
                received.insert(name.clone(), frames);
            }
        }
        assert_eq!(received, step.received, "step {n}");
    }
    assert_eq!(object.take_log(), Vec::<String>::new());
}

/// A text with the ids of events in place of `$1` and the like.
fn with_ids(text: String, ids: &[String]) -> String {
    (1..).zip(ids).fold(text, |text, (n, id)| text.replace(&format!("\"${n}\""), &format!("\"{id}\"")))
}

/// A message with `$1` and the like in place of the ids of events.
fn plain(message: &Message, ids: &[String]) -> Value {
    let Message::Text(text) = message else { panic!("{message:?}") };
    let mut text = text.clone();
    for (n, id) in (1..).zip(ids) {
        text = text.replace(&format!("\"{id}\""), &format!("\"${n}\""));
    }
    let mut frame: Value = serde_json::from_str(&text).unwrap();
    if let Some(gap) = frame.pointer_mut("/p/h/x-durable-event-gap") {
        *gap = "$gap".into();
    }
    frame
}

/// The guide's crate, whose tests use the test kit.
#[expect(unreachable_pub, reason = "it is a crate of its own")]
#[allow(clippy::all, clippy::pedantic, clippy::restriction)] // it has lints of its own
mod todo_lists {
    include!(concat!(env!("OUT_DIR"), "/todo_lists.rs"));
}
