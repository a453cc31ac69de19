//! The core of a Durable Object whose class is written in TypeScript.
//!
//! The npm package `durable-event-iterator` contains the class that TypeScript applications extend. It holds a core, which does
//! everything but run the application's code: the core calls the class only for procedures that the client's token allows.

mod class;
mod endpoint;
mod socket_view;
mod tasks;
mod upload;

use self::{class::Class, tasks::Tasks};
use super::{
    DurableEventIteratorObject, Subscribed,
    host::{
        BATCH_LIMITS, BatchOptions, Host, batch_length, read_options, unpublishable, unpublishable_batch,
    },
    instance::{AnyHost, Instance},
};
use crate::{
    channel::{
        Audience, Channel, ChannelCore, PublishOptions,
        batch::{MAX_BATCH_BYTES, too_large},
        presence, subscription,
    },
    error::{Code, Error, Result},
    runtime::{self, Infinity, JsWire, NotWire, RawSocket},
    socket::Socket,
};
use durable_event_log::MAX_EVENT_BYTES;
use durable_event_wire::{Serialized, Value};
use js_sys::{Array, Object};
use std::{cell::OnceCell, rc::Rc};
use wasm_bindgen::{JsCast, JsValue};
use worker::{Env, worker_sys::DurableObjectState};

/// The application's part of the Durable Object: a class in TypeScript.
struct TypeScriptObject {
    class: Class,
    core: Rc<ChannelCore>,
}

impl DurableEventIteratorObject for TypeScriptObject {
    type Channel = Channel<Value>;

    fn new(_: Self::Channel, _: Env) -> Result<Self> {
        Err(Error::new(Code::NotImplemented)) // `Core` constructs it
    }

    fn on_subscribed(&self, client: &Subscribed<Self>) -> Result<()> {
        let gap = client.gap.map(|gap| gap.to_string());
        let cursor = client.last_event_id.as_deref();
        self.class.subscribed(client.socket.raw(), cursor, gap.as_deref(), client.is_resumed())
    }

    fn on_closed(&self, socket: &Socket) -> Result<()> {
        self.class.closed(socket.raw());
        Ok(())
    }

    async fn alarm(&self) -> Result<()> {
        // The class overrides `alarm`, and has called the one of its base class.
        self.core.prune().map(drop)
    }
}

/// The parts of a core that its operations use.
struct Shared {
    core: Rc<ChannelCore>,
    tasks: Rc<Tasks>,
}

/// The core of one instance of a class in TypeScript.
#[allow(missing_debug_implementations)]
pub struct Core {
    instance: Instance,
    shared: Rc<OnceCell<Shared>>,
}

/// The numbers of the operations, as in `npm/durable-event-iterator/src/durable-object/core.ts`.
mod operation {
    pub(super) const START: u8 = 0;
    pub(super) const PUBLISH: u8 = 1;
    pub(super) const SESSION: u8 = 2;
    pub(super) const ATTACHMENT: u8 = 3;
    pub(super) const SET_ATTACHMENT: u8 = 4;
    pub(super) const CLOSE_IF_EXPIRED: u8 = 5;
    pub(super) const SEND_SNAPSHOT: u8 = 6;
    pub(super) const SEND_LIVE: u8 = 7;
    pub(super) const RESPOND: u8 = 8;
    pub(super) const SEND_ITEM: u8 = 9;
    pub(super) const LAST_EVENT_ID: u8 = 10;
    pub(super) const SET_PRESENCE: u8 = 20;
    pub(super) const PUBLISH_BATCH: u8 = 30;
}

impl Core {
    /// Creates the core from the `ctx` and `env` of the class, and an object with the functions that the core calls: see
    /// `class.rs`.
    #[must_use]
    pub fn new(ctx: DurableObjectState, env: Env, class: JsValue) -> Self {
        let shared = Rc::new(OnceCell::new());
        let slot = Rc::clone(&shared);
        let make = move |ctx, env| {
            let class: Class = class.clone().unchecked_into();
            let options = class.options()?;
            let tasks = Tasks::new(class.clone());
            let external = Some(Rc::clone(&tasks) as _);
            let slot = Rc::clone(&slot);
            let new = |channel: Channel<Value>, _| {
                let core = channel.into_core();
                let _ = slot.set(Shared { core: Rc::clone(&core), tasks }); // `make` succeeds at most once
                Ok(TypeScriptObject { class, core })
            };
            let host = Host::<TypeScriptObject>::with(ctx, env, options, new, external)?;
            Ok(Rc::new(host) as Rc<dyn AnyHost>)
        };
        let instance = Instance::with("A Durable Object in TypeScript", ctx, env, Rc::new(make));
        Self { instance, shared }
    }

    /// Creates the dummy that is passed to [`extend_core`].
    #[must_use]
    pub fn none() -> Self {
        Self { instance: Instance::none(), shared: Rc::default() }
    }

    /// Returns the instance, which handles the calls of the Workers runtime.
    #[must_use]
    pub const fn instance(&self) -> &Instance {
        &self.instance
    }

    /// Handles an HTTP request that reads a channel: see [`ChannelEndpoint`](crate::http::ChannelEndpoint). `options` is the JSON of
    /// [`endpoint::EndpointOptions`]. Returns a promise of the response.
    #[must_use]
    pub fn handle(&self, request: JsValue, namespace: JsValue, options: &JsValue) -> JsValue {
        endpoint::handle(request, namespace, options)
    }

    /// Runs an operation that the class has called. Returns a `Failure` for an error, which the class throws.
    #[must_use]
    pub fn operate(&self, operation: u8, arguments: [JsValue; 4]) -> JsValue {
        if let Err(failure) = self.instance.start() {
            return failure;
        }
        let Some(Shared { core, tasks }) = self.shared.get() else { return JsValue::UNDEFINED };
        let [first, second, third, fourth] = arguments;
        let result = match operation {
            operation::START => Ok(JsValue::UNDEFINED),
            operation::PUBLISH => publish(core, &first, &second, &third, &fourth),
            operation::PUBLISH_BATCH => publish_batch(core, &first, &second, &third, &fourth),
            operation::SESSION => Ok(socket_view::session(core, &first.unchecked_into())),
            operation::ATTACHMENT => Ok(socket_view::attachment(core, &first.unchecked_into())),
            operation::SET_ATTACHMENT => {
                socket_view::set_attachment(core, &first.unchecked_into(), &second, &third)
            }
            operation::CLOSE_IF_EXPIRED => Ok(socket_view::close_if_expired(core, &first.unchecked_into())),
            operation::SEND_SNAPSHOT => send_snapshot(core, &first.unchecked_into(), &second, &third),
            operation::SEND_LIVE => send_live(core, &first, &second, &third),
            operation::RESPOND => Ok(tasks.respond(&first, &second.unchecked_into()).into()),
            operation::SEND_ITEM => Ok(tasks.send_item(&first, &second.unchecked_into()).into()),
            operation::SET_PRESENCE => set_presence(core, &first.unchecked_into(), &second, &third),
            operation::LAST_EVENT_ID => core.last_event_id().map(|id| id.map(|id| id.to_string()).into()),
            _ => Ok(JsValue::UNDEFINED),
        };
        result.unwrap_or_else(|error| runtime::failure(&error))
    }
}

/// Makes the class of `dummy` the core of TypeScript classes.
pub fn extend_core(dummy: JsValue) {
    console_error_panic_hook::set_once();
    runtime::extend("Core", &dummy, &[]);
}

/// Serializes an event. `customs` are the custom serializers of the class.
fn event_of(event: &JsValue, customs: &JsValue) -> Result<Serialized> {
    let event = runtime::to_wire_with(event, MAX_EVENT_BYTES, Infinity::Null, customs);
    Ok(event.map_err(unpublishable)?.into())
}

/// Publishes an event. `options` are those of `stub.publish`; `sockets` is `[addressed, excluded]`, each a list of sockets or
/// undefined.
fn publish(
    core: &ChannelCore,
    event: &JsValue,
    options: &JsValue,
    customs: &JsValue,
    sockets: &JsValue,
) -> Result<JsValue> {
    let mut options = match options.is_undefined() {
        true => PublishOptions::new(),
        false => PublishOptions::from(read_options(options)?),
    };
    if let Some(sockets) = sockets.dyn_ref::<Array>() {
        options.audience = with_sockets(core, options.audience, &sockets.get(0), &sockets.get(1));
    }
    let published = core.publish(&event_of(event, customs)?, &options)?;
    Ok(runtime::published(&published.id.to_string(), published.is_duplicate))
}

/// Publishes events, all or none. `options` are those of `stub.publishBatch`; `sockets` is a list with `[addressed, excluded]` or
/// undefined for each event, or undefined. Returns JSON.
fn publish_batch(
    core: &ChannelCore,
    events: &JsValue,
    options: &JsValue,
    customs: &JsValue,
    sockets: &JsValue,
) -> Result<JsValue> {
    let count = batch_length(events)?;
    let mut options = BatchOptions::read((!options.is_undefined()).then_some(options), count)?;
    let wires = runtime::to_wire_all_with(events, BATCH_LIMITS, customs).map_err(unpublishable_batch)?;
    let sockets = sockets.dyn_ref::<Array>();
    let mut restricted = Restricted::default();
    let event = |(at, wire): (usize, JsWire)| {
        let mut event = options.event(at, Serialized::from(wire))?;
        let sockets = sockets.map(|sockets| sockets.get(u32::try_from(at).unwrap_or(u32::MAX)));
        if let Some(sockets) = sockets.as_ref().and_then(|sockets| sockets.dyn_ref::<Array>()) {
            event.options = restricted.options(core, event.options, sockets)?;
        }
        Ok(event)
    };
    let events = wires.into_iter().enumerate().map(event).collect::<Result<Vec<_>>>()?;
    let published = core.publish_batch(&events)?;
    Ok(serde_json::to_string(&published)?.into())
}

/// The options of a batch that are restricted to sockets.
#[derive(Default)]
struct Restricted {
    /// The options and sockets of the last event, and its restricted options. Events that share both share the result.
    last: Option<(Rc<PublishOptions>, Array, Rc<PublishOptions>)>,
    /// The size of all audiences in bytes.
    bytes: usize,
}

impl Restricted {
    /// Restricts the options of the next event. `sockets` are the recipients and the excluded sockets.
    ///
    /// # Errors
    /// PAYLOAD_TOO_LARGE as soon as the audiences are larger than a batch may be.
    fn options(
        &mut self,
        core: &ChannelCore,
        options: Rc<PublishOptions>,
        sockets: &Array,
    ) -> Result<Rc<PublishOptions>> {
        if let Some((known, known_sockets, restricted)) = &self.last
            && Rc::ptr_eq(known, &options)
            && Object::is(known_sockets, sockets)
        {
            return Ok(Rc::clone(restricted));
        }
        let mut own = PublishOptions::clone(&options);
        own.audience = with_sockets(core, own.audience, &sockets.get(0), &sockets.get(1));
        self.bytes = self.bytes.saturating_add(own.audience.rule.bytes());
        if self.bytes > MAX_BATCH_BYTES {
            return Err(too_large());
        }
        let own = Rc::new(own);
        self.last = Some((options, sockets.clone(), Rc::clone(&own)));
        Ok(own)
    }
}

/// Restricts an audience to sockets, and excludes others.
fn with_sockets(core: &ChannelCore, mut audience: Audience, to: &JsValue, except: &JsValue) -> Audience {
    if let Some(to) = to.dyn_ref::<Array>() {
        let (ids, sockets) = recipients(core, to);
        audience.rule = audience.rule.only_to(ids);
        audience.chosen.extend(sockets);
    }
    if let Some(except) = except.dyn_ref::<Array>() {
        let (ids, sockets) = recipients(core, except);
        audience.rule = audience.rule.except(ids);
        audience.except.extend(sockets);
    }
    audience
}

/// Returns the connection ids of sockets, and the sockets without one. A socket whose session cannot be read has closed.
fn recipients(core: &ChannelCore, sockets: &Array) -> (Vec<String>, Vec<RawSocket>) {
    let mut ids = Vec::new();
    let mut without = Vec::new();
    for raw in sockets_of(sockets) {
        let Ok(session) = core.sessions.read(&raw) else { continue };
        match &session.connection {
            Some(id) => ids.push(id.clone()),
            None => without.push(raw),
        }
    }
    (ids, without)
}

fn sockets_of(sockets: &Array) -> impl Iterator<Item = RawSocket> {
    sockets.iter().map(|socket| socket.unchecked_into())
}

/// Sends the events of a snapshot to one socket.
fn send_snapshot(
    core: &ChannelCore,
    socket: &RawSocket,
    events: &JsValue,
    customs: &JsValue,
) -> Result<JsValue> {
    let events: &Array = events.unchecked_ref();
    let bodies = events.iter().map(|event| event_of(&event, customs)).collect::<Result<Vec<_>>>()?;
    subscription::send_snapshot(core, socket, bodies)?;
    Ok(JsValue::UNDEFINED)
}

/// Sets the state of a socket's member.
fn set_presence(
    core: &ChannelCore,
    socket: &RawSocket,
    state: &JsValue,
    customs: &JsValue,
) -> Result<JsValue> {
    let state = runtime::to_wire_with(state, MAX_EVENT_BYTES, Infinity::Null, customs).map_err(|error| {
        let code = match error {
            NotWire::TooLarge { .. } => Code::PayloadTooLarge,
            NotWire::Invalid(_) => Code::BadRequest,
        };
        Error::new(code).message(format!("The presence state is invalid: {error}"))
    })?;
    presence::set_state(core, socket, state.into())?;
    Ok(JsValue::UNDEFINED)
}

/// Sends a live event to sockets. It is not stored.
fn send_live(core: &ChannelCore, sockets: &JsValue, event: &JsValue, customs: &JsValue) -> Result<JsValue> {
    let body = event_of(event, customs)?;
    if !body.has_plain_root() {
        return Err(crate::error::PublishError::NotAnObject.into());
    }
    let sockets: Vec<RawSocket> = sockets_of(sockets.unchecked_ref()).collect();
    subscription::send_live(core, sockets, body)?;
    Ok(JsValue::UNDEFINED)
}
