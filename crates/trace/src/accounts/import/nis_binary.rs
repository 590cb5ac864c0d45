//! The binary form of a NIS block: little-endian numbers, byte strings with their length before them.
//!
//! Reads transfers of both versions and changes of multisig accounts, which is what the first block of a network has.
//! Other types are given as JSON.

use super::{
    ImportProblem,
    nis::{Block, Body, Tx, address, address_of},
};

/// More bytes than NIS puts into one string.
const STRING_MAX: usize = 4096;
/// More transactions than NIS puts into one block, its first included.
const TXS_MAX: usize = 10_000;

struct Bytes<'a> {
    all: &'a [u8],
    at: usize,
}

impl<'a> Bytes<'a> {
    fn wrong(&self, what: &'static str, found: impl ToString, want: &'static str) -> ImportProblem {
        ImportProblem::Binary { what, at: self.at, found: found.to_string(), want }
    }

    fn take(&mut self, what: &'static str, count: usize) -> Result<&'a [u8], ImportProblem> {
        let rest = self.all.get(self.at..).unwrap_or_default();
        let taken = rest.get(..count).ok_or_else(|| {
            self.wrong(what, format!("{} bytes to the end", rest.len()), "all bytes of the field")
        })?;
        self.at = self.at.saturating_add(count);
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], ImportProblem> {
        let taken = self.take(what, N)?;
        taken.try_into().map_err(|_| self.wrong(what, taken.len(), "all bytes of the field"))
    }

    fn u32(&mut self, what: &'static str) -> Result<u32, ImportProblem> {
        self.array(what).map(u32::from_le_bytes)
    }

    fn u64(&mut self, what: &'static str) -> Result<u64, ImportProblem> {
        self.array(what).map(u64::from_le_bytes)
    }

    fn count(&mut self, what: &'static str, max: usize) -> Result<usize, ImportProblem> {
        let found = self.u32(what)?;
        let count = usize::try_from(found).ok().filter(|count| *count <= max);
        count.ok_or_else(|| self.wrong(what, found, "a smaller number"))
    }

    fn string(&mut self, what: &'static str) -> Result<&'a [u8], ImportProblem> {
        let count = self.count(what, STRING_MAX)?;
        self.take(what, count)
    }

    /// A byte string of a fixed length.
    fn exact<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], ImportProblem> {
        let taken = self.string(what)?;
        taken.try_into().map_err(|_| self.wrong(what, taken.len(), "another length"))
    }

    /// Type and version, with the network, and the signer's address.
    fn entity(&mut self) -> Result<(u32, u32, String), ImportProblem> {
        let kind = self.u32("type")?;
        let version = self.u32("version")?;
        self.u32("timeStamp")?;
        let key = self.exact::<32>("signer")?;
        let [network, ..] = version.to_be_bytes();
        Ok((kind, version & 0x00ff_ffff, address_of(network, &key)))
    }
}

/// The block in these bytes, all of them.
pub(super) fn block(all: &[u8]) -> Result<Block, ImportProblem> {
    let mut bytes = Bytes { all, at: 0 };
    let network = all.get(7).copied().unwrap_or_default();
    let (_, _, harvester) = bytes.entity()?;
    bytes.exact::<64>("signature")?;
    bytes.count("prevBlockHash", STRING_MAX)?;
    bytes.exact::<32>("prevBlockHash")?;
    let height = bytes.u64("height")?;
    let count = bytes.count("transactions", TXS_MAX)?;
    let mut txs = Vec::new();
    for _ in 0..count {
        let length = bytes.count("transaction", all.len())?;
        let end = bytes.at.saturating_add(length);
        txs.push(tx(&mut bytes)?);
        if bytes.at != end {
            return Err(bytes.wrong("transaction", bytes.at, "the end that its length says"));
        }
    }
    if bytes.at != all.len() {
        return Err(bytes.wrong("block", format!("{} bytes in all", all.len()), "nothing after the block"));
    }
    Ok(Block { height, mark: None, network, harvester, txs })
}

fn tx(bytes: &mut Bytes<'_>) -> Result<Tx, ImportProblem> {
    let (kind, version, signer) = bytes.entity()?;
    bytes.exact::<64>("signature")?;
    let fee = bytes.u64("fee")?;
    bytes.u32("deadline")?;
    let body = match kind {
        0x0101 => transfer(bytes, version)?,
        0x1001 => {
            modification(bytes, version)?;
            Body::Nothing
        }
        _ => {
            return Err(bytes.wrong(
                "type",
                format!("{kind:#06x}"),
                "a transfer or a change of a multisig account",
            ));
        }
    };
    Ok(Tx { hash: None, signer, fee, body })
}

fn transfer(bytes: &mut Bytes<'_>, version: u32) -> Result<Body, ImportProblem> {
    let recipient = bytes.string("recipient")?;
    let recipient = address(&String::from_utf8_lossy(recipient))?;
    let amount = bytes.u64("amount")?;
    // What is not there has the length 0.
    if bytes.count("message", STRING_MAX)? > 0 {
        bytes.u32("message type")?;
        bytes.string("message")?;
    }
    let mut mosaics = Vec::new();
    if version >= 2 {
        for _ in 0..bytes.count("mosaics", STRING_MAX)? {
            mosaics.push(mosaic(bytes)?);
        }
    }
    Ok(Body::Transfer { recipient, amount, mosaics })
}

fn mosaic(bytes: &mut Bytes<'_>) -> Result<(String, u64), ImportProblem> {
    bytes.count("mosaic", STRING_MAX)?;
    bytes.count("mosaicId", STRING_MAX)?;
    let namespace = String::from_utf8_lossy(bytes.string("namespaceId")?).into_owned();
    let name = String::from_utf8_lossy(bytes.string("name")?).into_owned();
    Ok((format!("{namespace}:{name}"), bytes.u64("quantity")?))
}

/// Who is added to or taken from a multisig account; from version 2 on, how many must sign.
fn modification(bytes: &mut Bytes<'_>, version: u32) -> Result<(), ImportProblem> {
    for _ in 0..bytes.count("modifications", STRING_MAX)? {
        bytes.count("modification", STRING_MAX)?;
        bytes.u32("modificationType")?;
        bytes.exact::<32>("cosignatoryAccount")?;
    }
    if version >= 2 && bytes.u32("minCosignatories")? != 0 {
        bytes.u32("relativeChange")?;
    }
    Ok(())
}
