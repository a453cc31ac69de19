//! Reading channels over HTTP: pages, server-sent events, long polling and calls.

use super::{
    Cors,
    events::COMMENT,
    parameters::{Parameters, Position, Route},
};
use crate::{
    channel::{
        page::{PageQuery, Reader as PageReader},
        reading::{read_page, rejection},
        subscription::GAP_HEADER,
    },
    error::{Code, Error, Result},
    path,
    runtime::{self, ReaderToken, Rejected, Stub},
    time::seconds,
    upgrade::{self, signing_keys},
};
use durable_event_token::{Claims, ClientKind, ConnectionId, ReadKey, SigningKeys, check_tags};
use durable_event_wire::serialize;
use std::fmt;
use wasm_bindgen::JsValue;
use worker::{
    Env,
    web_sys::{Request, Response},
};

const OK: u16 = 200;
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
/// `<prefix>/events?channel=<channel>` (`subscribe`, `call`) is the same: a URL cannot have a path segment of `.` or `..`.
///
/// A client sends its token as `Authorization: Bearer <token>`, or as the query parameter `token`. The parameters and errors are in
/// `docs/http.md`.
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
    read_key: Option<ReadKey>,
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
            read_key: None,
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

    /// Sets the read key, with which servers read all events of all channels without a token: `Authorization: Bearer <read key>`.
    /// Default: none.
    pub fn read_key(mut self, key: ReadKey) -> Self {
        self.read_key = Some(key);
        self
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
            Err(Failed { error, retry_after, is_token_rejected }) => {
                runtime::log_internal("reading over HTTP", &error);
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
        let query = path::query_of(&url).unwrap_or_default();
        let parameters = Parameters::of(query)?;
        let (route, channel) = self.route(&url, &parameters)?;
        let method = request.method();
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
        let namespace = match &self.namespace {
            Ok(namespace) => namespace,
            Err(error) => return Err(runtime::JsError::new(error.to_string()).into()),
        };
        let stub =
            runtime::stub(namespace, &channel, self.location_hint.as_deref(), self.jurisdiction.as_deref())?;
        let call = Verified { stub, reader, parameters, headers };
        match (route, is_stream) {
            (Route::Call, _) => call.call(request).await,
            (_, true) => call.stream(header("last-event-id")).await,
            (_, false) => call.page().await,
        }
    }

    /// Returns the route and the channel of a URL.
    fn route(&self, url: &str, parameters: &Parameters) -> Result<(Route, String)> {
        let not_found = || Error::new(Code::NotFound);
        let below = path::below(path::path_of(url), &self.prefix).ok_or_else(not_found)?;
        let (channel, last) = match below.split_once('/') {
            Some((segment, last)) if !segment.is_empty() => {
                if parameters.channel.is_some() {
                    return Err(bad_request("channel: the path contains the channel already"));
                }
                let channel = path::decode_segment(segment);
                (
                    channel.ok_or_else(|| bad_request("The channel name must be UTF-8, percent-encoded."))?,
                    last,
                )
            }
            Some(_) => return Err(not_found()),
            None => (parameters.channel.clone().unwrap_or_default(), below),
        };
        let route = Route::of(last).ok_or_else(not_found)?;
        let channel = durable_event_token::ChannelName::try_from(channel.as_str())
            .map_err(|error| bad_request(&format!("channel: {error}")))?;
        Ok((route, channel.as_str().to_owned()))
    }

    /// Verifies the token or the read key.
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
        if let Some(key) = &self.read_key
            && key.admits(authorization)
        {
            return Ok(HttpReader::Key);
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

fn bad_request(message: &str) -> Error {
    Error::new(Code::BadRequest).message(message)
}

/// A failed request.
struct Failed {
    error: Error,
    /// The header `Retry-After`, in seconds.
    retry_after: Option<u32>,
    is_token_rejected: bool,
}

impl<E> From<E> for Failed
where
    Error: From<E>,
{
    fn from(error: E) -> Self {
        Self { error: error.into(), retry_after: None, is_token_rejected: false }
    }
}

impl From<Rejected> for Failed {
    fn from(Rejected { status, text, retry_after }: Rejected) -> Self {
        let error = rejection(status, text);
        Self { is_token_rejected: error.status() == Code::Unauthorized.status(), error, retry_after }
    }
}

/// Who reads.
enum HttpReader {
    /// A client with its token.
    Token { token: String, claims: Box<Claims>, id: Option<String> },
    /// A server with the read key.
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

    async fn page(&self) -> Result<Response, Failed> {
        let Parameters { limit, wait, position, .. } = &self.parameters;
        let query = PageQuery { limit: *limit, ..self.query(position.as_ref()) };
        let mut text = read_page(&self.stub, &query).await?;
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
            text = read_page(&self.stub, &query).await?;
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
                let page = runtime::empty_page(&read_page(&self.stub, &query).await?)?;
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
            return Err(Error::new(Code::Forbidden).message("The read key allows no calls.").into());
        };
        let response =
            runtime::call_over_socket(&self.stub, token, id.as_deref(), request, COMMENT, self.headers);
        Ok(response.await??)
    }
}
