//! A vault: coins of one asset under one descriptor, in one tier, of one owner.

use kuraban_base::{VaultId, cbor::Value};
use kuraban_chain::btc::{Network, descriptor::Descriptor};
use serde::Deserialize;

use crate::breaker::closed_words;

/// Most receive scripts of one vault that are kept in memory.
const RECEIVE_MAX: u32 = 100_000;

closed_words! {
    /// How exposed the keys are.
    Tier, "tier" {
        /// Keys on machines that are online.
        Hot = "hot",
        /// Keys on machines that are online only for a purpose.
        Warm = "warm",
        /// Keys on devices that were never online.
        Cold = "cold",
    }
}

closed_words! {
    /// Whose coins they are; owners are never mixed in a vault.
    Owner, "owner" {
        /// The customers'.
        Customers = "customers",
        /// The company's own.
        Company = "company",
        /// Held as performance guarantee (履行保証暗号資産).
        Guarantee = "guarantee",
    }
}

/// A vault, as each machine has it in its own files.
#[derive(Clone, Debug)]
pub struct Vault {
    /// Its name.
    pub id: VaultId,
    /// The chain.
    pub network: Network,
    /// How exposed it is.
    pub tier: Tier,
    /// Whose coins it holds.
    pub owner: Owner,
    /// Which scripts are its own.
    pub descriptor: Descriptor,
    /// How many receive scripts have been handed out; coins sent further out are not seen as the vault's.
    pub receive_count: u32,
    /// Confirmations after which a payout counts as confirmed.
    pub depth_min: u32,
}

/// A vault file that does not hold together.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// Not TOML of a vault's shape.
    #[error("the vault is not as docs/configuration.md describes")]
    Toml(#[source] toml::de::Error),
    /// A field whose value is not allowed.
    #[error("{field}: {problem}")]
    Field {
        /// Its name.
        field: &'static str,
        /// What is wrong, what was expected.
        problem: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawVault {
    id: String,
    network: String,
    tier: String,
    owner: String,
    descriptor: String,
    receive_count: u32,
    depth_min: u32,
}

fn at<T, E: core::fmt::Display>(field: &'static str, result: Result<T, E>) -> Result<T, VaultError> {
    result.map_err(|problem| VaultError::Field { field, problem: problem.to_string() })
}

impl Vault {
    /// Reads a vault file.
    ///
    /// # Errors
    /// Unknown or missing fields, a malformed descriptor, a depth or count out of bounds.
    pub fn from_toml(text: &str) -> Result<Self, VaultError> {
        let raw: RawVault = toml::from_str(text).map_err(VaultError::Toml)?;
        let network: Network = at("network", raw.network.parse())?;
        if !(1..=1000).contains(&raw.depth_min) {
            return at("depth_min", Err(format!("{} confirmations, want 1 to 1000", raw.depth_min)));
        }
        if !(1..=RECEIVE_MAX).contains(&raw.receive_count) {
            return at(
                "receive_count",
                Err(format!("{} scripts, want 1 to {RECEIVE_MAX}", raw.receive_count)),
            );
        }
        Ok(Self {
            id: at("id", raw.id.parse())?,
            network,
            tier: at("tier", raw.tier.parse())?,
            owner: at("owner", raw.owner.parse())?,
            descriptor: at("descriptor", Descriptor::parse(network, &raw.descriptor))?,
            receive_count: raw.receive_count,
            depth_min: raw.depth_min,
        })
    }

    /// The vault as a map, for the log.
    #[must_use]
    pub fn to_value(&self) -> Value {
        Value::map([
            ("id", Value::text(&self.id)),
            ("network", Value::text(self.network)),
            ("tier", Value::text(self.tier)),
            ("owner", Value::text(self.owner)),
            ("descriptor", Value::text(&self.descriptor)),
            ("receive_count", Value::uint(self.receive_count)),
            ("depth_min", Value::uint(self.depth_min)),
        ])
    }
}
