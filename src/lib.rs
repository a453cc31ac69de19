//! The deployable Worker.

#![expect(missing_docs, reason = "the macro of the class writes public functions without documentation")]

use std::cell::Cell;

use worker::{Context, DurableObject, Env, Request, Response, Result, State, durable_object, event};

/// The class of the channels. It answers with how many requests it has had since it was last loaded.
#[durable_object]
pub struct DurableEventIteratorObject {
    requests: Cell<u32>,
}

impl DurableObject for DurableEventIteratorObject {
    fn new(_state: State, _env: Env) -> Self {
        Self { requests: Cell::new(0) }
    }

    async fn fetch(&self, _request: Request) -> Result<Response> {
        self.requests.set(self.requests.get().saturating_add(1));
        Response::ok(self.requests.get().to_string())
    }
}

#[event(fetch)]
async fn fetch(_request: Request, env: Env, _context: Context) -> Result<Response> {
    let channel = env.durable_object("CHANNEL")?.id_from_name("smoke")?.get_stub()?;
    channel.fetch_with_str("https://channel/").await
}
