//! The accounts' state, transfer by transfer.
//!
//! Decides what each transfer carries and what becomes of it. Never reads a list: whoever feeds it has the order right.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    holding::{CaseNum, Holding, Parcel, Part, append},
    method::Rule,
    outcome::{
        BookError, CaseTotals, Deposit, Fees, Held, Outcome, Overdrawn, Seed, Segment, Stolen, Terms, Totals,
        TraceError, Unbalanced,
    },
    transfer::{Header, Kind, Opening, Transfer},
    units::Units,
};
use crate::taint::Method;

type Num = u32;

const POISON: Rule = Rule::Of(Method::Poison);

/// Names and their numbers, in the order of their first appearance.
#[derive(Debug, Default)]
struct Names {
    nums: HashMap<Box<str>, Num>,
    names: Vec<Box<str>>,
}

impl Names {
    fn number(&mut self, name: &str) -> Result<Num, BookError> {
        if let Some(known) = self.nums.get(name) {
            return Ok(*known);
        }
        let num = Num::try_from(self.names.len()).map_err(|_| BookError::Names)?;
        self.nums.insert(name.into(), num);
        self.names.push(name.into());
        Ok(num)
    }

    /// The name of a number that it gave itself.
    fn name(&self, num: Num) -> String {
        let place = usize::try_from(num).unwrap_or(usize::MAX);
        self.names.get(place).map_or_else(String::new, |name| name.as_ref().to_owned())
    }
}

/// Follows stolen units through transfers that come one by one.
#[derive(Debug)]
pub struct Book {
    header: Header,
    terms: Terms,
    open_seeds: HashMap<(String, u32), String>,
    /// Transactions of seeds, and whether they were met.
    seed_txs: HashMap<String, bool>,
    accounts: Names,
    assets: Names,
    cases: Names,
    holdings: HashMap<(Num, Num), Holding>,
    marks: HashMap<Num, BTreeSet<CaseNum>>,
    seeds: Vec<Stolen>,
    totals: BTreeMap<(CaseNum, Num), Totals>,
    deposits: Vec<Deposit>,
    surfaced: BTreeMap<Num, Units>,
    touched: u64,
    touched_last: Option<(u64, u32)>,
    height: Option<u64>,
    moved: Moved,
}

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

/// A transfer with its names as numbers.
#[derive(Clone, Copy)]
struct Move<'a> {
    transfer: &'a Transfer,
    asset: Num,
    from: Option<Num>,
    to: Option<Num>,
}

impl Book {
    /// An empty book.
    ///
    /// # Errors
    /// No seed, or one twice.
    pub fn new(header: Header, terms: Terms, seeds: &[Seed]) -> Result<Self, TraceError> {
        if seeds.is_empty() {
            return Err(TraceError::NoSeed);
        }
        let (mut open_seeds, mut seed_txs) = (HashMap::new(), HashMap::new());
        for Seed { tx, index, case } in seeds {
            if open_seeds.insert((tx.clone(), *index), case.clone()).is_some() {
                return Err(TraceError::SeedTwice { tx: tx.clone(), index: *index });
            }
            seed_txs.insert(tx.clone(), false);
        }
        Ok(Self {
            header,
            terms,
            open_seeds,
            seed_txs,
            accounts: Names::default(),
            assets: Names::default(),
            cases: Names::default(),
            holdings: HashMap::new(),
            marks: HashMap::new(),
            seeds: Vec::new(),
            totals: BTreeMap::new(),
            deposits: Vec::new(),
            surfaced: BTreeMap::new(),
            touched: 0,
            touched_last: None,
            height: None,
            moved: Moved::default(),
        })
    }

    /// Applies the next transfer.
    ///
    /// # Errors
    /// What the accounts' state does not allow. The book cannot be used after that.
    pub fn apply(&mut self, transfer: &Transfer) -> Result<(), BookError> {
        let step = Move {
            transfer,
            asset: self.assets.number(&transfer.asset)?,
            from: transfer.from.as_deref().map(|name| self.accounts.number(name)).transpose()?,
            to: transfer.to.as_deref().map(|name| self.accounts.number(name)).transpose()?,
        };
        self.height = Some(transfer.height);
        self.moved = Moved::default();
        let case = self.seed(step)?;
        self.cover(step)?;
        if step.from.is_some() && step.from == step.to {
            return Ok(());
        }
        if self.terms.rule == POISON {
            return self.poison(step, case);
        }
        let mut parcel = match step.from {
            Some(from) => self.take(step, from),
            None => vec![Part { case: None, amount: transfer.amount }],
        };
        if let Some(case) = case {
            parcel = self.steal(step, case, &parcel)?;
        }
        if parcel.iter().any(|part| part.case.is_some()) {
            self.touch(transfer);
        }
        self.deliver(step, parcel, case.is_some())
    }

    /// What the last transfer did with tainted units.
    #[must_use]
    pub const fn moved(&self) -> &Moved {
        &self.moved
    }

    /// The case that this transfer is a seed of.
    fn seed(&mut self, step: Move<'_>) -> Result<Option<CaseNum>, BookError> {
        let Transfer { tx, index, amount, .. } = step.transfer;
        let wrong = |why| BookError::Seed { tx: tx.clone(), index: *index, why };
        let Some(met) = self.seed_txs.get_mut(tx) else { return Ok(None) };
        *met = true;
        let Some(case) = self.open_seeds.remove(&(tx.clone(), *index)) else { return Ok(None) };
        let Some(account) = step.transfer.to.clone() else {
            return Err(wrong("arrives nowhere: it is destroyed"));
        };
        if step.from == step.to {
            return Err(wrong("goes from an account to itself"));
        }
        if amount.is_zero() {
            return Err(wrong("carries nothing"));
        }
        let num = self.cases.number(&case)?;
        let seed = Seed { tx: tx.clone(), index: *index, case };
        self.seeds.push(Stolen { seed, asset: step.transfer.asset.clone(), account, amount: *amount });
        Ok(Some(num))
    }

    /// Sees that the payer has what it pays.
    fn cover(&mut self, step: Move<'_>) -> Result<(), BookError> {
        let Transfer { amount, kind, asset, tx, index, .. } = step.transfer;
        let rule = self.terms.rule;
        if *kind == Kind::Opening && step.to.is_some_and(|to| self.holdings.contains_key(&(to, step.asset))) {
            let account = step.transfer.to.clone().unwrap_or_default();
            return Err(BookError::LateOpening { account, asset: asset.clone() });
        }
        let Some(from) = step.from else { return Ok(()) };
        let holding = self.holdings.entry((from, step.asset)).or_default();
        let missing = amount.beyond(holding.balance);
        if missing.is_zero() {
            return Ok(());
        }
        let account = self.accounts.name(from);
        match self.header.opening {
            Opening::Stated => Err(BookError::Overdrawn(Box::new(Overdrawn {
                account,
                asset: asset.clone(),
                amount: *amount,
                balance: holding.balance,
                tx: tx.clone(),
                index: *index,
            }))),
            Opening::Unknown => {
                let overflow = || BookError::Overflow { account, asset: asset.clone() };
                holding.surface(rule, missing).ok_or_else(overflow)?;
                let known = self.surfaced.entry(step.asset).or_default();
                *known = known.plus(missing).unwrap_or(Units::MAX);
                Ok(())
            }
        }
    }

    fn take(&mut self, step: Move<'_>, from: Num) -> Parcel {
        let holding = self.holdings.entry((from, step.asset)).or_default();
        let parcel = holding.take(self.terms.rule, step.transfer.amount);
        if self.terms.rule == Rule::Libr {
            holding.keep_lowest(step.transfer.height);
        }
        parcel
    }

    /// Marks what is clean in a seed; what a theft has already, it keeps.
    fn steal(&mut self, step: Move<'_>, case: CaseNum, parcel: &[Part]) -> Result<Parcel, BookError> {
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
        step: Move<'_>,
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
    fn deliver(&mut self, step: Move<'_>, parcel: Parcel, is_seed: bool) -> Result<(), BookError> {
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
    fn leaving(&self, step: Move<'_>) -> Option<fn(&mut Totals) -> &mut Units> {
        match (step.transfer.kind, self.terms.fees, step.to) {
            (Kind::Fee, Fees::Count, _) => Some(|totals| &mut totals.fees),
            (_, _, None) => Some(|totals| &mut totals.burned),
            (_, _, Some(_)) => None,
        }
    }

    /// Drops dust, and holds what arrives at a service.
    fn sift(&mut self, step: Move<'_>, parcel: Parcel, is_seed: bool) -> Result<Parcel, BookError> {
        if parcel.iter().all(|part| part.case.is_none()) {
            return Ok(parcel);
        }
        let mut by_case: BTreeMap<CaseNum, Units> = BTreeMap::new();
        for (case, amount) in parcel.iter().filter_map(|part| Some((part.case?, part.amount))) {
            let sum = by_case.entry(case).or_default();
            *sum = sum.plus(amount).unwrap_or(Units::MAX);
        }
        let dust = self.terms.dust.get(&step.transfer.asset).copied().unwrap_or_default();
        let service = step.transfer.to.clone().filter(|to| self.terms.stops.contains(to));
        let mut followed = BTreeSet::new();
        for (case, tainted) in by_case {
            if tainted < dust && !is_seed {
                self.count(step, case, tainted, |totals| &mut totals.dust)?;
                self.moved.dust = self.moved.dust.plus(tainted).unwrap_or(Units::MAX);
            } else if let Some(service) = &service {
                self.count(step, case, tainted, |totals| &mut totals.stopped)?;
                self.moved.stopped = self.moved.stopped.plus(tainted).unwrap_or(Units::MAX);
                self.hand_over(step, service, case, tainted);
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

    fn hand_over(&mut self, step: Move<'_>, service: &str, case: CaseNum, tainted: Units) {
        let transfer = step.transfer;
        self.deposits.push(Deposit {
            tx: transfer.tx.clone(),
            index: transfer.index,
            height: transfer.height,
            asset: transfer.asset.clone(),
            from: transfer.from.clone(),
            service: service.to_owned(),
            amount: transfer.amount,
            case: self.cases.name(case),
            tainted,
        });
    }

    fn put(&mut self, step: Move<'_>, to: Num, parcel: &[Part]) -> Result<(), BookError> {
        let rule = self.terms.rule;
        let holding = self.holdings.entry((to, step.asset)).or_default();
        let put = holding.put(rule, parcel);
        if rule == Rule::Libr {
            holding.keep_lowest(step.transfer.height);
        }
        put.ok_or_else(|| BookError::Overflow {
            account: self.accounts.name(to),
            asset: step.transfer.asset.clone(),
        })
    }

    /// Moves balances, and marks from account to account.
    fn poison(&mut self, step: Move<'_>, seed: Option<CaseNum>) -> Result<(), BookError> {
        let amount = step.transfer.amount;
        if let Some(from) = step.from {
            self.take(step, from);
        }
        if let Some(to) = step.to {
            self.put(step, to, &[Part { case: None, amount }])?;
        }
        let carried = step.from.and_then(|from| self.marks.get(&from)).cloned().unwrap_or_default();
        if let Some(case) = seed {
            self.count(step, case, amount, |totals| &mut totals.stolen)?;
        }
        let counts_fee = step.transfer.kind == Kind::Fee && self.terms.fees == Fees::Count;
        let Some(to) = step.to.filter(|_| !counts_fee && !amount.is_zero()) else { return Ok(()) };
        let dust = self.terms.dust.get(&step.transfer.asset).copied().unwrap_or_default();
        let service = step.transfer.to.clone().filter(|to| self.terms.stops.contains(to));
        for case in carried.into_iter().chain(seed).collect::<BTreeSet<_>>() {
            self.touch(step.transfer);
            if amount < dust && seed != Some(case) {
                self.count(step, case, amount, |totals| &mut totals.dust)?;
            } else if let Some(service) = &service {
                self.count(step, case, amount, |totals| &mut totals.stopped)?;
                self.hand_over(step, service, case, amount);
            } else {
                self.marks.entry(to).or_default().insert(case);
            }
        }
        Ok(())
    }

    /// The answer, once every transfer is in.
    ///
    /// # Errors
    /// Seeds that no transfer was; units that do not add up.
    pub fn finish(self) -> Result<Outcome, TraceError> {
        if let Some((tx, index)) = self.open_seeds.keys().min().cloned() {
            let why = if self.seed_txs.get(&tx) == Some(&true) {
                "the transaction has no such transfer"
            } else {
                "there is no such transaction up to the last block that counts"
            };
            return Err(TraceError::NoSuchSeed { tx, index, why });
        }
        let held = self.held();
        let totals = self.balanced(&held)?;
        let names = |cases: &BTreeSet<CaseNum>| cases.iter().map(|case| self.cases.name(*case)).collect();
        Ok(Outcome {
            header: self.header,
            height: self.height,
            totals,
            held,
            marked: self.marks.iter().map(|(num, cases)| (self.accounts.name(*num), names(cases))).collect(),
            surfaced: self.surfaced.iter().map(|(num, sum)| (self.assets.name(*num), *sum)).collect(),
            transactions_touched: self.touched,
            seeds: self.seeds,
            deposits: self.deposits,
        })
    }

    fn held(&self) -> Vec<Held> {
        let poison = self.terms.rule == POISON;
        let mut all: Vec<Held> = Vec::new();
        for ((account, asset), holding) in &self.holdings {
            let mut by_case: BTreeMap<String, Units> = BTreeMap::new();
            let marks = self.marks.get(account).into_iter().flatten().map(|case| (*case, holding.balance));
            let parts = holding.parts.iter().filter_map(|part| Some((part.case?, part.amount)));
            for (case, amount) in parts.chain(marks.filter(|_| !holding.balance.is_zero())) {
                let sum = by_case.entry(self.cases.name(case)).or_default();
                *sum = sum.plus(amount).unwrap_or(Units::MAX);
            }
            if by_case.is_empty() {
                continue;
            }
            let segment = |part: &Part| Segment {
                case: part.case.map(|case| self.cases.name(case)),
                amount: part.amount,
            };
            let has_order = matches!(self.terms.rule, Rule::Of(Method::Fifo | Method::Lifo));
            all.push(Held {
                account: self.accounts.name(*account),
                asset: self.assets.name(*asset),
                balance: holding.balance,
                tainted: if poison { holding.balance } else { holding.tainted() },
                by_case,
                segments: holding.parts.iter().filter(|_| has_order).map(segment).collect(),
                lowest: holding.lowest,
            });
        }
        all.sort_by(|a, b| (&a.account, &a.asset).cmp(&(&b.account, &b.asset)));
        all
    }

    /// Totals by case and asset, seen to add up.
    fn balanced(&self, held: &[Held]) -> Result<Vec<CaseTotals>, TraceError> {
        let mut all: BTreeMap<CaseNum, CaseTotals> = BTreeMap::new();
        for ((num, asset), totals) in &self.totals {
            let fresh = || CaseTotals { case: self.cases.name(*num), by_asset: BTreeMap::new() };
            let case = all.entry(*num).or_insert_with(fresh);
            case.by_asset.insert(self.assets.name(*asset), totals.clone());
        }
        for one in held {
            for CaseTotals { case, by_asset } in all.values_mut() {
                // Under poison an account's other assets are marked too, of which none is stolen.
                let Some(totals) = by_asset.get_mut(&one.asset) else { continue };
                let more = one.by_case.get(case).copied().unwrap_or_default();
                totals.held = totals.held.plus(more).unwrap_or(Units::MAX);
            }
        }
        let all: Vec<CaseTotals> = all.into_values().collect();
        let assets = all.iter().flat_map(|one| one.by_asset.iter().map(move |found| (&one.case, found)));
        for (case, (asset, totals)) in assets.filter(|_| self.terms.rule.conserves()) {
            let (found, stolen) = (totals.found().unwrap_or(Units::MAX), totals.stolen);
            if found != stolen {
                let (case, asset) = (case.clone(), asset.clone());
                return Err(TraceError::Unbalanced(Box::new(Unbalanced { case, asset, stolen, found })));
            }
        }
        Ok(all)
    }
}

/// The same units without taint.
fn clean(parcel: &[Part]) -> Parcel {
    let mut all = Parcel::new();
    for part in parcel {
        append(&mut all, Part { case: None, ..*part });
    }
    all
}
