//! Channels over HTTP: reading, calls, and the requests of servers with an access key.

use super::{
    Cors,
    events::COMMENT,
    inspector,
    operation::{Operation, publish_options},
    parameters::{Parameters, Position, Query, Route},
    publish::{MAX_BATCH_BODY, MAX_EVENT_BODY, MAX_OPTIONS_BODY, event_of, is_serialized},
};
use crate::{
    channel::{
        ChannelStub,
        page::{PageQuery, Reader as PageReader},
        reading::{read_page, rejection},
        stub::error_of,
        subscription::GAP_HEADER,
    },
    error::{Code, Error, Result},
    path,
    runtime::{self, ReaderToken, Rejected, Stub, TextBody},
    time::seconds,
    upgrade::{self, signing_keys},
};
use durable_event_token::{
    Access, AccessKeys, ChannelName, Claims, ClientKind, ConnectionId, InspectKey, InvalidAccessKeys,
    PublishKey, ReadKey, Right, SigningKeys, check_tags,
};
use durable_event_wire::{Object, Value, serialize};
use js_sys::Array;
use std::fmt;
use wasm_bindgen::JsValue;
use worker::{
    Env,
    web_sys::{Request, Response},
};

const OK: u16 = 200;
const CREATED: u16 = 201;
const NO_CONTENT: u16 = 204;

/// The header of a response to a request whose token is rejected. A call has not been executed then, so that the client can repeat it
/// with a new token: a procedure may fail with the same error after it had an effect.
const TOKEN_REJECTED_HEADER: &str = "x-durable-event-token-expired";

/// Serves the channels of a namespace over HTTP, for clients that cannot use a WebSocket, servers and scripts.
///
/// | request | response |
/// | --- | --- |
/// | `GET <prefix>/<channel>/events` | a page of events as JSON; with `Accept: text/event-stream`, server-sent events; with `wait`, long polling |
/// | `GET` or `POST <prefix>/<channel>/subscribe` | server-sent events, for the fetch link of oRPC |
/// | `POST <prefix>/<channel>/call` | calls a procedure of the Durable Object |
///
/// A client sends its token as `Authorization: Bearer <token>`, or as the query parameter `token`.
///
/// A server sends an [access key](Self::access_keys) as `Authorization: Bearer <key>`. A key with the right `read` reads the events of
/// every audience; these requests need a key:
///
/// | request | right | response |
/// | --- | --- | --- |
/// | `POST <prefix>/<channel>/events` | `publish` | publishes an event |
/// | `POST <prefix>/<channel>/batch` | `publish` | publishes several events, all or none |
/// | `GET <prefix>/<channel>` | `stats` | the numbers of the channel |
/// | `GET <prefix>/<channel>/connections` | `stats` | the open connections |
/// | `GET <prefix>/<channel>/presence` | `read` | the members |
/// | `POST <prefix>/<channel>/disconnect` | `disconnect` | closes sockets of clients |
/// | `POST <prefix>/<channel>/revoke` | `disconnect` | revokes tokens |
/// | `GET /inspect` | – | the inspector, a page; only with an [inspect key](Self::inspect_key) |
///
/// A request whose right no configured key has is not served: its status is 404, or 405 for publishing.
///
/// `<prefix>/events?channel=<channel>` (`subscribe`, `call`, `batch`, `stats` …) is the same: a URL cannot have a path segment of `.`
/// or `..`. The parameters, bodies and errors are in `docs/http.md`.
///
/// ```
/// use durable_event_iterator::{Upgrade, http::{ChannelEndpoint, Cors, path_of}};
/// use worker::{
///     Context, Env,
///     web_sys::{Request, Response},
/// };
///
/// // With `#[worker::event(fetch)]`.
/// async fn fetch(request: Request, env: Env, _: Context) -> worker::Result<Response> {
///     match path_of(&request.url()) {
///         "/chat-room" => Upgrade::new(&env, "CHAT_ROOM").handle(&request).await,
///         _ => {
///             let cors = Cors::origins(["https://app.example"]);
///             ChannelEndpoint::new(&env, "CHAT_ROOM").cors(cors).handle(&request).await
///         }
///     }
/// }
/// ```
#[must_use = "it has no effect until `handle` is called"]
pub struct ChannelEndpoint {
    namespace: Result<JsValue, worker::Error>,
    keys: Option<SigningKeys>,
    prefix: String,
    cors: Option<Cors>,
    access: Result<AccessKeys, InvalidAccessKeys>,
    /// Whether the keys are secrets of the Worker, so that the log states which one is missing.
    has_env_keys: bool,
    has_inspector: bool,
    location_hint: Option<String>,
    jurisdiction: Option<String>,
}

impl fmt::Debug for ChannelEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelEndpoint").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl ChannelEndpoint {
    /// Returns an endpoint for the Durable Objects of a namespace. `binding` is the name of its binding.
    pub fn new(env: &Env, binding: &str) -> Self {
        let namespace =
            env.durable_object(binding).map(|namespace| AsRef::<JsValue>::as_ref(&namespace).clone());
        Self { keys: signing_keys(env), ..Self::of(namespace) }
    }

    /// Does the same for a namespace, without signing keys.
    pub(crate) fn of(namespace: Result<JsValue, worker::Error>) -> Self {
        Self {
            namespace,
            keys: None,
            prefix: "/channels".to_owned(),
            cors: None,
            access: Ok(AccessKeys::new()),
            has_env_keys: false,
            has_inspector: false,
            location_hint: None,
            jurisdiction: None,
        }
    }

    /// Sets the path prefix. Default: `/channels`.
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.prefix = prefix.trim_end_matches('/').to_owned();
        self
    }

    /// Allows pages of other origins to read channels. Default: only pages of the same origin.
    pub fn cors(mut self, cors: Cors) -> Self {
        self.cors = Some(cors.expose(GAP_HEADER).expose(TOKEN_REJECTED_HEADER));
        self
    }

    /// Adds the read key, with which servers read all events of all channels without a token: `Authorization: Bearer <read key>`.
    /// Default: none.
    pub fn read_key(self, key: ReadKey) -> Self {
        self.access_keys(AccessKeys::new().with(key))
    }

    /// Adds the publish key, with which servers publish to all channels: `Authorization: Bearer <publish key>`. Default: none.
    pub fn publish_key(self, key: PublishKey) -> Self {
        self.access_keys(AccessKeys::new().with(key))
    }

    /// Adds access keys, each with rights on the channels of a prefix: `Authorization: Bearer <key>`. Default: none.
    ///
    /// ```
    /// use durable_event_iterator::http::{AccessKey, AccessKeys, ChannelEndpoint, Right};
    /// use worker::Env;
    ///
    /// fn endpoint(env: &Env) -> durable_event_iterator::Result<ChannelEndpoint> {
    ///     let billing = AccessKey::new(env.secret("BILLING_KEY")?.to_string(), [Right::Publish])?.prefix("orders/");
    ///     Ok(ChannelEndpoint::new(env, "CHANNEL").access_keys(AccessKeys::new().with(billing)))
    /// }
    /// ```
    pub fn access_keys(mut self, keys: AccessKeys) -> Self {
        self.access = self.access.map(|access| access.and(keys));
        self
    }

    /// Adds the inspect key, which has all rights on all channels, and serves the inspector at `/inspect`. Default: none.
    pub fn inspect_key(mut self, key: InspectKey) -> Self {
        self.has_inspector = true;
        self.access_keys(AccessKeys::new().with(key))
    }

    /// Adds the keys of the secrets `PUBLISH_KEY`, `READ_KEY`, `INSPECT_KEY` and `ACCESS_KEYS` (the JSON of [`AccessKeys::parse`]). A
    /// missing or empty secret is ignored.
    ///
    /// If `ACCESS_KEYS` is invalid, the log states the problem, and requests without a valid token fail with status 500.
    pub fn keys_from_env(mut self, env: &Env) -> Self {
        let secret = |name: &str| {
            let secret = env.secret(name).ok().map(|secret| secret.to_string());
            secret.filter(|secret| !secret.is_empty())
        };
        self.has_env_keys = true;
        if let Some(key) = secret("PUBLISH_KEY").and_then(|key| PublishKey::new(key).ok()) {
            self = self.publish_key(key);
        }
        if let Some(key) = secret("READ_KEY").and_then(|key| ReadKey::new(key).ok()) {
            self = self.read_key(key);
        }
        if let Some(key) = secret("INSPECT_KEY").and_then(|key| InspectKey::new(key).ok()) {
            self = self.inspect_key(key);
        }
        match secret("ACCESS_KEYS") {
            Some(json) => self.access_keys_json(&json),
            None => self,
        }
    }

    /// Adds the access keys of a JSON text. If it is invalid, requests that need a key fail, and the log states the problem.
    pub(crate) fn access_keys_json(self, json: &str) -> Self {
        match AccessKeys::parse(json) {
            Ok(keys) => self.access_keys(keys),
            Err(error) => Self { access: Err(error), ..self },
        }
    }

    /// Sets the signing keys that verify tokens. The Durable Objects must have the same keys. Default: the secrets `SIGNING_KEY`
    /// and, if it exists, `PREVIOUS_SIGNING_KEY`.
    pub fn signing_keys(mut self, keys: SigningKeys) -> Self {
        self.keys = Some(keys);
        self
    }

    /// Sets the location hint for a Durable Object that does not exist yet: see
    /// [`Upgrade::location_hint`](crate::Upgrade::location_hint).
    pub fn location_hint(mut self, hint: &str) -> Self {
        self.location_hint = Some(hint.to_owned());
        self
    }

    /// Sets the jurisdiction of the Durable Objects: see [`Upgrade::jurisdiction`](crate::Upgrade::jurisdiction).
    pub fn jurisdiction(mut self, jurisdiction: &str) -> Self {
        self.jurisdiction = Some(jurisdiction.to_owned());
        self
    }

    /// Handles a request. The status is 404 for a path that is not one of the endpoint's.
    ///
    /// The types of the request and the response are those of `web_sys`, as for [`Upgrade::handle`](crate::Upgrade::handle).
    ///
    /// # Errors
    /// An error of the Workers runtime while creating the response.
    pub async fn handle(&self, request: &Request) -> worker::Result<Response> {
        self.respond(request).await.map_err(|error| worker::Error::RustError(error.to_string()))
    }

    pub(crate) async fn respond(&self, request: &Request) -> Result<Response, runtime::JsError> {
        let header = |name: &str| request.headers().get(name).ok().flatten();
        let mut headers = vec![("cache-control", "no-store".to_owned())];
        if let Some(cors) = &self.cors {
            headers.extend(cors.response_headers(header("origin").as_deref()));
            if request.method() == "OPTIONS" {
                headers.extend(cors.preflight_headers(header("access-control-request-headers").as_deref()));
                return runtime::respond(NO_CONTENT, &JsValue::NULL, &headers);
            }
        }
        match self.answer(request, &headers).await {
            Ok(response) => Ok(response),
            Err(Failed { error, retry_after, is_token_rejected, what }) => {
                runtime::log_internal(what, &error);
                if let Some(seconds) = retry_after.or_else(|| error.retry_after()) {
                    headers.push(("retry-after", seconds.to_string()));
                }
                if is_token_rejected {
                    headers.push((TOKEN_REJECTED_HEADER, "1".to_owned()));
                }
                headers.push(("content-type", "application/json".to_owned()));
                let body = error.body().to_wire().to_body();
                runtime::respond(error.status(), &body.into(), &headers)
            }
        }
    }

    async fn answer(&self, request: &Request, headers: &[(&str, String)]) -> Result<Response, Failed> {
        let url = request.url();
        let path = path::path_of(&url);
        let method = request.method();
        if self.has_inspector && inspector::is_path(path) {
            return Ok(inspector::respond(request, path, &self.prefix)?);
        }
        let query = Query::of(path::query_of(&url).unwrap_or_default())?;
        let Target { channel, last } = self.target(path, &query)?;
        if let Some(operation) = Operation::of(last, &method).filter(|operation| self.serves(*operation)) {
            let response = self.operate(operation, channel, request, &query, headers).await;
            return response.map_err(|failed| Failed { what: operation.what(), ..failed });
        }
        let route = last.and_then(Route::of).ok_or_else(|| Error::new(Code::NotFound))?;
        let channel = channel?;
        let parameters = Parameters::of(&query)?;
        let is_allowed = match route {
            Route::Events => matches!(method.as_str(), "GET" | "HEAD"),
            Route::Subscribe => matches!(method.as_str(), "GET" | "HEAD" | "POST"),
            Route::Call => method == "POST",
        };
        if !is_allowed {
            return Err(Error::new(Code::MethodNotSupported).into());
        }
        let header = |name: &str| request.headers().get(name).ok().flatten();
        let reader = self.authenticate(&channel, &parameters, header("authorization").as_deref())?;
        let is_stream = match route {
            Route::Events => header("accept")
                .is_some_and(|accept| accept.to_ascii_lowercase().contains("text/event-stream")),
            Route::Subscribe => true,
            Route::Call => false,
        };
        parameters.check(route, is_stream)?;
        if method == "HEAD" {
            let content_type = if is_stream { "text/event-stream" } else { "application/json" };
            let mut headers = headers.to_vec();
            headers.push(("content-type", content_type.to_owned()));
            return Ok(runtime::respond(OK, &JsValue::NULL, &headers)?);
        }
        let stub = self.stub(&channel)?;
        let call = Verified { stub, reader, parameters, headers };
        match (route, is_stream) {
            (Route::Call, _) => call.call(request).await,
            (_, true) => call.stream(header("last-event-id")).await,
            (_, false) => call.page().await,
        }
    }

    /// Returns the stub of a channel.
    fn stub(&self, channel: &str) -> Result<Stub> {
        let namespace = match &self.namespace {
            Ok(namespace) => namespace,
            Err(error) => return Err(runtime::JsError::new(error.to_string()).into()),
        };
        let (hint, jurisdiction) = (self.location_hint.as_deref(), self.jurisdiction.as_deref());
        Ok(runtime::stub(namespace, channel, hint, jurisdiction)?)
    }

    /// Returns what a path and a query address.
    fn target<'a>(&self, path: &'a str, query: &Query) -> Result<Target<'a>> {
        let not_found = || Error::new(Code::NotFound);
        let below = path::below(path, &self.prefix).ok_or_else(not_found)?;
        let (segment, last) = match below.split_once('/') {
            Some(("", _)) => return Err(not_found()),
            Some((segment, last)) => (Some(segment), Some(last)),
            None if below.is_empty() => return Err(not_found()),
            // The last segment of the form with the channel in the query.
            None if query.channel().is_some() || is_last_segment(below) => (None, Some(below)),
            None => (Some(below), None),
        };
        let channel = match (segment, query.channel()) {
            (Some(_), Some(_)) => Err(bad_request("channel: the path contains the channel already")),
            (Some(segment), None) => path::decode_segment(segment)
                .ok_or_else(|| bad_request("The channel name must be UTF-8, percent-encoded.")),
            (None, channel) => Ok(channel.unwrap_or_default().to_owned()),
        };
        let channel = channel.and_then(|channel| match ChannelName::try_from(channel.as_str()) {
            Ok(_) => Ok(channel),
            Err(error) => Err(bad_request(&format!("channel: {error}"))),
        });
        Ok(Target { channel, last })
    }

    /// Whether a configured key allows an operation.
    fn serves(&self, operation: Operation) -> bool {
        let is_expected = self.has_env_keys && operation == Operation::Publish;
        self.access.as_ref().map_or(true, |keys| is_expected || keys.grants(operation.right()))
    }

    /// Returns the access keys.
    ///
    /// # Errors
    /// INTERNAL_SERVER_ERROR if they are invalid. The log states the problem.
    fn access(&self) -> Result<&AccessKeys> {
        self.access.as_ref().map_err(|problem| {
            runtime::log_error(&format!("the access keys (the secret ACCESS_KEYS) are invalid: {problem}"));
            Error::new(Code::InternalServerError)
        })
    }

    /// Runs an operation for a server with an access key.
    async fn operate(
        &self,
        operation: Operation,
        channel: Result<String>,
        request: &Request,
        query: &Query,
        headers: &[(&str, String)],
    ) -> Result<Response, Failed> {
        if request.method() != operation.method() {
            return Err(Error::new(Code::MethodNotSupported).into());
        }
        let header = |name: &str| request.headers().get(name).ok().flatten();
        let keys = self.access()?;
        let right = operation.right();
        if !keys.grants(right) {
            runtime::log_error(
                "the publish key is missing: set it with `npx wrangler secret put PUBLISH_KEY` (locally: add a line \
                 PUBLISH_KEY=… to .dev.vars)",
            );
            return Err(Error::new(Code::InternalServerError).into());
        }
        let authorization = header("authorization");
        // Checked before everything else: without a valid key, the response is always 401.
        if !keys.contains(authorization.as_deref()) {
            return Err(Error::new(Code::Unauthorized).into());
        }
        let channel = channel?;
        match keys.check(authorization.as_deref(), &channel, right) {
            Access::Granted => {}
            Access::WrongRight { name } => return Err(wrong_right(name, right).into()),
            Access::Unknown => return Err(Error::new(Code::Unauthorized).into()),
        }
        let stub = self.stub(&channel)?;
        let (status, text) = match operation {
            Operation::Publish => {
                let mut options = publish_options(query)?;
                options.idempotency_key = header("idempotency-key");
                let body = runtime::read_body(request, MAX_EVENT_BODY).await?;
                let body = body.ok_or_else(|| Error::new(Code::PayloadTooLarge))?;
                let event = event_of(&body, is_serialized(header("content-type").as_deref()))?;
                drop(body);
                let published = ChannelStub::of(stub).publish_with(&event, options).await?;
                let status = if published.is_duplicate { OK } else { CREATED };
                (status, serde_json::to_string(&published).map_err(Error::from)?.into())
            }
            Operation::Batch => {
                let mut argument = operation.argument(query)?;
                argument.insert("serialized", is_serialized(header("content-type").as_deref()));
                if let Some(key) = header("idempotency-key") {
                    argument.insert("idempotencyKey", key);
                }
                let argument = js_value(argument)?;
                let text = text_of(request, MAX_BATCH_BODY).await?;
                js_sys::Reflect::set(&argument, &"body".into(), &text).map_err(runtime::JsError::from)?;
                let published = call(&stub, "~publishBatch", &argument).await?;
                // The text contains no strings of the caller.
                let is_new = published.as_string().is_some_and(|text| text.contains(r#""duplicate":false"#));
                (if is_new { CREATED } else { OK }, published)
            }
            Operation::Stats => (OK, call(&stub, "~stats", &js_value(operation.argument(query)?)?).await?),
            Operation::Connections => {
                (OK, call(&stub, "~connections", &js_value(operation.argument(query)?)?).await?)
            }
            Operation::Presence => {
                (OK, call(&stub, "~members", &js_value(operation.argument(query)?)?).await?)
            }
            Operation::Disconnect => {
                operation.argument(query)?;
                (OK, call(&stub, "~disconnect", &options_of(request).await?).await?)
            }
            Operation::Revoke => {
                operation.argument(query)?;
                (OK, call(&stub, "~revoke", &options_of(request).await?).await?)
            }
        };
        let mut headers = headers.to_vec();
        headers.push(("content-type", "application/json".to_owned()));
        Ok(runtime::respond(status, &text, &headers)?)
    }

    /// Verifies the token or the access key.
    fn authenticate(
        &self,
        channel: &str,
        parameters: &Parameters,
        authorization: Option<&str>,
    ) -> Result<HttpReader, Failed> {
        let id = parameters.id.as_deref().map(ConnectionId::try_from).transpose();
        let id =
            id.map_err(|_| bad_request("id: expected a connection id of 1–128 visible ASCII characters"))?;
        let id = id.map(|id| id.as_str().to_owned());
        if let Ok(keys) = &self.access {
            match keys.check(authorization, channel, Right::Read) {
                Access::Granted => return Ok(HttpReader::Key),
                Access::WrongRight { name } => return Err(wrong_right(name, Right::Read).into()),
                Access::Unknown => {}
            }
        }
        let unauthorized = |message: &str| Error::new(Code::Unauthorized).message(message);
        let token = match authorization.map(|value| value.split_once(' ').unwrap_or((value, ""))) {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token,
            Some(_) => return Err(unauthorized("Authorization: expected Bearer <token>").into()),
            None => parameters.token.as_deref().unwrap_or_default(),
        };
        if token.is_empty() {
            return Err(unauthorized("Token is required").into());
        }
        let Some(keys) = &self.keys else { return Err(Error::new(Code::InternalServerError).into()) }; // it is logged
        let claims = keys.verify(token, crate::time::now()).map_err(|reason| {
            if let Err(error) = self.access() {
                return error.into(); // it may be one of the keys
            }
            upgrade::log_rejection(&upgrade::Rejection::InvalidToken(reason));
            Failed { is_token_rejected: true, ..unauthorized("Invalid Token").into() }
        })?;
        if claims.channel().as_str() != channel {
            return Err(Error::new(Code::Forbidden).message("The token is for another channel.").into());
        }
        check_tags(claims.tags()).map_err(|error| bad_request(&format!("Invalid tags: {error}")))?;
        if claims.client_kind() == ClientKind::DurableIterator && id.is_none() {
            return Err(bad_request(
                "id: a connection id is required with the token of a DurableIterator client",
            )
            .into());
        }
        Ok(HttpReader::Token { token: token.to_owned(), claims: Box::new(claims), id })
    }
}

/// What a request addresses.
struct Target<'a> {
    channel: Result<String>,
    /// The last segment of the path. `None` if the path ends with the channel.
    last: Option<&'a str>,
}

/// Whether a segment is the last one of a route. The numbers of a channel with such a name are at `<prefix>/stats?channel=`.
fn is_last_segment(segment: &str) -> bool {
    Route::of(segment).is_some() || Operation::of(Some(segment), "POST").is_some()
}

/// Returns the error for a key without the right.
fn wrong_right(name: Option<&str>, right: Right) -> Error {
    let name = name.map(|name| format!(" {name:?}")).unwrap_or_default();
    let message = format!("The access key{name} does not have the right `{}` on this channel.", right.name());
    Error::new(Code::Forbidden).message(message)
}

/// Converts an argument to a JavaScript value.
fn js_value(argument: Object) -> Result<JsValue> {
    Ok(runtime::value::from_wire(&serialize(&Value::from(argument))?)?)
}

/// Reads the body of a request as text.
async fn text_of(request: &Request, limit: usize) -> Result<JsValue> {
    match runtime::read_text(request, limit).await? {
        TextBody::Text(text) => Ok(text),
        TextBody::TooLarge => {
            Err(Error::new(Code::PayloadTooLarge)
                .message(format!("The body must have at most {limit} bytes.")))
        }
        TextBody::NotUtf8 => Err(Error::malformed_request()),
    }
}

/// Reads the body of a request as an object of options.
async fn options_of(request: &Request) -> Result<JsValue> {
    let text = text_of(request, MAX_OPTIONS_BODY).await?;
    runtime::parse_object(&text)?.ok_or_else(Error::malformed_request)
}

/// Calls a trusted RPC method, which returns JSON text.
async fn call(stub: &Stub, method: &str, argument: &JsValue) -> Result<JsValue> {
    stub.call(method, &Array::of1(argument)).await.map_err(error_of)
}

fn bad_request(message: &str) -> Error {
    Error::new(Code::BadRequest).message(message)
}

/// A failed request.
struct Failed {
    error: Error,
    /// The header `Retry-After`, in seconds.
    retry_after: Option<u32>,
    is_token_rejected: bool,
    /// The description for the log.
    what: &'static str,
}

const READING: &str = "reading over HTTP";

impl<E> From<E> for Failed
where
    Error: From<E>,
{
    fn from(error: E) -> Self {
        Self { error: error.into(), retry_after: None, is_token_rejected: false, what: READING }
    }
}

impl From<Rejected> for Failed {
    fn from(Rejected { status, text, retry_after }: Rejected) -> Self {
        let error = rejection(status, text);
        let is_token_rejected = error.status() == Code::Unauthorized.status();
        Self { is_token_rejected, error, retry_after, what: READING }
    }
}

/// Who reads.
enum HttpReader {
    /// A client with its token.
    Token { token: String, claims: Box<Claims>, id: Option<String> },
    /// A server with an access key.
    Key,
}

impl HttpReader {
    fn id(&self) -> Option<&str> {
        match self {
            Self::Token { id, .. } => id.as_deref(),
            Self::Key => None,
        }
    }

    fn is_expired(&self) -> bool {
        match self {
            Self::Token { claims, .. } => claims.is_expired_at(crate::time::now()),
            Self::Key => false,
        }
    }

    fn token(&self) -> Result<ReaderToken> {
        Ok(match self {
            Self::Token { token, .. } => ReaderToken::Given(token.clone()),
            Self::Key => {
                let options = serde_json::json!({ "everyAudience": true });
                ReaderToken::Internal(runtime::value::from_wire(&serialize(&options)?)?)
            }
        })
    }

    /// Returns the reader of a page.
    fn page_reader(&self) -> PageReader {
        match self {
            Self::Key => PageReader { every_audience: true, ..PageReader::default() },
            Self::Token { claims, id, .. } => PageReader {
                tags: claims.tags().to_vec(),
                id: id.clone(),
                subject: claims.subject().map(str::to_owned),
                every_audience: claims.has_every_audience(),
                issued_at: Some(seconds(claims.issued_at())),
                expires_at: Some(seconds(claims.expires_at())),
                is_durable_iterator: claims.client_kind() == ClientKind::DurableIterator,
            },
        }
    }
}

/// A verified request.
struct Verified<'a> {
    stub: Stub,
    reader: HttpReader,
    parameters: Parameters,
    headers: &'a [(&'a str, String)],
}

impl Verified<'_> {
    /// Returns the query of a page.
    fn query(&self, position: Option<&Position>) -> PageQuery {
        let mut query = PageQuery { reader: self.reader.page_reader(), ..PageQuery::default() };
        match position {
            Some(Position::After(id)) => query.after = Some(id.clone()),
            Some(Position::Since(since)) => query.since = Some(*since),
            Some(Position::Last(last)) => query.last = Some(*last),
            None => {}
        }
        query
    }

    /// Reads a page. A revoked token is rejected.
    async fn read(&self, query: &PageQuery) -> Result<JsValue, Failed> {
        read_page(&self.stub, query).await.map_err(|error| {
            let is_token_rejected = error.status() == Code::Unauthorized.status();
            Failed { is_token_rejected, ..error.into() }
        })
    }

    async fn page(&self) -> Result<Response, Failed> {
        let Parameters { limit, wait, position, .. } = &self.parameters;
        let query = PageQuery { limit: *limit, ..self.query(position.as_ref()) };
        let mut text = self.read(&query).await?;
        if let Some(seconds) = wait
            && let Some(page) = runtime::empty_page(&text)?
            && page.gap.is_none()
        {
            // The subscription begins where the page ends, so that no event is lost in between.
            let cursor = page.next.as_deref();
            let reader =
                runtime::Reader::new(&self.stub, &self.reader.token()?, self.reader.id(), cursor, None)?;
            reader.start().await??;
            reader.wait(f64::from(*seconds) * 1_000.0).await?;
            if self.reader.is_expired() {
                return self.page_response(&text); // later events are not for this token
            }
            let query = match page.next {
                Some(next) => PageQuery { limit: *limit, ..self.query(Some(&Position::After(next))) },
                // The channel was empty, so that every event is newer.
                None => PageQuery { limit: *limit, since: Some(0.0), ..self.query(None) },
            };
            text = self.read(&query).await?;
        }
        self.page_response(&text)
    }

    fn page_response(&self, text: &JsValue) -> Result<Response, Failed> {
        let mut headers = self.headers.to_vec();
        headers.push(("content-type", "application/json".to_owned()));
        Ok(runtime::respond(OK, text, &headers)?)
    }

    async fn stream(&self, last_event_id: Option<String>) -> Result<Response, Failed> {
        // An `EventSource` reconnects with its first URL.
        let resumed = last_event_id.filter(|id| !id.is_empty()).map(Position::After);
        let now = Position::Last(0);
        let position = match (&resumed, &self.parameters.position, &self.reader) {
            (Some(position), ..) | (None, Some(position), _) => Some(position),
            (None, None, HttpReader::Key) => Some(&now),
            (None, None, HttpReader::Token { .. }) => None,
        };
        let (cursor, gap) = match position {
            None => (None, None),
            Some(Position::After(id)) => (Some(id.clone()), None),
            Some(position) => {
                let query = PageQuery { position: true, ..self.query(Some(position)) };
                let page = runtime::empty_page(&self.read(&query).await?)?;
                page.map_or((None, None), |page| (page.next, page.gap))
            }
        };
        let (token, id) = (self.reader.token()?, self.reader.id());
        // Without a cursor, the channel has never had events. A later token of the reader must not change where it begins.
        let since = matches!(self.reader, HttpReader::Key).then(|| seconds(crate::time::now()));
        let reader = runtime::Reader::new(&self.stub, &token, id, cursor.as_deref(), since)?;
        reader.start().await??;
        let ends_with_done = matches!(
            &self.reader,
            HttpReader::Token { claims, .. } if claims.client_kind() == ClientKind::DurableEventIterator
        );
        Ok(reader.into_response(COMMENT, ends_with_done, gap.as_deref(), self.headers)?)
    }

    async fn call(&self, request: &Request) -> Result<Response, Failed> {
        let HttpReader::Token { token, id, .. } = &self.reader else {
            return Err(Error::new(Code::Forbidden).message("An access key allows no calls.").into());
        };
        let response =
            runtime::call_over_socket(&self.stub, token, id.as_deref(), request, COMMENT, self.headers);
        Ok(response.await??)
    }
}
