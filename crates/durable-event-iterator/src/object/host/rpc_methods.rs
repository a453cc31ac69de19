//! The RPC methods of a stub: `publish`, and those of the application.

use super::Host;
use crate::{
    channel::{
        IsChannel, PublishOptions, Published, event_body,
        rpc_options::{RESTRICTIONS, RpcOptions},
    },
    error::{Code, Error, PublishError, Result},
    object::DurableEventIteratorObject,
    runtime::{self, Infinity, JsWire, NotWire, RpcValue},
};
use durable_event_log::MAX_EVENT_BYTES;
use durable_event_wire::{InvalidInput, Issue, Serialized, Value, from_value, parse};
use std::any::TypeId;

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

fn invalid_options(error: InvalidInput) -> Error {
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
