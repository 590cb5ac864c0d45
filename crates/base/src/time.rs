//! Instants and heights. Neither reads a clock: both are arguments everywhere.

use core::fmt;

/// A point in time: milliseconds since 1970-01-01 00:00:00 UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Instant(u64);

impl Instant {
    /// The instant `ms` milliseconds after the epoch.
    #[must_use]
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms)
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn ms(self) -> u64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub const fn s(self) -> u64 {
        self.0 / 1000
    }

    /// This instant plus `ms`, or the last instant there is.
    #[must_use]
    pub const fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this instant; zero if `earlier` is later.
    #[must_use]
    pub const fn ms_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}

/// A block's height: the number of blocks before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Height(u32);

impl Height {
    /// The height `blocks`.
    #[must_use]
    pub const fn new(blocks: u32) -> Self {
        Self(blocks)
    }

    /// Blocks before this one.
    #[must_use]
    pub const fn blocks(self) -> u32 {
        self.0
    }

    /// The next height, or `None` after the last.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }

    /// How many blocks confirm a transaction at `self` when the tip is at `tip`: 1 when it is the tip.
    #[must_use]
    pub fn confirmations(self, tip: Self) -> u32 {
        tip.0.checked_sub(self.0).map_or(0, |depth| depth.saturating_add(1))
    }
}

impl fmt::Display for Height {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_milliseconds_and_stop_at_their_ends() {
        let at = Instant::from_ms(1_999);
        assert_eq!((at.ms(), at.s(), Instant::from_ms(2_000).s()), (1_999, 1, 2));
        assert_eq!(at.plus_ms(1), Instant::from_ms(2_000));
        assert_eq!(at.plus_ms(u64::MAX), Instant::from_ms(u64::MAX));
        assert_eq!(at.plus_ms(5).ms_since(at), 5);
        assert_eq!(at.ms_since(at.plus_ms(5)), 0);
        assert_eq!(at.to_string(), "1999 ms");
    }

    #[test]
    fn heights_count_the_blocks_before() {
        let height = Height::new(7);
        assert_eq!(
            (height.blocks(), height.next(), height.to_string().as_str()),
            (7, Some(Height::new(8)), "7")
        );
        assert_eq!(Height::new(u32::MAX).next(), None);
    }

    #[test]
    fn confirmations_count_the_block_itself() {
        let check = |at, tip, want| assert_eq!(Height::new(at).confirmations(Height::new(tip)), want);
        check(5, 5, 1);
        check(5, 6, 2);
        check(6, 5, 0);
    }
}
