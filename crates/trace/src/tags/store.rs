//! A file of tags that is looked up by address: checked as a whole when it is opened, then only read.
//!
//! Decides what is known of a subject. Tags of several packs stand side by side; a pack that is imported again takes the
//! place of its earlier version.
//!
//! Layout (version 1, little endian): magic and version (8 bytes), numbers of rows, profiles and strings (u32 each), bytes of
//! subjects and of strings (u64 each); keys, 16 bytes each and ascending: SHA-256 of kind, network and subject, cut; for each
//! row the subject's place, its profile and its context (u32 each); profiles (44 bytes each); ends of strings (u64 each);
//! subjects, each after its length (u8); strings; SHA-256 of all that. A row takes 28 bytes and its subject once; what many
//! tags share (label, source, pack and more) is one profile.

mod build;
mod view;

use core::ops::Range;
use std::{collections::BTreeSet, fs, io, path::Path};

pub use build::Builder;
use sha2::{Digest as _, Sha256};

use super::{
    SubjectKind, Tag, TagType,
    address::{self, Checked, SubjectError},
    taxonomy::Confidence,
};
pub use view::View;

/// What it begins with; the last byte is the version.
const MAGIC: [u8; 8] = *b"KBRNTAG\x01";
const HEAD: usize = 8 + 3 * 4 + 2 * 8;
const KEY: usize = 16;
const ROW: usize = 12;
const PROFILE: usize = 44;
const DIGEST: usize = 32;
/// Stands for a string that is not there.
const NONE: u32 = u32::MAX;

/// Why there is no store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file could not be read or written.
    #[error("{path}")]
    File {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// Not a store, or of another version.
    #[error("{path}: is no tag store of version 1 (begins with {found})")]
    Magic {
        /// Which.
        path: String,
        /// Its first bytes in hexadecimal.
        found: String,
    },
    /// Cut, or changed after it was written.
    #[error("{path}: {problem}; import the packs again into a new folder")]
    Damaged {
        /// Which.
        path: String,
        /// What does not fit.
        problem: String,
    },
    /// More than a store holds.
    #[error("more than {max} {what}")]
    Many {
        /// Of what.
        what: &'static str,
        /// The limit.
        max: u64,
    },
    /// Somebody else writes to it.
    #[error("{path}: another import is under way")]
    Busy {
        /// The lock's file.
        path: String,
    },
}

/// What several tags share.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Profile {
    /// Label, source, pack, creator, actor, day of change, currency, network, concepts: numbers of strings.
    strings: [u32; 9],
    confidence: u8,
    tag_type: u8,
    kind: u8,
    cluster_definer: u8,
    verified: u8,
}

/// One tag on what was asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hit {
    /// The tag.
    pub tag: Tag,
    /// The pack's title.
    pub pack: String,
    /// Who made the pack.
    pub creator: String,
}

impl Hit {
    /// The tag's category: its first concept.
    #[must_use]
    pub fn category(&self) -> &'static str {
        self.tag.concepts.first().copied().unwrap_or("unknown")
    }
}

/// Tags in memory: the file as it is, and where the keys of each first two bytes begin.
#[derive(Debug)]
pub struct Store {
    bytes: Vec<u8>,
    parts: Parts,
    fences: Vec<u32>,
}

/// Where the parts of a file begin.
#[derive(Clone, Copy, Debug)]
struct Parts {
    rows: usize,
    profiles: usize,
    strings: usize,
    at_rows: usize,
    at_profiles: usize,
    at_ends: usize,
    at_subjects: usize,
    at_strings: usize,
    end: usize,
}

impl Parts {
    fn of(head: &[u8]) -> Option<Self> {
        let small = |at: usize| usize::try_from(u32_at(head, at)?).ok();
        let large = |at: usize| usize::try_from(u64_at(head, at)?).ok();
        let (rows, profiles, strings) = (small(8)?, small(12)?, small(16)?);
        let at_rows = HEAD.checked_add(rows.checked_mul(KEY)?)?;
        let at_profiles = at_rows.checked_add(rows.checked_mul(ROW)?)?;
        let at_ends = at_profiles.checked_add(profiles.checked_mul(PROFILE)?)?;
        let at_subjects = at_ends.checked_add(strings.checked_mul(8)?)?;
        let at_strings = at_subjects.checked_add(large(20)?)?;
        let end = at_strings.checked_add(large(28)?)?;
        Some(Self { rows, profiles, strings, at_rows, at_profiles, at_ends, at_subjects, at_strings, end })
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

/// What a subject is looked up by: the first 16 bytes of SHA-256 over kind, network and normal form, with a zero byte
/// between them, so that a Bitcoin address is not found as a Litecoin one. Kinds are written `address` and `tx_hash`,
/// networks in capitals.
pub type Key = [u8; KEY];

/// The key of a subject.
#[must_use]
pub fn key(kind: SubjectKind, network: &str, normal: &str) -> Key {
    let hash: [u8; 32] = Sha256::new()
        .chain_update(kind.field())
        .chain_update([0])
        .chain_update(network)
        .chain_update([0])
        .chain_update(normal)
        .finalize()
        .into();
    let (key, _) = hash.split_first_chunk().unwrap_or((&[0; KEY], &[]));
    *key
}

/// The first and the last key that begin with the first `bits` bits of `prefix`, at most 128.
#[must_use]
pub fn span(prefix: &Key, bits: u32) -> (Key, Key) {
    let below = u128::MAX.checked_shr(bits).unwrap_or(0);
    let first = u128::from_be_bytes(*prefix) & !below;
    (first.to_be_bytes(), (first | below).to_be_bytes())
}

/// What an address or a transaction's id is looked up as; 32 bytes in hexadecimal are a transaction.
///
/// # Errors
/// What is wrong with it.
pub fn subject(network: &str, text: &str) -> Result<(SubjectKind, Checked), SubjectError> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    if digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return address::tx_hash(network, text).map(|checked| (SubjectKind::Tx, checked));
    }
    address::address(network, text).map(|checked| (SubjectKind::Address, checked))
}

impl Store {
    /// The file's name in the store's folder.
    pub const FILE: &str = "tags.v1";

    /// Reads the store in a folder and checks all of it.
    ///
    /// # Errors
    /// A file that is missing, cut, changed or of another version.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join(Self::FILE);
        let bytes = fs::read(&path)
            .map_err(|source| StoreError::File { path: path.display().to_string(), source })?;
        Self::of_bytes(bytes, &path.display().to_string())
    }

    fn of_bytes(bytes: Vec<u8>, path: &str) -> Result<Self, StoreError> {
        let damaged =
            |problem: &str| StoreError::Damaged { path: path.to_owned(), problem: problem.to_owned() };
        if !bytes.starts_with(&MAGIC) {
            let found = kuraban_base::hex::encode(bytes.get(..bytes.len().min(8)).unwrap_or_default());
            return Err(StoreError::Magic { path: path.to_owned(), found });
        }
        let parts = Parts::of(&bytes).ok_or_else(|| damaged("its head is cut"))?;
        let want = parts.end.saturating_add(DIGEST);
        if bytes.len() != want {
            return Err(damaged(&format!("has {} bytes, its head says {want}", bytes.len())));
        }
        let (body, digest) = bytes.split_last_chunk::<DIGEST>().ok_or_else(|| damaged("is cut"))?;
        if Sha256::digest(body).as_slice() != digest {
            return Err(damaged("its checksum does not match"));
        }
        let keys = bytes.get(HEAD..parts.at_rows).unwrap_or_default();
        let fences = fences(keys).ok_or_else(|| damaged("its keys are not in order"))?;
        Ok(Self { bytes, parts, fences })
    }

    /// How many tags there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.parts.rows
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.parts.rows == 0
    }

    /// Bytes that the store takes in memory.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes.len().saturating_add(self.fences.len().saturating_mul(4))
    }

    /// SHA-256 of all that is in the store.
    #[must_use]
    pub fn digest(&self) -> [u8; DIGEST] {
        self.bytes.last_chunk().copied().unwrap_or_default()
    }

    /// The networks that tags are on, in capitals.
    #[must_use]
    pub fn networks(&self) -> BTreeSet<&str> {
        let profiles =
            (0..u32::try_from(self.parts.profiles).unwrap_or(NONE)).filter_map(|at| self.profile(at));
        profiles.filter_map(|Profile { strings: [.., network, _], .. }| self.string(network)).collect()
    }

    /// Every tag on a subject; those that have expired or were taken back are among them.
    #[must_use]
    pub fn find(&self, kind: SubjectKind, network: &str, normal: &str) -> Vec<Hit> {
        self.rows(&key(kind, network, normal)).filter_map(|row| self.hit(row, Some(normal))).collect()
    }

    /// The rows of a subject's tags.
    #[must_use]
    pub fn rows(&self, key: &Key) -> Range<usize> {
        let (from, near) = self.near(key);
        let first = first_not_less(near, key);
        let rows = near.get(first..).unwrap_or_default().iter().take_while(|other| *other == key).count();
        let first = from.saturating_add(first);
        first..first.saturating_add(rows)
    }

    /// The rows whose keys begin with the first `bits` bits of `prefix`, at most 128.
    #[must_use]
    pub fn bucket(&self, prefix: &Key, bits: u32) -> Range<usize> {
        let (first, last) = span(prefix, bits);
        let keys = self.keys();
        keys.partition_point(|key| *key < first)..keys.partition_point(|key| *key <= last)
    }

    /// Every row's key, ascending.
    #[must_use]
    pub fn keys(&self) -> &[Key] {
        self.bytes.get(HEAD..self.parts.at_rows).unwrap_or_default().as_chunks().0
    }

    /// The rows whose keys share this key's first two bytes: where they begin, and their keys.
    fn near(&self, key: &Key) -> (usize, &[Key]) {
        let [first, second, ..] = *key;
        let place = usize::from(u16::from_be_bytes([first, second]));
        let fence =
            |place: usize| self.fences.get(place).and_then(|row| usize::try_from(*row).ok()).unwrap_or(0);
        let (from, to) = (fence(place), fence(place.saturating_add(1)));
        (from, self.keys().get(from..to).unwrap_or_default())
    }

    /// Every tag of the store, in the order of keys.
    pub fn iter(&self) -> impl Iterator<Item = Hit> + '_ {
        (0..self.parts.rows).filter_map(|row| self.hit(row, None))
    }

    fn row(&self, row: usize) -> Option<[u32; 3]> {
        let at = self.parts.at_rows.checked_add(row.checked_mul(ROW)?)?;
        let number = |place: usize| u32_at(&self.bytes, at.checked_add(place)?);
        Some([number(0)?, number(4)?, number(8)?])
    }

    /// The tag in a row; its subject's one form is found anew where it is not given.
    #[must_use]
    pub fn hit(&self, row: usize, normal: Option<&str>) -> Option<Hit> {
        self.view(row)?.to_hit(normal)
    }

    /// The tag in a row, where it lies.
    #[must_use]
    pub fn view(&self, row: usize) -> Option<View<'_>> {
        let [subject, profile, context] = self.row(row)?;
        let profile = self.profile(profile)?;
        let [label, source, pack, creator, actor, lastmod, currency, network, concepts] = profile.strings;
        let text = |number: u32| self.string(number);
        Some(View {
            kind: if profile.kind == 0 { SubjectKind::Address } else { SubjectKind::Tx },
            store: self,
            place: subject,
            verified: profile.verified == 1,
            currency: text(currency)?,
            network: text(network)?,
            label: text(label)?,
            source: text(source)?,
            confidence: Confidence::at(profile.confidence)?,
            concepts: text(concepts)?,
            actor: text(actor),
            tag_type: TagType::ALL.get(usize::from(profile.tag_type)).copied()?,
            cluster_definer: profile.cluster_definer == 1,
            lastmod: text(lastmod),
            context: text(context),
            pack: text(pack)?,
            creator: text(creator)?,
        })
    }

    fn profile(&self, number: u32) -> Option<Profile> {
        let number = usize::try_from(number).ok().filter(|number| *number < self.parts.profiles)?;
        let at = self.parts.at_profiles.checked_add(number.checked_mul(PROFILE)?)?;
        let bytes: &[u8; PROFILE] = self.bytes.get(at..)?.first_chunk()?;
        let mut strings = [NONE; 9];
        for (place, string) in strings.iter_mut().enumerate() {
            *string = u32_at(bytes, place.checked_mul(4)?)?;
        }
        // Three bytes are room for later versions.
        let [.., confidence, tag_type, kind, cluster_definer, verified, _, _, _] = *bytes;
        Some(Profile { strings, confidence, tag_type, kind, cluster_definer, verified })
    }

    fn string(&self, number: u32) -> Option<&str> {
        let number = usize::try_from(number).ok().filter(|number| *number < self.parts.strings)?;
        let end = |number: usize| {
            let at = self.parts.at_ends.checked_add(number.checked_mul(8)?)?;
            usize::try_from(u64_at(&self.bytes, at)?).ok()
        };
        let from = number.checked_sub(1).map_or(Some(0), end)?;
        let strings = self.bytes.get(self.parts.at_strings..self.parts.end)?;
        core::str::from_utf8(strings.get(from..end(number)?)?).ok()
    }

    fn subject(&self, place: u32) -> Option<&str> {
        let subjects = self.bytes.get(self.parts.at_subjects..self.parts.at_strings)?;
        let (length, rest) = subjects.get(usize::try_from(place).ok()?..)?.split_first()?;
        core::str::from_utf8(rest.get(..usize::from(*length))?).ok()
    }
}

/// The first key that is not less than this one. Keys are hashes and lie evenly: it is looked for from where it should be, in
/// growing steps, because each step elsewhere is one that waits for memory.
fn first_not_less(keys: &[Key], key: &Key) -> usize {
    let [_, _, third, fourth, ..] = *key;
    let guess = keys.len().saturating_mul(usize::from(u16::from_be_bytes([third, fourth]))) >> 16;
    let less = |place: usize| keys.get(place).is_some_and(|other| other < key);
    let (mut low, mut high, mut step) = (guess, guess, 4_usize);
    if less(guess) {
        while less(high) {
            low = high;
            high = high.saturating_add(step).min(keys.len());
            step = step.saturating_mul(2);
        }
    } else {
        while low > 0 && !less(low) {
            high = low;
            low = low.saturating_sub(step);
            step = step.saturating_mul(2);
        }
    }
    low.saturating_add(keys.get(low..high).unwrap_or_default().partition_point(|other| other < key))
}

/// For each first two bytes of a key the first row that has them or more; nothing if keys do not ascend.
fn fences(keys: &[u8]) -> Option<Vec<u32>> {
    let (keys, _) = keys.as_chunks::<KEY>();
    if !keys.is_sorted() {
        return None;
    }
    let mut fences = Vec::with_capacity(65_537);
    for (row, key) in keys.iter().enumerate() {
        let [first, second, ..] = *key;
        let place = usize::from(u16::from_be_bytes([first, second]));
        let row = u32::try_from(row).ok()?;
        while fences.len() <= place {
            fences.push(row);
        }
    }
    let rows = u32::try_from(keys.len()).ok()?;
    fences.resize(65_537, rows);
    Some(fences)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_wherever_it_lies() {
        // Evenly, all at one end, all at the other, all the same.
        let spread: [fn(u16) -> u16; 4] = [
            |number| number.wrapping_mul(40_503),
            |number| number / 64,
            |number| u16::MAX - number / 64,
            |_| 7,
        ];
        for (count, spread) in
            [0, 1, 2, 5, 152, 1_000].into_iter().flat_map(|count| spread.map(|spread| (count, spread)))
        {
            let key = |number: u16, last: u8| {
                let [third, fourth] = spread(number).to_be_bytes();
                let mut key = [0; KEY];
                key[2..4].copy_from_slice(&[third, fourth]);
                key[15] = last;
                key
            };
            let mut keys: Vec<Key> = (0..count).map(|number| key(number, 1)).collect();
            keys.sort_unstable();
            for number in 0..count.max(50) {
                for last in 0..=2 {
                    let asked = key(number, last);
                    let want = keys.iter().filter(|other| **other < asked).count();
                    assert_eq!(first_not_less(&keys, &asked), want, "{count} {number} {last}");
                }
            }
        }
    }
}
