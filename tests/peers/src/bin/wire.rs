//! An echo server with one message per line, for real clients in `tests/golden`. It also
//! returns which values the wire accepts, for tests and a fuzzer (`scripts/fuzz-clients.mjs`) that pass them to real clients.
//!
//! `{"text": "<frame>"}` or `{"binary": "<base64>"}` returns a list of such messages, and an invalid frame returns `{"error"}`.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use durable_event_wire::{
    Code, ErrorBody, EventMeta, RegExp, Url, Value,
    frame::{
        ClientFrame, Outgoing, Request, StreamEventKind, decode_binary, decode_text, error_response,
        event_tail, head, response, stream_event, stream_response, text_response,
    },
    from_value, serialize, to_value,
};
use std::io::{self, BufRead, Write};

/// Fails with an error for the client, or with a message that is not a frame.
type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// The status OK.
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

/// A check of values.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Question {
    /// Returns the texts that are URLs.
    Urls(Vec<String>),
    /// Returns the sources and flags that are regular expressions.
    Regexps(Vec<(String, String)>),
    /// Returns the frames that send a body to a client, if it is accepted.
    Candidate(Candidate),
}

/// A body, and its meta as an event.
#[derive(Deserialize)]
struct Candidate {
    body: String,
    retry: Option<u32>,
    #[serde(default)]
    comments: Vec<String>,
    event_id: Option<String>,
}

/// The frames of an accepted body. The call's id is empty: `{"i":""`.
#[derive(Default, Serialize)]
struct Frames {
    /// The reason why it is rejected.
    rejected: Option<String>,
    /// The frame as the output of a procedure.
    output: Option<String>,
    /// The frame as an item of a procedure's stream.
    item: Option<String>,
    /// The frame as an event of a channel, if its root is plain.
    event: Option<String>,
}

impl Candidate {
    fn frames(self) -> Result<Frames> {
        let Self { body, retry, comments, event_id } = self;
        let value = Value::from_serialized(body.as_bytes())?;
        let written = serialize(&value)?;
        let meta = EventMeta { retry, comments, id: event_id }.checked()?;
        let event = written.json.as_deref().filter(|_| written.has_plain_root());
        let event = event
            .map(|json| head("") + &event_tail(json, written.meta.as_deref(), meta.to_extra().as_deref(), 1));
        let item = stream_event("", StreamEventKind::Message, Some(&written), Some(&meta));
        let Outgoing::Text(output) = response("", OK, written) else { return Ok(Frames::default()) };
        Ok(Frames { rejected: None, output: Some(output), item: Some(item), event })
    }
}

fn accepted(question: Question) -> Result<String> {
    let accepted: Vec<bool> = match question {
        Question::Urls(texts) => texts.iter().map(|text| text.parse::<Url>().is_ok()).collect(),
        Question::Regexps(texts) => {
            texts.iter().map(|(source, flags)| RegExp::new(source, flags).is_ok()).collect()
        }
        Question::Candidate(candidate) => {
            let rejected = |error: Box<dyn std::error::Error>| Frames {
                rejected: Some(error.to_string()),
                ..Frames::default()
            };
            return Ok(serde_json::to_string(&[candidate.frames().unwrap_or_else(rejected)])?);
        }
    };
    Ok(serde_json::to_string(&accepted)?)
}

/// Handles one message, `{"text"}` or `{"binary"}`, and returns a list of messages; or another request, and returns a list of results.
///
/// # Errors
/// The message is not a frame.
fn answer(line: &str) -> Result<String> {
    if let Ok(question) = serde_json::from_str(line) {
        return accepted(question);
    }
    let bytes;
    let text;
    let frame = match serde_json::from_str(line)? {
        Message::Text(message) => {
            text = message;
            decode_text(&text)?
        }
        Message::Binary(message) => {
            bytes = STANDARD.decode(message).map_err(|error| error.to_string())?;
            decode_binary(&bytes)?
        }
    };
    Ok(serde_json::to_string(&answers(frame)?)?)
}

fn answers(frame: ClientFrame<'_>) -> Result<Vec<Message>> {
    match frame {
        ClientFrame::Request(request) => {
            let id = request.id.clone().into_owned();
            handle(&id, request).or_else(|_| {
                let error =
                    ErrorBody { message: "Internal server error", ..Code::InternalServerError.into() };
                Ok(vec![error_response(&id, &error).into()])
            })
        }
        // The stream of a client is returned as a stream.
        ClientFrame::Event { id, event } => {
            let data = serialize(&event.to_value()?)?;
            let meta =
                EventMeta { id: Some("x".into()), retry: Some(5), comments: vec!["c".into()] }.checked()?;
            Ok(vec![Message::Text(stream_event(&id, event.kind, Some(&data), Some(&meta)))])
        }
        ClientFrame::Abort { .. } | ClientFrame::Acknowledgement { .. } => Ok(Vec::new()),
    }
}

/// An error for the client.
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

/// Events in the form that the log sends.
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
            let default = Code::from_name(&code).map_or(&*code, |code| code.message());
            let message = message.as_deref().unwrap_or(default);
            let error =
                ErrorBody { defined: defined == Some(true), code: &code, status, message, data: Some(&data) };
            Ok(vec![error_response(id, &error).into()])
        }
        "/number" => match from_value::<u8>(request.body.into_value()?) {
            Ok(number) => Ok(vec![response(id, OK, serialize(&number)?).into()]),
            Err(invalid) => {
                let (message, data) = ("Input validation failed", &to_value(&invalid)?);
                let error = ErrorBody { message, data: Some(data), ..Code::BadRequest.into() };
                Ok(vec![error_response(id, &error).into()])
            }
        },
        "/replay" => {
            let Replay { events, retry, comments } = from_value(request.body.into_value()?)?;
            let extra = EventMeta { retry, comments, id: None }.checked()?.to_extra();
            let mut frames = vec![Message::Text(stream_response(id, &[]))];
            for (number, event) in (1..).zip(&events) {
                let data = serialize(event)?;
                let json = data.json.ok_or("an event is undefined")?;
                let tail = event_tail(&json, data.meta.as_deref(), extra.as_deref(), number);
                frames.push(Message::Text(head(id) + &tail));
            }
            frames.push(Message::Text(stream_event(id, StreamEventKind::Done, None, None)));
            Ok(frames)
        }
        "/fail" => {
            let data = ErrorBody { message: "in the middle", ..Code::Conflict.into() }.to_wire();
            Ok(vec![
                Message::Text(stream_response(id, &[])),
                Message::Text(stream_event(id, StreamEventKind::Error, Some(&data), None)),
            ])
        }
        _ => Ok(vec![text_response(id, Code::NotFound.status(), "No procedure matched").into()]),
    }
}

fn main() -> io::Result<()> {
    let mut output = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let answer = answer(&line?)
            .unwrap_or_else(|error| serde_json::json!({ "error": error.to_string() }).to_string());
        writeln!(output, "{answer}")?;
        output.flush()?;
    }
    Ok(())
}
