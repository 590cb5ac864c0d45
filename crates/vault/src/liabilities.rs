//! The root of what an exchange owes, as it stands in the log: the same for everybody. Decides nothing of the tree beneath it.

use kuraban_base::{
    Digest, Instant,
    cbor::{CborError, Fields, Value, invalid},
};

use crate::statement::instant;

/// Most blocks that date a root, and the longest name of a chain in bytes.
const BLOCKS_MAX: usize = 64;
const CHAIN_MAX: usize = 16;

/// A block that was known when the root was made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DatedBy {
    /// The chain.
    pub chain: String,
    /// The block's height.
    pub height: u64,
    /// Its hash, in the order in which the chain shows it.
    pub hash: [u8; 32],
}

/// What a person signs and the log holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Liabilities {
    /// The root: of scope, tree and totals.
    pub root: Digest,
    /// The digest of the totals, for whoever has these and no file.
    pub totals: Digest,
    /// When the holdings were these.
    pub as_of: Instant,
    /// What dates it.
    pub blocks: Vec<DatedBy>,
    /// The root of the same liabilities under a veil, where they were proved in zero knowledge too.
    pub veil: Option<Digest>,
}

impl Liabilities {
    /// The digest that a person signs: good for one log.
    #[must_use]
    pub fn digest(&self, origin: &str) -> Digest {
        let said = Value::map([("origin", Value::text(origin)), ("liabilities", self.to_value())]);
        Digest::sha256(&[b"kuraban-liabilities-published-v1", &said.encode()])
    }

    /// As a map. The veil's root is left out where there is none, so that entries without are what they always were.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let block = |block: &DatedBy| {
            Value::map([
                ("chain", Value::text(&block.chain)),
                ("height", Value::uint(block.height)),
                ("hash", Value::bytes(block.hash)),
            ])
        };
        let fields = [
            ("root", Value::bytes(self.root.as_bytes())),
            ("totals", Value::bytes(self.totals.as_bytes())),
            ("as_of", Value::uint(self.as_of.ms())),
            ("blocks", Value::array(self.blocks.iter().map(block))),
        ];
        let veil = self.veil.map(|veil| ("veil", Value::bytes(veil.as_bytes())));
        Value::fields(fields.into_iter().chain(veil))
    }

    /// Of a map.
    ///
    /// # Errors
    /// A missing, unknown or malformed field.
    pub fn from_value(value: Value) -> Result<Self, CborError> {
        let mut fields = Fields::of("liabilities", value)?;
        let liabilities = Self {
            root: Digest::from_bytes(fields.array("root")?),
            totals: Digest::from_bytes(fields.array("totals")?),
            as_of: instant(&mut fields, "as_of")?,
            blocks: fields.items("blocks")?.into_iter().map(block).collect::<Result<_, _>>()?,
            veil: fields.array_if_there("veil")?.map(Digest::from_bytes),
        };
        fields.end()?;
        if liabilities.blocks.len() > BLOCKS_MAX {
            let found = liabilities.blocks.len();
            return Err(invalid("blocks", format!("{found} of them, want at most {BLOCKS_MAX}")));
        }
        Ok(liabilities)
    }
}

fn block(value: Value) -> Result<DatedBy, CborError> {
    let mut fields = Fields::of("block", value)?;
    let block =
        DatedBy { chain: fields.text("chain")?, height: fields.uint("height")?, hash: fields.array("hash")? };
    fields.end()?;
    if (1..=CHAIN_MAX).contains(&block.chain.len()) {
        return Ok(block);
    }
    Err(invalid("chain", format!("{} bytes, want 1 to {CHAIN_MAX}", block.chain.len())))
}
