//! Entries as they were read. Decides which rows are one entry, that each balances in every asset, and what its content is; not
//! whether books take it.

use core::{fmt, str::FromStr};
use std::collections::HashMap;

use kuraban_base::{Amount, Instant};
use sha2::{Digest as _, Sha256};

use super::{JournalError, TURNOVER_MAX};
use crate::{
    Assets,
    holdings::{NAME_MAX, Written},
    units,
};

/// Longest memo, in bytes.
pub const MEMO_MAX: usize = 500;
/// Most rows of one journal.
pub(super) const ROWS_MAX: usize = 1 << 31;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum $name { $($(#[$of])* $variant,)* }

        impl $name {
            /// The word for it.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.word().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = &'static str;

            fn from_str(text: &str) -> Result<Self, &'static str> {
                match text {
                    $($word => Ok(Self::$variant),)*
                    _ => Err(concat!("want one of", $(" ", $word),*)),
                }
            }
        }
    };
}

words! {
    /// Whose an account is, and whether it may be below zero.
    Kind {
        /// A customer's: what is owed to it is never below zero.
        Customer = "customer",
        /// A customer's who may owe: margin and credit.
        Margin = "margin",
        /// The operator's own: wallets, banks, fees, losses. Either sign.
        Own = "own",
    }
}

words! {
    /// A side of an account. Credit adds to what a customer is owed.
    Side {
        /// Left.
        Debit = "debit",
        /// Right.
        Credit = "credit",
    }
}

/// A row as it was read: one side of one account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RawPost<'a> {
    /// Its line, or its number where there are no lines, from 1.
    pub line: u64,
    /// The entry that it belongs to.
    pub entry: &'a str,
    /// When the entry took effect.
    pub at: Instant,
    /// Which account.
    pub account: &'a str,
    /// What kind of account.
    pub kind: Kind,
    /// Of what.
    pub asset: &'a str,
    /// Which side.
    pub side: Side,
    /// How much.
    pub amount: Written<'a>,
    /// What for; may be empty.
    pub memo: &'a str,
    /// The entry that this one takes back; empty for none.
    pub reverses: &'a str,
}

/// One side of one account in an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Post {
    pub(crate) units: u128,
    entry: u32,
    account: u32,
    line: u32,
    asset: u16,
    pub(crate) side: Side,
}

impl Post {
    pub(crate) fn asset(&self) -> usize {
        usize::from(self.asset)
    }

    pub(crate) fn account(&self) -> usize {
        usize::try_from(self.account).unwrap_or(usize::MAX)
    }

    pub(crate) fn line(&self) -> u64 {
        u64::from(self.line)
    }
}

/// An entry of a journal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    id: Box<str>,
    memo: Box<str>,
    reverses: Box<str>,
    at: Instant,
    line: u32,
    begin: u32,
    end: u32,
    content: [u8; 16],
    posts: [u8; 16],
    mirrored: [u8; 16],
}

impl Entry {
    /// What it is called.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// When it took effect.
    #[must_use]
    pub const fn at(&self) -> Instant {
        self.at
    }

    /// What for.
    #[must_use]
    pub fn memo(&self) -> &str {
        &self.memo
    }

    /// The entry that it takes back.
    #[must_use]
    pub fn reverses(&self) -> Option<&str> {
        Some(&*self.reverses).filter(|id| !id.is_empty())
    }

    /// Its first line.
    #[must_use]
    pub fn line(&self) -> u64 {
        u64::from(self.line)
    }

    /// The first half of SHA-256 of all that it says, in an order that does not depend on that of its rows.
    pub(crate) const fn content(&self) -> [u8; 16] {
        self.content
    }

    /// The same of its posts alone.
    pub(crate) const fn posts_digest(&self) -> [u8; 16] {
        self.posts
    }

    /// What the digest of the posts would be with debit and credit exchanged.
    pub(crate) const fn mirrored(&self) -> [u8; 16] {
        self.mirrored
    }
}

/// A journal while it is read.
#[derive(Clone, Debug)]
pub struct Builder {
    assets: Assets,
    accounts: Vec<(Box<str>, Kind, u32)>,
    by_account: HashMap<Box<str>, u32>,
    entries: Vec<Entry>,
    by_entry: HashMap<Box<str>, u32>,
    posts: Vec<Post>,
}

/// Entries that balance, ordered by time; those of one instant by what they are called, reversals last.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Journal {
    assets: Vec<(Box<str>, u8)>,
    accounts: Vec<(Box<str>, Kind, u32)>,
    entries: Vec<Entry>,
    posts: Vec<Post>,
}

impl Builder {
    /// Nothing yet, in these assets.
    #[must_use]
    pub fn new(assets: Assets) -> Self {
        let (by_account, by_entry) = (HashMap::new(), HashMap::new());
        Self { assets, accounts: Vec::new(), by_account, entries: Vec::new(), by_entry, posts: Vec::new() }
    }

    /// Takes one row. The rows of an entry need not follow each other.
    ///
    /// # Errors
    /// Texts, an asset or an amount that cannot be, and what contradicts an earlier row; each with its line.
    pub fn push(&mut self, raw: RawPost<'_>) -> Result<(), JournalError> {
        let line = raw.line;
        name(line, "entry", raw.entry)?;
        name(line, "account", raw.account)?;
        if !raw.reverses.is_empty() {
            name(line, "reverses", raw.reverses)?;
        }
        if raw.memo.len() > MEMO_MAX || raw.memo.chars().any(char::is_control) {
            return Err(JournalError::Memo { line, found: raw.memo.len() });
        }
        let asset = self.assets.find(raw.asset).ok_or_else(|| JournalError::Asset {
            line,
            found: raw.asset.chars().take(40).collect(),
            known: self.assets.codes().collect::<Vec<_>>().join(" "),
        })?;
        let of = || raw.asset.to_owned();
        let units = match raw.amount {
            Written::Units(units) => units,
            Written::Coins(text) => units(text, self.assets.decimals(asset))
                .map_err(|problem| JournalError::Amount { line, asset: of(), problem })?
                .units(),
        };
        if units == 0 || units > TURNOVER_MAX {
            return Err(JournalError::Range { line, asset: of(), found: units });
        }
        let many = JournalError::Many { line };
        let short = u32::try_from(line).ok().filter(|_| self.posts.len() < ROWS_MAX).ok_or(many.clone())?;
        let account = self.account(&raw, short)?;
        let entry = self.entry(&raw, short)?;
        let asset = u16::try_from(asset.place()).map_err(|_| many)?;
        self.posts.push(Post { units, entry, account, line: short, asset, side: raw.side });
        Ok(())
    }

    fn account(&mut self, raw: &RawPost<'_>, line: u32) -> Result<u32, JournalError> {
        let next = u32::try_from(self.accounts.len()).map_err(|_| JournalError::Many { line: raw.line })?;
        if let Some(account) = self.by_account.get(raw.account) {
            let known = usize::try_from(*account).ok().and_then(|place| self.accounts.get(place));
            if let Some((_, known, earlier)) = known.filter(|(_, kind, _)| *kind != raw.kind) {
                let (account, earlier) = (raw.account.to_owned(), u64::from(*earlier));
                return Err(JournalError::Kind {
                    line: raw.line,
                    account,
                    found: raw.kind,
                    known: *known,
                    earlier,
                });
            }
            return Ok(*account);
        }
        self.by_account.insert(raw.account.into(), next);
        self.accounts.push((raw.account.into(), raw.kind, line));
        Ok(next)
    }

    fn entry(&mut self, raw: &RawPost<'_>, line: u32) -> Result<u32, JournalError> {
        let next = u32::try_from(self.entries.len()).map_err(|_| JournalError::Many { line: raw.line })?;
        let known = self.by_entry.get(raw.entry).copied();
        if let Some((number, entry)) = known.and_then(|number| {
            usize::try_from(number)
                .ok()
                .and_then(|place| self.entries.get(place))
                .map(|entry| (number, entry))
        }) {
            let same = [
                ("time", entry.at == raw.at),
                ("memo", &*entry.memo == raw.memo),
                ("reverses", &*entry.reverses == raw.reverses),
            ];
            if let Some((field, _)) = same.into_iter().find(|(_, same)| !same) {
                let (earlier, entry) = (u64::from(entry.line), raw.entry.to_owned());
                return Err(JournalError::Differs { line: raw.line, field, earlier, entry });
            }
            return Ok(number);
        }
        self.by_entry.insert(raw.entry.into(), next);
        self.entries.push(Entry {
            id: raw.entry.into(),
            memo: raw.memo.into(),
            reverses: raw.reverses.into(),
            at: raw.at,
            line,
            begin: 0,
            end: 0,
            content: [0; 16],
            posts: [0; 16],
            mirrored: [0; 16],
        });
        Ok(next)
    }

    /// Everything, if every entry balances.
    ///
    /// # Errors
    /// An entry whose debits and credits differ in an asset, no rows.
    pub fn finish(mut self) -> Result<Journal, JournalError> {
        if self.posts.is_empty() {
            return Err(JournalError::Empty);
        }
        let assets: Vec<(Box<str>, u8)> = self
            .assets
            .codes()
            .filter_map(|code| Some((code.into(), self.assets.decimals(self.assets.find(code)?))))
            .collect();
        let codes: Vec<&str> = assets.iter().map(|(code, _)| &**code).collect();
        let accounts = core::mem::take(&mut self.accounts);
        let account = |post: &Post| accounts.get(post.account()).map_or("", |(name, _, _)| &**name);
        let code = |post: &Post| codes.get(post.asset()).copied().unwrap_or_default();
        let key = |post: &Post| (account(post), code(post), post.side, post.units);
        self.posts.sort_unstable_by(|a, b| a.entry.cmp(&b.entry).then_with(|| key(a).cmp(&key(b))));
        let mut begin = 0;
        for (number, entry) in (0_u32..).zip(&mut self.entries) {
            let rest = self.posts.get(begin..).unwrap_or_default();
            let end = begin.saturating_add(rest.partition_point(|post| post.entry == number));
            let posts = self.posts.get(begin..end).unwrap_or_default();
            entry.balance(posts, &assets)?;
            let row = |post: &Post, side: Side| (account(post), code(post), side, post.units);
            entry.posts = digest(posts.iter().map(|post| row(post, post.side)));
            if !entry.reverses.is_empty() {
                let mut mirrored: Vec<_> = posts.iter().map(|post| row(post, post.side.other())).collect();
                mirrored.sort_unstable();
                entry.mirrored = digest(mirrored);
            }
            entry.content = entry.whole();
            let many = |_| JournalError::Many { line: u64::from(entry.line) };
            entry.begin = u32::try_from(begin).map_err(many)?;
            entry.end = u32::try_from(end).map_err(many)?;
            begin = end;
        }
        self.entries.sort_unstable_by(|a, b| a.order().cmp(&b.order()));
        Ok(Journal { assets, accounts, entries: self.entries, posts: self.posts })
    }
}

impl Side {
    const fn other(self) -> Self {
        match self {
            Self::Debit => Self::Credit,
            Self::Credit => Self::Debit,
        }
    }
}

impl Entry {
    fn order(&self) -> (Instant, bool, &str) {
        (self.at, !self.reverses.is_empty(), &self.id)
    }

    fn balance(&self, posts: &[Post], assets: &[(Box<str>, u8)]) -> Result<(), JournalError> {
        let mut sums: Vec<(u16, u128, u128)> = Vec::new();
        for post in posts {
            let known = sums.iter().position(|(asset, _, _)| *asset == post.asset);
            let place = known.unwrap_or(sums.len());
            if known.is_none() {
                sums.push((post.asset, 0, 0));
            }
            let Some((_, debits, credits)) = sums.get_mut(place) else { continue };
            let sum = if post.side == Side::Debit { debits } else { credits };
            let (code, _) = assets.get(post.asset()).map_or(("", 0), |(code, decimals)| (&**code, *decimals));
            let more = sum.checked_add(post.units).filter(|sum| *sum <= TURNOVER_MAX);
            let (line, entry, asset) = (u64::from(self.line), || self.id.to_string(), || code.to_owned());
            *sum = more.ok_or_else(|| JournalError::Large { line, entry: entry(), asset: asset() })?;
        }
        let Some((asset, debits, credits)) = sums.into_iter().find(|(_, debits, credits)| debits != credits)
        else {
            return Ok(());
        };
        let of = assets.get(usize::from(asset)).map_or(("", 0), |(code, decimals)| (&**code, *decimals));
        let [debits, credits] = [debits, credits].map(|units| Amount::new(units).to_coins(of.1));
        let (line, entry) = (u64::from(self.line), self.id.to_string());
        Err(JournalError::Balance { line, entry, asset: of.0.to_owned(), debits, credits })
    }

    fn whole(&self) -> [u8; 16] {
        let mut hash = Sha256::new();
        hash.update(self.at.ms().to_be_bytes());
        for text in [&self.memo, &self.reverses] {
            text_into(&mut hash, text);
        }
        hash.update(self.posts);
        half(hash)
    }
}

fn digest<'a>(posts: impl IntoIterator<Item = (&'a str, &'a str, Side, u128)>) -> [u8; 16] {
    let mut hash = Sha256::new();
    for (account, asset, side, units) in posts {
        text_into(&mut hash, account);
        text_into(&mut hash, asset);
        hash.update([u8::from(side == Side::Credit)]);
        hash.update(units.to_be_bytes());
    }
    half(hash)
}

fn text_into(hash: &mut Sha256, text: &str) {
    hash.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
    hash.update(text);
}

fn half(hash: Sha256) -> [u8; 16] {
    let mut half = [0; 16];
    for (to, from) in half.iter_mut().zip(hash.finalize()) {
        *to = from;
    }
    half
}

impl Journal {
    /// All entries.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// How many rows there are.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.posts.len()
    }

    pub(crate) fn assets(&self) -> impl Iterator<Item = (&str, u8)> {
        self.assets.iter().map(|(code, decimals)| (&**code, *decimals))
    }

    pub(crate) fn accounts(&self) -> impl Iterator<Item = (&str, Kind, u64)> {
        self.accounts.iter().map(|(name, kind, line)| (&**name, *kind, u64::from(*line)))
    }

    pub(crate) fn posts(&self, entry: &Entry) -> &[Post] {
        let range = usize::try_from(entry.begin).ok().zip(usize::try_from(entry.end).ok());
        range.and_then(|(begin, end)| self.posts.get(begin..end)).unwrap_or_default()
    }

    pub(crate) fn code(&self, post: &Post) -> &str {
        self.assets.get(post.asset()).map_or("", |(code, _)| code)
    }

    pub(crate) fn decimals(&self, post: &Post) -> u8 {
        self.assets.get(post.asset()).map_or(0, |(_, decimals)| *decimals)
    }

    pub(crate) fn account(&self, post: &Post) -> &str {
        self.accounts.get(post.account()).map_or("", |(name, _, _)| name)
    }
}

fn name(line: u64, field: &'static str, found: &str) -> Result<(), JournalError> {
    let fits = (1..=NAME_MAX).contains(&found.len());
    let clean = found.trim() == found && !found.chars().any(char::is_control);
    if fits && clean {
        return Ok(());
    }
    Err(JournalError::Name { line, field, found: found.chars().take(NAME_MAX).collect() })
}
