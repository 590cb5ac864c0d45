//! A small guarded exchange as files: real keys from one seed, real SSH signatures, a real log with cosignatures.
//! The tests make theirs from a fixed seed, the example of `examples/dmm` from a random one.

use kuraban_base::{Digest, Instant, PayoutDigest, TreeHash, hex};
use kuraban_proof::{
    AddCheckpoint, Cosigner, Entry, NoteSigner, Opening, ProofFile, SignedCheckpoint, TreeHead, Witness,
    prove,
    tree::{leaf_hash, node_hash},
};
use kuraban_vault::{
    DigestContext, Payout, Policy, Roster, body::Body, judge::shown, statement::StatementSecret,
};
use serde_json::{Value, json};
use ssh_key::{HashAlg, LineEnding, PrivateKey, private::Ed25519Keypair};

/// Everybody's secrets, derived from one.
pub(crate) struct World {
    pub(crate) secret: [u8; 32],
    pub(crate) origin: &'static str,
}

/// Requester 1, approvers 2 to 4; nobody else is on the roster.
pub(crate) const PEOPLE: [&str; 4] = ["requester", "approver-1", "approver-2", "approver-3"];

/// The log's witnesses: three signers and a watcher.
pub(crate) const WITNESSES: [&str; 4] = ["signer-1", "signer-2", "signer-3", "watcher-1"];

impl World {
    pub(crate) fn seed(&self, purpose: &str, number: u8) -> [u8; 32] {
        *Digest::sha256(&[&self.secret, purpose.as_bytes(), &[number]]).as_bytes()
    }

    /// A person's SSH key, from 1.
    pub(crate) fn person(&self, number: u8) -> PrivateKey {
        PrivateKey::from(Ed25519Keypair::from_seed(&self.seed("person", number)))
    }

    /// An armoured SSH signature.
    pub(crate) fn sign(&self, number: u8, namespace: &str, digest: PayoutDigest) -> String {
        let signature = self.person(number).sign(namespace, HashAlg::Sha512, digest.as_bytes()).unwrap();
        signature.to_pem(LineEnding::LF).unwrap()
    }

    pub(crate) fn log(&self) -> NoteSigner {
        NoteSigner::from_seed(self.origin.parse().unwrap(), &self.seed("log", 0))
    }

    pub(crate) fn cosigner(&self, number: u8) -> Cosigner {
        let name = format!("{}/{}", self.origin, WITNESSES[usize::from(number)]);
        Cosigner::from_seed(name.parse().unwrap(), &self.seed("witness", number))
    }

    fn public(&self, purpose: &str, number: u8) -> String {
        let secret = StatementSecret::from_seed(&self.seed(purpose, number));
        hex::encode(secret.public().as_bytes())
    }

    pub(crate) fn roster_toml(&self) -> String {
        let mut text =
            format!("[log]\nvkey = \"{}\"\nwitnesses_min = 3\nfaulty_max = 1\n", self.log().verifier());
        for (number, id) in (1..).zip(PEOPLE) {
            let key = self.person(number).public_key().to_openssh().unwrap();
            text += &format!("\n[[person]]\nid = \"{id}\"\nkeys = [\"{key}\"]\n");
        }
        let members = PEOPLE.map(|id| format!("\"{id}\"")).join(", ");
        text += &format!("\n[[group]]\nid = \"approvers\"\nmembers = [{members}]\n");
        for (number, id) in (0..).zip(WITNESSES) {
            let role = id.split('-').next().unwrap();
            let (tls, statement) = (self.public("tls", number), self.public("statement", number));
            let witness = self.cosigner(number);
            text += &format!(
                "\n[[machine]]\nid = \"{id}\"\nrole = \"{role}\"\ntls = \"{tls}\"\nwitness = \"{}\"\nstatement = \"{statement}\"\n",
                witness.verifier()
            );
        }
        let tls = self.public("tls", 9);
        text + &format!("\n[[machine]]\nid = \"writer\"\nrole = \"writer\"\ntls = \"{tls}\"\n")
    }
}

/// What a payout's digest is bound to under these files.
pub(crate) fn context(roster: &str, policy: &str) -> DigestContext {
    let roster = Roster::from_toml(roster).unwrap();
    let policy = Policy::from_toml(policy).unwrap();
    DigestContext { origin: roster.origin().to_owned(), roster: roster.hash(), policy: policy.hash() }
}

/// A payout as a file has it.
pub(crate) fn payout_json(payout: &Payout) -> Value {
    let mut fields = json!({
        "id": payout.id.as_str(),
        "kind": payout.kind.word(),
        "network": payout.network.name(),
        "vault": payout.vault.as_str(),
        "destination": shown(payout.network, &payout.destination),
        "amount": payout.amount.to_u64().unwrap(),
        "fee_cap": payout.fee_cap.to_u64().unwrap(),
        "not_before_ms": payout.not_before.ms(),
        "expiry_ms": payout.expiry.ms(),
    });
    if let Some(memo) = &payout.memo {
        fields["memo"] = json!(memo);
    }
    fields
}

/// A checkpoint, cosigned by these witnesses at `at`.
pub(crate) fn cosigned(world: &World, head: TreeHead, witnesses: &[u8], at: Instant) -> SignedCheckpoint {
    let log = world.log();
    let mut signed = SignedCheckpoint::sign(&log, head).unwrap();
    for number in witnesses {
        let witness = Witness::new(world.cosigner(*number), vec![log.verifier().clone()]);
        let request = AddCheckpoint::new(0, Vec::new(), &signed);
        let cosigned = witness.add_checkpoint(TreeHead::empty(), &request, at).unwrap();
        signed.add_cosignatures(&cosigned.answer(), &[witness.verifier().clone()]).unwrap();
    }
    signed
}

/// A log's entries with what opens them.
pub(crate) struct Log {
    entries: Vec<(Vec<u8>, Opening)>,
}

impl Log {
    /// The log of these events, all appended at `at`.
    pub(crate) fn of(bodies: &[Body], at: Instant) -> Self {
        let one = |(number, body): (u8, &Body)| {
            let opening = Opening { salt: [number; 32], body: body.encode() };
            let (by, kind) = ("writer".parse().unwrap(), body.kind().parse().unwrap());
            (Entry { at, by, kind, commit: opening.commit() }.encode(), opening)
        };
        Self { entries: (0..).zip(bodies).map(one).collect() }
    }

    fn node(&self, level: u8, index: u64) -> TreeHash {
        if level == 0 {
            return leaf_hash(&self.entries[usize::try_from(index).unwrap()].0);
        }
        node_hash(&self.node(level - 1, 2 * index), &self.node(level - 1, 2 * index + 1))
    }

    fn size(&self) -> u64 {
        u64::try_from(self.entries.len()).unwrap()
    }

    /// The checkpoint, cosigned by these witnesses at `at`.
    pub(crate) fn checkpoint(&self, world: &World, witnesses: &[u8], at: Instant) -> SignedCheckpoint {
        let read = |level, index| Ok::<_, ()>(self.node(level, index));
        let root = prove::tree_root(self.size(), read).unwrap();
        cosigned(world, TreeHead { size: self.size(), root }, witnesses, at)
    }

    /// The proof of one entry as a file for `kuraban judge --log-proof`.
    pub(crate) fn proof(&self, index: u64, checkpoint: &SignedCheckpoint) -> Value {
        let read = |level, index| Ok::<_, ()>(self.node(level, index));
        let path = prove::inclusion(index, self.size(), read).unwrap();
        let (entry, opening) = &self.entries[usize::try_from(index).unwrap()];
        let proof = ProofFile { extra: None, index, path, checkpoint: checkpoint.note().clone() };
        json!({
            "proof": proof.to_string(),
            "entry": hex::encode(entry),
            "salt": hex::encode(&opening.salt),
            "body": hex::encode(&opening.body),
        })
    }
}
