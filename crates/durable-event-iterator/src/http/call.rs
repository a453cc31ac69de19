//! The context of a call over HTTP.

use crate::{
    error::{Code, Error, Result},
    runtime,
    token::{SigningKeys, TokenBuilder, TokenError},
    wire::Serialized,
};
use std::{cell::RefCell, collections::BTreeMap, fmt, rc::Rc};
use worker::{Env, Headers};

/// Tells a client's link plugin that the answer is a token, to open a WebSocket with.
pub(super) const ITERATOR_HEADER: &str = "x-orpc-dei";

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
    /// The answer's headers, also of one that is an error. The content type is the handler's.
    pub response_headers: Headers,
    keys: Option<SigningKeys>,
    token: Rc<RefCell<Option<String>>>,
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
            response_headers: Headers::new(),
            keys,
            token: Rc::default(),
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
            None => &SigningKeys::from_env(&self.env)?,
        };
        let token = token.sign(keys, runtime::now_ms()).map_err(|error| match error {
            TokenError::Channel(reason) => Error::new(Code::BadRequest).message(reason.to_string()),
            error => error.into(),
        })?;
        *self.token.try_borrow_mut()? = Some(token.clone());
        Ok(token)
    }

    /// Whether this output is an iterator's token.
    pub(super) fn is_iterator(&self, output: &Serialized) -> bool {
        let Ok(token) = self.token.try_borrow() else { return false };
        let json = output.json.as_deref().and_then(|json| json.strip_prefix('"')?.strip_suffix('"'));
        token.is_some() && *token.as_deref().unwrap_or_default() == *json.unwrap_or_default()
    }
}
