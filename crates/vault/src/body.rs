//! What log entries say: one body per kind, in deterministic CBOR, committed to by the entry and kept beside the log.

use kuraban_base::{
    Asset, Digest, Height, Instant, MachineId, PayoutId, PolicyHash, RosterHash, Txid,
    cbor::{CborError, Fields, Value, invalid},
};

use crate::{
    approval::Approval,
    breaker::{Cell, Trip, cells_from_value, cells_to_value},
    payout::Payout,
    publication::Publication,
    receipt::Receipt,
    statement::{Signed, Statement, instant},
};

/// Largest body, in bytes. A transaction of 100,000 virtual bytes with its evidence fits.
pub const BODY_MAX: usize = 4 * 1024 * 1024;

/// A transaction with every transaction it spends from, as raw bytes: what proves a spend to somebody without a node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Evidence {
    /// The spending transaction.
    pub tx: Vec<u8>,
    /// The previous transactions of those inputs that matter.
    pub prevs: Vec<Vec<u8>>,
}

/// Something a watcher saw that must not be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Alarm {
    /// The watcher.
    pub by: MachineId,
    /// The rule that fired.
    pub rule: String,
    /// What it fired on; with the rule it names the alarm for ever.
    pub subject: String,
    /// The asset concerned.
    pub asset: Asset,
    /// In words.
    pub detail: String,
    /// The transaction, if a transaction is the subject.
    pub evidence: Option<Evidence>,
    /// When, by the watcher's clock.
    pub at: Instant,
}

/// What one log entry says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Body {
    /// The log begins, under this roster and policy.
    LogOpened {
        /// The roster's hash.
        roster: RosterHash,
        /// The policy's hash.
        policy: PolicyHash,
        /// The vaults, in full.
        vaults: Vec<Value>,
        /// How long bodies are kept, in days.
        retention_days: u32,
    },
    /// A payout was asked for.
    PayoutRequested {
        /// The payout.
        payout: Payout,
        /// The caller's idempotency key.
        key: String,
        /// The requester's signature over the digest; an evacuation has none.
        request: Option<Approval>,
        /// Why an evacuation is called for.
        evidence: Option<Evidence>,
    },
    /// Somebody approved a payout.
    PayoutApproved {
        /// Which.
        payout: PayoutId,
        /// The signature.
        approval: Approval,
    },
    /// A payout was refused and has ended.
    PayoutRefused {
        /// Which.
        payout: PayoutId,
        /// The codes of the broken rules.
        codes: Vec<String>,
    },
    /// An unsigned transaction was made for a payout.
    PayoutAssembled {
        /// Which.
        payout: PayoutId,
        /// The transaction without signatures.
        tx: Vec<u8>,
    },
    /// A signer allows a transaction.
    PayoutReceipt(Signed<Receipt>),
    /// A transaction has all signatures.
    PayoutSigned {
        /// Which.
        payout: PayoutId,
        /// The transaction, ready to send.
        tx: Vec<u8>,
    },
    /// A transaction was handed to the node.
    PayoutBroadcast {
        /// Which.
        payout: PayoutId,
        /// The transaction.
        txid: Txid,
    },
    /// A transaction is as deep in the chain as the vault asks.
    PayoutConfirmed {
        /// Which.
        payout: PayoutId,
        /// The transaction.
        txid: Txid,
        /// The block's height.
        height: Height,
    },
    /// A confirmed transaction conflicts with every transaction of the payout.
    PayoutCancelled {
        /// Which.
        payout: PayoutId,
        /// The conflicting transaction.
        txid: Txid,
    },
    /// A payout ran out before any signer gave a receipt.
    PayoutExpired {
        /// Which.
        payout: PayoutId,
    },
    /// A watcher raised an alarm.
    AlarmRaised(Signed<Alarm>),
    /// A watcher tightened the breaker.
    BreakerTripped(Signed<Trip>),
    /// A quorum loosened the breaker.
    BreakerReset {
        /// Which cells.
        cells: Vec<Cell>,
        /// The epoch that is left behind; an order is good for one.
        epoch: u64,
        /// The approvals.
        approvals: Vec<Approval>,
    },
    /// A quorum lets a signer resume whose disk was set back.
    SignerResumed {
        /// Which.
        signer: MachineId,
        /// The highest number of its receipts in the log; it goes on after that, and an order is good for one.
        seq: u64,
        /// The approvals.
        approvals: Vec<Approval>,
    },
    /// Somebody published a root, a digest, or how a check ended.
    Published {
        /// What was published.
        publication: Publication,
        /// The signature of somebody on the roster.
        approval: Approval,
    },
}

/// The digest that people sign to loosen cells: good for one log and one epoch.
#[must_use]
pub fn reset_digest(origin: &str, epoch: u64, cells: &[Cell]) -> Digest {
    let order = Value::map([
        ("origin", Value::text(origin)),
        ("epoch", Value::uint(epoch)),
        ("cells", cells_to_value(cells)),
    ]);
    Digest::sha256(&[b"kuraban-reset-v1", &order.encode()])
}

/// The digest that people sign to let a signer resume: good for one log and one number.
#[must_use]
pub fn resume_digest(origin: &str, signer: &MachineId, seq: u64) -> Digest {
    let order = Value::map([
        ("origin", Value::text(origin)),
        ("signer", Value::text(signer)),
        ("seq", Value::uint(seq)),
    ]);
    Digest::sha256(&[b"kuraban-resume-v1", &order.encode()])
}

impl Evidence {
    /// The evidence as a map.
    #[must_use]
    pub fn to_value(&self) -> Value {
        Value::map([
            ("tx", Value::bytes(&self.tx)),
            ("prevs", Value::array(self.prevs.iter().map(Value::bytes))),
        ])
    }

    /// The evidence of a map.
    ///
    /// # Errors
    /// A missing, unknown or malformed field.
    pub fn from_value(value: Value) -> Result<Self, CborError> {
        let mut fields = Fields::of("evidence", value)?;
        let evidence =
            Self { tx: fields.bytes("tx")?, prevs: byte_strings("prevs", fields.items("prevs")?)? };
        fields.end()?;
        Ok(evidence)
    }
}

pub(crate) fn byte_strings(field: &str, items: Vec<Value>) -> Result<Vec<Vec<u8>>, CborError> {
    let one = |item| match item {
        Value::Bytes(bytes) => Ok(bytes),
        Value::Uint(_) | Value::Text(_) | Value::Array(_) | Value::Map(_) | Value::Bool(_) | Value::Null => {
            Err(invalid(field, "want byte strings"))
        }
    };
    items.into_iter().map(one).collect()
}

impl Statement for Alarm {
    const DOMAIN: &'static str = "kuraban-alarm-v1";

    fn by(&self) -> &MachineId {
        &self.by
    }

    fn to_value(&self) -> Value {
        Value::map([
            ("by", Value::text(&self.by)),
            ("rule", Value::text(&self.rule)),
            ("subject", Value::text(&self.subject)),
            ("asset", Value::text(self.asset)),
            ("detail", Value::text(&self.detail)),
            ("evidence", Value::option(self.evidence.as_ref().map(Evidence::to_value))),
            ("at", Value::uint(self.at.ms())),
        ])
    }

    fn from_value(value: Value) -> Result<Self, CborError> {
        let mut fields = Fields::of("alarm", value)?;
        let alarm = Self {
            by: fields.parse("by")?,
            rule: fields.text("rule")?,
            subject: fields.text("subject")?,
            asset: fields.parse("asset")?,
            detail: fields.text("detail")?,
            evidence: fields.option("evidence")?.map(Evidence::from_value).transpose()?,
            at: instant(&mut fields, "at")?,
        };
        fields.end()?;
        Ok(alarm)
    }
}

impl Body {
    /// The entry's kind.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::LogOpened { .. } => "log.opened",
            Self::PayoutRequested { .. } => "payout.requested",
            Self::PayoutApproved { .. } => "payout.approved",
            Self::PayoutRefused { .. } => "payout.refused",
            Self::PayoutAssembled { .. } => "payout.assembled",
            Self::PayoutReceipt(_) => "payout.receipt",
            Self::PayoutSigned { .. } => "payout.signed",
            Self::PayoutBroadcast { .. } => "payout.broadcast",
            Self::PayoutConfirmed { .. } => "payout.confirmed",
            Self::PayoutCancelled { .. } => "payout.cancelled",
            Self::PayoutExpired { .. } => "payout.expired",
            Self::AlarmRaised(_) => "alarm.raised",
            Self::BreakerTripped(_) => "breaker.tripped",
            Self::BreakerReset { .. } => "breaker.reset",
            Self::SignerResumed { .. } => "signer.resumed",
            Self::Published { publication, .. } => publication.kind(),
        }
    }

    /// The body's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::LogOpened { roster, policy, vaults, retention_days } => Value::map([
                ("roster", Value::bytes(roster.as_bytes())),
                ("policy", Value::bytes(policy.as_bytes())),
                ("vaults", Value::array(vaults.iter().cloned())),
                ("retention_days", Value::uint(*retention_days)),
            ]),
            Self::PayoutRequested { payout, key, request, evidence } => Value::map([
                ("key", Value::text(key)),
                ("payout", payout.to_value()),
                ("request", Value::option(request.as_ref().map(Approval::to_value))),
                ("evidence", Value::option(evidence.as_ref().map(Evidence::to_value))),
            ]),
            Self::PayoutApproved { payout, approval } => {
                Value::map([("payout", Value::text(payout)), ("approval", approval.to_value())])
            }
            Self::PayoutRefused { payout, codes } => Value::map([
                ("payout", Value::text(payout)),
                ("codes", Value::array(codes.iter().map(Value::text))),
            ]),
            Self::PayoutAssembled { payout, tx } | Self::PayoutSigned { payout, tx } => {
                Value::map([("payout", Value::text(payout)), ("tx", Value::bytes(tx))])
            }
            Self::PayoutReceipt(receipt) => receipt.to_value(),
            Self::PayoutBroadcast { payout, txid } | Self::PayoutCancelled { payout, txid } => {
                Value::map([("payout", Value::text(payout)), ("txid", Value::bytes(txid.as_bytes()))])
            }
            Self::PayoutConfirmed { payout, txid, height } => Value::map([
                ("payout", Value::text(payout)),
                ("txid", Value::bytes(txid.as_bytes())),
                ("height", Value::uint(height.blocks())),
            ]),
            Self::PayoutExpired { payout } => Value::map([("payout", Value::text(payout))]),
            Self::AlarmRaised(alarm) => alarm.to_value(),
            Self::BreakerTripped(trip) => trip.to_value(),
            Self::BreakerReset { cells, epoch, approvals } => Value::map([
                ("cells", cells_to_value(cells)),
                ("epoch", Value::uint(*epoch)),
                ("approvals", Value::array(approvals.iter().map(Approval::to_value))),
            ]),
            Self::SignerResumed { signer, seq, approvals } => Value::map([
                ("signer", Value::text(signer)),
                ("seq", Value::uint(*seq)),
                ("approvals", Value::array(approvals.iter().map(Approval::to_value))),
            ]),
            Self::Published { publication, approval } => {
                Value::map([publication.field(), ("approval", approval.to_value())])
            }
        }
        .encode()
    }

    /// The body of an entry of `kind`.
    ///
    /// # Errors
    /// An unknown kind, more than 4 MiB, or bytes that are not such a body.
    pub fn decode(kind: &str, bytes: &[u8]) -> Result<Self, CborError> {
        if bytes.len() > BODY_MAX {
            return Err(invalid("body", format!("{} bytes, want at most {BODY_MAX}", bytes.len())));
        }
        let value = Value::decode(bytes)?;
        match kind {
            "payout.receipt" => return Signed::from_value(value).map(Self::PayoutReceipt),
            "alarm.raised" => return Signed::from_value(value).map(Self::AlarmRaised),
            "breaker.tripped" => return Signed::from_value(value).map(Self::BreakerTripped),
            _ => {}
        }
        let mut fields = Fields::of(kind, value)?;
        let body = Self::read(kind, &mut fields)?;
        fields.end()?;
        Ok(body)
    }

    #[expect(clippy::too_many_lines, reason = "one arm per kind")]
    fn read(kind: &str, fields: &mut Fields) -> Result<Self, CborError> {
        Ok(match kind {
            "log.opened" => Self::LogOpened {
                roster: RosterHash::from_bytes(fields.array("roster")?),
                policy: PolicyHash::from_bytes(fields.array("policy")?),
                vaults: fields.items("vaults")?,
                retention_days: fields.uint("retention_days")?,
            },
            "payout.requested" => Self::PayoutRequested {
                payout: Payout::from_value(fields.value("payout")?)?,
                key: fields.text("key")?,
                request: fields
                    .option("request")?
                    .map(|value| Approval::from_value("request", &value))
                    .transpose()?,
                evidence: fields.option("evidence")?.map(Evidence::from_value).transpose()?,
            },
            "payout.approved" => Self::PayoutApproved {
                payout: fields.parse("payout")?,
                approval: Approval::from_value("approval", &fields.value("approval")?)?,
            },
            "payout.refused" => {
                let word = |item| match item {
                    Value::Text(code) => Ok(code),
                    Value::Uint(_)
                    | Value::Bytes(_)
                    | Value::Array(_)
                    | Value::Map(_)
                    | Value::Bool(_)
                    | Value::Null => Err(invalid("codes", "want text")),
                };
                let codes = fields.items("codes")?.into_iter().map(word).collect::<Result<_, _>>()?;
                Self::PayoutRefused { payout: fields.parse("payout")?, codes }
            }
            "payout.assembled" => {
                Self::PayoutAssembled { payout: fields.parse("payout")?, tx: fields.bytes("tx")? }
            }
            "payout.signed" => {
                Self::PayoutSigned { payout: fields.parse("payout")?, tx: fields.bytes("tx")? }
            }
            "payout.broadcast" => {
                Self::PayoutBroadcast { payout: fields.parse("payout")?, txid: txid(fields)? }
            }
            "payout.confirmed" => Self::PayoutConfirmed {
                payout: fields.parse("payout")?,
                txid: txid(fields)?,
                height: Height::new(fields.uint("height")?),
            },
            "payout.cancelled" => {
                Self::PayoutCancelled { payout: fields.parse("payout")?, txid: txid(fields)? }
            }
            "payout.expired" => Self::PayoutExpired { payout: fields.parse("payout")? },
            "breaker.reset" => {
                let cells = fields.items("cells")?;
                Self::BreakerReset {
                    cells: cells_from_value("cells", cells)?,
                    epoch: fields.uint("epoch")?,
                    approvals: approvals(fields)?,
                }
            }
            "signer.resumed" => Self::SignerResumed {
                signer: fields.parse("signer")?,
                seq: fields.uint("seq")?,
                approvals: approvals(fields)?,
            },
            _ => match Publication::of(kind, fields)? {
                Some(publication) => Self::Published {
                    publication,
                    approval: Approval::from_value("approval", &fields.value("approval")?)?,
                },
                None => return Err(invalid("kind", format!("{kind:?} is not a known kind of entry"))),
            },
        })
    }
}

fn approvals(fields: &mut Fields) -> Result<Vec<Approval>, CborError> {
    let approval = |value| Approval::from_value("approvals", &value);
    fields.items("approvals")?.into_iter().map(approval).collect()
}

fn txid(fields: &mut Fields) -> Result<Txid, CborError> {
    fields.array("txid").map(Txid::from_bytes)
}
