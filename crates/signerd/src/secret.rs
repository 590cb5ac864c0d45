//! Secrets in files: who else can read them, what they hold. No error and no log line shows a character of one.

use std::{
    error::Error,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use kuraban_base::hex;
use kuraban_chain::btc::XPriv;
use zeroize::Zeroizing;

use crate::config::CoinPath;

/// Longest secret file, in bytes; an extended private key has 111 characters.
const LENGTH_MAX: u64 = 256;
/// Permission bits of group and others.
const OTHERS: u32 = 0o077;

/// A secret that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretError {
    /// The file cannot be read.
    #[error("cannot read the secret in {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The file cannot be made.
    #[error("cannot make the secret file {}", path.display())]
    Make {
        /// Which.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The system gives no random bytes.
    #[error("the operating system gives no random bytes")]
    Random(#[source] getrandom::Error),
    /// Others than the owner have access.
    #[error("{} has mode {mode:04o}, so others than its owner have access: want 0600 or 0400", path.display())]
    Mode {
        /// Which.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A folder, a pipe, a device.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// Which.
        path: PathBuf,
    },
    /// Not 64 hexadecimal digits.
    #[error("{} does not hold {want}: {problem}", path.display())]
    Form {
        /// Which.
        path: PathBuf,
        /// What it should hold.
        want: &'static str,
        /// What is wrong, without showing it.
        problem: String,
    },
    /// Not an extended private key of that chain, or not one that has the path.
    #[error("{} does not hold a key for vault {vault}", path.display())]
    Coin {
        /// Which.
        path: PathBuf,
        /// The vault.
        vault: String,
        /// What is wrong, without showing it.
        #[source]
        source: Box<dyn Error>,
    },
}

impl SecretError {
    /// The exit status: 2 for what the operator gave, 3 for what the system did.
    pub(crate) const fn status(&self) -> u8 {
        match self {
            Self::Make { .. } | Self::Random(_) => 3,
            Self::Read { .. }
            | Self::Mode { .. }
            | Self::NotAFile { .. }
            | Self::Form { .. }
            | Self::Coin { .. } => 2,
        }
    }
}

/// 32 bytes from the operating system's random source.
///
/// # Errors
/// It gives none.
pub(crate) fn random() -> Result<Zeroizing<[u8; 32]>, getrandom::Error> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::getrandom(bytes.as_mut_slice())?;
    Ok(bytes)
}

/// Makes a secret file with a fresh seed, readable by its owner alone. A file that is there is never touched.
///
/// # Errors
/// It is there already, or cannot be written.
pub(crate) fn make(path: &Path) -> Result<(), SecretError> {
    let seed = random().map_err(SecretError::Random)?;
    let text = Zeroizing::new(hex::encode(seed.as_slice()));
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(text.as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        sync_folder(path)
    };
    write().map_err(|source| SecretError::Make { path: path.to_owned(), source })
}

/// Makes sure that a file's name survives a power cut.
///
/// # Errors
/// Its folder cannot be synced.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// The seed in a file: 64 hexadecimal digits and at most one newline.
///
/// # Errors
/// The file cannot be read, others have access to it, or it holds something else.
pub(crate) fn seed(path: &Path) -> Result<Zeroizing<[u8; 32]>, SecretError> {
    let text = read(path)?;
    parse_seed(&text).map_err(|problem| SecretError::Form {
        path: path.to_owned(),
        want: "a seed of 64 hexadecimal digits",
        problem,
    })
}

/// A key to coins, with what a descriptor tells of its origin.
#[derive(Debug)]
pub(crate) struct CoinKey {
    /// The key that stands in the descriptor.
    pub(crate) key: XPriv,
    /// The fingerprint of the key in the file.
    pub(crate) fingerprint: [u8; 4],
}

/// The key to a vault in a file: an extended private key (`xprv…`, `tprv…`), or a seed of 64 hexadecimal digits whose
/// master key it is (BIP 32). The configured path leads from there to the key in the descriptor.
///
/// # Errors
/// As [`seed`]; or no such key, or no such path.
pub(crate) fn coin(coin: &CoinPath) -> Result<CoinKey, SecretError> {
    let text = read(&coin.secret)?;
    let wrong = |source: Box<dyn Error>| SecretError::Coin {
        path: coin.secret.clone(),
        vault: coin.vault.to_string(),
        source,
    };
    let root = if text.starts_with(|c: char| c.is_ascii_hexdigit()) {
        let seed = parse_seed(&text).map_err(|problem| SecretError::Form {
            path: coin.secret.clone(),
            want: "an extended private key or a seed of 64 hexadecimal digits",
            problem,
        })?;
        XPriv::from_seed(coin.network, seed.as_slice()).map_err(|problem| wrong(problem.into()))?
    } else {
        XPriv::parse(coin.network, &text).map_err(|problem| wrong(problem.into()))?
    };
    let key = root.derive(&coin.path).map_err(|problem| wrong(problem.into()))?;
    Ok(CoinKey { key, fingerprint: root.fingerprint() })
}

fn read(path: &Path) -> Result<Zeroizing<String>, SecretError> {
    let failed = |source| SecretError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    // Of the open file, so that nobody swaps it in between.
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(SecretError::NotAFile { path: path.to_owned() });
    }
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & OTHERS != 0 {
        return Err(SecretError::Mode { path: path.to_owned(), mode });
    }
    // Room for all of it, so that no half of it is left behind where the buffer was before it grew.
    let mut text = Zeroizing::new(String::with_capacity(512));
    file.take(LENGTH_MAX).read_to_string(&mut text).map_err(failed)?;
    if text.ends_with('\n') {
        text.pop();
    }
    Ok(text)
}

fn parse_seed(text: &str) -> Result<Zeroizing<[u8; 32]>, String> {
    let mut seed = Zeroizing::new([0; 32]);
    let digits = text.chars().count();
    if digits != 64 {
        return Err(format!("{digits} characters, want 64"));
    }
    let mut nibbles = (1..).zip(text.chars()).map(|(at, c)| {
        c.to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
            .ok_or_else(|| format!("character {at} is no such digit"))
    });
    for byte in seed.iter_mut() {
        if let (Some(high), Some(low)) = (nibbles.next(), nibbles.next()) {
            *byte = high? << 4 | low?;
        }
    }
    Ok(seed)
}

/// Whether a file is there, whatever it is.
///
/// # Errors
/// The system cannot tell.
pub(crate) fn exists(path: &Path) -> Result<bool, SecretError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(problem) if problem.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(SecretError::Read { path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_64_digits_and_errors_show_none_of_them() {
        let check = |text: &str, want: Result<u8, &str>| {
            let got = parse_seed(text).map(|seed| seed[0]);
            assert_eq!(got, want.map_err(str::to_owned), "{text:?}");
        };
        check(&"aB".repeat(32), Ok(0xab));
        check(&"7".repeat(63), Err("63 characters, want 64"));
        check(&"7".repeat(65), Err("65 characters, want 64"));
        check("", Err("0 characters, want 64"));
        check(&format!("{}g", "7".repeat(63)), Err("character 64 is no such digit"));
        check(&format!(" {}", "7".repeat(63)), Err("character 1 is no such digit"));
        check(&"蔵".repeat(64), Err("character 1 is no such digit"));
    }
}
