//! Tables in files: from a hash to the number of what was hashed, by open addressing.
//!
//! Decides where a number stands. Never keeps what was hashed: whoever looks compares it himself.
//!
//! A slot has eight bytes: the number plus one in its low 40 bits, 24 bits of the hash above them; zero is empty. A
//! slot is found by probing on from its home, one slot at a time. Entries are only ever added in the order of their
//! numbers and taken off from the greatest down, so that no entry stands beyond a slot that could become empty before
//! it: taking off is clearing.

use std::{fs, path::PathBuf};

use super::{
    column::{Column, Corrupted, FileError, Filled, Hidden, Place},
    pieces::count,
};

/// Slots of a new table, as a power of two.
pub(super) const BITS_MIN: u32 = 12;
/// Slots of the largest table, as a power of two: more than 40 bits of numbers never need.
const BITS_MAX: u32 = 41;
const NUMBER_BITS: u32 = 40;
const NUMBER_MASK: u64 = (1 << NUMBER_BITS) - 1;

/// The size of a table, and its sum.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Size {
    /// Slots, as a power of two.
    pub(super) bits: u32,
    /// The sum of its slots.
    pub(super) sum: u64,
}

impl Size {
    /// Of a new table.
    pub(super) const NEW: Self = Self { bits: BITS_MIN, sum: 0 };
}

#[derive(Debug)]
pub(super) struct Table {
    slots: Column<8>,
    bits: u32,
    used: u64,
    /// Files of smaller tables that the last commit still needs.
    stale: Vec<PathBuf>,
}

fn file_name(name: &str, bits: u32) -> String {
    format!("{name}.{bits}")
}

impl Table {
    /// The table at a place, with so many entries.
    pub(super) fn open(
        place: Place<'_>,
        size: Size,
        used: u64,
        sums: Vec<u64>,
        writes: bool,
    ) -> Result<Self, FileError> {
        let name = file_name(place.name, size.bits);
        let place = Place { name: &name, ..place };
        let fresh = writes && used == 0 && size.sum == 0 && !place.folder.join(&name).exists();
        let slots = if fresh { 0 } else { 1 << size.bits };
        let mut slots = Column::open(place, Filled { items: slots, sum: size.sum }, sums, writes)?;
        if fresh {
            slots.zeros(1 << size.bits)?;
        }
        Ok(Self { slots, bits: size.bits, used, stale: Vec::new() })
    }

    /// Takes entries for none that a writer adds from now on. Their slots were empty, so no older entry stands beyond one.
    pub(super) const fn hide_later(&mut self) {
        self.slots.hide(Hidden { mask: NUMBER_MASK, most: self.used });
    }

    /// The sums of its pieces.
    pub(super) fn sums(&self) -> &[u64] {
        self.slots.sums()
    }

    pub(super) const fn size(&self) -> Size {
        Size { bits: self.bits, sum: self.slots.filled().sum }
    }

    /// How many numbers it holds.
    pub(super) const fn entries(&self) -> u64 {
        self.used
    }

    const fn mask(&self) -> u64 {
        (1 << self.bits) - 1
    }

    /// The first number under a hash that is the one.
    #[inline]
    pub(super) fn find(&self, hash: u64, mut is: impl FnMut(u64) -> bool) -> Option<u64> {
        let mut place = hash & self.mask();
        loop {
            let slot = self.slots.at(place);
            if slot == 0 {
                return None;
            }
            if slot >> NUMBER_BITS == hash >> NUMBER_BITS {
                let number = (slot & NUMBER_MASK).saturating_sub(1);
                if is(number) {
                    return Some(number);
                }
            }
            place = (place + 1) & self.mask();
        }
    }

    /// Brings the home of a hash into memory ahead of its use.
    #[inline]
    pub(super) fn touch(&self, hash: u64) -> u64 {
        self.slots.touch(hash & self.mask())
    }

    /// The number in the home of a hash, if it is likely to be the one: what is worth bringing into memory.
    #[inline]
    pub(super) fn guess(&self, hash: u64) -> Option<u64> {
        let slot = self.slots.at(hash & self.mask());
        (slot >> NUMBER_BITS == hash >> NUMBER_BITS).then(|| (slot & NUMBER_MASK).checked_sub(1)).flatten()
    }

    /// Whether so many entries need a larger table.
    #[inline]
    pub(super) const fn is_full_with(&self, entries: u64) -> bool {
        // Five eighths: a probe that finds nothing then reads four slots on average.
        entries >= (1 << self.bits) / 8 * 5
    }

    /// Adds a number, greater than all before it, to a table that has room.
    #[inline]
    pub(super) fn insert(&mut self, hash: u64, number: u64) {
        let mut place = hash & self.mask();
        while self.slots.at(place) != 0 {
            place = (place + 1) & self.mask();
        }
        self.slots.set(place, hash >> NUMBER_BITS << NUMBER_BITS | (number + 1));
        self.used += 1;
    }

    /// Takes off a number, the greatest there is.
    pub(super) fn remove(&mut self, hash: u64, number: u64) {
        let mut place = hash & self.mask();
        loop {
            let slot = self.slots.at(place);
            if slot == 0 {
                return;
            }
            if slot & NUMBER_MASK == number + 1 {
                self.slots.set(place, 0);
                self.used = self.used.saturating_sub(1);
                return;
            }
            place = (place + 1) & self.mask();
        }
    }

    /// Makes it large enough for so many entries, from the hashes of all that it holds, in the order of their numbers.
    pub(super) fn grow(
        &mut self,
        place: Place<'_>,
        entries: u64,
        hashes: impl Iterator<Item = u64>,
    ) -> Result<(), FileError> {
        let mut bits = self.bits;
        while (1_u64 << bits) / 8 * 5 <= entries && bits < BITS_MAX {
            bits += 1;
        }
        if bits == self.bits {
            return Ok(());
        }
        let name = file_name(place.name, bits);
        // What a process that was ended left behind.
        let path = place.folder.join(&name);
        if path.exists() {
            fs::remove_file(&path).map_err(FileError::io(&path, "removed"))?;
        }
        let none = (0..count(1 << bits)).map(|_| 0).collect();
        let mut larger =
            Self::open(Place { name: place.name, ..place }, Size { bits, sum: 0 }, 0, none, true)?;
        for (hash, number) in hashes.zip(0..) {
            larger.insert(hash, number);
        }
        larger.stale = core::mem::take(&mut self.stale);
        larger.stale.push(place.folder.join(file_name(place.name, self.bits)));
        *self = larger;
        Ok(())
    }

    /// Removes the files of smaller tables, once a commit names this one.
    pub(super) fn forget_stale(&mut self) -> Result<(), FileError> {
        for path in self.stale.drain(..) {
            fs::remove_file(&path).map_err(FileError::io(&path, "removed"))?;
        }
        Ok(())
    }

    /// Removes the files of all other sizes.
    pub(super) fn forget_others(&self, place: Place<'_>) -> Result<(), FileError> {
        for bits in (BITS_MIN..=BITS_MAX).filter(|bits| *bits != self.bits) {
            let path = place.folder.join(file_name(place.name, bits));
            if path.exists() {
                fs::remove_file(&path).map_err(FileError::io(&path, "removed"))?;
            }
        }
        Ok(())
    }

    /// Clears every slot with a number of `count` or more, as a process that was ended left them; the sum stays.
    pub(super) fn clear_from(&mut self, count: u64) {
        self.slots.clear_where(|slot| slot & NUMBER_MASK > count);
        self.used = count;
    }

    pub(super) fn sum_again(&mut self) {
        self.slots.sum_again();
    }

    pub(super) fn check(&self) -> Result<(), Corrupted> {
        self.slots.check()
    }

    pub(super) fn settle(&mut self) -> Result<(), FileError> {
        self.slots.settle()
    }

    pub(super) fn flush(&self) -> Result<(), FileError> {
        self.slots.flush()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.slots.bytes()
    }
}
