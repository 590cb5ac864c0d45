//! The embedded node's JSON-RPC: the methods that a writer, a watcher and the demo use, with the names, forms
//! and error codes of Bitcoin Core (`rpc/protocol.h`).
//!
//! Decides what a call means. Parameters come by position; fees have no upper bound here, as real nodes have
//! one only against slips.

use kuraban_base::{Height, Txid, hex};
use kuraban_chain::btc::{Address, BlockHash, OutPoint, Tx};
use kuraban_sim::chain::Refusal;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{
    Value, json,
    value::{RawValue, to_raw_value},
};

use super::world::World;

/// Most blocks made by one call.
const BLOCKS_MAX: u32 = 10_000;

const CODE_METHOD: i32 = -32_601;
const CODE_REQUEST: i32 = -32_600;
const CODE_PARSE: i32 = -32_700;
const CODE_TYPE: i32 = -3;
const CODE_NOT_THERE: i32 = -5;
const CODE_PARAMETER: i32 = -8;
const CODE_DECODE: i32 = -22;
const CODE_MISSING: i32 = -25;
const CODE_REJECTED: i32 = -26;
const CODE_IN_CHAIN: i32 = -27;
const CODE_INTERNAL: i32 = -32_603;

/// A call that got no result.
#[derive(Debug)]
struct Failure {
    code: i32,
    message: String,
}

#[derive(Deserialize)]
struct Call {
    method: String,
    #[serde(default)]
    params: Vec<Value>,
    #[serde(default)]
    id: Value,
}

#[derive(Serialize)]
struct Answer {
    result: Option<Box<RawValue>>,
    error: Option<Value>,
    id: Value,
}

/// The HTTP status and body that answer a request's body.
pub(super) fn answer(world: &World, body: &[u8]) -> (u16, String) {
    let (id, outcome) = match serde_json::from_slice::<Value>(body) {
        Err(_) => (Value::Null, fail(CODE_PARSE, "Parse error")),
        Ok(request) => match serde_json::from_value::<Call>(request) {
            Err(_) => (Value::Null, fail(CODE_REQUEST, "want method and a list of params")),
            Ok(call) => (call.id.clone(), Params(call.params).call(world, &call.method)),
        },
    };
    let (status, answer) = match outcome {
        Ok(result) => (200, Answer { result: Some(result), error: None, id }),
        Err(Failure { code, message }) => {
            let status = match code {
                CODE_METHOD => 404,
                CODE_REQUEST => 400,
                _ => 500,
            };
            (status, Answer { result: None, error: Some(json!({"code": code, "message": message})), id })
        }
    };
    serde_json::to_string(&answer).map_or((500, String::new()), |body| (status, body))
}

fn fail<T>(code: i32, message: impl Into<String>) -> Result<T, Failure> {
    Err(Failure { code, message: message.into() })
}

fn say(result: &impl Serialize) -> Result<Box<RawValue>, Failure> {
    to_raw_value(result).or_else(|_| fail(CODE_INTERNAL, "answer cannot be written"))
}

/// The parameters of a call, by position.
struct Params(Vec<Value>);

impl Params {
    fn call(&self, world: &World, method: &str) -> Result<Box<RawValue>, Failure> {
        match method {
            "getblockcount" => say(&world.chain().tip().0.blocks()),
            "getbestblockhash" => say(&world.chain().tip().1.to_string()),
            "getblockhash" => {
                let hash = world.chain().hash_at(Height::new(self.want(0, "height")?));
                hash.map_or_else(
                    || fail(CODE_PARAMETER, "Block height out of range"),
                    |hash| say(&hash.to_string()),
                )
            }
            "getblockheader" => self.block_header(world),
            "getblock" => self.block(world),
            "getblockchaininfo" => {
                let (height, hash) = world.chain().tip();
                let blocks = height.blocks();
                say(&json!({
                    "chain": "regtest", "blocks": blocks, "headers": blocks, "bestblockhash": hash.to_string(),
                    "initialblockdownload": false,
                }))
            }
            "getrawmempool" => {
                say(&world.chain().mempool().map(|(txid, _)| txid.to_string()).collect::<Vec<_>>())
            }
            "getrawtransaction" => self.raw_tx(world),
            "gettxout" => self.tx_out(world),
            "sendrawtransaction" => self.send(world),
            "testmempoolaccept" => self.would_take(world),
            "estimatesmartfee" => {
                self.want::<u16>(0, "conf_target")?;
                say(&json!({"errors": ["Insufficient data or no feerate found"], "blocks": 0}))
            }
            "generatetoaddress" => self.generate(world),
            "invalidateblock" => world
                .invalidate(self.hash(0)?)
                .map_or_else(|_| fail(CODE_NOT_THERE, "Block not found"), |_| say(&())),
            _ => fail(CODE_METHOD, "Method not found"),
        }
    }

    fn want<T: DeserializeOwned>(&self, position: usize, name: &str) -> Result<T, Failure> {
        let given = self.0.get(position).cloned().unwrap_or_default();
        serde_json::from_value(given)
            .or_else(|_| fail(CODE_TYPE, format!("{name} is missing or of another type")))
    }

    /// `default` where it is left out.
    fn flag(&self, position: usize, name: &str, default: bool) -> Result<bool, Failure> {
        match self.0.get(position) {
            None | Some(Value::Null) => Ok(default),
            Some(_) => self.want(position, name),
        }
    }

    fn hash(&self, position: usize) -> Result<BlockHash, Failure> {
        let text: String = self.want(position, "blockhash")?;
        text.parse().or_else(|_| fail(CODE_PARAMETER, "blockhash must be of length 64 and hexadecimal"))
    }

    fn txid(&self, position: usize) -> Result<Txid, Failure> {
        let text: String = self.want(position, "txid")?;
        text.parse().or_else(|_| fail(CODE_PARAMETER, "txid must be of length 64 and hexadecimal"))
    }

    fn block_header(&self, world: &World) -> Result<Box<RawValue>, Failure> {
        let hash = self.hash(0)?;
        if self.flag(1, "verbose", true)? {
            return fail(CODE_PARAMETER, "only the form with verbose=false is offered");
        }
        match world.chain().block(hash) {
            Some(block) => say(&hex::encode(&block.header.encode())),
            None => fail(CODE_NOT_THERE, "Block not found"),
        }
    }

    fn block(&self, world: &World) -> Result<Box<RawValue>, Failure> {
        let hash = self.hash(0)?;
        if self.want::<u32>(1, "verbosity")? != 0 {
            return fail(CODE_PARAMETER, "only the form with verbosity=0 is offered");
        }
        match world.chain().block(hash) {
            Some(block) => say(&hex::encode(&block.encode())),
            None => fail(CODE_NOT_THERE, "Block not found"),
        }
    }

    fn raw_tx(&self, world: &World) -> Result<Box<RawValue>, Failure> {
        #[derive(Serialize)]
        struct Found {
            txid: String,
            hash: String,
            vsize: usize,
            weight: usize,
            hex: String,
            #[serde(skip_serializing_if = "Option::is_none")]
            blockhash: Option<String>,
            #[serde(skip_serializing_if = "Option::is_none")]
            confirmations: Option<u32>,
        }
        let txid = self.txid(0)?;
        let block = self.0.get(2).filter(|block| !block.is_null()).map(|_| self.hash(2)).transpose()?;
        let chain = world.chain();
        let found =
            chain.tx(&txid).filter(|found| block.is_none() || found.block.map(|(_, hash)| hash) == block);
        let Some(found) = found else {
            return fail(CODE_NOT_THERE, "No such mempool or blockchain transaction");
        };
        let hex = hex::encode(&found.tx.encode());
        if !self.flag(1, "verbose", false)? {
            return say(&hex);
        }
        let (tip, _) = chain.tip();
        say(&Found {
            txid: txid.to_string(),
            hash: found.tx.wtxid().to_string(),
            vsize: found.tx.vsize(),
            weight: found.tx.weight(),
            hex,
            blockhash: found.block.map(|(_, hash)| hash.to_string()),
            confirmations: found.block.map(|(height, _)| height.confirmations(tip)),
        })
    }

    fn tx_out(&self, world: &World) -> Result<Box<RawValue>, Failure> {
        #[derive(Serialize)]
        struct Found {
            bestblock: String,
            confirmations: u32,
            value: Box<RawValue>,
            #[serde(rename = "scriptPubKey")]
            script: Value,
            coinbase: bool,
        }
        let outpoint = OutPoint { txid: self.txid(0)?, vout: self.want(1, "n")? };
        let with_pool = self.flag(2, "include_mempool", true)?;
        let chain = world.chain();
        let spent = with_pool
            && chain.mempool().any(|(_, entry)| entry.tx.inputs.iter().any(|input| input.prev == outpoint));
        let (tip, best) = chain.tip();
        let confirmed = chain
            .coin(&outpoint)
            .map(|coin| (coin.output.clone(), coin.height.confirmations(tip), coin.coinbase));
        let pooled = || {
            let entry = chain.unconfirmed(&outpoint.txid).filter(|_| with_pool)?;
            let vout = usize::try_from(outpoint.vout).ok()?;
            entry.tx.outputs.get(vout).map(|output| (output.clone(), 0, false))
        };
        match confirmed.or_else(pooled).filter(|_| !spent) {
            None => say(&()),
            Some((output, confirmations, coinbase)) => say(&Found {
                bestblock: best.to_string(),
                confirmations,
                value: coins(output.value_sat)?,
                script: json!({"hex": hex::encode(output.script.as_bytes())}),
                coinbase,
            }),
        }
    }

    fn send(&self, world: &World) -> Result<Box<RawValue>, Failure> {
        let tx = decoded(world, &self.want::<String>(0, "hexstring")?)?;
        match world.submit(&tx, None) {
            Ok(txid) | Err(Refusal::Pooled { txid }) => say(&txid.to_string()),
            Err(Refusal::Confirmed { .. }) => fail(CODE_IN_CHAIN, "Transaction outputs already in utxo set"),
            Err(refusal @ Refusal::Missing { .. }) => fail(CODE_MISSING, refusal.node_word()),
            Err(refusal) => fail(CODE_REJECTED, format!("{}, {refusal}", refusal.node_word())),
        }
    }

    fn would_take(&self, world: &World) -> Result<Box<RawValue>, Failure> {
        let texts: Vec<String> = self.want(0, "rawtxs")?;
        let [text] = texts.as_slice() else {
            return fail(CODE_PARAMETER, "want one transaction; packages are not judged");
        };
        let tx = decoded(world, text)?;
        let txid = tx.txid().to_string();
        say(&match world.chain().would_take(&tx) {
            Ok(_) => json!([{"txid": txid, "allowed": true, "vsize": tx.vsize()}]),
            Err(refusal) => json!([{"txid": txid, "allowed": false, "reject-reason": refusal.node_word()}]),
        })
    }

    fn generate(&self, world: &World) -> Result<Box<RawValue>, Failure> {
        let blocks: u32 = self.want(0, "nblocks")?;
        let text: String = self.want(1, "address")?;
        if blocks > BLOCKS_MAX {
            return fail(CODE_PARAMETER, format!("at most {BLOCKS_MAX} blocks in one call"));
        }
        let Ok(address) = Address::parse(world.network(), &text) else {
            return fail(CODE_NOT_THERE, "Error: Invalid address");
        };
        let mut hashes = Vec::new();
        for _ in 0..blocks {
            let hash =
                world.mine(address.script()).or_else(|error| fail(CODE_INTERNAL, error.to_string()))?;
            hashes.push(hash.to_string());
        }
        say(&hashes)
    }
}

/// The transaction of hexadecimal text.
fn decoded(world: &World, text: &str) -> Result<Tx, Failure> {
    let bytes = hex::decode(text).ok();
    let tx = bytes.and_then(|bytes| Tx::decode(world.network(), &bytes).ok());
    tx.map_or_else(|| fail(CODE_DECODE, "TX decode failed. Make sure the tx has at least one input."), Ok)
}

/// Base units as a JSON number of coins with eight decimals.
fn coins(sat: u64) -> Result<Box<RawValue>, Failure> {
    let text = format!("{}.{:08}", sat / 100_000_000, sat % 100_000_000);
    RawValue::from_string(text).or_else(|_| fail(CODE_INTERNAL, "amount cannot be written"))
}
