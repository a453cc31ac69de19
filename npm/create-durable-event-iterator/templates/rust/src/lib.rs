//! The Worker: the WebSocket endpoint on `/events`, the same channels over HTTP below `/channels` for servers and for networks without
//! WebSockets, the inspector at `/inspect`, and the oRPC server below `/rpc`. All other paths are files of the page.

mod chat_room;

use chat_room::Message;
use durable_event_iterator::{
    ChannelStub, ClientKind, Procedures, Result, Token, Upgrade,
    http::{ChannelEndpoint, Handler, HttpCall, path_of},
};
use worker::{
    Context, Env, event,
    web_sys::{Request, Response},
};

#[event(fetch)]
async fn fetch(request: Request, env: Env, _context: Context) -> worker::Result<Response> {
    match path_of(&request.url()) {
        "/events" => Upgrade::new(&env, "CHAT_ROOM").handle(&request).await,
        path if path.starts_with("/channels/") || path.starts_with("/inspect") => {
            ChannelEndpoint::new(&env, "CHAT_ROOM").keys_from_env(&env).handle(&request).await
        }
        _ => {
            let handler = Handler::new(procedures()).prefix("/rpc");
            Ok(handler.handle(&(), request.into(), &env).await?.into())
        }
    }
}

/// The oRPC server.
fn procedures() -> Procedures<(), HttpCall> {
    Procedures::new()
        .procedure("onMessage", on_message)
        .procedure("sendMessage", send_message)
}

/// Check the user's permissions here: whoever receives the token may subscribe.
async fn on_message(_: &(), call: HttpCall, _: ()) -> Result<String> {
    let token = Token::builder("some-room").for_clients(ClientKind::DurableIterator);
    call.iterator(token.procedures(["publishMessage"]))
}

async fn send_message(_: &(), call: HttpCall, message: Message) -> Result<()> {
    let room = ChannelStub::new(&call.env, "CHAT_ROOM", "some-room")?;
    room.publish(&message).await?;
    Ok(())
}
