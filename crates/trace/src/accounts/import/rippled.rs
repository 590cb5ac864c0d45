//! Ledgers of the XRP Ledger with expanded transactions and metadata, as `rippled` answers `ledger`.
//!
//! Decides what everybody held before and after each transaction, as the metadata states it, and never from what a payment
//! asked for: a partial payment delivers less.

mod amount;
mod flow;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{
    super::{
        transfer::{Chain, Header, Opening, TransferList},
        units::Units,
    },
    ImportError, ImportProblem, Source, mark, marks, place, typed, whole,
};
use flow::Book;

const NATIVE: &str = Chain::Xrp.name();

#[derive(Deserialize)]
struct RawLedger {
    ledger_index: Value,
    ledger_hash: String,
    parent_hash: String,
    transactions: Vec<Value>,
}

#[derive(Deserialize)]
struct RawTx {
    #[serde(rename = "Account")]
    account: String,
    #[serde(rename = "Delegate")]
    delegate: Option<String>,
    #[serde(rename = "Fee")]
    fee: String,
    #[serde(rename = "Destination")]
    destination: Option<String>,
    #[serde(rename = "TransactionType")]
    kind: String,
}

#[derive(Deserialize)]
struct RawMeta {
    #[serde(rename = "AffectedNodes")]
    nodes: Vec<RawNode>,
    #[serde(rename = "TransactionIndex")]
    index: u32,
    #[serde(rename = "TransactionResult")]
    result: String,
    delivered_amount: Option<Value>,
    #[serde(rename = "DeliveredAmount")]
    delivered_older: Option<Value>,
}

#[derive(Deserialize)]
enum RawNode {
    #[serde(rename = "CreatedNode")]
    Created(RawEntry),
    #[serde(rename = "ModifiedNode")]
    Modified(RawEntry),
    #[serde(rename = "DeletedNode")]
    Deleted(RawEntry),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawEntry {
    ledger_entry_type: String,
    ledger_index: String,
    #[serde(default)]
    new_fields: Value,
    #[serde(default)]
    final_fields: Value,
    #[serde(default)]
    previous_fields: Value,
}

/// A transaction, ready to be written.
#[derive(Debug)]
struct Tx {
    hash: String,
    index: u32,
    payer: String,
    fee: Units,
    kind: String,
    destination: Option<String>,
    delivered: Option<Units>,
    changes: Vec<Change>,
}

/// What an account, escrow or channel held of an asset before a transaction and after it.
#[derive(Debug)]
struct Change {
    holder: String,
    asset: String,
    /// Nothing where it is too much for base units.
    before: Option<Units>,
    after: Option<Units>,
}

/// The list in ledgers, in any order. What an account held before its first transaction in the list is stated by an
/// `opening` transfer, so opening balances are known for every account that the list has.
///
/// # Errors
/// Files of another form; ledgers without metadata, with gaps or that do not follow each other; balances that do not add
/// up, or do not go on where the list left them.
pub fn rippled(sources: &[Source<'_>]) -> Result<TransferList, ImportError> {
    let mut ledgers: BTreeMap<u64, (String, RawLedger)> = BTreeMap::new();
    for source in sources {
        let at = |problem: ImportProblem| problem.at(source.name);
        let raw = ledger(source.bytes).map_err(at)?;
        let height = sequence(&raw.ledger_index).map_err(at)?;
        if ledgers.insert(height, (source.name.to_owned(), raw)).is_some() {
            return Err(at(ImportProblem::contradiction("ledgers of one index", height, height)));
        }
    }
    let mut parsed = Vec::new();
    let mut blocks = Vec::new();
    let mut last: Option<(u64, String)> = None;
    for (height, (name, raw)) in ledgers {
        let name = format!("{name}, ledger {height}");
        let at = |problem: ImportProblem| problem.at(&name);
        if let Some((before, hash)) = &last {
            follows(*before, hash, height, &raw).map_err(at)?;
        }
        blocks.push(mark(height, &raw.ledger_hash, &raw.parent_hash));
        last = Some((height, raw.ledger_hash));
        let under = |(at, value)| {
            tx(value).map_err(|problem: ImportProblem| problem.under(&format!("transactions[{at}]")))
        };
        let txs: Result<Vec<Tx>, _> = raw.transactions.into_iter().enumerate().map(under).collect();
        let mut txs = txs.map_err(at)?;
        txs.sort_by_key(|tx| tx.index);
        if let Some((position, _)) =
            txs.iter().enumerate().find(|(position, tx)| place(*position) != tx.index)
        {
            return Err(at(ImportProblem::Missing {
                what: format!("the transaction with TransactionIndex {position}"),
                give: "ledgers with all transactions expanded",
            }));
        }
        parsed.push((height, name, txs));
    }
    let changes = parsed.iter().flat_map(|(_, _, txs)| txs).flat_map(|tx| &tx.changes);
    let too_large = changes.filter(|change| change.before.is_none() || change.after.is_none());
    let mut book = Book::without(too_large.map(|change| change.asset.clone()).collect());
    for (height, name, txs) in &parsed {
        for tx in txs {
            book.write(*height, tx).map_err(|problem| problem.of(&tx.hash).at(name))?;
        }
    }
    let header = Header { chain: Chain::Xrp, opening: Opening::Stated };
    Ok(TransferList { header, transfers: book.list, blocks: marks(blocks), left_out: book.left_out })
}

/// Whether a ledger comes after the one of this height and hash.
fn follows(before: u64, hash: &str, height: u64, raw: &RawLedger) -> Result<(), ImportProblem> {
    if before.checked_add(1) != Some(height) {
        let what = "a ledger before this one".to_owned();
        return Err(ImportProblem::Missing { what, give: "ledgers without gaps" });
    }
    if !hash.eq_ignore_ascii_case(&raw.parent_hash) {
        return Err(ImportProblem::contradiction(
            "parent_hash and the ledger before",
            &raw.parent_hash,
            hash,
        ));
    }
    Ok(())
}

impl ImportProblem {
    /// Names the transaction in a contradiction.
    fn of(self, hash: &str) -> Self {
        match self {
            Self::Contradiction { what, one, other } => {
                Self::Contradiction { what: format!("{what} in {hash}"), one, other }
            }
            kept @ (Self::Json { .. } | Self::Binary { .. } | Self::Field { .. } | Self::Missing { .. }) => {
                kept
            }
        }
    }
}

/// The ledger in an answer, or a bare one.
fn ledger(bytes: &[u8]) -> Result<RawLedger, ImportProblem> {
    let mut value = whole(bytes)?;
    for key in ["result", "ledger"] {
        if let Some(inner) = value.get_mut(key).filter(|inner| inner.is_object()) {
            value = inner.take();
        }
    }
    typed(value)
}

fn sequence(value: &Value) -> Result<u64, ImportProblem> {
    let number = value.as_u64().or_else(|| value.as_str().and_then(|text| text.parse().ok()));
    number.ok_or_else(|| ImportProblem::field("ledger_index", &value.to_string(), "a whole number"))
}

fn drops(what: &'static str, value: &Value) -> Result<Units, ImportProblem> {
    let units = value.as_str().and_then(|text| text.parse().ok());
    units.ok_or_else(|| ImportProblem::field(what, &value.to_string(), "drops as a decimal text"))
}

/// A transaction in any of the forms that `rippled` has had: fields beside `metaData`, fields beside `meta`, or `tx_json`
/// beside `meta`.
fn tx(mut value: Value) -> Result<Tx, ImportProblem> {
    let expand = |what: &str| ImportProblem::Missing {
        what: what.to_owned(),
        give: "ledgers asked for with transactions and expand",
    };
    if value.is_string() {
        return Err(expand("all of a transaction but its hash"));
    }
    let meta = ["metaData", "meta"].into_iter().find_map(|key| value.get_mut(key).map(Value::take));
    let meta = meta.filter(Value::is_object).ok_or_else(|| expand("metadata"))?;
    let meta: RawMeta = typed(meta).map_err(|problem| problem.under("metadata"))?;
    let outer = value.get("hash").and_then(Value::as_str).map(str::to_owned);
    let fields = value.get_mut("tx_json").map(Value::take).unwrap_or(value);
    let inner = fields.get("hash").and_then(Value::as_str).map(str::to_owned);
    let hash = outer.or(inner).ok_or_else(|| expand("a transaction's hash"))?;
    plain("hash", &hash)?;
    let raw: RawTx = typed(fields)?;
    let delivered = meta.delivered_amount.or(meta.delivered_older);
    // An amount of an issued currency is an object, and "unavailable" stands for old partial payments.
    let delivered = delivered.filter(|value| value.is_string() && *value != "unavailable");
    let delivered = delivered.map(|value| drops("delivered_amount", &value)).transpose()?;
    let mut changes = Vec::new();
    for node in meta.nodes {
        changes.extend(Entry::of(node).changes()?);
    }
    let fee =
        raw.fee.parse().map_err(|_| ImportProblem::field("Fee", &raw.fee, "drops as a decimal text"))?;
    let succeeded = meta.result == "tesSUCCESS";
    Ok(Tx {
        hash,
        index: meta.index,
        payer: plain("Account", raw.delegate.as_deref().unwrap_or(&raw.account))?.to_owned(),
        fee,
        kind: raw.kind,
        destination: raw.destination,
        delivered: delivered.filter(|_| succeeded),
        changes,
    })
}

/// An account, hash or index: letters and digits alone.
fn plain<'a>(what: &'static str, text: &'a str) -> Result<&'a str, ImportProblem> {
    let fits = (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if fits { Ok(text) } else { Err(ImportProblem::field(what, text, "1 to 64 letters and digits")) }
}

/// An entry of the ledger before and after a transaction.
struct Entry {
    kind: String,
    index: String,
    was: Value,
    now: Value,
    made: bool,
    gone: bool,
}

impl Entry {
    fn of(node: RawNode) -> Self {
        let (raw, made, gone) = match node {
            RawNode::Created(entry) => (entry, true, false),
            RawNode::Modified(entry) => (entry, false, false),
            RawNode::Deleted(entry) => (entry, false, true),
        };
        let now = if made { raw.new_fields } else { raw.final_fields };
        Self {
            kind: raw.ledger_entry_type,
            index: raw.ledger_index,
            was: raw.previous_fields,
            now,
            made,
            gone,
        }
    }

    /// A field before; one that did not change stands among those after alone.
    fn before(&self, field: &str) -> Option<&Value> {
        let before = self.was.get(field).or_else(|| self.now.get(field));
        before.filter(|_| !self.made)
    }

    fn after(&self, field: &str) -> Option<&Value> {
        self.now.get(field)
    }

    /// What it says that somebody held, of which asset.
    fn changes(&self) -> Result<Vec<Change>, ImportProblem> {
        match self.kind.as_str() {
            "AccountRoot" => {
                let Some(account) = self.now.get("Account").and_then(Value::as_str) else {
                    return Ok(Vec::new());
                };
                // A deleted account shows a balance of zero.
                Ok(vec![native(plain("Account", account)?, self.before("Balance"), self.after("Balance"))?])
            }
            "Escrow" => self.escrow(),
            "PayChannel" => self.channel(),
            "RippleState" => self.trust_line(),
            _ => Ok(Vec::new()),
        }
    }

    /// A deleted escrow shows what it held.
    fn escrow(&self) -> Result<Vec<Change>, ImportProblem> {
        let holder = format!("escrow:{}", plain("LedgerIndex", &self.index)?);
        let (before, after) = (self.before("Amount"), self.after("Amount").filter(|_| !self.gone));
        let issued = [before, after].into_iter().flatten().find(|amount| amount.is_object());
        let Some(issued) = issued else { return Ok(vec![native(&holder, before, after)?]) };
        if issued.get("mpt_issuance_id").is_some() {
            return Ok(Vec::new());
        }
        let named = amount::raw("Amount", issued)?;
        let held = |value| amount::owed("Amount", value).map(|owed| owed.units);
        let asset = amount::asset(&named.currency, &named.issuer)?;
        Ok(vec![Change { holder, asset, before: held(before)?, after: held(after)? }])
    }

    /// A channel holds what was put in less what was claimed.
    fn channel(&self) -> Result<Vec<Change>, ImportProblem> {
        let holder = format!("channel:{}", plain("LedgerIndex", &self.index)?);
        let held = |amount, claimed| {
            Ok::<_, ImportProblem>(drops_of("Amount", amount)?.beyond(drops_of("Balance", claimed)?))
        };
        let before = held(self.before("Amount"), self.before("Balance"))?;
        let after = held(self.after("Amount"), self.after("Balance"))?;
        let after = if self.gone { Units::ZERO } else { after };
        Ok(vec![Change { holder, asset: NATIVE.to_owned(), before: Some(before), after: Some(after) }])
    }

    /// A positive balance is the low account's, issued by the high one; a negative one the other way round (XRPL, "RippleState").
    fn trust_line(&self) -> Result<Vec<Change>, ImportProblem> {
        let limit = |field: &'static str| {
            let missing = || ImportProblem::field(field, "nothing", "currency, issuer and value");
            amount::raw(field, self.now.get(field).ok_or_else(missing)?)
        };
        let (low, high) = (limit("LowLimit")?, limit("HighLimit")?);
        let was = amount::owed("Balance", self.before("Balance"))?.sides();
        let now = amount::owed("Balance", self.after("Balance").filter(|_| !self.gone))?.sides();
        let ends = [(&low, &high), (&high, &low)];
        let mut changes = Vec::new();
        for ((holder, issuer), (before, after)) in ends.into_iter().zip(was.into_iter().zip(now)) {
            let asset = amount::asset(&holder.currency, &issuer.issuer)?;
            let holder = plain("issuer", &holder.issuer)?.to_owned();
            if before.is_none() || before != after {
                changes.push(Change { holder, asset, before, after });
            }
        }
        Ok(changes)
    }
}

fn native(holder: &str, before: Option<&Value>, after: Option<&Value>) -> Result<Change, ImportProblem> {
    let (before, after) = (drops_of("Balance", before)?, drops_of("Balance", after)?);
    let (holder, asset) = (holder.to_owned(), NATIVE.to_owned());
    Ok(Change { holder, asset, before: Some(before), after: Some(after) })
}

/// Drops that a field holds; none where it is not there.
fn drops_of(what: &'static str, value: Option<&Value>) -> Result<Units, ImportProblem> {
    value.map_or(Ok(Units::ZERO), |value| drops(what, value))
}
