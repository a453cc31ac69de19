//! What a frame of a client comes to, by the frame and the session alone: without I/O, so that it is fuzzed natively.

use super::calls::Calls;
use crate::{
    error::{Code, Error, Result},
    http,
    procedure::{Handler, Input, Overrun, Procedures, UploadSender},
    session::{Session, SessionClaims},
    token::{Generation, SigningKeys},
    wire::{
        Body, DeserializeError, FrameError, FrameErrorKind, Issue, Outgoing, StreamEvent, StreamEventKind,
        Value, allocation, error_response,
        fields::{object, required, string, strings},
        read_members, stop_upload,
    },
};

use std::{collections::BTreeMap, mem::size_of};

/// Close codes of RFC 6455, section 7.4.1.
pub(crate) mod close_code {
    pub(crate) const NORMAL: u16 = 1000;
    pub(crate) const PROTOCOL_ERROR: u16 = 1002;
    /// Never sent: "no code was given".
    pub(crate) const NO_STATUS: u16 = 1005;
    pub(crate) const INVALID_DATA: u16 = 1007;
    pub(crate) const POLICY: u16 = 1008;
    pub(crate) const TOO_BIG: u16 = 1009;
}

/// What becomes of a message that is no frame.
#[derive(Debug)]
pub(crate) enum Refused {
    /// Its call is answered.
    Answered(Outgoing),
    /// Nothing says which call it belongs to: the socket is closed.
    Closed { code: u16, reason: &'static str },
}

pub(crate) fn refuse(error: FrameError) -> Refused {
    match (error.kind, error.id) {
        (FrameErrorKind::IdTooLong, _) => {
            Refused::Closed { code: close_code::POLICY, reason: "Invalid call id" }
        }
        (FrameErrorKind::Malformed, Some(id)) => {
            Refused::Answered(error_response(&id, &Error::new(Code::BadRequest).message("Malformed frame.")))
        }
        (FrameErrorKind::Malformed, None) => {
            Refused::Closed { code: close_code::INVALID_DATA, reason: "Malformed frame" }
        }
    }
}

/// Where a request goes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Subscribe,
    UpdateToken,
    /// A procedure, by the path in the input.
    Call,
    /// A procedure, by the request's own path.
    Direct(Vec<String>),
    Nowhere,
}

pub(crate) fn route<O: 'static, C: 'static>(path: &str, procedures: &Procedures<O, C>) -> Route {
    match path {
        "/subscribe" => Route::Subscribe,
        "/updateToken" => Route::UpdateToken,
        "/call" => Route::Call,
        path => match path.strip_prefix('/').map(http::decode_path) {
            Some(path) if procedures.find(&path).is_some() => Route::Direct(path),
            _ => Route::Nowhere,
        },
    }
}

/// A call of a procedure that the client may call.
pub(crate) struct Admitted<O, C> {
    pub(crate) path: Vec<String>,
    pub(crate) input: Input,
    pub(crate) handler: Handler<O, C>,
}

/// How often a call's headers are there: in its context, and in that of what wraps it.
const COPIES: usize = 2;

impl<O, C> Admitted<O, C> {
    /// About how many bytes of memory its input and headers take.
    pub(crate) fn memory(&self, headers: &BTreeMap<String, Vec<String>>) -> usize {
        let text = |text: &String| size_of::<String>().saturating_add(allocation(text.capacity()));
        let add = |sum: usize, text: usize| sum.saturating_add(text);
        let header = |(name, values): (&String, &Vec<String>)| {
            values.iter().map(text).fold(text(name).saturating_add(HEADER_BYTES), add)
        };
        let headers = headers.iter().map(header).fold(0, add);
        self.input.memory().saturating_add(headers.saturating_mul(COPIES))
    }
}

/// What a header takes besides its texts, in bytes: its list of values, and its share of the map.
const HEADER_BYTES: usize = 64;

/// Finds the procedure, and whether the client may call it.
pub(crate) fn admit<O: 'static, C: 'static>(
    procedures: &Procedures<O, C>,
    session: &Session,
    asked: Result<Asked>,
) -> Result<Admitted<O, C>> {
    let Asked { path, input } = asked?;
    let first = path.first().map(String::as_str).unwrap_or_default();
    if !session.claims.rpc.iter().any(|allowed| allowed == first) {
        return Err(Error::new(Code::Forbidden).message(format!("Method \"{first}\" is not allowed.")));
    }
    let handler = procedures.find(&path).ok_or_else(|| Error::new(Code::NotFound))?;
    Ok(Admitted { path, input, handler })
}

/// What a call is for.
pub(crate) struct Asked {
    path: Vec<String>,
    input: Input,
}

impl Asked {
    /// `direct` is the procedure's path where the request's own path says it, and not the input of `/call`.
    pub(crate) fn new(direct: Option<Vec<String>>, input: Input) -> Result<Self> {
        if let Some(path) = direct {
            return Ok(Self { path, input });
        }
        let mut fields = object(input.into_value()?).map_err(Error::invalid_input)?;
        let path = required(&mut fields, "path", strings).map_err(Error::invalid_input)?;
        let input = Input::Value(fields.remove("input").unwrap_or_default());
        if path.is_empty() {
            return Err(Error::invalid_input(Issue::new("expected a procedure's name").at("path").at(0)));
        }
        Ok(Self { path, input })
    }

    /// The same of a body, which is no stream.
    pub(crate) fn read(direct: Option<Vec<String>>, body: Body<'_>) -> Result<Self> {
        if let (None, Body::Json { json: Some(json), meta: None }) = (&direct, &body)
            && let Some(asked) = Self::read_plain(json)
        {
            return Ok(asked);
        }
        Self::new(direct, Input::Value(body.into_value().map_err(Error::malformed)?))
    }

    /// The body of `/call` as nearly all are: read at once, without making an object of it. None: it is another one.
    fn read_plain(json: &str) -> Option<Self> {
        let mut path = Vec::new();
        let mut input = Value::Undefined;
        let mut is_plain = true;
        read_members(json, &mut |reader, key| {
            match key {
                "path" => path = reader.texts()?,
                "input" => input = reader.value()?,
                _ => {
                    is_plain = false;
                    reader.raw()?;
                }
            }
            Ok::<_, DeserializeError>(())
        })
        .ok()?;
        (is_plain && !path.is_empty()).then_some(Self { path, input: Input::Value(input) })
    }
}

/// The session with the token that the client sends in place of its own. `name` is the object's.
pub(crate) fn renew(
    session: &Session,
    input: Value,
    keys: &SigningKeys,
    is_own: &dyn Fn(&str) -> bool,
    now_ms: u64,
) -> Result<Session> {
    let token = object(input).and_then(|mut fields| required(&mut fields, "token", string));
    let token = token.map_err(Error::invalid_input)?;
    let refused = |message: &str| Error::new(Code::Unauthorized).message(message);
    // One of the other generation is as good as none.
    let claims = keys
        .verify(&token, now_ms)
        .ok()
        .filter(|claims| (claims.generation() == Generation::Two) == session.claims.is_second)
        .ok_or_else(|| refused(renewal::INVALID))?;
    if !is_own(claims.channel().as_str()) {
        return Err(refused(renewal::OTHER_CHANNEL));
    }
    // The platform takes a socket's tags when it accepts it, and never again.
    if claims.tags() != session.claims.tags {
        return Err(refused(renewal::OTHER_TAGS));
    }
    // Limits per subject count the socket as that of its first token.
    if claims.subject() != session.claims.subject.as_deref() {
        return Err(refused(renewal::OTHER_SUBJECT));
    }
    Ok(Session { claims: SessionClaims::from(&claims), ..session.clone() })
}

/// Why a renewal is rejected. All but the subject's are in the words of oRPC's own object (1.9 to 1.16), which clients may have
/// learned to read.
mod renewal {
    pub(super) const INVALID: &str = "Invalid Token";
    pub(super) const OTHER_CHANNEL: &str = "Updated token must have the same channel with the original token";
    pub(super) const OTHER_TAGS: &str = "Updated token must have the exact same tags with the original token";
    pub(super) const OTHER_SUBJECT: &str = "Updated token must have the same subject as the original token";
}

/// Whether a call of this id is running, or is the subscription: an answer would be taken for that of the other one.
pub(crate) fn is_open(session: &Session, calls: &Calls, socket: u32, id: &str) -> bool {
    let subscription = session.subscription.as_ref();
    subscription.is_some_and(|subscription| subscription.id == id) || calls.is_running(socket, id)
}

/// An item of a stream that is a call's input; of no call that is running, it is ignored. Answers with what is to be sent.
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
            upload.fail(token_expired());
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
        // What the client's iterator threw is the client's own affair.
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

/// What a call gets whose token has ended.
pub(crate) fn token_expired() -> Error {
    Error::new(Code::Unauthorized).message("Token expired")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Texts of which many are a call's body, or nearly.
    fn body() -> impl Strategy<Value = String> {
        let value = prop_oneof![
            Just(r#"["ping"]"#.to_owned()),
            Just(r#"["a","b\u0063"]"#.to_owned()),
            Just(r#"["\ud800"]"#.to_owned()),
            Just(r#"[1,{"path":[]}]"#.to_owned()),
            Just("[]".to_owned()),
            Just("null".to_owned()),
            (120_usize..130).prop_map(|depth| "[".repeat(depth) + &"]".repeat(depth)),
            any::<f64>()
                .prop_filter("finite", |number| number.is_finite())
                .prop_map(|number| number.to_string()),
        ];
        let key =
            prop_oneof![4 => Just("path"), 3 => Just("input"), 1 => Just("pat\\u0068"), 1 => Just("other")];
        let member = (key, value).prop_map(|(key, value)| format!(r#" "{key}" :{value}"#));
        proptest::collection::vec(member, 0..4).prop_map(|members| format!("{{{}}}", members.join(",")))
    }

    proptest! {
        #[test]
        fn a_plain_call_is_read_as_every_other(json in prop_oneof![9 => body(), 1 => any::<String>()]) {
            let asked = Asked::read(None, Body::Json { json: Some(&json), meta: None });
            let in_general = Body::Json { json: Some(&json), meta: None }
                .into_value()
                .map_err(Error::malformed)
                .and_then(|value| Asked::new(None, Input::Value(value)));
            prop_assert_eq!(parts(asked), parts(in_general));
        }
    }

    fn parts(asked: Result<Asked>) -> Result<(Vec<String>, Value), String> {
        let Asked { path, input } = asked.map_err(|error| error.to_string())?;
        Ok((path, input.into_value().unwrap()))
    }

    #[test]
    fn a_call_with_a_path_is_plain() {
        let ping = Asked::read_plain(r#"{"path":["ping"]}"#).unwrap();
        assert_eq!(parts(Ok(ping)), Ok((vec!["ping".to_owned()], Value::Undefined)));
        assert!(Asked::read_plain(r#"{"path":["ping"],"more":1}"#).is_none());
    }
}
