//! The HTTP handler, which calls procedures.

use super::{Cors, Csrf, HttpCall, events, respond};
use crate::{
    error::{Code, Error, Result},
    path,
    procedure::{Answer, Input, Procedures, Reply},
    runtime,
};
use durable_event_token::SigningKeys;
use durable_event_wire::Value;
use futures_util::StreamExt;
use std::{collections::BTreeMap, fmt, time::Duration};
use worker::{Delay, Env, Headers, Method, Request, Response};

/// Maximum size of a request body in bytes. Equal to the default maximum size of a WebSocket message.
const DEFAULT_MAX_BODY: usize = 1 << 20;

/// The period without items after which a stream sends a comment. Equal to the default of oRPC's servers.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

const OK: u16 = 200;
const NO_CONTENT: u16 = 204;

/// Serves [`Procedures`] to oRPC clients over HTTP. `A` is the application's type, which the procedures receive by reference.
///
/// ```
/// use durable_event_iterator::{Procedures, http::{Cors, Handler}};
/// use worker::{Context, Env, Request, Response};
///
/// struct App {
///     greeting: &'static str,
/// }
///
/// async fn fetch(request: Request, env: Env, _: Context) -> worker::Result<Response> {
///     let app = App { greeting: "Hello" };
///     let procedures = Procedures::new()
///         .procedure("greet", async |app: &App, _, name: String| Ok(format!("{}, {name}", app.greeting)));
///     Handler::new(procedures)
///         .prefix("/rpc")
///         .allow_get(["greet"])
///         .cors(Cors::origins(["https://app.example"]))
///         .handle(&app, request, &env)
///         .await
/// }
/// ```
#[must_use = "it has no effect until `handle` is called"]
pub struct Handler<A> {
    procedures: Procedures<A, HttpCall>,
    prefix: String,
    readable: Vec<Vec<String>>,
    cors: Option<Cors>,
    csrf: Csrf,
    max_body: usize,
    keys: Option<SigningKeys>,
}

impl<A> fmt::Debug for Handler<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handler").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl<A: 'static> Handler<A> {
    /// Returns a handler for these procedures.
    pub fn new(procedures: Procedures<A, HttpCall>) -> Self {
        Self {
            procedures,
            prefix: String::new(),
            readable: Vec::new(),
            cors: None,
            csrf: Csrf::new(),
            max_body: DEFAULT_MAX_BODY,
            keys: None,
        }
    }

    /// Sets the path prefix of the procedures, such as `"/rpc"`: the path of the URL in the client's link. Default: none.
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.prefix = prefix.trim_end_matches('/').to_owned();
        self
    }

    /// Allows GET requests for these procedures, each given by its path: `"find"`, `"planet/find"`. Other procedures respond to
    /// a GET with METHOD_NOT_SUPPORTED.
    ///
    /// List only procedures that change nothing: a link on any page causes a browser to send a GET with cookies, and older
    /// browsers do not report that it is cross-site.
    pub fn allow_get<'n>(mut self, procedures: impl IntoIterator<Item = &'n str>) -> Self {
        let paths = procedures.into_iter().map(|name| name.split('/').map(str::to_owned).collect());
        self.readable.extend(paths);
        self
    }

    /// Allows pages of other origins to call the procedures and read the responses. Default: only pages of the same origin.
    pub fn cors(mut self, cors: Cors) -> Self {
        self.cors = Some(cors);
        self
    }

    /// Sets the protection from cross-site request forgery. Default: [`Csrf::new`].
    pub fn csrf(mut self, csrf: Csrf) -> Self {
        self.csrf = csrf;
        self
    }

    /// Sets the maximum size of a request body in bytes. Default: 1 MiB. A larger body is not read to its end, and the response
    /// is PAYLOAD_TOO_LARGE.
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// Sets the signing keys with which [`HttpCall::iterator`] signs tokens. Default: the secret `SIGNING_KEY`.
    pub fn signing_keys(mut self, keys: SigningKeys) -> Self {
        self.keys = Some(keys);
        self
    }

    /// Calls the procedure of a request and returns the response. For a path outside the prefix, and for an unknown procedure,
    /// the status is 404.
    ///
    /// # Errors
    /// An error of the Workers runtime while creating the response.
    pub async fn handle(&self, app: &A, request: Request, env: &Env) -> worker::Result<Response> {
        let headers: BTreeMap<String, String> = request.headers().entries().collect();
        let origin = headers.get("origin").cloned();
        let response = match &self.cors {
            Some(cors) if request.method() == Method::Options => {
                let requested = headers.get("access-control-request-headers");
                let response = Response::empty()?.with_status(NO_CONTENT);
                with_headers(response, cors.preflight_headers(requested.map(String::as_str)))?
            }
            _ => self.respond(app, request, HttpCall::new(env, headers, self.keys.clone())).await?,
        };
        match &self.cors {
            Some(cors) => with_headers(response, cors.response_headers(origin.as_deref())),
            None => Ok(response),
        }
    }

    async fn respond(&self, app: &A, request: Request, call: HttpCall) -> worker::Result<Response> {
        let whole_path = request.path();
        let path = path::below(&whole_path, &self.prefix).map(path::decode_path).unwrap_or_default();
        let Some(procedure) = self.procedures.find(&path) else { return not_found() };
        let reply = async {
            let url = request.inner().url();
            let checked = self.csrf.check(&request.method(), &url, &call.headers, self.cors.as_ref());
            if checked.is_err() {
                // With an unread body, the Workers runtime closes the connection, and the response is lost.
                runtime::read_body(request.inner(), self.max_body).await?;
            }
            checked?;
            let input = self.read(&request, &path, &call).await?;
            procedure(app, call.clone(), Input::Value(input)).await
        };
        let reply = reply.await;
        let headers = Headers::clone(&call.response_headers);
        match reply {
            Ok(Reply(Answer::Value(output))) => {
                if let Some(header) = call.header_of(&output) {
                    headers.set(header, "1")?;
                }
                respond(OK, output.into_http(), headers)
            }
            Ok(Reply(Answer::Stream(items))) => {
                let name = path.join(".");
                let report = move |error: &Error| runtime::log_internal(&name, error);
                let texts = events::body(items, || Delay::from(KEEP_ALIVE), report);
                headers.set("content-type", "text/event-stream")?;
                Ok(Response::from_stream(texts.map(Ok::<_, worker::Error>))?.with_headers(headers))
            }
            Err(error) => {
                runtime::log_internal(&path.join("."), &error);
                super::respond_with(&error, headers)
            }
        }
    }

    /// Reads the input of a request.
    async fn read(&self, request: &Request, path: &[String], call: &HttpCall) -> Result<Value> {
        match request.method() {
            Method::Get if self.readable.iter().any(|readable| readable == path) => {
                let url = request.inner().url();
                let data = super::query_of(&url).and_then(path::data_of);
                return Value::from_http(None, data.unwrap_or_default().as_bytes()).map_err(Error::malformed);
            }
            Method::Post | Method::Put | Method::Patch | Method::Delete => {}
            _ => return Err(Error::new(Code::MethodNotSupported)),
        }
        let content_type = call.headers.get("content-type").map(String::as_str);
        if content_type.is_some_and(|kind| kind.starts_with("text/event-stream")) {
            return Err(
                Error::new(Code::UnsupportedMediaType).message("Streaming input requires a WebSocket.")
            );
        }
        let Some(body) = runtime::read_body(request.inner(), self.max_body).await? else {
            let message = format!("Request body must be at most {} bytes.", self.max_body);
            return Err(Error::new(Code::PayloadTooLarge).message(message));
        };
        if call.headers.contains_key("content-disposition") {
            return Err(Error::new(Code::BadRequest).message(super::MALFORMED_REQUEST)); // a file outside a form
        }
        Value::from_http(content_type, &body).map_err(Error::malformed)
    }
}

/// Returns the response for an unknown procedure: plain text, as of oRPC's servers.
fn not_found() -> worker::Result<Response> {
    let headers = Headers::new();
    headers.set("content-type", "text/plain;charset=UTF-8")?;
    Ok(Response::from_bytes(b"Not Found".to_vec())?
        .with_status(Code::NotFound.status())
        .with_headers(headers))
}

fn with_headers(response: Response, headers: Vec<(&'static str, String)>) -> worker::Result<Response> {
    let all: Headers = response.headers().clone();
    for (name, value) in headers {
        all.append(name, &value)?;
    }
    Ok(response.with_headers(all))
}
