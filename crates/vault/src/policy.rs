//! The policy: ordered rules, limits and the standing order to evacuate. The first rule that matches a payout
//! decides; a payout that no rule matches is refused. No field has a default where money is guarded.

use std::collections::{BTreeMap, BTreeSet};

use kuraban_base::{Amount, Digest, GroupId, PolicyHash, VaultId, cbor::Value};
use kuraban_chain::btc::{Script, address::Address};
use serde::Deserialize;

use crate::{payout::PayoutKind, roster::Roster, vault::Vault};

/// How many approvals a rule asks of one group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Approvals {
    /// Whose.
    pub group: GroupId,
    /// How many different people of it, at least 1.
    pub count: u16,
}

/// Where a rule lets coins go.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Destinations {
    Any,
    Listed(Vec<String>),
}

/// One rule, as written.
#[derive(Clone, PartialEq, Eq, Debug)]
struct RuleText {
    id: String,
    vaults: BTreeSet<VaultId>,
    kinds: BTreeSet<PayoutKind>,
    amount_max: Option<Amount>,
    destinations: Destinations,
    approvals: Vec<Approvals>,
}

/// Limits of one vault. Amounts in base units.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limit {
    /// Most that one payout may take out, fee included.
    pub per_payout_max: Amount,
    /// Most that may leave within any 24 hours, fees included.
    pub rolling_24h_max: Amount,
    /// Most that one transaction may pay as fee.
    pub fee_max: Amount,
    /// Most that one transaction may pay per 1,000 virtual bytes.
    pub fee_rate_max: Amount,
}

/// The standing order to evacuate a vault.
#[derive(Clone, PartialEq, Eq, Debug)]
struct EvacuationText {
    vault: VaultId,
    destination: String,
    fee_max: Amount,
}

/// The policy, as parsed from its file; bound to a vault by [`Policy::of`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Policy {
    rules: Vec<RuleText>,
    limits: BTreeMap<VaultId, Limit>,
    evacuations: Vec<EvacuationText>,
    reset: Vec<Approvals>,
    hash: PolicyHash,
}

/// A rule that matches payouts of one vault.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    /// Its name in the policy.
    pub id: String,
    /// The kinds it governs.
    pub kinds: BTreeSet<PayoutKind>,
    /// It governs payouts up to this amount; all, if absent.
    pub amount_max: Option<Amount>,
    /// Where coins may go; anywhere, if absent.
    pub destinations: Option<BTreeSet<Script>>,
    /// The approvals it asks for; a payout needs them all.
    pub approvals: Vec<Approvals>,
}

/// The standing order to evacuate, resolved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Evacuation {
    /// Where everything goes.
    pub destination: Script,
    /// Most that all evacuations of one incident may pay as fees, in base units.
    pub fee_max: Amount,
}

/// The part of the policy that governs one vault, with addresses resolved on its chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VaultPolicy {
    /// The whole policy's hash.
    pub hash: PolicyHash,
    /// Rules in order.
    pub rules: Vec<Rule>,
    /// The vault's limits.
    pub limit: Limit,
    /// The standing order to evacuate, if there is one.
    pub evacuation: Option<Evacuation>,
}

/// A policy file that does not hold together.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// Not TOML of the policy's shape.
    #[error("the policy is not as docs/configuration.md describes")]
    Toml(#[source] toml::de::Error),
    /// A field whose value is not allowed.
    #[error("{place}: {problem}")]
    Field {
        /// Table and name.
        place: String,
        /// What is wrong, what was expected.
        problem: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPolicy {
    rule: Vec<RawRule>,
    limit: Vec<RawLimit>,
    #[serde(default)]
    evacuation: Vec<RawEvacuation>,
    reset: Vec<RawApprovals>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    id: String,
    vaults: Vec<String>,
    kinds: Vec<String>,
    amount_max: Option<u64>,
    destinations: RawDestinations,
    approvals: Vec<RawApprovals>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawDestinations {
    Word(String),
    Listed(Vec<String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawApprovals {
    group: String,
    count: u16,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLimit {
    vault: String,
    per_payout_max: u64,
    rolling_24h_max: u64,
    fee_max: u64,
    fee_rate_max: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEvacuation {
    vault: String,
    destination: String,
    fee_max: u64,
}

fn at<T, E: core::fmt::Display>(place: &str, result: Result<T, E>) -> Result<T, PolicyError> {
    result.map_err(|problem| PolicyError::Field { place: place.to_owned(), problem: problem.to_string() })
}

fn refuse<T>(place: &str, problem: impl core::fmt::Display) -> Result<T, PolicyError> {
    at(place, Err(problem))
}

impl Policy {
    /// Reads a policy file.
    ///
    /// # Errors
    /// Unknown or missing fields, unknown words, rules without vaults, kinds or approvals, a vault or rule named
    /// twice.
    pub fn from_toml(text: &str) -> Result<Self, PolicyError> {
        let raw: RawPolicy = toml::from_str(text).map_err(PolicyError::Toml)?;
        let rules: Vec<RuleText> = raw.rule.into_iter().map(rule).collect::<Result<_, _>>()?;
        let mut names = BTreeSet::new();
        if let Some(twice) = rules.iter().find(|rule| !names.insert(rule.id.as_str())) {
            return refuse(&format!("rule {}", twice.id), "stands there twice");
        }
        let mut limits = BTreeMap::new();
        for limit in raw.limit {
            let place = format!("limit of {}", limit.vault);
            let vault: VaultId = at(&place, limit.vault.parse())?;
            let limit = Limit {
                per_payout_max: limit.per_payout_max.into(),
                rolling_24h_max: limit.rolling_24h_max.into(),
                fee_max: limit.fee_max.into(),
                fee_rate_max: limit.fee_rate_max.into(),
            };
            if limits.insert(vault, limit).is_some() {
                return refuse(&place, "stands there twice");
            }
        }
        let evacuations = evacuations(raw.evacuation)?;
        let reset = approvals("reset", raw.reset)?;
        let hash = hash(&rules, &limits, &evacuations, &reset);
        Ok(Self { rules, limits, evacuations, reset, hash })
    }

    /// The hash that stands in payout digests.
    #[must_use]
    pub const fn hash(&self) -> PolicyHash {
        self.hash
    }

    /// The approvals that loosen the breaker.
    #[must_use]
    pub fn reset(&self) -> &[Approvals] {
        &self.reset
    }

    /// The part of the policy that governs `vault`.
    ///
    /// # Errors
    /// The vault has no limit, an address is not one of the vault's chain, or a group is not on the roster or too
    /// small for what is asked of it.
    pub fn of(&self, vault: &Vault, roster: &Roster) -> Result<VaultPolicy, PolicyError> {
        let Some(limit) = self.limits.get(&vault.id) else {
            return refuse(
                &format!("limit of {}", vault.id),
                "is missing; a vault without limits cannot pay",
            );
        };
        for asked in self.rules.iter().flat_map(|rule| &rule.approvals).chain(&self.reset) {
            can_be_met(asked, roster)?;
        }
        let own = self.rules.iter().filter(|rule| rule.vaults.contains(&vault.id));
        let rules = own.map(|rule| resolve(rule, vault)).collect::<Result<_, _>>()?;
        let evacuation = self.evacuations.iter().find(|order| order.vault == vault.id);
        let evacuation = evacuation.map(|order| {
            let place = format!("evacuation of {}", vault.id);
            let destination = at(&place, Address::parse(vault.network, &order.destination))?.script();
            Ok(Evacuation { destination, fee_max: order.fee_max })
        });
        Ok(VaultPolicy { hash: self.hash, rules, limit: limit.clone(), evacuation: evacuation.transpose()? })
    }
}

impl VaultPolicy {
    /// The rule that governs such a payout: the first that matches.
    #[must_use]
    pub fn rule(&self, kind: PayoutKind, amount: Amount) -> Option<&Rule> {
        let governs =
            |rule: &&Rule| rule.kinds.contains(&kind) && rule.amount_max.is_none_or(|max| amount <= max);
        self.rules.iter().find(governs)
    }
}

fn can_be_met(asked: &Approvals, roster: &Roster) -> Result<(), PolicyError> {
    let place = format!("approvals of group {}", asked.group);
    match roster.members(&asked.group) {
        None => refuse(&place, "the roster has no such group"),
        Some(members) if members.len() < usize::from(asked.count) => {
            refuse(&place, format!("{} asked of {} members", asked.count, members.len()))
        }
        Some(_) => Ok(()),
    }
}

fn resolve(rule: &RuleText, vault: &Vault) -> Result<Rule, PolicyError> {
    let destinations = match &rule.destinations {
        Destinations::Any => None,
        Destinations::Listed(addresses) => {
            let place = format!("rule {}: destinations", rule.id);
            let script = |text: &String| {
                at(&place, Address::parse(vault.network, text)).map(|address| address.script())
            };
            Some(addresses.iter().map(script).collect::<Result<_, _>>()?)
        }
    };
    Ok(Rule {
        id: rule.id.clone(),
        kinds: rule.kinds.clone(),
        amount_max: rule.amount_max,
        destinations,
        approvals: rule.approvals.clone(),
    })
}

fn rule(raw: RawRule) -> Result<RuleText, PolicyError> {
    let place = format!("rule {}", raw.id);
    let vaults: BTreeSet<VaultId> =
        raw.vaults.iter().map(|text| at(&place, text.parse())).collect::<Result<_, _>>()?;
    let kinds: BTreeSet<PayoutKind> =
        raw.kinds.iter().map(|text| at(&place, text.parse())).collect::<Result<_, _>>()?;
    if vaults.is_empty() || kinds.is_empty() {
        return refuse(&place, "names no vault or no kind, so it can never match");
    }
    if kinds.contains(&PayoutKind::Evacuation) {
        return refuse(&place, "evacuations are governed by [[evacuation]], not by rules");
    }
    let destinations = match raw.destinations {
        RawDestinations::Word(word) if word == "any" => Destinations::Any,
        RawDestinations::Word(word) => {
            return refuse(&place, format!("destinations is {word:?}, want \"any\" or a list of addresses"));
        }
        RawDestinations::Listed(addresses) => Destinations::Listed(addresses),
    };
    let approvals = approvals(&place, raw.approvals)?;
    Ok(RuleText {
        id: raw.id,
        vaults,
        kinds,
        amount_max: raw.amount_max.map(Amount::from),
        destinations,
        approvals,
    })
}

fn approvals(place: &str, raw: Vec<RawApprovals>) -> Result<Vec<Approvals>, PolicyError> {
    if raw.is_empty() {
        return refuse(place, "asks for no approvals, want at least one group");
    }
    let one = |raw: RawApprovals| match raw.count {
        0 => refuse(place, format!("asks for 0 approvals of {}, want at least 1", raw.group)),
        count => Ok(Approvals { group: at(place, raw.group.parse())?, count }),
    };
    raw.into_iter().map(one).collect()
}

fn evacuations(raw: Vec<RawEvacuation>) -> Result<Vec<EvacuationText>, PolicyError> {
    let mut orders: Vec<EvacuationText> = Vec::new();
    for order in raw {
        let place = format!("evacuation of {}", order.vault);
        let vault: VaultId = at(&place, order.vault.parse())?;
        if orders.iter().any(|other| other.vault == vault) {
            return refuse(&place, "stands there twice");
        }
        orders.push(EvacuationText { vault, destination: order.destination, fee_max: order.fee_max.into() });
    }
    Ok(orders)
}

fn asked_value(asked: &[Approvals]) -> Value {
    Value::array(asked.iter().map(|one| Value::array([Value::text(&one.group), Value::uint(one.count)])))
}

fn hash(
    rules: &[RuleText],
    limits: &BTreeMap<VaultId, Limit>,
    evacuations: &[EvacuationText],
    reset: &[Approvals],
) -> PolicyHash {
    let rule = |rule: &RuleText| {
        Value::map([
            ("id", Value::text(&rule.id)),
            ("vaults", Value::array(rule.vaults.iter().map(Value::text))),
            ("kinds", Value::array(rule.kinds.iter().map(Value::text))),
            ("amount_max", Value::option(rule.amount_max.map(|max| Value::uint(max.units())))),
            (
                "destinations",
                match &rule.destinations {
                    Destinations::Any => Value::text("any"),
                    Destinations::Listed(addresses) => Value::array(addresses.iter().map(Value::text)),
                },
            ),
            ("approvals", asked_value(&rule.approvals)),
        ])
    };
    let limit = |(vault, limit): (&VaultId, &Limit)| {
        Value::map([
            ("vault", Value::text(vault)),
            ("per_payout_max", Value::uint(limit.per_payout_max.units())),
            ("rolling_24h_max", Value::uint(limit.rolling_24h_max.units())),
            ("fee_max", Value::uint(limit.fee_max.units())),
            ("fee_rate_max", Value::uint(limit.fee_rate_max.units())),
        ])
    };
    let order = |order: &EvacuationText| {
        Value::map([
            ("vault", Value::text(&order.vault)),
            ("destination", Value::text(&order.destination)),
            ("fee_max", Value::uint(order.fee_max.units())),
        ])
    };
    let policy = Value::map([
        ("rules", Value::array(rules.iter().map(rule))),
        ("limits", Value::array(limits.iter().map(limit))),
        ("evacuations", Value::array(evacuations.iter().map(order))),
        ("reset", asked_value(reset)),
    ]);
    PolicyHash::from_bytes(*Digest::sha256(&[b"kuraban-policy-v1", &policy.encode()]).as_bytes())
}
