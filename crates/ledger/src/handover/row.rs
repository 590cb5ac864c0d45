//! Rows of a hand-over and the chunks that they travel in. Decides what a row may say and when a chunk is full.

use kuraban_base::{
    Amount, Digest, Instant,
    cbor::{self, CborError, Fields, Value},
};

use super::{
    ADDRESS_MAX, CASE_BYTES_MAX, CHUNK_BYTES, ExportId, FILE_NAME_MAX, HandoverError, Salt, WHAT_MAX, text,
};
use crate::{Code, holdings::NAME_MAX};

/// What a row is about. Chunks come in this order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// Accounts with their balances.
    Accounts,
    /// Whose address is whose.
    Addresses,
    /// What customers agreed to.
    Consents,
    /// Open cases.
    Cases,
}

impl Kind {
    /// All, in order.
    pub const ALL: [Self; 4] = [Self::Accounts, Self::Addresses, Self::Consents, Self::Cases];

    /// What it is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accounts => "accounts",
            Self::Addresses => "addresses",
            Self::Consents => "consents",
            Self::Cases => "cases",
        }
    }

    pub(super) fn of(name: &str) -> Result<Self, CborError> {
        let kind = Self::ALL.into_iter().find(|kind| kind.name() == name);
        kind.ok_or_else(|| {
            cbor::invalid("kind", format!("{name:?}, want accounts, addresses, consents or cases"))
        })
    }
}

/// A customer, the group it is in (empty where there are none) and what it has, by asset.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    /// Its id.
    pub customer: String,
    /// What kind of customer.
    pub group: String,
    /// What it has, in base units; each asset once, in the order of codes.
    pub balances: Vec<(String, Amount)>,
}

/// An address that belongs to a customer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Address {
    /// Whose.
    pub customer: String,
    /// On which chain.
    pub chain: String,
    /// As people write it.
    pub address: String,
}

/// What a customer agreed to, and when.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Consent {
    /// Who.
    pub customer: String,
    /// To what.
    pub what: String,
    /// When.
    pub when: Instant,
}

/// An open case: its file as it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Case {
    /// The file's name, never a path.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// One row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Row {
    /// A customer.
    Account(Account),
    /// An address.
    Address(Address),
    /// A consent.
    Consent(Consent),
    /// A case.
    Case(Case),
}

impl Row {
    /// What it is about.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Account(_) => Kind::Accounts,
            Self::Address(_) => Kind::Addresses,
            Self::Consent(_) => Kind::Consents,
            Self::Case(_) => Kind::Cases,
        }
    }

    /// What it is ordered by, and what may stand once.
    #[must_use]
    pub fn key(&self) -> [String; 3] {
        match self {
            Self::Account(row) => [row.customer.clone(), String::new(), String::new()],
            Self::Address(row) => [row.customer.clone(), row.chain.clone(), row.address.clone()],
            Self::Consent(row) => [row.customer.clone(), row.what.clone(), format!("{:020}", row.when.ms())],
            Self::Case(row) => [row.name.clone(), String::new(), String::new()],
        }
    }

    /// The row, if everything that it says can be said.
    ///
    /// # Errors
    /// The first field that cannot.
    pub fn checked(self) -> Result<Self, HandoverError> {
        Ok(match self {
            Self::Account(row) => {
                let group =
                    if row.group.is_empty() { row.group } else { text("group", row.group, NAME_MAX)? };
                let customer = text("customer", row.customer, NAME_MAX)?;
                let codes = row.balances.iter().zip(row.balances.iter().skip(1));
                if let Some(((after, _), (found, _))) = codes.into_iter().find(|(a, b)| a.0 >= b.0) {
                    let (found, after) = (found.clone(), after.clone());
                    return Err(HandoverError::Order { kind: "balances", found, after });
                }
                Self::Account(Account { customer, group, balances: row.balances })
            }
            Self::Address(row) => Self::Address(Address {
                customer: text("customer", row.customer, NAME_MAX)?,
                chain: text("chain", row.chain, NAME_MAX)?,
                address: text("address", row.address, ADDRESS_MAX)?,
            }),
            Self::Consent(row) => Self::Consent(Consent {
                customer: text("customer", row.customer, NAME_MAX)?,
                what: text("what", row.what, WHAT_MAX)?,
                when: row.when,
            }),
            Self::Case(row) => {
                let found = row.bytes.len();
                if found > CASE_BYTES_MAX {
                    return Err(HandoverError::Many { what: "bytes of a case", found, max: CASE_BYTES_MAX });
                }
                Self::Case(Case { name: file_name(row.name)?, bytes: row.bytes })
            }
        })
    }

    fn value(&self) -> Value {
        match self {
            Self::Account(row) => {
                let balance = |(code, units): &(String, Amount)| {
                    Value::array([Value::text(code), Value::uint(units.units())])
                };
                let balances = Value::array(row.balances.iter().map(balance));
                Value::array([Value::text(&row.customer), Value::text(&row.group), balances])
            }
            Self::Address(row) => Value::array([&row.customer, &row.chain, &row.address].map(Value::text)),
            Self::Consent(row) => {
                Value::array([Value::text(&row.customer), Value::text(&row.what), Value::uint(row.when.ms())])
            }
            Self::Case(row) => {
                let hash = Digest::sha256(&[&row.bytes]);
                Value::array([
                    Value::text(&row.name),
                    Value::bytes(hash.as_bytes()),
                    Value::bytes(&row.bytes),
                ])
            }
        }
    }

    fn of(kind: Kind, value: Value) -> Result<Self, HandoverError> {
        let [first, second, third] = items("row", value)?;
        match (kind, first, second, third) {
            (Kind::Accounts, Value::Text(customer), Value::Text(group), Value::Array(balances)) => {
                let balances = balances.into_iter().map(balance).collect::<Result<_, _>>()?;
                Self::Account(Account { customer, group, balances }).checked()
            }
            (Kind::Addresses, Value::Text(customer), Value::Text(chain), Value::Text(address)) => {
                Self::Address(Address { customer, chain, address }).checked()
            }
            (Kind::Consents, Value::Text(customer), Value::Text(what), Value::Uint(ms)) => {
                let ms = u64::try_from(ms).map_err(|_| cbor::invalid("when", "beyond 64 bits"))?;
                Self::Consent(Consent { customer, what, when: Instant::from_ms(ms) }).checked()
            }
            (Kind::Cases, Value::Text(name), Value::Bytes(hash), Value::Bytes(bytes)) => {
                let found = Digest::sha256(&[&bytes]);
                if found.as_bytes().as_slice() != hash {
                    let want = kuraban_base::hex::encode(&hash);
                    return Err(HandoverError::CaseHash { name, found: found.to_string(), want });
                }
                Self::Case(Case { name, bytes }).checked()
            }
            (_, _, _, _) => Err(cbor::invalid("row", format!("is none of {}", kind.name())).into()),
        }
    }
}

fn items<const N: usize>(field: &str, value: Value) -> Result<[Value; N], CborError> {
    let Value::Array(items) = value else { return Err(cbor::invalid(field, "want an array")) };
    let got = items.len();
    items.try_into().map_err(|_| cbor::invalid(field, format!("{got} items, want {N}")))
}

fn balance(value: Value) -> Result<(String, Amount), CborError> {
    let [code, units] = items("balance", value)?;
    let (Value::Text(code), Value::Uint(units)) = (code, units) else {
        return Err(cbor::invalid("balance", "want a code and units"));
    };
    let code: Code = code.parse().map_err(|problem| cbor::invalid("balance", problem))?;
    Ok((code.to_string(), Amount::new(units)))
}

fn file_name(found: String) -> Result<String, HandoverError> {
    let may = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let stem = found.strip_suffix(".json").unwrap_or_default();
    let begins = stem.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_');
    if begins && found.len() <= FILE_NAME_MAX && found.bytes().all(may) {
        return Ok(found);
    }
    Err(HandoverError::FileName { found: found.chars().take(FILE_NAME_MAX).collect() })
}

/// Rows of one kind that travel together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chunk {
    /// Of which hand-over.
    pub export: ExportId,
    /// Its place, from 0.
    pub number: u64,
    /// Of the leaves.
    pub salt: Salt,
    /// What the rows are about.
    pub kind: Kind,
    /// The rows.
    pub rows: Vec<Row>,
}

impl Chunk {
    /// Deterministic CBOR of `{v, export, number, salt, kind, rows}`: what is encrypted.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        Value::map([
            ("v", Value::uint(1_u32)),
            ("export", Value::bytes(self.export.0)),
            ("number", Value::uint(self.number)),
            ("salt", Value::bytes(self.salt.0)),
            ("kind", Value::text(self.kind.name())),
            ("rows", Value::array(self.rows.iter().map(Row::value))),
        ])
        .encode()
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// Anything else, and rows that cannot be.
    pub fn decode(bytes: &[u8]) -> Result<Self, HandoverError> {
        let mut fields = Fields::of("chunk", Value::decode(bytes)?)?;
        version(&mut fields)?;
        let export = ExportId(fields.array("export")?);
        let number = fields.uint("number")?;
        let salt = Salt(fields.array("salt")?);
        let kind = Kind::of(&fields.text("kind")?)?;
        let rows =
            fields.items("rows")?.into_iter().map(|row| Row::of(kind, row)).collect::<Result<_, _>>()?;
        fields.end()?;
        Ok(Self { export, number, salt, kind, rows })
    }
}

/// Takes the version, of which there is one.
pub(super) fn version(fields: &mut Fields) -> Result<(), CborError> {
    match fields.uint::<u64>("v")? {
        1 => Ok(()),
        other => Err(cbor::invalid("v", format!("{other}, want 1: it needs a newer program"))),
    }
}

/// Rows on their way into chunks.
#[derive(Clone, Debug)]
pub struct Packer {
    filling: Chunk,
    bytes: usize,
}

impl Packer {
    /// Nothing packed yet.
    #[must_use]
    pub const fn new(export: ExportId, salt: Salt) -> Self {
        Self { filling: Chunk { export, number: 0, salt, kind: Kind::Accounts, rows: Vec::new() }, bytes: 0 }
    }

    /// Packs a row; gives the chunk that is full before it.
    #[must_use]
    pub fn push(&mut self, row: Row) -> Option<Chunk> {
        let bytes = row.value().encode().len();
        let full = self.bytes.saturating_add(bytes) > CHUNK_BYTES || self.filling.kind != row.kind();
        let done = if full { self.take() } else { None };
        self.filling.kind = row.kind();
        self.filling.rows.push(row);
        self.bytes = self.bytes.saturating_add(bytes);
        done
    }

    /// What is left, unless that is nothing.
    #[must_use]
    pub fn take(&mut self) -> Option<Chunk> {
        if self.filling.rows.is_empty() {
            return None;
        }
        self.bytes = 0;
        let number = self.filling.number.saturating_add(1);
        let Chunk { export, salt, kind, .. } = self.filling;
        let next = Chunk { export, number, salt, kind, rows: Vec::new() };
        Some(core::mem::replace(&mut self.filling, next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(customer: &str, balances: &[(&str, u128)]) -> Row {
        let balances = balances.iter().map(|(code, units)| ((*code).to_owned(), Amount::new(*units)));
        Row::Account(Account {
            customer: customer.to_owned(),
            group: String::new(),
            balances: balances.collect(),
        })
    }

    fn case(name: &str, bytes: usize) -> Row {
        Row::Case(Case { name: name.to_owned(), bytes: vec![b'1'; bytes] })
    }

    fn rows() -> Vec<Row> {
        let [customer, what] = ["a", "transfer"].map(str::to_owned);
        let consent = Row::Consent(Consent { customer: customer.clone(), what, when: Instant::from_ms(7) });
        let [chain, address] = ["btc", "bc1q"].map(str::to_owned);
        let address = Row::Address(Address { customer, chain, address });
        vec![account("a", &[("BTC", 1), ("ETH", u128::MAX)]), address, consent, case("x.json", 3)]
    }

    #[test]
    fn chunks_are_read_as_they_were_written_and_at_no_other_length() {
        let mut packer = Packer::new(ExportId([7; 16]), Salt([9; 32]));
        let mut chunks: Vec<Chunk> = rows().into_iter().filter_map(|row| packer.push(row)).collect();
        chunks.extend(packer.take());
        assert_eq!(chunks.len(), 4);
        for (number, chunk) in (0..).zip(&chunks) {
            let bytes = chunk.encode();
            assert_eq!(chunk.number, number);
            assert_eq!(Chunk::decode(&bytes).as_ref(), Ok(chunk));
            for length in 0..bytes.len() {
                assert!(Chunk::decode(&bytes[..length]).is_err(), "{length}");
            }
        }
    }

    #[test]
    fn a_chunk_is_full_at_its_bound_and_a_long_row_stands_alone() {
        // Name, hash and frame of such a case take 51 bytes.
        let frame = case("a.json", 1 << 19).value().encode().len() - (1 << 19);
        let half = (CHUNK_BYTES / 2) - frame;
        let check = |sizes: &[usize], want: &[usize]| {
            let mut packer = Packer::new(ExportId([0; 16]), Salt([0; 32]));
            let mut chunks: Vec<Chunk> =
                sizes.iter().filter_map(|size| packer.push(case("a.json", *size))).collect();
            chunks.extend(packer.take());
            let found: Vec<_> = chunks.iter().map(|chunk| chunk.rows.len()).collect();
            assert_eq!(found, want, "{sizes:?}");
            assert!(packer.take().is_none());
        };
        check(&[half, half], &[2]);
        check(&[half, half + 1], &[1, 1]);
        check(&[1, CASE_BYTES_MAX, 1, 1], &[1, 1, 2]);
    }

    #[test]
    fn rows_that_cannot_be_are_refused() {
        let check = |row: Row, want: Option<&str>| {
            let found = row.checked().map(drop).map_err(|problem| problem.to_string());
            assert_eq!(
                found.as_ref().err().map(String::as_str).map(|text| text.split(':').next().unwrap()),
                want
            );
        };
        check(account(&"a".repeat(NAME_MAX), &[]), None);
        check(account(&"a".repeat(NAME_MAX + 1), &[]), Some("customer"));
        check(account("", &[]), Some("customer"));
        check(account("a\n", &[]), Some("customer"));
        check(account("a", &[("ETH", 1), ("BTC", 1)]), Some("balances"));
        check(account("a", &[("BTC", 1), ("BTC", 1)]), Some("balances"));
        check(case("a.json", CASE_BYTES_MAX), None);
        check(case("a.json", CASE_BYTES_MAX + 1), Some("bytes of a case"));
        for path in
            ["../a.json", "a/b.json", "/a.json", ".a.json", "-a.json", ".json", "a.txt", "a\\b.json", ""]
        {
            check(case(path, 1), Some(format!("case {path:?}").as_str()));
        }
    }

    #[test]
    fn a_case_with_other_bytes_than_its_hash_is_refused() {
        let chunk = Chunk {
            export: ExportId([0; 16]),
            number: 0,
            salt: Salt([0; 32]),
            kind: Kind::Cases,
            rows: vec![case("x.json", 40)],
        };
        let mut bytes = chunk.encode();
        let place = bytes.windows(40).position(|part| part == [b'1'; 40]).unwrap();
        bytes[place] = b'2';
        assert!(matches!(Chunk::decode(&bytes), Err(HandoverError::CaseHash { .. })));
    }
}
