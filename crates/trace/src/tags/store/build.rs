//! Makes the file of a tag store. Decides how tags share what they have in common; says nothing about them.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::Path,
};

use sha2::{Digest as _, Sha256};

use super::{KEY, MAGIC, NONE, Profile, Store, StoreError, key};
use crate::tags::{SubjectKind, Tag, TagType};

/// Strings, each once, with a number.
#[derive(Default)]
struct Strings {
    numbers: HashMap<Box<str>, u32>,
    ends: Vec<u64>,
    text: String,
}

impl Strings {
    fn number(&mut self, text: &str) -> Result<u32, StoreError> {
        if let Some(number) = self.numbers.get(text) {
            return Ok(*number);
        }
        let many = || StoreError::Many { what: "different texts", max: u64::from(NONE) };
        let number = u32::try_from(self.ends.len()).ok().filter(|number| *number < NONE).ok_or_else(many)?;
        self.text.push_str(text);
        self.ends.push(u64::try_from(self.text.len()).unwrap_or(u64::MAX));
        self.numbers.insert(text.into(), number);
        Ok(number)
    }

    fn option(&mut self, text: Option<&str>) -> Result<u32, StoreError> {
        text.map_or(Ok(NONE), |text| self.number(text))
    }
}

/// A store that is being made.
#[derive(Default)]
pub struct Builder {
    rows: Vec<([u8; KEY], [u32; 3])>,
    subjects: Vec<u8>,
    strings: Strings,
    profiles: HashMap<Profile, u32>,
    in_order: Vec<Profile>,
}

impl Builder {
    /// A store with nothing in it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes over what a store has, but for packs that are about to be added, each by its title and creator.
    ///
    /// # Errors
    /// More than a store holds.
    pub fn take(&mut self, store: &Store, replaced: &[(&str, &str)]) -> Result<(), StoreError> {
        for hit in store.iter() {
            if !replaced.contains(&(hit.pack.as_str(), hit.creator.as_str())) {
                self.add(&hit.tag, &hit.pack, &hit.creator)?;
            }
        }
        Ok(())
    }

    /// Adds a tag of a pack.
    ///
    /// # Errors
    /// More than a store holds.
    pub fn add(&mut self, tag: &Tag, pack: &str, creator: &str) -> Result<(), StoreError> {
        let many = |what| StoreError::Many { what, max: u64::from(NONE) };
        let strings = &mut self.strings;
        let profile = Profile {
            strings: [
                strings.number(&tag.label)?,
                strings.number(&tag.source)?,
                strings.number(pack)?,
                strings.number(creator)?,
                strings.option(tag.actor.as_deref())?,
                strings.option(tag.lastmod.as_deref())?,
                strings.number(&tag.currency)?,
                strings.number(&tag.network)?,
                strings.number(&tag.concepts.join(" "))?,
            ],
            confidence: tag.confidence.place(),
            tag_type: TagType::ALL
                .iter()
                .position(|kind| *kind == tag.tag_type)
                .and_then(|place| u8::try_from(place).ok())
                .unwrap_or(0),
            kind: u8::from(tag.kind == SubjectKind::Tx),
            cluster_definer: u8::from(tag.cluster_definer),
            verified: u8::from(tag.verified),
        };
        let context = strings.option(tag.context.as_deref())?;
        let number = match self.profiles.get(&profile) {
            Some(number) => *number,
            None => {
                let number = u32::try_from(self.in_order.len()).map_err(|_| many("different profiles"))?;
                self.in_order.push(profile.clone());
                self.profiles.insert(profile, number);
                number
            }
        };
        let place = u32::try_from(self.subjects.len()).map_err(|_| many("bytes of subjects"))?;
        // The form was checked when the tag was read: at most `address::TEXT_MAX` bytes.
        self.subjects.push(u8::try_from(tag.subject.len()).unwrap_or(u8::MAX));
        self.subjects
            .extend_from_slice(tag.subject.as_bytes().get(..tag.subject.len().min(255)).unwrap_or_default());
        if self.rows.len() >= usize::try_from(NONE).unwrap_or(usize::MAX) {
            return Err(many("tags"));
        }
        self.rows.push((key(tag.kind, &tag.network, &tag.normal), [place, number, context]));
        Ok(())
    }

    /// Writes the store into a folder, in one step: whoever reads sees the old one or the new one. Tags that say the same of
    /// the same subject in the same pack are written once. Gives how many were written.
    ///
    /// # Errors
    /// A folder that cannot be written to, or that somebody else writes to.
    pub fn save(mut self, folder: &Path) -> Result<usize, StoreError> {
        let file = |path: &Path| {
            let path = path.display().to_string();
            move |source| StoreError::File { path, source }
        };
        fs::create_dir_all(folder).map_err(file(folder))?;
        let lock_path = folder.join("lock");
        let lock = File::create(&lock_path).map_err(file(&lock_path))?;
        if lock.try_lock().is_err() {
            return Err(StoreError::Busy { path: lock_path.display().to_string() });
        }
        self.rows.sort_unstable_by_key(|(key, [place, profile, context])| (*key, *profile, *context, *place));
        self.rows.dedup_by_key(|(key, [_, profile, context])| (*key, *profile, *context));
        let (next, path) = (folder.join("tags.next"), folder.join(Store::FILE));
        let mut out =
            Hashing { out: BufWriter::new(File::create(&next).map_err(file(&next))?), hash: Sha256::new() };
        let written = self.write(&mut out).and_then(|()| {
            let digest = out.hash.finalize_reset();
            out.out.write_all(&digest)?;
            out.out.flush()?;
            out.out.get_ref().sync_all()
        });
        written.map_err(file(&next))?;
        fs::rename(&next, &path).map_err(file(&path))?;
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(file(folder))?;
        Ok(self.rows.len())
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let small = |length: usize| u32::try_from(length).unwrap_or(NONE).to_le_bytes();
        let large = |length: usize| u64::try_from(length).unwrap_or(u64::MAX).to_le_bytes();
        out.write_all(&MAGIC)?;
        for length in [self.rows.len(), self.in_order.len(), self.strings.ends.len()] {
            out.write_all(&small(length))?;
        }
        for length in [self.subjects.len(), self.strings.text.len()] {
            out.write_all(&large(length))?;
        }
        for (key, _) in &self.rows {
            out.write_all(key)?;
        }
        for number in self.rows.iter().flat_map(|(_, numbers)| numbers) {
            out.write_all(&number.to_le_bytes())?;
        }
        for profile in &self.in_order {
            for string in profile.strings {
                out.write_all(&string.to_le_bytes())?;
            }
            out.write_all(&[profile.confidence, profile.tag_type, profile.kind, profile.cluster_definer])?;
            out.write_all(&[profile.verified, 0, 0, 0])?;
        }
        for end in &self.strings.ends {
            out.write_all(&end.to_le_bytes())?;
        }
        out.write_all(&self.subjects)?;
        out.write_all(self.strings.text.as_bytes())
    }
}

/// Hashes what is written.
struct Hashing {
    out: BufWriter<File>,
    hash: Sha256,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hash.update(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
