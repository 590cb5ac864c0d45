//! The file in which an order goes from hand to hand. Its signatures are checked by whoever reads it; what they are over
//! is recomputed from the order, never read.

use std::{fs::File, io::Write as _, path::Path};

use anyhow::Context as _;
use kuraban_api::{BreakerReset, CellName, SignerResume};
use kuraban_base::{Digest, MachineId};
use kuraban_vault::{
    Approval, RESET, RESUME,
    body::{reset_digest, resume_digest},
    breaker::Cell,
};
use serde::{Deserialize, Serialize};

use crate::{
    fail::{Failure, OrFail as _},
    file, input,
    writer::{Refused, Writer},
};

/// Longest order's file, in bytes: a hundred signatures and every cell.
const ORDER_MAX: usize = 64 * 1024;

/// What is ordered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum What {
    /// Open these cells again.
    Reset {
        /// The epoch that is left behind.
        epoch: u64,
        /// The cells.
        cells: Vec<CellName>,
    },
    /// Let a signer resume.
    Resume {
        /// Which.
        #[serde(serialize_with = "as_text", deserialize_with = "from_text")]
        signer: MachineId,
        /// The highest number of its receipts in the log.
        receipts: u64,
    },
}

/// An order for one log, with the signatures that it has so far.
#[derive(Clone, Debug, Serialize)]
pub(super) struct OrderFile {
    pub(super) origin: String,
    #[serde(rename = "order")]
    pub(super) what: What,
    #[serde(serialize_with = "as_pems")]
    pub(super) approvals: Vec<Approval>,
    /// Of `what` in this log.
    #[serde(skip)]
    digest: Digest,
}

/// As it stands in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    origin: String,
    #[serde(rename = "order")]
    what: What,
    approvals: Vec<String>,
}

impl What {
    /// An order to open these cells.
    pub(super) fn reset(epoch: u64, cells: Vec<Cell>) -> Self {
        let name =
            |(service, asset): Cell| CellName { service: service.to_string(), asset: asset.to_string() };
        Self::Reset { epoch, cells: cells.into_iter().map(name).collect() }
    }

    /// What is signed.
    fn digest(&self, origin: &str) -> anyhow::Result<Digest> {
        match self {
            Self::Reset { epoch, cells } => {
                anyhow::ensure!(!cells.is_empty(), "cells: there are none");
                let cells = cells.iter().map(cell).collect::<anyhow::Result<Vec<_>>>()?;
                Ok(reset_digest(origin, *epoch, &cells))
            }
            Self::Resume { signer, receipts } => Ok(resume_digest(origin, signer, *receipts)),
        }
    }
}

fn cell(name: &CellName) -> anyhow::Result<Cell> {
    Ok((name.service.parse().context("cells: service")?, name.asset.parse().context("cells: asset")?))
}

impl OrderFile {
    /// An order that nobody signed yet.
    pub(super) fn new(origin: &str, what: What) -> Result<Self, Failure> {
        let digest = what.digest(origin).map_err(Failure::Undone)?;
        Ok(Self { origin: origin.to_owned(), what, approvals: Vec::new(), digest })
    }

    /// Reads an order for this log.
    pub(super) fn read(path: &Path, origin: &str) -> Result<Self, Failure> {
        let raw: Raw = input::json(path, ORDER_MAX)?;
        let parse = || {
            anyhow::ensure!(
                raw.origin == origin,
                "is an order for the log {:?}, your roster's is {origin:?}",
                raw.origin
            );
            let digest = raw.what.digest(origin)?;
            let approvals = raw.approvals.iter().map(|pem| Approval::parse(pem)).collect::<Result<_, _>>();
            Ok(Self {
                origin: raw.origin,
                what: raw.what,
                approvals: approvals.context("approvals")?,
                digest,
            })
        };
        parse().or_input(path.display())
    }

    /// What is signed.
    pub(super) const fn digest(&self) -> Digest {
        self.digest
    }

    /// Under which SSH namespace.
    pub(super) const fn namespace(&self) -> &'static str {
        match self.what {
            What::Reset { .. } => RESET,
            What::Resume { .. } => RESUME,
        }
    }

    /// Writes a new file; one that is there stays as it is.
    pub(super) fn create(&self, path: &Path) -> Result<(), Failure> {
        let mut file = File::create_new(path).or_input(path.display())?;
        let written = file.write_all(self.text()?.as_bytes()).and_then(|()| file.sync_all());
        written.or_undone(path.display())
    }

    /// Writes the file anew, whole or not at all.
    pub(super) fn replace(&self, path: &Path) -> Result<(), Failure> {
        file::write(path, self.text()?.as_bytes())
    }

    fn text(&self) -> Result<String, Failure> {
        serde_json::to_string_pretty(self).map(|text| text + "\n").or_undone("the order")
    }

    /// Hands it to the writer.
    pub(super) fn send(&self, writer: &Writer) -> Result<Result<(), Refused>, Failure> {
        let approvals = self.approvals.iter().map(|approval| approval.pem().to_owned()).collect();
        match &self.what {
            What::Reset { epoch, cells } => {
                writer.reset(&BreakerReset { cells: cells.clone(), epoch: *epoch, approvals })
            }
            What::Resume { signer, receipts } => {
                writer.resume(&SignerResume { id: signer.to_string(), receipts: *receipts, approvals })
            }
        }
    }
}

fn as_text<S: serde::Serializer>(id: &MachineId, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(id.as_str())
}

fn from_text<'a, D: serde::Deserializer<'a>>(from: D) -> Result<MachineId, D::Error> {
    let text = String::deserialize(from)?;
    text.parse().map_err(serde::de::Error::custom)
}

fn as_pems<S: serde::Serializer>(approvals: &[Approval], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(approvals.iter().map(Approval::pem))
}
