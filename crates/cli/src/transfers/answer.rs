//! A trace's answer on accounts: the JSON that other people's scripts read.
//!
//! Decides names and order alone; every figure comes from the trace.

use std::collections::{BTreeMap, BTreeSet};

use kuraban_trace::accounts::{
    CaseTotals, Chain, Deposit, Fees, Held, Outcome, Rule, Stolen, Terms, Totals, Units,
};
use serde_json::{Map, Value, json};

use crate::{say::Lang, trace::Claims};

/// A trace, and where all were asked for, by every rule.
pub(super) struct Answer<'a> {
    pub(super) terms: &'a Terms,
    pub(super) found: &'a Outcome,
    pub(super) others: &'a [(Rule, Outcome)],
    /// Who has the units that several thefts claim.
    pub(super) claims: Claims,
    /// Each case's own answer, where they are followed apart, in the order of the totals.
    pub(super) alone: &'a [Outcome],
}

/// How one asset's amounts are written: the chain's own with its unit behind every key, NEM's as numbers.
#[derive(Clone, Copy)]
pub(super) struct Style<'a> {
    pub(super) chain: Chain,
    pub(super) asset: &'a str,
}

impl Style<'_> {
    fn is_native(self) -> bool {
        self.asset == self.chain.name()
    }

    fn key(self, name: &str) -> String {
        if self.is_native() { format!("{name}_{}", self.chain.unit()) } else { name.to_owned() }
    }

    fn value(self, units: Units) -> Value {
        match (self.chain, u64::try_from(units)) {
            (Chain::Xem, Ok(number)) if self.is_native() => number.into(),
            (Chain::Eth | Chain::Xrp | Chain::Xem, _) => units.to_string().into(),
        }
    }

    fn put(self, map: &mut Map<String, Value>, name: &str, units: Units) {
        map.insert(self.key(name), self.value(units));
    }

    /// The ticker, and how many digits stand behind the point; a token's decimals are not known.
    pub(super) fn coin(self) -> (String, u8) {
        match (self.is_native(), self.chain) {
            (false, _) => (self.asset.to_owned(), 0),
            (true, Chain::Eth) => ("ETH".to_owned(), 18),
            (true, Chain::Xrp) => ("XRP".to_owned(), 6),
            (true, Chain::Xem) => ("XEM".to_owned(), 6),
        }
    }

    /// As [`Self::shown`], beneath a title that names the asset and says what is counted.
    pub(super) fn counted(self, units: Units) -> String {
        if self.is_native() { self.shown(units) } else { units.to_string() }
    }

    /// What is counted of a token, whose decimals nobody here knows.
    pub(super) fn unit(self, lang: Lang) -> &'static str {
        if self.is_native() { "" } else { lang.pick(", in base units", "（最小単位）") }
    }

    /// Whole coins with the ticker; a token's base units.
    pub(super) fn shown(self, units: Units) -> String {
        if !self.is_native() {
            return format!("{units} of {}", self.asset);
        }
        let (ticker, places) = self.coin();
        let places = usize::from(places);
        let padded = format!("{:0>width$}", units.to_string(), width = places.saturating_add(1));
        let (whole, part) = padded.split_at(padded.len().saturating_sub(places));
        let part = part.trim_end_matches('0');
        let dot = if part.is_empty() { "" } else { "." };
        format!("{whole}{dot}{part} {ticker}")
    }
}

fn added(one: Units, other: Units) -> Units {
    one.plus(other).unwrap_or(Units::MAX)
}

/// The totals of all thefts together in one asset.
pub(super) fn together(found: &Outcome, asset: &str) -> Totals {
    let mut sum = Totals::default();
    for totals in found.totals.iter().filter_map(|case| case.by_asset.get(asset)) {
        sum.stolen = added(sum.stolen, totals.stolen);
        sum.overlap = added(sum.overlap, totals.overlap);
        sum.held = added(sum.held, totals.held);
        sum.fees = added(sum.fees, totals.fees);
        sum.burned = added(sum.burned, totals.burned);
        sum.stopped = added(sum.stopped, totals.stopped);
        sum.dust = added(sum.dust, totals.dust);
    }
    sum
}

impl Answer<'_> {
    pub(super) fn native(&self) -> Style<'static> {
        let chain = self.found.header.chain;
        Style { chain, asset: chain.name() }
    }

    /// Tokens of which some are stolen, or held by marked accounts.
    pub(super) fn tokens(&self) -> BTreeSet<&str> {
        let stolen = self.found.totals.iter().flat_map(|case| case.by_asset.keys());
        let held = self.found.held.iter().map(|held| &held.asset);
        let native = self.native().asset;
        stolen.chain(held).map(String::as_str).filter(|asset| *asset != native).collect()
    }

    /// The JSON of `kuraban trace`.
    pub(super) fn to_json(&self) -> Value {
        let Self { terms, found, .. } = self;
        let native = self.native();
        let mut map = self.asset(native, found, terms.rule);
        map.insert("chain".to_owned(), native.asset.into());
        map.insert("method".to_owned(), terms.rule.name().into());
        map.insert("parameters".to_owned(), self.parameters());
        map.insert("seeds".to_owned(), found.seeds.iter().map(|seed| stolen(native.chain, seed)).collect());
        // A list has no block's hash.
        map.insert("tip".to_owned(), json!({ "height": found.height, "hash": null }));
        native.put(&mut map, "shielded", Units::ZERO);
        map.insert("transactions_touched".to_owned(), found.transactions_touched.into());
        map.insert("cases".to_owned(), self.cases());
        if !terms.rule.conserves() {
            map.insert("marked".to_owned(), json!(found.marked));
        }
        let token = |asset: &str| {
            let mut map = self.asset(Style { chain: native.chain, asset }, found, terms.rule);
            map.insert("asset".to_owned(), asset.into());
            Value::Object(map)
        };
        map.insert("tokens".to_owned(), self.tokens().into_iter().map(token).collect());
        if !self.others.is_empty() {
            map.insert("comparison".to_owned(), self.comparison());
        }
        Value::Object(map)
    }

    fn parameters(&self) -> Value {
        let Self { terms, found, .. } = self;
        let dust: BTreeMap<&String, String> =
            terms.dust.iter().map(|(asset, dust)| (asset, dust.to_string())).collect();
        json!({
            "opening": found.header.opening.name(),
            "until": terms.until,
            "fees": fees(terms),
            "overlap": self.claims.name(),
            "dust": dust,
            "stops": terms.stops,
        })
    }

    fn cases(&self) -> Value {
        let chain = self.found.header.chain;
        let case = |(place, case): (usize, &CaseTotals)| {
            let of_asset = |(asset, sum): (&String, &Totals)| {
                let style = Style { chain, asset };
                let mut map = totals(style, sum, self.terms.rule);
                map.insert("asset".to_owned(), asset.as_str().into());
                Value::Object(map)
            };
            let totals: Vec<Value> = case.by_asset.iter().map(of_asset).collect();
            match self.alone.get(place) {
                Some(own) => {
                    json!({ "case": case.case, "totals": totals, "outputs": own_outputs(chain, own) })
                }
                None => json!({ "case": case.case, "totals": totals }),
            }
        };
        self.found.totals.iter().enumerate().map(case).collect()
    }

    /// Totals, holdings and deposits of one asset.
    fn asset(&self, style: Style<'_>, found: &Outcome, rule: Rule) -> Map<String, Value> {
        let mut map = totals(style, &together(found, style.asset), rule);
        let surfaced = found.surfaced.get(style.asset).copied().unwrap_or_default();
        style.put(&mut map, "surfaced", surfaced);
        let outputs = found.held.iter().filter(|held| held.asset == style.asset);
        map.insert("outputs".to_owned(), outputs.map(|held| output(style, held)).collect());
        let deposits = found.deposits.iter().filter(|deposit| deposit.asset == style.asset);
        map.insert("deposits".to_owned(), deposits.map(|one| deposit(style, one)).collect());
        map
    }

    /// What every rule found in the native asset, and how far they lie apart by account; poison apart, which conserves
    /// no units.
    fn comparison(&self) -> Value {
        let native = self.native();
        let rows = self.others.iter().map(|(rule, found)| {
            let mut map = totals(native, &together(found, native.asset), *rule);
            map.insert("method".to_owned(), rule.name().into());
            map.insert("accounts".to_owned(), tainted(found, native.asset).len().into());
            Value::Object(map)
        });
        let spans = self.spans(native.asset).into_iter().map(|(account, (min, max))| {
            let mut map = Map::new();
            map.insert("address".to_owned(), account.into());
            native.put(&mut map, "min", min);
            native.put(&mut map, "max", max);
            Value::Object(map)
        });
        let mut map = Map::new();
        map.insert("methods".to_owned(), rows.collect());
        native.put(&mut map, "agreed", self.agreed());
        map.insert("addresses".to_owned(), spans.collect());
        Value::Object(map)
    }

    /// The least and the most that any rule but poison finds in an account.
    fn spans(&self, asset: &str) -> BTreeMap<String, (Units, Units)> {
        let rules = self.others.iter().filter(|(rule, _)| rule.conserves());
        let found: Vec<BTreeMap<&str, Units>> = rules.map(|(_, found)| tainted(found, asset)).collect();
        let accounts: BTreeSet<&str> = found.iter().flat_map(|by| by.keys().copied()).collect();
        let span = |account: &str| {
            let amounts = || found.iter().map(|by| by.get(account).copied().unwrap_or_default());
            (amounts().min().unwrap_or_default(), amounts().max().unwrap_or_default())
        };
        accounts.into_iter().map(|account| (account.to_owned(), span(account))).collect()
    }

    pub(super) fn agreed(&self) -> Units {
        self.agreed_in(self.native().asset)
    }

    /// What every rule but poison agrees on, of one asset.
    pub(super) fn agreed_in(&self, asset: &str) -> Units {
        self.spans(asset).into_values().fold(Units::ZERO, |sum, (min, _)| added(sum, min))
    }
}

pub(super) const fn fees(terms: &Terms) -> &'static str {
    match (terms.rule.conserves(), terms.fees) {
        (false, Fees::Count) => "not counted",
        (true, Fees::Count) => "counted",
        (_, Fees::Follow) => "followed",
    }
}

/// Tainted units by account.
pub(super) fn tainted<'a>(found: &'a Outcome, asset: &str) -> BTreeMap<&'a str, Units> {
    let held = found.held.iter().filter(|held| held.asset == asset);
    held.map(|held| (held.account.as_str(), held.tainted)).collect()
}

fn totals(style: Style<'_>, sum: &Totals, rule: Rule) -> Map<String, Value> {
    let mut map = Map::new();
    style.put(&mut map, "stolen", sum.stolen);
    style.put(&mut map, "overlap", sum.overlap);
    style.put(&mut map, "held", sum.held);
    style.put(&mut map, "stopped", sum.stopped);
    style.put(&mut map, "dust", sum.dust);
    for (name, units) in [("fees", sum.fees), ("burned", sum.burned)] {
        let value = if rule.conserves() { style.value(units) } else { Value::Null };
        map.insert(style.key(name), value);
    }
    map
}

fn stolen(chain: Chain, Stolen { seed, asset, account, amount }: &Stolen) -> Value {
    let style = Style { chain, asset };
    let mut map = Map::new();
    map.insert("txid".to_owned(), seed.tx.as_str().into());
    map.insert("index".to_owned(), seed.index.into());
    map.insert("case".to_owned(), seed.case.as_str().into());
    map.insert("asset".to_owned(), asset.as_str().into());
    map.insert("address".to_owned(), account.as_str().into());
    style.put(&mut map, "value", *amount);
    Value::Object(map)
}

/// What a case that is followed apart has on accounts, and which units: each case says something else of them.
fn own_outputs(chain: Chain, own: &Outcome) -> Vec<Value> {
    let one = |held: &Held| {
        let mut output = output(Style { chain, asset: &held.asset }, held);
        if let Value::Object(map) = &mut output {
            map.insert("asset".to_owned(), held.asset.as_str().into());
        }
        output
    };
    own.held.iter().map(one).collect()
}

fn output(style: Style<'_>, held: &Held) -> Value {
    let mut map = Map::new();
    map.insert("address".to_owned(), held.account.as_str().into());
    style.put(&mut map, "value", held.balance);
    style.put(&mut map, "tainted", held.tainted);
    let cases: Map<String, Value> =
        held.by_case.iter().map(|(case, units)| (case.clone(), style.value(*units))).collect();
    map.insert("cases".to_owned(), Value::Object(cases));
    if !held.segments.is_empty() {
        let segment =
            |segment: &kuraban_trace::accounts::Segment| json!([segment.case, style.value(segment.amount)]);
        map.insert("segments".to_owned(), held.segments.iter().map(segment).collect());
    }
    if let Some(lowest) = held.lowest {
        let mut low = Map::new();
        style.put(&mut low, "balance", lowest.balance);
        low.insert("height".to_owned(), lowest.height.into());
        map.insert("lowest".to_owned(), Value::Object(low));
    }
    Value::Object(map)
}

fn deposit(style: Style<'_>, one: &Deposit) -> Value {
    let mut map = Map::new();
    map.insert("txid".to_owned(), one.tx.as_str().into());
    map.insert("index".to_owned(), one.index.into());
    map.insert("height".to_owned(), one.height.into());
    map.insert("from".to_owned(), json!(one.from));
    map.insert("service".to_owned(), one.service.as_str().into());
    map.insert("case".to_owned(), one.case.as_str().into());
    style.put(&mut map, "value", one.amount);
    style.put(&mut map, "tainted", one.tainted);
    Value::Object(map)
}
