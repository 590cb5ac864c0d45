//! Stolen units by one rule, transfer by transfer, beside a ledger that knows what everybody holds.
//!
//! Decides what each transfer carries and what becomes of it. Keeps only accounts with tainted units, so that what a track
//! costs is what it found.

mod answer;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    holding::{CaseNum, Holding, Parcel, Part, append},
    ledger::{Ledger, Names, Num, Place, Step},
    method::Rule,
    outcome::{BookError, Deposit, Fees, Seed, Stolen, Stop, Terms, Totals},
    transfer::{Kind, Transfer},
    units::Units,
};
use crate::taint::Method;

const POISON: Rule = Rule::Of(Method::Poison);

/// What an exchange of assets within one transaction is called, before the transaction's id.
pub(super) const EXCHANGE: &str = "exchange:";

/// What became of tainted units by one transfer, of all thefts together. Poison moves marks and not units: nothing here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Moved {
    /// Newly stolen by it.
    pub fresh: Units,
    /// Arrived on an account that is followed.
    pub followed: Units,
    /// Arrived at a service.
    pub stopped: Units,
    /// Dropped as dust.
    pub dust: Units,
    /// Paid as a fee that nobody follows.
    pub fees: Units,
    /// Destroyed.
    pub burned: Units,
}

/// How a track was before a block.
#[derive(Debug, Default)]
pub(super) struct Before {
    holdings: HashMap<Place, Option<Holding>>,
    marks: Vec<(Num, CaseNum)>,
    totals: BTreeMap<(CaseNum, Num), Totals>,
    seeds: usize,
    deposits: usize,
    touched: u64,
    touched_last: Option<(u64, u32)>,
}

impl Before {
    /// Where tainted units may have come or left since.
    pub(super) fn places(&self) -> impl Iterator<Item = Place> {
        self.holdings.keys().copied()
    }

    /// Accounts that were marked since.
    pub(super) fn marked(&self) -> impl Iterator<Item = Num> {
        self.marks.iter().map(|(account, _)| *account)
    }

    /// How many deposits there were.
    pub(super) const fn deposits(&self) -> usize {
        self.deposits
    }
}

/// Where stolen units are by one rule.
#[derive(Debug)]
pub(super) struct Track {
    terms: Terms,
    cases: Names,
    holdings: HashMap<Place, Holding>,
    /// Under poison, since which block an account is marked.
    marks: HashMap<Num, BTreeMap<CaseNum, u64>>,
    seeds: Vec<Stolen>,
    totals: BTreeMap<(CaseNum, Num), Totals>,
    deposits: Vec<Deposit>,
    touched: u64,
    touched_last: Option<(u64, u32)>,
    before: Option<Before>,
    moved: Moved,
}

impl Track {
    pub(super) fn new(terms: Terms) -> Self {
        Self {
            terms,
            cases: Names::default(),
            holdings: HashMap::new(),
            marks: HashMap::new(),
            seeds: Vec::new(),
            totals: BTreeMap::new(),
            deposits: Vec::new(),
            touched: 0,
            touched_last: None,
            before: None,
            moved: Moved::default(),
        }
    }

    /// Keeps from now on what it takes to be as now again.
    pub(super) fn begin(&mut self) {
        self.before = Some(Before {
            holdings: HashMap::new(),
            marks: Vec::new(),
            totals: self.totals.clone(),
            seeds: self.seeds.len(),
            deposits: self.deposits.len(),
            touched: self.touched,
            touched_last: self.touched_last,
        });
    }

    /// What was kept since [`begin`](Self::begin).
    pub(super) fn end(&mut self) -> Before {
        self.before.take().unwrap_or_default()
    }

    /// Is as it was before. Cases keep their numbers.
    pub(super) fn undo(&mut self, before: Before) {
        for (place, holding) in before.holdings {
            match holding {
                Some(holding) => drop(self.holdings.insert(place, holding)),
                None => drop(self.holdings.remove(&place)),
            }
        }
        for (account, case) in before.marks {
            if let Some(marks) = self.marks.get_mut(&account) {
                marks.remove(&case);
                if marks.is_empty() {
                    self.marks.remove(&account);
                }
            }
        }
        self.totals = before.totals;
        self.seeds.truncate(before.seeds);
        self.deposits.truncate(before.deposits);
        (self.touched, self.touched_last) = (before.touched, before.touched_last);
    }

    pub(super) const fn rule(&self) -> Rule {
        self.terms.rule
    }

    /// What the last transfer did with tainted units.
    pub(super) const fn moved(&self) -> &Moved {
        &self.moved
    }

    /// How many transactions moved tainted units.
    pub(super) const fn touched(&self) -> u64 {
        self.touched
    }

    /// What arrived at services, in the order of the list.
    pub(super) fn deposits(&self) -> &[Deposit] {
        &self.deposits
    }

    /// Takes up a transfer that the ledger has taken; a seed of the case that is named.
    ///
    /// # Errors
    /// A seed that is no theft, or more than there can be. The track cannot be used after that, but to be undone.
    pub(super) fn follow(&mut self, step: Step<'_>, seed: Option<&str>) -> Result<(), BookError> {
        self.moved = Moved::default();
        let case = seed.map(|case| self.seed(step, case)).transpose()?;
        if step.stays() {
            // They were there, also where nobody knew of them.
            return self.surface(step);
        }
        if self.terms.rule == POISON {
            return self.poison(step, case);
        }
        let mut parcel = self.take(step)?;
        if let Some(case) = case {
            parcel = self.steal(step, case, &parcel)?;
        }
        if is_tainted(&parcel) {
            self.touch(step.transfer);
        }
        self.deliver(step, parcel, case.is_some())
    }

    fn seed(&mut self, step: Step<'_>, case: &str) -> Result<CaseNum, BookError> {
        let Transfer { tx, index, amount, asset, .. } = step.transfer;
        if let Some(why) = no_theft(step.transfer) {
            return Err(BookError::Seed { tx: tx.clone(), index: *index, why });
        }
        let num = self.cases.number(case)?;
        let seed = Seed { tx: tx.clone(), index: *index, case: case.to_owned() };
        let account = step.transfer.to.clone().unwrap_or_default();
        self.seeds.push(Stolen { seed, asset: asset.clone(), account, amount: *amount });
        Ok(num)
    }

    /// Keeps how an account was before the block.
    fn save(&mut self, place: Place) {
        if let Some(before) = &mut self.before {
            let holding = self.holdings.get(&place);
            before.holdings.entry(place).or_insert_with(|| holding.cloned());
        }
    }

    /// Puts the payer's units that nobody knew of before all others.
    fn surface(&mut self, step: Step<'_>) -> Result<(), BookError> {
        let place = step.from.map(|from| (from, step.asset)).filter(|_| !step.surfaced.is_zero());
        let Some(place) = place.filter(|place| self.holdings.contains_key(place)) else { return Ok(()) };
        self.save(place);
        let rule = self.terms.rule;
        let surfaced = self.holdings.get_mut(&place).map_or(Some(()), |one| one.surface(rule, step.surfaced));
        surfaced.ok_or_else(|| BookError::Overflow {
            account: step.transfer.from.clone().unwrap_or_default(),
            asset: step.transfer.asset.clone(),
        })
    }

    fn take(&mut self, step: Step<'_>) -> Result<Parcel, BookError> {
        self.surface(step)?;
        let (rule, amount) = (self.terms.rule, step.transfer.amount);
        let place = step.from.map(|from| (from, step.asset));
        let Some(place) = place.filter(|place| self.holdings.contains_key(place)) else {
            return Ok(vec![Part { case: None, amount }]);
        };
        self.save(place);
        let holding = self.holdings.entry(place).or_default();
        let parcel = holding.take(rule, amount, step.had);
        if is_tainted(&parcel) {
            holding.changed = step.transfer.height;
        }
        if rule == Rule::Libr {
            holding.keep_lowest(step.had.beyond(amount), step.transfer.height);
        }
        if holding.tainted().is_zero() {
            self.holdings.remove(&place);
        }
        Ok(parcel)
    }

    /// Marks what is clean in a seed; what a theft has already, it keeps.
    fn steal(&mut self, step: Step<'_>, case: CaseNum, parcel: &[Part]) -> Result<Parcel, BookError> {
        let mut stolen = Parcel::new();
        let (mut fresh, mut overlap) = (Units::ZERO, Units::ZERO);
        for part in parcel {
            // Parts of one transfer, which fits.
            match part.case {
                None => fresh = fresh.plus(part.amount).unwrap_or(Units::MAX),
                Some(known) if known != case => overlap = overlap.plus(part.amount).unwrap_or(Units::MAX),
                Some(_) => {}
            }
            append(&mut stolen, Part { case: part.case.or(Some(case)), ..*part });
        }
        self.moved.fresh = fresh;
        self.count(step, case, fresh, |totals| &mut totals.stolen)?;
        self.count(step, case, overlap, |totals| &mut totals.overlap)?;
        Ok(stolen)
    }

    fn count(
        &mut self,
        step: Step<'_>,
        case: CaseNum,
        amount: Units,
        place: fn(&mut Totals) -> &mut Units,
    ) -> Result<(), BookError> {
        let place = place(self.totals.entry((case, step.asset)).or_default());
        let overflow = || BookError::Overflow {
            account: format!("case {}", self.cases.name(case)),
            asset: step.transfer.asset.clone(),
        };
        *place = place.plus(amount).ok_or_else(overflow)?;
        Ok(())
    }

    fn touch(&mut self, transfer: &Transfer) {
        let place = Some((transfer.height, transfer.position));
        if self.touched_last != place {
            self.touched = self.touched.saturating_add(1);
            self.touched_last = place;
        }
    }

    /// Brings units to where they go: an account, a service, or out of the world.
    fn deliver(&mut self, step: Step<'_>, parcel: Parcel, is_seed: bool) -> Result<(), BookError> {
        let Some(leaves) = self.leaving(step) else {
            let Some(to) = step.to else { return Ok(()) };
            let kept = self.sift(step, parcel, is_seed)?;
            return self.put(step, to, &kept);
        };
        for part in &parcel {
            if let Some(case) = part.case {
                self.count(step, case, part.amount, leaves)?;
                let is_fee = step.transfer.kind == Kind::Fee && self.terms.fees == Fees::Count;
                let place = if is_fee { &mut self.moved.fees } else { &mut self.moved.burned };
                *place = place.plus(part.amount).unwrap_or(Units::MAX);
            }
        }
        match step.to {
            Some(to) => self.put(step, to, &clean(&parcel)),
            None => Ok(()),
        }
    }

    /// Where units are counted that are not followed; `None` where they are.
    fn leaving(&self, step: Step<'_>) -> Option<fn(&mut Totals) -> &mut Units> {
        match (step.transfer.kind, self.terms.fees, step.to) {
            (Kind::Fee, Fees::Count, _) => Some(|totals| &mut totals.fees),
            (_, _, None) => Some(|totals| &mut totals.burned),
            (_, _, Some(_)) => None,
        }
    }

    /// Where a transfer arrives and nothing is followed further.
    fn stop(&self, step: Step<'_>) -> Option<Stop> {
        let to = step.transfer.to.as_ref()?;
        let payments = step.met.payments;
        if self.terms.stops.contains(to) {
            Some(Stop::Named)
        } else if to.starts_with(EXCHANGE) {
            Some(Stop::Exchange)
        } else {
            let least = self.terms.hub_payments_min.filter(|least| payments >= *least);
            least.map(|_| Stop::Hub { payments })
        }
    }

    /// Drops dust, and holds what arrives at a service.
    fn sift(&mut self, step: Step<'_>, parcel: Parcel, is_seed: bool) -> Result<Parcel, BookError> {
        if !is_tainted(&parcel) {
            return Ok(parcel);
        }
        let mut by_case: BTreeMap<CaseNum, Units> = BTreeMap::new();
        for (case, amount) in parcel.iter().filter_map(|part| Some((part.case?, part.amount))) {
            let sum = by_case.entry(case).or_default();
            *sum = sum.plus(amount).unwrap_or(Units::MAX);
        }
        let dust = self.terms.dust.get(&step.transfer.asset).copied().unwrap_or_default();
        let stop = self.stop(step);
        let mut followed = BTreeSet::new();
        for (case, tainted) in by_case {
            if tainted < dust && !is_seed {
                self.count(step, case, tainted, |totals| &mut totals.dust)?;
                self.moved.dust = self.moved.dust.plus(tainted).unwrap_or(Units::MAX);
            } else if let Some(stop) = stop {
                self.count(step, case, tainted, |totals| &mut totals.stopped)?;
                self.moved.stopped = self.moved.stopped.plus(tainted).unwrap_or(Units::MAX);
                self.hand_over(step, stop, case, tainted);
            } else {
                self.moved.followed = self.moved.followed.plus(tainted).unwrap_or(Units::MAX);
                followed.insert(case);
            }
        }
        let mut kept = Parcel::new();
        for part in parcel {
            append(&mut kept, Part { case: part.case.filter(|case| followed.contains(case)), ..part });
        }
        Ok(kept)
    }

    fn hand_over(&mut self, step: Step<'_>, stop: Stop, case: CaseNum, tainted: Units) {
        let transfer = step.transfer;
        self.deposits.push(Deposit {
            tx: transfer.tx.clone(),
            index: transfer.index,
            height: transfer.height,
            asset: transfer.asset.clone(),
            from: transfer.from.clone(),
            service: transfer.to.clone().unwrap_or_default(),
            stop,
            amount: transfer.amount,
            case: self.cases.name(case),
            tainted,
        });
    }

    fn put(&mut self, step: Step<'_>, to: Num, parcel: &[Part]) -> Result<(), BookError> {
        let (rule, place) = (self.terms.rule, (to, step.asset));
        let tainted = is_tainted(parcel);
        if !tainted && !self.holdings.contains_key(&place) {
            return Ok(());
        }
        self.save(place);
        let fresh = || Holding::clean(rule, step.met.balance);
        let holding = self.holdings.entry(place).or_insert_with(fresh);
        let put = holding.put(rule, parcel);
        if tainted {
            holding.changed = step.transfer.height;
        }
        if rule == Rule::Libr {
            // The ledger has seen that the sum fits.
            let balance = step.met.balance.plus(step.transfer.amount).unwrap_or(Units::MAX);
            holding.keep_lowest(balance, step.transfer.height);
        }
        put.ok_or_else(|| BookError::Overflow {
            account: step.transfer.to.clone().unwrap_or_default(),
            asset: step.transfer.asset.clone(),
        })
    }

    /// Marks from account to account.
    fn poison(&mut self, step: Step<'_>, seed: Option<CaseNum>) -> Result<(), BookError> {
        let amount = step.transfer.amount;
        if let Some(case) = seed {
            self.count(step, case, amount, |totals| &mut totals.stolen)?;
        }
        let counts_fee = step.transfer.kind == Kind::Fee && self.terms.fees == Fees::Count;
        let Some(to) = step.to.filter(|_| !counts_fee && !amount.is_zero()) else { return Ok(()) };
        let carried = step.from.and_then(|from| self.marks.get(&from)).into_iter().flatten();
        let carried: BTreeSet<CaseNum> = carried.map(|(case, _)| *case).chain(seed).collect();
        let dust = self.terms.dust.get(&step.transfer.asset).copied().unwrap_or_default();
        let stop = self.stop(step);
        for case in carried {
            self.touch(step.transfer);
            if amount < dust && seed != Some(case) {
                self.count(step, case, amount, |totals| &mut totals.dust)?;
            } else if let Some(stop) = stop {
                self.count(step, case, amount, |totals| &mut totals.stopped)?;
                self.hand_over(step, stop, case, amount);
            } else {
                self.mark(to, case, step.transfer.height);
            }
        }
        Ok(())
    }

    fn mark(&mut self, account: Num, case: CaseNum, height: u64) {
        let marks = self.marks.entry(account).or_default();
        if let std::collections::btree_map::Entry::Vacant(vacant) = marks.entry(case) {
            vacant.insert(height);
            if let Some(before) = &mut self.before {
                before.marks.push((account, case));
            }
        }
    }

    /// Tainted units of all thefts that an account holds, and the last block in which that changed; under poison all that
    /// it holds, and since which block it is marked.
    pub(super) fn tainted(&self, ledger: &Ledger, place: Place) -> (Units, u64) {
        if self.terms.rule == POISON {
            let marked = self.marks.get(&place.0).and_then(|marks| marks.values().min());
            return marked.map_or((Units::ZERO, 0), |since| (ledger.purse(place).balance, *since));
        }
        self.holdings.get(&place).map_or((Units::ZERO, 0), |holding| (holding.tainted(), holding.changed))
    }

    /// Whether an account is marked, under poison.
    pub(super) fn is_marked(&self, account: Num) -> bool {
        self.marks.contains_key(&account)
    }

    /// Accounts with taint of this asset.
    pub(super) fn places(&self, asset: Num) -> impl Iterator<Item = Place> {
        let held = self.holdings.keys().copied().filter(move |place| place.1 == asset);
        held.chain(self.marks.keys().map(move |account| (*account, asset)))
    }
}

/// Why a transfer cannot be a theft's; `None` where it can.
pub(super) fn no_theft(transfer: &Transfer) -> Option<&'static str> {
    if transfer.to.is_none() {
        return Some("arrives nowhere: it is destroyed");
    }
    if transfer.from == transfer.to {
        return Some("goes from an account to itself");
    }
    transfer.amount.is_zero().then_some("carries nothing")
}

fn is_tainted(parcel: &[Part]) -> bool {
    parcel.iter().any(|part| part.case.is_some())
}

/// The same units without taint.
fn clean(parcel: &[Part]) -> Parcel {
    let mut all = Parcel::new();
    for part in parcel {
        append(&mut all, Part { case: None, ..*part });
    }
    all
}
