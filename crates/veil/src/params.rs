//! The proof system's parameters, all in one place, and the level of security that follows from them. Decides no proof.
//!
//! Field KoalaBear with its extension of degree 5; Merkle trees and transcript with SHA-256 (FIPS 180-4); FRI that hides (Plonky3's
//! `HidingFriPcs` over `MerkleTreeHidingMmcs`, after eprint 2024/1037).

use p3_challenger::{HashChallenger, SerializingChallenger32};
use p3_commit::ExtensionMmcs;
use p3_dft::Radix2DitParallel;
use p3_field::{
    PrimeField64 as _, coset::TwoAdicMultiplicativeCoset, extension::QuinticTrinomialExtensionField,
};
use p3_fri::{FriParameters, HidingFriPcs};
use p3_koala_bear::KoalaBear;
use p3_merkle_tree::MerkleTreeHidingMmcs;
use p3_symmetric::{CompressionFunctionFromHasher, CryptographicHasher, SerializingHasher};
use p3_uni_stark::{
    AirLayout, ConjecturedSecurity, OpeningShape, Proof, ProvenSecurity, StarkConfig, StarkSecurityParams,
};
use rand::{SeedableRng as _, rngs::StdRng};
use sha2::{Digest as _, Sha256};

use crate::{Shape, circuit::Circuit, digest::LIMB_BITS};

/// Most assets of a batch; the columns grow with them.
pub const ASSETS_MAX: usize = 64;
/// Fewest and most rows of a batch, as powers of two. Fewer do not hide what the queries open; with more the sums of limbs
/// could wrap.
pub const LOG_ROWS_MIN: u8 = 8;
/// See [`LOG_ROWS_MIN`].
pub const LOG_ROWS_MAX: u8 = 14;

// The sums of limbs of the most rows, with what is carried into them, are below the field's order; so is a limb with what is carried out.
const _: () = {
    let limb = (1_u64 << LIMB_BITS) - 1;
    assert!((1_u64 << LOG_ROWS_MAX) * limb + limb < KoalaBear::ORDER_U64);
    assert!(limb + (limb << LIMB_BITS) < KoalaBear::ORDER_U64);
};

/// Rate of the code, as a power of two.
const LOG_BLOWUP: usize = 2;
/// Places that the verifier looks at.
const QUERIES: usize = 86;
/// Bits of work before the queries are drawn, before the openings are combined, and before the point outside is drawn.
const QUERY_WORK_BITS: usize = 16;
const BATCH_WORK_BITS: usize = 20;
const POINT_WORK_BITS: usize = 0;
/// How far one round folds at most, as a power of two.
const LOG_ARITY: usize = 3;
/// Length of the polynomial at which folding ends, as a power of two.
const LOG_FINAL: usize = 0;
/// Degree of the extension from which challenges are drawn.
const EXTENSION: usize = 5;
/// Bits of an element of the extension.
const EXTENSION_BITS: usize = 154;
/// Elements of salt in each leaf of the proof's own Merkle trees: 124 bits.
const SALT_ELEMENTS: usize = 4;
/// Bits against collisions of SHA-256.
const COLLISION_BITS: usize = 128;

/// Bytes of an element, and of the length before a list.
const ELEMENT_BYTES: usize = 4;
/// Bytes of a proof that do not grow with its columns: Merkle paths, folded values, all beyond need.
const PROOF_REST: usize = 1 << 20;

/// SHA-256 in the words of the proof system.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hasher;

impl CryptographicHasher<u8, [u8; 32]> for Hasher {
    fn hash_iter<I: IntoIterator<Item = u8>>(&self, input: I) -> [u8; 32] {
        let mut hasher = Sha256::new();
        let (mut block, mut filled) = ([0_u8; 1_024], 0);
        for byte in input {
            if let Some(place) = block.get_mut(filled) {
                *place = byte;
                filled += 1;
            }
            if filled == block.len() {
                hasher.update(block);
                filled = 0;
            }
        }
        hasher.update(block.get(..filled).unwrap_or_default());
        hasher.finalize().into()
    }

    fn hash_iter_slices<'a, I: IntoIterator<Item = &'a [u8]>>(&self, input: I) -> [u8; 32] {
        input.into_iter().fold(Sha256::new(), |hasher, slice| hasher.chain_update(slice)).finalize().into()
    }
}

type Challenge = QuinticTrinomialExtensionField<KoalaBear>;
type Compress = CompressionFunctionFromHasher<Hasher, 2, 32>;
type Trees =
    MerkleTreeHidingMmcs<KoalaBear, u8, SerializingHasher<Hasher>, Compress, StdRng, 2, 32, SALT_ELEMENTS>;
type FoldedTrees = ExtensionMmcs<KoalaBear, Challenge, Trees>;
type Commitments = HidingFriPcs<KoalaBear, Radix2DitParallel<KoalaBear>, Trees, FoldedTrees, StdRng>;
type Transcript = SerializingChallenger32<KoalaBear, HashChallenger<u8, Hasher, 32>>;

/// Everything that prover and verifier agree on.
pub(crate) type Config = StarkConfig<Commitments, Challenge, Transcript>;
/// A proof under it.
pub(crate) type StarkProof = Proof<Config>;

/// What the transcript begins with.
const TRANSCRIPT: &[u8] = b"kuraban-veil-v1";

fn fri(trees: FoldedTrees) -> FriParameters<FoldedTrees> {
    FriParameters {
        log_blowup: LOG_BLOWUP,
        log_final_poly_len: LOG_FINAL,
        max_log_arity: LOG_ARITY,
        num_queries: QUERIES,
        batch_proof_of_work_bits: BATCH_WORK_BITS,
        commit_proof_of_work_bits: 0,
        query_proof_of_work_bits: QUERY_WORK_BITS,
        mmcs: trees,
    }
}

fn folded(seed: [u8; 32]) -> (Trees, FoldedTrees) {
    let trees = Trees::new(
        SerializingHasher::new(Hasher),
        Compress::new(Hasher),
        0,
        StdRng::from_seed(derived(&seed, b"trees")),
    );
    (trees.clone(), FoldedTrees::new(trees))
}

fn derived(seed: &[u8; 32], what: &[u8]) -> [u8; 32] {
    Sha256::new()
        .chain_update(b"kuraban-veil-random-v1")
        .chain_update(seed)
        .chain_update(what)
        .finalize()
        .into()
}

/// The configuration; what hides is drawn from the seed. A verifier draws nothing, whatever the seed.
pub(crate) fn config(seed: [u8; 32]) -> Config {
    let (trees, folded_trees) = folded(seed);
    let random = StdRng::from_seed(derived(&seed, b"polynomials"));
    let commitments =
        Commitments::new(Radix2DitParallel::default(), trees, fri(folded_trees), EXTENSION, random);
    Config::new(commitments, Transcript::from_hasher(TRANSCRIPT.to_vec(), Hasher))
        .with_ood_proof_of_work_bits(POINT_WORK_BITS)
}

/// Longest proof of a shape, in bytes: its openings and, for the rest, more than any has.
pub(crate) fn proof_length_max(shape: Shape) -> usize {
    let width = shape.columns().width() + EXTENSION;
    let opened = width * ELEMENT_BYTES * (QUERIES + 2 * EXTENSION);
    opened + PROOF_REST
}

/// How hard a false proof is to make, in bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Security {
    /// As conjectured: in the regime of random words (eprint 2025/2010).
    pub conjectured_bits: usize,
    /// As proven, in the better of the two regimes (eprint 2024/1553 and what followed).
    pub proven_bits: usize,
}

/// How hard a false proof of a batch of this shape is to make, as Plonky3 reckons it from parameters and circuit.
#[must_use]
pub fn security(shape: Shape) -> Security {
    let circuit = Circuit::new(shape.assets(), shape.log_rows());
    let fri = fri(folded([0; 32]).1);
    let grinding = p3_uni_stark::GrindingSites { out_of_domain: POINT_WORK_BITS, ..fri.grinding_sites() };
    let domain = TwoAdicMultiplicativeCoset::new(
        p3_field::PrimeCharacteristicRing::ONE,
        usize::from(shape.log_rows()),
    );
    let Some(domain) = domain else { return Security { conjectured_bits: 0, proven_bits: 0 } };
    let params = StarkSecurityParams::from_air::<KoalaBear, Challenge, _>(
        fri.security_regime(),
        &circuit,
        AirLayout::from_air(&circuit),
        domain,
        EXTENSION_BITS,
        COLLISION_BITS,
        2,
        OpeningShape::hiding(EXTENSION),
        grinding,
    );
    let degree_bits = usize::from(shape.log_rows()) + 1;
    Security {
        conjectured_bits: ConjecturedSecurity::compute_from_params(&params, degree_bits).security_bits,
        proven_bits: ProvenSecurity::compute_from_proof(degree_bits, &params).security_bits(),
    }
}
