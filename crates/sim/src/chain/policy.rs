//! What nodes relay at all: the rules that look at one transaction alone.
//!
//! Decides form, sizes, kinds of outputs and dust. Source: Bitcoin Core and Litecoin Core, `policy.h` and
//! `policy.cpp`, with their defaults; what only one of several releases relays is refused.

use std::ops::Deref;

use kuraban_chain::btc::{Mweb, Network, Script, ScriptKind, Tx};

use super::{Refusal, Regtest};

/// Base units per virtual byte that a transaction must pay to be relayed, and a replacement on top of what
/// it replaces.
pub const RELAY_SAT_PER_VB: u64 = 1;
/// Heaviest transaction that is relayed (`MAX_STANDARD_TX_WEIGHT`).
pub const TX_WEIGHT_MAX: usize = 400_000;

/// Longest script of a data output (`MAX_OP_RETURN_RELAY`).
const DATA_BYTES_MAX: usize = 83;
/// Bytes that spending an output of a witness program takes, the witness at its discount.
const SPEND_WITNESS_BYTES: u64 = 67;
/// Bytes that spending any other output takes.
const SPEND_BYTES: u64 = 148;

/// A transaction that nodes relay, if the chain has what it spends.
#[derive(Debug)]
pub(super) struct Standard(Tx);

impl Deref for Standard {
    type Target = Tx;

    fn deref(&self) -> &Tx {
        &self.0
    }
}

impl Standard {
    /// `tx`, if it keeps every rule that needs no chain.
    pub(super) fn new(regtest: Regtest, tx: &Tx) -> Result<Self, Refusal> {
        let network = regtest.network();
        // A transaction put together by hand is held to the same rules as one from the wire.
        let tx = Tx::decode(network, &tx.encode()).map_err(Refusal::Malformed)?;
        if tx.is_coinbase() {
            return Err(Refusal::Coinbase);
        }
        if tx.mweb != Mweb::None {
            return Err(Refusal::Extension);
        }
        if !matches!(tx.version, 1 | 2) {
            return Err(Refusal::Version { found: tx.version });
        }
        let (weight, bytes) = (tx.weight(), tx.size_stripped());
        if weight > TX_WEIGHT_MAX {
            return Err(Refusal::Weight { found: weight, limit: TX_WEIGHT_MAX });
        }
        let limit = tx_bytes_min(regtest);
        if bytes < limit {
            return Err(Refusal::Small { found: bytes, limit });
        }
        if let Some(input) = tx.inputs.iter().position(|input| tx.version >= 2 && relative(input.sequence)) {
            return Err(Refusal::RelativeLock { input });
        }
        outputs(regtest, &tx)?;
        Ok(Self(tx))
    }

    pub(super) fn into_tx(self) -> Tx {
        self.0
    }
}

/// Smallest transaction that is relayed, without witness (`MIN_STANDARD_TX_NONWITNESS_SIZE`).
const fn tx_bytes_min(regtest: Regtest) -> usize {
    match regtest {
        Regtest::Btc => 65,
        Regtest::Ltc => 82,
    }
}

/// Whether the sequence number asks for an age above zero (BIP 68).
const fn relative(sequence: u32) -> bool {
    sequence & 0x8000_0000 == 0 && sequence & 0xffff != 0
}

fn outputs(regtest: Regtest, tx: &Tx) -> Result<(), Refusal> {
    let mut data = 0_usize;
    for (output, out) in tx.outputs.iter().enumerate() {
        match out.script.kind_on(regtest.network()) {
            ScriptKind::P2pkh
            | ScriptKind::P2sh
            | ScriptKind::P2wpkh
            | ScriptKind::P2wsh
            | ScriptKind::P2tr
            | ScriptKind::P2pk
            | ScriptKind::WitnessUnknown => {}
            ScriptKind::OpReturn => {
                data = data.saturating_add(1);
                if data > 1 || out.script.len() > DATA_BYTES_MAX {
                    return Err(Refusal::Data { output, limit: DATA_BYTES_MAX });
                }
            }
            // Bare multisig is relayed by nodes, but counted in a way that makes blocks too costly to check
            // for its size; nobody here uses it.
            kind @ (ScriptKind::BareMultisig
            | ScriptKind::MwebHogAddr
            | ScriptKind::MwebPegIn
            | ScriptKind::NonStandard) => return Err(Refusal::Output { output, kind }),
        }
        let least_sat = dust_sat(regtest, &out.script);
        if out.value_sat < least_sat {
            return Err(Refusal::Dust { output, value_sat: out.value_sat, least_sat });
        }
    }
    Ok(())
}

/// The least that an output with this script must be worth to be relayed: the fee of creating and spending
/// it at the network's rate for dust (`GetDustThreshold`).
#[must_use]
pub fn dust_sat(regtest: Regtest, script: &Script) -> u64 {
    let sat_per_byte = match regtest {
        Regtest::Btc => 3,
        Regtest::Ltc => 30,
    };
    let spend = match script.kind_on(Network::BtcRegtest) {
        ScriptKind::P2wpkh | ScriptKind::P2wsh | ScriptKind::P2tr | ScriptKind::WitnessUnknown => {
            SPEND_WITNESS_BYTES
        }
        ScriptKind::P2pkh
        | ScriptKind::P2sh
        | ScriptKind::P2pk
        | ScriptKind::BareMultisig
        | ScriptKind::MwebHogAddr
        | ScriptKind::MwebPegIn
        | ScriptKind::NonStandard => SPEND_BYTES,
        ScriptKind::OpReturn => return 0,
    };
    // Eight bytes of value and one of length: no script relayed needs a longer one.
    let bytes = u64::try_from(script.len()).unwrap_or(u64::MAX).saturating_add(9);
    bytes.saturating_add(spend).saturating_mul(sat_per_byte)
}
