//! What the role `chase` is set up with, and the files of its cases.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use kuraban_base::{CaseId, Digest};
use kuraban_chain::btc::{Address, Network, OutPoint, Script};
use kuraban_proof::NoteSigner;
use kuraban_trace::{
    feed::{Chain, Opened, Rules, Seed, Words, shown_txid},
    tags::taxonomy,
    taint::Method,
};
use serde::Deserialize;

use crate::{
    config::{self, ConfigError},
    secrets::seed,
};

/// Most seeds of a case.
const SEEDS_MAX: usize = 1_000;
/// Most stops that are named.
const STOPS_MAX: usize = 10_000;
/// From how many outputs before a theft on an address is a hub, if nobody says otherwise. What one thief does with an account
/// at an exchange stays below: Zaif's sold 1,544.53 BTC there in lots of at most 2, which are 773 deposits.
const HUB_OUTPUTS_MIN: u32 = 1_000;
/// Longest time that a tag may hold without being given again, in hours: ten years.
const LASTS_HOURS_MAX: u64 = 87_600;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    listen: String,
    network: String,
    node: String,
    index: PathBuf,
    cases: PathBuf,
    feed: RawFeed,
    store: Option<PathBuf>,
    hub_outputs: Option<u32>,
    #[serde(default)]
    stop: Vec<RawStop>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFeed {
    folder: PathBuf,
    name: String,
    secret: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStop {
    address: String,
    place: String,
}

/// What the role is set up with.
pub(super) struct Config {
    pub(super) listen: SocketAddr,
    pub(super) network: Network,
    /// Where the node listens for peers, `host:port`.
    pub(super) node: String,
    pub(super) index: PathBuf,
    /// The folder of the cases' files.
    pub(super) cases: PathBuf,
    /// The folder of the feed.
    pub(super) feed: PathBuf,
    pub(super) signer: NoteSigner,
    /// A store of tags whose services hold taint.
    pub(super) store: Option<PathBuf>,
    /// From how many outputs on an address is a hub, in cases that do not say; nothing where none is.
    pub(super) hub_outputs_min: Option<u32>,
    /// Where taint is held.
    pub(super) stops: Vec<(Script, Words)>,
}

impl Config {
    /// Reads it, with the secret that it names.
    pub(super) fn read(path: &Path) -> Result<Self, ConfigError> {
        let raw: RawConfig = config::toml(path)?;
        let folder = config::folder(path);
        let network: Network = config::parse("network", &raw.network)?;
        if raw.stop.len() > STOPS_MAX {
            let problem = format!("{} of them, want at most {STOPS_MAX}", raw.stop.len());
            return Err(ConfigError::field("stop", problem));
        }
        let stop = |stop: RawStop| {
            let place = format!("stop {}", stop.address);
            let address = Address::parse(network, &stop.address);
            let address = address.map_err(|problem| ConfigError::field(&place, problem))?;
            Ok((address.script(), config::parse(&place, &stop.place)?))
        };
        let name = config::parse("feed.name", &raw.feed.name)?;
        let secret = seed(&folder.join(&raw.feed.secret))?;
        Ok(Self {
            listen: config::parse("listen", &raw.listen)?,
            network,
            node: raw.node,
            index: folder.join(raw.index),
            cases: folder.join(raw.cases),
            feed: folder.join(raw.feed.folder),
            signer: NoteSigner::from_seed(name, &secret),
            store: raw.store.map(|store| folder.join(store)),
            hub_outputs_min: some_hub(raw.hub_outputs.unwrap_or(HUB_OUTPUTS_MIN)),
            stops: raw.stop.into_iter().map(stop).collect::<Result<_, ConfigError>>()?,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCase {
    id: String,
    label: String,
    concept: String,
    source: String,
    seeds: Vec<RawSeed>,
    #[serde(default)]
    methods: Vec<String>,
    #[serde(default)]
    follow_fees: bool,
    #[serde(default)]
    dust: u64,
    #[serde(default)]
    tag_min: u64,
    hub_outputs: Option<u32>,
    lasts_hours: Option<u64>,
    closed: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSeed {
    output: String,
    units: u64,
}

/// A case as its file has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct CaseFile {
    pub(super) opened: Opened,
    /// The seeds as the chain names them.
    pub(super) seeds: Vec<OutPoint>,
    /// Whether the file says from how many outputs on an address is a hub. Without it the feed's word counts, then the
    /// role's.
    pub(super) names_hubs: bool,
    /// Why it is closed, if it is.
    pub(super) closed: Option<Words>,
}

impl CaseFile {
    /// Reads it.
    pub(super) fn read(path: &Path, network: Network) -> Result<Self, ConfigError> {
        let raw: RawCase = config::toml(path)?;
        let field = |name: &str| format!("{}: {name}", path.display());
        let (seeds, outpoints) = seeds_of(&raw.seeds, &field)?;
        let concept = taxonomy::concept(&raw.concept).ok_or_else(|| {
            ConfigError::field(&field("concept"), format!("{:?} is not in the taxonomy of tags", raw.concept))
        })?;
        let lasts_ms = match raw.lasts_hours {
            None => None,
            Some(hours @ 1..=LASTS_HOURS_MAX) => Some(hours.saturating_mul(3_600_000)),
            Some(hours) => {
                let problem = format!("{hours}, want 1 to {LASTS_HOURS_MAX}");
                return Err(ConfigError::field(&field("lasts_hours"), problem));
            }
        };
        let rules = Rules {
            methods: methods(&raw.methods, &field("methods"))?,
            follow_fees: raw.follow_fees,
            dust_units: u128::from(raw.dust),
            tag_units_min: u128::from(raw.tag_min),
            hub_outputs_min: raw.hub_outputs.and_then(some_hub),
            lasts_ms,
        };
        let case: CaseId = config::parse(&field("id"), &raw.id)?;
        let opened = Opened {
            case,
            chain: Chain::Family(network),
            token: None,
            label: config::parse(&field("label"), &raw.label)?,
            concept,
            source: config::parse(&field("source"), &raw.source)?,
            seeds,
            rules,
        };
        let closed = raw.closed.map(|reason| config::parse(&field("closed"), &reason)).transpose()?;
        Ok(Self { opened, seeds: outpoints, names_hubs: raw.hub_outputs.is_some(), closed })
    }

    /// The case as it is followed: what the file leaves open is as the feed has it, or else as the role is set up.
    ///
    /// Gives what is wrong where the feed has the case otherwise: readers were told those rules, and tags rest on them.
    pub(super) fn resolve(&self, told: Option<&Opened>, config: &Config) -> Result<Opened, &'static str> {
        let mut opened = self.opened.clone();
        if !self.names_hubs {
            opened.rules.hub_outputs_min =
                told.map_or(config.hub_outputs_min, |told| told.rules.hub_outputs_min);
        }
        match told {
            Some(told) if *told != opened => {
                Err("the feed has it with other words or rules: close it, and open another")
            }
            Some(_) | None => Ok(opened),
        }
    }
}

/// Zero says that no address is a hub.
const fn some_hub(outputs_min: u32) -> Option<u32> {
    if outputs_min == 0 { None } else { Some(outputs_min) }
}

fn seeds_of(
    raw: &[RawSeed],
    field: &dyn Fn(&str) -> String,
) -> Result<(Vec<Seed>, Vec<OutPoint>), ConfigError> {
    if !(1..=SEEDS_MAX).contains(&raw.len()) {
        let problem = format!("{} of them, want 1 to {SEEDS_MAX}", raw.len());
        return Err(ConfigError::field(&field("seeds"), problem));
    }
    let seed = |raw: &RawSeed| {
        let outpoint: OutPoint = config::parse(&field("seeds"), &raw.output)?;
        let tx: Digest = shown_txid(&outpoint.txid);
        Ok((Seed { tx, index: outpoint.vout, units: u128::from(raw.units) }, outpoint))
    };
    let mut seeds = raw.iter().map(seed).collect::<Result<Vec<_>, ConfigError>>()?;
    seeds.sort_unstable_by_key(|(seed, _)| *seed);
    let twice = seeds
        .windows(2)
        .find(|pair| matches!(pair, [(one, _), (next, _)] if (one.tx, one.index) == (next.tx, next.index)));
    if let Some([(_, outpoint), _]) = twice {
        return Err(ConfigError::field(&field("seeds"), format!("{outpoint} stands there twice")));
    }
    Ok(seeds.into_iter().unzip())
}

/// The methods in their order; all of them if none is named.
fn methods(named: &[String], field: &str) -> Result<Vec<Method>, ConfigError> {
    let wanted: Vec<Method> =
        named.iter().map(|name| config::parse(field, name)).collect::<Result<_, _>>()?;
    let keep = |method: &Method| wanted.is_empty() || wanted.contains(method);
    Ok(Method::ALL.into_iter().filter(keep).collect())
}
