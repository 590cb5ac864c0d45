//! What is owed to whom: holdings as the ledger reads them, with an amount of every asset for each customer.

use kuraban_base::Instant;
use kuraban_inclusion::Asset;
use kuraban_ledger::{Assets, holdings::Holdings};
use kuraban_liabilities::Book;

use crate::{
    fail::{Failure, OrFail as _},
    holdings::Whose,
    say::Say,
};

/// All holdings of a file, or of books at an instant, in the assets that are known and those that were named.
pub(super) fn read(
    held: &Whose,
    named: &[(String, u8)],
    at: Instant,
    say: &Say,
) -> Result<Holdings, Failure> {
    let mut assets = Assets::default();
    for (code, decimals) in named {
        assets.add(code, *decimals).or_input("--asset")?;
    }
    held.read(&assets, || Ok(at), say)
}

/// The assets that somebody holds, by code.
pub(super) fn held(holdings: &Holdings) -> Vec<Asset> {
    let assets = holdings.assets();
    let mut held: Vec<_> = holdings.iter().map(|holding| holding.asset).collect();
    held.sort_unstable();
    held.dedup();
    let asset = |num| Asset { code: assets.code(num).to_owned(), decimals: assets.decimals(num) };
    let mut held: Vec<_> = held.into_iter().map(asset).collect();
    held.sort();
    held
}

/// Each customer with an amount of every asset: those of all vaults together.
pub(super) fn book(holdings: &Holdings, assets: &[Asset]) -> Result<Book, Failure> {
    let table = holdings.assets();
    let column = |num| assets.iter().position(|asset| asset.code == table.code(num));
    let columns: Vec<_> = table.codes().map(|code| table.find(code).and_then(column)).collect();
    let mut book = Book::new(assets.len());
    let mut row = vec![0_u128; assets.len()];
    for customer in 0..holdings.customers() {
        row.fill(0);
        let name = holdings.customer(customer);
        for holding in holdings.of(customer) {
            let code = table.code(holding.asset);
            let place = columns.get(holding.asset.place()).copied().flatten();
            let amount = place.and_then(|place| row.get_mut(place));
            let amount = amount.ok_or_else(|| {
                Failure::input(format!("line {}: {code} is not counted in this tree", holding.line))
            })?;
            *amount = amount.checked_add(holding.units.units()).ok_or_else(|| {
                Failure::input(format!("line {}: {name} has more than 2^128 - 1 of {code}", holding.line))
            })?;
        }
        book.push(name, &row).or_input("holdings")?;
    }
    Ok(book)
}
