//! Holdings from a CSV file with the columns customer, asset and amount. Takes nothing before every row is in order.

use std::path::Path;

use kuraban_inclusion::Asset;
use kuraban_ledger::{
    Assets,
    holdings::{Builder, Holdings, RawRow, Written},
};
use kuraban_liabilities::Book;

use crate::{
    fail::{Failure, OrFail as _},
    input,
    say::Say,
};

/// Longest line, in bytes.
const LINE_MAX: usize = 1_024;
/// What the first line says.
const HEAD: [&str; 3] = ["customer", "asset", "amount"];
/// How often the progress bar moves, in rows.
const STEP: u64 = 16_384;

/// An asset and its decimals, from the command line.
#[derive(Clone, Debug)]
pub(super) struct Named {
    code: String,
    decimals: u8,
}

/// Reads `CODE:DECIMALS`.
pub(super) fn named(text: &str) -> Result<Named, String> {
    let wrong = || format!("{text:?} is no asset, want CODE:DECIMALS such as QASH:6");
    let (code, decimals) = text.split_once(':').ok_or_else(wrong)?;
    Ok(Named { code: code.to_owned(), decimals: decimals.parse().map_err(|_| wrong())? })
}

/// All holdings of a file.
pub(super) fn read(path: &Path, named: &[Named], say: &Say) -> Result<Holdings, Failure> {
    let mut assets = Assets::default();
    for asset in named {
        assets.add(&asset.code, asset.decimals).or_input("--asset")?;
    }
    let wrong =
        |line: u64, problem: &str| Failure::input(format!("{}: line {line}: {problem}", path.display()));
    let mut builder = Builder::new(assets);
    let mut lines = input::lines(path, LINE_MAX)?;
    let bar = say.progress(0);
    let head = lines.next().transpose()?.map(|line| line.bytes).transpose().or_input(path.display())?;
    let head = head.ok_or_else(|| wrong(1, "is missing, want customer,asset,amount"))?;
    if head.trim_ascii().split(|byte| *byte == b',').ne(HEAD.iter().map(|name| name.as_bytes())) {
        return Err(wrong(1, "is not customer,asset,amount"));
    }
    for line in lines {
        let line = line?;
        let number = line.number;
        let bytes = line.bytes.map_err(|problem| wrong(number, &problem.to_string()))?;
        let text = core::str::from_utf8(&bytes).map_err(|_| wrong(number, "is not UTF-8"))?;
        let fields: Vec<_> = text.trim_end_matches('\r').split(',').collect();
        let [customer, asset, amount] = fields.as_slice() else {
            return Err(wrong(
                number,
                &format!("has {} fields, want 3: customer,asset,amount", fields.len()),
            ));
        };
        if text.contains('"') {
            return Err(wrong(number, "has a quotation mark, want plain fields without commas"));
        }
        let amount = Written::Coins(amount);
        builder
            .push(RawRow { line: number, customer, asset, amount, group: "", vault: "" })
            .or_input(path.display())?;
        if number % STEP == 0 {
            bar.set_length(number);
            bar.set_position(number);
        }
    }
    bar.finish_and_clear();
    builder.finish().or_input(path.display())
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
