//! What signers and watchers state on a payout's way: receipts, leases and permits.

use std::collections::BTreeSet;

use kuraban_base::{
    Amount, Asset, Instant, MachineId, PayoutDigest, PayoutId, TreeHash, Txid,
    cbor::{CborError, Fields, Value, invalid},
};

use crate::{
    breaker::{Cell, Stage, cells_from_value, cells_to_value},
    statement::{Statement, instant},
};

/// How long a receipt is good for, in milliseconds from when it was given: after that its signer releases no signature on
/// its strength. Long enough for a writer that restarts; short, because limits count what was given within it beside the day.
pub const RECEIPT_MS: u64 = 10 * 60 * 1000;

/// Most challenges that one lease answers.
const CHALLENGES_MAX: usize = 64;

/// A signer's word, before it signs, that it judged a transaction and allows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Receipt {
    /// The signer.
    pub by: MachineId,
    /// The payout.
    pub payout: PayoutId,
    /// Its digest as the signer recomputed it.
    pub digest: PayoutDigest,
    /// The transaction, by its id without signatures.
    pub txid: Txid,
    /// Base units that leave the vault: inputs less change.
    pub outflow: Amount,
    /// The signer's own count of receipts, from 1, without gaps.
    pub seq: u64,
    /// When, by the faster of the signer's clock and the witnesses'.
    pub at: Instant,
}

impl Receipt {
    /// Whether it is good no more at `now`, the faster of the signer's two clocks.
    #[must_use]
    pub const fn is_lapsed(&self, now: Instant) -> bool {
        now.ms_since(self.at) >= RECEIPT_MS
    }
}

impl Statement for Receipt {
    const DOMAIN: &'static str = "kuraban-receipt-v1";

    fn by(&self) -> &MachineId {
        &self.by
    }

    fn to_value(&self) -> Value {
        Value::map([
            ("by", Value::text(&self.by)),
            ("payout", Value::text(&self.payout)),
            ("digest", Value::bytes(self.digest.as_bytes())),
            ("txid", Value::bytes(self.txid.as_bytes())),
            ("outflow", Value::uint(self.outflow.units())),
            ("seq", Value::uint(self.seq)),
            ("at", Value::uint(self.at.ms())),
        ])
    }

    fn from_value(value: Value) -> Result<Self, CborError> {
        let mut fields = Fields::of("receipt", value)?;
        let receipt = Self {
            by: fields.parse("by")?,
            payout: fields.parse("payout")?,
            digest: PayoutDigest::from_bytes(fields.array("digest")?),
            txid: Txid::from_bytes(fields.array("txid")?),
            outflow: Amount::new(fields.uint("outflow")?),
            seq: fields.uint("seq")?,
            at: instant(&mut fields, "at")?,
        };
        fields.end()?;
        Ok(receipt)
    }
}

/// A watcher's word that it sees the chains of some assets and the same log as the signers, and how the breaker stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lease {
    /// The watcher.
    pub by: MachineId,
    /// The random challenges it answers, one per signer.
    pub challenges: Vec<[u8; 32]>,
    /// The assets whose chains it sees up to their tips. It says nothing for any other.
    pub assets: BTreeSet<Asset>,
    /// The breaker's epoch in the watcher's fold.
    pub epoch: u64,
    /// Entries of the log that the watcher has folded.
    pub size: u64,
    /// The log's root at that size.
    pub root: TreeHash,
    /// When, by the watcher's clock.
    pub at: Instant,
}

impl Statement for Lease {
    const DOMAIN: &'static str = "kuraban-lease-v2";

    fn by(&self) -> &MachineId {
        &self.by
    }

    fn to_value(&self) -> Value {
        Value::map([
            ("by", Value::text(&self.by)),
            ("challenges", Value::array(self.challenges.iter().map(Value::bytes))),
            ("assets", Value::array(self.assets.iter().map(Value::text))),
            ("epoch", Value::uint(self.epoch)),
            ("size", Value::uint(self.size)),
            ("root", Value::bytes(self.root.as_bytes())),
            ("at", Value::uint(self.at.ms())),
        ])
    }

    fn from_value(value: Value) -> Result<Self, CborError> {
        let mut fields = Fields::of("lease", value)?;
        let lease = Self {
            by: fields.parse("by")?,
            challenges: challenges(fields.items("challenges")?)?,
            assets: assets(fields.items("assets")?)?,
            epoch: fields.uint("epoch")?,
            size: fields.uint("size")?,
            root: TreeHash::from_bytes(fields.array("root")?),
            at: instant(&mut fields, "at")?,
        };
        fields.end()?;
        Ok(lease)
    }
}

/// Assets in their order, each once, so that one set has one encoding.
fn assets(items: Vec<Value>) -> Result<BTreeSet<Asset>, CborError> {
    let mut assets = BTreeSet::new();
    for item in items {
        let Value::Text(ticker) = item else { return Err(invalid("assets", "want tickers")) };
        let asset = ticker.parse().map_err(|problem| invalid("assets", problem))?;
        if assets.last().is_some_and(|last| *last >= asset) {
            return Err(invalid("assets", format!("{asset} is out of order")));
        }
        assets.insert(asset);
    }
    Ok(assets)
}

pub(crate) fn challenges(items: Vec<Value>) -> Result<Vec<[u8; 32]>, CborError> {
    if items.len() > CHALLENGES_MAX {
        return Err(invalid("challenges", format!("{}, want at most {CHALLENGES_MAX}", items.len())));
    }
    let one = |item| match item {
        Value::Bytes(bytes) => bytes.try_into().map_err(|_| invalid("challenges", "want 32 bytes each")),
        Value::Uint(_) | Value::Text(_) | Value::Array(_) | Value::Map(_) | Value::Bool(_) | Value::Null => {
            Err(invalid("challenges", "want bytes"))
        }
    };
    items.into_iter().map(one).collect()
}

/// How long a permit lives, in milliseconds, from when it was signed.
pub const PERMIT_MS: u64 = 2000;

/// A watcher's word that services may run, but for the cells it lists. Lives two seconds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Permit {
    /// The watcher.
    pub by: MachineId,
    /// The gate's random number for this stream, so that no old stream can be replayed.
    pub stream: [u8; 32],
    /// Counts up by one within a stream.
    pub seq: u64,
    /// The breaker's epoch.
    pub epoch: u64,
    /// Cells that are not open, by stage.
    pub tightened: Vec<(Stage, Vec<Cell>)>,
    /// When it was signed, by the watcher's clock.
    pub at: Instant,
}

impl Permit {
    /// The stage of a cell under this permit.
    #[must_use]
    pub fn stage(&self, cell: Cell) -> Stage {
        let named = self.tightened.iter().filter(|(_, cells)| cells.contains(&cell));
        named.map(|(stage, _)| *stage).max().unwrap_or(Stage::Open)
    }
}

impl Statement for Permit {
    const DOMAIN: &'static str = "kuraban-permit-v1";

    fn by(&self) -> &MachineId {
        &self.by
    }

    fn to_value(&self) -> Value {
        let group =
            |(stage, cells): &(Stage, Vec<Cell>)| Value::array([Value::text(stage), cells_to_value(cells)]);
        Value::map([
            ("by", Value::text(&self.by)),
            ("stream", Value::bytes(self.stream)),
            ("seq", Value::uint(self.seq)),
            ("epoch", Value::uint(self.epoch)),
            ("tightened", Value::array(self.tightened.iter().map(group))),
            ("at", Value::uint(self.at.ms())),
        ])
    }

    fn from_value(value: Value) -> Result<Self, CborError> {
        let mut fields = Fields::of("permit", value)?;
        let group = |item| {
            let problem = || invalid("tightened", "want pairs of stage and cells");
            let Value::Array(pair) = item else { return Err(problem()) };
            let [Value::Text(stage), Value::Array(cells)] = pair.as_slice() else { return Err(problem()) };
            let stage = stage.parse().map_err(|problem| invalid("tightened", problem))?;
            Ok((stage, cells_from_value("tightened", cells.clone())?))
        };
        let permit = Self {
            by: fields.parse("by")?,
            stream: fields.array("stream")?,
            seq: fields.uint("seq")?,
            epoch: fields.uint("epoch")?,
            tightened: fields.items("tightened")?.into_iter().map(group).collect::<Result<_, _>>()?,
            at: instant(&mut fields, "at")?,
        };
        fields.end()?;
        Ok(permit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(assets: &[Asset]) -> Lease {
        Lease {
            by: "watcher-1".parse().unwrap(),
            challenges: vec![[1; 32]],
            assets: assets.iter().copied().collect(),
            epoch: 3,
            size: 7,
            root: TreeHash::from_bytes([2; 32]),
            at: Instant::from_ms(9),
        }
    }

    #[test]
    fn a_lease_has_one_form_and_names_each_asset_once_and_in_order() {
        assert_eq!(Lease::DOMAIN, "kuraban-lease-v2");
        for assets in [&[][..], &[Asset::Btc], &[Asset::Ltc], &Asset::ALL] {
            let value = lease(assets).to_value();
            assert_eq!(Lease::from_value(Value::decode(&value.encode()).unwrap()), Ok(lease(assets)));
        }
        // Keys by the length of their encoding and then by their bytes (RFC 8949 §4.2.1): at by root size epoch assets challenges.
        let want = [
            "a7",
            "6261740962627969",
            "776174636865722d31",
            "64726f6f745820",
            &"02".repeat(32),
            "6473697a6507",
            "6565706f636803",
            "666173736574738263425443634c5443",
            "6a6368616c6c656e676573815820",
            &"01".repeat(32),
        ];
        assert_eq!(kuraban_base::hex::encode(&lease(&Asset::ALL).to_value().encode()), want.concat());
        let check = |tickers: &[Value]| {
            let Value::Map(mut fields) = lease(&[]).to_value() else { panic!("a lease is a map") };
            let (_, assets) = fields.iter_mut().find(|(key, _)| key.as_str() == "assets").unwrap();
            *assets = Value::array(tickers.iter().cloned());
            Lease::from_value(Value::Map(fields)).is_ok()
        };
        let text = |ticker: &str| Value::text(ticker);
        assert!(check(&[text("BTC"), text("LTC")]));
        assert!(!check(&[text("LTC"), text("BTC")]));
        assert!(!check(&[text("BTC"), text("BTC")]));
        assert!(!check(&[text("BTC"), text("XMR")]));
        assert!(!check(&[Value::bytes("BTC")]));
    }
}
