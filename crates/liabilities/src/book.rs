//! Who has how much of each asset. Decides nothing but that a name can be one and that a row has an amount for each asset.

use kuraban_inclusion::{NAME_MAX, Overflow};

/// Most customers.
const CUSTOMERS_MAX: usize = 1 << 30;

/// Holdings of all customers, each with an amount of every asset.
#[derive(Clone, Debug)]
pub struct Book {
    assets: usize,
    names: String,
    /// Where each name ends.
    ends: Vec<usize>,
    amounts: Vec<u128>,
}

/// Why a book does not take a customer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BookError {
    /// No name.
    #[error("a customer's name has {found} bytes, want 1 to {NAME_MAX}")]
    Name {
        /// Its length.
        found: usize,
    },
    /// Not an amount for each asset.
    #[error("{name} has {found} amounts, want {want}, one for each asset")]
    Amounts {
        /// Whose.
        name: String,
        /// How many.
        found: usize,
        /// How many assets there are.
        want: usize,
    },
    /// A full book.
    #[error("more than {CUSTOMERS_MAX} customers")]
    Many,
}

impl Book {
    /// Nobody yet, in so many assets.
    #[must_use]
    pub const fn new(assets: usize) -> Self {
        Self { assets, names: String::new(), ends: Vec::new(), amounts: Vec::new() }
    }

    /// Takes a customer with an amount of each asset.
    ///
    /// # Errors
    /// A name that cannot be, another number of amounts.
    pub fn push(&mut self, name: &str, amounts: &[u128]) -> Result<(), BookError> {
        if !(1..=NAME_MAX).contains(&name.len()) {
            return Err(BookError::Name { found: name.len() });
        }
        let (found, want) = (amounts.len(), self.assets);
        if found != want {
            return Err(BookError::Amounts { name: name.to_owned(), found, want });
        }
        if self.ends.len() >= CUSTOMERS_MAX {
            return Err(BookError::Many);
        }
        self.names.push_str(name);
        self.ends.push(self.names.len());
        self.amounts.extend_from_slice(amounts);
        Ok(())
    }

    /// How many customers there are.
    #[must_use]
    pub const fn customers(&self) -> usize {
        self.ends.len()
    }

    /// How many assets there are.
    #[must_use]
    pub const fn assets(&self) -> usize {
        self.assets
    }

    /// The name of the customer in a place; empty where there is none.
    #[must_use]
    pub fn name(&self, place: usize) -> &str {
        let begin = place.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied());
        let range = begin.zip(self.ends.get(place).copied());
        range.and_then(|(begin, end)| self.names.get(begin..end)).unwrap_or_default()
    }

    /// What the customer in a place has; nothing where there is none.
    #[must_use]
    pub fn amounts(&self, place: usize) -> &[u128] {
        let begin = place.saturating_mul(self.assets);
        self.amounts.get(begin..begin.saturating_add(self.assets)).unwrap_or_default()
    }

    /// What all have together, of each asset.
    ///
    /// # Errors
    /// A sum beyond 128 bits.
    pub fn totals(&self) -> Result<Vec<u128>, Overflow> {
        let mut totals = vec![0_u128; self.assets];
        for place in 0..self.customers() {
            for (asset, (total, amount)) in totals.iter_mut().zip(self.amounts(place)).enumerate() {
                *total = total.checked_add(*amount).ok_or(Overflow { asset })?;
            }
        }
        Ok(totals)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_book_keeps_who_has_what() {
        let mut book = Book::new(2);
        let long = "n".repeat(NAME_MAX);
        book.push("a", &[1, 2]).unwrap();
        book.push(&long, &[3, u128::MAX]).unwrap();
        assert_eq!(book.customers(), 2);
        assert_eq!((book.name(0), book.amounts(0)), ("a", [1, 2].as_slice()));
        assert_eq!((book.name(1), book.amounts(1)), (long.as_str(), [3, u128::MAX].as_slice()));
        assert_eq!((book.name(2), book.amounts(2)), ("", [].as_slice()));
        assert_eq!(book.totals(), Err(Overflow { asset: 1 }));
        assert_eq!(book.push("", &[1, 2]), Err(BookError::Name { found: 0 }));
        assert_eq!(book.push(&[&long, "n"].concat(), &[1, 2]), Err(BookError::Name { found: 65 }));
        let short = BookError::Amounts { name: "b".to_owned(), found: 1, want: 2 };
        assert_eq!(book.push("b", &[1]), Err(short));
    }
}
