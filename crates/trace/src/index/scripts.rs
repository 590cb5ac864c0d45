//! Scripts as the index keeps them: a tag and what the template leaves open.
//!
//! Decides the short form of a script and its hash. Never decides whether somebody can spend it, but for the scripts
//! that nobody can.

use core::ops::Range;

use kuraban_chain::btc::Script;

use super::column::{fold, wide};

/// Longest script that can be spent (`MAX_SCRIPT_SIZE`).
const SCRIPT_BYTES_MAX: usize = 10_000;
const OP_RETURN: u8 = 0x6a;

/// A known form of script: its tag, what stands before and after the bytes that vary, and how many those are.
struct Template {
    tag: u8,
    before: &'static [u8],
    bytes: usize,
    after: &'static [u8],
}

const TEMPLATES: [Template; 10] = [
    Template { tag: 0, before: &[0x76, 0xa9, 20], bytes: 20, after: &[0x88, 0xac] },
    Template { tag: 1, before: &[0xa9, 20], bytes: 20, after: &[0x87] },
    Template { tag: 2, before: &[0, 20], bytes: 20, after: &[] },
    Template { tag: 3, before: &[0, 32], bytes: 32, after: &[] },
    Template { tag: 4, before: &[0x51, 32], bytes: 32, after: &[] },
    Template { tag: 5, before: &[33], bytes: 33, after: &[0xac] },
    Template { tag: 6, before: &[65], bytes: 65, after: &[0xac] },
    Template { tag: 7, before: &[], bytes: 0, after: &[] },
    Template { tag: MWEB_BALANCE, before: &[0x58, 32], bytes: 32, after: &[] },
    Template { tag: MWEB_PEGIN, before: &[0x59, 32], bytes: 32, after: &[] },
];

/// Any script that has no template, as it is.
const PLAIN: u8 = 7;
/// What holds the balance of Litecoin's extension block (LIP 3).
const MWEB_BALANCE: u8 = 8;
/// What moves coins into Litecoin's extension block (LIP 3).
const MWEB_PEGIN: u8 = 9;

/// A script's short form.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Short<'a> {
    pub(super) tag: u8,
    pub(super) rest: &'a [u8],
}

/// The tag of a script that can be spent, and where in it the rest of its short form lies.
pub(super) fn shorten(script: &[u8]) -> Option<(u8, Range<usize>)> {
    if script.first() == Some(&OP_RETURN) || script.len() > SCRIPT_BYTES_MAX {
        return None;
    }
    let tag = match script {
        [0x76, 0xa9, 20, .., 0x88, 0xac] if script.len() == 25 => 0,
        [0xa9, 20, .., 0x87] if script.len() == 23 => 1,
        [0, 20, ..] if script.len() == 22 => 2,
        [0, 32, ..] if script.len() == 34 => 3,
        [0x51, 32, ..] if script.len() == 34 => 4,
        [33, .., 0xac] if script.len() == 35 => 5,
        [65, .., 0xac] if script.len() == 67 => 6,
        [0x58, 32, ..] if script.len() == 34 => MWEB_BALANCE,
        [0x59, 32, ..] if script.len() == 34 => MWEB_PEGIN,
        _ => return Some((PLAIN, 0..script.len())),
    };
    let template = TEMPLATES.iter().find(|template| template.tag == tag)?;
    let start = template.before.len();
    Some((tag, start..start + template.bytes))
}

/// Whether a script of this tag moves coins into an extension block, on a network that has one.
pub(super) const fn is_shielded(tag: u8) -> bool {
    matches!(tag, MWEB_BALANCE | MWEB_PEGIN)
}

impl<'a> Short<'a> {
    /// Of a script that can be spent.
    pub(super) fn of(script: &'a [u8]) -> Option<Self> {
        let (tag, range) = shorten(script)?;
        Some(Self { tag, rest: script.get(range)? })
    }

    /// As it is kept.
    pub(super) fn read(kept: &'a [u8]) -> Option<Self> {
        let (tag, rest) = kept.split_first()?;
        Some(Self { tag: *tag, rest })
    }

    /// The script.
    pub(super) fn script(self) -> Script {
        let template = TEMPLATES.iter().find(|template| template.tag == self.tag);
        let (before, after) =
            template.map_or((&[][..], &[][..]), |template| (template.before, template.after));
        Script::new([before, self.rest, after].concat())
    }

    /// Its hash; part of the layout of files.
    #[inline]
    pub(super) fn hash(self) -> u64 {
        let (words, left) = self.rest.as_chunks::<8>();
        let seed = 0xa076_1d64_78bd_642f ^ u64::from(self.tag) ^ (wide(self.rest.len()) << 8);
        let hash = words
            .iter()
            .fold(seed, |hash, word| fold(hash ^ u64::from_le_bytes(*word), 0xe703_7ed1_a0b4_28db));
        let mut last = [0; 8];
        for (to, from) in last.iter_mut().zip(left) {
            *to = *from;
        }
        fold(hash ^ u64::from_le_bytes(last), 0x8ebc_6af0_9c88_c6e3)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_script_that_can_be_spent_comes_back_from_its_short_form() {
        let check = |hex: &str, tag: u8, kept: usize| {
            let script = kuraban_base::hex::decode(hex).unwrap();
            let short = Short::of(&script).unwrap();
            assert_eq!((short.tag, short.rest.len()), (tag, kept), "{hex}");
            assert_eq!(short.script().as_bytes(), script, "{hex}");
        };
        let (h20, h32) = ("11".repeat(20), "22".repeat(32));
        check(&format!("76a914{h20}88ac"), 0, 20);
        check(&format!("76a914{h20}88ad"), 7, 25);
        check(&format!("a914{h20}87"), 1, 20);
        check(&format!("0014{h20}"), 2, 20);
        check(&format!("0020{h32}"), 3, 32);
        check(&format!("5120{h32}"), 4, 32);
        check(&format!("2102{h32}ac"), 5, 33);
        check(&format!("4104{h32}{h32}ac"), 6, 65);
        check(&format!("5820{h32}"), 8, 32);
        check(&format!("5920{h32}"), 9, 32);
        check(&format!("5a20{h32}"), 7, 34);
        check("", 7, 0);
        check("4e", 7, 1);
        check("51", 7, 1);
        check(&"00".repeat(10_000), 7, 10_000);
    }

    #[test]
    fn what_nobody_can_spend_has_no_short_form() {
        assert_eq!(Short::of(&[0x6a]), None);
        assert_eq!(Short::of(&[0; 10_001]), None);
    }

    proptest! {
        #[test]
        fn any_script_comes_back(script in proptest::collection::vec(any::<u8>(), 0..80)) {
            match Short::of(&script) {
                Some(short) => {
                    let mut kept = vec![short.tag];
                    kept.extend_from_slice(short.rest);
                    prop_assert_eq!(Short::read(&kept), Some(short));
                    prop_assert_eq!(short.script().into_bytes(), script);
                }
                None => prop_assert_eq!(script[0], 0x6a),
            }
        }
    }
}
