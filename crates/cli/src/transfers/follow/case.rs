//! The file of a case on a chain of accounts.

use std::path::Path;

use kuraban_trace::{
    accounts::Chain,
    feed::{self, Opened, Rules, SEEDS_MAX, Seed, Words},
    tags::taxonomy,
    taint::Method,
};
use serde::Deserialize;

use crate::{
    fail::{Failure, OrFail as _},
    input,
};

/// Longest time that a tag may hold without being given again, in hours: ten years.
const LASTS_HOURS_MAX: u64 = 87_600;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCase {
    id: String,
    label: String,
    concept: String,
    source: String,
    asset: Option<String>,
    seeds: Vec<RawSeed>,
    #[serde(default)]
    methods: Vec<String>,
    #[serde(default)]
    follow_fees: bool,
    #[serde(default = "none")]
    dust: String,
    #[serde(default = "one")]
    tag_min: String,
    hub_min: Option<u32>,
    lasts_hours: Option<u64>,
    closed: Option<String>,
}

fn none() -> String {
    "0".to_owned()
}

fn one() -> String {
    "1".to_owned()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSeed {
    transfer: String,
    units: String,
}

/// A case as its file has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct CaseFile {
    pub(super) opened: Opened,
    /// Why it is closed, if it is.
    pub(super) closed: Option<Words>,
}

impl CaseFile {
    /// Reads it.
    pub(super) fn read(path: &Path, chain: Chain) -> Result<Self, Failure> {
        let text = input::text(path, input::FILE_MAX)?;
        parse(&text, chain).or_input(path.display())
    }
}

fn parse(text: &str, chain: Chain) -> anyhow::Result<CaseFile> {
    let raw: RawCase = toml::from_str(text)?;
    let concept = taxonomy::concept(&raw.concept)
        .ok_or_else(|| anyhow::anyhow!("concept: {:?} is not in the taxonomy of tags", raw.concept))?;
    let lasts_ms = match raw.lasts_hours {
        None => None,
        Some(hours @ 1..=LASTS_HOURS_MAX) => Some(hours.saturating_mul(3_600_000)),
        Some(hours) => anyhow::bail!("lasts_hours: {hours}, want 1 to {LASTS_HOURS_MAX}"),
    };
    let rules = Rules {
        methods: methods(&raw.methods)?,
        follow_fees: raw.follow_fees,
        dust_units: units("dust", &raw.dust)?,
        tag_units_min: units("tag_min", &raw.tag_min)?,
        hub_outputs_min: raw.hub_min,
        lasts_ms,
    };
    let native = chain.name();
    let asset = raw.asset.map(|asset| chain.canonical(&asset)).filter(|asset| asset != native);
    let opened = Opened {
        case: raw.id.parse().map_err(|problem| anyhow::anyhow!("id: {problem}"))?,
        chain: feed::Chain::Accounts(chain),
        token: asset.map(|asset| words("asset", &asset)).transpose()?,
        label: words("label", &raw.label)?,
        concept,
        source: words("source", &raw.source)?,
        seeds: seeds(&raw.seeds, chain)?,
        rules,
    };
    Ok(CaseFile { opened, closed: raw.closed.map(|reason| words("closed", &reason)).transpose()? })
}

fn words(field: &str, text: &str) -> anyhow::Result<Words> {
    text.parse().map_err(|problem| anyhow::anyhow!("{field}: {problem}"))
}

fn units(field: &str, text: &str) -> anyhow::Result<u128> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let units = text.parse().ok().filter(|_| plain);
    units.ok_or_else(|| anyhow::anyhow!("{field}: {text:?}, want base units as a text, from 0 to 2^128 - 1"))
}

/// In their order; all of them if none is named.
fn methods(names: &[String]) -> anyhow::Result<Vec<Method>> {
    if names.is_empty() {
        return Ok(Method::ALL.to_vec());
    }
    let named: Result<Vec<Method>, _> = names.iter().map(|name| name.parse()).collect();
    let mut methods = named.map_err(|problem| anyhow::anyhow!("methods: {problem}"))?;
    methods.sort_unstable();
    let count = methods.len();
    methods.dedup();
    anyhow::ensure!(methods.len() == count, "methods: one of them stands there twice");
    Ok(methods)
}

fn seeds(raw: &[RawSeed], chain: Chain) -> anyhow::Result<Vec<Seed>> {
    anyhow::ensure!(
        (1..=SEEDS_MAX).contains(&raw.len()),
        "seeds: {} of them, want 1 to {SEEDS_MAX}",
        raw.len()
    );
    let seed = |raw: &RawSeed| {
        let parts = raw.transfer.rsplit_once(':');
        let found =
            parts.and_then(|(tx, index)| Some((chain.tx_id(&chain.canonical(tx))?, index.parse().ok()?)));
        let (tx, index) = found.ok_or_else(|| {
            anyhow::anyhow!(
                "seeds: {:?}, want the hash of a transaction, a colon and a transfer's place",
                raw.transfer
            )
        })?;
        Ok(Seed { tx, index, units: units("seeds: units", &raw.units)? })
    };
    let mut seeds = raw.iter().map(seed).collect::<anyhow::Result<Vec<_>>>()?;
    seeds.sort_unstable();
    let twice = seeds
        .windows(2)
        .find(|pair| matches!(pair, [one, next] if (one.tx, one.index) == (next.tx, next.index)));
    if let Some([seed, _]) = twice {
        anyhow::bail!("seeds: {}:{} stands there twice", chain.tx_name(&seed.tx), seed.index);
    }
    Ok(seeds)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CASE: &str = r#"
        id = "theft-1"
        label = "stolen funds"
        concept = "service_hack"
        source = "https://example.org/notice"
        seeds = [{ transfer = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA:0", units = "5" }]
    "#;

    #[test]
    fn what_a_file_leaves_out_is_the_least_that_can_be_meant() {
        let case = parse(CASE, Chain::Xem).unwrap();
        let Rules { methods, dust_units, tag_units_min, hub_outputs_min, .. } = &case.opened.rules;
        assert_eq!((methods.as_slice(), *dust_units, *tag_units_min), (Method::ALL.as_slice(), 0, 1));
        assert_eq!((hub_outputs_min, &case.opened.token, &case.closed), (&None, &None, &None));
        assert_eq!(parse(&format!("asset = \"xem\"\n{CASE}"), Chain::Xem).unwrap(), case);
        let token = parse(&format!("asset = \"dim:coin\"\n{CASE}"), Chain::Xem).unwrap();
        assert_eq!(token.opened.token.unwrap().as_str(), "dim:coin");
    }

    #[test]
    fn a_file_that_cannot_be_meant_is_refused_with_its_field() {
        let check = |from: &str, to: &str, want: &str| {
            assert!(CASE.contains(from), "{from}");
            let error = format!("{:#}", parse(&CASE.replace(from, to), Chain::Xem).unwrap_err());
            assert!(error.contains(want), "{error} lacks {want}");
        };
        check("theft-1", "Theft 1", "id: ");
        check("service_hack", "nothing", "concept: \"nothing\" is not in the taxonomy");
        check("stolen funds", "", "label: text has 0 bytes");
        check("AAAA:0", "AAAA", "want the hash of a transaction");
        check("AAAA:0", "AAA:0", "want the hash of a transaction");
        check("AAAA:0", "AAAA:4294967296", "want the hash of a transaction");
        check("\"5\"", "\"+5\"", "seeds: units: \"+5\"");
        check("\"5\"", "\"340282366920938463463374607431768211456\"", "from 0 to 2^128 - 1");
        check("\"5\"", "5", "expected a string");
        check("id =", "lasts_hours = 0\nid =", "lasts_hours: 0, want 1 to 87600");
        check("id =", "methods = [\"fifo\", \"fifo\"]\nid =", "methods: one of them stands there twice");
        check("id =", "methods = [\"libr\"]\nid =", "methods: method \"libr\" is not known");
        check("id =", "hub = 3\nid =", "unknown field `hub`");
    }
}
