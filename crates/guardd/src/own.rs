//! A machine's own keys: from its secret files, held against the roster.
//!
//! Decides whether a key is the one that everybody else expects. A daemon with another does not start.

use std::path::{Path, PathBuf};

use kuraban_base::{MachineId, hex};
use kuraban_link::Identity;
use kuraban_proof::Cosigner;
use kuraban_vault::{Machine, Role, Roster, statement::StatementSecret};

use crate::secrets::{SecretError, seed};

/// A key that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OwnKeyError {
    /// No secret.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The roster has no such machine in that role, or no such key of it.
    #[error("the roster has no {purpose} key of a {role} named {machine}")]
    Stranger {
        /// What the key is for.
        purpose: &'static str,
        /// The role.
        role: Role,
        /// The name.
        machine: MachineId,
    },
    /// Another key than the roster's.
    #[error("{} is the secret of {found}, want that of {want}, the {purpose} key of {machine} on the roster", file.display())]
    Other {
        /// The file.
        file: PathBuf,
        /// What the key is for.
        purpose: &'static str,
        /// Whose it is.
        machine: MachineId,
        /// The public half found.
        found: String,
        /// The public half on the roster.
        want: String,
    },
}

/// The machine whose keys are read.
#[derive(Clone, Copy, Debug)]
pub struct Own<'a> {
    /// Who is who.
    pub roster: &'a Roster,
    /// Its name.
    pub machine: &'a MachineId,
    /// Its role.
    pub role: Role,
}

impl Own<'_> {
    /// The key for links.
    ///
    /// # Errors
    /// There is no secret, or it is not that of the roster's key.
    pub fn identity(self, file: &Path) -> Result<Identity, OwnKeyError> {
        let want = self.wanted("tls", |entry| Some(entry.tls))?;
        let identity = Identity::from_seed(&*seed(file)?);
        self.same(file, "tls", hex::encode(&identity.public()), hex::encode(&want))?;
        Ok(identity)
    }

    /// The key for statements.
    ///
    /// # Errors
    /// There is no secret, or it is not that of the roster's key.
    pub fn statement(self, file: &Path) -> Result<StatementSecret, OwnKeyError> {
        let want = self.wanted("statement", |entry| entry.statement)?;
        let secret = StatementSecret::from_seed(&*seed(file)?);
        let found = hex::encode(secret.public().as_bytes());
        self.same(file, "statement", found, hex::encode(want.as_bytes()))?;
        Ok(secret)
    }

    /// The key for cosignatures.
    ///
    /// # Errors
    /// There is no secret, or it is not that of the roster's key.
    pub fn cosigner(self, file: &Path) -> Result<Cosigner, OwnKeyError> {
        let want = self.wanted("witness", |entry| entry.witness.clone())?;
        let cosigner = Cosigner::from_seed(want.name().clone(), &*seed(file)?);
        self.same(file, "witness", cosigner.verifier().to_string(), want.to_string())?;
        Ok(cosigner)
    }

    fn wanted<T>(
        &self,
        purpose: &'static str,
        key: impl FnOnce(&Machine) -> Option<T>,
    ) -> Result<T, OwnKeyError> {
        let entry = self.roster.machine(self.machine).filter(|entry| entry.role == self.role);
        let (role, machine) = (self.role, self.machine.clone());
        entry.and_then(key).ok_or(OwnKeyError::Stranger { purpose, role, machine })
    }

    fn same(
        &self,
        file: &Path,
        purpose: &'static str,
        found: String,
        want: String,
    ) -> Result<(), OwnKeyError> {
        if found == want {
            return Ok(());
        }
        let (file, machine) = (file.to_owned(), self.machine.clone());
        Err(OwnKeyError::Other { file, purpose, machine, found, want })
    }
}
