//! Presence: which members are connected to a channel, and the state that each has set.
//!
//! The attachments of the open sockets determine the members. The [`Roster`](roster::Roster) of an instance is built from them, and
//! contains in addition the unsent changes. While a change is unsent or a grace period is running, the attachment of one socket is
//! marked, and a timer of JavaScript is set: neither is lost with the WebAssembly instance.

mod channel;
mod event;
mod member_id;
mod options;
mod roster;

pub(crate) use self::channel::{
    PresenceState, SET_PRESENCE, arrive, closed, count, departing, hold, member_of, members, members_json,
    refresh, resync, set_state, settle, timer, welcome,
};
pub(crate) use self::options::MAX_GRACE;
pub use self::{
    event::{Member, PresenceEvent, PresenceMember},
    options::Presence,
};
