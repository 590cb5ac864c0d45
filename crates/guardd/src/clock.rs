//! The daemon's clocks. The only place that reads them: the crates below are told the time.

use std::time::{SystemTime, UNIX_EPOCH};

use kuraban_base::Instant;

/// The time of day; the epoch, where the system's clock stands before it.
#[must_use]
pub fn wall() -> Instant {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Instant::from_ms(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// A monotonic clock that counts from its own beginning.
#[derive(Clone, Copy, Debug)]
pub struct Monotonic(std::time::Instant);

impl Monotonic {
    /// Begins now.
    #[must_use]
    pub fn start() -> Self {
        Self(std::time::Instant::now())
    }

    /// Milliseconds since the beginning.
    #[must_use]
    pub fn ms(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Microseconds since 1970-01-01 00:00:00 UTC, to compare what processes of one machine tell.
#[must_use]
pub fn wall_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
