//! What somebody on the roster published, as it stands in the log. Roots of liabilities have their own form.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What is published. Digests are 32 bytes in hexadecimal.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Publication {
    /// The root of all customers' statements of compensation.
    Claims {
        /// The root.
        root: String,
        /// How many statements stand under it.
        statements: u64,
        /// SHA-256 of the scheme.
        scheme: String,
        /// The root of the same scheme that this one takes the place of.
        replaces: Option<String>,
    },
    /// Customers are handed over to another operator.
    HandoverExport {
        /// Which hand-over, 16 bytes in hexadecimal.
        export: String,
        /// The digest of its manifest.
        manifest: String,
    },
    /// Customers of another operator are taken over.
    HandoverImport {
        /// The digest of the manifest.
        manifest: String,
        /// The digest of the receipt.
        receipt: String,
        /// The receipt for the same manifest that this one takes the place of.
        replaces: Option<String>,
    },
    /// A check was made, however it ended.
    Check {
        /// `reserves-statement`, `liabilities-audit` or `liabilities-inclusion`.
        of: String,
        /// SHA-256 of the answer in full.
        document: String,
        /// The root of liabilities that it is about, where it names one.
        root: Option<String>,
        /// What was found.
        findings: Vec<Finding>,
    },
}

/// What a check found about one thing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// An asset's ticker, or `all`.
    pub about: String,
    /// `covered`, `short`, `not-shown`, `verified` or `failed`.
    pub verdict: String,
    /// The checks that failed.
    pub failed: Vec<String>,
    /// Those that were not made.
    pub not_made: Vec<String>,
}

/// Body of `POST /v1/publications`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PublicationSubmit {
    /// What is published.
    pub publication: Publication,
    /// An armoured SSH signature over the digest, namespace `kuraban-publish`.
    pub approval: String,
}

/// A publication in the log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct PublicationView {
    /// The entry's index.
    pub log_index: u64,
    /// What was published.
    pub publication: Publication,
}

/// All publications but roots of liabilities.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct PublicationList {
    /// The log in which they stand.
    pub origin: String,
    /// The publications, oldest first.
    pub publications: Vec<PublicationView>,
}
