//! What a statement has added to a page.

/// The rows of one statement of a page, and the page so far.
pub(crate) struct PageRows {
    /// The number of rows of the statement that were read.
    pub(crate) rows: u32,
    /// The id of the last of them.
    pub(crate) last: Option<u64>,
    /// Whether the statement had no room for further rows.
    pub(crate) is_full: bool,
    /// The number of events of the whole page.
    pub(crate) events: u32,
    /// The size of the whole page in characters.
    pub(crate) size: u64,
}
