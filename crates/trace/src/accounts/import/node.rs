//! An EVM node's answers: `eth_getBlockByNumber` with transactions, receipts by transaction or by block, `trace_block`.
//!
//! Decides which answer is which, and puts them together. Never asks a node.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde_json::Value;

use super::{
    super::{transfer::TransferList, units::Units},
    ImportError, ImportProblem, Source,
    evm::{self, Block, Call, Does, Token, Tx},
    typed, whole,
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawBlock {
    number: String,
    hash: String,
    parent_hash: Option<String>,
    miner: String,
    gas_used: String,
    base_fee_per_gas: Option<String>,
    transactions: Vec<Value>,
    #[serde(default)]
    withdrawals: Option<Vec<RawWithdrawal>>,
}

#[derive(Deserialize)]
struct RawWithdrawal {
    address: String,
    amount: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawTx {
    hash: String,
    transaction_index: String,
    from: String,
    to: Option<String>,
    value: String,
    gas: String,
    gas_price: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawReceipt {
    transaction_hash: String,
    gas_used: String,
    effective_gas_price: Option<String>,
    status: Option<String>,
    contract_address: Option<String>,
    blob_gas_used: Option<String>,
    blob_gas_price: Option<String>,
    logs: Vec<RawLog>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawLog {
    address: String,
    topics: Vec<String>,
    data: String,
    log_index: String,
    #[serde(default)]
    removed: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawCall {
    action: RawAction,
    result: Option<RawResult>,
    error: Option<String>,
    block_number: u64,
    transaction_position: Option<u32>,
    trace_address: Vec<u32>,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawAction {
    from: Option<String>,
    to: Option<String>,
    value: Option<String>,
    call_type: Option<String>,
    author: Option<String>,
    address: Option<String>,
    refund_address: Option<String>,
    balance: Option<String>,
}

#[derive(Deserialize)]
struct RawResult {
    address: Option<String>,
}

/// Everything that the files say, before it is put together.
#[derive(Default)]
struct Heap {
    blocks: BTreeMap<u64, RawBlock>,
    receipts: HashMap<String, RawReceipt>,
    calls: BTreeMap<u64, Vec<Call>>,
}

/// The list in a node's answers. Each file is one JSON-RPC answer, a batch of them, or a bare result. Opening balances
/// are unknown. Without `trace_block` answers, what contracts paid is not in the list.
///
/// # Errors
/// Files of another form; blocks without their receipts, with gaps, or with hashes only; gas that does not add up.
pub fn evm(sources: &[Source<'_>]) -> Result<TransferList, ImportError> {
    let mut heap = Heap::default();
    for source in sources {
        let read = whole(source.bytes).and_then(|answer| heap.answer(answer));
        read.map_err(|problem| problem.at(source.name))?;
    }
    let mut blocks = BTreeMap::new();
    let Heap { blocks: raw, mut receipts, mut calls } = heap;
    for (number, raw) in raw {
        let block = block(number, raw, &mut receipts, calls.remove(&number));
        blocks.insert(number, block.map_err(|problem| problem.at(format!("block {number}")))?);
    }
    evm::list(blocks)
}

fn units(what: &'static str, text: &str) -> Result<Units, ImportProblem> {
    evm::quantity_bytes(text)
        .ok_or_else(|| ImportProblem::field(what, text, "0x and 1 to 64 hexadecimal digits"))
}

fn number(what: &'static str, text: &str) -> Result<u64, ImportProblem> {
    u64::try_from(units(what, text)?).map_err(|_| ImportProblem::field(what, text, "a number below 2^64"))
}

impl Heap {
    fn answer(&mut self, answer: Value) -> Result<(), ImportProblem> {
        match answer {
            Value::Object(mut object) if object.contains_key("jsonrpc") => {
                if let Some(error) = object.get("error").filter(|error| !error.is_null()) {
                    return Err(ImportProblem::field("answer", &error.to_string(), "a result, not an error"));
                }
                self.result(object.remove("result").unwrap_or(Value::Null))
            }
            Value::Array(all) if all.iter().any(|one| one.get("jsonrpc").is_some()) => {
                all.into_iter().try_for_each(|one| self.answer(one))
            }
            bare @ (Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_)) => self.result(bare),
        }
    }

    fn result(&mut self, result: Value) -> Result<(), ImportProblem> {
        let has = |key| result.get(key).is_some();
        if has("transactions") {
            return self.block(typed(result)?);
        }
        if has("transactionHash") && has("gasUsed") {
            return self.receipt(typed(result)?);
        }
        match result {
            Value::Array(all) => all.into_iter().try_for_each(|one| match one.get("action") {
                Some(_) => self.call(typed(one)?),
                None => self.receipt(typed(one)?),
            }),
            other @ (Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Object(_)) => {
                Err(ImportProblem::field("result", &other.to_string(), "a block, receipts or traces"))
            }
        }
    }

    fn block(&mut self, raw: RawBlock) -> Result<(), ImportProblem> {
        let number = number("number", &raw.number)?;
        match self.blocks.insert(number, raw) {
            Some(_) => Err(ImportProblem::contradiction("blocks of one height", number, number)),
            None => Ok(()),
        }
    }

    fn receipt(&mut self, raw: RawReceipt) -> Result<(), ImportProblem> {
        let hash = evm::hash(&raw.transaction_hash)?;
        match self.receipts.insert(hash.clone(), raw) {
            Some(_) => Err(ImportProblem::contradiction("receipts of one transaction", &hash, &hash)),
            None => Ok(()),
        }
    }

    fn call(&mut self, raw: RawCall) -> Result<(), ImportProblem> {
        self.calls.entry(raw.block_number).or_default().push(call(raw)?);
        Ok(())
    }
}

fn call(raw: RawCall) -> Result<Call, ImportProblem> {
    let RawCall { action, result, error, transaction_position, trace_address, kind, .. } = raw;
    let account = |text: Option<String>| text.map(|text| evm::account(&text)).transpose();
    let (does, from, to, value) = match kind.as_str() {
        "call" if action.call_type.as_deref() == Some("call") => {
            (Does::Pays, action.from, action.to, action.value)
        }
        "call" => (Does::Nothing, action.from, action.to, action.value),
        "create" => (Does::Pays, action.from, result.and_then(|result| result.address), action.value),
        "suicide" => (Does::Pays, action.address, action.refund_address, action.balance),
        "reward" => (Does::Mints, None, action.author, action.value),
        _ => return Err(ImportProblem::field("type", &kind, "call, create, suicide or reward")),
    };
    let value = value.as_deref().map_or(Ok(Units::ZERO), |value| units("value", value))?;
    Ok(Call {
        position: transaction_position,
        path: trace_address,
        does,
        from: account(from)?,
        to: account(to)?,
        value,
        failed: error.is_some(),
    })
}

fn block(
    number: u64,
    raw: RawBlock,
    receipts: &mut HashMap<String, RawReceipt>,
    calls: Option<Vec<Call>>,
) -> Result<Block, ImportProblem> {
    let mut txs = Vec::with_capacity(raw.transactions.len());
    for (at, value) in raw.transactions.into_iter().enumerate() {
        if value.is_string() {
            return Err(ImportProblem::Missing {
                what: format!("transaction {at}"),
                give: "blocks with full transactions (the second parameter of eth_getBlockByNumber is true)",
            });
        }
        let raw: RawTx = typed(value).map_err(|problem| problem.under(&format!("transactions[{at}]")))?;
        let found = self::number("transactionIndex", &raw.transaction_index)?;
        if usize::try_from(found) != Ok(at) {
            return Err(ImportProblem::contradiction("place and transactionIndex", at, found));
        }
        let hash = evm::hash(&raw.hash)?;
        let receipt = receipts.remove(&hash).ok_or_else(|| ImportProblem::Missing {
            what: format!("the receipt of {hash}"),
            give: "eth_getTransactionReceipt or eth_getBlockReceipts of every transaction",
        })?;
        txs.push(tx(hash, raw, receipt)?);
    }
    let withdrawals = raw.withdrawals.unwrap_or_default().into_iter();
    let withdrawals =
        withdrawals.map(|one| Ok((evm::account(&one.address)?, self::number("amount", &one.amount)?)));
    Ok(Block {
        number,
        hash: evm::hash(&raw.hash)?,
        parent: raw.parent_hash.as_deref().map(evm::hash).transpose()?,
        miner: evm::account(&raw.miner)?,
        base_fee: raw
            .base_fee_per_gas
            .as_deref()
            .map_or(Ok(Units::ZERO), |fee| units("baseFeePerGas", fee))?,
        gas_used: self::number("gasUsed", &raw.gas_used)?,
        txs,
        withdrawals: withdrawals.collect::<Result<_, ImportProblem>>()?,
        calls,
    })
}

fn tx(hash: String, raw: RawTx, receipt: RawReceipt) -> Result<Tx, ImportProblem> {
    let price = receipt.effective_gas_price.or(raw.gas_price).ok_or_else(|| ImportProblem::Missing {
        what: format!("the gas price of {hash}"),
        give: "receipts with effectiveGasPrice",
    })?;
    let blob_fee = match (receipt.blob_gas_used, receipt.blob_gas_price) {
        (Some(gas), Some(price)) => units("blobGasUsed", &gas)?.times(units("blobGasPrice", &price)?),
        (_, _) => Some(Units::ZERO),
    };
    let mut tokens = Vec::new();
    for log in receipt.logs {
        if log.removed {
            return Err(ImportProblem::field("removed", &hash, "logs of blocks that stand"));
        }
        let index = number("logIndex", &log.log_index)?;
        tokens.extend(Token::of_log(index, &log.address, &log.topics, &log.data)?);
    }
    let status = receipt.status.as_deref().map(|status| number("status", status)).transpose()?;
    let to = raw.to.or(receipt.contract_address);
    Ok(Tx {
        from: evm::account(&raw.from)?,
        to: to.map(|to| evm::account(&to)).transpose()?,
        value: units("value", &raw.value)?,
        gas_limit: number("gas", &raw.gas)?,
        gas_used: number("gasUsed", &receipt.gas_used)?,
        gas_price: units("gasPrice", &price)?,
        blob_fee: blob_fee.ok_or_else(|| ImportProblem::field("fee", &hash, "less than 2^256"))?,
        succeeded: status.map(|status| status == 1),
        tokens,
        hash,
    })
}

#[cfg(test)]
pub(super) fn calls(bytes: &[u8]) -> Vec<Call> {
    let mut heap = Heap::default();
    heap.answer(serde_json::from_slice(bytes).unwrap()).unwrap();
    heap.calls.into_values().flatten().collect()
}
