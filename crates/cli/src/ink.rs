//! Pages of a PDF file and what is drawn on them: text, rules, boxes.
//!
//! Decides fonts alone. Letters of Western Europe are in the standard fonts that every reader has (PDF 32000-1, 9.6.2.2),
//! all others in a font of this machine, of which the glyphs in use are embedded; what no font has is counted.
//!
//! Places are tenths of a point from the bottom left.

mod wide;

use std::{collections::BTreeSet, path::Path};

use pdf_writer::{Content, Finish as _, Name, Pdf, Rect, Ref, Str, TextStr};

pub(crate) use self::wide::{FontError, Wide};

/// A4 upright, in tenths of a point.
pub(crate) const PAGE: (i64, i64) = (5950, 8420);

/// The standard fonts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Face {
    Prose,
    Bold,
    Mono,
}

impl Face {
    const ALL: [(Self, &'static [u8], &'static [u8]); 3] = [
        (Self::Prose, b"F1", b"Helvetica"),
        (Self::Bold, b"F2", b"Helvetica-Bold"),
        (Self::Mono, b"F3", b"Courier"),
    ];

    const fn resource(self) -> &'static [u8] {
        match self {
            Self::Prose => b"F1",
            Self::Bold => b"F2",
            Self::Mono => b"F3",
        }
    }

    /// A letter's width in thousandths of the size. The bold font's are taken to be a sixteenth wider than the other's:
    /// it stands in headings alone, which nothing is measured by.
    fn width(self, byte: u8) -> i64 {
        let prose = || {
            let at = usize::from(byte).checked_sub(32);
            at.and_then(|at| HELVETICA.get(at)).copied().map_or(556, i64::from)
        };
        match self {
            Self::Mono => 600,
            Self::Prose => prose(),
            Self::Bold => prose() * 17 / 16,
        }
    }
}

/// Widths of Helvetica's letters from the space to the tilde, in thousandths (Adobe's metrics of the core fonts).
const HELVETICA: [u16; 95] = [
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556, 556, 556,
    556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667, 611, 778, 722, 278,
    500, 667, 556, 833, 722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469,
    556, 333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556, 556, 556, 333, 500,
    278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584,
];

/// The byte of a letter in the encoding of Windows' Western fonts, as far as its widths are known here.
fn western(c: char) -> Option<u8> {
    match c {
        ' '..='~' => u8::try_from(c).ok(),
        '–' => Some(0x96),
        '…' => Some(0x85),
        '·' => Some(0xb7),
        '•' => Some(0x95),
        _ => None,
    }
}

/// A colour: red, green, blue.
pub(crate) type Colour = (f32, f32, f32);
pub(crate) const INK: Colour = (0.11, 0.13, 0.15);
pub(crate) const SOFT: Colour = (0.35, 0.38, 0.42);
pub(crate) const RULE: Colour = (0.8, 0.78, 0.75);

/// A document as it grows.
pub(crate) struct Ink {
    pages: Vec<Content>,
    wide: Option<Wide>,
    missing: BTreeSet<char>,
}

/// Part of a text in one font.
enum Run {
    Western(Vec<u8>),
    Wide(Vec<u8>),
}

impl Ink {
    /// Without pages. Letters outside of Western Europe are taken from this font.
    pub(crate) fn new(wide: Option<Wide>) -> Self {
        Self { pages: Vec::new(), wide, missing: BTreeSet::new() }
    }

    /// Letters that no font had.
    pub(crate) fn missing(&self) -> &BTreeSet<char> {
        &self.missing
    }

    /// How many pages there are.
    pub(crate) fn pages(&self) -> usize {
        self.pages.len()
    }

    /// Begins a page.
    pub(crate) fn begin_page(&mut self) {
        let mut content = Content::new();
        content.transform([0.1, 0.0, 0.0, 0.1, 0.0, 0.0]);
        self.pages.push(content);
    }

    /// What is drawn on a page, the last one for most.
    fn content(&mut self, page: usize) -> Option<&mut Content> {
        self.pages.get_mut(page)
    }

    /// Draws on the last page.
    pub(crate) fn on_page(&mut self, draw: impl FnOnce(&mut Content)) {
        if let Some(content) = self.pages.last_mut() {
            draw(content);
        }
    }

    fn runs(&mut self, text: &str) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        for c in text.chars() {
            let glyph =
                if western(c).is_some() { None } else { self.wide.as_mut().and_then(|wide| wide.glyph(c)) };
            if let Some((glyph, _)) = glyph {
                let bytes = glyph.to_be_bytes();
                match runs.last_mut() {
                    Some(Run::Wide(run)) => run.extend(bytes),
                    Some(Run::Western(_)) | None => runs.push(Run::Wide(bytes.to_vec())),
                }
                continue;
            }
            let byte = western(c).unwrap_or_else(|| {
                self.missing.insert(c);
                b'?'
            });
            match runs.last_mut() {
                Some(Run::Western(run)) => run.push(byte),
                Some(Run::Wide(_)) | None => runs.push(Run::Western(vec![byte])),
            }
        }
        runs
    }

    /// How wide a text is at a size.
    pub(crate) fn width(&mut self, face: Face, size: i64, text: &str) -> i64 {
        let mut thousandths = 0_i64;
        for c in text.chars() {
            let wide =
                if western(c).is_some() { None } else { self.wide.as_mut().and_then(|wide| wide.glyph(c)) };
            let width =
                wide.map_or_else(|| face.width(western(c).unwrap_or(b'?')), |(_, width)| i64::from(width));
            thousandths = thousandths.saturating_add(width);
        }
        thousandths.saturating_mul(size) / 1000
    }

    /// Writes a text from a place on its base line.
    pub(crate) fn text(&mut self, at: (i64, i64), face: Face, size: i64, colour: Colour, text: &str) {
        let last = self.pages.len().saturating_sub(1);
        self.text_on(last, at, face, size, colour, text);
    }

    /// Writes a text that ends at a place.
    pub(crate) fn text_to(&mut self, at: (i64, i64), face: Face, size: i64, colour: Colour, text: &str) {
        let width = self.width(face, size, text);
        self.text((at.0 - width, at.1), face, size, colour, text);
    }

    /// Writes a text on a page that may not be the last.
    pub(crate) fn text_on(
        &mut self,
        page: usize,
        at: (i64, i64),
        face: Face,
        size: i64,
        colour: Colour,
        text: &str,
    ) {
        self.written(page, at, face, size, colour, text, 1.0);
    }

    /// Writes a text where the vertical axis points down, as in the picture.
    pub(crate) fn text_down(&mut self, at: (i64, i64), face: Face, size: i64, colour: Colour, text: &str) {
        let last = self.pages.len().saturating_sub(1);
        self.written(last, at, face, size, colour, text, -1.0);
    }

    #[expect(clippy::too_many_arguments, reason = "one place writes text, and callers have fewer")]
    fn written(
        &mut self,
        page: usize,
        at: (i64, i64),
        face: Face,
        size: i64,
        colour: Colour,
        text: &str,
        up: f32,
    ) {
        let runs = self.runs(text);
        let Some(content) = self.content(page) else { return };
        content.begin_text().set_fill_rgb(colour.0, colour.1, colour.2);
        content.set_text_matrix([1.0, 0.0, 0.0, up, number(at.0), number(at.1)]);
        for run in runs {
            let (font, bytes) = match &run {
                Run::Western(bytes) => (face.resource(), bytes),
                Run::Wide(bytes) => (Wide::RESOURCE, bytes),
            };
            content.set_font(Name(font), number(size)).show(Str(bytes));
        }
        content.end_text();
    }

    /// Draws a level line.
    pub(crate) fn rule(&mut self, from: (i64, i64), to_x: i64, width: i64, colour: Colour) {
        self.on_page(|content| {
            content.set_stroke_rgb(colour.0, colour.1, colour.2).set_line_width(number(width));
            content.move_to(number(from.0), number(from.1)).line_to(number(to_x), number(from.1)).stroke();
        });
    }

    /// The whole file.
    pub(crate) fn finish(self, title: &str, lang: &str) -> Result<Vec<u8>, FontError> {
        let mut pdf = Pdf::new();
        let mut next = 1;
        let mut id = || {
            let id = Ref::new(next);
            next += 1;
            id
        };
        let (catalog, tree, info) = (id(), id(), id());
        let fonts: Vec<(&[u8], &[u8], Ref)> =
            Face::ALL.into_iter().map(|(_, resource, name)| (resource, name, id())).collect();
        let wide = self.wide.filter(Wide::is_used);
        let wide = wide.map(|wide| (wide, [id(), id(), id(), id(), id()]));
        let pages: Vec<(Ref, Ref, Content)> =
            self.pages.into_iter().map(|content| (id(), id(), content)).collect();
        pdf.catalog(catalog).pages(tree).lang(TextStr(lang));
        pdf.document_info(info).title(TextStr(title)).producer(TextStr("Kuraban"));
        let count = i32::try_from(pages.len()).unwrap_or(i32::MAX);
        pdf.pages(tree).kids(pages.iter().map(|(page, ..)| *page)).count(count);
        for (resource, name, id) in &fonts {
            let mut font = pdf.type1_font(*id);
            font.name(Name(resource)).base_font(Name(name)).encoding_predefined(Name(b"WinAnsiEncoding"));
        }
        for (page, content_id, content) in pages {
            let mut page = pdf.page(page);
            page.media_box(Rect::new(0.0, 0.0, 595.0, 842.0)).parent(tree).contents(content_id);
            let mut resources = page.resources();
            let mut named = resources.fonts();
            for (resource, _, id) in &fonts {
                named.pair(Name(resource), *id);
            }
            if let Some((_, [id, ..])) = &wide {
                named.pair(Name(Wide::RESOURCE), *id);
            }
            named.finish();
            resources.finish();
            page.finish();
            pdf.stream(content_id, &content.finish()).finish();
        }
        if let Some((wide, ids)) = wide {
            wide.embed(&mut pdf, ids)?;
        }
        Ok(pdf.finish())
    }
}

/// A place as PDF has it. All places on a page are far from the bounds.
pub(crate) fn number(place: i64) -> f32 {
    let bounded = place.clamp(i64::from(i16::MIN), i64::from(i16::MAX));
    i16::try_from(bounded).map_or(0.0, f32::from)
}

/// The font for what the standard ones lack: the one named, or the first that is found.
pub(crate) fn wide_font(named: Option<&Path>) -> Result<Option<Wide>, FontError> {
    match named {
        Some(path) => Wide::open(path).map(Some),
        None => Ok(wide::PLACES.iter().find_map(|path| Wide::open(Path::new(path)).ok())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_those_of_the_core_fonts() {
        let mut ink = Ink::new(None);
        let mut check = |face, text: &str, want| assert_eq!(ink.width(face, 1000, text), want, "{text}");
        check(Face::Prose, "0,1.", 2 * 556 + 2 * 278);
        check(Face::Prose, "Wij", 944 + 222 + 222);
        check(Face::Prose, "~ ", 584 + 278);
        check(Face::Mono, "bc1q…", 5 * 600);
    }

    #[test]
    fn what_no_font_has_is_counted_and_never_dropped() {
        let mut ink = Ink::new(None);
        ink.begin_page();
        ink.text((0, 0), Face::Prose, 100, INK, "蔵 a 番");
        assert_eq!(ink.missing().iter().collect::<String>(), "番蔵");
        let pdf = ink.finish("title", "en").unwrap();
        let text = String::from_utf8_lossy(&pdf);
        assert!(text.contains("(? a ?) Tj"), "{text}");
    }
}
