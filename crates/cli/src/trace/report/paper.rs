//! The report on paper: the same summary, picture and tables as the page's, with numbered pages.
//!
//! Decides where pages break and how many rows of a table are printed. The picture is drawn as lines and letters, over as
//! many pages as it needs to stay legible.

mod drawn;

use kuraban_trace::taint::Totals;

use super::{
    Kind, Sheet, Span,
    beside::{Line, sections},
    page::{KINDS, amounts, words},
    svg,
    words::{coins, count, minute, short, thousands, whole},
};
use crate::{
    ink::{Colour, Face, FontError, INK, Ink, PAGE, RULE, SOFT, Wide},
    say::tame,
};

/// The margins of a page, in tenths of a point.
const LEFT: i64 = 420;
const RIGHT: i64 = PAGE.0 - 420;
const TOP: i64 = PAGE.1 - 480;
const BOTTOM: i64 = 520;
/// Rows that a table has on paper; the page has all.
const ROWS: usize = 500;

/// A report as a PDF file, and letters in it that no font here has.
pub(super) struct Paper {
    pub(super) bytes: Vec<u8>,
    pub(super) missing: String,
}

/// Writes the report.
pub(super) fn paper(sheet: &Sheet<'_>, wide: Option<Wide>) -> Result<Paper, FontError> {
    let mut press = Press { ink: Ink::new(wide), y: 0 };
    press.turn();
    let stolen = sheet.totals.get(sheet.shown).map_or(0, |totals| totals.stolen_sat);
    let title = match sheet.lang {
        crate::say::Lang::En => format!("Where {} went", whole(sheet.coin(), stolen)),
        crate::say::Lang::Ja => format!("{} の行方", whole(sheet.coin(), stolen)),
    };
    press.line(Face::Prose, 90, SOFT, sheet.lang.pick("Kuraban · report of a trace", "蔵番 · 追跡報告書"));
    press.y -= 90;
    press.line(Face::Bold, 200, INK, &title);
    press.y -= 120;
    summary(sheet, &mut press);
    by_theft(sheet, &mut press);
    by_method(sheet, &mut press);
    drawn::picture(sheet, &mut press);
    addresses(sheet, &mut press);
    outputs(sheet, &mut press);
    transactions(sheet, &mut press);
    beside(sheet, &mut press);
    terms(sheet, &mut press);
    let missing: String = press.ink.missing().iter().collect();
    if !missing.is_empty() {
        press.prose(&format!(
            "{} letter(s) of this report are in none of the fonts here and stand as \"?\".",
            missing.chars().count()
        ));
    }
    press.number_pages(sheet);
    Ok(Paper { bytes: press.ink.finish(&title, sheet.lang.pick("en", "ja"))?, missing })
}

/// Pages, and how far down the last one is written.
struct Press {
    ink: Ink,
    y: i64,
}

impl Press {
    /// Begins a page.
    fn turn(&mut self) {
        self.ink.begin_page();
        self.y = TOP;
    }

    /// Begins a page if so much does not fit.
    fn need(&mut self, height: i64) {
        if self.y - height < BOTTOM {
            self.turn();
        }
    }

    fn line(&mut self, face: Face, size: i64, colour: Colour, text: &str) {
        self.need(size * 3 / 2);
        self.y -= size * 3 / 2;
        self.ink.text((LEFT, self.y), face, size, colour, text);
    }

    fn heading(&mut self, text: &str) {
        self.need(900);
        self.y -= 190;
        self.line(Face::Bold, 130, INK, text);
        self.y -= 70;
    }

    /// A paragraph; breaks at spaces, and anywhere between letters of East Asia.
    fn prose(&mut self, text: &str) {
        self.paragraph(Face::Prose, 95, text);
    }

    fn paragraph(&mut self, face: Face, size: i64, text: &str) {
        let mut row = String::new();
        for piece in pieces(text) {
            let with = format!("{row}{piece}");
            if !row.is_empty() && self.ink.width(face, size, with.trim_end()) > RIGHT - LEFT {
                self.line(face, size, INK, row.trim_end());
                row.clear();
                row.push_str(piece.trim_start());
            } else {
                row = with;
            }
        }
        self.line(face, size, INK, row.trim_end());
        self.y -= size / 2;
    }

    /// A table; columns as (right or left edge, whether the edge is the right one, head). Heads stand again on every page.
    fn table(&mut self, size: i64, columns: &[(i64, bool, String)], rows: &[Vec<String>], heads_size: i64) {
        self.need(600);
        self.heads(columns, heads_size);
        for row in rows {
            let height = size * 3 / 2;
            if self.y - height < BOTTOM {
                self.turn();
                self.heads(columns, heads_size);
            }
            self.y -= height;
            for (cell, (x, is_right, _)) in row.iter().zip(columns) {
                if *is_right {
                    self.ink.text_to((*x, self.y), Face::Mono, size, INK, cell);
                } else {
                    self.ink.text((*x, self.y), Face::Mono, size, INK, cell);
                }
            }
            self.ink.rule((LEFT, self.y - size / 2 + 5), RIGHT, 3, RULE);
        }
        self.y -= 80;
    }

    fn heads(&mut self, columns: &[(i64, bool, String)], size: i64) {
        self.y -= size * 3 / 2;
        for (x, is_right, head) in columns {
            if *is_right {
                self.ink.text_to((*x, self.y), Face::Bold, size, INK, head);
            } else {
                self.ink.text((*x, self.y), Face::Bold, size, INK, head);
            }
        }
        self.y -= 45;
        self.ink.rule((LEFT, self.y), RIGHT, 8, SOFT);
    }

    fn number_pages(&mut self, sheet: &Sheet<'_>) {
        let all = self.ink.pages();
        for page in 0..all {
            let number = format!("{} / {all}", page.saturating_add(1));
            let width = self.ink.width(Face::Prose, 80, &number);
            self.ink.text_on(page, (RIGHT - width, 300), Face::Prose, 80, SOFT, &number);
            let digest = format!("SHA-256 {}", sheet.answer_sha256);
            self.ink.text_on(page, (LEFT, 300), Face::Mono, 65, SOFT, &digest);
        }
    }
}

/// Where a paragraph can break: after each space, and around letters of East Asia.
fn pieces(text: &str) -> Vec<String> {
    let mut pieces: Vec<String> = vec![String::new()];
    let mut before = ' ';
    for c in text.chars() {
        let is_wide = |c: char| c >= '\u{2e80}';
        // An opening bracket stays with what follows, a full stop or a closing bracket with what is before it.
        let breaks = before == ' ' || ((is_wide(before) || is_wide(c)) && !"（「".contains(before));
        if breaks && !"、。）」・".contains(c) {
            pieces.push(String::new());
        }
        if let Some(last) = pieces.last_mut() {
            last.push(c);
        }
        before = c;
    }
    pieces
}

fn summary(sheet: &Sheet<'_>, press: &mut Press) {
    let Some(totals) = sheet.totals.get(sheet.shown) else { return };
    let amounts = amounts(*totals);
    let said = |place: usize| {
        let sat = amounts.get(place).copied().flatten();
        sat.map_or_else(|| "-".to_owned(), |sat| whole(sheet.coin(), sat))
    };
    let (method, seeds) = (sheet.told.method, count(sheet.told.seeds.len()));
    let outputs = count(sheet.counts.get(sheet.shown).copied().unwrap_or(0));
    let block = thousands(&sheet.until.blocks().to_string());
    let when = minute(sheet.until_time_s);
    let agreed = whole(sheet.coin(), sheet.agreed_sat);
    let (stolen, unspent, fees, stopped) = (said(0), said(1), said(2), said(4));
    press.heading(sheet.lang.pick("What was found", "結論"));
    let when = if when.is_empty() { when } else { format!(" ({when})") };
    let (places, lies, held) = match sheet.kind {
        Kind::Outputs => ("output(s)", format!("lies unspent in {outputs} output(s)"), "is held at stops"),
        Kind::Accounts => ("transfer(s)", format!("is held by {outputs} account(s)"), "arrived at services"),
    };
    let en = format!(
        "{stolen} was stolen in {seeds} {places}. By the method {method}, up to block {block}{when}, {unspent} of it {lies}; \
         {fees} was paid as fees and {stopped} {held}. On the place of {agreed} every method but poison agrees. Which units are the \
         stolen ones is a rule and no fact of the chain; a trace says nothing about who owns an address."
    );
    let (places, lies, held) = match sheet.kind {
        Kind::Outputs => {
            ("件の出力", format!("{outputs} 件の出力に未使用のまま残り"), "停止先で保留されています")
        }
        Kind::Accounts => ("件の送金", format!("{outputs} 件の口座が保有し"), "サービスに到達しています"),
    };
    let ja = format!(
        "{seeds} {places}で {stolen} が盗まれました。方式 {method} によれば、ブロック {block}{when}の時点で {unspent} を{lies}、\
         {fees} が手数料として支払われ、{stopped} が{held}。{agreed} の所在については、poison を除くすべての方式が一致します。\
         どの単位が盗まれたものかは規則の問題であり、チェーン上の事実ではありません。また、アドレスの所有者については何も示しません。"
    );
    press.prose(sheet.lang.pick(&en, &ja));
}

/// The totals of several thefts, with the letters that the picture has.
fn by_theft(sheet: &Sheet<'_>, press: &mut Press) {
    if sheet.thefts.is_empty() {
        return;
    }
    press.heading(sheet.lang.pick("By theft", "事件ごとの結果"));
    let method = sheet.told.method;
    let en = format!(
        "By the method {method}, the earliest theft first, which keeps the units that several claim. In the picture of outputs letters \
         over a box say of which thefts its units are, and lines are striped in proportion."
    );
    let ja = format!(
        "方式 {method} によります（早い事件から順に。複数の事件が主張する単位は、最も早い事件に属します）。出力の図では、箱の上の文字がどの\
         事件の盗難分かを、線の縞がその割合を示します。"
    );
    press.prose(sheet.lang.pick(&en, &ja));
    let kinds = i64::try_from(KINDS.len()).unwrap_or(1).max(1);
    let mut columns = vec![(LEFT, false, sheet.coin().ticker.to_owned())];
    for (place, kind) in (1_i64..).zip(0..KINDS.len()) {
        let (en, ja) = words(sheet, kind);
        let x = LEFT + 1100 + (RIGHT - LEFT - 1100) * place / kinds;
        columns.push((x, true, sheet.lang.pick(en, ja).to_owned()));
    }
    let row = |(place, theft): (usize, &super::thefts::Theft)| {
        let name: String =
            format!("{} {}", super::thefts::letter(place), theft.name).chars().take(26).collect();
        let cell = |sat: &Option<u128>| sat.map_or_else(|| "-".to_owned(), |sat| coins(sheet.coin(), sat));
        core::iter::once(name).chain(theft.totals.iter().map(cell)).collect()
    };
    let rows: Vec<Vec<String>> = sheet.thefts.iter().enumerate().map(row).collect();
    press.table(56, &columns, &rows, 50);
}

fn by_method(sheet: &Sheet<'_>, press: &mut Press) {
    press.heading(sheet.lang.pick("By every method", "方式ごとの結果"));
    let methods = i64::try_from(sheet.picture.methods.len()).unwrap_or(1).max(1);
    let mut columns = vec![(LEFT, false, sheet.coin().ticker.to_owned())];
    for (place, method) in (1_i64..).zip(&sheet.picture.methods) {
        let x = LEFT + 860 + (RIGHT - LEFT - 860) * place / methods;
        columns.push((x, true, method.name().to_owned()));
    }
    let row = |(kind, _): (usize, &(&str, &str, &str))| {
        let (en, ja) = words(sheet, kind);
        let cell = |totals: &Totals| {
            let sat = amounts(*totals).get(kind).copied().flatten();
            sat.map_or_else(|| "-".to_owned(), |sat| coins(sheet.coin(), sat))
        };
        core::iter::once(sheet.lang.pick(en, ja).to_owned()).chain(sheet.totals.iter().map(cell)).collect()
    };
    let rows: Vec<Vec<String>> = KINDS.iter().enumerate().map(row).collect();
    press.table(62, &columns, &rows, 68);
    press.prose(sheet.lang.pick(
        "Beneath what was stolen, each column but poison's adds up to it, to the unit.",
        "poison を除く各列では、盗難総額の下の金額の合計が盗難総額と最小単位まで一致します。",
    ));
}

/// How many rows are not printed.
fn rest(sheet: &Sheet<'_>, press: &mut Press, rows: usize, sat: impl FnOnce() -> u128) {
    let more = rows.saturating_sub(ROWS);
    if more > 0 {
        let (more, sat) = (count(more), whole(sheet.coin(), sat()));
        let en = format!("And {more} more with {sat} together; the page made by --report has all.");
        let ja = format!("ほか {more} 件、合計 {sat}。すべての行は --report のページにあります。");
        press.prose(sheet.lang.pick(&en, &ja));
    }
}

fn span_columns(sheet: &Sheet<'_>) -> [(i64, bool, String); 3] {
    let head = |en: &str, ja: &str| sheet.lang.pick(en, ja).to_owned();
    [
        (RIGHT - 1400, true, sheet.told.method.to_owned()),
        (RIGHT - 700, true, head("least", "最小")),
        (RIGHT, true, head("most", "最大")),
    ]
}

fn span_cells(sheet: &Sheet<'_>, span: Span) -> [String; 2] {
    [coins(sheet.coin(), span.min_sat), coins(sheet.coin(), span.max_sat)]
}

fn addresses(sheet: &Sheet<'_>, press: &mut Press) {
    press.heading(sheet.lang.pick("Who holds it now", "現在の保有アドレス"));
    press.prose(sheet.lang.pick(
        "Addresses with unspent or held stolen units, by any method, and the least and the most that any method but poison finds \
         there. On what stands under \"least\" all of them agree.",
        "いずれかの方式で盗難分を保有するアドレスと、poison を除く方式での最小額・最大額です。最小額はすべての方式が一致する部分です。",
    ));
    let owners = sheet.owners();
    let row = |owner: &super::Owner| {
        let address = sheet.addresses.get(owner.address).cloned().unwrap_or_default();
        let tags =
            sheet.tags.get(&owner.address).map(|tags| format!(" [{}]", tags.join(", "))).unwrap_or_default();
        let [least, most] = span_cells(sheet, owner.span);
        let shown: String = format!("{address}{tags}").chars().take(84).collect();
        vec![shown, coins(sheet.coin(), owner.held_sat), least, most]
    };
    let rows: Vec<Vec<String>> = owners.iter().take(ROWS).map(row).collect();
    let [held, least, most] = span_columns(sheet);
    let address = (LEFT, false, sheet.lang.pick("Address", "アドレス").to_owned());
    press.table(70, &[address, held, least, most], &rows, 72);
    rest(sheet, press, owners.len(), || {
        owners.iter().skip(ROWS).fold(0, |sum, owner| sum.saturating_add(owner.held_sat))
    });
}

fn outputs(sheet: &Sheet<'_>, press: &mut Press) {
    press.heading(sheet.lang.pick(
        sheet.kind.pick("Outputs where the trace ends", "Where the trace ends"),
        sheet.kind.pick("追跡の終点となる出力", "追跡の終点"),
    ));
    let finals = sheet.finals();
    let row = |end: &super::Final| {
        let at = sheet
            .outpoints
            .get(end.flow)
            .and_then(Option::as_ref)
            .map_or_else(|| held_by(sheet, end.flow), ToString::to_string);
        let flow = sheet.picture.flows.get(end.flow);
        let kind = flow.map_or("", |flow| svg::sign(sheet.end(flow)).0);
        let [least, most] = span_cells(sheet, end.span);
        vec![at, kind.to_owned(), coins(sheet.coin(), sheet.amount(end.flow)), least, most]
    };
    let rows: Vec<Vec<String>> = finals.iter().take(ROWS).map(row).collect();
    let [held, least, most] = span_columns(sheet);
    let output = (LEFT, false, sheet.lang.pick("Output", "出力").to_owned());
    let kind = (RIGHT - 2420, false, sheet.lang.pick("", "").to_owned());
    press.table(62, &[output, kind, held, least, most], &rows, 72);
    rest(sheet, press, finals.len(), || {
        let more = finals.iter().skip(ROWS).map(|end| sheet.amount(end.flow));
        more.fold(0, u128::saturating_add)
    });
}

/// The account that keeps units.
fn held_by(sheet: &Sheet<'_>, flow: usize) -> String {
    sheet.address(flow).unwrap_or_default().to_owned()
}

fn transactions(sheet: &Sheet<'_>, press: &mut Press) {
    press.heading(sheet.lang.pick(
        sheet.kind.pick("Transactions on the way", "Accounts on the way"),
        sheet.kind.pick("経路上の取引", "経路上の口座"),
    ));
    let came_in = sheet.came_in();
    let nodes = sheet.picture.nodes.iter().zip(&sheet.places).zip(&came_in);
    let all: Vec<Vec<String>> = nodes
        .filter_map(|((node, place), came_in)| {
            let place = place.as_ref()?;
            Some(vec![
                thousands(&place.height.blocks().to_string()),
                minute(place.time_s),
                place.txid.clone(),
                coins(sheet.coin(), *came_in),
                coins(sheet.coin(), node.fees.of(sheet.shown)),
            ])
        })
        .collect();
    let pick = |en: &str, ja: &str| sheet.lang.pick(en, ja).to_owned();
    let columns = [
        (LEFT, false, pick("Block", "ブロック")),
        (LEFT + 420, false, String::new()),
        (
            LEFT + 1180,
            false,
            pick(sheet.kind.pick("Transaction", "Account"), sheet.kind.pick("取引", "口座")),
        ),
        (RIGHT - 640, true, pick("In", "流入")),
        (RIGHT, true, pick("Fee", "手数料")),
    ];
    let rows: Vec<Vec<String>> = all.iter().take(ROWS).cloned().collect();
    press.table(62, &columns, &rows, 72);
    let more = all.len().saturating_sub(ROWS);
    if more > 0 {
        press.prose(&format!("+{}", count(more)));
    }
}

/// What was asked beside the trace.
fn beside(sheet: &Sheet<'_>, press: &mut Press) {
    for section in sections(sheet, sheet.lang) {
        press.heading(&section.title);
        press.prose(&section.lead);
        let [_, place, least, most] = section.heads;
        let row = |line: &Line| {
            let tags =
                if line.tags.is_empty() { String::new() } else { format!(" [{}]", line.tags.join(", ")) };
            let address = tame(line.address.as_deref().unwrap_or_default());
            let [one, other] = line.amounts.clone();
            let shown: String =
                format!("{} {address}{tags}", shortened(&line.place)).chars().take(84).collect();
            vec![shown, one, other]
        };
        let rows: Vec<Vec<String>> = section.rows.iter().take(ROWS).map(row).collect();
        let columns = [
            (LEFT, false, place.0.to_owned()),
            (RIGHT - 700, true, least.0.to_owned()),
            (RIGHT, true, most.0.to_owned()),
        ];
        press.table(62, &columns, &rows, 72);
        let more = section.all.saturating_sub(rows.len());
        if more > 0 {
            press.prose(&format!("+{}", count(more)));
        }
    }
}

/// An outpoint that leaves room for its address; other words as they are.
fn shortened(place: &str) -> String {
    match place.split_once(':') {
        Some((txid, vout)) if txid.len() == 64 => format!("{}:{vout}", short(txid, 10, 8)),
        Some(_) | None => place.to_owned(),
    }
}

fn terms(sheet: &Sheet<'_>, press: &mut Press) {
    press.heading(sheet.lang.pick("Terms, and how to verify", "条件と検証方法"));
    let pick = |en: &'static str, ja: &'static str| sheet.lang.pick(en, ja);
    let rows = sheet.told.terms.iter().map(|term| (pick(term.en, term.ja), term.value.clone()));
    let digest = (pick("SHA-256 of the answer", "結果の SHA-256"), sheet.answer_sha256.clone());
    let rows = rows.chain([digest]);
    for (name, value) in rows {
        press.line(Face::Prose, 78, SOFT, name);
        press.paragraph(Face::Mono, 74, &value);
    }
    press.line(Face::Prose, 78, SOFT, pick("Seeds", "起点"));
    for (seed, units) in sheet.told.seeds.iter().take(ROWS) {
        press.line(Face::Mono, 70, INK, &format!("{seed} {}", whole(sheet.coin(), *units)));
    }
    press.y -= 100;
    press.prose(if sheet.kind == Kind::Accounts {
        pick(
            "Whoever has the same list of transfers gets the same answer with `kuraban trace --transfers` and these terms.",
            "同じ送金一覧があれば、誰でも同じ条件の kuraban trace --transfers で同じ結果を得られます。",
        )
    } else if sheet.proven {
        pick(
            "This report was made from a proof bundle whose work, branches and ids were checked, and whose trace was run again with \
             the same answer. A bundle cannot show that the unspent outputs are unspent, nor that its headers are the chain with \
             most work: compare the last block's hash with a node's.",
            "この報告書は証明バンドルから作成しました。作業証明・ハッシュの枝・取引 ID を検査し、追跡を再実行して同じ結果を得ています。\
             未使用の出力が今も未使用であること、最長のチェーンであることは、バンドルだけでは示せません。",
        )
    } else {
        pick(
            "Whoever has the same blocks gets the same answer with `kuraban trace` and these terms. A file made with --bundle is \
             checked by `kuraban trace verify FILE` without an index, a node or a network; both print the digest above.",
            "同じブロックがあれば、誰でも同じ条件の kuraban trace で同じ結果を得られます。--bundle で作ったファイルは、索引もノードも\
             ネットワークもなしに kuraban trace verify FILE で検証でき、上のダイジェストが表示されます。",
        )
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_break_at_spaces_and_between_letters_of_east_asia() {
        let check = |text: &str, want: &[&str]| {
            let found: Vec<String> = pieces(text).into_iter().filter(|piece| !piece.is_empty()).collect();
            assert_eq!(found, want, "{text}");
        };
        check("one two", &["one ", "two"]);
        check("蔵番です。", &["蔵", "番", "で", "す。"]);
        check("方式 fifo（甲）", &["方", "式", " ", "fifo", "（甲）"]);
    }
}
