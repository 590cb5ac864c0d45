//! A feed's copy on disk, under the names that the feed gives its files: verified files, then the checkpoint that covers
//! them. What has come and is not verified waits in a folder of its own and is served to nobody.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use kuraban_proof::{Resource, Tile, Tiler, TreeHead, VerifierKey};
use kuraban_trace::feed::Replica;

use super::FeedError;
use crate::log;

const WAITING: &str = "waiting";
const FORK: &str = "fork";
const SNAPSHOT: &str = "snapshot";

/// A file that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{path}")]
pub struct ShelfError {
    path: String,
    #[source]
    source: io::Error,
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> ShelfError + '_ {
    |source| ShelfError { path: path.display().to_string(), source }
}

/// Says what makes a folder that is not there.
fn unmade(error: io::Error) -> io::Error {
    match error.kind() == io::ErrorKind::NotFound {
        true => io::Error::new(error.kind(), "there is no such folder: run init first"),
        false => error,
    }
}

/// A feed's copy.
#[derive(Debug)]
pub(crate) struct Shelf {
    folder: PathBuf,
}

impl Shelf {
    /// Makes the folder.
    pub(crate) fn create(folder: &Path) -> Result<(), ShelfError> {
        fs::create_dir_all(folder).map_err(at(folder))
    }

    /// Opens a folder that was made.
    pub(crate) fn open(folder: &Path) -> Result<Self, ShelfError> {
        fs::read_dir(folder).map_err(unmade).map_err(at(folder))?;
        Ok(Self { folder: folder.to_owned() })
    }

    fn path(&self, resource: Resource) -> PathBuf {
        self.folder.join(resource.to_string())
    }

    /// A file that was verified.
    pub(crate) fn read(&self, resource: Resource) -> Result<Vec<u8>, ShelfError> {
        let path = self.path(resource);
        fs::read(&path).map_err(at(&path))
    }

    /// The last checkpoint; none before the first.
    pub(crate) fn checkpoint(&self) -> Result<Option<Vec<u8>>, ShelfError> {
        let path = self.path(Resource::Checkpoint);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(problem) if problem.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(problem) => Err(at(&path)(problem)),
        }
    }

    /// The tiler of a tree that is on the shelf.
    pub(super) fn tiler(&self, head: TreeHead) -> Result<Tiler, FeedError> {
        let tiler =
            Tiler::resume(head.size, |tile: Tile| Resource::Tile(tile).read(|resource| self.read(resource)));
        tiler.ok().filter(|tiler| tiler.head() == head).ok_or(FeedError::Tiles)
    }

    /// Puts a verified file there, whole or not at all.
    pub(crate) fn put(&self, resource: Resource, bytes: &[u8]) -> Result<(), ShelfError> {
        self.write(&self.path(resource), bytes)?;
        if resource.fallback().is_none() {
            // Narrower ones are asked for as this one from now on.
            let partial = self.folder.join(format!("{resource}.p"));
            if let Err(problem) = fs::remove_dir_all(&partial)
                && problem.kind() != io::ErrorKind::NotFound
            {
                return Err(at(&partial)(problem));
            }
        }
        Ok(())
    }

    /// Puts the checkpoint there, after all that it covers.
    pub(crate) fn put_checkpoint(&self, checkpoint: &str) -> Result<(), ShelfError> {
        self.write(&self.path(Resource::Checkpoint), checkpoint.as_bytes())
    }

    /// A replica as it was kept, at any earlier size; none before the first, and none that does not hold.
    pub(super) fn snapshot(&self, key: &VerifierKey) -> Option<Replica> {
        let path = self.folder.join(SNAPSHOT);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(problem) if problem.kind() == io::ErrorKind::NotFound => return None,
            Err(problem) => {
                tracing::warn!(%problem, path = %path.display(), "snapshot-not-used");
                return None;
            }
        };
        let restored = Replica::restore(key.clone(), &bytes);
        let told = |problem| tracing::warn!(problem = log::told(&problem), "snapshot-not-used");
        restored.map_err(told).ok()
    }

    /// Keeps a replica, of which all that it has read is on the shelf.
    pub(super) fn put_snapshot(&self, replica: &Replica) -> Result<(), ShelfError> {
        self.write(&self.folder.join(SNAPSHOT), &replica.snapshot())
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), ShelfError> {
        let folder = path.parent().unwrap_or(&self.folder);
        fs::create_dir_all(folder).map_err(at(folder))?;
        let next = self.folder.join("next");
        let written = File::create(&next).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        });
        written.map_err(at(&next))?;
        fs::rename(&next, path).map_err(at(path))?;
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(at(folder))
    }

    /// A file that has come and was not verified.
    pub(super) fn waiting(&self, resource: Resource) -> Option<Vec<u8>> {
        fs::read(self.folder.join(WAITING).join(resource.to_string())).ok()
    }

    /// Lets a file wait. One that cannot be kept is asked for again.
    pub(super) fn wait(&self, resource: Resource, bytes: &[u8]) {
        let path = self.folder.join(WAITING).join(resource.to_string());
        let next = self.folder.join(WAITING).join("next");
        let kept = path
            .parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::write(&next, bytes))
            .and_then(|()| fs::rename(&next, &path));
        if let Err(problem) = kept {
            tracing::warn!(%problem, path = %path.display(), "not-kept");
        }
    }

    /// Nothing waits any more.
    pub(super) fn forget(&self) {
        let waiting = self.folder.join(WAITING);
        if let Err(problem) = fs::remove_dir_all(&waiting)
            && problem.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%problem, path = %waiting.display(), "not-removed");
        }
    }

    /// Keeps the two checkpoints that one key signed: the evidence, which stays until a person takes it away.
    pub(super) fn fork(&self, ours: &str, theirs: &str) -> Result<(), ShelfError> {
        let folder = self.folder.join(FORK);
        self.write(&folder.join("ours"), ours.as_bytes())?;
        self.write(&folder.join("theirs"), theirs.as_bytes())
    }

    /// Whether there is such evidence.
    pub(super) fn forked(&self) -> Result<bool, ShelfError> {
        let folder = self.folder.join(FORK);
        folder.try_exists().map_err(at(&folder))
    }
}
