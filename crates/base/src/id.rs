//! Typed names: a payout cannot be passed where a vault is meant.

use core::{fmt, str::FromStr};

/// Longest name, in bytes.
const LENGTH_MAX: usize = 64;

/// A name that is empty, too long or has a character that names may not have.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum IdError {
    /// Nothing stood in its place.
    #[error("{kind} is empty, want 1 to 64 of a-z A-Z 0-9 . _ -")]
    Empty {
        /// What the name names.
        kind: &'static str,
    },
    /// More bytes than a name may have.
    #[error("{kind} has {got} bytes, want at most 64")]
    Long {
        /// What the name names.
        kind: &'static str,
        /// Its length in bytes.
        got: usize,
    },
    /// A character outside the set.
    #[error("{kind} has {found:?} at character {at}, want only a-z A-Z 0-9 . _ -")]
    Character {
        /// What the name names.
        kind: &'static str,
        /// The character.
        found: char,
        /// Its position, from 1.
        at: usize,
    },
}

fn parse(kind: &'static str, text: &str) -> Result<String, IdError> {
    if text.is_empty() {
        return Err(IdError::Empty { kind });
    }
    if text.len() > LENGTH_MAX {
        return Err(IdError::Long { kind, got: text.len() });
    }
    let stranger = (1..).zip(text.chars()).find(|(_, c)| !(c.is_ascii_alphanumeric() || "._-".contains(*c)));
    match stranger {
        Some((at, found)) => Err(IdError::Character { kind, found, at }),
        None => Ok(text.to_owned()),
    }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $kind:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $name(String);

        impl $name {
            /// The name as written.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                parse($kind, text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

ids! {
    /// Names a payout; chosen by the requester, unique for ever.
    PayoutId = "payout id";
    /// Names a vault.
    VaultId = "vault id";
    /// Names a person on the roster.
    PersonId = "person id";
    /// Names a group of people.
    GroupId = "group id";
    /// Names a machine: writer, watcher, signer, gate.
    MachineId = "machine id";
    /// Names a theft that is followed.
    CaseId = "case id";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_and_strangers_are_shown() {
        let check =
            |text: &str, want: &str| assert_eq!(text.parse::<PayoutId>().unwrap_err().to_string(), want);
        assert_eq!("a".repeat(64).parse::<PayoutId>().map(|id| id.as_str().len()), Ok(64));
        check("", "payout id is empty, want 1 to 64 of a-z A-Z 0-9 . _ -");
        check(&"a".repeat(65), "payout id has 65 bytes, want at most 64");
        check("a/b", "payout id has '/' at character 2, want only a-z A-Z 0-9 . _ -");
        check("蔵", "payout id has '蔵' at character 1, want only a-z A-Z 0-9 . _ -");
    }
}
