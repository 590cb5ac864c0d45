//! The files of the cases: which there are, and which have changed. Decides nothing about a case.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use kuraban_chain::btc::Network;

use super::config::CaseFile;
use crate::{config::ConfigError, log};

/// Most files that are looked at.
const FILES_MAX: usize = 10_000;

/// By which a file that has changed is told: its length and when it was written.
type Stamp = (u64, Option<SystemTime>);

/// The folder, as it was looked at last.
pub(super) struct Cases {
    folder: PathBuf,
    network: Network,
    seen: BTreeMap<PathBuf, Stamp>,
    /// Every case that a good file gave, by file.
    known: BTreeMap<PathBuf, CaseFile>,
}

impl Cases {
    pub(super) fn new(folder: &Path, network: Network) -> Self {
        Self { folder: folder.to_owned(), network, seen: BTreeMap::new(), known: BTreeMap::new() }
    }

    /// Every case, in the order of its file's name.
    pub(super) fn all(&self) -> impl Iterator<Item = &CaseFile> {
        self.known.values()
    }

    /// Reads what is new or has changed. A file that cannot be used is told once, and the case stays as it was.
    pub(super) fn look(&mut self) -> Vec<CaseFile> {
        let files = match self.files() {
            Ok(files) => files,
            Err(problem) => {
                tracing::warn!(%problem, folder = %self.folder.display(), "no-cases");
                return Vec::new();
            }
        };
        let mut changed = Vec::new();
        for (path, stamp) in files {
            if self.seen.get(&path) == Some(&stamp) {
                continue;
            }
            self.seen.insert(path.clone(), stamp);
            match self.read(&path) {
                Ok(case) => {
                    changed.push(case.clone());
                    self.known.insert(path, case);
                }
                Err(problem) => {
                    let problem = log::told(&problem);
                    tracing::warn!(problem, file = %path.display(), "case-not-taken");
                }
            }
        }
        changed
    }

    fn read(&self, path: &Path) -> Result<CaseFile, ConfigError> {
        let case = CaseFile::read(path, self.network)?;
        let field = || path.display().to_string();
        let other =
            self.known.iter().find(|(file, known)| **file != path && known.opened.case == case.opened.case);
        if let Some((file, _)) = other {
            let problem = format!("case {} stands in {} too", case.opened.case, file.display());
            return Err(ConfigError::field(&field(), problem));
        }
        match self.known.get(path) {
            Some(known) if known.opened != case.opened => {
                let problem = "only `closed` can be added to a case: close it, and open another";
                Err(ConfigError::field(&field(), problem))
            }
            Some(known) if known.closed.is_some() && case.closed.is_none() => {
                Err(ConfigError::field(&field(), "a closed case stays closed: open another"))
            }
            Some(_) | None => Ok(case),
        }
    }

    fn files(&self) -> io::Result<Vec<(PathBuf, Stamp)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder)?.take(FILES_MAX) {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                let about = fs::metadata(&path)?;
                files.push((path, (about.len(), about.modified().ok())));
            }
        }
        files.sort();
        Ok(files)
    }
}
