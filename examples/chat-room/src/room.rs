//! The Durable Object of a room.

use durable_event_iterator::{
    Call, Channel, Code, Date, DurableEventIteratorObject, Error, Options, Presence, PresenceEvent,
    Procedures, PublishOptions, Result, RpcMethods, Subscribed, durable_object,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;
#[cfg(feature = "typescript")]
use ts_rs::TS;
use worker::Env;

/// The maximum length of a message, in bytes.
const MAX_MESSAGE: usize = 4_000;

/// How long a room stores messages.
const RETENTION: Duration = Duration::from_secs(300);

/// How long a page may be offline and still send its messages again without duplicates.
const IDEMPOTENCY_WINDOW: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a user stays in the list without a connection, so that a reload or a reconnect does not change the list.
const GRACE: Duration = Duration::from_secs(5);

/// The events of a room.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(TS))]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Event {
    /// A message. It is stored, so that disconnected clients receive it when they reconnect.
    Message(Message),
    /// Who is in the room. The library sends it, see [`Options::presence`].
    Presence(PresenceEvent<Status>),
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

/// The token attachment: the user, as the server that issues the token knows them.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(TS))]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// The name of the user.
    pub user_id: String,
}

/// The presence state of a user, which their pages set by the procedure `setPresence` of the library.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(TS))]
#[serde(rename_all = "camelCase")]
pub enum Status {
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
    channel: Channel<Event, User>,
}

impl DurableEventIteratorObject for Chat {
    type Channel = Channel<Event, User>;

    fn new(channel: Self::Channel, _env: Env) -> Result<Self> {
        Ok(Self { channel })
    }

    fn options(_env: &Env) -> Options {
        Options::default()
            .event_retention(RETENTION)
            .idempotency_window(IDEMPOTENCY_WINDOW)
            .presence(Presence::by_attachment("userId").grace(GRACE))
    }

    /// Sets the status with which a user joins, and replaces the one that they had before a reconnect.
    fn on_subscribed(&self, client: &Subscribed<Self>) -> Result<()> {
        client.socket.set_presence(&Status::Here)
    }

    fn procedures() -> Procedures<Self, Call<Self>> {
        Procedures::new().procedure("publishMessage", Self::publish_message).nest(
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
        Ok(())
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
