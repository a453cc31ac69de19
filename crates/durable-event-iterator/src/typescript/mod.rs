//! TypeScript interfaces of Durable Objects, generated from their Rust types. Needs the feature `typescript`.
//!
//! A server or client in TypeScript needs the types of a Durable Object: its events, token attachment, procedures and RPC
//! methods. A [`Module`] generates them, and a test of the application compares the result with a checked-in file:
//!
//! ```
//! use durable_event_iterator::{
//!     Call, Channel, Date, DurableEventIteratorObject, Procedures, Result, RpcMethods, typescript,
//! };
//! use serde::{Deserialize, Serialize};
//! use ts_rs::TS;
//! use worker::Env;
//!
//! /// A chat message.
//! #[derive(Serialize, Deserialize, TS)]
//! pub struct Message {
//!     text: String,
//!     at: Date,
//! }
//!
//! #[derive(Serialize, Deserialize, TS)]
//! #[serde(rename_all = "camelCase")]
//! pub struct User {
//!     user_id: String,
//! }
//!
//! pub struct Chat {
//!     channel: Channel<Message, User>,
//! }
//!
//! impl DurableEventIteratorObject for Chat {
//!     type Channel = Channel<Message, User>;
//!
//!     fn new(channel: Self::Channel, _env: Env) -> Result<Self> {
//!         Ok(Self { channel })
//!     }
//!
//!     fn procedures() -> Procedures<Self, Call<Self>> {
//!         Procedures::new().procedure("say", async |chat: &Self, _, message: Message| {
//!             chat.channel.publish(&message)?;
//!             Ok(())
//!         })
//!     }
//!
//!     fn rpc_methods() -> RpcMethods<Self> {
//!         RpcMethods::new().method("count", async |_: &Self, (_since,): (Option<Date>,)| Ok(0))
//!     }
//! }
//!
//! // In the application, it has the attribute `#[test]`.
//! fn the_typescript_types_are_current() -> Result<(), typescript::ModuleError> {
//!     typescript::Module::new().object::<Chat>("ChatRoom").check("web/chat-room.ts")
//! }
//! # assert!(the_typescript_types_are_current().is_err());
//! # let source = typescript::Module::new().object::<Chat>("ChatRoom").source()?;
//! # let expected = r#"
//! # export interface ChatRoom extends DurableEventIteratorObject<Message, User> {
//! #   say(): Client<Record<never, never>, Message, void, Error>
//! # }
//! #
//! # /** The type of its stubs. */
//! # export interface ChatRoomStub extends ChannelStub<Message> {
//! #   count(arg1?: Date | null): Promise<number>
//! # }
//! #
//! # /** A chat message. */
//! # export type Message = { text: string; at: Date }
//! #
//! # export type User = { userId: string }
//! # "#;
//! # assert!(source.ends_with(expected), "{source}");
//! # Ok::<(), typescript::ModuleError>(())
//! ```
//!
//! `cargo test` fails if the file is missing or differs. `UPDATE_TYPESCRIPT=1 cargo test` writes it:
//!
//! ```ts
//! export interface ChatRoom extends DurableEventIteratorObject<Message, User> {
//!   say(): Client<Record<never, never>, Message, void, Error>
//! }
//!
//! /** The type of its stubs. */
//! export interface ChatRoomStub extends ChannelStub<Message> {
//!   count(arg1?: Date | null): Promise<number>
//! }
//!
//! /** A chat message. */
//! export type Message = { text: string; at: Date }
//!
//! export type User = { userId: string }
//! ```
//!
//! # Types
//!
//! Every event, token attachment, input and output derives [`ts_rs::TS`], which reads serde's attributes. Types of ours are
//! those that JavaScript receives: [`Date`](crate::Date) is `Date`, [`BigInt`](crate::BigInt) is `bigint`,
//! [`Map`](crate::Map) is `Map`, [`Url`](crate::Url) is `URL`, [`Blob`](crate::Blob) is `Blob`, and so on. Integers are
//! numbers. [`Value`](crate::Value) and [`Custom`](crate::Custom) are `unknown`: state the type of such a field with
//! `#[ts(type = "…")]`. ts-rs lists the attributes of serde that it does not support when it compiles them.
//!
//! - A procedure with the input `()` has the input `void`. An input `Option<T>` may be missing.
//! - A stream is an `AsyncIteratorObject`, as an output and as an input ([`Upload`](crate::Upload)). The items of a stream of
//!   [`StreamItem`](crate::StreamItem)s are `unknown`.
//! - A stub receives a URL as a string, because RPC in the Workers runtime cannot transfer a `URL`.
//! - A token attachment is JSON. TypeScript reports an attachment with another type, such as `Date`.
//!
//! # Cost
//!
//! The feature adds no code to a Worker: in WebAssembly, nothing is recorded, and this module does not exist. On other targets,
//! the inputs and outputs of all procedures and RPC methods must implement `ts_rs::TS`, also those of an oRPC server
//! ([`http`](crate::http)). Cargo enables a feature for all crates that it compiles together: in a workspace with other
//! Durable Objects, enable it by a feature of the crate, as the chat room in `examples/` does.

mod layout;

use crate::{
    channel::IsChannel,
    object::DurableEventIteratorObject,
    procedure::{Described, DescribedMethod, Procedures},
    socket::Untyped,
    typed::{Typed, Types},
};
use std::{any::TypeId, collections::BTreeSet, env, fmt, fs, path::Path};

/// The first line of a module.
const HEADER: &str = "// Generated from Rust types by `durable_event_iterator::typescript`. Do not edit.";

/// The environment variable with which [`Module::check`] writes the file.
const UPDATE: &str = "UPDATE_TYPESCRIPT";

/// The names that a module imports or that are JavaScript's: a Rust type cannot have them.
const RESERVED: [&str; 17] = [
    "Array",
    "AsyncIteratorObject",
    "Blob",
    "ChannelStub",
    "Client",
    "ClientContext",
    "Cloned",
    "Date",
    "DurableEventIteratorObject",
    "Error",
    "Map",
    "Promise",
    "Record",
    "RegExp",
    "Set",
    "TContext",
    "URL",
];

/// What RPC in the Workers runtime makes of a value.
const CLONED: &str = "\
/** A value as a stub returns it: a URL is a string. */
type Cloned<T> = T extends URL
  ? string
  : T extends Date | RegExp
    ? T
    : T extends Map<infer K, infer V>
      ? Map<Cloned<K>, Cloned<V>>
      : T extends Set<infer Item>
        ? Set<Cloned<Item>>
        : T extends object
          ? { [K in keyof T]: Cloned<T[K]> }
          : T
";

/// A TypeScript module with the interfaces of Durable Objects, see the [module](self).
#[derive(Default)]
#[must_use = "`check` compares the module with a file, `source` returns its text"]
pub struct Module {
    types: Types,
    /// The interfaces and routers.
    interfaces: Vec<String>,
    /// Their names.
    names: BTreeSet<String>,
    problems: Vec<String>,
    has_objects: bool,
    has_routers: bool,
    uses_client: bool,
    uses_cloned: bool,
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Module").field("names", &self.names).finish_non_exhaustive()
    }
}

impl Module {
    /// Returns a module without interfaces.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the interfaces of a Durable Object: `name`, and `name` with the suffix `Stub` for its stubs. Its named types follow.
    /// Several Durable Objects share the types that they have in common.
    pub fn object<O: DurableEventIteratorObject>(mut self, name: &str) -> Self
    where
        <O::Channel as IsChannel>::Event: Typed,
        <O::Channel as IsChannel>::TokenAttachment: Typed,
    {
        let stub = format!("{name}Stub");
        self.name(name);
        self.name(&stub);
        self.has_objects = true;
        let event = self.event::<O>();
        let attachment = self.attachment::<O>();
        let procedures = O::procedures().describe(&mut self.types);
        let procedures = self.members(&procedures, 1, "()", "Record<never, never>");
        let base = format!("DurableEventIteratorObject<{event}{attachment}>");
        self.interfaces.push(interface("", name, &base, &procedures));

        let methods = O::rpc_methods().describe(&mut self.types);
        let methods: String = methods.iter().map(|method| self.method(name, method)).collect();
        let base = format!("ChannelStub<{event}>");
        self.interfaces.push(interface("/** The type of its stubs. */\n", &stub, &base, &methods));
        self
    }

    /// Adds the type of a client of procedures over HTTP (see [`http`](crate::http)), for oRPC's `createORPCClient<Server>(link)`.
    /// It has a type parameter for the context of the client.
    ///
    /// The output of a procedure that returns [`HttpCall::iterator`](crate::http::HttpCall::iterator) is a `string`, the token.
    /// A client with a link plugin of the npm package receives an iterator instead: state its type in TypeScript.
    ///
    /// ```
    /// use durable_event_iterator::{Procedures, http::HttpCall, typescript::{Module, ModuleError}};
    ///
    /// fn procedures() -> Procedures<(), HttpCall> {
    ///     Procedures::new().procedure("add", async |_: &(), _, (a, b): (f64, f64)| Ok(a + b))
    /// }
    ///
    /// let source = Module::new().router("Server", &procedures()).source()?;
    /// let expected = "
    /// export type Server<TContext extends ClientContext = Record<never, never>> = {
    ///   add: Client<TContext, [number, number], number, Error>
    /// }
    /// ";
    /// assert!(source.ends_with(expected));
    /// # Ok::<(), ModuleError>(())
    /// ```
    pub fn router<O, C>(mut self, name: &str, procedures: &Procedures<O, C>) -> Self {
        self.name(name);
        self.has_routers = true;
        let procedures = procedures.describe(&mut self.types);
        let members = self.members(&procedures, 1, "", "TContext");
        let head = format!("export type {name}<TContext extends ClientContext = Record<never, never>>");
        self.interfaces.push(format!("{head} = {}\n", body(&members)));
        self
    }

    fn name(&mut self, name: &str) {
        if !layout::is_identifier(name) {
            self.problems.push(format!("`{name}` is not a valid name of a type in TypeScript"));
        }
        if !self.names.insert(name.to_owned()) {
            self.problems.push(format!("the module has two types with the name `{name}`"));
        }
    }

    fn event<O: DurableEventIteratorObject>(&mut self) -> String
    where
        <O::Channel as IsChannel>::Event: Typed,
    {
        match self.types.of::<<O::Channel as IsChannel>::Event>().as_str() {
            // A `Value`: every event is an object.
            "unknown" => "object".to_owned(),
            text => layout::line(text),
        }
    }

    /// Returns the second type parameter of the interface, with a comma. Without one, the attachment is any JSON.
    fn attachment<O: DurableEventIteratorObject>(&mut self) -> String
    where
        <O::Channel as IsChannel>::TokenAttachment: Typed,
    {
        let id = TypeId::of::<<O::Channel as IsChannel>::TokenAttachment>();
        if id == TypeId::of::<Untyped>() {
            String::new()
        } else if id == TypeId::of::<()>() {
            ", undefined".to_owned()
        } else {
            format!(", {}", layout::line(&self.types.of::<<O::Channel as IsChannel>::TokenAttachment>()))
        }
    }

    /// Returns the members of an interface or record. `call` follows their names: an interface has methods, a record properties.
    fn members(
        &mut self,
        procedures: &[(&'static str, Described)],
        level: usize,
        call: &str,
        context: &str,
    ) -> String {
        let space = "  ".repeat(level);
        let member = |(name, described): &(&'static str, Described)| {
            let name = layout::property(name);
            let text = match described {
                Described::Procedure { input, output } => {
                    self.uses_client = true;
                    let (input, output) = (layout::line(input), layout::line(output));
                    format!("Client<{context}, {input}, {output}, Error>")
                }
                Described::Router(procedures) if procedures.is_empty() => "{}".to_owned(),
                Described::Router(procedures) => {
                    let members = self.members(procedures, level.saturating_add(1), "", context);
                    format!("{{\n{members}{space}}}")
                }
            };
            format!("{space}{name}{call}: {text}\n")
        };
        procedures.iter().map(member).collect()
    }

    /// Returns the member of an RPC method.
    fn method(&mut self, interface: &str, method: &DescribedMethod) -> String {
        let DescribedMethod { name, arguments, output } = method;
        let mut untransferable = |text: &str, types: &[&str], part: &str| {
            if self.types.contains(text, types) {
                let types = types.join(" or ");
                self.problems.push(format!(
                    "{part} of the RPC method `{name}` of `{interface}` contains a {types}, which a stub cannot transfer"
                ));
            }
        };
        // Arguments may be missing up to the last one that may not.
        let required =
            arguments.iter().rposition(|argument| !argument.is_optional).map_or(0, |at| at.saturating_add(1));
        let arguments: Vec<String> = (1_usize..)
            .zip(arguments)
            .map(|(number, argument)| {
                untransferable(&argument.text, &["URL", "Blob"], &format!("argument {number}"));
                let text = layout::line(&argument.text);
                match (argument.is_optional, number > required) {
                    (true, true) => format!("arg{number}?: {text}"),
                    (true, false) => format!("arg{number}: {text} | undefined"),
                    (false, _) => format!("arg{number}: {text}"),
                }
            })
            .collect();
        untransferable(output, &["Blob"], "the output");
        let has_url = self.types.contains(output, &["URL"]);
        self.uses_cloned |= has_url;
        let output = layout::line(output);
        let output = if has_url { format!("Cloned<{output}>") } else { output };
        format!("  {}({}): Promise<{output}>\n", layout::property(name), arguments.join(", "))
    }

    /// Returns the text of the module.
    ///
    /// # Errors
    /// Two types have the same name in TypeScript, a type has the name of an import or of a type of JavaScript, or an RPC method
    /// has a type that a stub cannot transfer.
    pub fn source(&self) -> Result<String, ModuleError> {
        let mut problems: Vec<String> = self.problems.iter().chain(self.types.conflicts()).cloned().collect();
        for (name, _) in self.types.named() {
            if RESERVED.contains(&name) || self.names.contains(name) {
                problems.push(format!(
                    "`{name}` is the name of an import, of a type of JavaScript or of an interface: rename the Rust type \
                     with `#[ts(rename = \"…\")]`"
                ));
            }
        }
        if !problems.is_empty() {
            return Err(ModuleError(problems.join("\n")));
        }
        let client: Vec<&str> = [(self.uses_client, "Client"), (self.has_routers, "ClientContext")]
            .into_iter()
            .filter_map(|(is_used, name)| is_used.then_some(name))
            .collect();
        let mut imports = String::new();
        if !client.is_empty() {
            imports += &format!("import type {{ {} }} from '@orpc/client'\n", client.join(", "));
        }
        if self.has_objects {
            imports += "import type { DurableEventIteratorObject } from 'durable-event-iterator'\n";
            imports += "import type { ChannelStub } from 'durable-event-iterator/durable-object'\n";
        }
        let types = self.types.named().map(|(_, named)| {
            let docs = named.docs.as_deref().map(|docs| layout::comment(docs, 0)).unwrap_or_default();
            let declaration = named.declaration.trim_end_matches(';');
            // An `enum` of TypeScript has no `=` before its brace.
            let declaration = match declaration.split_once(" = ") {
                Some((head, text)) if head.starts_with("type ") => {
                    layout::declaration(&format!("export {head}"), text)
                }
                _ => format!("export {declaration}"),
            };
            format!("{docs}{declaration}\n")
        });
        let parts = [HEADER.to_owned() + "\n", imports]
            .into_iter()
            .filter(|part| !part.is_empty())
            .chain(self.interfaces.iter().cloned())
            .chain(types)
            .chain(self.uses_cloned.then(|| CLONED.to_owned()));
        Ok(parts.collect::<Vec<_>>().join("\n"))
    }

    /// Compares the module with a file. If the environment variable `UPDATE_TYPESCRIPT` is set, it writes the file instead.
    ///
    /// A relative path starts at the folder of `Cargo.toml` in a test, since cargo runs tests there.
    ///
    /// # Errors
    /// The file cannot be read or written, it differs from the module, or an error of [`Module::source`].
    pub fn check(&self, path: impl AsRef<Path>) -> Result<(), ModuleError> {
        let path = path.as_ref();
        let shown = path.display();
        let source = self.source()?;
        if env::var_os(UPDATE).is_some_and(|value| !value.is_empty()) {
            return fs::write(path, source)
                .map_err(|error| ModuleError(format!("{shown} cannot be written: {error}")));
        }
        let advice = format!("run the test with the environment variable {UPDATE}=1 to write it");
        let file = fs::read_to_string(path)
            .map_err(|error| ModuleError(format!("{shown} cannot be read: {error}; {advice}")))?
            .replace("\r\n", "\n");
        if file == source {
            return Ok(());
        }
        let at = file.lines().zip(source.lines()).take_while(|(old, new)| old == new).count();
        let line = |text: &str| text.lines().nth(at).unwrap_or("(end of file)").to_owned();
        Err(ModuleError(format!(
            "{shown} differs from the Rust types in line {}; {advice}\n  file: {}\n  Rust: {}",
            at.saturating_add(1),
            line(&file),
            line(&source),
        )))
    }
}

fn interface(docs: &str, name: &str, base: &str, members: &str) -> String {
    format!("{docs}export interface {name} extends {base} {}\n", body(members))
}

fn body(members: &str) -> String {
    if members.is_empty() { "{}".to_owned() } else { format!("{{\n{members}}}") }
}

/// The error of a [`Module`]: it cannot be generated, or the file differs from it.
///
/// Its `Debug` output is the message too, because a test that returns an error shows it so.
pub struct ModuleError(String);

impl fmt::Display for ModuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ModuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for ModuleError {}
