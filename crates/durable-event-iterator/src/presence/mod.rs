//! Presence: which members are connected to a channel, and the state that each has set. `channel/presence.rs` connects it with a channel.
//!
//! The attachments of the open sockets determine the members. The [`Roster`](roster::Roster) of an instance is built from them, and
//! contains in addition the unsent changes. While a change is unsent or a grace period is running, the attachment of one socket is
//! marked, and a timer of JavaScript is set: neither is lost with the WebAssembly instance.

pub(crate) mod event;
mod member_id;
mod options;
mod roster;

pub use self::{
    event::{Member, PresenceEvent, PresenceMember},
    options::Presence,
};
pub(crate) use self::{
    member_id::{generated_id, member_id},
    options::MAX_GRACE,
    roster::{Entry, Roster, Update},
};
