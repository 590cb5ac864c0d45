//! A font of this machine for what the standard fonts lack, Japanese above all.
//!
//! Decides where such fonts are looked for. Embeds the glyphs in use and no others; no font is part of this program.

use std::{collections::BTreeMap, fs, path::Path};

use pdf_writer::{
    Finish as _, Name, Pdf, Rect, Ref, Str,
    types::{CidFontType, FontFlags, SystemInfo, UnicodeCmap},
};
use subsetter::GlyphRemapper;
use ttf_parser::{Face, RawFace, Tag};

/// Where fonts with Japanese glyphs are looked for: as Debian, Fedora, macOS and Windows have them.
pub(super) const PLACES: &[&str] = &[
    "/usr/share/fonts/opentype/ipafont-gothic/ipagp.ttf",
    "/usr/share/fonts/opentype/ipafont-gothic/ipag.ttf",
    "/usr/share/fonts/truetype/fonts-japanese-gothic.ttf",
    "/usr/share/fonts/opentype/ipaexfont-gothic/ipaexg.ttf",
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/google-noto-cjk/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/google-noto-sans-cjk-fonts/NotoSansCJK-Regular.ttc",
    "/System/Library/Fonts/ヒラギノ角ゴシック W3.ttc",
    "C:/Windows/Fonts/YuGothR.ttc",
    "C:/Windows/Fonts/msgothic.ttc",
];

/// Largest font file that is read.
const FONT_BYTES_MAX: u64 = 64 << 20;

/// Why a font cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FontError {
    #[error("font {path} cannot be read")]
    File {
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("font {path} has {found} bytes, at most {FONT_BYTES_MAX} are read")]
    Large { path: String, found: u64 },
    #[error("{path} is no font that can be read: {problem}")]
    Form { path: String, problem: String },
    #[error("glyphs of the font cannot be taken out: {problem}")]
    Subset { problem: String },
}

/// A glyph in use.
#[derive(Clone, Copy)]
struct Glyph {
    /// Its number in the file that is written; nothing if the font has none.
    number: Option<u16>,
    /// In thousandths of the size.
    width: u16,
}

/// A font, and which of its glyphs are in use.
pub(crate) struct Wide {
    bytes: Vec<u8>,
    units_per_em: u16,
    remapper: GlyphRemapper,
    known: BTreeMap<char, Glyph>,
}

impl Wide {
    /// Its name among a page's fonts.
    pub(super) const RESOURCE: &'static [u8] = b"F4";

    /// Reads a font; of a collection the first, which is the Japanese one where there are several.
    pub(super) fn open(path: &Path) -> Result<Self, FontError> {
        let named = || path.display().to_string();
        let file = |source| FontError::File { path: named(), source };
        let found = fs::metadata(path).map_err(file)?.len();
        if found > FONT_BYTES_MAX {
            return Err(FontError::Large { path: named(), found });
        }
        let bytes = fs::read(path).map_err(file)?;
        let units_per_em = Face::parse(&bytes, 0)
            .map_err(|problem| FontError::Form { path: named(), problem: problem.to_string() })?
            .units_per_em();
        Ok(Self { bytes, units_per_em, remapper: GlyphRemapper::new(), known: BTreeMap::new() })
    }

    /// Whether any of its glyphs is in use.
    pub(super) fn is_used(&self) -> bool {
        self.known.values().any(|glyph| glyph.number.is_some())
    }

    fn thousandths(&self, units: i32) -> i32 {
        units.saturating_mul(1000).checked_div(i32::from(self.units_per_em)).unwrap_or(0)
    }

    /// The number of a letter's glyph in the file to be written, and its width; nothing if the font has none.
    pub(super) fn glyph(&mut self, c: char) -> Option<(u16, u16)> {
        if let Some(glyph) = self.known.get(&c) {
            return Some((glyph.number?, glyph.width));
        }
        let found = Face::parse(&self.bytes, 0).ok().and_then(|face| {
            let glyph = face.glyph_index(c)?;
            Some((glyph.0, face.glyph_hor_advance(glyph).unwrap_or(self.units_per_em)))
        });
        let width = found.map_or(0, |(_, units)| self.thousandths(i32::from(units)));
        let width = u16::try_from(width).unwrap_or(1000);
        let number = found.map(|(glyph, _)| self.remapper.remap(glyph));
        self.known.insert(c, Glyph { number, width });
        Some((number?, width))
    }

    /// Writes the font with the glyphs in use: a Type 0 font over a CID font (PDF 32000-1, 9.7).
    pub(super) fn embed(self, pdf: &mut Pdf, ids: [Ref; 5]) -> Result<(), FontError> {
        let [type0, cid, descriptor, file, cmap] = ids;
        let subset = subsetter::subset(&self.bytes, 0, &self.remapper)
            .map_err(|problem| FontError::Subset { problem: problem.to_string() })?;
        // Of a font with PostScript outlines the bare outlines are embedded.
        let outlines = RawFace::parse(&subset, 0).ok().and_then(|raw| raw.table(Tag::from_bytes(b"CFF ")));
        let name = Name(b"KURABN+Wide");
        let system = SystemInfo { registry: Str(b"Adobe"), ordering: Str(b"Identity"), supplement: 0 };
        let mut font = pdf.type0_font(type0);
        font.base_font(name).encoding_predefined(Name(b"Identity-H")).descendant_font(cid).to_unicode(cmap);
        font.finish();
        let mut font = pdf.cid_font(cid);
        font.subtype(if outlines.is_some() { CidFontType::Type0 } else { CidFontType::Type2 });
        font.base_font(name).system_info(system).font_descriptor(descriptor).default_width(1000.0);
        if outlines.is_none() {
            font.cid_to_gid_map_predefined(Name(b"Identity"));
        }
        let by_number: BTreeMap<u16, (char, u16)> =
            self.known.iter().filter_map(|(c, glyph)| Some((glyph.number?, (*c, glyph.width)))).collect();
        let mut widths = font.widths();
        for (number, (_, width)) in &by_number {
            widths.consecutive(*number, [f32::from(*width)]);
        }
        widths.finish();
        font.finish();
        self.describe(pdf, name, descriptor, file, outlines.is_some());
        let mut stream = pdf.stream(file, outlines.unwrap_or(&subset));
        if outlines.is_some() {
            stream.pair(Name(b"Subtype"), Name(b"CIDFontType0C"));
        }
        stream.finish();
        let mut unicode = UnicodeCmap::<u16>::new(Name(b"Wide"), system);
        for (number, (c, _)) in by_number {
            unicode.pair(number, c);
        }
        pdf.cmap(cmap, &unicode.finish()).finish();
        Ok(())
    }

    fn describe(&self, pdf: &mut Pdf, name: Name<'_>, id: Ref, file: Ref, has_outlines: bool) {
        let face = Face::parse(&self.bytes, 0).ok();
        let units = |units: i16| {
            let thousandths = self.thousandths(i32::from(units));
            i16::try_from(thousandths).map_or(1000.0, f32::from)
        };
        let (ascent, descent, bounds) = face.map_or((880, -120, None), |face| {
            (face.ascender(), face.descender(), Some(face.global_bounding_box()))
        });
        let bounds = bounds.map_or(Rect::new(0.0, -120.0, 1000.0, 880.0), |bounds| {
            Rect::new(units(bounds.x_min), units(bounds.y_min), units(bounds.x_max), units(bounds.y_max))
        });
        let mut descriptor = pdf.font_descriptor(id);
        descriptor.name(name).flags(FontFlags::SYMBOLIC).bbox(bounds).italic_angle(0.0);
        descriptor.ascent(units(ascent)).descent(units(descent)).cap_height(units(ascent)).stem_v(80.0);
        if has_outlines {
            descriptor.font_file3(file);
        } else {
            descriptor.font_file2(file);
        }
    }
}
