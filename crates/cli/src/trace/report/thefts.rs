//! Several thefts in one report: a letter and a colour for each, and whose the units of a line or a box are.
//!
//! Decides letters, colours and stripes. No theft is told by its colour alone: its letter stands beside it.

use kuraban_trace::picture::Face;

use super::{
    Sheet,
    page::{KINDS, words},
    words::{both, coins, escaped, whole},
};

/// How many colours there are; further thefts begin again, and have other letters.
pub(super) const COLOURS: usize = 6;
/// The length of a pattern of stripes, in pixels.
pub(super) const STRIPES: u128 = 36;
/// Most letters over a box.
const LETTERS_MAX: usize = 4;

/// One of several thefts.
pub(super) struct Theft {
    pub(super) name: String,
    /// What was asked of amounts: as [`super::page::amounts`] has them, by the method asked for.
    pub(super) totals: [Option<u128>; 7],
}

/// What stands for a theft: A to Z, then its number.
pub(super) fn letter(place: usize) -> String {
    let letter =
        u8::try_from(place).ok().and_then(|place| b'A'.checked_add(place)).filter(u8::is_ascii_uppercase);
    letter.map_or_else(|| place.saturating_add(1).to_string(), |letter| char::from(letter).to_string())
}

/// Its colour.
pub(super) fn colour(place: usize) -> usize {
    place.checked_rem(COLOURS).unwrap_or(0)
}

/// Whose the units of some flows are, by the method asked for: thefts with units, in their order.
pub(super) fn whose<'f>(sheet: &Sheet<'_>, flows: impl Iterator<Item = &'f usize>) -> Vec<(usize, u128)> {
    if sheet.thefts.is_empty() {
        return Vec::new();
    }
    let mut sums = vec![0_u128; sheet.thefts.len()];
    for share in flows.flat_map(|flow| sheet.picture.shares(*flow)) {
        if let Some(sum) = sums.get_mut(share.case.place()) {
            *sum = sum.saturating_add(share.amounts.of(sheet.shown));
        }
    }
    sums.into_iter().enumerate().filter(|(_, sat)| *sat > 0).collect()
}

/// The one that has most, the earliest of equals.
pub(super) fn first(whose: &[(usize, u128)]) -> Option<usize> {
    let most = whose.iter().map(|(_, sat)| *sat).max()?;
    whose.iter().find(|(_, sat)| *sat == most).map(|(place, _)| *place)
}

/// Stripes of all but the one that has most, over a line of that one's colour: theft, length, start, in pixels of a pattern.
pub(super) fn stripes(whose: &[(usize, u128)]) -> Vec<(usize, u128, u128)> {
    let all = whose.iter().fold(0_u128, |sum, (_, sat)| sum.saturating_add(*sat));
    let (base, mut start) = (first(whose), 0_u128);
    let mut stripes = Vec::new();
    for (place, sat) in whose.iter().filter(|(place, _)| Some(*place) != base) {
        let length = sat.saturating_mul(STRIPES).checked_div(all).unwrap_or(0).max(3);
        stripes.push((*place, length, start));
        start = start.saturating_add(length);
    }
    stripes
}

/// The pattern of one stripe, as SVG's `stroke-dasharray` and `stroke-dashoffset` have it.
pub(super) fn pattern(length: u128, start: u128) -> (String, String) {
    (format!("{length} {}", STRIPES.saturating_sub(length)), format!("-{start}"))
}

/// Amounts by theft, in words: what a pointer tells.
pub(super) fn told(sheet: &Sheet<'_>, whose: &[(usize, u128)]) -> String {
    let one = |(place, sat): &(usize, u128)| format!(" · {} {}", letter(*place), whole(sheet.coin(), *sat));
    whose.iter().map(one).collect()
}

/// The flows whose units a box stands for; none for the theft itself, in which all are.
pub(super) fn flows_of(sheet: &Sheet<'_>, face: Face) -> Vec<usize> {
    match face {
        Face::Node(0) => Vec::new(),
        Face::Node(node) => {
            let into = sheet.picture.flows.iter().enumerate().filter(|(_, flow)| flow.to == Some(node));
            into.map(|(at, _)| at).collect()
        }
        Face::End(flow) => vec![flow],
        Face::Folded(_) => {
            let into = sheet.scene.links.iter().filter(|link| link.to == face);
            into.flat_map(|link| link.flows.iter().copied()).collect()
        }
    }
}

/// The letters over a box, and whether there are more.
pub(super) fn letters(whose: &[(usize, u128)]) -> (&[(usize, u128)], bool) {
    match whose.split_at_checked(LETTERS_MAX) {
        Some((first, rest)) => (first, !rest.is_empty()),
        None => (whose, false),
    }
}

/// A theft's letter in its colour.
pub(super) fn chip(place: usize) -> String {
    format!("<b class=\"chip c{}\">{}</b>", colour(place), letter(place))
}

/// Which letter and colour is whose, beneath the picture.
pub(super) fn legend(sheet: &Sheet<'_>) -> String {
    if sheet.picture.shares.is_empty() || sheet.thefts.is_empty() {
        return String::new();
    }
    let one = |(place, theft): (usize, &Theft)| format!("<li>{} {}</li>", chip(place), escaped(&theft.name));
    let all: String = sheet.thefts.iter().enumerate().map(one).collect();
    let words = both(
        "Striped lines carry units of several thefts, in proportion; letters over a box say of which.",
        "縞の線は複数の事件の盗難分を割合に応じて示し、箱の上の文字はどの事件かを示します。",
    );
    format!("<ul class=\"legend thefts\">{all}<li>{words}</li></ul>")
}

/// The totals of every theft, by the method asked for.
pub(super) fn table(sheet: &Sheet<'_>) -> String {
    if sheet.thefts.is_empty() {
        return String::new();
    }
    let heads: String = (0..KINDS.len())
        .map(|kind| {
            let (en, ja) = words(sheet, kind);
            format!("<th scope=\"col\" class=\"amount\">{}</th>", both(en, ja))
        })
        .collect();
    let cell = |sat: &Option<u128>| {
        let text = sat.map_or_else(|| "–".to_owned(), |sat| coins(sheet.coin(), sat));
        format!("<td class=\"amount\">{text}</td>")
    };
    let row = |(place, theft): (usize, &Theft)| {
        let cells: String = theft.totals.iter().map(cell).collect();
        format!("<tr><th scope=\"row\">{} {}</th>{cells}</tr>\n", chip(place), escaped(&theft.name))
    };
    let rows: String = sheet.thefts.iter().enumerate().map(row).collect();
    let method = sheet.told.method;
    format!(
        "<section id=\"thefts\" aria-labelledby=\"s-thefts\"><h2 id=\"s-thefts\">{}</h2><p>{}</p><div class=\"scroll\"><table><thead>\
         <tr><th scope=\"col\">{}</th>{heads}</tr></thead>\n<tbody>{rows}</tbody></table></div></section>\n",
        both("By theft", "事件ごとの結果"),
        both(
            &format!(
                "By the method {method}, the earliest theft first. The earliest keeps the units that several claim."
            ),
            &format!(
                "方式 {method} によります（早い事件から順に）。複数の事件が主張する単位は、最も早い事件に属します。"
            )
        ),
        escaped(sheet.coin().ticker),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_theft_has_a_letter_or_a_number() {
        for (place, want) in [(0, "A"), (25, "Z"), (26, "27"), (300, "301")] {
            assert_eq!(letter(place), want);
        }
        assert_eq!((colour(5), colour(6)), (5, 0));
    }

    #[test]
    fn stripes_show_every_theft_but_the_largest_and_never_overlap() {
        let check = |whose: &[(usize, u128)], base: Option<usize>, want: &[(usize, u128, u128)]| {
            assert_eq!(first(whose), base);
            assert_eq!(stripes(whose), want);
        };
        check(&[], None, &[]);
        check(&[(1, 5)], Some(1), &[]);
        check(&[(0, 1), (1, 3)], Some(1), &[(0, 9, 0)]);
        check(&[(0, 50), (1, 50)], Some(0), &[(1, 18, 0)]);
        // Little is seen all the same.
        check(&[(0, 1), (2, 1_000_000), (3, 1)], Some(2), &[(0, 3, 0), (3, 3, 3)]);
        assert_eq!(pattern(9, 3), ("9 27".to_owned(), "-3".to_owned()));
    }

    #[test]
    fn a_box_has_four_letters_at_most() {
        let five: Vec<(usize, u128)> = (0..5).map(|place| (place, 1)).collect();
        assert_eq!(letters(&five), (&five[..4], true));
        assert_eq!(letters(&five[..4]), (&five[..4], false));
        assert_eq!(letters(&[]), (&[][..], false));
    }
}
