//! `kuraban claims pay`: asks the writer for a payout of kind compensation for every customer who is paid in coins, once. Decides what is
//! asked for; how it is asked for is [`crate::asking`]'s.
//!
//! A payout's id and idempotency key are made of the statements' root, the customer and the asset. A computation that is made again has
//! another root, and would pay everybody again: where payouts were asked for under another root, it has to be named.

use std::{
    collections::{BTreeSet, HashMap},
    path::PathBuf,
};

use kuraban_base::{Amount, Digest, TreeHash};
use kuraban_ledger::{Assets, units};
use kuraban_vault::PayoutKind;
use serde::Serialize;

use super::folder::Folder;
use crate::{
    asking::{Asked, Due, Payer},
    fail::{Failure, OrFail as _},
    file,
    holdings::{Form, Need},
    judge::Broken,
    say::{Answer, Lang, Report, Say, tame},
    writer::{Refused, Writer},
};

pub(super) const HELP: &str = "\
Addresses are a CSV with the columns customer, asset and address. The vault's
asset is what is paid; run it once for each. Terms stand in the journal
payouts-ASSET.jsonl from the first run on. A run that was killed, or whose
writer was away, is run again with the same options: nothing is asked for
twice. Payouts then need approvals as any other does. Where payouts of another
computation were asked for, --beside has to name its root: whoever is paid by
two computations of one loss is paid twice.

Example:
  kuraban claims pay --claims claims --addresses addresses.csv --from hot \\
      --fee-cap 20000 --expiry 2024-12-31T00:00:00Z \\
      --writer http://guard.example:8080 --roster roster.toml \\
      --policy policy.toml --vault hot.toml --key ~/.ssh/id_ed25519";

/// What keys are made for.
const KEY: &[u8] = b"kuraban-compensation-v1";
/// How payouts' ids begin.
const FAMILY: &str = "comp-";
/// Hexadecimal digits of the root in a payout's id, which holds 64 characters, and of the key behind them.
const ROOT_DIGITS: usize = 12;
const ID_DIGITS: usize = 46;
/// What stands before the root in a payout's memo.
const MEMO: &str = "compensation ";
/// Most other roots that are looked for.
const ROOTS_MAX: usize = 1000;

/// What to ask for.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The folder that `kuraban claims compute` wrote
    #[arg(long, value_name = "DIR")]
    claims: PathBuf,
    /// The root that was published: no other is paid by
    #[arg(long, value_name = "HEX")]
    root: Option<TreeHash>,
    /// Roots of other losses under which this writer was asked for payouts
    #[arg(long, value_name = "HEX", num_args = 1..)]
    beside: Vec<TreeHash>,
    /// Where customers want their coins
    #[arg(long, value_name = "FILE")]
    addresses: PathBuf,
    #[command(flatten)]
    form: Form,
    #[command(flatten)]
    payer: Payer,
}

/// Coins that one customer gets.
struct Coins {
    customer: String,
    amount: u64,
    address: String,
}

#[derive(Serialize)]
struct Not {
    id: String,
    customer: String,
    refused: Refused,
}

/// Whom no signer would pay: for so little or so much, or to such an address.
#[derive(Serialize)]
struct NotAsked {
    customer: String,
    reasons: Vec<Broken>,
}

#[derive(Serialize)]
struct Done {
    asset: String,
    payouts: usize,
    taken_before: usize,
    taken_now: usize,
    without_address: usize,
    refused: Vec<Not>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_asked: Vec<NotAsked>,
}

/// Runs `kuraban claims pay`.
pub(super) fn run(args: &Args, say: &Say) -> Result<Report, Failure> {
    let (charter, network) = args.payer.charter()?;
    let folder = Folder::under(&args.claims, args.root)?;
    let asset = network.asset().to_string();
    let root = folder.head().root;
    let (due, without) = due(args, &folder, &asset, say)?;
    let journal = args.claims.join(format!("payouts-{asset}.jsonl"));
    let what = (PayoutKind::Compensation, root.to_string());
    let mut asking = args.payer.asking(&charter, network, what, &journal, say)?;
    if let Some(other) = other(asking.writer(), &root, &args.beside)? {
        return Err(Failure::input(format!(
            "payouts were asked for by another computation: {}; if it was of another loss, name its root with --beside",
            tame(&other)
        )));
    }
    let list: String =
        core::iter::once("customer,amount\n".to_owned()).chain(without.iter().cloned()).collect();
    file::write(&args.claims.join(format!("without-address-{asset}.csv")), list.as_bytes())?;
    let mut done = Done {
        asset,
        payouts: due.len(),
        taken_before: 0,
        taken_now: 0,
        without_address: without.len(),
        refused: Vec::new(),
        not_asked: Vec::new(),
    };
    let bar = say.progress(u64::try_from(due.len()).unwrap_or_default());
    let mut hopeless = None;
    for coins in due {
        bar.inc(1);
        let due = coins.due(&root, &done.asset);
        match asking.ask(&due, say.lang())? {
            Asked::Before { same: _ } => done.taken_before = done.taken_before.saturating_add(1),
            Asked::Now => done.taken_now = done.taken_now.saturating_add(1),
            Asked::Refused(refused) => {
                done.refused.push(Not { id: due.id, customer: coins.customer, refused });
            }
            // What is hopeless for one customer is no reason to leave the others unpaid.
            Asked::Hopeless(mut found) => {
                let reasons = core::mem::take(&mut found.reasons);
                done.not_asked.push(NotAsked { customer: coins.customer, reasons });
                hopeless.get_or_insert(found);
            }
        }
    }
    bar.finish_and_clear();
    let mut text = done.text(say.lang());
    if let Some(first) = hopeless {
        text = format!("{text}\n{}", first.text());
    }
    let answer = if done.refused.is_empty() && done.not_asked.is_empty() { Answer::Yes } else { Answer::No };
    Ok(Report::new(answer, &done, text))
}

impl Done {
    fn text(&self, lang: Lang) -> String {
        let (now, before, refused) = (self.taken_now, self.taken_before, self.refused.len());
        let (payouts, without, not) = (self.payouts, self.without_address, self.not_asked.len());
        match lang {
            Lang::En => format!(
                "{payouts} payouts: {now} requested now, {before} before, {refused} refused, {not} not asked for; {without} customers have no address"
            ),
            Lang::Ja => format!(
                "出金 {payouts} 件：今回依頼 {now} 件、依頼済み {before} 件、拒否 {refused} 件、依頼不可 {not} 件。アドレス未登録 {without} 人"
            ),
        }
    }
}

/// What was asked for under a root that is neither this one nor named: whose payout, and by its memo which root.
fn other(writer: &Writer, own: &TreeHash, beside: &[TreeHash]) -> Result<Option<String>, Failure> {
    let known: BTreeSet<String> = beside.iter().chain([own]).map(family).collect();
    let mut after = FAMILY.to_owned();
    for _ in 0..ROOTS_MAX {
        let next = writer.next(&after.parse().or_undone("the payouts of computations")?)?;
        let Some(payout) = next.map(|view| view.payout).filter(|one| one.id.starts_with(FAMILY)) else {
            return Ok(None);
        };
        after = match known.iter().find(|family| payout.id.starts_with(*family)) {
            // Behind all hexadecimal digits.
            Some(found) => format!("{found}g"),
            None if is_own(&payout) => {
                return Ok(Some(format!("{}, {}", payout.id, payout.memo.unwrap_or_default())));
            }
            // Named so by somebody.
            None => payout.id,
        };
    }
    Err(Failure::undone(format!("the writer was asked under more than {ROOTS_MAX} roots")))
}

/// Whether this command asked for a payout, under whatever root.
fn is_own(payout: &kuraban_api::Payout) -> bool {
    let parts = payout.id.strip_prefix(FAMILY).and_then(|rest| rest.split_once('-'));
    payout.kind == PayoutKind::Compensation.to_string()
        && parts.is_some_and(|(root, key)| root.len() == ROOT_DIGITS && key.len() == ID_DIGITS)
}

/// How the ids of all payouts under a root begin.
fn family(root: &TreeHash) -> String {
    format!("{FAMILY}{}-", root.to_string().get(..ROOT_DIGITS).unwrap_or_default())
}

/// Who gets how much where, and lines of a table of those who said no address.
fn due(args: &Args, folder: &Folder, asset: &str, say: &Say) -> Result<(Vec<Coins>, Vec<String>), Failure> {
    let mut addresses = HashMap::new();
    let columns = ["customer", "asset", "address"].map(Need::Must);
    args.form.each(&args.addresses, columns, say, |_, [customer, of, address]| {
        if of.unwrap_or_default() == asset {
            let customer = customer.unwrap_or_default();
            let before = addresses.insert(customer.to_owned(), address.unwrap_or_default().to_owned());
            anyhow::ensure!(
                before.is_none(),
                "customer: {:?} has an address already, want one",
                tame(customer)
            );
        }
        Ok(())
    })?;
    let assets = Assets::default();
    let decimals = assets.find(asset).map(|num| assets.decimals(num));
    let Some(decimals) = decimals else {
        return Err(Failure::input(format!("decimals of {asset} are not known")));
    };
    let (mut due, mut without) = (Vec::new(), Vec::new());
    let bar = say.progress(folder.head().size);
    folder.whole(|_, statement| {
        bar.inc(1);
        let customer = &statement.customer;
        let place = || format!("in kind for {:?}", tame(customer));
        let mut all = Amount::ZERO;
        for line in statement.lines.iter().filter(|line| line.what == asset) {
            let coins = units(&line.in_kind, decimals).or_input(place())?;
            all = all.plus(coins).ok_or_else(|| Failure::input(format!("{}: is too much", place())))?;
        }
        if all == Amount::ZERO {
            return Ok(());
        }
        let Some(amount) = all.to_u64() else {
            return Err(Failure::input(format!("{}: is more than any payout", place())));
        };
        match addresses.remove(customer) {
            Some(address) => due.push(Coins { customer: statement.customer, amount, address }),
            None => without.push(format!("{},{}\n", quoted(customer), all.to_coins(decimals))),
        }
        Ok(())
    })?;
    bar.finish_and_clear();
    Ok((due, without))
}

/// A field of a CSV file (RFC 4180).
fn quoted(field: &str) -> String {
    format!("\"{}\"", field.replace('"', "\"\""))
}

impl Coins {
    fn due(&self, root: &TreeHash, asset: &str) -> Due {
        let attempt = attempt(root.as_bytes(), &self.customer, asset);
        Due {
            id: format!("{}{}", family(root), attempt.to_string().get(..ID_DIGITS).unwrap_or_default()),
            attempt,
            whose: format!("customer {}", tame(&self.customer)),
            address: self.address.clone(),
            amount: self.amount,
            memo: Some(format!("{MEMO}{root}")),
        }
    }
}

/// What names the request for one customer and asset under one root: lengths keep two names from running together.
fn attempt(root: &[u8; 32], customer: &str, asset: &str) -> Digest {
    let length = u64::try_from(customer.len()).unwrap_or(u64::MAX).to_be_bytes();
    Digest::sha256(&[KEY, root, &length, customer.as_bytes(), asset.as_bytes()])
}
