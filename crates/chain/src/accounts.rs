//! What the chains of accounts have in common for proofs of reserves: their networks, assets, accounts, and texts signed by an
//! account's key.
//!
//! Decides whether a signature over a text is a key's and to which account that key belongs; never what the account holds.

use core::{fmt, str::FromStr};

use kuraban_base::hex::{self, HexError};

use crate::{evm, nem, xrp};

/// A network of accounts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Network {
    /// Ethereum.
    EthereumMain,
    /// Its test network Sepolia.
    EthereumSepolia,
    /// A network on one machine, for trials.
    EthereumDev,
    /// The XRP Ledger.
    XrplMain,
    /// Its test network.
    XrplTest,
    /// NEM (NIS1).
    NemMain,
    /// Its test network.
    NemTest,
}

/// How texts are signed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Form {
    /// By Ethereum's `personal_sign` (EIP-191).
    Eip191,
    /// As the XRP Ledger's wallets sign messages.
    Xrpl,
    /// As NEM's wallets sign messages.
    Nem,
}

/// Text that is none of the words it has to be one of.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{found:?} is no {what}, want {want}")]
pub struct WordError {
    what: &'static str,
    found: String,
    want: &'static str,
}

impl WordError {
    fn new(what: &'static str, found: &str, want: &'static str) -> Self {
        Self { what, found: found.chars().take(64).collect(), want }
    }
}

impl Network {
    /// Every network.
    pub const ALL: [Self; 7] = [
        Self::EthereumMain,
        Self::EthereumSepolia,
        Self::EthereumDev,
        Self::XrplMain,
        Self::XrplTest,
        Self::NemMain,
        Self::NemTest,
    ];

    /// Its name in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EthereumMain => "ethereum-main",
            Self::EthereumSepolia => "ethereum-sepolia",
            Self::EthereumDev => "ethereum-dev",
            Self::XrplMain => "xrpl-main",
            Self::XrplTest => "xrpl-test",
            Self::NemMain => "nem-main",
            Self::NemTest => "nem-test",
        }
    }

    /// Whether its coins are the asset itself. Those of test networks are worth nothing.
    #[must_use]
    pub const fn is_main(self) -> bool {
        match self {
            Self::EthereumMain | Self::XrplMain | Self::NemMain => true,
            Self::EthereumSepolia | Self::EthereumDev | Self::XrplTest | Self::NemTest => false,
        }
    }

    /// How its accounts sign texts.
    #[must_use]
    pub const fn form(self) -> Form {
        match self {
            Self::EthereumMain | Self::EthereumSepolia | Self::EthereumDev => Form::Eip191,
            Self::XrplMain | Self::XrplTest => Form::Xrpl,
            Self::NemMain | Self::NemTest => Form::Nem,
        }
    }

    /// Its own asset.
    #[must_use]
    pub const fn native(self) -> Asset {
        match self.form() {
            Form::Eip191 => Asset::Eth,
            Form::Xrpl => Asset::Xrp,
            Form::Nem => Asset::Xem,
        }
    }

    /// The number by which its nodes name it: EIP-155's chain id, the XRP Ledger's network id, the byte in NEM's addresses.
    #[must_use]
    pub const fn id(self) -> u64 {
        match self {
            Self::EthereumMain | Self::XrplTest => 1,
            Self::EthereumSepolia => 11_155_111,
            Self::EthereumDev => 31_337,
            Self::XrplMain => 0,
            Self::NemMain => 0x68,
            Self::NemTest => 0x98,
        }
    }

    /// The account of this network that a text names.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn account(self, text: &str) -> Result<Account, AccountError> {
        Ok(match self.form() {
            Form::Eip191 => Account::Evm(evm::Address::parse(text)?),
            Form::Xrpl => Account::Xrp(text.parse()?),
            Form::Nem => Account::Nem(nem::Address::parse(self.nem_byte(), text)?),
        })
    }

    /// The first byte of NEM's addresses; nothing to the others.
    const fn nem_byte(self) -> u8 {
        match self {
            Self::NemTest => 0x98,
            Self::NemMain
            | Self::EthereumMain
            | Self::EthereumSepolia
            | Self::EthereumDev
            | Self::XrplMain
            | Self::XrplTest => 0x68,
        }
    }
}

impl FromStr for Network {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Self, WordError> {
        let want =
            "one of ethereum-main, ethereum-sepolia, ethereum-dev, xrpl-main, xrpl-test, nem-main, nem-test";
        let found = Self::ALL.into_iter().find(|network| network.name() == text);
        found.ok_or_else(|| WordError::new("network of accounts", text, want))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Form {
    /// Every form.
    pub const ALL: [Self; 3] = [Self::Eip191, Self::Xrpl, Self::Nem];

    /// Its word in challenges.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Eip191 => "eip-191",
            Self::Xrpl => "xrpl",
            Self::Nem => "nem",
        }
    }
}

impl FromStr for Form {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Self, WordError> {
        let found = Self::ALL.into_iter().find(|form| form.word() == text);
        found.ok_or_else(|| WordError::new("form", text, "one of eip-191, xrpl, nem"))
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What accounts hold.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Asset {
    /// Ether, in wei.
    Eth,
    /// A token of a contract (ERC-20), in its base units.
    Token(evm::Address),
    /// XRP, in drops.
    Xrp,
    /// XEM, in micro-units.
    Xem,
}

impl Asset {
    /// How those who hold it sign texts.
    #[must_use]
    pub const fn form(self) -> Form {
        match self {
            Self::Eth | Self::Token(_) => Form::Eip191,
            Self::Xrp => Form::Xrpl,
            Self::Xem => Form::Nem,
        }
    }
}

impl FromStr for Asset {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Self, WordError> {
        let token = |text| evm::Address::parse(text).ok();
        match text {
            "ETH" => Ok(Self::Eth),
            "XRP" => Ok(Self::Xrp),
            "XEM" => Ok(Self::Xem),
            text => token(text).map(Self::Token).ok_or_else(|| {
                WordError::new(
                    "asset of accounts",
                    text,
                    "ETH, XRP, XEM or the address of a token's contract",
                )
            }),
        }
    }
}

impl fmt::Display for Asset {
    /// A token by its contract's address in small letters, as lists of transfers name it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Eth => f.write_str("ETH"),
            Self::Token(contract) => f.write_str(&contract.small()),
            Self::Xrp => f.write_str("XRP"),
            Self::Xem => f.write_str("XEM"),
        }
    }
}

/// The hash of a block or of a ledger.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockId([u8; 32]);

impl BlockId {
    /// The hash of these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for BlockId {
    type Err = HexError;

    /// In either case, with or without `0x`, as the chains' explorers show it.
    fn from_str(text: &str) -> Result<Self, HexError> {
        hex::decode_array(text.strip_prefix("0x").unwrap_or(text)).map(Self)
    }
}

impl fmt::Display for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlockId({self})")
    }
}

/// An account.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Account {
    /// Of Ethereum.
    Evm(evm::Address),
    /// Of the XRP Ledger.
    Xrp(xrp::Address),
    /// Of NEM.
    Nem(nem::Address),
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Evm(address) => address.fmt(f),
            Self::Xrp(address) => address.fmt(f),
            Self::Nem(address) => address.fmt(f),
        }
    }
}

/// Why nobody's signature is shown.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AccountError {
    /// No address of Ethereum.
    #[error("address")]
    Evm(#[from] evm::AddressError),
    /// No signature of Ethereum.
    #[error(transparent)]
    Signature(#[from] evm::SignatureError),
    /// Of the XRP Ledger.
    #[error(transparent)]
    Xrp(#[from] xrp::XrpError),
    /// Of NEM.
    #[error(transparent)]
    Nem(#[from] nem::NemError),
    /// A public key where there is none to give, or none where it is needed.
    #[error("{}", if *given { "a public key was given: it follows from the signature" } else { "the public key is missing" })]
    Key {
        /// Whether there was one.
        given: bool,
    },
    /// The key of another account.
    #[error("the signature is by {found}, or over another text")]
    Signer {
        /// Whose key it is.
        found: Account,
    },
    /// The key of another account.
    #[error("the public key is that of {found}")]
    Owner {
        /// Whose key it is.
        found: Account,
    },
    /// Not hexadecimal.
    #[error("signature is not hexadecimal")]
    Hex(#[from] HexError),
}

/// A text signed for an account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Signed {
    /// The account.
    pub account: Account,
    /// The account whose own key signed. Only on the XRP Ledger may it be another one: a regular key is named by its address,
    /// and the ledger says which accounts have it.
    pub signer: Account,
}

/// Checks what was signed for an account, as its wallet wrote it: the signature in hexadecimal (of Ethereum with `0x` before it)
/// and, but for Ethereum, the public key.
///
/// # Errors
/// Something malformed, a signature that does not hold, or one by the key of another account.
pub fn signed(
    network: Network,
    text: &[u8],
    address: &str,
    public_key: Option<&str>,
    signature: &str,
) -> Result<Signed, AccountError> {
    let account = network.account(address)?;
    let key = public_key.ok_or(AccountError::Key { given: false });
    let signer = match network.form() {
        Form::Eip191 => {
            if key.is_ok() {
                return Err(AccountError::Key { given: true });
            }
            let found = Account::Evm(evm::recover(text, &signature.parse()?)?);
            if found != account {
                return Err(AccountError::Signer { found });
            }
            found
        }
        Form::Xrpl => {
            let key: xrp::PublicKey = key?.parse()?;
            key.verify(text, &hex::decode(signature)?)?;
            Account::Xrp(key.address())
        }
        Form::Nem => {
            let key: nem::PublicKey = key?.parse()?;
            let found = Account::Nem(key.address(network.nem_byte()));
            if found != account {
                return Err(AccountError::Owner { found });
            }
            key.verify(text, &hex::decode(signature)?)?;
            found
        }
    };
    Ok(Signed { account, signer })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_round_trip_and_others_are_named() {
        for network in Network::ALL {
            assert_eq!(network.name().parse(), Ok(network));
            assert_eq!(network.is_main(), network.name().ends_with("-main"));
            assert_eq!(network.native().form(), network.form());
            assert_eq!(network.native().to_string().parse(), Ok(network.native()));
        }
        for form in Form::ALL {
            assert_eq!(form.word().parse(), Ok(form));
        }
        let token = "0xdAC17F958D2ee523a2206206994597C13D831ec7".parse::<Asset>().unwrap();
        assert_eq!(token.to_string(), "0xdac17f958d2ee523a2206206994597c13d831ec7");
        assert_eq!(token.to_string().parse(), Ok(token));
        let unknown = "ETC".parse::<Asset>().unwrap_err();
        let want = "\"ETC\" is no asset of accounts, want ETH, XRP, XEM or the address of a token's contract";
        assert_eq!(unknown.to_string(), want);
        assert!("bitcoin-main".parse::<Network>().is_err());
        assert!("bip-322".parse::<Form>().is_err());
    }

    #[test]
    fn hashes_are_read_as_explorers_show_them() {
        let small = "ab".repeat(32);
        let want = BlockId::from_bytes([0xab; 32]);
        for text in [small.clone(), format!("0x{small}"), small.to_ascii_uppercase()] {
            assert_eq!(text.parse(), Ok(want));
        }
        assert_eq!(want.to_string(), small);
        assert!(small[1..].parse::<BlockId>().is_err());
    }
}
