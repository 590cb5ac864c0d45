//! What signers and watchers state on a payout's way: receipts, leases and permits.

use kuraban_base::{
    Amount, Instant, MachineId, PayoutDigest, PayoutId, TreeHash, Txid,
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

/// A watcher's word that it sees the chain and the same log as the signers, and how the breaker stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lease {
    /// The watcher.
    pub by: MachineId,
    /// The random challenges it answers, one per signer.
    pub challenges: Vec<[u8; 32]>,
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
    const DOMAIN: &'static str = "kuraban-lease-v1";

    fn by(&self) -> &MachineId {
        &self.by
    }

    fn to_value(&self) -> Value {
        Value::map([
            ("by", Value::text(&self.by)),
            ("challenges", Value::array(self.challenges.iter().map(Value::bytes))),
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
            epoch: fields.uint("epoch")?,
            size: fields.uint("size")?,
            root: TreeHash::from_bytes(fields.array("root")?),
            at: instant(&mut fields, "at")?,
        };
        fields.end()?;
        Ok(lease)
    }
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
