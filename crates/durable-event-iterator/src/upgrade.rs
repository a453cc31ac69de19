//! The upgrade decision.
