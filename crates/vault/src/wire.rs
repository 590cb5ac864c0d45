//! Messages between writer, signers, watchers and gates, in deterministic CBOR. One request, one response; a stream is
//! one request and many responses. Carries bytes that the receiver decodes and checks for itself.

use kuraban_base::{
    PayoutId, Txid,
    cbor::{CborError, Fields, Value, invalid},
};

use crate::{
    body::{Alarm, byte_strings},
    breaker::Trip,
    receipt::{Lease, Permit, Receipt, challenges},
    statement::Signed,
};

/// Most entries in one [`Request::Extend`].
pub const ENTRIES_MAX: usize = 4096;
/// Most payouts in one [`Request::Sign`] or [`Request::Release`].
pub const ITEMS_MAX: usize = 512;
/// Most signatures for one payout: a transaction of as many inputs is far beyond what nodes relay.
pub const SIGNATURES_MAX: usize = 100_000;

/// A log entry with what opens its commitment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogEntry {
    /// The entry's bytes, as the tree hashes them.
    pub entry: Vec<u8>,
    /// The commitment's salt.
    pub salt: [u8; 32],
    /// The body's bytes.
    pub body: Vec<u8>,
}

/// A payout for which a signer is asked for its receipt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SignItem {
    /// Which payout.
    pub payout: PayoutId,
    /// Which of its transactions.
    pub txid: Txid,
    /// The full transactions that it spends from.
    pub prevs: Vec<Vec<u8>>,
}

/// A payout for which a signer is asked for its signatures.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReleaseItem {
    /// Which payout.
    pub payout: PayoutId,
    /// Which of its transactions.
    pub txid: Txid,
}

/// What somebody asks of a signer or watcher.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request {
    /// How far are you?
    Status,
    /// Here is more of the log; co-sign this checkpoint.
    Extend {
        /// The index of the first entry.
        from: u64,
        /// The entries.
        entries: Vec<LogEntry>,
        /// The checkpoint after the last of them, signed by the log.
        checkpoint: Vec<u8>,
        /// How many entries the writer has altogether for witnesses. Only its word: a watcher that is set up anew waits
        /// until it has as many.
        newest: u64,
    },
    /// Answer these challenges with a lease (watcher only).
    Lease {
        /// The signers' challenges.
        challenges: Vec<[u8; 32]>,
    },
    /// Judge these and give receipts (signer only).
    Sign {
        /// A checkpoint with cosignatures.
        checkpoint: Vec<u8>,
        /// A watcher's lease over one of the signer's challenges.
        lease: Signed<Lease>,
        /// The payouts.
        items: Vec<SignItem>,
    },
    /// Their receipts stand in the log; release the signatures (signer only).
    Release {
        /// A checkpoint with cosignatures.
        checkpoint: Vec<u8>,
        /// A watcher's lease over one of the signer's challenges.
        lease: Signed<Lease>,
        /// The payouts.
        items: Vec<ReleaseItem>,
    },
    /// Stop (signer only, from watchers).
    Trip(Signed<Trip>),
    /// Stream permits for this gate's random number (watcher only, from gates).
    Permits {
        /// The random number.
        stream: [u8; 32],
    },
    /// Stream alarms and trips from this count on (watcher only).
    Alarms {
        /// How many the asker has already.
        from: u64,
    },
}

/// A signature over one input.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InputSignature {
    /// The input's index.
    pub input: u32,
    /// The public key, compressed.
    pub key: Vec<u8>,
    /// DER and sighash type.
    pub signature: Vec<u8>,
}

/// A broken rule, as code and words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    /// The stable code.
    pub code: String,
    /// In words.
    pub detail: String,
}

/// What a signer answers for one payout.
pub type Answer<T> = Result<T, Vec<Refused>>;

/// What a signer or watcher answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Response {
    /// How far it is.
    Status {
        /// Entries folded.
        size: u64,
        /// The breaker's epoch.
        epoch: u64,
    },
    /// Co-signed.
    Cosigned {
        /// Entries folded.
        size: u64,
        /// The signature line.
        line: String,
        /// A fresh challenge to be answered by a lease.
        challenge: [u8; 32],
    },
    /// The entries do not start where this witness is.
    Behind {
        /// Where it is.
        size: u64,
    },
    /// A lease.
    Lease(Box<Signed<Lease>>),
    /// Receipts or refusals, one per item.
    Receipts(Vec<Answer<Signed<Receipt>>>),
    /// Signatures or refusals, one per item.
    Signatures(Vec<Answer<Vec<InputSignature>>>),
    /// Stopped as asked.
    Tripped,
    /// The next permit of a stream.
    Permit(Box<Signed<Permit>>),
    /// The next alarm of a stream, with the trip it caused.
    Alarm(Box<Signed<Alarm>>, Option<Box<Signed<Trip>>>),
    /// No.
    Refused(Refused),
}

fn named(name: &str, value: Value) -> Value {
    Value::map([(name, value)])
}

/// The one field of a message: its name and what it carries.
fn single(value: Value) -> Result<(String, Value), CborError> {
    let Value::Map(fields) = value else { return Err(invalid("message", "want a map of one field")) };
    let mut fields = fields.into_iter();
    match (fields.next(), fields.next()) {
        (Some((key, value)), None) => Ok((key.as_str().to_owned(), value)),
        _ => Err(invalid("message", "want a map of one field")),
    }
}

impl LogEntry {
    /// The entry as a map.
    #[must_use]
    pub fn to_value(&self) -> Value {
        Value::map([
            ("entry", Value::bytes(&self.entry)),
            ("salt", Value::bytes(self.salt)),
            ("body", Value::bytes(&self.body)),
        ])
    }

    /// The entry of a map.
    ///
    /// # Errors
    /// A missing, unknown or malformed field.
    pub fn from_value(value: Value) -> Result<Self, CborError> {
        let mut fields = Fields::of("entry", value)?;
        let entry =
            Self { entry: fields.bytes("entry")?, salt: fields.array("salt")?, body: fields.bytes("body")? };
        fields.end()?;
        Ok(entry)
    }
}

impl SignItem {
    fn to_value(&self) -> Value {
        Value::map([
            ("payout", Value::text(&self.payout)),
            ("txid", Value::bytes(self.txid.as_bytes())),
            ("prevs", Value::array(self.prevs.iter().map(Value::bytes))),
        ])
    }

    fn from_value(value: Value) -> Result<Self, CborError> {
        let mut fields = Fields::of("item", value)?;
        let item = Self {
            payout: fields.parse("payout")?,
            txid: Txid::from_bytes(fields.array("txid")?),
            prevs: byte_strings("prevs", fields.items("prevs")?)?,
        };
        fields.end()?;
        Ok(item)
    }
}

impl ReleaseItem {
    fn to_value(&self) -> Value {
        Value::map([("payout", Value::text(&self.payout)), ("txid", Value::bytes(self.txid.as_bytes()))])
    }

    fn from_value(value: Value) -> Result<Self, CborError> {
        let mut fields = Fields::of("item", value)?;
        let item = Self { payout: fields.parse("payout")?, txid: Txid::from_bytes(fields.array("txid")?) };
        fields.end()?;
        Ok(item)
    }
}

fn bounded<T>(
    what: &str,
    items: Vec<Value>,
    max: usize,
    one: impl Fn(Value) -> Result<T, CborError>,
) -> Result<Vec<T>, CborError> {
    if items.len() > max {
        return Err(invalid(what, format!("{} of them, want at most {max}", items.len())));
    }
    items.into_iter().map(one).collect()
}

impl Request {
    /// The message's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let signing = |checkpoint: &Vec<u8>, lease: &Signed<Lease>, items: Value| {
            Value::map([
                ("checkpoint", Value::bytes(checkpoint)),
                ("lease", lease.to_value()),
                ("items", items),
            ])
        };
        match self {
            Self::Status => named("status", Value::Null),
            Self::Extend { from, entries, checkpoint, newest } => named(
                "extend",
                Value::map([
                    ("from", Value::uint(*from)),
                    ("entries", Value::array(entries.iter().map(LogEntry::to_value))),
                    ("checkpoint", Value::bytes(checkpoint)),
                    ("newest", Value::uint(*newest)),
                ]),
            ),
            Self::Lease { challenges } => named("lease", Value::array(challenges.iter().map(Value::bytes))),
            Self::Sign { checkpoint, lease, items } => {
                named("sign", signing(checkpoint, lease, Value::array(items.iter().map(SignItem::to_value))))
            }
            Self::Release { checkpoint, lease, items } => named(
                "release",
                signing(checkpoint, lease, Value::array(items.iter().map(ReleaseItem::to_value))),
            ),
            Self::Trip(trip) => named("trip", trip.to_value()),
            Self::Permits { stream } => named("permits", Value::bytes(stream)),
            Self::Alarms { from } => named("alarms", Value::uint(*from)),
        }
        .encode()
    }

    /// The message of these bytes.
    ///
    /// # Errors
    /// Not deterministic CBOR, an unknown message, a missing, unknown or malformed field, or more than allowed.
    pub fn decode(bytes: &[u8]) -> Result<Self, CborError> {
        let (name, value) = single(Value::decode(bytes)?)?;
        if let ("lease", Value::Array(items)) = (name.as_str(), &value) {
            return Ok(Self::Lease { challenges: challenges(items.clone())? });
        }
        let mut fields = match (name.as_str(), value) {
            ("status", Value::Null) => return Ok(Self::Status),
            ("trip", value) => return Signed::from_value(value).map(Self::Trip),
            ("extend" | "sign" | "release", value) => Fields::of(&name, value)?,
            (_, value) => Fields::of(&name, named(&name, value))?,
        };
        let message = match name.as_str() {
            "extend" => Self::Extend {
                from: fields.uint("from")?,
                entries: bounded("entries", fields.items("entries")?, ENTRIES_MAX, LogEntry::from_value)?,
                checkpoint: fields.bytes("checkpoint")?,
                newest: fields.uint("newest")?,
            },
            "sign" => Self::Sign {
                checkpoint: fields.bytes("checkpoint")?,
                lease: Signed::from_value(fields.value("lease")?)?,
                items: bounded("items", fields.items("items")?, ITEMS_MAX, SignItem::from_value)?,
            },
            "release" => Self::Release {
                checkpoint: fields.bytes("checkpoint")?,
                lease: Signed::from_value(fields.value("lease")?)?,
                items: bounded("items", fields.items("items")?, ITEMS_MAX, ReleaseItem::from_value)?,
            },
            "permits" => Self::Permits { stream: fields.array("permits")? },
            "alarms" => Self::Alarms { from: fields.uint("alarms")? },
            _ => return Err(invalid("message", format!("{name:?} is not a known request"))),
        };
        fields.end()?;
        Ok(message)
    }
}

impl Refused {
    fn to_value(&self) -> Value {
        Value::map([("code", Value::text(&self.code)), ("detail", Value::text(&self.detail))])
    }

    fn from_value(value: Value) -> Result<Self, CborError> {
        let mut fields = Fields::of("refused", value)?;
        let refused = Self { code: fields.text("code")?, detail: fields.text("detail")? };
        fields.end()?;
        Ok(refused)
    }
}

impl From<&crate::Reason> for Refused {
    fn from(reason: &crate::Reason) -> Self {
        Self { code: reason.code().to_owned(), detail: reason.to_string() }
    }
}

impl InputSignature {
    fn to_value(&self) -> Value {
        Value::map([
            ("input", Value::uint(self.input)),
            ("key", Value::bytes(&self.key)),
            ("signature", Value::bytes(&self.signature)),
        ])
    }

    fn from_value(value: Value) -> Result<Self, CborError> {
        let mut fields = Fields::of("signature", value)?;
        let signature = Self {
            input: fields.uint("input")?,
            key: fields.bytes("key")?,
            signature: fields.bytes("signature")?,
        };
        fields.end()?;
        Ok(signature)
    }
}

fn answers<T>(answers: &[Answer<T>], one: impl Fn(&T) -> Value) -> Value {
    Value::array(answers.iter().map(|answer| match answer {
        Ok(given) => named("given", one(given)),
        Err(refused) => named("refused", Value::array(refused.iter().map(Refused::to_value))),
    }))
}

fn read_answers<T>(
    value: Value,
    one: impl Fn(Value) -> Result<T, CborError>,
) -> Result<Vec<Answer<T>>, CborError> {
    let Value::Array(items) = value else { return Err(invalid("answers", "want an array")) };
    bounded("answers", items, ITEMS_MAX, |item| match single(item)? {
        (name, value) if name == "given" => one(value).map(Ok),
        (name, Value::Array(refused)) if name == "refused" => {
            refused.into_iter().map(Refused::from_value).collect::<Result<_, _>>().map(Err)
        }
        (name, _) => Err(invalid("answers", format!("{name:?}, want given or refused"))),
    })
}

impl Response {
    /// The message's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Status { size, epoch } => {
                named("status", Value::map([("size", Value::uint(*size)), ("epoch", Value::uint(*epoch))]))
            }
            Self::Cosigned { size, line, challenge } => named(
                "cosigned",
                Value::map([
                    ("size", Value::uint(*size)),
                    ("line", Value::text(line)),
                    ("challenge", Value::bytes(challenge)),
                ]),
            ),
            Self::Behind { size } => named("behind", Value::map([("size", Value::uint(*size))])),
            Self::Lease(lease) => named("lease", lease.to_value()),
            Self::Receipts(given) => named("receipts", answers(given, Signed::to_value)),
            Self::Signatures(given) => named(
                "signatures",
                answers(given, |list| Value::array(list.iter().map(InputSignature::to_value))),
            ),
            Self::Tripped => named("tripped", Value::Null),
            Self::Permit(permit) => named("permit", permit.to_value()),
            Self::Alarm(alarm, trip) => named(
                "alarm",
                Value::map([
                    ("alarm", alarm.to_value()),
                    ("trip", Value::option(trip.as_deref().map(Signed::to_value))),
                ]),
            ),
            Self::Refused(refused) => named("refused", refused.to_value()),
        }
        .encode()
    }

    /// The message of these bytes.
    ///
    /// # Errors
    /// Not deterministic CBOR, an unknown message, a missing, unknown or malformed field, or more than allowed.
    pub fn decode(bytes: &[u8]) -> Result<Self, CborError> {
        let (name, value) = single(Value::decode(bytes)?)?;
        match name.as_str() {
            "lease" => return Signed::from_value(value).map(Box::new).map(Self::Lease),
            "receipts" => return read_answers(value, Signed::from_value).map(Self::Receipts),
            "signatures" => {
                let list = |value| match value {
                    Value::Array(items) => {
                        bounded("signatures", items, SIGNATURES_MAX, InputSignature::from_value)
                    }
                    Value::Uint(_)
                    | Value::Bytes(_)
                    | Value::Text(_)
                    | Value::Map(_)
                    | Value::Bool(_)
                    | Value::Null => Err(invalid("signatures", "want an array")),
                };
                return read_answers(value, list).map(Self::Signatures);
            }
            "tripped" if value == Value::Null => return Ok(Self::Tripped),
            "permit" => return Signed::from_value(value).map(Box::new).map(Self::Permit),
            "refused" => return Refused::from_value(value).map(Self::Refused),
            _ => {}
        }
        let mut fields = Fields::of(&name, value)?;
        let message = match name.as_str() {
            "status" => Self::Status { size: fields.uint("size")?, epoch: fields.uint("epoch")? },
            "cosigned" => Self::Cosigned {
                size: fields.uint("size")?,
                line: fields.text("line")?,
                challenge: fields.array("challenge")?,
            },
            "behind" => Self::Behind { size: fields.uint("size")? },
            "alarm" => Self::Alarm(
                Box::new(Signed::from_value(fields.value("alarm")?)?),
                fields.option("trip")?.map(Signed::from_value).transpose()?.map(Box::new),
            ),
            _ => return Err(invalid("message", format!("{name:?} is not a known response"))),
        };
        fields.end()?;
        Ok(message)
    }
}
