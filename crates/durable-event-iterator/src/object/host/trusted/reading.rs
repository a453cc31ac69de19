//! `~token` and `~read`, with which a Worker reads a channel.

use super::{Host, argument};
use crate::{
    channel::page::PageQuery,
    error::{Code, Error, Result},
    object::DurableEventIteratorObject,
    runtime::RpcValue,
    upgrade,
};
use durable_event_token::{ClientKind, Token, TokenError};
use serde::Deserialize;
use std::time::Duration;

/// The lifetime of a Worker's token. The Worker requests a new one when it expires.
const LIFETIME: Duration = Duration::from_secs(60 * 60);

/// The argument of `~token`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct TokenOptions {
    tags: Vec<String>,
    every_audience: bool,
}

impl<O: DurableEventIteratorObject> Host<O> {
    /// Handles `~token`: signs a token for this channel, with which the Worker subscribes.
    pub(super) fn token(&self, options: &RpcValue) -> Result<String> {
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
    pub(super) fn read(&self, query: &RpcValue) -> Result<RpcValue> {
        self.core.read(&argument::<PageQuery>("read query", query)?)
    }
}
