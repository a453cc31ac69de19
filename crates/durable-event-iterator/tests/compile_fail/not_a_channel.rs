//! A type that is not a channel.

use durable_event_iterator::{DurableEventIteratorObject, Result};
use worker::Env;

pub struct Chat;

impl DurableEventIteratorObject for Chat {
    type Channel = String;

    fn new(_: Self::Channel, _: Env) -> Result<Self> {
        Ok(Self)
    }
}

fn main() {}
