//! The context of a call over HTTP.

use crate::{
    error::{Code, Error, Result},
    upgrade::signing_keys_from_env,
};
use durable_event_token::{ClientKind, SigningKeys, TokenBuilder, TokenError};
use durable_event_wire::{Serialized, serialize};
use std::{cell::RefCell, collections::BTreeMap, fmt, rc::Rc};
use worker::{Env, Headers};

/// The response header by which the link plugin of `DurableEventIterator` clients recognizes a token, and opens a WebSocket
/// with it.
pub(super) const ITERATOR_HEADER: &str = "x-orpc-dei";
/// The response header by which the link plugin of `DurableIterator` clients recognizes a token.
pub(super) const DURABLE_ITERATOR_HEADER: &str = "x-orpc-durable-iterator";

/// The context of a call over HTTP.
#[derive(Clone)]
#[non_exhaustive]
pub struct HttpCall {
    /// The Worker's bindings.
    pub env: Env,
    /// The request's headers, with names in lower case. Repeated headers are joined with commas.
    pub headers: BTreeMap<String, String>,
    /// The request's header `last-event-id`, which a client sends to resume a stream.
    pub last_event_id: Option<String>,
    /// Headers for the response, including an error response. The handler sets the content type. In an `Rc`, because cloning
    /// [`Headers`] copies them.
    pub response_headers: Rc<Headers>,
    keys: Option<SigningKeys>,
    announced: Rc<RefCell<Option<Announced>>>,
}

/// A token for which the handler sets a header if the token is the output.
struct Announced {
    /// The token as JSON.
    token: Option<String>,
    header: &'static str,
}

impl fmt::Debug for HttpCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpCall(..)") // the headers may contain secrets
    }
}

impl HttpCall {
    pub(super) fn new(env: &Env, headers: BTreeMap<String, String>, keys: Option<SigningKeys>) -> Self {
        Self {
            env: env.clone(),
            last_event_id: headers.get("last-event-id").cloned(),
            headers,
            response_headers: Rc::new(Headers::new()),
            keys,
            announced: Rc::default(),
        }
    }

    /// Returns an output that gives the client an iterator over a channel's events, like `return new DurableEventIterator(…)`
    /// in oRPC's implementation.
    ///
    /// The output is the signed token, with which the client's link plugin opens a WebSocket. It must be the procedure's whole
    /// output: inside another value it is only a string.
    ///
    /// ```
    /// use durable_event_iterator::{Result, Token, http::HttpCall};
    ///
    /// async fn on_message(_: &(), call: HttpCall, room: String) -> Result<String> {
    ///     call.iterator(Token::builder(room).procedures(["publishMessage"]))
    /// }
    /// # let _ = on_message;
    /// ```
    ///
    /// # Errors
    /// BAD_REQUEST for an invalid channel name, which often comes from the client. INTERNAL_SERVER_ERROR for any other error of
    /// the token, and for a missing signing key.
    pub fn iterator(&self, token: TokenBuilder) -> Result<String> {
        let keys = match &self.keys {
            Some(keys) => keys,
            None => &signing_keys_from_env(&self.env)?,
        };
        let header = match token.client_kind() {
            ClientKind::DurableEventIterator => ITERATOR_HEADER,
            ClientKind::DurableIterator => DURABLE_ITERATOR_HEADER,
        };
        let token = token.sign(keys, crate::time::now()).map_err(|error| match error {
            TokenError::Channel(reason) => Error::new(Code::BadRequest).message(reason.to_string()),
            error => error.into(),
        })?;
        *self.announced.try_borrow_mut()? = Some(Announced { token: serialize(&token)?.json, header });
        Ok(token)
    }

    /// Returns the header to set for this output, if it is a token of [`iterator`](Self::iterator).
    pub(super) fn header_of(&self, output: &Serialized) -> Option<&'static str> {
        let announced = self.announced.try_borrow().ok()?;
        announced
            .as_ref()
            .filter(|announced| announced.token == output.json)
            .map(|announced| announced.header)
    }
}
