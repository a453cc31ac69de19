//! An event of another type than that of the channel.

use durable_event_iterator::{Channel, EventId, Result};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub struct Message {
    message: String,
}

fn publish(channel: &Channel<Message>) -> Result<EventId> {
    channel.publish("Hello")
}

fn main() {
    let _ = publish;
}
