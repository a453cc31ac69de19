//! A procedure whose closure does not state the type of its first parameter.

use durable_event_iterator::{Call, Channel, DurableEventIteratorObject, Procedures, Result};
use worker::Env;

struct Chat;

impl DurableEventIteratorObject for Chat {
    type Channel = Channel<()>;

    fn new(_: Self::Channel, _: Env) -> Result<Self> {
        Ok(Self)
    }

    fn procedures() -> Procedures<Self, Call<Self>> {
        Procedures::new().procedure("ping", async |_, call, ()| Ok(call.is_aborted()))
    }
}

fn main() {}
