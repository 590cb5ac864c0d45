//! How a trace is told to people, in English and Japanese.
//!
//! Decides words and what is shown first alone; every figure is the answer's.

use core::cmp::Reverse;

use kuraban_base::Amount;
use kuraban_chain::btc::Network;

use super::{
    answer::{Answer, CaseRow, Comparison, MethodRow, Output, OverlapRow, TotalsRow},
    origins,
};
use crate::say::{Lang, Side, grouped, table};

/// Most outputs that the table for people shows.
const SHOWN_MAX: usize = 20;

/// An amount in whole coins with its ticker.
pub(super) fn coins(network: Network, sat: u128) -> String {
    let asset = network.asset();
    format!("{} {asset}", Amount::new(sat).to_coins(asset.decimals()))
}

/// An address as people compare it, or that there is none.
pub(super) fn address(lang: Lang, address: Option<&str>) -> String {
    address.map_or_else(|| lang.pick("no address", "アドレスなし").to_owned(), grouped)
}

/// What follows a table that does not show everything.
pub(super) fn more(lang: Lang, hidden: usize) -> String {
    match lang {
        Lang::En => format!("  and {hidden} more; --json shows all\n"),
        Lang::Ja => format!("  ほか {hidden} 件。--json ですべて表示します\n"),
    }
}

/// The whole answer.
pub(super) fn told(answer: &Answer, network: Network, lang: Lang) -> String {
    let mut text = head(answer, lang);
    let is_apart = answer.cases.as_ref().is_some_and(|cases| cases.apart);
    if !is_apart {
        text += &format!("\n{}\n{}", lang.pick("totals", "総額"), totals(answer.totals, network, lang));
    }
    if let Some(cases) = &answer.cases {
        for case in &cases.rows {
            text += &case_text(case, network, lang);
        }
        if is_apart {
            text += lang.pick(
                "\nunits that several cases claim count in each, so the cases do not add up\n",
                "\n複数の事件が主張する単位は、それぞれの事件に数えるため、事件どうしの合計は取れません\n",
            );
        }
        text += &overlaps(&cases.overlaps, network, lang);
    }
    let unspent = lang.pick("unspent outputs with stolen units", "盗難分を含む未使用の出力");
    text += &outputs(unspent, &answer.outputs, network, lang);
    if !answer.stopped.is_empty() {
        text += &outputs(lang.pick("held at stops", "停止先で保留"), &answer.stopped, network, lang);
    }
    let touched = answer.transactions_touched;
    text += &match lang {
        Lang::En => format!("\n{touched} transactions took in stolen units\n"),
        Lang::Ja => format!("\n盗難分を受け取った取引は {touched} 件\n"),
    };
    if let Some(comparison) = &answer.comparison {
        text += &compared(comparison, network, lang);
    }
    if let Some(intervals) = &answer.intervals {
        text += &intervals.to_text(network, lang);
    }
    for origins in answer.origins.iter().flatten() {
        text += &format!("\n{}", origins::text(origins, network, lang));
    }
    text
}

fn head(answer: &Answer, lang: Lang) -> String {
    let Answer { method, network, tip, .. } = answer;
    let (seeds, until) = (answer.seeds.len(), answer.parameters.until.unwrap_or(tip.height));
    let (height, hash) = (tip.height, &tip.hash);
    let fees = match answer.parameters.fees {
        "followed" => lang.pick("fees followed", "手数料も追跡"),
        "counted" => lang.pick("fees counted, not followed", "手数料は集計のみで追跡せず"),
        _ => lang.pick("fees not counted", "手数料は集計せず"),
    };
    match lang {
        Lang::En => format!(
            "{method} on {network}, {seeds} seed(s), {fees}, to height {until} of an index that ends at {height} ({hash})\n"
        ),
        Lang::Ja => format!(
            "{network} を {method} で追跡、起点 {seeds} 件、{fees}、高さ {until} まで（索引の終わりは {height}、{hash}）\n"
        ),
    }
}

fn totals(totals: TotalsRow, network: Network, lang: Lang) -> String {
    let TotalsRow { stolen_sat, unspent_sat, fees_sat, burned_sat, stopped_sat, dust_sat, shielded_sat } =
        totals;
    let places = [
        (lang.pick("in unspent outputs", "未使用の出力"), Some(unspent_sat)),
        (lang.pick("paid as fees", "手数料"), fees_sat),
        (lang.pick("burned", "消失（使用不能）"), burned_sat),
        (lang.pick("held at stops", "停止先で保留"), Some(stopped_sat)),
        (lang.pick("dropped as dust", "少額のため除外"), Some(dust_sat)),
        (lang.pick("in a shielded pool", "秘匿プール内"), Some(shielded_sat)),
        (lang.pick("stolen", "盗難総額"), Some(stolen_sat)),
    ];
    let row = |(what, sat): (&str, Option<u128>)| {
        let none = || lang.pick("not counted", "集計せず").to_owned();
        [what.to_owned(), sat.map_or_else(none, |sat| coins(network, sat))]
    };
    let balance = if fees_sat.is_some() {
        lang.pick(
            "  the lines above the last add up to it, to the unit\n",
            "  最後の行を除く合計は、最小単位まで最後の行と一致します\n",
        )
    } else {
        lang.pick(
            "  poison does not conserve units: these do not add up\n",
            "  poison は数量を保存しないため、合計は一致しません\n",
        )
    };
    table([Side::Left, Side::Right], &places.map(row)) + balance
}

fn case_text(case: &CaseRow, network: Network, lang: Lang) -> String {
    let (name, seeds, outputs) = (&case.case, case.seeds, case.outputs);
    let title = match lang {
        Lang::En => format!("case {name}, {seeds} seed(s), in {outputs} unspent output(s)"),
        Lang::Ja => format!("事件 {name}、起点 {seeds} 件、未使用の出力 {outputs} 件"),
    };
    format!("\n{title}\n{}", totals(case.totals, network, lang))
}

fn overlaps(overlaps: &[OverlapRow], network: Network, lang: Lang) -> String {
    if overlaps.is_empty() {
        return String::new();
    }
    let row = |row: &OverlapRow| {
        let OverlapRow { case, held_by, .. } = row;
        let claim = match lang {
            Lang::En => format!("claimed by {case}, stay with {held_by}"),
            Lang::Ja => format!("{case} が主張、{held_by} に帰属"),
        };
        [coins(network, row.amount_sat.into()), claim, format!("{}:{}", row.txid, row.vout)]
    };
    let rows: Vec<_> = overlaps.iter().take(SHOWN_MAX).map(row).collect();
    let title = lang.pick("claimed by several cases", "複数の事件が主張する分");
    let mut text =
        format!("\n{title} ({})\n{}", overlaps.len(), table([Side::Right, Side::Left, Side::Left], &rows));
    if overlaps.len() > SHOWN_MAX {
        text += &more(lang, overlaps.len().saturating_sub(SHOWN_MAX));
    }
    text
}

fn outputs(what: &str, outputs: &[Output], network: Network, lang: Lang) -> String {
    let mut largest: Vec<&Output> = outputs.iter().collect();
    largest.sort_by_key(|output| Reverse(output.tainted_sat));
    let rest: u128 = largest.iter().skip(SHOWN_MAX).map(|output| u128::from(output.tainted_sat)).sum();
    let row = |output: &&Output| {
        let of = format!("{}{}", lang.pick("of ", "全 "), coins(network, output.value_sat.into()));
        let at = format!("{}:{}", output.txid, output.vout);
        let share = |(case, sat): (&String, &u64)| format!("{case} {}", coins(network, u128::from(*sat)));
        let cases = output.cases.iter().flatten().map(share).collect::<Vec<_>>().join(", ");
        let address = address(lang, output.address.as_deref());
        [coins(network, output.tainted_sat.into()), of, address, at, cases]
    };
    let rows: Vec<_> = largest.iter().take(SHOWN_MAX).map(row).collect();
    let sides = [Side::Right, Side::Right, Side::Left, Side::Left, Side::Left];
    let first = lang.pick("the largest first", "金額順");
    let mut text = format!("\n{what} ({}), {first}\n{}", outputs.len(), table(sides, &rows));
    if outputs.len() > SHOWN_MAX {
        let (hidden, rest) = (outputs.len().saturating_sub(SHOWN_MAX), coins(network, rest));
        text += &match lang {
            Lang::En => format!("  and {hidden} more with {rest} together; --json shows all\n"),
            Lang::Ja => format!("  ほか {hidden} 件、合計 {rest}。--json ですべて表示します\n"),
        };
    }
    text
}

fn compared(comparison: &Comparison, network: Network, lang: Lang) -> String {
    let row = |row: &MethodRow| {
        let TotalsRow { unspent_sat, fees_sat, .. } = row.totals;
        let fees = fees_sat.map_or_else(|| "-".to_owned(), |sat| coins(network, sat));
        [row.method.to_owned(), coins(network, unspent_sat), fees, row.outputs.to_string()]
    };
    let head = [
        lang.pick("method", "方式"),
        lang.pick("unspent", "未使用"),
        lang.pick("fees", "手数料"),
        lang.pick("outputs", "出力"),
    ]
    .map(str::to_owned);
    let rows: Vec<_> = core::iter::once(head).chain(comparison.methods.iter().map(row)).collect();
    let sides = [Side::Left, Side::Right, Side::Right, Side::Right];
    let agreed = coins(network, comparison.agreed_sat);
    let title = lang.pick("by method", "方式ごと");
    format!("\n{title}\n{}", table(sides, &rows))
        + &match lang {
            Lang::En => format!("\nall methods but poison agree on the place of {agreed}\n"),
            Lang::Ja => format!("\n{agreed} の所在については、poison を除くすべての方式が一致します\n"),
        }
}
