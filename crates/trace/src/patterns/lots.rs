//! Payments kept a little under a limit, so that nobody is asked who pays (structuring). Zaif's thief paid in lots of 1.99
//! to 2 BTC where 2 BTC a day needed no identification.
//!
//! Decides by amounts and times alone. One payment a little under a limit says nothing; many in a row do.

/// A payment to the one who has the limit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Payment {
    /// When, in seconds since 1970.
    pub at_s: u64,
    /// How much, in base units.
    pub value: u64,
}

/// The limit, and what counts as keeping under it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limit {
    /// The limit in base units; a payment of exactly this is still under it.
    pub value: u64,
    /// How far below it a payment may be, in millionths of it. 10,000 (1 %) takes in Zaif's lots.
    pub band_ppm: u32,
    /// Fewer payments than this are chance.
    pub count_min: usize,
    /// A longer pause ends a run, in seconds.
    pub pause_s_max: u64,
}

/// A run of payments a little under the limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lots {
    /// How many.
    pub count: usize,
    /// Worth together, in base units.
    pub total: u128,
    /// When the first was, in seconds since 1970.
    pub from_s: u64,
    /// When the last was.
    pub to_s: u64,
}

/// Every run of at least `count_min` payments within the band, in the order of time. Other payments between them do not
/// end a run.
#[must_use]
pub fn lots_under(payments: &[Payment], limit: Limit) -> Vec<Lots> {
    let band = u128::from(limit.value) * u128::from(limit.band_ppm) / 1_000_000;
    let least = limit.value.saturating_sub(u64::try_from(band).unwrap_or(u64::MAX));
    let within = |payment: &&Payment| (least..=limit.value).contains(&payment.value);
    let mut payments: Vec<Payment> = payments.iter().filter(within).copied().collect();
    payments.sort_unstable();
    let mut runs: Vec<Lots> = Vec::new();
    for Payment { at_s, value } in payments {
        match runs.last_mut() {
            Some(run) if at_s.saturating_sub(run.to_s) <= limit.pause_s_max => {
                run.count = run.count.saturating_add(1);
                run.total = run.total.saturating_add(u128::from(value));
                run.to_s = at_s;
            }
            Some(_) | None => {
                runs.push(Lots { count: 1, total: u128::from(value), from_s: at_s, to_s: at_s })
            }
        }
    }
    runs.retain(|run| run.count >= limit.count_min);
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZAIF: Limit = Limit { value: 200_000_000, band_ppm: 10_000, count_min: 3, pause_s_max: 3600 };

    #[test]
    fn a_run_is_payments_within_the_band_and_the_pause() {
        let check = |payments: &[(u64, u64)], want: &[(usize, u128)]| {
            let payments: Vec<_> =
                payments.iter().map(|(at_s, value)| Payment { at_s: *at_s, value: *value }).collect();
            let found: Vec<_> =
                lots_under(&payments, ZAIF).iter().map(|run| (run.count, run.total)).collect();
            assert_eq!(found, want, "{payments:?}");
        };
        check(&[], &[]);
        check(&[(0, 199_000_000), (1, 199_500_000)], &[]);
        check(&[(0, 199_000_000), (1, 199_500_000), (2, 200_000_000)], &[(3, 598_500_000)]);
        // The bounds of the band, and one unit beyond each.
        check(&[(0, 198_000_000), (1, 198_000_000), (2, 200_000_000)], &[(3, 596_000_000)]);
        check(&[(0, 197_999_999), (1, 198_000_000), (2, 200_000_000)], &[]);
        check(&[(0, 200_000_001), (1, 198_000_000), (2, 200_000_000)], &[]);
        // The pause, and one second more.
        check(&[(0, 199_000_000), (3600, 199_000_000), (7200, 199_000_000)], &[(3, 597_000_000)]);
        check(&[(0, 199_000_000), (3601, 199_000_000), (7201, 199_000_000)], &[]);
        // Any order, and others in between.
        check(&[(5, 199_000_000), (3, 5), (1, 199_000_000), (2, 199_000_000)], &[(3, 597_000_000)]);
    }
}
