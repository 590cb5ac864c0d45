//! Bech32 and Bech32m (BIP 173, BIP 350), with the position of mistyped characters.
//!
//! Decides whether the characters after a known human-readable part are well-formed and their checksum
//! right; never what the program means. A located error is shown, never corrected.

use super::address::AddressError;

const ALPHABET: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";

/// Longest text (BIP 173).
pub(crate) const TEXT_MAX: usize = 90;
/// Characters of the checksum.
const CHECKSUM_LENGTH: usize = 6;

/// Which of the two checksums a text carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Variant {
    /// BIP 173, for witness version 0.
    Bech32,
    /// BIP 350, for all others.
    Bech32m,
}

impl Variant {
    const BOTH: [Self; 2] = [Self::Bech32, Self::Bech32m];

    /// What a right checksum leaves.
    const fn residue(self) -> u32 {
        match self {
            Self::Bech32 => 1,
            Self::Bech32m => 0x2bc8_30a3,
        }
    }

    /// The checksum that a witness version is written with.
    pub(crate) const fn of_version(version: u8) -> Self {
        if version == 0 { Self::Bech32 } else { Self::Bech32m }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Bech32 => "bech32",
            Self::Bech32m => "bech32m",
        }
    }
}

/// The five-bit values between separator and checksum, and which checksum was right.
///
/// `hrp` is the human-readable part that `text` was found to start with, in lower case.
pub(crate) fn decode(hrp: &str, text: &str) -> Result<(Variant, Vec<u8>), AddressError> {
    if text.len() > TEXT_MAX {
        return Err(AddressError::Length { got: text.len(), max: TEXT_MAX });
    }
    let skipped = hrp.len().saturating_add(1);
    let lower = text.chars().any(|c| c.is_ascii_lowercase());
    if let Some(at) = text.chars().position(|c| c.is_ascii_uppercase()).filter(|_| lower) {
        return Err(AddressError::MixedCase { at: at.saturating_add(1) });
    }
    let mut values = Vec::with_capacity(TEXT_MAX);
    for (at, found) in (1..).zip(text.chars()).skip(skipped) {
        let value = ALPHABET.iter().position(|c| char::from(*c) == found.to_ascii_lowercase());
        let value = value.and_then(|value| u8::try_from(value).ok());
        values.push(value.ok_or(AddressError::Bech32Character { found, at })?);
    }
    let Some((data, _)) = values.split_last_chunk::<CHECKSUM_LENGTH>() else {
        return Err(AddressError::Payload { got: values.len(), want: "a version, a program and a checksum" });
    };
    let left = polymod(expand(hrp).chain(values.iter().copied()));
    match Variant::BOTH.into_iter().find(|variant| variant.residue() == left) {
        Some(variant) => Ok((variant, data.to_vec())),
        None => Err(AddressError::Bech32Checksum { at: locate(left, &values, skipped) }),
    }
}

/// The text of `data` under `hrp`.
pub(crate) fn encode(variant: Variant, hrp: &str, data: &[u8]) -> String {
    let padded = expand(hrp).chain(data.iter().copied()).chain([0; CHECKSUM_LENGTH]);
    let sum = polymod(padded) ^ variant.residue();
    let checksum = [25, 20, 15, 10, 5, 0].map(|shift| five_bits(sum >> shift));
    let letter = |value: u8| ALPHABET.get(usize::from(value)).copied().map_or('q', char::from);
    let tail = data.iter().copied().chain(checksum).map(letter);
    hrp.chars().chain(['1']).chain(tail).collect()
}

/// Regroups five-bit values into bytes; `None` unless the rest is fewer than five zero bits (BIP 173).
pub(crate) fn to_bytes(values: &[u8]) -> Option<Vec<u8>> {
    let (mut sum, mut bits) = (0_u32, 0_u32);
    let mut bytes = Vec::with_capacity(values.len());
    for value in values {
        sum = (sum << 5 | u32::from(*value)) & 0xfff;
        bits = bits.saturating_add(5);
        if bits >= 8 {
            bits = bits.saturating_sub(8);
            let [byte, ..] = (sum >> bits).to_le_bytes();
            bytes.push(byte);
        }
    }
    let rest = sum & (1_u32 << bits).saturating_sub(1);
    (bits < 5 && rest == 0).then_some(bytes)
}

/// Regroups bytes into five-bit values, the last filled up with zero bits.
pub(crate) fn to_values(bytes: &[u8]) -> Vec<u8> {
    let (mut sum, mut bits) = (0_u32, 0_u32);
    let mut values = Vec::with_capacity(bytes.len().saturating_mul(2));
    for byte in bytes {
        sum = (sum << 8 | u32::from(*byte)) & 0xfff;
        bits = bits.saturating_add(8);
        while bits >= 5 {
            bits = bits.saturating_sub(5);
            values.push(five_bits(sum >> bits));
        }
    }
    if bits > 0 {
        values.push(five_bits(sum << 5_u32.saturating_sub(bits)));
    }
    values
}

fn five_bits(number: u32) -> u8 {
    let [low, ..] = number.to_le_bytes();
    low & 31
}

fn expand(hrp: &str) -> impl Iterator<Item = u8> {
    hrp.bytes().map(|c| c >> 5).chain([0]).chain(hrp.bytes().map(|c| c & 31))
}

/// The remainder of the checksum's polynomial division (BIP 173).
fn polymod(values: impl Iterator<Item = u8>) -> u32 {
    values.fold(1, |sum, value| step(sum) ^ u32::from(value))
}

fn step(sum: u32) -> u32 {
    const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    let top = sum >> 25;
    let terms = (0_u32..).zip(GENERATOR).filter(|(bit, _)| top >> bit & 1 == 1);
    terms.fold((sum & 0x1ff_ffff) << 5, |sum, (_, term)| sum ^ term)
}

/// A wrong value at one place of the text after the separator.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Error {
    /// What it adds to the remainder.
    effect: u32,
    place: usize,
    /// By which bits the value is wrong.
    bits: u8,
}

/// Where the wrong characters are, as positions from 1 in the text, if one or two of them explain the
/// checksum. The code tells all single errors and all pairs apart (its distance is five), so each of the two
/// checksums has at most one answer; only one that leaves a version which is written with it counts.
fn locate(left: u32, values: &[u8], skipped: usize) -> Vec<usize> {
    let errors = single_errors(values.len());
    let answer = |variant: Variant| {
        let answer = explain(&errors, left ^ variant.residue())?;
        let first = answer.iter().filter(|error| error.place == 0).fold(0, |bits, error| bits ^ error.bits);
        let version = values.first()? ^ first;
        (Variant::of_version(version) == variant).then_some(answer)
    };
    let mut answers: Vec<Vec<Error>> = Variant::BOTH.into_iter().filter_map(answer).collect();
    answers.sort_by_key(Vec::len);
    let fewest = match answers.as_slice() {
        [only] => only.as_slice(),
        [fewer, more] if fewer.len() < more.len() => fewer.as_slice(),
        _ => &[],
    };
    fewest.iter().map(|error| error.place.saturating_add(skipped).saturating_add(1)).collect()
}

/// Every wrong value at every place, sorted by effect.
fn single_errors(length: usize) -> Vec<Error> {
    let mut errors = Vec::with_capacity(length.saturating_mul(31));
    for bits in 1..32_u8 {
        let mut effect = u32::from(bits);
        for place in (0..length).rev() {
            errors.push(Error { effect, place, bits });
            effect = step(effect);
        }
    }
    errors.sort_unstable();
    errors
}

fn explain(errors: &[Error], wanted: u32) -> Option<Vec<Error>> {
    let of = |effect: u32| {
        let index = errors.binary_search_by_key(&effect, |error| error.effect).ok()?;
        errors.get(index).copied()
    };
    if let Some(error) = of(wanted) {
        return Some(vec![error]);
    }
    errors.iter().find_map(|first| {
        let second = of(wanted ^ first.effect)?;
        (first.place < second.place).then(|| vec![*first, second])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: &str = "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq";

    fn with(changes: &[(usize, char)]) -> String {
        let mut text: Vec<char> = ADDRESS.chars().collect();
        for (at, c) in changes {
            text[*at - 1] = *c;
        }
        text.into_iter().collect()
    }

    #[test]
    fn one_or_two_mistyped_characters_are_located() {
        let check = |changes: &[(usize, char)]| {
            let want = changes.iter().map(|(at, _)| *at).collect();
            let error = decode("bc", &with(changes)).unwrap_err();
            assert_eq!(error, AddressError::Bech32Checksum { at: want }, "{changes:?}");
        };
        let other = |at: usize| if ADDRESS.chars().nth(at - 1) == Some('p') { 'z' } else { 'p' };
        assert!(decode("bc", ADDRESS).is_ok());
        for first in 4..=ADDRESS.len() {
            check(&[(first, other(first))]);
            for second in (first + 1..=ADDRESS.len()).step_by(5) {
                check(&[(first, other(first)), (second, other(second))]);
            }
        }
    }

    #[test]
    fn places_of_bad_characters_and_mixed_case_are_named() {
        let check = |text: String, want: AddressError| assert_eq!(decode("bc", &text), Err(want));
        check(with(&[(7, 'b')]), AddressError::Bech32Character { found: 'b', at: 7 });
        check(with(&[(7, '1')]), AddressError::Bech32Character { found: '1', at: 7 });
        check(with(&[(7, 'é')]), AddressError::Bech32Character { found: 'é', at: 7 });
        check(with(&[(7, 'R')]), AddressError::MixedCase { at: 7 });
        check(
            "bc1qqqqq".into(),
            AddressError::Payload { got: 5, want: "a version, a program and a checksum" },
        );
    }

    #[test]
    fn regrouping_is_inverse_and_rejects_padding() {
        for length in 0..45_u8 {
            let bytes: Vec<u8> = (0..length).map(|i| i.wrapping_mul(91)).collect();
            assert_eq!(to_bytes(&to_values(&bytes)), Some(bytes));
        }
        assert_eq!(to_bytes(&[0, 1]), None);
        assert_eq!(to_bytes(&[0]), None);
        assert_eq!(to_bytes(&[31, 28]), Some(vec![0xff]));
    }
}
