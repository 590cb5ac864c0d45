//! The file of appeals: a JSON document a line, only ever appended to, durable when a write returns.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead as _, BufReader, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use kuraban_api::AppealView;

const FILE: &str = "appeals.ndjson";
/// Longest line, in bytes: what a request may have, and its frame.
const LINE_BYTES_MAX: usize = 128 * 1024;

/// Why appeals cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    /// The file cannot be read or written.
    #[error("{path}")]
    File {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A line that is no appeal.
    #[error("{path}: line {line} is no appeal; it was changed by somebody else")]
    Line {
        /// Which file.
        path: String,
        /// From 1.
        line: usize,
    },
}

/// The file, to append to.
#[derive(Debug)]
pub(super) struct Kept {
    file: File,
    path: PathBuf,
    /// Bytes of whole lines.
    length: u64,
}

impl Kept {
    /// Makes folder and file where they are not there yet.
    pub(super) fn create(folder: &Path) -> Result<(), KeptError> {
        let path = folder.join(FILE);
        let made = fs::create_dir_all(folder)
            .and_then(|()| OpenOptions::new().append(true).create(true).open(&path))
            .and_then(|file| file.sync_all());
        made.map_err(|source| KeptError::File { path: path.display().to_string(), source })
    }

    /// Opens it and reads what is there. A last line that was cut when the machine went down was never confirmed to anybody
    /// and is taken away.
    pub(super) fn open(folder: &Path, max: usize) -> Result<(Self, Vec<AppealView>), KeptError> {
        let path = folder.join(FILE);
        let shown = path.display().to_string();
        let wrong = |source| KeptError::File { path: shown.clone(), source };
        let file = OpenOptions::new().read(true).write(true).open(&path).map_err(wrong)?;
        let mut reader = BufReader::new(&file);
        let (mut all, mut length, mut bytes) = (Vec::new(), 0_u64, Vec::new());
        loop {
            bytes.clear();
            reader.read_until(b'\n', &mut bytes).map_err(wrong)?;
            if bytes.pop_if(|last| *last == b'\n').is_none() {
                break;
            }
            let line = all.len().saturating_add(1);
            let view: Option<AppealView> = serde_json::from_slice(&bytes).ok();
            let fits = view.filter(|_| line <= max && bytes.len() <= LINE_BYTES_MAX);
            all.push(fits.ok_or_else(|| KeptError::Line { path: shown.clone(), line })?);
            length = length.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX)).saturating_add(1);
        }
        let kept = Self { file, path, length };
        kept.file.set_len(length).map_err(wrong)?;
        Ok((kept, all))
    }

    /// Appends an appeal.
    pub(super) fn append(&mut self, view: &AppealView) -> Result<(), KeptError> {
        let mut line = serde_json::to_vec(view).unwrap_or_default();
        line.push(b'\n');
        // What a write that failed has left is written over.
        let written = self
            .file
            .seek(SeekFrom::Start(self.length))
            .and_then(|_| self.file.write_all(&line))
            .and_then(|()| self.file.sync_data());
        written.map_err(|source| KeptError::File { path: self.path.display().to_string(), source })?;
        self.length = self.length.saturating_add(u64::try_from(line.len()).unwrap_or(u64::MAX));
        Ok(())
    }
}
