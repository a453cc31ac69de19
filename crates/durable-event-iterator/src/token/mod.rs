//! Tokens: what a server hands to a client so that it may connect to one channel.
//!
//! A token is signed, not encrypted. It names the channel, lists the procedures the client may call, may carry an
//! attachment of the application, and ends at a fixed time.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `signing` | the keys: one signs, several verify |
//! | `attachment` | reading the application's attachment |
//! | `limits` | the limits of what a token says |
//! | `claims` | what a token says, and the payload JSON it is written in |
//! | `jws` | the form of generation 1 around that payload |
//! | `signed_json` | the form of generation 2 |
//! | `issue` | the builder for servers |
//! | `verify` | every check between a string from the network and [`Claims`] |
//! | `publish_key` | the secret of publishing over HTTP, which is no token |

mod attachment;
#[cfg(test)]
mod attacks;
mod channel_name;
mod claims;
#[cfg(test)]
mod corpus;
mod error;
mod generation;
mod issue;
mod jws;
mod limits;
#[cfg(test)]
mod other_forms;
mod publish_key;
mod signed_json;
mod signing;
mod verify;

pub(crate) use attachment::read_attachment;
pub use channel_name::{ChannelName, InvalidChannelName};
pub use claims::Claims;
pub use error::{InvalidAttachment, TokenError};
pub use generation::Generation;
pub use issue::{Token, TokenBuilder};
pub(crate) use limits::{TAG_BYTES, check_tags};
pub use publish_key::PublishKey;
pub use signing::{InvalidKey, SigningKey, SigningKeys};
pub(crate) use verify::verify;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use self::{
    jws::{seal as seal_jws, seal_with_header},
    signed_json::seal as seal_signed_json,
};
