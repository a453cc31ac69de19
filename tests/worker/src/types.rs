//! A Durable Object whose events contain every type of the wire.

use durable_event_iterator::{
    BigInt, Channel, Custom, Date, DurableEventIteratorObject, Map, RegExp, Set, Undefined, Url,
    durable_object,
};
use serde::{Deserialize, Serialize};
use worker::Env;

/// A custom type with the number 21.
#[derive(Debug, Serialize, Deserialize)]
pub struct User {
    name: String,
    age: u8,
}

impl User {
    /// A user of this name and age.
    #[must_use]
    pub fn new(name: &str, age: u8) -> Self {
        Self { name: name.to_owned(), age }
    }

    /// The user, one year older.
    #[must_use]
    pub fn older(self) -> Self {
        Self { age: self.age.saturating_add(1), ..self }
    }
}

/// An event with a field of every type.
#[derive(Debug, Serialize, Deserialize)]
pub struct Everything {
    date: Date,
    #[serde(rename = "badDate")]
    bad_date: Date,
    big: BigInt,
    nan: f64,
    nothing: Option<String>,
    #[serde(default)]
    undef: Undefined,
    url: Url,
    re: RegExp,
    set: Set<String>,
    map: Map<i64, Date>,
    user: Custom<User, 21>,
}

/// The Durable Object.
pub struct Types {
    _channel: Channel<Everything>,
}

impl DurableEventIteratorObject for Types {
    type Channel = Channel<Everything>;

    fn new(channel: Self::Channel, _env: Env) -> durable_event_iterator::Result<Self> {
        Ok(Self { _channel: channel })
    }
}

durable_object!(pub TypesObject: Types);
