//! `kuraban tags feed`: a feed of tags, verified from its first entry to its signed root, and what of it holds at a time.
//! Believes no file that does not hash to a checkpoint by the key that the caller names.

use clap::{Args, Subcommand};
use kuraban_base::{CaseId, Instant};
use kuraban_proof::{Frontier, Resource, SignedCheckpoint, VerifierKey, tree::leaf_hash};
use kuraban_trace::{
    feed::{Case, Entry, Reach, Replica, Since, Standing, Tag, Taint, UpdateError},
    tags::pack,
};
use serde_json::{Map, Value, json};

use super::Now;
use crate::{
    fail::Failure,
    input,
    log::{Place, SourceError, checkpoint, log_key},
    say::{Answer, Lang, Report, Say, Side, table, tame},
};

/// `kuraban tags feed …`
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Read a feed from its start and check that it is what its key signed
    #[command(after_help = VERIFY_HELP)]
    Verify(Verify),
    /// Say which tags of a feed hold
    #[command(after_help = SHOW_HELP)]
    Show(Show),
}

const VERIFY_HELP: &str = "\
Every entry is hashed, read and folded; the root must be the one that the
feed's key signed. --before is a checkpoint that was kept from an earlier
time: if the feed does not extend it, the key signed two histories. Exit
status: 0 if all holds, 1 if not, 3 if the feed cannot be fetched.

Examples:
  kuraban tags feed verify --dir ./feed --vkey tags.example/feed+1a2b3c4d+AQ…
  kuraban tags feed verify --url http://tags.example/feed \\
      --vkey tags.example/feed+1a2b3c4d+AQ… --before checkpoint.kept --json";

const SHOW_HELP: &str = "\
Verifies the feed first. --pack prints a TagPack instead, which `kuraban tags
import` takes into a store for screening. Tags that were revoked are gone;
those that have expired at the time asked for are left out.

Examples:
  kuraban tags feed show --dir ./feed --vkey tags.example/feed+1a2b3c4d+AQ…
  kuraban tags feed show --url http://tags.example/feed \\
      --vkey tags.example/feed+1a2b3c4d+AQ… --case zaif-2018 --json
  kuraban tags feed show --dir ./feed --vkey tags.example/feed+1a2b3c4d+AQ… \\
      --pack > feed.yaml && kuraban tags import --store tags feed.yaml";

/// Which feed.
#[derive(Args)]
struct Which {
    #[command(flatten)]
    place: Place,
    /// The feed's verifier key, named as the feed
    #[arg(long, value_parser = log_key)]
    vkey: VerifierKey,
}

/// What to verify.
#[derive(Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    which: Which,
    /// A checkpoint of the feed from an earlier time
    #[arg(long, value_name = "FILE")]
    before: Option<std::path::PathBuf>,
}

/// What to show.
#[derive(Args)]
pub(crate) struct Show {
    #[command(flatten)]
    which: Which,
    /// Only this case
    #[arg(long)]
    case: Option<CaseId>,
    /// Print a TagPack
    #[arg(long)]
    pack: bool,
    #[command(flatten)]
    now: Now,
}

pub(super) fn run(command: Command, say: &Say) -> Result<Report, Failure> {
    match command {
        Command::Verify(args) => verify(&args, say),
        Command::Show(args) => show(&args, say),
    }
}

/// Why a feed is not believed.
struct Refusal {
    problem: String,
    /// Two checkpoints by one key that exclude each other.
    fork: Option<[String; 2]>,
}

fn refused(problem: impl ToString) -> Refusal {
    Refusal { problem: problem.to_string(), fork: None }
}

fn forked(before: String, now: String) -> Refusal {
    let problem = "the feed's key signed two histories; keep both checkpoints".to_owned();
    Refusal { problem, fork: Some([before, now]) }
}

/// A feed that was read to its checkpoint, or why it is not believed.
type Read = Result<Box<Replica>, Refusal>;

impl Which {
    /// Reads the feed to the checkpoint that is served; `on_entry` sees every entry.
    fn read(&self, say: &Say, mut on_entry: impl FnMut(u64, &Entry)) -> Result<Read, Failure> {
        let source = self.place.open()?;
        let now = checkpoint(&source)?;
        let mut replica = Box::new(Replica::new(self.vkey.clone()));
        let bar = say.progress(size_of(&now));
        let read = |resource: Resource| source.read(resource);
        let outcome = replica.update(&now, read, |number, entry| {
            bar.inc(1);
            on_entry(number, entry);
        });
        bar.finish_and_clear();
        Ok(match outcome {
            Ok(_) => Ok(replica),
            Err(UpdateError::Read { path, cause: SourceError::Failed { problem } }) => {
                return Err(Failure::undone(format!("{path}: {problem}")));
            }
            Err(UpdateError::Read { path, cause }) => Err(refused(format!("{path}: {cause}"))),
            Err(UpdateError::Wire { number, source }) => Err(refused(format!("entry {number}: {source}"))),
            Err(UpdateError::Misfit { number, source }) => Err(refused(format!("entry {number}: {source}"))),
            Err(UpdateError::Fork(fork)) => Err(forked(fork.ours, fork.theirs)),
            Err(
                error @ (UpdateError::Checkpoint(_)
                | UpdateError::Older { .. }
                | UpdateError::Form(_)
                | UpdateError::Root { .. }),
            ) => Err(refused(error)),
        })
    }

    /// Reads the feed, and sees that it begins with what an earlier checkpoint says.
    fn read_after(&self, before: &[u8], say: &Say) -> Result<Read, Failure> {
        let earlier = match SignedCheckpoint::open(before, core::slice::from_ref(&self.vkey), &[]) {
            Ok(earlier) => earlier,
            Err(problem) => return Ok(Err(refused(format!("--before: {problem}")))),
        };
        let mut frontier = Frontier::new();
        let mut then = frontier.head();
        let read = self.read(say, |_, entry| {
            // One entry has one encoding, so these are the bytes that were read.
            frontier.append(leaf_hash(&entry.encode().unwrap_or_default()));
            if frontier.size() == earlier.head().size {
                then = frontier.head();
            }
        })?;
        let replica = match read {
            Ok(replica) => replica,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let (ours, now) = (earlier.head(), replica.head());
        if ours.size > now.size {
            let problem = format!("the feed has {} entries, it had {} before", now.size, ours.size);
            return Ok(Err(refused(problem)));
        }
        let now = replica.checkpoint().unwrap_or_default().to_owned();
        Ok(if then == ours { Ok(replica) } else { Err(forked(earlier.note().to_string(), now)) })
    }
}

/// What a checkpoint says of the size, before it is verified: for a bar alone.
fn size_of(checkpoint: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(checkpoint);
    text.lines().nth(1).and_then(|line| line.parse().ok()).unwrap_or(0)
}

impl Refusal {
    fn report(self, lang: Lang) -> Report {
        let mut fields =
            Map::from_iter([("ok".to_owned(), json!(false)), ("error".to_owned(), json!(self.problem))]);
        let mut text = format!("{}: {}", lang.pick("not verified", "検証できません"), self.problem);
        if let Some(fork) = self.fork {
            text += &format!("\n\n{}", fork.join("\n"));
            fields.insert("fork".to_owned(), json!(fork));
        }
        Report::new(Answer::No, &Value::Object(fields), text)
    }
}

fn verify(args: &Verify, say: &Say) -> Result<Report, Failure> {
    const CHECKPOINT_MAX: usize = 1 << 20;
    let before = args.before.as_deref().map(|path| input::bytes(path, CHECKPOINT_MAX)).transpose()?;
    let read = match before {
        Some(before) => args.which.read_after(&before, say)?,
        None => args.which.read(say, |_, _| {})?,
    };
    let replica = match read {
        Ok(replica) => replica,
        Err(refusal) => return Ok(refusal.report(say.lang())),
    };
    let (head, standing) = (replica.head(), replica.standing());
    let (origin, root) = (args.which.vkey.name().to_string(), head.root.to_string());
    let (cases, tags) = (standing.cases().count(), standing.tags().count());
    let fresh: Vec<Value> = freshness(standing);
    let answer = json!({
        "ok": true,
        "origin": origin,
        "size": head.size,
        "root_hex": root,
        "cases": cases,
        "tags": tags,
        "chains": fresh,
    });
    let mut text = match say.lang() {
        Lang::En => {
            format!("verified: {origin}\nsize {}, root {root}\n{cases} cases, {tags} tags", head.size)
        }
        Lang::Ja => {
            format!(
                "検証しました: {origin}\n件数 {}、ルート {root}\n事件 {cases} 件、タグ {tags} 件",
                head.size
            )
        }
    };
    for chain in &fresh {
        let said = |field: &str| {
            chain.get(field).map(|value| value.to_string().replace('"', "")).unwrap_or_default()
        };
        let (chain, height, at) = (said("chain"), said("height"), said("at"));
        text += &match say.lang() {
            Lang::En => format!("\n{chain} up to block {height} at {at}"),
            Lang::Ja => format!("\n{chain} ブロック {height} まで（{at}）"),
        };
    }
    Ok(Report::done(&answer, text))
}

/// How far each chain with a case was followed.
fn freshness(standing: &Standing) -> Vec<Value> {
    let mut seen = Vec::new();
    let mut fresh = Vec::new();
    for (_, case) in standing.cases() {
        let chain = case.opened.chain;
        if seen.contains(&chain) {
            continue;
        }
        seen.push(chain);
        if let Some(found) = standing.freshness(chain) {
            fresh.push(json!({
                "chain": chain.name(),
                "height": found.tip.height.blocks(),
                "hash": found.tip.hash.to_string(),
                "at": input::shown_utc(found.at),
                "at_ms": found.at.ms(),
            }));
        }
    }
    fresh
}

fn show(args: &Show, say: &Say) -> Result<Report, Failure> {
    let now = args.now.instant()?;
    let replica = match args.which.read(say, |_, _| {})? {
        Ok(replica) => replica,
        Err(refusal) => return Ok(refusal.report(say.lang())),
    };
    let standing = replica.standing();
    if let Some(case) = args.case.as_ref().filter(|case| standing.case(case).is_none()) {
        return Err(Failure::input(format!("--case: the feed has no case {case}")));
    }
    if args.pack {
        return packed(args, standing, now);
    }
    let wanted = |tag: &Tag| args.case.as_ref().is_none_or(|case| tag.case == *case);
    let mut rows = Vec::new();
    let mut tags = Vec::new();
    for (number, tag) in standing.live(now).filter(|(_, tag)| wanted(tag)) {
        let Some(case) = standing.case(&tag.case) else { continue };
        tags.push(said(number, tag, case, standing));
        let place = tag.subject.outpoint().or_else(|| tag.subject.address().map(str::to_owned));
        rows.push([
            number.to_string(),
            tag.case.to_string(),
            place.unwrap_or_default(),
            amount(tag.taint),
            case.opened.chain.unit().to_owned(),
            state(tag, say.lang()),
        ]);
    }
    let answer = json!({ "size": replica.head().size, "tags": tags, "chains": freshness(standing) });
    let none = || say.lang().pick("no tag holds", "有効なタグはありません").to_owned();
    let text = if rows.is_empty() { none() } else { listed(&rows, say.lang()) };
    Ok(Report::done(&answer, text))
}

fn listed(rows: &[[String; 6]], lang: Lang) -> String {
    let heads = match lang {
        Lang::En => ["tag", "case", "on", "tainted", "unit", "state"],
        Lang::Ja => ["タグ", "事件", "対象", "盗難分", "単位", "状態"],
    };
    let heads = heads.map(str::to_owned);
    let rows: Vec<[String; 6]> =
        core::iter::once(heads).chain(rows.iter().map(|row| row.each_ref().map(|cell| tame(cell)))).collect();
    table([Side::Right, Side::Left, Side::Left, Side::Right, Side::Left, Side::Left], &rows)
}

fn amount(taint: Taint) -> String {
    let (least, most) = (taint.least(), taint.most());
    if least == most { most.to_string() } else { format!("{least} to {most}") }
}

fn state(tag: &Tag, lang: Lang) -> String {
    let since = match (tag.since, lang) {
        (Since::Mempool, _) => lang.pick("waits for a block", "ブロック待ち").to_owned(),
        (Since::Block(block), Lang::En) => format!("since block {}", block.height),
        (Since::Block(block), Lang::Ja) => format!("ブロック {} から", block.height),
    };
    match (&tag.reach, lang) {
        (Reach::Followed, _) => since,
        (Reach::HandedOver { to }, Lang::En) => format!("{since}, handed over to {to}"),
        (Reach::HandedOver { to }, Lang::Ja) => format!("{since}、{to} に引き継ぎ"),
    }
}

/// A tag in JSON. Amounts are numbers where the chain's contract has numbers.
fn said(number: u64, tag: &Tag, case: &Case, standing: &Standing) -> Value {
    let unit = if case.opened.token.is_some() { "unit" } else { case.opened.chain.unit() };
    let units = |units: u128| match (unit, u64::try_from(units)) {
        ("sat" | "microxem", Ok(units)) => json!(units),
        _ => json!(units.to_string()),
    };
    let since = match tag.since {
        Since::Mempool => Value::Null,
        Since::Block(block) => json!({ "height": block.height.blocks(), "hash": block.hash.to_string() }),
    };
    let method = match tag.taint {
        Taint::Span { .. } => Value::Null,
        Taint::By { method, .. } => json!(method.name()),
    };
    let to = match &tag.reach {
        Reach::Followed => Value::Null,
        Reach::HandedOver { to } => json!(to.as_str()),
    };
    json!({
        "tag": number,
        "case": tag.case.as_str(),
        "chain": case.opened.chain.name(),
        "outpoint": tag.subject.outpoint(),
        "address": tag.subject.address(),
        "method": method,
        format!("tainted_{unit}"): units(tag.taint.least()),
        format!("tainted_most_{unit}"): units(tag.taint.most()),
        format!("value_{unit}"): tag.value.map(units),
        "handed_over_to": to,
        "since": since,
        "confidence": tag.confidence.level,
        "expires_ms": tag.expires.map(Instant::ms),
        "label": case.opened.label.as_str(),
        "category": case.opened.concept,
        "source": case.opened.source.as_str(),
        "appeal": standing.appeal(number).map(|reference| reference.as_str()),
    })
}

fn packed(args: &Show, standing: &Standing, now: Instant) -> Result<Report, Failure> {
    let of_case = |tag: &kuraban_trace::tags::Tag| {
        let case = tag.taint.as_ref().map(|taint| taint.case.as_str());
        args.case.as_ref().is_none_or(|wanted| case == Some(wanted.as_str()))
    };
    let tags: Vec<_> = standing.export(now).filter(of_case).collect();
    if tags.is_empty() {
        return Err(Failure::input("no tag holds, so there is no pack to make"));
    }
    let origin = args.which.vkey.name().to_string();
    let text = pack::write(&format!("Feed {origin}"), &origin, &tags);
    Ok(Report::done(&json!({ "tags": tags.len(), "tagpack": text }), text.clone()))
}
