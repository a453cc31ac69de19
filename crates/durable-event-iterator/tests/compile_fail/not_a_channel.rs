//! A channel that is none.

use durable_event_iterator::DurableEventIteratorObject;
use worker::Env;

pub struct Chat;

impl DurableEventIteratorObject for Chat {
    type Channel = String;

    fn new(_: Self::Channel, _: Env) -> Self {
        Self
    }
}

fn main() {}
