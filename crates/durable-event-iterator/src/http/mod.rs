//! oRPC over HTTP: procedures that an app server in Rust answers, and the way to a channel for its clients.
//!
//! [`Handler`] serves [`Procedures`](crate::Procedures) to every client of oRPC 1, such as an `RPCLink` over `fetch`. A
//! procedure that answers with [`HttpCall::iterator`] gives the client a channel to iterate over:
//!
//! ```
//! use durable_event_iterator::{
//!     ChannelStub, Procedures, Result, Token, Upgrade,
//!     http::{Handler, HttpCall, path_of},
//! };
//! use serde::{Deserialize, Serialize};
//! use worker::{
//!     Context, Env,
//!     web_sys::{Request, Response},
//! };
//!
//! #[derive(Serialize, Deserialize)]
//! struct Message {
//!     message: String,
//! }
//!
//! fn procedures() -> Procedures<(), HttpCall> {
//!     Procedures::new()
//!         .procedure("onMessage", async |_: &(), call: HttpCall, ()| {
//!             call.iterator(Token::builder("some-room").procedures(["publishMessage"]))
//!         })
//!         .procedure("sendMessage", async |_: &(), call: HttpCall, message: Message| {
//!             ChannelStub::new(&call.env, "CHAT_ROOM", "some-room")?.publish(&message).await?;
//!             Ok(())
//!         })
//! }
//!
//! async fn fetch(request: Request, env: Env, _: Context) -> worker::Result<Response> {
//!     match path_of(&request.url()) {
//!         "/chat-room" => Upgrade::new(&env, "CHAT_ROOM").handle(&request).await,
//!         _ => {
//!             let handler = Handler::new(procedures()).prefix("/rpc");
//!             Ok(handler.handle(&(), request.into(), &env).await?.into())
//!         }
//!     }
//! }
//! ```
//!
//! Not served are batches of calls, and streams as inputs: a channel's own procedures take those, over the socket.

mod call;
mod cors;
mod csrf;
mod events;
mod handler;

pub use self::{call::HttpCall, cors::Cors, csrf::Csrf, handler::Handler};
pub use crate::path::{decode_segment, path_of, query_of};

pub use crate::error::MALFORMED_REQUEST;
use crate::error::{Code, Error, Result};
use durable_event_wire::HttpBody;
use worker::{Headers, Request, Response};

/// The body of a request, of at most so many bytes. What is larger is not read to its end.
///
/// # Errors
/// PAYLOAD_TOO_LARGE, and whatever breaks off the reading.
pub async fn read_body(request: &Request, limit: usize) -> Result<Vec<u8>> {
    let body = crate::runtime::read_body(request, limit).await?;
    body.ok_or_else(|| Error::new(Code::PayloadTooLarge))
}

/// The answer for an error: its status, and what clients make an `ORPCError` of. A failure that the runtime calls temporary,
/// such as an overloaded Durable Object, is 503 with the header `Retry-After`.
///
/// # Errors
/// When the platform refuses to make a response.
pub fn error_response(error: &Error) -> worker::Result<Response> {
    respond_with(error, Headers::new())
}

fn respond_with(error: &Error, headers: Headers) -> worker::Result<Response> {
    if let Some(seconds) = error.retry_after() {
        headers.set("retry-after", &seconds.to_string())?;
    }
    respond(error.status(), error.body().to_wire().into_http(), headers)
}

fn respond(status: u16, body: HttpBody, headers: Headers) -> worker::Result<Response> {
    headers.set("content-type", &body.content_type)?;
    Ok(Response::from_bytes(body.bytes)?.with_status(status).with_headers(headers))
}
