//! The open sockets of one Durable Object on a native target. It does what `hot.js` does on the Workers runtime.

use super::{Context, OpenedSocket, RawSocket};
use crate::runtime::{self, EventMessages, JsError, LIVE_WINDOW, PUBLISHER_HEAD, REPLAY_WINDOW};
use durable_event_log::Cell as SqlCell;
use futures_util::future::{AbortHandle, Abortable};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

/// Maximum number of sockets that the Workers runtime holds for one Durable Object.
const MAX_SOCKETS: usize = 32_768;

/// Minimum interval between two replays to one socket, in milliseconds, as in `hot.js`.
const REPLAY_INTERVAL_MS: u64 = 100;

/// Cost of a replayed row besides its text, in characters, as in `hot.js`.
const ROW_COST: u64 = 256;

/// The rows of a statement.
pub(crate) type Cursor = Vec<Vec<SqlCell>>;

/// Returns whether a subscription receives an event, from its connection id, its tags, and whether its socket was chosen.
pub(crate) type Admits<'a> = dyn Fn(Option<&str>, &[String], bool) -> bool + 'a;

/// Returns the view of a socket's live subscription, or `None` if it has none.
type ReadView<'a> = dyn Fn(&RawSocket) -> Option<LiveView> + 'a;

/// The cached data of a live subscription.
#[derive(Clone)]
pub(crate) struct LiveView(Rc<View>);

struct View {
    head: String,
    expires_ms: f64,
    connection: Option<String>,
    tags: Vec<String>,
    has_every_audience: bool,
    room: Option<u64>,
}

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
        let (head, connection, tags) = (head.to_owned(), connection.map(str::to_owned), tags.to_vec());
        Self(Rc::new(View { head, expires_ms, connection, tags, has_every_audience, room }))
    }

    /// Creates the view of a parked subscription, which receives nothing, from the first millisecond at which its token is expired.
    pub(crate) fn parked(expires_ms: f64) -> Self {
        Self::new("", expires_ms, None, &[], false, None)
    }
}

/// The room of a subscription, in characters.
#[derive(Clone, Copy)]
struct Room {
    left: i64,
    window: u64,
}

impl Room {
    fn new(left: u64, window: u64) -> Self {
        Self { left: signed(left), window }
    }

    /// Takes a message. Returns `false` if there is no room.
    fn take(&mut self, characters: u64) -> bool {
        let has_room = self.left > 0;
        if has_room {
            self.left = self.left.saturating_sub(signed(characters));
        }
        has_room
    }
}

fn signed(characters: u64) -> i64 {
    i64::try_from(characters).unwrap_or(i64::MAX)
}

/// Returns the length of a text in characters, as JavaScript counts them.
fn length(text: &str) -> u64 {
    text.encode_utf16().count() as u64
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

/// The last replay to a socket.
#[derive(Clone, Copy)]
struct Begun {
    number: u32,
    at_ms: u64,
    is_running: bool,
}

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

/// The open sockets of one Durable Object. The data per socket belongs to the instance and is lost with it.
pub(crate) struct Hub {
    state: Context,
    live: RefCell<BTreeMap<u32, Option<LiveView>>>,
    replays: RefCell<BTreeMap<u32, Begun>>,
    rooms: RefCell<BTreeMap<u32, Room>>,
    last_replay: Cell<u32>,
    /// The function that the timer calls.
    on_timer: RefCell<Option<Rc<dyn Fn()>>>,
    timer: RefCell<Option<AbortHandle>>,
    delivered: Cell<u64>,
}

/// Work that must not be lost silently with the instance. Native code has no traps.
#[derive(Clone, Copy)]
pub(crate) enum Work {
    /// An event is stored and sent.
    Delivery,
    /// A member joins.
    Arrival,
}

/// Work that ends when this is dropped.
pub(crate) struct Working;

#[expect(clippy::unnecessary_wraps, reason = "on the Workers runtime they may fail")]
#[expect(clippy::unused_self, reason = "on the Workers runtime they have an effect")]
impl Hub {
    /// Begins work.
    pub(crate) const fn begin(&self, _: Work) -> Working {
        Working
    }

    /// Closes the sockets of all subscriptions after a fan-out that has failed, which does not happen here.
    pub(crate) const fn interrupt_live(&self) {}

    /// Returns whether an earlier instance may not have announced a member.
    pub(crate) const fn take_unannounced(&self) -> bool {
        false
    }

    /// Creates the hub from the `ctx` of the Durable Object.
    pub(crate) fn new(ctx: &Context) -> Result<Self, JsError> {
        Ok(Self {
            state: ctx.clone(),
            live: RefCell::default(),
            replays: RefCell::default(),
            rooms: RefCell::default(),
            last_replay: Cell::new(0),
            on_timer: RefCell::default(),
            timer: RefCell::default(),
            delivered: Cell::new(0),
        })
    }

    /// Returns all open sockets, subscribed or not.
    pub(crate) fn sockets(&self) -> Result<Vec<RawSocket>, JsError> {
        let mut sockets = self.state.sockets();
        sockets.retain(RawSocket::is_open);
        Ok(sockets)
    }

    /// Returns the number of open sockets that were accepted with this tag.
    pub(crate) fn count(&self, tag: &str) -> Result<usize, JsError> {
        Ok(self.sockets()?.iter().filter(|socket| socket.has_tag(tag)).count())
    }

    /// Returns the number of sockets, including closing ones.
    pub(crate) fn held(&self) -> Result<usize, JsError> {
        Ok(self.state.with_sockets(|sockets| sockets.len()))
    }

    /// Returns the number of messages that fan-outs of this instance have sent.
    pub(crate) fn delivered(&self) -> u64 {
        self.delivered.get()
    }

    /// Opens a socket with tags of the Workers runtime and an attachment. Returns the socket twice: it is its own response.
    pub(crate) fn accept(
        &self,
        tags: &[String],
        attachment: &[u8],
    ) -> Result<(OpenedSocket, RawSocket), JsError> {
        if self.held()? >= MAX_SOCKETS {
            return Err(JsError::new("too many sockets"));
        }
        let socket = RawSocket::new(self.state.next_socket_id(), tags.to_vec(), attachment.to_vec());
        self.state.with_sockets(|sockets| sockets.push(socket.clone()));
        Ok((socket.clone(), socket))
    }

    /// Returns the attachment of a socket.
    pub(crate) fn attachment(&self, ws: &RawSocket) -> Result<Option<Vec<u8>>, JsError> {
        Ok(ws.attachment())
    }

    /// Sets the attachment of a socket, which survives hibernation.
    pub(crate) fn set_attachment(&self, ws: &RawSocket, bytes: &[u8]) -> Result<(), JsError> {
        if !ws.set_attachment(bytes) {
            return Err(JsError::new("the socket has closed"));
        }
        self.live.borrow_mut().remove(&ws.id()?);
        Ok(())
    }

    /// Begins a replay to a socket, and ends the previous one.
    pub(crate) fn start_replay(&self, ws: &RawSocket, _id: &str, now_ms: u64) -> Result<Replay, JsError> {
        let number = self.last_replay.get().wrapping_add(1);
        self.last_replay.set(number);
        let mut replays = self.replays.borrow_mut();
        let at_ms = match replays.get(&ws.id()?) {
            // A replay that is still waiting is replaced and keeps its start time.
            Some(last) if last.at_ms > now_ms => last.at_ms,
            Some(last) => now_ms.max(last.at_ms.saturating_add(REPLAY_INTERVAL_MS)),
            None => now_ms,
        };
        replays.insert(ws.id()?, Begun { number, at_ms, is_running: true });
        self.rooms.borrow_mut().insert(ws.id()?, Room::new(REPLAY_WINDOW, REPLAY_WINDOW));
        Ok(Replay { number, wait_ms: at_ms.saturating_sub(now_ms) })
    }

    /// Ends a replay, unless a newer one has begun.
    pub(crate) fn end_replay(&self, ws: &RawSocket, replay: &Replay) -> Result<(), JsError> {
        if let Some(begun) = self.replays.borrow_mut().get_mut(&ws.id()?)
            && begun.number == replay.number
        {
            begun.is_running = false;
        }
        Ok(())
    }

    /// Returns whether this replay is the one that this instance is running to the socket.
    pub(crate) fn is_current(&self, ws: &RawSocket, replay: &Replay) -> Result<bool, JsError> {
        Ok(self.running_replay(ws)? == Some(replay.number))
    }

    /// Returns whether this instance is running a replay to the socket.
    pub(crate) fn is_replaying(&self, ws: &RawSocket) -> Result<bool, JsError> {
        Ok(self.running_replay(ws)?.is_some())
    }

    fn running_replay(&self, ws: &RawSocket) -> Result<Option<u32>, JsError> {
        let begun = self.replays.borrow().get(&ws.id()?).copied();
        Ok(begun.filter(|begun| begun.is_running).map(|begun| begun.number))
    }

    /// Ends the room of a replay, whose subscription is live now.
    pub(crate) fn go_live(&self, ws: &RawSocket, has_flow_control: bool) -> Result<(), JsError> {
        let mut rooms = self.rooms.borrow_mut();
        if has_flow_control {
            rooms.insert(ws.id()?, Room::new(LIVE_WINDOW, LIVE_WINDOW));
        } else {
            rooms.remove(&ws.id()?);
        }
        Ok(())
    }

    /// Runs `work` on the room of a subscription with flow control; it has `left` if no instance has counted it since hibernation.
    fn with_room<R>(
        &self,
        ws: &RawSocket,
        left: u64,
        work: impl FnOnce(&mut Room) -> R,
    ) -> Result<R, JsError> {
        let mut rooms = self.rooms.borrow_mut();
        Ok(work(rooms.entry(ws.id()?).or_insert_with(|| Room::new(left, LIVE_WINDOW))))
    }

    /// Returns whether there is room for the next step of a replay.
    pub(crate) fn has_room(&self, ws: &RawSocket) -> Result<bool, JsError> {
        self.with_room(ws, 0, |room| room.left > 0)
    }

    /// Adds what a client has acknowledged to the room of its subscription, which it returns.
    pub(crate) fn acknowledge(&self, ws: &RawSocket, characters: u64, left: u64) -> Result<u64, JsError> {
        self.with_room(ws, left, |room| {
            room.left = room.left.saturating_add(signed(characters)).min(signed(room.window));
            u64::try_from(room.left).unwrap_or_default()
        })
    }

    /// Takes a message from the room of a live subscription. Returns `false` if there is no room.
    pub(crate) fn take(&self, ws: &RawSocket, characters: u64, left: u64) -> Result<bool, JsError> {
        self.with_room(ws, left, |room| room.take(characters))
    }

    /// Excludes a socket from fan-outs while `work` is running, or until its attachment is set.
    pub(crate) fn without<R>(&self, ws: &RawSocket, work: impl FnOnce() -> R) -> Result<R, JsError> {
        self.live.borrow_mut().insert(ws.id()?, None);
        let result = work();
        self.live.borrow_mut().remove(&ws.id()?);
        Ok(result)
    }

    /// Sets the function that the timer calls.
    pub(crate) fn on_timer(&self, call: Rc<dyn Fn()>) {
        self.on_timer.replace(Some(call));
    }

    /// Sets the time of the timer, in milliseconds since 1970, or deletes it. It prevents hibernation.
    pub(crate) fn schedule(&self, at_ms: Option<u64>) -> Result<(), JsError> {
        if let Some(timer) = self.timer.take() {
            timer.abort();
        }
        let (Some(at_ms), Some(call)) = (at_ms, self.on_timer.borrow().clone()) else { return Ok(()) };
        let wait_ms = at_ms.saturating_sub(self.state.now_ms());
        let (handle, registration) = AbortHandle::new_pair();
        self.timer.replace(Some(handle));
        runtime::spawn(async move {
            let paused = Abortable::new(runtime::pause(wait_ms), registration).await;
            if let Ok(Ok(())) = paused {
                call();
            }
        });
        Ok(())
    }

    /// Sends an event to every live subscription. `read` is called for sockets whose view is not cached.
    pub(crate) fn fan_out(
        &self,
        messages: &EventMessages,
        now_ms: u64,
        read: &ReadView<'_>,
    ) -> Result<Unsent, JsError> {
        self.fan_out_to(messages, now_ms, read, &|_, _, _| true, &[], &[])
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
        let mut unsent = Unsent::default();
        for ws in self.state.sockets() {
            let known = self.live.borrow().get(&ws.id()?).cloned();
            let view = match known {
                Some(view) => view,
                None => {
                    let view = read(&ws);
                    self.live.borrow_mut().insert(ws.id()?, view.clone());
                    view
                }
            };
            let Some(LiveView(view)) = view else { continue };
            if view.expires_ms <= now_ms as f64 {
                unsent.expired.push(ws);
                continue;
            }
            if view.head.is_empty() {
                continue; // parked
            }
            let is_admitted = view.has_every_audience
                || !except.contains(&ws)
                    && admits(view.connection.as_deref(), &view.tags, chosen.contains(&ws));
            if !is_admitted {
                continue;
            }
            let frame = match (&*view.head, &messages.for_publishers) {
                (PUBLISHER_HEAD, Some(message)) => message.clone(),
                (head, _) => [head, &messages.tail].concat(),
            };
            if let Some(left) = view.room
                && !self.take(&ws, length(&frame), left)?
            {
                unsent.full.push(ws);
                continue;
            }
            // An error means that the socket is closed or closing: the client resumes when it reconnects.
            if ws.send_text(&frame).is_ok() {
                self.delivered.set(self.delivered.get().saturating_add(1));
            }
        }
        Ok(unsent)
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
        let (mut last, mut work, mut sent) = (None, 0_u64, 0_u64);
        for row in cursor {
            let [SqlCell::Number(id), SqlCell::Text(tail), audience] = row.as_slice() else {
                return Err(JsError::new("a row of a replay must be an id, a tail and an audience"));
            };
            last = Some(*id as u64);
            work = work.saturating_add(length(tail)).saturating_add(ROW_COST);
            if let SqlCell::Text(audience) = audience
                && !admits(audience)
            {
                continue;
            }
            let safe;
            let tail = if tail.starts_with('[') {
                let Some(made) = make_safe(tail) else { continue };
                safe = made;
                &safe
            } else {
                tail
            };
            let frame = [head, tail].concat();
            sent = sent.saturating_add(length(&frame));
            if ws.send_text(&frame).is_err() {
                return Ok(None);
            }
        }
        self.with_room(ws, 0, |room| room.left = room.left.saturating_sub(signed(sent)))?;
        Ok(Some(Replayed { last, work }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_those_of_the_workers_runtime() {
        let hot = include_str!("../hot.js");
        assert!(hot.contains(&format!("\nconst ROW_COST = {ROW_COST}\n")));
        assert!(hot.contains(&format!("\nconst REPLAY_INTERVAL = {REPLAY_INTERVAL_MS}\n")));
        assert!(hot.contains(&format!("\nconst PUBLISHER = '{PUBLISHER_HEAD}'\n")));
        let plain = hot.replace('_', "");
        assert!(plain.contains(&format!("\nconst LIVEWINDOW = {LIVE_WINDOW}\n")));
        assert!(plain.contains(&format!("\nconst REPLAYWINDOW = {REPLAY_WINDOW}\n")));
    }
}
