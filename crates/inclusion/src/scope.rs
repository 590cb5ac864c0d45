//! What a tree covers: whose, as of when, which assets, and the blocks that date it. The root binds all of it, so that a file
//! of another day or another exchange leads elsewhere.

use alloc::{string::String, vec::Vec};

use crate::wire::{Cursor, WireError, put_text};

/// Most assets in a tree.
pub const ASSETS_MAX: usize = 1_024;
/// Most levels above the leaves.
pub const DEPTH_MAX: u8 = 32;
/// Most blocks that date a tree.
const BLOCKS_MAX: usize = 64;
/// Longest code of an asset and name of a chain, in bytes.
const WORD_MAX: usize = 16;
/// Most decimals of an asset.
const DECIMALS_MAX: u8 = 18;
/// The version of the format.
const VERSION: u8 = 1;

/// An asset that is counted.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Asset {
    /// What the exchange calls it: 1 to 16 of `A-Z 0-9 . -`.
    pub code: String,
    /// How many base units make a coin, as a power of ten.
    pub decimals: u8,
}

/// A block that was known when the tree was made: it cannot be older.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Block {
    /// The chain: 1 to 16 of `a-z 0-9 -`.
    pub chain: String,
    /// Its height.
    pub height: u64,
    /// Its hash, in the order in which the chain shows it.
    pub hash: [u8; 32],
}

/// What a tree covers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scope {
    origin: String,
    as_of_ms: u64,
    depth: u8,
    assets: Vec<Asset>,
    blocks: Vec<Block>,
}

/// Why there is no such scope.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ScopeError {
    /// Not the bytes of one.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// Another version of the format.
    #[error("is of version {found}, want {VERSION}: a newer program reads it")]
    Version {
        /// The version found.
        found: u8,
    },
    /// No name of an exchange's log.
    #[error("the origin has {found} bytes or a control character, want 1 to 255 bytes without")]
    Origin {
        /// Its length.
        found: usize,
    },
    /// A tree of no such size.
    #[error("a depth of {found}, want 1 to {DEPTH_MAX}")]
    Depth {
        /// The depth found.
        found: u8,
    },
    /// No assets, or too many.
    #[error("{found} assets, want 1 to {ASSETS_MAX}")]
    Assets {
        /// How many.
        found: usize,
    },
    /// An asset that cannot be.
    #[error(
        "asset {code:?} with {decimals} decimals, want 1 to {WORD_MAX} of A-Z 0-9 . - and at most {DECIMALS_MAX} decimals"
    )]
    Asset {
        /// Its code.
        code: String,
        /// Its decimals.
        decimals: u8,
    },
    /// Too many blocks.
    #[error("{found} blocks, want at most {BLOCKS_MAX}")]
    Blocks {
        /// How many.
        found: usize,
    },
    /// A chain that cannot be.
    #[error("chain {chain:?}, want 1 to {WORD_MAX} of a-z 0-9 -")]
    Chain {
        /// Its name.
        chain: String,
    },
    /// A double one, or not in order.
    #[error("{name} stands twice or out of order, want each {what} once and in alphabetical order")]
    Order {
        /// Of what.
        what: &'static str,
        /// Which.
        name: String,
    },
}

impl Scope {
    /// A scope. Assets are put in the order of their codes, blocks in that of their chains.
    ///
    /// # Errors
    /// Texts and numbers that cannot be, and what stands twice.
    pub fn new(
        origin: String,
        as_of_ms: u64,
        depth: u8,
        mut assets: Vec<Asset>,
        mut blocks: Vec<Block>,
    ) -> Result<Self, ScopeError> {
        assets.sort();
        blocks.sort();
        Self { origin, as_of_ms, depth, assets, blocks }.checked()
    }

    /// The origin of the log in which the root stands.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The instant at which the holdings were these, in milliseconds since 1970.
    #[must_use]
    pub const fn as_of_ms(&self) -> u64 {
        self.as_of_ms
    }

    /// How many levels there are above the leaves.
    #[must_use]
    pub const fn depth(&self) -> u8 {
        self.depth
    }

    /// How many leaves there are, padding included.
    #[must_use]
    pub fn leaves(&self) -> u64 {
        1_u64.checked_shl(u32::from(self.depth)).unwrap_or(u64::MAX)
    }

    /// The assets, by code.
    #[must_use]
    pub fn assets(&self) -> &[Asset] {
        &self.assets
    }

    /// The blocks that date the tree, by chain.
    #[must_use]
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// Its bytes, as the root binds them.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.push(VERSION);
        put_text(&mut bytes, &self.origin);
        bytes.extend_from_slice(&self.as_of_ms.to_be_bytes());
        bytes.push(self.depth);
        // Both counts are within their limits since the scope was made.
        bytes.extend_from_slice(&u16::try_from(self.assets.len()).unwrap_or(u16::MAX).to_be_bytes());
        for asset in &self.assets {
            put_text(&mut bytes, &asset.code);
            bytes.push(asset.decimals);
        }
        bytes.push(u8::try_from(self.blocks.len()).unwrap_or(u8::MAX));
        for block in &self.blocks {
            put_text(&mut bytes, &block.chain);
            bytes.extend_from_slice(&block.height.to_be_bytes());
            bytes.extend_from_slice(&block.hash);
        }
        bytes
    }

    /// Reads what [`encode`](Self::encode) wrote, and leaves what follows.
    ///
    /// # Errors
    /// Anything else.
    pub fn read(cursor: &mut Cursor<'_>) -> Result<Self, ScopeError> {
        let found = cursor.byte()?;
        if found != VERSION {
            return Err(ScopeError::Version { found });
        }
        let origin = String::from(cursor.text()?);
        let as_of_ms = u64::from_be_bytes(cursor.array()?);
        let depth = cursor.byte()?;
        let count = u16::from_be_bytes(cursor.array()?);
        if usize::from(count) > ASSETS_MAX {
            return Err(ScopeError::Assets { found: usize::from(count) });
        }
        let mut assets = Vec::new();
        for _ in 0..count {
            assets.push(Asset { code: String::from(cursor.text()?), decimals: cursor.byte()? });
        }
        let mut blocks = Vec::new();
        for _ in 0..cursor.byte()? {
            let chain = String::from(cursor.text()?);
            let height = u64::from_be_bytes(cursor.array()?);
            blocks.push(Block { chain, height, hash: cursor.array()? });
        }
        Self { origin, as_of_ms, depth, assets, blocks }.checked()
    }

    fn checked(self) -> Result<Self, ScopeError> {
        let found = self.origin.len();
        if found == 0 || found > usize::from(u8::MAX) || self.origin.chars().any(char::is_control) {
            return Err(ScopeError::Origin { found });
        }
        if !(1..=DEPTH_MAX).contains(&self.depth) {
            return Err(ScopeError::Depth { found: self.depth });
        }
        if !(1..=ASSETS_MAX).contains(&self.assets.len()) {
            return Err(ScopeError::Assets { found: self.assets.len() });
        }
        for Asset { code, decimals } in &self.assets {
            let may = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b".-".contains(&byte);
            if !word(code, may) || *decimals > DECIMALS_MAX {
                return Err(ScopeError::Asset { code: code.clone(), decimals: *decimals });
            }
        }
        if self.blocks.len() > BLOCKS_MAX {
            return Err(ScopeError::Blocks { found: self.blocks.len() });
        }
        for Block { chain, .. } in &self.blocks {
            let may = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            if !word(chain, may) {
                return Err(ScopeError::Chain { chain: chain.clone() });
            }
        }
        ordered("asset", self.assets.iter().map(|asset| asset.code.as_str()))?;
        ordered("chain", self.blocks.iter().map(|block| block.chain.as_str()))?;
        Ok(self)
    }
}

fn word(text: &str, may: impl Fn(u8) -> bool) -> bool {
    (1..=WORD_MAX).contains(&text.len()) && text.bytes().all(may)
}

fn ordered<'a>(what: &'static str, mut names: impl Iterator<Item = &'a str>) -> Result<(), ScopeError> {
    let mut before = names.next();
    for name in names {
        if before >= Some(name) {
            return Err(ScopeError::Order { what, name: String::from(name) });
        }
        before = Some(name);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use alloc::{string::ToString as _, vec};

    use super::*;

    fn asset(code: &str, decimals: u8) -> Asset {
        Asset { code: code.to_string(), decimals }
    }

    fn block(chain: &str) -> Block {
        Block { chain: chain.to_string(), height: 7, hash: [9; 32] }
    }

    #[test]
    fn a_scope_is_within_its_limits() {
        let check = |origin: &str, depth, assets: &[Asset], blocks: &[Block], want: Option<&str>| {
            let scope = Scope::new(origin.to_string(), u64::MAX, depth, assets.to_vec(), blocks.to_vec());
            match (scope, want) {
                (Ok(scope), None) => {
                    let bytes = scope.encode();
                    let mut cursor = Cursor::new(&bytes);
                    assert_eq!(Scope::read(&mut cursor), Ok(scope));
                    assert_eq!(cursor.end(), Ok(()));
                    for length in 0..bytes.len() {
                        let cut = Scope::read(&mut Cursor::new(&bytes[..length]));
                        assert!(matches!(cut, Err(ScopeError::Wire(WireError::Cut { .. }))), "{length}");
                    }
                }
                (Err(problem), Some(want)) => assert!(problem.to_string().contains(want), "{problem}"),
                (found, want) => panic!("{found:?}, want {want:?}"),
            }
        };
        let btc = [asset("BTC", 8)];
        let many = |count| (0..count).map(|number| asset(&number.to_string(), 0)).collect::<Vec<_>>();
        let chains = |count: u32| (0..count).map(|number| block(&number.to_string())).collect::<Vec<_>>();
        let long = "o".repeat(255);
        check("log.example", 1, &btc, &[], None);
        check(&long, 32, &many(1_024), &chains(64), None);
        check("o", 20, &[asset("XEM", 6), asset("ETH", 18)], &[block("eth"), block("btc")], None);
        check("", 1, &btc, &[], Some("the origin has 0 bytes"));
        check(&[&long, "o"].concat(), 1, &btc, &[], Some("the origin has 256 bytes"));
        check("a\nb", 1, &btc, &[], Some("control character"));
        check("o", 0, &btc, &[], Some("a depth of 0"));
        check("o", 33, &btc, &[], Some("a depth of 33"));
        check("o", 1, &[], &[], Some("0 assets"));
        check("o", 1, &many(1_025), &[], Some("1025 assets"));
        check("o", 1, &[asset("btc", 8)], &[], Some("asset \"btc\""));
        check("o", 1, &[asset("", 8)], &[], Some("asset \"\""));
        check("o", 1, &[asset(&"B".repeat(17), 8)], &[], Some("asset"));
        check("o", 1, &[asset("ETH", 19)], &[], Some("19 decimals"));
        check("o", 1, &[asset("ETH", 8), asset("ETH", 18)], &[], Some("ETH stands twice"));
        check("o", 1, &btc, &chains(65), Some("65 blocks"));
        check("o", 1, &btc, &[block("BTC")], Some("chain \"BTC\""));
        check("o", 1, &btc, &[block("btc"), block("btc")], Some("btc stands twice"));
    }

    #[test]
    fn a_scope_has_one_form() {
        let scope = Scope::new("o".to_string(), 0, 1, vec![asset("A", 0), asset("B", 0)], vec![]).unwrap();
        let mut bytes = scope.encode();
        let at = bytes.iter().position(|byte| *byte == b'A').unwrap();
        (bytes[at], bytes[at + 3]) = (b'B', b'A');
        let found = Scope::read(&mut Cursor::new(&bytes));
        assert!(matches!(found, Err(ScopeError::Order { what: "asset", .. })), "{found:?}");
        bytes[0] = 2;
        assert_eq!(Scope::read(&mut Cursor::new(&bytes)), Err(ScopeError::Version { found: 2 }));
    }
}
