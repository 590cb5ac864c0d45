//! The methods on accounts: those of UTXO chains, and one that only accounts have.

use core::{fmt, str::FromStr};

use crate::taint::Method;

/// How tainted units are told from clean ones when units leave an account.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Rule {
    /// As on UTXO chains, with an account's units for inputs, and with the transfer and what stays for outputs.
    Of(Method),
    /// Lowest intermediate balance: a claim on an account is at most its lowest balance since.
    Libr,
}

impl Rule {
    /// Every rule, in the order in which tables show them.
    pub const ALL: [Self; 8] = [
        Self::Of(Method::Poison),
        Self::Of(Method::Haircut),
        Self::Of(Method::Fifo),
        Self::Of(Method::Lifo),
        Self::Of(Method::Tiho),
        Self::Of(Method::DirtyFirst),
        Self::Of(Method::CleanFirst),
        Self::Libr,
    ];

    /// Its name, such as `dirty-first`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Of(method) => method.name(),
            Self::Libr => "libr",
        }
    }

    /// Whether it conserves units, so that a trace by it balances: all but poison.
    #[must_use]
    pub const fn conserves(self) -> bool {
        match self {
            Self::Of(method) => method.conserves(),
            Self::Libr => true,
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that no rule has.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("method {found:?} is not known, want one of {}", Rule::ALL.map(Rule::name).join(", "))]
pub struct RuleError {
    /// What stood in its place, at most 32 characters of it.
    pub found: String,
}

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let known = Self::ALL.into_iter().find(|rule| rule.name() == text);
        known.ok_or_else(|| RuleError { found: text.chars().take(32).collect() })
    }
}
