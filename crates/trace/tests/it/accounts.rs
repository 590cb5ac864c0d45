//! Taint on account chains: against an oracle that moves numbered units one by one, and on lists written out.

mod apart;
mod bad_input;
mod dust;
mod import;
mod list;
mod live;
mod oracle;
mod property;

use kuraban_trace::accounts::{Chain, Header, Kind, Opening, Outcome, Seed, Terms, TraceError, Transfer};

/// A transfer of one test's list. Each stands in a transaction of its own, named by its number.
pub(crate) fn transfer(n: u32, kind: Kind, from: Option<&str>, to: Option<&str>, amount: u64) -> Transfer {
    Transfer {
        height: u64::from(n),
        position: 0,
        tx: format!("tx{n}"),
        index: 0,
        asset: "xem".to_owned(),
        from: from.map(str::to_owned),
        to: to.map(str::to_owned),
        amount: amount.into(),
        kind,
    }
}

/// The transfer with this number as a theft.
pub(crate) fn seed(n: u32, case: &str) -> Seed {
    Seed { tx: format!("tx{n}"), index: 0, case: case.to_owned() }
}

/// Writes a list, reads it and traces.
pub(crate) fn trace(
    opening: Opening,
    transfers: &[Transfer],
    terms: &Terms,
    seeds: &[Seed],
) -> Result<Outcome, TraceError> {
    let header = Header { chain: Chain::Xem, opening };
    let mut text = header.to_line();
    for transfer in transfers {
        text = text + "\n" + &transfer.to_line();
    }
    kuraban_trace::accounts::trace(text.as_bytes(), terms, seeds)
}
