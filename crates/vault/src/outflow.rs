//! The rolling sum: what may have left a vault within the last 24 hours. Entries are never reset by a policy edit or a
//! restart, because they are folded from receipts.

use std::collections::BTreeMap;

use kuraban_base::{Amount, Instant, PayoutId};

use crate::{judge::CLOCKS_APART_MAX_MS, receipt::RECEIPT_MS};

/// The window, in milliseconds. A signature may leave as long as its receipt is good, so whatever leaves within 24 hours got
/// its receipt within these and that life. One signer's clocks may be slow while another's are fast.
pub(crate) const WINDOW_MS: u64 = 24 * 60 * 60 * 1000 + RECEIPT_MS + 2 * CLOCKS_APART_MAX_MS;

/// Outflows of one vault, one per payout: the largest that any signer gave a receipt for, at the latest time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Outflows {
    by_payout: BTreeMap<PayoutId, (Amount, Instant)>,
    by_time: BTreeMap<(Instant, PayoutId), Amount>,
    /// The sum of all that are held; `None` while it is beyond any amount.
    sum: Option<Amount>,
}

impl Default for Outflows {
    fn default() -> Self {
        Self { by_payout: BTreeMap::new(), by_time: BTreeMap::new(), sum: Some(Amount::ZERO) }
    }
}

impl Outflows {
    /// Counts a payout once, at its largest amount and its latest time.
    pub(crate) fn count(&mut self, payout: &PayoutId, amount: Amount, at: Instant) {
        let (amount, at) = match self.by_payout.get(payout) {
            Some((before, before_at)) => (amount.max(*before), at.max(*before_at)),
            None => (amount, at),
        };
        self.forget(payout);
        self.by_payout.insert(payout.clone(), (amount, at));
        self.by_time.insert((at, payout.clone()), amount);
        self.sum = self.sum.and_then(|sum| sum.plus(amount));
    }

    fn forget(&mut self, payout: &PayoutId) {
        if let Some((amount, at)) = self.by_payout.remove(payout) {
            self.by_time.remove(&(at, payout.clone()));
            self.take_away(amount);
        }
    }

    fn take_away(&mut self, amount: Amount) {
        self.sum = match self.sum {
            Some(sum) => sum.less(amount),
            // Too much before; perhaps no longer.
            None => Amount::sum(self.by_time.values().copied()),
        };
    }

    /// Drops what no clock at or after `now` counts any more.
    pub(crate) fn prune(&mut self, now: Instant) {
        while let Some(entry) = self.by_time.first_entry() {
            if now.ms_since(entry.key().0) < WINDOW_MS {
                break;
            }
            self.by_payout.remove(&entry.key().1);
            let amount = entry.remove();
            self.take_away(amount);
        }
    }

    /// What may have left within 24 hours before `now`, but for `payout` itself; `None` beyond any amount there is.
    pub(crate) fn sum_without(&self, payout: &PayoutId, now: Instant) -> Option<Amount> {
        let recent = |at: &Instant| now.ms_since(*at) < WINDOW_MS;
        let old = self.by_time.iter().take_while(|((at, _), _)| !recent(at));
        let old = Amount::sum(old.map(|(_, amount)| *amount))?;
        let own = self
            .by_payout
            .get(payout)
            .filter(|(_, at)| recent(at))
            .map_or(Amount::ZERO, |(amount, _)| *amount);
        self.sum?.less(old)?.less(own)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(number: u8) -> PayoutId {
        format!("p{number}").parse().unwrap()
    }

    #[test]
    fn allowance_is_freed_after_exactly_24_hours_and_eleven_minutes_and_a_payout_counts_once() {
        assert_eq!(WINDOW_MS, 87_060_000);
        let mut outflows = Outflows::default();
        outflows.count(&id(0), Amount::new(5), Instant::from_ms(1000));
        outflows.count(&id(0), Amount::new(7), Instant::from_ms(1000));
        outflows.count(&id(0), Amount::new(6), Instant::from_ms(900));
        let sum = |now| outflows.sum_without(&id(1), Instant::from_ms(now)).map(Amount::units);
        assert_eq!(sum(1000), Some(7));
        assert_eq!(sum(1000 + WINDOW_MS - 1), Some(7));
        assert_eq!(sum(1000 + WINDOW_MS), Some(0));
        assert_eq!(outflows.sum_without(&id(0), Instant::from_ms(1000)), Some(Amount::ZERO));
    }

    #[test]
    fn a_sum_beyond_any_amount_stays_unknown_until_it_no_longer_is() {
        let mut outflows = Outflows::default();
        outflows.count(&id(0), Amount::new(u128::MAX), Instant::from_ms(1));
        outflows.count(&id(1), Amount::new(1), Instant::from_ms(1));
        assert_eq!(outflows.sum_without(&id(2), Instant::from_ms(1)), None);
        outflows.forget(&id(0));
        assert_eq!(outflows.sum_without(&id(2), Instant::from_ms(1)), Some(Amount::new(1)));
    }

    proptest! {
        /// Against a list that is added up anew each time. Time only goes forward between prunings, as it does for a signer.
        #[test]
        fn the_running_sum_is_the_sum(
            steps in proptest::collection::vec((0..6_u8, 0..100_u128, 0..WINDOW_MS / 2, any::<bool>()), 1..40),
        ) {
            let mut outflows = Outflows::default();
            let mut naive: BTreeMap<PayoutId, (u128, u64)> = BTreeMap::new();
            let mut now = WINDOW_MS;
            for (number, amount, passed, prune) in steps {
                now += passed;
                if prune {
                    outflows.prune(Instant::from_ms(now));
                    naive.retain(|_, (_, at)| now - *at < WINDOW_MS);
                }
                outflows.count(&id(number), Amount::new(amount), Instant::from_ms(now));
                let entry = naive.entry(id(number)).or_insert((amount, now));
                *entry = (entry.0.max(amount), now);
                for asked in 0..7 {
                    let others = naive.iter().filter(|(other, (_, at))| **other != id(asked) && now - at < WINDOW_MS);
                    let want: u128 = others.map(|(_, (amount, _))| amount).sum();
                    prop_assert_eq!(outflows.sum_without(&id(asked), Instant::from_ms(now)), Some(Amount::new(want)));
                }
            }
        }
    }
}
