//! A server that gives clients back what they send: real ones talk to it in `tests/golden`.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use super::{
    ClientFrame, EventMeta, Outgoing, Request, StreamEventKind, Value, decode_binary, decode_text,
    error_response, event_tail, from_value, head, response, serialize, stream_event, stream_response,
    text_response,
};
use crate::error::{Code, Error, Result};

/// HTTP's "OK".
const OK: u16 = 200;

/// A message on a socket. Binary ones are in base64.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Message {
    Text(String),
    Binary(String),
}

impl From<Outgoing> for Message {
    fn from(frame: Outgoing) -> Self {
        match frame {
            Outgoing::Text(text) => Self::Text(text),
            Outgoing::Binary(bytes) => Self::Binary(STANDARD.encode(bytes)),
        }
    }
}

/// Answers one message, `{"text"}` or `{"binary"}`, by a list of them.
///
/// # Errors
/// The message is no frame.
pub fn answer(line: &str) -> Result<String> {
    let bytes;
    let text;
    let frame = match serde_json::from_str(line)? {
        Message::Text(message) => {
            text = message;
            decode_text(&text)?
        }
        Message::Binary(message) => {
            bytes = STANDARD
                .decode(message)
                .map_err(|error| Error::new(Code::BadRequest).message(error.to_string()))?;
            decode_binary(&bytes)?
        }
    };
    Ok(serde_json::to_string(&answers(frame)?)?)
}

fn answers(frame: ClientFrame<'_>) -> Result<Vec<Message>> {
    match frame {
        ClientFrame::Request(request) => {
            let id = request.id.clone().into_owned();
            handle(&id, request).or_else(|error| Ok(vec![error_response(&id, &error).into()]))
        }
        // What a client streams comes back as a stream.
        ClientFrame::Event { id, event } => {
            let data = serialize(&event.to_value()?)?;
            let meta = EventMeta { id: Some("x".into()), retry: Some(5), comments: vec!["c".into()] };
            Ok(vec![Message::Text(stream_event(&id, event.kind, Some(&data), Some(&meta)))])
        }
        ClientFrame::Abort { .. } => Ok(Vec::new()),
    }
}

/// An error to be thrown at the client.
#[derive(Deserialize)]
struct Thrown {
    code: String,
    status: u16,
    message: Option<String>,
    #[serde(default)]
    data: Value,
    #[serde(default)]
    defined: Option<bool>,
}

/// Events as the log sends them.
#[derive(Deserialize)]
struct Replay {
    events: Vec<Value>,
    retry: Option<u32>,
    #[serde(default)]
    comments: Vec<String>,
}

fn handle(id: &str, request: Request<'_>) -> Result<Vec<Message>> {
    match &*request.path {
        "/echo" => Ok(vec![response(id, OK, serialize(&request.body.into_value()?)?).into()]),
        "/upload" => Ok(vec![Message::Text(stream_response(id, &[]))]),
        "/headers" => Ok(vec![response(id, OK, serialize(&request.headers.into_map())?).into()]),
        "/throw" => {
            let Thrown { code, status, message, data, defined } = from_value(request.body.into_value()?)?;
            let mut error = Error::custom(code, status).data(data);
            if let Some(message) = message {
                error = error.message(message);
            }
            Err(if defined == Some(true) { error.defined() } else { error })
        }
        "/number" => {
            let number: u8 = from_value(request.body.into_value()?)?;
            Ok(vec![response(id, OK, serialize(&number)?).into()])
        }
        "/replay" => {
            let Replay { events, retry, comments } = from_value(request.body.into_value()?)?;
            let extra = EventMeta { retry, comments, id: None }.to_extra();
            let mut frames = vec![Message::Text(stream_response(id, &[]))];
            for (number, event) in (1..).zip(&events) {
                let data = serialize(event)?;
                let json = data.json.ok_or_else(|| Error::new(Code::BadRequest))?;
                let tail = event_tail(&json, data.meta.as_deref(), extra.as_deref(), number);
                frames.push(Message::Text(head(id) + &tail));
            }
            frames.push(Message::Text(stream_event(id, StreamEventKind::Done, None, None)));
            Ok(frames)
        }
        "/fail" => {
            let data = Error::new(Code::Conflict).message("in the middle").to_wire();
            Ok(vec![
                Message::Text(stream_response(id, &[])),
                Message::Text(stream_event(id, StreamEventKind::Error, Some(&data), None)),
            ])
        }
        _ => Ok(vec![text_response(id, Code::NotFound.status(), "No procedure matched").into()]),
    }
}
