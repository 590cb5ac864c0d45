//! Transactions as Esplora's API writes them, with the outputs that they spend.
//!
//! Decides whether a document is one, within limits, and names the field that is wrong. Takes every value from the document:
//! it does not check that id and content belong together.

use kuraban_base::{Txid, hex};
use serde_json::{Map, Value};

use super::view::{View, ViewError};

/// Most bytes of one document: the largest transaction in hexadecimal, twice over, with its disassembly.
pub const DOCUMENT_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Most inputs: as many as fit a block, of 41 bytes each.
const INPUTS_MAX: usize = 25_000;
/// Most outputs: as many as fit a block, of 9 bytes each.
const OUTPUTS_MAX: usize = 112_000;
/// Most bytes of a script.
const SCRIPT_BYTES_MAX: usize = 4_000_000;

/// A transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transaction {
    /// Its id, as the document has it.
    pub txid: Txid,
    /// What it moves.
    pub view: View,
    /// Addresses of its inputs that the document names.
    pub spends_from: Vec<String>,
}

/// Why a document is no transaction.
#[derive(Debug, thiserror::Error)]
pub enum EsploraError {
    /// Longer than a transaction can be.
    #[error("document has {got} bytes, want at most {max}")]
    Length {
        /// Its bytes.
        got: usize,
        /// The limit.
        max: usize,
    },
    /// Not JSON.
    #[error("document is not JSON")]
    Json(#[source] serde_json::Error),
    /// A field that is missing or wrong.
    #[error("{field}: {problem}")]
    Field {
        /// Its path, such as `vin[3].prevout.value`.
        field: String,
        /// What was found and what was expected.
        problem: String,
    },
    /// Amounts that no transaction has.
    #[error("{0}")]
    Amounts(ViewError),
}

impl EsploraError {
    /// The path of the field that is wrong, where it is one field.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::Field { field, .. } => Some(field),
            Self::Length { .. } | Self::Json(_) | Self::Amounts(_) => None,
        }
    }
}

fn wrong(field: impl Into<String>, problem: impl Into<String>) -> EsploraError {
    EsploraError::Field { field: field.into(), problem: problem.into() }
}

impl Transaction {
    /// Reads one document. Fields that are not needed may be missing; unknown ones are passed over.
    ///
    /// # Errors
    /// What is wrong, and in which field.
    pub fn parse(document: &[u8]) -> Result<Self, EsploraError> {
        let got = document.len();
        if got > DOCUMENT_BYTES_MAX {
            return Err(EsploraError::Length { got, max: DOCUMENT_BYTES_MAX });
        }
        let value: Value = serde_json::from_slice(document).map_err(EsploraError::Json)?;
        Self::of_json(&value)
    }

    /// Reads one document that was parsed.
    ///
    /// # Errors
    /// What is wrong, and in which field.
    pub fn of_json(value: &Value) -> Result<Self, EsploraError> {
        let top = object("transaction", value)?;
        let txid = text("txid", top.get("txid"))?;
        let txid = txid.parse().map_err(|error| wrong("txid", format!("{error}")))?;
        let vin = list("vin", top.get("vin"), INPUTS_MAX)?;
        let vout = list("vout", top.get("vout"), OUTPUTS_MAX)?;
        let mut inputs = Vec::new();
        let mut spends_from = Vec::new();
        for (place, input) in vin.iter().enumerate() {
            let path = format!("vin[{place}]");
            let input = object(&path, input)?;
            if is_coinbase(&path, input)? {
                if vin.len() > 1 {
                    return Err(wrong(path, "is newly mined and not the only input, want it alone"));
                }
                continue;
            }
            let prevout = match input.get("prevout") {
                Some(Value::Null) | None => {
                    return Err(wrong(path, "lacks prevout, want the output that it spends"));
                }
                Some(prevout) => object(&format!("{path}.prevout"), prevout)?,
            };
            inputs.push(output(&format!("{path}.prevout"), prevout)?);
            spends_from
                .extend(prevout.get("scriptpubkey_address").and_then(Value::as_str).map(str::to_owned));
        }
        let mut outputs = Vec::new();
        for (place, value) in vout.iter().enumerate() {
            let path = format!("vout[{place}]");
            outputs.push(output(&path, object(&path, value)?)?);
        }
        let view = View::of_scripts(
            inputs.iter().map(|(value, script)| (*value, script.as_slice())),
            outputs.iter().map(|(value, script)| (*value, script.as_slice())),
        );
        Ok(Self { txid, view: view.map_err(EsploraError::Amounts)?, spends_from })
    }
}

fn is_coinbase(path: &str, input: &Map<String, Value>) -> Result<bool, EsploraError> {
    match input.get("is_coinbase") {
        None => Ok(false),
        Some(Value::Bool(is_coinbase)) => Ok(*is_coinbase),
        Some(other) => {
            Err(wrong(format!("{path}.is_coinbase"), format!("is {}, want true or false", kind(other))))
        }
    }
}

fn output(path: &str, fields: &Map<String, Value>) -> Result<(u64, Vec<u8>), EsploraError> {
    let field = |name: &str| format!("{path}.{name}");
    let value = match fields.get("value") {
        Some(Value::Number(number)) => number.as_u64().ok_or_else(|| {
            wrong(field("value"), format!("is {number}, want a whole number of base units from 0"))
        })?,
        Some(other) => return Err(wrong(field("value"), format!("is {}, want a number", kind(other)))),
        None => return Err(wrong(field("value"), "is missing")),
    };
    let script = text(&field("scriptpubkey"), fields.get("scriptpubkey"))?;
    if script.len() > 2 * SCRIPT_BYTES_MAX {
        let problem = format!("has {} characters, want at most {}", script.len(), 2 * SCRIPT_BYTES_MAX);
        return Err(wrong(field("scriptpubkey"), problem));
    }
    let script = hex::decode(script).map_err(|error| wrong(field("scriptpubkey"), error.to_string()))?;
    Ok((value, script))
}

fn object<'a>(path: &str, value: &'a Value) -> Result<&'a Map<String, Value>, EsploraError> {
    value.as_object().ok_or_else(|| wrong(path, format!("is {}, want an object", kind(value))))
}

fn list<'a>(path: &str, value: Option<&'a Value>, max: usize) -> Result<&'a [Value], EsploraError> {
    match value {
        Some(Value::Array(items)) if items.is_empty() => Err(wrong(path, "is empty, want at least one")),
        Some(Value::Array(items)) if items.len() > max => {
            Err(wrong(path, format!("has {} items, want at most {max}", items.len())))
        }
        Some(Value::Array(items)) => Ok(items),
        Some(other) => Err(wrong(path, format!("is {}, want a list", kind(other)))),
        None => Err(wrong(path, "is missing")),
    }
}

fn text<'a>(path: &str, value: Option<&'a Value>) -> Result<&'a str, EsploraError> {
    match value {
        Some(Value::String(text)) => Ok(text),
        Some(other) => Err(wrong(path, format!("is {}, want text", kind(other)))),
        None => Err(wrong(path, "is missing")),
    }
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
