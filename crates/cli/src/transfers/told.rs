//! How a trace on accounts is told to people, in English and Japanese.
//!
//! Decides words and what is shown first alone; every figure comes from the trace.

use core::cmp::Reverse;

use kuraban_trace::accounts::{CaseTotals, Deposit, Held, Opening, Outcome, Rule, Totals, Units};

use super::answer::{Answer, Style, fees, tainted, together};
use crate::{
    say::{Lang, Side, table},
    trace::Claims,
};

/// Most accounts that the table for people shows.
const SHOWN_MAX: usize = 20;

/// The whole answer.
pub(super) fn told(answer: &Answer<'_>, lang: Lang) -> String {
    let (native, found) = (answer.native(), answer.found);
    let mut text = head(answer, lang);
    let assets = core::iter::once(native.asset).chain(answer.tokens());
    for asset in assets {
        let style = Style { chain: native.chain, asset };
        if asset != native.asset || together(found, asset) != Totals::default() {
            text += &of_asset(answer, style, lang);
        }
    }
    let moved = found.transactions_touched;
    text += &match lang {
        Lang::En => format!("\n{moved} transactions moved stolen units\n"),
        Lang::Ja => format!("\n盗難分を動かした取引は {moved} 件\n"),
    };
    if answer.others.is_empty() { text } else { text + &compared(answer, lang) }
}

fn head(answer: &Answer<'_>, lang: Lang) -> String {
    let Answer { terms, found, .. } = answer;
    let (rule, chain, seeds) = (terms.rule, answer.native().asset, found.seeds.len());
    let end = match (found.height, lang) {
        (None, _) => lang.pick("no block", "ブロックなし").to_owned(),
        (Some(height), Lang::En) => format!("height {height}"),
        (Some(height), Lang::Ja) => format!("高さ {height} まで"),
    };
    let (fees, opening) = (fees(terms), found.header.opening);
    match lang {
        Lang::En => {
            let opening = opening.name();
            format!("{rule} on {chain}, {seeds} seed(s), fees {fees}, opening balances {opening}, to {end}\n")
        }
        Lang::Ja => {
            let fees = match fees {
                "followed" => "手数料も追跡",
                "counted" => "手数料は集計のみで追跡せず",
                _ => "手数料は集計せず",
            };
            let opening = match opening {
                Opening::Stated => "開始残高は明示",
                Opening::Unknown => "開始残高は不明",
            };
            format!("{chain} を {rule} で追跡、起点 {seeds} 件、{fees}、{opening}、{end}\n")
        }
    }
}

fn compared(answer: &Answer<'_>, lang: Lang) -> String {
    let native = answer.native();
    let row = |(rule, found): &(Rule, Outcome)| {
        let sum = together(found, native.asset);
        let fees = if rule.conserves() { native.shown(sum.fees) } else { "-".to_owned() };
        let accounts = tainted(found, native.asset).len().to_string();
        [rule.name().to_owned(), native.shown(sum.held), fees, accounts]
    };
    let head = [
        lang.pick("method", "方式"),
        lang.pick("held", "保有"),
        lang.pick("fees", "手数料"),
        lang.pick("accounts", "口座"),
    ]
    .map(str::to_owned);
    let rows: Vec<_> = core::iter::once(head).chain(answer.others.iter().map(row)).collect();
    let sides = [Side::Left, Side::Right, Side::Right, Side::Right];
    let agreed = native.shown(answer.agreed());
    let title = lang.pick("by method", "方式ごと");
    format!("\n{title}\n{}", table(sides, &rows))
        + &match lang {
            Lang::En => format!("\nall methods but poison agree on the place of {agreed}\n"),
            Lang::Ja => format!("\n{agreed} の所在については、poison を除くすべての方式が一致します\n"),
        }
}

fn of_asset(answer: &Answer<'_>, style: Style<'_>, lang: Lang) -> String {
    sums(answer, style, lang) + &holders(answer.found, style, lang) + &deposits(answer.found, style, lang)
}

/// Totals of one asset, of all cases and of each.
fn sums(answer: &Answer<'_>, style: Style<'_>, lang: Lang) -> String {
    let (found, conserves) = (answer.found, answer.terms.rule.conserves());
    let title = match lang {
        Lang::En => format!("totals of {}{}", style.asset, style.unit(lang)),
        Lang::Ja => format!("{}{} の総額", style.asset, style.unit(lang)),
    };
    let of_asset = found.totals.iter().filter(|case| case.by_asset.contains_key(style.asset)).count();
    let is_apart = answer.claims == Claims::Each && of_asset > 1;
    let mut text = String::new();
    if !is_apart {
        text += &totals(&title, &together(found, style.asset), conserves, style, lang);
    }
    for case in found.totals.iter().filter(|_| found.totals.len() > 1) {
        let Some(sum) = case.by_asset.get(style.asset) else { continue };
        let CaseTotals { case, .. } = case;
        let title = match lang {
            Lang::En => format!("case {case}, {}{}", style.asset, style.unit(lang)),
            Lang::Ja => format!("事件 {case}、{}{}", style.asset, style.unit(lang)),
        };
        text += &totals(&title, sum, conserves, style, lang);
    }
    if is_apart {
        text += lang.pick(
            "\nunits that several cases claim count in each, so the cases do not add up\n",
            "\n複数の事件が主張する単位は、それぞれの事件に数えるため、事件どうしの合計は取れません\n",
        );
    }
    if let Some(surfaced) = found.surfaced.get(style.asset) {
        let surfaced = style.counted(*surfaced);
        text += &match lang {
            Lang::En => {
                format!("  {surfaced} were paid that nobody was known to have, and taken for clean\n")
            }
            Lang::Ja => {
                format!("  保有が知られていない {surfaced} が支払われ、盗難分でないものとして扱いました\n")
            }
        };
    }
    text
}

/// Accounts with stolen units of one asset.
fn holders(found: &Outcome, style: Style<'_>, lang: Lang) -> String {
    let mut largest: Vec<&Held> = found.held.iter().filter(|held| held.asset == style.asset).collect();
    largest.sort_by_key(|held| Reverse(held.tainted));
    let row = |held: &&Held| {
        let of = format!("{}{}", lang.pick("of ", "全 "), style.counted(held.balance));
        let whose = if found.totals.len() > 1 { whose(held, style) } else { String::new() };
        [style.counted(held.tainted), of, held.account.clone(), whose]
    };
    let rows: Vec<_> = largest.iter().take(SHOWN_MAX).map(row).collect();
    let (count, rows) = (largest.len(), table([Side::Right, Side::Right, Side::Left, Side::Left], &rows));
    let mut text = match lang {
        Lang::En => format!("\naccounts with stolen units ({count}), the largest first\n{rows}"),
        Lang::Ja => format!("\n盗難分を持つ口座（{count}）、金額順\n{rows}"),
    };
    if count > SHOWN_MAX {
        let more = count.saturating_sub(SHOWN_MAX);
        text += &match lang {
            Lang::En => format!("  and {more} more; --json shows all\n"),
            Lang::Ja => format!("  ほか {more} 件。--json ですべて表示します\n"),
        };
    }
    text
}

/// What arrived at services of one asset.
fn deposits(found: &Outcome, style: Style<'_>, lang: Lang) -> String {
    let deposits = found.deposits.iter().filter(|deposit| deposit.asset == style.asset);
    let row = |one: &Deposit| {
        let case = if found.totals.len() > 1 { one.case.clone() } else { String::new() };
        [style.counted(one.tainted), one.service.clone(), format!("{}:{}", one.tx, one.index), case]
    };
    let rows: Vec<_> = deposits.map(row).collect();
    if rows.is_empty() {
        return String::new();
    }
    let (count, rows) = (rows.len(), table([Side::Right, Side::Left, Side::Left, Side::Left], &rows));
    match lang {
        Lang::En => format!("\ndeposits at services ({count})\n{rows}"),
        Lang::Ja => format!("\nサービスへの入金（{count}）\n{rows}"),
    }
}

/// How much of an account's units is whose.
fn whose(held: &Held, style: Style<'_>) -> String {
    let one = |(case, units): (&String, &Units)| format!("{case} {}", style.counted(*units));
    held.by_case.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn totals(title: &str, sum: &Totals, conserves: bool, style: Style<'_>, lang: Lang) -> String {
    let counted = |units: Units| {
        if conserves { style.counted(units) } else { lang.pick("not counted", "集計せず").to_owned() }
    };
    let rows = [
        (lang.pick("held by accounts", "口座が保有"), style.counted(sum.held)),
        (lang.pick("paid as fees", "手数料"), counted(sum.fees)),
        (lang.pick("burned", "消失（使用不能）"), counted(sum.burned)),
        (lang.pick("arrived at services", "サービスに到達"), style.counted(sum.stopped)),
        (lang.pick("dropped as dust", "少額のため除外"), style.counted(sum.dust)),
        (lang.pick("stolen", "盗難総額"), style.counted(sum.stolen)),
    ];
    let balance = if conserves {
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
    let rows = table([Side::Left, Side::Right], &rows.map(|(what, units)| [what.to_owned(), units]));
    format!("\n{title}\n{rows}{balance}")
}
