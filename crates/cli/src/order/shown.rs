//! An order and how things stand, as its signer sees them. What comes from the writer is marked as its word.

use kuraban_api::{AlarmView, BreakerView, SignerView};
use kuraban_base::Instant;
use kuraban_vault::{OrderNeed, breaker::Cell};

use crate::{
    fail::{Failure, OrFail as _},
    input::shown_utc,
    say::{Lang, Side, table, tame},
    writer::Writer,
};

use super::file::{OrderFile, What};

/// How many of the last alarms are shown.
const ALARMS_SHOWN: usize = 5;

/// How things stand, by the writer's word.
pub(super) enum Standing {
    /// The breaker, and its last alarms.
    Breaker { view: BreakerView, alarms: Vec<AlarmView> },
    /// The signer; nothing if the writer does not list it.
    Signer(Option<SignerView>),
}

/// The cells that are not open.
pub(super) fn tightened(breaker: &BreakerView) -> Result<Vec<Cell>, Failure> {
    let cell = |view: &kuraban_api::CellView| -> Result<Cell, Failure> {
        let service = view.service.parse().or_undone("the writer's breaker")?;
        Ok((service, view.asset.parse().or_undone("the writer's breaker")?))
    };
    breaker.tightened.iter().map(cell).collect()
}

impl Standing {
    /// Asks the writer.
    pub(super) fn of(writer: &Writer, what: &What) -> Result<Self, Failure> {
        match what {
            What::Reset { .. } => {
                let mut alarms = writer.alarms()?;
                let skip = alarms.len().saturating_sub(ALARMS_SHOWN);
                Ok(Self::Breaker { view: writer.breaker()?, alarms: alarms.split_off(skip) })
            }
            What::Resume { signer, .. } => {
                let listed = writer.signers()?.signers;
                Ok(Self::Signer(listed.into_iter().find(|view| view.id == signer.as_str())))
            }
        }
    }

    /// Why the order is good for nothing as things stand.
    pub(super) fn against(&self, what: &What) -> Option<String> {
        match (self, what) {
            (Self::Breaker { view, .. }, What::Reset { epoch, .. }) if view.epoch != *epoch => Some(format!(
                "the order is for epoch {epoch}, the breaker is at {}: begin a new one",
                view.epoch
            )),
            (Self::Breaker { view, .. }, What::Reset { cells, .. }) => {
                let shut = |service: &str, asset: &str| {
                    view.tightened.iter().any(|cell| cell.service == service && cell.asset == asset)
                };
                let open = cells.iter().find(|cell| !shut(&cell.service, &cell.asset))?;
                Some(format!("{}:{} is open", tame(&open.service), tame(&open.asset)))
            }
            (Self::Signer(Some(view)), What::Resume { receipts, .. }) => {
                if view.receipts != *receipts {
                    return Some(format!(
                        "the order is for receipt {receipts}, the signer's end at {}: begin a new one",
                        view.receipts
                    ));
                }
                let has_none = view.receipts == 0;
                (has_none || view.resumed == view.receipts).then(|| {
                    let why = if has_none { "it has no receipts in the log" } else { "it was let resume" };
                    format!("there is nothing to order: {why}")
                })
            }
            (Self::Signer(None), What::Resume { signer, .. }) => {
                Some(format!("the writer does not list {signer}"))
            }
            // A standing is asked for by its order.
            (Self::Breaker { .. }, What::Resume { .. }) | (Self::Signer(_), What::Reset { .. }) => None,
        }
    }

    fn rows(&self, lang: Lang) -> Vec<[String; 2]> {
        let row = |en, ja, value: String| [lang.pick(en, ja).to_owned(), value];
        match self {
            Self::Breaker { view, alarms } => {
                let mut rows = vec![row("epoch now", "現在のエポック", view.epoch.to_string())];
                for cell in &view.tightened {
                    let (service, asset) = (tame(&cell.service), tame(&cell.asset));
                    let stage = format!("{service}:{asset} {}", tame(&cell.stage));
                    rows.push(row("not open", "遮断中", stage));
                }
                for alarm in alarms {
                    let at = shown_utc(Instant::from_ms(alarm.at_ms));
                    let (rule, asset) = (tame(&alarm.rule), tame(&alarm.asset));
                    let text = format!("{at} {rule} {asset}: {}", tame(&alarm.detail));
                    rows.push(row("alarm", "警報", text));
                }
                rows
            }
            Self::Signer(view) => {
                let receipts = view.as_ref().map_or(0, |view| view.receipts);
                let resumed = view.as_ref().map_or(0, |view| view.resumed);
                vec![
                    row("receipts logged", "ログの受領書", receipts.to_string()),
                    row("last resumed at", "前回の再開", resumed.to_string()),
                ]
            }
        }
    }
}

/// The order as its signer sees it.
pub(super) fn text(order: &OrderFile, standing: &Standing, needs: &[OrderNeed], lang: Lang) -> String {
    let row = |en, ja, value: String| [lang.pick(en, ja).to_owned(), value];
    let mut rows = match &order.what {
        What::Reset { epoch, cells } => {
            let names = cells.iter().map(|cell| format!("{}:{}", tame(&cell.service), tame(&cell.asset)));
            vec![
                row("order", "命令", lang.pick("open the breaker again", "遮断を解除する").to_owned()),
                row("opens", "解除", names.collect::<Vec<_>>().join(", ")),
                row("at epoch", "エポック", epoch.to_string()),
            ]
        }
        What::Resume { signer, receipts } => vec![
            row("order", "命令", lang.pick("let a signer resume", "署名機を再開する").to_owned()),
            row("signer", "署名機", signer.to_string()),
            row("after receipt", "最後の受領書", receipts.to_string()),
        ],
    };
    rows.push(row("log", "ログ", tame(&order.origin)));
    for need in needs {
        let names: Vec<_> = need.signed.iter().map(ToString::to_string).collect();
        let value = format!("{}/{} {} {}", need.signed.len(), need.want, need.group, names.join(", "));
        rows.push(row("signed", "署名", value.trim_end().to_owned()));
    }
    rows.push(row("digest", "ダイジェスト", order.digest().to_string()));
    let own = table([Side::Left, Side::Left], &rows);
    let head = lang.pick("by the writer's word:", "記録機によると:");
    format!("{own}\n{head}\n{}", table([Side::Left, Side::Left], &standing.rows(lang)))
}

/// Which signatures are missing; nothing if the order is complete.
pub(super) fn missing(needs: &[OrderNeed], lang: Lang) -> Option<String> {
    let one = |need: &OrderNeed| {
        let more = usize::from(need.want).saturating_sub(need.signed.len());
        match lang {
            Lang::En => format!("{more} of {}", need.group),
            Lang::Ja => format!("{} から {more} 件", need.group),
        }
    };
    let open: Vec<_> = needs.iter().filter(|need| !need.is_met()).map(one).collect();
    let head = lang.pick("signatures are missing:", "署名が足りません:");
    (!open.is_empty()).then(|| format!("{head} {}", open.join(", ")))
}

/// What to do after signing.
pub(super) fn signed(needs: &[OrderNeed], lang: Lang) -> String {
    match missing(needs, lang) {
        None => {
            let words = "signed; enough have signed: hand it in with `kuraban order send`";
            lang.pick(words, "署名しました。必要な署名がそろいました。`kuraban order send` で送ってください")
                .to_owned()
        }
        Some(missing) => {
            let head = lang.pick("signed;", "署名しました。");
            format!("{head} {missing}")
        }
    }
}

/// What was done.
pub(super) fn sent(what: &What, lang: Lang) -> String {
    match (what, lang) {
        (What::Reset { epoch, .. }, Lang::En) => format!("the breaker's epoch {epoch} is left behind"),
        (What::Reset { epoch, .. }, Lang::Ja) => format!("遮断を解除しました（エポック {epoch}）"),
        (What::Resume { signer, .. }, Lang::En) => format!("{signer} may resume"),
        (What::Resume { signer, .. }, Lang::Ja) => format!("{signer} の再開が許されました"),
    }
}
