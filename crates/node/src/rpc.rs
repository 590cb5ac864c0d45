//! A node's JSON-RPC over HTTP, as Bitcoin Core and Litecoin Core speak it.
//!
//! Decides what an answer means and whether it has the right form, never whether it is true. Each call is a
//! connection of its own, bounded in time and size. Amounts are read from their digits, never as floats.

mod auth;
mod coins;

use std::{io::Read as _, time::Duration};

use kuraban_base::{Height, Txid, hex};
use kuraban_chain::btc::{BlockHash, Header, Network, OutPoint, Script, Tx, TxOut};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json, value::RawValue};

pub use auth::{Auth, AuthError, SECRET_BYTES_MAX};
pub use coins::sat;

/// Largest answer that is read: the hexadecimal of the largest block, and a large mempool's ids.
pub const ANSWER_BYTES_MAX: u64 = 32 << 20;
/// Longest text of a node's error that is kept.
pub const ERROR_CHARS_MAX: usize = 400;

/// `RPC_VERIFY_ALREADY_IN_UTXO_SET`, once `RPC_VERIFY_ALREADY_IN_CHAIN`.
const CODE_IN_CHAIN: i64 = -27;
/// `RPC_VERIFY_REJECTED`.
const CODE_REJECTED: i64 = -26;
/// `RPC_INVALID_ADDRESS_OR_KEY`: also what is answered for things that are not there.
const CODE_NOT_THERE: i64 = -5;
/// `RPC_INVALID_PARAMETER`: also a height beyond the tip.
const CODE_PARAMETER: i64 = -8;

/// Why a call gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum RpcError {
    /// No user and password to call with.
    #[error("{method}: no user and password")]
    Auth {
        /// What was called.
        method: &'static str,
        /// Why.
        #[source]
        source: AuthError,
    },
    /// The call did not get through, or its answer did not come in time.
    #[error("{method}: no answer from {url}")]
    Unreachable {
        /// What was called.
        method: &'static str,
        /// Where.
        url: String,
        /// Why.
        #[source]
        source: minreq::Error,
    },
    /// The node knows the user not, or its password.
    #[error("{method}: node does not accept user and password (HTTP 401)")]
    Unauthorised {
        /// What was called.
        method: &'static str,
    },
    /// An answer larger than is read.
    #[error("{method}: answer has more than {ANSWER_BYTES_MAX} bytes")]
    Large {
        /// What was called.
        method: &'static str,
    },
    /// An answer of another form than the method has.
    #[error("{method}: answer (HTTP {status}) is not {want}")]
    Form {
        /// What was called.
        method: &'static str,
        /// Its status.
        status: u16,
        /// What it should be.
        want: &'static str,
    },
    /// The node says no.
    #[error("{method}: node says {message:?} (code {code})")]
    Node {
        /// What was called.
        method: &'static str,
        /// Its code (Bitcoin Core, `rpc/protocol.h`).
        code: i64,
        /// Its words, at most [`ERROR_CHARS_MAX`] of them.
        message: String,
    },
}

/// What became of a transaction that was handed to the node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sent {
    /// The node has it in its mempool now, or had it there before.
    Pooled,
    /// The node has it in a block.
    Confirmed,
}

/// What the node says about the fee for a transaction to confirm in time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FeeEstimate {
    /// Base units per 1000 virtual bytes.
    Rate {
        /// The rate. The node's word: the caller bounds it.
        sat_per_kvb: u64,
    },
    /// It saw too little to say.
    Unknown,
}

/// Whether the node would take a transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Acceptance {
    /// It would.
    Allowed,
    /// It would not.
    Refused {
        /// Its reason, such as `bad-txns-inputs-missingorspent`.
        reason: String,
    },
}

/// An unspent output as the node knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unspent {
    /// The output.
    pub output: TxOut,
    /// Blocks that confirm it; none in the mempool.
    pub confirmations: u32,
    /// Whether it is a coinbase's.
    pub coinbase: bool,
}

/// A node that is called. Holds no connection.
#[derive(Clone, Debug)]
pub struct Rpc {
    network: Network,
    url: String,
    auth: Auth,
    within_s: u64,
}

impl Rpc {
    /// The node of `network` whose RPC listens at `address` (`host:port`); a call takes at most `within`,
    /// rounded up to whole seconds.
    #[must_use]
    pub fn new(network: Network, address: &str, auth: Auth, within: Duration) -> Self {
        let within_s = within.as_secs().saturating_add(u64::from(within.subsec_nanos() > 0)).max(1);
        Self { network, url: format!("http://{address}/"), auth, within_s }
    }

    /// The height of the node's best block.
    ///
    /// # Errors
    /// No answer, or one of another form.
    pub fn best_height(&self) -> Result<Height, RpcError> {
        self.read("getblockcount", json!([])).map(Height::new)
    }

    /// The hash of the node's best block.
    ///
    /// # Errors
    /// No answer, or one of another form.
    pub fn best_hash(&self) -> Result<BlockHash, RpcError> {
        let answer = self.call("getbestblockhash", json!([]))?;
        answer.hash()
    }

    /// The hash of the block at `height`; none beyond the tip.
    ///
    /// # Errors
    /// No answer, or one of another form.
    pub fn block_hash(&self, height: Height) -> Result<Option<BlockHash>, RpcError> {
        let answer = self.call("getblockhash", json!([height.blocks()]));
        answer.and_then(|answer| answer.hash()).map(Some).or_else(absent(CODE_PARAMETER))
    }

    /// The header of a block; none where the node does not know it.
    ///
    /// # Errors
    /// No answer, or one of another form.
    pub fn block_header(&self, hash: BlockHash) -> Result<Option<Header>, RpcError> {
        let found = self.call("getblockheader", json!([hash.to_string(), false])).and_then(|answer| {
            let bytes = answer.bytes("a header in hexadecimal")?;
            Header::decode(&bytes).map_err(|_| answer.form("a header in hexadecimal"))
        });
        found.map(Some).or_else(absent(CODE_NOT_THERE))
    }

    /// The height of a block, of whatever branch; none where the node does not know it.
    ///
    /// # Errors
    /// No answer, or one of another form.
    pub fn block_height(&self, hash: BlockHash) -> Result<Option<Height>, RpcError> {
        #[derive(Deserialize)]
        struct Found {
            height: u32,
        }
        let found = self.call("getblockheader", json!([hash.to_string(), true]));
        let found = found.and_then(|answer| answer.parse::<Found>("a header with its height"));
        found.map(|found| Some(Height::new(found.height))).or_else(absent(CODE_NOT_THERE))
    }

    /// A block's bytes; none where the node does not have it. They are not decoded here.
    ///
    /// # Errors
    /// No answer, or one of another form.
    pub fn block_bytes(&self, hash: BlockHash) -> Result<Option<Vec<u8>>, RpcError> {
        let found = self.call("getblock", json!([hash.to_string(), 0]));
        let found = found.and_then(|answer| answer.bytes("a block in hexadecimal"));
        found.map(Some).or_else(absent(CODE_NOT_THERE))
    }

    /// A transaction in the mempool or, for a node with an index of transactions, in any block; with `block`,
    /// in that one. None where the node does not have it.
    ///
    /// # Errors
    /// No answer, or one of another form.
    pub fn tx(&self, txid: Txid, block: Option<BlockHash>) -> Result<Option<Tx>, RpcError> {
        let place = block.map(|block| json!(block.to_string()));
        let params: Vec<Value> = [json!(txid.to_string()), json!(false)].into_iter().chain(place).collect();
        let want = "the transaction asked for, in hexadecimal";
        let found = self.call("getrawtransaction", Value::Array(params)).and_then(|answer| {
            let tx = Tx::decode(self.network, &answer.bytes(want)?).map_err(|_| answer.form(want))?;
            if tx.txid() == txid { Ok(tx) } else { Err(answer.form(want)) }
        });
        found.map(Some).or_else(absent(CODE_NOT_THERE))
    }

    /// An output that neither a block nor the mempool spends; none where there is none.
    ///
    /// # Errors
    /// No answer, or one of another form.
    pub fn unspent(&self, outpoint: OutPoint) -> Result<Option<Unspent>, RpcError> {
        self.txout(outpoint, true)
    }

    /// An output that no block spends, whatever the mempool does; none where there is none.
    ///
    /// # Errors
    /// No answer, or one of another form.
    pub fn unspent_by_blocks(&self, outpoint: OutPoint) -> Result<Option<Unspent>, RpcError> {
        self.txout(outpoint, false)
    }

    fn txout(&self, outpoint: OutPoint, mempool: bool) -> Result<Option<Unspent>, RpcError> {
        #[derive(Deserialize)]
        struct Found<'a> {
            #[serde(borrow)]
            value: &'a RawValue,
            confirmations: u32,
            coinbase: bool,
            #[serde(rename = "scriptPubKey")]
            script: FoundScript,
        }
        #[derive(Deserialize)]
        struct FoundScript {
            hex: String,
        }
        let answer = self.call("gettxout", json!([outpoint.txid.to_string(), outpoint.vout, mempool]))?;
        let Some(found) = answer.parse::<Option<Found<'_>>>("an output")? else { return Ok(None) };
        let script = hex::decode(&found.script.hex).map(Script::new);
        let (Some(value_sat), Ok(script)) = (sat(found.value.get()), script) else {
            return Err(answer.form("an output"));
        };
        let Found { confirmations, coinbase, .. } = found;
        Ok(Some(Unspent { output: TxOut { value_sat, script }, confirmations, coinbase }))
    }

    /// The ids of all transactions in the mempool.
    ///
    /// # Errors
    /// No answer, or one of another form.
    pub fn mempool(&self) -> Result<Vec<Txid>, RpcError> {
        let answer = self.call("getrawmempool", json!([]))?;
        let want = "a list of transaction ids";
        let ids: Vec<String> = answer.parse(want)?;
        ids.iter().map(|id| id.parse().map_err(|_| answer.form(want))).collect()
    }

    /// What it takes for a transaction to confirm within `blocks`. A fresh or quiet node cannot say.
    ///
    /// # Errors
    /// No answer, or one of another form.
    pub fn estimate_fee(&self, blocks: u16) -> Result<FeeEstimate, RpcError> {
        #[derive(Deserialize)]
        struct Found<'a> {
            #[serde(borrow, default)]
            feerate: Option<&'a RawValue>,
        }
        let answer = self.call("estimatesmartfee", json!([blocks]))?;
        match answer.parse::<Found<'_>>("an estimate")?.feerate {
            None => Ok(FeeEstimate::Unknown),
            Some(rate) => {
                let sat_per_kvb = sat(rate.get()).ok_or_else(|| answer.form("an estimate"))?;
                Ok(FeeEstimate::Rate { sat_per_kvb })
            }
        }
    }

    /// Hands a transaction to the node. What the node has already is no error.
    ///
    /// # Errors
    /// The node refuses it, with its code; no answer, or one of another form.
    pub fn send(&self, tx: &Tx) -> Result<Sent, RpcError> {
        match self.call("sendrawtransaction", json!([hex::encode(&tx.encode())])) {
            Ok(answer) => {
                let want = "the id of the transaction sent";
                let txid: String = answer.parse(want)?;
                if txid.parse() == Ok(tx.txid()) { Ok(Sent::Pooled) } else { Err(answer.form(want)) }
            }
            Err(RpcError::Node { code: CODE_IN_CHAIN, .. }) => Ok(Sent::Confirmed),
            Err(RpcError::Node { code: CODE_REJECTED, message, .. }) if in_mempool(&message) => {
                Ok(Sent::Pooled)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether the node would take a transaction, without handing it over.
    ///
    /// # Errors
    /// No answer, or one of another form.
    pub fn would_take(&self, tx: &Tx) -> Result<Acceptance, RpcError> {
        #[derive(Deserialize)]
        struct Found {
            allowed: bool,
            #[serde(rename = "reject-reason", default)]
            reason: Option<String>,
        }
        let answer = self.call("testmempoolaccept", json!([[hex::encode(&tx.encode())]]))?;
        match answer.parse::<Vec<Found>>("one verdict")?.as_slice() {
            [Found { allowed: true, .. }] => Ok(Acceptance::Allowed),
            [Found { allowed: false, reason }] => {
                Ok(Acceptance::Refused { reason: short(reason.as_deref().unwrap_or_default()) })
            }
            _ => Err(answer.form("one verdict")),
        }
    }

    /// Has a regression test node make blocks that pay to `address`.
    ///
    /// # Errors
    /// No answer, or one of another form.
    pub fn generate(&self, blocks: u32, address: &str) -> Result<Vec<BlockHash>, RpcError> {
        let answer = self.call("generatetoaddress", json!([blocks, address]))?;
        let want = "a list of block hashes";
        let hashes: Vec<String> = answer.parse(want)?;
        hashes.iter().map(|hash| hash.parse().map_err(|_| answer.form(want))).collect()
    }

    /// Has a node take a block for invalid, and all that follow it. For tests of reorganisations.
    ///
    /// # Errors
    /// No answer, or one of another form.
    pub fn invalidate(&self, hash: BlockHash) -> Result<(), RpcError> {
        self.read("invalidateblock", json!([hash.to_string()]))
    }

    fn read<T: DeserializeOwned>(&self, method: &'static str, params: Value) -> Result<T, RpcError> {
        self.call(method, params)?.parse("of the form that the method has")
    }

    fn call(&self, method: &'static str, params: Value) -> Result<Answer, RpcError> {
        let body = json!({"jsonrpc": "1.0", "id": method, "method": method, "params": params});
        let header = self.auth.header().map_err(|source| RpcError::Auth { method, source })?;
        let unreachable = |source| RpcError::Unreachable { method, url: self.url.clone(), source };
        let answer = minreq::post(&self.url)
            .with_header("Authorization", header.as_str())
            .with_header("Content-Type", "application/json")
            .with_timeout(self.within_s)
            .with_follow_redirects(false)
            .with_body(body.to_string())
            .send_lazy()
            .map_err(unreachable)?;
        let status = answer.status_code;
        if status == 401 {
            return Err(RpcError::Unauthorised { method });
        }
        let mut bytes = Vec::new();
        let read = answer.take(ANSWER_BYTES_MAX.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|error| unreachable(minreq::Error::IoError(error)))?;
        if u64::try_from(bytes.len()).is_ok_and(|length| length > ANSWER_BYTES_MAX) {
            return Err(RpcError::Large { method });
        }
        Answer::new(method, status, &bytes)
    }
}

/// The result of a call, not yet read.
#[derive(Debug)]
struct Answer {
    method: &'static str,
    status: u16,
    result: Box<RawValue>,
}

impl Answer {
    fn new(method: &'static str, status: u16, bytes: &[u8]) -> Result<Self, RpcError> {
        #[derive(Deserialize)]
        struct Envelope<'a> {
            #[serde(borrow, default)]
            result: Option<&'a RawValue>,
            #[serde(default)]
            error: Option<Failure>,
            id: String,
        }
        #[derive(Deserialize)]
        struct Failure {
            code: i64,
            message: String,
        }
        let want = "a JSON-RPC answer to this call";
        let form = || RpcError::Form { method, status, want };
        let envelope: Envelope<'_> = serde_json::from_slice(bytes).map_err(|_| form())?;
        if envelope.id != method {
            return Err(form());
        }
        if let Some(Failure { code, message }) = envelope.error {
            return Err(RpcError::Node { method, code, message: short(&message) });
        }
        // A result of `null` is a result: a missing output is answered so.
        let null = || serde_json::value::to_raw_value(&Value::Null).map_err(|_| form());
        let result = envelope.result.map_or_else(null, |result| Ok(result.to_owned()))?;
        Ok(Self { method, status, result })
    }

    fn parse<'a, T: Deserialize<'a>>(&'a self, want: &'static str) -> Result<T, RpcError> {
        serde_json::from_str(self.result.get()).map_err(|_| self.form(want))
    }

    fn hash(&self) -> Result<BlockHash, RpcError> {
        let text: String = self.parse("a block hash")?;
        text.parse().map_err(|_| self.form("a block hash"))
    }

    fn bytes(&self, want: &'static str) -> Result<Vec<u8>, RpcError> {
        let text: String = self.parse(want)?;
        hex::decode(&text).map_err(|_| self.form(want))
    }

    const fn form(&self, want: &'static str) -> RpcError {
        RpcError::Form { method: self.method, status: self.status, want }
    }
}

/// Turns the error of this code into "nothing there".
fn absent<T>(absence: i64) -> impl FnOnce(RpcError) -> Result<Option<T>, RpcError> {
    move |error| {
        let there_is_none = matches!(&error, RpcError::Node { code, .. } if *code == absence);
        if there_is_none { Ok(None) } else { Err(error) }
    }
}

/// Whether a refusal says that the node has exactly this transaction (Bitcoin Core, `validation.cpp`); the
/// same one with another witness is another matter.
fn in_mempool(message: &str) -> bool {
    matches!(message, "txn-already-in-mempool" | "txn-already-known")
}

fn short(text: &str) -> String {
    text.chars().take(ERROR_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests;
