//! What transactions and deletions of the storage report.

/// What happens to the storage, by whoever's code. Levels are the transactions that are open, by their numbers.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    not(target_arch = "wasm32"),
    expect(dead_code, reason = "asynchronous transactions are the Workers runtime's")
)]
pub(crate) enum StorageEvent {
    /// A transaction has begun, which may be within another one.
    Begun,
    /// A synchronous one has been committed.
    Committed(u32),
    /// A synchronous one has been rolled back.
    RolledBack(u32),
    /// An asynchronous one has been rolled back, and its code goes on outside of it.
    TakenBack(u32),
    /// An asynchronous one has ended without an error: it was committed, unless it had been taken back.
    Settled(u32),
    /// An asynchronous one has ended with an error.
    Failed(u32),
    /// Everything is about to be deleted.
    Deleting,
    /// Everything has been deleted, if that has not failed.
    Deleted,
}
