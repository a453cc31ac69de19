//! The Workers that the documents show, as they stand there: `build.rs` takes them out.

/// `docs/migrating-from-orpc.md`: the object.
#[allow(missing_docs, missing_debug_implementations)]
pub mod room {
    include!(concat!(env!("OUT_DIR"), "/room.rs"));
}

/// `docs/migrating-from-orpc.md`: the Worker in front of it, and the oRPC server.
pub mod server {
    include!(concat!(env!("OUT_DIR"), "/server.rs"));
}

/// `README.md`: the object. What the README leaves out is here.
#[allow(missing_docs)]
pub mod readme {
    use durable_event_iterator::{
        Audience, Call, Channel, DurableEventIteratorObject, Options, Procedures, Result, StubCall,
        durable_object,
    };
    use serde::{Deserialize, Serialize};
    use std::time::Duration;
    use worker::Env;

    #[derive(Serialize, Deserialize)]
    pub struct Message {
        message: String,
    }

    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub struct User {
        user_id: String,
    }

    #[derive(Serialize, Deserialize)]
    pub struct Typing {
        something: String,
    }

    #[derive(Deserialize)]
    struct Echo {
        text: String,
    }

    include!(concat!(env!("OUT_DIR"), "/readme.rs"));
}
