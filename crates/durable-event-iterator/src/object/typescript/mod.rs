//! The core of a Durable Object whose class is written in TypeScript.
//!
//! The npm package `durable-event-iterator` contains the class that TypeScript applications extend. It holds a core, which does
//! everything but run the application's code: the core calls the class only for procedures that the client's token allows.

mod class;
mod socket_view;
mod stream;

use self::class::Class;
use super::{
    Call, DurableEventIteratorObject, Subscribed,
    host::{Host, read_options, unpublishable},
    instance::{AnyHost, Instance},
};
use crate::{
    channel::{Audience, Channel, ChannelCore, PublishOptions, subscription},
    error::{Code, Error, Result},
    procedure::{Answer, Input, Procedures, Reply},
    runtime::{self, Infinity, RawSocket},
};
use durable_event_log::MAX_EVENT_BYTES;
use durable_event_wire::{Serialized, Value, serialize};
use futures_util::StreamExt;
use js_sys::Array;
use std::{
    cell::{Cell, OnceCell},
    rc::Rc,
};
use wasm_bindgen::{JsCast, JsValue};
use worker::{Env, worker_sys::DurableObjectState};

/// The application's part of the Durable Object: a class in TypeScript.
struct TypeScriptObject {
    class: Class,
    core: Rc<ChannelCore>,
    /// The number of the last task that the class has begun.
    tasks: Cell<u32>,
}

impl DurableEventIteratorObject for TypeScriptObject {
    type Channel = Channel<Value>;

    fn new(_: Self::Channel, _: Env) -> Result<Self> {
        Err(Error::new(Code::NotImplemented)) // `Core` constructs it
    }

    fn procedures() -> Procedures<Self, Call<Self>> {
        Procedures::new().fallback(Rc::new(|object, call, path, input| Box::pin(object.call(call, path, input))))
    }

    fn on_subscribed(&self, client: &Subscribed<Self>) -> Result<()> {
        let gap = client.gap.map(|gap| gap.to_string());
        let cursor = client.last_event_id.as_deref();
        self.class.subscribed(client.socket.raw(), cursor, gap.as_deref(), client.is_resumed())
    }

    async fn alarm(&self) -> Result<()> {
        // The class overrides `alarm`, and has called the one of its base class.
        self.core.prune().map(drop)
    }
}

impl TypeScriptObject {
    /// Runs a procedure of the class.
    async fn call(&self, call: Call<Self>, path: Vec<String>, input: Input) -> Result<Reply> {
        let number = self.tasks.get().wrapping_add(1);
        self.tasks.set(number);
        let task = self.class.task(number);
        let (input, upload) = match input {
            Input::Value(value) => (serialize(&value)?, None),
            Input::Stream(upload) => (Serialized::default(), Some(stream::reader_of(upload))),
        };
        let read = upload.as_ref().map(|upload| &upload.read);
        let answer = task.run(&call, &path, input, read).await?;
        let Some(items) = answer.stream else {
            return Ok(Reply(Answer::Value { status: answer.status, body: answer.body }));
        };
        // The stream keeps the task, and the client's stream that the procedure reads.
        Ok(Reply(Answer::Stream(stream::items_of(task, items, upload).boxed_local())))
    }
}

/// The core of one instance of a class in TypeScript.
#[allow(missing_debug_implementations)]
pub struct Core {
    instance: Instance,
    core: Rc<OnceCell<Rc<ChannelCore>>>,
}

/// The numbers of the operations, as in `npm/durable-event-iterator/src/durable-object/core.ts`.
mod operation {
    pub(super) const START: u8 = 0;
    pub(super) const PUBLISH: u8 = 1;
    pub(super) const SESSION: u8 = 2;
    pub(super) const ATTACHMENT: u8 = 3;
    pub(super) const SET_ATTACHMENT: u8 = 4;
    pub(super) const CLOSE_IF_EXPIRED: u8 = 5;
    pub(super) const PRUNE: u8 = 6;
    pub(super) const SEND_SNAPSHOT: u8 = 7;
    pub(super) const SEND_LIVE: u8 = 8;
}

impl Core {
    /// Creates the core from the `ctx` and `env` of the class, and an object with the functions that the core calls: see
    /// `class.rs`.
    #[must_use]
    pub fn new(ctx: DurableObjectState, env: Env, class: JsValue) -> Self {
        let core = Rc::new(OnceCell::new());
        let shared = Rc::clone(&core);
        let make = move |ctx, env| {
            let class: Class = class.clone().unchecked_into();
            let options = class.options()?;
            let shared = Rc::clone(&shared);
            let new = |channel: Channel<Value>, _| {
                let core = channel.into_core();
                let _ = shared.set(Rc::clone(&core)); // `make` succeeds at most once
                Ok(TypeScriptObject { class, core, tasks: Cell::new(0) })
            };
            let host: Rc<dyn AnyHost> = Rc::new(Host::<TypeScriptObject>::with(ctx, env, options, new)?);
            Ok(host)
        };
        let instance = Instance::with("A Durable Object in TypeScript", ctx, env, Rc::new(make));
        Self { instance, core }
    }

    /// Creates the dummy that is passed to [`extend_core`].
    #[must_use]
    pub fn none() -> Self {
        Self { instance: Instance::none(), core: Rc::default() }
    }

    /// Returns the instance, which handles the calls of the Workers runtime.
    #[must_use]
    pub const fn instance(&self) -> &Instance {
        &self.instance
    }

    /// Runs an operation that the class has called. Returns a `Failure` for an error, which the class throws.
    #[must_use]
    pub fn operate(&self, operation: u8, arguments: [JsValue; 4]) -> JsValue {
        if let Err(failure) = self.instance.start() {
            return failure;
        }
        let Some(core) = self.core.get() else { return JsValue::UNDEFINED };
        let [first, second, third, fourth] = arguments;
        let result = match operation {
            operation::START => Ok(JsValue::UNDEFINED),
            operation::PUBLISH => publish(core, &first, &second, third, &fourth),
            operation::SESSION => Ok(socket_view::session(core, &first.unchecked_into())),
            operation::ATTACHMENT => Ok(socket_view::attachment(core, &first.unchecked_into())),
            operation::SET_ATTACHMENT => {
                socket_view::set_attachment(core, &first.unchecked_into(), &second, &third)
            }
            operation::CLOSE_IF_EXPIRED => Ok(socket_view::close_if_expired(core, &first.unchecked_into())),
            operation::PRUNE => {
                core.prune().map(|next| next.map_or(JsValue::UNDEFINED, |at| JsValue::from_f64(at as f64)))
            }
            operation::SEND_SNAPSHOT => send_snapshot(core, &first.unchecked_into(), &second, &third),
            operation::SEND_LIVE => send_live(core, &first, &second, &third),
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
    customs: JsValue,
    sockets: &JsValue,
) -> Result<JsValue> {
    let mut options = if options.is_undefined() {
        PublishOptions::new()
    } else {
        PublishOptions::from(read_options(options)?)
    };
    if let Some(sockets) = sockets.dyn_ref::<Array>() {
        options.audience = with_sockets(core, options.audience, &sockets.get(0), &sockets.get(1));
    }
    let published = core.publish(&event_of(event, &customs)?, &options)?;
    Ok(runtime::published(&published.id.to_string(), published.is_duplicate))
}

/// Restricts an audience to sockets, and excludes others.
fn with_sockets(core: &ChannelCore, audience: Audience, to: &JsValue, except: &JsValue) -> Audience {
    let mut audience = audience;
    let mut split = |list: &JsValue, without_id: fn(&mut Audience) -> &mut Vec<RawSocket>| {
        let list = list.dyn_ref::<Array>()?;
        let mut ids = Vec::new();
        for raw in list.iter().map(|socket| socket.unchecked_into::<RawSocket>()) {
            // A socket whose session cannot be read has closed.
            let Ok(session) = core.sessions.read(&raw) else { continue };
            match &session.connection {
                Some(id) => ids.push(id.clone()),
                None => without_id(&mut audience).push(raw),
            }
        }
        Some(ids)
    };
    let to = split(to, |audience| &mut audience.chosen);
    let except = split(except, |audience| &mut audience.except);
    if let Some(to) = to {
        audience.rule = audience.rule.only_to(to);
    }
    if let Some(except) = except {
        audience.rule = audience.rule.except(except);
    }
    audience
}

/// Sends the events of a snapshot to one socket.
fn send_snapshot(core: &ChannelCore, socket: &RawSocket, events: &JsValue, customs: &JsValue) -> Result<JsValue> {
    let events: Array = events.clone().unchecked_into();
    let bodies = events.iter().map(|event| event_of(&event, customs)).collect::<Result<Vec<_>>>()?;
    subscription::send_snapshot(core, socket, bodies)?;
    Ok(JsValue::UNDEFINED)
}

/// Sends a live event to sockets. It is not stored.
fn send_live(core: &ChannelCore, sockets: &JsValue, event: &JsValue, customs: &JsValue) -> Result<JsValue> {
    let body = event_of(event, customs)?;
    let sockets: Array = sockets.clone().unchecked_into();
    let sockets: Vec<RawSocket> = sockets.iter().map(|socket| socket.unchecked_into()).collect();
    core.send_on_commit(None, move |core| {
        sockets.iter().for_each(|socket| subscription::send_live(core, socket, &body));
    })?;
    Ok(JsValue::UNDEFINED)
}
