//! A publication, made once.

use std::sync::OnceLock;

use kuraban_inclusion::{Asset, Scope};
use kuraban_veil::{Batch, BatchFile, Leaf, Part, Plan, Salt, Statement, Totals, prove};

/// Rows of each batch, as a power of two: the fewest.
pub(crate) const LOG_ROWS: u8 = 8;
/// Who is owed something; the rest of both batches is padding.
pub(crate) const CUSTOMERS: usize = 300;

/// A statement and its batches.
pub(crate) struct Publication {
    pub(crate) statement: Statement,
    pub(crate) files: Vec<BatchFile>,
    pub(crate) leaves: Vec<Leaf>,
}

pub(crate) fn scope(as_of_ms: u64) -> Scope {
    let asset = |code: &str, decimals| Asset { code: code.to_owned(), decimals };
    let assets = vec![asset("BTC", 8), asset("ETH", 18)];
    Scope::new("example.com/log".to_owned(), as_of_ms, 9, assets, vec![]).unwrap()
}

pub(crate) fn salt(number: usize) -> Salt {
    let [a, b, ..] = number.to_le_bytes();
    Salt::new(&[[a, b, 0x5a, 0xa5]; 8].concat().try_into().unwrap())
}

/// Two hundred million coins at most, in units of 10^-18.
pub(crate) fn leaf(number: usize) -> Leaf {
    let wide = u128::try_from(number).unwrap();
    let (name, amounts) = match number {
        0..CUSTOMERS => (format!("customer-{number:03}"), vec![wide * 1_000, wide * 10_u128.pow(24) + 7]),
        _ => (String::new(), vec![0, 0]),
    };
    Leaf { name, salt: salt(number), amounts }
}

/// Publishes leaves in batches; `seed` is what hides them.
pub(crate) fn publish(plan: &Plan, leaves: &[Leaf], seed: u8) -> Publication {
    let mut before = Totals::zero(plan.shape().assets());
    let (mut parts, mut files) = (Vec::new(), Vec::new());
    for (number, own) in leaves.chunks(plan.shape().leaves()).enumerate() {
        let batch = Batch { before, leaves: own.to_vec(), after: salt(60_000 + number) };
        let (totals, public, file) = prove(plan.shape(), &batch, plan.context(number), &[seed; 32]).unwrap();
        parts.push(Part { list: public.list, after: public.after });
        files.push(file);
        before = totals;
    }
    let statement = Statement::new(plan.clone(), parts, before).unwrap();
    Publication { statement, files, leaves: leaves.to_vec() }
}

pub(crate) fn plan(as_of_ms: u64) -> Plan {
    Plan::new(scope(as_of_ms), LOG_ROWS, 2).unwrap()
}

/// The one that most tests look at.
pub(crate) fn publication() -> &'static Publication {
    static MADE: OnceLock<Publication> = OnceLock::new();
    MADE.get_or_init(|| {
        let plan = plan(1_700_000_000_000);
        let leaves: Vec<_> = (0..2 * plan.shape().leaves()).map(leaf).collect();
        publish(&plan, &leaves, 1)
    })
}
