//! Live taint on accounts: cases that follow a list of transfers block by block, and say what has changed.
//!
//! Decides by the rules of [`crate::accounts`], with the batch trace's ledger and tracks, where stolen units are after each
//! block; a batch trace of the same blocks finds the same. Reads no file, no clock and no network: whoever drives it brings
//! blocks.

mod tell;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use kuraban_base::{CaseId, Digest, Height};

use super::{
    ledger::{Before as LedgerBefore, Ledger, Num},
    list::UNDO_BLOCKS_MAX,
    method::Rule,
    outcome::{BookError, Fees, Outcome, Stop, Terms, Unbalanced},
    track::{Before, Track, no_theft},
    transfer::{Header, Mark, Transfer},
    units::Units,
};
use crate::{
    feed::{
        Block, Chain, Opened, Seed, Words,
        tell::{CasePlace, Tell},
    },
    live::source::is_service,
    tags::{Store, SubjectKind},
    taint::Method,
};

/// Most cases at a time: each has a track for each of its methods.
pub const CASES_MAX: usize = 1_000;

/// Why nothing has changed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StepError {
    /// Not the block after the last one.
    #[error("block {found} does not follow block {tip}: take blocks back first, or bring those between")]
    NotNext {
        /// Its hash.
        found: Digest,
        /// The last block's.
        tip: Digest,
    },
    /// A height that a feed cannot say.
    #[error("block {height}: want a height below 2^32")]
    Height {
        /// Which.
        height: u64,
    },
    /// A transfer of another block.
    #[error("{tx} transfer {index} is of block {found}, want {want}")]
    Elsewhere {
        /// The transaction.
        tx: String,
        /// The transfer.
        index: u32,
        /// Its block.
        found: u64,
        /// The block that it came with.
        want: u64,
    },
    /// A transaction's name that a feed cannot say.
    #[error(
        "transaction {found:?}: want the chain's 32 bytes in hexadecimal, as they name transactions in a feed"
    )]
    Tx {
        /// Its name.
        found: String,
    },
    /// A transfer that the accounts' state does not allow.
    #[error("{tx} transfer {index}")]
    Book {
        /// The transaction.
        tx: String,
        /// The transfer.
        index: u32,
        /// Why.
        #[source]
        problem: BookError,
    },
}

/// Why a case is not followed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OpenError {
    /// The name is taken.
    #[error("case {case} is followed already, or was")]
    Known {
        /// Which.
        case: CaseId,
    },
    /// Another chain.
    #[error("case {case} is on {found}, this engine follows {want}")]
    Chain {
        /// Which.
        case: CaseId,
        /// Its chain.
        found: &'static str,
        /// The engine's.
        want: &'static str,
    },
    /// Too many.
    #[error("{max} cases are followed, which is the most", max = CASES_MAX)]
    Many,
    /// More assets than can be numbered.
    #[error(transparent)]
    Asset(#[from] BookError),
}

/// A block that cannot be taken back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "the last block cannot be taken back: it is the first one, or more than {max} blocks deep; begin the list again",
    max = UNDO_BLOCKS_MAX
)]
pub struct TooDeep;

/// A seed that the chain has otherwise than its case says. It is passed over.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("case {case}: seed {tx}:{index} {problem}")]
pub struct Misfit {
    /// The case.
    pub case: CaseId,
    /// The transaction.
    pub tx: String,
    /// The transfer.
    pub index: u32,
    /// What does not fit.
    pub problem: String,
}

/// What a block did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Stirred {
    /// Accounts and deposits whose taint may have changed, over all cases.
    pub places: usize,
    /// Seeds that are none.
    pub misfits: Vec<Misfit>,
}

/// Where taint can be: on an account, or handed over by a transfer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum At {
    Account(Num),
    Deposit([u8; 32], u32),
}

/// A deposit that was handed over.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Handed {
    service: String,
    stop: Stop,
    height: u64,
    amount: Units,
    /// What each method finds.
    tainted: Vec<Units>,
}

/// A case that is followed.
#[derive(Debug)]
struct Followed {
    opened: Opened,
    asset: String,
    asset_num: Num,
    /// By method; none of a case that is closed.
    tracks: Vec<Track>,
    handed: BTreeMap<At, Handed>,
    closed: Option<Words>,
}

/// How a block is taken back.
#[derive(Debug)]
struct Undo {
    before: Block,
    ledger: LedgerBefore,
    tracks: BTreeMap<CasePlace, Vec<Before>>,
}

/// The engine.
#[derive(Debug)]
pub struct Live {
    header: Header,
    stops: BTreeMap<String, Words>,
    ledger: Ledger,
    tip: Option<Block>,
    cases: Vec<Followed>,
    seeds: HashMap<(String, u32), Vec<CasePlace>>,
    /// Hashes of the blocks that were followed, for tags that say since when.
    hashes: BTreeMap<u32, Digest>,
    undo: VecDeque<Undo>,
    tell: Tell<At>,
}

/// Accounts on which a store has a tag of a service, as lists write them, with the tag's label.
#[must_use]
pub fn services(store: &Store, chain: super::Chain) -> BTreeMap<String, Words> {
    let network = Chain::Accounts(chain).network();
    let of_chain = |kind, of: &str| kind == SubjectKind::Address && of == network;
    let hits = store.iter().filter(|hit| of_chain(hit.tag.kind, &hit.tag.network) && is_service(hit));
    hits.map(|hit| {
        let label = hit.tag.label.parse().unwrap_or_else(|_| Words::stop());
        (chain.canonical(&hit.tag.normal), label)
    })
    .collect()
}

impl Live {
    /// An engine that follows a list from its first block. Units that come to an account of `stops` are held there.
    #[must_use]
    pub fn new(header: Header, stops: BTreeMap<String, Words>) -> Self {
        Self {
            header,
            stops,
            ledger: Ledger::new(header.opening),
            tip: None,
            cases: Vec::new(),
            seeds: HashMap::new(),
            hashes: BTreeMap::new(),
            undo: VecDeque::new(),
            tell: Tell::default(),
        }
    }

    /// The last block; none before the first.
    #[must_use]
    pub const fn tip(&self) -> Option<Block> {
        self.tip
    }

    /// Follows a case whose seeds come from now on. Balances are known from the list's start.
    ///
    /// # Errors
    /// The name is taken, another chain, too many cases.
    pub fn open(&mut self, opened: Opened) -> Result<(), OpenError> {
        let case = opened.case.clone();
        if self.cases.iter().any(|followed| followed.opened.case == case) {
            return Err(OpenError::Known { case });
        }
        let chain = self.header.chain;
        if opened.chain != Chain::Accounts(chain) {
            return Err(OpenError::Chain { case, found: opened.chain.name(), want: chain.name() });
        }
        let place = CasePlace::try_from(self.cases.len()).ok().filter(|_| self.cases.len() < CASES_MAX);
        let place = place.ok_or(OpenError::Many)?;
        let asset = opened.token.as_ref().map_or(chain.name(), Words::as_str).to_owned();
        let asset_num = self.ledger.assets.number(&asset)?;
        let terms = |method: &Method| Terms {
            rule: Rule::Of(*method),
            until: None,
            fees: if opened.rules.follow_fees { Fees::Follow } else { Fees::Count },
            dust: BTreeMap::from([(asset.clone(), Units::from_u128(opened.rules.dust_units))]),
            stops: self.stops.keys().cloned().collect::<BTreeSet<_>>(),
            hub_payments_min: opened.rules.hub_outputs_min,
        };
        let tracks = opened.rules.methods.iter().map(|method| Track::new(terms(method))).collect();
        for seed in &opened.seeds {
            let name = (chain.tx_name(&seed.tx), seed.index);
            self.seeds.entry(name).or_default().push(place);
        }
        let handed = BTreeMap::new();
        self.cases.push(Followed { opened, asset, asset_num, tracks, handed, closed: None });
        Ok(())
    }

    /// Follows a case no longer: everything that it has is dropped, and the feed is told.
    ///
    /// Gives whether there was such a case.
    pub fn close(&mut self, case: &CaseId, reason: Words) -> bool {
        let found = (0..).zip(&mut self.cases).find(|(_, followed)| followed.opened.case == *case);
        let Some((place, followed)) = found.filter(|(_, followed)| followed.closed.is_none()) else {
            return false;
        };
        followed.closed = Some(reason);
        followed.tracks.clear();
        followed.handed.clear();
        self.seeds.values_mut().for_each(|cases| cases.retain(|case| *case != place));
        self.tell.forget(place);
        true
    }

    fn followed(&self, case: CasePlace) -> Option<&Followed> {
        self.cases.get(usize::try_from(case).ok()?).filter(|followed| followed.closed.is_none())
    }

    fn followed_mut(&mut self, case: CasePlace) -> Option<&mut Followed> {
        let found = self.cases.get_mut(usize::try_from(case).ok()?);
        found.filter(|followed| followed.closed.is_none())
    }

    /// Takes up the next block.
    ///
    /// # Errors
    /// Not the next block, or one that cannot be; nothing has changed then.
    pub fn block(&mut self, mark: Mark, transfers: &[Transfer]) -> Result<Stirred, StepError> {
        let height = u32::try_from(mark.height).map_err(|_| StepError::Height { height: mark.height })?;
        if let Some(tip) = self.tip
            && (tip.hash != mark.prev || tip.height.blocks().checked_add(1) != Some(height))
        {
            return Err(StepError::NotNext { found: mark.hash, tip: tip.hash });
        }
        self.ledger.begin();
        self.cases.iter_mut().flat_map(|followed| &mut followed.tracks).for_each(Track::begin);
        let mut stirred = Stirred::default();
        let mut applied = Ok(());
        for transfer in transfers {
            applied = self.apply(mark.height, transfer, &mut stirred);
            if applied.is_err() {
                break;
            }
        }
        let ledger = self.ledger.end();
        let tracks: BTreeMap<CasePlace, Vec<Before>> = (0..)
            .zip(&mut self.cases)
            .map(|(place, followed)| (place, followed.tracks.iter_mut().map(Track::end).collect()))
            .collect();
        if let Err(error) = applied {
            self.ledger.undo(ledger);
            self.undo_tracks(tracks);
            return Err(error);
        }
        self.take_deposits(&tracks);
        stirred.places = self.mark(&ledger, &tracks);
        let block = Block { height: Height::new(height), hash: mark.hash };
        self.hashes.insert(height, mark.hash);
        if let Some(before) = self.tip.replace(block) {
            self.undo.push_back(Undo { before, ledger, tracks });
        }
        if self.undo.len() > UNDO_BLOCKS_MAX {
            self.undo.pop_front();
        }
        Ok(stirred)
    }

    fn apply(&mut self, height: u64, transfer: &Transfer, stirred: &mut Stirred) -> Result<(), StepError> {
        let Transfer { tx, index, .. } = transfer;
        if transfer.height != height {
            let (found, want) = (transfer.height, height);
            return Err(StepError::Elsewhere { tx: tx.clone(), index: *index, found, want });
        }
        if self.header.chain.tx_id(tx).is_none() {
            return Err(StepError::Tx { found: tx.clone() });
        }
        let wrong = |problem| StepError::Book { tx: tx.clone(), index: *index, problem };
        let step = self.ledger.step(transfer).map_err(wrong)?;
        let robbed = self.seeds.get(&(tx.clone(), *index)).map(Vec::as_slice).unwrap_or_default();
        for (place, followed) in (0..).zip(&mut self.cases) {
            let case = followed.opened.case.as_str();
            let misfit = robbed.contains(&place).then(|| misfit(followed, transfer)).flatten();
            let seed = Some(case).filter(|_| robbed.contains(&place) && misfit.is_none());
            stirred.misfits.extend(misfit.map(|problem| Misfit {
                case: followed.opened.case.clone(),
                tx: tx.clone(),
                index: *index,
                problem,
            }));
            let of_case = followed.asset_num == step.asset;
            for track in &mut followed.tracks {
                // Taint does not cross from one asset into another; marks do.
                if of_case || !track.rule().conserves() {
                    track.follow(step, seed).map_err(wrong)?;
                }
            }
        }
        Ok(())
    }

    fn undo_tracks(&mut self, tracks: BTreeMap<CasePlace, Vec<Before>>) {
        for (place, befores) in tracks {
            let Some(followed) = self.followed_mut(place) else { continue };
            for (track, before) in followed.tracks.iter_mut().zip(befores) {
                track.undo(before);
            }
        }
    }

    /// Takes up the deposits that a block made.
    fn take_deposits(&mut self, tracks: &BTreeMap<CasePlace, Vec<Before>>) {
        let chain = self.header.chain;
        for (place, befores) in tracks {
            let Some(followed) = self.followed_mut(*place) else { continue };
            let Followed { tracks, handed, asset, .. } = followed;
            let methods = tracks.len();
            for (method, (track, before)) in tracks.iter().zip(befores).enumerate() {
                let made = track.deposits().get(before.deposits()..).unwrap_or_default();
                for deposit in made.iter().filter(|deposit| deposit.asset == *asset) {
                    let Some(tx) = chain.tx_id(&deposit.tx) else { continue };
                    let fresh = || Handed {
                        service: deposit.service.clone(),
                        stop: deposit.stop,
                        height: deposit.height,
                        amount: deposit.amount,
                        tainted: vec![Units::ZERO; methods],
                    };
                    let at = At::Deposit(*tx.as_bytes(), deposit.index);
                    let found = handed.entry(at).or_insert_with(fresh);
                    if let Some(tainted) = found.tainted.get_mut(method) {
                        *tainted = deposit.tainted;
                    }
                }
            }
        }
    }

    /// Where a block changed something, so that the feed may have to be told.
    fn stirred(
        &self,
        followed: &Followed,
        ledger: &LedgerBefore,
        befores: &[Before],
        height: Option<u64>,
    ) -> BTreeSet<At> {
        let mut places = BTreeSet::new();
        let of_case = |(_, asset): &(Num, Num)| *asset == followed.asset_num;
        for (track, before) in followed.tracks.iter().zip(befores) {
            places.extend(before.places().filter(of_case).map(|(account, _)| At::Account(account)));
            places.extend(before.marked().map(At::Account));
            if !track.rule().conserves() {
                let moved = ledger.places().filter(of_case);
                let marked = moved.filter(|place| track.is_marked(place.0));
                places.extend(marked.map(|(account, _)| At::Account(account)));
            }
        }
        let made = followed.handed.iter().filter(|(_, handed)| Some(handed.height) == height);
        places.extend(made.map(|(at, _)| *at));
        places
    }

    fn mark(&mut self, ledger: &LedgerBefore, tracks: &BTreeMap<CasePlace, Vec<Before>>) -> usize {
        let height = self.ledger.height();
        let mut count = 0_usize;
        for (place, befores) in tracks {
            let Some(followed) = self.followed(*place) else { continue };
            let places = self.stirred(followed, ledger, befores, height);
            count = count.saturating_add(places.len());
            places.into_iter().for_each(|at| self.tell.mark(*place, at, None));
        }
        count
    }

    /// Takes back the last block: everything is as it was before it.
    ///
    /// # Errors
    /// It is the block that the engine began at, or too deep.
    pub fn undo(&mut self) -> Result<Block, TooDeep> {
        let Undo { before, ledger, tracks } = self.undo.pop_back().ok_or(TooDeep)?;
        self.mark(&ledger, &tracks);
        let gone = self.tip.map(|tip| tip.height.blocks());
        for followed in &mut self.cases {
            followed.handed.retain(|_, handed| gone.map(u64::from) != Some(handed.height));
        }
        self.ledger.undo(ledger);
        self.undo_tracks(tracks);
        if let Some(gone) = gone {
            self.hashes.remove(&gone);
        }
        self.tip = Some(before);
        Ok(before)
    }

    /// The cases that are followed.
    pub fn cases(&self) -> impl Iterator<Item = &Opened> {
        self.cases.iter().filter(|followed| followed.closed.is_none()).map(|followed| &followed.opened)
    }

    /// What a batch trace of the blocks would find for a case, by each of its methods; nothing for a case that is not
    /// followed. Looks at every account with taint.
    ///
    /// # Errors
    /// Units that do not add up.
    pub fn outcomes(&self, case: &CaseId) -> Result<Vec<(Method, Outcome)>, Box<Unbalanced>> {
        let found = self.cases.iter().find(|followed| followed.opened.case == *case);
        let tracks = found
            .into_iter()
            .flat_map(|followed| followed.opened.rules.methods.iter().copied().zip(&followed.tracks));
        tracks.map(|(method, track)| Ok((method, track.outcome(self.header, &self.ledger)?))).collect()
    }
}

/// Why a transfer is not the seed that a case says; `None` where it is.
fn misfit(followed: &Followed, transfer: &Transfer) -> Option<String> {
    if let Some(why) = no_theft(transfer) {
        return Some(why.to_owned());
    }
    if transfer.asset != followed.asset {
        return Some(format!("moves {}, the case is of {}", transfer.asset, followed.asset));
    }
    let Chain::Accounts(chain) = followed.opened.chain else { return None };
    let tx = chain.tx_id(&transfer.tx)?;
    let is_seed = |seed: &&Seed| (seed.tx, seed.index) == (tx, transfer.index);
    let stated = followed.opened.seeds.iter().find(is_seed)?.units;
    let differs = Units::from_u128(stated) != transfer.amount;
    differs.then(|| format!("states {stated} units, the transfer carries {}", transfer.amount))
}
