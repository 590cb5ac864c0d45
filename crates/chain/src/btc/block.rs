//! Blocks and headers: decoding, encoding, Merkle root, witness commitment.
//!
//! Decides whether bytes are one well-formed block and whether its transactions are those its header names.
//! Proof of work is `pow`'s question; the extension block of Litecoin is kept as bytes and not looked into.

use kuraban_base::Height;

use super::{
    hash::{BlockHash, MerkleRoot, sha256d, sha256d_pair},
    network::Network,
    read::{DecodeError, RESERVE_MAX, Reader},
    script::Instruction,
    tx::{Mweb, Parts, Place, Tx, WEIGHT_MAX},
    write,
};

/// Bytes of a header.
pub const HEADER_BYTES: usize = 80;
/// Largest encoding of a Bitcoin block: every byte weighs at least one unit (BIP 141).
pub const BTC_BLOCK_BYTES_MAX: usize = WEIGHT_MAX;
/// Largest encoding of a Litecoin block: what fits its largest message, extension block included.
pub const LTC_BLOCK_BYTES_MAX: usize = 32_000_000;

/// Smallest encoding of a transaction: one input, one output, both with empty scripts.
const TX_BYTES_MIN: usize = 60;

/// A block's header.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Header {
    /// Version, with the bits of BIP 9.
    pub version: i32,
    /// The block before.
    pub prev: BlockHash,
    /// The root over the block's transaction ids.
    pub merkle_root: MerkleRoot,
    /// Seconds since 1970-01-01 00:00:00 UTC, as the miner says.
    pub time_s: u32,
    /// The proof-of-work target in compact form.
    pub bits: u32,
    /// What the miner varied.
    pub nonce: u32,
}

impl Header {
    /// The header that these eighty bytes are.
    ///
    /// # Errors
    /// More or fewer bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let header = Self::read(&mut reader)?;
        reader.finish("header")?;
        Ok(header)
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            version: reader.i32("header version")?,
            prev: BlockHash::from_bytes(reader.array("previous block hash")?),
            merkle_root: MerkleRoot::from_bytes(reader.array("Merkle root")?),
            time_s: reader.u32("header time")?,
            bits: reader.u32("target bits")?,
            nonce: reader.u32("header nonce")?,
        })
    }

    /// Its eighty bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_BYTES);
        self.write(&mut out);
        out
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.version.to_le_bytes());
        out.extend_from_slice(self.prev.as_bytes());
        out.extend_from_slice(self.merkle_root.as_bytes());
        out.extend_from_slice(&self.time_s.to_le_bytes());
        out.extend_from_slice(&self.bits.to_le_bytes());
        out.extend_from_slice(&self.nonce.to_le_bytes());
    }

    /// The block's name.
    #[must_use]
    pub fn hash(&self) -> BlockHash {
        BlockHash::from_bytes(sha256d(&self.encode()))
    }
}

/// A block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Block {
    /// Its header.
    pub header: Header,
    /// Its transactions, the coinbase first.
    pub txs: Vec<Tx>,
    /// Litecoin's extension block as it was encoded: present exactly if the last of at least two
    /// transactions is a HogEx (LIP 3).
    pub extension: Option<Vec<u8>>,
}

/// The root over a block's transaction ids, recomputed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Merkle {
    /// The root.
    pub root: MerkleRoot,
    /// Whether two neighbouring nodes of the tree are equal, so that a shorter list of transactions has the
    /// same root (CVE-2012-2459).
    pub duplicated: bool,
}

/// Why a block's transactions are not those its header names.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MerkleError {
    /// Another root.
    #[error("transactions have the Merkle root {found}, header says {want}")]
    Root {
        /// Recomputed.
        found: MerkleRoot,
        /// In the header.
        want: MerkleRoot,
    },
    /// A list of transactions with repetitions that leave the root as it is (CVE-2012-2459).
    #[error("transactions repeat in a way that leaves the Merkle root {root} unchanged")]
    Duplicated {
        /// The root.
        root: MerkleRoot,
    },
    /// Witnesses that are not those the coinbase committed to (BIP 141).
    #[error("witnesses do not match the commitment in the coinbase")]
    Witness,
}

/// A block whose transactions and witnesses were found to be those its header names. Whether that header has
/// work in it is `pow`'s to say.
#[derive(Clone, Copy, Debug)]
pub struct Matched<'a>(&'a Block);

impl<'a> Matched<'a> {
    /// The block.
    #[must_use]
    pub const fn block(self) -> &'a Block {
        self.0
    }
}

/// What a coinbase says about the block's witnesses (BIP 141).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Commitment {
    /// Nothing; then no transaction may have a witness.
    Absent,
    /// It commits to exactly these.
    Holds,
    /// It commits to others, or a witness is there without commitment.
    Broken,
}

impl Block {
    /// The block that these bytes are, all of them.
    ///
    /// # Errors
    /// What is malformed, and at which offset.
    pub fn decode(network: Network, bytes: &[u8]) -> Result<Self, DecodeError> {
        let limit = if network.has_mweb() { LTC_BLOCK_BYTES_MAX } else { BTC_BLOCK_BYTES_MAX };
        if bytes.len() > limit {
            let wide = |number| u64::try_from(number).unwrap_or(u64::MAX);
            let (found, limit) = (wide(bytes.len()), wide(limit));
            return Err(DecodeError::Oversized { what: "block", at: 0, found, limit });
        }
        let mut reader = Reader::new(bytes);
        let header = Header::read(&mut reader)?;
        let count_at = reader.offset();
        let count = reader.count("number of transactions", TX_BYTES_MIN, WEIGHT_MAX / TX_BYTES_MIN)?;
        if count == 0 {
            return Err(DecodeError::Unexpected {
                what: "number of transactions",
                at: count_at,
                found: 0,
                want: "a coinbase at least",
            });
        }
        let mut txs = Vec::with_capacity(count.min(RESERVE_MAX));
        for _ in 0..count {
            txs.push(Tx::read(&mut reader, network, Place::Block)?);
        }
        let extension = read_extension(&mut reader, &txs)?;
        reader.finish("block")?;
        Ok(Self { header, txs, extension })
    }

    /// Its encoding with witnesses and extension block.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.header.write(&mut out);
        write::compact_size(&mut out, self.txs.len());
        for tx in &self.txs {
            tx.write(&mut out, Parts::All);
        }
        if let Some(extension) = &self.extension {
            out.extend_from_slice(extension);
        }
        out
    }

    /// The block's name.
    #[must_use]
    pub fn hash(&self) -> BlockHash {
        self.header.hash()
    }

    /// The root over its transaction ids.
    #[must_use]
    pub fn merkle(&self) -> Merkle {
        merkle(self.txs.iter().map(|tx| *tx.txid().as_bytes()).collect())
    }

    /// The block, if its header names exactly these transactions and its coinbase exactly these witnesses.
    ///
    /// # Errors
    /// What does not match.
    pub fn matched(&self) -> Result<Matched<'_>, MerkleError> {
        let Merkle { root, duplicated } = self.merkle();
        let want = self.header.merkle_root;
        if root != want {
            return Err(MerkleError::Root { found: root, want });
        }
        if duplicated {
            return Err(MerkleError::Duplicated { root });
        }
        match self.witness_commitment() {
            Commitment::Absent | Commitment::Holds => Ok(Matched(self)),
            Commitment::Broken => Err(MerkleError::Witness),
        }
    }

    /// What its coinbase says about its witnesses. Rules of the time before segregated witness are not
    /// known here: an old coinbase with a chance commitment is `Broken`.
    #[must_use]
    pub fn witness_commitment(&self) -> Commitment {
        /// OP_RETURN, push of 36 bytes, and the header of BIP 141.
        const PREFIX: [u8; 6] = [0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed];
        let Some((coinbase, others)) = self.txs.split_first() else { return Commitment::Absent };
        let said = coinbase.outputs.iter().rev().find_map(|output| {
            output.script.as_bytes().strip_prefix(&PREFIX).and_then(<[u8]>::first_chunk::<32>)
        });
        let Some(said) = said else {
            return if self.txs.iter().any(Tx::has_witness) {
                Commitment::Broken
            } else {
                Commitment::Absent
            };
        };
        let reserved: Option<&[u8; 32]> = match coinbase.inputs.as_slice() {
            [input] => match input.witness.as_slice() {
                [item] => item.as_slice().try_into().ok(),
                _ => None,
            },
            _ => None,
        };
        let Some(reserved) = reserved else { return Commitment::Broken };
        let leaves = core::iter::once([0; 32]).chain(others.iter().map(|tx| *tx.wtxid().as_bytes()));
        let root = merkle(leaves.collect()).root;
        if sha256d_pair(root.as_bytes(), reserved) == *said { Commitment::Holds } else { Commitment::Broken }
    }

    /// The height that its coinbase states (BIP 34). It is a claim: binding only where that rule is in force,
    /// and the first blocks of a chain state none.
    #[must_use]
    pub fn stated_height(&self) -> Option<Height> {
        let input =
            self.txs.first().filter(|tx| tx.is_coinbase() && self.header.version >= 2)?.inputs.first()?;
        let blocks = match input.script_sig.instructions().next()?? {
            Instruction::Push([]) => 0,
            Instruction::Push(bytes @ ([_] | [_, _] | [_, _, _] | [_, _, _, _])) => {
                // A script number: little endian, its highest bit the sign.
                let sign = bytes.last().is_some_and(|last| last & 0x80 != 0);
                let number = bytes.iter().rev().fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte));
                if sign {
                    return None;
                }
                number
            }
            Instruction::Op(code @ 0x51..=0x60) => u32::from(code.saturating_sub(0x50)),
            Instruction::Push(_) | Instruction::Op(_) => return None,
        };
        Some(Height::new(blocks))
    }
}

fn read_extension(reader: &mut Reader<'_>, txs: &[Tx]) -> Result<Option<Vec<u8>>, DecodeError> {
    let integrated = txs.len() >= 2 && txs.last().is_some_and(|tx| tx.mweb == Mweb::HogEx);
    if !integrated {
        return Ok(None);
    }
    let at = reader.offset();
    match reader.rest() {
        [1, _, ..] => {
            let length = reader.rest().len();
            Ok(Some(reader.take("extension block", length)?.to_vec()))
        }
        [found, ..] if *found != 1 => Err(DecodeError::Mweb { at, found: *found, want: "1" }),
        rest => Err(DecodeError::Truncated { what: "extension block", at, want: 2, left: rest.len() }),
    }
}

/// The root of the tree in which an odd node is paired with itself.
#[must_use]
pub fn merkle(mut level: Vec<[u8; 32]>) -> Merkle {
    let mut duplicated = false;
    while level.len() > 1 {
        duplicated |= level.as_chunks::<2>().0.iter().any(|[left, right]| left == right);
        level = level
            .chunks(2)
            .map(|pair| match pair {
                [left, right] => sha256d_pair(left, right),
                [odd] => sha256d_pair(odd, odd),
                _ => [0; 32],
            })
            .collect();
    }
    Merkle { root: MerkleRoot::from_bytes(level.first().copied().unwrap_or_default()), duplicated }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_tail_leaves_the_root_and_is_seen() {
        let leaves: Vec<[u8; 32]> = (1..=6).map(|byte| [byte; 32]).collect();
        let honest = merkle(leaves.clone());
        let repeated = merkle([leaves.as_slice(), &leaves[4..]].concat());
        assert_eq!(honest.root, repeated.root);
        assert!(!honest.duplicated);
        assert!(repeated.duplicated);
    }

    #[test]
    fn roots_agree_with_the_peer_crate() {
        use bitcoin::hashes::{Hash as _, sha256d};
        for count in 1..40_u8 {
            let leaves: Vec<[u8; 32]> = (0..count).map(|byte| [byte; 32]).collect();
            let theirs = leaves.iter().map(|leaf| sha256d::Hash::from_byte_array(*leaf));
            let theirs = bitcoin::merkle_tree::calculate_root(theirs).unwrap();
            assert_eq!(merkle(leaves).root.as_bytes(), theirs.as_byte_array(), "{count} leaves");
        }
    }

    fn tx(text: &str) -> Tx {
        Tx::decode(Network::BtcMain, &kuraban_base::hex::decode(&text.replace(' ', "")).unwrap()).unwrap()
    }

    /// A block whose coinbase commits to the witness of its second transaction.
    fn committed() -> Block {
        const NULL: &str = "0000000000000000000000000000000000000000000000000000000000000000 ffffffff";
        let zeros = "00".repeat(32);
        let coinbase = tx(&format!(
            "02000000 00 01 01 {NULL} 03 510101 ffffffff 01 0000000000000000 26 6a24aa21a9ed {zeros} 01 20 {zeros} 00000000"
        ));
        let spend = tx(&format!(
            "02000000 00 01 01 {} 00000000 00 ffffffff 01 e803000000000000 01 51 01 01 aa 00000000",
            "11".repeat(32)
        ));
        let header = Header {
            version: 4,
            prev: BlockHash::ZERO,
            merkle_root: MerkleRoot::from_bytes([0; 32]),
            time_s: 0,
            bits: 0,
            nonce: 0,
        };
        let mut block = Block { header, txs: vec![coinbase, spend], extension: None };
        let root = sha256d_pair(&[0; 32], block.txs[1].wtxid().as_bytes());
        let said = sha256d_pair(&root, &[0; 32]);
        let script = [&[0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed][..], &said].concat();
        block.txs[0].outputs[0].script = super::super::script::Script::new(script);
        block.header.merkle_root = block.merkle().root;
        block
    }

    #[test]
    fn a_block_matches_its_header_or_says_what_does_not() {
        let check = |change: &dyn Fn(&mut Block), want: &str| {
            let mut block = committed();
            change(&mut block);
            let got = block.matched().map_or_else(|error| error.to_string(), |_| "ok".into());
            assert!(got.starts_with(want), "{got}, want {want}");
        };
        check(&|_| {}, "ok");
        check(&|block| block.txs[1].lock_time = 1, "transactions have the Merkle root ");
        check(&|block| block.txs[1].inputs[0].witness[0][0] = 0xab, "witnesses do not match");
        check(&|block| block.txs[0].inputs[0].witness.clear(), "witnesses do not match");
        check(
            &|block| {
                let again = block.txs[1].clone();
                block.txs.extend([again.clone()]);
                block.header.merkle_root = block.merkle().root;
                block.txs.push(again);
            },
            "transactions repeat",
        );
        check(
            &|block| {
                block.txs[0].outputs[0].script = super::super::script::Script::default();
                block.header.merkle_root = block.merkle().root;
            },
            "witnesses do not match",
        );
        let commitment = |change: &dyn Fn(&mut Block)| {
            let mut block = committed();
            change(&mut block);
            block.witness_commitment()
        };
        assert_eq!(commitment(&|_| {}), Commitment::Holds);
        assert_eq!(commitment(&|block| block.txs.clear()), Commitment::Absent);
    }

    #[test]
    fn heights_are_read_as_script_numbers() {
        let check = |script: &[u8], version, want: Option<u32>| {
            let mut block = committed();
            block.header.version = version;
            block.txs[0].inputs[0].script_sig = super::super::script::Script::new(script.to_vec());
            assert_eq!(block.stated_height(), want.map(Height::new), "{script:02x?}");
        };
        check(&[0x51, 0], 4, Some(1));
        check(&[0x60, 0], 4, Some(16));
        check(&[0, 0], 4, Some(0));
        check(&[1, 17], 4, Some(17));
        check(&[2, 0x80, 0], 4, Some(128));
        check(&[1, 0x80], 4, None);
        check(&[3, 0x64, 0x85, 0x0e], 4, Some(951_652));
        check(&[3, 0x64, 0x85, 0x0e], 1, None);
        check(&[5, 1, 2, 3, 4, 5], 4, None);
        check(&[0x76, 0], 4, None);
        check(&[3, 1], 4, None);
    }

    #[test]
    fn extension_blocks_follow_only_an_integrating_transaction() {
        let encoded = |hogex: bool, tail: &[u8]| {
            let mut block = committed();
            if hogex {
                block.txs[1].mweb = Mweb::HogEx;
            }
            [block.encode().as_slice(), tail].concat()
        };
        let check = |bytes: &[u8], want: &str| {
            let got = Block::decode(Network::LtcMain, bytes);
            let got = got.map_or_else(|error| error.to_string(), |block| format!("{:?}", block.extension));
            assert!(got.starts_with(want), "{got}, want {want}");
        };
        check(&encoded(false, &[]), "None");
        check(&encoded(false, &[1, 2]), "2 bytes follow the end of block");
        check(&encoded(true, &[1, 2]), "Some([1, 2])");
        check(&encoded(true, &[]), "extension block at offset ");
        check(&encoded(true, &[1]), "extension block at offset ");
        check(&encoded(true, &[2, 2]), "extension data at offset ");
        let mut alone = committed();
        alone.txs.remove(0);
        alone.txs[0].mweb = Mweb::HogEx;
        check(&alone.encode(), "None");
        let mut carrying = committed();
        carrying.txs[1].mweb = Mweb::Carried(vec![1, 2, 3]);
        check(&carrying.encode(), "extension data at offset ");
    }

    #[test]
    fn blocks_need_a_transaction_and_stop_at_their_limit() {
        let header = committed().header.encode();
        let check = |bytes: &[u8], want: &str| {
            let error = Block::decode(Network::BtcMain, bytes).unwrap_err().to_string();
            assert!(error.starts_with(want), "{error}");
        };
        check(
            &[header.as_slice(), &[0]].concat(),
            "number of transactions at offset 80 is 0, want a coinbase",
        );
        check(
            &[header.as_slice(), &[1]].concat(),
            "number of transactions at offset 80 is 1, which needs at least 60 bytes, only 0",
        );
        let long = |length| [header.clone(), vec![0; length]].concat();
        check(&long(BTC_BLOCK_BYTES_MAX - 80), "number of transactions");
        check(&long(BTC_BLOCK_BYTES_MAX - 79), "block at offset 0 is 4000001, limit 4000000");
    }
}
