//! What of a picture is looked at: the tree beneath the theft, unfolded so far.
//!
//! Decides what the first look shows: the largest flows, a few hundred things at most. What is folded is counted, never
//! dropped.

use core::cmp::Reverse;
use std::collections::BinaryHeap;

use super::{Picture, gather::spender};

/// Transactions that the first look shows.
const FIRST_NODES: usize = 36;
/// Of what leaves one node, as much is shown at first; the rest is one "+N".
const FIRST_ITEMS: usize = 5;
/// An output where the trace ends is shown at first if it holds at least this part of what leaves its node.
const FIRST_PART: u128 = 20;

/// Something that leaves a node in the tree.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Item {
    /// A transaction whose parent the node is, by its place.
    Node(usize),
    /// An output that nothing spends, or that is dropped by some method, by its place among the flows.
    End(usize),
}

/// How much is in a part of the tree.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Size {
    /// Transactions.
    pub nodes: u64,
    /// Outputs that end there.
    pub ends: u64,
}

impl Size {
    const fn plus(self, other: Self) -> Self {
        Self { nodes: self.nodes.saturating_add(other.nodes), ends: self.ends.saturating_add(other.ends) }
    }
}

/// What leaves each node, the heaviest first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tree {
    items: Vec<Vec<Item>>,
    sizes: Vec<Size>,
    /// By node: how many of its items, from the first, hold their part of what leaves it.
    large: Vec<usize>,
}

impl Tree {
    /// The tree of a picture.
    #[must_use]
    pub fn of(picture: &Picture) -> Self {
        let mut weights = vec![(0_u128, 0_u128); picture.nodes.len()];
        let mut items: Vec<Vec<((u128, u128), Item)>> = vec![Vec::new(); picture.nodes.len()];
        for (place, flow) in picture.flows.iter().enumerate() {
            let weight = picture.weight(flow);
            let own = flow.to.and_then(|to| Some((weights.get_mut(to)?, picture.nodes.get(to)?)));
            if let Some((sum, node)) = own {
                if node.parent == flow.from {
                    *sum = (sum.0.saturating_add(weight.0), sum.1.saturating_add(weight.1));
                }
            } else if spender(flow.end).is_none()
                && let Some(items) = items.get_mut(flow.from)
            {
                items.push((weight, Item::End(place)));
            }
        }
        for (place, (node, weight)) in picture.nodes.iter().zip(&weights).enumerate().skip(1) {
            if let Some(items) = items.get_mut(node.parent) {
                items.push((*weight, Item::Node(place)));
            }
        }
        let large = items.iter().map(|items| large(items)).collect();
        // Equal weights: outputs before transactions, each in chain order.
        let sorted = |mut items: Vec<((u128, u128), Item)>| {
            items.sort_by_key(|(weight, item)| {
                let (kind, place) = match item {
                    Item::End(place) => (0, *place),
                    Item::Node(place) => (1, *place),
                };
                (Reverse(*weight), kind, place)
            });
            items.into_iter().map(|(_, item)| item).collect()
        };
        let items = items.into_iter().map(sorted).collect();
        let mut tree = Self { items, sizes: vec![Size::default(); picture.nodes.len()], large };
        tree.measure(picture);
        tree
    }

    /// Children come after their parents, so that one walk from the end adds up every part.
    fn measure(&mut self, picture: &Picture) {
        for (place, node) in picture.nodes.iter().enumerate().rev() {
            let is_end = |item: &&Item| match item {
                Item::End(_) => true,
                Item::Node(_) => false,
            };
            let ends = self.items(place).iter().filter(is_end).count();
            let own = Size { nodes: u64::from(place > 0), ends: u64::try_from(ends).unwrap_or(u64::MAX) };
            let whole = self.size(place).plus(own);
            if let Some(size) = self.sizes.get_mut(place) {
                *size = whole;
            }
            if place > 0
                && let Some(size) = self.sizes.get_mut(node.parent)
            {
                *size = size.plus(whole);
            }
        }
    }

    /// What leaves a node in the tree, the heaviest first.
    #[must_use]
    pub fn items(&self, node: usize) -> &[Item] {
        self.items.get(node).map(Vec::as_slice).unwrap_or_default()
    }

    /// How much a node and everything beneath it is.
    #[must_use]
    pub fn size(&self, node: usize) -> Size {
        self.sizes.get(node).copied().unwrap_or_default()
    }

    /// How much of what leaves a node is folded when so many items are shown.
    #[must_use]
    pub fn folded(&self, node: usize, shown: usize) -> Size {
        self.items(node).iter().skip(shown).fold(Size::default(), |sum, item| {
            sum.plus(match item {
                Item::Node(child) => self.size(*child),
                Item::End(_) => Size { nodes: 0, ends: 1 },
            })
        })
    }
}

/// How many of a node's items hold their part of all.
fn large(items: &[((u128, u128), Item)]) -> usize {
    let whole = items.iter().fold(0_u128, |sum, ((conserved, _), _)| sum.saturating_add(*conserved));
    let part = whole.checked_div(FIRST_PART).unwrap_or(0);
    items.iter().filter(|((conserved, _), _)| *conserved > 0 && *conserved >= part).count()
}

/// How much of each node's items is unfolded. A node is seen when all above it are unfolded far enough.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct View {
    shown: Vec<usize>,
}

impl View {
    /// The first look: from the theft on, always the heaviest transaction that is next to what is seen.
    #[must_use]
    pub fn first(picture: &Picture, tree: &Tree) -> Self {
        let mut view = Self { shown: vec![0; picture.nodes.len()] };
        let mut weights = vec![(0_u128, 0_u128); picture.nodes.len()];
        for flow in &picture.flows {
            let weight = picture.weight(flow);
            if let Some(sum) = flow.to.and_then(|to| weights.get_mut(to)) {
                *sum = (sum.0.saturating_add(weight.0), sum.1.saturating_add(weight.1));
            }
        }
        let mut next = BinaryHeap::from([((u128::MAX, u128::MAX), Reverse(0))]);
        let mut seen = 0;
        while let Some((_, Reverse(node))) = next.pop() {
            if seen > FIRST_NODES {
                break;
            }
            seen += 1;
            if let Some(parent) = picture.nodes.get(node).map(|node| node.parent).filter(|_| node > 0) {
                view.reach(tree, parent, node);
            }
            for item in tree.items(node).iter().take(FIRST_ITEMS) {
                if let Item::Node(child) = item {
                    let weight = weights.get(*child).copied().unwrap_or_default();
                    next.push((weight, Reverse(*child)));
                }
            }
            view.reach_ends(tree, node);
        }
        view
    }

    /// How many items of a node are unfolded.
    #[must_use]
    pub fn shown(&self, node: usize) -> usize {
        self.shown.get(node).copied().unwrap_or(0)
    }

    /// Unfolds a node up to a child, and the ends that follow it.
    fn reach(&mut self, tree: &Tree, node: usize, child: usize) {
        let at = tree.items(node).iter().position(|item| *item == Item::Node(child));
        let far = at.map_or(0, |at| at.saturating_add(1)).max(self.shown(node));
        if let Some(shown) = self.shown.get_mut(node) {
            *shown = far;
        }
        self.reach_ends(tree, node);
    }

    /// Unfolds the ends that stand next, as far as the first look goes. One thing alone is not worth a "+1".
    fn reach_ends(&mut self, tree: &Tree, node: usize) {
        let items = tree.items(node);
        let mut far = self.shown(node);
        let most = tree.large.get(node).copied().unwrap_or(0).min(FIRST_ITEMS);
        while let Some(Item::End(_)) = items.get(far)
            && (far < most || far.saturating_add(1) == items.len())
        {
            far = far.saturating_add(1);
        }
        if let Some(shown) = self.shown.get_mut(node) {
            *shown = far;
        }
    }

    /// For each node the nearest one above it, or itself, that is seen; and whether it is seen itself.
    #[must_use]
    pub fn anchors(&self, picture: &Picture, tree: &Tree) -> Vec<(usize, bool)> {
        let mut anchors = vec![(0_usize, false); picture.nodes.len()];
        if let Some(theft) = anchors.first_mut() {
            *theft = (0, true);
        }
        for node in 0..picture.nodes.len() {
            let (anchor, seen) = anchors.get(node).copied().unwrap_or_default();
            for (at, item) in tree.items(node).iter().enumerate() {
                let Item::Node(child) = item else { continue };
                if let Some(child_anchor) = anchors.get_mut(*child) {
                    let visible = seen && at < self.shown(node);
                    *child_anchor = (if visible { *child } else { anchor }, visible);
                }
            }
        }
        anchors
    }
}
