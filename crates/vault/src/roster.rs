//! The roster: the log, the people with their approval keys, their groups, and the machines with their keys.
//! Its hash stands in every payout digest, so a changed roster voids open approvals.

use core::fmt;
use std::collections::{BTreeMap, BTreeSet};

use kuraban_base::{Digest, GroupId, MachineId, PersonId, RosterHash, cbor::Value, hex};
use kuraban_proof::{KeyKind, VerifierKey, WitnessQuorum, quorum::Threshold};
use serde::Deserialize;

use crate::{breaker::closed_words, statement::StatementKey};

closed_words! {
    /// What a machine is for; it may do nothing else.
    Role, "role" {
        /// Appends to the log, assembles, broadcasts. Trusted with nothing.
        Writer = "writer",
        /// Follows chains and log; leases, permits, trips. Trusted to stop, never to move.
        Watcher = "watcher",
        /// Holds one key share.
        Signer = "signer",
        /// Answers permits beside the exchange's services.
        Gate = "gate",
    }
}

/// A person's approval key: Ed25519, as OpenSSH writes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApproverKey {
    pub(crate) key: ssh_key::PublicKey,
    bytes: [u8; 32],
}

impl ApproverKey {
    /// The key of an OpenSSH public-key line (`ssh-ed25519 AAAA… comment`).
    ///
    /// # Errors
    /// Not a public key, or not Ed25519.
    pub fn parse(line: &str) -> Result<Self, String> {
        let key = ssh_key::PublicKey::from_openssh(line).map_err(|problem| problem.to_string())?;
        match key.key_data().ed25519() {
            Some(ed25519) => Ok(Self { bytes: ed25519.0, key }),
            None => Err(format!("it is {}, want ssh-ed25519", key.algorithm())),
        }
    }

    /// The 32 bytes of the Ed25519 key.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.bytes
    }
}

/// A machine's public keys. Each key has one purpose.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Machine {
    /// What it is for.
    pub role: Role,
    /// The Ed25519 key that it shows in TLS (RFC 7250 raw public key).
    pub tls: [u8; 32],
    /// The key by which it cosigns checkpoints, if it is a witness.
    pub witness: Option<VerifierKey>,
    /// The key by which it signs receipts, leases, permits and trips, if it does.
    pub statement: Option<StatementKey>,
}

/// Who is who. Parsed once, immutable, compared by hash.
#[derive(Clone, Debug)]
pub struct Roster {
    log: VerifierKey,
    quorum: WitnessQuorum,
    people: BTreeMap<PersonId, Vec<ApproverKey>>,
    groups: BTreeMap<GroupId, BTreeSet<PersonId>>,
    machines: BTreeMap<MachineId, Machine>,
    hash: RosterHash,
}

/// A roster file that does not hold together.
#[derive(Debug, thiserror::Error)]
pub enum RosterError {
    /// Not TOML of the roster's shape.
    #[error("the roster is not as docs/configuration.md describes")]
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
struct RawRoster {
    log: RawLog,
    #[serde(default)]
    person: Vec<RawPerson>,
    #[serde(default)]
    group: Vec<RawGroup>,
    #[serde(default)]
    machine: Vec<RawMachine>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLog {
    vkey: String,
    witnesses_min: u16,
    faulty_max: u16,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPerson {
    id: String,
    keys: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGroup {
    id: String,
    members: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMachine {
    id: String,
    role: String,
    tls: String,
    witness: Option<String>,
    statement: Option<String>,
}

fn at<T, E: fmt::Display>(place: &str, result: Result<T, E>) -> Result<T, RosterError> {
    result.map_err(|problem| RosterError::Field { place: place.to_owned(), problem: problem.to_string() })
}

fn refuse<T>(place: &str, problem: &str) -> Result<T, RosterError> {
    at(place, Err(problem))
}

impl Roster {
    /// Reads a roster file.
    ///
    /// # Errors
    /// Unknown or missing fields, malformed keys, names that are used twice or not defined, one key for two people
    /// or purposes, a witness quorum that two forks could both reach.
    pub fn from_toml(text: &str) -> Result<Self, RosterError> {
        let raw: RawRoster = toml::from_str(text).map_err(RosterError::Toml)?;
        let log: VerifierKey = at("log.vkey", raw.log.vkey.parse())?;
        if log.kind() != KeyKind::Note {
            return refuse("log.vkey", "is a witness's key, want the log's own (type 0x01)");
        }
        let people = people(raw.person)?;
        let groups = groups(raw.group, &people)?;
        let machines = machines(raw.machine)?;
        keys_are_distinct(&people, &machines)?;
        let witnesses: Vec<VerifierKey> =
            machines.values().filter_map(|machine| machine.witness.clone()).collect();
        let (q, f) = (raw.log.witnesses_min, raw.log.faulty_max);
        let threshold = Threshold { needed: usize::from(q), faulty: usize::from(f) };
        let quorum = at("log.witnesses_min", WitnessQuorum::new(witnesses, threshold))?;
        let hash = hash(&log, (q, f), &people, &groups, &machines);
        Ok(Self { log, quorum, people, groups, machines, hash })
    }

    /// The log's verifier key; its name is the log's origin.
    #[must_use]
    pub const fn log(&self) -> &VerifierKey {
        &self.log
    }

    /// The log's origin.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.log.name().as_str()
    }

    /// Which cosignatures a checkpoint needs.
    #[must_use]
    pub const fn quorum(&self) -> &WitnessQuorum {
        &self.quorum
    }

    /// The hash that stands in payout digests.
    #[must_use]
    pub const fn hash(&self) -> RosterHash {
        self.hash
    }

    /// A person's approval keys; nothing for a stranger.
    #[must_use]
    pub fn keys_of(&self, person: &PersonId) -> Option<&[ApproverKey]> {
        self.people.get(person).map(Vec::as_slice)
    }

    /// The person who holds an approval key.
    #[must_use]
    pub fn holder(&self, key: &[u8; 32]) -> Option<&PersonId> {
        self.people.iter().find(|(_, keys)| keys.iter().any(|own| own.as_bytes() == key)).map(|(id, _)| id)
    }

    /// A group's members; nothing for an undefined group.
    #[must_use]
    pub fn members(&self, group: &GroupId) -> Option<&BTreeSet<PersonId>> {
        self.groups.get(group)
    }

    /// A machine by name.
    #[must_use]
    pub fn machine(&self, id: &MachineId) -> Option<&Machine> {
        self.machines.get(id)
    }

    /// All machines of one role, by name.
    pub fn machines(&self, role: Role) -> impl Iterator<Item = (&MachineId, &Machine)> {
        self.machines.iter().filter(move |(_, machine)| machine.role == role)
    }

    /// All machines that co-sign checkpoints, by name.
    pub fn witnesses(&self) -> impl Iterator<Item = (&MachineId, &Machine)> {
        self.machines.iter().filter(|(_, machine)| machine.witness.is_some())
    }

    /// The statement key of a machine in that role.
    #[must_use]
    pub fn statement_key(&self, id: &MachineId, role: Role) -> Option<&StatementKey> {
        self.machines.get(id).filter(|machine| machine.role == role)?.statement.as_ref()
    }
}

fn people(raw: Vec<RawPerson>) -> Result<BTreeMap<PersonId, Vec<ApproverKey>>, RosterError> {
    let mut people = BTreeMap::new();
    for person in raw {
        let place = format!("person {}", person.id);
        let id: PersonId = at(&place, person.id.parse())?;
        let keys: Result<Vec<_>, _> =
            person.keys.iter().map(|line| at(&place, ApproverKey::parse(line))).collect();
        if people.insert(id, keys?).is_some() {
            return refuse(&place, "stands there twice");
        }
    }
    Ok(people)
}

fn groups(
    raw: Vec<RawGroup>,
    people: &BTreeMap<PersonId, Vec<ApproverKey>>,
) -> Result<BTreeMap<GroupId, BTreeSet<PersonId>>, RosterError> {
    let mut groups = BTreeMap::new();
    for group in raw {
        let place = format!("group {}", group.id);
        let id: GroupId = at(&place, group.id.parse())?;
        let mut members = BTreeSet::new();
        for name in &group.members {
            let member: PersonId = at(&place, name.parse())?;
            if !people.contains_key(&member) {
                return refuse(&place, &format!("{name} is not a person of this roster"));
            }
            if !members.insert(member) {
                return refuse(&place, &format!("{name} stands there twice"));
            }
        }
        if groups.insert(id, members).is_some() {
            return refuse(&place, "stands there twice");
        }
    }
    Ok(groups)
}

fn machines(raw: Vec<RawMachine>) -> Result<BTreeMap<MachineId, Machine>, RosterError> {
    let mut machines = BTreeMap::new();
    for machine in raw {
        let place = format!("machine {}", machine.id);
        let id: MachineId = at(&place, machine.id.parse())?;
        let role: Role = at(&place, machine.role.parse())?;
        let tls = at(&place, hex::decode_array(&machine.tls))?;
        let witness = machine.witness.map(|text| at(&place, text.parse::<VerifierKey>())).transpose()?;
        let statement = machine.statement.map(|text| at(&place, statement_key(&text))).transpose()?;
        let states = matches!(role, Role::Watcher | Role::Signer);
        if states != (witness.is_some() && statement.is_some())
            || states != (witness.is_some() || statement.is_some())
        {
            return refuse(
                &place,
                "watchers and signers have a witness key and a statement key, others have neither",
            );
        }
        if machines.insert(id, Machine { role, tls, witness, statement }).is_some() {
            return refuse(&place, "stands there twice");
        }
    }
    Ok(machines)
}

fn statement_key(text: &str) -> Result<StatementKey, String> {
    let bytes = hex::decode_array(text).map_err(|problem| problem.to_string())?;
    StatementKey::from_bytes(&bytes).ok_or_else(|| "not a valid Ed25519 public key".to_owned())
}

fn keys_are_distinct(
    people: &BTreeMap<PersonId, Vec<ApproverKey>>,
    machines: &BTreeMap<MachineId, Machine>,
) -> Result<(), RosterError> {
    let mut seen = BTreeSet::new();
    let of_people =
        people.iter().flat_map(|(id, keys)| keys.iter().map(move |key| (id.as_str(), *key.as_bytes())));
    let of_machines = machines.iter().flat_map(|(id, machine)| {
        let statement = machine.statement.map(|key| *key.as_bytes());
        let witness = machine.witness.as_ref().map(|key| *key.public());
        [Some(machine.tls), statement, witness].into_iter().flatten().map(move |key| (id.as_str(), key))
    });
    for (owner, key) in of_people.chain(of_machines) {
        if !seen.insert(key) {
            return refuse(owner, "a key of it stands elsewhere too; each key has one owner and one purpose");
        }
    }
    Ok(())
}

fn hash(
    log: &VerifierKey,
    (q, f): (u16, u16),
    people: &BTreeMap<PersonId, Vec<ApproverKey>>,
    groups: &BTreeMap<GroupId, BTreeSet<PersonId>>,
    machines: &BTreeMap<MachineId, Machine>,
) -> RosterHash {
    let person = |(id, keys): (&PersonId, &Vec<ApproverKey>)| {
        Value::array([Value::text(id), Value::array(keys.iter().map(|key| Value::bytes(key.as_bytes())))])
    };
    let group = |(id, members): (&GroupId, &BTreeSet<PersonId>)| {
        Value::array([Value::text(id), Value::array(members.iter().map(Value::text))])
    };
    let machine = |(id, machine): (&MachineId, &Machine)| {
        Value::map([
            ("id", Value::text(id)),
            ("role", Value::text(machine.role)),
            ("tls", Value::bytes(machine.tls)),
            ("witness", Value::option(machine.witness.as_ref().map(Value::text))),
            ("statement", Value::option(machine.statement.map(|key| Value::bytes(key.as_bytes())))),
        ])
    };
    let roster = Value::map([
        ("log", Value::text(log)),
        ("witnesses_min", Value::uint(q)),
        ("faulty_max", Value::uint(f)),
        ("people", Value::array(people.iter().map(person))),
        ("groups", Value::array(groups.iter().map(group))),
        ("machines", Value::array(machines.iter().map(machine))),
    ]);
    RosterHash::from_bytes(*Digest::sha256(&[b"kuraban-roster-v1", &roster.encode()]).as_bytes())
}
