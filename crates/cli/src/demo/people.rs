//! The demo's people: the exchange's ledger asks for payouts and two people approve, over the writer's HTTP API, each
//! signing a digest that they computed themselves.

use std::io::Read as _;

use anyhow::{Context as _, bail};
use kuraban_base::{Amount, Instant};
use kuraban_chain::btc::Address;
use kuraban_vault::{APPROVE, Payout, PayoutKind, REQUEST};
use serde_json::{Value, json};
use ssh_key::{HashAlg, LineEnding, PrivateKey};

use super::{front::now_us, setup::Exchange};

/// How long a payout may take to be signed, in milliseconds.
const VALID_MS: u64 = 3_600_000;

/// The writer's API.
#[derive(Clone, Copy, Debug)]
pub(super) struct Writer {
    pub(super) port: u16,
}

impl Writer {
    fn url(self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(super) fn get(self, path: &str) -> anyhow::Result<Value> {
        read(minreq::get(self.url(path)))
    }

    fn post(self, path: &str, key: Option<&str>, body: &Value) -> anyhow::Result<Value> {
        let request = minreq::post(self.url(path)).with_header("Content-Type", "application/json");
        let request = match key {
            Some(key) => request.with_header("Idempotency-Key", key),
            None => request,
        };
        read(request.with_body(body.to_string()))
    }

    /// Every event in the log so far. The stream has no end, so it is read until it falls silent.
    pub(super) fn events(self) -> anyhow::Result<Vec<Value>> {
        let mut text = Vec::new();
        let mut stream = minreq::get(self.url("/v1/events?from=0")).with_timeout(3).send_lazy()?;
        // The time-out is the silence; what was read until then stays.
        drop(stream.read_to_end(&mut text));
        let text = String::from_utf8_lossy(&text);
        let data = text.lines().filter_map(|line| line.strip_prefix("data:"));
        Ok(data.filter_map(|text| serde_json::from_str(text.trim()).ok()).collect())
    }

    /// Opens the breaker on a quorum's order.
    pub(super) fn reset(self, order: &Value) -> anyhow::Result<()> {
        self.post("/v1/breaker/reset", None, order).map(|_| ())
    }

    /// How far a payout has come.
    pub(super) fn status(self, id: &str) -> anyhow::Result<String> {
        let view = self.get(&format!("/v1/payouts/{id}"))?;
        Ok(view.get("status").and_then(Value::as_str).context("the writer names no status")?.to_owned())
    }
}

/// How long the writer may take for one answer, in seconds.
const WITHIN_S: u64 = 10;

fn read(request: minreq::Request) -> anyhow::Result<Value> {
    let answer = request.with_timeout(WITHIN_S).send()?;
    let text = answer.as_str()?;
    if !(200..300).contains(&answer.status_code) {
        bail!("the writer answered {}: {text:.600}", answer.status_code);
    }
    Ok(serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned())))
}

/// A person's signature, armoured. The SSH library's error is no `std` error in the form in which it is used here.
pub(super) fn sshsig(key: &PrivateKey, namespace: &str, digest: &[u8; 32]) -> anyhow::Result<String> {
    let signature = key.sign(namespace, HashAlg::Sha512, digest).map_err(anyhow::Error::msg)?;
    signature.to_pem(LineEnding::LF).map_err(anyhow::Error::msg)
}

/// A customer's withdrawal, asked for and approved.
#[derive(Clone, Debug)]
pub(super) struct Withdrawal {
    pub(super) id: String,
    pub(super) to: Address,
    pub(super) amount_sat: u64,
}

impl Withdrawal {
    /// Asks for it and has `approvers` approve it.
    pub(super) fn submit(
        &self,
        writer: Writer,
        exchange: &Exchange,
        approvers: &[PrivateKey],
    ) -> anyhow::Result<()> {
        let now = Instant::from_ms(now_us() / 1000);
        let payout = Payout {
            id: self.id.parse()?,
            kind: PayoutKind::CustomerWithdrawal,
            network: self.to.network(),
            vault: "hot".parse()?,
            destination: self.to.script(),
            memo: None,
            amount: Amount::from(self.amount_sat),
            fee_cap: Amount::from(100_000),
            not_before: now,
            expiry: now.plus_ms(VALID_MS),
        };
        let digest = payout.digest(&exchange.charter.context());
        let sign = |key: &PrivateKey, namespace: &str| -> anyhow::Result<String> {
            sshsig(key, namespace, digest.as_bytes())
        };
        let body = json!({
            "payout": {
                "id": self.id, "kind": payout.kind.word(), "network": payout.network.name(), "vault": "hot",
                "destination": self.to.to_string(), "amount": self.amount_sat, "fee_cap": 100_000,
                "not_before_ms": payout.not_before.ms(), "expiry_ms": payout.expiry.ms(),
            },
            "request_signature": sign(&exchange.requester, REQUEST)?,
        });
        writer.post("/v1/payouts", Some(&format!("demo-{}", self.id)), &body)?;
        for approver in approvers {
            let body = json!({ "signature": sign(approver, APPROVE)? });
            writer.post(&format!("/v1/payouts/{}/approvals", self.id), None, &body)?;
        }
        Ok(())
    }
}
