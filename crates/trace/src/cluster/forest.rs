//! Disjoint sets over numbered addresses, joined by many threads without locks.
//!
//! The root of a set is its smallest member, so that the result depends on the unions alone, not on their order. After
//! R. J. Anderson and H. Woll, "Wait-free parallel algorithms for the union-find problem" (STOC 1991), with links from
//! greater to smaller numbers instead of ranks.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// One parent per address: 4 bytes while numbers fit, 8 beyond.
#[derive(Debug)]
pub(super) enum Forest {
    Narrow(Vec<AtomicU32>),
    Wide(Vec<AtomicU64>),
}

/// Most addresses whose numbers fit into 4 bytes.
const NARROW_MAX: u64 = 1 << 32;

impl Forest {
    /// `count` addresses, each alone.
    pub(super) fn new(count: u64) -> Self {
        Self::Narrow(Vec::new()).grown(count)
    }

    /// With more addresses, each new one alone.
    pub(super) fn grown(self, count: u64) -> Self {
        let begin = self.len();
        match self {
            Self::Narrow(mut parents) if count <= NARROW_MAX => {
                parents.extend((begin..count).map(|number| AtomicU32::new(narrow(number))));
                Self::Narrow(parents)
            }
            Self::Narrow(parents) => {
                let mut wide: Vec<AtomicU64> =
                    parents.into_iter().map(|parent| AtomicU64::new(parent.into_inner().into())).collect();
                wide.extend((begin..count).map(AtomicU64::new));
                Self::Wide(wide)
            }
            Self::Wide(mut parents) => {
                parents.extend((begin..count).map(AtomicU64::new));
                Self::Wide(parents)
            }
        }
    }

    pub(super) const fn len(&self) -> u64 {
        #[expect(clippy::as_conversions, reason = "usize has at most 64 bits, and try_from is not const")]
        match self {
            Self::Narrow(parents) => parents.len() as u64,
            Self::Wide(parents) => parents.len() as u64,
        }
    }

    fn parent(&self, number: u64) -> u64 {
        match self {
            Self::Narrow(parents) => slot(parents, number).load(Ordering::Acquire).into(),
            Self::Wide(parents) => slot(parents, number).load(Ordering::Acquire),
        }
    }

    /// Makes `to` the parent of `number` if it is still `from`.
    fn point(&self, number: u64, from: u64, to: u64) -> bool {
        let (released, acquired) = (Ordering::AcqRel, Ordering::Acquire);
        match self {
            Self::Narrow(parents) => {
                slot(parents, number).compare_exchange(narrow(from), narrow(to), released, acquired).is_ok()
            }
            Self::Wide(parents) => {
                slot(parents, number).compare_exchange(from, to, released, acquired).is_ok()
            }
        }
    }

    /// Points a member that is no root further up. Of several threads that do so the last stays; each of them writes an
    /// ancestor, and an ancestor stays one.
    fn shorten(&self, number: u64, ancestor: u64) {
        match self {
            Self::Narrow(parents) => slot(parents, number).store(narrow(ancestor), Ordering::Release),
            Self::Wide(parents) => slot(parents, number).store(ancestor, Ordering::Release),
        }
    }

    /// The smallest member of the set that `number` is in. Shortens the way for the next who asks.
    pub(super) fn root(&self, mut number: u64) -> u64 {
        loop {
            let parent = self.parent(number);
            if parent == number {
                return number;
            }
            let grandparent = self.parent(parent);
            if grandparent == parent {
                return parent;
            }
            self.shorten(number, grandparent);
            number = grandparent;
        }
    }

    /// Makes one set of all sets that these are in.
    pub(super) fn unite_all(&self, members: &[u64]) {
        let Some((first, others)) = members.split_first() else { return };
        // The root so far, from which nothing has to be looked for again.
        let (mut root, mut last) = (*first, *first);
        for other in others {
            if *other != last {
                root = self.merge(root, *other);
                last = *other;
            }
        }
    }

    /// Makes two sets one; its root, as far as nobody else joins it.
    fn merge(&self, one: u64, other: u64) -> u64 {
        loop {
            let (one, other) = (self.root(one), self.root(other));
            let (smaller, greater) = (one.min(other), one.max(other));
            if one == other || self.point(greater, greater, smaller) {
                return smaller;
            }
        }
    }

    /// Makes two sets one. Returns whether they were two.
    pub(super) fn unite(&self, one: u64, other: u64) -> bool {
        loop {
            let (one, other) = (self.root(one), self.root(other));
            if one == other {
                return false;
            }
            let (smaller, greater) = (one.min(other), one.max(other));
            if self.point(greater, greater, smaller) {
                return true;
            }
        }
    }
}

fn narrow(number: u64) -> u32 {
    #[expect(clippy::expect_used, reason = "a forest is narrow only while its numbers fit")]
    u32::try_from(number).expect("a forest is narrow only while its numbers fit")
}

fn slot<T>(parents: &[T], number: u64) -> &T {
    let slot = usize::try_from(number).ok().and_then(|number| parents.get(number));
    #[expect(clippy::expect_used, reason = "a graph's address numbers are below its count")]
    slot.expect("a graph's address numbers are below its count")
}

#[cfg(test)]
mod tests {
    use std::thread;

    use proptest::prelude::*;

    use super::*;

    /// Sets by repeated relabelling: slow and plainly right.
    fn relabelled(count: u64, unions: &[(u64, u64)]) -> Vec<u64> {
        let mut labels: Vec<u64> = (0..count).collect();
        for (one, other) in unions {
            let label = |number: &u64| labels[usize::try_from(*number).unwrap()];
            let (from, to) = (label(one).max(label(other)), label(one).min(label(other)));
            labels.iter_mut().filter(|label| **label == from).for_each(|label| *label = to);
        }
        labels
    }

    fn wide(count: u64) -> Forest {
        Forest::Wide((0..count).map(AtomicU64::new).collect())
    }

    proptest! {
        #[test]
        fn roots_are_the_smallest_members_by_one_thread_or_four(
            unions in prop::collection::vec((0_u64..200, 0_u64..200), 0..400)
        ) {
            let want = relabelled(200, &unions);
            for forest in [Forest::new(200), wide(200), Forest::new(50).grown(200)] {
                thread::scope(|scope| {
                    for part in unions.chunks(unions.len().div_ceil(4).max(1)) {
                        let forest = &forest;
                        scope.spawn(move || part.iter().for_each(|(one, other)| { forest.unite(*one, *other); }));
                    }
                });
                let got: Vec<u64> = (0..200).map(|number| forest.root(number)).collect();
                prop_assert_eq!(&got, &want);
            }
        }

        #[test]
        fn growing_keeps_what_was_joined(unions in prop::collection::vec((0_u64..50, 0_u64..50), 0..60)) {
            let forest = Forest::new(50);
            for (one, other) in &unions {
                forest.unite(*one, *other);
            }
            let forest = forest.grown(80);
            let mut want = relabelled(50, &unions);
            want.extend(50..80);
            let got: Vec<u64> = (0..80).map(|number| forest.root(number)).collect();
            prop_assert_eq!(got, want);
        }
    }

    #[test]
    fn a_union_says_whether_it_joined_anything() {
        let forest = Forest::new(3);
        assert!(forest.unite(2, 1));
        assert!(!forest.unite(1, 2));
        assert!(!forest.unite(0, 0));
        assert_eq!((forest.root(2), forest.root(0), forest.len()), (1, 0, 3));
    }
}
