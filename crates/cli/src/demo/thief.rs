//! The demo's thief: holds two of the three coin keys, bypasses Kuraban, and signs for himself.

use anyhow::Context as _;
use kuraban_base::Txid;
use kuraban_chain::btc::{
    Branch, Descriptor, Digests, EcdsaSighash, Mweb, OutPoint, Script, Tx, TxIn, TxOut, XPriv,
};

/// One of the vault's coins, and where on its descriptor it lies.
#[derive(Clone, Debug)]
pub(super) struct Loot {
    pub(super) outpoint: OutPoint,
    pub(super) output: TxOut,
    pub(super) place: (Branch, u32),
}

/// What the thief has.
#[derive(Debug)]
pub(super) struct Thief<'a> {
    pub(super) descriptor: &'a Descriptor,
    pub(super) stolen: Vec<&'a XPriv>,
    /// Where he wants the coins.
    pub(super) own: Script,
}

impl Thief<'_> {
    /// The small test: a little to himself, the rest back to the vault so that nobody wonders about a balance.
    pub(super) fn test(&self, loot: &Loot, value_sat: u64, fee_sat: u64) -> anyhow::Result<Tx> {
        let back = loot.output.value_sat.checked_sub(value_sat).and_then(|rest| rest.checked_sub(fee_sat));
        let back = back.context("the coin is smaller than the test")?;
        let outputs = vec![
            TxOut { value_sat, script: self.own.clone() },
            TxOut { value_sat: back, script: loot.output.script.clone() },
        ];
        self.sign(std::slice::from_ref(loot), outputs)
    }

    /// The drain: everything to himself.
    pub(super) fn drain(&self, loot: &[Loot], fee_sat: u64) -> anyhow::Result<Tx> {
        let sum = loot.iter().try_fold(0_u64, |sum, one| sum.checked_add(one.output.value_sat));
        let value_sat =
            sum.and_then(|sum| sum.checked_sub(fee_sat)).context("the coins are worth less than the fee")?;
        self.sign(loot, vec![TxOut { value_sat, script: self.own.clone() }])
    }

    pub(super) fn sign(&self, loot: &[Loot], outputs: Vec<TxOut>) -> anyhow::Result<Tx> {
        let input = |one: &Loot| TxIn {
            prev: one.outpoint,
            script_sig: Script::default(),
            sequence: 0xffff_fffd,
            witness: Vec::new(),
        };
        let inputs = loot.iter().map(input).collect();
        let mut tx = Tx { version: 2, inputs, outputs, lock_time: 0, mweb: Mweb::None };
        let unsigned = tx.clone();
        let spent: Vec<TxOut> = loot.iter().map(|one| one.output.clone()).collect();
        let digests = Digests::new(&unsigned, &spent)?;
        for (index, (input, one)) in tx.inputs.iter_mut().zip(loot).enumerate() {
            let (branch, at) = one.place;
            let code = self.descriptor.script_code_at(branch, at)?;
            let digest = digests.witness_v0(index, &code, EcdsaSighash::All)?;
            let mut signatures = Vec::new();
            for key in &self.stolen {
                let child = key.child(branch, at)?;
                signatures.push((child.public(), child.sign(&digest, EcdsaSighash::All)?));
            }
            input.witness = self.descriptor.satisfy(branch, at, &signatures)?.witness;
        }
        Ok(tx)
    }
}

/// The coin that an output of a transaction is.
pub(super) fn loot(txid: Txid, vout: u32, output: &TxOut, place: (Branch, u32)) -> Loot {
    Loot { outpoint: OutPoint { txid, vout }, output: output.clone(), place }
}
