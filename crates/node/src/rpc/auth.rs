//! User and password of a node's RPC, from a file.
//!
//! Decides whether the file may be trusted with a secret. Read anew for each call: a node writes a new cookie
//! whenever it starts.

use std::{
    fs::File,
    io::{self, Read as _},
    path::PathBuf,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

/// Longest `user:password` that is read.
pub const SECRET_BYTES_MAX: usize = 512;

/// Where user and password stand, as `user:password` in one line: the node's own cookie file, or a file of
/// the same form.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Auth {
    /// The file.
    pub file: PathBuf,
}

/// Why there is no user and password.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
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
    #[error("{} is not one line user:password of at most {SECRET_BYTES_MAX} bytes", file.display())]
    Form {
        /// The file.
        file: PathBuf,
    },
}

impl Auth {
    /// The value of the `Authorization` header (RFC 7617).
    pub(super) fn header(&self) -> Result<Zeroizing<String>, AuthError> {
        let unreadable = |source| AuthError::File { file: self.file.clone(), source };
        let form = || AuthError::Form { file: self.file.clone() };
        let file = File::open(&self.file).map_err(unreadable)?;
        let mode = mode(&file).map_err(unreadable)?;
        if mode & 0o077 != 0 {
            return Err(AuthError::Mode { file: self.file.clone(), mode });
        }
        let mut text = Zeroizing::new(String::with_capacity(SECRET_BYTES_MAX.saturating_add(2)));
        let limit = u64::try_from(SECRET_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
        file.take(limit).read_to_string(&mut text).map_err(unreadable)?;
        let line = text.strip_suffix('\n').unwrap_or(&text);
        let sound = line.contains(':')
            && line.len() <= SECRET_BYTES_MAX
            && line.chars().all(|c| c.is_ascii() && !c.is_ascii_control());
        if !sound {
            return Err(form());
        }
        Ok(Zeroizing::new(format!("Basic {}", Zeroizing::new(STANDARD.encode(line)).as_str())))
    }
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
    fn only_private_files_with_one_user_are_used() {
        let folder = tempfile::tempdir().unwrap();
        let auth = Auth { file: folder.path().join("cookie") };
        let check = |mode: u32, text: &str, want: Result<&str, &str>| {
            std::fs::write(&auth.file, text).unwrap();
            std::fs::set_permissions(&auth.file, std::fs::Permissions::from_mode(mode)).unwrap();
            match (auth.header(), want) {
                (Ok(header), Ok(want)) => assert_eq!(header.as_str(), want),
                (Err(error), Err(want)) => assert!(error.to_string().contains(want), "{error}"),
                (header, want) => panic!("{header:?}, want {want:?}"),
            }
        };
        assert!(matches!(auth.header(), Err(AuthError::File { .. })));
        // The example of RFC 7617, section 2.
        check(0o600, "Aladdin:open sesame", Ok("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
        check(0o400, "Aladdin:open sesame\n", Ok("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
        check(0o640, "Aladdin:open sesame", Err("has mode 0640"));
        check(0o604, "Aladdin:open sesame", Err("has mode 0604"));
        check(0o600, "Aladdin", Err("is not one line user:password"));
        check(0o600, "Aladdin:open\nsesame", Err("is not one line user:password"));
        check(0o600, "", Err("is not one line user:password"));
        let longest = format!("a:{}", "b".repeat(SECRET_BYTES_MAX - 2));
        assert!({
            std::fs::write(&auth.file, &longest).unwrap();
            auth.header().is_ok()
        });
        check(0o600, &format!("{longest}b"), Err("is not one line user:password"));
    }
}
