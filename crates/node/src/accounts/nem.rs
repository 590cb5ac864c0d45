//! The HTTP interface of NIS. Everything that it says is the node's word: that a block has the hash which the block after it
//! names, what an account held after it (`account/historical/get`, which a node offers that keeps its history), and whether
//! others sign for it.

use kuraban_base::hex;
use kuraban_chain::{
    accounts::{BlockId, Network},
    nem::Address,
};
use serde::Deserialize;
use serde_json::json;

use super::{AnswerError, Block, Found, Http, Signs, Standing, http::said};

/// Seconds from 1970 to the first block, 2015-03-29T00:06:25Z, where the chain's times begin.
const EPOCH_S: u64 = 1_427_587_585;

/// A block as `block/at/public` answers.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BlockForm {
    time_stamp: u32,
    prev_block_hash: HashForm,
    version: i32,
    height: u64,
}

#[derive(Deserialize)]
struct HashForm {
    data: String,
}

/// What `account/historical/get` answers.
#[derive(Deserialize)]
struct HistoryForm {
    data: Vec<PastForm>,
}

/// An account at a height.
#[derive(Deserialize)]
pub(super) struct PastForm {
    pub(super) address: String,
    balance: u64,
    height: u64,
}

/// What `account/get` answers, as far as it says who signs.
#[derive(Deserialize)]
pub(super) struct KeysForm {
    pub(super) account: NamedForm,
    meta: MetaForm,
}

#[derive(Deserialize)]
pub(super) struct NamedForm {
    pub(super) address: String,
}

#[derive(Deserialize)]
struct MetaForm {
    cosignatories: Vec<serde_json::Value>,
}

/// A block by the one after it, which names its hash; else what is wrong with the two.
pub(super) fn read(network: Network, block: &BlockForm, next: &BlockForm) -> Result<Block, &'static str> {
    let [byte, ..] = block.version.to_be_bytes();
    if u64::from(byte) != network.id() {
        return Err("a block of the network");
    }
    if Some(next.height) != block.height.checked_add(1) {
        return Err("two blocks that follow each other");
    }
    let id = hex::decode_array(&next.prev_block_hash.data).map_err(|_| "a block with its hash")?;
    let time_s = EPOCH_S.saturating_add(block.time_stamp.into());
    Ok(Block { id: BlockId::from_bytes(id), height: block.height, time_s, state_root: None })
}

/// How an account stood at a height.
pub(super) fn standing(past: &PastForm, keys: &KeysForm, height: u64, account: &Address) -> Found {
    let is_his = |text: &str| text.parse() == Ok(*account);
    if !is_his(&past.address) || !is_his(&keys.account.address) {
        return Err("the answer is about another account".to_owned());
    }
    if past.height != height {
        return Err(format!("the answer is about height {}, want {height}", past.height));
    }
    let signs = if keys.meta.cosignatories.is_empty() { Signs::Own } else { Signs::Others };
    Ok(Standing { units: past.balance.into(), proven: false, signs })
}

/// The block at a height, if it has this hash.
pub(super) fn block(
    http: &Http,
    network: Network,
    id: BlockId,
    height: u64,
) -> Result<Option<Block>, AnswerError> {
    let what = "block/at/public";
    let at = |height: u64| -> Result<Option<BlockForm>, AnswerError> {
        let answer = http.post(what, what, &json!({"height": height}))?;
        match answer.status {
            200 => answer.parse("a block").map(Some),
            // Beyond the last one.
            404 => Ok(None),
            status => Err(said(what, &format!("HTTP {status}"))),
        }
    };
    let (Some(block), Some(next)) = (at(height)?, at(height.saturating_add(1))?) else { return Ok(None) };
    let found = read(network, &block, &next).map_err(|want| AnswerError::Form { what, want })?;
    let asked = found.height == height;
    if asked {
        Ok((found.id == id).then_some(found))
    } else {
        Err(AnswerError::Form { what, want: "the block asked for" })
    }
}

/// How an account stood after a block.
pub(super) fn account(http: &Http, block: &Block, account: &Address) -> Result<Found, AnswerError> {
    let what = "account/historical/get";
    let height = block.height;
    let ask = format!("{what}?address={account}&startHeight={height}&endHeight={height}&increment=1");
    let answer = http.get(what, &ask)?;
    if answer.status != 200 {
        let message = format!("HTTP {}: ask a node that keeps the history of accounts", answer.status);
        return Err(said(what, &message));
    }
    let HistoryForm { data } = answer.parse("an account's history")?;
    let what = "account/get";
    let answer = http.get(what, &format!("{what}?address={account}"))?;
    let keys: KeysForm = answer.parse("an account")?;
    Ok(match data.as_slice() {
        [past] => standing(past, &keys, height, account),
        [] => Err("the node knows no balance at that height".to_owned()),
        [_, _, ..] => Err("the node names more than one balance".to_owned()),
    })
}
