//! A server that gives clients back what they send: real ones talk to it in `tests/golden`. And what this crate accepts, for
//! tests and a fuzzer (`scripts/fuzz-clients.mjs`) that hand it to real clients.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use super::{
    ClientFrame, EventMeta, Outgoing, RegExp, Request, StreamEventKind, Url, Value, decode_binary,
    decode_text, error_response, event_tail, from_value, head, parse_body, response, serialize, stream_event,
    stream_response, text_response,
};
use crate::{
    error::{Code, Error, Result},
    log::has_plain_root,
};

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

/// What is accepted.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Question {
    /// Of texts, those that are URLs.
    Urls(Vec<String>),
    /// Of sources and flags, those that are regular expressions.
    Regexps(Vec<(String, String)>),
    /// The frames by which a body reaches a client, if it is accepted.
    Candidate(Candidate),
}

/// A body, and what accompanies it as an event.
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
    /// Why it is not accepted.
    rejected: Option<String>,
    /// As a procedure's output.
    output: Option<String>,
    /// As an item of a procedure's stream.
    item: Option<String>,
    /// As an event of a channel, if its root is plain.
    event: Option<String>,
}

impl Candidate {
    fn frames(self) -> Result<Frames> {
        let Self { body, retry, comments, event_id } = self;
        let value = parse_body(body.as_bytes())?;
        let written = serialize(&value)?;
        let meta = EventMeta { retry, comments, id: event_id }.checked()?;
        let event = written.json.as_deref().filter(|json| has_plain_root(json, written.meta.as_deref()));
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
            let rejected = |error: Error| Frames { rejected: Some(error.to_string()), ..Frames::default() };
            return Ok(serde_json::to_string(&[candidate.frames().unwrap_or_else(rejected)])?);
        }
    };
    Ok(serde_json::to_string(&accepted)?)
}

/// Answers one message, `{"text"}` or `{"binary"}`, by a list of them; or a question by a list of answers.
///
/// # Errors
/// The message is no frame.
pub fn answer(line: &str) -> Result<String> {
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
            let meta =
                EventMeta { id: Some("x".into()), retry: Some(5), comments: vec!["c".into()] }.checked()?;
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
            let number: u8 = from_value(request.body.into_value()?).map_err(Error::invalid_input)?;
            Ok(vec![response(id, OK, serialize(&number)?).into()])
        }
        "/replay" => {
            let Replay { events, retry, comments } = from_value(request.body.into_value()?)?;
            let extra = EventMeta { retry, comments, id: None }.checked()?.to_extra();
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
