//! Issues and verifies tokens on request, one JSON object per line in, one out: the other side of the tests that compare
//! with the npm package `jose`.
//!
//! `{"issue": {"channel", "procedures", "attachment"?, "lifetimeMs"?}, "key", "nowMs"}` returns `{"token"}`,
//! `{"verify": "<token>", "key", "previous"?, "nowMs"}` returns `{"claims"}`, and a failure returns `{"error"}`.

use std::error::Error;
use std::io::{BufRead, Write};
use std::time::{Duration, SystemTime};

use durable_event_token::{Claims, SigningKeys, Token};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn Error>> {
    let mut output = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let answer = answer(&line?).unwrap_or_else(|error| json!({ "error": error.to_string() }));
        writeln!(output, "{answer}")?;
        output.flush()?;
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    key: String,
    previous: Option<String>,
    now_ms: u64,
    issue: Option<Issue>,
    verify: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Issue {
    channel: String,
    procedures: Vec<String>,
    attachment: Option<Box<RawValue>>,
    lifetime_ms: Option<u64>,
}

fn answer(line: &str) -> Result<Value, Box<dyn Error>> {
    let request: Request = serde_json::from_str(line)?;
    let keys = SigningKeys::parse(&request.key, request.previous.as_deref())?;
    let now = SystemTime::UNIX_EPOCH
        .checked_add(Duration::from_millis(request.now_ms))
        .ok_or("`nowMs` is too late")?;
    if let Some(issue) = request.issue {
        let mut builder = Token::builder(issue.channel).procedures(issue.procedures);
        if let Some(attachment) = &issue.attachment {
            builder = builder.attachment(attachment);
        }
        if let Some(lifetime) = issue.lifetime_ms {
            builder = builder.lifetime(Duration::from_millis(lifetime));
        }
        return Ok(json!({ "token": builder.sign(&keys, now)? }));
    }
    let token = request.verify.ok_or("neither `issue` nor `verify`")?;
    Ok(json!({ "claims": shown(&keys.verify(&token, now)?)? }))
}

fn shown(claims: &Claims) -> Result<Value, serde_json::Error> {
    Ok(json!({
        "channel": claims.channel().as_str(),
        "procedures": claims.procedures(),
        "attachment": claims.attachment_json().map(serde_json::from_str::<Value>).transpose()?,
        "issuedAt": seconds(claims.issued_at()),
        "expiresAt": seconds(claims.expires_at()),
        "notBefore": claims.not_before().map(seconds),
    }))
}

/// Seconds since 1970.
fn seconds(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
