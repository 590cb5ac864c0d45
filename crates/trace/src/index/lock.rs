//! Who may do what with an index at a time, by locks on two files of it. Decides nothing about what stands in them.

use std::{
    fs::{File, TryLockError},
    path::Path,
};

use super::{FileError, OpenError};

/// The file whose lock says who writes an index.
pub(super) const LOCK: &str = "lock";
/// The file whose lock says who reads it: a writer takes nothing off that somebody may be reading.
pub(super) const READERS: &str = "readers";

/// What a lock is for.
#[derive(Clone, Copy)]
pub(super) enum Use {
    /// Read what is committed.
    Read,
    /// Append blocks.
    Write,
    /// Take blocks off.
    Cut,
}

/// Takes the lock, or says who has it.
pub(super) fn lock(folder: &Path, how: Use) -> Result<File, OpenError> {
    let path = folder.join(match how {
        Use::Write => LOCK,
        Use::Read | Use::Cut => READERS,
    });
    let busy = |by| OpenError::Busy { folder: folder.to_owned(), by };
    let (file, locked, by) = match how {
        Use::Read => {
            let file = File::open(&path).map_err(FileError::io(&path, "opened"))?;
            let locked = file.try_lock_shared();
            (file, locked, "rolled back")
        }
        Use::Write => {
            let file = File::create(&path).map_err(FileError::io(&path, "made"))?;
            let locked = file.try_lock();
            (file, locked, "written")
        }
        Use::Cut => {
            let file = File::create(&path).map_err(FileError::io(&path, "made"))?;
            let locked = file.try_lock();
            (file, locked, "read")
        }
    };
    match locked {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(busy(by)),
        Err(TryLockError::Error(error)) => Err(FileError::io(&path, "locked")(error).into()),
    }
}
