//! The object is missing.

durable_event_iterator::durable_object!(pub ChatRoom);

fn main() {}
