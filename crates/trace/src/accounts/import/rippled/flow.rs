//! Who paid whom in one transaction, from what everybody held before and after it.
//!
//! Decides what the ledger leaves open: where several paid several, all pay into an account that is the transaction's own, and
//! where assets were exchanged, what came from and went to whoever exchanged passes an account at which taint stops.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    super::{
        super::{
            track::EXCHANGE,
            transfer::{Kind, Transfer},
            units::Units,
        },
        ImportProblem, Writer,
    },
    Change, NATIVE, Tx,
};

/// The list, and what it says that everybody holds.
pub(super) struct Book {
    pub(super) list: Vec<Transfer>,
    /// Assets with an amount that is too large: they are not in the list.
    pub(super) left_out: BTreeSet<String>,
    balances: HashMap<(String, String), Units>,
}

/// Accounts with less or with more; nobody where units were made or destroyed.
type Side<'a> = Vec<(Option<&'a str>, Units)>;

/// What changed hands of one asset.
#[derive(Debug, Default)]
struct Sides<'a> {
    debits: Side<'a>,
    credits: Side<'a>,
}

fn sum(side: &Side<'_>) -> Units {
    Units::sum(side.iter().map(|(_, amount)| *amount)).unwrap_or(Units::MAX)
}

/// The part of a side that is whoever exchanged, and the rest.
fn split<'a>(side: Side<'a>, traders: &BTreeSet<&str>) -> (Side<'a>, Side<'a>) {
    side.into_iter().partition(|(holder, _)| holder.is_some_and(|holder| traders.contains(holder)))
}

/// Takes this much off a side, in its order.
fn take<'a>(side: &mut Side<'a>, mut amount: Units) -> Side<'a> {
    let mut taken = Side::new();
    for (holder, left) in side.iter_mut() {
        let part = amount.min(*left);
        (amount, *left) = (amount.beyond(part), left.beyond(part));
        taken.push((*holder, part));
    }
    side.retain(|(_, left)| !left.is_zero());
    taken
}

impl Book {
    /// An empty list that these assets do not come into.
    pub(super) fn without(left_out: BTreeSet<String>) -> Self {
        Self { list: Vec::new(), left_out, balances: HashMap::new() }
    }

    pub(super) fn write(&mut self, height: u64, tx: &Tx) -> Result<(), ImportProblem> {
        let mut out = Writer::new(&mut self.list, height, tx.index, &tx.hash);
        for Change { holder, asset, before, after } in &tx.changes {
            let (Some(before), Some(after)) = (before, after) else { continue };
            if self.left_out.contains(asset) {
                continue;
            }
            match self.balances.insert((holder.clone(), asset.clone()), *after) {
                None => out.write(Kind::Opening, asset, None, Some(holder), *before),
                Some(known) if known != *before => {
                    let of = if asset == NATIVE { holder.clone() } else { format!("{holder} in {asset}") };
                    let what = format!("balance of {of} before and as the list left it");
                    return Err(ImportProblem::contradiction(what, before, known));
                }
                Some(_) => {}
            }
        }
        out.write(Kind::Fee, NATIVE, Some(&tx.payer), None, tx.fee);
        let assets = sides(tx, &self.left_out)?;
        let traders = traders(tx, &assets);
        delivered(tx, &assets)?;
        for asset in order(tx) {
            if let Some(sides) = assets.get(asset) {
                flow(&mut out, tx, asset, sides, &traders);
            }
        }
        Ok(())
    }
}

/// Assets in the order of the metadata.
fn order(tx: &Tx) -> Vec<&str> {
    let mut seen = BTreeSet::new();
    let assets = tx.changes.iter().map(|change| change.asset.as_str());
    assets.filter(|asset| seen.insert(*asset)).collect()
}

/// By asset, who has less and who has more, beside the fee. What an issued currency's sides lack the issuer made, or destroyed.
fn sides<'a>(tx: &'a Tx, left_out: &BTreeSet<String>) -> Result<BTreeMap<&'a str, Sides<'a>>, ImportProblem> {
    let mut assets: BTreeMap<&str, Sides<'_>> = BTreeMap::new();
    let mut fee = Some(tx.fee);
    for Change { holder, asset, before, after } in &tx.changes {
        let (Some(before), Some(after)) = (before, after) else { continue };
        if left_out.contains(asset) {
            continue;
        }
        let pays_fee = *holder == tx.payer && asset == NATIVE;
        let fee = if pays_fee { fee.take().unwrap_or_default() } else { Units::ZERO };
        let after = after.plus(fee).unwrap_or(Units::MAX);
        let sides = assets.entry(asset).or_default();
        match before.cmp(&after) {
            core::cmp::Ordering::Greater => sides.debits.push((Some(holder), before.beyond(after))),
            core::cmp::Ordering::Less => sides.credits.push((Some(holder), after.beyond(*before))),
            core::cmp::Ordering::Equal => {}
        }
    }
    let fee_open = fee.filter(|fee| !fee.is_zero());
    for (asset, sides) in &mut assets {
        let (paid, got) = (sum(&sides.debits), sum(&sides.credits));
        if *asset == NATIVE && paid != got {
            return Err(unbalanced(paid, got));
        }
        if paid < got {
            sides.debits.push((None, got.beyond(paid)));
        }
        if got < paid {
            sides.credits.push((None, paid.beyond(got)));
        }
    }
    match fee_open {
        Some(fee) => Err(unbalanced(Units::ZERO, fee)),
        None => Ok(assets),
    }
}

fn unbalanced(paid: Units, got: Units) -> ImportProblem {
    ImportProblem::contradiction("what all paid beside the fee and what all got", paid, got)
}

/// Whoever gave one asset and got another.
fn traders<'a>(tx: &'a Tx, assets: &BTreeMap<&str, Sides<'a>>) -> BTreeSet<&'a str> {
    let mut gave: BTreeSet<&str> = BTreeSet::new();
    let mut got: BTreeSet<&str> = BTreeSet::new();
    for Sides { debits, credits } in assets.values() {
        gave.extend(debits.iter().filter_map(|(holder, _)| *holder));
        got.extend(credits.iter().filter_map(|(holder, _)| *holder));
    }
    // Which way an asset went that is left out is not known.
    for Change { holder, asset, .. } in &tx.changes {
        if !assets.contains_key(asset.as_str())
            && (gave.contains(holder.as_str()) || got.contains(holder.as_str()))
        {
            gave.insert(holder);
            got.insert(holder);
        }
    }
    gave.intersection(&got).copied().collect()
}

/// Whether a payment of XRP says that it delivered what arrived.
fn delivered(tx: &Tx, assets: &BTreeMap<&str, Sides<'_>>) -> Result<(), ImportProblem> {
    let Some(Sides { debits, credits }) = assets.get(NATIVE) else { return Ok(()) };
    let arrived = credits.iter().find(|(holder, _)| tx.destination.as_deref() == *holder);
    let delivered = tx.delivered.filter(|_| tx.kind == "Payment" && debits.len() == 1);
    if let (Some(delivered), Some((_, credit))) = (delivered, arrived)
        && delivered != *credit
    {
        let what = "delivered_amount and the destination's balance";
        return Err(ImportProblem::contradiction(what, delivered, credit));
    }
    Ok(())
}

/// One movement, which makes units where nobody pays and destroys them where nobody is paid.
fn pay_one(
    out: &mut Writer<'_>,
    kind: Kind,
    asset: &str,
    from: Option<&str>,
    to: Option<&str>,
    amount: Units,
) {
    let kind = match (from, to) {
        (Some(_), Some(_)) => kind,
        (None, Some(_)) => Kind::Mint,
        (Some(_), None) => Kind::Burn,
        (None, None) => return,
    };
    out.write(kind, asset, from, to, amount);
}

/// What went by the exchange of assets first, then what the others paid each other.
fn flow(out: &mut Writer<'_>, tx: &Tx, asset: &str, sides: &Sides<'_>, traders: &BTreeSet<&str>) {
    let kind = match (tx.kind.as_str(), asset == NATIVE) {
        ("Payment", true) => Kind::Payment,
        (_, true) => Kind::Internal,
        (_, false) => Kind::Token,
    };
    let among = if asset == NATIVE { Kind::Internal } else { Kind::Token };
    let (gave, mut debits) = split(sides.debits.clone(), traders);
    let (got, mut credits) = split(sides.credits.clone(), traders);
    if !gave.is_empty() || !got.is_empty() {
        let exchange = format!("{EXCHANGE}{}", tx.hash);
        let (into, out_of) = (sum(&gave), sum(&got));
        for (from, amount) in gave.into_iter().chain(take(&mut debits, out_of.beyond(into))) {
            pay_one(out, among, asset, from, Some(&exchange), amount);
        }
        for (to, amount) in got.into_iter().chain(take(&mut credits, into.beyond(out_of))) {
            pay_one(out, among, asset, Some(&exchange), to, amount);
        }
    }
    pay(out, tx, asset, (kind, among), (&debits, &credits));
}

/// Direct where one side is one account. Else the ledger does not say who paid whom: all pay into an account that is the
/// transaction's own, and all are paid from it, in the order of the metadata.
fn pay(
    out: &mut Writer<'_>,
    tx: &Tx,
    asset: &str,
    (kind, among): (Kind, Kind),
    (debits, credits): (&Side<'_>, &Side<'_>),
) {
    match (debits.as_slice(), credits.as_slice()) {
        ([(from, _)], to) => {
            to.iter().for_each(|(to, amount)| pay_one(out, kind, asset, *from, *to, *amount))
        }
        (from, [(to, _)]) => {
            from.iter().for_each(|(from, amount)| pay_one(out, kind, asset, *from, *to, *amount));
        }
        (from, to) => {
            let pool = format!("within:{}", tx.hash);
            for (from, amount) in from {
                pay_one(out, among, asset, *from, Some(&pool), *amount);
            }
            for (to, amount) in to {
                pay_one(out, among, asset, Some(&pool), *to, *amount);
            }
        }
    }
}
