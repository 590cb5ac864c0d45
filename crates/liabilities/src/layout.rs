//! Which leaf stands where: all salts in order, so that places say nothing of customers, and padding stands among them.

use core::ops::Range;

use kuraban_inclusion::{Hasher, Overflow, Salt, Scope, put_opening};

use crate::{
    Book, Bough,
    tree::{Level, Levels, Written, bough_depth, boughs},
};

/// The number that stands for padding; a book has fewer customers.
const PADDING: u32 = u32::MAX;

/// The leaves of a tree in their order.
#[derive(Debug)]
pub struct Layout {
    scope: Scope,
    book: Book,
    places: Vec<(Salt, u32)>,
}

/// Why holdings make no tree.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LayoutError {
    /// Nobody.
    #[error("there are no customers")]
    Empty,
    /// More customers than leaves.
    #[error("{customers} customers, and a tree of depth {depth} has {leaves} leaves: choose a greater depth")]
    Full {
        /// How many customers.
        customers: usize,
        /// The depth.
        depth: u8,
        /// The leaves.
        leaves: u64,
    },
    /// A book in other assets than the scope.
    #[error("holdings are in {found} assets, want the {want} of the scope")]
    Assets {
        /// The book's.
        found: usize,
        /// The scope's.
        want: usize,
    },
    /// Not a salt for each leaf.
    #[error("{found} salts, want {want}, one for each leaf")]
    Salts {
        /// How many.
        found: usize,
        /// How many leaves.
        want: u64,
    },
    /// A total that no asset has.
    #[error(transparent)]
    Overflow(#[from] Overflow),
    /// A customer twice.
    #[error("{name} stands twice in the holdings, or has the salt of another leaf")]
    Double {
        /// Which; empty for padding.
        name: String,
    },
}

/// How many padding leaves a tree has beside its customers.
///
/// # Errors
/// Nobody, or more customers than leaves.
pub(crate) fn padding(scope: &Scope, customers: usize) -> Result<u64, LayoutError> {
    let (depth, leaves) = (scope.depth(), scope.leaves());
    let padding = u64::try_from(customers).ok().and_then(|customers| leaves.checked_sub(customers));
    let padding = padding.ok_or(LayoutError::Full { customers, depth, leaves })?;
    if customers == 0 { Err(LayoutError::Empty) } else { Ok(padding) }
}

fn prefix(salt: &Salt) -> u64 {
    salt.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

impl Layout {
    /// How many padding leaves stand beside so many customers.
    ///
    /// # Errors
    /// Nobody, or more customers than leaves.
    pub fn padding(scope: &Scope, customers: usize) -> Result<u64, LayoutError> {
        padding(scope, customers)
    }

    /// The leaves by their salts: the customers' in the book's order, then those of padding.
    ///
    /// # Errors
    /// Not a salt for each leaf, a total beyond 128 bits, a salt twice, which is a customer twice.
    pub fn new(scope: Scope, book: Book, salts: Vec<Salt>) -> Result<Self, LayoutError> {
        padding(&scope, book.customers())?;
        let (found, want) = (book.assets(), scope.assets().len());
        if found != want {
            return Err(LayoutError::Assets { found, want });
        }
        book.totals()?;
        let (found, want) = (salts.len(), scope.leaves());
        if u64::try_from(found).ok() != Some(want) {
            return Err(LayoutError::Salts { found, want });
        }
        let customers = book.customers();
        let number = |place: usize| u32::try_from(place).ok().filter(|_| place < customers);
        let places = salts.into_iter().enumerate();
        let mut places: Vec<_> =
            places.map(|(place, salt)| (salt, number(place).unwrap_or(PADDING))).collect();
        // The first bytes tell nearly all salts apart, and compare faster.
        places.sort_unstable_by(|a, b| prefix(&a.0).cmp(&prefix(&b.0)).then_with(|| a.cmp(b)));
        let layout = Self { scope, book, places };
        let pairs = layout.places.iter().zip(layout.places.iter().skip(1));
        if let Some((double, _)) = pairs.into_iter().find(|((a, _), (b, _))| a == b) {
            return Err(LayoutError::Double { name: layout.name(double.1).to_owned() });
        }
        Ok(layout)
    }

    /// What the tree covers.
    #[must_use]
    pub const fn scope(&self) -> &Scope {
        &self.scope
    }

    /// How many boughs the tree has.
    #[must_use]
    pub fn boughs(&self) -> usize {
        boughs(&self.scope)
    }

    /// One bough; none depends on another. Beyond the last it has no leaves.
    ///
    /// # Errors
    /// A sum beyond 128 bits.
    pub fn bough(&self, number: usize) -> Result<Bough, Overflow> {
        let places = self.places.get(self.range(number)).unwrap_or_default();
        let zeros = vec![0; self.book.assets()];
        let mut leaves = Level::new(self.book.assets());
        // Neighbours in the tree lie far apart in the book: fetched at once, they wait for each other's memory no longer.
        places.iter().for_each(|(_, customer)| leaves.fetch(self.amounts(*customer).unwrap_or(&zeros)));
        let mut hasher = Hasher::default();
        let mut openings = Written::default();
        for (place, (salt, customer)) in places.iter().enumerate() {
            let (name, amounts) = (self.name(*customer), leaves.sums(place));
            put_opening(&mut openings.bytes, name, salt, amounts);
            openings.ends.push(openings.bytes.len());
            let hash = hasher.leaf(salt, name, amounts);
            leaves.hashed(hash);
        }
        let levels = Levels::over(&mut hasher, leaves)?;
        Ok(Bough { openings, top: levels.top().clone(), levels })
    }

    fn range(&self, bough: usize) -> Range<usize> {
        let width = 1_usize << bough_depth(&self.scope);
        let begin = bough.saturating_mul(width).min(self.places.len());
        begin..begin.saturating_add(width).min(self.places.len())
    }

    fn name(&self, customer: u32) -> &str {
        usize::try_from(customer).map_or("", |place| self.book.name(place))
    }

    fn amounts(&self, customer: u32) -> Option<&[u128]> {
        let amounts = usize::try_from(customer).map(|place| self.book.amounts(place));
        amounts.ok().filter(|_| customer != PADDING)
    }
}
