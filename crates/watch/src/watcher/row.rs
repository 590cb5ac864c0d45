//! A stored change's bytes, in deterministic CBOR. Decides nothing.

use std::sync::Arc;

use kuraban_base::{
    Height, TreeHash, Txid, VaultId,
    cbor::{CborError, Fields, Value, invalid},
};
use kuraban_chain::btc::{BlockHash, Header, Network, OutPoint, Tx};
use kuraban_proof::TreeHead;
use kuraban_vault::{statement::Signed, wire::LogEntry};

use super::Change;
use crate::coins;

impl Change {
    /// The change's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Entries { from, entries } => Value::map([
                ("kind", Value::text("entries")),
                ("from", Value::uint(*from)),
                ("entries", Value::array(entries.iter().map(LogEntry::to_value))),
            ]),
            Self::Cosigned(head) => Value::map([
                ("kind", Value::text("cosigned")),
                ("size", Value::uint(head.size)),
                ("root", Value::bytes(head.root.as_bytes())),
            ]),
            Self::Alarm(raised) => Value::map([
                ("kind", Value::text("alarm")),
                ("alarm", raised.0.to_value()),
                ("trip", Value::option(raised.1.as_ref().map(Signed::to_value))),
            ]),
            Self::Connected { network, header, coins } => Value::map([
                ("kind", Value::text("connected")),
                ("network", Value::text(network)),
                ("header", Value::bytes(header.encode())),
                ("height", Value::uint(coins.height.blocks())),
                ("txs", Value::array(coins.txs.iter().map(|tx| Value::bytes(tx.encode())))),
                ("created", Value::array(coins.created.iter().map(created_value))),
                ("spent", Value::array(coins.spent.iter().map(outpoint_value))),
            ]),
            Self::Disconnected { network, hash } => Value::map([
                ("kind", Value::text("disconnected")),
                ("network", Value::text(network)),
                ("hash", Value::bytes(hash.as_bytes())),
            ]),
            Self::Whole => Value::map([("kind", Value::text("whole"))]),
            Self::Anew { network } => {
                Value::map([("kind", Value::text("anew")), ("network", Value::text(network))])
            }
        }
        .encode()
    }

    /// The change of these bytes.
    ///
    /// # Errors
    /// The row is damaged.
    pub fn decode(bytes: &[u8]) -> Result<Self, CborError> {
        let mut fields = Fields::of("change", Value::decode(bytes)?)?;
        let change = match fields.text("kind")?.as_str() {
            "entries" => {
                let entries = fields.items("entries")?.into_iter().map(LogEntry::from_value);
                Self::Entries { entries: entries.collect::<Result<_, _>>()?, from: fields.uint("from")? }
            }
            "cosigned" => {
                let root = TreeHash::from_bytes(fields.array("root")?);
                Self::Cosigned(TreeHead { size: fields.uint("size")?, root })
            }
            "alarm" => {
                let trip = fields.option("trip")?.map(Signed::from_value).transpose()?;
                Self::Alarm(Box::new((Signed::from_value(fields.value("alarm")?)?, trip)))
            }
            "connected" => connected(&mut fields)?,
            "disconnected" => Self::Disconnected {
                network: fields.parse("network")?,
                hash: BlockHash::from_bytes(fields.array("hash")?),
            },
            "whole" => Self::Whole,
            "anew" => Self::Anew { network: fields.parse("network")? },
            kind => return Err(invalid("kind", format!("{kind:?} is not a known kind of change"))),
        };
        fields.end()?;
        Ok(change)
    }
}

fn connected(fields: &mut Fields) -> Result<Change, CborError> {
    let network: Network = fields.parse("network")?;
    let header = fields.bytes("header")?;
    let header = Header::decode(&header).map_err(|problem| invalid("header", problem.to_string()))?;
    let tx = |item| {
        let Value::Bytes(bytes) = item else { return Err(invalid("txs", "want bytes")) };
        let tx = Tx::decode(network, &bytes).map_err(|problem| invalid("txs", problem.to_string()))?;
        Ok(Arc::new(tx))
    };
    let coins = coins::Change {
        height: Height::new(fields.uint("height")?),
        hash: header.hash(),
        txs: fields.items("txs")?.into_iter().map(tx).collect::<Result<_, _>>()?,
        created: fields.items("created")?.into_iter().map(created).collect::<Result<_, _>>()?,
        spent: fields
            .items("spent")?
            .into_iter()
            .map(|item| outpoint("spent", item))
            .collect::<Result<_, _>>()?,
    };
    Ok(Change::Connected { network, header, coins })
}

fn outpoint_value(outpoint: &OutPoint) -> Value {
    Value::array([Value::bytes(outpoint.txid.as_bytes()), Value::uint(outpoint.vout)])
}

fn outpoint(field: &str, item: Value) -> Result<OutPoint, CborError> {
    let problem = || invalid(field, "want pairs of transaction id and output number");
    let Value::Array(pair) = item else { return Err(problem()) };
    let [Value::Bytes(txid), Value::Uint(vout)] = pair.as_slice() else { return Err(problem()) };
    let txid = txid.as_slice().try_into().map_err(|_| problem())?;
    Ok(OutPoint { txid: Txid::from_bytes(txid), vout: u32::try_from(*vout).map_err(|_| problem())? })
}

fn created_value((at, vault): &(OutPoint, VaultId)) -> Value {
    Value::array([outpoint_value(at), Value::text(vault)])
}

fn created(item: Value) -> Result<(OutPoint, VaultId), CborError> {
    let problem = || invalid("created", "want pairs of outpoint and vault");
    let Value::Array(pair) = item else { return Err(problem()) };
    let [at, Value::Text(vault)] = pair.as_slice() else { return Err(problem()) };
    let vault = vault.parse().map_err(|problem| invalid("created", problem))?;
    Ok((outpoint("created", at.clone())?, vault))
}
