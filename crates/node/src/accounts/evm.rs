//! Ethereum's JSON-RPC. A block is taken only if its fields have its hash, a balance of ether only with a proof against the state
//! that this hash covers. A token's balance is the node's word.

use kuraban_base::hex;
use kuraban_chain::{
    accounts::BlockId,
    evm::{Address, Header, Later, holding},
};
use serde::Deserialize;
use serde_json::{json, value::RawValue};

use super::{AnswerError, Block, Found, Http, Signs, Standing};

/// The first bytes of a call of `balanceOf(address)` (ERC-20).
const BALANCE_OF: &str = "0x70a08231";
/// A call of `decimals()` (ERC-20).
const DECIMALS: &str = "0x313ce567";
/// Most decimals that a token can have here: a sum of 128 bits has no more digits.
const DECIMALS_MAX: u8 = 38;
/// Longest extra data of a block, beyond what any chain of proof of authority writes.
const EXTRA_BYTES_MAX: usize = 4096;

/// A block's fields as nodes write them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BlockForm {
    hash: String,
    parent_hash: String,
    sha3_uncles: String,
    miner: String,
    state_root: String,
    transactions_root: String,
    receipts_root: String,
    logs_bloom: String,
    difficulty: String,
    number: String,
    gas_limit: String,
    gas_used: String,
    timestamp: String,
    extra_data: String,
    mix_hash: String,
    nonce: String,
    #[serde(default)]
    base_fee_per_gas: Option<String>,
    #[serde(default)]
    withdrawals_root: Option<String>,
    #[serde(default)]
    blob_gas_used: Option<String>,
    #[serde(default)]
    excess_blob_gas: Option<String>,
    #[serde(default)]
    parent_beacon_block_root: Option<String>,
    #[serde(default)]
    requests_hash: Option<String>,
    #[serde(default)]
    block_access_list_hash: Option<String>,
    #[serde(default)]
    slot_number: Option<String>,
}

/// An account's proof as nodes write it (EIP-1186).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ProofForm {
    pub(super) address: String,
    pub(super) balance: String,
    #[serde(default)]
    pub(super) account_proof: Vec<String>,
}

impl BlockForm {
    /// The block, if its fields have its hash; else what is wrong with it.
    pub(super) fn read(&self) -> Result<Block, &'static str> {
        let header = self.header().ok_or("a block with all fields")?;
        let id = BlockId::from_bytes(header.hash());
        if self.hash.parse() != Ok(id) {
            return Err("a block whose fields have its hash, as upgrades up to Amsterdam made them");
        }
        let Header { number, time_s, state_root, .. } = header;
        Ok(Block { id, height: number, time_s, state_root: Some(state_root) })
    }

    fn header(&self) -> Option<Header> {
        let number = |text: &Option<String>| text.as_deref().and_then(quantity).map(Later::Number);
        let hash = |text: &Option<String>| text.as_deref().and_then(array).map(Later::Hash);
        let later = [
            (self.base_fee_per_gas.is_some(), number(&self.base_fee_per_gas)),
            (self.withdrawals_root.is_some(), hash(&self.withdrawals_root)),
            (self.blob_gas_used.is_some(), number(&self.blob_gas_used)),
            (self.excess_blob_gas.is_some(), number(&self.excess_blob_gas)),
            (self.parent_beacon_block_root.is_some(), hash(&self.parent_beacon_block_root)),
            (self.requests_hash.is_some(), hash(&self.requests_hash)),
            (self.block_access_list_hash.is_some(), hash(&self.block_access_list_hash)),
            (self.slot_number.is_some(), number(&self.slot_number)),
        ];
        let later: Option<Vec<Later>> =
            later.into_iter().take_while(|(there, _)| *there).map(|(_, field)| field).collect();
        let small = |text: &str| quantity(text).and_then(|number| u64::try_from(number).ok());
        Some(Header {
            parent: array(&self.parent_hash)?,
            ommers: array(&self.sha3_uncles)?,
            beneficiary: array(&self.miner)?,
            state_root: array(&self.state_root)?,
            transactions: array(&self.transactions_root)?,
            receipts: array(&self.receipts_root)?,
            bloom: array::<256>(&self.logs_bloom)?.to_vec(),
            difficulty: quantity(&self.difficulty)?,
            number: small(&self.number)?,
            gas_limit: small(&self.gas_limit)?,
            gas_used: small(&self.gas_used)?,
            time_s: small(&self.timestamp)?,
            extra: bytes(&self.extra_data).filter(|extra| extra.len() <= EXTRA_BYTES_MAX)?,
            mix: array(&self.mix_hash)?,
            nonce: array(&self.nonce)?,
            later: later?,
        })
    }
}

impl ProofForm {
    /// What the proof shows of the account in the state under a root.
    pub(super) fn read(&self, state_root: &[u8; 32], address: &Address) -> Found {
        if Address::parse(&self.address.to_ascii_lowercase()) != Ok(*address) {
            return Err("the proof is another account's".to_owned());
        }
        let nodes: Option<Vec<Vec<u8>>> = self.account_proof.iter().map(|node| bytes(node)).collect();
        let nodes = nodes.ok_or("the proof is not hexadecimal")?;
        let shown = holding(state_root, address, &nodes).map_err(|problem| problem.to_string())?;
        let units = shown.wei.ok_or("it holds more than there is")?;
        if quantity(&self.balance) != Some(units) {
            return Err(format!("the proof shows {units}, beside it stands another balance"));
        }
        Ok(Standing { units, proven: true, signs: Signs::Own })
    }
}

/// The number by which the node's network is named (EIP-155).
pub(super) fn chain_id(http: &Http) -> Result<u64, AnswerError> {
    let what = "eth_chainId";
    let text: String = parse(what, &http.call(what, &json!([]))?, "a number")?;
    let id = quantity(&text).and_then(|id| u64::try_from(id).ok());
    id.ok_or(AnswerError::Form { what, want: "a number" })
}

/// The block of a hash, if it is in the node's chain.
pub(super) fn block(http: &Http, id: BlockId) -> Result<Option<Block>, AnswerError> {
    let what = "eth_getBlockByHash";
    let answer = http.call(what, &json!([format!("0x{id}"), false]))?;
    let Some(form) = parse::<Option<BlockForm>>(what, &answer, "a block with all fields")? else {
        return Ok(None);
    };
    let block = form.read().map_err(|want| AnswerError::Form { what, want })?;
    if block.id != id {
        return Err(AnswerError::Form { what, want: "the block asked for" });
    }
    #[derive(Deserialize)]
    struct Named {
        hash: String,
    }
    // A node keeps blocks of branches that lost.
    let what = "eth_getBlockByNumber";
    let answer = http.call(what, &json!([format!("0x{:x}", block.height), false]))?;
    let best = parse::<Option<Named>>(what, &answer, "a block")?;
    Ok(best.filter(|best| best.hash.parse() == Ok(id)).map(|_| block))
}

/// What an account held in wei, shown by a proof.
pub(super) fn ether(http: &Http, block: &Block, address: &Address) -> Result<Found, AnswerError> {
    let what = "eth_getProof";
    let answer = http.call(what, &json!([address.small(), [], at(block)]))?;
    let form: ProofForm = parse(what, &answer, "an account's proof")?;
    let root = block.state_root.ok_or(AnswerError::Form { what, want: "about a block of Ethereum" })?;
    Ok(form.read(&root, address))
}

/// What an account held of a token, by the node's word.
pub(super) fn token(
    http: &Http,
    block: &Block,
    contract: &Address,
    address: &Address,
) -> Result<Found, AnswerError> {
    let what = "eth_call";
    let data = format!("{BALANCE_OF}{}{}", "0".repeat(24), hex::encode(address.as_bytes()));
    let answer = http.call(what, &json!([{"to": contract.small(), "data": data}, at(block)]))?;
    let text: String = parse(what, &answer, "bytes in hexadecimal")?;
    Ok(word(&text))
}

/// How many decimals a token's contract says that it has, by the node's word; nothing where it does not say, or more than 38.
pub(super) fn decimals(http: &Http, block: &Block, contract: &Address) -> Result<Option<u8>, AnswerError> {
    let what = "eth_call";
    match http.call(what, &json!([{"to": contract.small(), "data": DECIMALS}, at(block)])) {
        Ok(answer) => Ok(scale(&parse::<String>(what, &answer, "bytes in hexadecimal")?)),
        // The standard leaves it to a contract whether it has this function.
        Err(AnswerError::Said { .. }) => Ok(None),
        Err(problem) => Err(problem),
    }
}

/// The decimals in the word that a contract answered.
pub(super) fn scale(text: &str) -> Option<u8> {
    let bytes: [u8; 32] = array(text)?;
    let (last, high) = bytes.split_last()?;
    (*last <= DECIMALS_MAX && high.iter().all(|byte| *byte == 0)).then_some(*last)
}

/// The balance in the word that a contract answered.
pub(super) fn word(text: &str) -> Found {
    if text == "0x" {
        return Err("at the token's address there is no contract".to_owned());
    }
    let bytes: [u8; 32] = array(text).ok_or("the contract's answer is not a number of 32 bytes")?;
    let (high, low) = bytes.split_at(16);
    let low: Option<[u8; 16]> = low.try_into().ok();
    match low.filter(|_| high.iter().all(|byte| *byte == 0)) {
        Some(low) => Ok(Standing { units: u128::from_be_bytes(low), proven: false, signs: Signs::Own }),
        None => Err("it holds 2^128 base units or more, which no sum here takes".to_owned()),
    }
}

/// A block by its hash, only if it is in the chain (EIP-1898).
fn at(block: &Block) -> serde_json::Value {
    json!({"blockHash": format!("0x{}", block.id), "requireCanonical": true})
}

fn parse<'a, T: Deserialize<'a>>(
    what: &'static str,
    answer: &'a RawValue,
    want: &'static str,
) -> Result<T, AnswerError> {
    serde_json::from_str(answer.get()).map_err(|_| AnswerError::Form { what, want })
}

/// A number as nodes write it: hexadecimal after `0x`, without zeros before it.
pub(super) fn quantity(text: &str) -> Option<u128> {
    let digits = text.strip_prefix("0x")?;
    let plain = digits == "0" || !digits.starts_with(['0', '+']);
    u128::from_str_radix(digits, 16).ok().filter(|_| plain)
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    hex::decode(text.strip_prefix("0x")?).ok()
}

fn array<const N: usize>(text: &str) -> Option<[u8; N]> {
    hex::decode_array(text.strip_prefix("0x")?).ok()
}
