//! The error that callers see.
