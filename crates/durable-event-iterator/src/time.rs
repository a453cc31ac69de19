//! Conversion of times: [`SystemTime`] in the API, the units of the Workers runtime and of tokens internally.

use crate::runtime;
use std::time::{Duration, SystemTime};

/// Returns the current time. Use it instead of `SystemTime::now`, which panics in a Worker.
///
/// In production, a Worker's clock does not advance while code runs: it shows the time of the last input or output.
#[must_use]
pub fn now() -> SystemTime {
    from_millis(runtime::now_ms())
}

/// Converts milliseconds since 1970.
pub(crate) fn from_millis(milliseconds: u64) -> SystemTime {
    after_epoch(Duration::from_millis(milliseconds))
}

/// Converts seconds since 1970.
pub(crate) fn from_seconds(seconds: f64) -> SystemTime {
    after_epoch(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

/// Returns seconds since 1970, 0 for earlier times.
pub(crate) fn seconds(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// Returns the time after 1970, or 1970 if `SystemTime` cannot represent it.
fn after_epoch(duration: Duration) -> SystemTime {
    SystemTime::UNIX_EPOCH.checked_add(duration).unwrap_or(SystemTime::UNIX_EPOCH)
}
