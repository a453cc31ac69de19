//! Durable, resumable event channels over WebSockets for Cloudflare Durable Objects, spoken by oRPC clients.

mod audience;
mod error;
mod log;
mod token;
mod upgrade;
mod wire;

pub use log::{EventId, InvalidEventId};
