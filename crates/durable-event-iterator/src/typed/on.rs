//! With the feature `typescript`: the types with which a procedure or RPC method was added.

use super::Types;
use ts_rs::TS;

/// A type of an event, an input or an output, with its TypeScript type: every type that implements [`ts_rs::TS`].
///
/// Without the feature `typescript`, and in a Worker (WebAssembly), every type implements it.
///
/// ```compile_fail,E0277
/// # use durable_event_iterator::Procedures;
/// #[derive(serde::Deserialize)]
/// struct Input {} // does not derive `ts_rs::TS`
///
/// let procedures: Procedures<(), ()> = Procedures::new().procedure("say", async |_: &(), _, _: Input| Ok(()));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no TypeScript type",
    label = "expected a type that implements `ts_rs::TS`",
    note = "the feature `typescript` of `durable-event-iterator` is enabled: add `#[derive(ts_rs::TS)]` to `{Self}`"
)]
pub trait Typed: TS {}

#[diagnostic::do_not_recommend]
impl<T: TS + ?Sized> Typed for T {}

/// The types of a procedure, as functions that add them to [`Types`] and return their TypeScript text.
pub(crate) struct ProcedureTypes {
    input: fn(&mut Types) -> String,
    output: fn(&mut Types) -> String,
}

impl ProcedureTypes {
    pub(crate) const fn value<I: Typed + 'static, Output: Typed + 'static>() -> Self {
        Self { input: Types::input::<I>, output: Types::output::<Output> }
    }

    pub(crate) const fn stream<I: Typed + 'static, T: Typed + 'static>() -> Self {
        Self { input: Types::input::<I>, output: Types::output_stream::<T> }
    }

    pub(crate) const fn upload<I: Typed + 'static, Output: Typed + 'static>() -> Self {
        Self { input: Types::input_stream::<I>, output: Types::output::<Output> }
    }

    /// Returns the TypeScript types of the input and of the output.
    pub(crate) fn describe(&self, types: &mut Types) -> [String; 2] {
        [(self.input)(types), (self.output)(types)]
    }
}

/// The types of an RPC method.
pub(crate) struct MethodTypes {
    arguments: fn(&mut Types) -> Vec<Argument>,
    output: fn(&mut Types) -> String,
}

impl MethodTypes {
    pub(crate) const fn new<A: ArgumentTypes, Output: Typed + 'static>() -> Self {
        Self { arguments: A::describe, output: Types::output::<Output> }
    }

    /// Returns the TypeScript types of the arguments and of the output.
    pub(crate) fn describe(&self, types: &mut Types) -> (Vec<Argument>, String) {
        ((self.arguments)(types), (self.output)(types))
    }
}

/// An argument of an RPC method.
pub struct Argument {
    pub(crate) text: String,
    /// Whether the argument may be missing: it is an `Option`.
    pub(crate) is_optional: bool,
}

/// The types of the arguments of an RPC method: a tuple of up to eight types.
#[diagnostic::on_unimplemented(
    message = "the arguments of an RPC method must be a tuple, and `{Self}` is not",
    label = "expected a tuple of types that implement `ts_rs::TS`"
)]
pub trait ArgumentTypes {
    #[doc(hidden)]
    fn describe(types: &mut Types) -> Vec<Argument>;
}

impl ArgumentTypes for () {
    fn describe(_: &mut Types) -> Vec<Argument> {
        Vec::new()
    }
}

macro_rules! tuples {
    ($($($argument:ident)*;)*) => {
        $(impl<$($argument: Typed + 'static),*> ArgumentTypes for ($($argument,)*) {
            fn describe(types: &mut Types) -> Vec<Argument> {
                vec![$(Argument { text: types.of::<$argument>(), is_optional: $argument::IS_OPTION }),*]
            }
        })*
    };
}

tuples! {
    A;
    A B;
    A B C;
    A B C D;
    A B C D E;
    A B C D E F;
    A B C D E F G;
    A B C D E F G H;
}
