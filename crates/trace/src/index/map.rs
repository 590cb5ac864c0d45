//! Files mapped into memory: the only module of the crate with `unsafe` in it.
//!
//! Decides nothing about what the bytes mean. What makes the mapping sound stands at [`Map`].

#![expect(
    unsafe_code,
    reason = "the system's mapping of files is not safe by itself; the reasons stand at `Map`"
)]

use core::sync::atomic::{Ordering, fence};
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
/// 1. Only files of an index directory are mapped. One process writes, under the lock of the directory's `lock` file; any
///    number read, each what was committed when it opened ([`crate::index`]). The writer appends beyond what they read, and
///    cuts nothing of it: before it does, it locks the file `readers` against all of them.
/// 2. In what they read it changes two things: spenders of outputs, and slots of tables. It does so by [`Map::publish`], and
///    readers read these by [`Map::load`] and [`Map::load_words`], never through a slice. Every state between the old number
///    and the new one is one that readers take for zero.
/// 3. Within a process a mapping has one owner. Slices borrow from it, so none outlives a write ([`Map::bytes_mut`]
///    takes `&mut self`) or a change of length ([`Map::resize`] takes `&mut self`, and unmaps before it cuts).
/// 4. The bytes are plain numbers: every pattern of bits is valid, and no reference into a mapping is kept.
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

    /// A number of `width` bytes (at most eight, little endian) that another process may be writing by
    /// [`publish`](Self::publish) now; bytes beyond the width are not cleared. Zero where the file ends before.
    #[inline]
    pub(super) fn load(&self, at: usize, width: usize) -> u64 {
        let (first, last) = (at & !7, (at + width - 1) & !7);
        if first == last {
            return self.word(first) >> (8 * (at - first));
        }
        // A number over two words is read until it stands still: its last byte, which says whether it is whole, first.
        let mut high = self.word(last);
        let mut low = self.word(first);
        loop {
            fence(Ordering::Acquire);
            let again = (self.word(last), {
                fence(Ordering::Acquire);
                self.word(first)
            });
            if again == (high, low) {
                let taken = 8 * (at - first);
                return low >> taken | high << (64 - taken);
            }
            (high, low) = again;
        }
    }

    /// As [`load`](Self::load), for numbers that stand side by side: all bytes from a place that eight divides on, as many
    /// words as asked. A number over two words is whole for the same reason: both words, the later first, stood still.
    pub(super) fn load_words(&self, at: usize, words: &mut [[u8; 8]]) {
        let end = at + 8 * words.len();
        loop {
            let mut place = end;
            for word in words.iter_mut().rev() {
                place -= 8;
                *word = self.word(place).to_le_bytes();
                fence(Ordering::Acquire);
            }
            let mut stands = true;
            place = end;
            for word in words.iter().rev() {
                place -= 8;
                stands &= *word == self.word(place).to_le_bytes();
                fence(Ordering::Acquire);
            }
            if stands {
                return;
            }
        }
    }

    /// Eight bytes, at a place that eight divides.
    #[inline]
    fn word(&self, at: usize) -> u64 {
        let (start, length) = match &self.view {
            View::Empty => return 0,
            View::Read(map) => (map.as_ptr(), map.len()),
            View::Write(map) => (map.as_ptr(), map.len()),
        };
        if at.checked_add(8).is_none_or(|end| end > length) {
            return 0;
        }
        // SAFETY: within the mapping, which begins at a page, so that the place is aligned; volatile, because another
        // process may write there (see `Map`), and one aligned load, so that it is never half of a word.
        let word = unsafe { start.add(at).cast::<u64>().read_volatile() };
        u64::from_le(word)
    }

    /// Puts a number in the place of another one that other processes may be reading by [`load`](Self::load). Eight bytes
    /// at an aligned place change at once. Of others, the last byte is 255 while the rest changes, which makes the number
    /// larger than any that counts.
    #[inline]
    pub(super) fn publish(&mut self, at: usize, bytes: &[u8]) {
        let Some(to) = self.bytes_mut().get_mut(at..).and_then(|rest| rest.get_mut(..bytes.len())) else {
            return;
        };
        let start = to.as_mut_ptr();
        if let Some(eight) = <[u8; 8]>::try_from(bytes).ok().filter(|_| at.is_multiple_of(8)) {
            // SAFETY: eight bytes of the mapping, aligned as in `word`.
            unsafe { start.cast::<u64>().write_volatile(u64::from_le_bytes(eight).to_le()) };
            return;
        }
        let Some((last, rest)) = bytes.split_last() else { return };
        // SAFETY: `to` has as many bytes as `bytes`, and is borrowed exclusively.
        unsafe {
            start.add(rest.len()).write_volatile(u8::MAX);
            fence(Ordering::Release);
            for (place, byte) in rest.iter().enumerate() {
                start.add(place).write_volatile(*byte);
            }
            fence(Ordering::Release);
            start.add(rest.len()).write_volatile(*last);
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

    #[test]
    fn numbers_that_are_being_written_are_read_whole_side_by_side_too() {
        const WORDS: usize = 40;
        const COUNT: usize = 64 * 2_000;
        const NUMBER: u64 = 0x0011_2233_4455;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let mut writer = Map::open_to_write(&path).unwrap();
        writer.resize(u64::try_from(COUNT * 5 + 8).unwrap()).unwrap();
        let reader = Map::open(&path).unwrap();
        let next = core::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for place in 0..COUNT {
                    next.store(place, Ordering::Relaxed);
                    writer.publish(place * 5, &NUMBER.to_le_bytes()[..5]);
                }
            });
            loop {
                let place = next.load(Ordering::Relaxed);
                let mut words = [[0; 8]; WORDS];
                reader.load_words(place / 64 * 320, &mut words);
                for number in words.as_flattened().as_chunks::<5>().0 {
                    let number = number.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
                    let whole = number == 0 || number == NUMBER || number >> 32 == 0xff;
                    assert!(whole, "{number:x} at {place}");
                }
                if place + 1 == COUNT {
                    break;
                }
            }
        });
    }

    /// One mapping writes while another reads: a number is the old one, the new one, or one that is too large.
    #[test]
    fn a_number_that_is_being_written_is_never_half_old_and_half_new() {
        const COUNT: usize = 200_000;
        const NUMBER: u64 = 0x0011_2233_4455;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let mut writer = Map::open_to_write(&path).unwrap();
        writer.resize(u64::try_from(COUNT * 5 + 8).unwrap()).unwrap();
        let reader = Map::open(&path).unwrap();
        let next = core::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for place in 0..COUNT {
                    next.store(place, Ordering::Relaxed);
                    writer.publish(place * 5, &NUMBER.to_le_bytes()[..5]);
                }
            });
            loop {
                let place = next.load(Ordering::Relaxed);
                let number = reader.load(place * 5, 5) & 0xff_ffff_ffff;
                let whole = number == 0 || number == NUMBER || number >> 32 == 0xff;
                assert!(whole, "{number:x} at {place}");
                if place + 1 == COUNT {
                    break;
                }
            }
        });
        assert!((0..COUNT).all(|place| reader.load(place * 5, 5) & 0xff_ffff_ffff == NUMBER));
    }
}
