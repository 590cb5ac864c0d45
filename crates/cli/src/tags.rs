//! `kuraban tags`: packs of tags in and out, checked, and addresses screened against them. Reads, writes and prints; the
//! rules are `kuraban-trace`'s.

mod appeal;
mod export;
mod feed;
mod make;
mod packs;
mod screen;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use kuraban_base::Instant;
use kuraban_trace::tags::{Store, StoreError};

use crate::{
    fail::{Failure, OrFail as _},
    input,
    say::{Report, Say},
};

/// `kuraban tags …`
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Check packs and lists without keeping them
    #[command(after_help = VERIFY_HELP)]
    Verify(packs::Verify),
    /// Take packs and lists into a store
    #[command(after_help = IMPORT_HELP)]
    Import(packs::Import),
    /// Make a pack of what a trace found
    #[command(after_help = MAKE_HELP)]
    Make(make::Make),
    /// Write a store's tags for others
    #[command(after_help = EXPORT_HELP)]
    Export(export::Export),
    /// Say what is known of an address or a transaction
    #[command(after_help = SCREEN_HELP)]
    Screen(screen::Screen),
    /// Say why a tag on an address of yours is wrong, signed by its key
    #[command(subcommand)]
    Appeal(appeal::Command),
    /// A feed of tags: verify it, and say what of it holds
    #[command(subcommand)]
    Feed(feed::Command),
}

const VERIFY_HELP: &str = "\
TagPacks end in .yaml or .yml; *actorpack.yaml are packs of actors. A file
named as sanctioned_addresses_XBT.txt is a list of OFAC's, one address a line,
of the asset in its name. config.yaml and header.yaml are passed over. Exit
status: 0 if every tag can be used, 1 if some are rejected, 2 if a file is no
pack.

Examples:
  kuraban tags verify packs/
  kuraban tags verify --json packs/ofac.yaml | jq '.packs[].rejects'";

const IMPORT_HELP: &str = "\
Tags that cannot be used are listed with line and reason; the others are
taken, and the exit status is 0. Nothing is taken if a file is no pack. A pack
of the same title and creator takes the place of its earlier version; tags
that contradict each other stay side by side.

Examples:
  kuraban tags import --store tags packs/
  kuraban tags import --store tags \\
      sanctioned_addresses_XBT.txt sanctioned_addresses_ETH.txt";

const MAKE_HELP: &str = "\
Reads what `kuraban trace --json` prints and writes a TagPack with one tag for
each tainted output: case, method, amount and output stand in its context.
Made again with --revoke and imported, it takes the tags back.

Examples:
  kuraban trace … --json | kuraban tags make --chain btc --case zaif-2018 \\
      --source https://example.org/zaif --creator 'Example Exchange' \\
      --expires 2027-11-21T00:00:00Z --key ~/.ssh/id_ed25519 > zaif.yaml";

const EXPORT_HELP: &str = "\
Formats: tagpack (GraphSense YAML), bip329 (wallet labels, JSON lines; tainted
outputs are frozen), stix (STIX 2.1 bundle with the public extension for
wallets), misp (objects).

Examples:
  kuraban tags export --store tags --format bip329 --chain btc > labels.jsonl
  kuraban tags export --store tags --format tagpack --title Thefts \\
      --creator 'Example Exchange'";

const SCREEN_HELP: &str = "\
Prints {\"chain\",\"address\",\"hits\":[…]} for each address. 32 bytes in
hexadecimal are a transaction's id. Tags that have expired or were taken back
are left out unless --all asks for them. The exit status is 0 with and without
hits.

Examples:
  kuraban tags screen --store tags --chain btc \\
      1FmwHh6pgkf4meCMoqo8fHH3GNRF571f9w --json
  kuraban tags screen --store tags --chain eth --file addresses.txt";

/// Where a store is.
#[derive(Args)]
pub(crate) struct Folder {
    /// The store's folder
    #[arg(long)]
    store: PathBuf,
}

/// Opens a store, to read it.
pub(crate) fn store(folder: &Path) -> Result<Store, Failure> {
    match Store::open(folder) {
        Err(StoreError::File { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            let folder = folder.display();
            Err(Failure::input(format!(
                "{folder} holds no store of tags, want a folder that `kuraban tags import` has made"
            )))
        }
        opened => opened.or_undone("the store cannot be used"),
    }
}

/// Which time it is taken to be.
#[derive(Args)]
pub(crate) struct Now {
    /// The time to judge expiry at; without it, the clock's
    #[arg(long, value_parser = input::instant)]
    now: Option<Instant>,
}

impl Now {
    /// The time that was given, or the clock's.
    pub(crate) fn instant(&self) -> Result<Instant, Failure> {
        if let Some(now) = self.now {
            return Ok(now);
        }
        let ms = u64::try_from(jiff::Timestamp::now().as_millisecond());
        ms.map(Instant::from_ms).or_undone("the clock stands before 1970")
    }
}

/// Runs `kuraban tags …`.
pub(crate) fn run(command: Command, say: &Say) -> Result<Report, Failure> {
    match command {
        Command::Verify(args) => packs::verify(&args, say),
        Command::Import(args) => packs::import(&args, say),
        Command::Make(args) => make::run(&args, say),
        Command::Export(args) => export::run(&args, say),
        Command::Screen(args) => screen::run(&args, say),
        Command::Appeal(command) => appeal::run(command, say),
        Command::Feed(command) => feed::run(command, say),
    }
}
