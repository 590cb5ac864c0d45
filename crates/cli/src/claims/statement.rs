//! A customer's statement and the proof that it is one of the published ones. Decides its exact bytes, and whether a statement is
//! whole: in the tree under a root, with sums that add up. Never what is paid.
//!
//! A statement is JSON in the canonical form of RFC 8785; its bytes are a leaf of a Merkle tree in the form of RFC 6962 §2.1, leaves in
//! the order of customers. Its salt keeps others from guessing a customer's amounts from the hashes beside it.

use hmac::{Hmac, Mac as _};
use kuraban_base::{Amount, TreeHash, hex};
use kuraban_ledger::{DECIMALS_MAX, DecimalError, Exact, units};
use kuraban_proof::{TreeHead, prove, tree};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::tables::signed;

/// What the documents call themselves.
pub(super) const FORMAT: &str = "kuraban-statement-v1";
/// What salts are made for.
const SALT: &[u8] = b"kuraban-statement-salt-v1";

/// One claim as it is told: decimals as text, nothing where a term does not apply. Fields stand in the order of their names.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line {
    /// Money, in whole units of the currency.
    pub(super) cash: String,
    /// The part of what was held that is paid in money.
    pub(super) cash_share: String,
    /// An asset, or `fills`, or `refunds`.
    #[serde(rename = "for")]
    pub(super) what: String,
    /// Whole coins.
    pub(super) held: String,
    /// Whole coins.
    pub(super) in_kind: String,
    /// The part of what was held that is paid as coins.
    pub(super) in_kind_share: String,
    /// Money for a whole coin.
    pub(super) rate: String,
    /// `cash` less what it would be without rounding, with its sign.
    pub(super) rounding: String,
}

impl Line {
    /// Shows that `cash` is what was held at the rate, by the share, but for the rounding that is told. Fills and refunds tell none of
    /// these.
    fn follows(&self, cash: Amount, decimals: u8) -> Result<(), Broken> {
        if self.held.is_empty() {
            return Ok(());
        }
        let wrong = |field: &'static str, problem: String| Broken::Number { field, problem };
        let held = units(&self.held, DECIMALS_MAX).map_err(|problem| wrong("held", problem.to_string()))?;
        let share = self
            .cash_share
            .parse()
            .map_err(|problem: DecimalError| wrong("cash_share", problem.to_string()))?;
        let worth = if self.rate.is_empty() {
            Some(Exact::ZERO)
        } else {
            let rate =
                self.rate.parse().map_err(|problem: DecimalError| wrong("rate", problem.to_string()))?;
            Exact::worth(held, DECIMALS_MAX, rate, share)
        };
        let told = worth.zip(Exact::of(cash, decimals)).map(|(worth, cash)| signed(cash, worth));
        if told.as_ref() == Some(&self.rounding) {
            return Ok(());
        }
        let want = told.unwrap_or_else(|| "less than is counted".to_owned());
        Err(Broken::Sum { what: "rounding of what was held at its rate", found: self.rounding.clone(), want })
    }
}

/// What one customer is paid, and why. Fields stand in the order of their names, as RFC 8785 wants them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Statement {
    pub(super) as_of: Option<String>,
    pub(super) base: String,
    pub(super) below_minimum: String,
    pub(super) capped: String,
    /// What is paid out in money.
    pub(super) cash: String,
    /// All lines together.
    pub(super) claim: String,
    pub(super) currency: String,
    pub(super) customer: String,
    /// The currency's.
    pub(super) decimals: u8,
    pub(super) format: String,
    pub(super) lines: Vec<Line>,
    /// Whether claims are paid by an insolvency plan: `base` and `rest` instead of in full.
    pub(super) plan: bool,
    pub(super) rest: String,
    pub(super) salt: String,
    pub(super) scheme: String,
}

impl Statement {
    /// The bytes that are hashed (RFC 8785).
    pub(super) fn canonical(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// The leaf of this statement.
    pub(super) fn leaf(&self) -> Result<TreeHash, serde_json::Error> {
        Ok(tree::leaf_hash(&self.canonical()?))
    }

    /// Shows that the sums add up.
    fn adds_up(&self) -> Result<(), Broken> {
        let money = |field: &'static str, text: &str| {
            units(text, self.decimals)
                .map_err(|problem| Broken::Number { field, problem: problem.to_string() })
        };
        let large =
            || Broken::Sum { what: "a sum", found: "more than is counted".to_owned(), want: String::new() };
        let mut lines = Amount::ZERO;
        for line in &self.lines {
            let cash = money("lines", &line.cash)?;
            line.follows(cash, self.decimals)?;
            lines = lines.plus(cash).ok_or_else(large)?;
        }
        let claim = money("claim", &self.claim)?;
        let same = |what, found: Amount, want: Amount| {
            let shown = |amount: Amount| amount.to_coins(self.decimals);
            let broken = || Broken::Sum { what, found: shown(found), want: shown(want) };
            if found == want { Ok(()) } else { Err(broken()) }
        };
        same("lines together", lines, claim)?;
        let plan = money("base", &self.base)?.plus(money("rest", &self.rest)?).ok_or_else(large)?;
        if !self.plan {
            same("base and rest without a plan", plan, Amount::ZERO)?;
        }
        let due = if self.plan { plan } else { claim };
        let (capped, below) = (money("capped", &self.capped)?, money("below_minimum", &self.below_minimum)?);
        let paid = Amount::sum([money("cash", &self.cash)?, capped, below]).ok_or_else(large)?;
        same("cash with what is capped or kept", paid, due)
    }
}

/// Where a statement stands in the tree.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Inclusion {
    /// From zero.
    pub(super) index: u64,
    /// Hashes in hexadecimal, the leaf's sibling first.
    pub(super) path: Vec<String>,
    /// The root in hexadecimal.
    pub(super) root: String,
    /// How many statements there are.
    pub(super) size: u64,
}

/// What a customer is given.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Proven {
    pub(super) inclusion: Inclusion,
    pub(super) statement: Statement,
}

/// Why a statement is not what was published.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("the statement has format {found:?}, want {FORMAT:?}")]
    Format { found: String },
    #[error("{field}: {problem}")]
    Number { field: &'static str, problem: String },
    #[error("{what}: {found}, want {want}")]
    Sum { what: &'static str, found: String, want: String },
    #[error("the path: {0}")]
    Hash(#[from] hex::HexError),
    #[error("not under this root: {0}")]
    Inclusion(#[from] tree::ProofError),
    #[error("the statement cannot be written: {0}")]
    Json(#[from] serde_json::Error),
}

impl Proven {
    /// Shows that the statement is one of those under `root`, and that its sums add up. The root that the file names is not believed.
    pub(super) fn verify(&self, root: TreeHash) -> Result<(), Broken> {
        if self.statement.format != FORMAT {
            return Err(Broken::Format { found: self.statement.format.clone() });
        }
        let path =
            self.inclusion.path.iter().map(|hash| hash.parse()).collect::<Result<Vec<TreeHash>, _>>()?;
        let head = TreeHead { size: self.inclusion.size, root };
        head.includes(self.statement.leaf()?, self.inclusion.index, &path)?;
        self.statement.adds_up()
    }
}

/// From what all salts are made. Whoever has it can guess at leaves; it is kept with the results.
pub(super) struct Seed(Zeroizing<[u8; 32]>);

impl Seed {
    /// A fresh one from the operating system.
    pub(super) fn random() -> anyhow::Result<Self> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::getrandom(bytes.as_mut())?;
        Ok(Self(bytes))
    }

    /// The seed in a file's text.
    pub(super) fn parse(text: &str) -> Result<Self, hex::HexError> {
        hex::decode_array(text.trim()).map(|bytes| Self(Zeroizing::new(bytes)))
    }

    /// As a file has it.
    pub(super) fn text(&self) -> Zeroizing<String> {
        Zeroizing::new(hex::encode(self.0.as_slice()))
    }

    /// A customer's salt in hexadecimal: HMAC-SHA-256 (RFC 2104) over a fixed text and the customer's name.
    pub(super) fn salt(&self, customer: &str) -> anyhow::Result<String> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_slice())?;
        mac.update(SALT);
        mac.update(customer.as_bytes());
        let salt: [u8; 32] = mac.finalize().into_bytes().into();
        Ok(hex::encode(&salt))
    }
}

/// All perfect subtrees of a tree, by level: what paths are made of.
pub(super) struct Levels {
    levels: Vec<Vec<TreeHash>>,
    head: TreeHead,
}

impl Levels {
    /// Of these leaves.
    pub(super) fn new(leaves: Vec<TreeHash>) -> anyhow::Result<Self> {
        let size = u64::try_from(leaves.len()).unwrap_or(u64::MAX);
        let mut levels = vec![leaves];
        while let Some(below) = levels.last().filter(|below| below.len() > 1) {
            let pairs = below.chunks_exact(2).filter_map(|pair| match pair {
                [left, right] => Some(tree::node_hash(left, right)),
                _ => None,
            });
            let level = pairs.collect();
            levels.push(level);
        }
        let root = prove::tree_root(size, |level, index| node(&levels, level, index))?;
        Ok(Self { levels, head: TreeHead { size, root } })
    }

    /// How many there are, and their root.
    pub(super) const fn head(&self) -> TreeHead {
        self.head
    }

    /// The leaves.
    pub(super) fn leaves(&self) -> &[TreeHash] {
        self.levels.first().map(Vec::as_slice).unwrap_or_default()
    }

    /// The place of a leaf in the tree.
    pub(super) fn inclusion(&self, index: u64) -> anyhow::Result<Inclusion> {
        let path = prove::inclusion(index, self.head.size, |level, index| node(&self.levels, level, index))?;
        Ok(Inclusion {
            index,
            path: path.iter().map(TreeHash::to_string).collect(),
            root: self.head.root.to_string(),
            size: self.head.size,
        })
    }
}

fn node(levels: &[Vec<TreeHash>], level: u8, index: u64) -> Result<TreeHash, core::num::TryFromIntError> {
    let place = usize::try_from(index)?;
    let node = levels.get(usize::from(level)).and_then(|level| level.get(place));
    // The prover asks for nodes inside the size alone, and all of them are here.
    Ok(node.copied().unwrap_or_else(tree::empty_root))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6962 §2.1 as it is written.
    fn oracle(leaves: &[TreeHash]) -> TreeHash {
        match leaves {
            [] => tree::empty_root(),
            [leaf] => *leaf,
            leaves => {
                let mut split = 1;
                while split * 2 < leaves.len() {
                    split *= 2;
                }
                tree::node_hash(&oracle(&leaves[..split]), &oracle(&leaves[split..]))
            }
        }
    }

    #[test]
    fn every_leaf_of_a_tree_of_any_size_leads_to_the_root_of_the_definition() {
        for size in 0..40_u64 {
            let leaves: Vec<TreeHash> = (0..size).map(|leaf| tree::leaf_hash(&leaf.to_be_bytes())).collect();
            let levels = Levels::new(leaves.clone()).unwrap();
            let root = oracle(&leaves);
            assert_eq!(levels.head().root, root, "{size}");
            for (index, leaf) in (0_u64..).zip(&leaves) {
                let path: Vec<TreeHash> =
                    levels.inclusion(index).unwrap().path.iter().map(|hash| hash.parse().unwrap()).collect();
                TreeHead { size, root }.includes(*leaf, index, &path).unwrap();
            }
        }
    }

    /// 200.5 × 88.549 = 17,754.0745.
    #[test]
    fn a_line_that_its_own_terms_do_not_lead_to_is_found() {
        let line = Line {
            cash: "17754".to_owned(),
            cash_share: "1".to_owned(),
            what: "XEM".to_owned(),
            held: "200.5".to_owned(),
            in_kind: "0".to_owned(),
            in_kind_share: "0".to_owned(),
            rate: "88.549".to_owned(),
            rounding: "-0.0745".to_owned(),
        };
        let check = |change: &dyn Fn(&mut Line), holds: bool| {
            let mut changed = line.clone();
            change(&mut changed);
            let cash = units(&changed.cash, 0).unwrap();
            assert_eq!(changed.follows(cash, 0).is_ok(), holds, "{changed:?}");
        };
        check(&|_| {}, true);
        check(&|line| line.rate = "88.55".to_owned(), false);
        check(&|line| line.held = "200.6".to_owned(), false);
        check(&|line| line.cash = "17755".to_owned(), false);
        check(&|line| line.cash_share = "0.4".to_owned(), false);
        check(&|line| line.rounding = "0".to_owned(), false);
        check(&|line| line.rate = "dear".to_owned(), false);
        check(
            &|line| (line.rate, line.cash, line.rounding) = (String::new(), "0".to_owned(), "0".to_owned()),
            true,
        );
        check(&|line| line.rate = String::new(), false);
        check(&|line| line.held = String::new(), true);
    }

    /// RFC 4231 has the vectors of the function; this pins what it is used on, as Python's hmac module has it.
    #[test]
    fn salts_are_those_of_another_implementation() {
        let seed = Seed::parse(&"07".repeat(32)).unwrap();
        assert_eq!(
            seed.salt("山田").unwrap(),
            "68f26bcdc66a5746fc07df9ba9f46673fc21cf8b9a8756963b78b04255aa457b"
        );
    }
}
