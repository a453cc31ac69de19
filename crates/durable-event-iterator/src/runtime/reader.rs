//! Reading a channel from a Worker: subscriptions, calls, and the responses that contain them.

use super::{JsError, Stub};
use js_sys::Array;
use wasm_bindgen::{JsCast, prelude::*};
use worker::web_sys::{Request, Response};

#[wasm_bindgen(module = "/src/runtime/reader.js")]
extern "C" {
    #[wasm_bindgen(js_name = Reader)]
    type JsReader;

    #[wasm_bindgen(constructor, js_class = "Reader", catch)]
    fn construct(
        stub: &Stub,
        token: Option<&str>,
        token_options: &JsValue,
        id: Option<&str>,
        cursor: Option<&str>,
        since: Option<f64>,
    ) -> Result<JsReader, JsValue>;

    #[wasm_bindgen(method, catch, js_class = "Reader", js_name = start)]
    async fn start_js(this: &JsReader) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, catch, js_class = "Reader", js_name = next)]
    async fn next_js(this: &JsReader) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, catch, js_class = "Reader", getter, js_name = end)]
    fn end_js(this: &JsReader) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, catch, js_class = "Reader", js_name = close)]
    fn close_js(this: &JsReader) -> Result<(), JsValue>;

    #[wasm_bindgen(catch, js_name = partsOf)]
    fn parts_of_js(message: &JsValue) -> Result<Array, JsValue>;

    #[wasm_bindgen(catch, js_name = eventStreamResponse)]
    fn event_stream_response_js(
        reader: &JsReader,
        comment: &str,
        ends_with_done: bool,
        gap: Option<&str>,
        headers: &Array,
    ) -> Result<Response, JsValue>;

    #[wasm_bindgen(catch, js_name = waitForEvent)]
    async fn wait_for_event_js(reader: &JsReader, milliseconds: f64) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(catch, js_name = respond)]
    fn respond_js(status: u16, body: &JsValue, headers: &Array) -> Result<Response, JsValue>;

    #[wasm_bindgen(catch, js_name = emptyPage)]
    fn empty_page_js(text: &JsValue) -> Result<Option<Array>, JsValue>;
}

#[wasm_bindgen(module = "/src/runtime/socket_call.js")]
extern "C" {
    #[wasm_bindgen(catch, js_name = callOverSocket)]
    async fn call_over_socket_js(
        stub: &Stub,
        token: &str,
        id: Option<&str>,
        request: &Request,
        comment: &str,
        headers: &Array,
    ) -> Result<JsValue, JsValue>;
}

/// How a reader identifies itself.
#[derive(Clone, Debug)]
pub(crate) enum ReaderToken {
    /// The token of a client. The subscription ends with it.
    Given(String),
    /// The options of `~token`: the reader requests a token whenever it connects.
    Internal(JsValue),
}

/// A rejected subscription or call.
#[derive(Debug)]
pub(crate) struct Rejected {
    pub(crate) status: u16,
    pub(crate) text: Option<String>,
    /// The header `Retry-After`, in seconds.
    pub(crate) retry_after: Option<u32>,
}

impl Rejected {
    /// Reads `[status, text, retryAfter]`.
    fn of(rejection: &Array) -> Self {
        Self {
            status: rejection.get(0).as_f64().map_or(500, |status| status as u16),
            text: rejection.get(1).as_string(),
            retry_after: rejection
                .get(2)
                .as_f64()
                .filter(|delay| delay.is_finite())
                .map(|delay| delay as u32),
        }
    }
}

/// The end of a subscription.
#[derive(Debug)]
pub(crate) enum ReaderEnd {
    /// The token has expired.
    Expired,
    /// It was closed by its owner.
    Closed,
    Rejected(Rejected),
}

/// An item of a subscription.
pub(crate) enum ReaderItem {
    /// An event: its data in oRPC's serialized form, and its meta.
    Event { data: String, id: Option<String>, retry: Option<u32>, comments: Vec<String> },
    /// A gap: the id of the first event after it.
    Gap(String),
}

/// A subscription over a WebSocket. Dropping it closes the socket.
pub(crate) struct Reader {
    js: JsReader,
    /// Whether a response has taken the subscription over.
    is_passed_on: bool,
}

impl Reader {
    /// `cursor` is the id of the last event that the reader knows. `since` applies without a cursor: see `SINCE_HEADER` of
    /// `channel/subscription.rs`.
    pub(crate) fn new(
        stub: &Stub,
        token: &ReaderToken,
        id: Option<&str>,
        cursor: Option<&str>,
        since: Option<f64>,
    ) -> Result<Self, JsError> {
        let (token, options) = match token {
            ReaderToken::Given(token) => (Some(token.as_str()), &JsValue::UNDEFINED),
            ReaderToken::Internal(options) => (None, options),
        };
        Ok(Self { js: JsReader::construct(stub, token, options, id, cursor, since)?, is_passed_on: false })
    }

    /// Connects and subscribes.
    pub(crate) async fn start(&self) -> Result<Result<(), Rejected>, JsError> {
        let rejection = self.js.start_js().await?;
        Ok(rejection.dyn_ref::<Array>().map_or(Ok(()), |rejection| Err(Rejected::of(rejection))))
    }

    /// Returns the items that have arrived. The list is empty after a period without items, and at the end.
    pub(crate) async fn next(&self) -> Result<Vec<ReaderItem>, JsError> {
        let items = self.js.next_js().await?;
        let items = items.dyn_ref::<Array>().map(|items| items.iter().map(|item| item_of(&item)).collect());
        items.unwrap_or_else(|| Ok(Vec::new()))
    }

    /// Returns why the subscription has ended.
    pub(crate) fn end(&self) -> Result<Option<ReaderEnd>, JsError> {
        let end = self.js.end_js()?;
        Ok(match end.as_string().as_deref() {
            Some("expired") => Some(ReaderEnd::Expired),
            Some(_) => Some(ReaderEnd::Closed),
            None => end.dyn_ref::<Array>().map(|rejection| ReaderEnd::Rejected(Rejected::of(rejection))),
        })
    }

    /// Waits for an event or a gap, up to a number of milliseconds, and ends the subscription.
    pub(crate) async fn wait(self, milliseconds: f64) -> Result<(), JsError> {
        wait_for_event_js(&self.js, milliseconds).await.map(drop).map_err(JsError::from)
    }

    /// Returns the response with the server-sent events of the subscription, which closes it. `comment` is the text of an empty
    /// comment. With `ends_with_done` the end of the token is an event.
    pub(crate) fn into_response(
        mut self,
        comment: &str,
        ends_with_done: bool,
        gap: Option<&str>,
        headers: &[(&str, String)],
    ) -> Result<Response, JsError> {
        let response = event_stream_response_js(&self.js, comment, ends_with_done, gap, &array_of(headers))?;
        self.is_passed_on = true;
        Ok(response)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if !self.is_passed_on {
            let _ = self.js.close_js(); // does not throw
        }
    }
}

fn item_of(item: &JsValue) -> Result<ReaderItem, JsError> {
    if !item.is_string() {
        let gap = js_sys::Reflect::get(item, &"gap".into()).unwrap_or_default();
        return Ok(ReaderItem::Gap(gap.as_string().unwrap_or_default()));
    }
    let parts = parts_of_js(item)?;
    let comments = parts.get(3).dyn_into::<Array>().unwrap_or_default();
    Ok(ReaderItem::Event {
        data: parts.get(0).as_string().unwrap_or_default(),
        id: parts.get(1).as_string(),
        retry: parts.get(2).as_f64().map(|retry| retry as u32),
        comments: comments.iter().filter_map(|comment| comment.as_string()).collect(),
    })
}

fn array_of(headers: &[(&str, String)]) -> Array {
    headers.iter().map(|(name, value)| Array::of2(&(*name).into(), &value.as_str().into())).collect()
}

/// Returns a response. The body is a text or null.
pub(crate) fn respond(status: u16, body: &JsValue, headers: &[(&str, String)]) -> Result<Response, JsError> {
    Ok(respond_js(status, body, &array_of(headers))?)
}

/// A page without events.
pub(crate) struct EmptyPage {
    pub(crate) next: Option<String>,
    pub(crate) gap: Option<String>,
}

/// Reads a page without events. Returns `None` for another page.
pub(crate) fn empty_page(text: &JsValue) -> Result<Option<EmptyPage>, JsError> {
    let page = empty_page_js(text)?;
    Ok(page.map(|page| EmptyPage { next: page.get(0).as_string(), gap: page.get(1).as_string() }))
}

/// Calls the procedure of a request and returns its response.
pub(crate) async fn call_over_socket(
    stub: &Stub,
    token: &str,
    id: Option<&str>,
    request: &Request,
    comment: &str,
    headers: &[(&str, String)],
) -> Result<Result<Response, Rejected>, JsError> {
    let response = call_over_socket_js(stub, token, id, request, comment, &array_of(headers)).await?;
    Ok(match response.dyn_ref::<Array>() {
        Some(rejection) => Err(Rejected::of(rejection)),
        None => Ok(response.unchecked_into()),
    })
}
