//! How far the clocks of token issuers are ahead, see `issuer_clock.rs`.

pub(super) const MICROS_PER_SECOND: u64 = 1_000_000;

/// How far the issuers' clocks are ahead, and until when this applies. Ordered by `seconds` first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Lead {
    /// A power of two.
    pub(super) seconds: u64,
    /// When the lead expires, in seconds since the Unix epoch.
    pub(super) until: u64,
}

impl From<(u64, u64)> for Lead {
    fn from((seconds, until): (u64, u64)) -> Self {
        Self { seconds, until }
    }
}

impl Lead {
    pub(super) fn is_active(&self, now_us: u64) -> bool {
        now_us < self.until.saturating_mul(MICROS_PER_SECOND)
    }
}
