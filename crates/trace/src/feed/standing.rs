//! What a tag feed says when it is read to its end: cases, tags that stand, appeals, how far chains were followed.
//!
//! Decides whether an entry fits those before it. Writer and readers fold with the same code, so a feed that was written
//! here can be read, and a reader refuses one that contradicts itself.

use std::collections::{BTreeMap, HashMap};

use kuraban_base::{CaseId, Instant};

use super::entry::{Block, Body, Chain, Entry, Opened, Reach, Since, Subject, Tag, Words};
use crate::tags::{SubjectKind, address::SubjectError};

/// Most tags that stand at a time: about 4 GiB of memory.
pub const TAGS_MAX: usize = 10_000_000;
/// Most cases of a feed.
pub const CASES_MAX: usize = 100_000;
/// Most appeals that stand at a time.
pub const APPEALS_MAX: usize = 1_000_000;

/// A theft of the feed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Case {
    /// What the feed said first.
    pub opened: Opened,
    /// When.
    pub at: Instant,
    /// When it was closed, and why.
    pub closed: Option<(Instant, Words)>,
}

/// How far a chain was followed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Freshness {
    /// Its last block.
    pub tip: Block,
    /// When that was said.
    pub at: Instant,
}

/// Why an entry does not fit those before it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Misfit {
    /// A case of this name was opened before.
    #[error("case {case} was opened before")]
    Opened {
        /// Which.
        case: CaseId,
    },
    /// No such case was opened, or it was closed.
    #[error("case {case} is not open")]
    NotOpen {
        /// Which.
        case: CaseId,
    },
    /// No tag of this number stands.
    #[error("{tag} is the number of no tag that stands")]
    NoTag {
        /// The number.
        tag: u64,
    },
    /// The tag has a block already.
    #[error("tag {tag} has its block already")]
    Confirmed {
        /// The number.
        tag: u64,
    },
    /// An address that is none of the case's chain.
    #[error("address {found:?} of a tag on {}: {source}", .chain.name())]
    Address {
        /// What was found.
        found: String,
        /// The chain.
        chain: Chain,
        /// Why.
        source: SubjectError,
    },
    /// A tag on an output of a chain of accounts that is followed, or on an account of a chain of outputs.
    #[error(
        "{} has no such subjects: outputs are of the BTC family, accounts and what was handed over to them of other chains",
        .chain.name()
    )]
    Subject {
        /// The chain.
        chain: Chain,
    },
    /// More than a reader holds.
    #[error("more than {max} {what}")]
    Many {
        /// Of what.
        what: &'static str,
        /// The limit.
        max: usize,
    },
}

/// What an entry changed, so that it can be taken back.
#[derive(Debug)]
pub(super) enum Change {
    Case(CaseId),
    Tag(u64),
    Confirmed(Vec<u64>),
    Ended(Vec<(u64, Tag, Option<Words>)>),
    Appealed(u64, Option<Words>),
    Closed(CaseId, Vec<(u64, Tag, Option<Words>)>),
    Tip(Chain, Option<Freshness>),
}

/// The feed at one size.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Standing {
    cases: BTreeMap<CaseId, Case>,
    tags: BTreeMap<u64, Tag>,
    appeals: BTreeMap<u64, Words>,
    tips: BTreeMap<&'static str, Freshness>,
    /// Numbers of the tags on each address or, where an output has none, transaction.
    on: HashMap<(SubjectKind, Box<str>), Vec<u64>>,
}

/// What a tag is looked up by.
pub(super) type Place = (SubjectKind, Box<str>);

/// What a tag on a subject is looked up by.
pub(super) fn place(chain: Chain, subject: &Subject) -> Result<Place, Misfit> {
    match subject {
        Subject::Output { address: Some(text), .. } | Subject::Account(text) => {
            let wrong = |source| Misfit::Address { found: text.clone(), chain, source };
            let checked = chain.address(text).map_err(wrong)?;
            Ok((SubjectKind::Address, checked.normal.into()))
        }
        Subject::Output { tx, address: None, .. } => Ok((SubjectKind::Tx, tx.to_string().into())),
    }
}

impl Standing {
    /// A case by its name.
    #[must_use]
    pub fn case(&self, case: &CaseId) -> Option<&Case> {
        self.cases.get(case)
    }

    /// Every case, closed ones too, by name.
    pub fn cases(&self) -> impl Iterator<Item = (&CaseId, &Case)> {
        self.cases.iter()
    }

    /// A tag that was not taken back.
    #[must_use]
    pub fn tag(&self, number: u64) -> Option<&Tag> {
        self.tags.get(&number)
    }

    /// Every tag that was not taken back, expired ones too, with its number, ascending.
    pub fn tags(&self) -> impl Iterator<Item = (u64, &Tag)> {
        self.tags.iter().map(|(number, tag)| (*number, tag))
    }

    /// The tags that hold at a time.
    pub fn live(&self, now: Instant) -> impl Iterator<Item = (u64, &Tag)> {
        self.tags().filter(move |(_, tag)| tag.expires.is_none_or(|expires| now < expires))
    }

    /// The tags on an address, or on outputs of a transaction that have no address, each with its number; expired ones too.
    /// `normal` is the form of [`Chain::address`]; of a transaction its id as it is shown. Tags of every chain on which the
    /// text has this form are among them: see the case's chain.
    pub fn on(&self, kind: SubjectKind, normal: &str) -> impl Iterator<Item = (u64, &Tag)> {
        let numbers = self.on.get(&(kind, normal.into())).map(Vec::as_slice).unwrap_or_default();
        numbers.iter().filter_map(|number| Some((*number, self.tags.get(number)?)))
    }

    /// What is appealed against a tag that stands.
    #[must_use]
    pub fn appeal(&self, number: u64) -> Option<&Words> {
        self.appeals.get(&number)
    }

    /// How far a chain was followed.
    #[must_use]
    pub fn freshness(&self, chain: Chain) -> Option<Freshness> {
        self.tips.get(chain.name()).copied()
    }

    /// Takes up the entry of a number. Nothing changes if it does not fit.
    pub(super) fn apply(&mut self, number: u64, entry: Entry) -> Result<Change, Misfit> {
        let at = entry.at;
        match entry.body {
            Body::Opened(opened) => self.open(opened, at),
            Body::Tag(tag) => self.give(number, tag),
            Body::Confirmed { tags, block } => self.confirm(tags, block),
            Body::Revoked { tags, .. } => {
                self.stand(&tags)?;
                Ok(Change::Ended(self.end(&tags)))
            }
            Body::Appealed { tag, reference } => {
                self.stand(&[tag])?;
                if self.appeals.len() >= APPEALS_MAX {
                    return Err(Misfit::Many { what: "appeals", max: APPEALS_MAX });
                }
                Ok(Change::Appealed(tag, self.appeals.insert(tag, reference)))
            }
            Body::Closed { case, reason } => self.close(case, reason, at),
            Body::Heartbeat { chain, tip } => {
                Ok(Change::Tip(chain, self.tips.insert(chain.name(), Freshness { tip, at })))
            }
        }
    }

    fn open(&mut self, opened: Opened, at: Instant) -> Result<Change, Misfit> {
        let case = opened.case.clone();
        if self.cases.contains_key(&case) {
            return Err(Misfit::Opened { case });
        }
        if self.cases.len() >= CASES_MAX {
            return Err(Misfit::Many { what: "cases", max: CASES_MAX });
        }
        self.cases.insert(case.clone(), Case { opened, at, closed: None });
        Ok(Change::Case(case))
    }

    fn chain_of(&self, case: &CaseId) -> Result<Chain, Misfit> {
        let open = self.cases.get(case).filter(|case| case.closed.is_none());
        open.map(|case| case.opened.chain).ok_or_else(|| Misfit::NotOpen { case: case.clone() })
    }

    fn give(&mut self, number: u64, tag: Tag) -> Result<Change, Misfit> {
        let chain = self.chain_of(&tag.case)?;
        let fits = match (chain, &tag.subject, &tag.reach) {
            (Chain::Family(_), Subject::Output { .. }, Reach::Followed | Reach::HandedOver { .. })
            | (Chain::Accounts(_), Subject::Account(_), Reach::Followed | Reach::HandedOver { .. })
            | (Chain::Accounts(_), Subject::Output { .. }, Reach::HandedOver { .. }) => true,
            (Chain::Accounts(_), Subject::Output { .. }, Reach::Followed)
            | (Chain::Family(_), Subject::Account(_), Reach::Followed | Reach::HandedOver { .. }) => false,
        };
        if !fits {
            return Err(Misfit::Subject { chain });
        }
        let place = place(chain, &tag.subject)?;
        if self.tags.len() >= TAGS_MAX {
            return Err(Misfit::Many { what: "tags", max: TAGS_MAX });
        }
        self.put(number, tag, place, None);
        Ok(Change::Tag(number))
    }

    /// Puts a tag that was checked, and the appeal against it.
    fn put(&mut self, number: u64, tag: Tag, place: Place, appeal: Option<Words>) {
        self.on.entry(place).or_default().push(number);
        self.tags.insert(number, tag);
        if let Some(appeal) = appeal {
            self.appeals.insert(number, appeal);
        }
    }

    fn confirm(&mut self, tags: Vec<u64>, block: Block) -> Result<Change, Misfit> {
        self.stand(&tags)?;
        let waits = |number: &&u64| self.tags.get(number).is_none_or(|tag| tag.since == Since::Mempool);
        if let Some(tag) = tags.iter().find(|number| !waits(number)) {
            return Err(Misfit::Confirmed { tag: *tag });
        }
        self.date(&tags, Since::Block(block));
        Ok(Change::Confirmed(tags))
    }

    fn date(&mut self, tags: &[u64], since: Since) {
        for number in tags {
            if let Some(tag) = self.tags.get_mut(number) {
                tag.since = since;
            }
        }
    }

    fn stand(&self, tags: &[u64]) -> Result<(), Misfit> {
        match tags.iter().find(|number| !self.tags.contains_key(number)) {
            Some(tag) => Err(Misfit::NoTag { tag: *tag }),
            None => Ok(()),
        }
    }

    /// What a tag that was taken up is looked up by.
    fn place_of(&self, tag: &Tag) -> Option<Place> {
        place(self.cases.get(&tag.case)?.opened.chain, &tag.subject).ok()
    }

    fn end(&mut self, tags: &[u64]) -> Vec<(u64, Tag, Option<Words>)> {
        let ended = tags.iter().filter_map(|number| {
            let tag = self.tags.remove(number)?;
            let place = self.place_of(&tag)?;
            if let Some(numbers) = self.on.get_mut(&place) {
                numbers.retain(|other| other != number);
                if numbers.is_empty() {
                    self.on.remove(&place);
                }
            }
            Some((*number, tag, self.appeals.remove(number)))
        });
        ended.collect()
    }

    fn close(&mut self, case: CaseId, reason: Words, at: Instant) -> Result<Change, Misfit> {
        self.chain_of(&case)?;
        let of_case = self.tags.iter().filter(|(_, tag)| tag.case == case);
        let tags: Vec<u64> = of_case.map(|(number, _)| *number).collect();
        let ended = self.end(&tags);
        if let Some(case) = self.cases.get_mut(&case) {
            case.closed = Some((at, reason));
        }
        Ok(Change::Closed(case, ended))
    }

    /// Takes a change back: the last one that is still there.
    pub(super) fn undo(&mut self, change: Change) {
        match change {
            Change::Case(case) => drop(self.cases.remove(&case)),
            Change::Tag(number) => drop(self.end(&[number])),
            Change::Confirmed(tags) => self.date(&tags, Since::Mempool),
            Change::Ended(ended) => self.restore(ended),
            Change::Appealed(tag, before) => drop(match before {
                Some(reference) => self.appeals.insert(tag, reference),
                None => self.appeals.remove(&tag),
            }),
            Change::Closed(case, ended) => {
                if let Some(case) = self.cases.get_mut(&case) {
                    case.closed = None;
                }
                self.restore(ended);
            }
            Change::Tip(chain, before) => drop(match before {
                Some(before) => self.tips.insert(chain.name(), before),
                None => self.tips.remove(chain.name()),
            }),
        }
    }

    fn restore(&mut self, ended: Vec<(u64, Tag, Option<Words>)>) {
        for (number, tag, appeal) in ended {
            let Some(place) = self.place_of(&tag) else { continue };
            self.put(number, tag, place.clone(), appeal);
            // On one address they stand in the order in which they were given.
            if let Some(numbers) = self.on.get_mut(&place) {
                numbers.sort_unstable();
            }
        }
    }

    /// The feed's entries that lead to this from nothing, with their numbers: what a snapshot holds. Tags have their block
    /// already; of closed cases nothing else is left.
    pub(super) fn entries(&self) -> Vec<(u64, Entry)> {
        let zero = Instant::default();
        let entry = |number: u64, at, body| (number, Entry { at, body });
        let opened = self.cases.values().map(|case| entry(0, case.at, Body::Opened(case.opened.clone())));
        let tags = self.tags().map(|(number, tag)| entry(number, zero, Body::Tag(tag.clone())));
        let appeals = self.appeals.iter().map(|(tag, reference)| {
            entry(0, zero, Body::Appealed { tag: *tag, reference: reference.clone() })
        });
        let closed = self.cases.iter().filter_map(|(name, case)| {
            let (at, reason) = case.closed.clone()?;
            Some(entry(0, at, Body::Closed { case: name.clone(), reason }))
        });
        let tips = self.tips.iter().filter_map(|(name, fresh)| {
            let body = Body::Heartbeat { chain: name.parse().ok()?, tip: fresh.tip };
            Some(entry(0, fresh.at, body))
        });
        opened.chain(tags).chain(appeals).chain(closed).chain(tips).collect()
    }
}
