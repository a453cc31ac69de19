//! `~disconnect` and `~revoke`, which close the sockets of clients.

use super::Host;
use crate::{
    channel::{
        revocation::REVOKED,
        rpc_options::removal::{DisconnectOptions, RevokeOptions, SELECTIONS},
    },
    error::{Code, Error, Result},
    object::DurableEventIteratorObject,
    runtime::{self, Infinity, RpcValue},
    time::now,
};
use durable_event_wire::{InvalidInput, Issue, Value, parse};

/// Maximum size of the options, in bytes of JSON: thousands of connection ids.
const MAX_OPTIONS_BYTES: usize = 1024 * 1024;

/// The reason of close frames of `~disconnect` if the caller states none.
const DISCONNECTED: &str = "Disconnected";

impl<O: DurableEventIteratorObject> Host<O> {
    /// Handles `~disconnect`: returns the number of closed sockets as JSON text.
    pub(super) fn disconnect(&self, options: &RpcValue) -> Result<String> {
        let invalid = |error| invalid("disconnect options", error);
        let DisconnectOptions { audience, reason } =
            options_of(options).and_then(DisconnectOptions::read).map_err(invalid)?;
        let closed = self.core.disconnect(&audience, reason.as_deref().unwrap_or(DISCONNECTED))?;
        Ok(result(closed))
    }

    /// Handles `~revoke`: returns the number of closed sockets as JSON text.
    pub(super) fn revoke(&self, options: &RpcValue) -> Result<String> {
        let invalid = |error| invalid("revoke options", error);
        let read = |options| RevokeOptions::read(options, now());
        let RevokeOptions { revocation, reason } = options_of(options).and_then(read).map_err(invalid)?;
        let closed = self.core.revoke(&revocation, reason.as_deref().unwrap_or(REVOKED))?;
        Ok(result(closed))
    }
}

fn result(closed: usize) -> String {
    format!(r#"{{"disconnected":{closed}}}"#)
}

/// Reads the options. An undefined selection is rejected: without it, the others would select more clients than intended.
fn options_of(options: &RpcValue) -> Result<Value, InvalidInput> {
    let issue = |reason: String| InvalidInput::from(Issue::new(reason));
    let undefined =
        runtime::undefined_option(options, &SELECTIONS).map_err(|error| issue(error.to_string()))?;
    if let Some(name) = undefined {
        return Err(Issue::new("expected a value, found undefined").at(name).into());
    }
    let wire = runtime::to_wire(options, MAX_OPTIONS_BYTES, Infinity::Error);
    let wire = wire.map_err(|error| issue(error.to_string()))?;
    parse(wire.json.as_deref(), wire.meta.as_deref()).map_err(|error| issue(error.to_string()))
}

fn invalid(name: &str, error: InvalidInput) -> Error {
    Error::new(Code::BadRequest).message(format!("Invalid {name}: {error}")).data(error)
}
