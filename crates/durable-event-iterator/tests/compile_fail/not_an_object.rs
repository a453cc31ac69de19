//! A type that is no object.

pub struct Chat;

durable_event_iterator::durable_object!(pub ChatRoom: Chat);

fn main() {}
