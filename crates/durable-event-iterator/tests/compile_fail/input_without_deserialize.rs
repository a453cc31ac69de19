//! An input that cannot be deserialized.

use durable_event_iterator::{Procedures, Result};

struct Chat;
struct Input;

fn main() {
    let _: Procedures<Chat, ()> =
        Procedures::new().procedure("say", async |_: &Chat, _, _: Input| -> Result<()> { Ok(()) });
}
