//! The open sockets of one Durable Object. Fan-out and a replay step take one call into JavaScript each.

use crate::runtime::{Context, Cursor, EventMessages, JsError, OpenedSocket};
use durable_event_wire::frame::Outgoing;
use js_sys::{Array, Uint8Array};
use wasm_bindgen::prelude::*;

#[wasm_bindgen(module = "/src/runtime/hot.js")]
extern "C" {
    /// The class `Hub` of `hot.js`.
    pub(crate) type Hub;

    #[wasm_bindgen(constructor, catch)]
    fn construct(ctx: &JsValue) -> Result<Hub, JsValue>;

    // Cannot throw.
    #[wasm_bindgen(js_name = idOf)]
    fn id_of_js(ws: &RawSocket) -> u32;

    #[wasm_bindgen(method, catch, js_name = sockets)]
    fn sockets_js(this: &Hub) -> Result<Array, JsValue>;

    #[wasm_bindgen(method, catch, js_name = count)]
    fn count_js(this: &Hub, tag: &str) -> Result<u32, JsValue>;

    #[wasm_bindgen(method, catch, js_name = held)]
    fn held_js(this: &Hub) -> Result<u32, JsValue>;

    // These four cannot throw.
    #[wasm_bindgen(method, js_name = begin)]
    fn begin_js(this: &Hub, kind: u32);

    #[wasm_bindgen(method, js_name = end)]
    fn end_js(this: &Hub, kind: u32);

    /// Closes the sockets of all subscriptions, which may have missed a stored event: their clients reconnect and resume.
    #[wasm_bindgen(method, js_name = interruptLive)]
    pub(crate) fn interrupt_live(this: &Hub);

    /// Returns whether an earlier instance may not have announced a member, once.
    #[wasm_bindgen(method, js_name = takeUnannounced)]
    pub(crate) fn take_unannounced(this: &Hub) -> bool;

    #[wasm_bindgen(method, catch, js_name = delivered)]
    fn delivered_js(this: &Hub) -> Result<f64, JsValue>;

    #[wasm_bindgen(method, catch, js_name = accept)]
    fn accept_js(this: &Hub, tags: &Array, attachment: &Uint8Array) -> Result<Array, JsValue>;

    #[wasm_bindgen(method, catch, js_name = attachment)]
    fn attachment_js(this: &Hub, ws: &RawSocket) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, catch, js_name = setAttachment)]
    fn set_attachment_js(this: &Hub, ws: &RawSocket, bytes: &Uint8Array) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch, js_name = startReplay)]
    fn start_replay_js(this: &Hub, ws: &RawSocket, id: &str, now: f64) -> Result<Array, JsValue>;

    #[wasm_bindgen(method, catch, js_name = endReplay)]
    fn end_replay_js(this: &Hub, ws: &RawSocket, number: u32) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch, js_name = replayOf)]
    fn replay_of_js(this: &Hub, ws: &RawSocket) -> Result<Option<u32>, JsValue>;

    #[wasm_bindgen(method, catch, js_name = goLive)]
    fn go_live_js(this: &Hub, ws: &RawSocket, has_flow_control: bool) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch, js_name = hasRoom)]
    fn has_room_js(this: &Hub, ws: &RawSocket) -> Result<bool, JsValue>;

    #[wasm_bindgen(method, catch, js_name = acknowledge)]
    fn acknowledge_js(this: &Hub, ws: &RawSocket, characters: f64, left: f64) -> Result<f64, JsValue>;

    #[wasm_bindgen(method, catch, js_name = schedule)]
    fn schedule_js(this: &Hub, at: Option<f64>) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch, js_name = hide)]
    fn hide_js(this: &Hub, ws: &RawSocket) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch, js_name = show)]
    fn show_js(this: &Hub, ws: &RawSocket) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch, js_name = take)]
    fn take_js(this: &Hub, ws: &RawSocket, characters: f64, left: f64) -> Result<bool, JsValue>;

    #[wasm_bindgen(method, catch, js_name = fanOut)]
    fn fan_out_js(
        this: &Hub,
        tail: &str,
        now: f64,
        for_publishers: Option<&str>,
        read: &dyn Fn(RawSocket) -> Option<LiveView>,
    ) -> Result<Option<Array>, JsValue>;

    #[wasm_bindgen(method, catch, js_name = fanOut)]
    fn fan_out_to_js(
        this: &Hub,
        tail: &str,
        now: f64,
        for_publishers: Option<&str>,
        read: &dyn Fn(RawSocket) -> Option<LiveView>,
        admits: &dyn Fn(Option<String>, JsValue, bool) -> bool,
        chosen: &Array,
        except: &Array,
    ) -> Result<Option<Array>, JsValue>;

    #[wasm_bindgen(method, catch, js_name = replay)]
    fn replay_js(
        this: &Hub,
        cursor: &JsValue,
        ws: &RawSocket,
        head: &str,
        admits: &dyn Fn(String) -> bool,
        make_safe: &dyn Fn(String) -> Option<String>,
    ) -> Result<Option<Array>, JsValue>;

    /// The cached data of a live subscription: see `liveView` in `hot.js`.
    pub(crate) type LiveView;

    // Cannot throw.
    #[wasm_bindgen(js_name = liveView)]
    fn live_view_js(
        head: &str,
        expires: f64,
        connection: Option<&str>,
        tags: Option<Array>,
        has_every_audience: bool,
        room: Option<f64>,
    ) -> LiveView;

    /// The server's end of a WebSocket of the Workers runtime.
    #[derive(Clone, PartialEq)]
    pub(crate) type RawSocket;

    // These functions catch their exceptions.
    #[wasm_bindgen(js_name = send)]
    fn send_text_js(ws: &RawSocket, text: &str) -> bool;

    #[wasm_bindgen(js_name = send)]
    fn send_bytes_js(ws: &RawSocket, bytes: &[u8]) -> bool;

    #[wasm_bindgen(js_name = close)]
    fn close_js(ws: &RawSocket, code: u16, reason: &str) -> bool;

    #[wasm_bindgen(method, catch, getter, js_name = readyState)]
    fn ready_state_js(this: &RawSocket) -> Result<u16, JsValue>;
}

/// Returns whether a subscription receives an event, from its connection id, its tags, and whether its socket was chosen.
pub(crate) type Admits<'a> = dyn Fn(Option<&str>, &[String], bool) -> bool + 'a;

/// Returns the view of a socket's live subscription, or `None` if it has none.
type ReadView<'a> = dyn Fn(&RawSocket) -> Option<LiveView> + 'a;

impl LiveView {
    /// Creates a view from the prefix of the subscription's messages, the first millisecond at which its token is expired, the
    /// connection id and tags that an audience is matched against, whether the subscription receives the events of every audience,
    /// and the room of a subscription with flow control, which applies if no instance has counted it since hibernation.
    pub(crate) fn new(
        head: &str,
        expires_ms: f64,
        connection: Option<&str>,
        tags: &[String],
        has_every_audience: bool,
        room: Option<u64>,
    ) -> Self {
        let tags = (!tags.is_empty()).then(|| array_of(tags));
        let room = room.map(|room| room as f64);
        live_view_js(head, expires_ms, connection, tags, has_every_audience, room)
    }

    /// Creates the view of a parked subscription, which receives nothing, from the first millisecond at which its token is expired.
    pub(crate) fn parked(expires_ms: f64) -> Self {
        Self::new("", expires_ms, None, &[], false, None)
    }
}

/// `WebSocket.OPEN`, a ready state (WHATWG WebSockets Standard).
const OPEN: u16 = 1;

/// Work that must not be lost silently with the instance: see `recoverWork` in `hot.js`.
#[derive(Clone, Copy)]
pub(crate) enum Work {
    /// An event is stored and sent. If the instance is lost, all subscriptions begin again, and resume.
    Delivery = 0,
    /// A member joins. If the instance is lost, the next one sends the full list of members.
    Arrival = 1,
}

/// Work that ends when this is dropped. A trap does not drop it.
pub(crate) struct Working<'a> {
    hub: &'a Hub,
    work: Work,
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.hub.end_js(self.work as u32);
    }
}

/// A replay that has begun.
pub(crate) struct Replay {
    number: u32,
    /// Delay before its first step, in milliseconds.
    pub(crate) wait_ms: u64,
}

impl Replay {
    /// Returns its number, which is unique in this instance.
    pub(crate) const fn number(&self) -> u32 {
        self.number
    }
}

/// The error of an operation on a socket that is closed or closing.
#[derive(Debug)]
pub(crate) struct Closed;

/// The result of a replay step.
pub(crate) struct Replayed {
    /// The id of the last row, or `None` without rows.
    pub(crate) last: Option<u64>,
    /// The work done, in characters: all tails, including those for other clients, and a constant for each row.
    pub(crate) work: u64,
}

/// The sockets that have not received an event.
#[derive(Default)]
pub(crate) struct Unsent {
    /// The token has expired.
    pub(crate) expired: Vec<RawSocket>,
    /// The subscription has no room.
    pub(crate) full: Vec<RawSocket>,
}

impl Hub {
    /// Creates the hub from the `ctx` of the Durable Object.
    pub(crate) fn new(ctx: &Context) -> Result<Self, JsError> {
        Ok(Self::construct(ctx.as_ref())?)
    }

    /// Returns all open sockets, subscribed or not.
    pub(crate) fn sockets(&self) -> Result<Vec<RawSocket>, JsError> {
        Ok(sockets_of(&self.sockets_js()?))
    }

    /// Returns the number of open sockets that were accepted with this tag.
    pub(crate) fn count(&self, tag: &str) -> Result<usize, JsError> {
        Ok(self.count_js(tag)? as usize)
    }

    /// Returns the number of sockets that the Workers runtime holds, including closing ones.
    pub(crate) fn held(&self) -> Result<usize, JsError> {
        Ok(self.held_js()? as usize)
    }

    /// Begins work.
    pub(crate) fn begin(&self, work: Work) -> Working<'_> {
        self.begin_js(work as u32);
        Working { hub: self, work }
    }

    /// Returns the number of messages that fan-outs of this instance have sent.
    pub(crate) fn delivered(&self) -> u64 {
        self.delivered_js().map_or(0, |delivered| delivered as u64)
    }

    /// Accepts a socket for hibernation, with tags of the Workers runtime and an attachment. Returns the response that opens it, and
    /// the socket.
    pub(crate) fn accept(
        &self,
        tags: &[String],
        attachment: &[u8],
    ) -> Result<(OpenedSocket, RawSocket), JsError> {
        let accepted = self.accept_js(&array_of(tags), &Uint8Array::from(attachment))?;
        Ok((accepted.get(0), accepted.get(1).unchecked_into()))
    }

    /// Returns the attachment of a socket, or `None` if it is not a byte array.
    pub(crate) fn attachment(&self, ws: &RawSocket) -> Result<Option<Vec<u8>>, JsError> {
        Ok(self.attachment_js(ws)?.dyn_ref::<Uint8Array>().map(Uint8Array::to_vec))
    }

    /// Sets the attachment of a socket, which survives hibernation.
    pub(crate) fn set_attachment(&self, ws: &RawSocket, bytes: &[u8]) -> Result<(), JsError> {
        Ok(self.set_attachment_js(ws, &Uint8Array::from(bytes))?)
    }

    /// Begins a replay to a socket as the response to the call `id`, and ends the previous one.
    pub(crate) fn start_replay(&self, ws: &RawSocket, id: &str, now_ms: u64) -> Result<Replay, JsError> {
        let begun = self.start_replay_js(ws, id, now_ms as f64)?;
        let number = |n| begun.get(n).as_f64().unwrap_or_default();
        Ok(Replay { number: number(0) as u32, wait_ms: number(1) as u64 })
    }

    /// Ends a replay, unless a newer one has begun.
    pub(crate) fn end_replay(&self, ws: &RawSocket, replay: &Replay) -> Result<(), JsError> {
        Ok(self.end_replay_js(ws, replay.number)?)
    }

    /// Returns whether this replay is the one that this instance is running to the socket.
    pub(crate) fn is_current(&self, ws: &RawSocket, replay: &Replay) -> Result<bool, JsError> {
        Ok(self.replay_of_js(ws)? == Some(replay.number))
    }

    /// Returns whether this instance is running a replay to the socket. Without one, a subscription that is not live was interrupted.
    pub(crate) fn is_replaying(&self, ws: &RawSocket) -> Result<bool, JsError> {
        Ok(self.replay_of_js(ws)?.is_some())
    }

    /// Ends the room of a replay, whose subscription is live now.
    pub(crate) fn go_live(&self, ws: &RawSocket, has_flow_control: bool) -> Result<(), JsError> {
        Ok(self.go_live_js(ws, has_flow_control)?)
    }

    /// Returns whether there is room for the next step of a replay.
    pub(crate) fn has_room(&self, ws: &RawSocket) -> Result<bool, JsError> {
        Ok(self.has_room_js(ws)?)
    }

    /// Adds what a client has acknowledged to the room of its subscription, which it returns. `left` is its room if no instance has
    /// counted it since hibernation.
    pub(crate) fn acknowledge(&self, ws: &RawSocket, characters: u64, left: u64) -> Result<u64, JsError> {
        Ok(self.acknowledge_js(ws, characters as f64, left as f64)? as u64)
    }

    /// Takes a message from the room of a live subscription. Returns `false` if there is no room. For `left` see
    /// [`acknowledge`](Self::acknowledge).
    pub(crate) fn take(&self, ws: &RawSocket, characters: u64, left: u64) -> Result<bool, JsError> {
        Ok(self.take_js(ws, characters as f64, left as f64)?)
    }

    /// Excludes a socket from fan-outs while `work` is running, or until its attachment is set.
    pub(crate) fn without<R>(&self, ws: &RawSocket, work: impl FnOnce() -> R) -> Result<R, JsError> {
        self.hide_js(ws)?;
        let result = work();
        self.show_js(ws)?;
        Ok(result)
    }

    /// Sets the time of the entry point `PRESENCE`, in milliseconds since 1970, or deletes it. The timer is JavaScript's: it outlives the
    /// WASM instance, but not hibernation, which it prevents.
    pub(crate) fn schedule(&self, at_ms: Option<u64>) -> Result<(), JsError> {
        Ok(self.schedule_js(at_ms.map(|at| at as f64))?)
    }

    /// Sends an event to every live subscription. `read` is called for sockets whose view is not cached.
    pub(crate) fn fan_out(
        &self,
        messages: &EventMessages,
        now_ms: u64,
        read: &ReadView<'_>,
    ) -> Result<Unsent, JsError> {
        let EventMessages { tail, for_publishers } = messages;
        let read = |ws: RawSocket| read(&ws);
        Ok(unsent(self.fan_out_js(tail, now_ms as f64, for_publishers.as_deref(), &read)?))
    }

    /// Does the same for an event with an audience. `admits` receives a subscription's connection id and tags, and whether its
    /// socket is in `chosen`. Sockets in `except` are skipped.
    pub(crate) fn fan_out_to(
        &self,
        messages: &EventMessages,
        now_ms: u64,
        read: &ReadView<'_>,
        admits: &Admits<'_>,
        chosen: &[RawSocket],
        except: &[RawSocket],
    ) -> Result<Unsent, JsError> {
        let admits = |connection: Option<String>, tags: JsValue, is_chosen: bool| {
            let tags: Vec<String> = tags
                .dyn_ref::<Array>()
                .map(|tags| tags.iter().filter_map(|tag| tag.as_string()).collect())
                .unwrap_or_default();
            admits(connection.as_deref(), &tags, is_chosen)
        };
        let array = |sockets: &[RawSocket]| sockets.iter().map(JsValue::from).collect::<Array>();
        let read = |ws: RawSocket| read(&ws);
        let (chosen, except) = (array(chosen), array(except));
        let EventMessages { tail, for_publishers } = messages;
        let message = for_publishers.as_deref();
        Ok(unsent(self.fan_out_to_js(tail, now_ms as f64, message, &read, &admits, &chosen, &except)?))
    }

    /// Sends the rows of a replay step. Returns `None` if the socket has closed. `admits` receives the stored audience of a row that
    /// has one. `make_safe` converts a marked row (see `channel/replay_row.rs`) to a tail, or returns `None` to skip the event.
    pub(crate) fn replay(
        &self,
        cursor: &Cursor,
        ws: &RawSocket,
        head: &str,
        admits: &dyn Fn(&str) -> bool,
        make_safe: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<Replayed>, JsError> {
        let replayed =
            self.replay_js(cursor, ws, head, &|audience: String| admits(&audience), &|row: String| {
                make_safe(&row)
            })?;
        Ok(replayed.map(|replayed| Replayed {
            last: replayed.get(0).as_f64().map(|id| id as u64),
            work: replayed.get(1).as_f64().map_or(0, |work| work as u64),
        }))
    }
}

fn array_of(texts: &[String]) -> Array {
    texts.iter().map(|text| JsValue::from_str(text)).collect()
}

fn unsent(lists: Option<Array>) -> Unsent {
    let list = |lists: &Array, n| lists.get(n).dyn_ref::<Array>().map(sockets_of).unwrap_or_default();
    lists.map_or_else(Unsent::default, |lists| Unsent { expired: list(&lists, 0), full: list(&lists, 1) })
}

fn sockets_of(array: &Array) -> Vec<RawSocket> {
    array.iter().map(JsValue::unchecked_into).collect()
}

impl RawSocket {
    /// Returns the socket's id, which is unique in this instance.
    pub(crate) fn id(&self) -> Result<u32, JsError> {
        match id_of_js(self) {
            0 => Err(JsError::new("expected a WebSocket, got another JavaScript value")),
            id => Ok(id),
        }
    }

    /// Returns whether neither side has begun to close the socket.
    pub(crate) fn is_open(&self) -> bool {
        self.ready_state_js().is_ok_and(|state| state == OPEN)
    }

    /// Sends a text message.
    pub(crate) fn send_text(&self, text: &str) -> Result<(), Closed> {
        if send_text_js(self, text) { Ok(()) } else { Err(Closed) }
    }

    /// Sends a binary message.
    pub(crate) fn send_bytes(&self, bytes: &[u8]) -> Result<(), Closed> {
        if send_bytes_js(self, bytes) { Ok(()) } else { Err(Closed) }
    }

    /// Sends a response. Errors are ignored: the socket has closed, and nobody waits for the response.
    pub(crate) fn answer(&self, frame: Outgoing) {
        let _ = match frame {
            Outgoing::Text(text) => self.send_text(&text),
            Outgoing::Binary(bytes) => self.send_bytes(&bytes),
        };
    }

    /// Closes the socket. `reason` must be at most 123 bytes.
    ///
    /// # Errors
    /// The socket has closed already, or the code cannot be sent.
    pub(crate) fn close(&self, code: u16, reason: &str) -> Result<(), Closed> {
        if close_js(self, code, reason) { Ok(()) } else { Err(Closed) }
    }
}
