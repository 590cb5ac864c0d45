//! A folder of results, read again: statement by statement, however many there are. Decides whether its files belong together.

use std::{
    fs::File,
    io::{BufReader, Read as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use csv::StringRecord;
use kuraban_base::{Digest, TreeHash};
use kuraban_ledger::scheme::Remainder;
use kuraban_proof::TreeHead;
use serde::Deserialize;

use super::{
    statement::{FORMAT, Levels, Line, Seed, Statement},
    tables::{CLAIMS, LEAVES, PAYMENTS, SEED},
};
use crate::{
    fail::{Failure, OrFail as _},
    input,
};

/// Most leaves that are read: more people than live.
const LEAVES_MAX: u64 = 10_000_000_000;

/// What statements take from summary.json.
#[derive(Deserialize)]
struct Summary {
    scheme: String,
    as_of: Option<String>,
    currency: String,
    decimals: u8,
    insolvency: Option<serde::de::IgnoredAny>,
    rounding: Rounding,
    statements: Head,
}

#[derive(Deserialize)]
struct Rounding {
    borne_by: Remainder,
}

#[derive(Deserialize)]
struct Head {
    root: String,
    size: u64,
    scheme_sha256: Option<String>,
}

/// A folder of results.
pub(super) struct Folder {
    path: PathBuf,
    summary: Summary,
    head: TreeHead,
}

/// What one customer is paid in cash.
#[derive(Deserialize)]
struct Paid {
    customer: String,
    claim: String,
    base: String,
    rest: String,
    capped: String,
    below_minimum: String,
    cash: String,
}

/// A row of claims.csv, in the order of its columns.
type Claim = [String; 9];

type Rows<T> = csv::DeserializeRecordsIntoIter<BufReader<File>, T>;

impl Folder {
    /// Opens it.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let file = path.join("summary.json");
        let summary: Summary = input::json(&file, input::FILE_MAX)?;
        let root = summary.statements.root.parse().or_input(file.display())?;
        let head = TreeHead { size: summary.statements.size, root };
        Ok(Self { path: path.to_owned(), summary, head })
    }

    /// Opens it, if its statements have the root that is wanted.
    pub(super) fn under(path: &Path, want: Option<TreeHash>) -> Result<Self, Failure> {
        let folder = Self::open(path)?;
        let found = folder.head.root;
        match want.filter(|want| *want != found) {
            Some(want) => Err(Failure::input(format!(
                "{}: the statements have root {found}, want {want}",
                path.display()
            ))),
            None => Ok(folder),
        }
    }

    /// What the statements hash to.
    pub(super) const fn head(&self) -> TreeHead {
        self.head
    }

    /// SHA-256 of the scheme's file.
    pub(super) fn scheme(&self) -> anyhow::Result<Digest> {
        let text = self.summary.statements.scheme_sha256.as_ref();
        let text = text.context("summary.json has no statements.scheme_sha256; compute the claims again")?;
        Ok(text.parse()?)
    }

    /// Who bears what rounding leaves.
    pub(super) const fn borne_by(&self) -> Remainder {
        self.summary.rounding.borne_by
    }

    /// What cash is paid in.
    pub(super) fn currency(&self) -> (&str, u8) {
        (&self.summary.currency, self.summary.decimals)
    }

    fn rows<T: serde::de::DeserializeOwned>(&self, name: &str, columns: &[&str]) -> Result<Rows<T>, Failure> {
        let path = self.path.join(name);
        let file = File::open(&path).context("could not be opened").or_input(path.display())?;
        let mut reader = csv::Reader::from_reader(BufReader::with_capacity(1 << 20, file));
        let headers = reader.headers().or_input(path.display())?;
        if headers != &StringRecord::from(columns.to_vec()) {
            return Err(Failure::input(format!(
                "{}: want the columns {}; compute the claims again",
                path.display(),
                columns.join(",")
            )));
        }
        Ok(reader.into_deserialize())
    }

    /// Every customer's payment, in order.
    fn payments(&self) -> Result<impl Iterator<Item = Result<Paid, Failure>> + use<>, Failure> {
        let shown = self.path.join("payments.csv");
        let rows = self.rows::<Paid>("payments.csv", &PAYMENTS)?;
        Ok(rows.map(move |row| row.or_input(shown.display())))
    }

    /// The tree, from the leaves that were written; an error if it is another than the summary's.
    pub(super) fn levels(&self) -> Result<Levels, Failure> {
        let path = self.path.join(LEAVES);
        self.leaves(&path).or_input(path.display())
    }

    fn leaves(&self, path: &Path) -> anyhow::Result<Levels> {
        let size = self.head.size;
        anyhow::ensure!(size <= LEAVES_MAX, "{size} statements, want at most {LEAVES_MAX}");
        let file = File::open(path).context("could not be opened")?;
        let bytes = file.metadata()?.len();
        anyhow::ensure!(bytes == size.saturating_mul(32), "has {bytes} bytes, want 32 for each of {size}");
        let mut file = BufReader::with_capacity(1 << 20, file);
        let mut leaves = Vec::with_capacity(usize::try_from(size)?);
        for _ in 0..size {
            let mut leaf = [0; 32];
            file.read_exact(&mut leaf)?;
            leaves.push(TreeHash::from_bytes(leaf));
        }
        let levels = Levels::new(leaves)?;
        let root = levels.head().root;
        anyhow::ensure!(root == self.head.root, "has root {root}, summary.json has {}", self.head.root);
        Ok(levels)
    }

    /// Hands on every statement, each once it is shown to be the one that was hashed: what is paid is what stands under the root.
    pub(super) fn whole(
        &self,
        mut take: impl FnMut(u64, Statement) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let levels = self.levels()?;
        let (leaves, place) = (levels.leaves(), self.path.display());
        let mut count = 0_u64;
        self.each(
            |_| true,
            |index, statement| {
                let leaf = statement.leaf().or_undone(&place)?;
                let hashed = usize::try_from(index).ok().and_then(|index| leaves.get(index));
                if hashed != Some(&leaf) {
                    return Err(Failure::input(format!(
                        "{place}: what the tables say of {:?} is not what was hashed; compute the claims again",
                        crate::say::tame(&statement.customer)
                    )));
                }
                count = count.saturating_add(1);
                take(index, statement)
            },
        )?;
        if count != self.head.size {
            let want = self.head.size;
            return Err(Failure::input(format!("{place}: the tables have {count} customers, want {want}")));
        }
        Ok(())
    }

    /// Hands on every statement whose customer is wanted, with its place, in order.
    pub(super) fn each(
        &self,
        wanted: impl Fn(&str) -> bool,
        mut take: impl FnMut(u64, Statement) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let file = self.path.join(SEED);
        let seed = Seed::parse(&input::text(&file, input::FILE_MAX)?).or_input(file.display())?;
        let shown = self.path.join("claims.csv");
        let mut claims = self.rows::<Claim>("claims.csv", &CLAIMS)?;
        let mut next = claims.next().transpose().or_input(shown.display())?;
        for (index, paid) in (0_u64..).zip(self.payments()?) {
            let paid = paid?;
            let mut lines = Vec::new();
            while let Some(claim) = next.take_if(|[customer, ..]| *customer == paid.customer) {
                lines.push(line(claim));
                next = claims.next().transpose().or_input(shown.display())?;
            }
            if wanted(&paid.customer) {
                let salt = seed.salt(&paid.customer).or_undone("salts")?;
                take(index, self.statement(paid, lines, salt))?;
            }
        }
        match next {
            None => Ok(()),
            Some([customer, ..]) => Err(Failure::input(format!(
                "{}: {:?} is not where payments.csv has it; compute the claims again",
                shown.display(),
                crate::say::tame(&customer)
            ))),
        }
    }

    fn statement(&self, paid: Paid, lines: Vec<Line>, salt: String) -> Statement {
        Statement {
            as_of: self.summary.as_of.clone(),
            base: paid.base,
            below_minimum: paid.below_minimum,
            capped: paid.capped,
            cash: paid.cash,
            claim: paid.claim,
            currency: self.summary.currency.clone(),
            customer: paid.customer,
            decimals: self.summary.decimals,
            format: FORMAT.to_owned(),
            lines,
            plan: self.summary.insolvency.is_some(),
            rest: paid.rest,
            salt,
            scheme: self.summary.scheme.clone(),
        }
    }
}

fn line(claim: Claim) -> Line {
    let [_, what, held, rate, in_kind, cash, in_kind_share, cash_share, rounding] = claim;
    Line { cash, cash_share, what, held, in_kind, in_kind_share, rate, rounding }
}
