//! The TypeScript types of procedures and RPC methods, for generated interfaces.

use super::{Node, Procedures, RpcMethods};
use crate::typed::{Argument, Types};

/// A procedure, or procedures under a name.
pub(crate) enum Described {
    Procedure { input: String, output: String },
    Router(Vec<(&'static str, Self)>),
}

pub(crate) struct DescribedMethod {
    pub(crate) name: &'static str,
    pub(crate) arguments: Vec<Argument>,
    pub(crate) output: String,
}

impl<O, C> Procedures<O, C> {
    /// Returns the names with their types, and adds the types.
    pub(crate) fn describe(&self, types: &mut Types) -> Vec<(&'static str, Described)> {
        let describe = |(name, node): &(&'static str, Node<O, C>)| {
            let described = match node {
                Node::Procedure(_, procedure) => {
                    let [input, output] = procedure.describe(types);
                    Described::Procedure { input, output }
                }
                Node::Router(procedures) => Described::Router(procedures.describe(types)),
            };
            (*name, described)
        };
        self.0.iter().map(describe).collect()
    }
}

impl<O> RpcMethods<O> {
    /// Returns the methods with their types, and adds the types.
    pub(crate) fn describe(&self, types: &mut Types) -> Vec<DescribedMethod> {
        let describe = |method: &super::rpc_methods::Entry<O>| {
            let (arguments, output) = method.types.describe(types);
            DescribedMethod { name: method.name, arguments, output }
        };
        self.0.iter().map(describe).collect()
    }
}
