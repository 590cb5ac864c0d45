//! `kuraban liabilities audit`. Hashes the whole tree again and compares every leaf with the books.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use kuraban_base::Instant;
use kuraban_inclusion::{Root, Scope};
use kuraban_liabilities::{Audit, Audited, Book, Found};
use serde::Serialize;

use super::{Published, owed, published, shown, store::Reader};
use crate::{
    fail::Failure,
    holdings::Whose,
    input,
    say::{Answer, Lang, Report, Say},
};

const HELP: &str = "\
The auditor gets tree.klt from the operator, holdings from the books, and the
root from the log. Every customer must stand in the tree once and with all
that the books say; nobody else may; leaves of padding must be empty; the
leaves must lead to the root. The exit status is 1 at the first that does not
hold.

Example:
  kuraban liabilities audit --dir 2026-11-21 --holdings holdings.csv \\
      --root 975ec405ac9dc9fa5ab8009d94d6a1fe31dff8a8127ea90d023104e52754e4d7";

/// What to audit.
#[derive(ClapArgs)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// The folder with tree.klt
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    #[command(flatten)]
    holdings: Whose,
    /// The published root
    #[arg(long, value_name = "R")]
    root: Root,
    /// Assets that are not known by themselves
    #[arg(long, num_args = 1.., value_parser = input::asset, value_name = "CODE=DECIMALS")]
    asset: Vec<(String, u8)>,
}

#[derive(Serialize)]
struct Said {
    ok: bool,
    /// The root that the tree does not stand for.
    #[serde(rename = "root", skip_serializing_if = "Option::is_none")]
    wanted: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    customers: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    padding: Option<u64>,
    #[serde(flatten)]
    published: Option<Published>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Runs `kuraban liabilities audit`.
pub(super) fn run(args: &Args, say: &Say) -> Result<Report, Failure> {
    let mut reader = Reader::open(&args.dir)?;
    let scope = reader.scope().clone();
    let holdings = owed::read(&args.holdings, &args.asset, Instant::from_ms(scope.as_of_ms()), say)?;
    let book = owed::book(&holdings, scope.assets())?;
    drop(holdings);
    Ok(match audited(&mut reader, &scope, &book, args.root, say)? {
        Ok(audited) => yes(&scope, args.root, &audited, say.lang()),
        Err(found) => no(&found, args.root, say.lang()),
    })
}

fn audited(
    reader: &mut Reader,
    scope: &Scope,
    book: &Book,
    root: Root,
    say: &Say,
) -> Result<Result<Audited, Found>, Failure> {
    let mut audit = match Audit::new(scope, book) {
        Ok(audit) => audit,
        Err(found) => return Ok(Err(found)),
    };
    let bar = say.progress(u64::try_from(reader.left()).unwrap_or(u64::MAX));
    while let Some(bytes) = reader.bough()? {
        if let Err(found) = audit.bough(&bytes) {
            return Ok(Err(found));
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(audit.end(root))
}

fn no(found: &Found, root: Root, lang: Lang) -> Report {
    let text = format!("{}: {found}", lang.pick("not in order", "不備があります"));
    let error = Some(found.to_string());
    let wanted = Some(root.to_string());
    let said = Said { ok: false, wanted, customers: None, padding: None, published: None, error };
    Report::new(Answer::No, &said, text)
}

fn yes(scope: &Scope, root: Root, audited: &Audited, lang: Lang) -> Report {
    let published = published(scope, root, &audited.totals);
    let (customers, padding, totals) = (audited.customers, audited.padding, shown(&published.totals));
    let text = match lang {
        Lang::En => format!(
            "in order: {customers} customers, each once and with all that the holdings say, {padding} empty leaves\n{totals}"
        ),
        Lang::Ja => format!(
            "不備はありません: 顧客 {customers} 人が一度ずつ全額で数えられ、埋め草の葉 {padding} 枚は空です\n{totals}"
        ),
    };
    let said = Said {
        ok: true,
        wanted: None,
        customers: Some(customers),
        padding: Some(padding),
        published: Some(published),
        error: None,
    };
    Report::done(&said, text)
}
