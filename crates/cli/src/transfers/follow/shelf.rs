//! The folder of a feed that is kept here: files first, then the checkpoint that covers them.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use kuraban_proof::{NoteSigner, Resource, SignedCheckpoint, TreeHead, VerifierKey};
use kuraban_trace::feed::{Feed, Growth, Replica};

use crate::{
    fail::{Failure, OrFail as _},
    log::Source,
};

/// A feed's folder.
pub(super) struct Shelf {
    folder: PathBuf,
    source: Source,
}

impl Shelf {
    /// Opens the folder; makes it, with a feed without entries, where a signer is given and there is none.
    pub(super) fn open(folder: &Path, create: Option<&NoteSigner>) -> Result<Self, Failure> {
        let shelf = Self { folder: folder.to_owned(), source: Source::Dir(folder.to_owned()) };
        let checkpoint = folder.join(Resource::Checkpoint.to_string());
        let there = checkpoint.try_exists().context("cannot be looked at").or_undone(folder.display())?;
        match create {
            Some(signer) if !there => {
                fs::create_dir_all(folder).context("cannot be made").or_undone(folder.display())?;
                let empty = SignedCheckpoint::sign(signer, TreeHead::empty());
                shelf.put_checkpoint(&empty.or_undone("the feed's head cannot be signed")?)?;
            }
            Some(_) | None if there => {}
            Some(_) | None => {
                let folder = folder.display();
                return Err(Failure::input(format!("{folder}: there is no feed; --create makes one")));
            }
        }
        Ok(shelf)
    }

    /// The feed, where its last checkpoint ends.
    pub(super) fn feed(&self, key: &VerifierKey) -> Result<Feed, Failure> {
        let name = self.folder.display();
        let checkpoint = crate::log::checkpoint(&self.source)?;
        let mut replica = Replica::new(key.clone());
        let read = |resource: Resource| self.source.read(resource);
        let wrong = format!("{name}: is not the feed that this key signed");
        replica.update(&checkpoint, read, |_, _| {}).or_input(wrong)?;
        Feed::resume(replica, read).or_input(format!("{name}: cannot be taken up where it ended"))
    }

    /// Puts out what was appended.
    pub(super) fn put(&self, growth: &Growth, signer: &NoteSigner) -> Result<(), Failure> {
        for (resource, bytes) in &growth.files {
            self.write(*resource, bytes).or_undone(resource)?;
            if resource.fallback().is_none() {
                // Narrower ones are asked for as this one from now on.
                let partial = self.folder.join(format!("{resource}.p"));
                match fs::remove_dir_all(&partial) {
                    Err(problem) if problem.kind() != io::ErrorKind::NotFound => {
                        return Err(problem).or_undone(partial.display());
                    }
                    Ok(()) | Err(_) => {}
                }
            }
        }
        self.put_checkpoint(&growth.sign(signer).or_undone("the feed's head cannot be signed")?)
    }

    fn put_checkpoint(&self, checkpoint: &SignedCheckpoint) -> Result<(), Failure> {
        let resource = Resource::Checkpoint;
        self.write(resource, checkpoint.to_string().as_bytes()).or_undone(resource)
    }

    /// Whole or not at all, and kept when this returns.
    fn write(&self, resource: Resource, bytes: &[u8]) -> anyhow::Result<()> {
        let path = self.folder.join(resource.to_string());
        let folder = path.parent().unwrap_or(&self.folder);
        fs::create_dir_all(folder).context("its folder cannot be made")?;
        let next = self.folder.join("next");
        let mut file = File::create(&next).context("cannot be written")?;
        file.write_all(bytes).and_then(|()| file.sync_all()).context("cannot be written")?;
        fs::rename(&next, &path).context("cannot be put in its place")?;
        File::open(folder).and_then(|folder| folder.sync_all()).context("its folder cannot be kept")
    }
}
