//! The upgrade: from a client's HTTP request with a token to a WebSocket of the Durable Object.

mod caps;
mod decision;

pub(crate) use caps::{Caps, PUBLISHER_SOCKETS};
pub(crate) use decision::{Accepted, NO_NAME, Rejection, RequestHead, decide};

use crate::{
    error::Result,
    path,
    runtime::{self, JsError, UpgradeRequest},
};
use durable_event_token::{Claims, InvalidKey, SigningKeys};
use futures_util::future::LocalBoxFuture;
use std::{cell::RefCell, fmt};
use wasm_bindgen::{JsCast, JsValue};
use worker::{
    Env, ObjectNamespace,
    web_sys::{Request, Response},
};

/// Checks the claims of a verified token and may reject the request. A separate trait, because async closures cannot be boxed.
trait Inspect {
    fn inspect<'s>(&'s self, claims: &'s Claims, request: &'s Request) -> LocalBoxFuture<'s, Result<()>>;
}

impl<F: AsyncFn(&Claims, &Request) -> Result<()>> Inspect for F {
    fn inspect<'s>(&'s self, claims: &'s Claims, request: &'s Request) -> LocalBoxFuture<'s, Result<()>> {
        Box::pin(self(claims, request))
    }
}

/// Forwards a client's upgrade request to the Durable Object of the channel in its token.
///
/// ```
/// use durable_event_iterator::{Upgrade, http::path_of};
/// use worker::{
///     Context, Env,
///     web_sys::{Request, Response},
/// };
///
/// // With `#[worker::event(fetch)]`.
/// async fn fetch(request: Request, env: Env, _: Context) -> worker::Result<Response> {
///     match path_of(&request.url()) {
///         "/chat-room" => Upgrade::new(&env, "CHAT_ROOM").handle(&request).await,
///         _ => Ok(worker::Response::error("Not Found", 404)?.into()),
///     }
/// }
/// ```
///
/// # Rejections
///
/// The body of the response is a short text. Responses with 429 and 503 have the header `Retry-After`.
///
/// | status | reason |
/// | --- | --- |
/// | 400 | invalid connection id, or the token's tags exceed the limits |
/// | 401 | missing, invalid or [revoked](crate::Channel::revoke) token, or a `DurableIterator` client without a connection id |
/// | 413 | the token's attachment is too large |
/// | 426 | not a WebSocket upgrade |
/// | 429 | too many sockets with this [connection id](crate::Options::max_sockets_per_connection) or of this [subject](crate::Options::max_sockets_per_subject) |
/// | 503 | [too many sockets](crate::Options::max_sockets), a failure of the storage, or one that the Workers runtime reports as temporary, such as an overloaded Durable Object |
/// | 500 | no signing key, a Durable Object without a name, or any other failure |
///
/// The Durable Object verifies the token again: a Worker that forwards a request without checking it does not give access.
pub struct Upgrade<'a> {
    env: &'a Env,
    binding: &'a str,
    keys: Option<SigningKeys>,
    location_hint: Option<&'a str>,
    jurisdiction: Option<&'a str>,
    inspect: Option<Box<dyn Inspect + 'a>>,
}

impl fmt::Debug for Upgrade<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgrade").field("binding", &self.binding).finish_non_exhaustive()
    }
}

impl<'a> Upgrade<'a> {
    /// Returns an upgrade to the Durable Objects of a namespace. `binding` is the name of its binding.
    #[must_use]
    pub fn new(env: &'a Env, binding: &'a str) -> Self {
        Self { env, binding, keys: None, location_hint: None, jurisdiction: None, inspect: None }
    }

    /// Sets the signing keys that verify tokens. The Durable Object must have the same keys. Default: the secrets `SIGNING_KEY`
    /// and, if it exists, `PREVIOUS_SIGNING_KEY`.
    #[must_use]
    pub fn signing_keys(mut self, keys: SigningKeys) -> Self {
        self.keys = Some(keys);
        self
    }

    /// Sets the location hint for a Durable Object that does not exist yet, such as `"weur"`. See [Cloudflare's list of
    /// location hints](https://developers.cloudflare.com/durable-objects/reference/data-location/#provide-a-location-hint).
    #[must_use]
    pub fn location_hint(mut self, hint: &'a str) -> Self {
        self.location_hint = Some(hint);
        self
    }

    /// Sets the jurisdiction to which the Durable Objects are restricted, such as `"eu"`.
    ///
    /// With and without a jurisdiction, the same channel name is two different Durable Objects: publishers must state the same
    /// jurisdiction.
    #[must_use]
    pub fn jurisdiction(mut self, jurisdiction: &'a str) -> Self {
        self.jurisdiction = Some(jurisdiction);
        self
    }

    /// Sets a function that receives the claims of every verified token before the request is forwarded. If it returns an
    /// error, the request is rejected with the error's status and message.
    ///
    /// ```
    /// # use durable_event_iterator::{Claims, Code, Error, Upgrade};
    /// # use worker::{Env, web_sys::Request};
    /// # fn guarded(env: &Env) -> Upgrade<'_> {
    /// Upgrade::new(env, "CHAT_ROOM").inspect(async |claims: &Claims, _: &Request| {
    ///     let banned = env.kv("BANNED")?.get(&claims.attachment::<String>()?).text().await?;
    ///     if banned.is_some() { Err(Error::new(Code::Forbidden).message("Banned")) } else { Ok(()) }
    /// })
    /// # }
    /// ```
    #[must_use]
    pub fn inspect(mut self, inspect: impl AsyncFn(&Claims, &Request) -> Result<()> + 'a) -> Self {
        self.inspect = Some(Box::new(inspect));
        self
    }

    /// Forwards the request and returns the Durable Object's response, or a rejection.
    ///
    /// The types of the request and the response are those of `web_sys`. For a [`worker::Request`] pass `request.inner()`, and
    /// convert the response with `.into()`. `worker`'s types are slower: they read and copy `cf`, headers and body, which an
    /// upgrade does not need.
    ///
    /// # Errors
    /// An error if the binding does not exist, or if the response cannot be created.
    pub async fn handle(self, request: &Request) -> worker::Result<Response> {
        let keys = self.keys.or_else(|| signing_keys(self.env)).ok_or(Rejection::NoKeys);
        let claims = match keys.and_then(|keys| read(&runtime::head_of(request), &keys)) {
            Ok(accepted) => accepted.claims,
            Err(rejection) => return respond(&rejection).map_err(rust_error),
        };
        if let Some(inspect) = &self.inspect
            && let Err(error) = inspect.inspect(&claims, request).await
        {
            runtime::log_internal("the inspection of an upgrade request", &error);
            let (status, text) = (error.status(), error.public_message());
            return runtime::rejection_response(status, text, error.retry_after()).map_err(rust_error);
        }
        let namespace: ObjectNamespace = self.env.durable_object(self.binding)?;
        let response = async {
            let namespace: &JsValue = namespace.as_ref();
            let stub =
                runtime::stub(namespace, claims.channel().as_str(), self.location_hint, self.jurisdiction)?;
            stub.forward(request).await
        };
        match response.await {
            Ok(response) => Ok(response.unchecked_into()),
            Err(error) => respond(&error.into()).map_err(rust_error),
        }
    }
}

fn rust_error(error: JsError) -> worker::Error {
    worker::Error::RustError(error.to_string())
}

/// Decides about a request at the current time.
pub(crate) fn read(request: &UpgradeRequest, keys: &SigningKeys) -> Result<Accepted, Rejection> {
    let head = RequestHead { upgrade: request.upgrade.as_deref(), query: path::query_of(&request.url) };
    decide(&head, keys, runtime::now_ms())
}

/// Logs a rejection and returns its response.
pub(crate) fn respond(rejection: &Rejection) -> Result<Response, JsError> {
    log_rejection(rejection);
    runtime::rejection_response(rejection.status(), rejection.text(), rejection.retry_after())
}

/// Logs a rejection, unless it is a mistake of the client only.
pub(crate) fn log_rejection(rejection: &Rejection) {
    match rejection {
        Rejection::InvalidToken(reason) | Rejection::InvalidTags(reason) => {
            runtime::log_warning(&format!("upgrade rejected: {reason}"));
        }
        Rejection::OtherChannel => runtime::log_error(
            "upgrade rejected: the token is for another channel than the name of this Durable Object",
        ),
        Rejection::NoName | Rejection::Full => {
            runtime::log_error(&format!("upgrade rejected: {}", rejection.text()));
        }
        Rejection::Storage(error) => runtime::log_error(&format!("upgrade failed: {error}")),
        Rejection::Runtime(error) => runtime::log_error(&format!("upgrade failed: {error}")),
        _ => {}
    }
}

/// Returns the signing keys of the Worker's secrets, or logs how to set them and returns `None`.
pub(crate) fn signing_keys(env: &Env) -> Option<SigningKeys> {
    thread_local! {
        /// The keys of the last `env`. All requests to a Worker have the same `env`, and its secrets never change.
        static READ: RefCell<Option<(Env, SigningKeys)>> = const { RefCell::new(None) };
    }
    let is_same = |other: &Env| AsRef::<JsValue>::as_ref(other) == AsRef::<JsValue>::as_ref(env);
    READ.with_borrow_mut(|read| {
        if let Some((_, keys)) = read.as_ref().filter(|(other, _)| is_same(other)) {
            return Some(keys.clone());
        }
        let keys =
            signing_keys_from_env(env).inspect_err(|error| runtime::log_error(&error.to_string())).ok()?;
        *read = Some((env.clone(), keys.clone()));
        Some(keys)
    })
}

/// Reads the signing keys of a Worker from its secrets `SIGNING_KEY` and, if it exists, `PREVIOUS_SIGNING_KEY` (previous keys,
/// one per line).
///
/// # Errors
/// INTERNAL_SERVER_ERROR if `SIGNING_KEY` is missing or empty. The error's text in the log, which clients do not receive,
/// states the command to run.
pub fn signing_keys_from_env(env: &Env) -> Result<SigningKeys> {
    let secret = |name: &str| env.secret(name).ok().map(|secret| secret.to_string());
    let key = secret("SIGNING_KEY").unwrap_or_default();
    Ok(SigningKeys::parse(&key, secret("PREVIOUS_SIGNING_KEY").as_deref()).map_err(MissingKeys)?)
}

/// The error for a missing or empty signing key.
#[derive(Debug)]
struct MissingKeys(InvalidKey);

impl fmt::Display for MissingKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "signing key is missing or invalid ({}): set the key with which your server signs tokens by `npx wrangler \
             secret put SIGNING_KEY` (in local development: a line SIGNING_KEY=… in .dev.vars)",
            self.0
        )
    }
}

impl std::error::Error for MissingKeys {}
