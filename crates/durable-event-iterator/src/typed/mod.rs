//! The TypeScript types of procedures and RPC methods. Without the feature `typescript`, and always in a Worker, they take no
//! space and no code.

#[cfg(not(all(feature = "typescript", not(target_arch = "wasm32"))))]
mod off;
#[cfg(all(feature = "typescript", not(target_arch = "wasm32")))]
mod on;
#[cfg(all(feature = "typescript", not(target_arch = "wasm32")))]
mod types;

#[cfg(not(all(feature = "typescript", not(target_arch = "wasm32"))))]
pub use off::Typed;
#[cfg(not(all(feature = "typescript", not(target_arch = "wasm32"))))]
pub(crate) use off::{ArgumentTypes, MethodTypes, ProcedureTypes};
#[cfg(all(feature = "typescript", not(target_arch = "wasm32")))]
pub use on::Typed;
#[cfg(all(feature = "typescript", not(target_arch = "wasm32")))]
pub(crate) use {
    on::{Argument, ArgumentTypes, MethodTypes, ProcedureTypes},
    types::Types,
};
