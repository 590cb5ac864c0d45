//! `kuraban tags screen`.

use std::path::PathBuf;

use clap::Args;
use kuraban_base::Instant;
use kuraban_trace::tags::{Hit, Store, SubjectKind, Taint, address, store::subject};
use serde_json::{Map, Value, json};

use super::{Folder, Now};
use crate::{
    fail::{Failure, OrFail as _},
    input,
    say::{Lang, Report, Say, Side, grouped, table, tame},
};

/// Longest line of a file of addresses.
const LINE_BYTES_MAX: usize = 1024;

/// What to screen.
#[derive(Args)]
pub(crate) struct Screen {
    #[command(flatten)]
    folder: Folder,
    /// The chain, as packs name it: btc, ltc, bch, eth, xrp, trx …
    #[arg(long)]
    chain: String,
    #[command(flatten)]
    asked: Asked,
    /// Show tags that have expired or were taken back too
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    now: Now,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Asked {
    /// An address or a transaction's id
    address: Option<String>,
    /// A file of them, one a line; prints one JSON document a line. - is standard input
    #[arg(long)]
    file: Option<PathBuf>,
}

pub(super) fn run(args: &Screen, say: &Say) -> Result<Report, Failure> {
    let now = args.now.instant()?;
    let chain = args.chain.to_ascii_lowercase();
    let fits = (2..=16).contains(&chain.len()) && chain.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !fits {
        return Err(Failure::input(format!(
            "--chain: {:?} is no name of a chain, want one such as btc",
            tame(&args.chain)
        )));
    }
    let store = super::store(&args.folder.store)?;
    known(&chain, &store)?;
    let desk = Desk { store, chain, now, all: args.all };
    match (&args.asked.address, &args.asked.file) {
        (Some(address), _) => {
            let hits = desk.hits(address)?;
            Ok(Report::done(&desk.answer(address, &hits), desk.told(address, &hits, say.lang())))
        }
        (None, Some(file)) => {
            desk.many(file, say)?;
            Ok(Report::silent())
        }
        (None, None) => Err(Failure::input("want an address or --file")),
    }
}

/// Refuses a chain of which nothing can be said: without its addresses' form and without tags a slip in its name would make
/// every address clean.
fn known(chain: &str, store: &Store) -> Result<(), Failure> {
    let network = chain.to_ascii_uppercase();
    if address::is_verified(&network) || store.networks().contains(network.as_str()) {
        return Ok(());
    }
    let tagged: Vec<String> = store.networks().into_iter().map(str::to_ascii_lowercase).collect();
    Err(Failure::input(format!(
        "--chain {chain}: addresses of this chain are not verified here and no tag of the store is on it, so that none can be \
         called clean; want one such as btc, ltc, bch, eth, xrp, trx, or one that the store has: {}",
        if tagged.is_empty() { "none".to_owned() } else { tagged.join(", ") }
    )))
}

struct Desk {
    store: Store,
    chain: String,
    now: Instant,
    all: bool,
}

impl Desk {
    fn hits(&self, address: &str) -> Result<Vec<Hit>, Failure> {
        let network = self.chain.to_ascii_uppercase();
        let (kind, checked) = subject(&network, address).or_input(tame(address))?;
        let mut hits = self.store.find(kind, &network, &checked.normal);
        hits.retain(|hit| self.all || hit.tag.taint.as_ref().is_none_or(|taint| taint.holds(self.now.ms())));
        hits.sort_by(|one, other| {
            let order = |hit: &Hit| {
                (core::cmp::Reverse(hit.tag.confidence.level), hit.tag.label.clone(), hit.pack.clone())
            };
            order(one).cmp(&order(other))
        });
        Ok(hits)
    }

    fn answer(&self, address: &str, hits: &[Hit]) -> Value {
        json!({ "chain": self.chain, "address": address, "hits": hits.iter().map(described).collect::<Vec<_>>() })
    }

    fn told(&self, address: &str, hits: &[Hit], lang: Lang) -> String {
        if hits.is_empty() {
            let (address, tags) = (grouped(address), self.store.len());
            return match lang {
                Lang::En => format!("{address}\nno tag among {tags}"),
                Lang::Ja => format!("{address}\nタグ {tags} 件の中に該当なし"),
            };
        }
        let row = |hit: &Hit| {
            let taint = hit.tag.taint.as_ref().map(Taint::to_line).unwrap_or_default();
            let confidence = format!("{} ({})", hit.tag.confidence.level, hit.tag.confidence.id);
            [
                tame(&hit.tag.label),
                hit.category().to_owned(),
                confidence,
                tame(&hit.pack),
                tame(&hit.tag.source),
                tame(&taint),
            ]
        };
        let rows: Vec<_> = hits.iter().map(row).collect();
        format!("{}\n{}", grouped(address), table([Side::Left; 6], &rows))
    }

    /// One document a line; what cannot be read has `error` in the place of `hits`, so that nothing is lost.
    fn many(&self, file: &std::path::Path, say: &Say) -> Result<(), Failure> {
        let (mut read, mut wrong) = (0_u64, 0_u64);
        let bar = say.progress_beside(input::length(file));
        for line in input::lines(file, LINE_BYTES_MAX)? {
            let line = line?;
            bar.set_position(line.end);
            read = read.saturating_add(1);
            let number = line.number;
            let text = line
                .bytes
                .or_input(format!("line {number}"))
                .map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned());
            let answer =
                text.and_then(|address| self.hits(&address).map(|hits| self.answer(&address, &hits)));
            let answer = answer.unwrap_or_else(|failure| {
                wrong = wrong.saturating_add(1);
                json!({ "chain": self.chain, "line": number, "error": failure.problem() })
            });
            say.announce(&answer).or_undone("standard output is closed")?;
        }
        bar.finish_and_clear();
        if wrong > 0 {
            return Err(Failure::input(format!(
                "{wrong} of {read} lines could not be read; the others are screened"
            )));
        }
        Ok(())
    }
}

fn described(hit: &Hit) -> Value {
    let tag = &hit.tag;
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| drop(fields.insert(name.to_owned(), value));
    put("label", json!(tag.label));
    put("category", json!(hit.category()));
    put("source", json!(tag.source));
    put("confidence", json!(tag.confidence.level));
    put("confidence_id", json!(tag.confidence.id));
    put("concepts", json!(tag.concepts));
    put("currency", json!(tag.currency));
    put("tag_type", json!(tag.tag_type.name()));
    put("pack", json!(hit.pack));
    put("creator", json!(hit.creator));
    put("verified", json!(tag.verified));
    put(
        "subject",
        json!(match tag.kind {
            SubjectKind::Address => "address",
            SubjectKind::Tx => "tx",
        }),
    );
    for (name, value) in [("actor", &tag.actor), ("lastmod", &tag.lastmod)] {
        if let Some(value) = value {
            put(name, json!(value));
        }
    }
    if let Some(taint) = &tag.taint {
        tainted(&mut put, taint, taint.signer(tag));
    }
    Value::Object(fields)
}

fn tainted(put: &mut impl FnMut(&str, Value), taint: &Taint, signer: Option<[u8; 32]>) {
    put("case", json!(taint.case));
    put("method", json!(taint.method));
    // Units that fit a JSON number stay one.
    let number = matches!(taint.unit.as_str(), "sat" | "microxem");
    let amount = u64::try_from(taint.amount).ok().filter(|_| number);
    put(
        &format!("tainted_{}", taint.unit),
        amount.map_or_else(|| json!(taint.amount.to_string()), |amount| json!(amount)),
    );
    if let Some(outpoint) = &taint.outpoint {
        put("outpoint", json!(outpoint));
    }
    if let Some(expires_ms) = taint.expires_ms {
        put("expires_ms", json!(expires_ms));
    }
    if let Some((at_ms, reason)) = &taint.revoked {
        put("revoked", json!({ "at_ms": at_ms, "reason": reason }));
    }
    if taint.signature.is_some() {
        put("signer", json!(signer.map(|key| kuraban_base::hex::encode(&key))));
    }
}
