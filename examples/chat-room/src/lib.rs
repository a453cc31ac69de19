//! Chat room.
