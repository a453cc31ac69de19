//! Views without content, whose names are metadata.

use super::database::{Database, DatabaseError};

/// The part of the CREATE VIEW statement after the view's name. It contains no apostrophes.
pub(super) const VIEW_BODY: &str = "\" AS SELECT 1";

pub(super) fn create_view(db: &impl Database, view: &str) -> Result<(), DatabaseError> {
    db.execute(&["CREATE VIEW \"", view, VIEW_BODY].concat(), &[]).map(drop)
}
