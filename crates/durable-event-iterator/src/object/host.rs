//! What stands around an application's object: what the platform and stubs call ends here.

use super::{
    Call, DurableEventIteratorObject, Invocation, SocketOf, StubCall, Subscribed,
    instance::{AnyHost, Arrival, Message},
    message::{self, Admitted, Asked, Refused, Route, close_code, token_expired},
    running_calls::{Calls, Running},
};
use crate::channel::PublishError;
use crate::{
    channel::{
        __Core, __Raw, ChannelCore, IsChannel, event_body,
        options::Options,
        publish_options::{self, PublishOptions},
    },
    error::{Code, Error, Result},
    procedure::{Answer, Held, Input, Item, Next, Procedures, Reply, Upload, UploadSender},
    runtime::{self, Identity, Infinity, JsError, JsWire, NotWire, OpenStream, RawSocket, Verdict},
    socket::{
        session::Session,
        session_store::SessionStore,
        subscription::{self, Subscribe},
    },
    upgrade::{self, Accepted, Caps, Refusal},
};
use durable_event_log::{EventId, MAX_EVENT_BYTES};
use durable_event_token::SigningKeys;
use durable_event_wire::{
    CheckedMeta, InvalidInput, Issue, Serialized, Value,
    frame::{
        Body, ClientFrame, Outgoing, Request as Frame, StreamEvent, StreamEventKind, decode_binary,
        decode_text, error_response, response, stop_upload, stream_event, stream_response, text_response,
    },
    from_value, parse,
};
use futures_util::{
    StreamExt,
    future::{AbortHandle, AbortRegistration, Abortable},
    stream::LocalBoxStream,
};
use std::{
    any::TypeId,
    cell::{OnceCell, RefCell},
    future::poll_fn,
    pin::pin,
    rc::Rc,
    task::Poll,
};
use wasm_bindgen::{JsCast, JsValue};
use worker::{Env, worker_sys::DurableObjectState};

/// What one instance of a class holds. Nothing in it cannot be rebuilt: it goes whenever the object sleeps.
pub(super) struct Host<O: DurableEventIteratorObject> {
    object: O,
    procedures: Procedures<O, Call<O>>,
    methods: Procedures<O, StubCall>,
    core: Rc<ChannelCore>,
    /// Read when the first client comes: most wakings are for a publish.
    keys: OnceCell<Option<SigningKeys>>,
    env: Env,
    identity: Identity,
    caps: Caps,
    calls: RefCell<Calls>,
}

/// Who has sent a frame.
#[derive(Clone, Copy)]
struct Peer<'a> {
    ws: &'a RawSocket,
    key: u32,
    /// When the frame came.
    now_ms: u64,
    /// How large the frame is. The Workers runtime keeps it for as long as its call waits.
    frame_bytes: usize,
    session: &'a Rc<Session>,
}

/// What a frame leaves to do that may have to wait.
enum Received<O: DurableEventIteratorObject> {
    Subscribe(Rc<Session>, Subscribe),
    Call(Rc<Session>, Box<ReceivedCall<O>>),
}

/// A call that its client may make, and its context.
type AdmittedCall<O> = (Admitted<O, Call<O>>, Call<O>);

/// A call that has been read.
struct ReceivedCall<O: DurableEventIteratorObject> {
    id: String,
    admitted: Result<AdmittedCall<O>>,
    upload: Option<UploadSender>,
    held: Rc<Held>,
    handle: AbortHandle,
    registration: AbortRegistration,
}

impl<O: DurableEventIteratorObject> Host<O> {
    /// The host of an object of a class, whose `ctx` and `env` these are.
    ///
    /// # Errors
    /// When the platform does not let the library see the object's sockets.
    pub(super) fn make(class: &str, ctx: DurableObjectState, env: Env) -> Result<Rc<dyn AnyHost>, JsValue> {
        match Self::new(ctx, env) {
            Ok(host) => Ok(Rc::new(host)),
            Err(error) => Err(failure(class, &error.into())),
        }
    }

    /// The object whose `ctx` and `env` these are.
    fn new(ctx: DurableObjectState, env: Env) -> Result<Self, JsError> {
        let options = O::options(&env);
        let identity = Identity::new(ctx.as_ref(), env.as_ref())?;
        let core = ChannelCore::new(ctx, options)?;
        let object = O::new(O::Channel::from_core(__Core(Rc::clone(&core))), env.clone());
        let calls = RefCell::new(Calls::new(&core.options));
        Ok(Self {
            object,
            procedures: O::procedures(),
            methods: O::methods(),
            core,
            keys: OnceCell::new(),
            env,
            identity,
            caps: Caps::default(),
            calls,
        })
    }

    fn options(&self) -> &Options {
        &self.core.options
    }

    fn keys(&self) -> Option<&SigningKeys> {
        let read = || self.options().signing_keys.clone().or_else(|| upgrade::signing_keys(&self.env));
        self.keys.get_or_init(read).as_ref()
    }

    /// An upgrade request, which a Worker has handed over.
    fn fetch(&self, request: &worker::web_sys::Request) -> JsValue {
        let refused = |refusal: Refusal| match upgrade::respond(&refusal) {
            Ok(response) => response.into(),
            Err(error) => failure("fetch", &error.into()),
        };
        self.upgrade(request).unwrap_or_else(refused)
    }

    /// The response that opens a socket.
    fn upgrade(&self, request: &worker::web_sys::Request) -> Result<JsValue, Refusal> {
        let keys = self.keys().ok_or(Refusal::NoKeys)?; // the log has said what to do
        // The Worker has verified the token too, but whoever binds the namespace can send any request.
        let Accepted { claims, connection_id, .. } = upgrade::read(request, keys)?;
        match self.identity.is(claims.channel().as_str())? {
            Verdict::Yes => {}
            Verdict::No => return Err(Refusal::OtherChannel),
            Verdict::Unknown => return Err(Refusal::NoName),
        }
        let connection = connection_id.map(|id| id.as_str().to_owned());
        let session = Session::new(&claims, connection, self.options().enforce_expiry);
        let attachment = session.encode().map_err(|_| Refusal::AttachmentTooLarge)?;
        self.core.note_token(session.claims.iat, session.claims.exp);
        let tags = self.caps.admit(&self.core.hub, self.options(), &claims, session.connection.as_deref())?;
        let response = self.core.hub.accept(&tags, &attachment);
        let response = response.map_err(|error| self.caps.refused(&self.core.hub, error))?;
        self.core.ensure_alarm(); // setting it may have failed before
        Ok(response)
    }

    /// A frame of a client.
    async fn message(&self, arrival: Arrival, message: Message) {
        let Arrival { ws, key, now_ms } = arrival;
        let ws: RawSocket = ws.unchecked_into();
        let received = self.receive(&ws, key, now_ms as u64, &message);
        // What waits does not keep the frame, which may be large.
        drop(message);
        let result = match received {
            Ok(Some(Received::Subscribe(session, ask))) => self.subscribe(&ws, &session, &ask).await,
            Ok(Some(Received::Call(session, call))) => self.call(&ws, key, &session, *call).await,
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = result {
            // Nothing that a client can do: its socket or the storage is gone. It reconnects and resumes.
            runtime::log_error(&format!("a frame could not be handled: {error}"));
            close(&ws, subscription::INTERNAL_ERROR, "Internal error");
        }
    }

    /// Reads a frame, and does at once what there is nothing to wait for. What is left to do holds nothing of the message.
    fn receive(
        &self,
        ws: &RawSocket,
        key: u32,
        now_ms: u64,
        message: &Message,
    ) -> Result<Option<Received<O>>> {
        let decoded = match message {
            // Its characters have been counted before it came into WASM.
            Message::Text(text) if text.len() > self.options().max_frame => {
                close(ws, close_code::TOO_BIG, "Frame too large");
                return Ok(None);
            }
            Message::Text(text) => decode_text(text),
            Message::Bytes(bytes) => decode_binary(bytes),
        };
        let frame = match decoded {
            Ok(frame) => frame,
            Err(error) => {
                match message::refuse(error) {
                    Refused::Answered(answer) => ws.answer(answer),
                    Refused::Closed { code, reason } => close(ws, code, reason),
                }
                return Ok(None);
            }
        };
        let Some(session) = self.core.sessions.serve(key, ws)? else { return Ok(None) };
        let frame_bytes = match message {
            Message::Text(text) => text.len(),
            Message::Bytes(bytes) => bytes.len(),
        };
        let peer = &Peer { ws, key, now_ms, frame_bytes, session: &session };
        match frame {
            ClientFrame::Request(request) => self.request(peer, request),
            ClientFrame::Abort { id } => {
                if !subscription::abort(&self.core, ws, &session, &id)? {
                    self.calls.try_borrow_mut()?.abort(key, &id);
                }
                Ok(None)
            }
            ClientFrame::Event { id, event } => self.upload(peer, &id, &event).map(|()| None),
        }
    }

    /// An item of a stream that is a call's input; of no call that is running, it is ignored.
    fn upload(&self, peer: &Peer<'_>, id: &str, event: &StreamEvent<'_>) -> Result<()> {
        let Peer { ws, key, now_ms, session, .. } = *peer;
        let is_expired = session.is_expired(now_ms);
        let mut calls = self.calls.try_borrow_mut()?;
        if let Some(answer) = message::upload(&mut calls, key, is_expired, id, event) {
            ws.answer(answer);
        }
        Ok(())
    }

    fn request(&self, peer: &Peer<'_>, request: Frame<'_>) -> Result<Option<Received<O>>> {
        let Peer { ws, key, now_ms, session, .. } = *peer;
        let id = request.id.clone().into_owned();
        if message::is_open(session, &*self.calls.try_borrow()?, key, &id) {
            close(ws, close_code::POLICY, "Call id in use");
            return Ok(None);
        }
        if session.is_expired(now_ms) {
            subscription::refuse_expired(&self.core, ws, &id);
            return Ok(None);
        }
        match message::route(&request.path, &self.procedures) {
            Route::Subscribe => {
                let ask = Subscribe::new(id, &request.headers);
                Ok(Some(Received::Subscribe(Rc::clone(session), ask)))
            }
            Route::UpdateToken => {
                let answer = match self.update_token(peer, request) {
                    Ok(()) => response(&id, OK, Serialized::default()),
                    Err(error) => error_response(&id, &error.body()),
                };
                ws.answer(answer);
                Ok(None)
            }
            Route::Call => self.receive_call(peer, id, None, request),
            Route::Direct(path) => self.receive_call(peer, id, Some(path), request),
            Route::Nowhere => {
                ws.answer(text_response(&id, Code::NotFound.status(), "No procedure matched"));
                Ok(None)
            }
        }
    }

    async fn subscribe(&self, ws: &RawSocket, session: &Session, ask: &Subscribe) -> Result<()> {
        let on_live = |gap| {
            let last_event_id = ask.last_event_id.clone();
            let socket = self.socket(ws, session);
            let core = Rc::clone(&self.core);
            let subscribed = Subscribed::new(core, socket, ws.clone(), last_event_id, gap);
            self.object.on_subscribed(&subscribed)
        };
        subscription::subscribe(&self.core, ws, ask, &on_live).await
    }

    /// The socket as the application sees it.
    fn socket(&self, ws: &RawSocket, session: &Session) -> SocketOf<O> {
        let raw = __Raw { connection: session.connection.clone(), socket: ws.clone() };
        O::Channel::socket(&__Core(Rc::clone(&self.core)), raw)
    }

    /// A client of generation 2 renews its token on the open socket.
    fn update_token(&self, peer: &Peer<'_>, request: Frame<'_>) -> Result<()> {
        let Peer { ws, session, now_ms, .. } = *peer;
        let keys = self.keys().ok_or_else(|| Error::new(Code::InternalServerError))?;
        let input = request.body.into_value().map_err(Error::malformed)?;
        let is_own = |channel: &str| self.identity.is(channel).is_ok_and(|is| is == Verdict::Yes);
        let renewed = message::renew(session, input, keys, &is_own, now_ms)?;
        self.core.note_token(renewed.claims.iat, renewed.claims.exp);
        self.core.sessions.write(ws, renewed)
    }

    /// Reads a call, unless too many are running. `direct` is the procedure's path where the request's own path says it, and
    /// not the input of `/call`.
    fn receive_call(
        &self,
        peer: &Peer<'_>,
        id: String,
        direct: Option<Vec<String>>,
        request: Frame<'_>,
    ) -> Result<Option<Received<O>>> {
        let Peer { ws, key, frame_bytes, session, .. } = *peer;
        let calls = self.calls.try_borrow()?;
        if calls.running(key) >= self.options().max_calls {
            ws.answer(error_response(&id, &Code::TooManyRequests.into()));
            return Ok(None);
        }
        let held = calls.holds_nothing();
        let Frame { headers, body, .. } = request;
        let (upload, asked) = if matches!(body, Body::Stream) {
            let (sender, upload) = Upload::<Value>::channel(self.options().max_frame, Rc::clone(&held));
            (Some(sender), Asked::new(direct, Input::Stream(upload)))
        } else {
            (None, Asked::read(direct, body))
        };
        let (handle, registration) = AbortHandle::new_pair();
        let admitted = message::admit(&self.procedures, session, asked).and_then(|admitted| {
            let last_event_id = headers.get("last-event-id").map(str::to_owned);
            let headers = headers.into_map();
            let input = admitted.memory(&headers);
            calls.hold(key, &held, input.saturating_add(frame_bytes))?;
            let handle = handle.clone();
            let call = Call { socket: self.socket(ws, session), last_event_id, headers, handle };
            Ok((admitted, call))
        });
        let call = ReceivedCall { id, admitted, upload, held, handle, registration };
        Ok(Some(Received::Call(Rc::clone(session), Box::new(call))))
    }

    /// Runs one call; nothing is sent for it any more once its client has aborted it.
    async fn call(&self, ws: &RawSocket, key: u32, session: &Session, call: ReceivedCall<O>) -> Result<()> {
        let ReceivedCall { id, admitted, upload, held, handle, registration } = call;
        let work = async {
            match self.run(admitted).await {
                Ok(Reply(Answer::Value(output))) => ws.answer(response(&id, OK, output)),
                Ok(Reply(Answer::Stream(items))) => {
                    stream(&self.core.sessions, ws, session, &id, items).await;
                }
                Err(error) => {
                    runtime::log_internal("a call", &error);
                    ws.answer(error_response(&id, &error.body()));
                }
            }
        };
        let mut work = pin!(Abortable::new(work, registration));
        // Most calls end at once. Only one that has to wait is noted, since only then others get to see that it runs.
        let now = poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await;
        let is_unread = if now.is_ready() {
            upload.is_some()
        } else {
            let is_upload = upload.is_some();
            self.calls.try_borrow_mut()?.start(key, &id, Running { handle, upload, held });
            let ended = work.await;
            let mut calls = self.calls.try_borrow_mut()?;
            let is_unread = is_upload && ended.is_ok() && calls.upload(key, &id).is_some();
            calls.finish(key, &id);
            is_unread
        };
        if is_unread {
            ws.answer(Outgoing::Text(stop_upload(&id))); // the procedure wants no more of it
        }
        Ok(())
    }

    async fn run(&self, admitted: Result<AdmittedCall<O>>) -> Result<Reply> {
        let (Admitted { path, input, handler }, call) = admitted?;
        let invocation = Invocation { path, call: call.clone() };
        self.object.intercept(invocation, Next::new(handler(&self.object, call, input))).await
    }

    /// A client has closed its socket, or lost it.
    fn close(&self, ws: JsValue, code: JsValue) {
        let ws: RawSocket = ws.unchecked_into();
        self.forget(&ws);
        // Without an answer the client sees no close frame, and the connection stays open.
        let code = match code.as_f64().map_or(close_code::NO_STATUS, |code| code as u16) {
            close_code::NO_STATUS => close_code::NORMAL,
            code => code,
        };
        if ws.close(code, "").is_err() {
            // A code that no close frame may have. Of one that has vanished nothing is left to be answered.
            close(&ws, close_code::PROTOCOL_ERROR, "Invalid close code");
        }
    }

    /// A socket has failed.
    fn error(&self, ws: JsValue) {
        let ws: RawSocket = ws.unchecked_into();
        self.forget(&ws);
        close(&ws, subscription::INTERNAL_ERROR, "Socket error");
    }

    fn forget(&self, ws: &RawSocket) {
        let Ok(socket) = ws.key() else { return };
        self.core.sessions.forget(socket);
        if let Ok(mut calls) = self.calls.try_borrow_mut() {
            calls.abort_all(socket);
        }
    }

    /// The object's alarm has gone off; or a stub calls its name, which does no harm.
    async fn alarm(&self) -> JsValue {
        let result = if self.options().prune_by_alarm {
            self.core.prune_and_rearm().await
        } else {
            self.object.alarm().await
        };
        result.map_or_else(
            |error| {
                runtime::log_error(&format!("the alarm failed, the platform tries again: {error}"));
                runtime::failure(&error)
            },
            |()| JsValue::UNDEFINED,
        )
    }

    /// `stub.publish(event, options?)` of any Worker.
    fn publish(&self, event: &JsValue, options: &JsValue) -> JsValue {
        self.try_publish(event, options)
            .map_or_else(|error| failure("publish", &error), |id| JsValue::from_str(&id.to_string()))
    }

    fn try_publish(&self, event: &JsValue, options: &JsValue) -> Result<EventId> {
        let options: PublishOptions = if options.is_undefined() {
            PublishOptions::default()
        } else {
            if let Some(name) = runtime::undefined_option(options, &publish_options::RESTRICTIONS)? {
                return Err(invalid_options(Issue::new("expected a value, found undefined").at(name).into()));
            }
            let options =
                runtime::to_wire(options, MAX_EVENT_BYTES, Infinity::Error).map_err(unpublishable)?;
            PublishOptions::read(options.parse()?).map_err(invalid_options)?
        };
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
        let meta = options.meta().map_err(PublishError::InvalidMeta)?;
        self.core.publish(&body, &meta, &options.audience(), options.idempotency_key())
    }

    /// A method of the application, called by a Worker that holds a stub.
    async fn dispatch(&self, name: JsValue, arguments: JsValue) -> JsValue {
        let name = name.as_string().unwrap_or_default();
        self.try_dispatch(&name, &arguments).await.unwrap_or_else(|error| failure(&name, &error))
    }

    async fn try_dispatch(&self, name: &str, arguments: &JsValue) -> Result<JsValue> {
        let arguments = runtime::to_wire(arguments, MAX_ARGUMENT_BYTES, Infinity::Null).map_err(|error| {
            let code = match error {
                NotWire::TooLarge { .. } => Code::PayloadTooLarge,
                NotWire::Invalid(_) => Code::BadRequest,
            };
            Error::new(code).message(format!("arguments of {name:?}: {error}"))
        })?;
        let arguments = match arguments.parse()? {
            Value::Array(arguments) if arguments.is_empty() => Value::Undefined,
            arguments => arguments,
        };
        let handler = self.methods.find(&[name.to_owned()]).ok_or_else(|| Error::new(Code::NotFound))?;
        match handler(&self.object, StubCall::default(), Input::Value(arguments)).await?.0 {
            Answer::Value(output) => Ok(runtime::from_wire(&output)?),
            Answer::Stream(_) => {
                Err(Error::new(Code::NotImplemented).message("A stub cannot be answered with a stream."))
            }
        }
    }
}

impl<O: DurableEventIteratorObject> AnyHost for Host<O> {
    fn max_frame(&self) -> usize {
        self.options().max_frame
    }

    fn message(self: Rc<Self>, arrival: Arrival, message: Message) -> JsValue {
        runtime::at_once(async move {
            (*self).message(arrival, message).await;
            JsValue::UNDEFINED
        })
    }

    fn fetch(&self, request: JsValue) -> JsValue {
        self.fetch(&request.unchecked_into())
    }

    fn close(&self, ws: JsValue, code: JsValue) {
        self.close(ws, code);
    }

    fn error(&self, ws: JsValue) {
        self.error(ws);
    }

    fn alarm(self: Rc<Self>) -> JsValue {
        runtime::at_once(async move { (*self).alarm().await })
    }

    fn publish(&self, event: JsValue, options: JsValue) -> JsValue {
        self.publish(&event, &options)
    }

    fn dispatch(self: Rc<Self>, name: JsValue, arguments: JsValue) -> JsValue {
        runtime::at_once(async move { (*self).dispatch(name, arguments).await })
    }
}

/// HTTP's "OK".
const OK: u16 = 200;

/// Items that are ready at once are sent in turns of so many, so that an endless stream does not hold up the object.
const ITEMS_PER_TURN: usize = 64;

/// Sends a stream's items until it ends, fails, or is aborted.
async fn stream(
    sessions: &SessionStore,
    ws: &RawSocket,
    session: &Session,
    id: &str,
    mut items: LocalBoxStream<'static, Result<Item>>,
) {
    let send_event = |kind, data: Option<&Serialized>, meta: Option<&CheckedMeta>| {
        ws.send_text(&stream_event(id, kind, data, meta)).is_ok()
    };
    // Once it seems over, it is asked anew: the token can have been renewed. A socket without a session has gone.
    let is_over = || {
        let now = runtime::now_ms();
        session.is_expired(now) && sessions.read(ws).is_ok_and(|session| session.is_expired(now))
    };
    if ws.send_text(&stream_response(id, &[])).is_err() {
        return;
    }
    let _open = OpenStream::new(ws, id);
    let mut turn = 0_usize;
    while let Some(item) = items.next().await {
        let item = if is_over() { Err(token_expired()) } else { item };
        match item {
            Ok(Item { data, meta, is_last: false }) => {
                if !send_event(StreamEventKind::Message, Some(&data), Some(&meta)) {
                    return; // nobody is there any more
                }
            }
            Ok(Item { data, meta, is_last: true }) => {
                send_event(StreamEventKind::Done, Some(&data), Some(&meta));
                return;
            }
            Err(error) => {
                runtime::log_internal("a stream", &error);
                send_event(StreamEventKind::Error, Some(&error.body().to_wire()), None);
                return;
            }
        }
        turn = turn.saturating_add(1);
        if turn.is_multiple_of(ITEMS_PER_TURN)
            && let Err(error) = runtime::next_turn().await
        {
            let error = Error::from(error);
            runtime::log_internal("a stream", &error);
            send_event(StreamEventKind::Error, Some(&error.body().to_wire()), None);
            return;
        }
    }
    send_event(StreamEventKind::Done, None, None);
}

/// What the arguments of an RPC method may have together, in bytes of JSON: four of the largest events.
const MAX_ARGUMENT_BYTES: usize = 8 * 1024 * 1024;

/// Why a stub's event or options cannot be published.
fn unpublishable(error: NotWire) -> Error {
    match error {
        NotWire::TooLarge { limit } => PublishError::TooLargeToRead { limit }.into(),
        NotWire::Invalid(reason) => PublishError::NotSerializable(reason).into(),
    }
}

/// An event as the class has it: one that does not fit is its publisher's to know.
fn typed_event<O: DurableEventIteratorObject>(event: Value) -> Result<<O::Channel as IsChannel>::Event> {
    from_value(event).map_err(Error::invalid_input)
}

fn invalid_options(error: InvalidInput) -> Error {
    Error::new(Code::BadRequest).message(format!("Invalid publish options: {error}")).data(error)
}

fn is_untyped<O: DurableEventIteratorObject>() -> bool {
    TypeId::of::<<O::Channel as IsChannel>::Event>() == TypeId::of::<Value>()
}

impl JsWire {
    fn parse(&self) -> Result<Value> {
        parse(self.json.as_deref(), self.meta.as_deref()).map_err(Error::malformed)
    }
}

/// JavaScript has written what our own serializer would write of it.
impl From<JsWire> for Serialized {
    fn from(JsWire { json, meta }: JsWire) -> Self {
        Self { json, meta, blobs: Vec::new() }
    }
}

/// What a method's caller gets as an exception.
fn failure(method: &str, error: &Error) -> JsValue {
    runtime::log_internal(method, error);
    runtime::failure(error)
}

/// An error is a socket that is closed already, or a code that cannot be sent.
fn close(ws: &RawSocket, code: u16, reason: &str) {
    let _ = ws.close(code, reason);
}
