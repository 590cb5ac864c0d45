//! The exchange that is simulated: people, machines, keys, roster, policy, vault, and a chain on which the vault has
//! coins. The same in every world; what happens there is the seed's.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, LazyLock},
};

use kuraban_base::{Digest, Height, Instant, MachineId, VaultId, hex};
use kuraban_chain::btc::{
    Address, Branch, ChildKey, Descriptor, Digests, EcdsaSighash, Mweb, Network, OutPoint, Script, Tx, TxIn,
    TxOut, XPriv,
};
use kuraban_proof::{Cosigner, NoteSigner};
use kuraban_vault::{
    Approval, Charter, Policy, Roster, Vault,
    signer::{self, Signer},
    statement::StatementSecret,
};
use ssh_key::{HashAlg, LineEnding, PrivateKey, private::Ed25519Keypair};

use crate::chain::{COINBASE_MATURITY, Chain, Regtest};

/// Where virtual time starts.
pub(super) const START: Instant = Instant::from_ms(1_800_000_000_000);
pub(super) const NETWORK: Network = Network::BtcRegtest;
/// Blocks after which the vault calls a payout confirmed; reorganisations are shallower.
pub(super) const DEPTH_MIN: u32 = 3;
/// Payouts up to this amount need one approval, larger ones two.
pub(super) const SMALL_SAT: u64 = 1_000_000;
pub(super) const PER_PAYOUT_SAT: u64 = 50_000_000;
/// More than the vault has but where it is rich; evacuations and forged receipts count.
pub(super) const ROLLING_SAT: u64 = 400_000_000;
pub(super) const FEE_MAX_SAT: u64 = 100_000;
pub(super) const EVACUATION_FEE_SAT: u64 = 200_000;
/// People on the roster: 1 and 2 request, 2 to 5 are officers.
pub(super) const PEOPLE: u8 = 5;
/// Somebody who is not on it.
pub(super) const STRANGER: u8 = 9;
pub(super) const SIGNERS: [u8; 3] = [1, 2, 3];
pub(super) const THRESHOLD: usize = 2;
/// Cosignatures that make a quorum of the four witnesses.
pub(super) const QUORUM: usize = 3;
const ORIGIN: &str = "kuraban.example/log";
/// Change scripts that are looked for: more than any world uses.
const CHANGE_KNOWN: u32 = 80;
/// Coins of a vault that holds more than a day's limit.
const RICH_COINS_SAT: [u64; 16] = [60_000_000; 16];
const VAULT_COINS_SAT: [u64; 9] =
    [60_000_000, 40_000_000, 25_000_000, 16_000_000, 9_000_000, 5_000_000, 3_000_000, 1_500_000, 700_000];

/// A machine that takes requests, or the writer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Machine {
    Writer,
    Signer(u8),
    Watcher,
}

impl Machine {
    /// Everything that the writer talks to: the witnesses.
    pub(super) const PEERS: [Self; 4] = [Self::Signer(1), Self::Signer(2), Self::Signer(3), Self::Watcher];

    pub(super) fn id(self) -> MachineId {
        sure(match self {
            Self::Writer => "writer".parse(),
            Self::Signer(number) => format!("signer-{number}").parse(),
            Self::Watcher => "watcher".parse(),
        })
    }

    pub(super) fn of(id: &MachineId) -> Option<Self> {
        Self::PEERS.into_iter().chain([Self::Writer]).find(|machine| machine.id() == *id)
    }

    const fn number(self) -> u8 {
        match self {
            Self::Writer => 0,
            Self::Signer(number) => number,
            Self::Watcher => 4,
        }
    }
}

/// What never changes from world to world.
pub(super) struct Realm {
    pub(super) charter: Arc<Charter>,
    pub(super) vault: VaultId,
    pub(super) descriptor: Descriptor,
    pub(super) people: BTreeMap<u8, PrivateKey>,
    /// The vault's scripts and where they stand.
    pub(super) own: BTreeMap<Script, (Branch, u32)>,
    /// Where evacuations go.
    pub(super) cold: Script,
    /// A chain on which the vault's coins are deep.
    pub(super) chain: Chain,
    /// One on which it has more of them.
    pub(super) rich: Chain,
    /// The height before the vault's first coin.
    pub(super) birthday: Height,
}

static REALM: LazyLock<Realm> = LazyLock::new(Realm::new);

/// The realm, made once.
pub(super) fn realm() -> &'static Realm {
    &REALM
}

/// What the realm's own words parse to.
#[expect(clippy::panic, reason = "the realm is made of constants; a wrong one must not be simulated")]
pub(super) fn sure<T, E: core::fmt::Debug>(result: Result<T, E>) -> T {
    match result {
        Ok(value) => value,
        Err(problem) => panic!("the simulated realm does not hold together: {problem:?}"),
    }
}

fn seed(number: u8, purpose: &str) -> [u8; 32] {
    *Digest::sha256(&[purpose.as_bytes(), &[number]]).as_bytes()
}

pub(super) fn log_key() -> NoteSigner {
    NoteSigner::from_seed(sure(ORIGIN.parse()), &seed(0, "log"))
}

pub(super) fn cosigner(machine: Machine) -> Cosigner {
    let number = machine.number();
    Cosigner::from_seed(sure(format!("kuraban.example/w{number}").parse()), &seed(number, "witness"))
}

pub(super) fn statement(machine: Machine) -> StatementSecret {
    StatementSecret::from_seed(&seed(machine.number(), "statement"))
}

pub(super) fn coin_key(signer: u8) -> XPriv {
    sure(XPriv::from_seed(NETWORK, &seed(signer, "coins")))
}

pub(super) fn signer(number: u8) -> Signer {
    let realm = realm();
    let machine = Machine::Signer(number);
    let coins = BTreeMap::from([(realm.vault.clone(), coin_key(number))]);
    let secrets = signer::Secrets { statement: statement(machine), cosigner: cosigner(machine), coins };
    Signer::new(machine.id(), Arc::clone(&realm.charter), secrets)
}

/// A script of somebody outside.
pub(super) fn stranger(name: &str) -> Script {
    let hash = Digest::sha256(&[b"stranger", name.as_bytes()]);
    let program: Vec<u8> = hash.as_bytes().iter().copied().take(20).collect();
    Script::witness(0, &program).unwrap_or_default()
}

impl Realm {
    fn new() -> Self {
        let people: BTreeMap<u8, PrivateKey> = (1..=PEOPLE)
            .chain([STRANGER])
            .map(|number| (number, PrivateKey::from(Ed25519Keypair::from_seed(&seed(number, "person")))))
            .collect();
        let cold = stranger("cold");
        let vault = sure(Vault::from_toml(&vault_toml()));
        let descriptor = vault.descriptor.clone();
        let own = own_scripts(&descriptor, vault.receive_count);
        let roster = sure(Roster::from_toml(&roster_toml(&people)));
        let policy = sure(Policy::from_toml(&policy_toml(&cold)));
        let id = vault.id.clone();
        let charter = Arc::new(sure(Charter::new(roster, policy, vec![vault])));
        let (chain, birthday) = funded(&descriptor, &VAULT_COINS_SAT);
        let (rich, _) = funded(&descriptor, &RICH_COINS_SAT);
        Self { charter, vault: id, descriptor, people, own, cold, chain, rich, birthday }
    }

    /// A person's signature, as `ssh-keygen -Y sign` makes it.
    pub(super) fn sign(&self, person: u8, namespace: &str, digest: &[u8; 32]) -> Option<Approval> {
        let signature = self.people.get(&person)?.sign(namespace, HashAlg::Sha512, digest).ok()?;
        Approval::parse(&signature.to_pem(LineEnding::LF).ok()?).ok()
    }

    /// Signatures of every input by a signer's share, whoever holds it.
    pub(super) fn share(
        &self,
        signer: u8,
        tx: &Tx,
        spent: &[TxOut],
    ) -> Option<Vec<kuraban_vault::wire::InputSignature>> {
        let digests = Digests::new(tx, spent).ok()?;
        let key = coin_key(signer);
        let mut signatures = Vec::new();
        for (index, output) in spent.iter().enumerate() {
            let (branch, at) = *self.own.get(&output.script)?;
            let code = self.descriptor.script_code_at(branch, at).ok()?;
            let digest = digests.witness_v0(index, &code, EcdsaSighash::All).ok()?;
            let child = key.child(branch, at).ok()?;
            signatures.push(kuraban_vault::wire::InputSignature {
                input: u32::try_from(index).ok()?,
                key: child.public().to_bytes(),
                signature: child.sign(&digest, EcdsaSighash::All).ok()?.to_bytes(),
            });
        }
        Some(signatures)
    }

    /// The transaction with the signatures of enough shares, by whomever they were made.
    pub(super) fn combine(
        &self,
        tx: &Tx,
        spent: &[TxOut],
        shares: &[Vec<kuraban_vault::wire::InputSignature>],
    ) -> Option<Tx> {
        let mut signed = tx.clone();
        for (index, (input, output)) in signed.inputs.iter_mut().zip(spent).enumerate() {
            let (branch, at) = *self.own.get(&output.script)?;
            let of_input = |share: &Vec<kuraban_vault::wire::InputSignature>| {
                let one = share.get(index)?;
                let key = kuraban_chain::btc::PublicKey::parse(&one.key).ok()?;
                Some((key, kuraban_chain::btc::EcdsaSignature::parse(&one.signature).ok()?))
            };
            let signatures: Vec<_> = shares.iter().filter_map(of_input).collect();
            input.witness = self.descriptor.satisfy(branch, at, &signatures).ok()?.witness;
        }
        Some(signed)
    }
}

fn own_scripts(descriptor: &Descriptor, receive_count: u32) -> BTreeMap<Script, (Branch, u32)> {
    let receive = (0..receive_count).map(|index| (Branch::Receive, index));
    let change = (0..CHANGE_KNOWN).map(|index| (Branch::Change, index));
    receive
        .chain(change)
        .map(|(branch, index)| (sure(descriptor.script_at(branch, index)), (branch, index)))
        .collect()
}

fn roster_toml(people: &BTreeMap<u8, PrivateKey>) -> String {
    let mut text =
        format!("[log]\nvkey = \"{}\"\nwitnesses_min = {QUORUM}\nfaulty_max = 1\n", log_key().verifier());
    for (number, key) in people.iter().filter(|(number, _)| **number != STRANGER) {
        let line = sure(key.public_key().to_openssh());
        text += &format!("[[person]]\nid = \"p{number}\"\nkeys = [\"{line}\"]\n");
    }
    text += "[[group]]\nid = \"officers\"\nmembers = [\"p2\", \"p3\", \"p4\", \"p5\"]\n";
    for machine in Machine::PEERS.into_iter().chain([Machine::Writer]) {
        let role = match machine {
            Machine::Writer => "writer",
            Machine::Signer(_) => "signer",
            Machine::Watcher => "watcher",
        };
        let tls = StatementSecret::from_seed(&seed(machine.number(), "tls")).public();
        let tls = hex::encode(tls.as_bytes());
        text += &format!("[[machine]]\nid = \"{}\"\nrole = \"{role}\"\ntls = \"{tls}\"\n", machine.id());
        if machine != Machine::Writer {
            let key = hex::encode(statement(machine).public().as_bytes());
            let witness = cosigner(machine);
            text += &format!("witness = \"{}\"\nstatement = \"{key}\"\n", witness.verifier());
        }
    }
    text
}

fn vault_toml() -> String {
    let keys: Vec<String> = SIGNERS.iter().map(|n| format!("{}/<0;1>/*", coin_key(*n).xpub())).collect();
    let keys = keys.join(",");
    format!(
        "id = \"hot\"\nnetwork = \"{NETWORK}\"\ntier = \"hot\"\nowner = \"customers\"\n\
         descriptor = \"wsh(sortedmulti({THRESHOLD},{keys}))\"\nreceive_count = 3\ndepth_min = {DEPTH_MIN}\n"
    )
}

fn policy_toml(cold: &Script) -> String {
    let cold = Address::from_script(NETWORK, cold).map(|address| address.to_string()).unwrap_or_default();
    let rule = |id: &str, bound: &str, count: u8| {
        format!(
            "[[rule]]\nid = \"{id}\"\nvaults = [\"hot\"]\nkinds = [\"customer-withdrawal\"]\n{bound}\
             destinations = \"any\"\napprovals = [{{ group = \"officers\", count = {count} }}]\n"
        )
    };
    let small = rule("small", &format!("amount_max = {SMALL_SAT}\n"), 1);
    let large = rule("large", "", 2);
    format!(
        "{small}{large}[[limit]]\nvault = \"hot\"\nper_payout_max = {PER_PAYOUT_SAT}\n\
         rolling_24h_max = {ROLLING_SAT}\nfee_max = {FEE_MAX_SAT}\nfee_rate_max = 100000\n\
         [[evacuation]]\nvault = \"hot\"\ndestination = \"{cold}\"\nfee_max = {EVACUATION_FEE_SAT}\n\
         [[reset]]\ngroup = \"officers\"\ncount = 2\n"
    )
}

/// A chain on which the vault's coins stand, deep enough, and the height before them.
fn funded(descriptor: &Descriptor, coins_sat: &[u64]) -> (Chain, Height) {
    let secret = seed(0, "miner");
    let key = sure(ChildKey::from_bytes(secret.into()));
    let purse = Script::witness(0, &key.public().hash160()).unwrap_or_default();
    let mut chain = Chain::new(Regtest::Btc);
    let now_s = u32::try_from(START.s()).unwrap_or(u32::MAX).saturating_sub(600);
    let first = sure(chain.mine(now_s, purse));
    for _ in 0..COINBASE_MATURITY {
        sure(chain.mine(now_s, stranger("miner")));
    }
    let (birthday, _) = chain.tip();
    let coinbase = chain.block(first).and_then(|block| block.txs.first().cloned());
    if let Some(coinbase) = coinbase {
        let tx = funding(descriptor, &key, &coinbase, coins_sat);
        sure(chain.submit(&tx));
    }
    for _ in 0..DEPTH_MIN.saturating_mul(2) {
        sure(chain.mine(now_s, stranger("miner")));
    }
    (chain, birthday)
}

fn funding(descriptor: &Descriptor, key: &ChildKey, coinbase: &Tx, coins_sat: &[u64]) -> Tx {
    let pay = |(index, value_sat): (u32, &u64)| TxOut {
        value_sat: *value_sat,
        script: sure(descriptor.script_at(Branch::Receive, index % 3)),
    };
    let outputs: Vec<TxOut> = (0_u32..).zip(coins_sat).map(pay).collect();
    let input = TxIn {
        prev: OutPoint { txid: coinbase.txid(), vout: 0 },
        script_sig: Script::default(),
        sequence: 0xffff_fffd,
        witness: Vec::new(),
    };
    let mut tx = Tx { version: 2, inputs: vec![input], outputs, lock_time: 0, mweb: Mweb::None };
    let spent: Vec<TxOut> = coinbase.outputs.iter().take(1).cloned().collect();
    let code = Script::p2pkh(&key.public().hash160());
    let unsigned = tx.clone();
    let digests = sure(Digests::new(&unsigned, &spent));
    let digest = sure(digests.witness_v0(0, &code, EcdsaSighash::All));
    let signature = sure(key.sign(&digest, EcdsaSighash::All)).to_bytes();
    for input in &mut tx.inputs {
        input.witness = vec![signature.clone(), key.public().to_bytes()];
    }
    tx
}

/// The vault's coins among the outputs of `tx`.
pub(super) fn own_outputs(tx: &Tx) -> BTreeSet<u32> {
    let own = |(vout, output): (u32, &TxOut)| realm().own.contains_key(&output.script).then_some(vout);
    (0_u32..).zip(&tx.outputs).filter_map(own).collect()
}
