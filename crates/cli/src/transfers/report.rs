//! The report of a trace on accounts: which asset it draws, by which rules. The page is `trace`'s.

use kuraban_trace::{
    accounts::{Outcome, Rule, Seed, Terms},
    picture::{FLOWS_MAX, PictureError, account_picture},
    tags::store::subject,
};

use super::{
    answer::{Answer, Style, fees},
    trace::{Ask, open},
};
use crate::{
    fail::Failure,
    input,
    say::Say,
    tags,
    trace::{Claims, report::accounts::Accounts},
};

/// Draws the native asset if some of it was stolen, else the first seed's token, and writes what is asked for.
pub(super) fn write(
    ask: &Ask<'_>,
    terms: &Terms,
    seeds: &[Seed],
    found: &Outcome,
    say: &Say,
) -> Result<(), Failure> {
    if !terms.rule.conserves() {
        return Err(Failure::input(format!(
            "--report and --pdf: {} marks accounts and moves no units, so there is nothing to draw; want another --method",
            terms.rule
        )));
    }
    let chain = found.header.chain;
    let stolen = |asset: &str| found.seeds.iter().any(|seed| seed.asset == asset);
    let first = found.seeds.first().map_or(chain.name(), |seed| &seed.asset);
    let asset = if stolen(chain.name()) { chain.name() } else { first };
    let rules: Vec<Rule> = Rule::ALL.into_iter().filter(|rule| rule.conserves()).collect();
    let bar = say.progress_bytes();
    bar.set_length(input::length(ask.transfers));
    let list = std::io::BufReader::new(bar.wrap_read(open(ask.transfers)?));
    let drawn = account_picture(list, terms, seeds, &rules, asset, FLOWS_MAX);
    bar.finish_and_clear();
    let drawn = drawn.map_err(|error| drawing(error, ask))?;
    let others: Vec<(Rule, Outcome)> = rules.iter().copied().zip(drawn.outcomes.iter().cloned()).collect();
    let answer = Answer { terms, found, others: &[], claims: ask.claims, alone: &[] };
    let style = Style { chain, asset };
    let tags = ask.tags.map(tags::store).transpose()?;
    let network = chain.name().to_ascii_uppercase();
    let known = |address: &str| {
        let normal = subject(&network, address).map(|(kind, checked)| (kind, checked.normal));
        let (Some(tags), Ok((kind, normal))) = (&tags, normal) else { return Vec::new() };
        let hits = tags.find(kind, &network, &normal);
        hits.iter().map(|hit| format!("{} ({})", hit.tag.label, hit.category())).collect()
    };
    let other: Vec<&str> =
        found.seeds.iter().map(|seed| seed.asset.as_str()).filter(|other| *other != asset).collect();
    if !other.is_empty() {
        say.show(&format!("the report tells {asset} alone; also stolen were {}", other.join(", ")))?;
    }
    let (ticker, decimals) = style.coin();
    Accounts {
        drawn: &drawn,
        rule: terms.rule,
        asset,
        ticker,
        decimals,
        terms: told(terms, found, style),
        agreed: Answer { others: &others, ..answer }.agreed_in(asset),
        answer: answer.to_json().to_string(),
        tags: &known,
    }
    .write(ask.files, say)
}

/// What the result depends on.
fn told(terms: &Terms, found: &Outcome, style: Style<'_>) -> Vec<(&'static str, &'static str, String)> {
    let dust = terms.dust.get(style.asset).map_or_else(|| "0".to_owned(), |dust| style.shown(*dust));
    let listed = |stops: &std::collections::BTreeSet<String>| {
        if stops.is_empty() { "-".to_owned() } else { stops.iter().cloned().collect::<Vec<_>>().join(", ") }
    };
    let height = |height: Option<u64>| height.map_or_else(|| "-".to_owned(), |height| height.to_string());
    vec![
        ("Chain", "チェーン", style.chain.name().to_owned()),
        ("Asset", "資産", style.asset.to_owned()),
        ("Last block with a transfer", "送金のある最終ブロック", height(found.height)),
        ("Method asked for", "指定された方式", terms.rule.name().to_owned()),
        ("Opening balances", "開始残高", found.header.opening.name().to_owned()),
        ("Fees", "手数料の扱い", fees(terms).to_owned()),
        ("Units that two thefts claim", "重複する主張の扱い", Claims::Earliest.name().to_owned()),
        ("Dust threshold", "少額の閾値", dust),
        ("Services", "サービス", listed(&terms.stops)),
    ]
}

fn drawing(error: PictureError, ask: &Ask<'_>) -> Failure {
    match error {
        PictureError::Trace(error) => super::trace::tracing(error, ask),
        PictureError::Rules { .. } | PictureError::Large { .. } | PictureError::Height { .. } => {
            Failure::Input(anyhow::Error::new(error).context("--report and --pdf"))
        }
    }
}
