//! `kuraban tags export`.

use clap::{Args, ValueEnum};
use kuraban_trace::tags::{Tag, export, pack};
use serde_json::json;

use super::{Folder, Now};
use crate::{
    fail::{Failure, OrFail as _},
    input,
    say::{Report, Say},
};

/// What to write.
#[derive(Args)]
pub(crate) struct Export {
    #[command(flatten)]
    folder: Folder,
    /// For whom
    #[arg(long, value_enum)]
    format: Format,
    /// Only tags of this chain, as packs name it: btc, eth …
    #[arg(long)]
    chain: Option<String>,
    /// Only tags of this pack
    #[arg(long)]
    pack: Option<String>,
    /// Title of the pack that is written
    #[arg(long, default_value = "Exported tags")]
    title: String,
    /// Who makes the pack that is written
    #[arg(long, default_value = "Kuraban")]
    creator: String,
    #[command(flatten)]
    now: Now,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Format {
    Tagpack,
    Bip329,
    Stix,
    Misp,
}

pub(super) fn run(args: &Export, say: &Say) -> Result<Report, Failure> {
    let now = args.now.instant()?;
    let store = super::store(&args.folder.store)?;
    let chain = args.chain.as_ref().map(|chain| chain.to_ascii_uppercase());
    let wanted = |hit: &kuraban_trace::tags::Hit| {
        chain.as_ref().is_none_or(|chain| hit.tag.network == *chain)
            && args.pack.as_ref().is_none_or(|pack| hit.pack == *pack)
    };
    let bar = say.progress_of(u64::try_from(store.len()).unwrap_or(u64::MAX));
    let hits = store.iter().inspect(|_| bar.inc(1)).filter(wanted).map(|hit| hit.tag);
    let closed = "standard output is closed";
    match args.format {
        Format::Bip329 => {
            for label in hits.filter_map(|tag| export::bip329(&tag, now.ms())) {
                say.announce(&label).or_undone(closed)?;
            }
            Ok(Report::silent())
        }
        Format::Tagpack => {
            let text = pack::write(&args.title, &args.creator, &hits.collect::<Vec<Tag>>());
            Ok(Report::done(&json!({ "tagpack": text }), text.clone()))
        }
        Format::Stix => {
            let at = input::shown_utc(now);
            say.announce(&export::stix(&hits.collect::<Vec<Tag>>(), &at)).or_undone(closed)?;
            Ok(Report::silent())
        }
        Format::Misp => {
            say.announce(&export::misp(&hits.collect::<Vec<Tag>>())).or_undone(closed)?;
            Ok(Report::silent())
        }
    }
}
