//! The picture of the first look, on paper.
//!
//! Decides its scale, and cuts it into pages where it would be too small to read on one.

use kuraban_trace::{
    picture::{Face, Link, Placed},
    taint::End,
};
use pdf_writer::{Content, types::LineCapStyle};

use super::{
    super::{
        Kind, Sheet, svg, thefts,
        words::{brief, count},
    },
    LEFT, Press, RIGHT,
};
use crate::ink::{self, Colour, INK, SOFT, number};

/// Hundredths of a point a pixel, and the same as a factor of tenths of a point.
const SCALE: i64 = 54;
const FACTOR: f32 = 5.4;
/// Its opposite, which turns the vertical axis.
const DOWN: f32 = -5.4;
/// The most that a strip of the picture takes of a page, in tenths of a point.
const HEIGHT: i64 = 6_600;

const TAINT: Colour = (0.76, 0.25, 0.05);
const PALE: Colour = (0.89, 0.65, 0.52);
/// Of several thefts, by their colours.
const THEFTS: [Colour; thefts::COLOURS] = [
    (0.76, 0.25, 0.05),
    (0.04, 0.36, 0.68),
    (0.08, 0.50, 0.24),
    (0.49, 0.13, 0.81),
    (0.54, 0.35, 0.0),
    (0.05, 0.45, 0.56),
];
const FILL: Colour = (1.0, 0.96, 0.94);
const WHITE: Colour = (1.0, 1.0, 1.0);
const UNSPENT: Colour = (0.71, 0.14, 0.09);
const STOPPED: Colour = (0.04, 0.36, 0.68);
const SHIELDED: Colour = (0.43, 0.16, 0.66);

/// Draws the picture in strips of whole columns, one beneath the other.
pub(super) fn picture(sheet: &Sheet<'_>, press: &mut Press) {
    let scene = &sheet.scene;
    press.heading(sheet.lang.pick("The flow, by time", "時間順の流れ"));
    press.prose(if sheet.kind == Kind::Accounts {
        sheet.lang.pick(
            "Accounts from left to right in the order in which stolen units came to them, and beside them what they still hold (red) \
             and what arrived at services (blue). +N is what is folded. A line is as wide as the stolen units of its transfers.",
            "口座を盗難分が届いた順に左から右へ、その横に口座に残る分（赤）とサービスへの到達分（青）を示します。+N はたたまれた部分です。\
             線の太さは送金された盗難分に比例します。",
        )
    } else { sheet.lang.pick(
        "Transactions from left to right in the order of blocks, and beside them the outputs where the trace ends: unspent (red), held \
         at a stop (blue). +N is what is folded, with how many outputs of it end the trace. A line is as wide as the stolen units that \
         it carries.",
        "取引をブロックの順に左から右へ、その横に追跡の終点となる出力（赤は未使用、青は停止先で保留）を示します。+N はたたまれた部分で、\
         括弧内は終点となる出力の数です。線の太さは盗難分に比例します。",
    ) });
    let (room, tallest) = ((RIGHT - LEFT) * 10 / SCALE, HEIGHT * 10 / SCALE);
    let starts: Vec<i64> = scene.columns.iter().map(|column| column.x).collect();
    let pitch = match starts.as_slice() {
        [one, next, ..] => next - one,
        [_] | [] => room,
    };
    let width = (room / pitch.max(1)).max(1) * pitch;
    let height = scene.height.min(tallest);
    let first = starts.first().map_or(0, |start| start - 20);
    let (across, down) = (parts(scene.width - first - 24, width), parts(scene.height, height));
    let came_in = sheet.came_in();
    for strip in 0..across * down {
        let (column, row) = (strip % across, strip / across);
        press.need(height * SCALE / 10 + 200);
        let top = press.y - 60;
        let cut = Cut { left: first + column * width, top: row * height, width, height };
        press.ink.on_page(|content| cut.begin(content, top));
        draw(sheet, press, &cut, &came_in);
        press.ink.on_page(|content| {
            content.restore_state();
        });
        press.y = top - height * SCALE / 10 - 40;
        let number = format!("{} / {}", strip + 1, across * down);
        if across * down > 1 {
            press.ink.text_to((RIGHT, top + 20), ink::Face::Prose, 70, SOFT, &number);
        }
    }
}

/// How many strips a length takes.
fn parts(length: i64, room: i64) -> i64 {
    (length + room - 1).checked_div(room).unwrap_or(1).max(1)
}

/// A window on the picture, in its pixels.
struct Cut {
    left: i64,
    top: i64,
    width: i64,
    height: i64,
}

impl Cut {
    /// Turns the page's places into the picture's, with the vertical axis down, and keeps to the window.
    fn begin(&self, content: &mut Content, top: i64) {
        content.save_state();
        content.transform([FACTOR, 0.0, 0.0, DOWN, number(LEFT), number(top)]);
        content.transform([1.0, 0.0, 0.0, 1.0, number(-self.left), number(-self.top)]);
        content.rect(number(self.left), number(self.top), number(self.width), number(self.height));
        content.clip_nonzero().end_path();
        content.set_line_cap(LineCapStyle::ButtCap);
    }

    fn shows(&self, left: i64, right: i64) -> bool {
        right >= self.left && left <= self.left + self.width
    }
}

fn draw(sheet: &Sheet<'_>, press: &mut Press, cut: &Cut, came_in: &[u128]) {
    let scene = &sheet.scene;
    for column in scene.columns.iter().filter(|column| cut.shows(column.x, column.x + 200)) {
        if let Some((range, day)) = svg::blocks(sheet, column) {
            press.ink.text_down((column.x, 24), ink::Face::Prose, 12, SOFT, &range);
            press.ink.text_down((column.x, 40), ink::Face::Prose, 11, SOFT, &day);
        }
    }
    for link in &scene.links {
        press.ink.on_page(|content| curve(sheet, content, link));
    }
    for at in scene.boxes.iter().filter(|at| cut.shows(at.x, at.x + at.width)) {
        boxed(sheet, press, at, came_in);
    }
}

fn curve(sheet: &Sheet<'_>, content: &mut Content, link: &Link) {
    let sat = sheet.sum(link.flows.iter());
    if sat == 0 {
        return;
    }
    let width = svg::tenths(sheet, sat).div_ceil(10);
    let whose = thefts::whose(sheet, link.flows.iter());
    content.set_line_width(number(i64::try_from(width).unwrap_or(16)));
    let base = thefts::first(&whose).map_or(PALE, |place| pale(theft(place)));
    stroke(content, link, base);
    for (place, length, start) in thefts::stripes(&whose) {
        let [on, off, at] =
            [length, thefts::STRIPES.saturating_sub(length), thefts::STRIPES.saturating_sub(start)];
        let [on, off, at] = [on, off, at].map(|one| number(i64::try_from(one).unwrap_or(0)));
        content.set_dash_pattern([on, off], at);
        stroke(content, link, theft(place));
        content.set_dash_pattern([], 0.0);
    }
}

fn theft(place: usize) -> Colour {
    THEFTS.get(thefts::colour(place)).copied().unwrap_or(TAINT)
}

/// A colour half as strong, so that what stands on it can be read.
fn pale((red, green, blue): Colour) -> Colour {
    let half = |part: f32| f32::midpoint(part, 1.0);
    (half(red), half(green), half(blue))
}

fn stroke(content: &mut Content, link: &Link, colour: Colour) {
    content.set_stroke_rgb(colour.0, colour.1, colour.2);
    content.move_to(number(link.start.0), number(link.start.1));
    for [(x1, y1), (x2, y2)] in svg::curves(link) {
        let bend = svg::bend(x1, x2);
        content.line_to(number(x1), number(y1));
        content.cubic_to(
            number(x1 + bend),
            number(y1),
            number(x2 - bend),
            number(y2),
            number(x2),
            number(y2),
        );
    }
    content.stroke();
}

fn boxed(sheet: &Sheet<'_>, press: &mut Press, at: &Placed, came_in: &[u128]) {
    let (name, sat, _) = svg::label(sheet, at, came_in);
    // What the method does not reach is pale.
    let kind = if sat == 0 { SOFT } else { INK };
    let (fill, stroke, text) = match at.face {
        Face::Node(0) => (TAINT, TAINT, WHITE),
        Face::Node(_) => (FILL, if sat == 0 { SOFT } else { TAINT }, kind),
        Face::Folded(_) => (WHITE, SOFT, kind),
        Face::End(flow) => {
            let end = sheet.picture.flows.get(flow).map_or(End::Unspent, |flow| sheet.end(flow));
            let stroke = match end {
                End::Unspent | End::Spent(_) => UNSPENT,
                End::Stopped => STOPPED,
                End::Shielded => SHIELDED,
                End::Dust | End::Burned => SOFT,
            };
            (WHITE, if sat == 0 { SOFT } else { stroke }, kind)
        }
    };
    press.ink.on_page(|content| {
        content.set_fill_rgb(fill.0, fill.1, fill.2).set_stroke_rgb(stroke.0, stroke.1, stroke.2);
        content.set_line_width(1.0);
        content.rect(number(at.x), number(at.y), number(at.width), number(at.height));
        content.fill_nonzero_and_stroke();
    });
    let name = match at.face {
        Face::Node(0) => sheet.lang.pick("Stolen", "盗難").to_owned(),
        Face::Node(_) | Face::End(_) | Face::Folded(_) => name.replace('⚑', "").trim().to_owned(),
    };
    let middle = at.y + at.height / 2;
    let face = match at.face {
        Face::Folded(_) => ink::Face::Bold,
        Face::Node(_) | Face::End(_) => ink::Face::Mono,
    };
    press.ink.text_down((at.x + 7, middle - 3), face, 11, text, &name);
    press.ink.text_down((at.x + 7, middle + 10), ink::Face::Prose, 11, text, &brief(sheet.coin(), sat));
    let whose = thefts::whose(sheet, thefts::flows_of(sheet, at.face).iter());
    let (shown, is_more) = thefts::letters(&whose);
    for (step, (place, _)) in (0_i64..).zip(shown) {
        let (x, letter) =
            (at.x + at.width - 8 * (i64::try_from(shown.len()).unwrap_or(1) - step), thefts::letter(*place));
        press.ink.text_down((x, at.y - 2), ink::Face::Bold, 9, theft(*place), &letter);
    }
    if is_more {
        press.ink.text_down((at.x + at.width, at.y - 2), ink::Face::Bold, 9, SOFT, "…");
    }
    if let Face::Folded(node) = at.face {
        let size = sheet.tree.folded(node, sheet.view.shown(node));
        let ends = format!("({})", count(size.ends));
        press.ink.text_down((at.x + 66, middle - 3), ink::Face::Prose, 9, SOFT, &ends);
    }
}
