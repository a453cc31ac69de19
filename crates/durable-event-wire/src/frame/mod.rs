//! The messages of a WebSocket: what clients send, and what a server sends.
//!
//! A frame is a JSON object with the id `i` of a call, a type `t`, and a payload `p`; a binary message may have the bytes
//! of a body behind a byte 0xFF. The format is that of `@orpc/standard-server-peer`.

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
        Outgoing, StreamEventKind, error_response, event_tail, expired_response, head, response, stop_upload,
        stream_event, stream_response, text_response,
    },
    stored::{SafeTail, safe_tail},
};
pub(crate) use self::{
    client::read_form,
    multipart::{Form, write as write_form},
    server::push_body,
};

/// Parts a binary frame's JSON from its bytes. UTF-8 never has it.
pub(crate) const DELIMITER: u8 = 0xFF;

/// The types of frames that are numbered on the wire.
const REQUEST: u64 = 1;
const EVENT: u64 = 3;
const ABORT: u64 = 4;
