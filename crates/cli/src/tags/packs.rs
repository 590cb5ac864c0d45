//! `kuraban tags verify` and `kuraban tags import`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Args;
use kuraban_trace::tags::{ActorPack, Pack, Reject, Store, StoreError, ofac, store::Builder, yaml};
use serde_json::{Value, json};

use super::Folder;
use crate::{
    fail::{Failure, OrFail as _},
    input,
    say::{Answer, Lang, Report, Say, tame},
};

/// Most folders above a pack in which its header is looked for.
const ABOVE_MAX: usize = 3;
/// Most levels of folders that are searched for packs.
const BELOW_MAX: usize = 8;

/// What to check.
#[derive(Args)]
pub(crate) struct Verify {
    /// Packs, lists, or folders of them
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

/// What to take in.
#[derive(Args)]
pub(crate) struct Import {
    #[command(flatten)]
    folder: Folder,
    /// Packs, lists, or folders of them
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

pub(super) fn verify(args: &Verify, say: &Say) -> Result<Report, Failure> {
    let (actors, packs): (Vec<_>, Vec<_>) = paths(&args.files)?.into_iter().partition(|path| is_actors(path));
    let packs = all(packs, say)?;
    let actors = actors
        .into_iter()
        .map(|path| some_actors(&path).map(|pack| (path, pack)))
        .collect::<Result<Vec<_>, _>>()?;
    let clean = packs.iter().all(|(_, pack)| pack.rejects.is_empty())
        && actors.iter().all(|(_, pack)| pack.rejects.is_empty());
    let lang = say.lang();
    let mut text = told(&packs, lang);
    for (path, pack) in &actors {
        let (path, actors, rejected) = (path.display(), pack.actors.len(), pack.rejects.len());
        text += &match lang {
            Lang::En => format!("{path}: {actors} actors, {rejected} rejected\n"),
            Lang::Ja => format!("{path}: 主体 {actors} 件、不採用 {rejected} 件\n"),
        };
        text += &told_rejects(&pack.rejects, lang);
    }
    let json = json!({
        "ok": clean,
        "packs": packs.iter().map(described).collect::<Vec<_>>(),
        "actor_packs": actors.iter().map(described_actors).collect::<Vec<_>>(),
    });
    Ok(Report::new(if clean { Answer::Yes } else { Answer::No }, &json, text))
}

pub(super) fn import(args: &Import, say: &Say) -> Result<Report, Failure> {
    let named = read(&args.files, say)?;
    let mut builder = Builder::new();
    let folder = &args.folder.store;
    let replaced: Vec<_> =
        named.iter().map(|(_, pack)| (pack.title.as_str(), pack.creator.as_str())).collect();
    match Store::open(folder) {
        Ok(store) => builder.take(&store, &replaced).or_undone("the store")?,
        Err(StoreError::File { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).or_undone("the store was left as it is"),
    }
    let bar = say
        .progress(u64::try_from(named.iter().map(|(_, pack)| pack.tags.len()).sum::<usize>()).unwrap_or(0));
    for (_, pack) in &named {
        for tag in &pack.tags {
            builder.add(tag, &pack.title, &pack.creator).or_undone("the store was left as it is")?;
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    let tags = builder.save(folder).or_undone("the store was left as it is")?;
    let json = json!({ "tags": tags, "packs": named.iter().map(described).collect::<Vec<_>>() });
    let (told, folder) = (told(&named, say.lang()), folder.display());
    let text = match say.lang() {
        Lang::En => format!("{told}the store {folder} has {tags} tags"),
        Lang::Ja => format!("{told}保存先 {folder} のタグは {tags} 件です"),
    };
    Ok(Report::done(&json, text))
}

fn rejected(rejects: &[Reject]) -> Vec<Value> {
    let one =
        |reject: &Reject| json!({ "line": reject.line, "subject": reject.subject, "reason": reject.reason });
    rejects.iter().map(one).collect()
}

fn described_actors((path, pack): &(PathBuf, ActorPack)) -> Value {
    json!({
        "file": path.display().to_string(),
        "title": pack.title,
        "creator": pack.creator,
        "actors": pack.actors.len(),
        "rejects": rejected(&pack.rejects),
    })
}

fn described((path, pack): &(PathBuf, Pack)) -> Value {
    let notes = pack.notes.0.iter();
    let notes = notes
        .map(|(note, (count, line))| json!({ "note": note, "count": count, "line": line }))
        .collect::<Vec<_>>();
    json!({
        "file": path.display().to_string(),
        "title": pack.title,
        "creator": pack.creator,
        "tags": pack.tags.len(),
        "rejects": rejected(&pack.rejects),
        "notes": notes,
    })
}

fn told(packs: &[(PathBuf, Pack)], lang: Lang) -> String {
    let mut text = String::new();
    for (path, pack) in packs {
        let (path, tags, rejected) = (path.display(), pack.tags.len(), pack.rejects.len());
        text += &match lang {
            Lang::En => format!("{path}: {tags} tags, {rejected} rejected\n"),
            Lang::Ja => format!("{path}: タグ {tags} 件、不採用 {rejected} 件\n"),
        };
        text += &told_rejects(&pack.rejects, lang);
        for (note, (count, line)) in &pack.notes.0 {
            let note = tame(note);
            text += &match lang {
                Lang::En => format!("  note: {note} ({count} times, first in line {line})\n"),
                Lang::Ja => format!("  注意: {note}（{count} 回、最初は {line} 行目）\n"),
            };
        }
    }
    text
}

fn told_rejects(rejects: &[Reject], lang: Lang) -> String {
    let line = |Reject { line, subject, reason }: &Reject| {
        let reason = tame(reason);
        match lang {
            Lang::En => format!("  line {line}: {subject} {reason}\n"),
            Lang::Ja => format!("  {line} 行目: {subject} {reason}\n"),
        }
    };
    rejects.iter().map(line).collect()
}

/// Reads packs and lists of tags.
fn all(paths: Vec<PathBuf>, say: &Say) -> Result<Vec<(PathBuf, Pack)>, Failure> {
    let bar = say.progress(u64::try_from(paths.len()).unwrap_or(u64::MAX));
    let read = |path: PathBuf| {
        let pack = one(&path);
        bar.inc(1);
        pack.map(|pack| (path, pack))
    };
    let packs = paths.into_iter().map(read).collect();
    bar.finish_and_clear();
    packs
}

/// What the arguments name that has tags or actors.
fn paths(files: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut paths = Vec::new();
    for file in files {
        if file.is_dir() {
            below(file, 0, &mut paths)?;
        } else {
            paths.push(file.clone());
        }
    }
    if paths.is_empty() {
        let folders: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
        return Err(Failure::input(format!(
            "{}: no file here ends in .yaml or .yml, or is named as sanctioned_addresses_XBT.txt",
            folders.join(", ")
        )));
    }
    Ok(paths)
}

/// The packs of tags among them.
fn read(files: &[PathBuf], say: &Say) -> Result<Vec<(PathBuf, Pack)>, Failure> {
    let packs = paths(files)?.into_iter().filter(|path| !is_actors(path));
    let packs = all(packs.collect(), say)?;
    if packs.is_empty() {
        return Err(Failure::input("there are packs of actors alone, want tags"));
    }
    Ok(packs)
}

/// The packs and lists in a folder, in the order of their names.
fn below(folder: &Path, depth: usize, paths: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let entries =
        fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>).or_input(folder.display())?;
    let mut found: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).collect();
    found.sort();
    for path in found {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if path.is_dir() && depth < BELOW_MAX && !name.starts_with('.') {
            below(&path, depth.saturating_add(1), paths)?;
        } else if is_yaml(&path) && !is_no_pack(&name)
            || name.starts_with("sanctioned_addresses_") && name.ends_with(".txt")
        {
            paths.push(path);
        }
    }
    Ok(())
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|kind| kind == "yaml" || kind == "yml")
}

fn is_no_pack(name: &str) -> bool {
    matches!(name, "config.yaml" | "header.yaml")
}

fn is_actors(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().ends_with("actorpack.yaml"))
}

fn some_actors(path: &Path) -> Result<ActorPack, Failure> {
    let text = input::text(path, yaml::FILE_BYTES_MAX)?;
    ActorPack::parse(&text, |name| header(path, name)).or_input(path.display())
}

fn one(path: &Path) -> Result<Pack, Failure> {
    let text = input::text(path, yaml::FILE_BYTES_MAX)?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if is_yaml(path) {
        return Pack::parse(&text, |name| header(path, name)).or_input(path.display());
    }
    match ofac::asset_of(&name) {
        Some(asset) => Ok(ofac::parse(&text, &asset, &name)),
        None => Err(Failure::input(format!(
            "{}: is named neither as a pack (.yaml, .yml) nor as a list of OFAC's, such as sanctioned_addresses_XBT.txt",
            path.display()
        ))),
    }
}

/// A header's text: beside the pack or in a folder above it, up to the one named `packs` or with `.git` in it.
fn header(pack: &Path, name: &str) -> Result<String, String> {
    let plain = Path::new(name).components().count() == 1 && !name.contains(['/', '\\']);
    if !plain {
        return Err(format!("includes {}, want a file's name alone", tame(name)));
    }
    let mut folder = pack.parent();
    for _ in 0..=ABOVE_MAX {
        let Some(here) = folder else { break };
        let path = here.join(name);
        if path.is_file() {
            return input::text(&path, yaml::FILE_BYTES_MAX).map_err(|failure| failure.problem());
        }
        if here.file_name().is_some_and(|name| name == "packs") || here.join(".git").exists() {
            break;
        }
        folder = here.parent();
    }
    Err(format!("includes {}, which is neither beside it nor above it", tame(name)))
}
