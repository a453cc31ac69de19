//! A procedure of another type.

use durable_event_iterator::{Procedures, Result};

struct Chat;
struct Other;

fn main() {
    let _: Procedures<Chat, ()> = Procedures::new().procedure("ping", async |_: &Other, _, ()| -> Result<&str> { Ok("pong") });
}
