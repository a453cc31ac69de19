//! The context of a call over HTTP.

use crate::{
    error::{Code, Error, Result},
    upgrade::signing_keys_from_env,
};
use durable_event_token::{ClientKind, SigningKeys, TokenBuilder, TokenError};
use durable_event_wire::{Serialized, serialize};
use std::{cell::RefCell, collections::BTreeMap, fmt, rc::Rc};
use worker::{Env, Headers};

/// Tells a client's link plugin of generation 1 that the answer is a token, to open a WebSocket with.
pub(super) const ITERATOR_HEADER: &str = "x-orpc-dei";
/// The same for generation 2.
pub(super) const SECOND_ITERATOR_HEADER: &str = "x-orpc-durable-iterator";

/// The context of a call over HTTP.
#[derive(Clone)]
#[non_exhaustive]
pub struct HttpCall {
    /// The Worker's bindings.
    pub env: Env,
    /// The request's headers, with names in lower case. What came several times is joined by commas.
    pub headers: BTreeMap<String, String>,
    /// What the client sent as `last-event-id`, when it resumes a stream.
    pub last_event_id: Option<String>,
    /// The answer's headers, also of one that is an error. The content type is the handler's. Shared, since a clone of
    /// the platform's headers is a copy.
    pub response_headers: Rc<Headers>,
    keys: Option<SigningKeys>,
    announced: Rc<RefCell<Option<Announced>>>,
}

/// A token that the handler has to announce when it is the output.
struct Announced {
    /// As JSON.
    token: Option<String>,
    header: &'static str,
}

impl fmt::Debug for HttpCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpCall(..)") // its headers may hold secrets
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

    /// Gives the client a channel to iterate over. It is the procedure's whole output, as in the original's
    /// `return new DurableEventIterator(…)`; the client's link plugin opens a socket with it. Inside another value it is
    /// only a text.
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
    /// BAD_REQUEST for a name that cannot be a channel's, since it often comes from the client; everything else that is
    /// wrong with the token, and missing keys, are INTERNAL_SERVER_ERROR.
    pub fn iterator(&self, token: TokenBuilder) -> Result<String> {
        let keys = match &self.keys {
            Some(keys) => keys,
            None => &signing_keys_from_env(&self.env)?,
        };
        let header = match token.client_kind() {
            ClientKind::DurableEventIterator => ITERATOR_HEADER,
            ClientKind::DurableIterator => SECOND_ITERATOR_HEADER,
        };
        let token = token.sign(keys, crate::time::now()).map_err(|error| match error {
            TokenError::Channel(reason) => Error::new(Code::BadRequest).message(reason.to_string()),
            error => error.into(),
        })?;
        *self.announced.try_borrow_mut()? = Some(Announced { token: serialize(&token)?.json, header });
        Ok(token)
    }

    /// The header that announces this output, if it is an iterator's token.
    pub(super) fn header_of(&self, output: &Serialized) -> Option<&'static str> {
        let announced = self.announced.try_borrow().ok()?;
        announced
            .as_ref()
            .filter(|announced| announced.token == output.json)
            .map(|announced| announced.header)
    }
}
