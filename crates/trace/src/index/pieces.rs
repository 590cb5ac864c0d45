//! Sums of pieces of a column, so that a reader compares what it reads and not the whole file, and the file that keeps them.
//!
//! Decides which pieces were compared. Never repairs one.

use core::sync::atomic::{AtomicBool, Ordering};
use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
};

use kuraban_base::hex;
use sha2::{Digest as _, Sha256};

use super::{
    column::{FileError, wide},
    head::HeadError,
};

/// Items of a piece, as a power of two.
const PIECE_BITS: u32 = 14;
/// The first word of the files of sums.
pub(super) const SUMS: &str = "sums";

/// The sums of a column's pieces; each piece is compared once, when it is first read.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    sums: Vec<u64>,
    known: Vec<AtomicBool>,
}

/// Which piece an item is in.
#[inline]
pub(super) const fn piece_of(item: u64) -> u64 {
    item >> PIECE_BITS
}

/// The items of a piece.
pub(super) const fn items_of(piece: u64) -> core::ops::Range<u64> {
    piece << PIECE_BITS..(piece + 1) << PIECE_BITS
}

/// How many pieces so many items have.
pub(super) const fn count(items: u64) -> u64 {
    items.div_ceil(1 << PIECE_BITS)
}

fn place(piece: u64) -> usize {
    usize::try_from(piece).unwrap_or(usize::MAX)
}

impl Pieces {
    /// As they were noted; none was compared yet.
    pub(super) fn noted(sums: Vec<u64>) -> Self {
        let known = sums.iter().map(|_| AtomicBool::new(false)).collect();
        Self { sums, known }
    }

    /// As they were just computed from what stands there.
    pub(super) fn computed(sums: Vec<u64>) -> Self {
        let known = sums.iter().map(|_| AtomicBool::new(true)).collect();
        Self { sums, known }
    }

    /// Whether the piece of an item was compared.
    #[inline]
    pub(super) fn is_known(&self, item: u64) -> bool {
        self.known.get(place(piece_of(item))).is_some_and(|known| known.load(Ordering::Relaxed))
    }

    /// Notes that a piece was compared.
    pub(super) fn know(&self, piece: u64) {
        if let Some(known) = self.known.get(place(piece)) {
            known.store(true, Ordering::Relaxed);
        }
    }

    /// The sum that was noted for a piece.
    pub(super) fn sum(&self, piece: u64) -> u64 {
        self.sums.get(place(piece)).copied().unwrap_or(0)
    }

    /// All sums.
    pub(super) fn sums(&self) -> &[u64] {
        &self.sums
    }

    /// Adds an item's share, for which there is a new piece if it is the first of one.
    #[inline]
    pub(super) fn add(&mut self, item: u64, share: u64) {
        let at = place(piece_of(item));
        if at >= self.sums.len() {
            self.sums.resize(at + 1, 0);
            self.known.resize_with(at + 1, || AtomicBool::new(true));
        }
        if let Some(sum) = self.sums.get_mut(at) {
            *sum = sum.wrapping_add(share);
        }
    }

    /// Takes an item's share off.
    #[inline]
    pub(super) fn take(&mut self, item: u64, share: u64) {
        if let Some(sum) = self.sums.get_mut(place(piece_of(item))) {
            *sum = sum.wrapping_sub(share);
        }
    }

    /// Forgets pieces without an item.
    pub(super) fn cut(&mut self, items: u64) {
        self.sums.truncate(place(count(items)));
        self.known.truncate(place(count(items)));
    }
}

/// The sums of all columns and tables, in the order of the head.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Sums {
    bytes: Vec<u8>,
}

impl Sums {
    pub(super) fn of<'a>(columns: impl IntoIterator<Item = &'a [u64]>) -> Self {
        let mut bytes = Vec::new();
        for sums in columns {
            bytes.extend_from_slice(&wide(sums.len()).to_le_bytes());
            sums.iter().for_each(|sum| bytes.extend_from_slice(&sum.to_le_bytes()));
        }
        Self { bytes }
    }

    /// What the head says of them.
    pub(super) fn digest(&self) -> [u8; 32] {
        Sha256::digest(&self.bytes).into()
    }

    /// Puts them on the disk, beside those that the head names until it is replaced.
    pub(super) fn write(&self, folder: &Path) -> Result<(), FileError> {
        let path = folder.join(file_name(&self.digest()));
        // The head may name them already, and a reader be reading them: they are replaced by the same, whole at every moment.
        let part = folder.join(format!("{SUMS}.part"));
        let mut file = File::create(&part).map_err(FileError::io(&part, "made"))?;
        let written = file.write_all(&self.bytes).and_then(|()| file.sync_all());
        written.and_then(|()| fs::rename(&part, &path)).map_err(FileError::io(&path, "written"))
    }

    /// Those that a head names.
    pub(super) fn read(folder: &Path, digest: &[u8; 32]) -> Result<Self, HeadError> {
        let path = folder.join(file_name(digest));
        let bytes = fs::read(&path).map_err(FileError::io(&path, "read"))?;
        let sums = Self { bytes };
        if sums.digest() == *digest {
            return Ok(sums);
        }
        Err(HeadError::Damaged { path, what: "it is not what the head says".to_owned() })
    }

    /// The sums of each column, one after the other.
    pub(super) fn columns(&self) -> impl Iterator<Item = Vec<u64>> + '_ {
        let mut words = self.bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word));
        core::iter::from_fn(move || {
            let count = words.next()?;
            Some(words.by_ref().take(place(count)).collect())
        })
    }
}

fn file_name(digest: &[u8; 32]) -> String {
    let short = digest.first_chunk::<8>().map_or_else(String::new, |short| hex::encode(short));
    format!("{SUMS}.{short}")
}

/// Removes the sums that no head names any more.
pub(super) fn forget_others(folder: &Path, digest: &[u8; 32]) -> Result<(), FileError> {
    let keep = file_name(digest);
    let entries = fs::read_dir(folder).map_err(FileError::io(folder, "read"))?;
    for entry in entries {
        let entry = entry.map_err(FileError::io(folder, "read"))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(SUMS) && name != keep {
            fs::remove_file(entry.path()).map_err(FileError::io(&entry.path(), "removed"))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_come_back_and_a_changed_byte_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let columns: [&[u64]; 3] = [&[1, 2, u64::MAX], &[], &[7]];
        let sums = Sums::of(columns);
        sums.write(folder.path()).unwrap();
        let found = Sums::read(folder.path(), &sums.digest()).unwrap();
        assert_eq!(found.columns().collect::<Vec<_>>(), columns.map(<[u64]>::to_vec));
        let other = Sums::of([&[1_u64][..]]);
        other.write(folder.path()).unwrap();
        forget_others(folder.path(), &sums.digest()).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let path = folder.path().join(file_name(&sums.digest()));
        let mut bytes = fs::read(&path).unwrap();
        bytes[9] ^= 1;
        fs::write(&path, bytes).unwrap();
        let error = Sums::read(folder.path(), &sums.digest()).unwrap_err().to_string();
        assert!(error.contains("it is not what the head says"), "{error}");
    }

    #[test]
    fn a_piece_is_known_when_it_was_compared_or_made_here() {
        let mut pieces = Pieces::noted(vec![5]);
        assert!(!pieces.is_known(0) && !pieces.is_known(1 << PIECE_BITS));
        pieces.know(0);
        pieces.add(1 << PIECE_BITS, 9);
        assert!(pieces.is_known((1 << PIECE_BITS) - 1) && pieces.is_known(1 << PIECE_BITS));
        pieces.take(0, 2);
        assert_eq!(pieces.sums(), [3, 9]);
        pieces.cut(1 << PIECE_BITS);
        assert_eq!((pieces.sums(), count(1 << PIECE_BITS), count((1 << PIECE_BITS) + 1)), (&[3][..], 1, 2));
    }
}
