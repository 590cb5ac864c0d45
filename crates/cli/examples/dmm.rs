//! Makes the files of `examples/dmm` anew: `cargo run -p kuraban-cli --example dmm -- examples/dmm`.
//!
//! People, machines and log get fresh random keys; only public halves and signatures are written, the private halves
//! end with the process.

#[path = "../tests/it/world.rs"]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "it is the tests' own")]
mod world;

use std::{error::Error, fs, path::PathBuf};

use kuraban_base::{Amount, Instant};
use kuraban_chain::btc::{Address, Network};
use kuraban_vault::{APPROVE, Approval, Payout, PayoutKind, REQUEST, body::Body};
use serde_json::{Value, json};

use crate::world::{Log, World, context, payout_json};

/// The 2-of-3 script of every input of the theft, in the script's order of keys.
const VAULT: &str = r#"# The wallet of DMM Bitcoin that was emptied on 2024-05-31: 3P8MfdM4pULv7ozdQvfwAqNF29zAjmnUYD.
# The keys stand in the witness script of each input of the theft, in this order.
id = "dmm-cold"
network = "bitcoin-main"
tier = "cold"
owner = "customers"
descriptor = "sh(wsh(multi(2,022a3ec327cd0b967b53e25439d6ab05a57e55ba82c3cdf03c94b83106711d43ff,03e8b76584f2a41aadd97e461721875a7ced12ab0ba9266181eae68e95bc03e190,028228f84daf8d397fcf252af0114c53db7a354c7ffcf293e8a6997cb1b253ac8f)))"
receive_count = 1
depth_min = 6
"#;

const POLICY: &str = r#"# Amounts in satoshi: 100,000,000 are one bitcoin.

[[rule]]
id = "routine"
vaults = ["dmm-cold"]
kinds = ["rebalance"]
destinations = ["1B6rJ6ZKfZmkqMyBGe5KR27oWkEbQdNM7P"]
approvals = [{ group = "approvers", count = 2 }]

[[limit]]
vault = "dmm-cold"
per_payout_max = 5000000000      # 50 BTC
rolling_24h_max = 10000000000    # 100 BTC
fee_max = 500000                 # 0.005 BTC
fee_rate_max = 200000            # per 1,000 virtual bytes: 200 sat per virtual byte

[[reset]]
group = "approvers"
count = 2
"#;

/// 2024-05-31 04:12:00 UTC, the minute of the theft.
const THEFT: Instant = Instant::from_ms(1_717_128_720_000);
const MINUTE_MS: u64 = 60_000;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args_os().nth(1).ok_or("want the folder to write to")?);
    let mut secret = [0; 32];
    getrandom::getrandom(&mut secret)?;
    let world = World { secret, origin: "kuraban.example/dmm" };
    let roster = world.roster_toml();
    let payout = payout()?;
    let digest = payout.digest(&context(&roster, POLICY));
    let request = world.sign(1, REQUEST, digest);
    let approvals = [2, 3].map(|person| world.sign(person, APPROVE, digest));
    let entry = Body::PayoutRequested {
        payout: payout.clone(),
        key: "routine-2024-05-31".to_owned(),
        request: Some(Approval::parse(&request)?),
        evidence: None,
    };
    let approved = |pem: &String| -> Result<Body, Box<dyn Error>> {
        Ok(Body::PayoutApproved { payout: payout.id.clone(), approval: Approval::parse(pem)? })
    };
    let mut bodies = vec![entry];
    for pem in &approvals {
        bodies.push(approved(pem)?);
    }
    let log = Log::of(&bodies, THEFT);
    let proof = log.proof(0, &log.checkpoint(&world, &[0, 1, 3], THEFT));
    let state = json!({ "outflow_24h": 0, "stage": "open", "ended": null, "earlier": [] });
    fs::write(folder.join("vault.toml"), VAULT)?;
    fs::write(folder.join("policy.toml"), POLICY)?;
    fs::write(folder.join("roster.toml"), roster)?;
    let write = |name: &str, value: &Value| fs::write(folder.join(name), format!("{value:#}\n"));
    write("payout.json", &payout_json(&payout))?;
    write("approvals.json", &json!({ "request": request, "approvals": approvals }))?;
    write("state.json", &state)?;
    write("log-proof.json", &proof)?;
    Ok(())
}

/// The routine payout: ten bitcoin, as the vault's outputs suggest, to the usual place.
fn payout() -> Result<Payout, Box<dyn Error>> {
    let network = Network::BtcMain;
    let not_before = Instant::from_ms(THEFT.ms() - 30 * MINUTE_MS);
    Ok(Payout {
        id: "routine-2024-05-31".parse()?,
        kind: PayoutKind::Rebalance,
        network,
        vault: "dmm-cold".parse()?,
        destination: Address::parse(network, "1B6rJ6ZKfZmkqMyBGe5KR27oWkEbQdNM7P")?.script(),
        memo: None,
        amount: Amount::new(1_000_000_000),
        fee_cap: Amount::new(100_000),
        not_before,
        expiry: not_before.plus_ms(120 * MINUTE_MS),
    })
}
