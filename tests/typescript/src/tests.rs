//! The generated modules.

use crate::objects::{Change, Person, Types, Untyped, Wire, WithoutAttachment, server};
use durable_event_iterator::{
    Call, Channel, Code, DurableEventIteratorObject, Error, Procedures, Result, RpcMethods, Url,
    typescript::{Module, ModuleError},
};
use serde::{Deserialize, Serialize};
use ts_rs::TS;
use worker::Env;

fn module() -> Module {
    Module::new()
        .object::<Types>("Types")
        .object::<Untyped>("UntypedChannel")
        .object::<WithoutAttachment>("WithoutAttachment")
        .router("Server", &server())
}

#[test]
fn the_generated_file_is_current() -> Result<(), ModuleError> {
    module().check("generated.ts")
}

#[test]
fn a_module_without_durable_objects_has_only_a_header() {
    assert_eq!(Module::new().source().unwrap().lines().count(), 1);
}

#[test]
fn a_different_file_is_reported_with_the_line() {
    if std::env::var_os("UPDATE_TYPESCRIPT").is_some() {
        return;
    }
    let folder = std::env::temp_dir().join(format!("test-typescript-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("generated.ts");
    let problem = || module().check(&path).unwrap_err().to_string();

    assert!(problem().contains("cannot be read"), "{}", problem());
    assert!(problem().contains("UPDATE_TYPESCRIPT=1"), "{}", problem());
    let source = module().source().unwrap();
    std::fs::write(&path, source.replace("wire(): Client", "wire(): Other")).unwrap();
    let line = source.lines().position(|line| line.contains("wire(): ")).unwrap() + 1;
    assert!(problem().contains(&format!("line {line};")), "{}", problem());
    std::fs::write(&path, format!("{source}more\n")).unwrap();
    assert!(problem().contains("Rust: (end of file)"), "{}", problem());
    std::fs::write(&path, source.replace('\n', "\r\n")).unwrap();
    module().check(&path).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn two_types_cannot_have_the_same_name() {
    mod other {
        #[derive(serde::Serialize, serde::Deserialize, ts_rs::TS)]
        pub(super) struct Person {
            pub(super) age: u8,
        }
    }

    struct Two;

    impl DurableEventIteratorObject for Two {
        type Channel = Channel<Person>;

        fn new(_: Self::Channel, _: Env) -> Result<Self> {
            Ok(Self)
        }

        fn procedures() -> Procedures<Self, Call<Self>> {
            Procedures::new().procedure("age", async |_: &Self, _, person: other::Person| Ok(person.age))
        }
    }

    let problem = Module::new().object::<Two>("Two").source().unwrap_err().to_string();
    assert!(problem.contains("have the same name `Person`"), "{problem}");
}

#[test]
fn names_of_imports_and_interfaces_are_reserved() {
    #[derive(Serialize, Deserialize, TS)]
    struct Client {}

    struct Clients;

    impl DurableEventIteratorObject for Clients {
        type Channel = Channel<Client>;

        fn new(_: Self::Channel, _: Env) -> Result<Self> {
            Ok(Self)
        }
    }

    let problem = |name: &str| Module::new().object::<Clients>(name).source().unwrap_err().to_string();
    assert!(problem("Clients").starts_with("`Client` is the name of an import"), "{}", problem("Clients"));
    let problem = |name: &str| Module::new().object::<Types>(name).source().unwrap_err().to_string();
    assert!(problem("Person").starts_with("`Person` is the name of"), "{}", problem("Person"));
    assert!(problem("chat-room").starts_with("`chat-room` is not a valid name"), "{}", problem("chat-room"));
    let twice = module().object::<Types>("Types").source().unwrap_err().to_string();
    assert!(twice.contains("two types with the name `Types`"), "{twice}");
}

#[test]
fn a_stub_cannot_transfer_every_type() {
    struct Urls;

    impl DurableEventIteratorObject for Urls {
        type Channel = Channel<Change>;

        fn new(_: Self::Channel, _: Env) -> Result<Self> {
            Ok(Self)
        }

        fn rpc_methods() -> RpcMethods<Self> {
            RpcMethods::new()
                .method("open", async |_: &Self, (_, _): (u8, Vec<Url>)| Ok(()))
                .method("wire", async |_: &Self, ()| Err::<Wire, _>(Error::new(Code::NotFound)))
        }
    }

    let problem = Module::new().object::<Urls>("Urls").source().unwrap_err().to_string();
    let expected = "\
argument 2 of the RPC method `open` of `Urls` contains a URL or Blob, which a stub cannot transfer
the output of the RPC method `wire` of `Urls` contains a Blob, which a stub cannot transfer";
    assert_eq!(problem, expected);
}
