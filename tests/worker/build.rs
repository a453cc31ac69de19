//! Takes the code out of the documents that show a whole Worker, so that it runs in the tests as it stands there.

use std::{env, error::Error, fs, io::Error as IoError, path::Path};

/// Each block of a document that runs: the document, what its first line is, and the file that it goes to.
const BLOCKS: [(&str, &str, &str); 3] = [
    ("docs/migrating-from-orpc.md", "// room.rs", "room.rs"),
    ("docs/migrating-from-orpc.md", "// server.rs", "server.rs"),
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
        // Two classes of a Worker have two names.
        fs::write(Path::new(&out).join(file), block.replace("pub ChatRoom: Chat", &class(file)))?;
    }
    Ok(())
}

fn class(file: &str) -> String {
    let name = if file == "readme.rs" { "ReadmeRoom" } else { "ChatRoom" };
    format!("pub {name}: Chat")
}
