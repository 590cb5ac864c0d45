//! `kuraban loss`: a loss statement with its versions side by side. Reads and prints; the sums are `kuraban-ledger`'s.

use std::path::PathBuf;

use kuraban_base::Amount;
use kuraban_ledger::{
    Assets,
    loss::{Change, Part, Statement, Version},
};
use serde_json::{Value, json};

use crate::{
    fail::{Failure, OrFail as _},
    input,
    say::{Lang, Report, Side, table, tame, thousands},
};

pub(crate) const HELP: &str = "\
A statement is TOML with all its versions, the first one first: for each asset
the quantity, of it the customers' part, and the rate; or that the quantity is
still under investigation. Sums are computed and never stated; what changed
from one version to the next is split into what the quantity and what the rate
did.

Example:
  kuraban loss examples/losses/zaif-2018.toml";

/// What to read.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The statement
    file: PathBuf,
}

/// Runs `kuraban loss`.
pub(crate) fn run(args: &Args, lang: Lang) -> Result<Report, Failure> {
    let statement =
        Statement::parse(&input::text(&args.file, input::FILE_MAX)?).or_input(args.file.display())?;
    let versions: Vec<Value> =
        statement.versions.iter().map(|version| document(&statement, version)).collect();
    let changes: Vec<Value> = (0..statement.versions.len().saturating_sub(1))
        .map(|place| {
            let changes = statement.changes(place);
            json!(changes.iter().map(|change| changed(&statement.assets, change)).collect::<Vec<_>>())
        })
        .collect();
    let document = json!({
        "currency": statement.assets.code(statement.currency),
        "versions": versions,
        "changes": changes,
    });
    Ok(Report::done(&document, text(&statement, lang)))
}

fn units(amount: Option<Amount>) -> Value {
    amount.map_or(Value::Null, |amount| {
        amount.to_u64().map_or_else(|| json!(amount.to_string()), |units| json!(units))
    })
}

fn document(statement: &Statement, version: &Version) -> Value {
    let part = |part: &Part| {
        let coins = |amount: Option<Amount>| {
            amount.map(|amount| amount.to_coins(statement.assets.decimals(part.asset)))
        };
        json!({
            "asset": statement.assets.code(part.asset),
            "quantity": coins(part.quantity),
            "customers": coins(part.customers),
            "rate": part.rate.map(|rate| rate.to_string()),
            "amount": units(part.amount),
            "customers_amount": units(part.customers_amount),
            "under_investigation": part.quantity.is_none(),
        })
    };
    json!({
        "name": version.name,
        "at": version.at,
        "rates": version.rates,
        "assets": version.parts.iter().map(part).collect::<Vec<_>>(),
        "stated": units(version.stated),
        "total": units(Some(version.total)),
        "customers_total": units(Some(version.customers_total)),
        "under_investigation": version.open.iter().map(|asset| statement.assets.code(*asset)).collect::<Vec<_>>(),
    })
}

fn changed(assets: &Assets, change: &Change) -> Value {
    json!({
        "asset": assets.code(change.asset),
        "before": units(change.before),
        "after": units(change.after),
        "by_quantity": change.by_quantity.map(|units| units.to_string()),
    })
}

fn text(statement: &Statement, lang: Lang) -> String {
    let open = lang.pick("under investigation", "調査中");
    let money = |amount: Amount| thousands(&amount.to_coins(statement.assets.decimals(statement.currency)));
    let mut lines = Vec::new();
    for (place, version) in statement.versions.iter().enumerate() {
        let rates = version.rates.as_deref().map_or_else(String::new, |rates| format!("  ({})", tame(rates)));
        lines.push(format!("{}  {}{rates}", tame(&version.at), tame(&version.name)));
        let head = match lang {
            Lang::En => ["asset", "quantity", "customers'", "rate", "amount"],
            Lang::Ja => ["資産", "数量", "うち顧客", "単価", "金額"],
        };
        let mut rows = vec![head.map(str::to_owned)];
        for part in &version.parts {
            let coins = |amount: Amount| thousands(&amount.to_coins(statement.assets.decimals(part.asset)));
            rows.push([
                statement.assets.code(part.asset).to_owned(),
                part.quantity.map_or_else(|| open.to_owned(), coins),
                part.customers.map_or_else(|| "–".to_owned(), coins),
                part.rate.map_or_else(|| "–".to_owned(), |rate| thousands(&rate.to_string())),
                part.amount.map_or_else(|| "–".to_owned(), money),
            ]);
        }
        rows.push([
            lang.pick("total", "合計").to_owned(),
            String::new(),
            String::new(),
            String::new(),
            money(version.total),
        ]);
        lines.push(
            table([Side::Left, Side::Right, Side::Right, Side::Right, Side::Right], &rows)
                .trim_end()
                .to_owned(),
        );
        if let Some(stated) = version.stated {
            lines.push(format!(
                "  {} {}",
                lang.pick("stated without a breakdown:", "内訳なしの公表額："),
                money(stated)
            ));
        }
        for change in place.checked_sub(1).map(|before| statement.changes(before)).unwrap_or_default() {
            let shown = |amount: Option<Amount>| amount.map_or_else(|| open.to_owned(), money);
            let asset = statement.assets.code(change.asset);
            lines.push(format!("  {asset}: {} → {}", shown(change.before), shown(change.after)));
        }
    }
    lines.push(format!(
        "{} {}",
        lang.pick("Amounts in", "金額の単位："),
        statement.assets.code(statement.currency)
    ));
    lines.join("\n")
}
