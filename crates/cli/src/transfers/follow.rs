//! `kuraban transfers follow`: cases that follow a growing list of transfers, and the signed feed that is told. Reads the
//! list and keeps the feed's files; where stolen units are, and what is said of it, is decided by `kuraban-trace`.

mod case;
mod line;
mod shelf;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use clap::Args;
use kuraban_base::Instant;
use kuraban_proof::{KeyName, NoteSigner};
use kuraban_trace::{
    accounts::{
        Chain, Line, Lines, Transfer,
        live::{Live, Stirred, services},
    },
    feed::{self, Feed, Words},
    tags::Store,
};
use serde_json::{Value, json};

use self::{
    case::CaseFile,
    line::{Next, Source},
    shelf::Shelf,
};
use crate::{
    fail::{Failure, OrFail as _},
    key::Key,
    say::{Report, Say},
    tags::Now,
};

/// Most transfers of one block: more than any of the chains has room for.
const BLOCK_TRANSFERS_MAX: usize = 1_000_000;
/// How long to wait for a line before the feed is looked at.
const IDLE: Duration = Duration::from_secs(1);

/// What to follow.
#[derive(Args)]
pub(crate) struct Follow {
    /// The list; - is standard input
    #[arg(long, value_name = "FILE", default_value = "-")]
    list: PathBuf,
    /// A case, as docs/taint-accounts.md describes it; can be given several times
    #[arg(long = "case", value_name = "FILE", required = true)]
    cases: Vec<PathBuf>,
    /// The feed's folder
    #[arg(long, value_name = "DIR")]
    feed: PathBuf,
    /// Make the folder, and a feed without entries in it
    #[arg(long)]
    create: bool,
    /// The feed's name, such as tags.example/feed
    #[arg(long)]
    name: KeyName,
    /// OpenSSH Ed25519 private key that signs the feed
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// An account where taint is held, and what is known of the place
    #[arg(long = "stop", value_name = "ADDRESS[=PLACE]")]
    stops: Vec<String>,
    /// A store of tags, whose services hold taint
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// Wait for more lines at the end of the list, until it is killed
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    now: Now,
}

pub(crate) const HELP: &str = "\
The list is one of `kuraban transfers import --blocks`: each block has its
line after its transfers, and an undo line takes the last block back. What
came together is told together: at the end of the list, with --wait whenever
it pauses. After a restart the list is read again from its start, and the
feed is told the difference alone. Exit status: 0 done, 2 bad usage or input,
3 could not be done.

Examples:
  kuraban transfers follow --list transfers.jsonl --case theft.toml \\
      --feed ./feed --create --name tags.example/feed --key ~/.ssh/id_ed25519
  tail -n +1 -f transfers.jsonl | kuraban transfers follow --wait \\
      --case theft.toml --feed ./feed --name tags.example/feed \\
      --key ~/.ssh/id_ed25519 --stop NEXCHANGE…='Example Exchange'";

/// A list that is being followed.
struct Following<'a> {
    args: &'a Follow,
    say: &'a Say,
    signer: &'a NoteSigner,
    shelf: &'a Shelf,
    feed: Feed,
    live: Live,
    chain: Chain,
    /// Transfers of a block whose line has not come.
    open: Vec<Transfer>,
    /// Whether what the feed was told before is known to the engine.
    attached: bool,
    blocks: u64,
    undone: u64,
    misfits: Vec<String>,
}

pub(super) fn run(args: &Follow, say: &Say) -> Result<Report, Failure> {
    let key = Key::read(&args.key, say)?;
    let secret = zeroize::Zeroizing::new(key.ed25519()?.to_bytes());
    let signer = NoteSigner::from_seed(args.name.clone(), &secret);
    let shelf = Shelf::open(&args.feed, args.create.then_some(&signer))?;
    let feed = shelf.feed(signer.verifier())?;
    let before = feed.size();
    let mut source = Source::start(&args.list, args.wait)?;
    let first = source.first()?;
    let list = args.list.display();
    let mut lines = Lines::new(&first).or_input(&list)?;
    let chain = lines.header().chain;
    let live = Live::new(lines.header(), stops(args, chain)?);
    let mut following = Following {
        args,
        say,
        signer: &signer,
        shelf: &shelf,
        feed,
        live,
        chain,
        open: Vec::new(),
        attached: false,
        blocks: 0,
        undone: 0,
        misfits: Vec::new(),
    };
    following.open_cases()?;
    let bar = say.progress(0);
    loop {
        match source.next(IDLE)? {
            Next::Line(text) => {
                let line = lines.read(&text).or_input(&list)?;
                following.take(line).or_input(format_args!("{list}: line {}", lines.line()))?;
                bar.set_position(following.blocks);
            }
            Next::Pause => following.tell()?,
            Next::End => break,
        }
    }
    bar.finish_and_clear();
    following.tell()?;
    following.report(before)
}

/// Where taint is held, by accounts as lists write them.
fn stops(args: &Follow, chain: Chain) -> Result<BTreeMap<String, Words>, Failure> {
    let mut stops = BTreeMap::new();
    if let Some(folder) = &args.store {
        let store = Store::open(folder).or_undone("the store cannot be used")?;
        stops = services(&store, chain);
    }
    for text in &args.stops {
        let (account, place) = text.split_once('=').unwrap_or((text, "a stop"));
        let place = place.parse().or_input(format_args!("--stop {text}"))?;
        stops.insert(chain.canonical(account), place);
    }
    Ok(stops)
}

impl Following<'_> {
    fn open_cases(&mut self) -> Result<(), Failure> {
        for path in &self.args.cases {
            let CaseFile { opened, closed } = CaseFile::read(path, self.chain)?;
            let (case, name) = (opened.case.clone(), path.display());
            let told = self.feed.standing().case(&case);
            if let Some(told) = told.filter(|told| told.opened != opened) {
                let since = crate::input::shown_utc(told.at);
                return Err(Failure::input(format!(
                    "{name}: the feed has case {case} since {since} with other seeds or rules, and says so for ever; close \
                     that one and open another name"
                )));
            }
            if closed.is_some() && told.is_none() {
                continue;
            }
            self.live.open(opened).or_input(&name)?;
            if let Some(reason) = closed {
                self.live.close(&case, reason);
            }
        }
        Ok(())
    }

    fn take(&mut self, line: Line) -> anyhow::Result<()> {
        match line {
            Line::Transfer(transfer) => {
                anyhow::ensure!(
                    self.open.len() < BLOCK_TRANSFERS_MAX,
                    "more than {BLOCK_TRANSFERS_MAX} transfers without a block's line after them; `kuraban transfers import \
                     --blocks` writes such lines"
                );
                self.open.push(transfer);
            }
            Line::Block(mark) => {
                let Stirred { misfits, .. } = self.live.block(mark, &self.open)?;
                self.open.clear();
                self.blocks = self.blocks.saturating_add(1);
                for misfit in misfits {
                    drop(self.say.show(&format!("warning: {misfit}; it is passed over")));
                    self.misfits.push(misfit.to_string());
                }
            }
            Line::Undo(_) => {
                self.live.undo()?;
                self.undone = self.undone.saturating_add(1);
            }
        }
        Ok(())
    }

    /// Tells the feed, in as many steps as it takes; first what of the earlier feed holds no longer.
    fn tell(&mut self) -> Result<(), Failure> {
        if !self.attached && self.behind() {
            return Ok(());
        }
        if !self.attached {
            self.live.attach(self.feed.standing());
            self.attached = true;
        }
        loop {
            let now: Instant = self.args.now.instant()?;
            let growth = self.live.publish(&mut self.feed, now).or_undone("the feed cannot be told")?;
            let Some(growth) = growth else { return Ok(()) };
            self.shelf.put(&growth, self.signer)?;
        }
    }

    /// Whether the list has not come to where the feed was told of it, as at the pauses of a slow pipe.
    fn behind(&self) -> bool {
        let told = self.feed.standing().freshness(feed::Chain::Accounts(self.chain));
        let height = self.live.tip().map(|tip| tip.height);
        self.args.wait && told.is_some_and(|told| height.is_none_or(|height| height < told.tip.height))
    }

    fn report(&self, before: u64) -> Result<Report, Failure> {
        let (tip, size) = (self.live.tip(), self.feed.size());
        let Some(tip) = tip else {
            return Err(Failure::input(format!(
                "{}: has no line of a block, so nothing of it is known to be whole; `kuraban transfers import --blocks` \
                 writes such lines",
                self.args.list.display()
            )));
        };
        let cases: Vec<Value> =
            self.live.cases().map(|opened| self.case(opened)).collect::<Result<_, _>>()?;
        let (root, vkey) = (self.feed.head().root.to_string(), self.signer.verifier().to_string());
        let answer = json!({
            "chain": self.chain.name(),
            "height": tip.height.blocks(),
            "hash": tip.hash.to_string(),
            "blocks": self.blocks,
            "undone": self.undone,
            "transfers_waiting": self.open.len(),
            "told": size.saturating_sub(before),
            "feed": { "size": size, "root_hex": root, "vkey": vkey },
            "cases": cases,
            "misfits": self.misfits,
        });
        let mut text = format!(
            "{} to block {}: {} blocks, {} taken back\nfeed {}: {} new entries, {size} in all\nreaders verify it by {vkey}",
            self.chain.name(),
            tip.height,
            self.blocks,
            self.undone,
            self.args.name,
            size.saturating_sub(before),
        );
        if !self.open.is_empty() {
            text += &format!("\n{} transfers wait for their block's line", self.open.len());
        }
        for opened in self.live.cases() {
            text += &format!("\n{}: {} tags", opened.case, self.tags(opened));
        }
        Ok(Report::done(&answer, text))
    }

    fn tags(&self, opened: &feed::Opened) -> usize {
        self.feed.standing().tags().filter(|(_, tag)| tag.case == opened.case).count()
    }

    fn case(&self, opened: &feed::Opened) -> Result<Value, Failure> {
        let asset = opened.token.as_ref().map_or(self.chain.name(), Words::as_str);
        let found = self.live.outcomes(&opened.case).or_undone("the taint cannot be trusted")?;
        let methods: Vec<Value> = found
            .iter()
            .map(|(method, found)| {
                let totals = found.totals.iter().find_map(|case| case.by_asset.get(asset)).cloned();
                let totals = totals.unwrap_or_default();
                json!({
                    "method": method.name(),
                    "stolen": totals.stolen.to_string(),
                    "held": totals.held.to_string(),
                    "fees": totals.fees.to_string(),
                    "burned": totals.burned.to_string(),
                    "stopped": totals.stopped.to_string(),
                    "dust": totals.dust.to_string(),
                })
            })
            .collect();
        let case = opened.case.as_str();
        Ok(json!({ "case": case, "asset": asset, "tags": self.tags(opened), "methods": methods }))
    }
}
