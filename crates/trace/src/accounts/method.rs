//! The methods by their names: those of UTXO chains, and one that only accounts have.

use core::{fmt, str::FromStr};

/// How tainted units are told from clean ones when units leave an account.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Method {
    /// Whoever receives from a marked account is marked.
    Poison,
    /// In proportion.
    Haircut,
    /// First unit in, first unit out.
    Fifo,
    /// Last unit in, first unit out.
    Lifo,
    /// Taint in, highest out: the greater of what leaves and what stays.
    Tiho,
    /// Tainted units leave first.
    DirtyFirst,
    /// Clean units leave first.
    CleanFirst,
    /// Lowest intermediate balance: a claim on an account is at most its lowest balance since.
    Libr,
}

impl Method {
    /// Every method, in the order in which tables show them.
    pub const ALL: [Self; 8] = [
        Self::Poison,
        Self::Haircut,
        Self::Fifo,
        Self::Lifo,
        Self::Tiho,
        Self::DirtyFirst,
        Self::CleanFirst,
        Self::Libr,
    ];

    /// Its name, such as `dirty-first`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Poison => "poison",
            Self::Haircut => "haircut",
            Self::Fifo => "fifo",
            Self::Lifo => "lifo",
            Self::Tiho => "tiho",
            Self::DirtyFirst => "dirty-first",
            Self::CleanFirst => "clean-first",
            Self::Libr => "libr",
        }
    }

    /// Whether it conserves units, so that a trace by it balances: all but poison.
    #[must_use]
    pub const fn conserves(self) -> bool {
        match self {
            Self::Poison => false,
            Self::Haircut
            | Self::Fifo
            | Self::Lifo
            | Self::Tiho
            | Self::DirtyFirst
            | Self::CleanFirst
            | Self::Libr => true,
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that no method has.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("method {found:?} is not known, want one of {}", Method::ALL.map(Method::name).join(", "))]
pub struct MethodError {
    /// What stood in its place, at most 32 characters of it.
    pub found: String,
}

impl FromStr for Method {
    type Err = MethodError;

    fn from_str(text: &str) -> Result<Self, MethodError> {
        let known = Self::ALL.into_iter().find(|method| method.name() == text);
        known.ok_or_else(|| MethodError { found: text.chars().take(32).collect() })
    }
}
