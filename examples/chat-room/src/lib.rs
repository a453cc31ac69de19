//! A chat room: the object, and the Worker in front of it.

use durable_event_iterator::{
    Audience, Call, Channel, ChannelStub, Code, DurableEventIteratorObject, Error, Options, Procedures,
    Result, SigningKeys, StubCall, Token, Upgrade, durable_object, http,
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

/// The demo asks for no password: whoever opens the page chats under the name they give. A real server looks up who asks.
#[derive(Deserialize)]
struct Entrance {
    room: String,
    name: String,
}

#[event(fetch)]
async fn fetch(mut request: Request, env: Env, _context: Context) -> worker::Result<Response> {
    match (request.method(), request.path().as_str()) {
        (_, "/chat-room") => Upgrade::new(&env, "CHAT_ROOM").handle(request).await,
        (Method::Post, "/token") => {
            let Ok(entrance) = request.json::<Entrance>().await else {
                return Response::error("Bad Request", 400);
            };
            answer(issue(&env, entrance))
        }
        (Method::Post, "/announce") => {
            let Ok(entrance) = request.json::<Entrance>().await else {
                return Response::error("Bad Request", 400);
            };
            let message = Message { message: format!("{} says hello from another Worker.", entrance.name) };
            answer(announce(&env, &entrance.room, &message).await)
        }
        _ => Response::error("Not Found", 404),
    }
}

/// A token for the room: who it is for, and what it may call.
fn issue(env: &Env, Entrance { room, name }: Entrance) -> Result<String> {
    let keys = SigningKeys::from_env(env)?;
    let token = Token::builder(room)
        .attachment(&User { user_id: name })
        .procedures_from(&Chat::procedures().names().collect::<Vec<_>>(), ["publishMessage", "router"])
        .sign(&keys, worker::Date::now().as_millis())?;
    Ok(token)
}

/// How any other Worker reaches the room.
async fn announce(env: &Env, room: &str, message: &Message) -> Result<String> {
    Ok(ChannelStub::new(env, "CHAT_ROOM", room)?.publish(message).await?.to_string())
}

fn answer(result: Result<String>) -> worker::Result<Response> {
    match result {
        Ok(text) => Response::ok(text),
        Err(error) => http::error_response(&error),
    }
}
