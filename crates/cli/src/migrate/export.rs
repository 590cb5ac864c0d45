//! `kuraban migrate export`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use kuraban_base::Digest;
use kuraban_ledger::{
    Assets,
    handover::{
        Account, Address, CASE_BYTES_MAX, CHUNKS_MAX, Case, Chunk, ChunkLine, Consent, ExportId, Fold,
        Manifest, Packer, Row, Salt, none_of,
    },
    holdings::Holdings,
};
use serde_json::json;

use super::{
    Known, Stop, folder,
    plan::file::{Batch, Plan},
    totals_json, totals_text,
};
use crate::{
    fail::{Failure, OrFail as _},
    file::Fresh,
    holdings::{self, Form, Need},
    input,
    key::Key,
    say::{Lang, Report, Say, tame},
};

pub(crate) const HELP: &str = "\
Writes a folder of chunks, each encrypted to the receiver (age) and signed
with your SSH key, and a signed manifest with totals and roots. The line
\"manifest\" is the digest of all of it: put it into the log. Nothing is
there before everything is accepted.

Examples:
  kuraban migrate export --holdings holders.parquet --to age1… \\
      --key ~/.ssh/handover --out handover
  kuraban migrate export --holdings holders.csv --addresses addresses.csv \\
      --consents consents.csv --cases cases --to age1… \\
      --key ~/.ssh/handover --out handover --json

Exit status: 0 written, 2 bad usage or input, 3 could not be done.";

/// What to hand over.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    holdings: holdings::Held,
    #[command(flatten)]
    known: Known,
    /// Whose address is whose: CSV with customer, chain, address
    #[arg(long, value_name = "FILE")]
    addresses: Option<PathBuf>,
    /// What customers agreed to: CSV with customer, what, when (RFC 3339)
    #[arg(long, value_name = "FILE")]
    consents: Option<PathBuf>,
    /// A folder of open cases, a JSON file each
    #[arg(long, value_name = "DIR")]
    cases: Option<PathBuf>,
    /// A cut-over plan: only customers of the batch are handed over
    #[arg(long, value_name = "P.toml", requires = "batch")]
    plan: Option<PathBuf>,
    /// Which batch of the plan
    #[arg(long, value_enum, requires = "plan")]
    batch: Option<Batch>,
    /// Your SSH private key (Ed25519), which signs
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The receiver's age recipient, age1…
    #[arg(long, value_name = "RECIPIENT")]
    to: age::x25519::Recipient,
    /// A folder that does not exist yet, for the hand-over
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Runs `kuraban migrate export`.
pub(super) fn run(args: &Args, say: &Say) -> Result<Report, Stop> {
    if args.out.exists() {
        return Err(
            Failure::input(format!("{}: exists already; name a new folder", args.out.display())).into()
        );
    }
    let key = Key::read(&args.key, say)?;
    let assets = args.known.assets()?;
    let holdings = args.holdings.read(&assets, say)?;
    let form = args.holdings.form();
    let plan = args.plan.as_deref().map(Plan::read).transpose()?;
    let chosen = Chosen { holdings: &holdings, batch: plan.as_ref().zip(args.batch) };
    let mut rows =
        args.addresses.as_deref().map_or(Ok(Vec::new()), |path| addresses(path, form, &chosen, say))?;
    rows.extend(args.consents.as_deref().map_or(Ok(Vec::new()), |path| consents(path, form, &chosen, say))?);
    rows.extend(args.cases.as_deref().map_or(Ok(Vec::new()), cases)?);
    let manifest = write(args, &assets, &chosen, rows, &key, say)?;
    Ok(report(&manifest, &args.out, say.lang()))
}

/// The customers that are handed over.
struct Chosen<'a> {
    holdings: &'a Holdings,
    /// Of these holdings only the plan's batch.
    batch: Option<(&'a Plan, Batch)>,
}

impl Chosen<'_> {
    fn has(&self, place: usize) -> bool {
        self.batch.is_none_or(|(plan, batch)| plan.has(batch, self.holdings, place))
    }

    fn places(&self) -> impl Iterator<Item = usize> {
        (0..self.holdings.customers()).filter(|place| self.has(*place))
    }

    /// Whether a customer is handed over; an error if there is no such customer at all.
    fn knows(&self, customer: &str) -> anyhow::Result<bool> {
        let found = self.holdings.find(customer).map(|place| self.has(place));
        found.with_context(|| format!("customer: {:?} is not among the holdings", tame(customer)))
    }
}

fn write(
    args: &Args,
    assets: &Assets,
    chosen: &Chosen<'_>,
    rows: Vec<Row>,
    key: &Key,
    say: &Say,
) -> Result<Manifest, Failure> {
    let (mut id, mut salt) = ([0; 16], [0; 32]);
    getrandom::getrandom(&mut id).and_then(|()| getrandom::getrandom(&mut salt)).or_undone("randomness")?;
    let (export, salt) = (ExportId(id), Salt(salt));
    let fresh = Fresh::begin(&args.out, &[folder::CHUNKS])?;
    let totals = none_of(assets);
    let mut out = Out { folder: fresh.path(), to: &args.to, key, lines: Vec::new() };
    let (mut fold, mut packer) = (Fold::new(salt, &totals), Packer::new(export, salt));
    let bar = say.progress(u64::try_from(chosen.places().count()).unwrap_or_default());
    let accounts = chosen.places().map(|place| Account::of(chosen.holdings, place).map(Row::Account));
    for row in accounts.chain(rows.into_iter().map(Ok)) {
        let row = row.and_then(Row::checked).or_input("the hand-over")?;
        fold.take(&row).or_input("the hand-over")?;
        if let Some(chunk) = packer.push(row) {
            out.chunk(&chunk)?;
        }
        bar.inc(1);
    }
    if let Some(chunk) = packer.take() {
        out.chunk(&chunk)?;
    }
    bar.finish_and_clear();
    let to = args.to.to_string();
    let manifest = Manifest { export, at: input::now()?, to, sum: fold.end(), chunks: out.lines };
    folder::write_signed(&fresh.path().join(folder::MANIFEST), &manifest.encode(), key)?;
    fresh.done()?;
    Ok(manifest)
}

/// The chunks that are written.
struct Out<'a> {
    folder: &'a Path,
    to: &'a age::x25519::Recipient,
    key: &'a Key,
    lines: Vec<ChunkLine>,
}

impl Out<'_> {
    fn chunk(&mut self, chunk: &Chunk) -> Result<(), Failure> {
        if self.lines.len() >= CHUNKS_MAX {
            return Err(Failure::input(format!(
                "the hand-over has more than {CHUNKS_MAX} chunks; hand over fewer customers"
            )));
        }
        let bytes = age::encrypt(self.to, &chunk.encode()).or_undone("encrypting")?;
        let path = self.folder.join(folder::CHUNKS).join(folder::chunk_name(chunk.number));
        folder::write_signed(&path, &bytes, self.key)?;
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let (rows, length) = (count(chunk.rows.len()), count(bytes.len()));
        self.lines.push(ChunkLine { kind: chunk.kind, rows, length, hash: Digest::sha256(&[&bytes]) });
        Ok(())
    }
}

fn addresses(path: &Path, form: &Form, chosen: &Chosen<'_>, say: &Say) -> Result<Vec<Row>, Failure> {
    let names = ["customer", "chain", "address"];
    let mut rows = Vec::new();
    form.only(&names).each(path, names.map(Need::Must), say, |line, fields| {
        let [customer, chain, address] = fields.map(|field| field.unwrap_or_default().to_owned());
        if chosen.knows(&customer)? {
            rows.push((line, Row::Address(Address { customer, chain, address }).checked()?));
        }
        Ok(())
    })?;
    sorted(path, rows)
}

fn consents(path: &Path, form: &Form, chosen: &Chosen<'_>, say: &Say) -> Result<Vec<Row>, Failure> {
    let names = ["customer", "what", "when"];
    let mut rows = Vec::new();
    form.only(&names).each(path, names.map(Need::Must), say, |line, fields| {
        let [customer, what, when] = fields.map(|field| field.unwrap_or_default().to_owned());
        let when = input::instant(&when).map_err(|problem| anyhow::anyhow!("when: {problem}"))?;
        if chosen.knows(&customer)? {
            rows.push((line, Row::Consent(Consent { customer, what, when }).checked()?));
        }
        Ok(())
    })?;
    sorted(path, rows)
}

/// The rows in the order of hand-overs, each once.
fn sorted(path: &Path, mut rows: Vec<(u64, Row)>) -> Result<Vec<Row>, Failure> {
    rows.sort_by_cached_key(|(line, row)| (row.key(), *line));
    for ((earlier, first), (line, second)) in rows.iter().zip(rows.iter().skip(1)) {
        if first.key() == second.key() {
            return Err(Failure::input(format!(
                "{}: line {line}: stands in line {earlier} already; remove one",
                path.display()
            )));
        }
    }
    Ok(rows.into_iter().map(|(_, row)| row).collect())
}

fn cases(path: &Path) -> Result<Vec<Row>, Failure> {
    let mut rows = Vec::new();
    for entry in fs::read_dir(path).or_input(path.display())? {
        let entry = entry.or_input(path.display())?;
        let file = entry.path();
        let bytes = input::bytes(&file, CASE_BYTES_MAX)?;
        serde_json::from_slice::<&serde_json::value::RawValue>(&bytes).or_input(file.display())?;
        let name = entry.file_name().to_string_lossy().into_owned();
        rows.push((0, Row::Case(Case { name, bytes }).checked().or_input(file.display())?));
    }
    sorted(path, rows)
}

fn report(manifest: &Manifest, out: &Path, lang: Lang) -> Report {
    let [accounts, addresses, consents, cases] = manifest.sum.rows;
    let (digest, root) = (manifest.digest().to_string(), manifest.sum.accounts_root.to_string());
    let document = json!({
        "export": manifest.export.to_string(),
        "manifest": digest,
        "root": manifest.chunks_root().to_string(),
        "accounts_root": root,
        "to": manifest.to,
        "chunks": manifest.chunks.len(),
        "accounts": accounts,
        "addresses": addresses,
        "consents": consents,
        "cases": cases,
        "assets": totals_json(&manifest.sum.totals),
    });
    let chunks = manifest.chunks.len();
    let head = match lang {
        Lang::En => format!(
            "handed over: {accounts} accounts, {addresses} addresses, {consents} consents, {cases} cases, {chunks} chunks"
        ),
        Lang::Ja => format!(
            "引継ぎ：口座 {accounts}、アドレス {addresses}、同意 {consents}、事案 {cases}、分割 {chunks}"
        ),
    };
    let totals = totals_text(&manifest.sum.totals);
    let (chunks, written) = (manifest.chunks_root(), lang.pick("written to", "出力先"));
    Report::done(
        &document,
        format!(
            "{head}\n{totals}manifest {digest}\nroot {chunks}\naccounts root {root}\n{written}: {}",
            out.display()
        ),
    )
}
