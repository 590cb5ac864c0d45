//! `kuraban cluster`: which addresses one holder controls, and which transactions say so. Reads an index, decides nothing
//! itself.

use std::{num::NonZeroUsize, path::PathBuf, thread::available_parallelism};

use clap::Args as ClapArgs;
use kuraban_chain::btc::Address;
use kuraban_trace::{
    cluster::{Change, Clusters, Rules, why},
    graph::{AddressNum, Graph as _},
    index::Index,
};
use serde::Serialize;

use crate::{
    fail::{Failure, OrFail as _},
    index::opening,
    say::{Answer, Lang, Report, Say, Side, table},
};

/// Clusters that are listed where none is asked for.
const LISTED: usize = 10;
/// Addresses of one cluster that are shown to people; JSON has all.
const SHOWN: usize = 20;

pub(crate) const HELP: &str = "\
Addresses whose coins one transaction spends belong together, unless it looks
like a CoinJoin. Change is followed only by rules that you name; each is a
guess, and all that are named must agree on one output.

Examples:
  kuraban cluster --index ltc.index
  kuraban cluster --index ltc.index --of ltc1q… --json
  kuraban cluster --index ltc.index --why ltc1q… LM2W…
  kuraban cluster --index ltc.index --of ltc1q… --change fresh,optimal,uneven";

/// What to cluster, and what to say of it.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// The index, as `kuraban index build` makes it
    #[arg(long, value_name = "DIR")]
    index: PathBuf,
    /// The cluster of this address
    #[arg(long, value_name = "ADDRESS", conflicts_with = "why")]
    of: Option<String>,
    /// The shortest chain of transactions that joins two addresses by co-spending
    #[arg(long, num_args = 2, value_names = ["A", "B"], conflicts_with = "change")]
    why: Option<Vec<String>>,
    /// Follow change: what it must look like
    #[arg(long, value_delimiter = ',', value_name = "RULE", value_parser = rule)]
    change: Vec<Change>,
    /// Change joins no two clusters that both have more addresses than this
    #[arg(long, value_name = "ADDRESSES", default_value_t = Rules::default().collapse_max)]
    collapse_max: u64,
}

fn rule(text: &str) -> Result<Change, String> {
    let found = Change::ALL.into_iter().find(|rule| rule.name() == text);
    found.ok_or_else(|| format!("want one of {}", Change::ALL.map(Change::name).join(", ")))
}

#[derive(Serialize)]
struct All {
    clusters: u64,
    addresses: u64,
    change_refused: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<One>,
    #[serde(skip_serializing_if = "Option::is_none")]
    largest: Option<Vec<Large>>,
}

#[derive(Serialize)]
struct One {
    address: String,
    size: usize,
    addresses: Vec<String>,
}

#[derive(Serialize)]
struct Large {
    address: String,
    size: u64,
}

#[derive(Serialize)]
struct Why {
    path: Vec<Step>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
struct Step {
    txid: String,
    from: String,
    to: String,
}

/// Runs `kuraban cluster`.
pub(crate) fn run(args: &Args, say: &Say) -> Result<Report, Failure> {
    let index = Index::open(&args.index).map_err(opening)?;
    let rules = Rules { change: args.change.clone(), collapse_max: args.collapse_max };
    // Addresses are read before the long work, so that a mistyped one costs no time.
    let of = args.of.as_deref().map(|text| find(&index, "--of", text)).transpose()?;
    let ends = match args.why.as_deref() {
        Some([a, b]) => Some((find(&index, "--why", a)?, find(&index, "--why", b)?)),
        Some(_) | None => None,
    };
    let bar = say.progress(index.tx_count());
    let threads = available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let clusters = Clusters::of(&index, &rules, threads, &|more| bar.inc(more));
    let clusters = clusters.or_input(format!("--index {}", args.index.display()))?;
    bar.finish_and_clear();
    match ends {
        Some((from, to)) => joined(&index, &clusters, from, to, say.lang()),
        None => Ok(listed(&index, &clusters, of, say.lang())),
    }
}

/// An address of the index.
fn find(index: &Index, option: &str, text: &str) -> Result<AddressNum, Failure> {
    let address = Address::parse(index.network(), text).or_input(format!("{option} {text}"))?;
    let number = index.find_script(&address.script());
    number.ok_or_else(|| Failure::input(format!("{option} {text}: no output in this index pays it")))
}

/// An address as people write it; scripts without one in hexadecimal.
fn shown(index: &Index, address: AddressNum) -> String {
    match index.address_text(address) {
        Some(address) => address.to_string(),
        None => format!("script:{}", kuraban_base::hex::encode(index.script(address).as_bytes())),
    }
}

fn listed(index: &Index, clusters: &Clusters, of: Option<AddressNum>, lang: Lang) -> Report {
    let of = of.map(|address| {
        let addresses: Vec<String> = clusters.members(address).map(|other| shown(index, other)).collect();
        One { address: shown(index, address), size: addresses.len(), addresses }
    });
    let large = |(address, size)| Large { address: shown(index, address), size };
    let largest = of.is_none().then(|| clusters.largest(LISTED).into_iter().map(large).collect());
    let all = All {
        clusters: clusters.count(),
        addresses: clusters.addresses(),
        change_refused: clusters.refused(),
        largest,
        of,
    };
    let text = all.to_text(lang);
    Report::done(&all, text)
}

impl All {
    fn to_text(&self, lang: Lang) -> String {
        let Self { addresses, clusters, change_refused: refused, .. } = self;
        let mut text = match lang {
            Lang::En => format!("{addresses} addresses in {clusters} clusters\n"),
            Lang::Ja => format!("アドレス {addresses} 件、クラスター {clusters} 件\n"),
        };
        if *refused > 0 {
            text += &match lang {
                Lang::En => {
                    format!("{refused} times change would have joined two large clusters, and did not\n")
                }
                Lang::Ja => format!("お釣りによる大きなクラスターどうしの結合を {refused} 回見送りました\n"),
            };
        }
        if let Some(one) = &self.of {
            let One { address, size, .. } = one;
            text += &match lang {
                Lang::En => format!("\n{size} of them are one holder's with {address}:\n"),
                Lang::Ja => format!("\n{address} と同じ保有者のもの {size} 件:\n"),
            };
            text.extend(one.addresses.iter().take(SHOWN).map(|address| format!("  {address}\n")));
            let more = one.size.saturating_sub(SHOWN);
            if more > 0 {
                text += &match lang {
                    Lang::En => format!("  and {more} more; --json lists all\n"),
                    Lang::Ja => format!("  ほか {more} 件。--json ですべて表示します\n"),
                };
            }
        }
        if let Some(largest) = self.largest.as_ref().filter(|largest| !largest.is_empty()) {
            let row = |large: &Large| [large.size.to_string(), large.address.clone()];
            let rows: Vec<[String; 2]> = largest.iter().map(row).collect();
            text += lang.pick(
                "\nThe largest, by their first address:\n",
                "\n大きい順（最初のアドレスで示します）:\n",
            );
            text += &table([Side::Right, Side::Left], &rows);
        }
        text
    }
}

fn joined(
    index: &Index,
    clusters: &Clusters,
    from: AddressNum,
    to: AddressNum,
    lang: Lang,
) -> Result<Report, Failure> {
    let Some(path) = why(index, clusters, from, to).or_input("--index")? else {
        let error = "no chain of transactions that spend from both joins them".to_owned();
        let text = lang.pick(&error, "両方から支払う取引のつながりはありません").to_owned();
        return Ok(Report::new(Answer::No, &Why { path: Vec::new(), error: Some(error) }, text));
    };
    let step = |joint: &kuraban_trace::cluster::Joint| Step {
        txid: index.txid(joint.tx).to_string(),
        from: shown(index, joint.from),
        to: shown(index, joint.to),
    };
    let path: Vec<Step> = path.iter().map(step).collect();
    let mut text = match path.len() {
        0 => lang.pick("They are the same address.\n", "同じアドレスです。\n").to_owned(),
        1 => lang
            .pick("One transaction spends from both:\n", "一つの取引が両方から支払っています:\n")
            .to_owned(),
        count => match lang {
            Lang::En => format!("{count} transactions join them:\n"),
            Lang::Ja => format!("{count} 件の取引で結ばれています:\n"),
        },
    };
    for step in &path {
        text += &format!("  {}\n    {}\n    {}\n", step.txid, step.from, step.to);
    }
    Ok(Report::done(&Why { path, error: None }, text))
}
