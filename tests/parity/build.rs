//! Extracts the crate of the guide, whose tests run here unchanged.

use std::{env, error::Error, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/rust-durable-object.md");
    println!("cargo::rerun-if-changed={}", guide.display());
    let text = fs::read_to_string(guide)?;
    let block = text.split("```rust\n// src/lib.rs\n").nth(1).and_then(|rest| rest.split("```").next());
    let block = block.ok_or("the guide has no block `src/lib.rs`")?;
    fs::write(Path::new(&env::var("OUT_DIR")?).join("todo_lists.rs"), block)?;
    Ok(())
}
