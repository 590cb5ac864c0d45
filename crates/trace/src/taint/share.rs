//! Shares in exact proportion, by the largest remainder.
//!
//! Decides how an amount is split; loses and makes no unit.

/// Splits `amount` over `rooms` in proportion to their sizes, whose sum is `whole`: the floor of each exact share, and
/// one unit more to the largest remainders (ties: the earlier room). No room gets more than its size, because
/// `amount` is at most `whole`. Products of two 64-bit numbers fit 128 bits.
pub(super) fn share(rooms: &[u64], amount: u64, whole: u64, shares: &mut Vec<u64>) {
    shares.clear();
    if amount == whole {
        shares.extend_from_slice(rooms);
        return;
    }
    let mut remainders: Vec<(u64, usize)> = Vec::new();
    let mut left = amount;
    for (place, room) in rooms.iter().enumerate() {
        let (floor, remainder) = divide(*room, amount, whole);
        left = left.saturating_sub(floor);
        shares.push(floor);
        if remainder > 0 {
            remainders.push((remainder, place));
        }
    }
    if left == 0 {
        return;
    }
    remainders.sort_unstable_by_key(|(remainder, place)| (core::cmp::Reverse(*remainder), *place));
    let left = usize::try_from(left).unwrap_or(usize::MAX);
    for (_, place) in remainders.into_iter().take(left) {
        if let Some(share) = shares.get_mut(place) {
            *share = share.saturating_add(1);
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
        let mut shares = Vec::new();
        share(rooms, amount, rooms.iter().sum(), &mut shares);
        shares
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
