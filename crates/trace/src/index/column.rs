//! Columns: files of numbers of one width, in order, and the sums by which a corrupted one is known.
//!
//! Decides the layout of a file and whether one is what it should be. Never knows what its numbers mean.

use core::panic::AssertUnwindSafe;
use std::{
    io, panic,
    path::{Path, PathBuf},
};

use kuraban_chain::btc::Network;

use super::{
    map::Map,
    pieces::{Pieces, count, items_of, piece_of},
    sequence::RUN,
};

/// Version of the layout of every file of an index.
pub(super) const VERSION: u32 = 2;
/// Bytes of a column file before its items.
pub(super) const HEADER_BYTES: usize = 64;
/// Bytes after the last item, so that a number can be read as eight bytes.
const SLACK_BYTES: u64 = 8;
/// Files grow by at least so much.
const GROWTH_BYTES_MIN: u64 = 1 << 16;
/// Files grow by at most so much.
const GROWTH_BYTES_MAX: u64 = 1 << 30;
const MAGIC: [u8; 8] = *b"kbncolmn";
const NAME_BYTES: usize = 24;

/// Why what an index says cannot be relied on: found when a piece of one of its files is first read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Corrupted {
    /// Items are not those that were written.
    #[error(
        "{}: is corrupted: piece {piece} sums to {found:016x}, expected {want:016x}; \
         `kuraban index verify` looks at the rest; build the index again",
        path.display()
    )]
    Sum {
        /// The file.
        path: PathBuf,
        /// Which piece of its items.
        piece: u64,
        /// Its sum.
        found: u64,
        /// The sum that was noted when they were written.
        want: u64,
    },
    /// One file names an item that another does not have.
    #[error(
        "{}: is asked for item {item}, and has {items}: it or a file that names the item is corrupted; \
         build the index again",
        path.display()
    )]
    Beyond {
        /// The file.
        path: PathBuf,
        /// The item.
        item: u64,
        /// How many there are.
        items: u64,
    },
}

/// Why a file of an index cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system refused.
    #[error("{}: could not be {doing}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It is not what its name says.
    #[error("{}: {what} is {found}, expected {want}; build the index again", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// Which part.
        what: &'static str,
        /// What stands there.
        found: String,
        /// What should.
        want: String,
    },
    /// It ends too early.
    #[error("{}: has {found} bytes, expected at least {want}: it was cut short; build the index again", path.display())]
    Short {
        /// The file.
        path: PathBuf,
        /// Its length.
        found: u64,
        /// What its items need.
        want: u64,
    },
    /// It is not there.
    #[error("{}: is missing, expected a file of the index with {want} bytes or more; build the index again", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// What its items need.
        want: u64,
    },
    /// Its items are not those that were written.
    #[error(transparent)]
    Corrupted(#[from] Corrupted),
    /// A write failed before.
    #[error("{}: an earlier write failed; what was appended since the last commit is dropped", folder.display())]
    Abandoned {
        /// The index.
        folder: PathBuf,
    },
    /// A number that its width does not hold.
    #[error("{}: {value} does not fit the {bytes} bytes of an item", path.display())]
    Width {
        /// The file.
        path: PathBuf,
        /// The number.
        value: u64,
        /// The width.
        bytes: usize,
    },
}

impl FileError {
    pub(super) fn io(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, doing, source }
    }
}

/// Where a column lies and whose it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) folder: &'a Path,
    pub(super) name: &'a str,
    pub(super) network: Network,
}

/// How far a column is filled, and the sum of its items.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Filled {
    pub(super) items: u64,
    pub(super) sum: u64,
}

/// What an item adds to its column's sum: nothing for zero, so that an empty file sums to zero. A changed item
/// changes the sum but for one chance in 2⁶⁴; nothing is claimed against someone who wants a collision.
#[inline]
pub(super) fn share(place: u64, value: u64) -> u64 {
    if value == 0 {
        return 0;
    }
    fold(value ^ 0x9e37_79b9_7f4a_7c15, place ^ 0xd1b5_4a32_d192_ed03)
}

/// The two halves of a product of 128 bits, exclusive-ored.
#[inline]
pub(super) fn fold(a: u64, b: u64) -> u64 {
    let (low, high) = a.carrying_mul(b, 0);
    low ^ high
}

/// Which numbers count as zero, because whoever wrote them did so after what is read here was committed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Hidden {
    /// The bits that are compared.
    pub(super) mask: u64,
    /// The greatest number that is not hidden.
    pub(super) most: u64,
}

/// Numbers of `W` bytes each, at most eight, little endian. A piece of them is compared with its sum before the first of it
/// is given out.
#[derive(Debug)]
pub(super) struct Column<const W: usize> {
    map: Map,
    path: PathBuf,
    filled: Filled,
    pieces: Pieces,
    /// Of a column that somebody else may be writing in places that count.
    hidden: Option<Hidden>,
}

/// Opens a column's file and judges its header.
pub(super) fn open(
    place: Place<'_>,
    width: usize,
    items: u64,
    writes: bool,
) -> Result<(Map, PathBuf), FileError> {
    let path = place.folder.join(place.name);
    let want = bytes_of(width, items);
    let map = if writes { Map::open_to_write(&path) } else { Map::open(&path) };
    let mut map = map.map_err(|source| {
        let missing = source.kind() == io::ErrorKind::NotFound;
        if missing {
            FileError::Missing { path: path.clone(), want }
        } else {
            FileError::io(&path, "opened")(source)
        }
    })?;
    let header = header(place, width);
    if map.bytes().is_empty() && writes && items == 0 {
        map.resize(bytes_of(width, 0)).map_err(FileError::io(&path, "made"))?;
        if let Some(start) = map.bytes_mut().first_chunk_mut() {
            *start = header;
        }
    }
    let found = wide(map.bytes().len());
    let Some(start) = map.bytes().first_chunk::<HEADER_BYTES>().filter(|_| found >= want) else {
        return Err(FileError::Short { path, found, want });
    };
    judge_header(&path, start, &header)?;
    Ok((map, path))
}

fn header(place: Place<'_>, width: usize) -> [u8; HEADER_BYTES] {
    let mut name = [0; NAME_BYTES];
    for (to, from) in name.iter_mut().zip(place.name.as_bytes()) {
        *to = *from;
    }
    let parts = [
        &MAGIC[..],
        &VERSION.to_le_bytes(),
        &u32::try_from(width).unwrap_or(u32::MAX).to_le_bytes(),
        &name,
        &place.network.genesis_hash().as_bytes()[..16],
    ]
    .concat();
    let sum =
        parts.chunks(8).zip(1..).fold(0_u64, |sum, (chunk, at)| sum.wrapping_add(share(at, word(chunk))));
    let mut header = [0; HEADER_BYTES];
    for (to, from) in header.iter_mut().zip(parts.iter().chain(&sum.to_le_bytes())) {
        *to = *from;
    }
    header
}

fn judge_header(path: &Path, found: &[u8; HEADER_BYTES], want: &[u8; HEADER_BYTES]) -> Result<(), FileError> {
    let parts = [
        ("its first word", 0..8),
        ("format version", 8..12),
        ("width of an item", 12..16),
        ("name of the column", 16..16 + NAME_BYTES),
        ("chain", 40..56),
        ("checksum of the header", 56..64),
    ];
    for (what, range) in parts {
        let (found, want) = (found.get(range.clone()), want.get(range));
        if found != want {
            let shown = |bytes: Option<&[u8]>| kuraban_base::hex::encode(bytes.unwrap_or_default());
            let (found, want) = (shown(found), shown(want));
            return Err(FileError::Header { path: path.to_owned(), what, found, want });
        }
    }
    Ok(())
}

/// Length of a file with so many items.
fn bytes_of(width: usize, items: u64) -> u64 {
    // A head can say any number; no file is so long.
    items.saturating_mul(wide(width)).saturating_add(wide(HEADER_BYTES) + SLACK_BYTES)
}

pub(super) fn wide(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// Up to eight bytes, little endian.
pub(super) fn word(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// Where an item begins.
#[inline]
pub(super) fn offset(width: usize, item: u64) -> usize {
    // A file larger than the address space cannot have been mapped.
    usize::try_from(item).unwrap_or(usize::MAX).saturating_mul(width).saturating_add(HEADER_BYTES)
}

/// Makes room for so many items in a file that is open to write.
pub(super) fn reserve(map: &mut Map, path: &Path, width: usize, items: u64) -> Result<(), FileError> {
    let want = bytes_of(width, items);
    let now = wide(map.bytes().len());
    if want <= now {
        return Ok(());
    }
    let growth = (now / 2).clamp(GROWTH_BYTES_MIN, GROWTH_BYTES_MAX);
    map.resize(want.max(now + growth)).map_err(FileError::io(path, "made longer"))
}

/// Cuts a file to its items, with zeros after them.
pub(super) fn settle(map: &mut Map, path: &Path, width: usize, items: u64) -> Result<(), FileError> {
    map.resize(bytes_of(width, items)).map_err(FileError::io(path, "cut to its length"))?;
    if let Some(slack) = map.bytes_mut().last_chunk_mut::<8>() {
        *slack = [0; 8];
    }
    map.flush().map_err(FileError::io(path, "written to disk"))
}

impl<const W: usize> Column<W> {
    const MASK: u64 = u64::MAX >> (64 - 8 * W);

    /// The column at a place, filled so far.
    pub(super) fn open(
        place: Place<'_>,
        filled: Filled,
        sums: Vec<u64>,
        writes: bool,
    ) -> Result<Self, FileError> {
        let (map, path) = open(place, W, filled.items, writes)?;
        let pieces = noted(&path, sums, filled.items)?;
        Ok(Self { map, path, filled, pieces, hidden: None })
    }

    /// Takes numbers for zero that a writer puts there from now on.
    pub(super) const fn hide(&mut self, hidden: Hidden) {
        self.hidden = Some(hidden);
    }

    /// The sums of its pieces.
    pub(super) fn sums(&self) -> &[u64] {
        self.pieces.sums()
    }

    /// How far it is filled.
    pub(super) const fn filled(&self) -> Filled {
        self.filled
    }

    /// How many items it has.
    #[inline]
    pub(super) const fn len(&self) -> u64 {
        self.filled.items
    }

    /// The item at a place, which must be below the length.
    #[inline]
    pub(super) fn at(&self, item: u64) -> u64 {
        if item >= self.filled.items {
            beyond(&self.path, item, self.filled.items);
        }
        if !self.pieces.is_known(item) {
            require(self.prove(piece_of(item)));
        }
        self.read(item)
    }

    /// Compares the piece that an item is in, unless that was done before.
    pub(super) fn proven(&self, item: u64) -> Result<(), Corrupted> {
        if self.pieces.is_known(item) { Ok(()) } else { self.prove(piece_of(item)) }
    }

    /// Compares the pieces from the one of an item on.
    pub(super) fn proven_from(&self, item: u64) -> Result<(), Corrupted> {
        let mut pieces = piece_of(item)..count(self.filled.items);
        pieces.try_for_each(|piece| self.prove(piece))
    }

    /// The item at a place as it stands there.
    #[inline]
    fn read(&self, item: u64) -> u64 {
        let offset = offset(W, item);
        if let Some(Hidden { mask, most }) = self.hidden {
            let value = self.map.load(offset, W) & Self::MASK;
            return if value & mask > most { 0 } else { value };
        }
        let eight = self.map.bytes().get(offset..).and_then(<[u8]>::first_chunk::<8>);
        // `open` and `reserve` see to it that eight bytes follow the start of every item.
        eight.map_or(0, |eight| u64::from_le_bytes(*eight) & Self::MASK)
    }

    /// The items from a place on that [`RUN`] divides and that is below the length; for those beyond the length anything.
    pub(super) fn run(&self, first: u64, to: &mut [u64; RUN]) {
        if !self.pieces.is_known(first) {
            require(self.prove(piece_of(first)));
        }
        let start = offset(W, first);
        // So many items of `W` bytes are eight times `W` words; one more, because each is read as eight bytes.
        let mut words = [[0; 8]; RUN + 1];
        // Beyond the length somebody may be writing.
        let end = offset(W, self.filled.items.min(first + wide(RUN))) + 8 - W;
        let bytes = if self.hidden.is_some() {
            let words = words.split_at_mut(W * RUN / 8 + 1).0;
            self.map.load_words(start, words);
            words.as_flattened()
        } else {
            self.map.bytes().get(start..end).unwrap_or_default()
        };
        for (to, eight) in to.iter_mut().zip(bytes.windows(8).step_by(W)) {
            *to = eight.first_chunk().map_or(0, |eight| u64::from_le_bytes(*eight) & Self::MASK);
        }
        if let Some(Hidden { mask, most }) = self.hidden {
            to.iter_mut().filter(|value| **value & mask > most).for_each(|value| *value = 0);
        }
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
        items.fold(0, |sum, item| sum.wrapping_add(share(item, self.read(item))))
    }

    /// Appends an item.
    #[inline]
    pub(super) fn push(&mut self, value: u64) -> Result<(), FileError> {
        let item = self.filled.items;
        if value > Self::MASK {
            return Err(FileError::Width { path: self.path.clone(), value, bytes: W });
        }
        reserve(&mut self.map, &self.path, W, item + 1)?;
        self.filled.items += 1;
        let share = share(item, value);
        self.filled.sum = self.filled.sum.wrapping_add(share);
        self.pieces.add(item, share);
        let offset = offset(W, item);
        let to = self.map.bytes_mut().get_mut(offset..).and_then(<[u8]>::first_chunk_mut::<W>);
        if let Some((to, from)) = to.zip(value.to_le_bytes().first_chunk::<W>()) {
            *to = *from;
        }
        Ok(())
    }

    /// Puts another number in the place of an item, which must be below the length; the number fits, as it is one
    /// that a `push` to a column of this width or the sum of two counts has let through.
    #[inline]
    pub(super) fn set(&mut self, item: u64, value: u64) {
        let (before, after) = (share(item, self.at(item)), share(item, value));
        self.filled.sum = self.filled.sum.wrapping_sub(before).wrapping_add(after);
        self.pieces.take(item, before);
        self.pieces.add(item, after);
        self.put(item, value);
    }

    /// Writes a number where others may be reading.
    #[inline]
    fn put(&mut self, item: u64, value: u64) {
        if let Some(bytes) = value.to_le_bytes().get(..W) {
            self.map.publish(offset(W, item), bytes);
        }
    }

    /// Takes items off its end.
    pub(super) fn truncate(&mut self, items: u64) {
        for item in items..self.filled.items {
            let share = share(item, self.at(item));
            self.filled.sum = self.filled.sum.wrapping_sub(share);
            self.pieces.take(item, share);
        }
        self.filled.items = self.filled.items.min(items);
        self.pieces.cut(self.filled.items);
    }

    /// Puts zero in the place of every item that is void, and leaves the sum as it was noted.
    pub(super) fn clear_where(&mut self, is_void: impl Fn(u64) -> bool) {
        for item in 0..self.filled.items {
            if is_void(self.read(item)) {
                self.put(item, 0);
            }
        }
    }

    /// Items that are zero, as many as asked, whatever stood there.
    pub(super) fn zeros(&mut self, items: u64) -> Result<(), FileError> {
        reserve(&mut self.map, &self.path, W, items)?;
        self.filled = Filled { items, sum: 0 };
        self.pieces = Pieces::computed((0..count(items)).map(|_| 0).collect());
        Ok(())
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

    /// Brings an item's page into memory ahead of its use.
    #[inline]
    pub(super) fn touch(&self, item: u64) -> u64 {
        let start = self.map.bytes().get(offset(W, item));
        start.map_or(0, |byte| u64::from(*byte))
    }

    pub(super) fn settle(&mut self) -> Result<(), FileError> {
        settle(&mut self.map, &self.path, W, self.filled.items)
    }

    pub(super) fn flush(&self) -> Result<(), FileError> {
        self.map.flush().map_err(FileError::io(&self.path, "written to disk"))
    }

    /// Bytes of its file.
    pub(super) fn bytes(&self) -> u64 {
        wide(self.map.bytes().len())
    }
}

/// The pieces of a column with so many items, as a file of sums notes them; more where blocks were being taken off.
pub(super) fn noted(path: &Path, mut sums: Vec<u64>, items: u64) -> Result<Pieces, FileError> {
    let (found, want) = (wide(sums.len()), count(items));
    if found < want {
        let (what, path) = ("number of its sums", path.to_owned());
        return Err(FileError::Header { path, what, found: found.to_string(), want: want.to_string() });
    }
    sums.truncate(usize::try_from(want).unwrap_or(usize::MAX));
    Ok(Pieces::noted(sums))
}

/// Compares a piece's sum with what was noted.
pub(super) fn compare(path: &Path, pieces: &Pieces, piece: u64, found: u64) -> Result<(), Corrupted> {
    let want = pieces.sum(piece);
    if found != want {
        return Err(Corrupted::Sum { path: path.to_owned(), piece, found, want });
    }
    pieces.know(piece);
    Ok(())
}

/// Ends a read that would rest on a corrupted piece: unwinds to [`reading`]. Reads cannot fail otherwise: they are too many,
/// and a caller that forgets to look would answer wrongly.
pub(super) fn require(proven: Result<(), Corrupted>) {
    if let Err(corrupted) = proven {
        // Not a panic: no hook is run, and nothing is printed.
        panic::resume_unwind(Box::new(corrupted));
    }
}

/// Ends a read of an item that is not there.
#[cold]
#[inline(never)]
pub(super) fn beyond(path: &Path, item: u64, items: u64) {
    require(Err(Corrupted::Beyond { path: path.to_owned(), item, items }));
}

/// Runs what reads an index. Where it meets a corrupted piece there is no answer but that.
///
/// # Errors
/// The first such piece.
pub fn reading<T>(read: impl FnOnce() -> T) -> Result<T, Corrupted> {
    // What the closure was changing is not used any more, or is told of the failure by its owner.
    panic::catch_unwind(AssertUnwindSafe(read)).map_err(|payload| match payload.downcast::<Corrupted>() {
        Ok(corrupted) => *corrupted,
        Err(payload) => panic::resume_unwind(payload),
    })
}

/// What a row adds to its column's sum.
pub(super) fn share_of_row(place: u64, row: &[u8]) -> u64 {
    let mut words = row.chunks_exact(8);
    let seed = place ^ 0x2545_f491_4f6c_dd1d;
    let sum = words.by_ref().fold(seed, |sum, chunk| fold(sum ^ word(chunk), 0x9fb2_1c65_1e98_df25));
    let last = fold(sum ^ word(words.remainder()), 0xd6e8_feb8_6659_fd93);
    last ^ wide(row.len())
}
