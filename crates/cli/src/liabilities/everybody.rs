//! `kuraban liabilities prove --all`. Cuts every customer's file out of the tree and verifies each; a folder with all of them
//! is there, or none.

use std::{
    fs::{self, DirBuilder},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use kuraban_inclusion::verify;
use kuraban_liabilities::{Crown, Subtree};
use serde::Serialize;

use super::{
    parallel::parallel,
    store::{Boughs, Reader, secret},
};
use crate::{
    fail::{Failure, OrFail as _},
    say::{Lang, Report, Say},
};

/// The table of all files.
const TABLE: &str = "files.csv";

#[derive(Serialize)]
struct Proved {
    ok: bool,
    root: String,
    customers: usize,
    bytes: u64,
    folder: String,
}

/// Runs `kuraban liabilities prove --all`.
pub(super) fn run(tree: &Path, out: &Path, say: &Say) -> Result<Report, Failure> {
    if out.exists() {
        return Err(Failure::input(format_args!("{}: is there already, want a new folder", out.display())));
    }
    let (crown, boughs) = Reader::open(tree)?.skim()?;
    let part = out.with_added_extension("part");
    if part.exists() {
        fs::remove_dir_all(&part).or_undone(part.display())?;
    }
    folder(&part).or_undone(part.display())?;
    let written = write(&crown, &boughs, &part, tree, say);
    let placed =
        written.and_then(|written| fs::rename(&part, out).or_undone(out.display()).map(|()| written));
    let (customers, bytes) = placed.inspect_err(|_| {
        // Half of the files is of no use; where it cannot be removed either, its name says what it is.
        drop(fs::remove_dir_all(&part));
    })?;
    let (root, folder) = (crown.root().to_string(), out.display().to_string());
    let text = match say.lang() {
        Lang::En => {
            format!("{folder} has the files of {customers} customers under root {root}, {bytes} bytes")
        }
        Lang::Ja => {
            format!(
                "{folder} にルート {root} の下の顧客 {customers} 人分のファイル（{bytes} バイト）があります"
            )
        }
    };
    Ok(Report::done(&Proved { ok: true, root, customers, bytes, folder }, text))
}

fn write(
    crown: &Crown,
    boughs: &Boughs,
    part: &Path,
    tree: &Path,
    say: &Say,
) -> Result<(usize, u64), Failure> {
    let mut table = csv::Writer::from_writer(secret(&part.join(TABLE)).or_undone(TABLE)?);
    table.write_record(["customer", "file"]).or_undone(TABLE)?;
    let bar = say.progress(u64::try_from(boughs.count()).unwrap_or(u64::MAX));
    let (mut customers, mut bytes) = (0_usize, 0_u64);
    parallel(
        boughs.count(),
        |number| files(crown, boughs, number, part, tree),
        |_, files| {
            for File { customer, name, length } in files? {
                table.write_record([&customer, &name]).or_undone(TABLE)?;
                customers = customers.saturating_add(1);
                bytes = bytes.saturating_add(length);
            }
            bar.inc(1);
            Ok(())
        },
    )?;
    bar.finish_and_clear();
    table.flush().or_undone(TABLE)?;
    Ok((customers, bytes))
}

/// A customer's file.
struct File {
    customer: String,
    name: String,
    length: u64,
}

/// Writes the files of all customers of a bough.
fn files(
    crown: &Crown,
    boughs: &Boughs,
    number: usize,
    part: &Path,
    tree: &Path,
) -> Result<Vec<File>, Failure> {
    let bytes = boughs.get(number).or_input(tree.display())?;
    let subtree = Subtree::read(crown.scope(), &bytes).or_input(tree.display())?;
    let within = format!("{number:06}");
    folder(&part.join(&within)).or_undone(part.display())?;
    let proofs = (0..subtree.openings().len()).filter_map(|place| crown.inclusion(number, &subtree, place));
    let write = |inclusion: kuraban_inclusion::Inclusion| {
        let file = inclusion.encode();
        verify(&file, crown.root()).or_input(tree.display())?;
        let name = format!("{within}/{}.kli", inclusion.index);
        put(part.join(&name), &file).or_undone(&name)?;
        let length = u64::try_from(file.len()).unwrap_or(u64::MAX);
        Ok(File { customer: inclusion.opening.name, name, length })
    };
    proofs.map(write).collect()
}

fn put(path: PathBuf, bytes: &[u8]) -> anyhow::Result<()> {
    std::io::Write::write_all(&mut secret(&path)?, bytes).context("could not be written")
}

/// A new folder that nobody else can read.
fn folder(path: &Path) -> std::io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}
