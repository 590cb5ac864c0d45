//! `kuraban claims pay`: asks the writer for a payout of kind compensation for every customer who is paid in coins, once. Decides what is
//! asked for and never whether it may be paid: approvers and signers do, as for any payout.
//!
//! A payout's id and idempotency key are made of the statements' root, the customer and the asset, so whoever asks again asks for the same.
//! A journal beside the results has the terms and what was asked, before it is asked; a run that was killed is run again.

use std::{
    collections::{HashMap, HashSet},
    fs::{File, TryLockError},
    io::{BufRead as _, BufReader, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use kuraban_api::Submit;
use kuraban_base::{Digest, Instant, VaultId};
use kuraban_ledger::{Assets, units};
use kuraban_vault::{Charter, REQUEST};
use serde::{Deserialize, Serialize};

use super::folder::Folder;
use crate::{
    charter::Files,
    fail::{Failure, OrFail as _},
    file,
    holdings::{Form, Need},
    input::instant,
    input::now,
    judge::{Broken, listed},
    key::Key,
    look::Look,
    payout,
    say::{Answer, Lang, Report, Say, tame},
    writer::{Refused, Writer},
};

pub(super) const HELP: &str = "\
Addresses are a CSV with the columns customer, asset and address. The vault's
asset is what is paid; run it once for each. Terms stand in the journal
payouts-ASSET.jsonl from the first run on. A run that was killed, or whose
writer was away, is run again with the same options: nothing is asked for
twice. Payouts then need approvals as any other does.

Example:
  kuraban claims pay --claims claims --addresses addresses.csv --from hot \\
      --fee-cap 20000 --expiry 2024-12-31T00:00:00Z \\
      --writer http://guard.example:8080 --roster roster.toml \\
      --policy policy.toml --vault hot.toml --key ~/.ssh/id_ed25519";

/// What keys are made for.
const KEY: &[u8] = b"kuraban-compensation-v1";
/// Hexadecimal digits of a key in a payout's id, which holds 64 characters.
const ID_DIGITS: usize = 56;

/// What to ask for.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The folder that `kuraban claims compute` wrote
    #[arg(long, value_name = "DIR")]
    claims: PathBuf,
    /// Where customers want their coins
    #[arg(long, value_name = "FILE")]
    addresses: PathBuf,
    #[command(flatten)]
    form: Form,
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
    file: File,
    terms: Terms,
    asked: HashMap<String, String>,
    taken: HashSet<String>,
}

/// Coins that one customer gets.
struct Due {
    customer: String,
    amount: u64,
    address: String,
}

#[derive(Serialize)]
struct Not {
    id: String,
    customer: String,
    refused: Refused,
}

#[derive(Serialize)]
struct Done {
    asset: String,
    payouts: usize,
    taken_before: usize,
    taken_now: usize,
    without_address: usize,
    refused: Vec<Not>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<Broken>,
}

/// Runs `kuraban claims pay`.
pub(super) fn run(args: &Args, say: &Say) -> Result<Report, Failure> {
    let charter = args.files.read()?;
    let vault = charter.vault(&args.from).map(|(vault, _)| vault);
    let Some(vault) = vault else {
        return Err(Failure::input(format!("--from: vault {} is not among the vaults given", args.from)));
    };
    let folder = Folder::open(&args.claims)?;
    let asset = vault.network.asset().to_string();
    let terms = Terms {
        root: folder.head().root.to_string(),
        asset: asset.clone(),
        network: vault.network.to_string(),
        vault: args.from.to_string(),
        fee_cap: args.fee_cap,
        not_before_ms: now()?.ms(),
        expiry_ms: args.expiry.ms(),
    };
    let (due, without) = due(args, &folder, &asset, say)?;
    let key = Key::read(&args.key, say)?;
    let journal = args.claims.join(format!("payouts-{asset}.jsonl"));
    let journal = Journal::open(&journal, terms).or_input(journal.display())?;
    let list: String = core::iter::once("customer\n".to_owned()).chain(without.iter().cloned()).collect();
    file::write(&args.claims.join(format!("without-address-{asset}.csv")), list.as_bytes())?;
    let mut run = Run {
        charter: &charter,
        writer: Writer::new(&args.writer)?,
        key,
        root: *folder.head().root.as_bytes(),
        journal,
    };
    let mut done = Done {
        asset,
        payouts: due.len(),
        taken_before: 0,
        taken_now: 0,
        without_address: without.len(),
        refused: Vec::new(),
        reasons: Vec::new(),
    };
    let bar = say.progress(u64::try_from(due.len()).unwrap_or_default());
    for one in &due {
        bar.inc(1);
        if let Asking::Stop(report) = run.ask(one, &mut done, say.lang())? {
            return Ok(report);
        }
    }
    bar.finish_and_clear();
    let (now, before, refused) = (done.taken_now, done.taken_before, done.refused.len());
    let text = match say.lang() {
        Lang::En => format!(
            "{} payouts: {now} requested now, {before} before, {refused} refused; {} customers have no address",
            done.payouts, done.without_address
        ),
        Lang::Ja => format!(
            "出金 {} 件：今回依頼 {now} 件、依頼済み {before} 件、拒否 {refused} 件。アドレス未登録 {} 人",
            done.payouts, done.without_address
        ),
    };
    Ok(Report::new(if refused == 0 { Answer::Yes } else { Answer::No }, &done, text))
}

/// Who gets how much where, and lines of a table of those who said no address.
fn due(args: &Args, folder: &Folder, asset: &str, say: &Say) -> Result<(Vec<Due>, Vec<String>), Failure> {
    let mut addresses = HashMap::new();
    let columns = ["customer", "asset", "address"].map(Need::Must);
    args.form.each(&args.addresses, columns, say, |_, [customer, of, address]| {
        if of.unwrap_or_default() == asset {
            let customer = customer.unwrap_or_default();
            let before = addresses.insert(customer.to_owned(), address.unwrap_or_default().to_owned());
            anyhow::ensure!(
                before.is_none(),
                "customer: {:?} has an address already, want one",
                tame(customer)
            );
        }
        Ok(())
    })?;
    let assets = Assets::default();
    let decimals = assets.find(asset).map(|num| assets.decimals(num));
    let Some(decimals) = decimals else {
        return Err(Failure::input(format!("decimals of {asset} are not known")));
    };
    let (mut due, mut without) = (Vec::new(), Vec::new());
    for (line, coins) in (2_u64..).zip(folder.in_kind()?) {
        let [customer, of, coins] = coins?;
        if of != asset {
            continue;
        }
        let amount = units(&coins, decimals).or_input(format!("in-kind.csv: line {line}, amount"))?;
        let Some(amount) = amount.to_u64() else {
            return Err(Failure::input(format!("in-kind.csv: line {line}, amount: is more than any payout")));
        };
        match addresses.remove(&customer) {
            Some(address) => due.push(Due { customer, amount, address }),
            None => without.push(quoted(&customer)),
        }
    }
    Ok((due, without))
}

/// A field of a CSV file in a line of its own (RFC 4180).
fn quoted(field: &str) -> String {
    format!("\"{}\"\n", field.replace('"', "\"\""))
}

/// Whether to go on.
enum Asking {
    On,
    Stop(Report),
}

struct Run<'a> {
    charter: &'a Charter,
    writer: Writer,
    key: Key,
    root: [u8; 32],
    journal: Journal,
}

impl Run<'_> {
    fn ask(&mut self, due: &Due, done: &mut Done, lang: Lang) -> Result<Asking, Failure> {
        let attempt = attempt(&self.root, &due.customer, &self.journal.terms.asset).to_string();
        let id = format!("comp-{}", attempt.get(..ID_DIGITS).unwrap_or_default());
        if self.journal.taken.contains(&id) {
            done.taken_before = done.taken_before.saturating_add(1);
            return Ok(Asking::On);
        }
        let terms = &self.journal.terms;
        let form = kuraban_api::Payout {
            id: id.clone(),
            kind: "compensation".to_owned(),
            network: terms.network.clone(),
            vault: terms.vault.clone(),
            destination: due.address.clone(),
            memo: None,
            amount: due.amount,
            fee_cap: terms.fee_cap,
            not_before_ms: terms.not_before_ms,
            expiry_ms: terms.expiry_ms,
        };
        let whose = || format!("customer {}", tame(&due.customer));
        let payout = payout::parse(&form).or_input(whose())?;
        let digest = payout.digest(&self.charter.context());
        let request = self.key.sign(REQUEST, digest.as_bytes())?;
        let look = Look::of(self.charter, payout, Some(&request), now()?).or_input(whose())?;
        if !look.reasons.is_empty() {
            done.reasons = look.reasons.iter().map(Broken::of).collect();
            let head = lang.pick(
                "not requested: every signer would refuse it",
                "依頼していません。どの署名機も拒否します",
            );
            let text = format!("{}: {head}\n{}", whose(), listed(&look.reasons, lang));
            return Ok(Asking::Stop(Report::new(Answer::No, done, text)));
        }
        let digest = digest.to_string();
        self.journal.ask(&id, &digest).or_undone(whose())?;
        let submit = Submit { payout: form, request_signature: request.pem().to_owned() };
        match self.writer.request(&submit, &attempt)? {
            Ok(accepted) if accepted.digest == digest => {
                self.journal.put(&Event::Taken { id: id.clone() }).or_undone("the journal")?;
                self.journal.taken.insert(id);
                done.taken_now = done.taken_now.saturating_add(1);
            }
            Ok(accepted) => {
                return Err(Failure::undone(format!(
                    "{}: the writer logged digest {}, want {digest}: it has another roster or policy",
                    whose(),
                    tame(&accepted.digest)
                )));
            }
            Err(refused) => done.refused.push(Not { id, customer: due.customer.clone(), refused }),
        }
        Ok(Asking::On)
    }
}

/// What names the request for one customer and asset under one root: lengths keep two names from running together.
fn attempt(root: &[u8; 32], customer: &str, asset: &str) -> Digest {
    let length = u64::try_from(customer.len()).unwrap_or(u64::MAX).to_be_bytes();
    Digest::sha256(&[KEY, root, &length, customer.as_bytes(), asset.as_bytes()])
}

impl Journal {
    /// Opens or begins it; the first run's terms hold, and only their beginning may be another's.
    fn open(path: &Path, terms: Terms) -> anyhow::Result<Self> {
        let file = File::options().read(true).append(true).create(true).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => anyhow::bail!("another run is paying from it; wait for its end"),
            Err(TryLockError::Error(error)) => return Err(error).context("cannot be locked"),
        }
        let (mut asked, mut taken, mut known) = (HashMap::new(), HashSet::new(), None);
        let mut reader = BufReader::new(&file);
        let (mut whole, mut line, mut number) = (0_u64, String::new(), 0_u64);
        while reader.read_line(&mut line)? > 0 && line.ends_with('\n') {
            number = number.saturating_add(1);
            match serde_json::from_str(&line).with_context(|| format!("line {number}"))? {
                Event::Terms(found) => known = Some(found),
                Event::Asked { id, digest } => drop(asked.insert(id, digest)),
                Event::Taken { id } => drop(taken.insert(id)),
            }
            whole = whole.saturating_add(u64::try_from(line.len())?);
            line.clear();
        }
        // A line without its end was being written when the run was killed: nothing was asked on it.
        file.set_len(whole)?;
        let begun = known.is_some();
        let kept = known.map_or(terms.clone(), |known| known);
        let same = Terms { not_before_ms: kept.not_before_ms, ..terms };
        anyhow::ensure!(same == kept, "was begun with other terms: {}, now {}", shown(&kept)?, shown(&same)?);
        let mut journal = Self { file, terms: kept, asked, taken };
        if !begun {
            let terms = Event::Terms(journal.terms.clone());
            journal.put(&terms)?;
        }
        Ok(journal)
    }

    /// Notes that a payout is about to be asked for; an error if it was asked for as another.
    fn ask(&mut self, id: &str, digest: &str) -> anyhow::Result<()> {
        match self.asked.get(id) {
            Some(before) if before == digest => Ok(()),
            Some(before) => anyhow::bail!(
                "payout {id} was asked for with digest {before}, now {digest}: address, roster or policy has changed; put it back"
            ),
            None => self.put(&Event::Asked { id: id.to_owned(), digest: digest.to_owned() }),
        }
    }

    fn put(&mut self, event: &Event) -> anyhow::Result<()> {
        let mut line = serde_json::to_string(event)?;
        line.push('\n');
        self.file.seek(SeekFrom::End(0))?;
        self.file.write_all(line.as_bytes())?;
        Ok(self.file.sync_data()?)
    }
}

fn shown(terms: &Terms) -> Result<String, serde_json::Error> {
    serde_json::to_string(terms)
}
