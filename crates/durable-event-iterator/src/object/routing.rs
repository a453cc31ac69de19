//! Decides how a client's message is handled, from the message and the session. It does no I/O, so it is fuzzed natively.

use super::running_calls::Calls;
use crate::{
    error::{Code, Error, Result},
    path,
    procedure::{Handler, Input, Overrun, Procedures, UploadSender},
    socket::close_code,
    socket::session::{Session, SessionClaims},
    time::from_millis,
};
use durable_event_token::{ClientKind, SigningKeys};
use durable_event_wire::{
    Value,
    frame::{
        Body, CallInput, FrameError, FrameErrorKind, InvalidCall, Outgoing, StreamEvent, StreamEventKind,
        error_response, stop_upload,
    },
    from_value,
};
use serde::Deserialize;

use std::{collections::BTreeMap, mem::size_of};

/// The reaction to an invalid message.
#[derive(Debug)]
pub(crate) enum InvalidMessage {
    /// Respond to the call with an error.
    Answer(Outgoing),
    /// Close the socket, because the message has no call id or an invalid one.
    Close { code: u16, reason: &'static str },
}

pub(crate) fn invalid_message(error: FrameError) -> InvalidMessage {
    match (error.kind, error.id) {
        (FrameErrorKind::IdTooLong, _) => {
            InvalidMessage::Close { code: close_code::POLICY, reason: "Invalid call id" }
        }
        (FrameErrorKind::Malformed, Some(id)) => InvalidMessage::Answer(error_response(
            &id,
            &Error::new(Code::BadRequest).message("Malformed frame.").body(),
        )),
        (FrameErrorKind::Malformed, None) => {
            InvalidMessage::Close { code: close_code::INVALID_DATA, reason: "Malformed frame" }
        }
    }
}

/// The target of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Subscribe,
    UpdateToken,
    /// A procedure whose path is in the input.
    Call,
    /// A procedure whose path is the path of the request.
    Direct(Vec<String>),
    Nowhere,
}

/// The path of subscriptions.
pub(crate) const SUBSCRIBE: &str = "/subscribe";

/// Returns the target of a request. `is_any` states that every path may be a procedure.
pub(crate) fn route<O: 'static, C: 'static>(
    path: &str,
    procedures: &Procedures<O, C>,
    is_any: bool,
) -> Route {
    match path {
        SUBSCRIBE => Route::Subscribe,
        "/updateToken" => Route::UpdateToken,
        "/call" => Route::Call,
        other => match other.strip_prefix('/').map(path::decode_path) {
            Some(path) if is_any || procedures.find(&path).is_some() => Route::Direct(path),
            _ => Route::Nowhere,
        },
    }
}

/// A call of a procedure that the client may call.
pub(crate) struct Admitted<O, C> {
    pub(crate) path: Vec<String>,
    pub(crate) input: Input,
    /// `None` if the procedure is external.
    pub(crate) handler: Option<Handler<O, C>>,
}

/// The number of copies of a call's headers: one in its context, one in the context of the interceptor.
const COPIES: usize = 2;

impl<O, C> Admitted<O, C> {
    /// Estimates the memory of the call's input and headers, in bytes.
    pub(crate) fn memory(&self, headers: &BTreeMap<String, Vec<String>>) -> usize {
        let text = |text: &String| TEXT_BYTES.saturating_add(text.capacity());
        let add = |sum: usize, text: usize| sum.saturating_add(text);
        let header = |(name, values): (&String, &Vec<String>)| {
            values.iter().map(text).fold(text(name).saturating_add(HEADER_BYTES), add)
        };
        let headers = headers.iter().map(header).fold(0, add);
        self.input.memory().saturating_add(headers.saturating_mul(COPIES))
    }
}

/// Overhead of a text in bytes: the `String` itself and the allocator's header.
const TEXT_BYTES: usize = size_of::<String>() + 16;

/// Overhead of a header in bytes besides its texts: its list of values, and its share of the map.
const HEADER_BYTES: usize = 64;

/// Finds the procedure of a call, unless it is external, and checks that the client's token allows it.
pub(crate) fn admit<O: 'static, C: 'static>(
    procedures: &Procedures<O, C>,
    is_external: bool,
    session: &Session,
    asked: Result<Asked>,
) -> Result<Admitted<O, C>> {
    let Asked { path, input } = asked?;
    let first = path.first().map(String::as_str).unwrap_or_default();
    if !session.claims.rpc.iter().any(|allowed| allowed == first) {
        return Err(Error::new(Code::Forbidden).message(format!("Method \"{first}\" is not allowed.")));
    }
    // A class in TypeScript has only the library's own procedures here.
    let handler = procedures.find(&path);
    if handler.is_none() && !is_external {
        return Err(Error::new(Code::NotFound));
    }
    Ok(Admitted { path, input, handler })
}

/// The procedure path and input that a call asks for.
pub(crate) struct Asked {
    path: Vec<String>,
    input: Input,
}

impl Asked {
    /// Takes path and input from `direct` and `input`, or both from `input` if `direct` is `None` (the request's path is `/call`).
    pub(crate) fn new(direct: Option<Vec<String>>, input: Input) -> Result<Self> {
        if let Some(path) = direct {
            return Ok(Self { path, input });
        }
        CallInput::from_value(input.into_value()?).map(Self::from).map_err(Error::invalid_input)
    }

    /// Does the same for a body that is not a stream.
    pub(crate) fn read(direct: Option<Vec<String>>, body: Body<'_>) -> Result<Self> {
        match direct {
            Some(path) => {
                let input = Input::Value(body.into_value().map_err(Error::malformed)?);
                Ok(Self { path, input })
            }
            None => body.into_call().map(Self::from).map_err(|invalid| match invalid {
                InvalidCall::Malformed(error) => Error::malformed(error),
                InvalidCall::Invalid(error) => Error::invalid_input(error),
            }),
        }
    }
}

impl From<CallInput> for Asked {
    fn from(CallInput { path, input }: CallInput) -> Self {
        Self { path, input: Input::Value(input) }
    }
}

/// The input of `/updateToken`.
#[derive(Deserialize)]
struct UpdateToken {
    token: String,
}

/// Returns the session with the token of a token refresh. `is_own` returns whether a channel name is that of the Durable Object.
pub(crate) fn refresh_token(
    session: &Session,
    input: Value,
    keys: &SigningKeys,
    is_own: &dyn Fn(&str) -> bool,
    now_ms: u64,
) -> Result<Session> {
    let UpdateToken { token } = from_value(input).map_err(Error::invalid_input)?;
    let rejected = |message: &str| Error::new(Code::Unauthorized).message(message);
    // A token for the other kind of client is invalid.
    let claims = keys
        .verify(&token, from_millis(now_ms))
        .ok()
        .filter(|claims| {
            (claims.client_kind() == ClientKind::DurableIterator) == session.claims.is_durable_iterator
        })
        .ok_or_else(|| rejected(token_refresh::INVALID))?;
    if !is_own(claims.channel().as_str()) {
        return Err(rejected(token_refresh::OTHER_CHANNEL));
    }
    // The Workers runtime sets a socket's tags when it accepts the socket. They cannot be changed.
    if claims.tags() != session.claims.tags {
        return Err(rejected(token_refresh::OTHER_TAGS));
    }
    // Limits per subject count the socket for the subject of its first token.
    if claims.subject() != session.claims.subject.as_deref() {
        return Err(rejected(token_refresh::OTHER_SUBJECT));
    }
    Ok(Session { claims: SessionClaims::from(&claims), ..session.clone() })
}

/// The messages of a rejected token refresh. All but `OTHER_SUBJECT` are those of oRPC's implementation (1.9–1.16), which clients
/// may compare with.
mod token_refresh {
    pub(super) const INVALID: &str = "Invalid Token";
    pub(super) const OTHER_CHANNEL: &str = "Updated token must have the same channel with the original token";
    pub(super) const OTHER_TAGS: &str = "Updated token must have the exact same tags with the original token";
    pub(super) const OTHER_SUBJECT: &str = "Updated token must have the same subject as the original token";
}

/// Returns whether the id belongs to a running call or to the subscription. A second call with it would get ambiguous responses.
pub(crate) fn is_open(session: &Session, calls: &Calls, socket: u32, id: &str) -> bool {
    let subscription = session.subscription.as_ref();
    subscription.is_some_and(|subscription| subscription.id == id) || calls.is_running(socket, id)
}

/// Passes an item of streaming input to its call. Returns the message to send to the client, if any. An item for a call that is
/// not running is ignored.
pub(crate) fn upload(
    calls: &mut Calls,
    socket: u32,
    is_expired: bool,
    id: &str,
    event: &StreamEvent<'_>,
) -> Option<Outgoing> {
    let upload = calls.upload(socket, id)?;
    let has_room = |item: &Value| {
        let bytes = UploadSender::bytes_of(item);
        calls.has_room_for_item(socket, id, bytes).map(|()| bytes)
    };
    let stop = || Some(Outgoing::Text(stop_upload(id)));
    let answer = match (event.kind, event.to_value()) {
        _ if is_expired => {
            upload.fail(Error::token_expired());
            stop()
        }
        (StreamEventKind::Message, Ok(item)) => match has_room(&item) {
            Ok(bytes) => match upload.send(item, bytes) {
                Ok(()) => return None,
                Err(Overrun) => stop(),
            },
            Err(error) => {
                upload.fail(error);
                stop()
            }
        },
        (StreamEventKind::Message, Err(error)) => {
            upload.fail(Error::malformed(error));
            stop()
        }
        // The client's error is not passed on to the procedure.
        (StreamEventKind::Error, _) => {
            upload.fail(Error::new(Code::BadRequest).message("The stream has failed."));
            None
        }
        (StreamEventKind::Done, _) => {
            upload.end();
            None
        }
    };
    calls.end_upload(socket, id);
    answer
}
