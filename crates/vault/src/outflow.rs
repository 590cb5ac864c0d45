//! The rolling sum: what left a vault within the last 24 hours. Entries are never reset by a policy edit or a restart,
//! because they are folded from receipts.

use std::collections::BTreeMap;

use kuraban_base::{Amount, Instant, PayoutId};

/// The window, in milliseconds.
pub(crate) const WINDOW_MS: u64 = 24 * 60 * 60 * 1000;

/// Outflows of one vault, one per payout: the largest that any signer gave a receipt for, at the latest time.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Outflows(BTreeMap<PayoutId, (Amount, Instant)>);

impl Outflows {
    /// Counts a payout once, at its largest amount and its latest time.
    pub(crate) fn count(&mut self, payout: &PayoutId, amount: Amount, at: Instant) {
        let entry = self.0.entry(payout.clone()).or_insert((amount, at));
        *entry = (entry.0.max(amount), entry.1.max(at));
    }

    /// A payout that was cancelled on chain took nothing out.
    pub(crate) fn forget(&mut self, payout: &PayoutId) {
        self.0.remove(payout);
    }

    /// What left within 24 hours before `now`, but for `payout` itself; `None` beyond any amount there is.
    pub(crate) fn sum_without(&self, payout: &PayoutId, now: Instant) -> Option<Amount> {
        let recent =
            |(id, (_, at)): &(&PayoutId, &(Amount, Instant))| *id != payout && now.ms_since(*at) < WINDOW_MS;
        Amount::sum(self.0.iter().filter(recent).map(|(_, (amount, _))| *amount))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allowance_is_freed_after_exactly_24_hours_and_a_payout_counts_once() {
        let (a, b): (PayoutId, PayoutId) = ("a".parse().unwrap(), "b".parse().unwrap());
        let mut outflows = Outflows::default();
        outflows.count(&a, Amount::new(5), Instant::from_ms(1000));
        outflows.count(&a, Amount::new(7), Instant::from_ms(1000));
        outflows.count(&a, Amount::new(6), Instant::from_ms(900));
        let sum = |now| outflows.sum_without(&b, Instant::from_ms(now)).map(Amount::units);
        assert_eq!(sum(1000), Some(7));
        assert_eq!(sum(1000 + WINDOW_MS - 1), Some(7));
        assert_eq!(sum(1000 + WINDOW_MS), Some(0));
        assert_eq!(outflows.sum_without(&a, Instant::from_ms(1000)), Some(Amount::ZERO));
    }
}
