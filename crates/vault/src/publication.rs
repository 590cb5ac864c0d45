//! What somebody on the roster puts into the log, there for everybody alike: roots, digests, and how checks ended. Decides how it
//! is written, over what its signature goes, and what may follow what; never whether it is so.

use kuraban_base::{
    Digest,
    cbor::{CborError, Fields, Value, invalid},
};

use crate::{
    approval::{LIABILITIES, PUBLISH},
    breaker::closed_words,
    liabilities::Liabilities,
};

/// Most findings of a check: one for each asset.
pub const FINDINGS_MAX: usize = 1024;
/// Most checks that a finding names.
pub const CHECKS_MAX: usize = 64;
/// Longest name of what a finding is about, and of a check, in bytes.
pub const NAME_MAX: usize = 64;

/// What a person signs and the log holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Publication {
    /// What is owed to customers.
    Liabilities(Liabilities),
    /// What customers are compensated with.
    Claims(Claims),
    /// Customers are handed over to another operator.
    Export(Export),
    /// Customers of another operator are taken over.
    Import(Import),
    /// A check was made, however it ended.
    Check(Check),
}

/// The root of all customers' statements of compensation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Claims {
    /// The root.
    pub root: Digest,
    /// How many statements stand under it.
    pub statements: u64,
    /// SHA-256 of the scheme by which they were computed.
    pub scheme: Digest,
    /// The root of the same scheme that this one takes the place of.
    pub replaces: Option<Digest>,
}

/// A hand-over, as its sender made it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Export {
    /// Which hand-over.
    pub export: [u8; 16],
    /// The digest of its manifest.
    pub manifest: Digest,
}

/// A hand-over, as its receiver took it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Import {
    /// The digest of the manifest.
    pub manifest: Digest,
    /// The digest of the receipt.
    pub receipt: Digest,
    /// The receipt for the same manifest that this one takes the place of.
    pub replaces: Option<Digest>,
}

closed_words! {
    /// What was checked.
    Checked, "check" {
        /// Reserves against liabilities, asset by asset.
        ReservesStatement = "reserves-statement",
        /// The whole tree of liabilities against the books.
        LiabilitiesAudit = "liabilities-audit",
        /// One customer's place in the tree.
        LiabilitiesInclusion = "liabilities-inclusion",
    }
}

closed_words! {
    /// How a check ended.
    Verdict, "verdict" {
        /// Every check holds, and reserves are at least what is owed.
        Covered = "covered",
        /// Every check holds, and reserves are less.
        Short = "short",
        /// A check failed or was not made.
        NotShown = "not-shown",
        /// It holds.
        Verified = "verified",
        /// It does not.
        Failed = "failed",
    }
}

/// How a check ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Check {
    /// What was checked.
    pub of: Checked,
    /// SHA-256 of the answer in full, as it was given.
    pub document: Digest,
    /// The root of liabilities that it is about, where it names one.
    pub root: Option<Digest>,
    /// What was found.
    pub findings: Vec<Finding>,
}

/// What was found about one thing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// About what: an asset's ticker, or `all`.
    pub about: String,
    /// How it ended.
    pub verdict: Verdict,
    /// The checks that failed, in the order of the answer.
    pub failed: Vec<String>,
    /// Those that were not made.
    pub not_made: Vec<String>,
}

impl Finding {
    /// Whether the verdict follows from the checks: nothing that failed is called covered, short or verified, and what is called
    /// failed or not shown names why.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let open = !self.failed.is_empty() || !self.not_made.is_empty();
        match self.verdict {
            Verdict::Covered | Verdict::Short | Verdict::Verified => !open,
            Verdict::NotShown => open,
            Verdict::Failed => !self.failed.is_empty(),
        }
    }
}

impl Publication {
    /// The kinds of their entries.
    pub const KINDS: [&'static str; 5] = [
        "liabilities.published",
        "claims.published",
        "handover.exported",
        "handover.imported",
        "check.published",
    ];

    /// The kind of its entry.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        let [liabilities, claims, export, import, check] = Self::KINDS;
        match self {
            Self::Liabilities(_) => liabilities,
            Self::Claims(_) => claims,
            Self::Export(_) => export,
            Self::Import(_) => import,
            Self::Check(_) => check,
        }
    }

    /// Under which SSH namespace it is signed.
    #[must_use]
    pub const fn namespace(&self) -> &'static str {
        match self {
            Self::Liabilities(_) => LIABILITIES,
            Self::Claims(_) | Self::Export(_) | Self::Import(_) | Self::Check(_) => PUBLISH,
        }
    }

    /// The code of the problem when the writer refuses it.
    #[must_use]
    pub const fn refused_code(&self) -> &'static str {
        match self {
            Self::Liabilities(_) => "liabilities-not-published",
            Self::Claims(_) | Self::Export(_) | Self::Import(_) | Self::Check(_) => "not-published",
        }
    }

    /// The digest that a person signs: good for one log.
    #[must_use]
    pub fn digest(&self, origin: &str) -> Digest {
        if let Self::Liabilities(liabilities) = self {
            return liabilities.digest(origin);
        }
        let said =
            Value::map([("origin", Value::text(origin)), ("kind", Value::text(self.kind())), self.field()]);
        Digest::sha256(&[b"kuraban-published-v1", &said.encode()])
    }

    /// Its field in the entry's body: name and value.
    #[must_use]
    pub fn field(&self) -> (&'static str, Value) {
        let digest = |digest: &Digest| Value::bytes(digest.as_bytes());
        match self {
            Self::Liabilities(liabilities) => ("liabilities", liabilities.to_value()),
            Self::Claims(Claims { root, statements, scheme, replaces }) => (
                "claims",
                Value::map([
                    ("root", digest(root)),
                    ("statements", Value::uint(*statements)),
                    ("scheme", digest(scheme)),
                    ("replaces", Value::option(replaces.as_ref().map(digest))),
                ]),
            ),
            Self::Export(Export { export, manifest }) => {
                ("export", Value::map([("export", Value::bytes(export)), ("manifest", digest(manifest))]))
            }
            Self::Import(Import { manifest, receipt, replaces }) => (
                "import",
                Value::map([
                    ("manifest", digest(manifest)),
                    ("receipt", digest(receipt)),
                    ("replaces", Value::option(replaces.as_ref().map(digest))),
                ]),
            ),
            Self::Check(Check { of, document, root, findings }) => (
                "check",
                Value::map([
                    ("of", Value::text(of)),
                    ("document", digest(document)),
                    ("root", Value::option(root.as_ref().map(digest))),
                    ("findings", Value::array(findings.iter().map(finding_value))),
                ]),
            ),
        }
    }

    /// Of the body of an entry of `kind`; nothing where that is no publication's.
    ///
    /// # Errors
    /// A missing, unknown or malformed field, or a verdict that its checks contradict.
    pub fn of(kind: &str, body: &mut Fields) -> Result<Option<Self>, CborError> {
        let [liabilities, claims, export, import, check] = Self::KINDS;
        let name = match () {
            () if kind == liabilities => {
                let liabilities = Liabilities::from_value(body.value("liabilities")?)?;
                return Ok(Some(Self::Liabilities(liabilities)));
            }
            () if kind == claims => "claims",
            () if kind == export => "export",
            () if kind == import => "import",
            () if kind == check => "check",
            () => return Ok(None),
        };
        let mut fields = Fields::of(name, body.value(name)?)?;
        let publication = match name {
            "claims" => Self::Claims(Claims {
                root: digest(&mut fields, "root")?,
                statements: fields.uint("statements")?,
                scheme: digest(&mut fields, "scheme")?,
                replaces: maybe(&mut fields, "replaces")?,
            }),
            "export" => Self::Export(Export {
                export: fields.array("export")?,
                manifest: digest(&mut fields, "manifest")?,
            }),
            "import" => Self::Import(Import {
                manifest: digest(&mut fields, "manifest")?,
                receipt: digest(&mut fields, "receipt")?,
                replaces: maybe(&mut fields, "replaces")?,
            }),
            _ => Self::Check(Check {
                of: fields.parse("of")?,
                document: digest(&mut fields, "document")?,
                root: maybe(&mut fields, "root")?,
                findings: findings(fields.items("findings")?)?,
            }),
        };
        fields.end()?;
        Ok(Some(publication))
    }

    /// Whether it may stand after those before it: nobody is to be shown another root for the same thing, so what takes the
    /// place of something says of what, and nothing stands twice.
    ///
    /// # Errors
    /// Why not.
    pub fn follows(&self, before: &[(u64, Self)]) -> Result<(), String> {
        let mut before = before.iter().map(|(_, one)| one);
        match self {
            Self::Liabilities(own) => {
                let root = |one: &Self| matches!(one, Self::Liabilities(known) if known.root == own.root);
                unless(before.clone().any(root), "this root stands in the log already")?;
                let veil = |one: &Self| matches!(one, Self::Liabilities(known) if known.veil == own.veil);
                let twice = own.veil.is_some() && before.any(veil);
                unless(twice, "this veil's root stands in the log already")
            }
            Self::Claims(own) => {
                let same = |one: &Self| match one {
                    Self::Claims(known) if known.scheme == own.scheme => Some(known.root),
                    Self::Liabilities(_)
                    | Self::Claims(_)
                    | Self::Export(_)
                    | Self::Import(_)
                    | Self::Check(_) => None,
                };
                replaced("root of this scheme", own.root, own.replaces, before.filter_map(same))
            }
            Self::Export(own) => {
                let twice =
                    before.any(|one| matches!(one, Self::Export(known) if known.export == own.export));
                unless(twice, "this hand-over stands in the log already")
            }
            Self::Import(own) => {
                let same = |one: &Self| match one {
                    Self::Import(known) if known.manifest == own.manifest => Some(known.receipt),
                    Self::Liabilities(_)
                    | Self::Claims(_)
                    | Self::Export(_)
                    | Self::Import(_)
                    | Self::Check(_) => None,
                };
                replaced("receipt for this manifest", own.receipt, own.replaces, before.filter_map(same))
            }
            Self::Check(own) => {
                let twice =
                    before.any(|one| matches!(one, Self::Check(known) if known.document == own.document));
                unless(twice, "this check stands in the log already")
            }
        }
    }
}

impl core::fmt::Display for Publication {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Liabilities(Liabilities { root, as_of, .. }) => write!(f, "root {root} as of {as_of}"),
            Self::Claims(Claims { root, statements, scheme, .. }) => {
                write!(f, "root {root} of {statements} statements by scheme {scheme}")
            }
            Self::Export(Export { export, manifest }) => {
                write!(f, "hand-over {} with manifest {manifest}", kuraban_base::hex::encode(export))
            }
            Self::Import(Import { manifest, receipt, .. }) => {
                write!(f, "receipt {receipt} for manifest {manifest}")
            }
            Self::Check(Check { of, document, findings, .. }) => {
                write!(f, "{of} {document}:")?;
                findings.iter().try_for_each(|finding| write!(f, " {} {}", finding.about, finding.verdict))
            }
        }
    }
}

fn unless(wrong: bool, problem: &str) -> Result<(), String> {
    if wrong { Err(problem.to_owned()) } else { Ok(()) }
}

/// Whether `own` is new and says that it replaces the last that stands.
fn replaced(
    what: &str,
    own: Digest,
    replaces: Option<Digest>,
    before: impl Iterator<Item = Digest>,
) -> Result<(), String> {
    let before: Vec<Digest> = before.collect();
    unless(before.contains(&own), &format!("this {what} stands in the log already"))?;
    let last = before.last().copied();
    if last == replaces {
        return Ok(());
    }
    let shown = |one: Option<Digest>| one.map_or("nothing".to_owned(), |digest| digest.to_string());
    Err(format!("it replaces {}, and the last {what} in the log is {}", shown(replaces), shown(last)))
}

fn digest(fields: &mut Fields, name: &str) -> Result<Digest, CborError> {
    fields.array(name).map(Digest::from_bytes)
}

fn maybe(fields: &mut Fields, name: &str) -> Result<Option<Digest>, CborError> {
    let Some(value) = fields.option(name)? else { return Ok(None) };
    let Value::Bytes(bytes) = value else { return Err(invalid(name, "want a byte string")) };
    let found = bytes.len();
    let bytes = bytes.try_into().map_err(|_| invalid(name, format!("{found} bytes, want 32")))?;
    Ok(Some(Digest::from_bytes(bytes)))
}

fn finding_value(finding: &Finding) -> Value {
    Value::map([
        ("about", Value::text(&finding.about)),
        ("verdict", Value::text(finding.verdict)),
        ("failed", Value::array(finding.failed.iter().map(Value::text))),
        ("not_made", Value::array(finding.not_made.iter().map(Value::text))),
    ])
}

fn findings(items: Vec<Value>) -> Result<Vec<Finding>, CborError> {
    if !(1..=FINDINGS_MAX).contains(&items.len()) {
        return Err(invalid("findings", format!("{} of them, want 1 to {FINDINGS_MAX}", items.len())));
    }
    items.into_iter().map(finding).collect()
}

fn finding(value: Value) -> Result<Finding, CborError> {
    let mut fields = Fields::of("finding", value)?;
    let finding = Finding {
        about: named("about", fields.text("about")?)?,
        verdict: fields.parse("verdict")?,
        failed: names("failed", fields.items("failed")?)?,
        not_made: names("not_made", fields.items("not_made")?)?,
    };
    fields.end()?;
    if finding.is_sound() {
        return Ok(finding);
    }
    Err(invalid("verdict", format!("{} contradicts the checks of {}", finding.verdict, finding.about)))
}

fn names(field: &str, items: Vec<Value>) -> Result<Vec<String>, CborError> {
    if items.len() > CHECKS_MAX {
        return Err(invalid(field, format!("{} of them, want at most {CHECKS_MAX}", items.len())));
    }
    let name = |item| match item {
        Value::Text(name) => named(field, name),
        Value::Uint(_) | Value::Bytes(_) | Value::Array(_) | Value::Map(_) | Value::Bool(_) | Value::Null => {
            Err(invalid(field, "want text"))
        }
    };
    items.into_iter().map(name).collect()
}

fn named(field: &str, name: String) -> Result<String, CborError> {
    if (1..=NAME_MAX).contains(&name.len()) {
        return Ok(name);
    }
    Err(invalid(field, format!("{} bytes, want 1 to {NAME_MAX}", name.len())))
}
