//! The operator's folder: `tree.klt` with every leaf's opening, which is secret, `seed`, which is too, and `statement.json`,
//! which is for everybody.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufReader, BufWriter, Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use kuraban_inclusion::{Cursor, Node, Scope};
use kuraban_liabilities::{Crown, TREE_MAGIC, boughs};

use crate::fail::{Failure, OrFail as _};

/// The file of the tree.
pub(super) const TREE: &str = "tree.klt";
/// The file of the seed.
pub(super) const SEED: &str = "seed";
/// The file to publish.
pub(super) const STATEMENT: &str = "statement.json";

/// Longest encoded scope and longest bough, in bytes.
const SCOPE_MAX: usize = 1 << 16;
const BOUGH_MAX: usize = 1 << 26;
/// Longest list of the tops of boughs.
const TOPS_MAX: u64 = 1 << 36;

/// A file that nobody else can read.
pub(super) fn secret(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// A tree while it is written. It has its name only when it is whole.
pub(super) struct Writer {
    file: BufWriter<File>,
    draft: PathBuf,
    path: PathBuf,
    bytes: u64,
}

impl Writer {
    /// In a folder that is there.
    pub(super) fn create(folder: &Path, scope: &Scope) -> anyhow::Result<Self> {
        let (draft, path) = (folder.join("tree.part"), folder.join(TREE));
        let file = secret(&draft).with_context(|| draft.display().to_string())?;
        let mut writer = Self { file: BufWriter::new(file), draft, path, bytes: 0 };
        writer.put(TREE_MAGIC)?;
        writer.part(&scope.encode())?;
        Ok(writer)
    }

    /// The next bough's openings.
    pub(super) fn part(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.put(&u32::try_from(bytes.len())?.to_be_bytes())?;
        self.put(bytes)
    }

    /// The tops of all boughs, and the end.
    pub(super) fn finish(mut self, crown: &Crown) -> anyhow::Result<u64> {
        for top in crown.tops() {
            let mut bytes = Vec::new();
            top.put(&mut bytes);
            self.put(&bytes)?;
        }
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        fs::rename(&self.draft, &self.path)?;
        Ok(self.bytes)
    }

    fn put(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.file.write_all(bytes).with_context(|| self.draft.display().to_string())?;
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes.len())?);
        Ok(())
    }
}

/// A tree of which boughs are read in any order.
pub(super) struct Boughs {
    path: PathBuf,
    /// Where each begins.
    begins: Vec<u64>,
}

impl Boughs {
    /// How many there are.
    pub(super) const fn count(&self) -> usize {
        self.begins.len()
    }

    /// The openings of one; nothing of one that the tree does not have.
    pub(super) fn get(&self, number: usize) -> anyhow::Result<Vec<u8>> {
        let begin = *self.begins.get(number).context("the tree has no such bough")?;
        let mut file = File::open(&self.path)?;
        file.seek(io::SeekFrom::Start(begin))?;
        part(&mut file, BOUGH_MAX)
    }
}

/// A tree while it is read.
pub(super) struct Reader {
    file: BufReader<File>,
    path: PathBuf,
    scope: Scope,
    left: usize,
}

impl Reader {
    /// The tree in a folder.
    pub(super) fn open(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join(TREE);
        let file = File::open(&path).context("could not be opened").or_input(path.display())?;
        let mut file = BufReader::with_capacity(1 << 20, file);
        let scope = head(&mut file).or_input(path.display())?;
        let left = boughs(&scope);
        Ok(Self { file, path, scope, left })
    }

    /// What the tree covers.
    pub(super) const fn scope(&self) -> &Scope {
        &self.scope
    }

    /// How many boughs are left.
    pub(super) const fn left(&self) -> usize {
        self.left
    }

    /// The next bough's openings; nothing after the last.
    pub(super) fn bough(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        part(&mut self.file, BOUGH_MAX).map(Some).or_input(self.path.display())
    }

    /// The nodes above the boughs, and where those are; before any of them is read.
    pub(super) fn skim(mut self) -> Result<(Crown, Boughs), Failure> {
        let path = self.path.clone();
        let mut begins = Vec::with_capacity(self.left);
        loop {
            let begin = self.file.stream_position().or_input(path.display())?;
            if self.bough()?.is_none() {
                return Ok((self.crown()?, Boughs { path, begins }));
            }
            begins.push(begin);
        }
    }

    /// The nodes above the boughs, after the last of these.
    pub(super) fn crown(mut self) -> Result<Crown, Failure> {
        let tops = self.tops().or_input(self.path.display())?;
        Crown::new(self.scope, tops).or_input(self.path.display())
    }

    fn tops(&mut self) -> anyhow::Result<Vec<Node>> {
        let mut bytes = Vec::new();
        (&mut self.file).take(TOPS_MAX).read_to_end(&mut bytes)?;
        let (mut cursor, assets) = (Cursor::new(&bytes), self.scope.assets().len());
        let tops = (0..boughs(&self.scope)).map(|_| Node::read(&mut cursor, assets));
        let tops = tops.collect::<Result<_, _>>()?;
        cursor.end()?;
        Ok(tops)
    }
}

fn head(file: &mut BufReader<File>) -> anyhow::Result<Scope> {
    let mut magic = [0; TREE_MAGIC.len()];
    file.read_exact(&mut magic).context("is too short for a tree")?;
    anyhow::ensure!(&magic == TREE_MAGIC, "is no tree: it does not begin with KRBNTRE1");
    let bytes = part(file, SCOPE_MAX)?;
    let mut cursor = Cursor::new(&bytes);
    let scope = Scope::read(&mut cursor)?;
    cursor.end()?;
    Ok(scope)
}

fn part(file: &mut impl io::Read, max: usize) -> anyhow::Result<Vec<u8>> {
    let mut length = [0; 4];
    file.read_exact(&mut length).context("was cut off")?;
    let length = usize::try_from(u32::from_be_bytes(length))?;
    anyhow::ensure!(length <= max, "has a part of {length} bytes, want at most {max}");
    let mut bytes = vec![0; length];
    file.read_exact(&mut bytes).context("was cut off")?;
    Ok(bytes)
}
