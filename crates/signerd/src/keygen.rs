//! Makes a signer's secrets and tells their public halves: the roster's table for this machine, and the key for each
//! vault's descriptor. Never overwrites a secret, never shows one.

use kuraban_base::{MachineId, VaultId, hex};
use kuraban_link::Identity;
use kuraban_proof::{Cosigner, KeyName};
use kuraban_vault::{Role, statement::StatementSecret};

use crate::{
    config::{Config, ConfigError},
    json,
    secret::{self, SecretError},
};

/// The public halves of a signer's keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct PublicKeys {
    machine: MachineId,
    tls: String,
    witness: String,
    statement: String,
    coins: Vec<(VaultId, String)>,
}

/// Why there are no keys.
pub(crate) type KeygenError = crate::Failure;

/// Makes those secret files that are not there yet, and reads them all.
///
/// # Errors
/// A file cannot be made, or one that was there cannot be used.
pub(crate) fn keygen(config: &Config) -> Result<PublicKeys, KeygenError> {
    let paths = &config.secrets;
    let own = [&paths.tls, &paths.witness, &paths.statement];
    for path in own.into_iter().chain(config.coins.iter().map(|coin| &coin.secret)) {
        if !secret::exists(path)? {
            secret::make(path)?;
        }
    }
    // The roster may name a witness otherwise; the machine's name is unique already.
    let name: Result<KeyName, _> = config.machine.as_str().parse();
    let name = name.map_err(|problem| ConfigError::Field {
        path: config.roster.clone(),
        field: "machine".to_owned(),
        problem: problem.to_string(),
    })?;
    let statement = StatementSecret::from_seed(&*secret::seed(&paths.statement)?);
    Ok(PublicKeys {
        machine: config.machine.clone(),
        tls: hex::encode(&Identity::from_seed(&*secret::seed(&paths.tls)?).public()),
        witness: Cosigner::from_seed(name, &*secret::seed(&paths.witness)?).verifier().to_string(),
        statement: hex::encode(statement.public().as_bytes()),
        coins: config
            .coins
            .iter()
            .map(|coin| Ok((coin.vault.clone(), descriptor_key(coin)?)))
            .collect::<Result<_, SecretError>>()?,
    })
}

/// The key as a descriptor takes it (BIP 380, BIP 389): origin, extended public key, the two branches.
fn descriptor_key(coin: &crate::config::CoinPath) -> Result<String, SecretError> {
    let found = secret::coin(coin)?;
    let path = coin.path.replace('\'', "h");
    let path = if path.is_empty() { path } else { format!("/{path}") };
    Ok(format!("[{}{path}]{}/<0;1>/*", hex::encode(&found.fingerprint), found.key.xpub()))
}

impl PublicKeys {
    /// The machine's table for the roster, and the keys for descriptors as comments.
    pub(crate) fn to_toml(&self) -> String {
        let mut text = format!(
            "[[machine]]\nid = \"{}\"\nrole = \"{}\"\ntls = \"{}\"\nwitness = \"{}\"\nstatement = \"{}\"\n",
            self.machine,
            Role::Signer,
            self.tls,
            self.witness,
            self.statement
        );
        for (vault, key) in &self.coins {
            text.push_str(&format!("\n# for the descriptor of vault {vault}:\n# {key}\n"));
        }
        text
    }

    /// `{"machine":{"id","role","tls","witness","statement"},"coins":[{"vault","key"}]}`
    pub(crate) fn to_json(&self) -> String {
        let machine = [
            ("id", json::text(self.machine.as_str())),
            ("role", json::text(Role::Signer.word())),
            ("tls", json::text(&self.tls)),
            ("witness", json::text(&self.witness)),
            ("statement", json::text(&self.statement)),
        ];
        let coin = |(vault, key): &(VaultId, String)| {
            json::object([("vault", json::text(vault.as_str())), ("key", json::text(key))])
        };
        let coins = json::array(self.coins.iter().map(coin));
        format!("{}\n", json::object([("machine", json::object(machine)), ("coins", coins)]))
    }
}
