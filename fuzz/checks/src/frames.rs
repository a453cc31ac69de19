//! A message of a client, read; and written and read again.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::loss::{after_form, after_json};
use durable_event_wire::{
    Code, Serialized, Value,
    frame::{
        Body, ClientFrame, FrameErrorKind, Headers, Outgoing, Request, StreamEvent, decode_binary,
        decode_text, error_response, response, stream_event,
    },
    serialize,
};

/// The byte between the JSON and the bytes of a body.
const DELIMITER: u8 = 0xFF;

/// What is in each of oRPC's headers that says how a body is to be read.
const BODY_HEADERS: [&str; 2] = ["content-type", "content-disposition"];

pub(super) fn check(input: &[u8]) {
    let decoded = match str::from_utf8(input) {
        Ok(text) => decode_text(text),
        Err(_) => decode_binary(input),
    };
    match decoded {
        Ok(ClientFrame::Request(request)) => check_request(request),
        Ok(ClientFrame::Event { id, event }) => check_event(&id, &event),
        Ok(ClientFrame::Abort { id } | ClientFrame::Acknowledgement { id, .. }) => check_id(&id),
        Err(error) => match (error.kind, error.id) {
            (FrameErrorKind::IdTooLong, id) => assert_eq!(id, None, "an id that is refused is not repeated"),
            (FrameErrorKind::Malformed, Some(id)) => {
                check_id(&id);
                check_answer(&id, &error_response(&id, &Code::BadRequest.into()));
            }
            (FrameErrorKind::Malformed, None) => {}
        },
    }
}

fn check_id(id: &str) {
    assert!((1..=64).contains(&id.len()), "an id has 1 to 64 bytes");
}

fn check_request(request: Request<'_>) {
    let Request { id, path, headers, body } = request;
    check_id(&id);
    assert!(path.starts_with('/') && !path.contains(['?', '#']), "a path is one");
    let is_stream = matches!(body, Body::Stream);
    let value = match body.into_value() {
        Ok(value) => value,
        Err(_) => return check_answer(&id, &error_response(&id, &Code::BadRequest.into())),
    };
    assert!(!is_stream, "a stream has no value");
    let serialized = serialize(&value).expect("what was read can be written");

    // As an answer, and as the same request again.
    let has_files = !serialized.blobs.is_empty();
    check_answer(&id, &response(&id, 200, serialized.clone()));
    let frame = encode(&id, &path, &headers, &serialized);
    let again = match decode_binary(&frame) {
        Ok(ClientFrame::Request(again)) => again,
        other => panic!("not a request again: {other:?}"),
    };
    assert_eq!((&*again.id, &*again.path), (&*id, &*path));
    let map = |headers: Headers<'_>| {
        let mut map = headers.into_map();
        BODY_HEADERS.iter().for_each(|name| drop(map.remove(*name)));
        map
    };
    assert_eq!(map(again.headers), map(headers));
    let kept = if has_files { after_form(value) } else { after_json(value) };
    assert_eq!(again.body.into_value(), Ok(kept));
}

/// The frame of a request, as a client writes it.
fn encode(id: &str, path: &str, headers: &Headers<'_>, body: &Serialized) -> Vec<u8> {
    let form = (!body.blobs.is_empty()).then(|| body.clone().into_http());
    let mut headers = headers.clone().into_map();
    BODY_HEADERS.iter().for_each(|name| drop(headers.remove(*name)));
    if let Some(form) = &form {
        headers.insert("content-type".into(), vec![form.content_type.clone().into_owned()]);
    }
    let mut frame = String::from("{\"p\":{\"h\":");
    frame.push_str(&serialize(&headers).unwrap().json.unwrap());
    if form.is_none() {
        frame.push_str(",\"b\":");
        frame.push_str(&body.to_body());
    }
    frame.push_str(",\"u\":");
    frame.push_str(&serde_json::to_string(path).unwrap());
    frame.push_str("},\"i\":");
    frame.push_str(&serde_json::to_string(id).unwrap());
    frame.push('}');
    let mut frame = frame.into_bytes();
    if let Some(form) = form {
        frame.push(DELIMITER);
        frame.extend_from_slice(&form.bytes);
    }
    frame
}

fn check_event(id: &str, event: &StreamEvent<'_>) {
    check_id(id);
    let Ok(value) = event.to_value() else { return };
    let serialized = serialize(&value).expect("what was read can be written");
    let frame = stream_event(id, event.kind, Some(&serialized), None);
    let Ok(ClientFrame::Event { id: again_id, event: again }) = decode_text(&frame) else {
        panic!("not an event again: {frame}")
    };
    assert_eq!((&*again_id, again.kind), (id, event.kind));
    assert_eq!(again.to_value(), Ok(after_json(value)));
}

/// What goes out is a frame of the protocol's shape, for the call it answers.
pub(super) fn check_answer(id: &str, frame: &Outgoing) {
    let (text, form) = match frame {
        Outgoing::Text(text) => (text.as_str(), None),
        Outgoing::Binary(bytes) => {
            let at = bytes.iter().position(|byte| *byte == DELIMITER).expect("a delimiter");
            (str::from_utf8(&bytes[..at]).unwrap(), Some(&bytes[at + 1..]))
        }
    };
    // Level by level, as raw texts: a value may be nested deeper than serde_json's own limit.
    let frame = members(text);
    assert_eq!(serde_json::from_str::<String>(frame["i"]).unwrap(), id);
    assert!(frame.keys().all(|key| ["i", "t", "p"].contains(&key.as_str())));
    let Some(payload) = frame.get("p") else {
        assert_eq!(frame["t"], "4", "an abort alone has no payload");
        return;
    };
    let payload = members(payload);
    let keys: &[&str] = match frame.get("t") {
        None => &["s", "h", "b"],
        Some(&"3") => &["e", "d", "m"],
        other => panic!("no type of the server's: {other:?}"),
    };
    assert!(payload.keys().all(|key| keys.contains(&key.as_str())));
    if let Some(status) = payload.get("s") {
        assert!((200..600).contains(&status.parse::<u16>().expect("a status is a number")));
    }
    if let Some(form) = form {
        let content_type: String = serde_json::from_str(members(payload["h"])["content-type"]).unwrap();
        Value::from_http(Some(&content_type), form).expect("a form that can be read");
    }
    if let Some(body) = payload.get("b").or(payload.get("d")).filter(|body| body.starts_with('{')) {
        assert!(members(body).keys().all(|key| ["json", "meta"].contains(&key.as_str())));
    }
    if frame.contains_key("t") {
        assert!(["\"message\"", "\"error\"", "\"done\""].contains(&payload["e"]));
        assert!(payload["d"].starts_with('{'), "the oldest clients need data");
    }
}

/// The members of an object, as raw texts.
fn members(text: &str) -> BTreeMap<String, &str> {
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(text).expect("a JSON object");
    members.into_iter().map(|(key, value)| (key, value.get())).collect()
}
