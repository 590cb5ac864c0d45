//! Double-entry books of customers and the operator. Decides which entries are taken, what a repetition is, who may be below zero,
//! and what everybody holds at an instant. An entry is never changed: it is reversed by a counter-entry. Reads no file and no clock.
//!
//! Balances are credits less debits in base units: what a customer is owed is positive. Time never runs back: an entry before the
//! last one is refused, so what was held at an instant that is past does not change any more.

mod column;
mod journal;
mod problem;
mod wire;

use std::collections::HashMap;

use kuraban_base::{Amount, Instant};

use column::Column;
pub use journal::{Builder, Entry, Journal, Kind, MEMO_MAX, RawPost, Side};
pub use problem::{BooksError, JournalError};
pub use wire::WireError;

use crate::{
    AssetNum, Assets,
    holdings::{self, Holdings, HoldingsError, RawRow, Written},
};

/// The most base units of one asset that all entries together may move. No balance and no sum can be greater.
pub const TURNOVER_MAX: u128 = i128::MAX.unsigned_abs();

/// What is kept of an entry that was taken: enough to know it again and to know its counter-entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Mark {
    content: [u8; 16],
    posts: [u8; 16],
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Stands,
    Reversed,
    Reversal,
}

/// What came of a journal.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Posted {
    /// The places of the entries that were new, in the journal's order.
    pub fresh: Vec<usize>,
    /// How many were in the books already, with the same content.
    pub repeated: u64,
}

/// What one asset comes to. Owed less overdrawn is what the operator's own accounts have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Total {
    /// The asset.
    pub asset: AssetNum,
    /// What customers are owed.
    pub owed: Amount,
    /// What customers owe, on accounts that may be below zero.
    pub overdrawn: Amount,
    /// Debits less credits of the operator's accounts.
    pub own: i128,
    /// What all entries have moved.
    pub turnover: Amount,
    /// Accounts of customers that are not at zero.
    pub holders: u64,
}

/// The state of all accounts.
#[derive(Clone, Debug, Default)]
pub struct Books {
    assets: Assets,
    names: HashMap<Box<str>, u32>,
    kinds: Vec<Kind>,
    columns: Vec<Column>,
    marks: HashMap<Box<str>, Mark>,
    last: Instant,
}

/// What must be taken back if a later entry of the same journal is refused.
#[derive(Default)]
struct Undo {
    entered: Vec<usize>,
    applied: Vec<usize>,
    reversed: Vec<Box<str>>,
}

impl Books {
    /// The assets that were named so far.
    #[must_use]
    pub const fn assets(&self) -> &Assets {
        &self.assets
    }

    /// How many accounts there are.
    #[must_use]
    pub fn accounts(&self) -> usize {
        self.kinds.len()
    }

    /// How many entries were taken.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.marks.len()
    }

    /// The time of the last entry.
    #[must_use]
    pub const fn last(&self) -> Instant {
        self.last
    }

    /// Credits less debits, in base units; zero for what the books do not know.
    #[must_use]
    pub fn balance(&self, account: &str, asset: &str) -> i128 {
        let column = self.assets.find(asset).and_then(|asset| self.columns.get(asset.place()));
        let account = self.names.get(account);
        column.zip(account).map_or(0, |(column, account)| column.balance(*account))
    }

    /// Takes all new entries of a journal, or none. Entries of one instant are one: their order does not matter, and who may not be
    /// below zero must not be when the instant ends.
    ///
    /// # Errors
    /// The first entry that cannot be taken. The books are then as they were.
    pub fn post(&mut self, journal: &Journal) -> Result<Posted, BooksError> {
        self.post_until(journal, Instant::from_ms(u64::MAX))
    }

    /// As [`Self::post`], without the entries after `until`: so books are read as they were.
    ///
    /// # Errors
    /// As [`Self::post`].
    pub fn post_until(&mut self, journal: &Journal, until: Instant) -> Result<Posted, BooksError> {
        let (assets, accounts, last) = (self.assets.clone(), self.kinds.len(), self.last);
        let turnovers: Vec<u128> = self.columns.iter().map(|column| column.turnover).collect();
        let mut undo = Undo::default();
        let mut places = Places::default();
        let taken = self.take(journal, until, &mut places, &mut undo);
        if taken.is_err() {
            for entry in undo.applied.iter().filter_map(|place| journal.entries().get(*place)) {
                self.apply(journal, entry, &places, true);
            }
            for entry in undo.entered.iter().filter_map(|place| journal.entries().get(*place)) {
                self.marks.remove(entry.id());
            }
            for id in &undo.reversed {
                self.marks.entry(id.clone()).and_modify(|mark| mark.state = State::Stands);
            }
            for (column, turnover) in
                self.columns.iter_mut().zip(turnovers.into_iter().chain(core::iter::repeat(0)))
            {
                column.turnover = turnover;
            }
            self.names.retain(|_, account| usize::try_from(*account).is_ok_and(|account| account < accounts));
            self.kinds.truncate(accounts);
            (self.assets, self.last) = (assets, last);
        }
        taken
    }

    fn take(
        &mut self,
        journal: &Journal,
        until: Instant,
        places: &mut Places,
        undo: &mut Undo,
    ) -> Result<Posted, BooksError> {
        self.place(journal, places)?;
        let mut posted = Posted::default();
        let before = self.last;
        let entries = journal.entries();
        let mut begin = 0;
        while let Some(first) = entries.get(begin).filter(|first| first.at() <= until) {
            let instant =
                entries.get(begin..).unwrap_or_default().iter().take_while(|entry| entry.at() == first.at());
            let end = begin.saturating_add(instant.count());
            let fresh = posted.fresh.len();
            for (place, entry) in (begin..end).zip(entries.get(begin..end).unwrap_or_default()) {
                if self.enter(entry, before, undo)? {
                    undo.entered.push(place);
                    self.turn(journal, entry, places)?;
                    self.apply(journal, entry, places, false);
                    undo.applied.push(place);
                    posted.fresh.push(place);
                    self.last = entry.at();
                } else {
                    posted.repeated = posted.repeated.saturating_add(1);
                }
            }
            for entry in posted.fresh.iter().skip(fresh).filter_map(|place| entries.get(*place)) {
                self.above_zero(journal, entry, places)?;
            }
            begin = end;
        }
        Ok(posted)
    }

    /// Finds the journal's assets and accounts in the books, and adds those that are new.
    fn place(&mut self, journal: &Journal, places: &mut Places) -> Result<(), BooksError> {
        for (code, decimals) in journal.assets() {
            let asset = self.assets.add(code, decimals)?;
            places.assets.push(asset.place());
            if self.columns.len() <= asset.place() {
                self.columns.resize(asset.place().saturating_add(1), Column::default());
            }
        }
        for (name, kind, line) in journal.accounts() {
            let next = u32::try_from(self.kinds.len()).map_err(|_| BooksError::Accounts)?;
            let account = match self.names.get(name) {
                Some(account) => *account,
                None => {
                    self.names.insert(name.into(), next);
                    self.kinds.push(kind);
                    next
                }
            };
            let known = self.kind(account);
            if known != kind {
                return Err(BooksError::Kind { line, account: name.to_owned(), found: kind, known });
            }
            places.accounts.push(account);
        }
        Ok(())
    }

    fn kind(&self, account: u32) -> Kind {
        let place = usize::try_from(account).ok();
        place.and_then(|place| self.kinds.get(place)).copied().unwrap_or(Kind::Customer)
    }

    /// Whether an entry is new; then it is marked.
    fn enter(&mut self, entry: &Entry, before: Instant, undo: &mut Undo) -> Result<bool, BooksError> {
        let (line, id) = (entry.line(), || entry.id().to_owned());
        if let Some(mark) = self.marks.get(entry.id()) {
            let same = mark.content == entry.content();
            return if same { Ok(false) } else { Err(BooksError::Conflict { line, entry: id() }) };
        }
        if entry.at() < before {
            return Err(BooksError::Late { line, entry: id(), found: entry.at(), last: before });
        }
        let mut state = State::Stands;
        if let Some(target) = entry.reverses() {
            self.reverse(entry, target).map_err(|problem| BooksError::Reversal {
                line,
                entry: id(),
                target: target.to_owned(),
                problem,
            })?;
            undo.reversed.push(target.into());
            state = State::Reversal;
        }
        let mark = Mark { content: entry.content(), posts: entry.posts_digest(), state };
        self.marks.insert(entry.id().into(), mark);
        Ok(true)
    }

    fn reverse(&mut self, entry: &Entry, target: &str) -> Result<(), &'static str> {
        let mark = self.marks.get_mut(target).ok_or("it is not in the books before it")?;
        match mark.state {
            State::Reversed => return Err("it is reversed already"),
            State::Reversal => return Err("it is a reversal itself; post a new entry"),
            State::Stands => {}
        }
        if mark.posts != entry.mirrored() {
            return Err("its posts are not the same with debit and credit exchanged");
        }
        mark.state = State::Reversed;
        Ok(())
    }

    /// Counts what an entry moves.
    fn turn(&mut self, journal: &Journal, entry: &Entry, places: &Places) -> Result<(), BooksError> {
        for post in journal.posts(entry).iter().filter(|post| post.side == Side::Debit) {
            let asset = places.asset(post);
            let column = self.columns.get_mut(asset);
            let turnover = column.as_ref().and_then(|column| column.turnover.checked_add(post.units));
            match column.zip(turnover.filter(|turnover| *turnover <= TURNOVER_MAX)) {
                Some((column, turnover)) => column.turnover = turnover,
                None => {
                    return Err(BooksError::Large {
                        line: post.line(),
                        asset: journal.code(post).to_owned(),
                    });
                }
            }
        }
        Ok(())
    }

    fn apply(&mut self, journal: &Journal, entry: &Entry, places: &Places, back: bool) {
        for post in journal.posts(entry) {
            let units = i128::try_from(post.units).unwrap_or(i128::MAX);
            let debit = (post.side == Side::Debit) != back;
            let change = if debit { 0_i128.saturating_sub(units) } else { units };
            if let Some(column) = self.columns.get_mut(places.asset(post)) {
                column.add(places.account(post), change);
            }
        }
    }

    fn above_zero(&self, journal: &Journal, entry: &Entry, places: &Places) -> Result<(), BooksError> {
        for post in journal.posts(entry) {
            let account = places.account(post);
            let balance = self.columns.get(places.asset(post)).map_or(0, |column| column.balance(account));
            if balance < 0 && self.kind(account) == Kind::Customer {
                let (code, decimals) = (journal.code(post), journal.decimals(post));
                return Err(BooksError::Below {
                    line: post.line(),
                    entry: entry.id().to_owned(),
                    account: journal.account(post).to_owned(),
                    asset: code.to_owned(),
                    short: Amount::new(balance.unsigned_abs()).to_coins(decimals),
                    at: entry.at(),
                });
            }
        }
        Ok(())
    }

    /// What customers hold, as claims and liabilities take it: every balance above zero of their accounts.
    ///
    /// # Errors
    /// No balance at all, or more than holdings count.
    pub fn holdings(&self) -> Result<Holdings, HoldingsError> {
        let mut names = vec![""; self.kinds.len()];
        for (name, account) in &self.names {
            if let Some(place) = usize::try_from(*account).ok().and_then(|place| names.get_mut(place)) {
                *place = name;
            }
        }
        let mut builder = holdings::Builder::new(self.assets.clone());
        let mut line = 0_u64;
        let codes: Vec<&str> = self.assets.codes().collect();
        for (place, customer) in names.iter().enumerate() {
            let Ok(account) = u32::try_from(place) else { break };
            if self.kind(account) == Kind::Own {
                continue;
            }
            for (asset, column) in codes.iter().zip(&self.columns) {
                let Some(units) = u128::try_from(column.balance(account)).ok().filter(|units| *units > 0)
                else {
                    continue;
                };
                line = line.saturating_add(1);
                let amount = Written::Units(units);
                builder.push(RawRow { line, customer, asset, amount, group: "", vault: "" })?;
            }
        }
        builder.finish()
    }

    /// What each asset comes to that was ever moved, in the order of the table.
    #[must_use]
    pub fn totals(&self) -> Vec<Total> {
        let named = self.assets.codes().filter_map(|code| self.assets.find(code));
        let moved = named.zip(&self.columns).filter(|(_, column)| column.turnover > 0);
        moved.map(|(asset, column)| self.total(asset, column)).collect()
    }

    fn total(&self, asset: AssetNum, column: &Column) -> Total {
        let (mut owed, mut overdrawn, mut own, mut holders) = (0_u128, 0_u128, 0_i128, 0_u64);
        for (account, balance) in column.iter() {
            match (self.kind(account), balance < 0) {
                (Kind::Own, _) => own = own.saturating_sub(balance),
                (Kind::Customer | Kind::Margin, true) => {
                    overdrawn = overdrawn.saturating_add(balance.unsigned_abs())
                }
                (Kind::Customer | Kind::Margin, false) => owed = owed.saturating_add(balance.unsigned_abs()),
            }
            holders = holders.saturating_add(u64::from(self.kind(account) != Kind::Own));
        }
        let [owed, overdrawn, turnover] = [owed, overdrawn, column.turnover].map(Amount::new);
        Total { asset, owed, overdrawn, own, turnover, holders }
    }
}

impl Total {
    /// Whether debits and credits are equal: they are, unless memory is damaged.
    #[must_use]
    pub fn balances(&self) -> bool {
        let [owed, overdrawn] = [self.owed, self.overdrawn].map(|amount| i128::try_from(amount.units()).ok());
        owed.zip(overdrawn).and_then(|(owed, overdrawn)| owed.checked_sub(overdrawn)) == Some(self.own)
    }
}

/// Two books are equal if everybody has the same and the same entries were taken, whatever order accounts came in.
impl PartialEq for Books {
    fn eq(&self, other: &Self) -> bool {
        let has = |books: &Self, name: &str, account: u32| {
            let balances = books
                .assets
                .codes()
                .zip(&books.columns)
                .map(|(code, column)| (code, column.balance(account)));
            let mut balances: Vec<_> = balances
                .filter(|(_, balance)| *balance != 0)
                .map(|(code, balance)| (code.to_owned(), balance))
                .collect();
            balances.sort_unstable();
            (name.to_owned(), books.kind(account), balances)
        };
        let same = |name: &str, account: u32| {
            other.names.get(name).is_some_and(|theirs| has(self, name, account) == has(other, name, *theirs))
        };
        self.last == other.last
            && self.marks == other.marks
            && self.names.len() == other.names.len()
            && self.names.iter().all(|(name, account)| same(name, *account))
    }
}

impl Eq for Books {}

/// Where a journal's assets and accounts stand in the books.
#[derive(Default)]
struct Places {
    assets: Vec<usize>,
    accounts: Vec<u32>,
}

impl Places {
    fn asset(&self, post: &journal::Post) -> usize {
        self.assets.get(post.asset()).copied().unwrap_or(usize::MAX)
    }

    fn account(&self, post: &journal::Post) -> u32 {
        self.accounts.get(post.account()).copied().unwrap_or(u32::MAX)
    }
}
