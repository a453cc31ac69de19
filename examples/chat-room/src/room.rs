//! The room: a Durable Object whose events its people iterate over.

use durable_event_iterator::{
    Audience, Call, Channel, Code, Date, DurableEventIteratorObject, Error, Options, Procedures, Result,
    RpcMethods, durable_object,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};
use worker::Env;

/// The longest message, in bytes.
const MAX_MESSAGE: usize = 4_000;

/// What the people in the room iterate over.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Event {
    /// Stored: who is away gets it on coming back.
    Message(Message),
    /// Sent live only: who is here now matters to nobody later.
    People {
        /// Each once, in alphabetical order.
        people: Vec<Person>,
    },
}

/// What somebody has said.
#[derive(Debug, Serialize, Deserialize)]
pub struct Message {
    message: String,
    /// Nobody: the server itself.
    name: Option<String>,
    at: Date,
}

impl Message {
    /// Something said now.
    ///
    /// # Errors
    /// BAD_REQUEST for what is empty or too long.
    pub fn new(name: Option<String>, message: String) -> Result<Self> {
        if message.trim().is_empty() || message.len() > MAX_MESSAGE {
            let limits = format!("A message has 1 to {MAX_MESSAGE} bytes.");
            return Err(Error::new(Code::BadRequest).message(limits));
        }
        Ok(Self { message, name, at: Date::from_millis(worker::Date::now().as_millis().cast_signed()) })
    }
}

/// Somebody in the room.
#[derive(Debug, Serialize, Deserialize)]
pub struct Person {
    name: String,
    status: Status,
}

/// What the server that issues the tokens says of somebody.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// The name that they are known by.
    pub user_id: String,
}

/// What the room keeps with somebody's socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Status {
    /// About to close the page.
    Leaving,
    /// In the room.
    Here,
    /// Writing something.
    Typing,
}

#[derive(Deserialize)]
struct Said {
    message: String,
}

#[derive(Deserialize)]
struct Echo {
    text: String,
}

/// The room.
pub struct Chat {
    channel: Channel<Event, User, Status>,
}

impl DurableEventIteratorObject for Chat {
    type Channel = Channel<Event, User, Status>;

    fn new(channel: Self::Channel, _env: Env) -> Result<Self> {
        Ok(Self { channel })
    }

    fn options(_env: &Env) -> Options {
        Options::default().event_retention(Duration::from_secs(300))
    }

    fn procedures() -> Procedures<Self, Call<Self>> {
        Procedures::new()
            .procedure("publishMessage", Self::publish_message)
            .procedure("setStatus", Self::set_status)
            .nest(
                "router",
                Procedures::new()
                    .procedure("ping", async |_: &Self, _, ()| Ok("pong"))
                    .procedure("echo", async |_: &Self, _, Echo { text }| Ok(format!("Echo: {text}"))),
            )
    }

    fn rpc_methods() -> RpcMethods<Self> {
        RpcMethods::new().method("publishMessage", async |room: &Self, (message,): (String,)| {
            room.channel.publish(&Event::Message(Message::new(None, message)?))?;
            Ok(())
        })
    }
}

impl Chat {
    /// All others hear it; who has said it knows when this answers.
    async fn publish_message(&self, call: Call<Self>, Said { message }: Said) -> Result<()> {
        let User { user_id } = call.socket.token_attachment()?;
        let message = Message::new(Some(user_id), message)?;
        self.channel.publish_with(&Event::Message(message), Audience::everyone().except(&call.socket))?;
        call.socket.set_attachment(&Status::Here)?;
        self.show_people()
    }

    async fn set_status(&self, call: Call<Self>, status: Status) -> Result<()> {
        call.socket.set_attachment(&status)?;
        self.show_people()
    }

    /// Tells everyone who is here who else is.
    fn show_people(&self) -> Result<()> {
        let sockets = self.channel.sockets()?;
        let mut people = BTreeMap::new();
        for socket in &sockets {
            // One that has closed in the meantime has neither.
            let (Ok(user), Ok(Some(status))) = (socket.token_attachment(), socket.attachment()) else {
                continue;
            };
            if status == Status::Leaving {
                continue;
            }
            // Whoever is here with two pages is typing when one of them is.
            let shown = people.entry(user.user_id).or_insert(status);
            *shown = status.max(*shown);
        }
        let people = people.into_iter().map(|(name, status)| Person { name, status }).collect();
        self.channel.send_live(&sockets, &Event::People { people })
    }
}

durable_object!(pub ChatRoom: Chat);
