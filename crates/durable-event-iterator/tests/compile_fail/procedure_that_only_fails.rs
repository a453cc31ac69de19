//! A procedure that only returns `Err`, without the type of its output.

use durable_event_iterator::{Code, Error, Procedures};

struct Chat;

fn main() {
    let _: Procedures<Chat, ()> =
        Procedures::new().procedure("closed", async |_: &Chat, _, ()| Err(Error::new(Code::Forbidden)));
}
