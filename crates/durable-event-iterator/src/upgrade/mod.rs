//! The upgrade: from a client's HTTP request with a token to a socket of the object that the token names.

mod caps;
mod decision;

pub(crate) use caps::Caps;
pub(crate) use decision::{Accepted, Rejection, RequestHead, decide};

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

/// Sees a verified token's claims, and may refuse them. A trait of its own, since async closures cannot be boxed.
trait Inspect {
    fn inspect<'s>(&'s self, claims: &'s Claims, request: &'s Request) -> LocalBoxFuture<'s, Result<()>>;
}

impl<F: AsyncFn(&Claims, &Request) -> Result<()>> Inspect for F {
    fn inspect<'s>(&'s self, claims: &'s Claims, request: &'s Request) -> LocalBoxFuture<'s, Result<()>> {
        Box::pin(self(claims, request))
    }
}

/// Hands a client's upgrade request over to the object that its token names.
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
/// Rejected requests are answered 426 without `Upgrade: websocket`, 401 without a valid token, and 400 for an invalid
/// connection id or a token whose tags exceed the limits. The Durable Object verifies the token again, so that a Worker that
/// forwards a request by other means opens nothing. It answers 503 when it has [as many
/// sockets](crate::Options::max_sockets) as it may have, and 429 when the
/// [connection id](crate::Options::max_sockets_per_connection) or the [subject](crate::Options::max_sockets_per_subject)
/// has. A failure that the runtime calls temporary, such as an overloaded Durable Object, is 503 too, any other one 500.
/// Answers of 429 and 503 have the header `Retry-After`.
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
    /// To the objects of the namespace that is bound as `binding`.
    #[must_use]
    pub fn new(env: &'a Env, binding: &'a str) -> Self {
        Self { env, binding, keys: None, location_hint: None, jurisdiction: None, inspect: None }
    }

    /// The keys that verify tokens, the same as the object's. Default: the secret `SIGNING_KEY`, and
    /// `PREVIOUS_SIGNING_KEY` where there is one.
    #[must_use]
    pub fn signing_keys(mut self, keys: SigningKeys) -> Self {
        self.keys = Some(keys);
        self
    }

    /// Where an object that does not exist yet should be made, such as `"weur"`. See the platform's documentation of
    /// location hints.
    #[must_use]
    pub fn location_hint(mut self, hint: &'a str) -> Self {
        self.location_hint = Some(hint);
        self
    }

    /// The jurisdiction that the objects are confined to, such as `"eu"`. An object of a jurisdiction is another one
    /// than that of the same name without: whoever publishes must name it too.
    #[must_use]
    pub fn jurisdiction(mut self, jurisdiction: &'a str) -> Self {
        self.jurisdiction = Some(jurisdiction);
        self
    }

    /// Sees the claims of every verified token before the object does: to log, to count, to look something up, or to
    /// refuse with an error, whose status and message the client gets.
    ///
    /// ```
    /// # use durable_event_iterator::{Claims, Code, Error, Upgrade};
    /// # use worker::{Env, web_sys::Request};
    /// # fn guarded(env: &Env) -> Upgrade<'_> {
    /// Upgrade::new(env, "CHAT_ROOM").inspect(async |claims: &Claims, _: &Request| {
    ///     let banned = env.kv("BANNED")?.get(&claims.attachment::<String>()?).text().await?;
    ///     if banned.is_some() { Err(Error::new(Code::Forbidden).message("Go away.")) } else { Ok(()) }
    /// })
    /// # }
    /// ```
    #[must_use]
    pub fn inspect(mut self, inspect: impl AsyncFn(&Claims, &Request) -> Result<()> + 'a) -> Self {
        self.inspect = Some(Box::new(inspect));
        self
    }

    /// Responds to the request with the Durable Object's socket, or with a rejection.
    ///
    /// The request and the response are the runtime's own, since `worker`'s types read and copy what an upgrade does not need:
    /// `cf`, headers and body. `request.inner()` is the request of a [`worker::Request`], and `.into()` converts the response.
    ///
    /// # Errors
    /// When the binding does not exist or the object cannot be reached.
    pub async fn handle(self, request: &Request) -> worker::Result<Response> {
        let keys = self.keys.or_else(|| signing_keys(self.env)).ok_or(Rejection::NoKeys);
        let claims = match keys.and_then(|keys| read(&runtime::head_of(request), &keys)) {
            Ok(accepted) => accepted.claims,
            Err(refusal) => return respond(&refusal).map_err(rust_error),
        };
        if let Some(inspect) = &self.inspect
            && let Err(error) = inspect.inspect(&claims, request).await
        {
            return Ok(worker::Response::error(error.public_message(), error.status())?.into());
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

/// What the request asks for, if it may.
pub(crate) fn read(request: &UpgradeRequest, keys: &SigningKeys) -> Result<Accepted, Rejection> {
    let head = RequestHead { upgrade: request.upgrade.as_deref(), query: path::query_of(&request.url) };
    decide(&head, keys, runtime::now_ms())
}

/// The body of a rejection as clients see it; the reason goes into the log.
pub(crate) fn respond(refusal: &Rejection) -> Result<Response, JsError> {
    log_rejection(refusal);
    runtime::refuse(refusal.status(), refusal.text(), refusal.retry_after())
}

/// Logs why an upgrade was rejected, if that is not the client's affair alone.
pub(crate) fn log_rejection(refusal: &Rejection) {
    match refusal {
        Rejection::InvalidToken(reason) | Rejection::InvalidTags(reason) => {
            runtime::log_warning(&format!("upgrade rejected: {reason}"));
        }
        Rejection::OtherChannel => runtime::log_error(
            "an upgrade was refused: the token is for another channel than this Durable Object's name",
        ),
        Rejection::NoName | Rejection::Full => {
            runtime::log_error(&format!("an upgrade was refused: {}", refusal.text()));
        }
        Rejection::Runtime(error) => runtime::log_error(&format!("an upgrade failed: {error}")),
        _ => {}
    }
}

/// The keys of the Worker's secrets. Without them the log says what to run.
pub(crate) fn signing_keys(env: &Env) -> Option<SigningKeys> {
    thread_local! {
        /// Those of the last `env`: all requests to a Worker have the same, and its secrets never change.
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

/// Reads the signing keys of a Worker: its secret `SIGNING_KEY`, and `PREVIOUS_SIGNING_KEY` if there is one (keys that only
/// verify, one per line).
///
/// # Errors
/// INTERNAL_SERVER_ERROR if there is no such secret or it is empty. The error's text for the log, which no client sees, states
/// the command to run.
pub fn signing_keys_from_env(env: &Env) -> Result<SigningKeys> {
    let secret = |name: &str| env.secret(name).ok().map(|secret| secret.to_string());
    let key = secret("SIGNING_KEY").unwrap_or_default();
    Ok(SigningKeys::parse(&key, secret("PREVIOUS_SIGNING_KEY").as_deref()).map_err(MissingKeys)?)
}

/// What somebody who deploys has to do.
#[derive(Debug)]
struct MissingKeys(InvalidKey);

impl fmt::Display for MissingKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "no usable signing key ({}): set the key that your tokens are signed with by `npx wrangler secret put \
             SIGNING_KEY` (locally: a line SIGNING_KEY=… in .dev.vars)",
            self.0
        )
    }
}

impl std::error::Error for MissingKeys {}
