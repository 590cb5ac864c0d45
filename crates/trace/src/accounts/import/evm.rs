//! A block of an EVM chain, whoever described it, and the transfers in it.
//!
//! Decides the order of what one transaction moves: fee, value and internal calls as executed, then token logs.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::{
        transfer::{Chain, Header, Kind, Opening, Transfer, TransferList},
        units::Units,
    },
    ImportError, ImportProblem, Writer, mark, marks, place,
};

/// Wei in a gwei, in which withdrawals are counted.
const GWEI: u64 = 1_000_000_000;
const NATIVE: &str = Chain::Eth.name();
const NOBODY: &str = "0x0000000000000000000000000000000000000000";
/// `keccak256("Transfer(address,address,uint256)")`.
const TRANSFER: &str = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef";

/// A block.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) number: u64,
    pub(super) hash: String,
    /// The hash of the block before, where it is stated.
    pub(super) parent: Option<String>,
    pub(super) miner: String,
    pub(super) base_fee: Units,
    pub(super) gas_used: u64,
    /// In order.
    pub(super) txs: Vec<Tx>,
    /// Account and gwei.
    pub(super) withdrawals: Vec<(String, u64)>,
    /// Every call of the block, in order of execution; `None` where nobody said.
    pub(super) calls: Option<Vec<Call>>,
}

/// A transaction with its receipt.
#[derive(Debug)]
pub(super) struct Tx {
    pub(super) hash: String,
    pub(super) from: String,
    /// The recipient, or the contract that it makes.
    pub(super) to: Option<String>,
    pub(super) value: Units,
    pub(super) gas_limit: u64,
    pub(super) gas_used: u64,
    /// What was paid for a unit of gas.
    pub(super) gas_price: Units,
    /// What was paid for blobs; destroyed.
    pub(super) blob_fee: Units,
    /// `None` before Byzantium, where receipts do not say.
    pub(super) succeeded: Option<bool>,
    pub(super) tokens: Vec<Token>,
}

/// A token's movement.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) log_index: u64,
    pub(super) asset: String,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) amount: Units,
}

impl Token {
    /// The movement that a log says; `None` where it is not an ERC-20 transfer. An ERC-721 transfer has its token's
    /// number as a fourth topic and moves no amount.
    pub(super) fn of_log(
        log_index: u64,
        asset: &str,
        topics: &[String],
        data: &str,
    ) -> Result<Option<Self>, ImportProblem> {
        let [name, from, to] = topics else { return Ok(None) };
        if name != TRANSFER {
            return Ok(None);
        }
        let amount = match quantity_bytes(data) {
            Some(amount) if data.len() == 66 => amount,
            // Some contract's own event of the same name.
            Some(_) | None => return Ok(None),
        };
        Ok(Some(Self { log_index, asset: account(asset)?, from: topic(from)?, to: topic(to)?, amount }))
    }
}

/// What a call does to balances.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Does {
    /// Moves its value.
    Pays,
    /// Makes units, at the block's end.
    Mints,
    /// Nothing: it borrows another contract's code, only reads, or is of a kind that moves nothing.
    Nothing,
}

/// A call, creation or reward, as a trace has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Call {
    /// The transaction's place; `None` for what belongs to the block.
    pub(super) position: Option<u32>,
    /// Its place in the tree of calls.
    pub(super) path: Vec<u32>,
    pub(super) does: Does,
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
    pub(super) value: Units,
    pub(super) failed: bool,
}

/// An account as every list has it: in lower case.
pub(super) fn account(text: &str) -> Result<String, ImportProblem> {
    let digits = text.strip_prefix("0x").filter(|digits| digits.len() == 40);
    let plain = digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if plain {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(ImportProblem::field("account", text, "0x and 40 hexadecimal digits"))
    }
}

/// A transaction's or block's hash.
pub(super) fn hash(text: &str) -> Result<String, ImportProblem> {
    let digits = text.strip_prefix("0x").filter(|digits| digits.len() == 64);
    let plain = digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if plain {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(ImportProblem::field("hash", text, "0x and 64 hexadecimal digits"))
    }
}

fn topic(text: &str) -> Result<String, ImportProblem> {
    let wrong = || ImportProblem::field("topic", text, "0x and 64 hexadecimal digits");
    let checked = hash(text).map_err(|_| wrong())?;
    Ok(format!("0x{}", checked.get(26..).ok_or_else(wrong)?))
}

/// The number that 0x and up to 64 hexadecimal digits write.
pub(super) fn quantity_bytes(text: &str) -> Option<Units> {
    let digits = text.strip_prefix("0x").filter(|digits| (1..=64).contains(&digits.len()))?;
    let padded = format!("{digits:0>64}");
    Units::from_be_bytes(&kuraban_base::hex::decode(&padded).ok()?)
}

/// The list of all blocks, in order of height.
pub(super) fn list(blocks: BTreeMap<u64, Block>) -> Result<TransferList, ImportError> {
    let header = Header { chain: Chain::Eth, opening: Opening::Unknown };
    let (mut transfers, mut lines) = (Vec::new(), Vec::new());
    let mut next = None;
    for (number, block) in blocks {
        let at = |problem: ImportProblem| problem.at(format!("block {number}"));
        if next.is_some_and(|next| next != number) {
            return Err(at(ImportProblem::Missing {
                what: "a block before this one".to_owned(),
                give: "blocks without gaps",
            }));
        }
        next = number.checked_add(1);
        lines.push(mark(number, &block.hash, block.parent.as_deref().unwrap_or_default()));
        write(&block, &mut transfers).map_err(at)?;
    }
    Ok(TransferList { header, transfers, blocks: marks(lines), left_out: BTreeSet::new() })
}

fn write(block: &Block, list: &mut Vec<Transfer>) -> Result<(), ImportProblem> {
    let gas = block.txs.iter().try_fold(0_u64, |sum, tx| sum.checked_add(tx.gas_used));
    if gas != Some(block.gas_used) {
        let gas = gas.map_or_else(|| "an overflow".to_owned(), |gas| gas.to_string());
        return Err(ImportProblem::contradiction(
            "gas of the transactions and of the block",
            gas,
            block.gas_used,
        ));
    }
    let mut calls: BTreeMap<Option<u32>, Vec<&Call>> = BTreeMap::new();
    for call in block.calls.iter().flatten() {
        calls.entry(call.position).or_default().push(call);
    }
    for (at, tx) in block.txs.iter().enumerate() {
        let position = place(at);
        let mut out = Writer::new(list, block.number, position, &tx.hash);
        fees(block, tx, &mut out)?;
        if block.calls.is_some() {
            let calls = calls.remove(&Some(position)).unwrap_or_default();
            executed(tx, &calls, &mut out)?;
        } else if succeeded(tx)? {
            moves(&mut out, Kind::Payment, Some(&tx.from), tx.to.as_deref(), tx.value)?;
        }
        tokens(tx, &mut out);
    }
    let mut out = Writer::new(list, block.number, place(block.txs.len()), &block.hash);
    for call in calls.remove(&None).into_iter().flatten().filter(|call| !call.failed) {
        match call.does {
            Does::Mints => moves(&mut out, Kind::Mint, None, call.to.as_deref(), call.value)?,
            Does::Pays => {
                moves(&mut out, Kind::Internal, call.from.as_deref(), call.to.as_deref(), call.value)?;
            }
            Does::Nothing => {}
        }
    }
    for (account, gwei) in &block.withdrawals {
        let amount = Units::from(*gwei).times(Units::from(GWEI)).unwrap_or(Units::MAX);
        out.write(Kind::Mint, NATIVE, None, Some(account), amount);
    }
    match calls.keys().flatten().next() {
        Some(position) => Err(ImportProblem::contradiction(
            "transactions of the block and of its traces",
            block.txs.len(),
            format!("position {position}"),
        )),
        None => Ok(()),
    }
}

/// One movement of ether between ends that are both stated, but where it is made.
fn moves(
    out: &mut Writer<'_>,
    kind: Kind,
    from: Option<&str>,
    to: Option<&str>,
    amount: Units,
) -> Result<(), ImportProblem> {
    let stated = to.is_some() && (from.is_some() || kind == Kind::Mint);
    if !stated && !amount.is_zero() {
        return Err(ImportProblem::Missing {
            what: format!("one end of {amount} wei in {}", out.tx),
            give: "whole traces, and receipts with the contracts' addresses",
        });
    }
    out.write(kind, NATIVE, from, to, amount);
    Ok(())
}

/// The base fee is destroyed (EIP-1559), what is paid beyond goes to the proposer; blobs' fee is destroyed (EIP-4844).
fn fees(block: &Block, tx: &Tx, out: &mut Writer<'_>) -> Result<(), ImportProblem> {
    let gas = Units::from(tx.gas_used);
    let tip = tx.gas_price.less(block.base_fee).ok_or_else(|| {
        ImportProblem::contradiction(
            format!("price and base fee of {}", tx.hash),
            tx.gas_price,
            block.base_fee,
        )
    })?;
    let too_much = || ImportProblem::field("fee", &tx.hash, "less than 2^256");
    let burned = block.base_fee.times(gas).ok_or_else(too_much)?;
    out.write(Kind::Fee, NATIVE, Some(&tx.from), None, burned);
    out.write(Kind::Fee, NATIVE, Some(&tx.from), None, tx.blob_fee);
    out.write(Kind::Fee, NATIVE, Some(&tx.from), Some(&block.miner), tip.times(gas).ok_or_else(too_much)?);
    Ok(())
}

/// Whether a transaction was not reverted. Before Byzantium a failed one always used all its gas, and one that did not
/// use all cannot have failed.
fn succeeded(tx: &Tx) -> Result<bool, ImportProblem> {
    match tx.succeeded {
        Some(succeeded) => Ok(succeeded),
        None if tx.gas_used < tx.gas_limit || tx.value.is_zero() => Ok(true),
        None => Err(ImportProblem::Missing {
            what: format!("whether {} failed", tx.hash),
            give: "the traces of the block, since its receipt does not say",
        }),
    }
}

/// What the calls of one transaction move. The first is the transaction itself.
fn executed(tx: &Tx, calls: &[&Call], out: &mut Writer<'_>) -> Result<(), ImportProblem> {
    let missing = || ImportProblem::Missing {
        what: format!("the trace of {}", tx.hash),
        give: "all traces of the block",
    };
    let root = calls.iter().find(|call| call.path.is_empty()).ok_or_else(missing)?;
    if (root.value, root.from.as_ref()) != (tx.value, Some(&tx.from)) {
        let shown =
            |from: Option<&String>, value| format!("{value} from {}", from.map_or("nobody", String::as_str));
        return Err(ImportProblem::contradiction(
            format!("value of {} and of its trace", tx.hash),
            shown(Some(&tx.from), tx.value),
            shown(root.from.as_ref(), root.value),
        ));
    }
    let failed: Vec<&[u32]> =
        calls.iter().filter(|call| call.failed).map(|call| call.path.as_slice()).collect();
    let whole = tx.succeeded == Some(false);
    for call in calls {
        let undone = whole || failed.iter().any(|path| call.path.starts_with(path));
        if undone || call.does != Does::Pays {
            continue;
        }
        let kind = if call.path.is_empty() { Kind::Payment } else { Kind::Internal };
        moves(out, kind, call.from.as_deref(), call.to.as_deref(), call.value)?;
    }
    Ok(())
}

/// Token logs in order. From the zero account tokens are made, to it they are destroyed.
fn tokens(tx: &Tx, out: &mut Writer<'_>) {
    let mut tokens: Vec<&Token> = tx.tokens.iter().collect();
    tokens.sort_by_key(|token| token.log_index);
    for token in tokens {
        let Token { asset, from, to, amount, .. } = token;
        match (from == NOBODY, to == NOBODY) {
            (false, false) => out.write(Kind::Token, asset, Some(from), Some(to), *amount),
            (true, false) => out.write(Kind::Mint, asset, None, Some(to), *amount),
            (false, true) => out.write(Kind::Burn, asset, Some(from), None, *amount),
            (true, true) => {}
        }
    }
}
