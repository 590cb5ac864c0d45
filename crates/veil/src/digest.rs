//! Leaves, lists of leaves, and their hashes as the circuit computes them: Poseidon2 over KoalaBear (2^31 - 2^24 + 1), width 24,
//! S-box x^3, 8 full and 23 partial rounds, with the constants that Plonky3 publishes (Poseidon2: eprint 2023/323). A sponge
//! that overwrites; capacity 8 elements (248 bits) for leaves, 16 for lists. Decides nothing of the proof.

use core::fmt;
use std::{array, str::FromStr, sync::OnceLock};

use p3_field::{PrimeCharacteristicRing as _, PrimeField32 as _};
use p3_koala_bear::{KoalaBear, Poseidon2KoalaBear, default_koalabear_poseidon2_24};
use p3_symmetric::Permutation as _;
use sha2::{Digest as _, Sha256};

use crate::columns::ASSETS_PER_BLOCK;

/// Bits of an amount and of a total: enough for 10^18 coins of 18 decimals.
pub const AMOUNT_BITS: usize = 120;
/// Bits of a limb.
pub(crate) const LIMB_BITS: usize = 15;
/// Limbs of an amount.
pub(crate) const LIMBS: usize = AMOUNT_BITS / LIMB_BITS;
/// Elements of the permutation.
pub(crate) const WIDTH: usize = 24;
/// Elements of a digest, a name and a salt.
pub(crate) const ELEMENTS: usize = 8;
/// Elements that the leaf's hash takes at once.
pub(crate) const LEAF_RATE: usize = 16;

/// Where a sponge's kind stands before its first block, and what follows it.
const KIND: usize = LEAF_RATE;
const SIZE: usize = LEAF_RATE + 1;
const LEAF: u32 = 1;
const LIST: u32 = 2;
/// Bits of each element of a name and a salt: fewer than the field's, so that each has one form.
const ELEMENT_BITS: u32 = 30;
/// The name of totals. No customer has it: its first element is beyond 30 bits.
pub(crate) const TOTALS: [KoalaBear; ELEMENTS] =
    KoalaBear::new_array([0x746f_7461, 0x6c73, 0, 0, 0, 0, 0, 0]);
/// What a customer's name is hashed with.
const NAME_DOMAIN: &[u8] = b"kuraban-veil-name-v1";

/// A hash: eight elements of the field.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([KoalaBear; ELEMENTS]);

/// Random bits that hide a leaf or the totals: eight numbers of 30 bits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt([KoalaBear; ELEMENTS]);

/// What a customer is owed; without a name, nobody.
#[derive(Clone, PartialEq, Eq)]
pub struct Leaf {
    /// The customer, as the exchange names it; padding has no name.
    pub name: String,
    /// What hides the leaf from others.
    pub salt: Salt,
    /// What the customer has, in the order of the scope's assets.
    pub amounts: Vec<u128>,
}

/// What all customers up to some place are owed.
#[derive(Clone, PartialEq, Eq)]
pub struct Totals {
    /// The sums, in the order of the scope's assets.
    pub amounts: Vec<u128>,
    /// What hides them.
    pub salt: Salt,
}

fn elements(bytes: &[u8; 32], mask: u32) -> [u32; ELEMENTS] {
    let (words, _) = bytes.as_chunks::<4>();
    let mut numbers = [0; ELEMENTS];
    for (number, word) in numbers.iter_mut().zip(words) {
        *number = u32::from_be_bytes(*word) & mask;
    }
    numbers
}

fn bytes(elements: &[KoalaBear; ELEMENTS]) -> [u8; 32] {
    let mut bytes = [0; 32];
    let (words, _) = bytes.as_chunks_mut::<4>();
    for (word, element) in words.iter_mut().zip(elements) {
        *word = element.as_canonical_u32().to_be_bytes();
    }
    bytes
}

impl Salt {
    /// Of 32 random bytes: the two highest bits of each four are dropped.
    #[must_use]
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(elements(bytes, (1 << ELEMENT_BITS) - 1).map(KoalaBear::new))
    }

    /// Of bytes that [`to_bytes`](Self::to_bytes) gave; none of any others.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        let salt = Self::new(bytes);
        (salt.to_bytes() == *bytes).then_some(salt)
    }

    /// As eight numbers of four bytes, the highest first.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        bytes(&self.0)
    }

    /// The salt of totals that everybody knows.
    pub(crate) const fn none() -> Self {
        Self([KoalaBear::new(0); ELEMENTS])
    }

    pub(crate) const fn elements(&self) -> &[KoalaBear; ELEMENTS] {
        &self.0
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(<redacted>)")
    }
}

impl Digest {
    /// Of its bytes; none where one of the eight numbers is beyond the field.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        let digest = Self(elements(bytes, u32::MAX).map(KoalaBear::new));
        (digest.to_bytes() == *bytes).then_some(digest)
    }

    /// As eight numbers of four bytes, the highest first.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        bytes(&self.0)
    }

    /// A SHA-256 hash in the circuit's public values: 240 bits of it.
    pub(crate) fn of_hash(hash: &[u8; 32]) -> Self {
        Self(elements(hash, (1 << ELEMENT_BITS) - 1).map(KoalaBear::new))
    }

    pub(crate) const fn elements(&self) -> &[KoalaBear; ELEMENTS] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl fmt::Debug for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Leaf(<redacted>)")
    }
}

impl fmt::Debug for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Totals(<redacted>)")
    }
}

/// A name in the field; padding's is zeros.
pub(crate) fn name(name: &str) -> [KoalaBear; ELEMENTS] {
    if name.is_empty() {
        return [KoalaBear::ZERO; ELEMENTS];
    }
    let hash = Sha256::new().chain_update(NAME_DOMAIN).chain_update(name).finalize();
    *Digest::of_hash(&hash.into()).elements()
}

/// The limbs of an amount, the lowest first; those above [`AMOUNT_BITS`] are dropped.
pub(crate) fn limbs(amount: u128) -> [u32; LIMBS] {
    let mut rest = amount;
    array::from_fn(|_| {
        let [a, b, ..] = (rest & ((1 << LIMB_BITS) - 1)).to_le_bytes();
        rest >>= LIMB_BITS;
        u32::from(u16::from_le_bytes([a, b]))
    })
}

/// What the leaf's hash takes: name and salt, then the limbs of four assets at a time, two in an element.
pub(crate) fn blocks(
    name: &[KoalaBear; ELEMENTS],
    salt: &Salt,
    limbs: &[KoalaBear],
) -> Vec<[KoalaBear; LEAF_RATE]> {
    let mut head = [KoalaBear::ZERO; LEAF_RATE];
    absorb(&mut head, name);
    for (place, element) in head.iter_mut().skip(ELEMENTS).zip(salt.elements()) {
        *place = *element;
    }
    let shift = KoalaBear::from_u32(1 << LIMB_BITS);
    let body = limbs.chunks(ASSETS_PER_BLOCK * LIMBS).map(|limbs| {
        let mut block = [KoalaBear::ZERO; LEAF_RATE];
        for (place, [low, high]) in block.iter_mut().zip(limbs.as_chunks::<2>().0) {
            *place = *low + *high * shift;
        }
        block
    });
    core::iter::once(head).chain(body).collect()
}

/// The state of a leaf's hash before its first block: the kind and how many assets follow.
pub(crate) fn leaf_start(assets: usize) -> [KoalaBear; WIDTH] {
    start(LEAF, assets)
}

/// The state of a list's hash before its first digest: the kind and how many rows there are, as a power of two.
pub(crate) fn list_start(log_rows: u8) -> [KoalaBear; WIDTH] {
    start(LIST, usize::from(log_rows))
}

fn start(kind: u32, size: usize) -> [KoalaBear; WIDTH] {
    let mut state = [KoalaBear::ZERO; WIDTH];
    for (at, element) in state.iter_mut().enumerate() {
        match at {
            KIND => *element = KoalaBear::new(kind),
            SIZE => *element = KoalaBear::from_usize(size),
            _ => {}
        }
    }
    state
}

/// Overwrites the first elements of a state.
pub(crate) fn absorb(state: &mut [KoalaBear], block: &[KoalaBear]) {
    for (place, element) in state.iter_mut().zip(block) {
        *place = *element;
    }
}

/// Puts a state through the permutation.
pub(crate) fn permute(state: &mut [KoalaBear; WIDTH]) {
    static PERMUTATION: OnceLock<Poseidon2KoalaBear<WIDTH>> = OnceLock::new();
    PERMUTATION.get_or_init(default_koalabear_poseidon2_24).permute_mut(state);
}

/// The first elements of a state, which are its hash.
pub(crate) fn squeeze(state: &[KoalaBear; WIDTH]) -> Digest {
    Digest(*state.first_chunk().unwrap_or(&[KoalaBear::ZERO; ELEMENTS]))
}

fn hash(name: &[KoalaBear; ELEMENTS], salt: &Salt, amounts: &[u128]) -> Digest {
    let limbs: Vec<_> = amounts.iter().flat_map(|amount| limbs(*amount)).map(KoalaBear::from_u32).collect();
    let mut state = leaf_start(amounts.len());
    for block in blocks(name, salt, &limbs) {
        absorb(&mut state, &block);
        permute(&mut state);
    }
    squeeze(&state)
}

impl Leaf {
    /// The leaf's hash, which says nothing of it to whoever lacks the salt.
    #[must_use]
    pub fn digest(&self) -> Digest {
        hash(&name(&self.name), &self.salt, &self.amounts)
    }
}

impl Totals {
    /// Nothing, of so many assets, which is where the first batch begins.
    #[must_use]
    pub fn zero(assets: usize) -> Self {
        Self { amounts: vec![0; assets], salt: Salt::none() }
    }

    /// What commits to them.
    #[must_use]
    pub fn digest(&self) -> Digest {
        hash(&TOTALS, &self.salt, &self.amounts)
    }
}

/// The hash of a batch's list: of the totals before it, then of each leaf.
#[must_use]
pub fn list_digest(log_rows: u8, before: &Digest, leaves: &[Digest]) -> Digest {
    let mut state = list_start(log_rows);
    for digest in core::iter::once(before).chain(leaves) {
        absorb(&mut state, digest.elements());
        permute(&mut state);
    }
    squeeze(&state)
}

/// Text that is no digest.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("is no hash of 64 hexadecimal digits")]
pub struct NotDigest;

impl FromStr for Digest {
    type Err = NotDigest;

    fn from_str(text: &str) -> Result<Self, NotDigest> {
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return Err(NotDigest) };
        let mut bytes = [0; 32];
        if pairs.len() != bytes.len() {
            return Err(NotDigest);
        }
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = digit(*high).ok_or(NotDigest)? << 4 | digit(*low).ok_or(NotDigest)?;
        }
        Self::from_bytes(&bytes).ok_or(NotDigest)
    }
}
