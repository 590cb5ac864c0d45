//! The picture of the first look, as SVG that needs no script.
//!
//! Decides strokes and labels; places are the scene's. The page's script draws the same anew.

use kuraban_trace::{
    picture::{Column, Face, Link, Placed},
    taint::End,
};

use super::{
    Sheet, thefts,
    words::{brief, count, escaped, minute, short, thousands, whole},
};

/// The whole element.
pub(super) fn svg(sheet: &Sheet<'_>) -> String {
    let scene = &sheet.scene;
    let (width, height) = (scene.width, scene.height);
    let mut out = format!(
        "<svg id=\"picture\" xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"group\" aria-labelledby=\"picture-name\">\n<g class=\"heads\">"
    );
    for column in &scene.columns {
        out += &head(sheet, column);
    }
    out += "</g>\n<g class=\"links\">\n";
    for link in &scene.links {
        out += &path(sheet, link);
    }
    out += "</g>\n<g class=\"boxes\">\n";
    let came_in = sheet.came_in();
    for at in &scene.boxes {
        out += &drawn(sheet, at, &came_in);
    }
    out + "</g></svg>"
}

/// What stands over a column: the blocks of its transactions.
fn head(sheet: &Sheet<'_>, column: &Column) -> String {
    let Some((range, day)) = blocks(sheet, column) else { return String::new() };
    let (x, line) = (column.x, column.x - 14);
    let bottom = sheet.scene.height;
    format!(
        "<text x=\"{x}\" y=\"24\">{range}</text><text x=\"{x}\" y=\"40\" class=\"day\">{day}</text>\
         <line x1=\"{line}\" x2=\"{line}\" y1=\"12\" y2=\"{bottom}\"/>\n"
    )
}

/// The heights of a column and the day of the first; nothing for the theft's.
pub(super) fn blocks(sheet: &Sheet<'_>, column: &Column) -> Option<(String, String)> {
    let place = |node: Option<&usize>| sheet.places.get(*node?)?.as_ref();
    let (first, last) = (place(column.nodes.first())?, place(column.nodes.last())?);
    let day = minute(first.time_s).chars().take(10).collect();
    let number = |height: kuraban_base::Height| thousands(&height.blocks().to_string());
    let range = if first.height == last.height {
        format!("block {}", number(first.height))
    } else {
        format!("blocks {}–{}", number(first.height), number(last.height))
    };
    Some((range, day))
}

/// A link's width in tenths of a pixel, in proportion to what was stolen.
pub(super) fn tenths(sheet: &Sheet<'_>, sat: u128) -> u128 {
    let stolen_sat = sheet.totals.get(sheet.shown).map_or(0, |totals| totals.stolen_sat).max(1);
    sat.saturating_mul(150).checked_div(stolen_sat).unwrap_or(0).saturating_add(14)
}

fn path(sheet: &Sheet<'_>, link: &Link) -> String {
    let sat = sheet.sum(link.flows.iter());
    let tenths = tenths(sheet, sat);
    let none = if sat == 0 { " none" } else { "" };
    let whose = thefts::whose(sheet, link.flows.iter());
    let first =
        thefts::first(&whose).map_or_else(String::new, |place| format!(" c{}", thefts::colour(place)));
    let (width, way) = (format!("{}.{}", tenths / 10, tenths % 10), way(link));
    let stripe = |(place, length, start): (usize, u128, u128)| {
        let (dashes, offset) = thefts::pattern(length, start);
        format!(
            "<path class=\"stripe c{}\" stroke-width=\"{width}\" stroke-dasharray=\"{dashes}\" stroke-dashoffset=\"{offset}\" \
             d=\"{way}\"/>\n",
            thefts::colour(place)
        )
    };
    let stripes: String = thefts::stripes(&whose).into_iter().map(stripe).collect();
    format!(
        "<path class=\"link{none}{first}\" stroke-width=\"{width}\" d=\"{way}\"><title>{}{}</title></path>\n{stripes}",
        whole(sheet.coin(), sat),
        thefts::told(sheet, &whose),
    )
}

/// The curves of a link, from box to box and between those on its way.
fn way(link: &Link) -> String {
    let mut out = format!("M{} {}", link.start.0, link.start.1);
    for [(x1, y1), (x2, y2)] in curves(link) {
        let bend = bend(x1, x2);
        out += &format!("L{x1} {y1}C{} {y1} {} {y2} {x2} {y2}", x1 + bend, x2 - bend);
    }
    out
}

/// Where each curve of a link begins and ends; straight lines join them.
pub(super) fn curves(link: &Link) -> Vec<[(i64, i64); 2]> {
    let mut from = link.start;
    let mut curves = Vec::with_capacity(link.vias.len().saturating_add(1));
    for (left, right, y) in &link.vias {
        curves.push([from, (*left, *y)]);
        from = (*right, *y);
    }
    curves.push([from, link.stop]);
    curves
}

/// How far a curve goes level before it turns.
pub(super) fn bend(x1: i64, x2: i64) -> i64 {
    if x2 > x1 { (x2 - x1) / 2 } else { 120 }
}

/// How an end is marked, in words and in a sign.
pub(super) const fn sign(end: End) -> (&'static str, &'static str) {
    match end {
        End::Spent(_) => ("spent", ""),
        End::Unspent => ("unspent", "●"),
        End::Stopped => ("stopped", "■"),
        End::Dust => ("dust", "·"),
        End::Burned => ("burned", "✕"),
        End::Shielded => ("shielded", "◆"),
    }
}

/// What a box says in two lines, and its kinds.
pub(super) fn label(sheet: &Sheet<'_>, at: &Placed, came_in: &[u128]) -> (String, u128, String) {
    match at.face {
        Face::Node(0) => {
            let stolen = sheet.totals.get(sheet.shown).map_or(0, |totals| totals.stolen_sat);
            ("Stolen".to_owned(), stolen, "node theft".to_owned())
        }
        Face::Node(node) => {
            let txid = sheet.places.get(node).and_then(Option::as_ref).map_or("", |place| &place.txid);
            (short(txid, 6, 4), came_in.get(node).copied().unwrap_or(0), "node".to_owned())
        }
        Face::End(flow) => {
            let end = sheet.picture.flows.get(flow).map_or(End::Unspent, |flow| sheet.end(flow));
            let tags = sheet.tags(flow);
            let name = match (tags.first(), sheet.address(flow)) {
                (Some(tag), _) => format!("⚑ {}", short(tag, 10, 2)),
                (None, Some(address)) => short(address, 7, 5),
                (None, None) => sheet.outpoints.get(flow).cloned().flatten().map_or_else(String::new, |at| {
                    let txid: String = at.txid.chars().take(7).collect();
                    format!("{txid}…:{}", at.index)
                }),
            };
            let tagged = if tags.is_empty() { "" } else { " tagged" };
            (name, sheet.amount(flow), format!("end {}{tagged}", sign(end).0))
        }
        Face::Folded(node) => {
            let size = sheet.tree.folded(node, sheet.view.shown(node));
            let into = sheet.scene.links.iter().filter(|link| link.to == at.face);
            let sat = into.fold(0_u128, |sum, link| sum.saturating_add(sheet.sum(link.flows.iter())));
            (format!("+{}", count(size.nodes.saturating_add(size.ends))), sat, "folded".to_owned())
        }
    }
}

fn drawn(sheet: &Sheet<'_>, at: &Placed, came_in: &[u128]) -> String {
    let (name, sat, class) = label(sheet, at, came_in);
    let none = if sat == 0 { " none" } else { "" };
    let (face, radius, mark) = match at.face {
        Face::Node(node) => (format!("n{node}"), 6, String::new()),
        Face::Folded(node) => (format!("f{node}"), 16, String::new()),
        Face::End(flow) => {
            let end = sheet.picture.flows.get(flow).map_or(End::Unspent, |flow| sheet.end(flow));
            (format!("e{flow}"), 2, format!("{} ", sign(end).1))
        }
    };
    let middle = at.height / 2;
    let whose = thefts::whose(sheet, thefts::flows_of(sheet, at.face).iter());
    format!(
        "<g class=\"box {class}{none}\" data-f=\"{face}\" transform=\"translate({} {})\"><title>{}</title>\
         <rect width=\"{}\" height=\"{}\" rx=\"{radius}\"/><text x=\"8\" y=\"{}\" class=\"name\">{}</text>\
         <text x=\"8\" y=\"{}\" class=\"sum\">{mark}{}</text>{}</g>\n",
        at.x,
        at.y,
        escaped(&(told(sheet, at, sat) + &thefts::told(sheet, &whose))),
        at.width,
        at.height,
        middle - 3,
        escaped(&name),
        middle + 11,
        escaped(&brief(sheet.coin(), sat)),
        letters(at, &whose),
    )
}

/// Over a box, the letters of the thefts whose units are there.
fn letters(at: &Placed, whose: &[(usize, u128)]) -> String {
    let (shown, is_more) = thefts::letters(whose);
    let one = |(place, _): &(usize, u128)| {
        format!("<tspan class=\"c{}\">{}</tspan>", thefts::colour(*place), thefts::letter(*place))
    };
    let all: String = shown.iter().map(one).collect();
    let more = if is_more { "…" } else { "" };
    format!("<text x=\"{}\" y=\"-2\" class=\"whose\">{all}{more}</text>", at.width)
}

/// What a box says to whoever points at it.
fn told(sheet: &Sheet<'_>, at: &Placed, sat: u128) -> String {
    let amount = whole(sheet.coin(), sat);
    match at.face {
        Face::Node(0) => format!("Stolen: {amount}"),
        Face::Node(node) => {
            sheet.places.get(node).and_then(Option::as_ref).map_or_else(String::new, |place| {
                let what = sheet.kind.pick("Transaction", "Account");
                format!("{what} {}, block {}: {amount}", place.txid, place.height)
            })
        }
        Face::End(flow) => {
            let address = sheet.address(flow).unwrap_or("no address");
            format!("{} {address}: {amount}", sheet.tags(flow).join(", ")).trim_start().to_owned()
        }
        Face::Folded(node) => {
            let size = sheet.tree.folded(node, sheet.view.shown(node));
            let (nodes, ends) = (count(size.nodes), count(size.ends));
            format!("Folded: {nodes} transactions, {ends} final outputs: {amount}")
        }
    }
}
