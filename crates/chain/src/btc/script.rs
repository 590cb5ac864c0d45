//! Locking and unlocking scripts: their instructions, and which of the known templates they are.
//!
//! Decides by exact shape alone and never executes a script; what no template matches is `NonStandard`.

use core::fmt;

use kuraban_base::hex;

use super::{
    hash::{hash160, sha256},
    network::Network,
};

/// Opcodes that templates are made of (Bitcoin Core, `script/script.h`).
mod op {
    pub(super) const PUSH_BYTES_MAX: u8 = 0x4b;
    pub(super) const PUSH_1: u8 = 0x4c;
    pub(super) const PUSH_2: u8 = 0x4d;
    pub(super) const PUSH_4: u8 = 0x4e;
    pub(super) const NEGATE_1: u8 = 0x4f;
    pub(super) const N1: u8 = 0x51;
    pub(super) const N16: u8 = 0x60;
    pub(super) const RETURN: u8 = 0x6a;
    pub(super) const DUP: u8 = 0x76;
    pub(super) const EQUAL: u8 = 0x87;
    pub(super) const EQUALVERIFY: u8 = 0x88;
    pub(super) const HASH160: u8 = 0xa9;
    pub(super) const CODESEPARATOR: u8 = 0xab;
    pub(super) const CHECKSIG: u8 = 0xac;
    pub(super) const CHECKMULTISIG: u8 = 0xae;
}

/// Most keys that CHECKMULTISIG takes (`MAX_PUBKEYS_PER_MULTISIG`).
const MULTISIG_KEYS_MAX: usize = 20;

/// A script as its bytes. Any bytes are a script; [`kind`](Script::kind) says which.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Script(Vec<u8>);

/// What a locking script is, by its shape.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ScriptKind {
    /// Pay to the hash of a public key.
    P2pkh,
    /// Pay to the hash of a script (BIP 16).
    P2sh,
    /// Witness version 0, hash of a public key (BIP 141).
    P2wpkh,
    /// Witness version 0, hash of a script (BIP 141).
    P2wsh,
    /// Witness version 1, 32 bytes (BIP 341).
    P2tr,
    /// Pay to a public key.
    P2pk,
    /// `k` of `n` public keys, written out.
    BareMultisig,
    /// Provably unspendable data.
    OpReturn,
    /// Any other witness program (BIP 141).
    WitnessUnknown,
    /// The balance of Litecoin's extension block (LIP 3): witness version 8, 32 bytes.
    MwebHogAddr,
    /// Coins on their way into Litecoin's extension block (LIP 3): witness version 9, 32 bytes.
    MwebPegIn,
    /// Anything else.
    NonStandard,
}

impl ScriptKind {
    /// The name used in JSON output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::P2pkh => "p2pkh",
            Self::P2sh => "p2sh",
            Self::P2wpkh => "p2wpkh",
            Self::P2wsh => "p2wsh",
            Self::P2tr => "p2tr",
            Self::P2pk => "p2pk",
            Self::BareMultisig => "multisig",
            Self::OpReturn => "op_return",
            Self::WitnessUnknown => "witness_unknown",
            Self::MwebHogAddr => "mweb_hogaddr",
            Self::MwebPegIn => "mweb_pegin",
            Self::NonStandard => "nonstandard",
        }
    }
}

/// A locking script taken apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Template<'a> {
    P2pkh(&'a [u8; 20]),
    P2sh(&'a [u8; 20]),
    P2wpkh(&'a [u8; 20]),
    P2wsh(&'a [u8; 32]),
    P2tr(&'a [u8; 32]),
    P2pk(&'a [u8]),
    Multisig { need: usize, keys: Vec<&'a [u8]> },
    OpReturn,
    Witness { version: u8, program: &'a [u8] },
    NonStandard,
}

/// One step of a script.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Instruction<'a> {
    /// Bytes put on the stack; none for the opcode 0.
    Push(&'a [u8]),
    /// Any other opcode.
    Op(u8),
}

impl Script {
    /// The script of these bytes.
    #[must_use]
    pub const fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Its bytes, owned.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Its length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Pays to the hash of a public key.
    #[must_use]
    pub fn p2pkh(hash: &[u8; 20]) -> Self {
        Self([&[op::DUP, op::HASH160, 20][..], hash, &[op::EQUALVERIFY, op::CHECKSIG]].concat())
    }

    /// Pays to the hash of a script.
    #[must_use]
    pub fn p2sh(hash: &[u8; 20]) -> Self {
        Self([&[op::HASH160, 20][..], hash, &[op::EQUAL]].concat())
    }

    /// Pays to `redeem` by its hash.
    #[must_use]
    pub fn p2sh_of(redeem: &Self) -> Self {
        Self::p2sh(&hash160(redeem.as_bytes()))
    }

    /// Pays to `witness_script` by its hash, witness version 0.
    #[must_use]
    pub fn p2wsh_of(witness_script: &Self) -> Self {
        Self([&[0, 32][..], &sha256(witness_script.as_bytes())].concat())
    }

    /// Pays to a witness program; `None` for a version above 16 or a length that no program may have.
    #[must_use]
    pub fn witness(version: u8, program: &[u8]) -> Option<Self> {
        let length = u8::try_from(program.len()).ok().filter(|length| (2..=40).contains(length))?;
        let version = match version {
            0 => 0,
            1..=16 => op::N1.saturating_add(version).saturating_sub(1),
            _ => return None,
        };
        Some(Self([&[version, length][..], program].concat()))
    }

    /// `need` of these keys by CHECKMULTISIG, in this order. Counts above 20 make a script that no template
    /// covers.
    #[must_use]
    pub fn multisig(need: usize, keys: &[Vec<u8>]) -> Self {
        let mut out = Vec::new();
        push_count(&mut out, need);
        for key in keys {
            out.push(u8::try_from(key.len()).unwrap_or(u8::MAX));
            out.extend_from_slice(key);
        }
        push_count(&mut out, keys.len());
        out.push(op::CHECKMULTISIG);
        Self(out)
    }

    /// What it is. The two kinds of Litecoin's extension block look like unknown witness programs and are
    /// told apart only by [`kind_on`](Self::kind_on).
    #[must_use]
    pub fn kind(&self) -> ScriptKind {
        match self.template() {
            Template::P2pkh(_) => ScriptKind::P2pkh,
            Template::P2sh(_) => ScriptKind::P2sh,
            Template::P2wpkh(_) => ScriptKind::P2wpkh,
            Template::P2wsh(_) => ScriptKind::P2wsh,
            Template::P2tr(_) => ScriptKind::P2tr,
            Template::P2pk(_) => ScriptKind::P2pk,
            Template::Multisig { .. } => ScriptKind::BareMultisig,
            Template::OpReturn => ScriptKind::OpReturn,
            Template::Witness { .. } => ScriptKind::WitnessUnknown,
            Template::NonStandard => ScriptKind::NonStandard,
        }
    }

    /// What it is on this network.
    #[must_use]
    pub fn kind_on(&self, network: Network) -> ScriptKind {
        match self.template() {
            Template::Witness { version: 8, program } if network.has_mweb() && program.len() == 32 => {
                ScriptKind::MwebHogAddr
            }
            Template::Witness { version: 9, program } if network.has_mweb() && program.len() == 32 => {
                ScriptKind::MwebPegIn
            }
            Template::P2pkh(_)
            | Template::P2sh(_)
            | Template::P2wpkh(_)
            | Template::P2wsh(_)
            | Template::P2tr(_)
            | Template::P2pk(_)
            | Template::Multisig { .. }
            | Template::OpReturn
            | Template::Witness { .. }
            | Template::NonStandard => self.kind(),
        }
    }

    /// Whether no one can ever spend an output with it: data, or longer than a script may be.
    #[must_use]
    pub fn is_unspendable(&self) -> bool {
        /// Longest script that can be executed (`MAX_SCRIPT_SIZE`).
        const EXECUTED_BYTES_MAX: usize = 10_000;
        self.0.first() == Some(&op::RETURN) || self.0.len() > EXECUTED_BYTES_MAX
    }

    pub(crate) fn template(&self) -> Template<'_> {
        match self.0.as_slice() {
            [op::DUP, op::HASH160, 20, hash @ .., op::EQUALVERIFY, op::CHECKSIG] => {
                hash.try_into().map_or(Template::NonStandard, Template::P2pkh)
            }
            [op::HASH160, 20, hash @ .., op::EQUAL] => {
                hash.try_into().map_or(Template::NonStandard, Template::P2sh)
            }
            [op::RETURN, ..] => Template::OpReturn,
            [33, key @ .., op::CHECKSIG] if is_key(key) && key.len() == 33 => Template::P2pk(key),
            [65, key @ .., op::CHECKSIG] if is_key(key) && key.len() == 65 => Template::P2pk(key),
            [version @ (0 | op::N1..=op::N16), length, program @ ..]
                if (2..=40).contains(length) && program.len() == usize::from(*length) =>
            {
                witness_template(*version, program)
            }
            [.., op::CHECKMULTISIG] => self.multisig_template().unwrap_or(Template::NonStandard),
            _ => Template::NonStandard,
        }
    }

    fn multisig_template(&self) -> Option<Template<'_>> {
        let mut steps = Vec::new();
        for step in self.instructions() {
            // Two numbers, the opcode and the keys: anything longer is no template.
            if steps.len() > MULTISIG_KEYS_MAX.saturating_add(3) {
                return None;
            }
            steps.push(step?);
        }
        let [need, keys @ .., count, Instruction::Op(op::CHECKMULTISIG)] = steps.as_slice() else {
            return None;
        };
        let keys: Vec<&[u8]> = keys
            .iter()
            .map(|step| match step {
                Instruction::Push(key) if is_key(key) => Some(*key),
                Instruction::Push(_) | Instruction::Op(_) => None,
            })
            .collect::<Option<_>>()?;
        let need = small_number(*need)?;
        let whole = small_number(*count)? == keys.len();
        (whole && (1..=keys.len()).contains(&need)).then_some(Template::Multisig { need, keys })
    }

    /// Its steps in order; `None` where a push runs past the end, which ends the steps.
    pub(crate) fn instructions(&self) -> impl Iterator<Item = Option<Instruction<'_>>> {
        let mut rest = self.0.as_slice();
        core::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let step = next_instruction(rest);
            rest = step.map_or(&[], |(_, rest)| rest);
            Some(step.map(|(step, _)| step))
        })
    }

    /// What it leaves on the stack if it only pushes; `None` otherwise.
    pub(crate) fn pushes(&self) -> Option<Vec<Vec<u8>>> {
        self.instructions()
            .map(|step| match step? {
                Instruction::Push(bytes) => Some(bytes.to_vec()),
                Instruction::Op(op::NEGATE_1) => Some(vec![0x81]),
                Instruction::Op(number @ op::N1..=op::N16) => {
                    Some(vec![number.saturating_sub(op::N1).saturating_add(1)])
                }
                Instruction::Op(_) => None,
            })
            .collect()
    }

    /// Whether it holds OP_CODESEPARATOR, or cannot be read to its end.
    pub(crate) fn has_code_separator(&self) -> bool {
        self.instructions().any(|step| step.is_none_or(|step| step == Instruction::Op(op::CODESEPARATOR)))
    }
}

fn next_instruction(bytes: &[u8]) -> Option<(Instruction<'_>, &[u8])> {
    let (code, rest) = bytes.split_first()?;
    let (length, rest) = match *code {
        length @ 0..=op::PUSH_BYTES_MAX => (usize::from(length), rest),
        op::PUSH_1 => rest.split_first().map(|(length, rest)| (usize::from(*length), rest))?,
        op::PUSH_2 => {
            rest.split_first_chunk().map(|(length, rest)| (usize::from(u16::from_le_bytes(*length)), rest))?
        }
        op::PUSH_4 => {
            let (length, rest) = rest.split_first_chunk()?;
            (usize::try_from(u32::from_le_bytes(*length)).ok()?, rest)
        }
        code => return Some((Instruction::Op(code), rest)),
    };
    let (bytes, rest) = rest.split_at_checked(length)?;
    Some((Instruction::Push(bytes), rest))
}

fn witness_template(version: u8, program: &[u8]) -> Template<'_> {
    let version = if version == 0 { 0 } else { version.saturating_sub(op::N1).saturating_add(1) };
    match (version, program.len()) {
        (0, 20) => program.try_into().map_or(Template::NonStandard, Template::P2wpkh),
        (0, 32) => program.try_into().map_or(Template::NonStandard, Template::P2wsh),
        // No other length can ever be spent under version 0.
        (0, _) => Template::NonStandard,
        (1, 32) => program.try_into().map_or(Template::NonStandard, Template::P2tr),
        _ => Template::Witness { version, program },
    }
}

/// Whether the bytes have the form of a public key; whether they are on the curve is not looked at.
fn is_key(bytes: &[u8]) -> bool {
    matches!((bytes.first(), bytes.len()), (Some(2 | 3), 33) | (Some(4), 65))
}

fn push_count(out: &mut Vec<u8>, count: usize) {
    match u8::try_from(count).unwrap_or(u8::MAX) {
        0 => out.push(0),
        count @ 1..=16 => out.push(op::N1.saturating_add(count).saturating_sub(1)),
        count => out.extend_from_slice(&[1, count]),
    }
}

/// A count from 1 to 20, as CHECKMULTISIG is given it.
fn small_number(step: Instruction<'_>) -> Option<usize> {
    match step {
        Instruction::Op(code @ op::N1..=op::N16) => {
            Some(usize::from(code.saturating_sub(op::N1)).saturating_add(1))
        }
        Instruction::Push([number @ 17..=20]) => Some(usize::from(*number)),
        Instruction::Push(_) | Instruction::Op(_) => None,
    }
}

impl From<Vec<u8>> for Script {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl AsRef<[u8]> for Script {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Lower-case hexadecimal.
impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Script({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(text: &str) -> Script {
        Script::new(hex::decode(text).unwrap())
    }

    #[test]
    fn kinds_are_told_by_exact_shape() {
        let check = |text: &str, want: ScriptKind| assert_eq!(script(text).kind(), want, "{text}");
        let (h20, h32) = ("11".repeat(20), "22".repeat(32));
        let (short, long) = (format!("21{}{h32}", "02"), format!("4104{h32}{h32}"));
        check("", ScriptKind::NonStandard);
        check(&format!("76a914{h20}88ac"), ScriptKind::P2pkh);
        check(&format!("76a914{h20}0088ac"), ScriptKind::NonStandard);
        check(&format!("a914{h20}87"), ScriptKind::P2sh);
        check(&format!("a914{h20}"), ScriptKind::NonStandard);
        check(&format!("0014{h20}"), ScriptKind::P2wpkh);
        check(&format!("0020{h32}"), ScriptKind::P2wsh);
        check("0002abcd", ScriptKind::NonStandard);
        check(&format!("5120{h32}"), ScriptKind::P2tr);
        check("51024e73", ScriptKind::WitnessUnknown);
        check("5101ab", ScriptKind::NonStandard);
        check(&format!("5220{h32}"), ScriptKind::WitnessUnknown);
        check(&format!("6028{}", "00".repeat(40)), ScriptKind::WitnessUnknown);
        check(&format!("6029{}", "00".repeat(41)), ScriptKind::NonStandard);
        check(&format!("{short}ac"), ScriptKind::P2pk);
        check(&format!("{long}ac"), ScriptKind::P2pk);
        check(&format!("2105{h32}ac"), ScriptKind::NonStandard);
        check("6a", ScriptKind::OpReturn);
        check(&format!("51{short}51ae"), ScriptKind::BareMultisig);
        check(&format!("52{short}{long}52ae"), ScriptKind::BareMultisig);
        check(&format!("53{short}{long}52ae"), ScriptKind::NonStandard);
        check(&format!("51{short}{long}53ae"), ScriptKind::NonStandard);
        check(&format!("00{short}51ae"), ScriptKind::NonStandard);
        check(&format!("51{}0114ae", short.repeat(20)), ScriptKind::BareMultisig);
        check(&format!("51{}0115ae", short.repeat(21)), ScriptKind::NonStandard);
        check("ae", ScriptKind::NonStandard);
        check("51ae", ScriptKind::NonStandard);
    }

    #[test]
    fn extension_block_scripts_exist_only_on_litecoin() {
        let (hog, peg) = (format!("5820{}", "33".repeat(32)), format!("5920{}", "33".repeat(32)));
        assert_eq!(script(&hog).kind_on(Network::LtcMain), ScriptKind::MwebHogAddr);
        assert_eq!(script(&peg).kind_on(Network::LtcRegtest), ScriptKind::MwebPegIn);
        assert_eq!(script(&hog).kind_on(Network::BtcMain), ScriptKind::WitnessUnknown);
        assert_eq!(script("5802abcd").kind_on(Network::LtcMain), ScriptKind::WitnessUnknown);
    }

    #[test]
    fn pushes_are_read_in_every_spelling() {
        let check =
            |text: &str, want: Option<Vec<Vec<u8>>>| assert_eq!(script(text).pushes(), want, "{text}");
        check("", Some(vec![]));
        check("00", Some(vec![vec![]]));
        check("01ab02cdef", Some(vec![vec![0xab], vec![0xcd, 0xef]]));
        check("4c01ab4d0100ab4e01000000ab", Some(vec![vec![0xab]; 3]));
        check("4f5160", Some(vec![vec![0x81], vec![1], vec![16]]));
        check("02ab", None);
        check("4e01", None);
        check("0176", Some(vec![vec![0x76]]));
        check("76", None);
    }

    #[test]
    fn witness_programs_have_two_to_forty_bytes() {
        assert_eq!(Script::witness(0, &[7; 20]).map(|script| script.kind()), Some(ScriptKind::P2wpkh));
        assert_eq!(Script::witness(16, &[7; 40]).map(|script| script.len()), Some(42));
        assert_eq!(Script::witness(17, &[7; 20]), None);
        assert_eq!(Script::witness(1, &[7; 41]), None);
        assert_eq!(Script::witness(1, &[7; 1]), None);
    }

    #[test]
    fn unspendable_scripts_are_known() {
        assert!(script("6a").is_unspendable());
        assert!(!Script::new(vec![0; 10_000]).is_unspendable());
        assert!(Script::new(vec![0; 10_001]).is_unspendable());
    }
}
