//! The report of a trace on accounts: accounts where a trace of outputs has transactions, transfers where it has outputs.
//!
//! Decides how it is told. Every figure is the trace's.

use kuraban_base::{Digest, Height};
use kuraban_trace::{
    accounts::{CaseTotals, Outcome, Rule, Totals as OfAccounts, Units},
    picture::{AccountPicture, Flow, Scene, Stand, Tree, View, Way},
    taint::Totals,
};

use super::{Addresses, At, Beside, Files, Kind, Place, Sheet, Term, Theft, Told};
use crate::{
    fail::{Failure, OrFail as _},
    say::{Say, tame},
};

/// What is told of a trace on accounts.
pub(crate) struct Accounts<'a> {
    /// The trace by every rule that is drawn.
    pub(crate) drawn: &'a AccountPicture,
    /// The rule asked for.
    pub(crate) rule: Rule,
    /// The asset that is drawn.
    pub(crate) asset: &'a str,
    /// Its ticker, or the token's id.
    pub(crate) ticker: String,
    /// How many of its digits stand behind the point.
    pub(crate) decimals: u8,
    /// Names of terms in English and Japanese, and what they are.
    pub(crate) terms: Vec<(&'static str, &'static str, String)>,
    /// What every rule agrees on.
    pub(crate) agreed: Units,
    /// The answer as the command prints it.
    pub(crate) answer: String,
    /// What is known of an account.
    pub(crate) tags: &'a dyn Fn(&str) -> Vec<String>,
}

impl Accounts<'_> {
    /// Writes what is asked for.
    pub(crate) fn write(&self, files: &Files, say: &Say) -> Result<(), Failure> {
        self.sheet(say)?.write(files, say)
    }

    fn sheet(&self, say: &Say) -> Result<Sheet<'_>, Failure> {
        let AccountPicture { outcomes, picture, stands, ways } = self.drawn;
        let large = "the totals are more than a report holds, 2^128 - 1 units";
        let totals = outcomes.iter().map(|found| totals(found, self.asset)).collect::<Option<Vec<_>>>();
        let totals = totals.ok_or_else(|| Failure::input(large))?;
        let agreed_sat = u128::try_from(self.agreed).or_input(large)?;
        let mut addresses = Addresses::default();
        let owner = |way: &Way| Some(addresses.number(tame(way.account.as_deref()?)));
        let owners = ways.iter().map(owner).collect();
        let addresses = addresses.all;
        let tagged = addresses.iter().enumerate().map(|(place, address)| {
            let tags: Vec<String> = (self.tags)(address).iter().map(|tag| tame(tag)).collect();
            (place, tags)
        });
        let (tree, end) = (Tree::of(picture), ended(outcomes));
        let view = View::first(picture, &tree);
        let scene = Scene::of(picture, &tree, &view);
        let count = |found: &Outcome| found.held.iter().filter(|held| held.asset == self.asset).count();
        Ok(Sheet {
            kind: Kind::Accounts,
            ticker: tame(&self.ticker),
            decimals: self.decimals,
            told: self.told(end)?,
            answer_sha256: Digest::sha256(&[self.answer.as_bytes()]).to_string(),
            lang: say.lang(),
            proven: false,
            picture,
            shown: picture.methods.iter().position(|rule| *rule == self.rule).unwrap_or(0),
            totals,
            counts: outcomes.iter().map(count).collect(),
            thefts: self.thefts().ok_or_else(|| Failure::input(large))?,
            agreed_sat,
            tip_time_s: None,
            until: end,
            until_time_s: None,
            places: stands.iter().map(|stand| stand.as_ref().map(place)).collect(),
            outpoints: ways.iter().map(at).collect(),
            // Each flow has its own block, whatever account it leaves.
            seeds: picture
                .flows
                .iter()
                .zip(ways)
                .map(|(flow, way)| made(flow, way, stands))
                .enumerate()
                .collect(),
            owners,
            tags: tagged.filter(|(_, tags)| !tags.is_empty()).collect(),
            addresses,
            tree,
            view,
            scene,
            beside: Beside::default(),
            origin_tags: std::collections::BTreeMap::new(),
        })
    }

    /// The thefts of the asset, where there are several; nothing where their totals do not fit.
    fn thefts(&self) -> Option<Vec<Theft>> {
        let shown = self.drawn.picture.methods.iter().position(|rule| *rule == self.rule).unwrap_or(0);
        let found = self.drawn.outcomes.get(shown).map(|found| found.totals.as_slice()).unwrap_or_default();
        let of_asset: Vec<_> =
            found.iter().filter_map(|case| Some((case, case.by_asset.get(self.asset)?))).collect();
        if of_asset.len() < 2 {
            return Some(Vec::new());
        }
        let theft = |(case, sums): &(&CaseTotals, &OfAccounts)| {
            Some(Theft {
                name: tame(&case.case),
                totals: super::page::amounts(summed(core::iter::once(*sums))?),
            })
        };
        of_asset.iter().map(theft).collect()
    }

    fn told(&self, tip: Height) -> Result<Told, Failure> {
        let terms = self.terms.iter().map(|(en, ja, value)| Term { en, ja, value: tame(value) });
        let found = self.drawn.outcomes.first();
        let seeds = found.into_iter().flat_map(|found| &found.seeds).filter(|seed| seed.asset == self.asset);
        let seeds = seeds.map(|stolen| {
            let units = u128::try_from(stolen.amount).or_input("a seed's units do not fit 128 bits")?;
            let seed = &stolen.seed;
            Ok((tame(&format!("{}={}:{} → {}", seed.case, seed.tx, seed.index, stolen.account)), units))
        });
        Ok(Told {
            method: self.rule.name(),
            seeds: seeds.collect::<Result<_, Failure>>()?,
            terms: terms.collect(),
            tip,
        })
    }
}

/// The last block with a transfer that counted.
fn ended(outcomes: &[Outcome]) -> Height {
    let height = outcomes.iter().filter_map(|found| found.height).max().unwrap_or(0);
    Height::new(u32::try_from(height).unwrap_or(u32::MAX))
}

fn place(stand: &Stand) -> Place {
    Place { txid: tame(&stand.account), height: stand.height, time_s: None }
}

fn at(way: &Way) -> Option<At> {
    let (txid, index) = way.transfer.as_ref()?;
    Some(At { txid: tame(txid), index: *index })
}

/// The transfer that a flow is, or the account that it stays on.
fn made(flow: &Flow, way: &Way, stands: &[Option<Stand>]) -> Place {
    let stays = || stands.get(flow.from).and_then(Option::as_ref).map(|stand| stand.account.clone());
    let txid = way.transfer.as_ref().map(|(tx, _)| tx.clone()).or_else(stays).unwrap_or_default();
    Place { txid: tame(&txid), height: way.height, time_s: None }
}

/// The totals of all thefts in one asset; nothing where they do not fit.
fn totals(found: &Outcome, asset: &str) -> Option<Totals> {
    summed(found.totals.iter().filter_map(|case| case.by_asset.get(asset)))
}

fn summed<'t>(all: impl Iterator<Item = &'t OfAccounts> + Clone) -> Option<Totals> {
    let sum = |of: fn(&OfAccounts) -> Units| u128::try_from(Units::sum(all.clone().map(of))?).ok();
    Some(Totals {
        stolen_sat: sum(|totals| totals.stolen)?,
        unspent_sat: sum(|totals| totals.held)?,
        fees_sat: Some(sum(|totals| totals.fees)?),
        burned_sat: Some(sum(|totals| totals.burned)?),
        stopped_sat: sum(|totals| totals.stopped)?,
        dust_sat: sum(|totals| totals.dust)?,
        shielded_sat: 0,
    })
}
