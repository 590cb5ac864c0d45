//! `kuraban migrate verify`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use kuraban_base::{Amount, Digest};
use kuraban_ledger::{
    handover::{Difference, HandoverError, Manifest, Receipt, Totals, conserved, none_of},
    holdings::Holdings,
    units,
};
use kuraban_vault::{
    Publication,
    publication::{Export, Import},
};
use serde_json::{Value, json};
use ssh_key::PublicKey;

use super::{Known, OrRefuse as _, Stop, folder, import, of_totals, totals_json, totals_text};
use crate::{
    claims::units_json,
    fail::Failure,
    holdings::{Form, Held, Need},
    publish::{self, Logged},
    say::{Answer, Report, Say},
};

pub(crate) const HELP: &str = "\
Without decrypting: verifies the manifest and every chunk. With the receiver's
folder also its receipt and tables, and the proof that nothing was lost: what
the receiver's books hold and the signed differences together have the totals
and the root of accounts of the export. With proofs from the logs also that
the sender published this hand-over and the receiver this receipt.

Examples:
  kuraban migrate verify handover --from sender.pub
  kuraban migrate verify handover --from sender.pub \\
      --import taken-over --to receiver.pub --json
  kuraban migrate verify handover --from sender.pub \\
      --import taken-over --to receiver.pub \\
      --log-proof sent.json --roster sender.toml \\
      --import-log-proof taken.json --import-roster receiver.toml

Exit status: 0 verified, 1 not verified, 2 bad usage or input,
3 could not be done.";

/// Longest receipt: a line for each table and case.
const RECEIPT_MAX: usize = 64 << 20;

/// What to verify.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    folders: Folders,
    #[command(flatten)]
    sent: Logged,
    /// A file that shows the receipt's entry in the receiver's log
    #[arg(long, value_name = "F", requires_all = ["import_roster", "import"])]
    import_log_proof: Option<PathBuf>,
    /// The receiver's roster (TOML)
    #[arg(long, value_name = "R.toml", requires = "import_log_proof")]
    import_roster: Option<PathBuf>,
}

/// The folders of both sides, and whose they are.
#[derive(clap::Args)]
pub(super) struct Folders {
    /// The folder of the hand-over
    #[arg(value_name = "DIR")]
    export: PathBuf,
    /// The sender's SSH public key
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// The folder that the receiver's import wrote
    #[arg(long, value_name = "DIR", requires = "to")]
    import: Option<PathBuf>,
    /// The receiver's SSH public key, which signed the receipt
    #[arg(long, value_name = "FILE", requires = "import")]
    to: Option<PathBuf>,
    #[command(flatten)]
    known: Known,
}

/// What the folders show.
pub(super) struct Found {
    pub(super) manifest: Manifest,
    /// The receipt, and what is conserved; where the receiver's folder was given.
    pub(super) import: Option<(Receipt, Value)>,
}

/// The same as whoever has read the keys gives it.
pub(super) struct Pair<'a> {
    pub(super) export: &'a Path,
    pub(super) from: &'a PublicKey,
    /// The receiver's folder and key.
    pub(super) import: Option<(&'a Path, &'a PublicKey)>,
}

impl Folders {
    /// Verifies everything that is signed, and that nothing was lost.
    pub(super) fn verified(&self, say: &Say) -> Result<Found, Stop> {
        let from = folder::public_key(&self.from)?;
        let to = self.to.as_deref().map(folder::public_key).transpose()?;
        let import = self.import.as_deref().zip(to.as_ref());
        Pair { export: &self.export, from: &from, import }.verified(&self.known, say)
    }
}

impl Pair<'_> {
    /// Verifies everything that is signed, and that nothing was lost.
    pub(super) fn verified(&self, known: &Known, say: &Say) -> Result<Found, Stop> {
        let manifest = folder::manifest(self.export, self.from)?;
        let bar = say.progress(u64::try_from(manifest.chunks.len()).unwrap_or_default());
        for (number, line) in (0_u64..).zip(&manifest.chunks) {
            folder::chunk(self.export, number, line, self.from)?;
            bar.inc(1);
        }
        bar.finish_and_clear();
        let import =
            self.import.map(|(import, to)| conservation(&manifest, import, to, known, say)).transpose()?;
        Ok(Found { manifest, import })
    }
}

/// Runs `kuraban migrate verify`.
pub(super) fn run(args: &Args, say: &Say) -> Result<Report, Stop> {
    let Found { manifest, import } = args.folders.verified(say)?;
    let mut document = json!({
        "ok": true,
        "export": manifest.export.to_string(),
        "manifest": manifest.digest().to_string(),
        "root": manifest.chunks_root().to_string(),
        "accounts_root": manifest.sum.accounts_root.to_string(),
        "chunks": manifest.chunks.len(),
        "assets": totals_json(&manifest.sum.totals),
    });
    let lang = say.lang();
    let (digest, totals) = (manifest.digest(), totals_text(&manifest.sum.totals));
    let mut text = format!(
        "{}\n{totals}manifest {digest}",
        lang.pick("the hand-over is whole", "引継ぎデータに欠損なし")
    );
    let logged = args.logged(&manifest, import.as_ref().map(|(receipt, _)| receipt))?;
    if let Value::Object(all) = &mut document {
        if let Some((receipt, Value::Object(more))) = import {
            all.insert("receipt".to_owned(), Digest::sha256(&[&receipt.encode()]).to_string().into());
            all.extend(more);
            text.push('\n');
            text.push_str(lang.pick(
                "nothing was lost: the receiver's books and the differences are what was handed over",
                "保存を確認：受入側の帳簿と相違の合計は引継ぎ内容と一致",
            ));
        }
        for (whose, name, ja) in logged {
            all.insert(whose.to_owned(), true.into());
            text.push('\n');
            text.push_str(lang.pick(name, ja));
        }
    }
    Ok(Report::new(Answer::Yes, &document, text))
}

/// A field of the answer, and words in both languages.
type Said = (&'static str, &'static str, &'static str);

impl Args {
    /// Which logs have it; refused where a proof was given and shows something else.
    fn logged(&self, manifest: &Manifest, receipt: Option<&Receipt>) -> Result<Vec<Said>, Stop> {
        let mut said = Vec::new();
        if let Some(shown) = self.sent.read()? {
            let want = Publication::Export(Export { export: manifest.export.0, manifest: manifest.digest() });
            let place = "the sender's log";
            let found = shown.or_refuse(place)?;
            if found != want {
                return Err(refused(place, &found, &want));
            }
            said.push(("logged", "it stands in the sender's log", "引渡側のログに記録あり"));
        }
        if let (Some(proof), Some(of), Some(receipt)) = (&self.import_log_proof, &self.import_roster, receipt)
        {
            let place = "the receiver's log";
            let found = publish::shown(proof, &publish::roster(of)?)?.or_refuse(place)?;
            // Which earlier receipt it takes the place of is the receiver's own business.
            let replaces = if let Publication::Import(found) = &found { found.replaces } else { None };
            let (manifest, receipt) = (manifest.digest(), Digest::sha256(&[&receipt.encode()]));
            let want = Publication::Import(Import { manifest, receipt, replaces });
            if found != want {
                return Err(refused(place, &found, &want));
            }
            let words = ("its receipt stands in the receiver's log", "受入側のログに受領書の記録あり");
            said.push(("import_logged", words.0, words.1));
        }
        Ok(said)
    }
}

fn refused(place: &str, found: &Publication, want: &Publication) -> Stop {
    Stop::Refused(format!("{place}: says {} {found}, want {} {want}", found.kind(), want.kind()))
}

/// Reads an import's receipt, and verifies it and every file that it names.
pub(super) fn receipt(import: &Path, to: &PublicKey) -> Result<Receipt, Stop> {
    let path = import.join(folder::RECEIPT);
    let bytes = folder::read(&path, RECEIPT_MAX)?;
    folder::signed(&path, &bytes, to)?;
    let receipt = Receipt::decode(&bytes).or_refuse(path.display())?;
    let names: Vec<&str> = receipt.files.iter().map(|file| file.name.as_str()).collect();
    let needed = import::TABLES.into_iter().filter(|name| receipt.compared || *name != import::BOOKED);
    if let Some(missing) = needed.into_iter().find(|name| !names.contains(name)) {
        return Err(Stop::Refused(format!("{}: does not name {missing}", path.display())));
    }
    for want in &receipt.files {
        let case = want.name.strip_prefix(import::CASES).and_then(|name| name.strip_prefix('/'));
        if !import::TABLES.contains(&want.name.as_str()) && case.is_none_or(|name| name.contains(['/', '\\']))
        {
            return Err(Stop::Refused(format!(
                "{}: names {:?}, no table and no case",
                path.display(),
                want.name
            )));
        }
        let place = import.join(&want.name);
        let found = folder::file_line(import, &want.name).or_refuse(import.display())?;
        if found.length != want.length {
            let (found, want) = (found.length, want.length);
            return Err(Stop::Refused(format!(
                "{}: has {found} bytes, the receipt says {want}",
                place.display()
            )));
        }
        if found.hash != want.hash {
            let (found, want) = (found.hash, want.hash);
            return Err(Stop::Refused(format!(
                "{}: its SHA-256 is {found}, the receipt says {want}",
                place.display()
            )));
        }
    }
    Ok(receipt)
}

fn conservation(
    manifest: &Manifest,
    import: &Path,
    to: &PublicKey,
    known: &Known,
    say: &Say,
) -> Result<(Receipt, Value), Stop> {
    let receipt = receipt(import, to)?;
    let place = import.display();
    if receipt.manifest != manifest.digest() {
        let (found, want) = (receipt.manifest, manifest.digest());
        return Err(Stop::Refused(format!("{place}: answers the manifest {found}, want {want}")));
    }
    let assets = of_totals(&manifest.sum.totals, known)?;
    let read = |name: &str| Held::of(import.join(name), Form::own()).read(&assets, say);
    let received = read("balances.csv")?;
    let accounts = accounts(import, say)?;
    let totals = none_of(&assets);
    let differences = differences(import, say)?;
    let changed = u64::try_from(differences.len()).unwrap_or(u64::MAX);
    if changed != receipt.differences {
        let want = receipt.differences;
        return Err(Stop::Refused(format!(
            "{place}: differences.csv has {changed} rows, the receipt says {want}"
        )));
    }
    let (more, less) = moved(&differences).or_refuse(&place)?;
    let whole = |books: &Holdings, changes| {
        let found = conserved(receipt.salt, &totals, &accounts, books, changes).or_refuse(&place)?;
        let (root, want) = (found.accounts_root, manifest.sum.accounts_root);
        if root != want {
            return Err(Stop::Refused(format!(
                "{place}: leads to the root of accounts {root}, the export has {want}"
            )));
        }
        Ok(())
    };
    whole(&received, Vec::new())?;
    let booked = if receipt.compared {
        let booked = read("booked.csv")?;
        whole(&booked, differences)?;
        booked
    } else {
        received
    };
    let rows =
        balance(manifest, &sums(&booked, &totals).or_refuse(&place)?, &more, &less).or_refuse(&place)?;
    let proof = json!({ "compared": receipt.compared, "differences": changed, "conservation": rows });
    Ok((receipt, proof))
}

type Units = BTreeMap<String, Amount>;

fn add(to: &mut Units, asset: &str, units: Amount) -> Result<(), HandoverError> {
    let sum = to.entry(asset.to_owned()).or_default();
    *sum = sum.plus(units).ok_or_else(|| HandoverError::Overflow { asset: asset.to_owned() })?;
    Ok(())
}

/// What the differences add and take away, by asset.
fn moved(differences: &[Difference]) -> Result<(Units, Units), HandoverError> {
    let (mut more, mut less) = (Units::new(), Units::new());
    for one in differences {
        add(&mut more, &one.asset, one.received.less(one.booked).unwrap_or_default())?;
        add(&mut less, &one.asset, one.booked.less(one.received).unwrap_or_default())?;
    }
    Ok((more, less))
}

fn sums(books: &Holdings, totals: &Totals) -> Result<Units, HandoverError> {
    let mut sums: Units = totals.keys().map(|code| (code.clone(), Amount::ZERO)).collect();
    for row in books.iter() {
        add(&mut sums, books.assets().code(row.asset), row.units)?;
    }
    Ok(sums)
}

/// By asset: exported = booked + more − less.
fn balance(
    manifest: &Manifest,
    booked: &Units,
    more: &Units,
    less: &Units,
) -> Result<Vec<Value>, HandoverError> {
    let mut rows = Vec::new();
    for (code, booked) in booked {
        let of = |units: &Units| units.get(code).copied().unwrap_or_default();
        let exported = manifest.sum.totals.get(code).map_or(Amount::ZERO, |(_, units)| *units);
        let settled = booked.plus(of(more)).and_then(|sum| sum.less(of(less)));
        if settled != Some(exported) {
            let found = settled.map_or("beyond what an amount holds".to_owned(), |units| units.to_string());
            let what = format!("the total of {code} in books and differences");
            return Err(HandoverError::Differs { what, found, want: exported.to_string() });
        }
        if [exported, *booked, of(more), of(less)].iter().any(|units| *units > Amount::ZERO) {
            rows.push(json!({
                "asset": code,
                "exported_units": units_json(code, exported),
                "booked_units": units_json(code, *booked),
                "more_units": units_json(code, of(more)),
                "less_units": units_json(code, of(less)),
            }));
        }
    }
    Ok(rows)
}

fn accounts(import: &Path, say: &Say) -> Result<Vec<(String, String)>, Failure> {
    let mut accounts = Vec::new();
    let columns = ["customer", "group"].map(Need::Must);
    Form::own().each(&import.join("accounts.csv"), columns, say, |_, fields| {
        let [customer, group] = fields.map(|field| field.unwrap_or_default().to_owned());
        accounts.push((customer, group));
        Ok(())
    })?;
    Ok(accounts)
}

fn differences(import: &Path, say: &Say) -> Result<Vec<Difference>, Failure> {
    let mut differences = Vec::new();
    let columns = ["customer", "asset", "received", "booked", "difference"].map(Need::Must);
    Form::own().each(&import.join("differences.csv"), columns, say, |_, fields| {
        let [customer, asset, received, booked, signed] = fields.map(Option::unwrap_or_default);
        let (received, booked) = (units(received, 0)?, units(booked, 0)?);
        let one = Difference { customer: customer.to_owned(), asset: asset.to_owned(), received, booked };
        anyhow::ensure!(one.signed() == signed, "difference: {signed:?}, want {}", one.signed());
        differences.push(one);
        Ok(())
    })?;
    Ok(differences)
}
