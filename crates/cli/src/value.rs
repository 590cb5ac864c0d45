//! `kuraban value`: what coins were worth, by rules over tapes of trades. Reads and prints; the rules are `kuraban-ledger`'s.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use kuraban_ledger::{
    DECIMALS_MAX,
    price::{Named, Price, Rules, Tape},
};
use serde_json::{Map, Value, json};

use crate::{
    fail::{Failure, OrFail as _},
    file,
    holdings::{Form, Need},
    input::{self, shown_utc},
    say::{Lang, Report, Say, Side, table, tame},
};

pub(crate) const HELP: &str = "\
Rules are TOML: a name, a rule (fixed, last, close, midpoint, vwap), the tape
and venue, the window with its offset from UTC, and how the result is rounded.
Tapes are CSV with time (RFC 3339 with offset), venue, price, amount, in order
of time. A window without trades or volume, a trade that is too old and a
silence longer than gap_s are refused by name; no other price takes their
place. --out writes what `kuraban claims compute --prices` reads.

Examples:
  kuraban value --rules examples/prices/coincheck-2018.toml \\
      --tape zaif=zaif-xem-jpy.csv --out prices.json
  kuraban value --rules rules.toml --tape bitbank=b.csv --json";

/// What to value by.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The price rules
    #[arg(long, value_name = "FILE")]
    rules: PathBuf,
    /// A tape by the name that rules call it; where there is one tape, rules need no name for it
    #[arg(long = "tape", value_name = "NAME=FILE", value_parser = tape)]
    tapes: Vec<(String, PathBuf)>,
    #[command(flatten)]
    form: Form,
    /// A new file for the rates
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

fn tape(text: &str) -> Result<(String, PathBuf), String> {
    let pair = text.split_once('=').filter(|(name, file)| !name.is_empty() && !file.is_empty());
    let (name, file) = pair.ok_or("want the tape's name and its file, such as zaif=trades.csv")?;
    Ok((name.to_owned(), file.into()))
}

/// Runs `kuraban value`.
pub(crate) fn run(args: &Args, say: &Say) -> Result<Report, Failure> {
    if let Some(out) = args.out.as_ref().filter(|out| out.exists()) {
        return Err(Failure::input(format!("{}: exists already; name a new file", out.display())));
    }
    let rules = Rules::parse(&input::text(&args.rules, input::FILE_MAX)?).or_input(args.rules.display())?;
    let mut tapes = BTreeMap::new();
    for (name, path) in &args.tapes {
        if tapes.insert(name.as_str(), read(path, &args.form, say)?).is_some() {
            return Err(Failure::input(format!("--tape {name}: stands twice, want it once")));
        }
    }
    let prices = rules.into_iter().map(|rule| priced(rule, &tapes)).collect::<Result<Vec<_>, _>>()?;
    let document = json!({ "prices": prices.iter().map(|(rule, price)| (rule.name.clone(), document(price))).collect::<Map<_, _>>() });
    if let Some(out) = &args.out {
        file::write(out, format!("{document}\n").as_bytes())?;
    }
    Ok(Report::done(&document, text(&prices, say.lang())))
}

fn read(path: &Path, form: &Form, say: &Say) -> Result<Tape, Failure> {
    let mut tape = Tape::default();
    form.each(
        path,
        ["time", "venue", "price", "amount"].map(Need::Must),
        say,
        |_, [time, venue, price, amount]| {
            let [time, venue, price, amount] = [time, venue, price, amount].map(Option::unwrap_or_default);
            Ok(tape.push(time, venue, price, amount)?)
        },
    )?;
    Ok(tape)
}

fn priced(rule: Named, tapes: &BTreeMap<&str, Tape>) -> Result<(Named, Price), Failure> {
    let none = Tape::default();
    let place = format!("price {:?}", tame(&rule.name));
    let tape = match (&rule.tape, tapes.len()) {
        _ if rule.rule.is_fixed() => &none,
        (Some(name), _) => tapes.get(name.as_str()).ok_or_else(|| {
            Failure::input(format!(
                "{place}: there is no tape {:?}; give it with --tape {}=FILE",
                tame(name),
                tame(name)
            ))
        })?,
        (None, 1) => tapes.values().next().unwrap_or(&none),
        (None, 0) => {
            return Err(Failure::input(format!("{place}: there is no tape; give it with --tape NAME=FILE")));
        }
        (None, count) => {
            return Err(Failure::input(format!(
                "{place}: names no tape and {count} are given; name one with tape = …"
            )));
        }
    };
    let price = rule.rule.price(tape).or_input(place)?;
    Ok((rule, price))
}

fn document(price: &Price) -> Value {
    json!({
        "rate": price.rate.to_string(),
        "trades": price.trades,
        "volume": price.volume.to_coins(DECIMALS_MAX),
        "first": price.span.map(|(first, _)| shown_utc(first)),
        "last": price.span.map(|(_, last)| shown_utc(last)),
        "longest_silence_s": price.gap_ms / 1000,
    })
}

fn text(prices: &[(Named, Price)], lang: Lang) -> String {
    let head = match lang {
        Lang::En => ["price", "rate", "trades", "volume", "longest silence"],
        Lang::Ja => ["名称", "単価", "約定数", "出来高", "最長の空白"],
    };
    let mut rows = vec![head.map(str::to_owned)];
    for (rule, price) in prices {
        let silence = if price.trades > 1 { format!("{} s", price.gap_ms / 1000) } else { "–".to_owned() };
        rows.push([
            tame(&rule.name),
            price.rate.to_string(),
            price.trades.to_string(),
            price.volume.to_coins(DECIMALS_MAX),
            silence,
        ]);
    }
    table([Side::Left, Side::Right, Side::Right, Side::Right, Side::Right], &rows)
}
