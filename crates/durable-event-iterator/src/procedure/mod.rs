//! Procedures, which clients call over the socket, and RPC methods, which other Workers call on a stub.

#[cfg(all(feature = "typescript", not(target_arch = "wasm32")))]
mod described;
mod held;
mod next;
mod reply;
mod rpc_methods;
mod upload;

#[cfg(all(feature = "typescript", not(target_arch = "wasm32")))]
pub(crate) use described::{Described, DescribedMethod};
pub use next::Next;
pub use reply::{Reply, StreamItem};
pub use rpc_methods::{RpcArguments, RpcMethods};
pub use upload::Upload;
pub(crate) use {
    held::Held,
    reply::{Answer, Item},
    upload::{Overrun, UploadSender},
};

use crate::{
    error::{Code, Error, Result},
    typed::{ProcedureTypes, Typed},
};
use durable_event_wire::{Value, from_value};
use futures_util::{Stream, future::LocalBoxFuture};
use serde::{Serialize, de::DeserializeOwned};
use std::{fmt, rc::Rc};

/// The input of a call: a value or a stream of values.
pub(crate) enum Input {
    Value(Value),
    Stream(Upload<Value>),
}

impl Input {
    pub(crate) fn into_value(self) -> Result<Value> {
        match self {
            Self::Value(value) => Ok(value),
            Self::Stream(_) => {
                Err(Error::new(Code::BadRequest).message("This procedure does not accept a stream as input"))
            }
        }
    }

    /// Deserializes the input to the procedure's type. The client receives the issues of an invalid input.
    fn into_typed<T: DeserializeOwned>(self) -> Result<T> {
        from_value(self.into_value()?).map_err(Error::invalid_input)
    }

    /// Returns the approximate memory of the input in bytes. The items of a stream are counted when they arrive.
    pub(crate) fn memory(&self) -> usize {
        match self {
            Self::Value(value) => value.memory(),
            Self::Stream(_) => 0,
        }
    }

    fn into_stream(self) -> Result<Upload<Value>> {
        match self {
            Self::Stream(stream) => Ok(stream),
            Self::Value(_) => {
                Err(Error::new(Code::BadRequest).message("This procedure requires a stream as input"))
            }
        }
    }
}

pub(crate) type Handler<O, C> = Rc<dyn for<'a> Fn(&'a O, C, Input) -> LocalBoxFuture<'a, Result<Reply>>>;

enum Node<O, C> {
    Procedure(Handler<O, C>, ProcedureTypes),
    Router(Procedures<O, C>),
}

/// The procedures of a type `O`, such as a Durable Object, with a context of type `C`.
///
/// A handler is an async function with the parameters `&O`, the context and the input. The input is any type that deserializes,
/// the output any type that serializes. An invalid input is rejected with BAD_REQUEST, and the handler does not run.
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

impl<O, C> fmt::Debug for Procedures<O, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl<O: 'static, C: 'static> Procedures<O, C> {
    /// Returns an empty set of procedures.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a procedure. It replaces a procedure of the same name.
    ///
    /// State the type of a closure's first parameter: `async |chat: &Self, call, ()|`. Without it, the compiler reports "cannot
    /// infer type of the type parameter `C`". A closure that only returns `Err` must also state the type of its output:
    /// `Err::<(), _>(Error::new(Code::Forbidden))`. Otherwise the compiler reports "cannot infer type of the type parameter
    /// `Output`".
    ///
    /// ```
    /// use durable_event_iterator::{Code, Error, Procedures};
    ///
    /// struct Chat;
    ///
    /// # fn procedures<C: 'static>() -> Procedures<Chat, C> {
    /// Procedures::new()
    ///     .procedure("ping", async |_chat: &Chat, _call, ()| Ok("pong"))
    ///     .procedure("closed", async |_chat: &Chat, _call, ()| Err::<(), _>(Error::new(Code::Forbidden)))
    /// # }
    /// # procedures::<()>();
    /// ```
    #[must_use]
    pub fn procedure<I, Output, F>(self, name: &'static str, handler: F) -> Self
    where
        I: DeserializeOwned + Typed + 'static,
        Output: Serialize + Typed + 'static,
        F: AsyncFn(&O, C, I) -> Result<Output> + 'static,
    {
        let handler = Rc::new(handler);
        self.add(
            name,
            ProcedureTypes::value::<I, Output>(),
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

    /// Adds a procedure that returns a stream, over whose items the client iterates with `for await`.
    ///
    /// An item is any value that serializes, or a [`StreamItem`]. The stream is dropped when the client aborts the call or its
    /// socket closes.
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
        I: DeserializeOwned + Typed + 'static,
        T: Into<StreamItem> + Typed + 'static,
        S: Stream<Item = Result<T>> + 'static,
        F: AsyncFn(&O, C, I) -> Result<S> + 'static,
    {
        let handler = Rc::new(handler);
        self.add(
            name,
            ProcedureTypes::stream::<I, T>(),
            Rc::new(move |object, context, input| {
                let handler = Rc::clone(&handler);
                Box::pin(async move {
                    let input: I = input.into_typed()?;
                    Ok(Reply::stream(handler(object, context, input).await?))
                })
            }),
        )
    }

    /// Adds a procedure whose input is a stream, see [`Upload`].
    ///
    /// Clients call it by its path over an `RPCLink` for the WebSocket, `client.import(asyncIterator)`, and not through an
    /// iterator. The token must list it like any other procedure.
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
    pub fn upload<I, Output, F>(self, name: &'static str, handler: F) -> Self
    where
        I: DeserializeOwned + Typed + 'static,
        Output: Serialize + Typed + 'static,
        F: AsyncFn(&O, C, Upload<I>) -> Result<Output> + 'static,
    {
        let handler = Rc::new(handler);
        self.add(
            name,
            ProcedureTypes::upload::<I, Output>(),
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

    fn add(self, name: &'static str, types: ProcedureTypes, handler: Handler<O, C>) -> Self {
        self.set(name, Node::Procedure(handler, types))
    }

    /// Sets a node. A linear search of the few names is as fast as a map, and its code is smaller.
    fn set(mut self, name: &'static str, node: Node<O, C>) -> Self {
        self.0.retain(|(other, _)| *other != name);
        self.0.push((name, node));
        self
    }

    fn get(&self, name: &str) -> Option<&Node<O, C>> {
        self.0.iter().find(|(other, _)| *other == name).map(|(_, node)| node)
    }

    /// Adds procedures under a name: the procedure `ping` of `nest("router", …)` becomes `router.ping`.
    #[must_use]
    pub fn nest(self, name: &'static str, procedures: Self) -> Self {
        self.set(name, Node::Router(procedures))
    }

    /// Returns the top-level names, which tokens list.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|(name, _)| *name)
    }

    pub(crate) fn find(&self, path: &[String]) -> Option<Handler<O, C>> {
        let (first, rest) = path.split_first()?;
        match self.get(first)? {
            Node::Procedure(handler, _) if rest.is_empty() => Some(Rc::clone(handler)),
            Node::Procedure(..) => None,
            Node::Router(procedures) => procedures.find(rest),
        }
    }
}
