//! The Workers of the documentation, which `build.rs` extracts. `tests/documents.test.ts` runs them.

use worker::{
    Context, Env,
    web_sys::{Request, Response},
};

/// Runs the Worker of a document.
pub(crate) async fn fetch(
    document: &str,
    request: Request,
    env: Env,
    context: Context,
) -> worker::Result<Response> {
    match document {
        "docs/getting-started.md" => getting_started::fetch(request, env, context).await,
        "docs/migrating-from-orpc.md" => server::fetch(request, env, context).await,
        "docs/rust-durable-object.md" => own_object::fetch(request, env, context).await,
        _ => Ok(worker::Response::error(format!("{document} has no Worker"), 404)?.into()),
    }
}

/// `docs/getting-started.md`: the Worker of the Rust path.
#[allow(missing_docs, missing_debug_implementations, unused_imports)]
pub mod getting_started {
    include!(concat!(env!("OUT_DIR"), "/getting_started.rs"));
}

/// `docs/rust-durable-object.md`: the Durable Object with a custom table, and its Worker.
#[allow(missing_docs, missing_debug_implementations, unused_imports)]
pub mod own_object {
    include!(concat!(env!("OUT_DIR"), "/own_object.rs"));
}

/// `docs/migrating-from-orpc.md`: the Durable Object.
#[allow(missing_docs, missing_debug_implementations)]
pub mod room {
    include!(concat!(env!("OUT_DIR"), "/room.rs"));
}

/// `docs/migrating-from-orpc.md`: its Worker, and the oRPC server.
pub mod server {
    include!(concat!(env!("OUT_DIR"), "/server.rs"));
}

/// `README.md`: the Durable Object. The README omits the imports and the types.
#[allow(missing_docs)]
pub mod readme {
    use durable_event_iterator::{
        Audience, Call, Channel, DurableEventIteratorObject, Procedures, Result, durable_object,
    };
    use serde::{Deserialize, Serialize};
    use worker::Env;

    #[derive(Serialize, Deserialize)]
    pub struct Message {
        message: String,
    }

    #[derive(Serialize, Deserialize)]
    pub struct User {
        user_id: String,
    }

    include!(concat!(env!("OUT_DIR"), "/readme.rs"));
}
