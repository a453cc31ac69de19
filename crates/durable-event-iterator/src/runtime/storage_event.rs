//! The events of transactions and deletions of the storage.

/// An event of the storage, caused by the library or the application. The numbers are the levels of open transactions.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    not(target_arch = "wasm32"),
    expect(dead_code, reason = "only the Workers runtime has asynchronous transactions")
)]
pub(crate) enum StorageEvent {
    /// A transaction has begun. It may be nested in another one.
    Begun,
    /// A synchronous transaction has been committed.
    Committed(u32),
    /// A synchronous transaction has been rolled back.
    RolledBack(u32),
    /// The code of an asynchronous transaction has called `rollback()`. The code continues outside of the transaction.
    TakenBack(u32),
    /// An asynchronous transaction has ended without an error: it was committed, unless it had been rolled back.
    Settled(u32),
    /// An asynchronous transaction has ended with an error.
    Failed(u32),
    /// `deleteAll()` was called.
    Deleting,
    /// `deleteAll()` has ended, possibly with an error.
    Deleted,
}
