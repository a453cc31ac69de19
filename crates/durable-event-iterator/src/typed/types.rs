//! The named types that interfaces use.

use super::Typed;
use std::{
    any::{TypeId, type_name},
    collections::{BTreeMap, HashSet},
};
use ts_rs::{Config, TS, TypeVisitor};

/// The TypeScript types that interfaces use, by name.
pub struct Types {
    config: Config,
    seen: HashSet<TypeId>,
    named: BTreeMap<String, NamedType>,
    /// Different Rust types with the same TypeScript name.
    conflicts: Vec<String>,
}

/// A type that the module declares.
pub(crate) struct NamedType {
    /// The doc comment of the Rust type, as a comment in TypeScript.
    pub(crate) docs: Option<String>,
    /// The declaration: `type Person = { name: string, };`.
    pub(crate) declaration: String,
    rust: &'static str,
}

impl Default for Types {
    fn default() -> Self {
        Self {
            // Integers of 64 bits are numbers on the wire. Larger ones need a `BigInt`.
            config: Config::new().with_large_int("number"),
            seen: HashSet::new(),
            named: BTreeMap::new(),
            conflicts: Vec::new(),
        }
    }
}

impl Types {
    /// Returns the TypeScript type of `T`, and adds the named types that it consists of.
    pub(crate) fn of<T: Typed + ?Sized + 'static>(&mut self) -> String {
        self.visit::<T>();
        T::visit_dependencies(self);
        T::visit_generics(self);
        T::name(&self.config)
    }

    pub(crate) fn input<I: Typed + 'static>(&mut self) -> String {
        if TypeId::of::<I>() == TypeId::of::<()>() {
            return "void".to_owned();
        }
        let text = self.of::<I>();
        // An `Option` accepts a missing input too.
        if I::IS_OPTION { format!("{text} | undefined") } else { text }
    }

    pub(crate) fn output<Output: Typed + 'static>(&mut self) -> String {
        if TypeId::of::<Output>() == TypeId::of::<()>() { "void".to_owned() } else { self.of::<Output>() }
    }

    /// Returns the type of an iterator over a procedure's stream.
    pub(crate) fn output_stream<T: Typed + 'static>(&mut self) -> String {
        let item = self.of::<T>();
        // A `StreamItem`, whose type is unknown, may be the stream's result.
        let result = if item == "unknown" { "unknown" } else { "void" };
        format!("AsyncIteratorObject<{item}, {result}, void>")
    }

    /// Returns the type of an iterator that a client sends.
    pub(crate) fn input_stream<T: Typed + 'static>(&mut self) -> String {
        format!("AsyncIteratorObject<{}, unknown, void>", self.of::<T>())
    }

    /// Returns the named types, ordered by name.
    pub(crate) fn named(&self) -> impl Iterator<Item = (&str, &NamedType)> {
        self.named.iter().map(|(name, named)| (name.as_str(), named))
    }

    /// Returns the problems: different Rust types with the same TypeScript name.
    pub(crate) fn conflicts(&self) -> &[String] {
        &self.conflicts
    }

    /// Returns whether a type contains one of the types `wanted`, directly or in a named type.
    pub(crate) fn contains(&self, text: &str, wanted: &[&str]) -> bool {
        let mut open = vec![text];
        let mut visited = HashSet::new();
        while let Some(text) = open.pop() {
            for name in text.split(|char: char| !char.is_alphanumeric() && char != '_' && char != '$') {
                if wanted.contains(&name) {
                    return true;
                }
                if let Some((name, named)) = self.named.get_key_value(name)
                    && visited.insert(name)
                {
                    open.push(&named.declaration);
                }
            }
        }
        false
    }
}

impl TypeVisitor for Types {
    fn visit<T: TS + ?Sized + 'static>(&mut self) {
        // Only a derived type has a path, and is declared.
        if T::output_path().is_none() || !self.seen.insert(TypeId::of::<T>()) {
            return;
        }
        let rust = type_name::<T>();
        let name = T::ident(&self.config);
        let declaration = T::decl(&self.config);
        match self.named.get(&name) {
            // Also a generic type with other parameters, whose declaration is the same.
            Some(other) if other.declaration == declaration => {}
            Some(other) => self.conflicts.push(format!(
                "the types `{}` and `{rust}` have the same name `{name}` in TypeScript: rename one with \
                 `#[ts(rename = \"…\")]`",
                other.rust
            )),
            None => {
                self.named.insert(name, NamedType { docs: T::docs(), declaration, rust });
            }
        }
        T::visit_dependencies(self);
        T::visit_generics(self);
    }
}
