//! Without the feature `typescript`, and in a Worker: nothing is required of a type, and nothing is recorded.

#![expect(clippy::extra_unused_type_parameters, reason = "the functions are called like those of `on`")]

/// A type of an event, an input or an output. Every type implements it.
///
/// With the feature `typescript`, on targets other than WebAssembly, only types that implement `ts_rs::TS` implement it: their
/// TypeScript types are part of the generated interfaces.
pub trait Typed {}

impl<T: ?Sized> Typed for T {}

/// The types of the arguments of an RPC method.
pub trait ArgumentTypes {}

impl<T> ArgumentTypes for T {}

/// The types of a procedure.
pub(crate) struct ProcedureTypes;

impl ProcedureTypes {
    pub(crate) const fn value<I, Output>() -> Self {
        Self
    }

    pub(crate) const fn stream<I, T>() -> Self {
        Self
    }

    pub(crate) const fn upload<I, Output>() -> Self {
        Self
    }
}

/// The types of an RPC method.
pub(crate) struct MethodTypes;

impl MethodTypes {
    pub(crate) const fn new<A, Output>() -> Self {
        Self
    }
}
