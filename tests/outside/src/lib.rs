//! A Durable Object with a class of its own, and the Worker in front of it.

use durable_event_iterator::{
    Call, Channel, DurableEventIteratorObject, Procedures, Result, Upgrade, durable_object,
};
use serde::{Deserialize, Serialize};
use worker::{
    Context, Env, event,
    web_sys::{Request, Response},
};

/// The events.
#[derive(Serialize, Deserialize)]
pub struct Message {
    message: String,
}

/// The Durable Object.
pub struct Chat {
    channel: Channel<Message>,
}

impl DurableEventIteratorObject for Chat {
    type Channel = Channel<Message>;

    fn new(channel: Self::Channel, _env: Env) -> Result<Self> {
        Ok(Self { channel })
    }

    fn procedures() -> Procedures<Self, Call<Self>> {
        Procedures::new().procedure("say", Self::say)
    }
}

impl Chat {
    async fn say(&self, _: Call<Self>, message: Message) -> Result<()> {
        self.channel.publish(&message)?;
        Ok(())
    }
}

durable_object!(pub ChatRoom: Chat);

#[event(fetch)]
async fn fetch(request: Request, env: Env, _context: Context) -> worker::Result<Response> {
    Upgrade::new(&env, "CHAT_ROOM").handle(&request).await
}
