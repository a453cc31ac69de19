//! A type that does not implement `DurableEventIteratorObject`.

pub struct Chat;

durable_event_iterator::durable_object!(pub ChatRoom: Chat);

fn main() {}
