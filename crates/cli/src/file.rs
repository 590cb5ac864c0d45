//! Files and folders that are written. Decides nothing: each is there as a whole, or as it was before. What an interrupted run left beside
//! its place ends in `.part`, and the next one removes it.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use crate::fail::{Failure, OrFail as _};

/// Writes a file, whole or not at all.
pub(crate) fn write(file: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let mut part = Part::begin(file)?;
    part.write_all(bytes).or_undone(format_args!("{} cannot be written", part.beside.display()))?;
    part.done()
}

fn beside(place: &Path) -> PathBuf {
    place.with_added_extension("part")
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder).and_then(|folder| folder.sync_all())
}

/// Moves what is whole in place, so that it is there after a loss of power too.
fn put(part: &Path, place: &Path) -> io::Result<()> {
    let parent = place.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::rename(part, place).and_then(|()| sync(parent))
}

/// Makes a folder that nobody else can read.
pub(crate) fn secret(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// A file that is written beside its place, and moved there whole.
pub(crate) struct Part {
    out: BufWriter<File>,
    beside: PathBuf,
    place: PathBuf,
    is_done: bool,
}

impl Part {
    /// Begins; what an interrupted run left is written over.
    pub(crate) fn begin(place: &Path) -> Result<Self, Failure> {
        let beside = beside(place);
        let file = File::create(&beside).or_undone(format_args!("{} cannot be written", beside.display()))?;
        let out = BufWriter::with_capacity(1 << 20, file);
        Ok(Self { out, beside, place: place.to_owned(), is_done: false })
    }

    /// Puts it in place; before that there is what was there before.
    pub(crate) fn done(mut self) -> Result<(), Failure> {
        let whole = self.out.flush().and_then(|()| self.out.get_ref().sync_all());
        let put = whole.and_then(|()| put(&self.beside, &self.place));
        self.is_done = put.is_ok();
        put.or_undone(format_args!("{} cannot be put in place", self.place.display()))
    }
}

impl Write for Part {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.is_done {
            // What could not be written whole is of no use; where it cannot be removed either, its name says what it is.
            drop(fs::remove_file(&self.beside));
        }
    }
}

/// A folder that is made beside its place, and moved there whole.
pub(crate) struct Fresh {
    beside: PathBuf,
    place: PathBuf,
    within: &'static [&'static str],
    is_done: bool,
}

impl Fresh {
    /// Begins, with these folders in it; what an interrupted run left is removed.
    pub(crate) fn begin(place: &Path, within: &'static [&'static str]) -> Result<Self, Failure> {
        Self::of(place, within, |path| fs::create_dir_all(path))
    }

    /// Begins a folder that nobody else can read.
    pub(crate) fn secret(place: &Path) -> Result<Self, Failure> {
        Self::of(place, &[], secret)
    }

    fn of(
        place: &Path,
        within: &'static [&'static str],
        make: impl Fn(&Path) -> io::Result<()>,
    ) -> Result<Self, Failure> {
        let beside = beside(place);
        if beside.exists() {
            fs::remove_dir_all(&beside)
                .or_undone(format_args!("{} is left over and cannot be removed", beside.display()))?;
        }
        let fresh = Self { beside, place: place.to_owned(), within, is_done: false };
        let made = make(&fresh.beside);
        let made =
            made.and_then(|()| within.iter().try_for_each(|name| fs::create_dir(fresh.beside.join(name))));
        made.or_undone(fresh.beside.display())?;
        Ok(fresh)
    }

    /// Where to write.
    pub(crate) fn path(&self) -> &Path {
        &self.beside
    }

    /// Puts everything in place; before that there is nothing.
    pub(crate) fn done(mut self) -> Result<(), Failure> {
        let whole = self.within.iter().try_for_each(|name| sync(&self.beside.join(name)));
        let put = whole.and_then(|()| sync(&self.beside)).and_then(|()| put(&self.beside, &self.place));
        self.is_done = put.is_ok();
        put.or_undone(format_args!("{} cannot be put in place", self.place.display()))
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if !self.is_done {
            // As with a file.
            drop(fs::remove_dir_all(&self.beside));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn names(folder: &Path) -> BTreeSet<String> {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        names.map(|name| name.into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_is_there_whole_or_as_it_was_before() {
        let folder = tempfile::tempdir().unwrap();
        let (path, part) = (folder.path().join("a.json"), folder.path().join("a.json.part"));
        fs::write(&part, "left by an interrupted run, and longer").unwrap();
        write(&path, b"one").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"one");
        let mut half = Part::begin(&path).unwrap();
        half.write_all(b"two").unwrap();
        half.flush().unwrap();
        assert_eq!((fs::read(&path).unwrap(), fs::read(&part).unwrap()), (b"one".to_vec(), b"two".to_vec()));
        drop(half);
        assert_eq!((fs::read(&path).unwrap(), names(folder.path()).len()), (b"one".to_vec(), 1));
        write(&path, b"three").unwrap();
        assert_eq!((fs::read(&path).unwrap(), names(folder.path()).len()), (b"three".to_vec(), 1));
        assert!(write(&folder.path().join("no/such"), b"").is_err());
    }

    #[test]
    fn a_folder_is_there_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let (path, part) = (folder.path().join("out"), folder.path().join("out.part"));
        fs::create_dir_all(part.join("left/over")).unwrap();
        let fresh = Fresh::begin(&path, &["chunks"]).unwrap();
        assert_eq!((names(&part), path.exists()), (["chunks".to_owned()].into(), false));
        drop(fresh);
        assert!(names(folder.path()).is_empty());
        let fresh = Fresh::begin(&path, &["chunks"]).unwrap();
        fs::write(fresh.path().join("a"), "1").unwrap();
        fresh.done().unwrap();
        assert_eq!(names(folder.path()), ["out".to_owned()].into());
        assert_eq!(names(&path), ["a".to_owned(), "chunks".to_owned()].into());
        // A folder that is there stays.
        assert!(Fresh::begin(&path, &[]).unwrap().done().is_err());
        assert_eq!((names(&path).len(), part.exists()), (2, false));
    }
}
