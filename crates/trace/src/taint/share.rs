//! Shares: in exact proportion by the largest remainder, or room after room.
//!
//! Decides how an amount is split; loses and makes no unit.

use core::cmp::Reverse;

/// What each room gets. Kept from one transaction to the next, so that shares cost no allocation.
#[derive(Debug, Default)]
pub(crate) struct Shares {
    by_room: Vec<u64>,
    remainders: Vec<(Reverse<u64>, usize)>,
}

impl Shares {
    /// What each room gets.
    pub(crate) fn by_room(&self) -> &[u64] {
        &self.by_room
    }

    /// Splits `amount` over `rooms` in proportion to their sizes, whose sum is `whole`: the floor of each exact share,
    /// and one unit more to the largest remainders (ties: the earlier room). No room gets more than its size, because
    /// `amount` is at most `whole`. Products of two 64-bit numbers fit 128 bits.
    pub(crate) fn split(&mut self, rooms: &[u64], amount: u64, whole: u64) {
        self.by_room.clear();
        if amount == whole {
            self.by_room.extend_from_slice(rooms);
            return;
        }
        self.remainders.clear();
        let mut left = amount;
        for (place, room) in rooms.iter().enumerate() {
            let (floor, remainder) = divide(*room, amount, whole);
            left = left.saturating_sub(floor);
            self.by_room.push(floor);
            if remainder > 0 {
                self.remainders.push((Reverse(remainder), place));
            }
        }
        if left == 0 {
            return;
        }
        self.remainders.sort_unstable();
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        for (_, place) in self.remainders.iter().take(left) {
            if let Some(share) = self.by_room.get_mut(*place) {
                *share = share.saturating_add(1);
            }
        }
    }

    /// Fills the rooms in this order with `amount`.
    pub(crate) fn fill(&mut self, rooms: &[u64], mut amount: u64, order: impl Iterator<Item = usize>) {
        self.by_room.clear();
        self.by_room.resize(rooms.len(), 0);
        for room in order {
            if amount == 0 {
                return;
            }
            if let (Some(share), Some(value)) = (self.by_room.get_mut(room), rooms.get(room)) {
                *share = amount.min(*value);
                amount = amount.saturating_sub(*share);
            }
        }
    }
}

/// `⌊room·amount/whole⌋` and the remainder; nothing of nothing.
fn divide(room: u64, amount: u64, whole: u64) -> (u64, u64) {
    let product = u128::from(room).saturating_mul(u128::from(amount));
    let whole = u128::from(whole);
    let floor = product.checked_div(whole).unwrap_or(0);
    let remainder = product.checked_rem(whole).unwrap_or(0);
    // With amount ≤ whole the floor is at most the room, and a remainder is below the whole: both fit.
    (u64::try_from(floor).unwrap_or(u64::MAX), u64::try_from(remainder).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(rooms: &[u64], amount: u64) -> Vec<u64> {
        let mut shares = Shares::default();
        shares.split(rooms, amount, rooms.iter().sum());
        shares.by_room
    }

    #[test]
    fn units_left_over_go_to_the_largest_remainders() {
        let check = |rooms: &[u64], amount, want: &[u64]| assert_eq!(split(rooms, amount), want, "{rooms:?}");
        check(&[7, 2, 1], 0, &[0, 0, 0]);
        check(&[7, 2, 1], 10, &[7, 2, 1]);
        // 7·5/10 = 3.5, 2·5/10 = 1, 1·5/10 = 0.5: a tie, the earlier has it.
        check(&[7, 2, 1], 5, &[4, 1, 0]);
        // 2.1, 0.6, 0.3
        check(&[7, 2, 1], 3, &[2, 1, 0]);
        // 6.3, 1.8, 0.9
        check(&[7, 2, 1], 9, &[6, 2, 1]);
        check(&[1, 1, 1], 2, &[1, 1, 0]);
        check(&[0, 3, 0], 2, &[0, 2, 0]);
        check(&[], 0, &[]);
    }

    #[test]
    fn the_greatest_values_do_not_overflow() {
        let half = u64::MAX / 2;
        // Each half's exact share is just below half, that of the one just below one: its remainder is the largest.
        assert_eq!(split(&[half, half, 1], u64::MAX - 1), [half, half - 1, 1]);
        assert_eq!(split(&[half + 1, half], half), [half / 2 + 1, half / 2]);
    }
}
