//! Which thefts are traced: seeds on the command line and files of cases. Decides their names; never where units go.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::ValueEnum;
use kuraban_base::CaseId;
use kuraban_chain::btc::OutPoint;
use kuraban_trace::{
    graph::{Graph, OutputNum},
    index::Index,
    taint::{Case, TaintError, Terms, Trace, seed, trace_apart, trace_path},
};
use serde::Deserialize;

use super::walk::Walks;
use crate::{
    fail::{Failure, OrFail as _},
    input,
};

/// The theft that seeds belong to where none is named.
const UNNAMED: &str = "theft";
/// Most cases at once.
const CASES_MAX: usize = 10_000;
/// Most seeds of one case, as in the role `chase`.
const SEEDS_MAX: usize = 1_000;

/// Who has the units that several thefts claim.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub(crate) enum Claims {
    /// The earliest theft alone; what the later ones claim of it is listed
    #[default]
    Earliest,
    /// Each of them, as if it were the only theft
    Each,
}

impl Claims {
    /// How answers say it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Earliest => "the earliest theft keeps the unit",
            Self::Each => "each theft counts the unit, as if it were the only one",
        }
    }
}

/// What of a case's file matters here; how the role `chase` follows it does not.
#[derive(Deserialize)]
struct RawCase {
    id: String,
    seeds: Vec<RawSeed>,
}

#[derive(Deserialize)]
struct RawSeed {
    output: String,
    units: u64,
}

/// The thefts to trace.
#[derive(Debug)]
pub(super) struct Cases {
    /// As they were asked for.
    pub(super) all: Vec<Case>,
    /// Their names, where somebody gave one.
    pub(super) names: Option<Vec<String>>,
    /// All seeds in the order in which they were given.
    pub(super) outpoints: Vec<OutPoint>,
    claims: Claims,
}

impl Cases {
    /// Reads seeds, as `TXID:VOUT` or `CASE=TXID:VOUT`, and files of cases, and looks every seed up.
    pub(super) fn read(
        index: &Index,
        seeds: &[String],
        files: &[PathBuf],
        claims: Claims,
    ) -> Result<Self, Failure> {
        let mut read = Reading { index, by_name: BTreeMap::new(), all: Vec::new(), outpoints: Vec::new() };
        for text in seeds {
            read.named(text)?;
        }
        for path in files {
            read.path(path)?;
        }
        let is_plain = matches!(&*read.all, [(name, _)] if name == UNNAMED);
        let (names, all): (Vec<String>, Vec<Case>) = read.all.into_iter().unzip();
        Ok(Self { all, names: (!is_plain).then_some(names), outpoints: read.outpoints, claims })
    }

    /// Who has the units that several thefts claim.
    pub(super) const fn claims(&self) -> Claims {
        self.claims
    }

    /// Everything that any of them stole, as one theft.
    pub(super) fn together(&self) -> Case {
        Case { seeds: self.all.iter().flat_map(|case| &case.seeds).copied().collect() }
    }

    /// How many walks one trace takes.
    pub(super) const fn walks(&self) -> usize {
        match self.claims {
            Claims::Earliest => 1,
            Claims::Each => self.all.len(),
        }
    }

    /// Where the units of all of them went.
    pub(super) fn trace(&self, index: &Index, terms: &Terms, walks: &mut Walks) -> Result<Trace, TaintError> {
        let found = match self.claims {
            Claims::Earliest => trace_path(index, &self.all, terms, |tx| walks.at(0, tx)),
            Claims::Each => trace_apart(index, &self.all, terms, |walk, tx| walks.at(walk, tx)),
        };
        walks.done(u64::try_from(self.walks()).unwrap_or(u64::MAX));
        found
    }
}

struct Reading<'a> {
    index: &'a Index,
    by_name: BTreeMap<String, usize>,
    all: Vec<(String, Case)>,
    outpoints: Vec<OutPoint>,
}

impl Reading<'_> {
    /// A seed of the command line.
    fn named(&mut self, text: &str) -> Result<(), Failure> {
        let what = format!("--seed {text}");
        let (name, place) = match text.split_once('=') {
            Some((name, place)) => (name.parse::<CaseId>().or_input(&what)?.to_string(), place),
            None => (UNNAMED.to_owned(), text),
        };
        let outpoint: OutPoint = place.parse().context("want TXID:VOUT or CASE=TXID:VOUT").or_input(&what)?;
        let output = seed(self.index, outpoint).or_input(&what)?;
        self.add(name, outpoint, output)
    }

    /// A file of a case, or a folder of them.
    fn path(&mut self, path: &Path) -> Result<(), Failure> {
        if !path.is_dir() {
            return self.file(path);
        }
        let shown = path.display();
        let mut files = Vec::new();
        for entry in fs::read_dir(path).or_input(shown)? {
            let file = entry.or_input(path.display())?.path();
            if file.extension().is_some_and(|extension| extension == "toml") {
                files.push(file);
            }
        }
        if files.is_empty() {
            let shown = path.display();
            return Err(Failure::input(format!(
                "--cases {shown}: the folder has no file whose name ends in .toml"
            )));
        }
        files.sort();
        files.iter().try_for_each(|file| self.file(file))
    }

    fn file(&mut self, path: &Path) -> Result<(), Failure> {
        let what = format!("--cases {}", path.display());
        let text = input::text(path, input::FILE_MAX)?;
        let raw: RawCase = toml::from_str(&text)
            .context("want a case as the role chase reads it: id, and seeds = [{ output, units }]")
            .or_input(&what)?;
        let name = raw.id.parse::<CaseId>().or_input(&what)?.to_string();
        if !(1..=SEEDS_MAX).contains(&raw.seeds.len()) {
            let found = raw.seeds.len();
            return Err(Failure::input(format!("{what}: has {found} seeds, want 1 to {SEEDS_MAX}")));
        }
        if self.by_name.contains_key(&name) {
            return Err(Failure::input(format!(
                "{what}: case {name} was given already, want each case once"
            )));
        }
        for RawSeed { output, units } in raw.seeds {
            let outpoint: OutPoint = output.parse().or_input(format_args!("{what}: seeds: {output}"))?;
            let output = seed(self.index, outpoint).or_input(&what)?;
            let value = self.index.value(output);
            if value != units {
                return Err(Failure::input(format!(
                    "{what}: says that {outpoint} has {units} base units, the index has {value}"
                )));
            }
            self.add(name.clone(), outpoint, output)?;
        }
        Ok(())
    }

    fn add(&mut self, name: String, outpoint: OutPoint, output: OutputNum) -> Result<(), Failure> {
        let place = *self.by_name.entry(name.clone()).or_insert(self.all.len());
        if place >= CASES_MAX {
            return Err(Failure::input(format!(
                "more than {CASES_MAX} cases were given, want fewer at once"
            )));
        }
        match self.all.get_mut(place) {
            Some((_, case)) => case.seeds.push(output),
            None => self.all.push((name, Case { seeds: vec![output] })),
        }
        self.outpoints.push(outpoint);
        Ok(())
    }
}
