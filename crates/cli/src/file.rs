//! Files that are written. Decides nothing: a file is there as a whole, or as it was before.

use std::{fs, path::Path};

use crate::fail::{Failure, OrFail as _};

/// Writes a file, whole or not at all.
pub(crate) fn write(file: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let part = file.with_added_extension("part");
    fs::write(&part, bytes).or_undone(format_args!("{} cannot be written", part.display()))?;
    fs::rename(&part, file).or_undone(format_args!("{} cannot be made", file.display()))
}
