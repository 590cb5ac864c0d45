//! What a tag says of taint, beyond what a TagPack has fields for: how much, by which method, of which theft, until when,
//! and who vouches for it. It stands in `context` under `taint`, so that the pack stays a TagPack for everybody else.
//!
//! Decides whether that can be read and whether a signature holds; never whose key it should be.

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use kuraban_base::{cbor, hex};
use serde_json::{Map, Value, json};

use super::Tag;

/// Longest text of a field.
const TEXT_MAX: usize = 1_000;
/// The methods of the contract.
const METHODS: [&str; 9] =
    ["poison", "haircut", "fifo", "lifo", "tiho", "dirty-first", "clean-first", "libr", SPAN];
/// Stands for a method where several were used: the amount is the least over them, and `most` the most.
pub const SPAN: &str = "span";
/// Names of base units.
const UNITS: [&str; 5] = ["sat", "wei", "drop", "microxem", "unit"];

/// Taint on what a tag is on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Taint {
    /// The theft.
    pub case: String,
    /// The rule that it was followed by.
    pub method: String,
    /// How much, in base units; over several methods the least.
    pub amount: u128,
    /// The most over several methods; nothing for one method.
    pub most: Option<u128>,
    /// The base unit's name, such as `sat`.
    pub unit: String,
    /// The output: transaction and index.
    pub outpoint: Option<String>,
    /// After this it says nothing, in milliseconds since 1970.
    pub expires_ms: Option<u64>,
    /// Taken back: when, in milliseconds since 1970, and why.
    pub revoked: Option<(u64, String)>,
    /// Place in the feed of whoever tagged.
    pub sequence: Option<u64>,
    /// Whose word it is: an Ed25519 key and its signature.
    pub signature: Option<Signed>,
}

/// An Ed25519 key and a signature by it.
pub type Signed = ([u8; 32], [u8; 64]);

/// Why a context's taint cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("taint.{field}: {problem}")]
pub struct TaintError {
    field: &'static str,
    problem: String,
}

fn wrong(field: &'static str, problem: impl Into<String>) -> TaintError {
    TaintError { field, problem: problem.into() }
}

impl Taint {
    /// Reads a context; nothing if it says nothing of taint.
    ///
    /// # Errors
    /// What is wrong, in which field. Unknown fields are wrong too: they might take something back.
    pub fn of_context(context: &Value) -> Result<Option<Self>, TaintError> {
        let Some(taint) = context.as_object().and_then(|context| context.get("taint")) else {
            return Ok(None);
        };
        let fields = taint.as_object().ok_or_else(|| wrong("", "is no object"))?;
        const KNOWN: [&str; 10] = [
            "version",
            "case",
            "method",
            "amount",
            "most",
            "unit",
            "outpoint",
            "expires_ms",
            "revoked",
            "sequence",
        ];
        if let Some(key) = fields.keys().find(|key| !KNOWN.contains(&key.as_str()) && *key != "signature") {
            return Err(wrong("", format!("{key:?} is not known")));
        }
        if fields.get("version").and_then(Value::as_u64) != Some(1) {
            return Err(wrong("version", "want 1"));
        }
        let method = text(fields, "method")?;
        let unit = text(fields, "unit")?;
        if !METHODS.contains(&method.as_str()) {
            return Err(wrong("method", format!("{method:?} is none of {}", METHODS.join(", "))));
        }
        if !UNITS.contains(&unit.as_str()) {
            return Err(wrong("unit", format!("{unit:?} is none of {}", UNITS.join(", "))));
        }
        let amount = amount(fields, "amount")?;
        let most = fields.get("most").map(|_| self::amount(fields, "most")).transpose()?;
        if most.is_some() != (method == SPAN) || most.is_some_and(|most| most < amount) {
            return Err(wrong("most", "want it with the method span, at least the amount"));
        }
        Ok(Some(Self {
            case: text(fields, "case")?,
            method,
            amount,
            most,
            unit,
            outpoint: fields.get("outpoint").map(|_| outpoint(fields)).transpose()?,
            expires_ms: number(fields, "expires_ms")?,
            revoked: revoked(fields)?,
            sequence: number(fields, "sequence")?,
            signature: signature(fields)?,
        }))
    }

    /// The context that says this and nothing else.
    #[must_use]
    pub fn to_context(&self) -> Value {
        let mut taint = Map::new();
        let mut put = |name: &str, value: Value| drop(taint.insert(name.to_owned(), value));
        put("version", json!(1));
        put("case", json!(self.case));
        put("method", json!(self.method));
        put("amount", json!(self.amount.to_string()));
        if let Some(most) = self.most {
            put("most", json!(most.to_string()));
        }
        put("unit", json!(self.unit));
        if let Some(outpoint) = &self.outpoint {
            put("outpoint", json!(outpoint));
        }
        if let Some(expires_ms) = self.expires_ms {
            put("expires_ms", json!(expires_ms));
        }
        if let Some((at_ms, reason)) = &self.revoked {
            put("revoked", json!({ "at_ms": at_ms, "reason": reason }));
        }
        if let Some(sequence) = self.sequence {
            put("sequence", json!(sequence));
        }
        if let Some((key, signature)) = &self.signature {
            put("signature", json!({ "key": hex::encode(key), "ed25519": hex::encode(signature) }));
        }
        json!({ "taint": taint })
    }

    /// Whether it holds at a time: not expired and not taken back.
    #[must_use]
    pub fn holds(&self, now_ms: u64) -> bool {
        self.revoked.is_none() && self.expires_ms.is_none_or(|expires_ms| now_ms < expires_ms)
    }

    /// What is signed: the tag's subject, words and taint as deterministic CBOR. The signature binds the tag to its subject,
    /// so that it cannot be moved to another.
    fn signed(&self, tag: &Tag) -> Vec<u8> {
        let text = |text: &str| cbor::Value::text(text);
        let number = |number: Option<u64>| cbor::Value::option(number.map(cbor::Value::uint));
        let revoked = self.revoked.as_ref();
        let revoked =
            revoked.map(|(at_ms, reason)| cbor::Value::array([cbor::Value::uint(*at_ms), text(reason)]));
        let mut said = vec![
            text("kuraban taint tag 1"),
            text(tag.kind.field()),
            text(&tag.network),
            text(&tag.normal),
            text(&tag.currency),
            text(&tag.label),
            text(&tag.source),
            text(&self.case),
            text(&self.method),
            cbor::Value::uint(self.amount),
            text(&self.unit),
            cbor::Value::option(self.outpoint.as_deref().map(text)),
            number(self.expires_ms),
            cbor::Value::option(revoked),
            number(self.sequence),
        ];
        said.extend(self.most.map(cbor::Value::uint));
        cbor::Value::array(said).encode()
    }

    /// Signs it as part of a tag.
    pub fn sign(&mut self, tag: &Tag, secret: &SigningKey) {
        let signature = secret.sign(&self.signed(tag));
        self.signature = Some((secret.verifying_key().to_bytes(), signature.to_bytes()));
    }

    /// The key that signed it as part of this tag; nothing if none did or the signature does not hold.
    #[must_use]
    pub fn signer(&self, tag: &Tag) -> Option<[u8; 32]> {
        let (key, signature) = self.signature.as_ref()?;
        let public = VerifyingKey::from_bytes(key).ok()?;
        public.verify_strict(&self.signed(tag), &Signature::from_bytes(signature)).ok().map(|()| *key)
    }

    /// In a line, for people and for formats that have text only.
    #[must_use]
    pub fn to_line(&self) -> String {
        let to = self.most.map_or_else(String::new, |most| format!(" to {most}"));
        let mut line =
            format!("{}{to} {} tainted by {} ({})", self.amount, self.unit, self.case, self.method);
        if let Some((_, reason)) = &self.revoked {
            line += &format!(", revoked: {reason}");
        }
        line
    }
}

fn text(fields: &Map<String, Value>, field: &'static str) -> Result<String, TaintError> {
    match fields.get(field) {
        Some(Value::String(text)) if (1..=TEXT_MAX).contains(&text.len()) => Ok(text.clone()),
        Some(Value::String(text)) => {
            Err(wrong(field, format!("has {} bytes, want 1 to {TEXT_MAX}", text.len())))
        }
        Some(_) => Err(wrong(field, "want text")),
        None => Err(wrong(field, "is missing")),
    }
}

/// A whole number as text: JSON's numbers do not hold every amount.
fn amount(fields: &Map<String, Value>, field: &'static str) -> Result<u128, TaintError> {
    let text = text(fields, field)?;
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let amount = text.parse().ok().filter(|_| digits);
    amount.ok_or_else(|| wrong(field, "want a whole number of base units as text"))
}

fn number(fields: &Map<String, Value>, field: &'static str) -> Result<Option<u64>, TaintError> {
    let number = |value: &Value| value.as_u64().ok_or_else(|| wrong(field, "want a whole number from 0"));
    fields.get(field).map(number).transpose()
}

fn outpoint(fields: &Map<String, Value>) -> Result<String, TaintError> {
    let text = text(fields, "outpoint")?;
    let parts = text.split_once(':');
    let fits = parts.is_some_and(|(txid, vout)| {
        hex::decode_array::<32>(txid).is_ok()
            && vout.parse::<u32>().is_ok_and(|number| number.to_string() == vout)
    });
    if fits { Ok(text) } else { Err(wrong("outpoint", "want a transaction's id, a colon and an index")) }
}

fn revoked(fields: &Map<String, Value>) -> Result<Option<(u64, String)>, TaintError> {
    let Some(value) = fields.get("revoked") else { return Ok(None) };
    let revoked = value.as_object().ok_or_else(|| wrong("revoked", "want an object"))?;
    let at_ms = number(revoked, "at_ms")?.ok_or_else(|| wrong("revoked", "at_ms is missing"))?;
    Ok(Some((at_ms, text(revoked, "reason")?)))
}

fn signature(fields: &Map<String, Value>) -> Result<Option<Signed>, TaintError> {
    let Some(value) = fields.get("signature") else { return Ok(None) };
    let signature = value.as_object().ok_or_else(|| wrong("signature", "want an object"))?;
    let (key, bytes) = (text(signature, "key")?, text(signature, "ed25519")?);
    let key = hex::decode_array(&key).map_err(|error| wrong("signature", format!("key: {error}")))?;
    let bytes = hex::decode_array(&bytes).map_err(|error| wrong("signature", format!("ed25519: {error}")))?;
    Ok(Some((key, bytes)))
}
