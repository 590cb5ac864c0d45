//! The files of a hand-over on both sides: signed ones, whole folders, and what may lie in them. Decides whether a file is the one that
//! was signed.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{Read as _, Write as _},
    path::Path,
};

use anyhow::Context as _;
use kuraban_base::Digest;
use kuraban_ledger::handover::{CHUNK_BYTES_MAX, CHUNKS_MAX, ChunkLine, FileLine, Manifest};
use sha2::{Digest as _, Sha256};
use ssh_key::{LineEnding, PublicKey, SshSig};

use super::{OrRefuse as _, Stop};
use crate::{
    fail::{Failure, OrFail as _},
    input,
    key::Key,
};

/// What signatures of a hand-over are for (`ssh-keygen -Y verify -n`).
const NAMESPACE: &str = "kuraban-handover";
/// Longest signature file.
const SIGNATURE_MAX: usize = 4096;
/// Longest manifest: a line for each chunk, and the assets.
const MANIFEST_MAX: usize = 256 * CHUNKS_MAX;
/// The manifest's file.
pub(super) const MANIFEST: &str = "manifest.cbor";
/// The receipt's file.
pub(super) const RECEIPT: &str = "receipt.cbor";
/// The folder of chunks.
pub(super) const CHUNKS: &str = "chunks";

/// The file of a chunk within the folder of chunks.
pub(super) fn chunk_name(number: u64) -> String {
    format!("{number:06}.age")
}

/// An Ed25519 public key, from an OpenSSH public-key file.
pub(super) fn public_key(path: &Path) -> Result<PublicKey, Failure> {
    let text = input::text(path, SIGNATURE_MAX)?;
    let key = PublicKey::from_openssh(text.trim())
        .map_err(|problem| Failure::input(format!("{}: {problem}", path.display())))?;
    if key.key_data().ed25519().is_none() {
        let found = key.algorithm();
        return Err(Failure::input(format!(
            "{}: is a key of type {found}, want ssh-ed25519",
            path.display()
        )));
    }
    Ok(key)
}

/// Writes a file that is on the disk when this returns.
pub(super) fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let mut file = File::create_new(path).with_context(|| path.display().to_string())?;
    file.write_all(bytes)?;
    Ok(file.sync_all()?)
}

/// Writes a file, and its signature beside it.
pub(super) fn write_signed(path: &Path, bytes: &[u8], key: &Key) -> Result<(), Failure> {
    let signature = key.sign_file(NAMESPACE, bytes)?;
    write(path, bytes).or_undone("cannot be written")?;
    write(&path.with_added_extension("sig"), signature.as_bytes()).or_undone("cannot be written")
}

/// Reads a file of a hand-over; one that is missing or too long is refused.
pub(super) fn read(path: &Path, max: usize) -> Result<Vec<u8>, Stop> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    let file = File::open(path).or_refuse(path.display())?;
    file.take(limit).read_to_end(&mut bytes).or_refuse(path.display())?;
    if bytes.len() > max {
        return Err(Stop::Refused(format!(
            "{}: is longer than the {max} bytes that it may have",
            path.display()
        )));
    }
    Ok(bytes)
}

/// Reads a signature.
pub(super) fn signature(path: &Path) -> Result<SshSig, Stop> {
    let text = read(path, SIGNATURE_MAX)?;
    let signature = SshSig::from_pem(&text).or_refuse(path.display())?;
    // One signature has one file: nothing is passed over in it.
    let again = signature.to_pem(LineEnding::LF).or_refuse(path.display())?;
    if again.as_bytes() != text {
        return Err(Stop::Refused(format!("{}: is not written as a signature is", path.display())));
    }
    Ok(signature)
}

/// Verifies the signature that stands beside a file.
pub(super) fn signed(path: &Path, bytes: &[u8], by: &PublicKey) -> Result<(), Stop> {
    let beside = path.with_added_extension("sig");
    let signature = signature(&beside)?;
    let verified = by.verify(NAMESPACE, bytes, &signature);
    verified.map_err(|_| {
        let (file, beside) = (path.display(), beside.display());
        Stop::Refused(format!("{file}: {beside} is no signature over it by the given key"))
    })
}

/// Reads and verifies the manifest of an export.
pub(super) fn manifest(folder: &Path, from: &PublicKey) -> Result<Manifest, Stop> {
    let path = folder.join(MANIFEST);
    let bytes = read(&path, MANIFEST_MAX)?;
    signed(&path, &bytes, from)?;
    let manifest = Manifest::decode(&bytes).or_refuse(path.display())?;
    let mut want: BTreeSet<String> = BTreeSet::new();
    for (number, _) in (0_u64..).zip(&manifest.chunks) {
        want.extend([chunk_name(number), format!("{}.sig", chunk_name(number))]);
    }
    let chunks = folder.join(CHUNKS);
    let found = names(&chunks)?;
    if let Some(missing) = want.difference(&found).next() {
        return Err(Stop::Refused(format!("{}: is missing", chunks.join(missing).display())));
    }
    match found.difference(&want).next() {
        Some(more) => Err(Stop::Refused(format!("{}: is not in the manifest", chunks.join(more).display()))),
        None => Ok(manifest),
    }
}

/// The names in a folder.
pub(super) fn names(folder: &Path) -> Result<BTreeSet<String>, Stop> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder).or_refuse(folder.display())? {
        let name = entry.or_refuse(folder.display())?.file_name();
        names.insert(name.to_string_lossy().into_owned());
    }
    Ok(names)
}

/// Reads a chunk as the manifest names it, still encrypted, and verifies its hash and signature.
pub(super) fn chunk(folder: &Path, number: u64, line: &ChunkLine, from: &PublicKey) -> Result<Vec<u8>, Stop> {
    let path = folder.join(CHUNKS).join(chunk_name(number));
    let place = format!("chunk {number}, {}", path.display());
    let bytes = read(&path, CHUNK_BYTES_MAX)?;
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if length != line.length {
        return Err(Stop::Refused(format!("{place}: has {length} bytes, the manifest says {}", line.length)));
    }
    let found = Digest::sha256(&[&bytes]);
    if found != line.hash {
        let want = line.hash;
        return Err(Stop::Refused(format!("{place}: its SHA-256 is {found}, the manifest says {want}")));
    }
    signed(&path, &bytes, from)?;
    Ok(bytes)
}

/// A file's length and SHA-256.
pub(super) fn file_line(folder: &Path, name: &str) -> anyhow::Result<FileLine> {
    let mut file = File::open(folder.join(name)).with_context(|| name.to_owned())?;
    let (mut hasher, mut length, mut buffer) = (Sha256::new(), 0_u64, vec![0; 1 << 20]);
    loop {
        let read = file.read(&mut buffer)?;
        let Some(part) = buffer.get(..read).filter(|part| !part.is_empty()) else { break };
        hasher.update(part);
        length = length.saturating_add(u64::try_from(read)?);
    }
    Ok(FileLine { name: name.to_owned(), length, hash: Digest::from_bytes(hasher.finalize().into()) })
}
