//! A bundle's bytes: deterministic CBOR, with its digest.
//!
//! Decides the form alone; what the parts prove is decided where they are put together.

use kuraban_base::{
    Digest, Height,
    cbor::{CborError, Fields, Value, invalid},
};
use kuraban_chain::btc::{DecodeError, Header, Network, OutPoint, Tx, block::HEADER_BYTES};

use super::{Bundle, Proven, Question};
use crate::taint::Method;

/// Largest bundle that is read.
pub const BUNDLE_BYTES_MAX: usize = 1 << 30;
/// The form's version.
const VERSION: u64 = 1;
const NODE: usize = 32;

/// Why bytes are no bundle.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WireError {
    /// The encoding.
    #[error("bundle is malformed")]
    Cbor(#[from] CborError),
    /// A header or transaction in it.
    #[error("bundle holds a malformed {what}")]
    Decode {
        /// What it was to be.
        what: &'static str,
        /// What is wrong.
        #[source]
        source: DecodeError,
    },
    /// Another version.
    #[error("bundle has version {found}, expected {VERSION}")]
    Version {
        /// Its version.
        found: u64,
    },
    /// The answer is not the one that the digest is of.
    #[error("answer has the digest {found}, bundle says {want}")]
    Answer {
        /// Recomputed.
        found: Digest,
        /// In the bundle.
        want: Digest,
    },
}

impl Bundle {
    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let path = self.path.iter().map(|proven| {
            Value::map([
                ("height", Value::uint(proven.height.blocks())),
                ("place", Value::uint(proven.place)),
                ("branch", Value::bytes(proven.branch.concat())),
                ("tx", Value::bytes(proven.tx.encode_stripped())),
            ])
        });
        let headers: Vec<u8> = self.headers.iter().flat_map(Header::encode).collect();
        Value::map([
            ("v", Value::uint(VERSION)),
            ("network", Value::text(self.network)),
            ("question", self.question.value()),
            ("first", Value::uint(self.first.blocks())),
            ("headers", Value::bytes(headers)),
            ("path", Value::array(path)),
            ("previous", Value::array(self.previous.iter().map(|tx| Value::bytes(tx.encode_stripped())))),
            ("answer", Value::bytes(&self.answer)),
            ("answer_sha256", Value::bytes(Digest::sha256(&[&self.answer]).as_bytes())),
        ])
        .encode()
    }

    /// The bundle that these bytes are, all of them.
    ///
    /// # Errors
    /// What is malformed, or an answer that is not the one its digest is of.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut fields = Fields::of("bundle", Value::decode(bytes)?)?;
        let found: u64 = fields.uint("v")?;
        if found != VERSION {
            return Err(WireError::Version { found });
        }
        let network: Network = fields.parse("network")?;
        let question = Question::of(fields.value("question")?)?;
        let first = Height::new(fields.uint("first")?);
        let headers = headers(&fields.bytes("headers")?)?;
        let path = fields.items("path")?.into_iter().map(|item| proven(network, item));
        let path = path.collect::<Result<_, _>>()?;
        let previous = fields.items("previous")?.into_iter().map(|item| match item {
            Value::Bytes(bytes) => decode_tx(network, &bytes),
            Value::Uint(_)
            | Value::Text(_)
            | Value::Array(_)
            | Value::Map(_)
            | Value::Bool(_)
            | Value::Null => Err(invalid("previous", "is not an array of byte strings").into()),
        });
        let previous = previous.collect::<Result<_, _>>()?;
        let answer = fields.bytes("answer")?;
        let want = Digest::from_bytes(fields.array("answer_sha256")?);
        fields.end()?;
        let found = Digest::sha256(&[&answer]);
        if found != want {
            return Err(WireError::Answer { found, want });
        }
        Ok(Self { network, question, first, headers, path, previous, answer })
    }
}

impl Question {
    fn value(&self) -> Value {
        Value::map([
            ("method", Value::text(self.method)),
            ("until", Value::option(self.until.map(|until| Value::uint(until.blocks())))),
            ("dust_sat", Value::uint(self.dust_sat)),
            ("seeds", Value::array(self.seeds.iter().map(Value::text))),
            ("stops", Value::array(self.stops.iter().map(Value::text))),
        ])
    }

    fn of(value: Value) -> Result<Self, CborError> {
        let mut fields = Fields::of("question", value)?;
        let method: Method = fields.parse("method")?;
        let until = match fields.option("until")? {
            None => None,
            Some(Value::Uint(blocks)) => {
                Some(Height::new(u32::try_from(blocks).map_err(|_| invalid("until", "is no height"))?))
            }
            Some(
                Value::Bytes(_)
                | Value::Text(_)
                | Value::Array(_)
                | Value::Map(_)
                | Value::Bool(_)
                | Value::Null,
            ) => return Err(invalid("until", "is no height")),
        };
        let dust_sat = fields.uint("dust_sat")?;
        let seeds = texts(&mut fields, "seeds")?;
        let parse = |text: &String| text.parse::<OutPoint>().map_err(|error| invalid("seeds", error));
        let seeds = seeds.iter().map(parse).collect::<Result<_, _>>()?;
        let stops = texts(&mut fields, "stops")?;
        fields.end()?;
        Ok(Self { method, until, dust_sat, seeds, stops })
    }
}

fn texts(fields: &mut Fields, field: &str) -> Result<Vec<String>, CborError> {
    let text = |item| match item {
        Value::Text(text) => Ok(text),
        Value::Uint(_) | Value::Bytes(_) | Value::Array(_) | Value::Map(_) | Value::Bool(_) | Value::Null => {
            Err(invalid(field, "is not an array of text"))
        }
    };
    fields.items(field)?.into_iter().map(text).collect()
}

fn headers(bytes: &[u8]) -> Result<Vec<Header>, WireError> {
    let decode =
        |bytes: &[u8]| Header::decode(bytes).map_err(|source| WireError::Decode { what: "header", source });
    bytes.chunks(HEADER_BYTES).map(decode).collect()
}

fn proven(network: Network, value: Value) -> Result<Proven, WireError> {
    let mut fields = Fields::of("path", value)?;
    let height = Height::new(fields.uint("height")?);
    let place = fields.uint("place")?;
    let bytes = fields.bytes("branch")?;
    let (nodes, rest) = bytes.as_chunks::<NODE>();
    if !rest.is_empty() {
        return Err(invalid("branch", "is not a sequence of 32-byte hashes").into());
    }
    let tx = decode_tx(network, &fields.bytes("tx")?)?;
    fields.end()?;
    Ok(Proven { height, place, branch: nodes.to_vec(), tx })
}

fn decode_tx(network: Network, bytes: &[u8]) -> Result<Tx, WireError> {
    Tx::decode(network, bytes).map_err(|source| WireError::Decode { what: "transaction", source })
}
