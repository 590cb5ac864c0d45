//! A small guarded exchange for tests: real keys from fixed seeds, real SSH signatures, files as an operator writes them.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use kuraban_base::{Amount, Instant, MachineId, VaultId, hex};
use kuraban_chain::btc::{
    Address, Branch, Descriptor, Digests, EcdsaSighash, Mweb, Network, OutPoint, Script, Tx, TxIn, TxOut,
    XPriv,
};
use kuraban_proof::{Cosigner, NoteSigner};
use kuraban_vault::{
    Approval, Charter, Payout, PayoutKind, Policy, Roster, Vault,
    coordinator::Coin,
    signer::{Secrets, Signer},
    statement::StatementSecret,
};
use ssh_key::{HashAlg, LineEnding, PrivateKey, private::Ed25519Keypair};

pub(crate) const NETWORK: Network = Network::BtcRegtest;
pub(crate) const NOW: Instant = Instant::from_ms(1_800_000_000_000);
pub(crate) const ORIGIN: &str = "kuraban.example/log";

pub(crate) fn seed(number: u8, purpose: u8) -> [u8; 32] {
    let mut seed = [purpose; 32];
    seed[0] = number;
    seed
}

/// A person's SSH key; the number names the person.
pub(crate) fn person(number: u8) -> PrivateKey {
    PrivateKey::from(Ed25519Keypair::from_seed(&seed(number, 0xa0)))
}

pub(crate) fn sign(person: &PrivateKey, namespace: &str, digest: &[u8; 32]) -> Approval {
    let signature = person.sign(namespace, HashAlg::Sha512, digest).unwrap();
    Approval::parse(&signature.to_pem(LineEnding::LF).unwrap()).unwrap()
}

pub(crate) fn log_key() -> NoteSigner {
    log_key_of(0)
}

/// The log's key of an exchange whose people and machines are numbered from `first` on. All have the same names and other keys.
pub(crate) fn log_key_of(first: u8) -> NoteSigner {
    let origin = if first == 0 { ORIGIN.to_owned() } else { format!("other-{first}.example/log") };
    NoteSigner::from_seed(origin.parse().unwrap(), &seed(first, 0xb0))
}

pub(crate) fn cosigner(machine: u8) -> Cosigner {
    Cosigner::from_seed(format!("kuraban.example/w{machine}").parse().unwrap(), &seed(machine, 0xb1))
}

pub(crate) fn statement(machine: u8) -> StatementSecret {
    StatementSecret::from_seed(&seed(machine, 0xb2))
}

pub(crate) fn coin_key(machine: u8) -> XPriv {
    XPriv::from_seed(NETWORK, &seed(machine, 0xb3)).unwrap()
}

pub(crate) fn machine(number: u8) -> MachineId {
    match number {
        0 => "writer".parse().unwrap(),
        4 => "watcher-1".parse().unwrap(),
        signer => format!("signer-{signer}").parse().unwrap(),
    }
}

/// Requester 1, approvers 2 to 4 in one group; writer 0, signers 1 to 3, watcher 4.
pub(crate) fn roster_toml() -> String {
    roster_toml_of(0)
}

pub(crate) fn roster_toml_of(first: u8) -> String {
    let vkey = log_key_of(first).verifier().to_string();
    let mut text = format!("[log]\nvkey = \"{vkey}\"\nwitnesses_min = 3\nfaulty_max = 1\n");
    for number in 1..=4 {
        let key = person(first + number).public_key().to_openssh().unwrap();
        text += &format!("[[person]]\nid = \"p{number}\"\nkeys = [\"{key}\"]\n");
    }
    text += "[[group]]\nid = \"approvers\"\nmembers = [\"p1\", \"p2\", \"p3\", \"p4\"]\n";
    for number in 0..=4 {
        let role = match number {
            0 => "writer",
            4 => "watcher",
            _ => "signer",
        };
        let tls = hex::encode(statement_public(first + number, 0xb4).as_slice());
        text += &format!("[[machine]]\nid = \"{}\"\nrole = \"{role}\"\ntls = \"{tls}\"\n", machine(number));
        if number > 0 {
            let key = hex::encode(statement(first + number).public().as_bytes());
            let witness = cosigner(first + number);
            text += &format!("witness = \"{}\"\nstatement = \"{key}\"\n", witness.verifier());
        }
    }
    text
}

fn statement_public(number: u8, purpose: u8) -> [u8; 32] {
    *StatementSecret::from_seed(&seed(number, purpose)).public().as_bytes()
}

pub(crate) fn hot_toml() -> String {
    hot_toml_of(0)
}

pub(crate) fn hot_toml_of(first: u8) -> String {
    let key = |number: u8| format!("{}/<0;1>/*", coin_key(first + number).xpub());
    let keys: Vec<String> = (1..=3).map(key).collect();
    format!(
        "id = \"hot\"\nnetwork = \"bitcoin-regtest\"\ntier = \"hot\"\nowner = \"customers\"\n\
         descriptor = \"wsh(sortedmulti(2,{}))\"\nreceive_count = 10\ndepth_min = 1\n",
        keys.join(",")
    )
}

pub(crate) fn address(number: u8) -> Address {
    let script = Script::witness(0, &[number; 20]).unwrap();
    Address::from_script(NETWORK, &script).unwrap()
}

/// The company's own cold vault, where evacuations go.
pub(crate) fn cold() -> Address {
    address(0xcc)
}

pub(crate) fn policy_toml() -> String {
    format!(
        "[[rule]]\nid = \"customers\"\nvaults = [\"hot\"]\nkinds = [\"customer-withdrawal\"]\n\
         amount_max = 500000000\ndestinations = \"any\"\napprovals = [{{ group = \"approvers\", count = 2 }}]\n\
         [[rule]]\nid = \"rebalance\"\nvaults = [\"hot\"]\nkinds = [\"rebalance\"]\ndestinations = [\"{}\"]\n\
         approvals = [{{ group = \"approvers\", count = 2 }}]\n\
         [[rule]]\nid = \"reserves\"\nvaults = [\"hot\"]\nkinds = [\"attestation\"]\ndestinations = \"any\"\n\
         approvals = [{{ group = \"approvers\", count = 2 }}]\n\
         [[limit]]\nvault = \"hot\"\nper_payout_max = 500000000\nrolling_24h_max = 900000000\nfee_max = 100000\n\
         fee_rate_max = 100000\n\
         [[evacuation]]\nvault = \"hot\"\ndestination = \"{}\"\nfee_max = 500000\n\
         [[reset]]\ngroup = \"approvers\"\ncount = 2\n",
        cold(),
        cold()
    )
}

pub(crate) fn charter() -> Arc<Charter> {
    static CHARTER: LazyLock<Arc<Charter>> = LazyLock::new(|| {
        let roster = Roster::from_toml(&roster_toml()).unwrap();
        let policy = Policy::from_toml(&policy_toml()).unwrap();
        let vaults = vec![Vault::from_toml(&hot_toml()).unwrap()];
        Arc::new(Charter::new(roster, policy, vaults).unwrap())
    });
    Arc::clone(&CHARTER)
}

pub(crate) fn signer(number: u8, charter: &Arc<Charter>) -> Signer {
    let lite = XPriv::from_seed(Network::LtcRegtest, &seed(number, 0xb3)).unwrap();
    let coins = BTreeMap::from([(hot(), coin_key(number)), ("lite".parse().unwrap(), lite)]);
    let secrets = Secrets { statement: statement(number), cosigner: cosigner(number), coins };
    Signer::new(machine(number), Arc::clone(charter), secrets)
}

pub(crate) fn hot() -> VaultId {
    "hot".parse().unwrap()
}

pub(crate) fn descriptor() -> Descriptor {
    static DESCRIPTOR: LazyLock<Descriptor> =
        LazyLock::new(|| Vault::from_toml(&hot_toml()).unwrap().descriptor);
    DESCRIPTOR.clone()
}

pub(crate) fn payout(id: &str, to: u8, amount: u64) -> Payout {
    Payout {
        id: id.parse().unwrap(),
        kind: PayoutKind::CustomerWithdrawal,
        network: NETWORK,
        vault: hot(),
        destination: address(to).script(),
        memo: None,
        amount: Amount::from(amount),
        fee_cap: Amount::from(50_000),
        not_before: NOW,
        expiry: NOW.plus_ms(3_600_000),
    }
}

/// A transaction that pays `value_sat` to the vault's receive script at `index`, from nowhere.
pub(crate) fn funding(index: u32, value_sat: u64) -> Tx {
    let output = TxOut { value_sat, script: descriptor().script_at(Branch::Receive, index).unwrap() };
    let prev = OutPoint { txid: kuraban_base::Txid::from_bytes(seed(7, 0xf0)), vout: index };
    tx(vec![prev], vec![output])
}

pub(crate) fn tx(inputs: Vec<OutPoint>, outputs: Vec<TxOut>) -> Tx {
    let input =
        |prev| TxIn { prev, script_sig: Script::default(), sequence: 0xffff_fffd, witness: Vec::new() };
    Tx {
        version: 2,
        inputs: inputs.into_iter().map(input).collect(),
        outputs,
        lock_time: 0,
        mweb: Mweb::None,
    }
}

pub(crate) fn coin(funding: &Tx) -> Coin {
    let outpoint = OutPoint { txid: funding.txid(), vout: 0 };
    Coin { outpoint, output: funding.outputs[0].clone(), tx: Arc::new(funding.encode()) }
}

/// Signs every input of `tx` with the vault's keys of these machines, as a thief who holds them would.
pub(crate) fn steal(mut tx: Tx, spent: &[TxOut], place: (Branch, u32), machines: &[u8]) -> Tx {
    let descriptor = descriptor();
    let code = descriptor.script_code_at(place.0, place.1).unwrap();
    let unsigned = tx.clone();
    let digests = Digests::new(&unsigned, spent).unwrap();
    for (index, input) in tx.inputs.iter_mut().enumerate() {
        let digest = digests.witness_v0(index, &code, EcdsaSighash::All).unwrap();
        let sign = |machine: &u8| {
            let child = coin_key(*machine).child(place.0, place.1).unwrap();
            (child.public(), child.sign(&digest, EcdsaSighash::All).unwrap())
        };
        let signatures: Vec<_> = machines.iter().map(sign).collect();
        input.witness = descriptor.satisfy(place.0, place.1, &signatures).unwrap().witness;
    }
    tx
}
