//! `kuraban funding`: needs against sources by date. Reads a plan and shows what it comes to; the arithmetic is `kuraban-ledger`'s.

use std::path::PathBuf;

use kuraban_base::Amount;
use kuraban_ledger::funding::{Case, Day, Funding, Move, Plan, Standing, fund};
use serde_json::{Value, json};

use crate::{
    fail::{Failure, OrFail as _},
    input,
    say::{Answer, Lang, Report, Say, Side, table, tame, thousands},
};

pub(crate) const HELP: &str = "\
The plan is TOML: [[source]] and [[need]] with date, what and amount, [[buy]]
with asset, quantity and rate and its [[buy.tranche]] with date, quantity and,
where a rate is agreed, agreed; sensitivity is a list of shares by which the
rates that are not agreed are moved down and up.
Exit status 1 if money is missing on some day at the rates of the plan.

Example:
  kuraban funding examples/funding/dmm-2024.toml";

/// What to compute.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The plan
    #[arg(value_name = "FILE")]
    plan: PathBuf,
}

/// Runs `kuraban funding`.
pub(crate) fn run(args: &Args, say: &Say) -> Result<Report, Failure> {
    let text = input::text(&args.plan, input::FILE_MAX)?;
    let plan = Plan::parse(&text).or_input(args.plan.display())?;
    let beyond = || Failure::input(format!("{}: its sums are beyond what is counted", args.plan.display()));
    let funding = fund(&plan).ok_or_else(beyond)?;
    let short = funding.cases.first().is_some_and(|case| case.worst.is_some());
    let answer = if short { Answer::No } else { Answer::Yes };
    Ok(Report::new(answer, &document(&plan, &funding), shown(&plan, &funding, say.lang())))
}

fn document(plan: &Plan, funding: &Funding) -> Value {
    let day = |day: &Day| {
        json!({
            "date": day.date.to_string(),
            "sources": day.sources.to_string(),
            "needs": day.needs.to_string(),
            "left": left(day.standing).to_string(),
            "short": day.standing.short().to_string(),
        })
    };
    let case = |case: &Case| {
        let costs = plan.buys.iter().zip(&case.costs).map(|(buy, cost)| {
            let (code, decimals) = (plan.assets.code(buy.asset), plan.assets.decimals(buy.asset));
            json!({ "asset": code, "quantity": buy.quantity.to_coins(decimals), "cost": cost.to_string() })
        });
        json!({
            "rates": moved(case.moved),
            "buys": costs.collect::<Vec<_>>(),
            "sources": case.sources.to_string(),
            "needs": case.needs.to_string(),
            "left": left(case.standing).to_string(),
            "short": case.standing.short().to_string(),
            "worst": case.worst.as_ref().map(day),
            "days": case.days.iter().map(day).collect::<Vec<_>>(),
        })
    };
    json!({
        "plan": plan.name,
        "currency": plan.assets.code(plan.currency),
        "decimals": plan.assets.decimals(plan.currency),
        "bearable_rate": funding.bearable.map(|rate| rate.to_string()),
        "cases": funding.cases.iter().map(case).collect::<Vec<_>>(),
    })
}

const fn left(standing: Standing) -> Amount {
    match standing {
        Standing::Left(left) => left,
        Standing::Short(_) => Amount::ZERO,
    }
}

/// By which share rates are moved, with its sign.
fn moved(by: Move) -> String {
    match by {
        Move::None => "0".to_owned(),
        Move::Down(share) => format!("-{share}"),
        Move::Up(share) => format!("+{share}"),
    }
}

fn shown(plan: &Plan, funding: &Funding, lang: Lang) -> String {
    let money = |amount: Amount| thousands(&amount.to_coins(plan.assets.decimals(plan.currency)));
    let standing = |standing: Standing| match standing {
        Standing::Left(left) => money(left),
        Standing::Short(short) => format!("-{}", money(short)),
    };
    let mut lines = vec![format!("{} ({})", tame(&plan.name), plan.assets.code(plan.currency))];
    if let Some(base) = funding.cases.first() {
        let head = match lang {
            Lang::En => ["date", "sources", "needs", "left"],
            Lang::Ja => ["日付", "調達", "所要", "残り"],
        };
        let mut rows = vec![head.map(str::to_owned)];
        rows.extend(
            base.days.iter().map(|day| {
                [day.date.to_string(), money(day.sources), money(day.needs), standing(day.standing)]
            }),
        );
        let all = lang.pick("all", "合計").to_owned();
        rows.push([all, money(base.sources), money(base.needs), standing(base.standing)]);
        lines.push(table([Side::Left, Side::Right, Side::Right, Side::Right], &rows));
    }
    let head = match lang {
        Lang::En => ["rates", "needs", "left", "most missing", "on"],
        Lang::Ja => ["単価", "所要", "残り", "最大不足", "日付"],
    };
    let mut rows = vec![head.map(str::to_owned)];
    for case in &funding.cases {
        let worst = case.worst.map(|day| (money(day.standing.short()), day.date.to_string()));
        let (missing, on) = worst.unwrap_or_else(|| ("–".to_owned(), "–".to_owned()));
        rows.push([moved(case.moved), money(case.needs), standing(case.standing), missing, on]);
    }
    lines.push(table([Side::Left, Side::Right, Side::Right, Side::Right, Side::Left], &rows));
    if let Some(rate) = funding.bearable {
        let rate = thousands(&rate.to_string());
        lines.push(match lang {
            Lang::En => format!("The sources pay for coins at up to {rate} each."),
            Lang::Ja => format!("この調達額で払える単価は {rate} まで。"),
        });
    }
    lines.join("\n")
}
