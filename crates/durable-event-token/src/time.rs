//! Conversion of times: `SystemTime` in the API, seconds since 1970 in claims, milliseconds for comparisons.

use std::time::{Duration, SystemTime};

/// A time in the year 5138, in seconds since 1970, which `SystemTime` can represent on every operating system.
const LATEST_S: u64 = 100_000_000_000;

/// Returns milliseconds since 1970, 0 for earlier times.
pub(crate) fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Converts the time of a claim, in seconds since 1970. Times that `SystemTime` cannot represent become [`LATEST_S`].
pub(crate) fn system_time(seconds: f64) -> SystemTime {
    let since = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    let latest = Duration::from_secs(LATEST_S);
    let time = |since| SystemTime::UNIX_EPOCH.checked_add(since);
    time(since).or_else(|| time(latest)).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Returns a time for tests, from milliseconds since 1970.
#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) fn at(milliseconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(milliseconds)).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_converted_in_both_directions() {
        assert_eq!(system_time(1.5), at(1_500));
        assert_eq!(milliseconds(at(1_500)), 1_500);
        assert_eq!(milliseconds(SystemTime::UNIX_EPOCH - Duration::from_secs(1)), 0);
        assert!(system_time(9_007_199_254_740_991.0) > at(1_000 * LATEST_S - 1));
    }
}
