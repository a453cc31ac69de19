//! A test kit for Durable Objects with event channels.
//!
//! A [`TestObject`] is a Durable Object in memory. The test connects clients, which subscribe, call procedures and record the
//! messages that they receive, publishes events as another Worker, and advances the clock. Tests do not sleep, and every run is
//! the same.
//!
//! ```
//! use durable_event_iterator::{
//!     Audience, Call, Channel, DurableEventIteratorObject, Procedures, Result, Token,
//! };
//! use durable_event_test::TestObject;
//! use serde::{Deserialize, Serialize};
//! use std::time::Duration;
//!
//! #[derive(Debug, PartialEq, Serialize, Deserialize)]
//! struct Message {
//!     text: String,
//! }
//!
//! fn message(text: &str) -> Message {
//!     Message { text: text.to_owned() }
//! }
//!
//! struct Chat {
//!     channel: Channel<Message>,
//! }
//!
//! impl DurableEventIteratorObject for Chat {
//!     type Channel = Channel<Message>;
//!
//!     fn new(channel: Self::Channel, _env: worker::Env) -> Result<Self> {
//!         Ok(Self { channel })
//!     }
//!
//!     fn procedures() -> Procedures<Self, Call<Self>> {
//!         Procedures::new().procedure("say", async |chat: &Self, _, text: String| {
//!             chat.channel.publish(&Message { text }).map(drop)
//!         })
//!     }
//! }
//!
//! let chat = TestObject::<Chat>::new();
//! let token = || Token::builder("test").procedures(["say"]);
//!
//! // Two clients, the second one with a connection id.
//! let anna = chat.connect(token())?;
//! let bert = chat.connect_as(token(), "bert")?;
//! anna.subscribe();
//! bert.subscribe();
//!
//! // A client calls a procedure, and another Worker publishes to one client.
//! anna.call(["say"], &"hello")?;
//! chat.publish_with(&message("psst"), Audience::everyone().to("bert"))?;
//! assert_eq!(anna.events_as::<Message>(), [message("hello")]);
//! assert_eq!(bert.events_as::<Message>(), [message("hello"), message("psst")]);
//!
//! // A reconnecting client receives the missed events.
//! let seen = anna.last_event_id().expect("an event");
//! anna.close(None);
//! chat.publish(&message("missed"))?;
//! let anna = chat.connect(token())?;
//! anna.subscribe_after(seen);
//! assert_eq!(anna.events_as::<Message>(), [message("missed")]);
//! assert_eq!(anna.gap(), None);
//!
//! // After the retention period it receives a gap notification instead.
//! chat.advance(Duration::from_secs(301));
//! let anna = chat.connect(token())?;
//! anna.subscribe_after(seen);
//! assert!(anna.gap().is_some());
//! # Ok::<(), durable_event_iterator::Error>(())
//! ```
//!
//! # Limits
//!
//! Tests run natively, without JavaScript: [`Channel::sql`] works, but the functions of `env`, of [`Channel::storage`] and of other
//! types of the crate `worker` panic. Wrap those that your Durable Object uses in a trait or function that a test can replace.
//! Everything else is the code that runs in a Worker; only the bindings to the Workers runtime have a second implementation.
//!
//! A token's channel must be the Durable Object's name: `test`, unless a [name](TestObjectBuilder::name) is set.
//!
//! [`Channel::sql`]: durable_event_iterator::Channel::sql
//! [`Channel::storage`]: durable_event_iterator::Channel::storage

mod driver;
mod object;
mod received;
mod socket;
mod sqlite;

pub use self::{
    object::{ObjectRef, TestObject, TestObjectBuilder},
    received::{CallError, Content, Event, Received},
    socket::TestSocket,
    sqlite::Sqlite,
};
pub use durable_event_iterator::native::{CloseFrame, Message, Rejected};

// Compiles the examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
