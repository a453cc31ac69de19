//! oRPC over HTTP: an application server in Rust, whose procedures can give clients access to channels; and channels over HTTP, for
//! readers without a WebSocket and for servers with an access key ([`ChannelEndpoint`]).
//!
//! [`Handler`] serves [`Procedures`](crate::Procedures) to all oRPC 1 clients, such as an `RPCLink` over `fetch`. A procedure
//! that returns [`HttpCall::iterator`] gives the client an iterator over a channel's events:
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
//! Batched calls are not supported. Streaming input requires a WebSocket: use a procedure of a Durable Object.

mod call;
mod cors;
mod csrf;
mod endpoint;
mod events;
mod handler;
mod inspector;
mod operation;
mod parameters;
mod publish;

pub use self::{call::HttpCall, cors::Cors, csrf::Csrf, endpoint::ChannelEndpoint, handler::Handler};
pub use crate::path::{decode_segment, path_of, query_of};
pub use durable_event_token::{
    AccessKey, AccessKeys, InspectKey, InvalidAccessKeys, PublishKey, ReadKey, Right,
};

pub use crate::error::MALFORMED_REQUEST;
use crate::error::{Code, Error, Result};
use durable_event_wire::HttpBody;
use worker::{Headers, Request, Response};

/// Reads the body of a request, of at most `limit` bytes. A larger body is not read to its end.
///
/// # Errors
/// PAYLOAD_TOO_LARGE for a larger body, and an error if the connection is lost.
pub async fn read_body(request: &Request, limit: usize) -> Result<Vec<u8>> {
    let body = crate::runtime::read_body(request.inner(), limit).await?;
    body.ok_or_else(|| Error::new(Code::PayloadTooLarge))
}

/// Returns the response for an error: its status, and the body that clients convert to an `ORPCError`. A failure that the
/// Workers runtime reports as temporary, such as an overloaded Durable Object, has status 503 and the header `Retry-After`.
///
/// # Errors
/// An error of the Workers runtime while creating the response.
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
