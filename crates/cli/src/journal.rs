//! A file of events, a JSON document a line, that is only added to and that one run has at a time. Decides nothing of what they mean.

use std::{
    fs::{File, TryLockError},
    io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _},
    path::Path,
};

use anyhow::Context as _;
use serde::{Serialize, de::DeserializeOwned};

/// Longest line.
const LINE_MAX: u64 = 1 << 20;

/// The file, locked until it is dropped.
pub(crate) struct Lines(File);

impl Lines {
    /// Opens or begins it, and hands on what it has, in order.
    pub(crate) fn open<T: DeserializeOwned>(path: &Path, mut take: impl FnMut(T)) -> anyhow::Result<Self> {
        let file = File::options().read(true).append(true).create(true).open(path)?;
        locked(&file)?;
        let mut reader = BufReader::new(&file);
        let (mut whole, mut line, mut number) = (0_u64, String::new(), 0_u64);
        while (&mut reader).take(LINE_MAX).read_line(&mut line)? > 0 && line.ends_with('\n') {
            number = number.saturating_add(1);
            take(serde_json::from_str(&line).with_context(|| format!("line {number}"))?);
            whole = whole.saturating_add(u64::try_from(line.len())?);
            line.clear();
        }
        anyhow::ensure!(
            u64::try_from(line.len())? < LINE_MAX,
            "line {} is longer than the {LINE_MAX} bytes that it may have",
            number.saturating_add(1)
        );
        // A line without its end was being written when the run was killed: nothing was done on it.
        file.set_len(whole)?;
        Ok(Self(file))
    }

    /// Adds an event; it is on the disk when this returns.
    pub(crate) fn put<T: Serialize>(&mut self, event: &T) -> anyhow::Result<()> {
        let mut line = serde_json::to_string(event)?;
        line.push('\n');
        self.0.seek(SeekFrom::End(0))?;
        self.0.write_all(line.as_bytes())?;
        Ok(self.0.sync_data()?)
    }
}

/// Locks a file against other runs, until it is closed.
pub(crate) fn locked(file: &File) -> anyhow::Result<()> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => anyhow::bail!("another run has it; wait for its end"),
        Err(TryLockError::Error(error)) => Err(error).context("cannot be locked"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn read(path: &Path) -> anyhow::Result<Vec<u64>> {
        let mut found = Vec::new();
        Lines::open(path, |number: u64| found.push(number)).map(|_| found)
    }

    #[test]
    fn events_are_read_back_up_to_the_last_whole_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        assert_eq!(read(&path).unwrap(), Vec::<u64>::new());
        let mut lines = Lines::open(&path, |_: u64| ()).unwrap();
        lines.put(&7).unwrap();
        let second = read(&path).unwrap_err().to_string();
        assert!(second.contains("another run"), "{second}");
        lines.put(&8).unwrap();
        drop(lines);
        fs::write(&path, fs::read_to_string(&path).unwrap() + "9").unwrap();
        assert_eq!(read(&path).unwrap(), [7, 8]);
        assert_eq!(fs::read_to_string(&path).unwrap(), "7\n8\n");
        fs::write(&path, "7\nx\n").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("line 2"));
        fs::write(&path, format!("7\n{}", "1".repeat(1 << 20))).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("line 2 is longer"));
    }
}
