//! The oRPC server: lets people into rooms, and speaks to rooms from outside.

use crate::{
    ROOMS,
    room::{Chat, Event, Message, User},
};
use durable_event_iterator::{
    ChannelStub, ClientKind, Code, DurableEventIteratorObject, Error, Procedures, Result, Token,
    http::HttpCall,
};
use serde::Deserialize;

/// The longest name of a person, in characters.
const MAX_NAME: usize = 40;

#[derive(Deserialize)]
struct Entrance {
    room: String,
    name: String,
    #[serde(default)]
    client: Client,
}

/// What the page iterates with. Both go to the same room: its object tells their tokens apart.
#[derive(Clone, Copy, Default, Deserialize)]
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
struct Announcement {
    room: String,
    message: String,
}

pub(crate) fn procedures() -> Procedures<(), HttpCall> {
    Procedures::new().procedure("onMessage", on_message).procedure("sendMessage", send_message)
}

/// The demo asks for no password: whoever opens the page chats under the name they give. A real server looks up who asks.
async fn on_message(_: &(), call: HttpCall, Entrance { room, name, client }: Entrance) -> Result<String> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > MAX_NAME {
        return Err(Error::new(Code::BadRequest).message(format!("A name has 1 to {MAX_NAME} characters.")));
    }
    let existing: Vec<_> = Chat::procedures().names().collect();
    call.iterator(
        Token::builder(room)
            .for_clients(client.kind())
            .attachment(&User { user_id: name.to_owned() })
            .procedures_from(&existing, ["publishMessage", "setStatus", "router"]),
    )
}

/// How any Worker reaches a room: through a stub.
async fn send_message(_: &(), call: HttpCall, Announcement { room, message }: Announcement) -> Result<()> {
    let event = Event::Message(Message::new(None, message)?);
    ChannelStub::new(&call.env, ROOMS, &room)?.publish(&event).await?;
    Ok(())
}
