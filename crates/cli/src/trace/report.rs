//! The report of a trace, for people who decide about it: what was found, in words, a picture and tables.
//!
//! Decides how it is told. Every figure is the trace's, and equal traces make equal reports, byte by byte: nothing in
//! one tells when or where it was written.

pub(crate) mod accounts;
mod beside;
mod page;
mod paper;
mod svg;
mod thefts;
mod words;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use kuraban_base::{Digest, Height};
use kuraban_chain::btc::{Network, OutPoint};
use kuraban_trace::{
    graph::Graph,
    picture::{Amounts, Flow, Picture, Scene, Tree, View},
    taint::{End, Spread, Totals, Trace, outpoint},
};

use self::thefts::Theft;
use self::words::{Coin, minute, thousands, whole};
use super::{
    answer::{Answer, CaseRow, Name},
    bounds::IntervalRows,
    origins,
};
use crate::{
    fail::{Failure, OrFail as _},
    file, ink,
    say::{Lang, Say, tame},
};

/// Which reports are written.
#[derive(Debug, clap::Args)]
pub(crate) struct Files {
    /// Write a report with an interactive picture that opens in a browser, without a network
    #[arg(long, value_name = "FILE.html")]
    pub(super) report: Option<PathBuf>,
    /// Write a report as a PDF file
    #[arg(long, value_name = "FILE.pdf")]
    pub(super) pdf: Option<PathBuf>,
    /// The font for what the PDF file's standard fonts lack, such as Japanese; without it, one that is found
    #[arg(long, requires = "pdf", value_name = "FONT")]
    pub(super) pdf_font: Option<PathBuf>,
}

impl Files {
    /// Whether a report is asked for.
    pub(crate) const fn any(&self) -> bool {
        self.report.is_some() || self.pdf.is_some()
    }
}

/// What a report is made of beside the trace.
pub(super) struct Around<'a> {
    /// How an address is written.
    pub(super) name: Name<'a>,
    /// When a block was made, in seconds since 1970.
    pub(super) time: &'a dyn Fn(Height) -> Option<u32>,
    /// What is known of an address.
    pub(super) tags: &'a dyn Fn(&str) -> Vec<String>,
    /// The language that it opens in.
    pub(super) lang: Lang,
    /// Whether the trace was run again on a bundle's proofs.
    pub(super) proven: bool,
    /// What else was asked.
    pub(super) beside: Beside<'a>,
}

/// What a report tells beside the trace, where it was asked for.
#[derive(Clone, Copy, Default)]
pub(super) struct Beside<'a> {
    /// How much each output holds at least and at most, through mixes.
    pub(super) intervals: Option<&'a IntervalRows>,
    /// Of each seed, where its units come from.
    pub(super) origins: &'a [origins::Answer],
}

/// What a report is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// Outputs, that transactions make and spend.
    Outputs,
    /// Accounts, and transfers between them.
    Accounts,
}

impl Kind {
    /// One of two texts.
    const fn pick<'t>(self, outputs: &'t str, accounts: &'t str) -> &'t str {
        match self {
            Self::Outputs => outputs,
            Self::Accounts => accounts,
        }
    }
}

/// What was asked, as the report's last section tells it.
struct Told {
    method: &'static str,
    /// Which, and how many units.
    seeds: Vec<(String, u128)>,
    terms: Vec<Term>,
    tip: Height,
}

/// A term, named in both languages.
struct Term {
    en: &'static str,
    ja: &'static str,
    value: String,
}

impl Told {
    fn of(network: Network, answer: &Answer, until: Height, tip_time_s: Option<u32>) -> Self {
        let (parameters, tip) = (&answer.parameters, &answer.tip);
        let (asset, dust) = (network.asset(), u128::from(parameters.dust_sat));
        let coin = Coin { ticker: &asset.to_string(), decimals: asset.decimals() };
        let ended = format!("{} {} {}", thousands(&tip.height.to_string()), tip.hash, minute(tip_time_s));
        let stops = tame(&parameters.stops.join(", "));
        let term = |en, ja, value: String| Term { en, ja, value };
        let terms = vec![
            term("Chain", "チェーン", network.name().to_owned()),
            term("Last block of the index", "索引の最終ブロック", ended.trim_end().to_owned()),
            term("Last block that counts", "対象の最終ブロック", thousands(&until.blocks().to_string())),
            term("Method asked for", "指定された方式", answer.method.to_owned()),
            term("Fees", "手数料の扱い", parameters.fees.to_owned()),
            term("Coinbases", "コインベースの扱い", parameters.coinbase.to_owned()),
            term("Units that two seeds claim", "重複する起点の扱い", parameters.overlap.to_owned()),
            term("Dust threshold", "少額の閾値", whole(coin, dust)),
            term("Stops", "停止先", if stops.is_empty() { "-".to_owned() } else { stops }),
        ];
        let seed = |seed: &super::answer::Seed| {
            let case = seed.case.as_ref().map(|case| format!("{case}=")).unwrap_or_default();
            (format!("{case}{}:{}", seed.txid, seed.vout), seed.value_sat.into())
        };
        Self {
            method: answer.method,
            seeds: answer.seeds.iter().map(seed).collect(),
            terms,
            tip: Height::new(tip.height),
        }
    }
}

/// A transaction's output, or one of its transfers.
#[derive(Clone)]
struct At {
    txid: String,
    index: u32,
}

impl At {
    fn of(outpoint: OutPoint) -> Self {
        Self { txid: outpoint.txid.to_string(), index: outpoint.vout }
    }
}

impl core::fmt::Display for At {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}:{}", self.txid, self.index)
    }
}

/// A transaction, or an account, or what made a seed.
#[derive(Clone)]
struct Place {
    txid: String,
    height: Height,
    time_s: Option<u32>,
}

/// An output that ends a trace by some method.
struct Final {
    /// Its place among the flows.
    flow: usize,
    span: Span,
}

/// An address that holds stolen units by some method.
struct Owner {
    /// Its place among the addresses.
    address: usize,
    outputs: usize,
    /// By the method asked for.
    held_sat: u128,
    span: Span,
}

/// The least and the most by any method that conserves units.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Span {
    min_sat: u128,
    max_sat: u128,
}

/// Everything that a report tells, resolved from the graph.
pub(super) struct Sheet<'a> {
    kind: Kind,
    ticker: String,
    decimals: u8,
    told: Told,
    answer_sha256: String,
    lang: Lang,
    proven: bool,
    picture: &'a Picture,
    /// The place of the method asked for.
    shown: usize,
    totals: Vec<Totals>,
    /// Unspent outputs by method.
    counts: Vec<usize>,
    /// Where there are several, the earliest first.
    thefts: Vec<Theft>,
    agreed_sat: u128,
    tip_time_s: Option<u32>,
    until: Height,
    until_time_s: Option<u32>,
    /// By node; nothing for the theft.
    places: Vec<Option<Place>>,
    /// By flow.
    outpoints: Vec<Option<At>>,
    /// By flow, where its maker is no node.
    seeds: BTreeMap<usize, Place>,
    /// By flow.
    owners: Vec<Option<usize>>,
    addresses: Vec<String>,
    tags: BTreeMap<usize, Vec<String>>,
    tree: Tree,
    view: View,
    scene: Scene,
    beside: Beside<'a>,
    /// Tags of addresses that origins name.
    origin_tags: BTreeMap<String, Vec<String>>,
}

impl<'a> Sheet<'a> {
    /// Gathers what a report tells. `traces` are by the picture's methods.
    pub(super) fn of<G: Graph>(
        graph: &G,
        around: &Around<'a>,
        answer: &Answer,
        traces: &[Trace],
        picture: &'a Picture,
    ) -> Result<Self, Failure> {
        // Without the comparison: the answer as a bundle holds it.
        let plain = serde_json::to_vec(answer).or_undone("the answer cannot be written as JSON")?;
        let place = |tx| {
            let height = graph.height(tx);
            Place { txid: graph.txid(tx).to_string(), height, time_s: (around.time)(height) }
        };
        let shown = picture.methods.iter().position(|method| method.name() == answer.method);
        let mut addresses = Addresses::default();
        let owner = |flow: &Flow| Some(tame(&(around.name)(graph.address(flow.output?)?)?));
        let owners = picture.flows.iter().map(|flow| Some(addresses.number(owner(flow)?))).collect();
        let addresses = addresses.all;
        let tagged = addresses.iter().enumerate().map(|(place, address)| {
            let tags: Vec<String> = (around.tags)(address).iter().map(|tag| tame(tag)).collect();
            (place, tags)
        });
        let maker = |(at, flow): (usize, &Flow)| {
            let output = flow.output.filter(|_| flow.from == 0)?;
            Some((at, place(graph.creator(output))))
        };
        let tree = Tree::of(picture);
        let view = View::first(picture, &tree);
        let scene = Scene::of(picture, &tree, &view);
        let tip = traces.first().map(|trace| trace.tip.height).unwrap_or_default();
        let until = traces.first().and_then(|trace| trace.terms.until).unwrap_or(tip);
        Ok(Self {
            kind: Kind::Outputs,
            ticker: graph.network().asset().to_string(),
            decimals: graph.network().asset().decimals(),
            told: Told::of(graph.network(), answer, until, (around.time)(tip)),
            answer_sha256: Digest::sha256(&[&plain]).to_string(),
            lang: around.lang,
            proven: around.proven,
            picture,
            shown: shown.unwrap_or(0),
            totals: traces.iter().map(Trace::totals).collect(),
            counts: traces.iter().map(|trace| trace.unspent.len()).collect(),
            thefts: several(answer),
            agreed_sat: Spread::of(graph, traces).agreed_sat(),
            tip_time_s: (around.time)(tip),
            until,
            until_time_s: (around.time)(until),
            places: picture.nodes.iter().map(|node| node.tx.map(place)).collect(),
            outpoints: picture.flows.iter().map(|flow| Some(At::of(outpoint(graph, flow.output?)))).collect(),
            seeds: picture.flows.iter().enumerate().filter_map(maker).collect(),
            owners,
            tags: tagged.filter(|(_, tags)| !tags.is_empty()).collect(),
            addresses,
            tree,
            view,
            scene,
            beside: around.beside,
            origin_tags: origin_tags(around),
        })
    }

    /// Writes the page, whole or not at all.
    pub(super) fn write_page(&self, path: &Path) -> Result<(), Failure> {
        let page = page::page(self).or_undone("the report's data cannot be written as JSON")?;
        file::write(path, page.as_bytes())
    }

    /// Writes the PDF file, whole or not at all; gives letters that no font here has. What the standard fonts lack is
    /// taken from the font named, or from one that is found.
    pub(super) fn write_paper(&self, path: &Path, font: Option<&Path>) -> Result<String, Failure> {
        let font = ink::wide_font(font).or_input("--pdf-font")?;
        if self.lang == Lang::Ja && font.is_none() {
            return Err(Failure::input(
                "--pdf: no font with Japanese glyphs was found; install one, such as Debian's fonts-ipafont-gothic, name one \
                 with --pdf-font, or ask for --lang en",
            ));
        }
        let paper = paper::paper(self, font).or_undone("the PDF file cannot be made")?;
        file::write(path, &paper.bytes)?;
        Ok(paper.missing)
    }

    /// Writes what is asked for.
    pub(super) fn write(&self, files: &Files, say: &Say) -> Result<(), Failure> {
        if let Some(file) = &files.report {
            self.write_page(file)?;
        }
        if let Some(file) = &files.pdf {
            let missing = self.write_paper(file, files.pdf_font.as_deref())?;
            if !missing.is_empty() {
                let letters: Vec<String> = missing.chars().map(|c| c.escape_unicode().to_string()).collect();
                say.show(&format!(
                    "{}: no font here has {}; each stands as \"?\". --pdf-font names a font",
                    file.display(),
                    letters.join(" ")
                ))?;
            }
        }
        Ok(())
    }

    /// How amounts are written.
    fn coin(&self) -> Coin<'_> {
        Coin { ticker: &self.ticker, decimals: self.decimals }
    }

    /// Whether the method at a place drops a flow as dust.
    fn is_dust(flow: &Flow, method: usize) -> bool {
        u32::try_from(method)
            .ok()
            .and_then(|method| flow.dust.checked_shr(method))
            .is_some_and(|bits| bits & 1 == 1)
    }

    /// The least and the most of several flows together, by methods that conserve units.
    fn span<'f>(&self, flows: impl Iterator<Item = &'f Flow> + Clone) -> Span {
        let held = |method: usize| {
            let kept = flows.clone().filter(|flow| !Self::is_dust(flow, method));
            kept.fold(0_u128, |sum, flow| sum.saturating_add(flow.amounts.of(method)))
        };
        let methods = self.picture.methods.iter().enumerate().filter(|(_, method)| method.conserves());
        let held: Vec<u128> = methods.map(|(place, _)| held(place)).collect();
        Span {
            min_sat: held.iter().min().copied().unwrap_or(0),
            max_sat: held.iter().max().copied().unwrap_or(0),
        }
    }

    /// What ends a trace, the largest by the method asked for first.
    fn finals(&self) -> Vec<Final> {
        let ends = self.picture.flows.iter().enumerate().filter(|(_, flow)| is_end(flow));
        let mut finals: Vec<Final> = ends
            .map(|(place, flow)| Final { flow: place, span: self.span(core::iter::once(flow)) })
            .collect();
        finals.sort_by_key(|end| core::cmp::Reverse(self.amount(end.flow)));
        finals
    }

    /// Who holds units at the end, the largest first.
    fn owners(&self) -> Vec<Owner> {
        let mut held: BTreeMap<usize, Vec<&Flow>> = BTreeMap::new();
        for (flow, owner) in self.picture.flows.iter().zip(&self.owners) {
            if let Some(owner) =
                owner.filter(|_| flow.to.is_none() && matches!(flow.end, End::Unspent | End::Stopped))
            {
                held.entry(owner).or_default().push(flow);
            }
        }
        let owner = |(address, flows): (usize, Vec<&Flow>)| {
            let own = flows.iter().filter(|flow| !Self::is_dust(flow, self.shown));
            let held_sat = own.fold(0_u128, |sum, flow| sum.saturating_add(flow.amounts.of(self.shown)));
            Owner { address, outputs: flows.len(), held_sat, span: self.span(flows.iter().copied()) }
        };
        let mut owners: Vec<Owner> = held.into_iter().map(owner).collect();
        owners.sort_by_key(|owner| core::cmp::Reverse(owner.held_sat));
        owners
    }

    /// A flow's units by the method asked for.
    fn amount(&self, flow: usize) -> u128 {
        self.picture.flows.get(flow).map_or(0, |flow| flow.amounts.of(self.shown))
    }

    fn sum<'f>(&self, flows: impl Iterator<Item = &'f usize>) -> u128 {
        flows.fold(0_u128, |sum, flow| sum.saturating_add(self.amount(*flow)))
    }

    /// What came into each node by the method asked for.
    fn came_in(&self) -> Vec<u128> {
        let mut sums = vec![0_u128; self.picture.nodes.len()];
        for flow in &self.picture.flows {
            if let Some(sum) = flow.to.and_then(|to| sums.get_mut(to)) {
                *sum = sum.saturating_add(flow.amounts.of(self.shown));
            }
        }
        sums
    }

    fn address(&self, flow: usize) -> Option<&str> {
        let number = self.owners.get(flow).copied().flatten()?;
        self.addresses.get(number).map(String::as_str)
    }

    fn tags(&self, flow: usize) -> &[String] {
        let number = self.owners.get(flow).copied().flatten();
        number.and_then(|number| self.tags.get(&number)).map(Vec::as_slice).unwrap_or_default()
    }

    /// The transaction that made an output.
    fn maker(&self, flow: usize) -> Option<&Place> {
        let from = self.picture.flows.get(flow).map_or(0, |flow| flow.from);
        self.seeds.get(&flow).or_else(|| self.places.get(from).and_then(Option::as_ref))
    }

    /// What becomes of a flow by the method asked for.
    fn end(&self, flow: &Flow) -> End {
        if Self::is_dust(flow, self.shown) { End::Dust } else { flow.end }
    }

    fn conserves(&self) -> bool {
        self.picture.methods.get(self.shown).is_some_and(|method| method.conserves())
    }
}

/// The thefts, where there are several.
fn several(answer: &Answer) -> Vec<Theft> {
    let rows = answer.cases.as_ref().map(|cases| cases.rows.as_slice()).unwrap_or_default();
    let theft = |row: &CaseRow| Theft { name: row.case.clone(), totals: page::amounts(row.totals) };
    rows.iter().filter(|_| rows.len() > 1).map(theft).collect()
}

/// What is known of the addresses that units come from.
fn origin_tags(around: &Around<'_>) -> BTreeMap<String, Vec<String>> {
    let sources = around.beside.origins.iter().flat_map(|origins| &origins.sources);
    let tagged = |address: &String| {
        let tags: Vec<String> = (around.tags)(address).iter().map(|tag| tame(tag)).collect();
        (!tags.is_empty()).then(|| (address.clone(), tags))
    };
    sources.filter_map(|source| tagged(source.address.as_ref()?)).collect()
}

/// Whether nothing spends it that has room in the picture.
fn is_end(flow: &Flow) -> bool {
    match flow.end {
        End::Spent(_) => false,
        End::Unspent | End::Stopped | End::Dust | End::Burned | End::Shielded => flow.to.is_none(),
    }
}

/// Addresses by their first appearance.
#[derive(Default)]
struct Addresses {
    all: Vec<String>,
    known: BTreeMap<String, usize>,
}

impl Addresses {
    fn number(&mut self, address: String) -> usize {
        if let Some(known) = self.known.get(&address) {
            return *known;
        }
        let number = self.all.len();
        self.known.insert(address.clone(), number);
        self.all.push(address);
        number
    }
}

/// All of a picture's amounts by its methods, in their order.
fn listed(picture: &Picture, amounts: &Amounts) -> Vec<u128> {
    (0..picture.methods.len()).map(|place| amounts.of(place)).collect()
}

#[cfg(test)]
mod tests;
