//! Files mapped into memory: the only module of the crate with `unsafe` in it.
//!
//! Decides nothing about what the bytes mean. What makes the mapping sound stands at [`Map`].

#![expect(
    unsafe_code,
    reason = "the system's mapping of files is not safe by itself; the reasons stand at `Map`"
)]

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt as _,
    path::Path,
};

use memmap2::{Mmap, MmapMut};

/// What files grow by is written in pieces of this length.
static ZEROS: [u8; 1 << 18] = [0; 1 << 18];

/// A file in memory, to read or to write.
///
/// A mapping is unsound if the file changes beneath a shared slice, or is cut shorter while it is mapped. So:
///
/// 1. Only files of an index directory are mapped, and a directory is used under the lock of its `lock` file: one
///    writer alone, or readers alone ([`crate::index`]). Two of our processes never have a file mapped while one of
///    them writes it.
/// 2. Within a process a mapping has one owner. Slices borrow from it, so none outlives a write ([`Map::bytes_mut`]
///    takes `&mut self`) or a change of length ([`Map::resize`] takes `&mut self`, and unmaps before it cuts).
/// 3. The bytes are plain numbers: every pattern of bits is valid, and no reference into a mapping is kept.
///
/// What is left is a foreign program that cuts a file short while we read it. The system then ends this process
/// (`SIGBUS`); memory is not corrupted.
#[derive(Debug)]
pub(super) struct Map {
    file: File,
    view: View,
}

#[derive(Debug)]
enum View {
    Empty,
    Read(Mmap),
    Write(MmapMut),
}

impl Map {
    /// An existing file, to read.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let view = if file.metadata()?.len() == 0 {
            View::Empty
        } else {
            // SAFETY: see `Map`.
            View::Read(unsafe { Mmap::map(&file) }?)
        };
        Ok(Self { file, view })
    }

    /// A file to read and write, made where it is not there yet.
    pub(super) fn open_to_write(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut map = Self { file, view: View::Empty };
        map.view = map.mapped()?;
        Ok(map)
    }

    fn mapped(&self) -> io::Result<View> {
        if self.file.metadata()?.len() == 0 {
            return Ok(View::Empty);
        }
        // SAFETY: see `Map`.
        Ok(View::Write(unsafe { MmapMut::map_mut(&self.file) }?))
    }

    /// All of it.
    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        match &self.view {
            View::Empty => &[],
            View::Read(map) => map,
            View::Write(map) => map,
        }
    }

    /// All of it, to write; nothing if it was opened to read.
    #[inline]
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        match &mut self.view {
            View::Empty | View::Read(_) => &mut [],
            View::Write(map) => map,
        }
    }

    /// Makes a file that is open to write so many bytes long; new ones are zero. They are written out, so that a full
    /// disk is an error here and not the end of the process when the mapping is written.
    pub(super) fn resize(&mut self, bytes: u64) -> io::Result<()> {
        let before = self.file.metadata()?.len();
        if let Err(error) = self.write_zeros(before, bytes) {
            self.file.set_len(before)?;
            return Err(error);
        }
        self.view = View::Empty;
        self.file.set_len(bytes)?;
        self.view = self.mapped()?;
        Ok(())
    }

    fn write_zeros(&self, from: u64, to: u64) -> io::Result<()> {
        let mut at = from;
        while at < to {
            let bytes = usize::try_from(to - at).unwrap_or(usize::MAX).min(ZEROS.len());
            self.file.write_all_at(ZEROS.get(..bytes).unwrap_or_default(), at)?;
            at += u64::try_from(bytes).unwrap_or(u64::MAX);
        }
        Ok(())
    }

    /// Returns when what was written is on the disk.
    pub(super) fn flush(&self) -> io::Result<()> {
        match &self.view {
            View::Empty | View::Read(_) => Ok(()),
            View::Write(map) => map.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_a_reader_cannot_write() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let mut map = Map::open_to_write(&path).unwrap();
        assert_eq!(map.bytes(), b"");
        map.resize(3).unwrap();
        map.bytes_mut().copy_from_slice(b"abc");
        map.resize(5).unwrap();
        assert_eq!(map.bytes(), b"abc\0\0");
        map.resize(2).unwrap();
        map.flush().unwrap();
        let mut reader = Map::open(&path).unwrap();
        assert_eq!(reader.bytes(), b"ab");
        assert_eq!(reader.bytes_mut(), b"");
        map.resize(0).unwrap();
        assert_eq!(map.bytes(), b"");
    }
}
