//! A person's SSH key, from an OpenSSH private-key file. Signs digests under one namespace at a time, and tags; leaves
//! the process in no other form.

use std::path::Path;

use anyhow::Context as _;
use ed25519_dalek::SigningKey;
use kuraban_vault::Approval;
use ssh_key::{HashAlg, LineEnding, PrivateKey};
use zeroize::Zeroizing;

use crate::{
    fail::{Failure, OrFail as _},
    input::bytes,
    say::Say,
};

/// Longest private-key file, in bytes; an Ed25519 one has about 500.
const KEY_FILE_MAX: usize = 64 * 1024;

/// What an OpenSSH private key begins with.
const ARMOUR: &[u8] = b"-----BEGIN OPENSSH PRIVATE KEY-----";
/// What public keys begin with.
const PUBLIC: [&[u8]; 3] = [b"ssh-", b"ecdsa-", b"sk-"];

/// An Ed25519 key that can sign. Neither cloned nor shown.
pub(crate) struct Key {
    private: PrivateKey,
    public: [u8; 32],
}

impl Key {
    /// Reads a key file; asks the terminal for its passphrase where it has one.
    pub(crate) fn read(path: &Path, say: &Say) -> Result<Self, Failure> {
        let file = Zeroizing::new(bytes(path, KEY_FILE_MAX)?);
        let words = |problem: &str| Failure::input(format!("{}: {problem}", path.display()));
        // Before the file's mode: others may read a public key, and that is not what is wrong with it here.
        if PUBLIC.iter().any(|start| file.starts_with(start)) {
            return Err(words("is a public key, give the file without .pub"));
        }
        guarded(path).or_input(path.display())?;
        let unusable = |problem: ssh_key::Error| words(&problem.to_string());
        let mut private = PrivateKey::from_openssh(file.as_slice()).map_err(|problem| {
            let found = if file.starts_with(ARMOUR) { "is not a whole" } else { "is no" };
            words(&format!("{found} OpenSSH private key ({problem})"))
        })?;
        if private.is_encrypted() {
            let passphrase = say.ask_secret(&format!("passphrase of {}:", path.display()))?;
            private = private.decrypt(passphrase.as_bytes()).map_err(unusable)?;
        }
        let Some(public) = private.public_key().key_data().ed25519().map(|key| key.0) else {
            let found = private.algorithm();
            return Err(Failure::input(format!(
                "{}: is a key of type {found}, want ssh-ed25519",
                path.display()
            )));
        };
        Ok(Self { private, public })
    }

    /// The public key.
    pub(crate) const fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// The key as other signatures than SSH's take it; wiped when it is dropped.
    pub(crate) fn ed25519(&self) -> Result<SigningKey, Failure> {
        let pair = self.private.key_data().ed25519();
        let key = pair.map(|pair| SigningKey::from_bytes(&pair.private.to_bytes()));
        key.ok_or_else(|| Failure::undone("the key is not an Ed25519 key"))
    }

    /// An armoured SSH signature over a file's bytes (OpenSSH PROTOCOL.sshsig, SHA-512), as `ssh-keygen -Y sign` makes it.
    pub(crate) fn sign_file(&self, namespace: &'static str, bytes: &[u8]) -> Result<String, Failure> {
        let signed = self.private.sign(namespace, HashAlg::Sha512, bytes);
        let pem = signed.and_then(|signature| signature.to_pem(LineEnding::LF));
        pem.map_err(|problem| Failure::undone(format!("signing: {problem}")))
    }

    /// An armoured SSH signature over the digest (OpenSSH PROTOCOL.sshsig, SHA-512).
    pub(crate) fn sign(&self, namespace: &'static str, digest: &[u8; 32]) -> Result<Approval, Failure> {
        let signed = self.private.sign(namespace, HashAlg::Sha512, digest);
        let pem = signed.and_then(|signature| signature.to_pem(LineEnding::LF));
        let pem = pem.map_err(|problem| Failure::undone(format!("signing: {problem}")))?;
        Approval::parse(&pem).or_undone("signing")
    }
}

/// Whether nobody but the owner can read the file, as ssh itself asks.
#[cfg(unix)]
pub(crate) fn guarded(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(path).context("could not be opened")?.permissions().mode() & 0o777;
    anyhow::ensure!(mode & 0o077 == 0, "others can read it (mode {mode:03o}), want 600: chmod 600 it");
    Ok(())
}

#[cfg(not(unix))]
fn guarded(_path: &Path) -> anyhow::Result<()> {
    Ok(())
}
