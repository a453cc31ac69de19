//! A Durable Object whose code fails in all possible ways.

// This module needs what the lints forbid elsewhere.
#![allow(clippy::panic, clippy::arithmetic_side_effects, clippy::indexing_slicing)]

use durable_event_iterator::{
    Call, Channel, DurableEventIteratorObject, Invocation, Next, Options, Procedures, Reply, Result,
    RpcMethods, Sql, Subscribed, durable_object,
};
use futures_util::stream;
use serde::{Deserialize, Serialize, Serializer};
use std::time::Duration;
use wasm_bindgen::prelude::*;
use worker::{Delay, Env, js_sys, wasm_bindgen_futures::JsFuture};

/// An event whose serializer can fail.
#[derive(Serialize, Deserialize)]
pub struct Event {
    n: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    padding: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "fail_to_serialize")]
    how: Option<String>,
}

impl Event {
    const fn new(n: u32) -> Self {
        Self { n, padding: None, how: None }
    }
}

fn fail_to_serialize<S: Serializer>(how: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    fail_now(how.as_deref().unwrap_or_default()).map_err(serde::ser::Error::custom)?;
    serializer.serialize_none()
}

/// The Durable Object.
pub struct Faulty {
    channel: Channel<Event, Option<String>>,
}

impl Faulty {
    fn table(&self) -> Result<Sql> {
        let sql = self.channel.sql();
        sql.exec("CREATE TABLE IF NOT EXISTS faults (place TEXT, how TEXT)", None)?;
        Ok(sql)
    }

    /// Plans a failure for the next execution of the code at a place.
    fn plan(&self, place: String, how: String) -> Result<()> {
        self.table()?.exec("INSERT INTO faults VALUES (?, ?)", vec![place.into(), how.into()])?;
        Ok(())
    }

    /// Removes and returns the planned failure for a place.
    fn planned(&self, place: &str) -> Result<String> {
        #[derive(Deserialize)]
        struct Row {
            how: String,
        }
        let rows =
            self.table()?.exec("DELETE FROM faults WHERE place = ? RETURNING how", vec![place.into()])?;
        Ok(rows.to_array::<Row>()?.pop().map(|row| row.how).unwrap_or_default())
    }
}

#[wasm_bindgen(inline_js = "
export function throws() { throw new Error('a secret of the inside') }
export function throwsRuntimeError() { throw new WebAssembly.RuntimeError('a secret of the inside') }
export function reportsRuntimeError() { reportError(new WebAssembly.RuntimeError('a secret of the inside')) }
export async function rejects() { throw new WebAssembly.RuntimeError('a secret of the inside') }
")]
extern "C" {
    /// Without `catch`, like a binding of an application.
    fn throws();

    /// Like JavaScript that runs another WebAssembly module.
    #[wasm_bindgen(catch, js_name = throwsRuntimeError)]
    fn throws_runtime_error() -> Result<(), JsValue>;

    #[wasm_bindgen(catch, js_name = reportsRuntimeError)]
    fn reports_runtime_error() -> Result<(), JsValue>;

    #[wasm_bindgen(catch)]
    fn rejects() -> Result<JsValue, JsValue>;
}

/// The code that fails, and how.
async fn fail(how: &str) -> Result<()> {
    let (how, later) = how.strip_suffix(" later").map_or((how, false), |how| (how, true));
    if later {
        Delay::from(Duration::from_millis(20)).await;
    }
    if how == "rejection" {
        let promise = rejects().map_err(worker::Error::from)?.unchecked_into::<js_sys::Promise>();
        return Ok(JsFuture::from(promise).await.map(drop).map_err(worker::Error::from)?);
    }
    fail_now(how)
}

fn fail_now(how: &str) -> Result<()> {
    match how {
        "panic" => panic!("a secret of the inside"),
        "index" => {
            let none: Vec<u8> = Vec::new();
            Err(worker::Error::RustError(none[how.len()].to_string()).into())
        }
        "recursion" => {
            deeper(how, u64::MAX);
            Ok(())
        }
        "memory" => {
            // Never written to, so that it uses no memory of the machine.
            let mut hoard: Vec<Vec<u8>> = Vec::new();
            loop {
                hoard.push(Vec::with_capacity(512 * 1024 * 1024));
            }
        }
        "exception" => {
            throws();
            Ok(())
        }
        "caught RuntimeError" => Ok(throws_runtime_error().map_err(worker::Error::from)?),
        "reported RuntimeError" => Ok(reports_runtime_error().map_err(worker::Error::from)?),
        _ => Ok(()),
    }
}

#[allow(unconditional_recursion)]
fn deeper(text: &str, depth: u64) -> usize {
    let copy = [depth; 64].map(|n| n.to_string().len() + text.len());
    copy.iter().sum::<usize>() + deeper(text, depth - 1)
}

impl DurableEventIteratorObject for Faulty {
    type Channel = Channel<Event, Option<String>>;

    fn options(_env: &Env) -> Options {
        Options::default().publisher()
    }

    fn new(channel: Self::Channel, _env: Env) -> Result<Self> {
        let faulty = Self { channel };
        let how = faulty.planned("new")?;
        if how == "error" {
            return Err(durable_event_iterator::Error::new(durable_event_iterator::Code::Conflict)
                .message("Not now."));
        }
        let _ = fail_now(&how);
        Ok(faulty)
    }

    fn procedures() -> Procedures<Self, Call<Self>> {
        Procedures::new()
            .procedure("ping", async |_: &Self, _, ()| Ok("pong"))
            .procedure("wait", async |_: &Self, _, ()| {
                std::future::pending::<()>().await;
                Ok(())
            })
            .procedure("publishAndFail", async |faulty: &Self, _, (n, how): (u32, String)| {
                faulty.channel.publish(&Event::new(n))?;
                fail(&how).await
            })
            .stream("items", async |_: &Self, _, how: String| {
                Ok(stream::unfold(0, move |n| {
                    let how = how.clone();
                    async move {
                        if n == 2 {
                            let _ = fail(&how).await;
                        }
                        Some((Ok(n), n + 1))
                    }
                }))
            })
    }

    fn rpc_methods() -> RpcMethods<Self> {
        RpcMethods::new()
            .method("ping", async |_: &Self, ()| Ok("pong"))
            .method("publishAndFail", async |faulty: &Self, (n, how): (u32, String)| {
                faulty.channel.publish(&Event::new(n))?;
                fail(&how).await
            })
            // In a transaction, and in an asynchronous one.
            .method("transactAndFail", async |faulty: &Self, (n, how): (u32, String)| {
                faulty.channel.transaction(|tx| {
                    tx.publish(&Event::new(n))?;
                    fail_now(&how)
                })
            })
            .method("transactAndFailLater", async |faulty: &Self, (n, how): (u32, String)| {
                let (storage, channel) = (faulty.channel.storage(), faulty.channel.clone());
                let work = async move |_| {
                    channel
                        .publish(&Event::new(n))
                        .map_err(|error| worker::Error::RustError(error.to_string()))?;
                    fail(&how).await.map_err(|error| worker::Error::RustError(error.to_string()))
                };
                Ok(storage.transaction(work).await?)
            })
            .method("wipe", async |faulty: &Self, ()| Ok(faulty.channel.storage().delete_all().await?))
            .method("plan", async |faulty: &Self, (place, how): (String, String)| faulty.plan(place, how))
            .method("wake", async |faulty: &Self, ()| Ok(faulty.channel.storage().set_alarm(0_i64).await?))
    }

    async fn intercept(&self, _: Invocation<Self>, next: Next<'_>) -> Result<Reply> {
        fail(&self.planned("intercept")?).await?;
        next.run().await
    }

    async fn alarm(&self) -> Result<()> {
        fail(&self.planned("alarm")?).await?;
        self.channel.publish(&Event::new(99))?;
        Ok(())
    }

    fn on_subscribed(&self, client: &Subscribed<Self>) -> Result<()> {
        let attachment = client.socket.token_attachment()?;
        assert!(attachment.is_none(), "a secret of the inside");
        Ok(())
    }
}

durable_object!(pub FaultyObject: Faulty);
