//! One page that opens without a network: summary, picture, tables, terms, in English and Japanese.
//!
//! Decides the page's order and words. A policy in its head forbids every request, and every script but its own two
//! blocks, which it names by their digests.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use kuraban_base::Digest;
use kuraban_trace::taint::End;
use serde::{Serialize, Serializer};

use super::{
    Final, Kind, Owner, Sheet, Span,
    beside::{Line, sections},
    listed, svg, thefts,
    words::{both, coins, count, embedded, escaped, minute, short, thousands, whole},
};
use crate::{
    say::{Lang, tame},
    trace::answer::TotalsRow,
};

const SCRIPT: &str = include_str!("report.js");
const STYLE: &str = include_str!("report.css");
/// Rows of a table before somebody asks for more. All of them stand in the page for readers without scripts.
const ROWS: usize = 100;

/// The page.
pub(super) fn page(sheet: &Sheet<'_>) -> Result<String, serde_json::Error> {
    let script = format!("\n{SCRIPT}");
    let style = format!("\n{STYLE}");
    let (ja, en) = match sheet.lang {
        Lang::Ja => (" checked", ""),
        Lang::En => ("", " checked"),
    };
    let lang = sheet.lang.pick("en", "ja");
    let trace = embedded(&serde_json::to_string(&trace(sheet))?);
    let stolen = sheet.totals.get(sheet.shown).map_or(0, |totals| totals.stolen_sat);
    let title =
        format!("{} · {}", whole(sheet.coin(), stolen), sheet.lang.pick("stolen coins", "盗難資産の追跡"));
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"{lang}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src 'sha256-{}'; \
         style-src 'sha256-{}'; base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n<title>{}</title>\n<style>{style}</style>\n</head>\n<body>\n",
        digest(&script),
        digest(&style),
        escaped(&title),
    );
    out += &format!(
        "<header class=\"top\"><div><p class=\"kind\">{}</p><h1>{}</h1></div>\
         <fieldset class=\"langs\"><label><input type=\"radio\" name=\"lang\" id=\"lang-en\"{en}> English</label>\
         <label lang=\"ja\"><input type=\"radio\" name=\"lang\" id=\"lang-ja\"{ja}> 日本語</label></fieldset></header>\n<main>\n",
        both("Kuraban · report of a trace", "蔵番 · 追跡報告書"),
        both(
            &format!("Where {} went", whole(sheet.coin(), stolen)),
            &format!("{} の行方", whole(sheet.coin(), stolen))
        ),
    );
    out += &summary(sheet);
    out += &picture(sheet);
    out += &thefts::table(sheet);
    out += &by_method(sheet);
    out += &addresses(sheet);
    out += &outputs(sheet);
    out += &transactions(sheet);
    out += &beside(sheet);
    out += &terms(sheet);
    out += &format!(
        "<footer>{}</footer>\n</main>\n<script type=\"application/json\" id=\"trace\">{trace}</script>\n\
         <script>{script}</script>\n</body>\n</html>\n",
        both(
            "Written by Kuraban. Equal traces make equal reports.",
            "蔵番が作成。同じ追跡からは同じ報告書ができます。"
        ),
    );
    Ok(out)
}

fn digest(text: &str) -> String {
    STANDARD.encode(Digest::sha256(&[text.as_bytes()]).as_bytes())
}

/// The kinds of places where stolen units are: class, place in the totals, words.
pub(super) const KINDS: [(&str, &str, &str); 7] = [
    ("stolen", "Stolen", "盗難総額"),
    ("unspent", "In unspent outputs", "未使用の出力"),
    ("fees", "Paid as fees", "手数料"),
    ("burned", "Burned", "消失（使用不能）"),
    ("stopped", "Held at stops", "停止先で保留"),
    ("dust", "Dropped as dust", "少額のため除外"),
    ("shielded", "In a shielded pool", "秘匿プール内"),
];

/// How a kind is called in a report of accounts, where it is called otherwise.
pub(super) fn words(sheet: &Sheet<'_>, kind: usize) -> (&'static str, &'static str) {
    let (class, en, ja) = KINDS.get(kind).copied().unwrap_or(("", "", ""));
    match (sheet.kind, class) {
        (Kind::Accounts, "unspent") => ("Held by accounts", "口座が保有"),
        (Kind::Accounts, "stopped") => ("Arrived at services", "サービスに到達"),
        (Kind::Accounts | Kind::Outputs, _) => (en, ja),
    }
}

pub(super) fn amounts(totals: impl Into<TotalsRow>) -> [Option<u128>; 7] {
    let TotalsRow { stolen_sat, unspent_sat, fees_sat, burned_sat, stopped_sat, dust_sat, shielded_sat } =
        totals.into();
    [
        Some(stolen_sat),
        Some(unspent_sat),
        fees_sat,
        burned_sat,
        Some(stopped_sat),
        Some(dust_sat),
        Some(shielded_sat),
    ]
}

/// An amount of the totals, which the script replaces when the method changes.
fn total(sheet: &Sheet<'_>, place: usize) -> String {
    let sat = sheet.totals.get(sheet.shown).and_then(|totals| *amounts(*totals).get(place)?);
    let text = sat.map_or_else(|| "–".to_owned(), |sat| whole(sheet.coin(), sat));
    format!("<strong data-total=\"{place}\">{text}</strong>")
}

/// What was stolen, and where it is, in words.
fn summary(sheet: &Sheet<'_>) -> String {
    let cell = |place| total(sheet, place);
    let method = format!("<strong data-method>{}</strong>", sheet.told.method);
    let outputs = sheet.counts.get(sheet.shown).copied().unwrap_or(0);
    let outputs = format!("<strong data-count>{}</strong>", count(outputs));
    let seeds = count(sheet.told.seeds.len());
    let block = thousands(&sheet.until.blocks().to_string());
    let when = minute(sheet.until_time_s);
    // A list of transfers has no times.
    let when = if when.is_empty() { when } else { format!(" ({when})") };
    let (places, places_ja) = match sheet.kind {
        Kind::Outputs => ("output(s)", "件の出力"),
        Kind::Accounts => ("transfer(s)", "件の送金"),
    };
    let (lies, lies_ja) = match sheet.kind {
        Kind::Outputs => {
            (format!("lies unspent in {outputs} output(s)"), format!("{outputs} 件の出力に未使用のまま残り"))
        }
        Kind::Accounts => (format!("is held by {outputs} account(s)"), format!("{outputs} 件の口座が保有し")),
    };
    let (held, held_ja) = match sheet.kind {
        Kind::Outputs => ("is held at stops", "停止先で保留されています"),
        Kind::Accounts => ("arrived at services", "サービスに到達しています"),
    };
    let sentences = format!(
        "<section aria-labelledby=\"s-sum\"><h2 id=\"s-sum\">{}</h2><p class=\"lead\">{}</p><p>{}</p>\n",
        both("What was found", "結論"),
        both(
            &format!(
                "{} was stolen in {seeds} {places}. By the method {method}, up to block {block}{when}, {} of it {lies}; {} was \
                 paid as fees and {} {held}.",
                cell(0),
                cell(1),
                cell(2),
                cell(4)
            ),
            &format!(
                "{seeds} {places_ja}で {} が盗まれました。方式 {method} によれば、ブロック {block}{when}の時点で {} を{lies_ja}、\
                 {} が手数料として支払われ、{} が{held_ja}。",
                cell(0),
                cell(1),
                cell(2),
                cell(4)
            )
        ),
        both(
            &format!(
                "On the place of <strong>{}</strong> every method but poison agrees. Which units are the stolen ones is a rule and no \
                 fact of the chain; a trace says nothing about who owns an address.",
                whole(sheet.coin(), sheet.agreed_sat)
            ),
            &format!(
                "<strong>{}</strong> の所在については、poison を除くすべての方式が一致します。どの単位が盗まれたものかは規則の\
                 問題であり、チェーン上の事実ではありません。また、アドレスの所有者については何も示しません。",
                whole(sheet.coin(), sheet.agreed_sat)
            )
        ),
    );
    sentences + &balance(sheet)
}

/// The totals, and whether they add up.
fn balance(sheet: &Sheet<'_>) -> String {
    let mut out = "<dl class=\"balance\">".to_owned();
    for (place, (class, ..)) in KINDS.iter().enumerate() {
        let (en, ja) = words(sheet, place);
        out += &format!(
            "<div class=\"k-{class}\"><dt>{}</dt><dd>{}</dd></div>",
            both(en, ja),
            total(sheet, place)
        );
    }
    let hidden = |conserves: bool| if sheet.conserves() == conserves { "" } else { " hidden" };
    out += &format!(
        "</dl>\n<p data-conserves=\"true\"{}>{}</p><p data-conserves=\"false\"{}>{}</p></section>\n",
        hidden(true),
        both(
            "The other amounts add up to what was stolen, to the unit.",
            "盗難総額以外の金額の合計は、最小単位まで盗難総額と一致します。"
        ),
        hidden(false),
        both(
            "Poison does not conserve units: whatever touches stolen units counts wholly, so these amounts do not add up.",
            "poison は数量を保存しません。盗難分に触れた出力を全額数えるため、合計は一致しません。"
        ),
    );
    out
}

/// What stands where in the picture.
fn layered(sheet: &Sheet<'_>) -> String {
    both(
        sheet.kind.pick(
            "From left to right in the order of blocks. Boxes on the left of a column are transactions, beside them stand the \
             outputs where the trace ends; a line is as wide as the stolen units that it carries.",
            "From left to right in the order in which stolen units came. Boxes on the left of a column are accounts, beside them \
             stands what they still hold and what arrived at services; a line is as wide as the stolen units of its transfers."
        ),
        sheet.kind.pick(
            "ブロックの順に左から右へ並びます。各列の左が取引、右が追跡の終点となる出力です。線の太さは運ばれる盗難分に比例します。",
            "盗難分が届いた順に左から右へ並びます。各列の左が口座、右がその口座に残る分とサービスへの到達分です。線の太さは送金された盗難分に比例します。"
        )
    )
}

/// The picture with its tools.
fn picture(sheet: &Sheet<'_>) -> String {
    let methods = sheet.picture.methods.iter().enumerate().map(|(place, method)| {
        let selected = if place == sheet.shown { " selected" } else { "" };
        format!("<option value=\"{place}\"{selected}>{method}</option>")
    });
    let methods: String = methods.collect();
    let left_out = sheet.picture.left_out;
    let left_out = if left_out.flows == 0 {
        String::new()
    } else {
        let (flows, ends) = (count(left_out.flows), count(left_out.ends));
        let sat = whole(sheet.coin(), left_out.amounts.of(sheet.shown));
        format!(
            "<p>{}</p>",
            both(
                &format!(
                    "The picture and the tables below hold the {} largest outputs. {flows} smaller ones are left out; {ends} of \
                     these end the trace, with {sat} together by {}. All totals count them.",
                    count(sheet.picture.flows.len()),
                    sheet.told.method
                ),
                &format!(
                    "図と表には金額の大きい {} 件の出力を収めています。ほかの {flows} 件は省いており、そのうち終点の {ends} 件の合計は \
                     {}で {sat} です。総額にはすべて含まれます。",
                    count(sheet.picture.flows.len()),
                    sheet.told.method
                )
            )
        )
    };
    format!(
        "<section aria-labelledby=\"picture-name\"><h2 id=\"picture-name\">{}</h2><p>{}</p>{left_out}\n\
         <div class=\"tools\" data-live hidden><label>{} <select id=\"method\">{methods}</select></label>\
         <button type=\"button\" id=\"nearer\" aria-label=\"Zoom in / 拡大\">＋</button><button type=\"button\" id=\"farther\" \
         aria-label=\"Zoom out / 縮小\">－</button><button type=\"button\" id=\"fit\">{}</button>\
         <button type=\"button\" id=\"reset\">{}</button>\
         <input type=\"search\" id=\"search\" aria-label=\"Search / 検索\" placeholder=\"bc1q… / txid / ⚑\"></div>\n\
         <ul id=\"found\" aria-live=\"polite\" data-live hidden></ul><p id=\"note\" role=\"status\" data-live hidden></p>\n\
         <div class=\"tools\" data-live hidden><button type=\"button\" id=\"play\" aria-pressed=\"false\">Play</button>\
         <input type=\"range\" id=\"time\" min=\"0\" max=\"0\" value=\"0\" aria-label=\"Block / ブロック\"></div>\
         <p id=\"moment\" data-live hidden></p>\n<div class=\"sheet\"><div id=\"canvas\" tabindex=\"0\" role=\"region\" aria-labelledby=\"picture-name\">{}</div>\
         <aside id=\"chosen\" aria-live=\"polite\" hidden></aside></div>\n<ul class=\"legend\"><li>● {}</li><li>■ {}</li>\
         <li>✕ {}</li><li>◆ {}</li><li>· {}</li><li>⚑ {}</li><li>+N {}</li></ul>{}</section>\n",
        both("The flow, by time", "時間順の流れ"),
        layered(sheet),
        both("Method", "方式"),
        both("Fit", "全体"),
        both("First look", "最初の表示"),
        svg::svg(sheet),
        both(sheet.kind.pick("unspent", "held"), sheet.kind.pick("未使用", "保有")),
        both(
            sheet.kind.pick("held at a stop", "arrived at a service"),
            sheet.kind.pick("停止先で保留", "サービスに到達")
        ),
        both("burned", "消失"),
        both("in a shielded pool", "秘匿プール内"),
        both("dropped as dust", "少額のため除外"),
        both("tagged", "タグあり"),
        both("folded: unfolds when chosen", "たたまれた部分（選ぶと開く）"),
        thefts::legend(sheet),
    )
}

/// The totals of every method, side by side.
fn by_method(sheet: &Sheet<'_>) -> String {
    let head = |(place, method): (usize, &kuraban_trace::accounts::Rule)| {
        let now = if place == sheet.shown { " class=\"amount now\"" } else { " class=\"amount\"" };
        format!("<th scope=\"col\" data-m=\"{place}\"{now}>{method}</th>")
    };
    let heads: String = sheet.picture.methods.iter().enumerate().map(head).collect();
    let mut rows = String::new();
    for kind in 0..KINDS.len() {
        let (en, ja) = words(sheet, kind);
        rows += &format!("<tr><th scope=\"row\">{}</th>", both(en, ja));
        for (place, totals) in sheet.totals.iter().enumerate() {
            let sat = amounts(*totals).get(kind).copied().flatten();
            let text = sat.map_or_else(|| "–".to_owned(), |sat| coins(sheet.coin(), sat));
            let now = if place == sheet.shown { " now" } else { "" };
            rows += &format!("<td class=\"amount{now}\" data-m=\"{place}\">{text}</td>");
        }
        rows += "</tr>\n";
    }
    format!(
        "<section aria-labelledby=\"s-methods\"><h2 id=\"s-methods\">{}</h2><p>{}</p><div class=\"scroll\"><table>\
         <thead><tr><th scope=\"col\">{}</th>{heads}</tr></thead>\n<tbody>{rows}</tbody></table></div></section>\n",
        both("By every method", "方式ごとの結果"),
        both(
            sheet.kind.pick(
                "What each method means is written in docs/taint.md. A bundle proves the answer of its own method.",
                "What each method means on accounts is written in docs/taint-accounts.md."
            ),
            sheet.kind.pick("各方式の定義は docs/taint.md にあります。", "口座での各方式の定義は docs/taint-accounts.md にあります。")
        ),
        escaped(sheet.coin().ticker),
    )
}

/// A table whose body the script takes over.
fn table(id: &str, title: &str, lead: &str, heads: &[(String, bool)], rows: &[String], live: bool) -> String {
    let head = |(text, amount): &(String, bool)| {
        let class = if *amount { " class=\"amount\"" } else { "" };
        format!("<th scope=\"col\"{class}><button type=\"button\">{text}</button></th>")
    };
    let heads: String = heads.iter().map(head).collect();
    let first: String = rows.iter().take(ROWS).map(String::as_str).collect();
    let rest: String = rows.iter().skip(ROWS).map(String::as_str).collect();
    let rest = if rest.is_empty() || !live {
        String::new()
    } else {
        format!("<noscript><div class=\"scroll\"><table><tbody>{rest}</tbody></table></div></noscript>")
    };
    format!(
        "<section id=\"{id}\" aria-labelledby=\"s-{id}\"><h2 id=\"s-{id}\">{title}</h2><p>{lead}</p>\n<div class=\"scroll\"><table>\
         <thead><tr>{heads}</tr></thead>\n<tbody>{first}</tbody></table></div><p class=\"more\">{}</p>{rest}</section>\n",
        count(rows.len()),
    )
}

fn span_cells(sheet: &Sheet<'_>, span: Span) -> String {
    let cell = |sat| format!("<td class=\"amount\">{}</td>", coins(sheet.coin(), sat));
    cell(span.min_sat) + &cell(span.max_sat)
}

fn named(address: Option<&str>, tags: &[String]) -> String {
    named_of(address, tags, &[])
}

/// The same with the letters of whose the units are.
fn named_of(address: Option<&str>, tags: &[String], whose: &[(usize, u128)]) -> String {
    let address = address.map_or_else(
        || both("no address", "アドレスなし"),
        |address| format!("<bdi class=\"mono\">{}</bdi>", escaped(address)),
    );
    let tags: String = tags.iter().map(|tag| format!("<bdi class=\"tag\">{}</bdi>", escaped(tag))).collect();
    let chips: String = whose.iter().map(|(place, _)| format!(" {}", thefts::chip(*place))).collect();
    format!("<td>{address}{tags}{chips}</td>")
}

fn span_heads() -> [(String, bool); 3] {
    [
        (both("Stolen units", "盗難分"), true),
        (both("Least by any method", "全方式の最小"), true),
        (both("Most by any method", "全方式の最大"), true),
    ]
}

fn addresses(sheet: &Sheet<'_>) -> String {
    let row = |owner: &Owner| {
        let address = sheet.addresses.get(owner.address).map(String::as_str);
        let tags = sheet.tags.get(&owner.address).map(Vec::as_slice).unwrap_or_default();
        format!(
            "<tr>{}<td class=\"amount\">{}</td><td class=\"amount\">{}</td>{}</tr>\n",
            named(address, tags),
            owner.outputs,
            coins(sheet.coin(), owner.held_sat),
            span_cells(sheet, owner.span)
        )
    };
    let rows: Vec<String> = sheet.owners().iter().map(row).collect();
    let [held, least, most] = span_heads();
    let heads = [
        (both("Address", "アドレス"), false),
        (both(sheet.kind.pick("Outputs", "Places"), sheet.kind.pick("出力数", "件数")), true),
        held,
        least,
        most,
    ];
    table(
        "addresses",
        &both("Who holds it now", "現在の保有アドレス"),
        &both(
            "Addresses with unspent or held stolen units, by any method. What stands under “least” is there whatever method is \
             taken, poison aside: the part that every method agrees on. Outputs without an address stand in the next table alone.",
            "いずれかの方式で盗難分を保有するアドレスです。「最小」は poison を除くどの方式でもそこにあるとされる額、つまり\
             すべての方式が一致する部分です。アドレスのない出力は次の表にのみあります。",
        ),
        &heads,
        &rows,
        true,
    )
}

fn outputs(sheet: &Sheet<'_>) -> String {
    let row = |end: &Final| {
        let at = sheet.outpoints.get(end.flow).cloned().flatten();
        let at = at.map_or_else(String::new, |at| short(&at.to_string(), 10, 8));
        let height = sheet
            .maker(end.flow)
            .map_or_else(String::new, |maker| thousands(&maker.height.blocks().to_string()));
        let flow = sheet.picture.flows.get(end.flow);
        let kind = flow.map_or("", |flow| svg::sign(sheet.end(flow)).0);
        let kind = KINDS.iter().position(|(class, ..)| *class == kind).map_or_else(String::new, |kind| {
            let (en, ja) = words(sheet, kind);
            both(en, ja)
        });
        format!(
            "<tr>{}<td class=\"mono\">{at}</td><td>{height}</td><td>{kind}</td><td class=\"amount\">{}</td>{}</tr>\n",
            named_of(
                sheet.address(end.flow),
                sheet.tags(end.flow),
                &thefts::whose(sheet, core::iter::once(&end.flow))
            ),
            coins(sheet.coin(), sheet.amount(end.flow)),
            span_cells(sheet, end.span)
        )
    };
    let rows: Vec<String> = sheet.finals().iter().map(row).collect();
    let [held, least, most] = span_heads();
    let heads = [
        (both("Address", "アドレス"), false),
        (
            both(
                sheet.kind.pick("Output", "Transfer, or where it is held"),
                sheet.kind.pick("出力", "送金または保有口座"),
            ),
            false,
        ),
        (both("Block", "ブロック"), false),
        (both("What became of it", "状態"), false),
        held,
        least,
        most,
    ];
    table(
        "outputs",
        &both(
            sheet.kind.pick("Outputs where the trace ends", "Where the trace ends"),
            sheet.kind.pick("追跡の終点となる出力", "追跡の終点"),
        ),
        &both("By any method; the largest first.", "いずれかの方式で終点となるものです（大きい順）。"),
        &heads,
        &rows,
        true,
    )
}

fn transactions(sheet: &Sheet<'_>) -> String {
    let came_in = sheet.came_in();
    let nodes = sheet.picture.nodes.iter().zip(&sheet.places).zip(&came_in);
    let rows: Vec<String> = nodes
        .filter_map(|((node, place), came_in)| {
            let place = place.as_ref()?;
            Some(format!(
                "<tr><td>{} {}</td><td class=\"mono\">{}</td><td class=\"amount\">{}</td><td class=\"amount\">{}</td></tr>\n",
                thousands(&place.height.blocks().to_string()),
                minute(place.time_s),
                place.txid,
                coins(sheet.coin(), *came_in),
                coins(sheet.coin(), node.fees.of(sheet.shown)),
            ))
        })
        .collect();
    let heads = [
        (both("Block", "ブロック"), false),
        (both(sheet.kind.pick("Transaction", "Account"), sheet.kind.pick("取引", "口座")), false),
        (both("Stolen units in", "入った盗難分"), true),
        (both("Paid as fee", "手数料"), true),
    ];
    table(
        "transactions",
        &both(
            sheet.kind.pick("Transactions on the way", "Accounts on the way"),
            sheet.kind.pick("経路上の取引", "経路上の口座"),
        ),
        &both(
            sheet.kind.pick(
                "In chain order.",
                "In the order in which stolen units came to them. An account stands again where they come back to it.",
            ),
            sheet.kind.pick("チェーン順です。", "盗難分が届いた順です。盗難分が戻ってきた口座は再び現れます。"),
        ),
        &heads,
        &rows,
        true,
    )
}

/// What was asked beside the trace. The script leaves these tables alone.
fn beside(sheet: &Sheet<'_>) -> String {
    let (en, ja) = (sections(sheet, Lang::En), sections(sheet, Lang::Ja));
    let mut out = String::new();
    for (en, ja) in en.iter().zip(&ja) {
        let head = |((en, amount), (ja, _)): (&(&str, bool), &(&str, bool))| {
            let class = if *amount { " class=\"amount\"" } else { "" };
            format!("<th scope=\"col\"{class}>{}</th>", both(en, ja))
        };
        let heads: String = en.heads.iter().zip(&ja.heads).map(head).collect();
        let row = |(en, ja): (&Line, &Line)| {
            let place = if en.place == ja.place {
                escaped(&en.place)
            } else {
                both(&escaped(&en.place), &escaped(&ja.place))
            };
            let address = en.address.as_deref().map(tame);
            let amounts =
                en.amounts.each_ref().map(|amount| format!("<td class=\"amount\">{amount}</td>")).concat();
            format!(
                "<tr>{}<td class=\"mono\">{place}</td>{amounts}</tr>\n",
                named(address.as_deref(), &en.tags)
            )
        };
        let rows: String = en.rows.iter().zip(&ja.rows).map(row).collect();
        let more = en.all.saturating_sub(en.rows.len());
        let more = if more == 0 { String::new() } else { format!("<p class=\"more\">+{}</p>", count(more)) };
        let (id, title, lead) = (
            &en.id,
            both(&escaped(&en.title), &escaped(&ja.title)),
            both(&escaped(&en.lead), &escaped(&ja.lead)),
        );
        out += &format!(
            "<section id=\"{id}\" aria-labelledby=\"s-{id}\"><h2 id=\"s-{id}\">{title}</h2><p>{lead}</p>\n<div class=\"scroll\">\
             <table><thead><tr>{heads}</tr></thead>\n<tbody>{rows}</tbody></table></div>{more}</section>\n"
        );
    }
    out
}

/// What the result depends on, and how to run it again.
fn terms(sheet: &Sheet<'_>) -> String {
    let seeds = sheet.told.seeds.iter().map(|(seed, units)| {
        let units = whole(sheet.coin(), *units);
        format!("<li><span class=\"mono\">{}</span> {units}</li>", escaped(seed))
    });
    let seeds: String = seeds.take(ROWS).collect();
    let more = sheet.told.seeds.len().saturating_sub(ROWS);
    let more = if more > 0 { format!("<li>+{}</li>", count(more)) } else { String::new() };
    let term = |term: &super::Term| (both(term.en, term.ja), escaped(&term.value));
    let mut rows: Vec<(String, String)> = sheet.told.terms.iter().map(term).collect();
    rows.push((both("Seeds", "起点"), format!("<ul>{seeds}{more}</ul>")));
    rows.push((
        both("SHA-256 of the answer", "結果の SHA-256"),
        format!("<span class=\"mono\">{}</span>", sheet.answer_sha256),
    ));
    let rows: String =
        rows.iter().map(|(name, value)| format!("<dt>{name}</dt><dd>{value}</dd>\n")).collect();
    let verify = if sheet.kind == Kind::Accounts {
        both(
            "Whoever has the same list of transfers gets the same answer with <code>kuraban trace --transfers</code> and these terms.",
            "同じ送金一覧があれば、誰でも同じ条件の <code>kuraban trace --transfers</code> で同じ結果を得られます。",
        )
    } else if sheet.proven {
        both(
            "This report was made from a proof bundle whose work, branches and ids were checked, and whose trace was run again with the \
             same answer. A bundle cannot show that the unspent outputs are unspent, nor that its headers are the chain with most \
             work: compare the last block's hash with a node's.",
            "この報告書は証明バンドルから作成しました。作業証明・ハッシュの枝・取引 ID を検査し、追跡を再実行して同じ結果を得ています。\
             未使用の出力が今も未使用であること、最長のチェーンであることは、バンドルだけでは示せません。最終ブロックのハッシュをノードと照合してください。",
        )
    } else {
        both(
            "Whoever has the same blocks gets the same answer with <code>kuraban trace</code> and these terms. A file made with \
             <code>--bundle</code> is checked by <code>kuraban trace verify FILE</code> without an index, a node or a network; both print \
             the digest above.",
            "同じブロックがあれば、誰でも同じ条件の <code>kuraban trace</code> で同じ結果を得られます。<code>--bundle</code> で作ったファイルは、\
             索引もノードもネットワークもなしに <code>kuraban trace verify FILE</code> で検証でき、上のダイジェストが表示されます。",
        )
    };
    format!(
        "<section aria-labelledby=\"s-terms\"><h2 id=\"s-terms\">{}</h2><dl class=\"terms\">{rows}</dl><p>{verify}</p></section>\n",
        both("Terms, and how to verify", "条件と検証方法"),
    )
}

/// An amount that JavaScript reads without loss: a number while it is safe there, else a string.
#[derive(Clone, Copy)]
struct Sat(u128);

/// The greatest integer that a double holds with all below it.
const SAFE_MAX: u128 = (1 << 53) - 1;

impl Serialize for Sat {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match u64::try_from(self.0) {
            Ok(safe) if self.0 <= SAFE_MAX => serializer.serialize_u64(safe),
            Ok(_) | Err(_) => serializer.serialize_str(&self.0.to_string()),
        }
    }
}

/// Amounts by method: one where all are the same.
#[derive(Serialize)]
#[serde(untagged)]
enum Row {
    Same(Sat),
    Each(Vec<Sat>),
}

impl Row {
    fn of(amounts: &[u128]) -> Self {
        match amounts.first() {
            Some(first) if amounts.iter().all(|amount| amount == first) => Self::Same(Sat(*first)),
            Some(_) | None => Self::Each(amounts.iter().map(|amount| Sat(*amount)).collect()),
        }
    }
}

/// What the script reads. Rows are arrays, as there are many.
#[derive(Serialize)]
struct Trace<'a> {
    accounts: bool,
    asset: String,
    decimals: u8,
    methods: Vec<&'static str>,
    conserves: Vec<bool>,
    shown: usize,
    tip: Tip,
    until: u32,
    totals: Vec<[Option<Sat>; 7]>,
    counts: &'a [usize],
    nodes: Vec<Option<NodeRow<'a>>>,
    flows: Vec<FlowRow<'a>>,
    addresses: &'a [String],
    tags: &'a std::collections::BTreeMap<usize, Vec<String>>,
    view: Vec<usize>,
    /// Names of several thefts, the earliest first, and by flow what each has: its place and its amounts.
    thefts: Vec<&'a str>,
    shares: Vec<Vec<(usize, Row)>>,
}

#[derive(Serialize)]
struct Tip {
    height: u32,
    time: Option<u32>,
}

/// Id, height, time, rank, parent, fees, unclaimed.
#[derive(Serialize)]
struct NodeRow<'a>(&'a str, u32, Option<u32>, u64, usize, Row, Row);

/// Index of the output (-1 for a fee), from, to (-1 for an end), end, address (-1 for none), value, amounts, dust, seed;
/// id, height and time of what made it, where that is no node.
#[derive(Serialize)]
struct FlowRow<'a>(
    i64,
    usize,
    i64,
    u8,
    i64,
    Sat,
    Row,
    u8,
    u8,
    #[serde(skip_serializing_if = "Option::is_none")] Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")] Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")] Option<u32>,
);

/// What the script calls an end.
const fn number(end: End) -> u8 {
    match end {
        End::Spent(_) => 0,
        End::Unspent => 1,
        End::Stopped => 2,
        End::Dust => 3,
        End::Burned => 4,
        End::Shielded => 5,
    }
}

fn trace<'a>(sheet: &'a Sheet<'_>) -> Trace<'a> {
    let picture = sheet.picture;
    let row = |amounts: &kuraban_trace::picture::Amounts| Row::of(&listed(picture, amounts));
    let node = |(node, place): (&kuraban_trace::picture::Node, &'a Option<super::Place>)| {
        let place = place.as_ref()?;
        let (height, time) = (place.height.blocks(), place.time_s);
        Some(NodeRow(
            &place.txid,
            height,
            time,
            node.rank,
            node.parent,
            row(&node.fees),
            row(&node.unclaimed),
        ))
    };
    let signed = |number: Option<usize>| number.and_then(|number| i64::try_from(number).ok()).unwrap_or(-1);
    let flow = |(at, flow): (usize, &kuraban_trace::picture::Flow)| {
        let vout = sheet.outpoints.get(at).and_then(Option::as_ref).map_or(-1, |at| i64::from(at.index));
        let owner = sheet.owners.get(at).copied().flatten();
        let seed = sheet.seeds.get(&at);
        FlowRow(
            vout,
            flow.from,
            signed(flow.to),
            number(flow.end),
            signed(owner),
            Sat(flow.value_sat),
            row(&flow.amounts),
            flow.dust,
            u8::from(flow.seed),
            seed.map(|place| place.txid.as_str()),
            seed.map(|place| place.height.blocks()),
            seed.and_then(|place| place.time_s),
        )
    };
    let share = |share: &kuraban_trace::picture::Share| (share.case.place(), row(&share.amounts));
    Trace {
        asset: sheet.coin().ticker.to_owned(),
        decimals: sheet.coin().decimals,
        methods: picture.methods.iter().map(|method| method.name()).collect(),
        conserves: picture.methods.iter().map(|method| method.conserves()).collect(),
        shown: sheet.shown,
        tip: Tip { height: sheet.told.tip.blocks(), time: sheet.tip_time_s },
        accounts: sheet.kind == Kind::Accounts,
        until: sheet.until.blocks(),
        totals: sheet.totals.iter().map(|totals| amounts(*totals).map(|sat| sat.map(Sat))).collect(),
        counts: &sheet.counts,
        nodes: picture.nodes.iter().zip(&sheet.places).map(node).collect(),
        flows: picture.flows.iter().enumerate().map(flow).collect(),
        addresses: &sheet.addresses,
        tags: &sheet.tags,
        view: (0..picture.nodes.len()).map(|node| sheet.view.shown(node)).collect(),
        thefts: sheet
            .thefts
            .iter()
            .filter(|_| !picture.shares.is_empty())
            .map(|theft| &*theft.name)
            .collect(),
        shares: picture.shares.iter().map(|all| all.iter().map(share).collect()).collect(),
    }
}
