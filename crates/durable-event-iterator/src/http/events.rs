//! A stream of items as the body of a response (server-sent events).

use crate::{
    error::{Error, Result},
    procedure::Item,
};
use durable_event_wire::{CheckedMeta, Serialized, frame::StreamEventKind};
use futures_util::{
    Stream, StreamExt,
    future::{Either, select},
    stream::{LocalBoxStream, unfold},
};
use std::{fmt::Write, future::Future, pin::pin, rc::Rc};

/// An empty comment, sent at the start and after a period without items: the headers are sent, proxies keep the connection
/// open, and a disconnected client is detected.
pub(super) const COMMENT: &str = ": \n\n";

enum State {
    Start(LocalBoxStream<'static, Result<Item>>),
    Open(LocalBoxStream<'static, Result<Item>>),
    Ended,
}

/// Converts the items of a stream to text. An item is requested only when the client reads it, so that a slow client slows the
/// stream down.
///
/// The future of `keep_alive` resolves when a comment is due. `report` receives the error with which the stream ends.
pub(super) fn body<T: Future>(
    items: LocalBoxStream<'static, Result<Item>>,
    keep_alive: impl Fn() -> T + 'static,
    report: impl Fn(&Error) + 'static,
) -> impl Stream<Item = String> {
    let callbacks = Rc::new((keep_alive, report));
    unfold(State::Start(items), move |state| {
        let callbacks = Rc::clone(&callbacks);
        async move {
            let (keep_alive, report) = &*callbacks;
            let mut items = match state {
                State::Start(items) => return Some((COMMENT.into(), State::Open(items))),
                State::Open(items) => items,
                State::Ended => return None,
            };
            let item = match select(items.next(), pin!(keep_alive())).await {
                Either::Left((item, _)) => item,
                Either::Right(_) => return Some((COMMENT.into(), State::Open(items))),
            };
            Some(match item {
                Some(Ok(Item { data, meta, is_last: false })) => {
                    (event(StreamEventKind::Message, &data, &meta), State::Open(items))
                }
                Some(Ok(Item { data, meta, is_last: true })) => {
                    (event(StreamEventKind::Done, &data, &meta), State::Ended)
                }
                Some(Err(error)) => {
                    report(&error);
                    (
                        event(StreamEventKind::Error, &error.body().to_wire(), &CheckedMeta::default()),
                        State::Ended,
                    )
                }
                None => (
                    event(StreamEventKind::Done, &Serialized::default(), &CheckedMeta::default()),
                    State::Ended,
                ),
            })
        }
    })
}

/// Returns one server-sent event. Blobs are omitted, because clients cannot read them in a stream over HTTP.
fn event(kind: StreamEventKind, data: &Serialized, meta: &CheckedMeta) -> String {
    let mut text = String::new();
    for comment in meta.comments() {
        // Writing to a `String` cannot fail, here and below.
        let _ = writeln!(text, ": {comment}");
    }
    text.push_str(match kind {
        StreamEventKind::Message => "event: message\n",
        StreamEventKind::Error => "event: error\n",
        StreamEventKind::Done => "event: done\n",
    });
    if let Some(retry) = meta.retry() {
        let _ = writeln!(text, "retry: {retry}");
    }
    if let Some(id) = meta.id() {
        let _ = writeln!(text, "id: {id}");
    }
    // The serializer writes JSON without line breaks.
    let _ = write!(text, "data: {}\n\n", data.to_body());
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        error::Code,
        procedure::{Answer, Reply, StreamItem},
    };
    use durable_event_wire::EventMeta;
    use futures_util::{FutureExt, future, stream};
    use std::cell::Cell;

    fn items(items: Vec<Result<StreamItem>>) -> LocalBoxStream<'static, Result<Item>> {
        match Reply::stream(stream::iter(items)).0 {
            Answer::Stream(items) => items,
            Answer::Value(_) => panic!("expected a stream"),
        }
    }

    fn texts(of: Vec<Result<StreamItem>>) -> Vec<String> {
        body(items(of), future::pending::<()>, |_| {}).collect().now_or_never().unwrap()
    }

    #[test]
    fn a_stream_starts_with_a_comment_and_ends_with_done() {
        assert_eq!(
            texts(vec![Ok(1.into())]),
            [": \n\n", "event: message\ndata: {\"json\":1}\n\n", "event: done\ndata: {}\n\n"]
        );
    }

    #[test]
    fn meta_precedes_the_data_and_has_no_line_breaks() {
        let meta = EventMeta { retry: Some(9), comments: vec!["a\r\nb".into()], id: Some("x y".into()) };
        assert_eq!(
            texts(vec![Ok(StreamItem::result(&"z\n").meta(meta))])[1],
            ": a\n: b\nevent: done\nretry: 9\nid: x y\ndata: {\"json\":\"z\\n\"}\n\n"
        );
    }

    #[test]
    fn a_result_or_an_error_ends_the_stream() {
        assert_eq!(texts(vec![Ok(StreamItem::result(&1)), Ok(2.into())]).len(), 2);
        let failed = texts(vec![Err(Error::new(Code::Conflict)), Ok(2.into())]);
        assert_eq!(failed.len(), 2);
        assert!(
            failed[1].starts_with("event: error\ndata: {\"json\":{\"defined\":false,\"code\":\"CONFLICT\"")
        );
    }

    #[test]
    fn an_error_is_reported() {
        let seen = Rc::new(Cell::new(0));
        let report = {
            let seen = Rc::clone(&seen);
            move |error: &Error| seen.set(error.status())
        };
        let all = body(items(vec![Err(Error::new(Code::Conflict))]), future::pending::<()>, report);
        all.collect::<Vec<_>>().now_or_never().unwrap();
        assert_eq!(seen.get(), 409);
    }

    #[test]
    fn comments_are_sent_while_there_are_no_items() {
        let silent: LocalBoxStream<'static, Result<Item>> = stream::pending().boxed_local();
        let first = body(silent, || future::ready(()), |_| {}).take(3).collect::<Vec<_>>();
        assert_eq!(first.now_or_never().unwrap(), [COMMENT; 3]);
    }

    #[test]
    fn dropping_the_body_drops_the_stream() {
        struct Guard(Rc<Cell<bool>>);
        impl Drop for Guard {
            fn drop(&mut self) {
                self.0.set(true);
            }
        }
        let dropped = Rc::new(Cell::new(false));
        let guard = Guard(Rc::clone(&dropped));
        let silent = stream::pending::<Result<StreamItem>>().map(move |item| {
            let _ = &guard;
            item
        });
        let Answer::Stream(silent) = Reply::stream(silent).0 else { panic!("expected a stream") };
        let mut body = Box::pin(body(silent, future::pending::<()>, |_| {}));
        assert_eq!(body.next().now_or_never().unwrap().unwrap(), COMMENT);
        assert!(body.next().now_or_never().is_none());
        assert!(!dropped.get());
        drop(body);
        assert!(dropped.get());
    }
}
