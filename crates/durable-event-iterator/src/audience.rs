//! Who an event is for.
