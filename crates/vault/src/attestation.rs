//! Attestations: payouts that move nothing. The vault's keys sign a transaction that can never be mined, over a challenge that
//! nobody could know before its day, and so show what the vault can spend.
//!
//! Decides whether a transaction is exactly the one that the challenge demands. Its first input is built here, from the
//! challenge, and never taken from whoever asks.

use core::{fmt::Display, str::FromStr};

use kuraban_base::{Asset, Instant, TreeHash};
use kuraban_chain::btc::{
    BlockHash, OutPoint, ProofForm, Script, Tx, TxOut,
    funds::{commitment, first_spent, unsigned},
    message::to_spend,
};

use crate::{
    judge::{Ask, CLOCKS_APART_MAX_MS, Now, Views, spent},
    payout::{MEMO_MAX, Payout, PayoutKind},
    reason::Reason,
};

/// First word of a challenge.
const WORD: &str = "kuraban-reserves-v1";
/// How old a challenge may be when a signer is asked to sign over it, in milliseconds.
pub const CHALLENGE_MS_MAX: u64 = 24 * 60 * 60 * 1000;

/// What an attestation is signed over. Its text is the payout's memo, and so stands in the payout's digest:
///
/// `kuraban-reserves-v1 FORM ORIGIN SIZE ROOT BLOCK ASSET TIME`, single spaces between, all in ASCII; the root of the log's
/// tree and the block's hash in hexadecimal (the latter as explorers show it), the time in milliseconds since 1970.
pub type Challenge = Stated<ProofForm, BlockHash, Asset>;

/// A challenge, whatever family of chains it is for: `F` says how it is signed, `B` names a block, `A` an asset. Signers know
/// [`Challenge`] alone, and refuse every other as none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stated<F, B, A> {
    /// How it is signed.
    pub form: F,
    /// The log.
    pub origin: String,
    /// The log's size at a checkpoint.
    pub size: u64,
    /// Its root there.
    pub root: TreeHash,
    /// A block of the asset's chain, the state after which is attested.
    pub block: B,
    /// The asset.
    pub asset: A,
    /// When the statement was asked for.
    pub at: Instant,
}

/// A text that is no challenge.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ChallengeError {
    /// Another form.
    #[error("it is not {WORD} and seven words, single spaces between")]
    Form,
    /// A word that is not what stands in its place.
    #[error("{what} is {found:?}")]
    Word {
        /// What stands in its place.
        what: &'static str,
        /// What was found, cut to 80 characters.
        found: String,
    },
    /// Longer than a memo.
    #[error("it has {got} bytes, want at most {max}: the log's origin is too long", max = MEMO_MAX)]
    Length {
        /// Bytes.
        got: usize,
    },
}

impl<F: Display, B: Display, A: Display> Display for Stated<F, B, A> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { form, origin, size, root, block, asset, at } = self;
        let root = kuraban_base::hex::encode(root.as_bytes());
        write!(f, "{WORD} {form} {origin} {size} {root} {block} {asset} {}", at.ms())
    }
}

impl<F, B, A> Stated<F, B, A>
where
    F: Display + FromStr,
    B: Display + FromStr,
    A: Display + FromStr,
{
    /// The challenge of a text, in the one spelling that it has.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, ChallengeError> {
        if text.len() > MEMO_MAX {
            return Err(ChallengeError::Length { got: text.len() });
        }
        let words: Vec<&str> = text.split(' ').collect();
        let [WORD, form, origin, size, root, block, asset, at] = words.as_slice() else {
            return Err(ChallengeError::Form);
        };
        let wrong =
            |what, found: &str| ChallengeError::Word { what, found: found.chars().take(80).collect() };
        let root_bytes =
            kuraban_base::hex::decode(root).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let challenge = Self {
            form: form.parse().map_err(|_| wrong("the form", form))?,
            origin: (*origin).to_owned(),
            size: size.parse().map_err(|_| wrong("the log's size", size))?,
            root: root_bytes.map(TreeHash::from_bytes).ok_or_else(|| wrong("the log's root", root))?,
            block: block.parse().map_err(|_| wrong("the block's hash", block))?,
            asset: asset.parse().map_err(|_| wrong("the asset", asset))?,
            at: at.parse().map(Instant::from_ms).map_err(|_| wrong("the time", at))?,
        };
        // Leading zeros, signs and capital letters would be second spellings.
        if challenge.to_string() == text { Ok(challenge) } else { Err(wrong("the text", text)) }
    }

    /// Its text, if it fits into a memo.
    ///
    /// # Errors
    /// A log whose origin is too long, or has a space in it.
    pub fn text(&self) -> Result<String, ChallengeError> {
        let text = self.to_string();
        Self::parse(&text).map(|_| text)
    }
}

impl<F, B, A> Stated<F, B, A> {
    /// Why it is none to sign over now, by the time alone.
    ///
    /// # Errors
    /// Older than a day, or of a time to come.
    pub fn fresh(&self, now: Now) -> Result<(), String> {
        let age_ms = now.latest().ms_since(self.at);
        if age_ms > CHALLENGE_MS_MAX {
            return Err(format!("it is {age_ms} ms old, at most {CHALLENGE_MS_MAX}"));
        }
        let ahead_ms = self.at.ms_since(now.latest());
        if ahead_ms > CLOCKS_APART_MAX_MS {
            return Err(format!("it is dated {ahead_ms} ms ahead"));
        }
        Ok(())
    }
}

/// A payout's challenge.
///
/// # Errors
/// There is none, or it is another log's or asset's.
pub fn challenge(origin: &str, payout: &Payout) -> Result<Challenge, String> {
    let memo = payout.memo.as_deref().ok_or("the memo has no challenge")?;
    let challenge =
        Challenge::parse(memo).map_err(|problem| format!("the memo is no challenge: {problem}"))?;
    if challenge.origin != origin {
        return Err(format!("it is of log {}, want {origin}", challenge.origin));
    }
    if challenge.asset != payout.asset() {
        return Err(format!("it is for {}, the payout for {}", challenge.asset, payout.asset()));
    }
    Ok(challenge)
}

/// What every signer would refuse whatever the transaction.
pub(crate) fn admit(views: Views<'_>, payout: &Payout, reasons: &mut Vec<Reason>) -> Option<Challenge> {
    if payout.amount.units() != 0 || payout.fee_cap.units() != 0 {
        let (amount, fee_cap) = (payout.amount, payout.fee_cap);
        reasons.push(Reason::AttestationValue { amount, fee_cap });
    }
    match challenge(views.roster.origin(), payout) {
        Ok(challenge) => Some(challenge),
        Err(problem) => {
            reasons.push(Reason::AttestationChallenge { problem });
            None
        }
    }
}

/// Judges an attestation's transaction: exactly the one that follows from the challenge and the outputs that it names.
pub(crate) fn judge(views: Views<'_>, now: Option<Now>, ask: Ask<'_>, reasons: &mut Vec<Reason>) {
    let payout = ask.payout;
    let Some(challenge) = admit(views, payout, reasons) else { return };
    let text = payout.memo.as_deref().unwrap_or_default().as_bytes();
    if let Some(Err(problem)) = now.map(|now| challenge.fresh(now)) {
        reasons.push(Reason::AttestationChallenge { problem });
    }
    if views.scripts.place(&payout.destination).is_none() {
        let problem = "the destination is not the vault's".to_owned();
        reasons.push(Reason::AttestationChallenge { problem });
    }
    let mut outputs = Vec::new();
    let known = spent(ask.tx, ask.prevs);
    for (input, output) in ask.tx.inputs.iter().zip(known).skip(1) {
        let Some(output) = output else {
            reasons.push(Reason::InputUnproven { input: input.prev });
            continue;
        };
        if views.scripts.place(&output.script).is_none() {
            reasons.push(Reason::InputNotOwn { input: input.prev });
        }
        outputs.push((input.prev, output.value_sat));
    }
    let first = ask.tx.inputs.first().map(|input| input.prev);
    let want = unsigned(challenge.form, &payout.destination, text, &outputs);
    // Without a previous transaction nobody can say what the form demands; that is a reason of its own.
    let proven = outputs.len().saturating_add(1) == ask.tx.inputs.len();
    let problem = match () {
        () if first != Some(virtual_input(challenge.form, &payout.destination, text)) => {
            "its first input is not the virtual one of the challenge"
        }
        () if ask.tx.inputs.len() < 2 => "it names no output",
        () if proven && want.as_ref() != Some(&bare(ask.tx)) => {
            "it is not exactly the one that the form demands"
        }
        () => return,
    };
    reasons.push(Reason::AttestationMinable { problem });
}

/// What an attestation's first input has to spend; nothing for payouts of other kinds and without a challenge.
#[must_use]
pub fn first_input(payout: &Payout) -> Option<OutPoint> {
    let (form, text) = form(payout)?;
    Some(virtual_input(form, &payout.destination, text.as_bytes()))
}

fn virtual_input(form: ProofForm, owner: &Script, text: &[u8]) -> OutPoint {
    match form {
        ProofForm::Bip322 => OutPoint { txid: to_spend(owner, text).txid(), vout: 0 },
        ProofForm::Bip127 => commitment(text),
    }
}

fn form(payout: &Payout) -> Option<(ProofForm, &str)> {
    let memo = payout.memo.as_deref().filter(|_| payout.kind == PayoutKind::Attestation)?;
    Challenge::parse(memo).ok().map(|challenge| (challenge.form, memo))
}

/// The transaction by which a vault attests `outputs`.
#[must_use]
pub(crate) fn transaction(payout: &Payout, outputs: &[(OutPoint, u64)]) -> Option<Tx> {
    let (form, text) = form(payout)?;
    unsigned(form, &payout.destination, text.as_bytes(), outputs)
}

/// What an attestation's first input counts as spending.
#[must_use]
pub fn first_output(payout: &Payout) -> Option<TxOut> {
    form(payout).map(|(form, _)| first_spent(form, &payout.destination))
}

/// Whether an input is the commitment of BIP 127, for which nobody signs.
#[must_use]
pub(crate) fn is_commitment(payout: &Payout, input: usize) -> bool {
    input == 0 && form(payout).is_some_and(|(form, _)| form == ProofForm::Bip127)
}

/// The output that each input of a payout's transaction spends, in order; nothing where its transaction is not among `prevs`.
pub(crate) fn spent_by(payout: &Payout, tx: &Tx, prevs: &[Tx]) -> Vec<Option<TxOut>> {
    let mut known = spent(tx, prevs);
    if let (Some(output), Some(first)) = (first_output(payout), known.first_mut()) {
        *first = Some(output);
    }
    known
}

/// The transaction without what unlocks its inputs.
fn bare(tx: &Tx) -> Tx {
    let mut bare = tx.clone();
    for input in &mut bare.inputs {
        input.script_sig = Script::default();
        input.witness = Vec::new();
    }
    bare
}
