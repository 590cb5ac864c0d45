//! `kuraban reserves statement`: reserves against liabilities, asset by asset. What was not verified is called the company's
//! own words, and nothing else is.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use clap::Args as ClapArgs;
use kuraban_base::{Amount, Instant};
use kuraban_chain::{accounts, btc};
use kuraban_ledger::Assets;
use serde::{Deserialize, Deserializer, Serialize};

use super::check::{Check, Outcome, verdict};
use crate::{
    fail::Failure,
    input::{FILE_MAX, instant, json, shown_utc},
    say::{Answer, Lang, Report, Side, table, tame, thousands},
};

pub(super) const HELP: &str = "\
What `kuraban reserves verify --json` printed is taken as it is: run it
yourself. Failing checks stand in the statement as failing. Liabilities have
codes, and reserves of a token its contract's address: --token says which is
which.

Example:
  kuraban reserves verify btc-reserves.json --utxos utxos.json --json \\
      --vkey example.com/log+1a2b3c4d+AQ… > btc.json
  kuraban reserves statement --liabilities 2026-11-21/statement.json \\
      --liabilities-verified answer.json --verified btc.json
  kuraban reserves statement --liabilities 2026-11-21/statement.json \\
      --liabilities-verified answer.json --verified btc.json usdt.json \\
      --token USDT=0xdac17f958d2ee523a2206206994597c13d831ec7";

/// How far apart the dates of reserves and liabilities may be, in milliseconds.
const APART_MS_MAX: u64 = 24 * 60 * 60 * 1000;
/// Most assets in a liabilities file.
const ASSETS_MAX: usize = 10_000;
/// Decimals of a ratio, the last rounded down.
const RATIO_DECIMALS: usize = 6;

/// What to compare.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// The liabilities' root and totals: statement.json, as `kuraban liabilities build` wrote it
    #[arg(long, value_name = "FILE")]
    liabilities: PathBuf,
    /// What `kuraban liabilities verify --json` answered about that root
    #[arg(long, value_name = "FILE")]
    liabilities_verified: Option<PathBuf>,
    /// What `kuraban reserves verify --json` answered, one file per asset
    #[arg(long, num_args = 1.., value_name = "FILE")]
    verified: Vec<PathBuf>,
    /// What the liabilities call a token (ERC-20) that reserves name by its contract's address
    #[arg(long = "token", value_name = "CODE=ADDRESS", value_parser = token)]
    tokens: Vec<(String, accounts::Asset)>,
}

fn token(text: &str) -> Result<(String, accounts::Asset), String> {
    let named = |(code, address): (&str, &str)| match address.parse().ok()? {
        // Of a token that takes a coin's name the units would be counted as the coin's.
        token @ accounts::Asset::Token(_) if !code.is_empty() && Assets::default().find(code).is_none() => {
            Some((code.to_owned(), token))
        }
        accounts::Asset::Token(_) | accounts::Asset::Eth | accounts::Asset::Xrp | accounts::Asset::Xem => {
            None
        }
    };
    text.split_once('=').and_then(named).ok_or_else(|| {
        "want the liabilities' code, which no coin has, and the contract's address, such as USDT=0xdac17f958d2ee523a2206206994597c13d831ec7".to_owned()
    })
}

#[derive(Deserialize)]
struct Liabilities {
    /// Of the tree, or of the statement under a veil.
    #[serde(alias = "veil")]
    root: String,
    totals: Vec<Total>,
    #[serde(deserialize_with = "moment")]
    as_of: Instant,
    #[serde(default)]
    blocks: Vec<DatedBy>,
}

#[derive(Deserialize)]
struct Total {
    asset: String,
    #[serde(deserialize_with = "units")]
    units: u128,
    /// The same in whole coins, as the tree's decimals have it.
    #[serde(default)]
    amount: Option<String>,
}

#[derive(Deserialize)]
struct DatedBy {
    hash: String,
}

impl DatedBy {
    /// Whether both name one block: chains differ in how they write a hash.
    fn is(&self, other: &Self) -> bool {
        let [one, other] = [&self.hash, &other.hash].map(|hash| hash.strip_prefix("0x").unwrap_or(hash));
        one.eq_ignore_ascii_case(other)
    }
}

/// What `kuraban liabilities verify --json` or `veil verify --json` answered: what the root binds, where it holds.
#[derive(Deserialize)]
struct Answered {
    ok: bool,
    #[serde(default, alias = "veil")]
    root: Option<String>,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    origin: Option<String>,
    #[serde(default)]
    totals: Vec<Total>,
    #[serde(default)]
    as_of_ms: Option<u64>,
    #[serde(default)]
    blocks: Vec<DatedBy>,
}

impl Answered {
    /// What speaks against the liabilities that are stated: a root says nothing of totals and dates that are not its own.
    fn against(&self, stated: &Liabilities) -> Option<String> {
        match (&self.root, self.ok) {
            (Some(root), _) if *root != stated.root => return Some("another root was verified".to_owned()),
            (_, false) => {
                return Some(self.error.clone().unwrap_or_else(|| "it was not verified".to_owned()));
            }
            (None, true) => return Some("the answer names no root".to_owned()),
            (Some(_), true) => {}
        }
        let by_asset = |totals: &[Total]| {
            let mut all: Vec<_> = totals.iter().map(|total| (total.asset.clone(), total.units)).collect();
            all.sort_unstable();
            all
        };
        if by_asset(&self.totals) != by_asset(&stated.totals) {
            return Some("under this root other totals were verified".to_owned());
        }
        let dated = |all: &[DatedBy], by: &[DatedBy]| all.iter().all(|one| by.iter().any(|two| one.is(two)));
        let same = self.as_of_ms == Some(stated.as_of.ms())
            && dated(&self.blocks, &stated.blocks)
            && dated(&stated.blocks, &self.blocks);
        (!same).then(|| "under this root another date or other blocks were verified".to_owned())
    }

    /// Whether the tree counts an asset in the base units of its chain: a tree that counts whole coins has few units for much.
    fn counts(&self, asset: &str) -> Check {
        let assets = Assets::default();
        let total = self.totals.iter().find(|total| total.asset == asset);
        let known = assets.find(asset).map(|found| assets.decimals(found));
        let Some((total, decimals)) = total.zip(known) else {
            return check("units", Outcome::NotMade, format!("decimals of {asset} are not known"));
        };
        let want = Amount::new(total.units).to_coins(decimals);
        let found = total.amount.as_deref().unwrap_or("nothing");
        let other = (found != want)
            .then(|| format!("the liabilities call {} units {found} {asset}, want {want}", total.units));
        verdict("units", other)
    }
}

/// What `kuraban reserves verify --json` answered, as far as it is set against liabilities.
#[derive(Deserialize)]
struct Reserves {
    ok: bool,
    asset: String,
    network: String,
    origin: String,
    block: DatedBy,
    at_ms: u64,
    #[serde(alias = "sum_sat", deserialize_with = "units")]
    sum_units: u128,
    checks: Vec<Check>,
}

/// One asset's line.
#[derive(Serialize)]
struct Line {
    asset: String,
    /// Where the reserves are; nothing where nothing was shown.
    network: Option<String>,
    /// The contract's address, of a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    contract: Option<String>,
    /// Base units; nothing where nothing was shown.
    reserves_units: Option<String>,
    liabilities_units: String,
    /// Reserves less liabilities; negative where they fall short.
    margin_units: Option<String>,
    /// Reserves by liabilities, rounded down; nothing where nothing is owed or shown.
    ratio: Option<String>,
    verdict: Verdict,
    checks: Vec<Check>,
    words: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Verdict {
    /// Every check holds, and there is enough.
    Covered,
    /// Every check holds, and there is too little.
    Short,
    /// A check failed or could not be made.
    NotShown,
}

impl Verdict {
    const fn shown(self, lang: Lang) -> &'static str {
        match self {
            Self::Covered => lang.pick("covered", "足りている"),
            Self::Short => lang.pick("short", "不足"),
            Self::NotShown => lang.pick("not shown", "示されていない"),
        }
    }
}

#[derive(Serialize)]
struct Statement {
    ok: bool,
    liabilities_root: String,
    as_of_ms: u64,
    assets: Vec<Line>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Runs `kuraban reserves statement`.
pub(super) fn run(args: &Args, lang: Lang) -> Result<Report, Failure> {
    let liabilities: Liabilities = json(&args.liabilities, FILE_MAX)?;
    let name = args.liabilities.display();
    if liabilities.totals.len() > ASSETS_MAX {
        return Err(Failure::input(format!("{name}: more than {ASSETS_MAX} totals")));
    }
    let mut seen = BTreeSet::new();
    if let Some(twice) = liabilities.totals.iter().find(|total| !seen.insert(&total.asset)) {
        return Err(Failure::input(format!("{name}: {} stands in the totals twice", tame(&twice.asset))));
    }
    let answered: Option<Answered> =
        args.liabilities_verified.as_ref().map(|path| json(path, FILE_MAX)).transpose()?;
    let mut reserves: BTreeMap<String, Reserves> = BTreeMap::new();
    for path in &args.verified {
        let checked: Reserves = json(path, FILE_MAX)?;
        let named = args.tokens.iter().find(|(_, token)| token.to_string() == checked.asset);
        let asset = named.map_or_else(|| checked.asset.clone(), |(code, _)| code.clone());
        if reserves.insert(asset.clone(), checked).is_some() {
            let asset = tame(&asset);
            return Err(Failure::input(format!("{}: {asset} was given before", path.display())));
        }
    }
    if let Some(asset) = reserves.keys().find(|asset| !seen.contains(asset)) {
        return Err(Failure::input(format!("{name}: it has no total for {}", tame(asset))));
    }
    let line = |total: &Total| {
        let checks = checks(&liabilities, &total.asset, answered.as_ref(), reserves.get(&total.asset));
        line(total, reserves.get(&total.asset), checks)
    };
    let assets: Vec<Line> = liabilities.totals.iter().map(line).collect();
    let short = assets.iter().find(|line| line.verdict != Verdict::Covered);
    let error = short.map(|line| format!("{} is {}", line.asset, line.verdict.shown(Lang::En)));
    let statement = Statement {
        ok: error.is_none(),
        liabilities_root: liabilities.root.clone(),
        as_of_ms: liabilities.as_of.ms(),
        assets,
        error,
    };
    let answer = if statement.ok { Answer::Yes } else { Answer::No };
    let text = text(&statement, liabilities.as_of, lang);
    Ok(Report::new(answer, &statement, text))
}

fn check(name: &str, result: Outcome, detail: impl Into<Option<String>>) -> Check {
    Check { check: name.to_owned(), result, detail: detail.into() }
}

/// Everything that has to hold for one asset.
fn checks(
    liabilities: &Liabilities,
    asset: &str,
    answered: Option<&Answered>,
    reserves: Option<&Reserves>,
) -> Vec<Check> {
    let mut all = vec![match answered {
        None => check("liabilities", Outcome::NotMade, "nobody verified the root".to_owned()),
        Some(answered) => verdict("liabilities", answered.against(liabilities)),
    }];
    let Some(reserves) = reserves else {
        all.push(check("reserves", Outcome::NotMade, "no proof was given".to_owned()));
        return all;
    };
    all.extend(reserves.checks.iter().cloned());
    // Whoever edits an answer edits its end.
    if reserves.ok == reserves.checks.iter().any(|check| check.result == Outcome::Failed) {
        all.push(check("reserves", Outcome::Failed, "its verdict contradicts its checks".to_owned()));
    }
    all.extend(answered.map(|answered| answered.counts(asset)));
    all.push(network(reserves));
    all.push(match answered.and_then(|answered| answered.origin.as_ref()) {
        None => check("same-log", Outcome::NotMade, "nobody verified whose liabilities they are".to_owned()),
        Some(origin) => {
            let other = (*origin != reserves.origin)
                .then(|| format!("the reserves are shown to the log {}, want {origin}", reserves.origin));
            verdict("same-log", other)
        }
    });
    let (one, other) = (reserves.at_ms, liabilities.as_of.ms());
    let apart_ms = one.abs_diff(other);
    let apart = (apart_ms > APART_MS_MAX)
        .then(|| format!("reserves and liabilities are {apart_ms} ms apart, at most {APART_MS_MAX}"));
    all.push(verdict("dates", apart));
    all.push(match liabilities.blocks.as_slice() {
        [] => check("same-block", Outcome::NotMade, "the liabilities name no block".to_owned()),
        blocks if blocks.iter().any(|block| block.is(&reserves.block)) => {
            check("same-block", Outcome::Verified, None)
        }
        _ => check("same-block", Outcome::Failed, "the liabilities are dated by other blocks".to_owned()),
    });
    all
}

/// Coins of a test network are nobody's reserves, however well they are shown.
fn network(reserves: &Reserves) -> Check {
    let name = &reserves.network;
    let known = name.parse().ok().map(|network: btc::Network| network.is_main());
    let known = known.or_else(|| name.parse().ok().map(|network: accounts::Network| network.is_main()));
    match known {
        Some(true) => check("network", Outcome::Verified, None),
        Some(false) => {
            let problem = format!("{name} is a test network, whose coins are worth nothing");
            check("network", Outcome::Failed, problem)
        }
        None => check("network", Outcome::Failed, format!("{} is no network that is known", tame(name))),
    }
}

fn line(total: &Total, reserves: Option<&Reserves>, checks: Vec<Check>) -> Line {
    let owed = total.units;
    let have = reserves.map(|reserves| reserves.sum_units);
    let margin = have.map(|have| match have.checked_sub(owed) {
        Some(more) => more.to_string(),
        None => format!("-{}", owed.saturating_sub(have)),
    });
    let holds = !checks.is_empty() && checks.iter().all(|check| check.result == Outcome::Verified);
    let verdict = match have {
        Some(have) if holds && have >= owed => Verdict::Covered,
        Some(_) if holds => Verdict::Short,
        Some(_) | None => Verdict::NotShown,
    };
    let (reserves_units, liabilities_units) = (have.map(|have| have.to_string()), owed.to_string());
    Line {
        words: words(&total.asset, reserves_units.as_deref(), &liabilities_units, &checks, Lang::En),
        asset: total.asset.clone(),
        network: reserves.map(|reserves| reserves.network.clone()),
        contract: reserves.map(|reserves| reserves.asset.clone()).filter(|asset| *asset != total.asset),
        reserves_units,
        liabilities_units,
        margin_units: margin,
        ratio: have.and_then(|have| ratio(have, owed)),
        verdict,
        checks,
    }
}

/// The company's own words, only where a check failed or could not be made.
fn words(asset: &str, have: Option<&str>, owed: &str, checks: &[Check], lang: Lang) -> Vec<String> {
    let asset = tame(asset);
    let open = |check: &&Check| check.result != Outcome::Verified;
    let why = |check: &Check| {
        let detail = check.detail.as_ref().map(|detail| format!(" ({})", tame(detail))).unwrap_or_default();
        let name = tame(&check.check);
        match (check.result, lang) {
            (Outcome::Failed, Lang::En) => format!("the check {name} failed{detail}"),
            (Outcome::Failed, Lang::Ja) => format!("検査 {name} は不合格です{detail}"),
            (Outcome::NotMade | Outcome::Verified, Lang::En) => {
                format!("the check {name} could not be made{detail}")
            }
            (Outcome::NotMade | Outcome::Verified, Lang::Ja) => {
                format!("検査 {name} はできませんでした{detail}")
            }
        }
    };
    let said = |check: &Check| match (check.check.as_str(), have, lang) {
        ("liabilities", _, Lang::En) => {
            format!("the company states that it owes {owed} base units of {asset}; {}", why(check))
        }
        ("liabilities", _, Lang::Ja) => {
            format!("会社の主張では {asset} の負債は {owed} 基本単位です。{}", why(check))
        }
        (_, None, Lang::En) => format!("{asset}: nothing shows reserves; {}", why(check)),
        (_, None, Lang::Ja) => format!("{asset}: 準備金を示すものがありません。{}", why(check)),
        (_, Some(have), Lang::En) => {
            format!("the company states that it holds {have} base units of {asset}; {}", why(check))
        }
        (_, Some(have), Lang::Ja) => {
            format!("会社の主張では {asset} の保有は {have} 基本単位です。{}", why(check))
        }
    };
    checks.iter().filter(open).map(said).collect()
}

/// `have / owed` in decimal, rounded down; nothing where nothing is owed.
fn ratio(have: u128, owed: u128) -> Option<String> {
    let whole = have.checked_div(owed)?;
    let mut rest = have.checked_rem(owed)?;
    let mut text = format!("{whole}.");
    for _ in 0..RATIO_DECIMALS {
        // Ten times the rest may not fit; it is then below any digit that could be shown exactly.
        let tenfold = rest.checked_mul(10)?;
        text += &tenfold.checked_div(owed)?.to_string();
        rest = tenfold.checked_rem(owed)?;
    }
    Some(text)
}

fn text(statement: &Statement, as_of: Instant, lang: Lang) -> String {
    let head = match lang {
        Lang::En => format!("Reserves against liabilities as of {}", shown_utc(as_of)),
        Lang::Ja => format!("{} 時点の準備金と負債", shown_utc(as_of)),
    };
    let titles = match lang {
        Lang::En => ["asset", "reserves", "liabilities", "margin", "ratio", "verdict"],
        Lang::Ja => ["資産", "準備金", "負債", "余裕", "比率", "判定"],
    };
    let dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let mut rows = vec![titles.map(ToOwned::to_owned)];
    rows.extend(statement.assets.iter().map(|line| {
        let coins = |units: &String| coins(&line.asset, units, lang);
        [
            tame(&line.asset),
            dash(line.reserves_units.as_ref().map(coins)),
            coins(&line.liabilities_units),
            dash(line.margin_units.as_ref().map(coins)),
            dash(line.ratio.clone()),
            line.verdict.shown(lang).to_owned(),
        ]
    }));
    let sides = [Side::Left, Side::Right, Side::Right, Side::Right, Side::Right, Side::Left];
    let own = |line: &Line| {
        words(&line.asset, line.reserves_units.as_deref(), &line.liabilities_units, &line.checks, lang)
    };
    let words: Vec<String> = statement.assets.iter().flat_map(own).collect();
    format!("{head}\n{}\n{}", table(sides, &rows), words.join("\n"))
}

/// Units for people: whole coins of assets that are well known, and base units, called so, of all others.
fn coins(asset: &str, units: &str, lang: Lang) -> String {
    let (sign, digits) = units.strip_prefix('-').map_or(("", units), |digits| ("-", digits));
    let assets = Assets::default();
    let decimals = assets.find(asset).map(|known| assets.decimals(known));
    match decimals.zip(digits.parse().ok()) {
        Some((decimals, units)) => format!("{sign}{}", thousands(&Amount::new(units).to_coins(decimals))),
        None => format!("{} {}", thousands(units), lang.pick("base units", "基本単位")),
    }
}

/// A number or a decimal string.
fn units<'de, D: Deserializer<'de>>(from: D) -> Result<u128, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Units {
        Number(u64),
        Text(String),
    }
    match Units::deserialize(from)? {
        Units::Number(units) => Ok(units.into()),
        Units::Text(text) => {
            let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let units = text.parse().ok().filter(|_| plain);
            units.ok_or_else(|| serde::de::Error::custom("units are no whole number of base units"))
        }
    }
}

/// Milliseconds since 1970, or RFC 3339.
fn moment<'de, D: Deserializer<'de>>(from: D) -> Result<Instant, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Moment {
        Ms(u64),
        Text(String),
    }
    match Moment::deserialize(from)? {
        Moment::Ms(ms) => Ok(Instant::from_ms(ms)),
        Moment::Text(text) => instant(&text).map_err(serde::de::Error::custom),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_coins_and_are_told_where_they_do_not() {
        let check = |asset, units, want| assert_eq!(coins(asset, units, Lang::En), want, "{units} {asset}");
        check("BTC", "123456789012345", "1,234,567.89012345");
        check("BTC", "-25000000", "-0.25");
        check("ETH", "2000000000000000000", "2");
        check("QASH", "-2000000", "-2,000,000 base units");
        check("BTC", "0", "0");
    }

    #[test]
    fn ratios_are_rounded_down_and_never_made_of_nothing() {
        let check =
            |have, owed, want: Option<&str>| assert_eq!(ratio(have, owed).as_deref(), want, "{have}/{owed}");
        check(100, 100, Some("1.000000"));
        check(2, 3, Some("0.666666"));
        check(1_023_400, 1_000_000, Some("1.023400"));
        check(999_999_999, 1_000_000_000, Some("0.999999"));
        check(0, 7, Some("0.000000"));
        check(7, 0, None);
        check(u128::MAX, u128::MAX, Some("1.000000"));
    }
}
