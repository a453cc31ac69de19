//! An object whose code is wrong in every way that code can be wrong.

// What everything else must not do is what this is for.
#![allow(clippy::panic, clippy::arithmetic_side_effects, clippy::indexing_slicing)]

use durable_event_iterator::{
    Call, Channel, DurableEventIteratorObject, Procedures, Result, StubCall, Subscribed, Value,
    durable_object, to_value,
};
use futures_util::stream;
use std::time::Duration;
use wasm_bindgen::prelude::*;
use worker::{Delay, Env};

/// The object.
pub struct Faulty {
    channel: Channel<Value, Option<String>>,
}

#[wasm_bindgen(inline_js = "export function throws() { throw new Error('a secret of the inside') }")]
extern "C" {
    /// Without `catch`, as any binding of an application may be.
    fn throws();
}

/// Which code is wrong, and when.
async fn fail(how: &str) -> Result<()> {
    let (how, later) = how.strip_suffix(" later").map_or((how, false), |how| (how, true));
    if later {
        Delay::from(Duration::from_millis(20)).await;
    }
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
            // Never written to, so that it takes the machine's own memory from nobody.
            let mut hoard: Vec<Vec<u8>> = Vec::new();
            loop {
                hoard.push(Vec::with_capacity(512 * 1024 * 1024));
            }
        }
        "exception" => {
            throws();
            Ok(())
        }
        _ => Ok(()),
    }
}

#[allow(unconditional_recursion)]
fn deeper(text: &str, depth: u64) -> usize {
    let copy = [depth; 64].map(|n| n.to_string().len() + text.len());
    copy.iter().sum::<usize>() + deeper(text, depth - 1)
}

impl DurableEventIteratorObject for Faulty {
    type Channel = Channel<Value, Option<String>>;

    fn new(channel: Self::Channel, _env: Env) -> Self {
        Self { channel }
    }

    fn procedures() -> Procedures<Self, Call<Self>> {
        Procedures::new()
            .procedure("ping", async |_: &Self, _, ()| Ok("pong"))
            .procedure("wait", async |_: &Self, _, ()| {
                std::future::pending::<()>().await;
                Ok(())
            })
            .procedure("publishAndFail", async |faulty: &Self, _, (n, how): (u32, String)| {
                faulty.channel.publish(&to_value(&serde_n(n))?)?;
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

    fn methods() -> Procedures<Self, StubCall> {
        Procedures::new().procedure("ping", async |_: &Self, _, ()| Ok("pong")).procedure(
            "publishAndFail",
            async |faulty: &Self, _, (n, how): (u32, String)| {
                faulty.channel.publish(&to_value(&serde_n(n))?)?;
                fail(&how).await
            },
        )
    }

    fn on_subscribed(&self, client: &Subscribed<Self>) -> Result<()> {
        let attachment = client.socket.token_attachment()?;
        assert!(attachment.is_none(), "a secret of the inside");
        Ok(())
    }
}

fn serde_n(n: u32) -> std::collections::BTreeMap<&'static str, u32> {
    [("n", n)].into_iter().collect()
}

durable_object!(pub FaultyObject: Faulty);
