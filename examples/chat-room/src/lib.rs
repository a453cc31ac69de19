//! A chat room: the object, and the Worker in front of it.

use durable_event_iterator::{
    Audience, Call, Channel, ChannelStub, Code, DurableEventIteratorObject, Error, Options, Procedures, Result, StubCall,
    Token, Upgrade, durable_object, http,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use worker::{Context, Env, Method, Request, Response, event};

/// What the room's clients iterate over.
#[derive(Debug, Serialize, Deserialize)]
pub struct Message {
    message: String,
}

/// What the server that issues the tokens says of a client.
#[derive(Debug, Serialize, Deserialize)]
pub struct User {
    #[serde(rename = "userId")]
    user_id: String,
}

/// What the room keeps with a client's socket.
#[derive(Debug, Serialize, Deserialize)]
pub struct Typing {
    something: String,
}

#[derive(Deserialize)]
struct Echo {
    text: String,
}

/// The room.
pub struct Chat {
    channel: Channel<Message, User, Typing>,
}

impl DurableEventIteratorObject for Chat {
    type Channel = Channel<Message, User, Typing>;

    fn new(channel: Self::Channel, _env: Env) -> Self {
        Self { channel }
    }

    fn options(_env: &Env) -> Options {
        Options::default().event_retention(Duration::from_secs(300))
    }

    fn procedures() -> Procedures<Self, Call<Self>> {
        Procedures::new().procedure("publishMessage", Self::publish_message).nest(
            "router",
            Procedures::new()
                .procedure("ping", async |_: &Self, _, ()| Ok("pong"))
                .procedure("echo", async |_: &Self, _, Echo { text }| Ok(format!("Echo: {text}"))),
        )
    }

    fn methods() -> Procedures<Self, StubCall> {
        Procedures::new().procedure("publishMessage", async |room: &Self, _, (message,): (String,)| {
            room.channel.publish(&Message { message })?;
            Ok(())
        })
    }
}

impl Chat {
    async fn publish_message(&self, call: Call<Self>, input: Message) -> Result<()> {
        let user = call.socket.token_attachment()?;
        if user.user_id.is_empty() {
            return Err(Error::new(Code::Forbidden).message("Who are you?"));
        }
        call.socket.set_attachment(&Typing { something: "new value".into() })?;
        self.channel.publish_to(Audience::everyone().except(&call.socket), &input)?;
        Ok(())
    }
}

durable_object!(pub ChatRoom: Chat);
