//! A chat room: its object, the oRPC server that lets people in, and the Worker in front of both.

pub mod room;
mod server;

use durable_event_iterator::{Upgrade, http::Handler};
use worker::{Context, Env, Request, Response, event};

/// The binding of the rooms' namespace.
const ROOMS: &str = "CHAT_ROOM";

#[event(fetch)]
async fn fetch(request: Request, env: Env, _context: Context) -> worker::Result<Response> {
    match request.path().as_str() {
        "/chat-room" => Upgrade::new(&env, ROOMS).handle(request).await,
        _ => Handler::new(server::procedures()).prefix("/rpc").handle(&(), request, &env).await,
    }
}
