//! Columns of rows of bytes, and scripts one after the other.
//!
//! Decides as [`column`](super::column) does. Never knows what the bytes mean.

use std::path::PathBuf;

use super::{
    column::{
        Corrupted, FileError, Filled, Place, beyond, compare, noted, offset, open, require, reserve, settle,
        share_of_row, wide,
    },
    map::Map,
    pieces::{Pieces, count, items_of, piece_of},
};

/// Rows of `N` bytes each. A piece of them is compared with its sum before the first of it is given out.
#[derive(Debug)]
pub(super) struct Rows<const N: usize> {
    map: Map,
    path: PathBuf,
    filled: Filled,
    pieces: Pieces,
}

impl<const N: usize> Rows<N> {
    /// The column at a place, filled so far.
    pub(super) fn open(
        place: Place<'_>,
        filled: Filled,
        sums: Vec<u64>,
        writes: bool,
    ) -> Result<Self, FileError> {
        let (map, path) = open(place, N, filled.items, writes)?;
        let pieces = noted(&path, sums, filled.items)?;
        Ok(Self { map, path, filled, pieces })
    }

    /// The sums of its pieces.
    pub(super) fn sums(&self) -> &[u64] {
        self.pieces.sums()
    }

    /// How far it is filled.
    pub(super) const fn filled(&self) -> Filled {
        self.filled
    }

    /// How many rows it has.
    pub(super) const fn len(&self) -> u64 {
        self.filled.items
    }

    /// The row at a place, which must be below the length.
    #[inline]
    pub(super) fn at(&self, item: u64) -> [u8; N] {
        if item >= self.filled.items {
            beyond(&self.path, item, self.filled.items);
        }
        if !self.pieces.is_known(item) {
            require(self.prove(piece_of(item)));
        }
        self.read(item)
    }

    /// Compares the pieces from the one of an item on.
    pub(super) fn proven_from(&self, item: u64) -> Result<(), Corrupted> {
        let mut pieces = piece_of(item)..count(self.filled.items);
        pieces.try_for_each(|piece| self.prove(piece))
    }

    #[inline]
    fn read(&self, item: u64) -> [u8; N] {
        let row = self.map.bytes().get(offset(N, item)..).and_then(<[u8]>::first_chunk::<N>);
        // `open` and `reserve` see to it that there is room for every row.
        row.map_or([0; N], |row| *row)
    }

    /// Appends a row.
    pub(super) fn push(&mut self, row: &[u8; N]) -> Result<(), FileError> {
        let item = self.filled.items;
        reserve(&mut self.map, &self.path, N, item + 1)?;
        self.filled.items += 1;
        let share = share_of_row(item, row);
        self.filled.sum = self.filled.sum.wrapping_add(share);
        self.pieces.add(item, share);
        if let Some(to) =
            self.map.bytes_mut().get_mut(offset(N, item)..).and_then(<[u8]>::first_chunk_mut::<N>)
        {
            *to = *row;
        }
        Ok(())
    }

    /// Takes rows off its end.
    pub(super) fn truncate(&mut self, items: u64) {
        for item in items..self.filled.items {
            let share = share_of_row(item, &self.at(item));
            self.filled.sum = self.filled.sum.wrapping_sub(share);
            self.pieces.take(item, share);
        }
        self.filled.items = self.filled.items.min(items);
        self.pieces.cut(self.filled.items);
    }

    /// Compares a piece with what was noted.
    #[cold]
    fn prove(&self, piece: u64) -> Result<(), Corrupted> {
        compare(&self.path, &self.pieces, piece, self.sum(piece))
    }

    /// The sum of what stands in a piece now.
    fn sum(&self, piece: u64) -> u64 {
        let items = items_of(piece);
        let items = items.start..items.end.min(self.filled.items);
        items.fold(0, |sum, item| sum.wrapping_add(share_of_row(item, &self.read(item))))
    }

    /// Takes the sums of what stands there now for the right ones.
    pub(super) fn sum_again(&mut self) {
        let sums: Vec<u64> = (0..count(self.filled.items)).map(|piece| self.sum(piece)).collect();
        self.filled.sum = sums.iter().fold(0, |all, sum| all.wrapping_add(*sum));
        self.pieces = Pieces::computed(sums);
    }

    /// Compares all that stands there with what was noted.
    pub(super) fn check(&self) -> Result<(), Corrupted> {
        (0..count(self.filled.items)).try_for_each(|piece| self.prove(piece))
    }

    /// Brings a row's page into memory ahead of its use.
    #[inline]
    pub(super) fn touch(&self, item: u64) -> u64 {
        let start = self.map.bytes().get(offset(N, item));
        start.map_or(0, |byte| u64::from(*byte))
    }

    pub(super) fn settle(&mut self) -> Result<(), FileError> {
        settle(&mut self.map, &self.path, N, self.filled.items)
    }

    pub(super) fn flush(&self) -> Result<(), FileError> {
        self.map.flush().map_err(FileError::io(&self.path, "written to disk"))
    }

    /// Bytes of its file.
    pub(super) fn bytes(&self) -> u64 {
        wide(self.map.bytes().len())
    }
}

/// Scripts one after the other. The column of their starts says where each begins, and they are summed by their numbers:
/// whoever has both sees to it that a piece is compared.
#[derive(Debug)]
pub(super) struct Blob {
    map: Map,
    path: PathBuf,
    filled: Filled,
    pieces: Pieces,
}

impl Blob {
    /// The bytes at a place, filled so far, with the sums of so many scripts.
    pub(super) fn open(
        place: Place<'_>,
        filled: Filled,
        scripts: u64,
        sums: Vec<u64>,
        writes: bool,
    ) -> Result<Self, FileError> {
        let (map, path) = open(place, 1, filled.items, writes)?;
        let pieces = noted(&path, sums, scripts)?;
        Ok(Self { map, path, filled, pieces })
    }

    /// How many bytes there are, and the sum over the scripts that were appended.
    pub(super) const fn filled(&self) -> Filled {
        self.filled
    }

    /// The sums of its pieces.
    pub(super) fn sums(&self) -> &[u64] {
        self.pieces.sums()
    }

    /// How many bytes there are.
    pub(super) const fn len(&self) -> u64 {
        self.filled.items
    }

    /// The bytes of a range, as they stand there.
    #[inline]
    pub(super) fn read(&self, range: core::ops::Range<u64>) -> &[u8] {
        let end = range.end.min(self.filled.items);
        self.map.bytes().get(offset(1, range.start)..offset(1, end)).unwrap_or_default()
    }

    /// Whether the piece that a script is in was compared.
    #[inline]
    pub(super) fn is_known(&self, script: u64) -> bool {
        self.pieces.is_known(script)
    }

    /// Compares a piece, whose sum the caller computed, with what was noted.
    pub(super) fn compare(&self, piece: u64, found: u64) -> Result<(), Corrupted> {
        compare(&self.path, &self.pieces, piece, found)
    }

    /// Appends the script with a number; parts stand one after the other.
    pub(super) fn push(&mut self, script: u64, parts: &[&[u8]]) -> Result<(), FileError> {
        let start = self.filled.items;
        let end = parts.iter().fold(start, |end, part| end + wide(part.len()));
        reserve(&mut self.map, &self.path, 1, end)?;
        let mut at = offset(1, start);
        for part in parts {
            let next = at + part.len();
            if let Some(to) = self.map.bytes_mut().get_mut(at..next) {
                to.copy_from_slice(part);
            }
            at = next;
        }
        self.filled.items = end;
        let share = share_of_row(script, self.read(start..end));
        self.filled.sum = self.filled.sum.wrapping_add(share);
        self.pieces.add(script, share);
        Ok(())
    }

    /// Takes the last script off.
    pub(super) fn pop(&mut self, script: u64, start: u64) {
        let share = share_of_row(script, self.read(start..self.len()));
        self.filled.sum = self.filled.sum.wrapping_sub(share);
        self.pieces.take(script, share);
        self.pieces.cut(script);
        self.filled.items = self.filled.items.min(start);
    }

    /// Takes these sums for the right ones.
    pub(super) fn sums_are(&mut self, sums: Vec<u64>) {
        self.filled.sum = sums.iter().fold(0, |all, sum| all.wrapping_add(*sum));
        self.pieces = Pieces::computed(sums);
    }

    pub(super) fn settle(&mut self) -> Result<(), FileError> {
        settle(&mut self.map, &self.path, 1, self.filled.items)
    }

    pub(super) fn flush(&self) -> Result<(), FileError> {
        self.map.flush().map_err(FileError::io(&self.path, "written to disk"))
    }

    /// Bytes of its file.
    pub(super) fn bytes(&self) -> u64 {
        wide(self.map.bytes().len())
    }
}
