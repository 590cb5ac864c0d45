//! A trace through an index, from what was asked to what is told and written.

use std::path::Path;

use anyhow::Context as _;
use kuraban_base::Height;
use kuraban_chain::btc::{Address, OutPoint};
use kuraban_trace::{
    accounts::Rule,
    graph::{AddressNum, Graph as _},
    index::Index,
    picture::{FLOWS_MAX, trace_picture},
    tags::store::subject,
    taint::{
        Method, Spread, Stops, Terms, Trace,
        bundle::{Question, rests},
        interval::intervals,
        seed,
    },
};

use super::{
    Ask,
    answer::Answer,
    bounds::IntervalRows,
    bundle,
    cases::{Cases, Claims},
    origins::{self, Ends},
    report::{Around, Beside, Files, Sheet},
    told::told,
    tracing,
    walk::Walks,
};
use crate::{
    fail::{Failure, OrFail as _},
    index::opening,
    say::{Report, Say},
    tags,
};

/// What is asked of an index.
pub(super) struct Job<'a> {
    args: &'a Ask,
    files: &'a Files,
    say: &'a Say,
    index: Index,
    cases: Cases,
    terms: Terms,
}

impl<'a> Job<'a> {
    /// Opens the index and looks up everything that was named.
    pub(super) fn open(
        args: &'a Ask,
        files: &'a Files,
        folder: &Path,
        rule: Rule,
        say: &'a Say,
    ) -> Result<Self, Failure> {
        let Rule::Of(method) = rule else {
            return Err(Failure::input(format!(
                "--method {rule}: is for accounts, and an index has outputs"
            )));
        };
        let index = Index::open(folder).map_err(opening)?;
        let cases = Cases::read(&index, &args.seed, &args.cases, args.overlap)?;
        let terms = terms(args, &index, method)?;
        let job = Self { args, files, say, index, cases, terms };
        job.fits()?;
        Ok(job)
    }

    /// What only one theft, or thefts that share no unit, can have.
    fn fits(&self) -> Result<(), Failure> {
        let count = self.cases.all.len();
        if self.args.bundle.is_some() && count > 1 {
            return Err(Failure::input(format!(
                "--bundle: a bundle proves one case, and {count} were given; write one for each"
            )));
        }
        if self.files.any() && count > 1 && self.cases.claims() == Claims::Each {
            return Err(Failure::input(
                "--report and --pdf: a picture shows every unit once; want --overlap earliest, or one case",
            ));
        }
        Ok(())
    }

    /// Traces, tells and writes.
    pub(super) fn run(&self) -> Result<Report, Failure> {
        let index = &self.index;
        let address = |number: AddressNum| index.address_text(number).map(|address| address.to_string());
        let mut walks = Walks::new(self.say, index, self.terms.until);
        let (found, mut answer) = self.found(&address, &mut walks)?;
        let intervals = if self.args.intervals {
            let (terms, bar) = (&self.terms, self.say.spinner("intervals"));
            let found = intervals(index, &self.cases.together(), terms.until, &terms.stops);
            bar.finish_and_clear();
            Some(IntervalRows::of(index, &address, &found.map_err(tracing)?))
        } else {
            None
        };
        let origins = self.args.origins.map(|method| self.origins(method)).transpose()?;
        let beside =
            Beside { intervals: intervals.as_ref(), origins: origins.as_deref().unwrap_or_default() };
        let traces = match (self.files.any(), self.args.all_methods) {
            (true, _) => self.reported(&found, &answer, beside, &mut walks)?,
            (false, true) => self.others(&found, &mut walks)?,
            (false, false) => Vec::new(),
        };
        if self.args.all_methods {
            answer.compare(index, &address, &traces, &Spread::of(index, &traces));
        }
        answer.intervals = intervals;
        answer.origins = origins;
        drop(walks);
        Ok(Report::done(&answer, told(&answer, index.network(), self.say.lang())))
    }

    /// The trace by the method asked for, with its bundle.
    fn found(
        &self,
        address: &dyn Fn(AddressNum) -> Option<String>,
        walks: &mut Walks,
    ) -> Result<(Trace, Answer), Failure> {
        let Self { args, index, cases, terms, .. } = self;
        if let (Some(file), [case]) = (&args.bundle, &*cases.all) {
            let bar = self.say.spinner("trace");
            let rests = rests(index, case, terms);
            bar.finish_and_clear();
            let rests = rests.map_err(bundle::gathering)?;
            let answer = Answer::of(index, address, &args.stop, &rests.trace);
            bundle::write(file, &args.blocks, index, self.question(), &rests, &answer, self.say)?;
            return Ok((rests.trace, answer));
        }
        let found = cases.trace(index, terms, walks).map_err(tracing)?;
        let (claims, names) = (cases.claims(), cases.names.as_deref());
        let answer = Answer::told(index, address, &args.stop, &found, claims, names);
        Ok((found, answer))
    }

    /// Where every seed's units come from.
    fn origins(&self, method: origins::Method) -> Result<Vec<origins::Answer>, Failure> {
        let ends = Ends { hops: Some(self.args.origins_hops), since: None };
        let of = |at: &OutPoint| origins::Answer::of(&self.index, *at, method, ends, self.say);
        self.cases.outpoints.iter().map(of).collect()
    }

    /// Writes the report; gives the traces by every method that it tells.
    fn reported(
        &self,
        found: &Trace,
        answer: &Answer,
        beside: Beside<'_>,
        walks: &mut Walks,
    ) -> Result<Vec<Trace>, Failure> {
        let (index, folder) = (&self.index, self.args.tags.as_deref());
        let tags = folder.map(tags::store).transpose()?;
        let network = index.network().asset().to_string();
        let known = |address: &str| {
            let normal = subject(&network, address).map(|(kind, checked)| (kind, checked.normal));
            let (Some(tags), Ok((kind, normal))) = (&tags, normal) else { return Vec::new() };
            tags.find(kind, &network, &normal)
                .iter()
                .map(|hit| format!("{} ({})", hit.tag.label, hit.category()))
                .collect()
        };
        let around = Around {
            name: &|number| index.address_text(number).map(|address| address.to_string()),
            time: &|height| index.header(height).map(|header| header.time_s),
            tags: &known,
            lang: self.say.lang(),
            proven: false,
            beside,
        };
        walks.expect(Method::ALL.len());
        let seen = |walk, tx| walks.at(walk, tx);
        let (traces, picture) =
            trace_picture(index, &self.cases.all, &found.terms, &Method::ALL, FLOWS_MAX, seen)
                .map_err(tracing)?;
        Sheet::of(index, &around, answer, &traces, &picture)?.write(self.files, self.say)?;
        Ok(traces)
    }

    /// Every method in turn, the one that was found already among them.
    fn others(&self, found: &Trace, walks: &mut Walks) -> Result<Vec<Trace>, Failure> {
        walks.expect(self.cases.walks().saturating_mul(Method::ALL.len().saturating_sub(1)));
        let by = |method| {
            if method == found.terms.method {
                return Ok(found.clone());
            }
            let terms = Terms { method, ..found.terms.clone() };
            self.cases.trace(&self.index, &terms, walks).map_err(tracing)
        };
        Method::ALL.into_iter().map(by).collect()
    }

    fn question(&self) -> Question {
        let Terms { method, until, dust_sat, .. } = self.terms;
        let (seeds, stops) = (self.cases.outpoints.clone(), self.args.stop.clone());
        Question { method, until, dust_sat, seeds, stops }
    }
}

fn terms(args: &Ask, index: &Index, method: Method) -> Result<Terms, Failure> {
    let mut stops = Stops::default();
    for text in &args.stop {
        if text.contains(':') {
            let outpoint: OutPoint = text.parse().or_input(format_args!("--stop {text}"))?;
            stops.outputs.insert(seed(index, outpoint).or_input(format_args!("--stop {text}"))?);
            continue;
        }
        let address = Address::parse(index.network(), text).or_input(format_args!("--stop {text}"))?;
        // Nothing can arrive at an address that no output pays to.
        stops.addresses.extend(index.find_script(&address.script()));
    }
    let until = args.until.map(u32::try_from).transpose().or_input("--until")?.map(Height::new);
    let dust_sat = match args.dust.as_slice() {
        [] => 0,
        [text] => text
            .parse()
            .context("want a whole number of base units, 0 to 18446744073709551615, without an asset")
            .or_input(format_args!("--dust {text}"))?,
        [_, ..] => return Err(Failure::input("--dust: want one amount, since an index has one asset")),
    };
    Ok(Terms { method, until, follow_fees: args.follow_fees, dust_sat, stops })
}
