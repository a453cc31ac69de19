//! Signed tokens for durable event channels.
//!
//! A server issues a token to a client, which connects to one channel with it. The token lists the procedures that the client
//! may call, can contain an attachment of the application, and expires. It is signed (HS256), not encrypted: the client can
//! read it. Any Rust server can issue tokens with this crate; it requires neither a Worker nor a Durable Object.
//!
//! ```
//! use std::time::{Duration, SystemTime};
//! use durable_event_token::{SigningKeys, Token};
//!
//! let keys = SigningKeys::parse("a secret", None)?;
//! let now = SystemTime::now();
//! let token = Token::builder("some-room")
//!     .procedures(["publishMessage"])
//!     .attachment(&serde_json::json!({ "userId": "user-123" }))
//!     .lifetime(Duration::from_secs(3_600))
//!     .sign(&keys, now)?;
//!
//! let claims = keys.verify(&token, now)?;
//! assert!(claims.channel().as_str() == "some-room" && claims.allows("publishMessage"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | module | content |
//! | --- | --- |
//! | `signing` | the keys: one signs, several verify |
//! | `claims` | the claims, and the JSON of the payload |
//! | `jws` | the format of `DurableEventIterator` tokens (oRPC 1.6–1.8) around the payload |
//! | `signed_json` | the format of `DurableIterator` tokens (oRPC 1.9–1.16) |
//! | `issue` | the builder for servers |
//! | `verify` | all checks between a string from the network and [`Claims`] |
//! | `attachment` | reading the application's attachment |
//! | [`limits`] | the limits of a token's content |
//! | `bearer_key` | the secrets for publishing, reading and inspecting over HTTP |
//! | `access_keys` | secrets with rights on the channels of a prefix |

mod access_keys;
mod attachment;
#[cfg(test)]
mod attacks;
mod bearer_key;
mod channel_name;
mod checks;
mod claims;
mod client_kind;
mod connection_id;
#[cfg(test)]
mod corpus;
mod error;
mod issue;
mod jws;
pub mod limits;
#[cfg(test)]
mod other_forms;
mod signed_json;
mod signing;
mod time;
mod verify;

pub use access_keys::{Access, AccessKey, AccessKeys, InvalidAccessKeys, Right};
pub use attachment::read_attachment;
pub use bearer_key::{InspectKey, PublishKey, ReadKey};
pub use channel_name::{ChannelName, InvalidChannelName};
pub use checks::check_tags;
pub use claims::Claims;
pub use client_kind::ClientKind;
pub use connection_id::{ConnectionId, InvalidConnectionId};
pub use error::{InvalidAttachment, TokenError};
pub use issue::{Token, TokenBuilder};
pub use signing::{InvalidKey, SigningKey, SigningKeys};

// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
