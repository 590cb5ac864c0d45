//! Blocks of NEM (NIS1): JSON as a NIS node gives it, or the node's own binary form.
//!
//! Decides what each transaction moves and who pays its fee.

use std::collections::BTreeMap;

use kuraban_chain::nem;
use serde::Deserialize;
use serde_json::Value;

use super::{
    super::{
        transfer::{Chain, Header, Kind, Mark, Opening, Transfer, TransferList},
        units::Units,
    },
    ImportError, ImportProblem, Source, Writer, mark, marks, nis_binary,
    nis_mosaic::{Definition, Mosaics, RawDefinition, RawMosaicId},
    place, typed, whole,
};

pub(super) const NATIVE: &str = Chain::Xem.name();
/// Micro-units in the amount that multiplies mosaics.
pub(super) const ONE: u64 = 1_000_000;
/// The block that makes all XEM.
const NEMESIS: u64 = 1;

/// A block.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) height: u64,
    /// Its line, where the form states its hash.
    pub(super) mark: Option<Mark>,
    /// The highest byte of its version.
    pub(super) network: u8,
    /// The harvester's address.
    pub(super) harvester: String,
    pub(super) txs: Vec<Tx>,
}

/// A transaction.
#[derive(Debug)]
pub(super) struct Tx {
    /// `None` where the form gives none.
    pub(super) hash: Option<String>,
    pub(super) signer: String,
    pub(super) fee: u64,
    pub(super) body: Body,
}

/// What a transaction does to balances beside its fee.
#[derive(Debug)]
pub(super) enum Body {
    /// Pays XEM, or mosaics times an amount.
    Transfer { recipient: String, amount: u64, mosaics: Vec<(String, u64)> },
    /// Runs another transaction for an account of several signers, who are paid for by the account.
    Multisig { inner: Box<Tx>, signature_fees: Vec<u64> },
    /// Pays a sink for a namespace.
    Rental { sink: String, amount: u64 },
    /// Pays a sink for a mosaic and makes its first units.
    Definition { sink: String, amount: u64, definition: Box<Definition> },
    /// Makes or destroys whole units of a mosaic.
    Supply { mosaic: String, delta: u64, more: bool },
    /// Moves nothing.
    Nothing,
}

/// An address as NIS writes it: upper case without hyphens.
pub(super) fn address(text: &str) -> Result<String, ImportProblem> {
    let plain: String = text.chars().filter(|c| *c != '-').collect::<String>().to_ascii_uppercase();
    let of_alphabet = |byte: u8| byte.is_ascii_uppercase() || (b'2'..=b'7').contains(&byte);
    if plain.len() == 40 && plain.bytes().all(of_alphabet) {
        Ok(plain)
    } else {
        Err(ImportProblem::field("address", text, "40 characters of A to Z and 2 to 7"))
    }
}

/// The address of a public key on the network that a version's highest byte names.
pub(super) fn address_of(network: u8, key: &[u8; 32]) -> String {
    nem::Address::of_key(network, key).to_string()
}

/// The list in blocks, in any order; a file is JSON (an answer to `/block/at/public`, one block with `txes` as in
/// `/local/chain/blocks-after`, or its whole `data`), or one block in binary. What the first block pays is made there;
/// where the list does not begin with it, opening balances are unknown.
///
/// # Errors
/// Files of another form; heights with gaps.
pub fn nis(sources: &[Source<'_>]) -> Result<TransferList, ImportError> {
    let mut blocks: BTreeMap<u64, Block> = BTreeMap::new();
    for source in sources {
        let at = |problem: ImportProblem| problem.at(source.name);
        let text = source.bytes.iter().find(|byte| !byte.is_ascii_whitespace());
        let read = if matches!(text, Some(b'{' | b'[')) {
            json(source.bytes)
        } else {
            nis_binary::block(source.bytes).map(|block| vec![block])
        };
        for block in read.map_err(at)? {
            let height = block.height;
            if blocks.insert(height, block).is_some() {
                return Err(at(ImportProblem::contradiction("blocks of one height", height, height)));
            }
        }
    }
    let whole = blocks.keys().next() == Some(&NEMESIS);
    let opening = if whole { Opening::Stated } else { Opening::Unknown };
    let mut out = Out { list: Vec::new(), mosaics: Mosaics::default() };
    let mut next = None;
    for (height, block) in &blocks {
        let at = |problem: ImportProblem| problem.at(format!("block {height}"));
        if next.is_some_and(|next| next != *height) {
            let what = "a block before this one".to_owned();
            return Err(at(ImportProblem::Missing { what, give: "blocks without gaps" }));
        }
        next = height.checked_add(1);
        for (position, tx) in block.txs.iter().enumerate() {
            out.tx(block, place(position), tx).map_err(at)?;
        }
    }
    let Out { mut list, mosaics: Mosaics { left_out, .. } } = out;
    list.retain(|transfer| !left_out.contains(&transfer.asset));
    Ok(TransferList {
        header: Header { chain: Chain::Xem, opening },
        transfers: list,
        blocks: marks(blocks.values().map(|block| block.mark)),
        left_out,
    })
}

struct Out {
    list: Vec<Transfer>,
    mosaics: Mosaics,
}

impl Out {
    fn tx(&mut self, block: &Block, position: u32, tx: &Tx) -> Result<(), ImportProblem> {
        // Where a form gives no hash, the place is the name.
        let hash = tx.hash.clone().unwrap_or_else(|| format!("{}-{position}", block.height));
        let mut list = std::mem::take(&mut self.list);
        let mut out = Writer::new(&mut list, block.height, position, &hash);
        let done = self.body(block, tx, &mut out);
        self.list = list;
        done
    }

    /// In the order of NIS: what a transaction moves, then its fee.
    fn body(&mut self, block: &Block, tx: &Tx, out: &mut Writer<'_>) -> Result<(), ImportProblem> {
        let signer = Some(tx.signer.as_str());
        let mut debtor = tx.signer.as_str();
        match &tx.body {
            Body::Transfer { recipient, amount, mosaics } => {
                // The account that signs the first block has nothing before and nothing after.
                let made = block.height == NEMESIS;
                let kind = if made { Kind::Mint } else { Kind::Payment };
                if mosaics.is_empty() {
                    out.write(kind, NATIVE, signer.filter(|_| !made), Some(recipient), Units::from(*amount));
                }
                self.mosaics.transfer((&tx.signer, recipient), *amount, mosaics, out);
            }
            Body::Multisig { inner, signature_fees } => {
                debtor = &inner.signer;
                for fee in signature_fees {
                    out.write(Kind::Fee, NATIVE, Some(debtor), Some(&block.harvester), Units::from(*fee));
                }
                if matches!(inner.body, Body::Multisig { .. }) {
                    return Err(ImportProblem::field("otherTrans", "a multisig transaction", "another kind"));
                }
                self.body(block, inner, out)?;
            }
            Body::Rental { sink, amount } => {
                out.write(Kind::Payment, NATIVE, signer, Some(sink), Units::from(*amount));
            }
            Body::Definition { sink, amount, definition } => {
                self.mosaics.define((block.network, block.height), &tx.signer, definition, out);
                out.write(Kind::Payment, NATIVE, signer, Some(sink), Units::from(*amount));
            }
            Body::Supply { mosaic, delta, more } => {
                self.mosaics.supply(&tx.signer, (mosaic, *delta, *more), out)?;
            }
            Body::Nothing => {}
        }
        out.write(Kind::Fee, NATIVE, Some(debtor), Some(&block.harvester), Units::from(tx.fee));
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawBlock {
    height: u64,
    version: i32,
    signer: String,
    prev_block_hash: Option<RawHash>,
    #[serde(default)]
    transactions: Vec<Value>,
}

#[derive(Deserialize)]
struct RawHash {
    data: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawTx {
    #[serde(rename = "type")]
    kind: u32,
    version: i32,
    signer: String,
    fee: u64,
    recipient: Option<String>,
    amount: Option<u64>,
    #[serde(default)]
    mosaics: Vec<RawMosaic>,
    other_trans: Option<Value>,
    #[serde(default)]
    signatures: Vec<RawSignature>,
    rental_fee_sink: Option<String>,
    rental_fee: Option<u64>,
    creation_fee_sink: Option<String>,
    creation_fee: Option<u64>,
    mosaic_definition: Option<RawDefinition>,
    supply_type: Option<u32>,
    delta: Option<u64>,
    mosaic_id: Option<RawMosaicId>,
}

#[derive(Deserialize)]
struct RawSignature {
    fee: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawMosaic {
    mosaic_id: RawMosaicId,
    quantity: u64,
}

fn json(bytes: &[u8]) -> Result<Vec<Block>, ImportProblem> {
    let mut value = whole(bytes)?;
    match value.get_mut("data").map(Value::take).unwrap_or(value) {
        Value::Array(blocks) => blocks.into_iter().map(block).collect(),
        one @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => {
            Ok(vec![block(one)?])
        }
    }
}

fn block(mut value: Value) -> Result<Block, ImportProblem> {
    let txes = value.get_mut("txes").map(Value::take);
    let hash = value.get("hash").and_then(Value::as_str).map(str::to_owned);
    let raw = value.get_mut("block").map(Value::take).unwrap_or(value);
    let raw: RawBlock = typed(raw).map_err(|problem| problem.under("block"))?;
    let txs: Result<Vec<Tx>, _> = match txes {
        Some(Value::Array(all)) => all
            .into_iter()
            .enumerate()
            .map(|(at, mut one)| {
                let hash = one.get("hash").and_then(Value::as_str).map(name_of_tx).transpose()?;
                let tx = tx(one.get_mut("tx").map(Value::take).unwrap_or_default(), hash);
                tx.map_err(|problem| problem.under(&format!("txes[{at}].tx")))
            })
            .collect(),
        Some(_) | None => raw.transactions.into_iter().map(|one| tx(one, None)).collect(),
    };
    let prev = raw.prev_block_hash.map(|hash| hash.data);
    let mark = hash.zip(prev).and_then(|(hash, prev)| mark(raw.height, &hash, &prev));
    let [network, ..] = raw.version.to_be_bytes();
    let harvester = signer(raw.version, &raw.signer)?;
    Ok(Block { height: raw.height, mark, network, harvester, txs: txs? })
}

/// A transaction's hash, which a list must be able to carry.
fn name_of_tx(text: &str) -> Result<String, ImportProblem> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    let fits = (1..=128).contains(&text.len()) && text.bytes().all(plain);
    if fits {
        Ok(text.to_owned())
    } else {
        Err(ImportProblem::field("hash", text, "32 bytes in hexadecimal"))
    }
}

/// The address of whoever signs, from the network in a version's highest byte and a public key.
fn signer(version: i32, key: &str) -> Result<String, ImportProblem> {
    let bytes = kuraban_base::hex::decode_array(key)
        .map_err(|_| ImportProblem::field("signer", key, "a public key of 32 bytes in hexadecimal"))?;
    let [network, ..] = version.to_be_bytes();
    Ok(address_of(network, &bytes))
}

fn tx(value: Value, hash: Option<String>) -> Result<Tx, ImportProblem> {
    let raw: RawTx = typed(value)?;
    let (kind, version, fee) = (raw.kind, raw.version, raw.fee);
    let signer = signer(version, &raw.signer)?;
    Ok(Tx { hash, signer, fee, body: body(kind, raw)? })
}

fn body(kind: u32, raw: RawTx) -> Result<Body, ImportProblem> {
    let missing = |what: &str| ImportProblem::Missing { what: what.to_owned(), give: "whole transactions" };
    let text = |what: &str, text: Option<String>| address(&text.ok_or_else(|| missing(what))?);
    Ok(match kind {
        0x0101 => Body::Transfer {
            recipient: text("recipient", raw.recipient)?,
            amount: raw.amount.ok_or_else(|| missing("amount"))?,
            mosaics: raw
                .mosaics
                .iter()
                .map(|mosaic| Ok((mosaic.mosaic_id.name()?, mosaic.quantity)))
                .collect::<Result<_, ImportProblem>>()?,
        },
        0x1004 => Body::Multisig {
            inner: Box::new(tx(raw.other_trans.ok_or_else(|| missing("otherTrans"))?, None)?),
            signature_fees: raw.signatures.iter().map(|signature| signature.fee).collect(),
        },
        0x2001 => Body::Rental {
            sink: text("rentalFeeSink", raw.rental_fee_sink)?,
            amount: raw.rental_fee.ok_or_else(|| missing("rentalFee"))?,
        },
        0x4001 => {
            let definition = raw.mosaic_definition.ok_or_else(|| missing("mosaicDefinition"))?;
            Body::Definition {
                sink: text("creationFeeSink", raw.creation_fee_sink)?,
                amount: raw.creation_fee.ok_or_else(|| missing("creationFee"))?,
                definition: Box::new(Definition::of(definition)?),
            }
        }
        0x4002 => Body::Supply {
            mosaic: raw.mosaic_id.ok_or_else(|| missing("mosaicId"))?.name()?,
            delta: raw.delta.ok_or_else(|| missing("delta"))?,
            more: match raw.supply_type {
                Some(1) => true,
                Some(2) => false,
                Some(_) | None => return Err(missing("supplyType 1 or 2")),
            },
        },
        0x0801 | 0x1001 => Body::Nothing,
        _ => {
            return Err(ImportProblem::field(
                "type",
                &format!("{kind:#06x}"),
                "a type of transaction that NIS puts in blocks",
            ));
        }
    })
}
