//! The table of revocations, as opening the log finds it.

/// The part of the CREATE TABLE statement after the table's name. It contains no apostrophes.
///
/// `name` is `c:` with a connection id, `s:` with a subject, or empty for all tokens. Tokens issued before `before`, in
/// microseconds since the Unix epoch, are revoked, by issuers whose clocks are up to `lead` seconds ahead.
pub(crate) const COLUMNS: &str =
    "\" (name TEXT PRIMARY KEY, before INTEGER NOT NULL, lead INTEGER NOT NULL) WITHOUT ROWID";

/// The table of revocations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Revocations {
    pub(crate) table: RevocationTable,
    /// An upper bound of the number of rows. `None` until it is needed.
    pub(crate) at_most: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum RevocationTable {
    /// There is none: no token is revoked.
    #[default]
    Missing,
    Ours,
    /// It has other columns.
    Foreign,
}
