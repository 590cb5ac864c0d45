//! Ledgers of the XRP Ledger with expanded transactions and metadata, as `rippled` answers `ledger`.
//!
//! Decides who paid whom from the balances before and after that the metadata states, and never from what a payment asked
//! for: a partial payment delivers less. Only XRP; issued currencies are not amounts of base units.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Deserialize;
use serde_json::Value;

use super::{
    super::{
        transfer::{Chain, Header, Kind, Opening, Transfer, TransferList},
        units::Units,
    },
    ImportError, ImportProblem, Source, Writer, mark, marks, place,
};

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

/// What an account, escrow or channel held before a transaction and after it.
#[derive(Debug)]
struct Change {
    holder: String,
    before: Units,
    after: Units,
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
    let mut book = Book::default();
    let mut blocks = Vec::new();
    let mut last: Option<(u64, String)> = None;
    for (height, (name, raw)) in ledgers {
        let at = |problem: ImportProblem| problem.at(format!("{name}, ledger {height}"));
        if let Some((before, hash)) = &last {
            if before.checked_add(1) != Some(height) {
                let what = "a ledger before this one".to_owned();
                return Err(at(ImportProblem::Missing { what, give: "ledgers without gaps" }));
            }
            if !hash.eq_ignore_ascii_case(&raw.parent_hash) {
                return Err(at(ImportProblem::contradiction(
                    "parent_hash and the ledger before",
                    &raw.parent_hash,
                    hash,
                )));
            }
        }
        blocks.push(mark(height, &raw.ledger_hash, &raw.parent_hash));
        last = Some((height, raw.ledger_hash));
        let txs: Result<Vec<Tx>, _> = raw.transactions.into_iter().map(tx).collect();
        let mut txs = txs.map_err(at)?;
        txs.sort_by_key(|tx| tx.index);
        for (position, tx) in txs.iter().enumerate() {
            if place(position) != tx.index {
                return Err(at(ImportProblem::Missing {
                    what: format!("the transaction with TransactionIndex {position}"),
                    give: "ledgers with all transactions expanded",
                }));
            }
            book.write(height, tx).map_err(|problem| at(problem.of(&tx.hash)))?;
        }
    }
    let header = Header { chain: Chain::Xrp, opening: Opening::Stated };
    Ok(TransferList { header, transfers: book.list, blocks: marks(blocks), left_out: BTreeSet::new() })
}

impl ImportProblem {
    /// Names the transaction in a contradiction.
    fn of(self, hash: &str) -> Self {
        match self {
            Self::Contradiction { what, one, other } => {
                Self::Contradiction { what: format!("{what} in {hash}"), one, other }
            }
            kept @ (Self::Json(_) | Self::Binary { .. } | Self::Field { .. } | Self::Missing { .. }) => kept,
        }
    }
}

/// The ledger in an answer, or a bare one.
fn ledger(bytes: &[u8]) -> Result<RawLedger, ImportProblem> {
    let mut value: Value = serde_json::from_slice(bytes).map_err(ImportProblem::Json)?;
    for key in ["result", "ledger"] {
        if let Some(inner) = value.get_mut(key).filter(|inner| inner.is_object()) {
            value = inner.take();
        }
    }
    serde_json::from_value(value).map_err(ImportProblem::Json)
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
    let meta: RawMeta = serde_json::from_value(meta).map_err(ImportProblem::Json)?;
    let outer = value.get("hash").and_then(Value::as_str).map(str::to_owned);
    let fields = value.get_mut("tx_json").map(Value::take).unwrap_or(value);
    let inner = fields.get("hash").and_then(Value::as_str).map(str::to_owned);
    let hash = outer.or(inner).ok_or_else(|| expand("a transaction's hash"))?;
    let raw: RawTx = serde_json::from_value(fields).map_err(ImportProblem::Json)?;
    let delivered = meta.delivered_amount.or(meta.delivered_older);
    // An amount of an issued currency is an object, and "unavailable" stands for old partial payments.
    let delivered = delivered.filter(|value| value.is_string() && *value != "unavailable");
    let delivered = delivered.map(|value| drops("delivered_amount", &value)).transpose()?;
    let mut changes = Vec::new();
    for node in meta.nodes {
        changes.extend(change(node)?);
    }
    let fee =
        raw.fee.parse().map_err(|_| ImportProblem::field("Fee", &raw.fee, "drops as a decimal text"))?;
    let succeeded = meta.result == "tesSUCCESS";
    Ok(Tx {
        hash,
        index: meta.index,
        payer: raw.delegate.unwrap_or(raw.account),
        fee,
        kind: raw.kind,
        destination: raw.destination,
        delivered: delivered.filter(|_| succeeded),
        changes,
    })
}

/// What an entry of the ledger held of XRP before and after; `None` where it holds none.
fn change(node: RawNode) -> Result<Option<Change>, ImportProblem> {
    let (entry, new, gone) = match node {
        RawNode::Created(entry) => (entry, true, false),
        RawNode::Modified(entry) => (entry, false, false),
        RawNode::Deleted(entry) => (entry, false, true),
    };
    let RawEntry { ledger_entry_type, ledger_index, new_fields, final_fields, previous_fields } = entry;
    let now = if new { &new_fields } else { &final_fields };
    // A field that did not change stands in the final fields alone.
    let was = |field: &str| previous_fields.get(field).or_else(|| final_fields.get(field));
    let holds = |amount: Option<&Value>| amount.map_or(Ok(Units::ZERO), |amount| drops("Balance", amount));
    let (holder, before, after) = match ledger_entry_type.as_str() {
        "AccountRoot" => {
            let account = now.get("Account").and_then(Value::as_str);
            let Some(account) = account else { return Ok(None) };
            (account.to_owned(), holds(was("Balance"))?, holds(now.get("Balance"))?)
        }
        // Since issued currencies can be held in escrow too, an amount that is no text is none of XRP.
        "Escrow" => {
            let xrp = |amount: Option<&Value>| holds(amount.filter(|amount| amount.is_string()));
            (format!("escrow:{ledger_index}"), xrp(was("Amount"))?, xrp(now.get("Amount"))?)
        }
        // A channel holds what was put in less what was claimed.
        "PayChannel" => {
            let rest =
                |amount: Option<&Value>, claimed: Option<&Value>| Ok(holds(amount)?.beyond(holds(claimed)?));
            let before = rest(was("Amount"), was("Balance"))?;
            (format!("channel:{ledger_index}"), before, rest(now.get("Amount"), now.get("Balance"))?)
        }
        _ => return Ok(None),
    };
    let before = if new { Units::ZERO } else { before };
    // A deleted account shows a balance of zero; a deleted escrow or channel shows what it held.
    let after = if gone && ledger_entry_type != "AccountRoot" { Units::ZERO } else { after };
    Ok(Some(Change { holder, before, after }))
}

/// The list, and what it says that everybody holds.
#[derive(Default)]
struct Book {
    list: Vec<Transfer>,
    balances: HashMap<String, Units>,
}

impl Book {
    fn write(&mut self, height: u64, tx: &Tx) -> Result<(), ImportProblem> {
        let mut out = Writer::new(&mut self.list, height, tx.index, &tx.hash);
        for Change { holder, before, after } in &tx.changes {
            match self.balances.insert(holder.clone(), *after) {
                None => out.write(Kind::Opening, NATIVE, None, Some(holder), *before),
                Some(known) if known != *before => {
                    let what = format!("balance of {holder} before and as the list left it");
                    return Err(ImportProblem::contradiction(what, before, known));
                }
                Some(_) => {}
            }
        }
        out.write(Kind::Fee, NATIVE, Some(&tx.payer), None, tx.fee);
        let (debits, credits) = sides(tx)?;
        let arrived = credits.iter().find(|(holder, _)| tx.destination.as_ref() == Some(holder));
        let delivered = tx.delivered.filter(|_| tx.kind == "Payment" && debits.len() == 1);
        if let (Some(delivered), Some((_, credit))) = (delivered, arrived)
            && delivered != *credit
        {
            let what = "delivered_amount and the destination's balance";
            return Err(ImportProblem::contradiction(what, delivered, credit));
        }
        pay(&mut out, tx, &debits, &credits);
        Ok(())
    }
}

type Side<'a> = Vec<(&'a String, Units)>;

/// Who has less and who has more, beside the fee.
fn sides(tx: &Tx) -> Result<(Side<'_>, Side<'_>), ImportProblem> {
    let (mut debits, mut credits) = (Vec::new(), Vec::new());
    let mut fee = Some(tx.fee);
    for Change { holder, before, after } in &tx.changes {
        let fee = if *holder == tx.payer { fee.take().unwrap_or_default() } else { Units::ZERO };
        let after = after.plus(fee).unwrap_or(Units::MAX);
        match before.cmp(&after) {
            core::cmp::Ordering::Greater => debits.push((holder, before.beyond(after))),
            core::cmp::Ordering::Less => credits.push((holder, after.beyond(*before))),
            core::cmp::Ordering::Equal => {}
        }
    }
    let sum = |side: &Side<'_>| Units::sum(side.iter().map(|(_, amount)| *amount)).unwrap_or(Units::MAX);
    let (paid, got) = (sum(&debits), sum(&credits));
    let fee_open = fee.filter(|fee| !fee.is_zero());
    if paid != got || fee_open.is_some() {
        return Err(ImportProblem::contradiction("what all paid beside the fee and what all got", paid, got));
    }
    Ok((debits, credits))
}

/// Direct where one side is one account. Else the ledger does not say who paid whom: all pay into an account that is the
/// transaction's own, and all are paid from it, in the order of the metadata.
fn pay(out: &mut Writer<'_>, tx: &Tx, debits: &Side<'_>, credits: &Side<'_>) {
    let kind = if tx.kind == "Payment" { Kind::Payment } else { Kind::Internal };
    match (debits.as_slice(), credits.as_slice()) {
        ([(from, _)], to) => {
            to.iter().for_each(|(to, amount)| out.write(kind, NATIVE, Some(from), Some(to), *amount))
        }
        (from, [(to, _)]) => {
            from.iter().for_each(|(from, amount)| out.write(kind, NATIVE, Some(from), Some(to), *amount))
        }
        (from, to) => {
            let pool = format!("within:{}", tx.hash);
            for (from, amount) in from {
                out.write(Kind::Internal, NATIVE, Some(from), Some(&pool), *amount);
            }
            for (to, amount) in to {
                out.write(Kind::Internal, NATIVE, Some(&pool), Some(to), *amount);
            }
        }
    }
}
