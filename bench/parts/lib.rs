//! Nothing but the benches of `benches/parts.rs`.
