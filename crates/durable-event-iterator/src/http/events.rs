//! A stream of events as the body of an answer (server-sent events).

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

/// Says nothing, at the beginning and when nothing else has been said for a while: the headers get out, whatever stands
/// between does not take the connection for dead, and a client that has gone is noticed.
const COMMENT: &str = ": \n\n";

enum State {
    Begin(LocalBoxStream<'static, Result<Item>>),
    Go(LocalBoxStream<'static, Result<Item>>),
    End,
}

/// The texts of a stream, each made only when it is wanted, so that a slow client slows the stream down. `patience`
/// ends when nothing has been said for long enough. `report` sees the error that the stream ended with.
pub(super) fn body<T: Future>(
    items: LocalBoxStream<'static, Result<Item>>,
    patience: impl Fn() -> T + 'static,
    report: impl Fn(&Error) + 'static,
) -> impl Stream<Item = String> {
    let tools = Rc::new((patience, report));
    unfold(State::Begin(items), move |state| {
        let tools = Rc::clone(&tools);
        async move {
            let (patience, report) = &*tools;
            let mut items = match state {
                State::Begin(items) => return Some((COMMENT.into(), State::Go(items))),
                State::Go(items) => items,
                State::End => return None,
            };
            let item = match select(items.next(), pin!(patience())).await {
                Either::Left((item, _)) => item,
                Either::Right(_) => return Some((COMMENT.into(), State::Go(items))),
            };
            Some(match item {
                Some(Ok(Item { data, meta, is_last: false })) => {
                    (event(StreamEventKind::Message, &data, &meta), State::Go(items))
                }
                Some(Ok(Item { data, meta, is_last: true })) => {
                    (event(StreamEventKind::Done, &data, &meta), State::End)
                }
                Some(Err(error)) => {
                    report(&error);
                    (
                        event(StreamEventKind::Error, &error.body().to_wire(), &CheckedMeta::default()),
                        State::End,
                    )
                }
                None => (
                    event(StreamEventKind::Done, &Serialized::default(), &CheckedMeta::default()),
                    State::End,
                ),
            })
        }
    })
}

/// One event. Blobs are left out: clients cannot read them here.
fn event(kind: StreamEventKind, data: &Serialized, meta: &CheckedMeta) -> String {
    let mut text = String::new();
    for comment in meta.comments() {
        // Writing into a String cannot fail; likewise below.
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
    // JSON as we write it has no line breaks.
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
            Answer::Value(_) => panic!("a stream was expected"),
        }
    }

    fn texts(of: Vec<Result<StreamItem>>) -> Vec<String> {
        body(items(of), future::pending::<()>, |_| {}).collect().now_or_never().unwrap()
    }

    #[test]
    fn a_stream_begins_with_a_comment_and_ends_with_done() {
        assert_eq!(
            texts(vec![Ok(1.into())]),
            [": \n\n", "event: message\ndata: {\"json\":1}\n\n", "event: done\ndata: {}\n\n"]
        );
    }

    #[test]
    fn meta_stands_before_the_data_without_line_breaks() {
        let meta = EventMeta { retry: Some(9), comments: vec!["a\r\nb".into()], id: Some("x y".into()) };
        assert_eq!(
            texts(vec![Ok(StreamItem::result(&"z\n").meta(meta))])[1],
            ": a\n: b\nevent: done\nretry: 9\nid: x y\ndata: {\"json\":\"z\\n\"}\n\n"
        );
    }

    #[test]
    fn nothing_follows_a_result_or_an_error() {
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
    fn silence_is_filled_with_comments() {
        let silent: LocalBoxStream<'static, Result<Item>> = stream::pending().boxed_local();
        let first = body(silent, || future::ready(()), |_| {}).take(3).collect::<Vec<_>>();
        assert_eq!(first.now_or_never().unwrap(), [COMMENT; 3]);
    }

    #[test]
    fn the_stream_is_dropped_with_the_body() {
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
        let Answer::Stream(silent) = Reply::stream(silent).0 else { panic!("a stream was expected") };
        let mut body = Box::pin(body(silent, future::pending::<()>, |_| {}));
        assert_eq!(body.next().now_or_never().unwrap().unwrap(), COMMENT);
        assert!(body.next().now_or_never().is_none());
        assert!(!dropped.get());
        drop(body);
        assert!(dropped.get());
    }
}
