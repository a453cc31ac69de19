//! The deployable Worker.
