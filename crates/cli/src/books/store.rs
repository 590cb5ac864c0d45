//! The file that books are kept in: journals one after another, never changed. Decides whether what stands there is whole; what the
//! entries mean is `kuraban-ledger`'s.
//!
//! The file begins with `kuraban-books 1` and a line feed. Then frames: the length of the content as 8 bytes, the first byte the most
//! significant; SHA-256 of the frame's checksum before (32 zeros for the first) and the content; the first 8 bytes of SHA-256 of
//! these 40 bytes; the content. A process that is killed while it writes leaves the beginning of a frame at the end: that was never
//! reported as taken, is passed over, and is cut off by the next import. Anything else that does not fit is damage and is refused.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{BufReader, Read, Seek, SeekFrom, Write as _},
    path::Path,
};

use anyhow::Context as _;
use kuraban_base::Instant;
use kuraban_ledger::books::{Books, Journal};
use sha2::{Digest as _, Sha256};

use crate::{
    fail::{Failure, OrFail as _},
    say::Say,
};

const BEGIN: &[u8] = b"kuraban-books 1\n";
const HEAD: usize = 48;
/// Most bytes of one frame: what one journal may take.
const CONTENT_MAX: u64 = 8 << 30;

/// Books with their file.
pub(super) struct Store {
    file: File,
    /// What the whole frames come to.
    pub(super) books: Books,
    /// How many there are.
    pub(super) batches: u64,
    /// Where they end.
    end: u64,
    /// Bytes of a frame that was not finished.
    pub(super) torn: u64,
    /// The last frame's checksum.
    pub(super) checksum: [u8; 32],
}

impl Store {
    /// Reads books as they were at the end of `until`.
    pub(super) fn read(path: &Path, until: Instant, say: &Say) -> Result<Self, Failure> {
        let file = File::open(path).context("could not be opened").or_input(path.display())?;
        Self::load(file, until, say).or_input(path.display())
    }

    /// Opens books to add to them, and creates them where there are none. Nobody else adds meanwhile.
    pub(super) fn open(path: &Path, say: &Say) -> Result<Self, Failure> {
        let shown = path.display();
        let mut options = OpenOptions::new();
        let file = options.read(true).append(true).create(true).open(path);
        let mut file = file.context("could not be opened").or_undone(&shown)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Failure::undone(format!(
                    "{shown}: another import is writing; try again after it"
                )));
            }
            Err(TryLockError::Error(problem)) => return Err(problem).or_undone(&shown),
        }
        let length = file.metadata().or_undone(&shown)?.len();
        let begin = u64::try_from(BEGIN.len()).unwrap_or(u64::MAX);
        if length < begin {
            let mut found = Vec::new();
            file.read_to_end(&mut found).or_undone(&shown)?;
            if !BEGIN.starts_with(&found) {
                return Err(Failure::input(format!(
                    "{shown}: does not begin as books do; name another file"
                )));
            }
            let made = file.set_len(0).and_then(|()| file.write_all(BEGIN)).and_then(|()| file.sync_all());
            made.context("could not be written").or_undone(&shown)?;
            beside(path).or_undone(&shown)?;
        }
        file.seek(SeekFrom::Start(0)).or_undone(&shown)?;
        Self::load(file, Instant::from_ms(u64::MAX), say).or_input(&shown)
    }

    fn load(file: File, until: Instant, say: &Say) -> anyhow::Result<Self> {
        let length = file.metadata()?.len();
        let bar = say.progress_bytes();
        bar.set_length(length);
        let mut source = bar.wrap_read(BufReader::with_capacity(1 << 20, &file));
        let mut begin = Vec::new();
        source.by_ref().take(u64::try_from(BEGIN.len())?).read_to_end(&mut begin)?;
        anyhow::ensure!(begin == BEGIN, "does not begin as books do, with \"kuraban-books 1\"");
        let (mut books, mut checksum, mut batches) = (Books::default(), [0; 32], 0_u64);
        let mut end = u64::try_from(BEGIN.len())?;
        while let Some((next, content)) = frame(&mut source, checksum, length.saturating_sub(end), end)? {
            let journal = Journal::from_bytes(&content)
                .with_context(|| format!("batch {}", batches.saturating_add(1)))?;
            books
                .post_until(&journal, until)
                .with_context(|| format!("batch {}", batches.saturating_add(1)))?;
            end = end.saturating_add(u64::try_from(HEAD.saturating_add(content.len()))?);
            batches = batches.saturating_add(1);
            checksum = next;
        }
        drop(source);
        bar.finish_and_clear();
        Ok(Self { file, books, batches, end, torn: length.saturating_sub(end), checksum })
    }

    /// Writes one more frame. When this returns it is on the disk.
    pub(super) fn append(&mut self, content: &[u8]) -> anyhow::Result<()> {
        let length = u64::try_from(content.len())?;
        anyhow::ensure!(
            length <= CONTENT_MAX,
            "the journal takes {length} bytes, want at most {CONTENT_MAX}; divide it"
        );
        if self.torn > 0 {
            self.file.set_len(self.end)?;
            self.file.sync_all()?;
        }
        let checksum = chained(self.checksum, content);
        let mut frame = Vec::with_capacity(HEAD);
        frame.extend(length.to_be_bytes());
        frame.extend(checksum);
        frame.extend(sealed(&frame));
        self.file.write_all(&frame)?;
        self.file.write_all(content)?;
        self.file.sync_all()?;
        (self.checksum, self.torn) = (checksum, 0);
        self.batches = self.batches.saturating_add(1);
        Ok(())
    }
}

/// The next frame's checksum and content; nothing where the file ends, or ends in one.
fn frame(
    source: &mut impl Read,
    before: [u8; 32],
    left: u64,
    at: u64,
) -> anyhow::Result<Option<([u8; 32], Vec<u8>)>> {
    let mut head = Vec::new();
    source.by_ref().take(u64::try_from(HEAD)?).read_to_end(&mut head)?;
    if head.len() < HEAD {
        return Ok(None);
    }
    let damaged = || format!("byte {at}: is damaged; restore the file from a copy");
    let (length, rest) = head.split_first_chunk::<8>().with_context(damaged)?;
    let (checksum, seal) = rest.split_first_chunk::<32>().with_context(damaged)?;
    let sealed = sealed(head.get(..40).unwrap_or_default());
    anyhow::ensure!(sealed == seal, damaged());
    let length = u64::from_be_bytes(*length);
    anyhow::ensure!(length <= CONTENT_MAX, damaged());
    if left < length.saturating_add(u64::try_from(HEAD)?) {
        return Ok(None);
    }
    let mut content = Vec::new();
    source.by_ref().take(length).read_to_end(&mut content)?;
    anyhow::ensure!(chained(before, &content) == *checksum, damaged());
    Ok(Some((*checksum, content)))
}

fn chained(before: [u8; 32], content: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(before).chain_update(content).finalize().into()
}

fn sealed(head: &[u8]) -> Vec<u8> {
    Sha256::digest(head).into_iter().take(8).collect()
}

/// The name of a new file is on the disk once its folder is.
fn beside(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use kuraban_ledger::{
        Assets,
        books::{Builder, Kind, RawPost, Side},
        holdings::Written,
    };

    use super::*;

    const LAST: Instant = Instant::from_ms(u64::MAX);

    fn journal(entry: &str, at: u64) -> Journal {
        let mut builder = Builder::new(Assets::default());
        for (line, account, kind, side) in
            [(2, "hot", Kind::Own, Side::Debit), (3, "ann", Kind::Customer, Side::Credit)]
        {
            let (at, amount) = (Instant::from_ms(at), Written::Coins("1"));
            let row = RawPost {
                line,
                entry,
                at,
                account,
                kind,
                asset: "BTC",
                side,
                amount,
                memo: "",
                reverses: "",
            };
            builder.push(row).unwrap();
        }
        builder.finish().unwrap()
    }

    fn add(path: &Path, entry: &str, at: u64) {
        let mut store = Store::open(path, &Say::new(true, None)).unwrap();
        let journal = journal(entry, at);
        let posted = store.books.post(&journal).unwrap();
        store.append(&journal.to_bytes(&posted)).unwrap();
    }

    fn read(path: &Path, until: Instant) -> Result<(u64, i128, u64), String> {
        let store = Store::read(path, until, &Say::new(true, None));
        store
            .map(|store| (store.batches, store.books.balance("ann", "BTC"), store.torn))
            .map_err(|failure| failure.problem())
    }

    #[test]
    fn a_write_that_was_cut_anywhere_is_as_if_it_never_was_and_any_changed_byte_is_damage() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("books");
        add(&path, "e1", 10);
        let first = fs::read(&path).unwrap();
        add(&path, "e2", 20);
        let both = fs::read(&path).unwrap();
        assert_eq!(read(&path, LAST), Ok((2, 200_000_000, 0)));
        assert_eq!(read(&path, Instant::from_ms(19)), Ok((2, 100_000_000, 0)));
        let cut = folder.path().join("cut");
        for length in 0..both.len() {
            fs::write(&cut, &both[..length]).unwrap();
            let torn =
                u64::try_from(length - if length < first.len() { 16.min(length) } else { first.len() })
                    .unwrap();
            let want = if length < first.len() { (0, 0, torn) } else { (1, 100_000_000, torn) };
            if length >= BEGIN.len() {
                assert_eq!(read(&cut, LAST), Ok(want), "{length}");
            } else {
                assert!(read(&cut, LAST).is_err(), "{length}");
            }
            // Whatever was cut, the next import goes on.
            add(&cut, "e3", 30);
            assert_eq!(read(&cut, LAST), Ok((want.0 + 1, want.1 + 100_000_000, 0)), "{length}");
        }
        for place in 0..both.len() {
            let mut bytes = both.clone();
            bytes[place] ^= 1;
            fs::write(&cut, &bytes).unwrap();
            assert!(read(&cut, LAST).is_err(), "{place}");
        }
    }

    #[test]
    fn nobody_else_adds_meanwhile_and_other_files_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("books");
        let say = Say::new(true, None);
        let held = Store::open(&path, &say).unwrap();
        let problem = Store::open(&path, &say).err().unwrap().problem();
        assert!(problem.ends_with("another import is writing; try again after it"), "{problem}");
        drop(held);
        assert!(Store::open(&path, &say).is_ok());
        for other in ["short", "a file of another kind"] {
            fs::write(&path, other).unwrap();
            assert!(Store::open(&path, &say).err().unwrap().problem().contains("does not begin as books do"));
            assert_eq!(fs::read_to_string(&path).unwrap(), other);
        }
    }
}
