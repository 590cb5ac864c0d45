//! Secrets from files: 32 bytes in hexadecimal, in a file that nobody but its owner may touch.
//!
//! Decides whether the file may be trusted with a secret. Never keeps one longer than the caller does.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use kuraban_base::hex::{self, HexError};
use zeroize::Zeroizing;

/// Longest file that is read: 64 digits and a line's end, with room to say what is wrong.
const FILE_BYTES_MAX: u64 = 128;

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("{} cannot be read", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Others than its owner may read or write it.
    #[error("{} has mode {mode:04o}, want no rights for group and others (chmod 600)", file.display())]
    Mode {
        /// The file.
        file: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Something else stands in it.
    #[error("{} is not one line of 64 hexadecimal digits", file.display())]
    Form {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        #[source]
        source: HexError,
    },
}

/// The 32 bytes that stand in `path`.
///
/// # Errors
/// The file cannot be read, others have rights to it, or it holds something else.
pub fn seed(path: &Path) -> Result<Zeroizing<[u8; 32]>, SecretError> {
    let unreadable = |source| SecretError::File { file: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    let mode = mode(&file).map_err(unreadable)?;
    if mode & 0o077 != 0 {
        return Err(SecretError::Mode { file: path.to_owned(), mode });
    }
    // Never longer than its capacity, so that no copy is left behind by growing.
    let mut text = Zeroizing::new(String::with_capacity(256));
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(unreadable)?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let bytes = hex::decode(line).map(Zeroizing::new);
    let bytes = bytes.map_err(|source| SecretError::Form { file: path.to_owned(), source })?;
    let source = HexError::Length { got: bytes.len(), want: 32 };
    let seed = <[u8; 32]>::try_from(bytes.as_slice());
    seed.map(Zeroizing::new).map_err(|_| SecretError::Form { file: path.to_owned(), source })
}

#[cfg(unix)]
fn mode(file: &File) -> io::Result<u32> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(file.metadata()?.permissions().mode() & 0o7777)
}

/// Where files have no mode, their folder's rights are the operator's to set.
#[cfg(not(unix))]
fn mode(_: &File) -> io::Result<u32> {
    Ok(0)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn only_private_files_of_32_bytes_are_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tls.seed");
        let check = |mode: u32, text: &str, want: Result<u8, &str>| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            match (seed(&path), want) {
                (Ok(seed), Ok(want)) => assert_eq!(*seed, [want; 32]),
                (Err(error), Err(want)) => assert!(error.to_string().contains(want), "{error}"),
                (seed, want) => panic!("{seed:?}, want {want:?}"),
            }
        };
        assert!(matches!(seed(&path), Err(SecretError::File { .. })));
        let digits = "ab".repeat(32);
        check(0o600, &digits, Ok(0xab));
        check(0o400, &format!("{digits}\n"), Ok(0xab));
        check(0o640, &digits, Err("has mode 0640"));
        check(0o602, &digits, Err("has mode 0602"));
        check(0o600, &format!("{digits}\n\n"), Err("is not one line"));
        check(0o600, &"ab".repeat(31), Err("is not one line"));
        check(0o600, &"ab".repeat(33), Err("is not one line"));
        check(0o600, &"xy".repeat(32), Err("is not one line"));
        check(0o600, "", Err("is not one line"));
    }
}
