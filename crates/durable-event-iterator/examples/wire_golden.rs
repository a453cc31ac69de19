//! Gives clients back what they send, one message per line: the other side of the tests with real oRPC clients.
//!
//! `{"text": "<frame>"}` or `{"binary": "<base64>"}` is answered by a list of such, and what is no frame by `{"error"}`.

use std::io::{self, BufRead, Write};

use durable_event_iterator::golden;

fn main() -> io::Result<()> {
    let mut output = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let answer = golden::answer(&line?)
            .unwrap_or_else(|error| serde_json::json!({ "error": error.to_string() }).to_string());
        writeln!(output, "{answer}")?;
        output.flush()?;
    }
    Ok(())
}
