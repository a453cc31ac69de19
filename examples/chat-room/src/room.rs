//! The Durable Object of a room.

use durable_event_iterator::{
    Call, Channel, Code, Date, DurableEventIteratorObject, Error, Options, Procedures, PublishOptions,
    Result, RpcMethods, durable_object,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};
#[cfg(feature = "typescript")]
use ts_rs::TS;
use worker::Env;

/// The maximum length of a message, in bytes.
const MAX_MESSAGE: usize = 4_000;

/// How long a room stores messages.
const RETENTION: Duration = Duration::from_secs(300);

/// How long a page may be offline and still send its messages again without duplicates.
const IDEMPOTENCY_WINDOW: Duration = Duration::from_secs(24 * 60 * 60);

/// The events of a room.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(TS))]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Event {
    /// A message. It is stored, so that disconnected clients receive it when they reconnect.
    Message(Message),
    /// The people in the room. It is sent live, since it is outdated for clients that connect later.
    People {
        /// Each person once, in alphabetical order.
        people: Vec<Person>,
    },
}

/// A chat message.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(TS))]
pub struct Message {
    /// The id that the author's page has given to the message. Messages of other Workers have none.
    id: Option<String>,
    message: String,
    /// The author. Messages of the server have none.
    name: Option<String>,
    at: Date,
}

impl Message {
    /// Returns a message of the current time.
    ///
    /// # Errors
    /// BAD_REQUEST if the text is empty or too long.
    pub fn new(id: Option<String>, name: Option<String>, message: String) -> Result<Self> {
        if message.trim().is_empty() || message.len() > MAX_MESSAGE {
            let problem = format!("message must be 1–{MAX_MESSAGE} bytes and not blank");
            return Err(Error::new(Code::BadRequest).message(problem));
        }
        Ok(Self { id, message, name, at: Date::from_millis(worker::Date::now().as_millis().cast_signed()) })
    }
}

/// A person in the room.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(TS))]
pub struct Person {
    name: String,
    status: Status,
}

/// The token attachment: the user, as the server that issues the token knows them.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(TS))]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// The name of the user.
    pub user_id: String,
}

/// The attachment of a socket: the status of its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(TS))]
#[serde(rename_all = "camelCase")]
pub enum Status {
    /// The page is closing.
    Leaving,
    /// The user is in the room.
    Here,
    /// The user is typing.
    Typing,
}

#[derive(Deserialize)]
#[cfg_attr(feature = "typescript", derive(TS))]
struct Said {
    /// The idempotency key: a page that has received no response sends the message again.
    id: String,
    message: String,
}

#[derive(Deserialize)]
#[cfg_attr(feature = "typescript", derive(TS))]
struct Echo {
    text: String,
}

/// The Durable Object of a room.
pub struct Chat {
    channel: Channel<Event, User, Status>,
}

impl DurableEventIteratorObject for Chat {
    type Channel = Channel<Event, User, Status>;

    fn new(channel: Self::Channel, _env: Env) -> Result<Self> {
        Ok(Self { channel })
    }

    fn options(_env: &Env) -> Options {
        Options::default().event_retention(RETENTION).idempotency_window(IDEMPOTENCY_WINDOW)
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
            room.channel.publish(&Event::Message(Message::new(None, None, message)?))?;
            Ok(())
        })
    }
}

impl Chat {
    /// Publishes a message to everyone, once per id. The author's page recognizes the message by its id.
    async fn publish_message(&self, call: Call<Self>, Said { id, message }: Said) -> Result<()> {
        let User { user_id } = call.socket.token_attachment()?;
        let message = Message::new(Some(id.clone()), Some(user_id), message)?;
        let once = PublishOptions::new().idempotency_key(id);
        self.channel.publish_with(&Event::Message(message), once)?;
        call.socket.set_attachment(&Status::Here)?;
        self.show_people()
    }

    async fn set_status(&self, call: Call<Self>, status: Status) -> Result<()> {
        call.socket.set_attachment(&status)?;
        self.show_people()
    }

    /// Sends the list of people to all connected clients.
    fn show_people(&self) -> Result<()> {
        let sockets = self.channel.sockets()?;
        let mut people = BTreeMap::new();
        for socket in &sockets {
            // A socket that has closed meanwhile has no attachments.
            let (Ok(user), Ok(Some(status))) = (socket.token_attachment(), socket.attachment()) else {
                continue;
            };
            if status == Status::Leaving {
                continue;
            }
            // A user with two pages is typing if one of the pages is.
            let shown = people.entry(user.user_id).or_insert(status);
            *shown = status.max(*shown);
        }
        let people = people.into_iter().map(|(name, status)| Person { name, status }).collect();
        self.channel.send_live(&sockets, &Event::People { people })
    }
}

durable_object!(pub ChatRoom: Chat);

#[cfg(all(test, feature = "typescript"))]
mod tests {
    use super::*;
    use durable_event_iterator::typescript::{Module, ModuleError};

    #[test]
    fn the_typescript_types_are_current() -> Result<(), ModuleError> {
        Module::new()
            .object::<Chat>("ChatRoom")
            .router("Server", &crate::server::procedures())
            .check("web/generated.ts")
    }
}
