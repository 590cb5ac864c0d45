//! Tables of ethereum-etl as JSON lines: blocks, transactions, token_transfers, and where there are any, traces and logs.
//!
//! Decides which row is of which table by its `type`. Reads amounts as they are written: they outgrow 64 bits.

use std::collections::{BTreeMap, HashSet};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    super::{transfer::TransferList, units::Units},
    ImportError, ImportProblem, Source,
    evm::{self, Block, Call, Does, Token, Tx},
};

/// Topics of an ERC-721 transfer, which moves a thing and no amount.
const TOPICS_OF_A_THING: usize = 4;

#[derive(Deserialize)]
struct RawRow {
    #[serde(rename = "type")]
    table: String,
}

#[derive(Deserialize)]
struct RawBlock<'a> {
    number: u64,
    hash: String,
    parent_hash: Option<String>,
    miner: String,
    gas_used: u64,
    transaction_count: u64,
    #[serde(borrow)]
    base_fee_per_gas: Option<&'a RawValue>,
    #[serde(default)]
    withdrawals: Option<Vec<RawWithdrawal>>,
}

#[derive(Deserialize)]
struct RawWithdrawal {
    address: String,
    amount: u64,
}

#[derive(Deserialize)]
struct RawTx<'a> {
    hash: String,
    transaction_index: u32,
    from_address: String,
    to_address: Option<String>,
    #[serde(borrow)]
    value: &'a RawValue,
    gas: u64,
    #[serde(borrow)]
    gas_price: Option<&'a RawValue>,
    block_number: u64,
    receipt_gas_used: Option<u64>,
    receipt_contract_address: Option<String>,
    receipt_status: Option<u8>,
    #[serde(borrow)]
    receipt_effective_gas_price: Option<&'a RawValue>,
    #[serde(borrow)]
    receipt_blob_gas_used: Option<&'a RawValue>,
    #[serde(borrow)]
    receipt_blob_gas_price: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawToken<'a> {
    token_address: String,
    from_address: String,
    to_address: String,
    #[serde(borrow)]
    value: &'a RawValue,
    transaction_hash: String,
    log_index: u64,
}

#[derive(Deserialize)]
struct RawLog {
    transaction_hash: String,
    log_index: u64,
    topics: Vec<String>,
}

#[derive(Deserialize)]
struct RawCall<'a> {
    transaction_index: Option<u32>,
    from_address: Option<String>,
    to_address: Option<String>,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
    trace_type: String,
    call_type: Option<String>,
    trace_address: Option<Vec<u32>>,
    error: Option<String>,
    status: Option<u8>,
    block_number: u64,
}

#[derive(Default)]
struct Heap {
    blocks: BTreeMap<u64, (Block, u64)>,
    txs: BTreeMap<(u64, u32), Tx>,
    /// Transaction and movement.
    tokens: Vec<(String, Token)>,
    /// Transaction and log of transfers of things.
    things: HashSet<(String, u64)>,
    calls: BTreeMap<u64, Vec<Call>>,
}

/// The list in tables of ethereum-etl, in any order. Opening balances are unknown. Without traces, what contracts paid
/// is not in the list; without logs, ERC-721 transfers cannot be told from others, and their tokens' numbers stand as
/// amounts.
///
/// # Errors
/// Rows of another form; transactions without receipt columns; blocks with gaps or transactions missing; gas that does
/// not add up.
pub fn etl(sources: &[Source<'_>]) -> Result<TransferList, ImportError> {
    let mut heap = Heap::default();
    for source in sources {
        let text = std::str::from_utf8(source.bytes)
            .map_err(|error| ImportProblem::field("text", &error.to_string(), "UTF-8").at(source.name))?;
        for (line, row) in (1_u64..).zip(text.lines()).filter(|(_, row)| !row.trim().is_empty()) {
            heap.row(row).map_err(|problem| problem.at(format!("{} line {line}", source.name)))?;
        }
    }
    heap.list()
}

fn parsed<'a, T: Deserialize<'a>>(row: &'a str) -> Result<T, ImportProblem> {
    let mut json = serde_json::Deserializer::from_str(row);
    serde_path_to_error::deserialize(&mut json)
        .map_err(|problem| ImportProblem::json(&problem.path().to_string(), problem.inner()))
}

/// A number as it is written, or in quotes.
fn units(what: &'static str, raw: &RawValue) -> Result<Units, ImportProblem> {
    let text = raw.get();
    let digits = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    digits.parse().map_err(|_| ImportProblem::field(what, text, "a decimal number from 0 to 2^256 - 1"))
}

fn maybe(what: &'static str, raw: Option<&RawValue>) -> Result<Option<Units>, ImportProblem> {
    raw.filter(|raw| raw.get() != "null").map(|raw| units(what, raw)).transpose()
}

impl Heap {
    fn row(&mut self, row: &str) -> Result<(), ImportProblem> {
        let RawRow { table } = parsed(row)?;
        match table.as_str() {
            "block" => self.block(&parsed(row)?),
            "transaction" => self.tx(parsed(row)?),
            "token_transfer" => self.token(&parsed(row)?),
            "log" => self.log(&parsed(row)?),
            "trace" => self.call(parsed(row)?),
            // They describe code and names, not movements.
            "contract" | "token" => Ok(()),
            _ => {
                Err(ImportProblem::field("type", &table, "block, transaction, token_transfer, log or trace"))
            }
        }
    }

    fn block(&mut self, raw: &RawBlock<'_>) -> Result<(), ImportProblem> {
        let withdrawals = raw.withdrawals.iter().flatten();
        let withdrawals = withdrawals.map(|one| Ok((evm::account(&one.address)?, one.amount)));
        let block = Block {
            number: raw.number,
            hash: evm::hash(&raw.hash)?,
            parent: raw.parent_hash.as_deref().map(evm::hash).transpose()?,
            miner: evm::account(&raw.miner)?,
            base_fee: maybe("base_fee_per_gas", raw.base_fee_per_gas)?.unwrap_or_default(),
            gas_used: raw.gas_used,
            txs: Vec::new(),
            withdrawals: withdrawals.collect::<Result<_, ImportProblem>>()?,
            calls: None,
        };
        match self.blocks.insert(raw.number, (block, raw.transaction_count)) {
            Some(_) => Err(ImportProblem::contradiction("blocks of one height", raw.number, raw.number)),
            None => Ok(()),
        }
    }

    fn tx(&mut self, raw: RawTx<'_>) -> Result<(), ImportProblem> {
        let hash = evm::hash(&raw.hash)?;
        let missing = |what: &str| ImportProblem::Missing {
            what: format!("{what} of {hash}"),
            give: "transactions with their receipt columns",
        };
        let price = maybe("receipt_effective_gas_price", raw.receipt_effective_gas_price)?;
        let price = price.map_or_else(|| maybe("gas_price", raw.gas_price), |price| Ok(Some(price)))?;
        let blob_gas = maybe("receipt_blob_gas_used", raw.receipt_blob_gas_used)?.unwrap_or_default();
        let blob_price = maybe("receipt_blob_gas_price", raw.receipt_blob_gas_price)?.unwrap_or_default();
        let to = raw.to_address.or(raw.receipt_contract_address);
        let tx = Tx {
            from: evm::account(&raw.from_address)?,
            to: to.map(|to| evm::account(&to)).transpose()?,
            value: units("value", raw.value)?,
            gas_limit: raw.gas,
            gas_used: raw.receipt_gas_used.ok_or_else(|| missing("receipt_gas_used"))?,
            gas_price: price.ok_or_else(|| missing("receipt_effective_gas_price"))?,
            blob_fee: blob_gas
                .times(blob_price)
                .ok_or_else(|| ImportProblem::field("fee", &hash, "less than 2^256"))?,
            succeeded: raw.receipt_status.map(|status| status == 1),
            tokens: Vec::new(),
            hash: hash.clone(),
        };
        match self.txs.insert((raw.block_number, raw.transaction_index), tx) {
            Some(other) => Err(ImportProblem::contradiction("transactions of one place", &other.hash, &hash)),
            None => Ok(()),
        }
    }

    fn token(&mut self, raw: &RawToken<'_>) -> Result<(), ImportProblem> {
        let token = Token {
            log_index: raw.log_index,
            asset: evm::account(&raw.token_address)?,
            from: evm::account(&raw.from_address)?,
            to: evm::account(&raw.to_address)?,
            amount: units("value", raw.value)?,
        };
        self.tokens.push((evm::hash(&raw.transaction_hash)?, token));
        Ok(())
    }

    fn log(&mut self, raw: &RawLog) -> Result<(), ImportProblem> {
        if raw.topics.len() == TOPICS_OF_A_THING {
            self.things.insert((evm::hash(&raw.transaction_hash)?, raw.log_index));
        }
        Ok(())
    }

    fn call(&mut self, raw: RawCall<'_>) -> Result<(), ImportProblem> {
        let does = match (raw.trace_type.as_str(), raw.call_type.as_deref()) {
            ("call", Some("call")) | ("create" | "suicide" | "daofork", _) => Does::Pays,
            ("reward" | "genesis", _) => Does::Mints,
            ("call", _) => Does::Nothing,
            (other, _) => {
                return Err(ImportProblem::field(
                    "trace_type",
                    other,
                    "call, create, suicide, reward, genesis or daofork",
                ));
            }
        };
        let account = |text: Option<String>| text.map(|text| evm::account(&text)).transpose();
        let call = Call {
            position: raw.transaction_index,
            path: raw.trace_address.unwrap_or_default(),
            does,
            from: account(raw.from_address)?,
            to: account(raw.to_address)?,
            value: maybe("value", raw.value)?.unwrap_or_default(),
            failed: raw.error.is_some() || raw.status == Some(0),
        };
        self.calls.entry(raw.block_number).or_default().push(call);
        Ok(())
    }

    fn list(mut self) -> Result<TransferList, ImportError> {
        let mut tokens: BTreeMap<String, Vec<Token>> = BTreeMap::new();
        for (tx, token) in self.tokens {
            if !self.things.contains(&(tx.clone(), token.log_index)) {
                tokens.entry(tx).or_default().push(token);
            }
        }
        let mut blocks = BTreeMap::new();
        for (number, (mut block, count)) in self.blocks {
            let at = |problem: ImportProblem| problem.at(format!("block {number}"));
            for place in 0_u32.. {
                let Some(mut tx) = self.txs.remove(&(number, place)) else { break };
                tx.tokens = tokens.remove(&tx.hash).unwrap_or_default();
                block.txs.push(tx);
            }
            let found = block.txs.len();
            if u64::try_from(found) != Ok(count) {
                return Err(at(ImportProblem::contradiction(
                    "transactions found and transaction_count",
                    found,
                    count,
                )));
            }
            block.calls = self.calls.remove(&number).map(|mut calls| {
                // Pre-order is the order of paths; calls of the block come after those of its transactions.
                calls.sort_by(|a, b| {
                    (a.position.is_none(), a.position, &a.path).cmp(&(
                        b.position.is_none(),
                        b.position,
                        &b.path,
                    ))
                });
                calls
            });
            blocks.insert(number, block);
        }
        let stray = self.txs.values().map(|tx| tx.hash.clone()).chain(tokens.into_keys()).next();
        match stray {
            Some(hash) => Err(ImportProblem::Missing {
                what: format!("the block or transaction of {hash}"),
                give: "blocks and transactions of the same range",
            }
            .at("the tables")),
            None => evm::list(blocks),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::import::node;

    #[test]
    fn calls_of_the_tables_are_those_of_the_node() {
        let shared = std::env::var("KURABAN_SHARED").unwrap_or_else(|_| "../../../shared".to_owned());
        let read = |name: &str| {
            std::fs::read(format!("{shared}/data/eth/ethetl_blocks_2112234_2112234__{name}.json"))
        };
        let Ok(table) = read("expected_traces") else {
            println!("skipped: the shared data is not here");
            return;
        };
        let mut heap = Heap::default();
        for row in String::from_utf8(table).unwrap().lines() {
            heap.row(row).unwrap();
        }
        let table: Vec<Call> = heap.calls.into_values().flatten().collect();
        assert_eq!(table.len(), 2);
        assert_eq!(table, node::calls(&read("web3_response.trace_block_0x203aea").unwrap()));
    }
}
