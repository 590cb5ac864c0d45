//! The daemon's configuration: one TOML file, parsed once. No key has a default, an unknown key is an error, and no
//! secret stands in it: it names the files that hold them.

use core::fmt;
use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use kuraban_base::{MachineId, VaultId};
use kuraban_chain::btc::Network;
use serde::Deserialize;

/// Largest file of configuration, roster, policy or vault, in bytes.
const FILE_LENGTH_MAX: u64 = 1024 * 1024;

/// Where everything is. Relative paths are relative to the configuration's own folder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Config {
    /// This machine's name on the roster.
    pub(crate) machine: MachineId,
    /// Where writer and watchers connect.
    pub(crate) listen: SocketAddr,
    /// The store.
    pub(crate) store: PathBuf,
    /// The roster.
    pub(crate) roster: PathBuf,
    /// The policy.
    pub(crate) policy: PathBuf,
    /// The vaults, one file each.
    pub(crate) vaults: Vec<PathBuf>,
    /// The machine's own keys.
    pub(crate) secrets: SecretPaths,
    /// The keys to coins.
    pub(crate) coins: Vec<CoinPath>,
}

/// Files with the seeds of the machine's own keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SecretPaths {
    /// Of the key for links.
    pub(crate) tls: PathBuf,
    /// Of the key for cosignatures.
    pub(crate) witness: PathBuf,
    /// Of the key for receipts.
    pub(crate) statement: PathBuf,
}

/// A file with this signer's key to one vault.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct CoinPath {
    /// The vault.
    pub(crate) vault: VaultId,
    /// Its chain.
    pub(crate) network: Network,
    /// From the key in the file to the key in the vault's descriptor (BIP 32), empty if it is that key.
    pub(crate) path: String,
    /// The file.
    pub(crate) secret: PathBuf,
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// A file that cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A file that is longer than such files are.
    #[error("{} is longer than {FILE_LENGTH_MAX} bytes", path.display())]
    Long {
        /// Which.
        path: PathBuf,
    },
    /// Not TOML of the configuration's shape.
    #[error("{} is not as docs/configuration.md describes", path.display())]
    Toml {
        /// Which.
        path: PathBuf,
        /// Where and what.
        #[source]
        source: toml::de::Error,
    },
    /// A field whose value is not allowed.
    #[error("{}: {field}: {problem}", path.display())]
    Field {
        /// Which file.
        path: PathBuf,
        /// The field's name.
        field: String,
        /// What is wrong, what was expected.
        problem: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    machine: String,
    listen: String,
    store: PathBuf,
    roster: PathBuf,
    policy: PathBuf,
    vaults: Vec<PathBuf>,
    secrets: RawSecrets,
    coin: Vec<RawCoin>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSecrets {
    tls: PathBuf,
    witness: PathBuf,
    statement: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCoin {
    vault: String,
    network: String,
    path: String,
    secret: PathBuf,
}

impl Config {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// It cannot be read, has an unknown key, lacks one, or has a value that is not allowed.
    pub(crate) fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = text_of(path)?;
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let toml = |source| ConfigError::Toml { path: path.to_owned(), source };
        let raw: RawConfig = toml::from_str(text).map_err(toml)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let within = |path: PathBuf| folder.join(path);
        let coins: Vec<CoinPath> =
            raw.coin.into_iter().map(|coin| CoinPath::parse(path, folder, coin)).collect::<Result<_, _>>()?;
        if let Some(twice) = (1..)
            .zip(&coins)
            .find(|(after, coin)| coins.iter().skip(*after).any(|other| other.vault == coin.vault))
        {
            return at(path, "coin", Err(format!("vault {} stands there twice", twice.1.vault)));
        }
        Ok(Self {
            machine: at(path, "machine", raw.machine.parse())?,
            listen: at(
                path,
                "listen",
                raw.listen.parse().map_err(|_| {
                    format!("{:?} is no address with a port, such as 127.0.0.1:7101", raw.listen)
                }),
            )?,
            store: within(raw.store),
            roster: within(raw.roster),
            policy: within(raw.policy),
            vaults: raw.vaults.into_iter().map(within).collect(),
            secrets: SecretPaths {
                tls: within(raw.secrets.tls),
                witness: within(raw.secrets.witness),
                statement: within(raw.secrets.statement),
            },
            coins,
        })
    }
}

impl CoinPath {
    fn parse(file: &Path, folder: &Path, raw: RawCoin) -> Result<Self, ConfigError> {
        let vault: VaultId = at(file, "coin.vault", raw.vault.parse())?;
        let place = format!("coin of {vault}");
        Ok(Self {
            network: at(file, &place, raw.network.parse())?,
            path: raw.path,
            secret: folder.join(raw.secret),
            vault,
        })
    }
}

fn at<T, E: fmt::Display>(path: &Path, field: &str, result: Result<T, E>) -> Result<T, ConfigError> {
    result.map_err(|problem| ConfigError::Field {
        path: path.to_owned(),
        field: field.to_owned(),
        problem: problem.to_string(),
    })
}

/// A file's text, if it is no longer than any of our files.
///
/// # Errors
/// It cannot be read, is too long, or is not UTF-8.
pub(crate) fn text_of(path: &Path) -> Result<String, ConfigError> {
    let read = |source| ConfigError::Read { path: path.to_owned(), source };
    let file = fs::File::open(path).map_err(read)?;
    let length = file.metadata().map_err(read)?.len();
    if length > FILE_LENGTH_MAX {
        return Err(ConfigError::Long { path: path.to_owned() });
    }
    io::read_to_string(io::Read::take(file, FILE_LENGTH_MAX)).map_err(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"machine = "signer-1"
listen = "127.0.0.1:7101"
store = "/var/signer.redb"
roster = "roster.toml"
policy = "policy.toml"
vaults = ["hot.toml", "../cold.toml"]
[secrets]
tls = "tls.seed"
witness = "witness.seed"
statement = "statement.seed"
[[coin]]
vault = "hot"
network = "bitcoin-regtest"
path = "48'/1'/0'/2'"
secret = "hot.seed"
"#;

    fn check(text: &str, want: &str) {
        let problem = Config::parse(Path::new("/etc/k/s.toml"), text).unwrap_err();
        let told = crate::told(&problem);
        assert!(told.contains(want), "{told}\nwant {want}");
    }

    #[test]
    fn a_configuration_is_read_as_written() {
        let config = Config::parse(Path::new("/etc/k/s.toml"), GOOD).unwrap();
        assert_eq!(config.machine.as_str(), "signer-1");
        assert_eq!(config.listen, "127.0.0.1:7101".parse().unwrap());
        assert_eq!(config.store, Path::new("/var/signer.redb"));
        assert_eq!(config.vaults, [Path::new("/etc/k/hot.toml"), Path::new("/etc/k/../cold.toml")]);
        assert_eq!(config.secrets.statement, Path::new("/etc/k/statement.seed"));
        let [coin] = config.coins.as_slice() else { panic!("{:?}", config.coins) };
        assert_eq!((coin.network, coin.path.as_str()), (Network::BtcRegtest, "48'/1'/0'/2'"));
    }

    #[test]
    fn every_key_is_needed() {
        for (line, text) in GOOD.lines().enumerate().filter(|(_, text)| text.contains('=')) {
            let without: Vec<&str> =
                GOOD.lines().enumerate().filter(|(at, _)| *at != line).map(|(_, text)| text).collect();
            let key = text.split(' ').next().unwrap();
            check(&without.join("\n"), &format!("missing field `{key}`"));
        }
        check("", "/etc/k/s.toml is not as docs/configuration.md describes: ");
    }

    #[test]
    fn unknown_keys_are_refused_wherever_they_stand() {
        check(&format!("debug = true\n{GOOD}"), "unknown field `debug`");
        check(&GOOD.replace("[secrets]", "[secrets]\nseed = \"00\""), "unknown field `seed`");
        check(&format!("{GOOD}permissive = true\n"), "unknown field `permissive`");
    }

    #[test]
    fn wrong_values_are_named() {
        let swap = |from: &str, to: &str, want: &str| check(&GOOD.replace(from, to), want);
        swap("signer-1", "signer 1", "machine: machine id has ' ' at character 7");
        swap("127.0.0.1:7101", "localhost:7101", "listen: \"localhost:7101\" is no address with a port");
        swap("127.0.0.1:7101", "127.0.0.1", "listen: \"127.0.0.1\" is no address with a port");
        swap("bitcoin-regtest", "bitcoin", "coin of hot: ");
        swap("vault = \"hot\"", "vault = \"\"", "coin.vault: vault id is empty");
        check(
            &format!("{GOOD}{}", &GOOD[GOOD.find("[[coin]]").unwrap()..]),
            "coin: vault hot stands there twice",
        );
    }
}
