//! The RPC methods of a Durable Object.

use super::reply::serialized;
use crate::{
    error::{Error, Result},
    typed::{ArgumentTypes, MethodTypes, Typed},
};
use durable_event_wire::{Serialized, Value, from_value};
use futures_util::future::LocalBoxFuture;
use serde::{Serialize, de::DeserializeOwned};
use std::{fmt, rc::Rc};

/// A method, which receives its arguments as a value and returns its serialized output.
type Method<O> = Rc<dyn for<'a> Fn(&'a O, Value) -> LocalBoxFuture<'a, Result<Serialized>>>;

/// The RPC methods of a Durable Object `O`, which Workers call on its stub: `stub.rename("Lobby")`.
///
/// A method is an async function with the parameters `&O` and a tuple of arguments: `(name,): (String,)` for one argument, `()`
/// for none. An argument is any type that deserializes, the output any type that serializes. A missing argument is `undefined`,
/// which an `Option` accepts. Invalid arguments are rejected with BAD_REQUEST, and the method does not run.
///
/// ```
/// use durable_event_iterator::{Result, RpcMethods};
///
/// struct Room;
///
/// impl Room {
///     async fn rename(&self, (name,): (String,)) -> Result<()> {
///         # drop(name);
///         Ok(())
///     }
/// }
///
/// fn rpc_methods() -> RpcMethods<Room> {
///     RpcMethods::new()
///         .method("rename", Room::rename)
///         .method("add", async |_: &Room, (a, b): (f64, f64)| Ok(a + b))
/// }
/// # rpc_methods();
/// ```
pub struct RpcMethods<O>(pub(super) Vec<Entry<O>>);

pub(super) struct Entry<O> {
    pub(super) name: &'static str,
    method: Method<O>,
    #[cfg_attr(not(all(feature = "typescript", not(target_arch = "wasm32"))), expect(dead_code))]
    pub(super) types: MethodTypes,
}

impl<O> Default for RpcMethods<O> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<O> fmt::Debug for RpcMethods<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

impl<O> RpcMethods<O> {
    /// Returns the names of the methods.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|entry| entry.name)
    }

    pub(crate) fn find(&self, name: &str) -> Option<Method<O>> {
        self.0.iter().find(|entry| entry.name == name).map(|entry| Rc::clone(&entry.method))
    }
}

impl<O: 'static> RpcMethods<O> {
    /// Returns an empty set of methods.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a method. It replaces a method of the same name.
    ///
    /// The names of the library's RPC methods (`publish`, `publishBatch`, `stats`, `connections`, `members`, `disconnect` and
    /// `revoke`) and those that the Workers runtime uses (`fetch`, `alarm`, `constructor` …) are reserved: such a method is not
    /// added to the class, and an error is logged.
    #[must_use]
    pub fn method<A, Output, F>(mut self, name: &'static str, method: F) -> Self
    where
        A: RpcArguments,
        Output: Serialize + Typed + 'static,
        F: AsyncFn(&O, A) -> Result<Output> + 'static,
    {
        let method = Rc::new(method);
        let erased: Method<O> = Rc::new(move |object, arguments| {
            let method = Rc::clone(&method);
            Box::pin(async move {
                let arguments: A = from_value(padded(arguments, A::COUNT)).map_err(Error::invalid_input)?;
                serialized(&method(object, arguments).await?)
            })
        });
        self.0.retain(|entry| entry.name != name);
        self.0.push(Entry { name, method: erased, types: MethodTypes::new::<A, Output>() });
        self
    }
}

/// The arguments of an RPC method: a tuple of up to eight values.
#[diagnostic::on_unimplemented(
    message = "the arguments of an RPC method must be a tuple, and `{Self}` is not",
    label = "expected a tuple of types that deserialize",
    note = "write `(argument,): (String,)` for one argument, `()` for none"
)]
pub trait RpcArguments: DeserializeOwned + ArgumentTypes + 'static {
    /// The number of arguments.
    const COUNT: usize;
}

impl RpcArguments for () {
    const COUNT: usize = 0;
}

/// Fills the arguments up to `count` with `undefined`, which an `Option` accepts. An empty list for `()` becomes `undefined`,
/// which `()` accepts.
fn padded(arguments: Value, count: usize) -> Value {
    match arguments {
        Value::Array(arguments) if arguments.is_empty() && count == 0 => Value::Undefined,
        Value::Array(mut arguments) => {
            if arguments.len() < count {
                arguments.resize(count, Value::Undefined);
            }
            Value::Array(arguments)
        }
        other => other,
    }
}

macro_rules! tuples {
    ($($count:literal: $($argument:ident)*;)*) => {
        $(impl<$($argument),*> RpcArguments for ($($argument,)*)
        where
            $($argument: DeserializeOwned + Typed + 'static,)*
        {
            const COUNT: usize = $count;
        })*
    };
}

tuples! {
    1: A;
    2: A B;
    3: A B C;
    4: A B C D;
    5: A B C D E;
    6: A B C D E F;
    7: A B C D E F G;
    8: A B C D E F G H;
}
