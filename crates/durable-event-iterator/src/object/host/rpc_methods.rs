//! The RPC methods of a stub: `publish`, `publishBatch`, and those of the application.

use super::Host;
use crate::{
    channel::{
        IsChannel, PublishOptions, Published,
        batch::{BatchEvent, MAX_BATCH_BYTES, check_count, shared_key, too_large},
        event_body,
        rpc_options::{RESTRICTIONS, RpcOptions},
    },
    error::{Code, Error, PublishError, Result},
    object::DurableEventIteratorObject,
    runtime::{self, Infinity, ItemLimits, JsWire, NotWire, NotWireAll, RpcValue},
};
use durable_event_log::MAX_EVENT_BYTES;
use durable_event_wire::{InvalidInput, Issue, Serialized, Value, from_value, parse};
use std::{any::TypeId, rc::Rc};

/// Maximum size of all arguments of an RPC method, in bytes of JSON: four events of maximum size.
const MAX_ARGUMENT_BYTES: usize = 8 * 1024 * 1024;

impl<O: DurableEventIteratorObject> Host<O> {
    /// Handles `stub.publish(event, options?)`.
    pub(in crate::object) fn publish(
        &self,
        event: &RpcValue,
        options: Option<&RpcValue>,
    ) -> Result<Published> {
        self.try_publish(event, options).inspect_err(|error| runtime::log_internal("publish", error))
    }

    fn try_publish(&self, event: &RpcValue, options: Option<&RpcValue>) -> Result<Published> {
        let options =
            if let Some(options) = options { read_options(options)? } else { RpcOptions::default() };
        let event = if options.is_serialized() {
            runtime::serialized_of(event, MAX_EVENT_BYTES)
        } else {
            runtime::to_wire(event, MAX_EVENT_BYTES, Infinity::Null)
        };
        let event = event.map_err(unpublishable)?;
        let body = match (options.is_serialized(), is_untyped::<O>()) {
            (false, true) => event.into(),
            (true, true) => event_body(&event.parse()?)?,
            (_, false) => event_body(&typed_event::<O>(event.parse()?)?)?,
        };
        self.core.publish(&body, &PublishOptions::from(options))
    }

    /// Handles `stub.publishBatch(events, options?)`.
    pub(in crate::object) fn publish_batch(
        &self,
        events: &RpcValue,
        options: Option<&RpcValue>,
    ) -> Result<Vec<Published>> {
        let published = self.try_publish_batch(events, options);
        published.inspect_err(|error| runtime::log_internal("publishBatch", error))
    }

    fn try_publish_batch(&self, events: &RpcValue, options: Option<&RpcValue>) -> Result<Vec<Published>> {
        let count = batch_length(events)?;
        let mut options = BatchOptions::read(options, count)?;
        let is_serialized = options.is_serialized()?;
        let wires = runtime::to_wire_all(events, BATCH_LIMITS, is_serialized).map_err(unpublishable_batch)?;
        let body = |wire: JsWire| match (is_serialized, is_untyped::<O>()) {
            (false, true) => Ok(wire.into()),
            (true, true) => event_body(&wire.parse()?),
            (_, false) => event_body(&typed_event::<O>(wire.parse()?)?),
        };
        let events = wires
            .into_iter()
            .enumerate()
            .map(|(at, wire)| options.event(at, body(wire).map_err(|error| error.at_event(at))?));
        self.core.publish_batch(&events.collect::<Result<Vec<_>>>()?)
    }

    /// Calls an RPC method of the application.
    pub(in crate::object) async fn dispatch(&self, name: &str, arguments: RpcValue) -> Result<RpcValue> {
        let result = self.try_dispatch(name, &arguments).await;
        result.inspect_err(|error| runtime::log_internal(name, error))
    }

    async fn try_dispatch(&self, name: &str, arguments: &RpcValue) -> Result<RpcValue> {
        let arguments = runtime::to_wire(arguments, MAX_ARGUMENT_BYTES, Infinity::Null).map_err(|error| {
            let code = match error {
                NotWire::TooLarge { .. } => Code::PayloadTooLarge,
                NotWire::Invalid(_) => Code::BadRequest,
            };
            Error::new(code).message(format!("arguments of {name:?}: {error}"))
        })?;
        let arguments = arguments.parse()?;
        let method = self.rpc_methods.find(name).ok_or_else(|| Error::new(Code::NotFound))?;
        Ok(runtime::from_wire(&method(&self.object, arguments).await?)?)
    }
}

/// Reads the options of a publish.
///
/// # Errors
/// BAD_REQUEST if the options are invalid.
pub(in crate::object) fn read_options(options: &RpcValue) -> Result<RpcOptions> {
    if let Some(name) = runtime::undefined_option(options, &RESTRICTIONS)? {
        return Err(invalid_options(Issue::new("expected a value, found undefined").at(name).into()));
    }
    let options = runtime::to_wire(options, MAX_EVENT_BYTES, Infinity::Error).map_err(unpublishable)?;
    RpcOptions::read(options.parse()?).map_err(invalid_options)
}

/// The limits of the events of a batch.
pub(in crate::object) const BATCH_LIMITS: ItemLimits =
    ItemLimits { one: MAX_EVENT_BYTES, all: MAX_BATCH_BYTES };

/// Returns the number of events of a batch.
///
/// # Errors
/// BAD_REQUEST if it is not an array, or if there are too few or too many.
pub(in crate::object) fn batch_length(events: &RpcValue) -> Result<usize> {
    let count = runtime::length_of(events)?;
    let count =
        count.ok_or_else(|| Error::new(Code::BadRequest).message("a batch must be an array of events"))?;
    check_count(count)?;
    Ok(count)
}

/// Returns the error for events that have no serialized form.
pub(in crate::object) fn unpublishable_batch(NotWireAll { index, reason }: NotWireAll) -> Error {
    match (index, reason) {
        (Some(index), reason) => unpublishable(reason).at_event(index),
        (None, NotWire::TooLarge { .. }) => too_large(),
        (None, reason) => unpublishable(reason),
    }
}

/// The options of a batch.
pub(in crate::object) enum BatchOptions {
    /// The same for all events. They are not copied: the audience may have thousands of connection ids.
    Shared { options: Rc<PublishOptions>, key: Option<String>, is_serialized: bool },
    /// One per event.
    Each(Vec<RpcOptions>),
}

impl BatchOptions {
    /// Reads the options of `count` events: an object, or an array with an object for each event.
    ///
    /// # Errors
    /// BAD_REQUEST if the options are invalid.
    pub(in crate::object) fn read(options: Option<&RpcValue>, count: usize) -> Result<Self> {
        let Some(options) = options else { return Ok(Self::shared(RpcOptions::default())) };
        let Some(length) = runtime::length_of(options)? else {
            return read_options(options).map(Self::shared);
        };
        if length != count {
            return Err(Error::new(Code::BadRequest).message(format!(
                "Invalid publish options: expected one object, or an array with an object for each of {count} events, got {length}"
            )));
        }
        if let Some((at, name)) = runtime::undefined_option_in(options, &RESTRICTIONS)? {
            let issue = Issue::new("expected a value, found undefined").at(name);
            return Err(invalid_options(issue.into()).at_event(at));
        }
        let wire =
            runtime::to_wire(options, MAX_BATCH_BYTES, Infinity::Error).map_err(|error| match error {
                NotWire::TooLarge { .. } => too_large(),
                error @ NotWire::Invalid(_) => unpublishable(error),
            })?;
        let Value::Array(options) = wire.parse()? else { return Err(Error::new(Code::BadRequest)) };
        let options = options.into_iter().enumerate().map(|(at, options)| {
            RpcOptions::read(options).map_err(|error| invalid_options(error).at_event(at))
        });
        options.collect::<Result<_>>().map(Self::Each)
    }

    fn shared(options: RpcOptions) -> Self {
        let is_serialized = options.is_serialized();
        let mut options = PublishOptions::from(options);
        let key = options.idempotency_key.take();
        Self::Shared { options: Rc::new(options), key, is_serialized }
    }

    /// Whether the events are `{ json, meta }`: all of them, or none.
    fn is_serialized(&self) -> Result<bool> {
        match self {
            Self::Shared { is_serialized, .. } => Ok(*is_serialized),
            Self::Each(options) => {
                let serialized = options.iter().filter(|options| options.is_serialized()).count();
                match serialized {
                    0 => Ok(false),
                    all if all == options.len() => Ok(true),
                    _ => Err(Error::new(Code::BadRequest).message(
                        "Invalid publish options: serialized: expected the same value for all events",
                    )),
                }
            }
        }
    }

    /// Returns the event at an index with its options, which are taken. A shared idempotency key makes the whole batch idempotent.
    pub(in crate::object) fn event(&mut self, index: usize, body: Serialized) -> Result<BatchEvent> {
        match self {
            Self::Each(options) => {
                let options = options.get_mut(index).map(std::mem::take).unwrap_or_default();
                Ok(BatchEvent::new(body, options.into()))
            }
            Self::Shared { options, key, .. } => {
                let key = key.as_deref().map(|key| shared_key(key, index)).transpose()?;
                Ok(BatchEvent { body, options: Rc::clone(options), key })
            }
        }
    }
}

/// Returns the error for an event or options that have no serialized form.
pub(in crate::object) fn unpublishable(error: NotWire) -> Error {
    match error {
        NotWire::TooLarge { limit } => PublishError::TooLargeToRead { limit }.into(),
        NotWire::Invalid(reason) => PublishError::NotSerializable(reason).into(),
    }
}

/// Converts an event to the type of the class. The publisher receives the error of an invalid event.
pub(super) fn typed_event<O: DurableEventIteratorObject>(
    event: Value,
) -> Result<<O::Channel as IsChannel>::Event> {
    from_value(event).map_err(Error::invalid_input)
}

pub(super) fn invalid_options(error: InvalidInput) -> Error {
    Error::new(Code::BadRequest).message(format!("Invalid publish options: {error}")).data(error)
}

/// Whether the events of a class are of any type.
pub(super) fn is_untyped<O: DurableEventIteratorObject>() -> bool {
    TypeId::of::<<O::Channel as IsChannel>::Event>() == TypeId::of::<Value>()
}

impl JsWire {
    fn parse(&self) -> Result<Value> {
        parse(self.json.as_deref(), self.meta.as_deref()).map_err(Error::malformed)
    }
}

/// JavaScript writes the same form as the Rust serializer.
impl From<JsWire> for Serialized {
    fn from(JsWire { json, meta }: JsWire) -> Self {
        Self { json, meta, blobs: Vec::new() }
    }
}
