//! Reading a channel from another Worker: pages, and subscriptions.

use super::{
    page::{PageQuery, Reader as PageReader},
    stub::error_of,
};
use crate::{
    error::{Code, Error, Result},
    runtime::{self, ReaderEnd, ReaderItem, ReaderToken, Stub},
    time::seconds,
};
use durable_event_log::EventId;
use durable_event_wire::{Object, Value, from_value, parse, serialize};
use futures_util::{
    Stream, StreamExt,
    stream::{LocalBoxStream, iter, unfold},
};
use js_sys::Array;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, SystemTime},
};
use wasm_bindgen::JsValue;

/// What [`ChannelStub::read`](crate::ChannelStub::read) and [`ChannelStub::subscribe`](crate::ChannelStub::subscribe) read.
///
/// By default, they read the events for everyone: a page begins with the oldest retained event, a subscription with the next event.
///
/// ```
/// use durable_event_iterator::ReadOptions;
/// use std::time::Duration;
///
/// let newest = ReadOptions::new().last(10);
/// let for_staff = ReadOptions::new().tags(["staff"]).since(durable_event_iterator::EventId::MAX.published_at());
/// # let _ = (newest, for_staff, Duration::ZERO);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use = "it has no effect until it is passed to `read` or `subscribe`"]
pub struct ReadOptions {
    position: Option<Position>,
    limit: Option<u32>,
    tags: Vec<String>,
    every_audience: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Position {
    After(String),
    Since(SystemTime),
    Last(u32),
}

impl ReadOptions {
    /// Returns the default options.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins after the event with this id. Replaces another position.
    pub fn after(mut self, id: impl fmt::Display) -> Self {
        self.position = Some(Position::After(id.to_string()));
        self
    }

    /// Begins with the events that were published at or after this time. Replaces another position.
    pub fn since(mut self, time: SystemTime) -> Self {
        self.position = Some(Position::Since(time));
        self
    }

    /// Begins with this number of newest events, at most 1,000. Replaces another position.
    pub fn last(mut self, events: u32) -> Self {
        self.position = Some(Position::Last(events));
        self
    }

    /// Sets the maximum number of events of a page, 1 to 1,000. Default: 100. It has no effect on subscriptions and with
    /// [`last`](Self::last).
    pub fn limit(mut self, events: u32) -> Self {
        self.limit = Some(events);
        self
    }

    /// Adds tags: also reads the events for these tags. At most ten.
    pub fn tags<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.tags.extend(tags.into_iter().map(Into::into));
        self
    }

    /// Reads the events of every audience.
    pub fn every_audience(mut self) -> Self {
        self.every_audience = true;
        self
    }

    fn query(&self) -> PageQuery {
        let reader = PageReader {
            tags: self.tags.clone(),
            every_audience: self.every_audience,
            ..PageReader::default()
        };
        let mut query = PageQuery { reader, ..PageQuery::default() };
        match &self.position {
            Some(Position::After(id)) => query.after = Some(id.clone()),
            Some(Position::Since(time)) => query.since = Some(seconds(*time)),
            Some(Position::Last(last)) => query.last = Some(*last),
            None => {}
        }
        query
    }
}

/// An event that a Worker has read.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ReadEvent<E> {
    /// The id of the event. `None` for an event that is not stored: see [`Channel::send_live`](crate::Channel::send_live).
    pub id: Option<EventId>,
    /// The event.
    pub event: E,
    /// The event's meta: the delay before a client retries.
    pub retry: Option<Duration>,
    /// The event's meta: its comments.
    pub comments: Vec<String>,
}

/// A page of events.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct EventPage<E> {
    /// The events, oldest first.
    pub events: Vec<ReadEvent<E>>,
    /// The cursor of the next page: pass it to [`ReadOptions::after`]. `None` if the channel has never had events.
    pub next: Option<EventId>,
    /// If events after the position are no longer retained: the id from which on all events are.
    pub gap: Option<EventId>,
    /// Whether there are more events after this page.
    pub more: bool,
}

/// An item of a [`Subscription`].
#[derive(Clone, Debug, PartialEq)]
pub enum Received<E> {
    /// An event.
    Event(ReadEvent<E>),
    /// Missed events are no longer retained. The next event has this id or a later one. Load the application's state again.
    Gap(EventId),
}

/// The events of a channel, as [`ChannelStub::subscribe`](crate::ChannelStub::subscribe) returns it: a [`Stream`].
///
/// It reconnects and resumes by itself. It ends with an error if it cannot continue, or if an event is not of the expected type.
/// Dropping it closes its connection.
#[must_use = "streams do nothing unless polled"]
pub struct Subscription<E>(LocalBoxStream<'static, Result<Received<E>>>);

impl<E> fmt::Debug for Subscription<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subscription(..)")
    }
}

impl<E> Stream for Subscription<E> {
    type Item = Result<Received<E>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(context)
    }
}

impl<E> Subscription<E> {
    /// Returns the next item, or `None` after an error.
    ///
    /// # Errors
    /// The Durable Object rejects the subscription, or an event is not an `E`.
    pub async fn next(&mut self) -> Option<Result<Received<E>>> {
        self.0.next().await
    }
}

/// The argument of `~token`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TokenOptions<'a> {
    tags: &'a [String],
    every_audience: bool,
}

pub(super) async fn read<E: DeserializeOwned>(stub: &Stub, options: &ReadOptions) -> Result<EventPage<E>> {
    let limit = options.limit.filter(|_| !matches!(options.position, Some(Position::Last(_))));
    let text = read_page(stub, &PageQuery { limit, ..options.query() }).await?;
    let page = parse(Some(&text.as_string().unwrap_or_default()), None)?;
    let Value::Object(mut page) = page else { return Err(unexpected("the page is not an object")) };
    let id = |value: Option<Value>| match value {
        Some(Value::String(id)) => id.parse().map(Some).map_err(Error::from),
        _ => Ok(None),
    };
    let (next, gap) = (id(page.remove("next"))?, id(page.remove("gap"))?);
    let more = matches!(page.remove("more"), Some(Value::Bool(true)));
    let Some(Value::Array(events)) = page.remove("events") else {
        return Err(unexpected("the page has no events"));
    };
    let events = events.into_iter().map(page_event).collect::<Result<_>>()?;
    Ok(EventPage { events, next, gap, more })
}

fn page_event<E: DeserializeOwned>(event: Value) -> Result<ReadEvent<E>> {
    let Value::Object(mut event) = event else { return Err(unexpected("an event is not an object")) };
    let id = match event.remove("id") {
        Some(Value::String(id)) => Some(id.parse()?),
        _ => None,
    };
    let retry = event.remove("retry").map(from_value::<u64>).transpose()?.map(Duration::from_millis);
    let comments = event.remove("comments").map(from_value).transpose()?.unwrap_or_default();
    let halves = ["json", "meta"].into_iter().filter_map(|half| Some((half.to_owned(), event.remove(half)?)));
    let data = Value::from(halves.collect::<Object>()).to_json()?;
    Ok(ReadEvent { id, event: from_data(&data)?, retry, comments })
}

/// Reads an event from its serialized form.
fn from_data<E: DeserializeOwned>(data: &str) -> Result<E> {
    // The error is not about a client's input.
    from_value(Value::from_serialized(data.as_bytes())?).map_err(|error| unexpected(&error.to_string()))
}

fn unexpected(reason: &str) -> Error {
    runtime::JsError::new(format!("the event is not of the requested type: {reason}")).into()
}

pub(super) async fn subscribe<E: DeserializeOwned + 'static>(
    stub: &Stub,
    options: &ReadOptions,
) -> Result<Subscription<E>> {
    let (cursor, gap) = match &options.position {
        Some(Position::After(id)) => (Some(id.clone()), None),
        _ => {
            let last = options.position.is_none().then_some(0);
            let query = options.query();
            let query = PageQuery { position: true, last: last.or(query.last), ..query };
            let page = runtime::empty_page(&read_page(stub, &query).await?)?;
            page.map_or((None, None), |page| (page.next, page.gap))
        }
    };
    let token = TokenOptions { tags: &options.tags, every_audience: options.every_audience };
    let token = ReaderToken::Internal(runtime::value::from_wire(&serialize(&token)?)?);
    let since = seconds(crate::time::now());
    let reader = runtime::Reader::new(stub, &token, None, cursor.as_deref(), Some(since))?;
    reader.start().await?.map_err(|rejected| rejection(rejected.status, rejected.text))?;
    let gap = gap.map(|gap| received(ReaderItem::Gap(gap)));
    let items = unfold(Some(reader), async |reader| {
        let reader = reader?;
        match arrived(&reader).await {
            Ok(items) => {
                let items: Vec<_> = items.into_iter().map(received).collect();
                Some((items, Some(reader)))
            }
            Err(error) => Some((vec![Err(error)], None)),
        }
    });
    let items = iter(gap).chain(items.flat_map(iter));
    // Nothing follows an error.
    let items = items.scan(false, |has_failed, item| {
        let is_over = std::mem::replace(has_failed, item.is_err());
        std::future::ready((!is_over).then_some(item))
    });
    Ok(Subscription(items.boxed_local()))
}

/// Waits for the next items.
async fn arrived(reader: &runtime::Reader) -> Result<Vec<ReaderItem>> {
    loop {
        let items = reader.next().await?;
        if !items.is_empty() {
            return Ok(items);
        }
        return Err(match reader.end()? {
            None => continue,
            Some(ReaderEnd::Rejected(rejected)) => rejection(rejected.status, rejected.text),
            Some(ReaderEnd::Expired | ReaderEnd::Closed) => Error::new(Code::Unauthorized),
        });
    }
}

fn received<E: DeserializeOwned>(item: ReaderItem) -> Result<Received<E>> {
    Ok(match item {
        ReaderItem::Gap(id) => Received::Gap(id.parse()?),
        ReaderItem::Event { data, id, retry, comments } => Received::Event(ReadEvent {
            id: id.map(|id| id.parse()).transpose()?,
            event: from_data(&data)?,
            retry: retry.map(|retry| Duration::from_millis(retry.into())),
            comments,
        }),
    })
}

/// Returns the error for a rejected subscription or call.
pub(crate) fn rejection(status: u16, text: Option<String>) -> Error {
    let code = Code::ALL.into_iter().find(|code| code.status() == status);
    match (code, text) {
        // The log of the Durable Object states the reason.
        (Some(Code::InternalServerError) | None, _) => Error::new(Code::InternalServerError),
        (Some(Code::BadRequest), None) => Error::malformed_request(),
        (Some(code), text) => {
            let error = Error::new(code);
            match text {
                Some(text) => error.message(text),
                None => error,
            }
        }
    }
}

/// Calls `~read` and returns the text of the page.
pub(crate) async fn read_page(stub: &Stub, query: &PageQuery) -> Result<JsValue> {
    let query = runtime::value::from_wire(&serialize(query)?)?;
    stub.call("~read", &Array::of1(&query)).await.map_err(error_of)
}
