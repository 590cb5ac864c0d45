//! What the chain says about outputs as of one block: asked of the checker's own node, or read from a list that such a node
//! printed. Decides whether an output was there and unspent then; what came after does not matter.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use clap::{ArgGroup, Args};
use indicatif::ProgressBar;
use kuraban_base::{Height, Txid, hex};
use kuraban_chain::{
    accounts,
    btc::{Block, BlockHash, Header, Network, OutPoint, Script, Tx, TxOut},
};
use kuraban_node::{
    accounts::{AnswerError, Ledger, PRINTED_BYTES_MAX, Printed},
    rpc::{Auth, Rpc, sat},
};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::fail::{Failure, OrFail as _};

/// How long the node may take for one call.
const WITHIN: Duration = Duration::from_secs(60);
/// Most blocks after the stated one that are searched for outputs spent since.
const SINCE_MAX: u32 = 4032;
/// Longest list of outputs that is read.
const SCAN_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Where the chain is.
#[derive(Args)]
#[command(group(ArgGroup::new("chain").required(true)))]
#[group(multiple = true)]
pub(super) struct Place {
    /// Your own node (RPC)
    #[arg(group = "chain", long, visible_alias = "rpc", value_name = "HOST:PORT")]
    node: Option<String>,
    /// The cookie of a node of the BTC family, or a file with user:password
    #[arg(long, value_name = "FILE", requires = "node")]
    cookie: Option<PathBuf>,
    /// What your node's scantxoutset printed at the stated block, instead of a node
    #[arg(long, value_name = "FILE", group = "chain")]
    utxos: Option<PathBuf>,
    /// What your node of a chain of accounts answered about the stated block and the accounts, instead of a node
    #[arg(long, value_name = "FILE", group = "chain")]
    balances: Option<PathBuf>,
}

/// The chain as it can be asked.
pub(super) enum Chain {
    Node(Rpc),
    Scan(Scan),
}

/// Outputs that were unspent at a block.
pub(super) struct Scan {
    height: u32,
    block: BlockHash,
    outputs: BTreeMap<OutPoint, (TxOut, u32)>,
}

/// An output that was unspent as of the stated block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Coin {
    pub(super) output: TxOut,
    /// The transaction that made it, where the node has it.
    pub(super) prev: Option<Tx>,
}

/// What speaks against an output, in words.
pub(super) type Found = Result<Coin, String>;

impl Place {
    /// Gets ready to ask.
    pub(super) fn open(&self, network: Network) -> Result<Chain, Failure> {
        match (&self.node, &self.cookie, &self.utxos) {
            (Some(node), Some(cookie), None) => {
                let rpc = Rpc::new(network, node, Auth { file: cookie.clone() }, WITHIN);
                let genesis = rpc.block_hash(Height::new(0)).or_undone("the node")?;
                if genesis != Some(network.genesis_hash()) {
                    return Err(Failure::input(format!("{node} is no node of {network}")));
                }
                Ok(Chain::Node(rpc))
            }
            (None, None, Some(path)) => scan(path).map(Chain::Scan),
            (Some(_) | None, _, _) => Err(Failure::input("want --node with --cookie, or --utxos")),
        }
    }

    /// Gets ready to ask about accounts.
    pub(super) fn accounts(&self, network: accounts::Network) -> Result<Ledger, Failure> {
        match (&self.node, &self.cookie, &self.balances) {
            (Some(node), None, None) => Ledger::node(network, node, WITHIN).map_err(|error| match error {
                AnswerError::Place { .. } | AnswerError::Network { .. } => Failure::Input(error.into()),
                AnswerError::Unreachable { .. }
                | AnswerError::Large { .. }
                | AnswerError::Form { .. }
                | AnswerError::Said { .. }
                | AnswerError::Printed { .. } => Failure::Undone(error.into()),
            }),
            (None, None, Some(path)) => {
                let bytes = crate::input::bytes(path, PRINTED_BYTES_MAX)?;
                Printed::read(network, &bytes).map(Ledger::Printed).or_input(path.display())
            }
            (Some(_) | None, _, _) => Err(Failure::input(format!(
                "{network} is a chain of accounts: want --node alone, or --balances"
            ))),
        }
    }
}

#[derive(Deserialize)]
struct ScanForm<'a> {
    height: u32,
    bestblock: String,
    #[serde(borrow)]
    unspents: Vec<UnspentForm<'a>>,
}

#[derive(Deserialize)]
struct UnspentForm<'a> {
    txid: String,
    vout: u32,
    #[serde(rename = "scriptPubKey")]
    script: String,
    #[serde(borrow)]
    amount: &'a RawValue,
    height: u32,
}

fn scan(path: &std::path::Path) -> Result<Scan, Failure> {
    let bytes = crate::input::bytes(path, SCAN_BYTES_MAX)?;
    let form: ScanForm<'_> = serde_json::from_slice(&bytes).or_input(path.display())?;
    let wrong = |at: usize, what: &str| Failure::input(format!("{}: unspents[{at}]: {what}", path.display()));
    let block = form.bestblock.parse().or_input(format!("{}: bestblock", path.display()))?;
    let mut outputs = BTreeMap::new();
    for (at, one) in form.unspents.iter().enumerate() {
        let txid: Txid = one.txid.parse().map_err(|_| wrong(at, "txid is no transaction id"))?;
        let script = hex::decode(&one.script).map_err(|_| wrong(at, "scriptPubKey is not hexadecimal"))?;
        let value_sat = sat(one.amount.get()).ok_or_else(|| wrong(at, "amount has no eight places"))?;
        let outpoint = OutPoint { txid, vout: one.vout };
        let output = TxOut { value_sat, script: Script::new(script) };
        if outputs.insert(outpoint, (output, one.height)).is_some() {
            return Err(wrong(at, "the output stands in the list twice"));
        }
    }
    Ok(Scan { height: form.height, block, outputs })
}

impl Chain {
    /// The height of a block in the best chain and its header's time, where there is one.
    pub(super) fn block(&self, block: BlockHash) -> Result<Option<(u32, Option<u32>)>, Failure> {
        match self {
            Self::Scan(scan) => Ok((scan.block == block).then_some((scan.height, None))),
            Self::Node(rpc) => {
                let Some(height) = rpc.block_height(block).or_undone("the node")? else { return Ok(None) };
                if rpc.block_hash(height).or_undone("the node")? != Some(block) {
                    return Ok(None);
                }
                let header = rpc.block_header(block).or_undone("the node")?;
                Ok(Some((height.blocks(), header.map(|header: Header| header.time_s))))
            }
        }
    }

    /// How each output stood as of the block at `height`, which is in the best chain.
    pub(super) fn coins(
        &self,
        network: Network,
        height: u32,
        asked: &[OutPoint],
        bar: &ProgressBar,
    ) -> Result<BTreeMap<OutPoint, Found>, Failure> {
        match self {
            Self::Scan(scan) => Ok(asked.iter().map(|outpoint| (*outpoint, scan.coin(outpoint))).collect()),
            Self::Node(rpc) => {
                for _ in 0..3 {
                    bar.set_position(0);
                    let before = rpc.best_hash().or_undone("the node")?;
                    let found = of_node(rpc, network, height, asked, bar)?;
                    if rpc.best_hash().or_undone("the node")? == before {
                        return Ok(found);
                    }
                }
                Err(Failure::undone(
                    "the chain changed while it was read, three times: run the command again",
                ))
            }
        }
    }
}

impl Scan {
    fn coin(&self, outpoint: &OutPoint) -> Found {
        match self.outputs.get(outpoint) {
            Some((output, height)) if *height <= self.height => {
                Ok(Coin { output: output.clone(), prev: None })
            }
            Some(_) => Err("it is younger than the stated block".to_owned()),
            None => Err("it is not among the unspent outputs".to_owned()),
        }
    }
}

fn of_node(
    rpc: &Rpc,
    network: Network,
    height: u32,
    asked: &[OutPoint],
    bar: &ProgressBar,
) -> Result<BTreeMap<OutPoint, Found>, Failure> {
    let tip = rpc.best_height().or_undone("the node")?.blocks();
    let mut found = BTreeMap::new();
    let mut absent = BTreeSet::new();
    for outpoint in asked {
        bar.inc(1);
        match rpc.unspent_by_blocks(*outpoint).or_undone("the node")? {
            Some(unspent) => {
                let made_at = tip.saturating_add(1).saturating_sub(unspent.confirmations);
                let old = unspent.confirmations > 0 && made_at <= height;
                let coin = Coin { output: unspent.output, prev: None };
                let coin = if old { Ok(coin) } else { Err("it is younger than the stated block".to_owned()) };
                found.insert(*outpoint, coin);
            }
            None => {
                absent.insert(*outpoint);
            }
        }
    }
    if !absent.is_empty() {
        found.extend(spent_since(rpc, network, (height, tip), absent)?);
    }
    Ok(found)
}

/// What became of outputs that are no more: one that a later block spends, and that no later block made, was there.
fn spent_since(
    rpc: &Rpc,
    network: Network,
    (height, tip): (u32, u32),
    absent: BTreeSet<OutPoint>,
) -> Result<BTreeMap<OutPoint, Found>, Failure> {
    let gone = || Err("there is no such output, or it was spent before the stated block".to_owned());
    if tip.saturating_sub(height) > SINCE_MAX {
        let text =
            format!("it is spent now, and more than {SINCE_MAX} blocks came since: ask a node of that time");
        return Ok(absent.into_iter().map(|outpoint| (outpoint, Err(text.clone()))).collect());
    }
    let (mut spent, mut made) = (BTreeSet::new(), BTreeSet::new());
    for at in height.saturating_add(1)..=tip {
        let missing = || Failure::undone(format!("the node does not hand over block {at}"));
        let hash = rpc.block_hash(Height::new(at)).or_undone("the node")?.ok_or_else(missing)?;
        let bytes = rpc.block_bytes(hash).or_undone("the node")?.ok_or_else(missing)?;
        let block = Block::decode(network, &bytes).or_undone(format!("block {hash}"))?;
        for tx in &block.txs {
            spent.extend(tx.inputs.iter().map(|input| input.prev).filter(|prev| absent.contains(prev)));
            made.insert(tx.txid());
        }
    }
    let mut found = BTreeMap::new();
    for outpoint in absent {
        let was_there = spent.contains(&outpoint) && !made.contains(&outpoint.txid);
        let prev = if was_there { rpc.tx(outpoint.txid, None).ok().flatten() } else { None };
        let output =
            prev.as_ref().and_then(|tx| tx.outputs.get(usize::try_from(outpoint.vout).ok()?)).cloned();
        let coin = match (was_there, output) {
            (false, _) => gone(),
            (true, Some(output)) => Ok(Coin { output, prev }),
            (true, None) => Err(SPENT_SINCE.to_owned()),
        };
        found.insert(outpoint, coin);
    }
    Ok(found)
}

/// Said of an output that was unspent at the stated block, where the node keeps no transactions to say what it was. The proof
/// may show its transaction.
pub(super) const SPENT_SINCE: &str = "it was spent since, and this node no longer knows what it was";

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Scan, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scan.json");
        std::fs::write(&path, text).unwrap();
        scan(&path).map_err(|failure| failure.problem())
    }

    const HONEST: &str = r#"{"success":true,"txouts":9,"height":7,
        "bestblock":"0000000000000000000000000000000000000000000000000000000000000007",
        "unspents":[{"txid":"1111111111111111111111111111111111111111111111111111111111111111","vout":3,
        "scriptPubKey":"6a","desc":"raw(6a)#x","amount":0.29000000,"height":7}],"total_amount":0.29000000}"#;

    #[test]
    fn a_scan_is_read_to_the_unit() {
        let scan = read(HONEST).unwrap();
        let outpoint = *scan.outputs.keys().next().unwrap();
        let output = TxOut { value_sat: 29_000_000, script: Script::new(vec![0x6a]) };
        assert_eq!(scan.coin(&outpoint), Ok(Coin { output, prev: None }));
        assert!(scan.coin(&OutPoint { vout: 4, ..outpoint }).is_err());
        let younger = read(&HONEST.replace("\"height\":7}", "\"height\":8}")).unwrap();
        assert!(younger.coin(&outpoint).unwrap_err().contains("younger"));
        for length in 0..HONEST.len() {
            assert!(read(&HONEST[..length]).is_err(), "{length}");
        }
        let check = |from: &str, to: &str, want: &str| {
            let error = read(&HONEST.replace(from, to)).err().unwrap();
            assert!(error.contains(want), "{error}");
        };
        check("\"1111", "\"111x", "unspents[0]: txid");
        check("\"6a\"", "\"6\"", "unspents[0]: scriptPubKey");
        check("0.29000000,\"height", "2.9e-1,\"height", "unspents[0]: amount");
        check("0.29000000,\"height", "0.290000001,\"height", "unspents[0]: amount");
        let entry = &HONEST[HONEST.find("{\"txid").unwrap()..HONEST.find("],\"total").unwrap()];
        check(entry, &format!("{entry},{entry}"), "unspents[1]: the output stands in the list twice");
    }
}
