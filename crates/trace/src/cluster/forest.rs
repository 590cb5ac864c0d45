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

    /// The smallest member of the set that `number` is in. Shortens the way for the next who asks.
    pub(super) fn root(&self, number: u64) -> u64 {
        match self {
            Self::Narrow(parents) => root(parents, number),
            Self::Wide(parents) => root(parents, number),
        }
    }

    /// The smallest member of the set that each member is in, in order.
    pub(super) fn roots(&self) -> Vec<u64> {
        match self {
            Self::Narrow(parents) => roots(parents),
            Self::Wide(parents) => roots(parents),
        }
    }

    /// Makes one set of all sets that the members of a group are in, for each of many groups: `ends` says where each ends.
    /// Members are changed into others of their sets.
    pub(super) fn unite_groups(&self, members: &mut [Option<u64>], ends: &[usize]) {
        match self {
            Self::Narrow(parents) => unite_groups(parents, members, ends),
            Self::Wide(parents) => unite_groups(parents, members, ends),
        }
    }

    /// Makes two sets one. Returns whether they were two.
    pub(super) fn unite(&self, one: u64, other: u64) -> bool {
        match self {
            Self::Narrow(parents) => unite(parents, one, other),
            Self::Wide(parents) => unite(parents, one, other),
        }
    }
}

/// Where a parent is kept.
trait Slot {
    fn parent(&self) -> u64;

    /// Makes `to` the parent if it is still `from`.
    fn point(&self, from: u64, to: u64) -> bool;

    /// Points a member that is no root further up. Of several threads that do so the last stays; each of them writes an
    /// ancestor, and an ancestor stays one.
    fn shorten(&self, ancestor: u64);
}

impl Slot for AtomicU32 {
    #[inline]
    fn parent(&self) -> u64 {
        self.load(Ordering::Acquire).into()
    }

    #[inline]
    fn point(&self, from: u64, to: u64) -> bool {
        self.compare_exchange(narrow(from), narrow(to), Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    #[inline]
    fn shorten(&self, ancestor: u64) {
        self.store(narrow(ancestor), Ordering::Release);
    }
}

impl Slot for AtomicU64 {
    #[inline]
    fn parent(&self) -> u64 {
        self.load(Ordering::Acquire)
    }

    #[inline]
    fn point(&self, from: u64, to: u64) -> bool {
        self.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    #[inline]
    fn shorten(&self, ancestor: u64) {
        self.store(ancestor, Ordering::Release);
    }
}

#[inline]
fn narrow(number: u64) -> u32 {
    #[expect(clippy::expect_used, reason = "a forest is narrow only while its numbers fit")]
    u32::try_from(number).expect("a forest is narrow only while its numbers fit")
}

#[inline]
fn slot<S: Slot>(parents: &[S], number: u64) -> &S {
    let slot = usize::try_from(number).ok().and_then(|number| parents.get(number));
    #[expect(clippy::expect_used, reason = "a graph's address numbers are below its count")]
    slot.expect("a graph's address numbers are below its count")
}

/// The grandparent of a member, which becomes its parent; a root's is the root.
#[inline]
fn step<S: Slot>(parents: &[S], number: u64) -> u64 {
    let own = slot(parents, number);
    let parent = own.parent();
    let grandparent = slot(parents, parent).parent();
    // Not where the parent is the root: such a member may be a root itself, and be joined to another one meanwhile.
    if grandparent != parent {
        own.shorten(grandparent);
    }
    grandparent
}

#[inline]
fn root<S: Slot>(parents: &[S], mut number: u64) -> u64 {
    loop {
        let own = slot(parents, number);
        let parent = own.parent();
        if parent == number {
            return number;
        }
        let grandparent = slot(parents, parent).parent();
        if grandparent == parent {
            return parent;
        }
        own.shorten(grandparent);
        number = grandparent;
    }
}

/// A parent is smaller than its child, so its root is known before.
fn roots<S: Slot>(parents: &[S]) -> Vec<u64> {
    let mut roots = Vec::with_capacity(parents.len());
    for (number, own) in (0..).zip(parents) {
        let parent = own.parent();
        let root = usize::try_from(parent).ok().and_then(|parent| roots.get(parent)).copied();
        roots.push(root.unwrap_or(number));
    }
    roots
}

/// The members' parents lie far apart. A step up from each comes before all unions: the steps do not depend on each other,
/// so that the processor waits for many parents at a time, and unions find them at hand.
fn unite_groups<S: Slot>(parents: &[S], members: &mut [Option<u64>], ends: &[usize]) {
    for member in members.iter_mut().flatten() {
        *member = step(parents, *member);
    }
    let mut begin = 0;
    for end in ends {
        let mut group = members.get(begin..*end).unwrap_or_default().iter().flatten();
        begin = *end;
        let Some(first) = group.next() else { continue };
        // The root so far, from which nothing has to be looked for again.
        group.fold(root(parents, *first), |root, other| merge(parents, root, *other));
    }
}

/// Makes the sets of a root and of another member one; its root. Where others join the root meanwhile it is none any more: a
/// set that is put below it is joined all the same, and a root that is to be put below another says so by its parent.
#[inline]
fn merge<S: Slot>(parents: &[S], mut one: u64, mut other: u64) -> u64 {
    loop {
        if one == other {
            return one;
        }
        other = root(parents, other);
        let (smaller, greater) = (one.min(other), one.max(other));
        if one == other || slot(parents, greater).point(greater, smaller) {
            return smaller;
        }
        one = root(parents, one);
    }
}

fn unite<S: Slot>(parents: &[S], one: u64, other: u64) -> bool {
    loop {
        let (one, other) = (root(parents, one), root(parents, other));
        if one == other {
            return false;
        }
        if slot(parents, one.max(other)).point(one.max(other), one.min(other)) {
            return true;
        }
    }
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

    proptest! {
        #[test]
        fn groups_join_as_their_members_do_by_one_thread_or_four(
            groups in prop::collection::vec(prop::collection::vec(prop::option::of(0_u64..200), 0..6), 0..120)
        ) {
            let mut unions = Vec::new();
            for group in &groups {
                let members: Vec<u64> = group.iter().flatten().copied().collect();
                unions.extend(members.windows(2).map(|pair| (pair[0], pair[1])));
            }
            let want = relabelled(200, &unions);
            for forest in [Forest::new(200), wide(200)] {
                thread::scope(|scope| {
                    for part in groups.chunks(groups.len().div_ceil(4).max(1)) {
                        let forest = &forest;
                        scope.spawn(move || {
                            let mut members = part.concat();
                            let ends = part.iter().scan(0, |end, group| { *end += group.len(); Some(*end) });
                            forest.unite_groups(&mut members, &ends.collect::<Vec<_>>());
                        });
                    }
                });
                let got: Vec<u64> = (0..200).map(|number| forest.root(number)).collect();
                prop_assert_eq!(&got, &want);
            }
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
