//! Tests against recorded messages of oRPC's clients and servers (`tests/frames`).

use std::{fs, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{frame::*, parse::parse_body, *};
use crate::frame::DELIMITER;

#[derive(Deserialize)]
struct Recording {
    name: String,
    exchanges: Vec<Exchange>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Exchange {
    kind: String,
    #[serde(default)]
    dir: String,
    payload: Option<String>,
    payload_base64: Option<String>,
    request: Option<Http>,
    response: Option<Http>,
}

#[derive(Deserialize)]
struct Http {
    body: Option<String>,
}

/// A frame of the server.
#[derive(Debug, Deserialize)]
struct Frame<'a> {
    i: String,
    t: Option<u8>,
    #[serde(borrow)]
    p: Payload<'a>,
}

#[derive(Debug, Deserialize)]
struct Payload<'a> {
    s: Option<u16>,
    #[serde(borrow)]
    h: Option<&'a RawValue>,
    #[serde(borrow)]
    b: Option<&'a RawValue>,
    e: Option<String>,
    #[serde(borrow)]
    d: Option<&'a RawValue>,
    #[serde(borrow)]
    m: Option<&'a RawValue>,
}

fn recordings() -> Vec<Recording> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/frames");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let recordings: Vec<Recording> =
        files.iter().map(|file| serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()).collect();
    assert!(recordings.len() >= 17, "the recordings exist");
    recordings
}

/// Returns the recorded messages of a direction: from clients (`c2s`) or from the server (`s2c`).
fn frames(direction: &str) -> Vec<(String, Result<String, Vec<u8>>)> {
    let mut frames = Vec::new();
    for recording in recordings() {
        for exchange in recording.exchanges {
            if exchange.kind != "frame" || exchange.dir != direction {
                continue;
            }
            let frame = match (exchange.payload, exchange.payload_base64) {
                (Some(text), _) => Ok(text),
                (None, Some(base64)) => Err(STANDARD.decode(base64).unwrap()),
                (None, None) => panic!("frame without payload in {}", recording.name),
            };
            frames.push((recording.name.clone(), frame));
        }
    }
    frames
}

#[test]
fn every_recorded_client_frame_is_decoded() {
    let frames = frames("c2s");
    assert!(frames.len() > 40, "{}", frames.len());
    for (name, frame) in &frames {
        let decoded = match frame {
            Ok(text) => decode_text(text),
            Err(bytes) => decode_binary(bytes),
        };
        match decoded.unwrap_or_else(|error| panic!("{name}: {error} in {frame:?}")) {
            ClientFrame::Request(request) => {
                assert!(["/subscribe", "/call"].contains(&&*request.path), "{name}: {}", request.path);
                let is_call = request.path == "/call";
                let value = request.body.into_value().unwrap();
                assert_eq!(matches!(value, Value::Object(_)), is_call, "{name}: {value:?}");
            }
            ClientFrame::Abort { .. } | ClientFrame::Event { .. } | ClientFrame::Acknowledgement { .. } => {}
        }
    }
}

#[test]
fn a_recorded_file_is_decoded() {
    let frames = frames("c2s");
    let (_, frame) = frames.iter().find(|(_, frame)| frame.is_err()).unwrap();
    let ClientFrame::Request(request) = decode_binary(frame.as_ref().unwrap_err()).unwrap() else {
        panic!("expected a request")
    };
    let Value::Object(mut body) = request.body.into_value().unwrap() else { panic!("expected an object") };
    // Escaped quotes in the file name are decoded; the recorded server did not decode them.
    let file = Blob::new("file body é".into()).name("héllo \"x\".txt").content_type("text/plain");
    assert_eq!(body.remove("input"), Some(Value::from(file)));
    assert_eq!(from_value::<Vec<String>>(body.remove("path").unwrap()).unwrap(), ["extra", "file"]);
}

#[test]
fn every_recorded_server_frame_is_reproduced() {
    let frames = frames("s2c");
    assert!(frames.len() > 50, "{}", frames.len());
    for (name, frame) in &frames {
        let Ok(text) = frame else { continue };
        let Frame { i, t, p } = serde_json::from_str(text).unwrap();
        let body = p.b.or(p.d).map(|body| parse_body(body.get().as_bytes()).unwrap());
        let again = body.as_ref().map(|value| serialize(value).unwrap());
        let written = match (t, p.h, p.s) {
            (Some(3), ..) => {
                let meta =
                    p.m.map(|meta| serde_json::from_str::<EventMeta>(meta.get()).unwrap().checked().unwrap());
                let kind = if p.e.as_deref() == Some("done") {
                    StreamEventKind::Done
                } else {
                    StreamEventKind::Message
                };
                let written = stream_event(&i, kind, again.as_ref(), meta.as_ref());
                if let Some(id) = meta.as_ref().and_then(|meta| meta.id()?.parse().ok()) {
                    let Serialized { json, meta: types, .. } = again.unwrap();
                    let extra = meta.and_then(|meta| meta.to_extra());
                    let live = head(&i) + &event_tail(&json.unwrap(), types.as_deref(), extra.as_deref(), id);
                    assert_eq!(json_of(&live), json_of(&written), "{name}");
                }
                written
            }
            (None, Some(_), None) => stream_response(&i, &[]),
            (None, None, None) => text_of(response(&i, 200, again.unwrap())),
            (None, None, Some(status)) => {
                let Some(Value::Object(mut body)) = body else { panic!("{name}: no error in {text}") };
                let mut field = |key: &str| body.remove(key);
                let code = &from_value::<String>(field("code").unwrap()).unwrap();
                let message = &from_value::<String>(field("message").unwrap()).unwrap();
                let data = field("data");
                let error = ErrorBody { defined: false, code, status, message, data: data.as_ref() };
                text_of(error_response(&i, &error))
            }
            other => panic!("{name}: {other:?} in {text}"),
        };
        // The recorded server keeps the member order of the application's event meta.
        if p.m.is_some() {
            // An empty list of comments is not written.
            assert_eq!(json_of(&written), json_of(&text.replace("\"comments\":[],", "")), "{name}");
        } else {
            assert_eq!(written, *text, "{name}");
        }
    }
}

#[test]
fn a_recorded_form_round_trips() {
    let frames = frames("s2c");
    let forms: Vec<_> = frames.iter().filter_map(|(_, frame)| frame.as_ref().err()).collect();
    assert_eq!(forms.len(), 4);
    for bytes in forms {
        let value = form_of(bytes);
        let Outgoing::Binary(again) = response("1", 200, serialize(&value).unwrap()) else {
            panic!("expected a binary frame")
        };
        assert_eq!(form_of(&again), value);
    }
}

/// Decodes the value in a server frame as if a client had sent it.
fn form_of(bytes: &[u8]) -> Value {
    let at = bytes.iter().position(|byte| *byte == DELIMITER).unwrap();
    let json = str::from_utf8(&bytes[..at]).unwrap().replace("\"p\":{", "\"p\":{\"u\":\"/\",");
    let frame = [json.as_bytes(), &bytes[at..]].concat();
    let ClientFrame::Request(request) = decode_binary(&frame).unwrap() else { panic!("expected a request") };
    request.body.into_value().unwrap()
}

#[test]
fn every_recorded_http_body_is_parsed() {
    for recording in recordings() {
        for exchange in recording.exchanges {
            for body in
                [exchange.request, exchange.response].into_iter().flatten().filter_map(|http| http.body)
            {
                if body.starts_with("{\"") || body == "{}" {
                    parse_body(body.as_bytes()).unwrap();
                }
            }
        }
    }
}

fn text_of(frame: Outgoing) -> String {
    match frame {
        Outgoing::Text(text) => text,
        Outgoing::Binary(_) => panic!("expected a text frame"),
    }
}

fn json_of(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}
