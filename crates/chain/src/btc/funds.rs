//! Proofs that somebody can spend outputs, over a text: proofs of funds (BIP 322, form `pof`) and of reserves (BIP 127).
//!
//! Decides whether every output that a proof names was signed for over the text, by the same templates as [`super::verify`].
//! It cannot know whether the outputs exist and are unspent; that is for whoever has a node. The transactions that it builds
//! can never be mined: their first input spends what no chain has.

use std::collections::BTreeMap;

use kuraban_base::Txid;

use super::{
    hash::sha256,
    message::to_spend,
    network::Network,
    psbt::{Input, Psbt, PsbtError},
    script::Script,
    tx::{Mweb, OutPoint, Tx, TxIn, TxOut},
    verify::{Form, Signer, Spend, Verifier, VerifyError},
};

/// What stands before the text in the commitment of BIP 127.
const RESERVES_PREFIX: &[u8] = b"Proof-of-Reserves: ";
/// Outputs that one proof names at most.
pub const OUTPUTS_MAX: usize = 10_000;

/// The form of a proof.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ProofForm {
    /// Proof of funds: signed by the owner of an address, and by those of the outputs.
    Bip322,
    /// Proof of reserves: signed by the owners of the outputs.
    Bip127,
}

impl ProofForm {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Bip322, Self::Bip127];

    /// The word used in files and messages.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Bip322 => "bip-322",
            Self::Bip127 => "bip-127",
        }
    }
}

/// A word that names no form.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("want bip-322 or bip-127")]
pub struct FormError;

impl core::str::FromStr for ProofForm {
    type Err = FormError;

    fn from_str(text: &str) -> Result<Self, FormError> {
        Self::ALL.into_iter().find(|form| form.word() == text).ok_or(FormError)
    }
}

impl core::fmt::Display for ProofForm {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.word())
    }
}

/// What the first input of a proof of reserves spends: the hash of the text stands where a transaction's id does. The bytes of
/// the hash are the bytes of the id as transactions carry them.
#[must_use]
pub fn commitment(text: &[u8]) -> OutPoint {
    OutPoint { txid: Txid::from_bytes(sha256(&[RESERVES_PREFIX, text].concat())), vout: 0 }
}

/// The transaction without signatures by which `owner` proves `outputs`; nothing if they are worth more than a number holds.
///
/// In a proof of funds `owner` is the script that signs the text; in one of reserves the transaction pays everything to it.
#[must_use]
pub fn unsigned(form: ProofForm, owner: &Script, text: &[u8], outputs: &[(OutPoint, u64)]) -> Option<Tx> {
    let sum_sat = outputs.iter().try_fold(0_u64, |sum, (_, value_sat)| sum.checked_add(*value_sat))?;
    let (first, output) = match form {
        ProofForm::Bip322 => (
            OutPoint { txid: to_spend(owner, text).txid(), vout: 0 },
            TxOut { value_sat: 0, script: Script::from(vec![0x6a]) },
        ),
        ProofForm::Bip127 => (commitment(text), TxOut { value_sat: sum_sat, script: owner.clone() }),
    };
    let input = |prev| TxIn { prev, script_sig: Script::default(), sequence: 0, witness: Vec::new() };
    let inputs = core::iter::once(first).chain(outputs.iter().map(|(prev, _)| *prev)).map(input).collect();
    Some(Tx { version: 0, inputs, outputs: vec![output], lock_time: 0, mweb: Mweb::None })
}

/// What the first input of such a transaction counts as spending.
#[must_use]
pub fn first_spent(form: ProofForm, owner: &Script) -> TxOut {
    match form {
        ProofForm::Bip322 => TxOut { value_sat: 0, script: owner.clone() },
        // "As if the script was OP_TRUE" (BIP 127).
        ProofForm::Bip127 => TxOut { value_sat: 0, script: Script::from(vec![0x51]) },
    }
}

/// Why a proof does not hold.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FundsError {
    /// Malformed.
    #[error("it is not a partially signed transaction (BIP 174)")]
    Malformed(#[from] PsbtError),
    /// No outputs, or too many.
    #[error("it names {found} outputs, want 1 to {max}", max = OUTPUTS_MAX)]
    Outputs {
        /// How many.
        found: usize,
    },
    /// An input whose output is not shown.
    #[error("input {input} does not show the output that it spends")]
    Unshown {
        /// Which.
        input: usize,
    },
    /// What is shown contradicts the input or itself.
    #[error("input {input} shows {problem}")]
    Shown {
        /// Which.
        input: usize,
        /// What is wrong.
        problem: &'static str,
    },
    /// A first input that commits to something else, or to nothing: perhaps a transaction that could be mined.
    #[error("the first input commits to another text or address, or spends something that exists")]
    OtherText,
    /// A text beside the transaction that is not the one.
    #[error("the text shown beside it is another")]
    OtherMessage,
    /// Another output than the form demands.
    #[error("its output is not the one that {form} demands: {want}")]
    Output {
        /// The form.
        form: ProofForm,
        /// What it demands.
        want: &'static str,
    },
    /// Another version.
    #[error("the transaction's version is {found}, want 0, 1 or 2")]
    Version {
        /// The version.
        found: i32,
    },
    /// A first input of a proof of reserves with something to unlock it.
    #[error("the first input has a signature, want none")]
    Commitment,
    /// A signature that does not hold.
    #[error("input {input} is not signed for")]
    Signature {
        /// Which.
        input: usize,
        /// What is wrong.
        #[source]
        source: VerifyError,
    },
    /// A signature that does not cover all of the transaction.
    #[error("a signature of input {input} does not cover everything (SIGHASH_ALL)")]
    Partial {
        /// Which.
        input: usize,
    },
}

/// An output that was signed for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proven {
    /// Where it is, if it is.
    pub outpoint: OutPoint,
    /// What it is, by the proof's word; signatures with a witness cover it.
    pub output: TxOut,
    /// Whether the proof shows the transaction that made it, whose id proves what it is.
    pub shown: bool,
    /// How it was signed for.
    pub spend: Spend,
}

/// A proof that holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Holds {
    /// Its form.
    pub form: ProofForm,
    /// Who signed the text (BIP 322), or whom the transaction would pay (BIP 127).
    pub owner: Script,
    /// The outputs, in order, none twice.
    pub outputs: Vec<Proven>,
    /// What they are worth together, in base units.
    pub sum_sat: u64,
    /// From when on it would hold, as a lock time; 0 for always.
    pub lock_time: u32,
}

/// A proof as it was read, not yet checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Funds {
    psbt: Psbt,
    spent: Vec<TxOut>,
    shown: Vec<bool>,
}

impl Funds {
    /// The proof that these bytes are: a finalised partially signed transaction.
    ///
    /// # Errors
    /// What is malformed or missing, and where.
    pub fn decode(network: Network, bytes: &[u8]) -> Result<Self, FundsError> {
        Self::of(Psbt::decode(network, bytes)?)
    }

    /// The proof of a signed transaction, with what its inputs spend and those previous transactions that shall be shown;
    /// the first input's is [`first_spent`]'s. Signatures without a witness need theirs.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    pub fn assemble(
        form: ProofForm,
        text: &[u8],
        signed: &Tx,
        spent: &[TxOut],
        prevs: &BTreeMap<Txid, Tx>,
    ) -> Result<Self, FundsError> {
        let mut tx = signed.clone();
        for input in &mut tx.inputs {
            input.script_sig = Script::default();
            input.witness = Vec::new();
        }
        let of_input = |(at, (input, output)): (usize, (&TxIn, &TxOut))| Input {
            prev: prevs.get(&input.prev.txid).cloned(),
            utxo: (at > 0 || form == ProofForm::Bip322).then(|| output.clone()),
            script_sig: (!input.script_sig.is_empty()).then(|| input.script_sig.clone()),
            witness: (!input.witness.is_empty()).then(|| input.witness.clone()),
            commitment: (at == 0 && form == ProofForm::Bip127).then(|| text.to_vec()),
        };
        let inputs = signed.inputs.iter().zip(spent).enumerate().map(of_input).collect();
        Self::of(Psbt { tx, message: (form == ProofForm::Bip322).then(|| text.to_vec()), inputs })
    }

    fn of(psbt: Psbt) -> Result<Self, FundsError> {
        let found = psbt.tx.inputs.len().saturating_sub(1);
        if !(1..=OUTPUTS_MAX).contains(&found) || psbt.inputs.len() != psbt.tx.inputs.len() {
            return Err(FundsError::Outputs { found });
        }
        let prevs = psbt.inputs.iter().filter_map(|input| input.prev.as_ref());
        let prevs: BTreeMap<Txid, &Tx> = prevs.map(|prev| (prev.txid(), prev)).collect();
        let mut spent = Vec::with_capacity(psbt.inputs.len());
        let mut shown = Vec::with_capacity(psbt.inputs.len());
        for (at, (input, known)) in psbt.tx.inputs.iter().zip(&psbt.inputs).enumerate() {
            let (output, by_prev) = match (at, spent_by(at, input, known, &prevs)) {
                // The commitment spends nothing that could be shown.
                (0, Err(FundsError::Unshown { .. })) => {
                    (first_spent(ProofForm::Bip127, &Script::default()), false)
                }
                (_, output) => output?,
            };
            spent.push(output);
            shown.push(by_prev);
        }
        Ok(Self { psbt, spent, shown })
    }

    /// Its bytes, as the forms want them in Base64 (BIP 322: behind `pof`).
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.psbt.encode()
    }

    /// The transaction with its signatures. It can never be mined if the proof holds.
    #[must_use]
    pub fn tx(&self) -> Tx {
        self.psbt.signed()
    }

    /// Checks that the proof holds over `text`.
    ///
    /// # Errors
    /// Why not.
    pub fn verify(&self, text: &[u8]) -> Result<Holds, FundsError> {
        let form = self.form(text)?;
        let first = self.psbt.inputs.first();
        let texts = [self.psbt.message.as_deref(), first.and_then(|input| input.commitment.as_deref())];
        if texts.into_iter().flatten().any(|found| found != text) {
            return Err(FundsError::OtherMessage);
        }
        let tx = self.tx();
        if !matches!(tx.version, 0..=2) {
            return Err(FundsError::Version { found: tx.version });
        }
        let outputs = self.signed_for(&tx, form)?;
        let owner = self.owner(form, &tx)?;
        let sum = outputs.iter().try_fold(0_u64, |sum, one| sum.checked_add(one.output.value_sat));
        let sum_sat = sum.unwrap_or(u64::MAX);
        let pays_all = tx.outputs.first().is_some_and(|output| output.value_sat == sum_sat);
        if form == ProofForm::Bip127 && !(pays_all && sum.is_some()) {
            return Err(FundsError::Output { form, want: "one worth exactly what the inputs are" });
        }
        Ok(Holds { form, owner, outputs, sum_sat, lock_time: tx.lock_time })
    }

    fn form(&self, text: &[u8]) -> Result<ProofForm, FundsError> {
        let prev = self.psbt.tx.inputs.first().map(|input| input.prev);
        let owner = self.spent.first().map(|output| &output.script);
        let virtual_one = owner.map(|owner| OutPoint { txid: to_spend(owner, text).txid(), vout: 0 });
        match prev {
            Some(prev) if prev == commitment(text) => Ok(ProofForm::Bip127),
            prev if prev.is_some() && prev == virtual_one => Ok(ProofForm::Bip322),
            Some(_) | None => Err(FundsError::OtherText),
        }
    }

    fn owner(&self, form: ProofForm, tx: &Tx) -> Result<Script, FundsError> {
        let script = |output: Option<&TxOut>| output.map(|output| output.script.clone()).unwrap_or_default();
        match (form, tx.outputs.as_slice()) {
            (ProofForm::Bip322, [TxOut { value_sat: 0, script: data }]) if data.as_bytes() == [0x6a] => {
                Ok(script(self.spent.first()))
            }
            (ProofForm::Bip322, _) => {
                Err(FundsError::Output { form, want: "one of nothing, locked by OP_RETURN" })
            }
            (ProofForm::Bip127, [output]) => Ok(script(Some(output))),
            (ProofForm::Bip127, _) => Err(FundsError::Output { form, want: "one" }),
        }
    }

    /// Every output with who signed for it; the text's own signature too, where the form has one.
    fn signed_for(&self, tx: &Tx, form: ProofForm) -> Result<Vec<Proven>, FundsError> {
        let wrong = |input: usize| move |source: VerifyError| FundsError::Signature { input, source };
        let verifier = Verifier::new(tx, &self.spent).map_err(|source| wrong(0)(source.into()))?;
        let mut outputs = Vec::with_capacity(self.spent.len());
        let inputs = tx.inputs.iter().zip(&self.spent).zip(&self.shown);
        for (at, ((input, output), shown)) in inputs.enumerate() {
            if at == 0 && form == ProofForm::Bip127 {
                if !input.script_sig.is_empty() || !input.witness.is_empty() {
                    return Err(FundsError::Commitment);
                }
                continue;
            }
            let spend = verifier.input(at).map_err(wrong(at))?;
            if !spend.signers().iter().all(Signer::covers_all) {
                return Err(FundsError::Partial { input: at });
            }
            // Signatures without a witness say nothing of the amount.
            if at > 0 && !shown && matches!(spend.form(), Form::Bare | Form::P2sh) {
                return Err(FundsError::Shown {
                    input: at,
                    problem: "only the output, want the whole transaction that made it",
                });
            }
            if at > 0 {
                let (outpoint, output) = (input.prev, output.clone());
                outputs.push(Proven { outpoint, output, shown: *shown, spend });
            }
        }
        Ok(outputs)
    }
}

/// The output that an input spends, and whether a whole transaction proves it.
fn spent_by(
    at: usize,
    input: &TxIn,
    known: &Input,
    prevs: &BTreeMap<Txid, &Tx>,
) -> Result<(TxOut, bool), FundsError> {
    let shown = |problem| Err(FundsError::Shown { input: at, problem });
    if known.prev.as_ref().is_some_and(|prev| prev.txid() != input.prev.txid) {
        return shown("a transaction with another id than the one that it spends from");
    }
    let by_prev = match prevs.get(&input.prev.txid) {
        None => None,
        Some(prev) => {
            let vout = usize::try_from(input.prev.vout).unwrap_or(usize::MAX);
            match prev.outputs.get(vout) {
                Some(output) => Some(output),
                None => return shown("a transaction without the output that it spends"),
            }
        }
    };
    match (by_prev, &known.utxo) {
        (Some(output), Some(utxo)) if output != utxo => shown("an output and a transaction that differ"),
        (Some(output), _) => Ok((output.clone(), true)),
        (None, Some(utxo)) => Ok((utxo.clone(), false)),
        (None, None) => Err(FundsError::Unshown { input: at }),
    }
}
