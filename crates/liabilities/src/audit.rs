//! What an auditor recomputes: every leaf of the tree against the holdings that the books say, and the root over all. Decides
//! whether the tree counts every customer once with all that it has, and nothing else.

use kuraban_inclusion::{Node, Root, Salt, Scope};

use crate::{
    Book, Crown, Subtree,
    tree::{BoughError, boughs},
};

/// What is wrong with a tree.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Found {
    /// Bytes that are no bough.
    #[error("bough {bough}: {problem}")]
    Bough {
        /// Which, from 0.
        bough: usize,
        /// What is wrong.
        problem: BoughError,
    },
    /// Leaves that are not in the order of their salts.
    #[error(
        "bough {bough}, leaf {leaf}: does not come after the one before by its salt, so it stands twice or was put there"
    )]
    Order {
        /// Which bough.
        bough: usize,
        /// Which leaf of it.
        leaf: usize,
    },
    /// Padding that has something.
    #[error("bough {bough}, leaf {leaf}: belongs to nobody and has {units} of {asset}, want 0")]
    Padding {
        /// Which bough.
        bough: usize,
        /// Which leaf of it.
        leaf: usize,
        /// Of what.
        asset: String,
        /// How much, in base units.
        units: u128,
    },
    /// A customer whom the holdings do not have.
    #[error("{name} is in the tree and not in the holdings")]
    Unknown {
        /// Who.
        name: String,
    },
    /// A customer with two leaves.
    #[error("{name} has two leaves")]
    Twice {
        /// Who.
        name: String,
    },
    /// A customer with another amount.
    #[error("{name} has {found} of {asset} in the tree, want {want}")]
    Amount {
        /// Who.
        name: String,
        /// Of what.
        asset: String,
        /// In the tree, in base units.
        found: u128,
        /// In the holdings.
        want: u128,
    },
    /// Customers without a leaf.
    #[error("{name} is in the holdings and not in the tree, and so are {others} others")]
    Omitted {
        /// The first by name.
        name: String,
        /// How many more.
        others: usize,
    },
    /// A customer twice in the holdings, or assets that differ.
    #[error("holdings: {problem}")]
    Holdings {
        /// What is wrong.
        problem: String,
    },
    /// Another root than was published.
    #[error("the tree has root {found}, want {want}")]
    Root {
        /// The tree's.
        found: Root,
        /// The published one.
        want: Root,
    },
}

/// A tree that is in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Audited {
    /// How many customers there are.
    pub customers: usize,
    /// How many leaves belong to nobody.
    pub padding: u64,
    /// What is owed to all, in the order of the scope's assets.
    pub totals: Vec<u128>,
}

/// An audit while it reads the boughs of a tree in their order.
#[derive(Debug)]
pub struct Audit<'a> {
    scope: &'a Scope,
    book: &'a Book,
    /// The customers' places, by name, and whether their leaf was there.
    by_name: Vec<(usize, bool)>,
    before: Option<Salt>,
    padding: u64,
    tops: Vec<Node>,
}

impl<'a> Audit<'a> {
    /// Begins, with what the books say.
    ///
    /// # Errors
    /// Holdings in other assets, or with a customer twice.
    pub fn new(scope: &'a Scope, book: &'a Book) -> Result<Self, Found> {
        let (found, want) = (book.assets(), scope.assets().len());
        if found != want {
            return Err(Found::Holdings { problem: format!("{found} assets, want the tree's {want}") });
        }
        let mut by_name: Vec<_> = (0..book.customers()).map(|place| (place, false)).collect();
        by_name.sort_unstable_by(|(a, _), (b, _)| book.name(*a).cmp(book.name(*b)));
        let mut pairs = by_name.iter().zip(by_name.iter().skip(1));
        if let Some(((double, _), _)) = pairs.find(|((a, _), (b, _))| book.name(*a) == book.name(*b)) {
            return Err(Found::Holdings { problem: format!("{} stands twice", book.name(*double)) });
        }
        Ok(Self { scope, book, by_name, before: None, padding: 0, tops: Vec::new() })
    }

    /// Takes the next bough.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn bough(&mut self, bytes: &[u8]) -> Result<(), Found> {
        let bough = self.tops.len();
        let subtree = Subtree::read(self.scope, bytes).map_err(|problem| Found::Bough { bough, problem })?;
        for (leaf, opening) in subtree.openings().iter().enumerate() {
            if self.before.replace(opening.salt) >= Some(opening.salt) {
                return Err(Found::Order { bough, leaf });
            }
            if opening.name.is_empty() {
                self.padding = self.padding.saturating_add(1);
                let has = opening.amounts.iter().zip(self.scope.assets()).find(|(units, _)| **units > 0);
                if let Some((units, asset)) = has {
                    return Err(Found::Padding { bough, leaf, asset: asset.code.clone(), units: *units });
                }
            } else {
                self.customer(&opening.name, &opening.amounts)?;
            }
        }
        self.tops.push(subtree.top().clone());
        Ok(())
    }

    fn customer(&mut self, name: &str, amounts: &[u128]) -> Result<(), Found> {
        let book = self.book;
        let at = self.by_name.binary_search_by(|(place, _)| book.name(*place).cmp(name));
        let place = at.ok().and_then(|at| self.by_name.get_mut(at));
        let Some((place, seen)) = place else { return Err(Found::Unknown { name: name.to_owned() }) };
        if core::mem::replace(seen, true) {
            return Err(Found::Twice { name: name.to_owned() });
        }
        let rows = self.scope.assets().iter().zip(amounts).zip(book.amounts(*place));
        for ((asset, found), want) in rows {
            if found != want {
                let (name, asset) = (name.to_owned(), asset.code.clone());
                return Err(Found::Amount { name, asset, found: *found, want: *want });
            }
        }
        Ok(())
    }

    /// Ends after the last bough.
    ///
    /// # Errors
    /// Customers without a leaf, boughs that are missing, another root.
    pub fn end(self, want: Root) -> Result<Audited, Found> {
        let mut omitted = self.by_name.iter().filter(|(_, seen)| !seen);
        if let Some((place, _)) = omitted.next() {
            let (name, others) = (self.book.name(*place).to_owned(), omitted.count());
            return Err(Found::Omitted { name, others });
        }
        let bough = boughs(self.scope);
        let crown = Crown::new(self.scope.clone(), self.tops);
        let crown = crown.map_err(|problem| Found::Bough { bough, problem })?;
        let found = crown.root();
        if found != want {
            return Err(Found::Root { found, want });
        }
        let totals = crown.totals().to_vec();
        Ok(Audited { customers: self.book.customers(), padding: self.padding, totals })
    }
}
