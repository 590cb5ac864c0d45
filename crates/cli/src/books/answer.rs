//! What books say: who held what, and what each asset comes to. Decides nothing.

use kuraban_base::{Amount, Instant};
use kuraban_ledger::books::{Books, Total};
use serde_json::{Value, json};

use super::{Check, Holdings, past, store::Store};
use crate::{
    fail::{Failure, OrFail as _},
    file,
    input::shown_utc,
    say::{Answer, Lang, Report, Say, Side, table},
};

/// Runs `kuraban books holdings`.
pub(super) fn holdings(args: &Holdings, say: &Say) -> Result<Report, Failure> {
    if args.out.exists() {
        return Err(Failure::input(format!("{}: exists already; name a new file", args.out.display())));
    }
    let store = Store::read(&args.books, past(args.at)?, say)?;
    let none = || format!("{}: nobody holds anything at {}", args.books.display(), shown_utc(args.at));
    let held = store.books.holdings().or_input(none())?;
    let mut writer = csv::Writer::from_writer(Vec::new());
    let written = "the table could not be written";
    writer.write_record(["customer", "asset", "amount"]).or_undone(written)?;
    let bar = say.progress(u64::try_from(held.rows()).unwrap_or_default());
    for row in bar.wrap_iter(held.iter()) {
        let (code, decimals) = (held.assets().code(row.asset), held.assets().decimals(row.asset));
        let coins = row.units.to_coins(decimals);
        writer.write_record([held.customer(row.customer), code, &coins]).or_undone(written)?;
    }
    bar.finish_and_clear();
    let bytes = writer.into_inner().map_err(|problem| anyhow::anyhow!("{problem}")).or_undone(written)?;
    file::write(&args.out, &bytes)?;
    let document = json!({
        "at": shown_utc(args.at),
        "customers": held.customers(),
        "rows": held.rows(),
        "assets": totals(&store.books),
        "unfinished_bytes": store.torn,
    });
    let (customers, rows, out) = (held.customers(), held.rows(), args.out.display());
    let head = match say.lang() {
        Lang::En => format!("{customers} customers, {rows} holdings at {}: {out}", shown_utc(args.at)),
        Lang::Ja => format!("{} 時点：顧客 {customers} 人、残高 {rows} 件：{out}", shown_utc(args.at)),
    };
    Ok(Report::done(&document, format!("{head}\n{}", text(&store, say.lang()))))
}

/// Runs `kuraban books check`.
pub(super) fn check(args: &Check, say: &Say) -> Result<Report, Failure> {
    let store = Store::read(&args.books, Instant::from_ms(u64::MAX), say)?;
    let books = &store.books;
    let balanced = books.totals().iter().all(Total::balances);
    let document = json!({
        "balanced": balanced,
        "batches": store.batches,
        "entries": books.entries(),
        "accounts": books.accounts(),
        "last": shown_utc(books.last()),
        "checksum": kuraban_base::hex::encode(&store.checksum),
        "assets": totals(books),
        "unfinished_bytes": store.torn,
    });
    let (batches, entries, accounts) = (store.batches, books.entries(), books.accounts());
    let head = match say.lang() {
        Lang::En => {
            format!("{batches} batches, {entries} entries, {accounts} accounts; every checksum is right")
        }
        Lang::Ja => {
            format!("取込 {batches} 回、仕訳 {entries} 件、口座 {accounts} 件、チェックサムはすべて正しい")
        }
    };
    let answer = if balanced { Answer::Yes } else { Answer::No };
    Ok(Report::new(answer, &document, format!("{head}\n{}", text(&store, say.lang()))))
}

/// What each asset comes to, as JSON.
pub(super) fn totals(books: &Books) -> Vec<Value> {
    let one = |total: &Total| {
        let [owed, overdrawn, turnover] =
            [total.owed, total.overdrawn, total.turnover].map(|units| units.to_string());
        json!({
            "asset": books.assets().code(total.asset),
            "decimals": books.assets().decimals(total.asset),
            "owed_units": owed,
            "overdrawn_units": overdrawn,
            "own_units": total.own.to_string(),
            "turnover_units": turnover,
            "holders": total.holders,
        })
    };
    books.totals().iter().map(one).collect()
}

/// What each asset comes to, for people.
fn text(store: &Store, lang: Lang) -> String {
    let head = match lang {
        Lang::En => ["asset", "owed", "overdrawn", "own", "accounts"],
        Lang::Ja => ["資産", "預り", "貸越", "自社", "口座"],
    };
    let books = &store.books;
    let mut rows = vec![head.map(str::to_owned)];
    for total in books.totals() {
        let coins = |units: Amount| units.to_coins(books.assets().decimals(total.asset));
        let own = coins(Amount::new(total.own.unsigned_abs()));
        rows.push([
            books.assets().code(total.asset).to_owned(),
            coins(total.owed),
            coins(total.overdrawn),
            if total.own < 0 { format!("-{own}") } else { own },
            total.holders.to_string(),
        ]);
    }
    let table = table([Side::Left, Side::Right, Side::Right, Side::Right, Side::Right], &rows);
    match (store.torn, lang) {
        (0, _) => table,
        (torn, Lang::En) => {
            format!("{table}\n{torn} bytes of an import that did not finish are passed over.")
        }
        (torn, Lang::Ja) => format!("{table}\n完了しなかった取込の {torn} バイトは無視した。"),
    }
}
