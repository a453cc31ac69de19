//! Durable, resumable event channels over WebSockets for Cloudflare Durable Objects, spoken by oRPC clients.

#![allow(dead_code)] // Until the object uses what stands ready for it.

mod audience;
mod error;
mod log;
mod token;
mod upgrade;
mod wire;

pub use log::{EventId, InvalidEventId};
pub use token::{ChannelName, Claims, InvalidChannelName, InvalidKey, PublishKey};
pub use token::{SigningKey, SigningKeys, Token, TokenBuilder, TokenError};
pub use upgrade::{ConnectionId, InvalidConnectionId};
