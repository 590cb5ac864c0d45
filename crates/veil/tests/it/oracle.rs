//! The hashes of leaves and lists beside a Poseidon2 of another design: whole numbers modulo the prime and the matrices as the
//! paper writes them (eprint 2023/323, sections 5.1 and 5.2), with nothing of the library but its published constants.

use kuraban_veil::{Digest, Leaf, Totals, list_digest};
use p3_field::PrimeField32 as _;
use p3_koala_bear::{
    KOALABEAR_POSEIDON2_RC_24_EXTERNAL_FINAL, KOALABEAR_POSEIDON2_RC_24_EXTERNAL_INITIAL,
    KOALABEAR_POSEIDON2_RC_24_INTERNAL, KoalaBear,
};
use sha2::{Digest as _, Sha256};

use crate::kit::leaf;

const P: u64 = (1 << 31) - (1 << 24) + 1;
const WIDTH: usize = 24;

type State = [u64; WIDTH];

fn power(base: u64, exponent: u64) -> u64 {
    (0..exponent).fold(1, |product, _| product * base % P)
}

/// 1/2^n.
fn half(times: u64) -> u64 {
    power(P.div_ceil(2), times)
}

/// The inner matrix is all ones, with this added to its diagonal, as Plonky3 documents it for this width.
fn diagonal() -> State {
    let minus = |number: u64| P - number;
    [
        minus(2),
        1,
        2,
        half(1),
        3,
        4,
        minus(half(1)),
        minus(3),
        minus(4),
        half(8),
        half(2),
        half(3),
        half(4),
        half(5),
        half(6),
        half(24),
        minus(half(8)),
        minus(half(3)),
        minus(half(4)),
        minus(half(5)),
        minus(half(6)),
        minus(half(7)),
        minus(half(9)),
        minus(half(24)),
    ]
}

/// circ(2 M4, M4, …, M4) with M4 the circulant of (2, 3, 1, 1), which is what Plonky3 takes for M4.
fn outer(state: &mut State) {
    let m4 = [[2, 3, 1, 1], [1, 2, 3, 1], [1, 1, 2, 3], [3, 1, 1, 2]];
    let mut mixed = [0; WIDTH];
    for (at, place) in mixed.iter_mut().enumerate() {
        let row: [u64; 4] = m4[at % 4];
        for block in 0..WIDTH / 4 {
            let times = if block == at / 4 { 2 } else { 1 };
            let inner = (0..4).map(|column| row[column] * state[block * 4 + column]).sum::<u64>();
            *place = (*place + times * (inner % P)) % P;
        }
    }
    *state = mixed;
}

fn permute(state: &mut State) {
    let full = |state: &mut State, constants: &[KoalaBear; WIDTH]| {
        for (element, constant) in state.iter_mut().zip(constants) {
            *element = power((*element + u64::from(constant.as_canonical_u32())) % P, 3);
        }
        outer(state);
    };
    outer(state);
    KOALABEAR_POSEIDON2_RC_24_EXTERNAL_INITIAL.iter().for_each(|constants| full(state, constants));
    for constant in KOALABEAR_POSEIDON2_RC_24_INTERNAL {
        state[0] = power((state[0] + u64::from(constant.as_canonical_u32())) % P, 3);
        let sum = state.iter().sum::<u64>() % P;
        for (element, factor) in state.iter_mut().zip(diagonal()) {
            *element = (sum + *element * factor) % P;
        }
    }
    KOALABEAR_POSEIDON2_RC_24_EXTERNAL_FINAL.iter().for_each(|constants| full(state, constants));
}

fn numbers(bytes: &[u8], mask: u32) -> Vec<u64> {
    let word = |word: &[u8]| u64::from(u32::from_be_bytes(word.try_into().unwrap()) & mask);
    bytes.chunks(4).map(word).collect()
}

fn bytes(state: &State) -> Vec<u8> {
    state[..8].iter().flat_map(|element| u32::try_from(*element).unwrap().to_be_bytes()).collect()
}

fn leaf_hash(name: &[u64], salt: &[u64], amounts: &[u128]) -> Vec<u8> {
    let mut state = [0; WIDTH];
    (state[16], state[17]) = (1, amounts.len().try_into().unwrap());
    let mut elements: Vec<u64> = [name, salt].concat();
    // Thirty bits in an element.
    let parts = amounts.iter().flat_map(|amount| (0..4).map(move |part| amount >> (30 * part) & 0x3fff_ffff));
    elements.extend(parts.map(|part| u64::try_from(part).unwrap()));
    for block in elements.chunks(16) {
        state[..16].fill(0);
        state[..block.len()].copy_from_slice(block);
        permute(&mut state);
    }
    bytes(&state)
}

#[test]
fn leaves_hash_as_the_paper_says() {
    for (number, assets) in [(0, 1), (1, 2), (7, 3), (299, 4), (5, 5), (400, 20)] {
        let amounts: Vec<u128> = (0..assets).map(|asset| (1 << (119 - asset)) + asset).collect();
        let leaf = Leaf { amounts, ..leaf(number) };
        let name = match leaf.name.as_str() {
            "" => vec![0; 8],
            name => {
                numbers(&Sha256::digest([b"kuraban-veil-name-v1", name.as_bytes()].concat()), 0x3fff_ffff)
            }
        };
        let salt = numbers(&leaf.salt.to_bytes(), u32::MAX);
        assert_eq!(leaf.digest().to_bytes(), *leaf_hash(&name, &salt, &leaf.amounts), "{number}");
        let totals = Totals { amounts: leaf.amounts.clone(), salt: leaf.salt };
        let name = [0x746f_7461, 0x6c73, 0, 0, 0, 0, 0, 0];
        assert_eq!(totals.digest().to_bytes(), *leaf_hash(&name, &salt, &leaf.amounts), "{number}");
    }
}

#[test]
fn lists_hash_as_the_paper_says() {
    let leaves: Vec<Digest> = (0..5).map(|number| leaf(number).digest()).collect();
    let before = Totals::zero(2).digest();
    let mut state = [0; WIDTH];
    (state[16], state[17]) = (2, 8);
    for digest in [&before].into_iter().chain(&leaves) {
        state[..8].copy_from_slice(&numbers(&digest.to_bytes(), u32::MAX));
        permute(&mut state);
    }
    assert_eq!(list_digest(8, &before, &leaves).to_bytes(), *bytes(&state));
}

#[test]
fn hashes_do_not_change() {
    let check = |found: Digest, want: &str| assert_eq!(found.to_string(), want);
    check(leaf(7).digest(), "0d951beb2fbae23413a1e29a741e7f5b23e64864309a2bb64aae4e0225700f2a");
    check(Totals::zero(2).digest(), "14016fec25fb050c0b57bc6b7c7c37557af16e6f0d357b0f4f8c894d2c059e80");
    check(
        list_digest(8, &leaf(1).digest(), &[leaf(2).digest()]),
        "4444f131127858ca3ba083e87c2ce51f60e98d5f2e29810b2ca5d58c0c7446be",
    );
}
