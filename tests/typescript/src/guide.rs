//! The types of the Durable Object in docs/rust-durable-object.md.

use durable_event_iterator::{
    Call, Channel, DurableEventIteratorObject, Procedures, Result, typescript::Module,
};
use serde::{Deserialize, Serialize};
use ts_rs::TS;
use worker::Env;

/// The events.
#[derive(Serialize, Deserialize, TS)]
#[serde(tag = "type", rename_all = "camelCase")]
enum Change {
    /// The first event of a new client: all items.
    Snapshot { items: Vec<String> },
    /// One more item.
    Added { item: String },
}

struct TodoList;

impl DurableEventIteratorObject for TodoList {
    type Channel = Channel<Change>;

    fn new(_: Self::Channel, _: Env) -> Result<Self> {
        Ok(Self)
    }

    fn procedures() -> Procedures<Self, Call<Self>> {
        Procedures::new().procedure("add", async |_: &Self, _, _: String| Ok(()))
    }
}

#[test]
fn the_guide_shows_the_generated_module() {
    let guide = include_str!("../../../docs/rust-durable-object.md");
    let source = Module::new().object::<TodoList>("TodoList").source().unwrap();
    assert!(guide.contains(&format!("```ts\n// todo.ts\n{source}```\n")), "{source}");
}
