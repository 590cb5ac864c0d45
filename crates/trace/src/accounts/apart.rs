//! Several cases, each followed as if it were the only one.
//!
//! Decides how their answers stand beside each other; what each of them is, its track decides.

use std::collections::{BTreeMap, HashMap};

use super::{
    ledger::Ledger,
    method::Rule,
    outcome::{BookError, Deposit, Held, Outcome, Seed, Terms, TraceError},
    seeds::Seeds,
    track::Track,
    transfer::{Header, Transfer},
    units::Units,
};
use crate::taint::Method;

/// Several cases, each with what it has alone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Apart {
    /// All of them beside each other. A unit that several cases claim counts in each of them, so that every case balances,
    /// and their sum need not; `tainted` of an account is at most its balance. Which units a case has, and the lowest
    /// balance since it has some, stand in its own answer alone.
    pub together: Outcome,
    /// Each case's own answer, in the order of `together.totals`.
    pub alone: Vec<Outcome>,
}

/// One ledger and a track for each case.
#[derive(Debug)]
pub(super) struct ApartBook {
    header: Header,
    terms: Terms,
    seeds: Seeds,
    ledger: Ledger,
    cases: HashMap<String, usize>,
    tracks: Vec<Track>,
    /// The case of each seed that was met, by its track.
    met: Vec<usize>,
    /// The case of each deposit, by its track.
    handed_over: Vec<usize>,
    touched: u64,
    touched_last: Option<(u64, u32)>,
}

impl ApartBook {
    /// An empty book.
    ///
    /// # Errors
    /// No seed, or one of a case twice.
    pub(super) fn new(header: Header, terms: &Terms, seeds: &[Seed]) -> Result<Self, TraceError> {
        let mut cases = HashMap::new();
        for Seed { case, .. } in seeds {
            let place = cases.len();
            cases.entry(case.clone()).or_insert(place);
        }
        Ok(Self {
            header,
            seeds: Seeds::new(seeds)?,
            ledger: Ledger::new(header.opening),
            tracks: (0..cases.len()).map(|_| Track::new(terms.clone())).collect(),
            terms: terms.clone(),
            cases,
            met: Vec::new(),
            handed_over: Vec::new(),
            touched: 0,
            touched_last: None,
        })
    }

    /// Applies the next transfer.
    ///
    /// # Errors
    /// What the accounts' state does not allow. The book cannot be used after that.
    pub(super) fn apply(&mut self, transfer: &Transfer) -> Result<(), BookError> {
        let step = self.ledger.step(transfer)?;
        let seeds = self.seeds.met(transfer);
        let stolen: Vec<(usize, &str)> =
            seeds.iter().filter_map(|case| Some((*self.cases.get(case)?, case.as_str()))).collect();
        self.met.extend(stolen.iter().map(|(place, _)| *place));
        for (place, track) in self.tracks.iter_mut().enumerate() {
            let case = stolen.iter().find(|(of, _)| *of == place).map(|(_, case)| *case);
            let (deposits, touched) = (track.deposits().len(), track.touched());
            track.follow(step, case)?;
            let more = track.deposits().len().saturating_sub(deposits);
            self.handed_over.extend(core::iter::repeat_n(place, more));
            let here = Some((transfer.height, transfer.position));
            if track.touched() > touched && self.touched_last != here {
                self.touched = self.touched.saturating_add(1);
                self.touched_last = here;
            }
        }
        Ok(())
    }

    /// The answer, once every transfer is in.
    ///
    /// # Errors
    /// Seeds that no transfer was; units that do not add up.
    pub(super) fn finish(self) -> Result<Apart, TraceError> {
        self.seeds.all_met()?;
        let each = self.tracks.iter().map(|track| track.outcome(self.header, &self.ledger));
        let found: Vec<Outcome> = each.collect::<Result<_, _>>().map_err(TraceError::Unbalanced)?;
        // The earliest first: in the order in which their first seeds were met.
        let mut order = Vec::with_capacity(found.len());
        for place in &self.met {
            if !order.contains(place) {
                order.push(*place);
            }
        }
        let alone: Vec<Outcome> = order.iter().filter_map(|place| found.get(*place).cloned()).collect();
        let Some(first) = alone.first() else { return Err(TraceError::NoSeed) };
        let together = Outcome {
            header: self.header,
            height: first.height,
            seeds: merged(&self.met, &found, |outcome| &outcome.seeds),
            totals: alone.iter().flat_map(|outcome| outcome.totals.iter().cloned()).collect(),
            held: self.held(&alone),
            deposits: merged::<Deposit>(&self.handed_over, &found, |outcome| &outcome.deposits),
            marked: marked(&alone),
            surfaced: first.surfaced.clone(),
            transactions_touched: self.touched,
        };
        Ok(Apart { together, alone })
    }

    /// Accounts with units of any case.
    fn held(&self, alone: &[Outcome]) -> Vec<Held> {
        let mut all: BTreeMap<(&str, &str), Held> = BTreeMap::new();
        for held in alone.iter().flat_map(|outcome| &outcome.held) {
            let fresh = || Held {
                tainted: Units::ZERO,
                by_case: BTreeMap::new(),
                segments: Vec::new(),
                lowest: None,
                ..held.clone()
            };
            let one = all.entry((&held.account, &held.asset)).or_insert_with(fresh);
            one.by_case.extend(held.by_case.clone());
            let sum = one.tainted.plus(held.tainted).unwrap_or(Units::MAX);
            one.tainted = if self.terms.rule == Rule::Of(Method::Poison) {
                held.balance
            } else {
                sum.min(held.balance)
            };
        }
        all.into_values().collect()
    }
}

/// What each case has of a kind, in the order of the list, which `of` knows by case.
fn merged<T: Clone>(of: &[usize], found: &[Outcome], kind: impl Fn(&Outcome) -> &Vec<T>) -> Vec<T> {
    let mut each: Vec<_> = found.iter().map(|outcome| kind(outcome).iter()).collect();
    of.iter().filter_map(|place| each.get_mut(*place)?.next().cloned()).collect()
}

fn marked(alone: &[Outcome]) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (account, cases) in alone.iter().flat_map(|outcome| &outcome.marked) {
        all.entry(account.clone()).or_default().extend(cases.iter().cloned());
    }
    all
}
