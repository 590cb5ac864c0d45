//! Block files: what a node of the family keeps (`blk*.dat`, with or without the key of `xor.dat`), and plain files of
//! blocks, raw or in hexadecimal. What an index is filled from is [`Blocks`], which a node's client is as well.
//!
//! Decides where in which file a block lies, from its header alone. Never decides whether it is a good one, nor which
//! branch counts.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use kuraban_base::hex;
use kuraban_chain::btc::{
    BlockHash, Header, Network,
    block::{BTC_BLOCK_BYTES_MAX, HEADER_BYTES, LTC_BLOCK_BYTES_MAX},
};

use super::{
    column::wide,
    prepared::{self, BlockError, Prepared},
};

/// Longest file in hexadecimal: it is decoded into memory.
const HEX_FILE_MAX: u64 = 512 << 20;
/// Bytes before a block in a node's file: magic and length.
const RECORD_BYTES: u64 = 8;
/// The file with a node's key, and the key's length (Bitcoin Core 28, `node/blockstorage.cpp`).
const XOR_FILE: &str = "xor.dat";
const XOR_BYTES: usize = 8;

/// Why blocks cannot be found in files.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The system refused.
    #[error("{}: could not be read", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A folder without block files.
    #[error("{} holds no blk*.dat and no other file", folder.display())]
    Empty {
        /// The folder.
        folder: PathBuf,
    },
    /// The bytes before a block are not its network's.
    #[error(
        "{} at {offset}: begins with {}{}, expected {} of {network}",
        path.display(), hex::encode(found), known(*found), hex::encode(&network.magic())
    )]
    Magic {
        /// The file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What stands there.
        found: [u8; 4],
        /// The network asked for.
        network: Network,
    },
    /// The file ends within a block.
    #[error("{} at {offset}: block of {want} bytes, only {left} are left: the file is cut short", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// Length of the block.
        want: u64,
        /// Bytes there are.
        left: u64,
    },
    /// A length that no block has.
    #[error("{} at {offset}: block of {found} bytes, expected {HEADER_BYTES} to {max}", path.display())]
    Length {
        /// The file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// The length.
        found: u64,
        /// The most a block may have.
        max: u64,
    },
    /// A key of another length.
    #[error("{}: key has {found} bytes, expected {XOR_BYTES}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Its length.
        found: u64,
    },
    /// Text too long to be decoded in memory.
    #[error("{}: has {found} bytes of hexadecimal, at most {HEX_FILE_MAX} are read", path.display())]
    Long {
        /// The file.
        path: PathBuf,
        /// Its length.
        found: u64,
    },
    /// Bytes that are no block.
    #[error("{} at {offset}: holds no block", path.display())]
    Block {
        /// The file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong.
        #[source]
        source: Box<BlockError>,
    },
    /// A node does not hand over what was asked for.
    #[error("no blocks from {node}")]
    Node {
        /// Which.
        node: String,
        /// Why not.
        #[source]
        source: Box<dyn core::error::Error + Send + Sync>,
    },
}

/// Whose magic it is, in words.
fn known(magic: [u8; 4]) -> String {
    let names: Vec<&str> =
        Network::ALL.into_iter().filter(|network| network.magic() == magic).map(Network::name).collect();
    if names.is_empty() { String::new() } else { format!(" of {}", names.join(" and ")) }
}

/// A file that holds blocks.
#[derive(Debug)]
struct Holder {
    path: PathBuf,
    bytes: Held,
}

#[derive(Debug)]
enum Held {
    /// On the disk, perhaps combined with a key that repeats from the file's start. Open only while it is looked
    /// through: a chain has more files than a process may have open.
    Disk { file: Option<File>, key: [u8; XOR_BYTES] },
    /// Decoded from text.
    Memory(Vec<u8>),
}

/// A block that can be had.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Its header.
    pub header: Header,
    /// Its name.
    pub hash: BlockHash,
    /// Its length in bytes; 0 where that is not known before it is read.
    pub bytes: u64,
}

/// Blocks that can be had one by one, with all their headers known beforehand: those in files, or those of a node.
pub trait Blocks: Sync {
    /// The network whose blocks they are.
    fn network(&self) -> Network;

    /// All blocks.
    fn entries(&self) -> &[Entry];

    /// Reads the block at a place among the entries and makes it ready. Places are asked for in rising order.
    ///
    /// # Errors
    /// It cannot be had or is not whole.
    fn read(&self, place: usize) -> Result<Prepared, SourceError>;
}

/// Files and the blocks found in them, in the order in which they lie there.
#[derive(Debug)]
pub struct Source {
    network: Network,
    holders: Vec<Holder>,
    entries: Vec<Entry>,
    /// Of each entry: which file holds it, and where.
    places: Vec<(usize, u64)>,
}

impl Blocks for Source {
    fn network(&self) -> Network {
        self.network
    }

    fn entries(&self) -> &[Entry] {
        &self.entries
    }

    fn read(&self, place: usize) -> Result<Prepared, SourceError> {
        let holder = |(entry, (holder, offset)): (&Entry, &(usize, u64))| {
            Some((self.holders.get(*holder)?, *offset, entry.bytes))
        };
        let found = self.entries.get(place).zip(self.places.get(place)).and_then(holder);
        let (holder, offset, bytes) = found.ok_or_else(|| SourceError::Io {
            path: PathBuf::new(),
            source: io::Error::from(io::ErrorKind::NotFound),
        })?;
        let bytes = holder.bytes_at(offset, bytes)?;
        Prepared::read(self.network, bytes).map_err(holder.no_block(offset))
    }
}

impl Source {
    /// Looks for blocks in files, folders of block files, and data folders of nodes. `seen` is called with the number of
    /// files looked through and their number.
    ///
    /// # Errors
    /// A file cannot be read, is cut short, or holds something else.
    pub fn scan(
        network: Network,
        paths: &[PathBuf],
        mut seen: impl FnMut(u64, u64),
    ) -> Result<Self, SourceError> {
        let mut files = Vec::new();
        for path in paths {
            files.extend(expand(path)?);
        }
        let mut source = Self { network, holders: Vec::new(), entries: Vec::new(), places: Vec::new() };
        let count = wide(files.len());
        for (path, done) in files.into_iter().zip(1..) {
            source.scan_file(path)?;
            seen(done, count);
        }
        Ok(source)
    }

    /// The network among some whose magic the first of the files begins with; nothing where it begins with no magic,
    /// or that of another.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn network_of(paths: &[PathBuf], among: &[Network]) -> Result<Option<Network>, SourceError> {
        let Some(path) =
            paths.first().map(|path| expand(path)).transpose()?.and_then(|files| files.into_iter().next())
        else {
            return Ok(None);
        };
        let failed = |source| SourceError::Io { path: path.clone(), source };
        let file = File::open(&path).map_err(failed)?;
        let mut start = [0; 4];
        if file.metadata().map_err(failed)?.len() < 4 {
            return Ok(None);
        }
        file.read_exact_at(&mut start, 0).map_err(failed)?;
        unlock(key_beside(&path)?, 0, &mut start);
        Ok(among.iter().copied().find(|network| network.magic() == start))
    }

    fn block_bytes_max(&self) -> u64 {
        wide(if self.network.has_mweb() { LTC_BLOCK_BYTES_MAX } else { BTC_BLOCK_BYTES_MAX })
    }

    fn scan_file(&mut self, path: PathBuf) -> Result<(), SourceError> {
        let failed = |source| SourceError::Io { path: path.clone(), source };
        let file = File::open(&path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let key = key_beside(&path)?;
        let mut holder = Holder { path: path.clone(), bytes: Held::Disk { file: Some(file), key } };
        if length < 4 {
            let (offset, want, left) = (0, wide(HEADER_BYTES), length);
            return if is_block_file(&path) && length == 0 {
                Ok(())
            } else {
                Err(SourceError::Truncated { path, offset, want, left })
            };
        }
        let start = holder.array::<4>(0)?;
        let is_magic = Network::ALL.into_iter().any(|network| network.magic() == start);
        if is_magic || is_block_file(&path) {
            return self.scan_records(holder, length);
        }
        // Files that are not a node's have no key.
        if let Held::Disk { key, .. } = &mut holder.bytes {
            *key = [0; XOR_BYTES];
        }
        match holder.text(length)? {
            Some(text) => self.scan_text(&path, &text),
            None => self.scan_plain(holder, length),
        }
    }

    /// A node's file: magic, length and block, again and again, then zeros.
    fn scan_records(&mut self, holder: Holder, length: u64) -> Result<(), SourceError> {
        let mut offset = 0;
        while offset + RECORD_BYTES <= length {
            if holder.is_zero(offset, RECORD_BYTES)? {
                break;
            }
            let found = holder.array::<4>(offset)?;
            if found != self.network.magic() {
                let (path, network) = (holder.path, self.network);
                return Err(SourceError::Magic { path, offset, found, network });
            }
            let bytes = u64::from(u32::from_le_bytes(holder.array(offset + 4)?));
            let at = offset + RECORD_BYTES;
            let max = self.block_bytes_max();
            if bytes <= wide(HEADER_BYTES) || bytes > max {
                return Err(SourceError::Length { path: holder.path, offset, found: bytes, max });
            }
            if at + bytes > length {
                let left = length - at;
                return Err(SourceError::Truncated { path: holder.path, offset, want: bytes, left });
            }
            self.note(&holder, at, bytes)?;
            offset = at + bytes;
        }
        let left = length - offset;
        if left < RECORD_BYTES && !holder.is_zero(offset, left)? {
            return Err(SourceError::Truncated { path: holder.path, offset, want: RECORD_BYTES, left });
        }
        self.hold(holder);
        Ok(())
    }

    /// Blocks one after the other, with nothing between.
    fn scan_plain(&mut self, holder: Holder, length: u64) -> Result<(), SourceError> {
        let mut offset = 0;
        while offset < length {
            let window = (length - offset).min(self.block_bytes_max());
            let bytes = holder.bytes_at(offset, window)?;
            let found = prepared::length(self.network, &bytes);
            let found = found.map_err(BlockError::from).map_err(holder.no_block(offset))?;
            self.note(&holder, offset, wide(found))?;
            offset += wide(found);
        }
        self.hold(holder);
        Ok(())
    }

    /// Blocks in hexadecimal: each on a line of its own, or one over many lines.
    fn scan_text(&mut self, path: &Path, text: &str) -> Result<(), SourceError> {
        let lines: Vec<Vec<u8>> = text.split_whitespace().filter_map(|line| hex::decode(line).ok()).collect();
        let whole =
            |line: &Vec<u8>| prepared::length(self.network, line).is_ok_and(|found| found == line.len());
        let lines = if lines.iter().all(whole) { lines } else { vec![lines.concat()] };
        for line in lines {
            let length = wide(line.len());
            self.scan_plain(Holder { path: path.to_owned(), bytes: Held::Memory(line) }, length)?;
        }
        Ok(())
    }

    fn hold(&mut self, mut holder: Holder) {
        if let Held::Disk { file, .. } = &mut holder.bytes {
            *file = None;
        }
        self.holders.push(holder);
    }

    fn note(&mut self, holder: &Holder, offset: u64, bytes: u64) -> Result<(), SourceError> {
        let header = holder.array::<HEADER_BYTES>(offset)?;
        let decoded = Header::decode(&header).map_err(BlockError::from);
        let header = decoded.map_err(holder.no_block(offset))?;
        self.entries.push(Entry { header, hash: header.hash(), bytes });
        self.places.push((self.holders.len(), offset));
        Ok(())
    }
}

impl Holder {
    fn no_block(&self, offset: u64) -> impl Fn(BlockError) -> SourceError + use<> {
        let path = self.path.clone();
        move |source| SourceError::Block { path: path.clone(), offset, source: Box::new(source) }
    }

    fn bytes_at(&self, offset: u64, bytes: u64) -> Result<Vec<u8>, SourceError> {
        let mut buffer = vec![0; usize::try_from(bytes).unwrap_or(usize::MAX)];
        self.fill(offset, &mut buffer)?;
        Ok(buffer)
    }

    fn array<const N: usize>(&self, offset: u64) -> Result<[u8; N], SourceError> {
        let mut buffer = [0; N];
        self.fill(offset, &mut buffer)?;
        Ok(buffer)
    }

    fn fill(&self, offset: u64, buffer: &mut [u8]) -> Result<(), SourceError> {
        let failed = |source| SourceError::Io { path: self.path.clone(), source };
        match &self.bytes {
            Held::Disk { file, key } => {
                self.read_disk(file.as_ref(), offset, buffer)?;
                unlock(*key, offset, buffer);
            }
            Held::Memory(bytes) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX);
                let held = bytes.get(start..).and_then(|rest| rest.get(..buffer.len()));
                let held = held.ok_or_else(|| failed(io::ErrorKind::UnexpectedEof.into()))?;
                buffer.copy_from_slice(held);
            }
        }
        Ok(())
    }

    fn read_disk(&self, file: Option<&File>, offset: u64, buffer: &mut [u8]) -> Result<(), SourceError> {
        let read = match file {
            Some(file) => file.read_exact_at(buffer, offset),
            None => File::open(&self.path).and_then(|file| file.read_exact_at(buffer, offset)),
        };
        read.map_err(|source| SourceError::Io { path: self.path.clone(), source })
    }

    /// Whether a node has reserved this part of its file and not written it yet: zeros on the disk.
    fn is_zero(&self, offset: u64, bytes: u64) -> Result<bool, SourceError> {
        match &self.bytes {
            Held::Disk { file, .. } => {
                let mut buffer = vec![0; usize::try_from(bytes).unwrap_or(usize::MAX)];
                self.read_disk(file.as_ref(), offset, &mut buffer)?;
                Ok(buffer.iter().all(|byte| *byte == 0))
            }
            Held::Memory(_) => Ok(false),
        }
    }

    /// The file as text, if it is hexadecimal.
    fn text(&self, length: u64) -> Result<Option<String>, SourceError> {
        let is_hex =
            |bytes: &[u8]| bytes.iter().all(|byte| byte.is_ascii_hexdigit() || byte.is_ascii_whitespace());
        let start = self.bytes_at(0, length.min(wide(HEADER_BYTES)))?;
        if !is_hex(&start) {
            return Ok(None);
        }
        if length > HEX_FILE_MAX {
            return Err(SourceError::Long { path: self.path.clone(), found: length });
        }
        let bytes = self.bytes_at(0, length)?;
        Ok(if is_hex(&bytes) { String::from_utf8(bytes).ok() } else { None })
    }
}

/// Takes a node's key off bytes that lie at an offset of its file.
fn unlock(key: [u8; XOR_BYTES], offset: u64, bytes: &mut [u8]) {
    if key == [0; XOR_BYTES] {
        return;
    }
    let skip = usize::try_from(offset % wide(XOR_BYTES)).unwrap_or(0);
    let mut turned = key;
    turned.rotate_left(skip);
    let (words, rest) = bytes.as_chunks_mut::<XOR_BYTES>();
    let word = u64::from_le_bytes(turned);
    for bytes in words {
        *bytes = (u64::from_le_bytes(*bytes) ^ word).to_le_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(turned) {
        *byte ^= key;
    }
}

/// The key that lies beside a node's file; zeros where there is none.
fn key_beside(path: &Path) -> Result<[u8; XOR_BYTES], SourceError> {
    let beside = path.with_file_name(XOR_FILE);
    match fs::read(&beside) {
        Ok(bytes) => {
            let found = wide(bytes.len());
            bytes.try_into().map_err(|_| SourceError::Key { path: beside, found })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok([0; XOR_BYTES]),
        Err(source) => Err(SourceError::Io { path: beside, source }),
    }
}

fn is_block_file(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with("blk") && name.ends_with(".dat")
}

/// The files that a path stands for, in the order of their names.
fn expand(path: &Path) -> Result<Vec<PathBuf>, SourceError> {
    let failed = |source| SourceError::Io { path: path.to_owned(), source };
    if !fs::metadata(path).map_err(failed)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if path.is_file() && !hidden && !path.ends_with(XOR_FILE) {
            files.push(path);
        }
    }
    files.sort();
    if files.iter().any(|file| is_block_file(file)) {
        files.retain(|file| is_block_file(file));
    } else if path.join("blocks").is_dir() {
        return expand(&path.join("blocks"));
    }
    if files.is_empty() {
        return Err(SourceError::Empty { folder: path.to_owned() });
    }
    Ok(files)
}
