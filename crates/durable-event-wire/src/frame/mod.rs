//! Frames: the content of WebSocket messages from clients and to clients.
//!
//! A frame is a JSON object with the id `i` of a call, a type `t` and a payload `p`. In a binary message the bytes of
//! a body may follow the JSON after a byte 0xFF. The format is that of `@orpc/standard-server-peer`.

mod call;
mod client;
mod multipart;
mod server;
mod stored;

pub use self::{
    call::{CallInput, InvalidCall},
    client::{
        Body, ClientFrame, FrameError, FrameErrorKind, Headers, Request, StreamEvent, decode_binary,
        decode_text,
    },
    multipart::{Field, FieldContent},
    server::{
        Outgoing, StreamEventKind, error_response, event_tail, expired_response, head, live_tail, parked,
        response, stop_upload, stream_event, stream_response, text_response,
    },
    stored::{SafeTail, safe_event, safe_tail},
};
pub(crate) use self::{
    client::read_form,
    multipart::{Form, write as write_form},
    server::push_body,
};

/// The byte between the JSON and the bytes in a binary message. It never occurs in UTF-8.
pub(crate) const DELIMITER: u8 = 0xFF;

// The values of `t`. A response has no `t`.
const REQUEST: u64 = 1;
const EVENT: u64 = 3;
const ABORT: u64 = 4;
/// Not a part of oRPC's protocol: see [`ClientFrame::Acknowledgement`].
const ACKNOWLEDGEMENT: u64 = 5;
