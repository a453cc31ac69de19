//! Presence: which members are connected to a channel, and the state that each has set. `channel/presence.rs` connects it with a channel.
//!
//! The truth is the attachments of the open sockets. The [`Roster`](roster::Roster) of an instance is built from them, and knows
//! in addition what the clients have not been told yet. While something is to be told, the attachment of one socket says so, and a
//! timer of JavaScript is set: neither is lost with the WebAssembly instance.

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
    options::{MAX_GRACE, MemberKey},
    roster::{Entry, Roster, Update},
};
