//! A Durable Object in memory, for test kits. Not on wasm32.
//!
//! Applications use a kit, such as the crate `durable-event-test`. A kit drives what the Workers runtime would:
//!
//! - [`ObjectState`] is what outlasts an instance of a Durable Object: its storage on a [`Database`], its alarm, its sockets
//!   with their attachments; and the clock and the event loop, which stand still until the kit moves them.
//! - [`Instance`] is the application's object with everything that the runtime calls: upgrade requests, messages, closed
//!   sockets, RPC methods, the alarm. Dropping it is hibernation.
//! - [`Socket`] records what a client was sent, and how its socket was closed.
//!
//! ```
//! use durable_event_iterator::{
//!     Channel, DurableEventIteratorObject, Result, SigningKeys, Value,
//!     native::{Cell, Database, DatabaseError, Instance, ObjectState, Param},
//! };
//!
//! struct Room;
//!
//! impl DurableEventIteratorObject for Room {
//!     type Channel = Channel<Value>;
//!
//!     fn new(_: Self::Channel, _: worker::Env) -> Result<Self> {
//!         Ok(Self)
//!     }
//! }
//!
//! /// A kit has SQLite here.
//! struct NoDatabase;
//!
//! impl Database for NoDatabase {
//!     fn execute(&self, _: &str, _: &[Param<'_>]) -> Result<Vec<Vec<Cell>>, DatabaseError> {
//!         Err(DatabaseError::new("no database"))
//!     }
//!
//!     fn atomically(&self, _: &mut dyn FnMut() -> bool) -> Result<(), DatabaseError> {
//!         Err(DatabaseError::new("no database"))
//!     }
//! }
//!
//! let state = ObjectState::new("lobby", Box::new(NoDatabase), 1_800_000_000_000);
//! let keys = SigningKeys::parse("a secret", None)?;
//! let room: Instance<Room> = Instance::new(&state, &keys)?;
//! let rejected = room.upgrade(Some("websocket"), "https://worker/?token=x").unwrap_err();
//! assert_eq!((rejected.status, rejected.text), (401, "Invalid Token"));
//! # Ok::<(), durable_event_iterator::Error>(())
//! ```

pub use crate::{
    object::{NativeInstance as Instance, Rejected},
    runtime::{
        Message,
        native::{CloseFrame, Entered, ObjectState, RawSocket as Socket},
    },
};
pub use durable_event_log::{Cell, Database, DatabaseError, Param};
