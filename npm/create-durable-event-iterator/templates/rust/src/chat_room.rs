//! The Durable Object: one for each room.

use durable_event_iterator::{
    Call, Channel, DurableEventIteratorObject, Procedures, Result, durable_object,
};
use serde::{Deserialize, Serialize};
use worker::Env;

/// The events.
#[derive(Serialize, Deserialize)]
pub struct Message {
    message: String,
}

pub struct Room {
    channel: Channel<Message>,
}

impl DurableEventIteratorObject for Room {
    type Channel = Channel<Message>;

    fn new(channel: Self::Channel, _env: Env) -> Result<Self> {
        Ok(Self { channel })
    }

    /// Clients call these procedures over the WebSocket, if their token lists them.
    fn procedures() -> Procedures<Self, Call<Self>> {
        Procedures::new().procedure("publishMessage", Self::publish_message)
    }
}

impl Room {
    /// Stores the message and sends it to all clients.
    async fn publish_message(&self, _: Call<Self>, message: Message) -> Result<()> {
        self.channel.publish(&message)?;
        Ok(())
    }
}

durable_object!(pub ChatRoom: Room);
