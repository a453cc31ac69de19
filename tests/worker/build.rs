//! Extracts whole Workers from the documentation, so that the tests compile and run them unchanged.

use std::{env, error::Error, fs, io::Error as IoError, path::Path};

/// The extracted code blocks: the document, the first line of the block, and the file to write.
const BLOCKS: [(&str, &str, &str); 5] = [
    ("docs/getting-started.md", "// src/lib.rs", "getting_started.rs"),
    ("docs/migrating-from-orpc.md", "// room.rs", "room.rs"),
    ("docs/migrating-from-orpc.md", "// server.rs", "server.rs"),
    ("docs/rust-durable-object.md", "// src/lib.rs", "own_object.rs"),
    ("README.md", "pub struct Chat {", "readme.rs"),
];

fn main() -> Result<(), Box<dyn Error>> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let out = env::var("OUT_DIR")?;
    for (document, beginning, file) in BLOCKS {
        let path = repository.join(document);
        println!("cargo::rerun-if-changed={}", path.display());
        let text = fs::read_to_string(&path)?;
        let block = text
            .split("```rust\n")
            .skip(1)
            .filter_map(|rest| rest.split("```").next())
            .find(|block| block.starts_with(beginning))
            .ok_or_else(|| {
                IoError::other(format!("{document} has no block that begins with `{beginning}`"))
            })?;
        fs::write(Path::new(&out).join(file), embeddable(block, file))?;
    }
    Ok(())
}

/// The block as a module of this Worker: its class has a unique name, and its `fetch` is not the Worker's entry point.
fn embeddable(block: &str, file: &str) -> String {
    let class = match file {
        "getting_started.rs" => "GettingStartedRoom",
        "readme.rs" => "ReadmeRoom",
        _ => "ChatRoom",
    };
    block
        .replace("pub ChatRoom: Chat", &format!("pub {class}: Chat"))
        .replace("#[event(fetch)]\nasync fn", "pub async fn")
}
