//! A plan's file. Decides whether it can be carried out at all: steps in order, batches that name somebody, keys that are keys.

use std::collections::BTreeSet;

use kuraban_base::{Digest, Instant};
use kuraban_ledger::holdings::Holdings;
use serde::Deserialize;
use ssh_key::PublicKey;

use crate::{fail::Failure, fail::OrFail as _, input, say::tame};

/// Most names in a list of a plan.
const NAMES_MAX: usize = 100_000;

/// The steps, in their order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, clap::ValueEnum)]
pub(crate) enum Step {
    /// Accounts are frozen
    Freeze,
    /// The first customers are handed over
    Test,
    /// All others are
    Final,
}

impl Step {
    pub(super) const ALL: [Self; 3] = [Self::Freeze, Self::Test, Self::Final];

    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Freeze => "freeze",
            Self::Test => "test",
            Self::Final => "final",
        }
    }
}

/// One of the two batches.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum Batch {
    /// The plan's first customers
    Test,
    /// All others
    Final,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    name: String,
    sender: String,
    receiver: String,
    assets: Vec<String>,
    signs_off: Vec<RawPerson>,
    freeze: RawFreeze,
    test: RawTest,
    #[serde(rename = "final")]
    last: RawFreeze,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPerson {
    name: String,
    key: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFreeze {
    at: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTest {
    at: String,
    #[serde(default)]
    customers: Vec<String>,
    #[serde(default)]
    groups: Vec<String>,
}

/// Whoever signs that differences are in order.
pub(super) struct Person {
    pub(super) name: String,
    pub(super) key: PublicKey,
}

/// A plan that can be carried out.
pub(crate) struct Plan {
    pub(super) name: String,
    /// SHA-256 of the file.
    pub(super) digest: Digest,
    pub(super) sender: PublicKey,
    pub(super) receiver: PublicKey,
    pub(super) assets: BTreeSet<String>,
    pub(super) signs_off: Vec<Person>,
    at: [Instant; 3],
    customers: BTreeSet<String>,
    groups: BTreeSet<String>,
}

impl Plan {
    /// Reads it.
    pub(crate) fn read(path: &std::path::Path) -> Result<Self, Failure> {
        let text = input::text(path, input::FILE_MAX)?;
        Self::parse(&text).or_input(path.display())
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let raw: Raw = toml::from_str(text)?;
        let at = |step: Step, text: &str| {
            input::instant(text).map_err(|problem| anyhow::anyhow!("{}: at: {problem}", step.word()))
        };
        let at = [
            at(Step::Freeze, &raw.freeze.at)?,
            at(Step::Test, &raw.test.at)?,
            at(Step::Final, &raw.last.at)?,
        ];
        for (step, (earlier, later)) in ["test", "final"].iter().zip(at.iter().zip(at.iter().skip(1))) {
            anyhow::ensure!(later > earlier, "{step}: at: is not after the step before it");
        }
        let (sender, receiver) = (key("sender", &raw.sender)?, key("receiver", &raw.receiver)?);
        anyhow::ensure!(sender != receiver, "sender and receiver have one key, want two");
        let mut signs_off: Vec<Person> = Vec::new();
        for person in raw.signs_off {
            let key = key("signs_off: key", &person.key)?;
            anyhow::ensure!(
                signs_off.iter().all(|known| known.name != person.name && known.key != key),
                "signs_off: {:?} or the key stands there twice",
                tame(&person.name)
            );
            signs_off.push(Person { name: person.name, key });
        }
        anyhow::ensure!(!signs_off.is_empty(), "signs_off: names nobody, and differences need somebody");
        let plan = Self {
            name: raw.name,
            digest: Digest::sha256(&[text.as_bytes()]),
            sender,
            receiver,
            assets: once("assets", raw.assets)?,
            signs_off,
            at,
            customers: once("test: customers", raw.test.customers)?,
            groups: once("test: groups", raw.test.groups)?,
        };
        anyhow::ensure!(!plan.assets.is_empty(), "assets: there are none");
        anyhow::ensure!(
            plan.customers.is_empty() != plan.groups.is_empty(),
            "test: want customers or groups, one of them"
        );
        Ok(plan)
    }

    /// When a step is due.
    pub(super) const fn at(&self, step: Step) -> Instant {
        let [freeze, test, last] = self.at;
        match step {
            Step::Freeze => freeze,
            Step::Test => test,
            Step::Final => last,
        }
    }

    /// Whether the customer in a place is handed over in this batch.
    pub(crate) fn has(&self, batch: Batch, holdings: &Holdings, place: usize) -> bool {
        let group = holdings.of(place).next().map_or("", |row| row.group);
        let first = self.customers.contains(holdings.customer(place)) || self.groups.contains(group);
        first == (batch == Batch::Test)
    }

    /// Whether it fits these holdings.
    pub(super) fn fits(&self, holdings: &Holdings) -> anyhow::Result<()> {
        for row in holdings.iter() {
            let code = holdings.assets().code(row.asset);
            anyhow::ensure!(self.assets.contains(code), "{code} is held, and not among the plan's assets");
        }
        if let Some(missing) = self.customers.iter().find(|name| holdings.find(name).is_none()) {
            anyhow::bail!("{:?} of the test batch is not among the holdings", tame(missing));
        }
        let groups: BTreeSet<&str> = holdings.iter().map(|row| row.group).collect();
        if let Some(missing) = self.groups.iter().find(|group| !groups.contains(group.as_str())) {
            anyhow::bail!("nobody is of the test batch's group {:?}", tame(missing));
        }
        let last = (0..holdings.customers()).any(|place| self.has(Batch::Final, holdings, place));
        anyhow::ensure!(last, "the test batch has everybody, so nobody is left for the final one");
        Ok(())
    }
}

fn key(what: &str, text: &str) -> anyhow::Result<PublicKey> {
    let key = PublicKey::from_openssh(text.trim()).map_err(|problem| anyhow::anyhow!("{what}: {problem}"))?;
    let found = key.algorithm();
    anyhow::ensure!(key.key_data().ed25519().is_some(), "{what}: is of type {found}, want ssh-ed25519");
    // The comment is no part of a key.
    Ok(PublicKey::new(key.key_data().clone(), ""))
}

fn once(what: &str, names: Vec<String>) -> anyhow::Result<BTreeSet<String>> {
    anyhow::ensure!(names.len() <= NAMES_MAX, "{what}: {} names, want at most {NAMES_MAX}", names.len());
    let mut known = BTreeSet::new();
    for name in names {
        anyhow::ensure!(!name.is_empty(), "{what}: has an empty name");
        anyhow::ensure!(known.insert(name.clone()), "{what}: {:?} stands there twice", tame(&name));
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_of(seed: u8) -> String {
        let pair = ssh_key::private::Ed25519Keypair::from_seed(&[seed; 32]);
        ssh_key::PrivateKey::from(pair).public_key().to_openssh().unwrap()
    }

    fn plan() -> String {
        let [sender, receiver, officer] = [1, 2, 3].map(key_of);
        format!(
            "name = \"autumn\"\nsender = \"{sender} a comment\"\nreceiver = \"{receiver}\"\nassets = [\"BTC\", \"XEM\"]\n\
             [[signs_off]]\nname = \"officer\"\nkey = \"{officer}\"\n\
             [freeze]\nat = \"2026-11-20T00:00:00+09:00\"\n\
             [test]\nat = \"2026-11-21T00:00:00+09:00\"\ncustomers = [\"a\", \"b\"]\n\
             [final]\nat = \"2026-11-28T00:00:00+09:00\"\n"
        )
    }

    #[test]
    fn what_cannot_be_carried_out_is_named() {
        let [sender, receiver, officer] = [1, 2, 3].map(key_of);
        Plan::parse(&plan()).unwrap();
        let groups = plan().replace("customers = [\"a\", \"b\"]", "groups = [\"staff\"]");
        Plan::parse(&groups).unwrap();
        let check = |from: &str, to: &str, want: &str| {
            let text = plan().replacen(from, to, 1);
            assert_ne!(text, plan(), "{from} is not there");
            let error = format!("{:#}", Plan::parse(&text).err().unwrap());
            assert!(error.contains(want), "{error}, want {want}");
        };
        check("name = ", "colour = 1\nname = ", "unknown field `colour`");
        check("2026-11-21", "2026-11-20", "test: at: is not after the step before it");
        check("2026-11-28", "2026-11-21", "final: at: is not after the step before it");
        check("2026-11-28T00:00:00+09:00", "soon", "final: at: ");
        check(&receiver, &sender, "sender and receiver have one key");
        check(&receiver, "ssh-ed25519 AAAA", "receiver: ");
        check("assets = [\"BTC\", \"XEM\"]", "assets = []", "assets: there are none");
        check("\"XEM\"", "\"BTC\"", "assets: \"BTC\" stands there twice");
        check(
            "customers = [\"a\", \"b\"]",
            "customers = [\"a\", \"a\"]",
            "test: customers: \"a\" stands there twice",
        );
        check("customers = [\"a\", \"b\"]", "customers = [\"\"]", "has an empty name");
        check("customers = [\"a\", \"b\"]", "", "test: want customers or groups");
        check("customers", "groups = [\"staff\"]\ncustomers", "test: want customers or groups");
        check(
            "[[signs_off]]",
            &format!("[[signs_off]]\nname = \"officer\"\nkey = \"{sender}\"\n[[signs_off]]"),
            "\"officer\" or the key stands there twice",
        );
        let nobody = plan().replace(&format!("[[signs_off]]\nname = \"officer\"\nkey = \"{officer}\"\n"), "");
        let nobody = nobody.replacen("assets", "signs_off = []\nassets", 1);
        assert!(Plan::parse(&nobody).err().unwrap().to_string().contains("names nobody"));
    }
}
