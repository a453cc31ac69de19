//! The oRPC wire, without I/O.
