//! `kuraban claims compute` and `compare`.

use std::path::{Path, PathBuf};

use kuraban_base::{Amount, Digest, Instant};
use kuraban_ledger::{
    AssetNum, Assets,
    claims::{Claims, ClaimsError, Fill, Refund, Side as Way, Totals, compute},
    holdings::Holdings,
    scheme::{Prices, Remainder, Scheme},
    units,
};
use serde_json::{Map, Value, json};

use super::tables;
use crate::{
    fail::{Failure, OrFail as _},
    holdings::{self, Need},
    input,
    say::{Lang, Report, Say, Side, table, tame, thousands},
};

pub(crate) const HELP: &str = "\
Reads who held what, and a scheme in TOML that says what is paid for which
asset to whom, at which rate, how it is rounded and who bears what rounding
leaves. Nothing is written before everything is accepted and balances. DIR
gets claims.csv (each claim with its rate), payments.csv (cash for each
customer), in-kind.csv (coins for each customer), summary.json with the root
of all statements, and what those are proven with: statements.seed (for its
owner alone) and statements.leaves. From --books count the balances at the
scheme's as_of. Schemes of six incidents stand in examples/schemes.

Examples:
  kuraban claims compute --holdings holders.parquet \\
      --scheme examples/schemes/coincheck-2018.toml --out claims
  kuraban claims compute --books books --scheme scheme.toml --out claims
  kuraban claims compute --holdings 残高.csv --encoding shift_jis \\
      --column customer=口座番号 --column asset=通貨 --column amount=数量 \\
      --scheme scheme.toml --out claims --json";

pub(crate) const COMPARE_HELP: &str = "\
Computes every scheme on the same holdings and says what each comes to, in
cash and in kind, and how many customers get more or less cash than by the
first. Coins are not valued.

Example:
  kuraban claims compare --holdings holders.csv --scheme vwap.toml \\
      --scheme close.toml";

/// What to compute.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    holdings: holdings::Whose,
    /// The scheme
    #[arg(long, value_name = "FILE")]
    scheme: PathBuf,
    #[command(flatten)]
    beside: Beside,
    /// A folder that does not exist yet, for the results
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// What to compare.
#[derive(clap::Args)]
pub(crate) struct Compare {
    #[command(flatten)]
    holdings: holdings::Whose,
    /// A scheme; the first is what the others are compared with
    #[arg(long = "scheme", value_name = "FILE", required = true)]
    schemes: Vec<PathBuf>,
    #[command(flatten)]
    beside: Beside,
}

#[derive(clap::Args)]
struct Beside {
    /// Rates by name, as `kuraban value` writes them
    #[arg(long, value_name = "FILE")]
    prices: Option<PathBuf>,
    /// Orders that were filled while services were stopped: CSV with customer, asset, side (buy or sell), amount, price
    #[arg(long, value_name = "FILE")]
    fills: Option<PathBuf>,
    /// Fees to give back: CSV with customer, kind, amount
    #[arg(long, value_name = "FILE")]
    refunds: Option<PathBuf>,
}

/// Runs `kuraban claims compute`.
pub(crate) fn run(args: &Args, say: &Say) -> Result<Report, Failure> {
    if args.out.exists() {
        return Err(Failure::input(format!("{}: exists already; name a new folder", args.out.display())));
    }
    let (scheme, digest) = args.beside.scheme(&args.scheme)?;
    let holdings = args.holdings.read(&scheme.assets, || as_of(&scheme), say)?;
    let claims = args.beside.claims(&scheme, &holdings, &args.holdings, say)?;
    let book = tables::Book { scheme: &scheme, holdings: &holdings, claims: &claims };
    let receipts = book.receipts(say).or_undone("statements")?;
    let head = receipts.levels.head();
    let mut summary = summary(&scheme, &holdings, claims.totals());
    if let Value::Object(fields) = &mut summary {
        let (root, size, digest) = (head.root.to_string(), head.size, digest.to_string());
        fields
            .insert("statements".to_owned(), json!({ "root": root, "size": size, "scheme_sha256": digest }));
    }
    tables::write(&args.out, &book, &receipts, &summary, say)?;
    let text = text(&book, head.root, &args.out, say.lang());
    Ok(Report::done(&summary, text))
}

/// When the holdings of books count.
fn as_of(scheme: &Scheme) -> Result<Instant, Failure> {
    let text = scheme.as_of.as_deref().ok_or_else(|| {
        Failure::input(format!("scheme {}: has no as_of, by which books are read", tame(&scheme.name)))
    })?;
    input::instant(text).or_input(format!("scheme {}: as_of", tame(&scheme.name)))
}

/// Runs `kuraban claims compare`.
pub(crate) fn compare(args: &Compare, say: &Say) -> Result<Report, Failure> {
    let mut first: Option<(Scheme, Holdings, Claims)> = None;
    let (mut documents, mut rows) = (Vec::new(), Vec::new());
    for path in &args.schemes {
        let (scheme, _) = args.beside.scheme(path)?;
        // Each scheme has assets of its own, and of books an instant of its own.
        let holdings = args.holdings.read(&scheme.assets, || as_of(&scheme), say)?;
        let claims = args.beside.claims(&scheme, &holdings, &args.holdings, say)?;
        let mut document = summary(&scheme, &holdings, claims.totals());
        let mut moved = ["–".to_owned(), "–".to_owned()];
        if let Some((base, held, other)) = &first {
            if base.assets.code(base.currency) != scheme.assets.code(scheme.currency) {
                return Err(Failure::input(format!(
                    "{}: pays another currency than the first scheme",
                    path.display()
                )));
            }
            let (more, less) = otherwise((&holdings, &claims), (held, other));
            moved = [more, less].map(|customers| customers.to_string());
            if let Value::Object(fields) = &mut document {
                fields.insert("customers_with_more_cash".to_owned(), json!(more));
                fields.insert("customers_with_less_cash".to_owned(), json!(less));
            }
        }
        let [more, less] = moved;
        let (cash, coins) = (money(&scheme, claims.totals().cash), in_kind(&scheme, claims.totals()));
        rows.push([path.display().to_string(), tame(&scheme.name), cash, coins, more, less]);
        documents.push(document);
        first.get_or_insert((scheme, holdings, claims));
    }
    let lang = say.lang();
    let head = [
        lang.pick("file", "ファイル"),
        lang.pick("scheme", "案"),
        lang.pick("cash", "金銭"),
        lang.pick("in kind", "現物"),
        lang.pick("more cash", "金銭が増える人"),
        lang.pick("less cash", "金銭が減る人"),
    ];
    rows.insert(0, head.map(str::to_owned));
    let sides = [Side::Left, Side::Left, Side::Right, Side::Right, Side::Right, Side::Right];
    Ok(Report::done(&json!({ "schemes": documents }), table(sides, &rows)))
}

/// How many customers get more cash than by another scheme, and how many less. They are found by name: others may hold something at
/// another instant.
fn otherwise(now: (&Holdings, &Claims), then: (&Holdings, &Claims)) -> (u64, u64) {
    let paid = |(holdings, claims): (&Holdings, &Claims), customer: &str| {
        let payment = holdings.find(customer).and_then(|place| claims.payments().get(place));
        payment.map_or(Amount::ZERO, |payment| payment.cash)
    };
    let names = (0..now.0.customers()).map(|place| now.0.customer(place));
    let gone = (0..then.0.customers()).map(|place| then.0.customer(place));
    let gone = gone.filter(|customer| now.0.find(customer).is_none());
    let (mut more, mut less) = (0_u64, 0_u64);
    for customer in names.chain(gone) {
        let (cash, before) = (paid(now, customer), paid(then, customer));
        more = more.saturating_add(u64::from(cash > before));
        less = less.saturating_add(u64::from(cash < before));
    }
    (more, less)
}

/// All that is paid as coins, in a line.
fn in_kind(scheme: &Scheme, totals: &Totals) -> String {
    let paid = totals.assets.iter().filter(|(_, total)| total.in_kind > Amount::ZERO);
    let coins = paid.map(|(asset, total)| {
        let coins = total.in_kind.to_coins(scheme.assets.decimals(*asset));
        format!("{} {}", thousands(&coins), scheme.assets.code(*asset))
    });
    let coins: Vec<String> = coins.collect();
    if coins.is_empty() { "–".to_owned() } else { coins.join(", ") }
}

impl Beside {
    /// The scheme, and the SHA-256 of the very bytes that it was read from.
    fn scheme(&self, path: &Path) -> Result<(Scheme, Digest), Failure> {
        let prices = self.prices.as_deref().map_or(Ok(Prices::new()), prices)?;
        let text = input::text(path, input::FILE_MAX)?;
        let scheme = Scheme::parse(&text, &prices).or_input(path.display())?;
        Ok((scheme, Digest::sha256(&[text.as_bytes()])))
    }

    fn claims(
        &self,
        scheme: &Scheme,
        holdings: &Holdings,
        read: &holdings::Whose,
        say: &Say,
    ) -> Result<Claims, Failure> {
        let fills = self.fills.as_deref().map_or(Ok(Vec::new()), |path| fills(path, scheme, read, say))?;
        let refunds =
            self.refunds.as_deref().map_or(Ok(Vec::new()), |path| refunds(path, scheme, read, say))?;
        if scheme.fills.is_none() && !fills.is_empty() {
            return Err(Failure::input("--fills: the scheme has no [fills], so it makes no fills good"));
        }
        compute(scheme, holdings, &fills, &refunds).map_err(|problem| {
            let table = match &problem {
                ClaimsError::Fill(_) => self.fills.as_deref(),
                ClaimsError::Refund(_) => self.refunds.as_deref(),
                ClaimsError::NoPay { .. } | ClaimsError::Large { .. } | ClaimsError::Unbalanced { .. } => {
                    None
                }
            };
            Failure::input(match table {
                Some(path) => format!("{}: {problem}", path.display()),
                None => format!("the holdings do not fit the scheme: {problem}"),
            })
        })
    }
}

/// Rates by name: a JSON object of decimal texts, or one that has it under `prices`.
fn prices(path: &Path) -> Result<Prices, Failure> {
    let document: Value = input::json(path, input::FILE_MAX)?;
    let object = document.get("prices").unwrap_or(&document).as_object();
    let wrong = || {
        Failure::input(format!(
            "{}: want an object of names and decimal texts, such as {{\"xem\":\"88.549\"}}",
            path.display()
        ))
    };
    let price = |(name, value): (&String, &Value)| {
        let text = value.as_str().or_else(|| value.get("rate")?.as_str()).ok_or_else(wrong)?;
        let rate = text.parse().or_input(format!("{}: {}", path.display(), tame(name)))?;
        Ok((name.clone(), rate))
    };
    object.ok_or_else(wrong)?.iter().map(price).collect()
}

fn fills(path: &Path, scheme: &Scheme, read: &holdings::Whose, say: &Say) -> Result<Vec<Fill>, Failure> {
    let mut fills = Vec::new();
    let columns = ["customer", "asset", "side", "amount", "price"].map(Need::Must);
    read.form().each(path, columns, say, |line, [customer, asset, side, amount, price]| {
        let code = asset.unwrap_or_default();
        let asset = find(&scheme.assets, code)?;
        let side = match side.unwrap_or_default() {
            "buy" => Way::Buy,
            "sell" => Way::Sell,
            other => anyhow::bail!("side: {:?}, want buy or sell", tame(other)),
        };
        let amount = amount.unwrap_or_default();
        let units = units(amount, scheme.assets.decimals(asset))
            .map_err(|problem| anyhow::anyhow!("amount: {problem}"))?;
        let price =
            price.unwrap_or_default().parse().map_err(|problem| anyhow::anyhow!("price: {problem}"))?;
        fills.push(Fill {
            line,
            customer: customer.unwrap_or_default().to_owned(),
            asset,
            side,
            units,
            price,
        });
        Ok(())
    })?;
    Ok(fills)
}

fn refunds(path: &Path, scheme: &Scheme, read: &holdings::Whose, say: &Say) -> Result<Vec<Refund>, Failure> {
    let mut refunds = Vec::new();
    let decimals = scheme.assets.decimals(scheme.currency);
    read.form().each(
        path,
        ["customer", "kind", "amount"].map(Need::Must),
        say,
        |line, [customer, kind, amount]| {
            let amount = units(amount.unwrap_or_default(), decimals)
                .map_err(|problem| anyhow::anyhow!("amount: {problem}"))?;
            let [customer, kind] = [customer, kind].map(|text| text.unwrap_or_default().to_owned());
            refunds.push(Refund { line, customer, kind, amount });
            Ok(())
        },
    )?;
    Ok(refunds)
}

fn find(assets: &Assets, code: &str) -> anyhow::Result<AssetNum> {
    assets.find(code).ok_or_else(|| anyhow::anyhow!("asset: {:?} is not known to the scheme", tame(code)))
}

/// Units as JSON has them: numbers for the coins whose whole supply is a safe number everywhere, text for all others.
fn coins(assets: &Assets, asset: AssetNum, units: Amount) -> Value {
    units_json(assets.code(asset), units)
}

/// As [`coins`], of an asset by its code.
pub(crate) fn units_json(code: &str, units: Amount) -> Value {
    match (code, units.to_u64()) {
        ("BTC" | "BCH" | "LTC" | "XEM", Some(units)) => json!(units),
        (_, _) => json!(units.to_string()),
    }
}

/// The coins of one asset that are paid, less what they would be without rounding, with its sign. Each customer's are rounded by
/// themselves, so this is the operator's.
fn off_in_kind(scheme: &Scheme, totals: &Totals, asset: AssetNum) -> String {
    let paid = totals.assets.get(&asset).map_or(Amount::ZERO, |total| total.in_kind);
    let paid = kuraban_ledger::Exact::of(paid, scheme.assets.decimals(asset)).unwrap_or_default();
    tables::signed(paid, totals.in_kind_exact.get(&asset).copied().unwrap_or_default())
}

/// Money in the currency's smallest unit.
fn smallest(amount: Amount) -> Value {
    amount.to_u64().map_or_else(|| json!(amount.to_string()), |units| json!(units))
}

/// Everything that a scheme comes to, as JSON.
fn summary(scheme: &Scheme, holdings: &Holdings, totals: &Totals) -> Value {
    let by_asset = totals.assets.iter().map(|(asset, total)| {
        let mut fields = Map::new();
        fields.insert("asset".to_owned(), json!(scheme.assets.code(*asset)));
        fields.insert("units".to_owned(), coins(&scheme.assets, *asset, total.held));
        if let Some(rate) = total.rate {
            fields.insert("rate".to_owned(), json!(rate.to_string()));
        }
        fields.insert("amount".to_owned(), smallest(total.cash));
        fields.insert("in_kind_units".to_owned(), coins(&scheme.assets, *asset, total.in_kind));
        if totals.in_kind_exact.get(asset).is_some_and(|exact| *exact > kuraban_ledger::Exact::ZERO) {
            fields.insert("in_kind_rounding".to_owned(), json!(off_in_kind(scheme, totals, *asset)));
        }
        Value::Object(fields)
    });
    let not_paid = totals.not_paid.iter().map(|(asset, none)| {
        json!({ "asset": scheme.assets.code(*asset), "rows": none.rows, "units": coins(&scheme.assets, *asset, none.units) })
    });
    let mut document = json!({
        "scheme": scheme.name,
        "as_of": scheme.as_of,
        "customers": holdings.customers(),
        "customers_paid": totals.paid_customers,
        "currency": scheme.assets.code(scheme.currency),
        "decimals": scheme.assets.decimals(scheme.currency),
        "total": smallest(totals.cash),
        "claims": smallest(totals.claims),
        "by_asset": by_asset.collect::<Vec<_>>(),
        "fills": smallest(totals.fills),
        "refunds": smallest(totals.refunds),
        "capped": smallest(totals.capped),
        "below_minimum": smallest(totals.below_minimum),
        "not_paid": not_paid.collect::<Vec<_>>(),
        "rounding": {
            "rule": scheme.rounding,
            "borne_by": scheme.remainder,
            "exact": totals.exact.to_string(),
            "difference": difference(scheme, totals),
        },
    });
    if let (Some(_), Value::Object(fields)) = (&scheme.insolvency, &mut document) {
        let plan = json!({ "base": smallest(totals.base), "rest": smallest(totals.rest), "unpaid": smallest(totals.unpaid) });
        fields.insert("insolvency".to_owned(), plan);
    }
    document
}

/// The claims less their exact worth, in whole units of the currency, with its sign.
fn difference(scheme: &Scheme, totals: &Totals) -> String {
    let claims =
        kuraban_ledger::Exact::of(totals.claims, scheme.assets.decimals(scheme.currency)).unwrap_or_default();
    tables::signed(claims, totals.exact)
}

/// Money for people, in thousands.
pub(super) fn money(scheme: &Scheme, amount: Amount) -> String {
    format!(
        "{} {}",
        thousands(&amount.to_coins(scheme.assets.decimals(scheme.currency))),
        scheme.assets.code(scheme.currency)
    )
}

/// Everything that a scheme comes to, for people.
fn text(book: &tables::Book<'_>, root: kuraban_base::TreeHash, out: &Path, lang: Lang) -> String {
    let (scheme, holdings, totals) = (book.scheme, book.holdings, book.claims.totals());
    let head = ["asset", "held", "rate", "in kind", "cash"];
    let head = if lang == Lang::Ja { ["資産", "保有", "単価", "現物", "金銭"] } else { head };
    let mut rows = vec![head.map(str::to_owned)];
    for (asset, total) in &totals.assets {
        let coins = |units: Amount| thousands(&units.to_coins(scheme.assets.decimals(*asset)));
        rows.push([
            scheme.assets.code(*asset).to_owned(),
            coins(total.held),
            total.rate.map_or_else(|| "–".to_owned(), |rate| thousands(&rate.to_string())),
            coins(total.in_kind),
            money(scheme, total.cash),
        ]);
    }
    let money = |amount| money(scheme, amount);
    let difference = thousands(&difference(scheme, totals));
    let (customers, paid) = (holdings.customers(), totals.paid_customers);
    let mut lines = vec![match lang {
        Lang::En => format!(
            "{}: {customers} customers, {paid} are paid, {} in cash",
            tame(&scheme.name),
            money(totals.cash)
        ),
        Lang::Ja => format!(
            "{}：顧客 {customers} 人、支払先 {paid} 人、金銭 {}",
            tame(&scheme.name),
            money(totals.cash)
        ),
    }];
    lines.push(
        table([Side::Left, Side::Right, Side::Right, Side::Right, Side::Right], &rows).trim_end().to_owned(),
    );
    lines.extend(beside_assets(scheme, totals, lang));
    let (currency, by) = (scheme.assets.code(scheme.currency), scheme.remainder);
    lines.push(match (lang, by) {
        (Lang::En, Remainder::Operator) => {
            format!(
                "rounding: claims are {difference} {currency} off their exact worth, which the operator bears"
            )
        }
        (Lang::En, Remainder::Customers) => {
            format!(
                "rounding: claims are {difference} {currency} off their exact worth, which customers bear"
            )
        }
        (Lang::Ja, Remainder::Operator) => {
            format!("端数処理：請求額の合計と正確な額との差 {difference} {currency}（会社負担）")
        }
        (Lang::Ja, Remainder::Customers) => {
            format!("端数処理：請求額の合計と正確な額との差 {difference} {currency}（顧客負担）")
        }
    });
    lines.push(format!("{}: {root}", lang.pick("root of all statements", "通知書全体のルート")));
    lines.push(format!("{}: {}", lang.pick("written to", "出力先"), out.display()));
    lines.join("\n")
}

/// What totals hold beside the assets, a line each; what is nothing is left out.
fn beside_assets(scheme: &Scheme, totals: &Totals, lang: Lang) -> Vec<String> {
    let mut lines = Vec::new();
    for (label, amount) in [
        (lang.pick("fills made good", "約定の差額補填"), totals.fills),
        (lang.pick("fees refunded", "手数料の返還"), totals.refunds),
        (lang.pick("base payments", "基本弁済"), totals.base),
        (lang.pick("early and final payments", "早期・最終弁済"), totals.rest),
        (lang.pick("left unpaid by the plan", "計画により支払われない額"), totals.unpaid),
        (lang.pick("taken off by the cap", "上限による減額"), totals.capped),
        (lang.pick("below the minimum, not paid", "下限未満で不払い"), totals.below_minimum),
    ] {
        if amount > Amount::ZERO {
            lines.push(format!("{label}: {}", money(scheme, amount)));
        }
    }
    for asset in totals.assets.keys() {
        let (off, code) = (off_in_kind(scheme, totals, *asset), scheme.assets.code(*asset));
        if off != "0" {
            lines.push(match lang {
                Lang::En => format!("rounding in kind: {off} {code}, which the operator bears"),
                Lang::Ja => format!("現物の端数処理：正確な数量との差 {off} {code}（会社負担）"),
            });
        }
    }
    for (asset, none) in &totals.not_paid {
        let (code, units) =
            (scheme.assets.code(*asset), thousands(&none.units.to_coins(scheme.assets.decimals(*asset))));
        lines.push(match lang {
            Lang::En => format!("not paid for: {units} {code} in {} rows", none.rows),
            Lang::Ja => format!("対象外：{units} {code}（{} 行）", none.rows),
        });
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_shown_in_thousands() {
        for (number, want) in [
            ("0", "0"),
            ("999", "999"),
            ("1000", "1,000"),
            ("46311127000", "46,311,127,000"),
            ("1234.5678", "1,234.5678"),
            ("-1234.5", "-1,234.5"),
            ("-0.5", "-0.5"),
        ] {
            assert_eq!(thousands(number), want);
        }
    }
}
