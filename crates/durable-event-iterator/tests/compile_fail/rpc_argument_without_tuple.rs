//! An RPC method that takes a `String` instead of the tuple `(String,)`.

use durable_event_iterator::{Result, RpcMethods};

struct Chat;

impl Chat {
    async fn rename(&self, _name: String) -> Result<()> {
        Ok(())
    }
}

fn main() {
    let _: RpcMethods<Chat> = RpcMethods::new()
        .method("rename", Chat::rename)
        .method("greet", async |_: &Chat, name: String| Ok(format!("Hello, {name}")));
}
