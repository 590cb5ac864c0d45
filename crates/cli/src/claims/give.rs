//! `kuraban claims statement` and `verify`: gives a customer the statement, and shows that one is genuine.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use kuraban_base::{Digest, TreeHash};
use kuraban_vault::Publication;
use serde::Serialize;

use super::{folder::Folder, statement::Proven, tell};
use crate::{
    fail::{Failure, OrFail as _},
    file::{self, Part},
    input,
    publish::{Logged, other},
    say::{Answer, Lang, Report, Say, tame, thousands},
};

pub(super) const HELP: &str = "\
A statement says what its customer held, at which rate it is paid, how that
was rounded and what comes of it, with the hashes that lead from it to the
root of all statements. Publish the root; whoever has a statement verifies it
with `kuraban claims verify`. --all writes everybody's, a line each.

Examples:
  kuraban claims statement --claims claims --customer c-17 --json > c-17.json
  kuraban claims statement --claims claims --customer c-17 --lang ja \\
      --html c-17.html --pdf c-17.pdf
  kuraban claims statement --claims claims --all statements.jsonl";

pub(super) const VERIFY_HELP: &str = "\
Needs the statement and the published root, or the proof of the root's entry
in the operator's log with the roster, which names the log and its witnesses.
The root that stands in the statement's own file is not believed.

Examples:
  kuraban claims verify c-17.json --root 5f1c…
  kuraban claims verify c-17.json --log-proof published.json \\
      --roster roster.toml";

/// Whose statement.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The folder that `kuraban claims compute` wrote
    #[arg(long, value_name = "DIR")]
    claims: PathBuf,
    /// The customer
    #[arg(long, value_name = "ID", required_unless_present = "all", conflicts_with = "all")]
    customer: Option<String>,
    /// Everybody's statements, one JSON document a line
    #[arg(long, value_name = "FILE", conflicts_with_all = ["html", "pdf"])]
    all: Option<PathBuf>,
    /// A page that opens without a network
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// A PDF file
    #[arg(long, value_name = "FILE")]
    pdf: Option<PathBuf>,
    /// The font for what the PDF file's standard fonts lack, such as Japanese; without it, one that is found
    #[arg(long, value_name = "FILE", requires = "pdf")]
    pdf_font: Option<PathBuf>,
}

/// What to verify.
#[derive(clap::Args)]
pub(crate) struct Verify {
    /// The statement (JSON)
    statement: PathBuf,
    /// The root that was published, in hexadecimal
    #[arg(long, value_name = "HEX", required_unless_present = "log_proof")]
    root: Option<TreeHash>,
    #[command(flatten)]
    logged: Logged,
}

#[derive(Serialize)]
struct Verified {
    ok: bool,
    customer: String,
    scheme: String,
    cash: String,
    currency: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    root: Option<String>,
    index: u64,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    logged: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scheme_sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
struct Written {
    statements: u64,
    root: String,
}

/// Runs `kuraban claims statement`.
pub(super) fn run(args: &Args, say: &Say) -> Result<Report, Failure> {
    let folder = Folder::open(&args.claims)?;
    if let Some(path) = &args.all {
        return all(&folder, path, say);
    }
    let customer = args.customer.as_deref().unwrap_or_default();
    let levels = folder.levels()?;
    let mut found = None;
    folder.each(
        |name| name == customer,
        |index, statement| {
            let inclusion = levels.inclusion(index).or_input(args.claims.display())?;
            found = Some(Proven { inclusion, statement });
            Ok(())
        },
    )?;
    let Some(proven) = found else {
        return Err(Failure::input(format!("--customer {:?}: is not among the payments", tame(customer))));
    };
    belongs(&proven, folder.head().root)?;
    if let Some(path) = &args.html {
        let page = tell::page(&proven, folder.borne_by(), say.lang()).or_undone("the page")?;
        file::write(path, page.as_bytes())?;
    }
    if let Some(path) = &args.pdf {
        tell::paper(&proven, folder.borne_by(), path, args.pdf_font.as_deref(), say)?;
    }
    let text = tell::text(&proven, folder.borne_by(), say.lang());
    Ok(Report::done(&proven, text))
}

/// A statement that is not under the folder's root was made of other tables than were hashed.
fn belongs(proven: &Proven, root: TreeHash) -> Result<(), Failure> {
    proven.verify(root).or_input(format!(
        "{}: the tables are not those that were hashed; compute the claims again",
        tame(&proven.statement.customer)
    ))
}

fn all(folder: &Folder, path: &Path, say: &Say) -> Result<Report, Failure> {
    let levels = folder.levels()?;
    let head = folder.head();
    let bar = say.progress(head.size);
    let mut out = Part::begin(path)?;
    let shown = path.display();
    let mut statements = 0_u64;
    let written = folder.each(
        |_| true,
        |index, statement| {
            let proven = Proven { inclusion: levels.inclusion(index).or_input(&shown)?, statement };
            belongs(&proven, head.root)?;
            serde_json::to_writer(&mut out, &proven).or_undone(&shown)?;
            out.write_all(b"\n").or_undone(&shown)?;
            statements = statements.saturating_add(1);
            bar.set_position(statements);
            Ok(())
        },
    );
    bar.finish_and_clear();
    written?;
    if statements != head.size {
        return Err(Failure::input(format!("payments.csv has {statements} rows, want {}", head.size)));
    }
    out.done()?;
    let text = match say.lang() {
        Lang::En => format!("{statements} statements in {}", path.display()),
        Lang::Ja => format!("通知書 {statements} 件：{}", path.display()),
    };
    Ok(Report::done(&Written { statements, root: head.root.to_string() }, text))
}

/// Runs `kuraban claims verify`.
pub(super) fn verify(args: &Verify, say: &Say) -> Result<Report, Failure> {
    let proven: Proven = input::json(&args.statement, input::FILE_MAX)?;
    let logged = args.logged.read()?;
    let is_logged = logged.is_some();
    let (root, scheme, broken) = match under(args.root, logged) {
        Ok((root, scheme, size)) => {
            let broken = proven.verify(root).err().map(|broken| broken.to_string());
            let found = proven.inclusion.size;
            let other = size.filter(|size| *size != found);
            let other = other.map(|size| format!("is one of {found} statements, the log says {size}"));
            (Some(root), scheme, broken.or(other))
        }
        Err(problem) => (args.root, None, Some(problem)),
    };
    let statement = proven.statement;
    let (customer, cash) = (tame(&statement.customer), thousands(&tame(&statement.cash)));
    let text = match (&broken, say.lang()) {
        (None, Lang::En) => format!("genuine: {customer}, {cash} {}", tame(&statement.currency)),
        (None, Lang::Ja) => format!("検証できました：{customer}、{cash} {}", tame(&statement.currency)),
        (Some(broken), lang) => format!("{}: {}", lang.pick("not genuine", "検証できません"), tame(broken)),
    };
    let verified = Verified {
        ok: broken.is_none(),
        customer: statement.customer,
        scheme: statement.scheme,
        cash: statement.cash,
        currency: statement.currency,
        root: root.map(|root| root.to_string()),
        index: proven.inclusion.index,
        size: proven.inclusion.size,
        logged: (is_logged && broken.is_none()).then_some(true),
        scheme_sha256: scheme.map(|digest| digest.to_string()),
        error: broken,
    };
    Ok(Report::new(if verified.ok { Answer::Yes } else { Answer::No }, &verified, text))
}

/// The root to verify against, and what else the log says: the scheme's digest and how many statements there are.
fn under(
    root: Option<TreeHash>,
    logged: Option<Result<Publication, String>>,
) -> Result<(TreeHash, Option<Digest>, Option<u64>), String> {
    let claims = match logged.transpose()? {
        None => return root.map(|root| (root, None, None)).ok_or_else(|| "there is no root".to_owned()),
        Some(Publication::Claims(claims)) => claims,
        Some(
            found @ (Publication::Liabilities(_)
            | Publication::Export(_)
            | Publication::Import(_)
            | Publication::Check(_)),
        ) => return Err(other(&found, "claims.published")),
    };
    let found = TreeHash::from_bytes(*claims.root.as_bytes());
    match root.filter(|want| *want != found) {
        Some(want) => Err(format!("the log has root {found}, want {want}")),
        None => Ok((found, Some(claims.scheme), Some(claims.statements))),
    }
}
