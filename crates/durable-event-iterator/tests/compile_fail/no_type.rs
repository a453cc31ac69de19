//! A class without the type of its Durable Object.

durable_event_iterator::durable_object!(pub ChatRoom);

fn main() {}
