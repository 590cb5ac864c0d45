//! What the exporter says of a hand-over, and what the receiver says of what it took. Decides how both are written; who signed them is
//! the tool's business.

use kuraban_base::{
    Amount, Digest, Instant, TreeHash,
    cbor::{self, CborError, Fields, Value},
};
use kuraban_proof::{Frontier, tree::leaf_hash};

use super::{
    CASES_MAX, CHUNK_BYTES_MAX, CHUNKS_MAX, Chunk, ExportId, HandoverError, Kind, Salt, Sum, Totals,
    row::version, text,
};
use crate::Assets;

/// Most files in an import: the cases and the tables.
const FILES_MAX: usize = CASES_MAX + 16;

/// A chunk as the manifest names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChunkLine {
    /// What its rows are about.
    pub kind: Kind,
    /// How many there are.
    pub rows: u64,
    /// Bytes of its file.
    pub length: u64,
    /// SHA-256 of its file.
    pub hash: Digest,
}

impl ChunkLine {
    fn value(&self) -> Value {
        Value::map([
            ("kind", Value::text(self.kind.name())),
            ("rows", Value::uint(self.rows)),
            ("length", Value::uint(self.length)),
            ("hash", Value::bytes(self.hash.as_bytes())),
        ])
    }

    fn of(value: Value) -> Result<Self, CborError> {
        let mut fields = Fields::of("chunk", value)?;
        let kind = Kind::of(&fields.text("kind")?)?;
        let (rows, length): (u64, u64) = (fields.uint("rows")?, fields.uint("length")?);
        let hash = Digest::from_bytes(fields.array("hash")?);
        fields.end()?;
        let fits = usize::try_from(length).is_ok_and(|length| length <= CHUNK_BYTES_MAX);
        if !fits {
            return Err(cbor::invalid("length", format!("{length}, want at most {CHUNK_BYTES_MAX}")));
        }
        Ok(Self { kind, rows, length, hash })
    }
}

/// What a hand-over consists of. Its signature binds everything.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Manifest {
    /// Which hand-over.
    pub export: ExportId,
    /// When it was made.
    pub at: Instant,
    /// The receiver's public key for encryption, as age writes it.
    pub to: String,
    /// What it comes to.
    pub sum: Sum,
    /// Its chunks, in order.
    pub chunks: Vec<ChunkLine>,
}

impl Manifest {
    /// Deterministic CBOR.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        Value::map([
            ("v", Value::uint(1_u32)),
            ("export", Value::bytes(self.export.0)),
            ("at", Value::uint(self.at.ms())),
            ("to", Value::text(&self.to)),
            ("accounts_root", Value::bytes(self.sum.accounts_root.as_bytes())),
            ("totals", totals_value(&self.sum.totals)),
            ("rows", Value::array(self.sum.rows.map(Value::uint))),
            ("chunks", Value::array(self.chunks.iter().map(ChunkLine::value))),
        ])
        .encode()
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// Anything else, or more than there may be.
    pub fn decode(bytes: &[u8]) -> Result<Self, HandoverError> {
        let mut fields = Fields::of("manifest", Value::decode(bytes)?)?;
        version(&mut fields)?;
        let export = ExportId(fields.array("export")?);
        let at = Instant::from_ms(fields.uint("at")?);
        let to = text("to", fields.text("to")?, 128)?;
        let accounts_root = TreeHash::from_bytes(fields.array("accounts_root")?);
        let totals = totals_of(fields.items("totals")?)?;
        let rows = fields.items("rows")?.into_iter().map(number).collect::<Result<Vec<_>, _>>()?;
        let rows: [u64; 4] = rows.try_into().map_err(|_| cbor::invalid("rows", "want four numbers"))?;
        let chunks = fields.items("chunks")?;
        fields.end()?;
        if chunks.len() > CHUNKS_MAX {
            return Err(HandoverError::Many { what: "chunks", found: chunks.len(), max: CHUNKS_MAX });
        }
        let chunks = chunks.into_iter().map(ChunkLine::of).collect::<Result<_, _>>()?;
        Ok(Self { export, at, to, sum: Sum { accounts_root, totals, rows }, chunks })
    }

    /// What stands for the whole: the digest of its encoding.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::sha256(&[&self.encode()])
    }

    /// The root of the tree (RFC 6962 §2.1) of chunks, each by the hash of its file.
    #[must_use]
    pub fn chunks_root(&self) -> TreeHash {
        let mut tree = Frontier::new();
        self.chunks.iter().for_each(|chunk| tree.append(leaf_hash(chunk.hash.as_bytes())));
        tree.root()
    }

    /// Whether a decrypted chunk is the one in this place.
    ///
    /// # Errors
    /// Of another hand-over, in another place, of another kind or number of rows.
    pub fn holds(&self, place: u64, chunk: &Chunk) -> Result<(), HandoverError> {
        let line = usize::try_from(place).ok().and_then(|place| self.chunks.get(place));
        let many = HandoverError::Many { what: "chunks", found: CHUNKS_MAX, max: self.chunks.len() };
        let line = line.ok_or(many)?;
        HandoverError::unless_equal("the hand-over that the chunk belongs to", &chunk.export, &self.export)?;
        HandoverError::unless_equal("the chunk's own number", &chunk.number, &place)?;
        HandoverError::unless_equal("its kind", &chunk.kind.name(), &line.kind.name())?;
        let rows = u64::try_from(chunk.rows.len()).unwrap_or(u64::MAX);
        HandoverError::unless_equal("its number of rows", &rows, &line.rows)
    }
}

fn number(value: Value) -> Result<u64, CborError> {
    let Value::Uint(number) = value else { return Err(cbor::invalid("rows", "want numbers")) };
    u64::try_from(number).map_err(|_| cbor::invalid("rows", "beyond 64 bits"))
}

fn totals_value(totals: &Totals) -> Value {
    Value::array(totals.iter().map(|(code, (decimals, units))| {
        Value::map([
            ("code", Value::text(code)),
            ("decimals", Value::uint(*decimals)),
            ("units", Value::uint(units.units())),
        ])
    }))
}

fn totals_of(items: Vec<Value>) -> Result<Totals, HandoverError> {
    let mut totals = Totals::new();
    let mut assets = Assets::default();
    for item in items {
        let mut fields = Fields::of("totals", item)?;
        let (code, decimals): (String, u8) = (fields.text("code")?, fields.uint("decimals")?);
        let units = Amount::new(fields.uint("units")?);
        fields.end()?;
        assets.add(&code, decimals).map_err(|problem| cbor::invalid("totals", problem))?;
        if let Some((after, _)) = totals.last_key_value().filter(|(after, _)| **after >= code) {
            return Err(HandoverError::Order { kind: "totals", found: code, after: after.clone() });
        }
        totals.insert(code, (decimals, units));
    }
    Ok(totals)
}

/// A file of an import.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileLine {
    /// Its name within the folder.
    pub name: String,
    /// Its bytes.
    pub length: u64,
    /// Its SHA-256.
    pub hash: Digest,
}

/// What the receiver took, and how its books differed. Its signature binds the tables.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Receipt {
    /// The digest of the manifest that it answers.
    pub manifest: Digest,
    /// Of the leaves.
    pub salt: Salt,
    /// When it was taken.
    pub at: Instant,
    /// The root of the accounts as they arrived.
    pub accounts_root: TreeHash,
    /// Whether the receiver laid its own books beside what arrived.
    pub compared: bool,
    /// How many balances differed.
    pub differences: u64,
    /// Every table.
    pub files: Vec<FileLine>,
}

impl Receipt {
    /// Deterministic CBOR.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let file = |file: &FileLine| {
            Value::map([
                ("name", Value::text(&file.name)),
                ("length", Value::uint(file.length)),
                ("hash", Value::bytes(file.hash.as_bytes())),
            ])
        };
        Value::map([
            ("v", Value::uint(1_u32)),
            ("manifest", Value::bytes(self.manifest.as_bytes())),
            ("salt", Value::bytes(self.salt.0)),
            ("at", Value::uint(self.at.ms())),
            ("accounts_root", Value::bytes(self.accounts_root.as_bytes())),
            ("compared", Value::Bool(self.compared)),
            ("differences", Value::uint(self.differences)),
            ("files", Value::array(self.files.iter().map(file))),
        ])
        .encode()
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// Anything else, or more than there may be.
    pub fn decode(bytes: &[u8]) -> Result<Self, HandoverError> {
        let mut fields = Fields::of("receipt", Value::decode(bytes)?)?;
        version(&mut fields)?;
        let manifest = Digest::from_bytes(fields.array("manifest")?);
        let salt = Salt(fields.array("salt")?);
        let at = Instant::from_ms(fields.uint("at")?);
        let accounts_root = TreeHash::from_bytes(fields.array("accounts_root")?);
        let (compared, differences) = (fields.bool("compared")?, fields.uint("differences")?);
        let files = fields.items("files")?;
        fields.end()?;
        if files.len() > FILES_MAX {
            return Err(HandoverError::Many { what: "files", found: files.len(), max: FILES_MAX });
        }
        let file = |value: Value| {
            let mut fields = Fields::of("file", value)?;
            let file = FileLine {
                name: fields.text("name")?,
                length: fields.uint("length")?,
                hash: Digest::from_bytes(fields.array("hash")?),
            };
            fields.end()?;
            Ok::<_, CborError>(file)
        };
        let files = files.into_iter().map(file).collect::<Result<_, _>>()?;
        Ok(Self { manifest, salt, at, accounts_root, compared, differences, files })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(chunks: usize) -> Manifest {
        let line = ChunkLine { kind: Kind::Accounts, rows: 1, length: 9, hash: Digest::from_bytes([5; 32]) };
        let totals = Totals::from([("BTC".to_owned(), (8, Amount::new(7)))]);
        let sum = Sum { accounts_root: TreeHash::from_bytes([4; 32]), totals, rows: [1, 0, 0, 0] };
        let to = "age1x".to_owned();
        Manifest { export: ExportId([1; 16]), at: Instant::from_ms(3), to, sum, chunks: vec![line; chunks] }
    }

    fn receipt(manifest: &Manifest, files: usize) -> Receipt {
        let file = FileLine { name: "accounts.csv".to_owned(), length: 3, hash: Digest::from_bytes([6; 32]) };
        Receipt {
            manifest: manifest.digest(),
            salt: Salt([8; 32]),
            at: Instant::from_ms(4),
            accounts_root: manifest.sum.accounts_root,
            compared: true,
            differences: 2,
            files: vec![file; files],
        }
    }

    #[test]
    fn a_receipt_of_as_many_files_as_there_may_be_is_read_again() {
        let read =
            |files| Receipt::decode(&receipt(&manifest(1), files).encode()).map(|read| read.files.len());
        assert_eq!(read(FILES_MAX), Ok(FILES_MAX));
        let many = HandoverError::Many { what: "files", found: FILES_MAX + 1, max: FILES_MAX };
        assert_eq!(read(FILES_MAX + 1), Err(many));
    }

    #[test]
    fn manifests_and_receipts_are_read_as_they_were_written_and_at_no_other_length() {
        let manifest = manifest(2);
        let bytes = manifest.encode();
        assert_eq!(Manifest::decode(&bytes).as_ref(), Ok(&manifest));
        assert!((0..bytes.len()).all(|length| Manifest::decode(&bytes[..length]).is_err()));
        let receipt = receipt(&manifest, 1);
        let bytes = receipt.encode();
        assert_eq!(Receipt::decode(&bytes).as_ref(), Ok(&receipt));
        assert!((0..bytes.len()).all(|length| Receipt::decode(&bytes[..length]).is_err()));
    }

    #[test]
    fn a_chunk_of_another_place_or_hand_over_is_refused() {
        let manifest = manifest(2);
        let chunk = |export, number, kind, rows: usize| {
            let case = super::super::Case { name: "x.json".to_owned(), bytes: Vec::new() };
            let rows = vec![super::super::Row::Case(case); rows];
            Chunk { export: ExportId([export; 16]), number, salt: Salt([0; 32]), kind, rows }
        };
        let check = |place, chunk: Chunk, want: Option<&str>| {
            let found = manifest.holds(place, &chunk).err().map(|problem| problem.to_string());
            assert!(
                found
                    .as_deref()
                    .zip(want)
                    .map_or(found.is_none() && want.is_none(), |(found, want)| found.starts_with(want)),
                "{found:?}"
            );
        };
        let accounts = Kind::Accounts;
        check(1, chunk(1, 1, accounts, 1), None);
        check(2, chunk(1, 2, accounts, 1), Some("chunks: "));
        check(1, chunk(2, 1, accounts, 1), Some("the hand-over that the chunk belongs to"));
        check(1, chunk(1, 0, accounts, 1), Some("the chunk's own number is 0, want 1"));
        check(1, chunk(1, 1, Kind::Cases, 1), Some("its kind is cases, want accounts"));
        check(1, chunk(1, 1, accounts, 2), Some("its number of rows is 2, want 1"));
    }

    #[test]
    fn chunks_are_counted_and_measured_up_to_their_bounds() {
        assert!(Manifest::decode(&manifest(CHUNKS_MAX).encode()).is_ok());
        assert!(Manifest::decode(&manifest(CHUNKS_MAX + 1).encode()).is_err());
        let long = |length: usize| {
            let mut manifest = manifest(1);
            manifest.chunks[0].length = u64::try_from(length).unwrap();
            Manifest::decode(&manifest.encode()).is_ok()
        };
        assert!(long(CHUNK_BYTES_MAX) && !long(CHUNK_BYTES_MAX + 1));
    }
}
