//! One judgement as files: everything honest, each part open to be made wrong.

use std::{collections::BTreeSet, fs, path::Path};

use kuraban_base::{Amount, Instant, PayoutDigest, Txid};
use kuraban_chain::btc::{
    Address, Branch, Descriptor, Digests, EcdsaSighash, Mweb, Network, OutPoint, Script, Tx, TxIn, TxOut,
    XPriv,
};
use kuraban_vault::{APPROVE, Approval, Payout, PayoutKind, REQUEST, Vault, body::Body};
use serde_json::{Value, json};

use crate::{
    run::{Ran, run},
    world::{Log, World, context, payout_json},
};

pub(crate) const NETWORK: Network = Network::BtcMain;
pub(crate) const NOW: Instant = Instant::from_ms(1_800_000_000_000);
pub(crate) const WORLD: World = World { secret: [7; 32], origin: "kuraban.example/log" };

/// The destination of DMM Bitcoin's routine transfers, and the address that imitated it.
pub(crate) const ROUTINE: &str = "1B6rJ6ZKfZmkqMyBGe5KR27oWkEbQdNM7P";
pub(crate) const IMITATION: &str = "1B6rJRfjTXwEy36SCs5zofGMmdv2kdZw7P";

pub(crate) const AMOUNT: u64 = 100_000_000;
pub(crate) const FUNDED: u64 = 150_000_000;
pub(crate) const FEE: u64 = 20_000;
pub(crate) const FEE_CAP: u64 = 50_000;
pub(crate) const PER_PAYOUT_MAX: u64 = 500_000_000;
pub(crate) const ROLLING_MAX: u64 = 900_000_000;

/// A signature in the file of approvals.
#[derive(Clone)]
pub(crate) enum Signature {
    /// By a person, by number, over the payout of the case.
    By(u8),
    /// Under another namespace.
    As(u8, &'static str),
    /// Over another payout.
    OverOther(u8),
    /// Whatever stands there.
    Text(String),
}

/// How the log of the case looks.
#[derive(Clone)]
pub(crate) struct Logged {
    pub(crate) witnesses: Vec<u8>,
    pub(crate) cosigned_at: Instant,
    /// The payout that was requested, if it is another.
    pub(crate) requested: Option<Payout>,
    /// The transaction of the logged draft, if it is another.
    pub(crate) assembled: Option<Tx>,
    /// The entries whose proofs are given.
    pub(crate) given: Vec<u64>,
    /// What is done to each proof file before it is written.
    pub(crate) spoil: fn(&mut Value),
}

pub(crate) struct Case {
    pub(crate) vault: String,
    pub(crate) policy: String,
    pub(crate) roster: String,
    pub(crate) payout: Payout,
    pub(crate) tx: Tx,
    pub(crate) prevs: Vec<Tx>,
    pub(crate) request: Option<Signature>,
    pub(crate) approvals: Vec<Signature>,
    pub(crate) state: Value,
    pub(crate) logged: Logged,
    pub(crate) now: Instant,
    /// Options that are not given.
    pub(crate) without: BTreeSet<&'static str>,
}

pub(crate) fn coin_key(number: u8) -> XPriv {
    XPriv::from_seed(NETWORK, &WORLD.seed("coin", number)).unwrap()
}

pub(crate) fn vault_toml() -> String {
    let keys: Vec<String> = (1..=3).map(|number| format!("{}/<0;1>/*", coin_key(number).xpub())).collect();
    format!(
        "id = \"hot\"\nnetwork = \"bitcoin-main\"\ntier = \"hot\"\nowner = \"customers\"\n\
         descriptor = \"wsh(sortedmulti(2,{}))\"\nreceive_count = 5\ndepth_min = 1\n",
        keys.join(",")
    )
}

pub(crate) fn policy_toml() -> String {
    format!(
        "[[rule]]\nid = \"customers\"\nvaults = [\"hot\"]\nkinds = [\"customer-withdrawal\"]\namount_max = {PER_PAYOUT_MAX}\n\
         destinations = \"any\"\napprovals = [{{ group = \"approvers\", count = 2 }}]\n\
         [[rule]]\nid = \"rebalance\"\nvaults = [\"hot\"]\nkinds = [\"rebalance\"]\ndestinations = [\"{ROUTINE}\"]\n\
         approvals = [{{ group = \"approvers\", count = 2 }}]\n\
         [[limit]]\nvault = \"hot\"\nper_payout_max = {PER_PAYOUT_MAX}\nrolling_24h_max = {ROLLING_MAX}\n\
         fee_max = 100000\nfee_rate_max = 200000\n\
         [[evacuation]]\nvault = \"hot\"\ndestination = \"{}\"\nfee_max = 30000\n\
         [[reset]]\ngroup = \"approvers\"\ncount = 2\n",
        cold()
    )
}

pub(crate) fn descriptor() -> Descriptor {
    Vault::from_toml(&vault_toml()).unwrap().descriptor
}

pub(crate) fn own(branch: Branch, index: u32) -> Script {
    descriptor().script_at(branch, index).unwrap()
}

pub(crate) fn script(address: &str) -> Script {
    Address::parse(NETWORK, address).unwrap().script()
}

/// An address of somebody else.
pub(crate) fn stranger(number: u8) -> Script {
    Script::witness(0, &[number; 20]).unwrap()
}

/// Where evacuations go.
pub(crate) fn cold() -> Address {
    Address::from_script(NETWORK, &stranger(0xcc)).unwrap()
}

pub(crate) fn output(script: Script, value_sat: u64) -> TxOut {
    TxOut { value_sat, script }
}

pub(crate) fn spending(prevs: &[&Tx], outputs: Vec<TxOut>) -> Tx {
    let input = |prev: &&Tx| TxIn {
        prev: OutPoint { txid: prev.txid(), vout: 0 },
        script_sig: Script::default(),
        sequence: 0xffff_fffd,
        witness: Vec::new(),
    };
    Tx { version: 2, inputs: prevs.iter().map(input).collect(), outputs, lock_time: 0, mweb: Mweb::None }
}

/// A transaction from nowhere that pays one output.
pub(crate) fn funding(script: Script, value_sat: u64) -> Tx {
    let prev = OutPoint { txid: Txid::from_bytes([9; 32]), vout: 1 };
    let input = TxIn { prev, script_sig: Script::default(), sequence: 0xffff_ffff, witness: Vec::new() };
    let outputs = vec![output(script, value_sat)];
    Tx { version: 2, inputs: vec![input], outputs, lock_time: 0, mweb: Mweb::None }
}

/// The transaction with the signatures of keys 1 and 2 on its one input, which spends receive script 0.
pub(crate) fn signed(mut tx: Tx, prev: &Tx) -> Tx {
    let prevouts = prev.outputs.clone();
    let code = descriptor().script_code_at(Branch::Receive, 0).unwrap();
    let digest = Digests::new(&tx, &prevouts).unwrap().witness_v0(0, &code, EcdsaSighash::All).unwrap();
    let signatures: Vec<_> = [1, 2]
        .map(|number| {
            let key = coin_key(number).child(Branch::Receive, 0).unwrap();
            (key.public(), key.sign(&digest, EcdsaSighash::All).unwrap())
        })
        .into();
    let satisfaction = descriptor().satisfy(Branch::Receive, 0, &signatures).unwrap();
    tx.inputs[0].witness = satisfaction.witness;
    tx
}

impl Case {
    /// Everything as it should be: two of three approvals asked for and given, all proven, all in time.
    pub(crate) fn honest() -> Self {
        let prev = funding(own(Branch::Receive, 0), FUNDED);
        let payment = output(script(ROUTINE), AMOUNT);
        let change = output(own(Branch::Change, 0), FUNDED - AMOUNT - FEE);
        Self {
            vault: vault_toml(),
            policy: policy_toml(),
            roster: WORLD.roster_toml(),
            payout: Payout {
                id: "w-1".parse().unwrap(),
                kind: PayoutKind::CustomerWithdrawal,
                network: NETWORK,
                vault: "hot".parse().unwrap(),
                destination: script(ROUTINE),
                memo: None,
                amount: Amount::from(AMOUNT),
                fee_cap: Amount::from(FEE_CAP),
                not_before: NOW,
                expiry: NOW.plus_ms(3_600_000),
            },
            tx: spending(&[&prev], vec![payment, change]),
            prevs: vec![prev],
            request: Some(Signature::By(1)),
            approvals: vec![Signature::By(2), Signature::By(3)],
            state: json!({ "outflow_24h": 0, "stage": "open", "ended": null, "earlier": [] }),
            logged: Logged {
                witnesses: vec![0, 1, 3],
                cosigned_at: NOW,
                requested: None,
                assembled: None,
                given: vec![1],
                spoil: |_| {},
            },
            now: NOW,
            without: BTreeSet::new(),
        }
    }

    pub(crate) fn digest(&self) -> PayoutDigest {
        self.payout.digest(&context(&self.roster, &self.policy))
    }

    fn pem(&self, signature: &Signature, namespace: &str) -> String {
        match signature {
            Signature::By(person) => WORLD.sign(*person, namespace, self.digest()),
            Signature::As(person, namespace) => WORLD.sign(*person, namespace, self.digest()),
            Signature::OverOther(person) => {
                let other = Payout { id: "w-2".parse().unwrap(), ..self.payout.clone() };
                WORLD.sign(*person, namespace, other.digest(&context(&self.roster, &self.policy)))
            }
            Signature::Text(text) => text.clone(),
        }
    }

    pub(crate) fn approvals_json(&self) -> Value {
        let request = self.request.as_ref().map(|signature| self.pem(signature, REQUEST));
        let approvals: Vec<_> = self.approvals.iter().map(|one| self.pem(one, APPROVE)).collect();
        json!({ "request": request, "approvals": approvals })
    }

    /// Entry 0 opens another payout's life, entry 1 requests this one, entry 2 has its transaction.
    fn log_proofs(&self) -> Vec<Value> {
        let requested = |payout: Payout| {
            let pem = self.pem(&Signature::By(1), REQUEST);
            let request = Some(Approval::parse(&pem).unwrap());
            Body::PayoutRequested { payout, key: "attempt".to_owned(), request, evidence: None }
        };
        let other = Payout { id: "w-0".parse().unwrap(), ..self.payout.clone() };
        let own = self.logged.requested.clone().unwrap_or_else(|| self.payout.clone());
        let tx = self.logged.assembled.as_ref().unwrap_or(&self.tx).encode();
        let assembled = Body::PayoutAssembled { payout: self.payout.id.clone(), tx };
        let log = Log::of(&[requested(other), requested(own), assembled], NOW);
        let checkpoint = log.checkpoint(&WORLD, &self.logged.witnesses, self.logged.cosigned_at);
        let proof = |index: &u64| {
            let mut proof = log.proof(*index, &checkpoint);
            (self.logged.spoil)(&mut proof);
            proof
        };
        self.logged.given.iter().map(proof).collect()
    }

    /// Writes the files into a folder and gives the command line.
    pub(crate) fn write(&self, dir: &Path) -> Vec<String> {
        let mut args = vec!["judge".to_owned()];
        let mut file = |option: &'static str, name: &str, text: String| {
            let path = dir.join(name);
            fs::write(&path, text).unwrap();
            if !self.without.contains(option) {
                args.extend([format!("--{option}"), path.display().to_string()]);
            }
        };
        file("vault", "vault.toml", self.vault.clone());
        file("policy", "policy.toml", self.policy.clone());
        file("roster", "roster.toml", self.roster.clone());
        file("payout", "payout.json", payout_json(&self.payout).to_string());
        file("approvals", "approvals.json", self.approvals_json().to_string());
        file("state", "state.json", self.state.to_string());
        for (number, proof) in self.log_proofs().iter().enumerate() {
            file("log-proof", &format!("log-proof-{number}.json"), proof.to_string());
        }
        args.extend(["--tx".to_owned(), hex(&self.tx)]);
        for prev in &self.prevs {
            args.extend(["--prev".to_owned(), hex(prev)]);
        }
        if !self.without.contains("now") {
            args.extend(["--now".to_owned(), self.now.ms().to_string()]);
        }
        args
    }

    pub(crate) fn judge(&self, more: &[&str]) -> Ran {
        let dir = tempfile::tempdir().unwrap();
        let args = self.write(dir.path());
        run(args.iter().map(String::as_str).chain(more.iter().copied()))
    }
}

pub(crate) fn hex(tx: &Tx) -> String {
    kuraban_base::hex::encode(&tx.encode())
}

/// The codes of a judgement, in order; each must come with words, and the exit status must fit.
pub(crate) fn codes(ran: &Ran) -> Vec<String> {
    let json = ran.json();
    let reasons = json["reasons"].as_array().unwrap_or_else(|| panic!("{json}"));
    let (verdict, status) = if reasons.is_empty() { ("allow", 0) } else { ("refuse", 1) };
    assert_eq!((json["verdict"].as_str(), ran.status), (Some(verdict), status), "{json}");
    let code = |reason: &Value| {
        assert!(!reason["detail"].as_str().unwrap().is_empty(), "{reason}");
        reason["code"].as_str().unwrap().to_owned()
    };
    reasons.iter().map(code).collect()
}
