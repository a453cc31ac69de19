//! Times, as [`SystemTime`] outside and in the units of the runtime inside.

use crate::runtime;
use std::time::{Duration, SystemTime};

/// Returns the current time. In a Worker `SystemTime::now` panics.
///
/// In production the clock of a Worker stands still while code runs: it is that of the last input or output.
#[must_use]
pub fn now() -> SystemTime {
    from_millis(runtime::now_ms())
}

/// A time, in milliseconds since 1970.
pub(crate) fn from_millis(milliseconds: u64) -> SystemTime {
    after_epoch(Duration::from_millis(milliseconds))
}

/// A time, in seconds since 1970.
pub(crate) fn from_seconds(seconds: f64) -> SystemTime {
    after_epoch(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

/// Seconds since 1970; 0 for times before.
pub(crate) fn seconds(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// Times that the platform cannot represent are 1970.
fn after_epoch(duration: Duration) -> SystemTime {
    SystemTime::UNIX_EPOCH.checked_add(duration).unwrap_or(SystemTime::UNIX_EPOCH)
}
