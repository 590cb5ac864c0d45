//! `kuraban order`: orders of a quorum that loosen the breaker or let a signer resume. The first person makes the order's
//! file, others add their signatures, anybody hands it in. What is signed is recomputed here from the own roster; the
//! writer's word counts only for which epoch, stages and receipts there are, and an order for others is good for nothing.

mod file;
mod shown;

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};
use kuraban_base::{MachineId, PersonId};
use kuraban_vault::{Charter, OrderNeed, Role, breaker::Cell};
use serde::Serialize;

use crate::{
    charter::Files,
    fail::{Failure, OrFail as _},
    key::Key,
    look::Need,
    say::{Answer, Report, Say},
    writer::{Refused, Writer},
};

use file::{OrderFile, What};
use shown::Standing;

const HELP: &str = "\
After an alarm the breaker stays closed until a quorum of the policy's reset
groups opens it. Everybody signs on the own machine:

  kuraban order reset --writer http://guard.example:8080 \\
      --roster roster.toml --policy policy.toml --vault hot.toml \\
      --key ~/.ssh/id_ed25519 --out order.json
  kuraban order sign order.json --writer http://guard.example:8080 \\
      --roster roster.toml --policy policy.toml --vault hot.toml \\
      --key ~/.ssh/id_ed25519
  kuraban order send order.json --writer http://guard.example:8080 \\
      --roster roster.toml --policy policy.toml --vault hot.toml

What the writer shows can be false. Before you sign, see the watcher's own
page, and know why it tripped.";

/// Orders that a quorum signs.
#[derive(Subcommand)]
#[command(after_help = HELP)]
pub(crate) enum Command {
    /// Begin an order that opens the breaker again, and sign it
    #[command(after_help = RESET)]
    Reset {
        /// Only this cell, such as withdrawal:BTC; without it, every cell that is not open
        #[arg(long, value_name = "SERVICE:ASSET", value_parser = cell)]
        cell: Vec<Cell>,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        hand: Hand,
        /// The order's file, which must not be there yet
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Begin an order that lets a signer resume whose disk was set back, and sign it
    #[command(after_help = RESUME)]
    Resume {
        /// The signer
        signer: MachineId,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        hand: Hand,
        /// The order's file, which must not be there yet
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Show an order that somebody began, and add your signature
    #[command(after_help = SIGN)]
    Sign {
        /// The order's file
        file: PathBuf,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        hand: Hand,
    },
    /// Hand in an order that enough people signed
    #[command(after_help = SEND)]
    Send {
        /// The order's file
        file: PathBuf,
        #[command(flatten)]
        place: Place,
    },
}

const RESET: &str = "\
Example:
  kuraban order reset --cell withdrawal:BTC --out order.json \\
      --writer http://guard.example:8080 --key ~/.ssh/id_ed25519 \\
      --roster roster.toml --policy policy.toml --vault hot.toml";
const RESUME: &str = "\
Example:
  kuraban order resume signer-2 --out order.json \\
      --writer http://guard.example:8080 --key ~/.ssh/id_ed25519 \\
      --roster roster.toml --policy policy.toml --vault hot.toml";
const SIGN: &str = "\
Example:
  kuraban order sign order.json --key ~/.ssh/id_ed25519 \\
      --writer http://guard.example:8080 \\
      --roster roster.toml --policy policy.toml --vault hot.toml";
const SEND: &str = "\
Example:
  kuraban order send order.json --writer http://guard.example:8080 \\
      --roster roster.toml --policy policy.toml --vault hot.toml";

/// Whose log, and by whose files.
#[derive(ClapArgs)]
pub(crate) struct Place {
    /// The writer
    #[arg(long, value_name = "URL")]
    writer: String,
    #[command(flatten)]
    files: Files,
}

/// Who signs.
#[derive(ClapArgs)]
pub(crate) struct Hand {
    /// Your SSH private key (Ed25519)
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Do not ask, where there is no terminal to ask at; with a terminal you are asked all the same
    #[arg(long)]
    yes: bool,
}

/// `withdrawal:BTC`.
fn cell(text: &str) -> Result<Cell, String> {
    let (service, asset) = text.split_once(':').ok_or("want SERVICE:ASSET, such as withdrawal:BTC")?;
    let service = service.parse().map_err(|problem| format!("{problem}"))?;
    Ok((service, asset.parse().map_err(|problem| format!("{problem}"))?))
}

/// What came of it.
#[derive(Serialize)]
struct Outcome<'a> {
    /// The order itself.
    #[serde(flatten)]
    order: &'a OrderFile,
    digest: String,
    signed: bool,
    sent: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    person: Option<String>,
    needs: Vec<Need>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<Refused>,
}

/// Runs `kuraban order`.
pub(crate) fn run(command: Command, say: &Say) -> Result<Report, Failure> {
    match command {
        Command::Reset { cell, place, hand, out } => {
            let desk = Desk::at(&place)?;
            let order = OrderFile::new(desk.charter.roster().origin(), desk.reset(cell)?)?;
            desk.sign(order, &hand, &mut |order| order.create(&out), say)
        }
        Command::Resume { signer, place, hand, out } => {
            let desk = Desk::at(&place)?;
            let order = OrderFile::new(desk.charter.roster().origin(), desk.resume(signer)?)?;
            desk.sign(order, &hand, &mut |order| order.create(&out), say)
        }
        Command::Sign { file, place, hand } => {
            let desk = Desk::at(&place)?;
            let order = OrderFile::read(&file, desk.charter.roster().origin())?;
            desk.sign(order, &hand, &mut |order| order.replace(&file), say)
        }
        Command::Send { file, place } => {
            let desk = Desk::at(&place)?;
            desk.send(&OrderFile::read(&file, desk.charter.roster().origin())?, say)
        }
    }
}

/// The own files, and the writer.
struct Desk {
    charter: Charter,
    writer: Writer,
}

impl Desk {
    fn at(place: &Place) -> Result<Self, Failure> {
        Ok(Self { charter: place.files.read()?, writer: Writer::new(&place.writer)? })
    }

    /// An order over these cells, or over all that are not open.
    fn reset(&self, cells: Vec<Cell>) -> Result<What, Failure> {
        let breaker = self.writer.breaker()?;
        let cells = if cells.is_empty() { shown::tightened(&breaker)? } else { cells };
        if cells.is_empty() {
            return Err(Failure::input("every cell of the breaker is open, there is nothing to reset"));
        }
        Ok(What::reset(breaker.epoch, cells))
    }

    /// An order for this signer, where its receipts end.
    fn resume(&self, signer: MachineId) -> Result<What, Failure> {
        let is_signer = |(id, machine): (&MachineId, &kuraban_vault::Machine)| {
            *id == signer && machine.role == Role::Signer
        };
        if !self.charter.roster().witnesses().any(is_signer) {
            return Err(Failure::input(format!("{signer} is no signer on the roster")));
        }
        let listed = self.writer.signers()?.signers;
        let Some(view) = listed.into_iter().find(|view| view.id == signer.as_str()) else {
            return Err(Failure::undone(format!("the writer does not list {signer}")));
        };
        Ok(What::Resume { signer, receipts: view.receipts })
    }

    fn needs(&self, order: &OrderFile) -> Result<Vec<OrderNeed>, Failure> {
        let needs = self.charter.order_needs(order.namespace(), order.digest(), &order.approvals);
        needs.or_input("a signature in the order's file")
    }

    /// Shows the order, asks, signs, and has it stored.
    fn sign(
        &self,
        mut order: OrderFile,
        hand: &Hand,
        store: &mut dyn FnMut(&OrderFile) -> Result<(), Failure>,
        say: &Say,
    ) -> Result<Report, Failure> {
        let lang = say.lang();
        let standing = Standing::of(&self.writer, &order.what)?;
        let needs = self.needs(&order)?;
        say.show(&shown::text(&order, &standing, &needs, lang))?;
        let key = Key::read(&hand.key, say)?;
        let person = self.charter.roster().holder(key.public()).cloned();
        let against = standing.against(&order.what).or_else(|| self.useless(person.as_ref(), &needs));
        let refusal = match against {
            Some(error) => Some(error),
            None => unconfirmed(&order.what, hand.yes, say)?,
        };
        if let Some(error) = refusal {
            let text = format!("{}: {error}", lang.pick("not signed", "署名していません"));
            let outcome = Outcome { error: Some(error), ..outcome(&order, person.as_ref(), &needs) };
            return Ok(Report::new(Answer::No, &outcome, text));
        }
        order.approvals.push(key.sign(order.namespace(), order.digest().as_bytes())?);
        let needs = self.needs(&order)?;
        store(&order)?;
        let text = shown::signed(&needs, lang);
        let outcome = Outcome { signed: true, ..outcome(&order, person.as_ref(), &needs) };
        Ok(Report::done(&outcome, text))
    }

    /// Why this person's signature would not help.
    fn useless(&self, person: Option<&PersonId>, needs: &[OrderNeed]) -> Option<String> {
        let Some(person) = person else {
            return Some("the key belongs to nobody on your roster".to_owned());
        };
        if needs.iter().any(|need| need.signed.contains(person)) {
            return Some(format!("{person} has signed it already"));
        }
        let roster = self.charter.roster();
        let asked = |need: &OrderNeed| roster.members(&need.group).is_some_and(|all| all.contains(person));
        (!needs.iter().any(asked)).then(|| format!("{person} is in no group that the policy's reset asks"))
    }

    fn send(&self, order: &OrderFile, say: &Say) -> Result<Report, Failure> {
        let lang = say.lang();
        let needs = self.needs(order)?;
        let standing = Standing::of(&self.writer, &order.what)?;
        say.show(&shown::text(order, &standing, &needs, lang))?;
        let missing = shown::missing(&needs, lang);
        if let Some(error) = standing.against(&order.what).or(missing) {
            let text = format!("{}: {error}", lang.pick("not sent", "送っていません"));
            let outcome = Outcome { error: Some(error), ..outcome(order, None, &needs) };
            return Ok(Report::new(Answer::No, &outcome, text));
        }
        match order.send(&self.writer)? {
            Ok(()) => {
                let text = shown::sent(&order.what, lang);
                Ok(Report::done(&Outcome { sent: true, ..outcome(order, None, &needs) }, text))
            }
            Err(refused) => {
                let head = lang.pick("the writer refuses", "記録機が拒否しました");
                let text = format!("{head}: {} ({})", refused.detail, refused.code);
                let outcome = Outcome { refused: Some(refused), ..outcome(order, None, &needs) };
                Ok(Report::new(Answer::No, &outcome, text))
            }
        }
    }
}

fn outcome<'a>(order: &'a OrderFile, person: Option<&PersonId>, needs: &[OrderNeed]) -> Outcome<'a> {
    let need =
        |need: &OrderNeed| Need { group: need.group.to_string(), have: need.signed.len(), want: need.want };
    Outcome {
        order,
        digest: order.digest().to_string(),
        signed: false,
        sent: false,
        person: person.map(ToString::to_string),
        needs: needs.iter().map(need).collect(),
        error: None,
        refused: None,
    }
}

/// Why the person did not confirm; nothing if the person did.
fn unconfirmed(what: &What, yes: bool, say: &Say) -> Result<Option<String>, Failure> {
    if !Say::can_ask() {
        if yes {
            return Ok(None);
        }
        return Err(Failure::input("there is no terminal to ask at, and --yes was not given"));
    }
    let (want, question) = match what {
        What::Reset { epoch, .. } => (
            epoch.to_string(),
            say.lang().pick(
                "Type the epoch to sign, and so to let coins leave again:",
                "署名して出金を再び許すにはエポックの番号を入力してください:",
            ),
        ),
        What::Resume { signer, .. } => (
            signer.to_string(),
            say.lang().pick("Type the signer's name to sign:", "署名するには署名機の名前を入力してください:"),
        ),
    };
    let typed = say.ask(question)?;
    Ok((typed != want).then(|| format!("what was typed is not {want}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_a_service_and_an_asset() {
        let check = |text: &str, want: Result<&str, &str>| {
            let found = cell(text).map(|(service, asset)| format!("{service} {asset}"));
            match (found, want) {
                (Ok(found), Ok(want)) => assert_eq!(found, want),
                (Err(found), Err(want)) => assert!(found.contains(want), "{found}"),
                (found, want) => panic!("{text}: {found:?}, want {want:?}"),
            }
        };
        check("withdrawal:BTC", Ok("withdrawal BTC"));
        check("deposit:LTC", Ok("deposit LTC"));
        check("withdrawal", Err("want SERVICE:ASSET"));
        check("withdraw:BTC", Err("is not known"));
        check("withdrawal:btc", Err("btc"));
    }
}
