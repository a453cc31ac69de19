//! The open sockets of one object: what `hot.js` does on the Workers runtime.

use super::{Context, OpenedSocket, RawSocket};
use crate::runtime::JsError;
use durable_event_log::Cell as SqlCell;
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

/// How many sockets the runtime holds for one Durable Object.
const MAX_SOCKETS: usize = 32_768;

/// How soon one socket may have another replay begun, in milliseconds: as in `hot.js`.
const REPLAY_INTERVAL_MS: u64 = 100;

/// What a row of a replay costs besides its text, in characters: as in `hot.js`.
const ROW_COST: u64 = 256;

/// Rows that are still to be sent.
pub(crate) type Cursor = Vec<Vec<SqlCell>>;

/// Whether a subscription gets an event: of its connection id, its tags, and whether its socket was chosen.
pub(crate) type Admits<'a> = dyn Fn(Option<&str>, &[String], bool) -> bool + 'a;

/// Reads what a socket gets live; nothing if it gets nothing.
type ReadView<'a> = dyn Fn(&RawSocket) -> Option<LiveView> + 'a;

/// What fan-out keeps of a live subscription.
#[derive(Clone)]
pub(crate) struct LiveView(Rc<View>);

struct View {
    head: String,
    expires_ms: f64,
    connection: Option<String>,
    tags: Vec<String>,
}

impl LiveView {
    /// The beginning of the subscription's frames, the first millisecond at which its rights have ended, and what decides whether
    /// an event is for it.
    pub(crate) fn new(head: &str, expires_ms: f64, connection: Option<&str>, tags: &[String]) -> Self {
        let (head, connection, tags) = (head.to_owned(), connection.map(str::to_owned), tags.to_vec());
        Self(Rc::new(View { head, expires_ms, connection, tags }))
    }
}

/// A replay that has been begun.
pub(crate) struct Replay {
    number: u32,
    /// How long it has to wait before its first step, in milliseconds.
    pub(crate) wait_ms: u64,
}

impl Replay {
    /// What tells it from the others of this instance.
    pub(crate) const fn number(&self) -> u32 {
        self.number
    }
}

/// The replay that was begun last to a socket.
#[derive(Clone, Copy)]
struct Begun {
    number: u32,
    at_ms: u64,
    is_running: bool,
}

/// What a replay step has done.
pub(crate) struct Replayed {
    /// The id of the last row, in microseconds; none without rows.
    pub(crate) last: Option<u64>,
    /// The work it was, in characters: of what was sent, of what was not for this client, and a share for each row.
    pub(crate) work: u64,
}

/// The open sockets of one object. What is kept by a socket's id is gone with the instance.
pub(crate) struct Hub {
    state: Context,
    live: RefCell<BTreeMap<u32, Option<LiveView>>>,
    replays: RefCell<BTreeMap<u32, Begun>>,
    last_replay: Cell<u32>,
}

#[expect(clippy::unnecessary_wraps, reason = "on the Workers runtime they may fail")]
impl Hub {
    /// The sockets of the object whose `ctx` this is.
    pub(crate) fn new(ctx: &Context) -> Result<Self, JsError> {
        Ok(Self {
            state: ctx.clone(),
            live: RefCell::default(),
            replays: RefCell::default(),
            last_replay: Cell::new(0),
        })
    }

    /// All open sockets, subscribed or not.
    pub(crate) fn sockets(&self) -> Result<Vec<RawSocket>, JsError> {
        let mut sockets = self.state.sockets();
        sockets.retain(RawSocket::is_open);
        Ok(sockets)
    }

    /// How many sockets are open, of those that were accepted with this tag.
    pub(crate) fn count(&self, tag: &str) -> Result<usize, JsError> {
        Ok(self.sockets()?.iter().filter(|socket| socket.has_tag(tag)).count())
    }

    /// How many sockets the runtime holds, those that are closing included.
    pub(crate) fn held(&self) -> Result<usize, JsError> {
        Ok(self.state.with_sockets(|sockets| sockets.len()))
    }

    /// Opens a socket with these tags of the runtime and this attachment.
    pub(crate) fn accept(&self, tags: &[String], attachment: &[u8]) -> Result<OpenedSocket, JsError> {
        if self.held()? >= MAX_SOCKETS {
            return Err(JsError::new("too many sockets"));
        }
        let socket = RawSocket::new(self.state.next_socket_id(), tags.to_vec(), attachment.to_vec());
        self.state.with_sockets(|sockets| sockets.push(socket.clone()));
        Ok(socket)
    }

    /// The bytes kept with a socket.
    pub(crate) fn attachment(&self, ws: &RawSocket) -> Result<Option<Vec<u8>>, JsError> {
        Ok(ws.attachment())
    }

    /// Keeps bytes with a socket, through hibernation.
    pub(crate) fn set_attachment(&self, ws: &RawSocket, bytes: &[u8]) -> Result<(), JsError> {
        if !ws.set_attachment(bytes) {
            return Err(JsError::new("the socket has closed"));
        }
        self.live.borrow_mut().remove(&ws.id()?);
        Ok(())
    }

    /// Begins a replay to a socket, which ends the one before.
    pub(crate) fn start_replay(&self, ws: &RawSocket, _id: &str, now_ms: u64) -> Result<Replay, JsError> {
        let number = self.last_replay.get().wrapping_add(1);
        self.last_replay.set(number);
        let mut replays = self.replays.borrow_mut();
        let at_ms = match replays.get(&ws.id()?) {
            // One that still waits is never begun: this takes its place.
            Some(last) if last.at_ms > now_ms => last.at_ms,
            Some(last) => now_ms.max(last.at_ms.saturating_add(REPLAY_INTERVAL_MS)),
            None => now_ms,
        };
        replays.insert(ws.id()?, Begun { number, at_ms, is_running: true });
        Ok(Replay { number, wait_ms: at_ms.saturating_sub(now_ms) })
    }

    /// Ends a replay, unless another has been begun since.
    pub(crate) fn end_replay(&self, ws: &RawSocket, replay: &Replay) -> Result<(), JsError> {
        if let Some(begun) = self.replays.borrow_mut().get_mut(&ws.id()?)
            && begun.number == replay.number
        {
            begun.is_running = false;
        }
        Ok(())
    }

    /// Whether this replay is the one that this instance runs to the socket.
    pub(crate) fn is_current(&self, ws: &RawSocket, replay: &Replay) -> Result<bool, JsError> {
        Ok(self.running_replay(ws)? == Some(replay.number))
    }

    /// Whether this instance runs any replay to the socket.
    pub(crate) fn is_replaying(&self, ws: &RawSocket) -> Result<bool, JsError> {
        Ok(self.running_replay(ws)?.is_some())
    }

    fn running_replay(&self, ws: &RawSocket) -> Result<Option<u32>, JsError> {
        let begun = self.replays.borrow().get(&ws.id()?).copied();
        Ok(begun.filter(|begun| begun.is_running).map(|begun| begun.number))
    }

    /// Sends to every live subscription; returns the sockets whose token has expired. `read` is asked for what has not been
    /// read since waking.
    pub(crate) fn fan_out(
        &self,
        tail: &str,
        now_ms: u64,
        read: &ReadView<'_>,
    ) -> Result<Vec<RawSocket>, JsError> {
        self.fan_out_to(tail, now_ms, read, &|_, _, _| true, &[], &[])
    }

    /// The same for an event that is for some only. `admits` gets a subscription's connection id and tags, and whether its
    /// socket is one of `chosen`.
    pub(crate) fn fan_out_to(
        &self,
        tail: &str,
        now_ms: u64,
        read: &ReadView<'_>,
        admits: &Admits<'_>,
        chosen: &[RawSocket],
        except: &[RawSocket],
    ) -> Result<Vec<RawSocket>, JsError> {
        let mut expired = Vec::new();
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
                expired.push(ws);
                continue;
            }
            if !except.contains(&ws) && admits(view.connection.as_deref(), &view.tags, chosen.contains(&ws)) {
                // An error is a socket that is closed or closing: its client resumes when it reconnects.
                let _ = ws.send_text(&[&view.head, tail].concat());
            }
        }
        Ok(expired)
    }

    /// Sends the rows of a replay step; returns `None` when the socket has closed. `admits` gets the stored audience of a row
    /// that has one, `make_safe` a marked row, of which it makes the frame's tail; none: the event is not sent.
    pub(crate) fn replay(
        &self,
        cursor: &Cursor,
        ws: &RawSocket,
        head: &str,
        admits: &dyn Fn(&str) -> bool,
        make_safe: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<Replayed>, JsError> {
        let (mut last, mut work) = (None, 0_u64);
        for row in cursor {
            let [SqlCell::Number(id), SqlCell::Text(tail), audience] = row.as_slice() else {
                return Err(JsError::new("a row of a replay must be an id, a tail and an audience"));
            };
            last = Some(*id as u64);
            work = work.saturating_add(tail.encode_utf16().count() as u64).saturating_add(ROW_COST);
            if let SqlCell::Text(audience) = audience
                && !admits(audience)
            {
                continue;
            }
            let safe;
            let tail = if tail.starts_with(',') {
                tail
            } else {
                let Some(made) = make_safe(tail) else { continue };
                safe = made;
                &safe
            };
            if ws.send_text(&[head, tail].concat()).is_err() {
                return Ok(None);
            }
        }
        Ok(Some(Replayed { last, work }))
    }
}
