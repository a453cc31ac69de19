//! An event that cannot be serialized.

use durable_event_iterator::{Channel, DurableEventIteratorObject, Result};
use worker::Env;

pub struct Message;

pub struct Chat;

impl DurableEventIteratorObject for Chat {
    type Channel = Channel<Message>;

    fn new(_: Self::Channel, _: Env) -> Result<Self> {
        Ok(Self)
    }
}

fn main() {}
