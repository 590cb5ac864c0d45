//! What arrived against what the receiver's books hold: differences by customer and asset, and whether books and differences together
//! are what was handed over. Decides neither who is right nor what is booked.

use std::collections::{BTreeMap, BTreeSet};

use kuraban_base::Amount;

use super::{Account, Fold, HandoverError, Row, Salt, Sum, Totals};
use crate::holdings::Holdings;

/// A balance of which both sides say something else.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// Whose.
    pub customer: String,
    /// Of what.
    pub asset: String,
    /// What arrived.
    pub received: Amount,
    /// What the receiver's books hold.
    pub booked: Amount,
}

impl Difference {
    /// What arrived less what is booked, in base units with its sign.
    #[must_use]
    pub fn signed(&self) -> String {
        match self.received.less(self.booked) {
            Some(more) => format!("+{more}"),
            None => format!("-{}", self.booked.less(self.received).unwrap_or_default()),
        }
    }
}

/// The balances of a customer by asset, over all vaults.
fn balances(books: &Holdings, place: usize) -> Result<BTreeMap<String, Amount>, HandoverError> {
    let mut balances = BTreeMap::new();
    for row in books.of(place) {
        let code = books.assets().code(row.asset);
        let balance: &mut Amount = balances.entry(code.to_owned()).or_default();
        *balance =
            balance.plus(row.units).ok_or_else(|| HandoverError::Overflow { asset: code.to_owned() })?;
    }
    Ok(balances)
}

impl Account {
    /// The account of the customer in a place of holdings.
    ///
    /// # Errors
    /// A balance over all vaults that no amount can hold.
    pub fn of(books: &Holdings, place: usize) -> Result<Self, HandoverError> {
        let group = books.of(place).next().map_or("", |row| row.group).to_owned();
        let balances = balances(books, place)?.into_iter().collect();
        Ok(Self { customer: books.customer(place).to_owned(), group, balances })
    }
}

/// The receiver's books, passed through beside the accounts that arrive.
#[derive(Clone, Debug)]
pub struct Against<'a> {
    books: &'a Holdings,
    next: usize,
}

impl<'a> Against<'a> {
    /// From the first customer.
    #[must_use]
    pub const fn new(books: &'a Holdings) -> Self {
        Self { books, next: 0 }
    }

    /// How the next account differs, after the customers before it that only the books have. Accounts come by customer.
    ///
    /// # Errors
    /// A balance that no amount can hold.
    pub fn take(&mut self, account: &Account) -> Result<Vec<Difference>, HandoverError> {
        let mut found = Vec::new();
        while self.next < self.books.customers() && self.books.customer(self.next) < account.customer.as_str()
        {
            self.alone(&mut found)?;
        }
        let mut booked = BTreeMap::new();
        if self.next < self.books.customers() && self.books.customer(self.next) == account.customer {
            booked = balances(self.books, self.next)?;
            self.next = self.next.saturating_add(1);
        }
        let received: BTreeMap<_, _> = account.balances.iter().cloned().collect();
        differ(&account.customer, &received, &booked, &mut found);
        Ok(found)
    }

    /// The customers after the last account, that only the books have.
    ///
    /// # Errors
    /// A balance that no amount can hold.
    pub fn end(mut self) -> Result<Vec<Difference>, HandoverError> {
        let mut found = Vec::new();
        while self.next < self.books.customers() {
            self.alone(&mut found)?;
        }
        Ok(found)
    }

    fn alone(&mut self, found: &mut Vec<Difference>) -> Result<(), HandoverError> {
        let booked = balances(self.books, self.next)?;
        differ(self.books.customer(self.next), &BTreeMap::new(), &booked, found);
        self.next = self.next.saturating_add(1);
        Ok(())
    }
}

fn differ(
    customer: &str,
    received: &BTreeMap<String, Amount>,
    booked: &BTreeMap<String, Amount>,
    found: &mut Vec<Difference>,
) {
    let codes: BTreeSet<_> = received.keys().chain(booked.keys()).collect();
    for asset in codes {
        let of = |side: &BTreeMap<String, Amount>| side.get(asset).copied().unwrap_or_default();
        let (received, booked) = (of(received), of(booked));
        if received != booked {
            found.push(Difference { customer: customer.to_owned(), asset: asset.clone(), received, booked });
        }
    }
}

/// Conservation: the receiver's books with every difference applied. What comes out must be what the exporter says, in totals and root;
/// `accounts` are the customers that arrived with their groups, by customer.
///
/// # Errors
/// A difference that is not one of these books, that stands twice or is of nothing, units that somebody without an account keeps, and
/// what [`Fold::take`] refuses.
pub fn conserved(
    salt: Salt,
    totals: &Totals,
    accounts: &[(String, String)],
    books: &Holdings,
    differences: Vec<Difference>,
) -> Result<Sum, HandoverError> {
    let mut changes: BTreeMap<String, BTreeMap<String, Difference>> = BTreeMap::new();
    for change in differences {
        HandoverError::unless_equal("a difference of nothing", &(change.received == change.booked), &false)?;
        let (customer, asset) = (change.customer.clone(), change.asset.clone());
        if changes.entry(customer.clone()).or_default().insert(asset.clone(), change).is_some() {
            let found = format!("{customer} {asset}");
            return Err(HandoverError::Order { kind: "differences", after: found.clone(), found });
        }
    }
    let settle = |booked: BTreeMap<String, Amount>, changes: Option<BTreeMap<String, Difference>>| {
        changes.unwrap_or_default().into_values().try_fold(booked, |mut settled, change| {
            let balance = settled.entry(change.asset.clone()).or_default();
            let what = format!("what is booked for {} of {}", change.customer, change.asset);
            HandoverError::unless_equal(what, balance, &change.booked)?;
            *balance = change.received;
            Ok::<_, HandoverError>(settled)
        })
    };
    let mut fold = Fold::new(salt, totals);
    let mut matched = 0_usize;
    for (customer, group) in accounts {
        let place = books.find(customer);
        matched = matched.saturating_add(usize::from(place.is_some()));
        let booked = place.map_or_else(|| Ok(BTreeMap::new()), |place| balances(books, place))?;
        let settled = settle(booked, changes.remove(customer))?;
        // What only the books knew and was taken to nothing may be of an asset that was not handed over.
        let kept =
            settled.into_iter().filter(|(code, units)| *units > Amount::ZERO || totals.contains_key(code));
        let (customer, group) = (customer.clone(), group.clone());
        fold.take(&Row::Account(Account { customer, group, balances: kept.collect() }).checked()?)?;
    }
    let others = if matched < books.customers() { books.customers() } else { 0 };
    for place in 0..others {
        let customer = books.customer(place);
        if accounts.binary_search_by(|(known, _)| known.as_str().cmp(customer)).is_err() {
            let settled = settle(balances(books, place)?, changes.remove(customer))?;
            if settled.into_values().any(|units| units > Amount::ZERO) {
                return Err(HandoverError::NoAccount { kind: "books", customer: customer.to_owned() });
            }
        }
    }
    match changes.into_keys().next() {
        Some(customer) => Err(HandoverError::NoAccount { kind: "differences", customer }),
        None => Ok(fold.end()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        Assets,
        handover::none_of,
        holdings::{Builder, RawRow, Written},
    };

    type Books = BTreeMap<(u8, bool), u128>;

    fn holdings(books: &Books) -> Holdings {
        let mut builder = Builder::new(Assets::default());
        for ((customer, xem), units) in books {
            let (customer, amount) = (format!("c{customer:03}"), Written::Units(*units));
            let asset = if *xem { "XEM" } else { "BTC" };
            builder
                .push(RawRow { line: 2, customer: &customer, asset, amount, group: "", vault: "" })
                .unwrap();
        }
        builder.finish().unwrap()
    }

    struct Met {
        sum: Sum,
        accounts: Vec<(String, String)>,
        differences: Vec<Difference>,
        totals: Totals,
    }

    fn meet(sent: &Holdings, books: &Holdings) -> Met {
        let totals = none_of(sent.assets());
        let mut fold = Fold::new(Salt([3; 32]), &totals);
        let (mut against, mut differences, mut accounts) = (Against::new(books), Vec::new(), Vec::new());
        for place in 0..sent.customers() {
            let account = Account::of(sent, place).unwrap();
            differences.extend(against.take(&account).unwrap());
            accounts.push((account.customer.clone(), account.group.clone()));
            fold.take(&Row::Account(account)).unwrap();
        }
        differences.extend(against.end().unwrap());
        Met { sum: fold.end(), accounts, differences, totals }
    }

    fn some() -> impl Strategy<Value = Books> {
        proptest::collection::btree_map((0..12_u8, any::<bool>()), 0..4_u128, 1..20)
    }

    proptest! {
        #[test]
        fn books_and_differences_are_what_was_handed_over(sent in some(), booked in some()) {
            let (left, right) = (holdings(&sent), holdings(&booked));
            let met = meet(&left, &right);
            // The differences by a walk over every pair of customer and asset.
            let keys: BTreeSet<_> = sent.keys().chain(booked.keys()).collect();
            let of = |side: &Books, key| side.get(key).copied().unwrap_or_default();
            let differ = keys.iter().filter(|key| of(&sent, *key) != of(&booked, *key)).count();
            prop_assert_eq!(met.differences.len(), differ);
            let proof = |changes: Vec<Difference>| {
                conserved(Salt([3; 32]), &met.totals, &met.accounts, &right, changes)
            };
            let whole = proof(met.differences.clone()).unwrap();
            prop_assert_eq!((&whole.accounts_root, &whole.totals), (&met.sum.accounts_root, &met.sum.totals));
            // Without any one of them, or with one a unit off, it is not.
            for place in 0..met.differences.len() {
                let mut fewer = met.differences.clone();
                let one = fewer.remove(place);
                prop_assert!(proof(fewer.clone()).map_or(true, |sum| sum.accounts_root != met.sum.accounts_root));
                let received = Amount::new(one.received.units() + 9);
                fewer.push(Difference { received, ..one });
                prop_assert!(proof(fewer).map_or(true, |sum| sum.accounts_root != met.sum.accounts_root));
            }
        }
    }

    #[test]
    fn differences_that_are_none_of_these_books_are_refused() {
        let books = holdings(&Books::from([((1, true), 5)]));
        let met = meet(&books, &books);
        let check = |changes: &[(&str, u128, u128)], want: Option<&str>| {
            let change = |(customer, received, booked): &(&str, u128, u128)| Difference {
                customer: (*customer).to_owned(),
                asset: "XEM".to_owned(),
                received: Amount::new(*received),
                booked: Amount::new(*booked),
            };
            let changes = changes.iter().map(change).collect();
            let found = conserved(Salt([3; 32]), &met.totals, &met.accounts, &books, changes);
            assert_eq!(found.err().map(|problem| problem.to_string()).as_deref(), want);
        };
        check(&[], None);
        check(&[("c001", 6, 5)], None);
        check(&[("c001", 6, 4)], Some("what is booked for c001 of XEM is 5, want 4"));
        check(&[("c001", 5, 5)], Some("a difference of nothing is true, want false"));
        let twice = "differences: \"c001 XEM\" stands after \"c001 XEM\"; want each once, in order";
        check(&[("c001", 6, 5), ("c001", 7, 5)], Some(twice));
        let nobody = "differences: customer \"c009\" has no account in this hand-over";
        check(&[("c009", 1, 0)], Some(nobody));
    }

    #[test]
    fn cases_are_counted_up_to_what_a_receipt_can_name() {
        let mut fold = Fold::new(Salt([0; 32]), &Totals::new());
        let mut case = |number: usize| {
            let name = format!("{number:06}.json");
            fold.take(&Row::Case(crate::handover::Case { name, bytes: Vec::new() }))
        };
        let max = crate::handover::CASES_MAX;
        assert!((0..max).all(|number| case(number).is_ok()));
        assert_eq!(case(max), Err(HandoverError::Many { what: "cases", found: max + 1, max }));
    }

    #[test]
    fn rows_out_of_order_and_without_account_are_refused() {
        let sent = holdings(&Books::from([((1, true), 5), ((2, true), 5)]));
        let [first, second] = [0, 1].map(|place| Row::Account(Account::of(&sent, place).unwrap()));
        let address = |customer: &str| {
            let [customer, chain, address] = [customer, "xem", "N"].map(str::to_owned);
            Row::Address(crate::handover::Address { customer, chain, address })
        };
        let check = |rows: &[&Row], want: Option<&str>| {
            let mut fold = Fold::new(Salt([0; 32]), &none_of(sent.assets()));
            let found = rows.iter().try_for_each(|row| fold.take(row));
            assert_eq!(found.err().map(|problem| problem.to_string()).as_deref(), want);
        };
        check(&[&first, &second, &address("c002")], None);
        check(&[&second, &first], Some("accounts: \"c001\" stands after \"c002\"; want each once, in order"));
        check(&[&first, &first], Some("accounts: \"c001\" stands after \"c001\"; want each once, in order"));
        let late = "accounts: \"c002\" stands after \"c001 xem N\"; want each once, in order";
        check(&[&first, &address("c001"), &second], Some(late));
        let nobody = "addresses: customer \"c002\" has no account in this hand-over";
        check(&[&first, &address("c002")], Some(nobody));
    }
}
