//! The trusted RPC methods: those of the library's own Workers (the HTTP endpoint, stubs, the command line and the inspector).
//!
//! Clients cannot call them: a Worker with a binding of the namespace is trusted, as for `publish`. They are reached only by
//! `~settle(name, [argument])` and by the public methods of the class (see `runtime/class.js`). An application's class cannot
//! override a method whose name begins with `~`.

mod batch;
mod disconnect;
mod members;
mod reading;
mod stats;

use super::Host;
use crate::{
    error::{Code, Error, Result},
    object::DurableEventIteratorObject,
    runtime::{self, Infinity, RpcValue},
};
use durable_event_wire::{from_value, parse};
use serde::de::DeserializeOwned;

/// Maximum size of an argument, in bytes of JSON.
const MAX_ARGUMENT_BYTES: usize = 64 * 1024;

impl<O: DurableEventIteratorObject> Host<O> {
    /// Calls a trusted method. Its argument is one plain value, its result is text, except of `~read`: JSON, which the public method
    /// of the same name parses.
    ///
    /// # Errors
    /// NOT_FOUND for an unknown name, BAD_REQUEST for an invalid argument, and the errors of the method.
    pub(in crate::object) fn trusted(&self, method: &str, argument: &RpcValue) -> Result<RpcValue> {
        let result = match method {
            "~token" => self.token(argument).map(runtime::text),
            "~read" => self.read(argument),
            "~stats" => self.stats(argument).map(runtime::text),
            "~connections" => self.connections(argument).map(runtime::text),
            "~members" => self.members(argument).map(runtime::text),
            "~disconnect" => self.disconnect(argument).map(runtime::text),
            "~revoke" => self.revoke(argument).map(runtime::text),
            "~publishBatch" => self.publish_http_batch(argument).map(runtime::text),
            _ => Err(Error::new(Code::NotFound)),
        };
        result.inspect_err(|error| runtime::log_internal(method, error))
    }
}

/// Reads the argument of a trusted method. Undefined is an empty object.
///
/// # Errors
/// BAD_REQUEST if the argument is invalid.
fn argument<T: DeserializeOwned + Default>(name: &str, argument: &RpcValue) -> Result<T> {
    let invalid = |reason: &dyn std::fmt::Display| {
        Error::new(Code::BadRequest).message(format!("Invalid {name}: {reason}"))
    };
    let wire =
        runtime::to_wire(argument, MAX_ARGUMENT_BYTES, Infinity::Error).map_err(|error| invalid(&error))?;
    if wire.json.is_none() {
        return Ok(T::default());
    }
    let value = parse(wire.json.as_deref(), wire.meta.as_deref()).map_err(|error| invalid(&error))?;
    from_value(value).map_err(|error| invalid(&error))
}
