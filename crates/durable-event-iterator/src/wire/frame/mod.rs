//! The frames on a socket: what clients send, and what we send.

mod client;
mod multipart;
mod server;

pub(crate) use self::{
    client::{
        Body, ClientFrame, FrameError, FrameErrorKind, Headers, Request, StreamEvent, decode_binary,
        decode_text, read_form,
    },
    multipart::{Form, write as write_form},
    server::{
        Outgoing, StreamEventKind, error_response, event_tail, expired_response, head, push_body, response,
        stop_upload, stream_event, stream_response, text_response,
    },
};

/// Parts a binary frame's JSON from its bytes. UTF-8 never has it.
pub(crate) const DELIMITER: u8 = 0xFF;

/// The types of frames that are numbered on the wire.
const REQUEST: u64 = 1;
const EVENT: u64 = 3;
const ABORT: u64 = 4;
