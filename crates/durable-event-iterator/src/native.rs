//! A Durable Object in memory, for authors of test kits. Not available on wasm32.
//!
//! Applications use a test kit, such as the crate `durable-event-test`. A kit takes the place of the Workers runtime:
//!
//! - [`ObjectState`] is the state that outlives an instance: the storage, which is an [`ObjectDatabase`], the alarm, the sockets with
//!   their attachments, and the clock and event loop, which advance only when the kit advances them.
//! - [`Instance`] is one instance of the application's Durable Object. Its methods deliver the calls of the Workers runtime: upgrade
//!   requests, messages, closed sockets, RPC methods and the alarm. Dropping it is hibernation.
//! - [`Socket`] records the messages and the close frame that a client would receive.
//!
//! ```
//! use durable_event_iterator::{
//!     Channel, DurableEventIteratorObject, Result, SigningKeys, SqlRows, SqlStorageValue, Value,
//!     native::{Cell, Database, DatabaseError, Instance, ObjectDatabase, ObjectState, Param},
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
//! /// A test kit would use SQLite.
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
//! impl ObjectDatabase for NoDatabase {
//!     fn exec(&self, _: &str, _: &[SqlStorageValue]) -> Result<SqlRows, DatabaseError> {
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
        native::{CloseFrame, Entered, ObjectDatabase, ObjectState, RawSocket as Socket},
    },
};
pub use durable_event_log::{Cell, Database, DatabaseError, Param};
