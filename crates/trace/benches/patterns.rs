//! Precision and recall of the detectors on labelled mixes and real blocks, and how long one transaction takes. Prints one
//! JSON object: for each set, whole numbers; `permille` counts are of the set.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

#[path = "../tests/it/corpus.rs"]
#[expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark that cannot read its data has nothing to measure"
)]
mod corpus;

use std::time::Instant;

use corpus::{Set, Want};
use kuraban_trace::patterns::{Chain, FIRM, Known, classify};
use serde_json::{Map, Value, json};

const KNOWN: Known = Known { chain: Chain::Bitcoin, exchange_spends: false };

fn main() {
    let Some(data) = corpus::shared() else {
        println!("{}", json!({ "skipped": 1 }));
        return;
    };
    let figures: Map<String, Value> =
        corpus::sets(&data).iter().map(|set| (set.name.to_owned(), figures(set))).collect();
    println!("{}", Value::Object(figures));
}

fn figures(set: &Set) -> Value {
    let begun = Instant::now();
    let labels: Vec<_> = set.views.iter().map(|view| classify(view, KNOWN)).collect();
    let spent = begun.elapsed().as_nanos();
    let count = labels.len();
    let of = |fits: &dyn Fn(&kuraban_trace::patterns::Label) -> bool| {
        labels.iter().filter(|labels| labels.iter().any(fits)).count()
    };
    let permille = |part: usize| part.saturating_mul(1000).checked_div(count).unwrap_or(0);
    let firm = of(&|label| label.kind.is_mix() && label.confidence >= FIRM);
    let any = of(&|label| label.kind.is_mix());
    let ns = u64::try_from(spent / u128::try_from(count.max(1)).unwrap_or(1)).unwrap_or(u64::MAX);
    let mut row = json!({ "count": count, "firm_mix": firm, "any_mix": any, "ns_each": ns });
    let said = match set.want {
        Want::Is(_) | Want::Either(..) => {
            let found = of(&|label| set.want.allows(label.kind));
            let wrong =
                of(&|label| label.kind.is_mix() && label.confidence >= FIRM && !set.want.allows(label.kind));
            json!({ "found": found, "recall_permille": permille(found), "other_kind_permille": permille(wrong) })
        }
        Want::NoMix => json!({ "false_firm_permille": permille(firm), "false_any_permille": permille(any) }),
        Want::Unsaid => json!({}),
    };
    if let (Some(row), Value::Object(said)) = (row.as_object_mut(), said) {
        row.extend(said);
    }
    row
}
