//! Durable, resumable event channels over WebSockets for Cloudflare Durable Objects, spoken by oRPC clients.

#![allow(dead_code)] // Until the object uses what stands ready for it.

mod audience;
mod error;
mod log;
mod token;
mod upgrade;
mod wire;

pub use error::{Code, Error, Result};
pub use log::{EventId, InvalidEventId};
pub use token::{ChannelName, Claims, InvalidChannelName, InvalidKey, PublishKey};
pub use token::{SigningKey, SigningKeys, Token, TokenBuilder, TokenError};
pub use upgrade::{ConnectionId, InvalidConnectionId};
pub use wire::{
    BigInt, Blob, Custom, Date, EventMeta, InvalidBigInt, InvalidDate, InvalidInput, InvalidRegExp,
    InvalidUrl, Issue, Map, Number, Object, PathSegment, RegExp, SerializeError, Set, Undefined, Url, Value,
    from_value, to_value,
};
