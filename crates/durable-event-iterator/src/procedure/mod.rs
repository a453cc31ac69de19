//! Procedures: what clients may call over the socket, and other Workers through a stub.

use crate::{
    error::Result,
    wire::{Serialized, Value, from_value, serialize_output},
};
use futures_util::future::LocalBoxFuture;
use serde::{Serialize, de::DeserializeOwned};
use std::{collections::BTreeMap, rc::Rc};

type Handler<O, C> = Rc<dyn for<'a> Fn(&'a O, C, Value) -> LocalBoxFuture<'a, Result<Serialized>>>;

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
pub struct Procedures<O, C>(BTreeMap<&'static str, Node<O, C>>);

impl<O, C> Default for Procedures<O, C> {
    fn default() -> Self {
        Self(BTreeMap::new())
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
    pub fn procedure<I, R, F>(mut self, name: &'static str, handler: F) -> Self
    where
        I: DeserializeOwned + 'static,
        R: Serialize + 'static,
        F: AsyncFn(&O, C, I) -> Result<R> + 'static,
    {
        let handler = Rc::new(handler);
        let node = Node::Procedure(Rc::new(move |object, context, input| {
            let handler = Rc::clone(&handler);
            Box::pin(async move {
                let input: I = from_value(input)?;
                let output = handler(object, context, input).await?;
                Ok(serialize_output(&output)?)
            })
        }));
        self.0.insert(name, node);
        self
    }

    /// Adds procedures below a name: `nest("router", …)` makes its `ping` the procedure `router.ping`.
    #[must_use]
    pub fn nest(mut self, name: &'static str, procedures: Self) -> Self {
        self.0.insert(name, Node::Router(procedures));
        self
    }

    /// The names at the root: those that a token may list.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }

    pub(crate) fn find(&self, path: &[String]) -> Option<Handler<O, C>> {
        let (first, rest) = path.split_first()?;
        match self.0.get(first.as_str())? {
            Node::Procedure(handler) if rest.is_empty() => Some(Rc::clone(handler)),
            Node::Procedure(_) => None,
            Node::Router(procedures) => procedures.find(rest),
        }
    }
}
