//! Addresses and transaction ids of tags: whether their checksums hold, and the one form under which they are looked up.
//!
//! Decides for the currencies named here and accepts others as they stand, saying so. Never corrects an address.

use kuraban_base::hex;
use kuraban_chain::{
    base58::{Alphabet, Base58Error, decode_check},
    btc::{Address, AddressError, Network, Script},
    evm,
};

/// Most characters of an address or an id. The longest in circulation (Cardano's) have 104.
pub const TEXT_MAX: usize = 128;

/// An address or id as it is looked up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checked {
    /// The one form of it: Bitcoin Cash as before 2018, Ethereum in small letters, Bech32 in small letters.
    pub normal: String,
    /// Whether its form was verified; if not, the currency is none that is verified here.
    pub verified: bool,
}

/// Why text is no address of its currency.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SubjectError {
    /// Empty or too long.
    #[error("has {got} characters, want 1 to {max}", max = TEXT_MAX)]
    Length {
        /// How many.
        got: usize,
    },
    /// A character that no address has.
    #[error("character {found:?} at {at} is in no address")]
    Character {
        /// The character.
        found: char,
        /// Its place, from 1.
        at: usize,
    },
    /// No address of the BTC family.
    #[error("{0}")]
    Btc(AddressError),
    /// No address of Ethereum.
    #[error("{0}")]
    Ether(evm::AddressError),
    /// Not the letters and digits of a form.
    #[error("is {found}, want {want}")]
    Form {
        /// What it looks like.
        found: String,
        /// What it should be.
        want: &'static str,
    },
    /// A checksum that is not the text's.
    #[error("checksum does not match: at least one character is wrong ({form})")]
    Checksum {
        /// Which checksum.
        form: &'static str,
    },
}

/// Checks an address of a network: its name as packs have it, in capitals.
///
/// # Errors
/// What is wrong with it.
pub fn address(network: &str, text: &str) -> Result<Checked, SubjectError> {
    plain(text)?;
    let verified = |normal| Ok(Checked { normal, verified: true });
    match network {
        "BTC" => verified(of_family(Network::BtcMain, text)?),
        "LTC" => verified(of_family(Network::LtcMain, text)?),
        "BCH" => verified(cash(text)?),
        "ETH" | "ETC" | "BSC" | "BEP20" | "MATIC" => verified(ether(text)?),
        "XRP" => verified(ripple(text)?),
        "TRX" => verified(tron(text)?),
        _ => Ok(Checked { normal: text.to_owned(), verified: false }),
    }
}

/// Whether addresses of a network are verified; its name in capitals.
#[must_use]
pub fn is_verified(network: &str) -> bool {
    matches!(network, "BTC" | "LTC" | "BCH" | "ETH" | "ETC" | "BSC" | "BEP20" | "MATIC" | "XRP" | "TRX")
}

/// Checks a transaction's id: 32 bytes in hexadecimal where the network is known here.
///
/// # Errors
/// What is wrong with it.
pub fn tx_hash(network: &str, text: &str) -> Result<Checked, SubjectError> {
    plain(text)?;
    let digits = match network {
        "BTC" | "LTC" | "BCH" | "XRP" | "TRX" => text,
        "ETH" | "ETC" | "BSC" | "BEP20" | "MATIC" => text.strip_prefix("0x").unwrap_or(text),
        _ => return Ok(Checked { normal: text.to_owned(), verified: false }),
    };
    match hex::decode_array::<32>(&digits.to_ascii_lowercase()) {
        Ok(bytes) => Ok(Checked { normal: hex::encode(&bytes), verified: true }),
        Err(error) => Err(SubjectError::Form { found: error.to_string(), want: "32 bytes in hexadecimal" }),
    }
}

/// The network of a tag that names none: its currency, but where a token's address shows on which chain it lives.
#[must_use]
pub fn network_of(currency: &str, address: &str) -> String {
    const TOKENS: [&str; 10] = ["USDT", "USDC", "DAI", "TUSD", "BUSD", "WBTC", "WETH", "LINK", "UNI", "SHIB"];
    let currency = currency.to_ascii_uppercase();
    if TOKENS.contains(&currency.as_str()) {
        if ether(address).is_ok() {
            return "ETH".to_owned();
        }
        if tron(address).is_ok() {
            return "TRX".to_owned();
        }
        if of_family(Network::BtcMain, address).is_ok() {
            return "BTC".to_owned();
        }
    }
    currency
}

fn plain(text: &str) -> Result<(), SubjectError> {
    let got = text.chars().count();
    if !(1..=TEXT_MAX).contains(&got) {
        return Err(SubjectError::Length { got });
    }
    match (1..).zip(text.chars()).find(|(_, found)| !found.is_ascii_graphic()) {
        Some((at, found)) => Err(SubjectError::Character { found, at }),
        None => Ok(()),
    }
}

pub(crate) fn of_family(network: Network, text: &str) -> Result<String, SubjectError> {
    Address::parse(network, text).map(|address| address.to_string()).map_err(SubjectError::Btc)
}

/// Twenty bytes in hexadecimal after `0x`. Capitals among small letters are a checksum (EIP-55).
fn ether(text: &str) -> Result<String, SubjectError> {
    evm::Address::parse(text).map(|address| address.small()).map_err(SubjectError::Ether)
}

/// What Base58 with a checksum holds.
fn base58(alphabet: Alphabet, text: &str, form: &'static str) -> Result<Vec<u8>, SubjectError> {
    decode_check(alphabet, text).map_err(|error| match error {
        Base58Error::Character { found, at } => SubjectError::Character { found, at },
        Base58Error::Length { .. } | Base58Error::Short { .. } | Base58Error::Checksum { .. } => {
            SubjectError::Checksum { form }
        }
    })
}

/// A classic address: version 0 and 20 bytes (XRPL, "Base58 encodings").
fn ripple(text: &str) -> Result<String, SubjectError> {
    let payload = base58(Alphabet::Ripple, text, "Base58 of XRP")?;
    match payload.as_slice() {
        [0, account @ ..] if account.len() == 20 => Ok(text.to_owned()),
        _ => {
            let found = format!("{} bytes of another kind", payload.len());
            Err(SubjectError::Form { found, want: "version 0 and 20 bytes" })
        }
    }
}

/// Version 0x41 and 20 bytes.
fn tron(text: &str) -> Result<String, SubjectError> {
    let payload = base58(Alphabet::Bitcoin, text, "Base58")?;
    match payload.as_slice() {
        [0x41, account @ ..] if account.len() == 20 => Ok(text.to_owned()),
        _ => {
            let found = format!("{} bytes of another kind", payload.len());
            Err(SubjectError::Form { found, want: "version 0x41 and 20 bytes" })
        }
    }
}

/// A Bitcoin Cash address in either form, as it was written before 2018.
fn cash(text: &str) -> Result<String, SubjectError> {
    let legacy = of_family(Network::BtcMain, text);
    if legacy.is_ok() && text.starts_with(['1', '3']) {
        return legacy;
    }
    if text.starts_with(['1', '3']) && !text.contains(':') {
        return legacy;
    }
    let (kind, hash) = cash_hash(text)?;
    let script = match kind {
        // Pay to a key's hash and to a script's; two more say that tokens are taken too.
        0 | 2 => Some(Script::p2pkh(&hash)),
        1 | 3 => Some(Script::p2sh(&hash)),
        _ => None,
    };
    let address = script.and_then(|script| Address::from_script(Network::BtcMain, &script));
    address.map(|address| address.to_string()).ok_or_else(|| SubjectError::Form {
        found: format!("of kind {kind}"),
        want: "a key's hash or a script's (kinds 0 to 3)",
    })
}

/// The kind and the hash of a CashAddr.
fn cash_hash(text: &str) -> Result<(u8, [u8; 20]), SubjectError> {
    const PREFIX: &str = "bitcoincash";
    const DIGITS: &str = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    let form = |found: &str| SubjectError::Form {
        found: found.to_owned(),
        want: "a CashAddr of bitcoincash with a hash of 20 bytes",
    };
    let small = text.to_ascii_lowercase();
    if text != small && text != text.to_ascii_uppercase() {
        return Err(form("of capitals and small letters"));
    }
    let body = match small.split_once(':') {
        Some((PREFIX, body)) => body,
        Some(_) => return Err(form("of another prefix")),
        None => small.as_str(),
    };
    let mut values = Vec::new();
    for (at, found) in (1..).zip(body.chars()) {
        let value = DIGITS.find(found).ok_or(SubjectError::Character { found, at })?;
        values.push(u8::try_from(value).unwrap_or(0));
    }
    let all = PREFIX.bytes().map(|byte| byte & 0x1f).chain([0]).chain(values.iter().copied());
    if cash_checksum(all) != 0 {
        return Err(SubjectError::Checksum { form: "CashAddr" });
    }
    let payload = values.get(..values.len().saturating_sub(8)).unwrap_or_default();
    let bytes = eights(payload).ok_or_else(|| form("of bits left over"))?;
    match bytes.split_first() {
        // The low three bits are the hash's length; none of them: 20 bytes.
        Some((version, hash)) if version & 0x07 == 0 => {
            let hash = hash.try_into().map_err(|_| form("of a hash of another length"))?;
            Ok((version >> 3, hash))
        }
        Some(_) | None => Err(form("of a hash of another length")),
    }
}

/// The checksum of CashAddr's specification; 0 for an address whose checksum holds.
fn cash_checksum(values: impl Iterator<Item = u8>) -> u64 {
    const TERMS: [u64; 5] = [0x98_f2bc_8e61, 0x79_b76d_99e2, 0xf3_3e5f_b3c4, 0xae_2eab_e2a8, 0x1e_4f43_e470];
    let sum = values.fold(1_u64, |sum, value| {
        let top = sum >> 35;
        let shifted = ((sum & 0x07_ffff_ffff) << 5) ^ u64::from(value);
        (0..).zip(TERMS).filter(|(bit, _)| top >> bit & 1 == 1).fold(shifted, |sum, (_, term)| sum ^ term)
    });
    sum ^ 1
}

/// Groups of five bits as bytes; nothing if bits left over are not zero or are five or more.
fn eights(values: &[u8]) -> Option<Vec<u8>> {
    let (mut bytes, mut rest, mut bits) = (Vec::new(), 0_u32, 0_u32);
    for value in values {
        rest = (rest << 5 | u32::from(*value)) & 0xfff;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(rest >> bits & 0xff).ok()?);
        }
    }
    let left = rest & ((1 << bits) - 1);
    (bits < 5 && left == 0).then_some(bytes)
}

/// Text with each byte that is no plain letter, digit or mark of addresses written out, for messages.
#[must_use]
pub fn shown(text: &str) -> String {
    let mut shown = String::new();
    for found in text.chars().take(TEXT_MAX) {
        if found.is_ascii_graphic() {
            shown.push(found);
        } else {
            shown.extend(found.escape_unicode());
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(network: &str, text: &str, want: Result<&str, &str>) {
        match (address(network, text), want) {
            (Ok(found), Ok(want)) => assert_eq!(found.normal, want, "{network} {text}"),
            (Err(error), Err(want)) => assert!(error.to_string().contains(want), "{network} {text}: {error}"),
            (found, want) => panic!("{network} {text}: {found:?}, want {want:?}"),
        }
    }

    #[test]
    fn bitcoin_cash_has_one_form() {
        // Vectors of the CashAddr specification.
        let legacy = "1BpEi6DfDAUFd7GtittLSdBeYJvcoaVggu";
        check("BCH", "bitcoincash:qpm2qsznhks23z7629mms6s4cwef74vcwvy22gdx6a", Ok(legacy));
        check("BCH", "qpm2qsznhks23z7629mms6s4cwef74vcwvy22gdx6a", Ok(legacy));
        check("BCH", "BITCOINCASH:QPM2QSZNHKS23Z7629MMS6S4CWEF74VCWVY22GDX6A", Ok(legacy));
        check("BCH", legacy, Ok(legacy));
        let script = "3CWFddi6m4ndiGyKqzYvsFYagqDLPVMTzC";
        check("BCH", "bitcoincash:ppm2qsznhks23z7629mms6s4cwef74vcwvn0h829pq", Ok(script));
        // Zaif's thief, in both forms.
        let thief = "qrn0jwaq3at5hhxsne8gmg5uemudl57r05pdzu2nyd";
        check("BCH", thief, Ok("1N4Gz8QqVs3yXfKos46G8JJwW8Mpcb41YJ"));
        check("BCH", &thief.replace("nyd", "nyq"), Err("CashAddr"));
        check("BCH", "bchtest:qpm2qsznhks23z7629mms6s4cwef74vcwvqcw003ap", Err("another prefix"));
        check("BCH", "bitcoincash:", Err("CashAddr"));
    }

    #[test]
    fn ethereum_has_small_letters_and_its_checksum_holds() {
        // Vectors of EIP-55.
        let good = [
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
            "0x52908400098527886E0F7030069857D2E4169EE7",
            "0xde709f2102306220921060314715629080e2fb77",
        ];
        for text in good {
            check("ETH", text, Ok(&text.to_ascii_lowercase()));
        }
        check("ETH", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD", Err("EIP-55"));
        check("ETH", "5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", Err("without 0x"));
        check("ETH", "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beae", Err("20 bytes"));
    }

    #[test]
    fn others_are_checked_or_said_not_to_be() {
        let zaif = "1FmwHh6pgkf4meCMoqo8fHH3GNRF571f9w";
        check("BTC", zaif, Ok(zaif));
        check("BTC", "1FmwHh6pgkf4meCMoqo8fHH3GNRF571f9x", Err("checksum"));
        check(
            "BTC",
            "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4",
            Ok("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"),
        );
        check("XRP", "rHb9CJAWyB4rj91VRWn96DkukG4bwdtyTh", Ok("rHb9CJAWyB4rj91VRWn96DkukG4bwdtyTh"));
        check("XRP", "rHb9CJAWyB4rj91VRWn96DkukG4bwdtyTa", Err("checksum"));
        check("TRX", "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t", Ok("TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"));
        check("TRX", zaif, Err("another kind"));
        assert!(!address("XMR", "4abc").unwrap().verified);
        check("XMR", "", Err("0 characters"));
        check("XMR", &"a".repeat(TEXT_MAX), Ok(&"a".repeat(TEXT_MAX)));
        check("XMR", &"a".repeat(TEXT_MAX + 1), Err("129 characters"));
        check("XMR", "a b", Err("at 2"));
        assert_eq!(network_of("usdt", "0xde709f2102306220921060314715629080e2fb77"), "ETH");
        assert_eq!(network_of("USDT", "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"), "TRX");
        assert_eq!(network_of("btc", zaif), "BTC");
    }
}
