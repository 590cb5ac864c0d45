//! `kuraban trace --transfers`: where stolen units are on accounts, from a list and stated terms.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::ValueEnum;
use indicatif::ProgressBar;
use kuraban_base::CaseId;
use kuraban_trace::accounts::{
    self, Apart, Chain, Fees, Header, Outcome, Reader, Rule, Seed, Terms, TraceError, Units,
};
use kuraban_trace::tags::address;

use super::{answer::Answer, report, told::told};
use crate::{
    fail::{Failure, OrFail as _},
    input,
    say::{Report, Say, tame},
    trace::{Claims, report::Files},
};

/// The theft that seeds belong to where none is named.
const CASE: &str = "theft";

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum ChainName {
    Eth,
    Xrp,
    Xem,
}

impl ChainName {
    const fn chain(self) -> Chain {
        match self {
            Self::Eth => Chain::Eth,
            Self::Xrp => Chain::Xrp,
            Self::Xem => Chain::Xem,
        }
    }
}

/// What is asked, as the command line has it.
#[derive(Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) transfers: &'a PathBuf,
    pub(crate) chain: ChainName,
    pub(crate) seeds: &'a [String],
    /// Who has the units that several thefts claim.
    pub(crate) claims: Claims,
    pub(crate) rule: Rule,
    /// Every rule beside it.
    pub(crate) all: bool,
    pub(crate) until: Option<u64>,
    pub(crate) follow_fees: bool,
    pub(crate) dust: &'a [String],
    pub(crate) stops: &'a [String],
    /// Reports to write.
    pub(crate) files: &'a Files,
    /// A store of tags to name accounts by in them.
    pub(crate) tags: Option<&'a Path>,
}

/// Traces, and tells.
pub(crate) fn run(ask: &Ask<'_>, say: &Say) -> Result<Report, Failure> {
    let chain = ask.chain.chain();
    let header = header(ask.transfers)?;
    if header.chain != chain {
        let (found, want) = (header.chain.name(), chain.name());
        return Err(Failure::input(format!(
            "{}: is a list of {found}, want {want}",
            ask.transfers.display()
        )));
    }
    let seeds: Vec<Seed> = ask.seeds.iter().map(|text| seed(chain, text)).collect::<Result<_, _>>()?;
    let cases = seeds.iter().map(|seed| &seed.case).collect::<BTreeSet<_>>().len();
    if ask.files.any() && cases > 1 && ask.claims == Claims::Each {
        return Err(Failure::input(
            "--report and --pdf: a picture shows every unit once; want --overlap earliest, or one case",
        ));
    }
    let terms = Terms {
        until: ask.until,
        fees: if ask.follow_fees { Fees::Follow } else { Fees::Count },
        dust: ask.dust.iter().map(|text| dust(chain, text)).collect::<Result<BTreeMap<_, _>, _>>()?,
        stops: ask.stops.iter().map(|text| stop(chain, text)).collect::<Result<BTreeSet<_>, _>>()?,
        ..Terms::new(ask.rule)
    };
    let bar = say.progress_bytes();
    let walks = if ask.all { Rule::ALL.len() } else { 1 };
    bar.set_length(input::length(ask.transfers).saturating_mul(u64::try_from(walks).unwrap_or(1)));
    let (found, alone) = traced(ask, &terms, &seeds, &bar)?;
    let mut others = Vec::new();
    for rule in Rule::ALL.into_iter().filter(|_| ask.all) {
        let by = if rule == ask.rule {
            found.clone()
        } else {
            traced(ask, &Terms { rule, ..terms.clone() }, &seeds, &bar)?.0
        };
        others.push((rule, by));
    }
    bar.finish_and_clear();
    if ask.files.any() {
        report::write(ask, &terms, &seeds, &found, say)?;
    }
    let answer = Answer { terms: &terms, found: &found, others: &others, claims: ask.claims, alone: &alone };
    Ok(Report::done(&answer.to_json(), told(&answer, say.lang())))
}

pub(super) fn open(ask: &PathBuf) -> Result<Box<dyn BufRead>, Failure> {
    let file = File::open(ask).context("could not be opened").or_input(ask.display())?;
    Ok(Box::new(BufReader::new(file)))
}

fn header(path: &PathBuf) -> Result<Header, Failure> {
    Reader::new(open(path)?).map(|reader| reader.header()).or_input(path.display())
}

/// The trace of all cases, and of each alone where they are followed apart.
fn traced(
    ask: &Ask<'_>,
    terms: &Terms,
    seeds: &[Seed],
    bar: &ProgressBar,
) -> Result<(Outcome, Vec<Outcome>), Failure> {
    let list = BufReader::new(bar.wrap_read(open(ask.transfers)?));
    let found = match ask.claims {
        Claims::Earliest => accounts::trace(list, terms, seeds).map(|found| (found, Vec::new())),
        Claims::Each => {
            accounts::trace_apart(list, terms, seeds).map(|Apart { together, alone }| (together, alone))
        }
    };
    found.map_err(|error| tracing(error, ask))
}

/// Why there is no trace, by whose fault.
pub(super) fn tracing(error: TraceError, ask: &Ask<'_>) -> Failure {
    let list = ask.transfers.display().to_string();
    let (undone, what) = match &error {
        // A fault here, not in what was given.
        TraceError::Unbalanced(_) => (true, "the trace cannot be trusted".to_owned()),
        TraceError::List(_) | TraceError::Book { .. } => (false, list),
        TraceError::NoSeed | TraceError::SeedTwice { .. } | TraceError::NoSuchSeed { .. } => {
            (false, "--seed".to_owned())
        }
    };
    let error = anyhow::Error::new(error).context(what);
    if undone { Failure::Undone(error) } else { Failure::Input(error) }
}

/// `[CASE=]TXID:INDEX`
fn seed(chain: Chain, text: &str) -> Result<Seed, Failure> {
    let wrong = || Failure::input(format!("--seed {text}: want TXID:INDEX or CASE=TXID:INDEX"));
    let (case, place) = text.split_once('=').unwrap_or((CASE, text));
    let case = case.parse::<CaseId>().or_input(format_args!("--seed {text}"))?.to_string();
    let (tx, index) = place.rsplit_once(':').ok_or_else(wrong)?;
    let index = index.parse().map_err(|_| wrong())?;
    if tx.is_empty() {
        return Err(wrong());
    }
    Ok(Seed { tx: chain.canonical(tx), index, case })
}

/// An account. What has the form of an address of the chain must be one: a slip would hold nothing, and not be seen.
fn stop(chain: Chain, text: &str) -> Result<String, Failure> {
    let (network, is_address) = match chain {
        Chain::Eth => ("ETH", text.starts_with("0x")),
        Chain::Xrp => {
            let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric());
            ("XRP", text.starts_with('r') && (25..=35).contains(&text.len()) && is_plain)
        }
        Chain::Xem => ("XEM", false),
    };
    if is_address {
        address::address(network, text).or_input(format_args!("--stop {}", tame(text)))?;
    }
    Ok(chain.canonical(text))
}

/// `[ASSET=]AMOUNT`, the native asset where none is named.
fn dust(chain: Chain, text: &str) -> Result<(String, Units), Failure> {
    let (asset, amount) = text.split_once('=').unwrap_or((chain.name(), text));
    let amount = amount.parse().or_input(format_args!("--dust {text}"))?;
    Ok((chain.canonical(asset), amount))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_people_write_them() {
        let check = |chain: Chain, text: &str, want: &str| assert_eq!(chain.canonical(text), want);
        check(Chain::Eth, "0xAbCd", "0xabcd");
        check(Chain::Xrp, &"ab".repeat(32), &"AB".repeat(32));
        check(Chain::Xrp, "rMfLjFNCsFQxKc2hdgkZqjfLEKTot7S3ii", "rMfLjFNCsFQxKc2hdgkZqjfLEKTot7S3ii");
        check(Chain::Xem, &"AB".repeat(32), &"ab".repeat(32));
        check(
            Chain::Xem,
            "NC4C6P-SUW5CL-TDT5SX-AGJDQJ-GZNESK-FK5MCN-77OG",
            "NC4C6PSUW5CLTDT5SXAGJDQJGZNESKFK5MCN77OG",
        );
        check(Chain::Xem, "dim:coin", "dim:coin");
    }

    #[test]
    fn a_stop_with_the_form_of_an_address_must_be_one() {
        let check = |chain: Chain, text: &str, want: Option<&str>| {
            assert_eq!(stop(chain, text).ok().as_deref(), want, "{text}");
        };
        let small = "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed";
        check(Chain::Eth, "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", Some(small));
        check(Chain::Eth, small, Some(small));
        check(Chain::Eth, "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAee", None);
        check(Chain::Eth, &small[..41], None);
        check(Chain::Eth, "exchange", Some("exchange"));
        check(Chain::Xrp, "rMfLjFNCsFQxKc2hdgkZqjfLEKTot7S3ii", Some("rMfLjFNCsFQxKc2hdgkZqjfLEKTot7S3ii"));
        check(Chain::Xrp, "rMfLjFNCsFQxKc2hdgkZqjfLEKTot7S3ij", None);
        check(Chain::Xrp, "escrow:AB", Some("escrow:AB"));
        check(Chain::Xem, "exchange", Some("exchange"));
    }

    #[test]
    fn seeds_name_a_case_or_none() {
        let check = |text: &str, want: Option<(&str, &str, u32)>| {
            let found = seed(Chain::Xem, text).ok();
            let shown = found.as_ref().map(|seed| (seed.case.as_str(), seed.tx.as_str(), seed.index));
            assert_eq!(shown, want, "{text}");
        };
        check("ab:3", Some(("theft", "ab", 3)));
        check("zaif=ab:0", Some(("zaif", "ab", 0)));
        check("ab:4294967296", None);
        check("ab", None);
        check("=ab:0", None);
        check("\u{1b}[2J=ab:0", None);
        check(":0", None);
    }
}
