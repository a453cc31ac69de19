//! Encoding of messages to clients.
//!
//! Each message consists of a head, `{"i":"<call id>"`, and a tail. The tail of an event is the same for all
//! subscribers.

use super::{DELIMITER, multipart};
use crate::{
    CheckedMeta, ErrorBody, Serialized,
    text::{push_integer, push_string},
};

/// The status of a response without `s`.
const OK: u16 = 200;
const EVENT_STREAM: (&str, &str) = ("content-type", "text/event-stream");
const TOKEN_EXPIRED: (&str, &str) = ("x-durable-event-token-expired", "1");

/// A message to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outgoing {
    /// A text message.
    Text(String),
    /// A binary message, for responses with blobs.
    Binary(Vec<u8>),
}

/// The kind of a stream event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamEventKind {
    /// An item.
    Message,
    /// The stream ended with an error.
    Error,
    /// The stream ended.
    Done,
}

/// Returns the head of a message for the call with this id.
#[must_use]
pub fn head(id: &str) -> String {
    head_of(id, 0)
}

/// Returns the head with capacity for `more` additional bytes.
fn head_of(id: &str, more: usize) -> String {
    const START: &str = "{\"i\":";
    const QUOTES: usize = 2;
    let length = [START.len(), id.len(), QUOTES, more];
    let mut head = String::with_capacity(length.into_iter().fold(0, usize::saturating_add));
    head.push_str(START);
    push_string(&mut head, id);
    head
}

/// Returns the tail of a channel event. `json` and `meta` are JSON texts; `extra` has the form of
/// [`CheckedMeta::to_extra`].
#[must_use]
pub fn event_tail(json: &str, meta: Option<&str>, extra: Option<&str>, id: u64) -> String {
    const START: &str = r#","t":3,"p":{"e":"message","d":{"json":"#;
    const META: &str = r#","meta":"#;
    const MEMBERS: &str = r#"},"m":{"#;
    const ID: &str = r#""id":""#;
    const END: &str = r#""}}}"#;
    /// The maximum number of digits of a u64.
    const DIGITS: usize = 20;

    let parts =
        [START, json, META, meta.unwrap_or_default(), MEMBERS, extra.unwrap_or_default(), ",", ID, END];
    let length = parts.iter().fold(DIGITS, |sum, part| sum.saturating_add(part.len()));
    let mut tail = String::with_capacity(length);
    tail.push_str(START);
    tail.push_str(json);
    if let Some(meta) = meta {
        tail.push_str(META);
        tail.push_str(meta);
    }
    tail.push_str(MEMBERS);
    if let Some(extra) = extra {
        tail.push_str(extra);
        tail.push(',');
    }
    tail.push_str(ID);
    push_integer(&mut tail, id);
    tail.push_str(END);
    tail
}

/// Returns the response to a call with a body.
#[must_use]
pub fn response(id: &str, status: u16, body: Serialized) -> Outgoing {
    response_with(id, status, &[], body)
}

/// Returns a response with headers, which are sent only if the body has no blobs.
fn response_with(id: &str, status: u16, headers: &[(&str, &str)], body: Serialized) -> Outgoing {
    if body.blobs.is_empty() {
        let room = [&body.json, &body.meta].into_iter().flatten().map(String::len);
        let mut frame = start(id, status, headers, room.fold(0, usize::saturating_add));
        push_key(&mut frame, "b");
        push_body(&mut frame, &body);
        frame.push_str("}}");
        return Outgoing::Text(frame);
    }
    let form = multipart::write(&body);
    let frame = start(id, status, &[("content-type", &form.content_type)], 0);
    let mut bytes = frame.into_bytes();
    bytes.reserve_exact(form.bytes.len().saturating_add(3));
    bytes.extend_from_slice(b"}}");
    bytes.push(DELIMITER);
    bytes.extend_from_slice(&form.bytes);
    Outgoing::Binary(bytes)
}

/// Returns a response with a plain text body.
#[must_use]
pub fn text_response(id: &str, status: u16, text: &str) -> Outgoing {
    let mut frame = start(id, status, &[], text.len());
    push_key(&mut frame, "b");
    push_string(&mut frame, text);
    frame.push_str("}}");
    Outgoing::Text(frame)
}

/// Returns the response to a failed call.
#[must_use]
pub fn error_response(id: &str, error: &ErrorBody<'_>) -> Outgoing {
    response(id, error.status, error.to_wire())
}

/// Returns the response to a call that was not executed because its token had expired. A header asks the npm
/// package's client to repeat the call; the code and message alone could also come from a procedure.
#[must_use]
pub fn expired_response(id: &str, error: &ErrorBody<'_>) -> Outgoing {
    response_with(id, error.status, &[TOKEN_EXPIRED], error.to_wire())
}

/// Returns the response to a call with a streaming output. Events follow.
#[must_use]
pub fn stream_response(id: &str, headers: &[(&str, &str)]) -> String {
    let headers: Vec<_> = [&EVENT_STREAM].into_iter().chain(headers).copied().collect();
    let mut frame = start(id, OK, &headers, 0);
    frame.push_str("}}");
    frame
}

/// Returns an event of a streaming output.
///
/// `data` is `None` for an undefined item and for an unexpected error. Blobs are omitted: clients cannot read them in
/// events.
#[must_use]
pub fn stream_event(
    id: &str,
    kind: StreamEventKind,
    data: Option<&Serialized>,
    meta: Option<&CheckedMeta>,
) -> String {
    let mut frame = head(id);
    frame.push_str(r#","t":3,"p":{"e":"#);
    frame.push_str(match kind {
        StreamEventKind::Message => "\"message\"",
        StreamEventKind::Error => "\"error\"",
        StreamEventKind::Done => "\"done\"",
    });
    // oRPC 1.6 clients throw if `d` is missing, even for `done`.
    frame.push_str(",\"d\":");
    match data {
        Some(data) => push_body(&mut frame, data),
        None => frame.push_str("{}"),
    }
    if let Some(meta) = meta.and_then(CheckedMeta::to_json) {
        frame.push_str(",\"m\":");
        frame.push_str(&meta);
    }
    frame.push_str("}}");
    frame
}

/// Returns the tail of a live event, which has no meta: with a [`head`] it is the event of [`stream_event`].
#[must_use]
pub fn live_tail(data: &Serialized) -> String {
    let mut tail = r#","t":3,"p":{"e":"message","d":"#.to_owned();
    push_body(&mut tail, data);
    tail.push_str("}}");
    tail
}

/// Returns the last item of a subscription that is parked: its client has not acknowledged enough. The client subscribes
/// again after the last event that it has received; without one, after the event `after`. Only clients that have agreed on
/// flow control receive it.
#[must_use]
pub fn parked(id: &str, after: Option<u64>) -> String {
    let mut frame = head(id);
    frame.push_str(r#","t":3,"p":{"e":"parked""#);
    if let Some(after) = after {
        frame.push_str(r#","m":{"id":""#);
        push_integer(&mut frame, after);
        frame.push_str("\"}");
    }
    frame.push_str("}}");
    frame
}

/// Returns the message that asks the client to stop its streaming input.
#[must_use]
pub fn stop_upload(id: &str) -> String {
    let mut frame = head(id);
    frame.push_str(",\"t\":4}");
    frame
}

/// Returns a response up to its body, with capacity for a body of this length.
fn start(id: &str, status: u16, headers: &[(&str, &str)], body: usize) -> String {
    /// The length of a typical response without the content of its body.
    const AROUND: usize = r#","p":{"s":200,"b":{"json":,"meta":}}}"#.len();

    let mut frame = head_of(id, body.saturating_add(AROUND));
    frame.push_str(",\"p\":{");
    if status != OK {
        push_key(&mut frame, "s");
        push_integer(&mut frame, status);
    }
    if !headers.is_empty() {
        push_key(&mut frame, "h");
        frame.push('{');
        for (name, value) in headers {
            push_key(&mut frame, name);
            push_string(&mut frame, value);
        }
        frame.push('}');
    }
    frame
}

/// Appends the key of an object's member, after a comma if necessary. Keys need no escaping.
fn push_key(out: &mut String, key: &str) {
    let is_first = out.as_bytes().last() == Some(&b'{');
    out.push_str(if is_first { "\"" } else { ",\"" });
    out.push_str(key);
    out.push_str("\":");
}

/// Appends the body `{"json":…,"meta":…}`; for undefined, `{}`.
pub(crate) fn push_body(out: &mut String, body: &Serialized) {
    out.push('{');
    for (key, half) in [("json", &body.json), ("meta", &body.meta)] {
        if let Some(half) = half {
            push_key(out, key);
            out.push_str(half);
        }
    }
    out.push('}');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Blob, Code, ErrorBody, EventMeta, Value, serialize};

    fn text(frame: Outgoing) -> String {
        match frame {
            Outgoing::Text(text) => text,
            Outgoing::Binary(_) => panic!("expected a text frame"),
        }
    }

    #[test]
    fn an_event_tail_is_built_in_one_allocation() {
        let json = format!("{{\"a\":\"{}\"}}", "x".repeat(4_096));
        for json in ["{}", &json] {
            for meta in [None, Some(r#"[[1,"a"]]"#)] {
                for extra in [None, Some(r#""retry":4321,"comments":["a"]"#)] {
                    for id in [0, u64::MAX] {
                        let counted = allocation_counter::measure(|| drop(event_tail(json, meta, extra, id)));
                        assert_eq!(counted.count_total, 1, "{meta:?} {extra:?} {id}");
                    }
                }
            }
        }
    }

    #[test]
    fn an_undefined_result_has_an_empty_body() {
        assert_eq!(text(response("1", 200, Serialized::default())), r#"{"i":"1","p":{"b":{}}}"#);
    }

    #[test]
    fn a_status_is_written_unless_it_is_200() {
        let frame = text(error_response("0", &Code::Conflict.into()));
        assert_eq!(
            frame,
            r#"{"i":"0","p":{"s":409,"b":{"json":{"defined":false,"code":"CONFLICT","status":409,"message":"Conflict"}}}}"#
        );
    }

    #[test]
    fn an_expired_token_is_reported_in_a_header_too() {
        let frame =
            text(expired_response("0", &ErrorBody { message: "Token expired", ..Code::Unauthorized.into() }));
        assert_eq!(
            frame,
            r#"{"i":"0","p":{"s":401,"h":{"x-durable-event-token-expired":"1"},"b":{"json":{"defined":false,"code":"UNAUTHORIZED","status":401,"message":"Token expired"}}}}"#
        );
    }

    #[test]
    fn an_id_and_a_header_are_escaped() {
        let frame = text(response("\"}", 200, serialize(&1).unwrap()));
        assert_eq!(frame, r#"{"i":"\"}","p":{"b":{"json":1}}}"#);
        let stream = stream_response("\"}", &[("x-a", "b\n")]);
        assert_eq!(stream, r#"{"i":"\"}","p":{"h":{"content-type":"text/event-stream","x-a":"b\n"}}}"#);
    }

    #[test]
    fn a_stream_response_equals_the_recording() {
        assert_eq!(stream_response("0", &[]), r#"{"i":"0","p":{"h":{"content-type":"text/event-stream"}}}"#);
        let gap = stream_response("0", &[("x-durable-event-gap", "7")]);
        assert_eq!(
            gap,
            r#"{"i":"0","p":{"h":{"content-type":"text/event-stream","x-durable-event-gap":"7"}}}"#
        );
    }

    #[test]
    fn an_event_consists_of_head_and_tail() {
        let tail = event_tail(r#"{"m":1}"#, Some(r#"[[1,"a"]]"#), Some(r#""retry":1"#), 7);
        assert_eq!(
            head("a") + &tail,
            r#"{"i":"a","t":3,"p":{"e":"message","d":{"json":{"m":1},"meta":[[1,"a"]]},"m":{"retry":1,"id":"7"}}}"#
        );
        let plain = event_tail("[]", None, None, u64::MAX);
        assert_eq!(plain, r#","t":3,"p":{"e":"message","d":{"json":[]},"m":{"id":"18446744073709551615"}}}"#);
    }

    #[test]
    fn a_procedure_event_equals_the_recording() {
        let meta = EventMeta { id: Some("end-id".into()), ..EventMeta::default() }.checked().unwrap();
        let data = serialize(&serde_json::json!({ "end": true })).unwrap();
        assert_eq!(
            stream_event("1", StreamEventKind::Done, Some(&data), Some(&meta)),
            r#"{"i":"1","t":3,"p":{"e":"done","d":{"json":{"end":true}},"m":{"id":"end-id"}}}"#
        );
        assert_eq!(
            stream_event("1", StreamEventKind::Done, None, None),
            r#"{"i":"1","t":3,"p":{"e":"done","d":{}}}"#
        );
        let undefined = Serialized::default();
        assert_eq!(
            stream_event("1", StreamEventKind::Message, Some(&undefined), Some(&CheckedMeta::default())),
            r#"{"i":"1","t":3,"p":{"e":"message","d":{}}}"#
        );
        assert!(stream_event("1", StreamEventKind::Error, None, None).contains(r#""e":"error""#));
    }

    #[test]
    fn a_plain_text_is_a_plain_body() {
        assert_eq!(
            text(text_response("1", 404, "No procedure matched")),
            r#"{"i":"1","p":{"s":404,"b":"No procedure matched"}}"#
        );
    }

    #[test]
    fn a_parked_subscription_receives_the_position_from_which_it_continues() {
        assert_eq!(parked("a", Some(7)), r#"{"i":"a","t":3,"p":{"e":"parked","m":{"id":"7"}}}"#);
        assert_eq!(parked("a", None), r#"{"i":"a","t":3,"p":{"e":"parked"}}"#);
    }

    #[test]
    fn a_blob_follows_the_json() {
        let body = serialize(&Blob::new(vec![0, 0xFF]).name("a").content_type("x/y")).unwrap();
        let Outgoing::Binary(bytes) = response("1", 200, body) else { panic!("expected a binary frame") };
        let at = bytes.iter().position(|byte| *byte == DELIMITER).unwrap();
        let json: Value = serde_json::from_slice(&bytes[..at]).unwrap();
        assert!(format!("{json:?}").contains("multipart/form-data; boundary="));
    }

    proptest! {
        #[test]
        fn a_tail_does_not_grow(json in "[a-z]{0,50}", meta in proptest::option::of("[a-z]{0,50}"), extra in proptest::option::of("[a-z]{0,50}"), id: u64) {
            let tail = event_tail(&json, meta.as_deref(), extra.as_deref(), id);
            // A reallocated string would have about twice the capacity.
            prop_assert!(tail.capacity().abs_diff(tail.len()) <= 40);
            let frame = head("x") + &tail;
            prop_assert_eq!(frame.matches("\"m\":").count(), 1);
        }
    }
}
