//! The oRPC server: it issues tokens for rooms, and publishes to rooms.

use crate::{
    ROOMS,
    room::{Chat, Event, Message, User},
};
use durable_event_iterator::{
    ChannelStub, ClientKind, Code, DurableEventIteratorObject, Error, Procedures, PublishOptions, Result,
    Token, http::HttpCall,
};
use serde::Deserialize;
#[cfg(feature = "typescript")]
use ts_rs::TS;

/// The maximum length of a name, in characters.
const MAX_NAME: usize = 40;

#[derive(Deserialize)]
#[cfg_attr(feature = "typescript", derive(TS))]
struct Entrance {
    room: String,
    name: String,
    #[serde(default)]
    #[cfg_attr(feature = "typescript", ts(optional, as = "Option<_>"))]
    client: Client,
}

/// The client library of the page. One room serves clients of both kinds.
#[derive(Clone, Copy, Default, Deserialize)]
#[cfg_attr(feature = "typescript", derive(TS), ts(rename = "ClientKind"))]
#[serde(rename_all = "camelCase")]
enum Client {
    #[default]
    DurableEventIterator,
    DurableIterator,
}

impl Client {
    fn kind(self) -> ClientKind {
        match self {
            Self::DurableEventIterator => ClientKind::DurableEventIterator,
            Self::DurableIterator => ClientKind::DurableIterator,
        }
    }
}

#[derive(Deserialize)]
#[cfg_attr(feature = "typescript", derive(TS))]
struct Announcement {
    room: String,
    /// The idempotency key, as for the messages of users.
    id: String,
    message: String,
}

pub(crate) fn procedures() -> Procedures<(), HttpCall> {
    Procedures::new().procedure("onMessage", on_message).procedure("sendMessage", send_message)
}

/// Issues a token for a room. The example has no login and accepts any name; a real server authenticates the user first.
async fn on_message(_: &(), call: HttpCall, Entrance { room, name, client }: Entrance) -> Result<String> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > MAX_NAME {
        return Err(Error::new(Code::BadRequest)
            .message(format!("name must be 1–{MAX_NAME} characters and not blank")));
    }
    let existing: Vec<_> = Chat::procedures().names().collect();
    call.iterator(
        Token::builder(room)
            .for_clients(client.kind())
            .attachment(&User { user_id: name.to_owned() })
            .procedures_from(&existing, ["publishMessage", "router"])
            // A procedure of the library, with which a page sets the presence state of its user.
            .procedures(["setPresence"]),
    )
}

/// Publishes to a room through a stub, as any Worker can.
async fn send_message(
    _: &(),
    call: HttpCall,
    Announcement { room, id, message }: Announcement,
) -> Result<()> {
    let event = Event::Message(Message::new(Some(id.clone()), None, message)?);
    let once = PublishOptions::new().idempotency_key(id);
    ChannelStub::new(&call.env, ROOMS, &room)?.publish_with(&event, once).await?;
    Ok(())
}
