//! Traces a list of transfers by several rules at once and keeps every transfer of stolen units: what can be drawn of accounts.
//!
//! An account stands where stolen units come to it first. Units that come back to it from an account that stands later would make
//! a circle: then the account stands again, further on, and what it still held goes on with it. So every flow leads onwards, and
//! what comes into a node is what leaves it, to the unit.

use std::{
    collections::{BTreeSet, HashMap},
    io::BufRead,
};

use kuraban_base::Height;

use super::{Amounts, Flow, LeftOut, METHODS, Node, Picture, order, weight};
use crate::{
    accounts::{Book, Moved, Outcome, Reader, Rule, Seed, Terms, TraceError, Transfer, Units},
    graph::TxNum,
    taint::End,
};

/// The transaction of flows that feed a node: on accounts nodes alone say what they feed.
const ONWARDS: End = End::Spent(TxNum::new(0));

/// An account in the picture.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stand {
    /// Its name.
    pub account: String,
    /// The block in which stolen units came to it here.
    pub height: Height,
}

/// A flow as the list has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Way {
    /// The transfer: its transaction and its place there. Nothing where units stay on an account.
    pub transfer: Option<(String, u32)>,
    /// Whose they are then.
    pub account: Option<String>,
    /// The block.
    pub height: Height,
}

/// A trace on accounts by several rules, laid out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccountPicture {
    /// By rule.
    pub outcomes: Vec<Outcome>,
    /// The layout.
    pub picture: Picture,
    /// By node; nothing for the theft.
    pub stands: Vec<Option<Stand>>,
    /// By flow.
    pub ways: Vec<Way>,
}

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// There is no trace.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// Too many rules, or one that moves no units.
    #[error("a picture holds 1 to {METHODS} rules that conserve units, found {found}")]
    Rules {
        /// Their names.
        found: String,
    },
    /// More than a picture's amounts hold.
    #[error("{tx} transfer {index} moves more than 2^128 - 1 units; such an asset cannot be drawn")]
    Large {
        /// The transaction.
        tx: String,
        /// The transfer.
        index: u32,
    },
    /// A height beyond 32 bits.
    #[error("height {found} is beyond 4294967295, and no chain that is known here has such a block")]
    Height {
        /// The height.
        found: u64,
    },
}

/// Traces by each of the rules, on terms that are the same but for it, and lays out what they found of one asset. At most
/// `flows_max` flows are kept, [`super::FLOWS_MAX`] for a report.
///
/// # Errors
/// There is no trace, or it cannot be drawn.
pub fn account_picture(
    list: impl BufRead,
    terms: &Terms,
    seeds: &[Seed],
    rules: &[Rule],
    asset: &str,
    flows_max: usize,
) -> Result<AccountPicture, PictureError> {
    if !(1..=METHODS).contains(&rules.len()) || rules.iter().any(|rule| !rule.conserves()) {
        let found = rules.iter().map(|rule| rule.name()).collect::<Vec<_>>().join(", ");
        return Err(PictureError::Rules { found });
    }
    let mut reader = Reader::new(list).map_err(TraceError::from)?;
    let book = |rule: &Rule| Book::new(reader.header(), Terms { rule: *rule, ..terms.clone() }, seeds);
    let mut books = rules.iter().map(book).collect::<Result<Vec<Book>, _>>()?;
    let mut drawing = Drawing::new();
    let mut last = Height::default();
    while let Some(transfer) = reader.next().transpose().map_err(TraceError::from)? {
        if terms.until.is_some_and(|until| transfer.height > until) {
            break;
        }
        let line = reader.line();
        let mut moved = Vec::with_capacity(books.len());
        for book in &mut books {
            book.apply(&transfer).map_err(|problem| TraceError::Book { line, problem })?;
            moved.push(*book.moved());
        }
        last = height(transfer.height)?;
        if transfer.asset == asset && moved.iter().any(|moved| *moved != Moved::default()) {
            drawing.draw(&transfer, last, &moved)?;
        }
    }
    let outcomes = books.into_iter().map(Book::finish).collect::<Result<Vec<_>, _>>()?;
    drawing.hold(&outcomes, asset, last);
    Ok(drawing.lay_out(outcomes, rules, flows_max))
}

fn height(found: u64) -> Result<Height, PictureError> {
    u32::try_from(found).map(Height::new).map_err(|_| PictureError::Height { found })
}

/// By rule, of one kind.
fn amounts(moved: &[Moved], of: fn(&Moved) -> Units, transfer: &Transfer) -> Result<Amounts, PictureError> {
    let mut amounts = Amounts::default();
    for (place, moved) in moved.iter().enumerate() {
        let large = |_| PictureError::Large { tx: transfer.tx.clone(), index: transfer.index };
        amounts.add(place, u128::try_from(of(moved)).map_err(large)?);
    }
    Ok(amounts)
}

impl Amounts {
    fn is_none(&self) -> bool {
        self.0.iter().all(|amount| *amount == 0)
    }

    /// Takes others away, as far as they are there; gives what was taken.
    fn take(&mut self, others: &Self) -> Self {
        let mut taken = *self;
        for ((own, other), taken) in self.0.iter_mut().zip(others.0).zip(&mut taken.0) {
            *taken = (*own).min(other);
            *own = own.saturating_sub(other);
        }
        taken
    }

    fn grow(&mut self, others: &Self) {
        (0..METHODS).for_each(|place| self.add(place, others.of(place)));
    }
}

struct Drawing {
    nodes: Vec<Node>,
    stands: Vec<Option<Stand>>,
    /// What stands on each node at this time.
    held: Vec<Amounts>,
    flows: Vec<(Flow, Way)>,
    /// Where each account stands last.
    current: HashMap<String, usize>,
}

impl Drawing {
    fn new() -> Self {
        let mut drawing = Self {
            nodes: Vec::new(),
            stands: Vec::new(),
            held: Vec::new(),
            flows: Vec::new(),
            current: HashMap::new(),
        };
        drawing.stand(None);
        drawing
    }

    fn stand(&mut self, stand: Option<Stand>) -> usize {
        let place = self.nodes.len();
        let (fees, unclaimed) = (Amounts::default(), Amounts::default());
        self.nodes.push(Node { tx: None, layer: 0, rank: 0, parent: 0, fees, unclaimed });
        self.stands.push(stand);
        self.held.push(Amounts::default());
        place
    }

    /// Where the payee stands for what comes from a node: further on than that node.
    fn payee(&mut self, account: &str, from: usize, height: Height) -> usize {
        let known = self.current.get(account).copied();
        if let Some(known) = known.filter(|known| *known > from) {
            return known;
        }
        let fresh = self.stand(Some(Stand { account: account.to_owned(), height }));
        self.current.insert(account.to_owned(), fresh);
        if let Some(before) = known {
            let kept = self.held.get(before).copied().unwrap_or_default();
            if !kept.is_none() {
                let way = Way { transfer: None, account: Some(account.to_owned()), height };
                self.flow(before, Some(fresh), ONWARDS, kept, 0, way);
            }
        }
        fresh
    }

    /// Moves units from a node to another, or to where they end.
    fn flow(&mut self, from: usize, to: Option<usize>, end: End, amounts: Amounts, value: u128, way: Way) {
        if from > 0
            && let Some(held) = self.held.get_mut(from)
        {
            held.take(&amounts);
        }
        if let Some(held) = to.and_then(|to| self.held.get_mut(to)) {
            held.grow(&amounts);
        }
        let flow = Flow { output: None, from, to, end, seed: from == 0, value_sat: value, amounts, dust: 0 };
        self.flows.push((flow, way));
    }

    fn draw(&mut self, transfer: &Transfer, height: Height, moved: &[Moved]) -> Result<(), PictureError> {
        let amounts = |of: fn(&Moved) -> Units| amounts(moved, of, transfer);
        let mut fresh = amounts(|moved| moved.fresh)?;
        let value = u128::try_from(transfer.amount).unwrap_or(u128::MAX);
        let payer = transfer.from.as_deref().and_then(|from| self.current.get(from)).copied().unwrap_or(0);
        let fees = amounts(|moved| moved.fees)?;
        if let (Some(node), Some(held)) = (self.nodes.get_mut(payer), self.held.get_mut(payer)) {
            node.fees.grow(&fees);
            held.take(&fees);
        }
        let way = Way {
            transfer: Some((transfer.tx.clone(), transfer.index)),
            account: transfer.to.clone(),
            height,
        };
        let ends = [
            (End::Stopped, amounts(|moved| moved.stopped)?),
            (End::Dust, amounts(|moved| moved.dust)?),
            (End::Burned, amounts(|moved| moved.burned)?),
        ];
        let mut followed = amounts(|moved| moved.followed)?;
        let stolen = followed.take(&fresh);
        fresh.take(&stolen);
        if let Some(to) = transfer.to.as_deref() {
            if !stolen.is_none() {
                let place = self.payee(to, 0, height);
                self.flow(0, Some(place), ONWARDS, stolen, value, way.clone());
            }
            if !followed.is_none() {
                let place = self.payee(to, payer, height);
                self.flow(payer, Some(place), ONWARDS, followed, value, way.clone());
            }
        }
        for (end, mut gone) in ends {
            let stolen = gone.take(&fresh);
            fresh.take(&stolen);
            for (from, part) in [(0, stolen), (payer, gone)] {
                if !part.is_none() {
                    self.flow(from, None, end, part, value, way.clone());
                }
            }
        }
        Ok(())
    }

    /// What accounts hold at the end stays where it is.
    fn hold(&mut self, outcomes: &[Outcome], asset: &str, height: Height) {
        let mut balances: HashMap<&str, u128> = HashMap::new();
        for held in outcomes.iter().flat_map(|found| &found.held).filter(|held| held.asset == asset) {
            balances.insert(&held.account, u128::try_from(held.balance).unwrap_or(u128::MAX));
        }
        for node in 1..self.nodes.len() {
            let (Some(held), Some(Some(stand))) = (self.held.get(node).copied(), self.stands.get(node))
            else {
                continue;
            };
            if held.is_none() {
                continue;
            }
            let value = balances.get(stand.account.as_str()).copied().unwrap_or(0);
            let way = Way { transfer: None, account: Some(stand.account.clone()), height };
            self.flow(node, None, End::Unspent, held, value, way);
        }
    }

    fn lay_out(self, outcomes: Vec<Outcome>, rules: &[Rule], flows_max: usize) -> AccountPicture {
        let mut left_out = LeftOut::default();
        let mut kept: Vec<(usize, (Flow, Way))> = self.flows.into_iter().enumerate().collect();
        if kept.len() > flows_max {
            kept.sort_by_key(|(at, (flow, _))| (core::cmp::Reverse(weight(rules, &flow.amounts)), *at));
            for (_, (gone, _)) in kept.drain(flows_max..) {
                left_out.flows = left_out.flows.saturating_add(1);
                if gone.to.is_none() {
                    left_out.ends = left_out.ends.saturating_add(1);
                    left_out.amounts.grow(&gone.amounts);
                }
            }
            kept.sort_by_key(|(at, _)| *at);
        }
        let used: BTreeSet<usize> =
            kept.iter().flat_map(|(_, (flow, _))| [Some(flow.from), flow.to]).flatten().chain([0]).collect();
        let places: HashMap<usize, usize> = used.iter().copied().zip(0..).collect();
        let there = |node: usize| places.get(&node).copied();
        let (mut nodes, mut stands) = (Vec::new(), Vec::new());
        for (place, (node, stand)) in self.nodes.into_iter().zip(self.stands).enumerate() {
            if used.contains(&place) {
                nodes.push(node);
                stands.push(stand);
            } else {
                left_out.fees.grow(&node.fees);
            }
        }
        let moved = |(_, (flow, way)): (usize, (Flow, Way))| {
            let from = there(flow.from).unwrap_or(0);
            (Flow { from, to: flow.to.and_then(there), ..flow }, way)
        };
        let (flows, ways) = kept.into_iter().map(moved).unzip();
        let mut picture = Picture { methods: rules.to_vec(), nodes, flows, shares: Vec::new(), left_out };
        order::arrange(&mut picture);
        AccountPicture { outcomes, picture, stands, ways }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::taint::Method;

    const RULES: [Rule; 7] = [
        Rule::Of(Method::Haircut),
        Rule::Of(Method::Fifo),
        Rule::Of(Method::Lifo),
        Rule::Of(Method::Tiho),
        Rule::Of(Method::DirtyFirst),
        Rule::Of(Method::CleanFirst),
        Rule::Libr,
    ];

    /// The thief pays a fee, money goes round in a circle, dust and a service; twenty clean ones are there too.
    const LIST: &str = r#"{"transfers":1,"chain":"xem","opening":"stated"}
{"height":1,"position":0,"tx":"o","index":0,"asset":"xem","from":null,"to":"victim","amount":"100","kind":"opening"}
{"height":1,"position":1,"tx":"p","index":0,"asset":"xem","from":null,"to":"a","amount":"20","kind":"opening"}
{"height":2,"position":0,"tx":"t","index":0,"asset":"xem","from":"victim","to":"thief","amount":"90","kind":"payment"}
{"height":3,"position":0,"tx":"q","index":0,"asset":"xem","from":"thief","to":"a","amount":"50","kind":"payment"}
{"height":3,"position":0,"tx":"q","index":1,"asset":"xem","from":"thief","to":"h","amount":"2","kind":"fee"}
{"height":4,"position":0,"tx":"r","index":0,"asset":"xem","from":"a","to":"thief","amount":"30","kind":"payment"}
{"height":5,"position":0,"tx":"s","index":0,"asset":"xem","from":"thief","to":"shop","amount":"40","kind":"payment"}
{"height":6,"position":0,"tx":"u","index":0,"asset":"xem","from":"a","to":"b","amount":"3","kind":"payment"}
"#;

    fn drawn(flows_max: usize) -> AccountPicture {
        let seeds = [Seed { tx: "t".to_owned(), index: 0, case: "c".to_owned() }];
        let terms = Terms {
            stops: ["shop".to_owned()].into(),
            dust: [("xem".to_owned(), Units::from(4))].into(),
            ..Terms::new(Rule::Libr)
        };
        account_picture(LIST.as_bytes(), &terms, &seeds, &RULES, "xem", flows_max).unwrap()
    }

    #[test]
    fn what_comes_into_an_account_leaves_it_and_ends_are_the_totals() {
        let drawn = drawn(100);
        let picture = &drawn.picture;
        let names: Vec<&str> = drawn.stands.iter().flatten().map(|stand| stand.account.as_str()).collect();
        // The thief stands again after the circle.
        assert_eq!(names, ["thief", "a", "thief"]);
        for (rule, name) in RULES.iter().enumerate() {
            let sum = |keep: &dyn Fn(&Flow) -> bool| {
                picture.flows.iter().filter(|flow| keep(flow)).map(|flow| flow.amounts.of(rule)).sum::<u128>()
            };
            for (node, own) in picture.nodes.iter().enumerate().skip(1) {
                let (came, left) = (sum(&|flow| flow.to == Some(node)), sum(&|flow| flow.from == node));
                assert_eq!(came, left + own.fees.of(rule), "{name} node {node}");
            }
            let totals = &drawn.outcomes[rule].totals[0].by_asset["xem"];
            let ends = |end| sum(&|flow: &Flow| flow.to.is_none() && flow.end == end);
            let fees: u128 = picture.nodes.iter().map(|node| node.fees.of(rule)).sum();
            let found = [ends(End::Unspent), ends(End::Stopped), ends(End::Dust), ends(End::Burned), fees];
            let want = [totals.held, totals.stopped, totals.dust, totals.burned, totals.fees];
            assert_eq!(found.map(|sat| sat.to_string()), want.map(|units| units.to_string()), "{name}");
            assert_eq!(sum(&|flow| flow.from == 0), 90);
        }
        for flow in picture.flows.iter().filter_map(|flow| Some((flow.from, flow.to?))) {
            assert!(flow.0 < flow.1, "{flow:?}");
            assert!(picture.nodes[flow.0].layer < picture.nodes[flow.1].layer, "{flow:?}");
        }
    }

    #[test]
    fn what_has_no_room_is_counted_and_poison_is_not_drawn() {
        let (whole, cut) = (drawn(100), drawn(3));
        assert_eq!(cut.picture.flows.len(), 3);
        let gone = u64::try_from(whole.picture.flows.len()).unwrap() - 3;
        assert_eq!((whole.picture.left_out.flows, cut.picture.left_out.flows), (0, gone));
        assert_eq!(cut.picture.nodes.len(), cut.stands.len());
        assert_eq!(cut.picture.flows.len(), cut.ways.len());
        let poison = [Rule::Of(Method::Poison)];
        let terms = Terms::new(Rule::Libr);
        let seeds = [Seed { tx: "t".to_owned(), index: 0, case: "c".to_owned() }];
        let error = account_picture(LIST.as_bytes(), &terms, &seeds, &poison, "xem", 9).unwrap_err();
        assert!(error.to_string().contains("found poison"), "{error}");
    }
}
