//! The files under test: everything that git tracks or would track. Changes nothing.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The workspace's root folder.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A text file of the repository.
pub(crate) struct Tracked {
    /// Relative to the root.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Tracked {
    /// Whether all of the file is test code or benchmark.
    pub(crate) fn is_test(&self) -> bool {
        let path = Path::new(&self.path);
        path.file_name().is_some_and(|name| name == "tests.rs")
            || path
                .components()
                .any(|part| ["tests", "benches"].iter().any(|folder| part.as_os_str() == *folder))
    }
}

/// All text files, in the order of their paths. What is not UTF-8 is no text.
pub(crate) fn tracked() -> Vec<Tracked> {
    let listed =
        stdout(Command::new("git").args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]));
    let mut paths: Vec<&str> = listed.split_terminator('\0').collect();
    paths.sort_unstable();
    paths.dedup();
    let files = paths.into_iter().filter_map(|path| {
        // A file that was deleted and not yet committed is listed and not there.
        let bytes = std::fs::read(root().join(path)).ok()?;
        Some(Tracked { path: path.to_owned(), text: String::from_utf8(bytes).ok()? })
    });
    files.collect()
}

/// All Rust sources.
pub(crate) fn rust() -> Vec<Tracked> {
    tracked().into_iter().filter(|file| file.path.ends_with(".rs")).collect()
}

/// What a command prints when it is run in the root folder.
pub(crate) fn stdout(command: &mut Command) -> String {
    let out = command.current_dir(root()).output().unwrap();
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

/// Fails with all that was found, one line each.
#[track_caller]
pub(crate) fn none(found: Vec<String>) {
    assert!(found.is_empty(), "{} found:\n{}", found.len(), found.join("\n"));
}
