//! A statement for its customer: on a terminal, as a page that opens without a network, on paper. Decides how it looks; every figure
//! is the statement's, or what its own figures leave.

use std::path::Path;

use kuraban_ledger::{scheme::Remainder, units};

use super::statement::{Proven, Statement};
use crate::{
    fail::{Failure, OrFail as _},
    file,
    ink::{self, Face, INK, Ink, PAGE, RULE, SOFT},
    say::{Lang, Say, Side, escaped, table, tame, thousands},
};

/// The margins of paper, in tenths of a point.
const LEFT: i64 = 420;
const RIGHT: i64 = PAGE.0 - 420;
const TOP: i64 = PAGE.1 - 480;
const BOTTOM: i64 = 520;
/// Characters of a hash or a salt in a line of paper.
const HASH_LINE: usize = 64;

const STYLE: &str = "body{font:16px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c2126}\
table{border-collapse:collapse;width:100%}th,td{padding:.3rem .6rem;border-bottom:1px solid #ccc;text-align:right}\
th:first-child,td:first-child{text-align:left}.scroll{overflow-x:auto}code,pre{font-size:.8rem;overflow-wrap:anywhere;\
white-space:pre-wrap}dt{color:#59616b}dd{margin:0 0 .4rem}";

/// The heads of the lines' columns. By a plan of insolvency money is claimed, and not all of it paid.
fn heads(statement: &Statement, lang: Lang) -> [String; 6] {
    let heads = match (lang, statement.plan) {
        (Lang::En, false) => ["for", "held", "rate", "in kind", "cash", "rounding"],
        (Lang::En, true) => ["for", "held", "rate", "in kind", "claim", "rounding"],
        (Lang::Ja, false) => ["対象", "保有", "単価", "現物", "金銭", "端数"],
        (Lang::Ja, true) => ["対象", "保有", "単価", "現物", "請求額", "端数"],
    };
    heads.map(str::to_owned)
}

/// What a line is for: an asset by its code, other things in words.
fn purpose(what: &str, lang: Lang) -> String {
    match what {
        "fills" => lang.pick("fills made good", "約定の差額補填").to_owned(),
        "refunds" => lang.pick("fees refunded", "手数料の返還").to_owned(),
        asset => tame(asset),
    }
}

fn cells(statement: &Statement, lang: Lang) -> impl Iterator<Item = [String; 6]> {
    statement.lines.iter().map(move |line| {
        let shown = |cell: &String| if cell.is_empty() { "–".to_owned() } else { thousands(&tame(cell)) };
        let [held, rate, in_kind, cash, rounding] =
            [&line.held, &line.rate, &line.in_kind, &line.cash, &line.rounding].map(shown);
        [purpose(&line.what, lang), held, rate, in_kind, cash, rounding]
    })
}

/// What is known beside the lines: a name and a value each; what is nothing is left out.
fn sums(statement: &Statement, lang: Lang) -> Vec<(&'static str, String)> {
    let mut sums = vec![
        (lang.pick("Customer", "お客様番号"), tame(&statement.customer)),
        (lang.pick("Scheme", "補償方式"), tame(&statement.scheme)),
    ];
    if let Some(as_of) = &statement.as_of {
        sums.push((lang.pick("As of", "基準時点"), tame(as_of)));
    }
    let unpaid = unpaid(statement).unwrap_or_default();
    for (name, amount) in [
        (lang.pick("Claim", "請求額"), &statement.claim),
        (lang.pick("Base payment", "基本弁済"), &statement.base),
        (lang.pick("Early or final payment", "早期・最終弁済"), &statement.rest),
        (lang.pick("Left unpaid by the plan", "計画により支払われない額"), &unpaid),
        (lang.pick("Taken off by the cap", "上限による減額"), &statement.capped),
        (lang.pick("Below the minimum, not paid", "下限未満で不払い"), &statement.below_minimum),
    ] {
        if !amount.is_empty() && amount != "0" {
            sums.push((name, money(statement, amount)));
        }
    }
    sums.push((lang.pick("Paid in cash", "支払額（金銭）"), money(statement, &statement.cash)));
    sums
}

/// What a plan leaves of the claim.
fn unpaid(statement: &Statement) -> Option<String> {
    let amount = |text: &str| units(text, statement.decimals).ok();
    let paid = amount(&statement.base)?.plus(amount(&statement.rest)?)?;
    let left = amount(&statement.claim)?.less(paid)?;
    statement.plan.then(|| left.to_coins(statement.decimals))
}

fn money(statement: &Statement, amount: &str) -> String {
    format!("{} {}", thousands(&tame(amount)), tame(&statement.currency))
}

/// Who bears what rounding leaves.
const fn borne(by: Remainder, lang: Lang) -> &'static str {
    match by {
        Remainder::Operator => lang.pick(
            "Each amount is rounded by itself; the operator bears the difference to the exact total.",
            "端数処理は金額ごとに行い、正確な総額との差は会社が負担します。",
        ),
        Remainder::Customers => lang.pick(
            "The total is rounded once; customers bear the difference among themselves.",
            "端数処理は総額について一度だけ行い、差はお客様の間で調整します。",
        ),
    }
}

const fn title(lang: Lang) -> &'static str {
    lang.pick("Statement of compensation", "補償金通知書")
}

const fn advice(lang: Lang) -> &'static str {
    lang.pick(
        "With this statement's file (JSON) and the published root: kuraban claims verify FILE --root ROOT",
        "この通知書のファイル（JSON）と公表されたルートにより、kuraban claims verify FILE --root ROOT で検証できます。",
    )
}

/// For a terminal.
pub(super) fn text(proven: &Proven, by: Remainder, lang: Lang) -> String {
    let statement = &proven.statement;
    let mut rows = vec![heads(statement, lang)];
    rows.extend(cells(statement, lang));
    let sides = [Side::Left, Side::Right, Side::Right, Side::Right, Side::Right, Side::Right];
    let mut lines = vec![title(lang).to_owned()];
    lines.extend(sums(statement, lang).into_iter().map(|(name, value)| format!("{name}: {value}")));
    lines.push(table(sides, &rows).trim_end().to_owned());
    lines.push(borne(by, lang).to_owned());
    lines.push(format!("{}: {}", lang.pick("Root", "ルート"), proven.inclusion.root));
    lines.join("\n")
}

/// As a page, with the statement's file in it.
pub(super) fn page(proven: &Proven, by: Remainder, lang: Lang) -> Result<String, serde_json::Error> {
    let statement = &proven.statement;
    let row = |cells: [String; 6], cell: &str| {
        let cells = cells.map(|text| format!("<{cell}>{}</{cell}>", escaped(&text)));
        format!("<tr>{}</tr>", cells.concat())
    };
    let sums = sums(statement, lang);
    let sums: String = sums
        .iter()
        .map(|(name, value)| format!("<dt>{}</dt><dd>{}</dd>", escaped(name), escaped(value)))
        .collect();
    let lines: String = cells(statement, lang).map(|cells| row(cells, "td")).collect();
    let json = serde_json::to_string(proven)?;
    Ok(format!(
        "<!doctype html>\n<html lang=\"{}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <h1>{title}</h1>\n<dl>{sums}</dl>\n<div class=\"scroll\"><table><thead>{}</thead><tbody>{lines}</tbody></table></div>\n\
         <p>{}</p>\n<h2>{}</h2>\n<p>{}</p>\n<p><code>{}</code></p>\n<details><summary>{}</summary><pre>{}</pre></details>\n</body>\n</html>\n",
        lang.pick("en", "ja"),
        row(heads(statement, lang), "th"),
        escaped(borne(by, lang)),
        lang.pick("How to verify", "検証方法"),
        escaped(advice(lang)),
        escaped(&proven.inclusion.root),
        lang.pick("The statement's file", "通知書ファイル"),
        escaped(&json),
        title = title(lang),
    ))
}

/// On paper.
pub(super) fn paper(
    proven: &Proven,
    by: Remainder,
    path: &Path,
    font: Option<&Path>,
    say: &Say,
) -> Result<(), Failure> {
    let lang = say.lang();
    let font = ink::wide_font(font).or_input("--pdf-font")?;
    if lang == Lang::Ja && font.is_none() {
        return Err(Failure::input(
            "--pdf: no font with Japanese glyphs was found; install one, such as Debian's fonts-ipafont-gothic, name one with \
             --pdf-font, or ask for --lang en",
        ));
    }
    let mut press = Press { ink: Ink::new(font), y: 0 };
    press.turn();
    let statement = &proven.statement;
    press.line(Face::Bold, 180, title(lang));
    press.y -= 100;
    for (name, value) in sums(statement, lang) {
        press.line(Face::Prose, 95, &format!("{name}: {value}"));
    }
    press.y -= 100;
    press.row(Face::Bold, &heads(statement, lang));
    for cells in cells(statement, lang) {
        press.row(Face::Mono, &cells);
    }
    press.y -= 40;
    press.line(Face::Prose, 80, borne(by, lang));
    press.y -= 150;
    press.line(Face::Bold, 120, lang.pick("How to verify", "検証方法"));
    press.line(Face::Prose, 90, advice(lang));
    let inclusion = &proven.inclusion;
    let (number, size) = (inclusion.index.saturating_add(1), inclusion.size);
    press.line(
        Face::Prose,
        90,
        &match lang {
            Lang::En => {
                format!("Statement {number} of {size}. Root, salt, then the path from the leaf to the root:")
            }
            Lang::Ja => format!("全 {size} 件中 {number} 件目。ルート、ソルト、葉からルートへの経路："),
        },
    );
    for hash in [&inclusion.root, &statement.salt].into_iter().chain(&inclusion.path) {
        press.line(Face::Mono, 80, &hash.chars().take(HASH_LINE).collect::<String>());
    }
    let missing: Vec<String> = press.ink.missing().iter().map(|c| c.escape_unicode().to_string()).collect();
    let pdf =
        press.ink.finish(title(lang), lang.pick("en", "ja")).or_undone("the PDF file cannot be made")?;
    file::write(path, &pdf)?;
    if missing.is_empty() {
        return Ok(());
    }
    say.show(&format!(
        "{}: no font here has {}; each stands as \"?\". --pdf-font names a font",
        path.display(),
        missing.join(" ")
    ))
}

/// Pages, and how far down the last one is written.
struct Press {
    ink: Ink,
    y: i64,
}

impl Press {
    fn turn(&mut self) {
        self.ink.begin_page();
        self.y = TOP;
    }

    fn down(&mut self, height: i64) {
        if self.y - height < BOTTOM {
            self.turn();
        }
        self.y -= height;
    }

    fn line(&mut self, face: Face, size: i64, text: &str) {
        self.down(size * 3 / 2);
        self.ink.text((LEFT, self.y), face, size, INK, text);
    }

    /// The first cell at the left, the others in columns that end at their right.
    fn row(&mut self, face: Face, cells: &[String; 6]) {
        self.down(115);
        for (place, cell) in (0_i64..).zip(cells) {
            if place == 0 {
                self.ink.text((LEFT, self.y), face, 70, INK, cell);
            } else {
                let x = LEFT + (RIGHT - LEFT) * (place + 1) / 6;
                self.ink.text_to((x, self.y), face, 70, if face == Face::Bold { SOFT } else { INK }, cell);
            }
        }
        self.ink.rule((LEFT, self.y - 35), RIGHT, 4, RULE);
    }
}
