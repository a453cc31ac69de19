//! A chat room: a Durable Object for each room, an oRPC server that issues tokens, and the Worker that routes requests to both.

pub mod room;
mod server;

use durable_event_iterator::{
    Upgrade,
    http::{ChannelEndpoint, Handler, path_of},
};
use worker::{
    Context, Env, event,
    web_sys::{Request, Response},
};

/// The binding of the namespace of the rooms.
const ROOMS: &str = "CHAT_ROOM";

#[event(fetch)]
async fn fetch(request: Request, env: Env, _context: Context) -> worker::Result<Response> {
    match path_of(&request.url()) {
        "/chat-room" => Upgrade::new(&env, ROOMS).handle(&request).await,
        // For pages in networks without WebSockets, for servers with an access key, and the inspector.
        path if path.starts_with("/channels/") || path.starts_with("/inspect") => {
            ChannelEndpoint::new(&env, ROOMS).keys_from_env(&env).handle(&request).await
        }
        _ => {
            let handler = Handler::new(server::procedures()).prefix("/rpc");
            Ok(handler.handle(&(), request.into(), &env).await?.into())
        }
    }
}
