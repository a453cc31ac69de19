//! The RPC methods with which the library reads a channel from a Worker. Clients cannot call them: a Worker with a binding of the
//! namespace is trusted, as for `publish`.

use super::Host;
use crate::{
    channel::page::PageQuery,
    error::{Code, Error, Result},
    object::DurableEventIteratorObject,
    runtime::{self, Infinity, RpcValue},
    upgrade,
};
use durable_event_token::{ClientKind, Token, TokenError};
use durable_event_wire::{from_value, parse};
use serde::{Deserialize, de::DeserializeOwned};
use std::time::Duration;

/// The lifetime of a Worker's token. The Worker requests a new one when it expires.
const LIFETIME: Duration = Duration::from_secs(60 * 60);

/// Maximum size of an argument, in bytes of JSON.
const MAX_ARGUMENT_BYTES: usize = 64 * 1024;

/// The argument of `~token`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct TokenOptions {
    tags: Vec<String>,
    every_audience: bool,
}

impl<O: DurableEventIteratorObject> Host<O> {
    /// Handles `~token`: signs a token for this channel, with which the Worker subscribes.
    pub(in crate::object) fn token(&self, options: &RpcValue) -> Result<String> {
        self.try_token(options).inspect_err(|error| runtime::log_internal("~token", error))
    }

    fn try_token(&self, options: &RpcValue) -> Result<String> {
        let TokenOptions { tags, every_audience } = argument("token options", options)?;
        let internal = |message: &str| Error::new(Code::InternalServerError).message(message);
        // The log states what to do.
        let keys = self.keys().ok_or_else(|| internal("The Durable Object has no signing key."))?;
        let channel = self.core.identity.name().ok_or_else(|| internal(upgrade::NO_NAME))?;
        let mut token = Token::builder(channel).lifetime(LIFETIME);
        if !tags.is_empty() {
            token = token.for_clients(ClientKind::DurableIterator).tags(tags); // only these have tags
        }
        if every_audience {
            token = token.every_audience();
        }
        token.sign(keys, crate::time::now()).map_err(|error| match error {
            TokenError::TooManyTags { .. } | TokenError::InvalidTag { .. } => {
                Error::new(Code::BadRequest).message(format!("Invalid token options: {error}"))
            }
            error => error.into(),
        })
    }

    /// Handles `~read`: returns a page of events as JSON text.
    pub(in crate::object) fn read(&self, query: &RpcValue) -> Result<RpcValue> {
        let page = argument::<PageQuery>("read query", query).and_then(|query| self.core.read(&query));
        page.inspect_err(|error| runtime::log_internal("~read", error))
    }
}

/// Reads the argument of an RPC method. Undefined is an empty object.
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
