//! A socket attachment, on a channel that does not state its type.

use durable_event_iterator::{Call, Channel, DurableEventIteratorObject, Procedures, Result};
use serde::{Deserialize, Serialize};
use worker::Env;

#[derive(Serialize, Deserialize)]
pub struct Message;

#[derive(Serialize, Deserialize)]
pub struct Typing {
    something: String,
}

pub struct Chat;

impl DurableEventIteratorObject for Chat {
    type Channel = Channel<Message>;

    fn new(_: Self::Channel, _: Env) -> Result<Self> {
        Ok(Self)
    }

    fn procedures() -> Procedures<Self, Call<Self>> {
        Procedures::new().procedure("type", Self::set_typing)
    }
}

impl Chat {
    async fn set_typing(&self, call: Call<Self>, something: String) -> Result<()> {
        call.socket.set_attachment(&Typing { something })
    }
}

fn main() {}
