//! The operator's secret and the salts that follow from it. Each publication has salts of its own, so that nobody follows a
//! customer from one to the next.

use core::fmt;

use hmac::{Hmac, Mac as _};
use kuraban_inclusion::{Salt, Scope};
use sha2::Sha256;
use zeroize::Zeroizing;

/// What a round's key is derived for.
const ROUND: &[u8] = b"kuraban-liabilities-round-v1";
/// And for the leaves of the same publication under a veil.
const VEIL: &[u8] = b"kuraban-liabilities-veil-v1";
/// Whose salt it is.
const CUSTOMER: &[u8] = &[0];
const PADDING: &[u8] = &[1];
const TOTALS: &[u8] = &[2];

/// 32 random bytes that the operator keeps.
pub struct Seed(Zeroizing<[u8; 32]>);

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(<redacted>)")
    }
}

impl Seed {
    /// The seed with these bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The salts of one publication: HMAC-SHA256 of the scope under the seed is their key.
    #[must_use]
    pub fn round(&self, scope: &Scope) -> Round {
        self.keyed(ROUND, scope)
    }

    /// Those of the same publication under a veil. They have nothing to do with the others: who knows one knows no other.
    #[must_use]
    pub fn veil(&self, scope: &Scope) -> Round {
        self.keyed(VEIL, scope)
    }

    fn keyed(&self, what: &[u8], scope: &Scope) -> Round {
        let key = keyed(&self.0).chain_update(what).chain_update(scope.encode());
        let key = Zeroizing::new(<[u8; 32]>::from(key.finalize().into_bytes()));
        Round(keyed(&key))
    }
}

/// The salts of one publication.
#[derive(Clone)]
pub struct Round(Hmac<Sha256>);

impl fmt::Debug for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Round(<redacted>)")
    }
}

impl Round {
    /// A customer's salt.
    #[must_use]
    pub fn customer(&self, name: &str) -> Salt {
        self.0.clone().chain_update(CUSTOMER).chain_update(name.as_bytes()).finalize().into_bytes().into()
    }

    /// The salt of the totals after a batch, by what the batch's proof is bound to.
    #[must_use]
    pub fn totals(&self, context: &[u8; 32]) -> Salt {
        self.0.clone().chain_update(TOTALS).chain_update(context).finalize().into_bytes().into()
    }

    /// The salt of a padding leaf.
    #[must_use]
    pub fn padding(&self, number: u64) -> Salt {
        self.0.clone().chain_update(PADDING).chain_update(number.to_be_bytes()).finalize().into_bytes().into()
    }
}

fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
    Hmac::new_from_slice(key).expect("HMAC takes keys of every length")
}

#[cfg(test)]
mod tests {
    use kuraban_inclusion::Asset;

    use super::*;

    fn scope(as_of_ms: u64) -> Scope {
        let asset = Asset { code: "BTC".to_owned(), decimals: 8 };
        Scope::new("o".to_owned(), as_of_ms, 3, vec![asset], vec![]).unwrap()
    }

    fn round(seed: u8, as_of_ms: u64) -> Round {
        Seed::new([seed; 32]).round(&scope(as_of_ms))
    }

    #[test]
    fn salts_differ_by_customer_seed_and_day() {
        let base = round(1, 1).customer("a");
        assert_eq!(base, round(1, 1).customer("a"));
        let others = [
            round(1, 1).customer("b"),
            round(2, 1).customer("a"),
            round(1, 2).customer("a"),
            // A customer whose name has the bytes of a padding leaf's number.
            round(1, 1).customer("\0\0\0\0\0\0\0\u{7}"),
            round(1, 1).padding(7),
            round(1, 1).totals(&[7; 32]),
            Seed::new([1; 32]).veil(&scope(1)).customer("a"),
        ];
        let mut all = [others.as_slice(), &[base]].concat();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 8);
    }

    #[test]
    fn secrets_are_not_shown() {
        assert_eq!(
            format!("{:?} {:?}", Seed::new([7; 32]), round(7, 7)),
            "Seed(<redacted>) Round(<redacted>)"
        );
    }
}
