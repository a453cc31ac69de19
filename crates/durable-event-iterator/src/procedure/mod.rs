//! Procedures: what clients may call over the socket, and other Workers through a stub.

mod held;
mod next;
mod reply;
mod rpc_methods;
mod upload;

pub use next::Next;
pub use reply::{Reply, StreamItem};
pub use rpc_methods::{RpcArguments, RpcMethods};
pub use upload::Upload;
pub(crate) use {
    held::Held,
    reply::{Answer, Item},
    upload::{Overrun, UploadSender},
};

use crate::error::{Code, Error, Result};
use durable_event_wire::{Value, from_value};
use futures_util::{Stream, future::LocalBoxFuture};
use serde::{Serialize, de::DeserializeOwned};
use std::rc::Rc;

/// What a call brings: a value, or a stream of values.
pub(crate) enum Input {
    Value(Value),
    Stream(Upload<Value>),
}

impl Input {
    pub(crate) fn into_value(self) -> Result<Value> {
        match self {
            Self::Value(value) => Ok(value),
            Self::Stream(_) => Err(Error::new(Code::BadRequest).message("This procedure takes no stream.")),
        }
    }

    /// The input as the type that its procedure takes: what does not fit is the client's to know.
    fn into_typed<T: DeserializeOwned>(self) -> Result<T> {
        from_value(self.into_value()?).map_err(Error::invalid_input)
    }

    /// About how many bytes of memory it takes. The items of a stream are counted as they come.
    pub(crate) fn memory(&self) -> usize {
        match self {
            Self::Value(value) => value.memory(),
            Self::Stream(_) => 0,
        }
    }

    fn into_stream(self) -> Result<Upload<Value>> {
        match self {
            Self::Stream(stream) => Ok(stream),
            Self::Value(_) => Err(Error::new(Code::BadRequest).message("This procedure takes a stream.")),
        }
    }
}

pub(crate) type Handler<O, C> = Rc<dyn for<'a> Fn(&'a O, C, Input) -> LocalBoxFuture<'a, Result<Reply>>>;

enum Node<O, C> {
    Procedure(Handler<O, C>),
    Router(Procedures<O, C>),
}

/// Named procedures of an object `O`, each called with a context `C`.
///
/// A handler is an async function of the object, the context and the input. The input is any type that deserializes,
/// the output any that serializes; what does not fit is answered with BAD_REQUEST before the handler runs.
///
/// ```
/// use durable_event_iterator::{Procedures, Result};
/// use serde::Deserialize;
///
/// #[derive(Deserialize)]
/// struct Echo {
///     text: String,
/// }
///
/// struct Room;
///
/// impl Room {
///     async fn echo<C>(&self, _: C, Echo { text }: Echo) -> Result<String> {
///         Ok(format!("Echo: {text}"))
///     }
/// }
///
/// fn procedures<C: 'static>() -> Procedures<Room, C> {
///     Procedures::new()
///         .procedure("ping", async |_: &Room, _, ()| Ok("pong"))
///         .nest("text", Procedures::new().procedure("echo", Room::echo))
/// }
/// # procedures::<()>();
/// ```
pub struct Procedures<O, C>(Vec<(&'static str, Node<O, C>)>);

impl<O, C> Default for Procedures<O, C> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<O: 'static, C: 'static> Procedures<O, C> {
    /// No procedures.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a procedure. One of the same name is replaced.
    #[must_use]
    pub fn procedure<I, R, F>(self, name: &'static str, handler: F) -> Self
    where
        I: DeserializeOwned + 'static,
        R: Serialize + 'static,
        F: AsyncFn(&O, C, I) -> Result<R> + 'static,
    {
        let handler = Rc::new(handler);
        self.add(
            name,
            Rc::new(move |object, context, input| {
                let handler = Rc::clone(&handler);
                Box::pin(async move {
                    let input: I = input.into_typed()?;
                    let output = handler(object, context, input).await?;
                    Reply::value(&output)
                })
            }),
        )
    }

    /// Adds a procedure that answers with a stream: the client iterates over its items with `for await`. An item is any
    /// value that serializes, or a [`StreamItem`]. The stream is dropped when the client aborts or its socket closes.
    ///
    /// ```
    /// use durable_event_iterator::Procedures;
    /// use futures_util::stream;
    ///
    /// # fn procedures<C: 'static>() -> Procedures<(), C> {
    /// Procedures::new()
    ///     .stream("count", async |_: &(), _, up_to: u32| Ok(stream::iter((1..=up_to).map(Ok))))
    /// # }
    /// # procedures::<()>();
    /// ```
    #[must_use]
    pub fn stream<I, T, S, F>(self, name: &'static str, handler: F) -> Self
    where
        I: DeserializeOwned + 'static,
        T: Into<StreamItem> + 'static,
        S: Stream<Item = Result<T>> + 'static,
        F: AsyncFn(&O, C, I) -> Result<S> + 'static,
    {
        let handler = Rc::new(handler);
        self.add(
            name,
            Rc::new(move |object, context, input| {
                let handler = Rc::clone(&handler);
                Box::pin(async move {
                    let input: I = input.into_typed()?;
                    Ok(Reply::stream(handler(object, context, input).await?))
                })
            }),
        )
    }

    /// Adds a procedure whose input is a stream, see [`Upload`]. Clients call it by its own path, not through `call`:
    /// `client.import(asyncIterator)`, and the token lists it as any other.
    ///
    /// ```
    /// use durable_event_iterator::{Procedures, Upload};
    /// use futures_util::TryStreamExt;
    ///
    /// # fn procedures<C: 'static>() -> Procedures<(), C> {
    /// Procedures::new().upload("sum", async |_: &(), _, numbers: Upload<f64>| {
    ///     numbers.try_fold(0.0, async |sum, number| Ok(sum + number)).await
    /// })
    /// # }
    /// # procedures::<()>();
    /// ```
    #[must_use]
    pub fn upload<I, R, F>(self, name: &'static str, handler: F) -> Self
    where
        I: DeserializeOwned + 'static,
        R: Serialize + 'static,
        F: AsyncFn(&O, C, Upload<I>) -> Result<R> + 'static,
    {
        let handler = Rc::new(handler);
        self.add(
            name,
            Rc::new(move |object, context, input| {
                let handler = Rc::clone(&handler);
                Box::pin(async move {
                    let input = input.into_stream()?.typed();
                    let output = handler(object, context, input).await?;
                    Reply::value(&output)
                })
            }),
        )
    }

    fn add(self, name: &'static str, handler: Handler<O, C>) -> Self {
        self.set(name, Node::Procedure(handler))
    }

    /// There are few of them: looking through all is as fast as any map, and smaller.
    fn set(mut self, name: &'static str, node: Node<O, C>) -> Self {
        self.0.retain(|(other, _)| *other != name);
        self.0.push((name, node));
        self
    }

    fn get(&self, name: &str) -> Option<&Node<O, C>> {
        self.0.iter().find(|(other, _)| *other == name).map(|(_, node)| node)
    }

    /// Adds procedures below a name: `nest("router", …)` makes its `ping` the procedure `router.ping`.
    #[must_use]
    pub fn nest(self, name: &'static str, procedures: Self) -> Self {
        self.set(name, Node::Router(procedures))
    }

    /// The names at the root: those that a token may list.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|(name, _)| *name)
    }

    pub(crate) fn find(&self, path: &[String]) -> Option<Handler<O, C>> {
        let (first, rest) = path.split_first()?;
        match self.get(first)? {
            Node::Procedure(handler) if rest.is_empty() => Some(Rc::clone(handler)),
            Node::Procedure(_) => None,
            Node::Router(procedures) => procedures.find(rest),
        }
    }
}
