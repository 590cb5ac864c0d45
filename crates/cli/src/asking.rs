//! Payouts asked of a writer, each once. Decides what is asked for and never whether it may be paid: approvers and signers do, as for any
//! payout.
//!
//! A payout's id and idempotency key are made of what it is for, so whoever asks again asks for the same. A journal has the terms and
//! what was asked, before it is asked; a run that was killed is run again.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
};

use kuraban_api::Submit;
use kuraban_base::{Digest, Instant, VaultId};
use kuraban_chain::btc::Network;
use kuraban_vault::{Charter, PayoutKind, REQUEST};
use serde::{Deserialize, Serialize};

use crate::{
    charter::Files,
    fail::{Failure, OrFail as _},
    input::{instant, now},
    journal::Lines,
    judge::{Broken, listed},
    key::Key,
    look::Look,
    payout,
    say::{Answer, Lang, Report, Say, tame},
    writer::{Refused, Writer},
};

/// Who pays from which vault, on which terms.
#[derive(clap::Args)]
pub(crate) struct Payer {
    /// The vault that pays
    #[arg(long, value_name = "VAULT")]
    from: VaultId,
    /// Most base units that may go to fees, for each payout
    #[arg(long, value_name = "UNITS")]
    fee_cap: u64,
    /// When payouts that are not signed expire; the first run's stays
    #[arg(long, value_name = "TIME", value_parser = instant)]
    expiry: Instant,
    /// The writer
    #[arg(long, value_name = "URL")]
    writer: String,
    #[command(flatten)]
    files: Files,
    /// Your SSH private key (Ed25519)
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

impl Payer {
    /// The own roster, policy and vaults, and the network of the vault that pays.
    pub(crate) fn charter(&self) -> Result<(Charter, Network), Failure> {
        let charter = self.files.read()?;
        let network = charter.vault(&self.from).map(|(vault, _)| vault.network);
        let missing = || Failure::input(format!("--from: vault {} is not among the vaults given", self.from));
        Ok((charter, network.ok_or_else(missing)?))
    }

    /// Opens or begins the journal of what is paid under this root.
    pub(crate) fn asking<'a>(
        &self,
        charter: &'a Charter,
        network: Network,
        (kind, root): (PayoutKind, String),
        journal: &Path,
        say: &Say,
    ) -> Result<Asking<'a>, Failure> {
        let terms = Terms {
            root,
            asset: network.asset().to_string(),
            network: network.to_string(),
            vault: self.from.to_string(),
            fee_cap: self.fee_cap,
            not_before_ms: now()?.ms(),
            expiry_ms: self.expiry.ms(),
        };
        let key = Key::read(&self.key, say)?;
        let journal = Journal::open(journal, terms).or_input(journal.display())?;
        Ok(Asking { charter, writer: Writer::new(&self.writer)?, key, kind, journal })
    }
}

/// What all payouts of a journal have in common.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Terms {
    root: String,
    asset: String,
    network: String,
    vault: String,
    fee_cap: u64,
    not_before_ms: u64,
    expiry_ms: u64,
}

/// A line of the journal.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Event {
    /// The first line.
    Terms(Terms),
    /// Is about to be asked for.
    Asked { id: String, digest: String },
    /// The writer has it in its log.
    Taken { id: String },
}

/// What was asked before, and where it is kept.
struct Journal {
    lines: Lines,
    terms: Terms,
    asked: HashMap<String, String>,
    taken: HashSet<String>,
}

/// One payout that is due.
pub(crate) struct Due {
    /// The payout's name.
    pub(crate) id: String,
    /// The idempotency key.
    pub(crate) attempt: Digest,
    /// Whose it is, in words.
    pub(crate) whose: String,
    /// Where it goes.
    pub(crate) address: String,
    /// Base units.
    pub(crate) amount: u64,
    /// What stands beside it.
    pub(crate) memo: Option<String>,
}

/// What came of asking.
pub(crate) enum Asked {
    /// The writer had it before.
    Before {
        /// Whether in these words: the same address and amount, under the same roster and policy.
        same: bool,
    },
    /// The writer has it now.
    Now,
    /// The writer refuses it.
    Refused(Refused),
    /// Every signer would refuse it; it was not asked for.
    Hopeless(Hopeless),
}

/// Why every signer would refuse a payout.
pub(crate) struct Hopeless {
    pub(crate) reasons: Vec<Broken>,
    text: String,
}

impl Hopeless {
    /// Whose it is, and why.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The end of a run that comes upon it.
    pub(crate) fn report(&self, document: &impl Serialize) -> Report {
        Report::new(Answer::No, document, self.text.clone())
    }
}

/// Asks for payouts under one journal.
pub(crate) struct Asking<'a> {
    charter: &'a Charter,
    writer: Writer,
    key: Key,
    kind: PayoutKind,
    journal: Journal,
}

impl Asking<'_> {
    /// The writer that is asked.
    pub(crate) const fn writer(&self) -> &Writer {
        &self.writer
    }

    /// Asks for a payout, unless the writer has it.
    pub(crate) fn ask(&mut self, due: &Due, lang: Lang) -> Result<Asked, Failure> {
        let terms = &self.journal.terms;
        let form = kuraban_api::Payout {
            id: due.id.clone(),
            kind: self.kind.to_string(),
            network: terms.network.clone(),
            vault: terms.vault.clone(),
            destination: due.address.clone(),
            memo: due.memo.clone(),
            amount: due.amount,
            fee_cap: terms.fee_cap,
            not_before_ms: terms.not_before_ms,
            expiry_ms: terms.expiry_ms,
        };
        let whose = &due.whose;
        let payout = payout::parse(&form).or_input(whose)?;
        let digest = payout.digest(&self.charter.context());
        if self.journal.taken.contains(&due.id) {
            let same = self.journal.asked.get(&due.id).is_some_and(|before| *before == digest.to_string());
            return Ok(Asked::Before { same });
        }
        let request = self.key.sign(REQUEST, digest.as_bytes())?;
        let look = Look::of(self.charter, payout, Some(&request), now()?).or_input(whose)?;
        if !look.reasons.is_empty() {
            let reasons = look.reasons.iter().map(Broken::of).collect();
            let head = lang.pick(
                "not requested: every signer would refuse it",
                "依頼していません。どの署名機も拒否します",
            );
            let text = format!("{whose}: {head}\n{}", listed(&look.reasons, lang));
            return Ok(Asked::Hopeless(Hopeless { reasons, text }));
        }
        let digest = digest.to_string();
        self.journal.ask(&due.id, &digest).or_undone(whose)?;
        let submit = Submit { payout: form, request_signature: request.pem().to_owned() };
        match self.writer.request(&submit, &due.attempt.to_string())? {
            Ok(accepted) if accepted.digest == digest => {
                self.journal.lines.put(&Event::Taken { id: due.id.clone() }).or_undone("the journal")?;
                self.journal.taken.insert(due.id.clone());
                Ok(Asked::Now)
            }
            Ok(accepted) => Err(Failure::undone(format!(
                "{whose}: the writer logged digest {}, want {digest}: it has another roster or policy",
                tame(&accepted.digest)
            ))),
            Err(refused) => Ok(Asked::Refused(refused)),
        }
    }
}

impl Journal {
    /// Opens or begins it; the first run's terms hold, and only their beginning may be another's.
    fn open(path: &Path, terms: Terms) -> anyhow::Result<Self> {
        let (mut asked, mut taken, mut known) = (HashMap::new(), HashSet::new(), None);
        let lines = Lines::open(path, |event| match event {
            Event::Terms(found) => known = Some(found),
            Event::Asked { id, digest } => drop(asked.insert(id, digest)),
            Event::Taken { id } => drop(taken.insert(id)),
        })?;
        let begun = known.is_some();
        let kept = known.map_or(terms.clone(), |known| known);
        let same = Terms { not_before_ms: kept.not_before_ms, ..terms };
        anyhow::ensure!(same == kept, "was begun with other terms: {}, now {}", shown(&kept)?, shown(&same)?);
        let mut journal = Self { lines, terms: kept, asked, taken };
        if !begun {
            let terms = Event::Terms(journal.terms.clone());
            journal.lines.put(&terms)?;
        }
        Ok(journal)
    }

    /// Notes that a payout is about to be asked for; an error if it was asked for as another.
    fn ask(&mut self, id: &str, digest: &str) -> anyhow::Result<()> {
        match self.asked.get(id) {
            Some(before) if before == digest => Ok(()),
            Some(before) => anyhow::bail!(
                "payout {id} was asked for with digest {before}, now {digest}: address, amount, roster or policy has changed; put it back"
            ),
            None => self.lines.put(&Event::Asked { id: id.to_owned(), digest: digest.to_owned() }),
        }
    }
}

fn shown(terms: &Terms) -> Result<String, serde_json::Error> {
    serde_json::to_string(terms)
}
