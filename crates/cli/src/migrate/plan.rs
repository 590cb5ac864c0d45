//! `kuraban migrate plan`: freeze, test batch, final batch. Decides which steps of a plan are done, from the folders of both sides and
//! from nobody's word.
//!
//! The accounts at the freeze are kept as one root. A batch is done if its hand-over has exactly those accounts of the freeze that the plan
//! gives it, balance by balance; so both batches together are the freeze.

pub(super) mod file;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use kuraban_base::{Amount, Digest, Instant, TreeHash};
use kuraban_ledger::{
    handover::{Account, Fold, Row, Salt, Sum, none_of},
    holdings::Holdings,
    units,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use ssh_key::PublicKey;

use self::file::{Batch, Plan, Step};
use super::{Known, OrRefuse as _, Stop, folder, verify::Pair};
use crate::{
    claims::units_json,
    fail::{Failure, OrFail as _},
    holdings::Held,
    input::{now, shown_utc},
    journal::Lines,
    say::{Lang, Report, Say, tame},
};

pub(crate) const HELP: &str = "\
A plan is a TOML file: name, sender and receiver (SSH public keys), assets,
[[signs_off]] with name and key, [freeze] at, [test] at with customers or
groups, [final] at. Each step is noted in PLAN.journal once its folders show
that it is done; a step that is done is verified again and changes nothing.

Examples:
  kuraban migrate plan check autumn.toml --holdings holdings.csv
  kuraban migrate plan done freeze autumn.toml --holdings frozen.csv
  kuraban migrate export --holdings frozen.csv --plan autumn.toml \\
      --batch test --to age1… --key ~/.ssh/handover --out first
  kuraban migrate plan done test autumn.toml --holdings frozen.csv \\
      --export first --import first-taken --sign-off officer.sig
  kuraban migrate plan status autumn.toml

Exit status: 0 done, 1 refused, 2 bad usage or input, 3 could not be done.";

/// Under which SSH namespace somebody signs that differences are in order.
const SIGN_OFF: &str = "kuraban-sign-off";

/// What is added to a plan's name for its journal's.
const JOURNAL: &str = "journal";

/// What to do with a plan.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Say whether a plan can be carried out, and with --holdings on these
    Check {
        /// The plan (TOML)
        plan: PathBuf,
        /// Who holds what: CSV or Parquet, as `migrate export` reads it
        #[arg(long, value_name = "FILE")]
        holdings: Option<PathBuf>,
        #[command(flatten)]
        form: crate::holdings::Form,
        #[command(flatten)]
        known: Known,
    },
    /// Note a step, once its folders show that it is done
    Done(Done),
    /// Say which steps are done
    Status {
        /// The plan (TOML)
        plan: PathBuf,
    },
}

/// Which step of which plan, and what shows that it is done.
#[derive(clap::Args)]
pub(crate) struct Done {
    /// The step
    #[arg(value_enum)]
    step: Step,
    /// The plan (TOML)
    plan: PathBuf,
    #[command(flatten)]
    holdings: Held,
    #[command(flatten)]
    known: Known,
    /// The batch's hand-over
    #[arg(long, value_name = "DIR", requires = "import")]
    export: Option<PathBuf>,
    /// What the receiver's import of it wrote
    #[arg(long, value_name = "DIR", requires = "export")]
    import: Option<PathBuf>,
    /// Signatures over the receipt that its differences are in order: ssh-keygen -Y sign -n kuraban-sign-off -f KEY < receipt.cbor
    #[arg(long, value_name = "FILE", num_args = 1..)]
    sign_off: Vec<PathBuf>,
}

/// What the journal has of a step.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Noted {
    /// SHA-256 of the plan; a plan that was changed has no steps done.
    plan: String,
    step: String,
    at_ms: u64,
    accounts: u64,
    /// Root of the accounts, without a salt at the freeze.
    root: String,
    totals: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    manifest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    differences: Option<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    signed_off: Vec<String>,
}

/// Runs `kuraban migrate plan …`.
pub(super) fn run(command: &Command, say: &Say) -> Result<Report, Stop> {
    match command {
        Command::Check { plan, holdings, form, known } => {
            let plan = Plan::read(plan)?;
            let held = holdings.as_ref().map(|path| Held::of(path.clone(), form.clone()));
            let holdings = held.map(|held| held.read(&known.assets()?, say)).transpose()?;
            if let Some(holdings) = &holdings {
                plan.fits(holdings).or_refuse("the plan")?;
            }
            Ok(checked(&plan, holdings.as_ref(), say.lang()))
        }
        Command::Done(args) => done(args, say),
        Command::Status { plan } => {
            let (path, plan) = (plan, Plan::read(plan)?);
            // To look begins nothing.
            let begun = path.with_added_extension(JOURNAL).exists();
            let noted = if begun { journal(path, &plan)?.1 } else { Vec::new() };
            Ok(status(&plan, &noted, say.lang())?)
        }
    }
}

fn checked(plan: &Plan, holdings: Option<&Holdings>, lang: Lang) -> Report {
    let mut document = json!({ "ok": true, "name": plan.name, "plan": plan.digest.to_string() });
    let mut text = format!("{}: {}", tame(&plan.name), lang.pick("can be carried out", "実行できます"));
    if let (Some(holdings), Value::Object(fields)) = (holdings, &mut document) {
        let of = |batch| (0..holdings.customers()).filter(|place| plan.has(batch, holdings, *place)).count();
        let (test, last) = (of(Batch::Test), of(Batch::Final));
        fields.insert("test".to_owned(), test.into());
        fields.insert("final".to_owned(), last.into());
        text += &match lang {
            Lang::En => format!("; {test} customers in the test batch, {last} in the final one"),
            Lang::Ja => format!("。試験移行 {test} 人、最終移行 {last} 人"),
        };
    }
    Report::done(&document, text)
}

/// The journal beside a plan, and what it has.
fn journal(path: &Path, plan: &Plan) -> Result<(Lines, Vec<Noted>), Stop> {
    let path = path.with_added_extension(JOURNAL);
    let mut noted: Vec<Noted> = Vec::new();
    let lines = Lines::open(&path, |one| noted.push(one)).or_input(path.display())?;
    let digest = plan.digest.to_string();
    if let Some(other) = noted.iter().find(|one| one.plan != digest) {
        return Err(Stop::Refused(format!(
            "{}: step {} was done under the plan {}, this one is {digest}: put the plan back",
            path.display(),
            tame(&other.step),
            tame(&other.plan)
        )));
    }
    let words = noted.iter().map(|one| one.step.as_str());
    let want = Step::ALL.iter().map(|step| step.word()).take(noted.len());
    if !words.eq(want) || noted.len() > Step::ALL.len() {
        return Err(Stop::Refused(format!("{}: its steps are not in order", path.display())));
    }
    Ok((lines, noted))
}

fn done(args: &Done, say: &Say) -> Result<Report, Stop> {
    let plan = Plan::read(&args.plan)?;
    let (mut lines, mut noted) = journal(&args.plan, &plan)?;
    let step = args.step;
    let place = Step::ALL.iter().position(|one| *one == step).unwrap_or_default();
    if place > noted.len() {
        let missing = Step::ALL.get(noted.len()).map_or("", |step| step.word());
        return Err(Stop::Refused(format!("{missing} comes before {}, and is not done", step.word())));
    }
    let at = now()?;
    if at < plan.at(step) {
        let due = shown_utc(plan.at(step));
        return Err(Stop::Refused(format!("{} is planned for {due}, which has not come", step.word())));
    }
    let holdings = args.holdings.read(&args.known.assets()?, say)?;
    plan.fits(&holdings).or_refuse("the plan")?;
    let frozen = fold(&holdings, Salt([0; 32]), |_| true).or_input("the holdings")?;
    let freeze = noted.first().map(|freeze| freeze.root.clone());
    if let Some(want) = freeze.filter(|want| *want != frozen.accounts_root.to_string()) {
        let found = frozen.accounts_root;
        return Err(Stop::Refused(format!(
            "these are other holdings than at the freeze: root {found}, want {want}"
        )));
    }
    let found = match step {
        Step::Freeze => noted_of(&plan, step, at, &frozen),
        Step::Test => args.batch(&plan, Batch::Test, &holdings, at, say)?,
        Step::Final => args.batch(&plan, Batch::Final, &holdings, at, say)?,
    };
    match noted.get(place) {
        Some(before) if Noted { at_ms: before.at_ms, ..found.clone() } == *before => {}
        Some(_) => {
            return Err(Stop::Refused(format!("{} was done with another hand-over", step.word())));
        }
        None => {
            if let [freeze, test] = noted.as_slice() {
                whole(freeze, test, &found)?;
            }
            lines.put(&found).or_undone("the journal")?;
            noted.push(found);
        }
    }
    Ok(status(&plan, &noted, say.lang())?)
}

fn noted_of(plan: &Plan, step: Step, at: Instant, sum: &Sum) -> Noted {
    let [accounts, _, _, _] = sum.rows;
    let some = sum.totals.iter().filter(|(_, (_, units))| *units > Amount::ZERO);
    Noted {
        plan: plan.digest.to_string(),
        step: step.word().to_owned(),
        at_ms: at.ms(),
        accounts,
        root: sum.accounts_root.to_string(),
        totals: some.map(|(code, (_, units))| (code.clone(), units.to_string())).collect(),
        manifest: None,
        receipt: None,
        differences: None,
        signed_off: Vec::new(),
    }
}

/// What the customers come to whom `has` names.
fn fold(holdings: &Holdings, salt: Salt, has: impl Fn(usize) -> bool) -> anyhow::Result<Sum> {
    let mut fold = Fold::new(salt, &none_of(holdings.assets()));
    for place in (0..holdings.customers()).filter(|place| has(*place)) {
        fold.take(&Row::Account(Account::of(holdings, place)?).checked()?)?;
    }
    Ok(fold.end())
}

impl Done {
    /// A batch, once both folders show that it has exactly the plan's accounts, as they were at the freeze.
    fn batch(
        &self,
        plan: &Plan,
        batch: Batch,
        holdings: &Holdings,
        at: Instant,
        say: &Say,
    ) -> Result<Noted, Stop> {
        let (Some(export), Some(import)) = (&self.export, &self.import) else {
            return Err(Failure::input("want --export and --import: the folders show what was done").into());
        };
        let pair = Pair { export, from: &plan.sender, import: Some((import, &plan.receiver)) };
        let found = pair.verified(&self.known, say)?;
        let manifest = &found.manifest;
        let (place, due) = (export.display(), plan.at(Step::Freeze));
        if manifest.at < due {
            let (at, due) = (shown_utc(manifest.at), shown_utc(due));
            return Err(Stop::Refused(format!("{place}: was made at {at}, before the freeze at {due}")));
        }
        let Some((receipt, _)) = &found.import else {
            return Err(Failure::undone(format!("{}: has no receipt", import.display())).into());
        };
        let sum = fold(holdings, receipt.salt, |place| plan.has(batch, holdings, place));
        let sum = sum.or_input("the holdings")?;
        if sum.accounts_root != manifest.sum.accounts_root {
            let (found, want): (TreeHash, TreeHash) = (manifest.sum.accounts_root, sum.accounts_root);
            return Err(Stop::Refused(format!(
                "{place}: its accounts are not those of the batch at the freeze: root {found}, want {want}; it has {} accounts, the batch {}",
                manifest.sum.rows.first().copied().unwrap_or_default(),
                sum.rows.first().copied().unwrap_or_default(),
            )));
        }
        if !receipt.compared {
            return Err(Stop::Refused(format!(
                "{}: was not compared with the receiver's books; import it with --against",
                import.display()
            )));
        }
        let bytes = receipt.encode();
        let signed_off = if receipt.differences == 0 { Vec::new() } else { self.signed_off(plan, &bytes)? };
        let step = match batch {
            Batch::Test => Step::Test,
            Batch::Final => Step::Final,
        };
        Ok(Noted {
            manifest: Some(manifest.digest().to_string()),
            receipt: Some(Digest::sha256(&[&bytes]).to_string()),
            differences: Some(receipt.differences),
            signed_off,
            ..noted_of(plan, step, at, &sum)
        })
    }

    /// Everybody whom the plan names has signed the receipt with its differences.
    fn signed_off(&self, plan: &Plan, receipt: &[u8]) -> Result<Vec<String>, Stop> {
        let mut missing: BTreeMap<&str, &PublicKey> =
            plan.signs_off.iter().map(|person| (person.name.as_str(), &person.key)).collect();
        for path in &self.sign_off {
            let signature = folder::signature(path)?;
            missing.retain(|_, key| key.verify(SIGN_OFF, receipt, &signature).is_err());
        }
        if let Some(name) = missing.keys().next() {
            return Err(Stop::Refused(format!(
                "there are differences, and {:?} has not signed them off: ssh-keygen -Y sign -n {SIGN_OFF} over receipt.cbor",
                tame(name)
            )));
        }
        Ok(plan.signs_off.iter().map(|person| person.name.clone()).collect())
    }
}

/// Whether both batches come to what was frozen.
fn whole(freeze: &Noted, test: &Noted, last: &Noted) -> Result<(), Stop> {
    let wrong = |what: &str| Stop::Refused(format!("the {what} of both batches are not those of the freeze"));
    if test.accounts.checked_add(last.accounts) != Some(freeze.accounts) {
        return Err(wrong("accounts"));
    }
    let of = |noted: &Noted, code: &str| -> Option<Amount> {
        noted.totals.get(code).map_or(Some(Amount::ZERO), |text| units(text, 0).ok())
    };
    let codes = freeze.totals.keys().chain(test.totals.keys()).chain(last.totals.keys());
    for code in codes {
        let both = of(test, code).zip(of(last, code)).and_then(|(test, last)| test.plus(last));
        if both.is_none() || both != of(freeze, code) {
            return Err(wrong("units"));
        }
    }
    Ok(())
}

fn status(plan: &Plan, noted: &[Noted], lang: Lang) -> Result<Report, Failure> {
    let now = now()?;
    let mut steps = Vec::new();
    let mut text = format!("{}\n", tame(&plan.name));
    for (place, step) in Step::ALL.into_iter().enumerate() {
        let due = plan.at(step);
        let mut row = json!({ "step": step.word(), "planned": shown_utc(due), "done": noted.len() > place });
        let word = match noted.get(place) {
            Some(one) => {
                if let Value::Object(fields) = &mut row {
                    fields.extend(told(one));
                }
                lang.pick("done", "完了")
            }
            None if place == noted.len() && now >= due => lang.pick("due", "実施可能"),
            None => lang.pick("to come", "未到来"),
        };
        text += &format!("  {}  {}  {word}\n", shown_utc(due), step.word());
        steps.push(row);
    }
    let next = Step::ALL.get(noted.len()).map(|step| step.word());
    let document = json!({ "ok": true, "name": plan.name, "plan": plan.digest.to_string(), "steps": steps,
        "next": next, "complete": next.is_none() });
    if next.is_none() {
        text += lang.pick(
            "both batches together are what was frozen, account by account",
            "両移行の合計は凍結時の全口座と一致",
        );
    }
    Ok(Report::done(&document, text.trim_end()))
}

/// What a step's line has to tell.
fn told(noted: &Noted) -> serde_json::Map<String, Value> {
    let asset = |(code, text): (&String, &String)| {
        let units = units(text, 0).map_or(Value::Null, |units| units_json(code, units));
        json!({ "asset": code, "units": units })
    };
    let mut fields = serde_json::Map::new();
    let mut put = |name: &str, value: Value| drop(fields.insert(name.to_owned(), value));
    put("at", shown_utc(Instant::from_ms(noted.at_ms)).into());
    put("accounts", noted.accounts.into());
    put("assets", noted.totals.iter().map(asset).collect());
    if let (Some(manifest), Some(receipt)) = (&noted.manifest, &noted.receipt) {
        put("manifest", manifest.as_str().into());
        put("receipt", receipt.as_str().into());
        put("differences", noted.differences.into());
        put("signed_off", json!(noted.signed_off));
    }
    fields
}
