//! The file that says how things stand in the judge's fold of the log. Reads it; believes it, as a signer believes its
//! own fold.

use anyhow::{Context as _, ensure};
use kuraban_base::{Amount, VaultId, hex};
use kuraban_chain::btc::{Branch, Network, Script, Tx};
use kuraban_vault::{
    Charter,
    body::Evidence,
    breaker::Stage,
    explain,
    fold::{Status, unsigned_id},
    judge::{Standing, Views},
    scripts::{CHANGE_AHEAD, ScriptTable},
};
use serde::Deserialize;

/// Highest change index that is looked at.
const CHANGE_MAX: u32 = 100_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StateForm {
    /// Base units that left the vault within 24 hours, without this payout.
    outflow_24h: u64,
    /// The breaker's stage for withdrawals of the asset.
    stage: String,
    /// How the payout ended, or null.
    #[serde(deserialize_with = "Option::deserialize")]
    ended: Option<String>,
    /// Transactions of this payout that got receipts before.
    earlier: Vec<EarlierForm>,
    /// The highest change index that a logged transaction uses.
    #[serde(default)]
    change_used: Option<u32>,
    /// For an evacuation: what calls for it.
    #[serde(default)]
    evidence: Option<EvidenceForm>,
    /// For an evacuation: base units that others of the incident paid as fees.
    #[serde(default)]
    evacuation_fees: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EarlierForm {
    /// The id without unlocking scripts; compared with the transaction's own.
    #[serde(default)]
    txid: Option<String>,
    hex: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EvidenceForm {
    tx: String,
    prevs: Vec<String>,
    /// The payout in the log that has this transaction, or null.
    #[serde(deserialize_with = "Option::deserialize")]
    payout: Option<String>,
}

/// A state file, or none.
#[derive(Default, Deserialize)]
#[serde(transparent)]
pub(super) struct StateFile(Option<StateForm>);

impl StateFile {
    /// The vault's own scripts, with change as far out as the state says.
    pub(super) fn scripts(&self, charter: &Charter, id: &VaultId) -> anyhow::Result<ScriptTable> {
        let (vault, _) = charter.vault(id).with_context(|| format!("vault {id} is not known"))?;
        let mut table = ScriptTable::new(&vault.descriptor, vault.receive_count);
        let Some(used) = self.0.as_ref().and_then(|form| form.change_used) else { return Ok(table) };
        ensure!(used <= CHANGE_MAX, "change_used is {used}, want at most {CHANGE_MAX}");
        // The table looks only a little ahead of what is used, so it is led there step by step.
        let step = usize::try_from(CHANGE_AHEAD)?;
        for index in (0..used).step_by(step).chain([used]) {
            table.used([&vault.descriptor.script_at(Branch::Change, index)?]);
        }
        Ok(table)
    }

    /// How things stand, if a file says so.
    pub(super) fn standing(&self, views: Views<'_>) -> anyhow::Result<Option<Standing>> {
        let Some(form) = &self.0 else { return Ok(None) };
        let network = views.vault.network;
        let stage: Stage = form.stage.parse().context("stage")?;
        let earlier = (0..).zip(&form.earlier).map(|(index, earlier): (usize, _)| {
            let tx = earlier.tx(network).with_context(|| format!("earlier {index}"))?;
            Ok((unsigned_id(&tx), tx.inputs.iter().map(|input| input.prev).collect()))
        });
        Ok(Some(Standing {
            stage,
            before: Some(Amount::from(form.outflow_24h)),
            ended: form.ended.as_deref().map(ended).transpose()?,
            earlier: earlier.collect::<anyhow::Result<_>>()?,
            evidence: evidence(form.evidence.as_ref(), views)?,
            evacuation_fees: Amount::from(form.evacuation_fees),
        }))
    }
}

fn ended(word: &str) -> anyhow::Result<&'static str> {
    let all = [Status::Confirmed, Status::Refused, Status::Cancelled, Status::Expired, Status::Attested];
    let known = all.into_iter().filter_map(Status::ended).find(|known| *known == word);
    known.with_context(|| format!("ended is {word:?}, want null, confirmed, refused, cancelled or expired"))
}

impl EarlierForm {
    fn tx(&self, network: Network) -> anyhow::Result<Tx> {
        let tx = Tx::decode(network, &hex::decode(&self.hex)?)?;
        if let Some(want) = &self.txid {
            let found = unsigned_id(&tx).to_string();
            ensure!(found == *want, "txid is {want}, that of hex without unlocking scripts is {found}");
        }
        Ok(tx)
    }
}

/// Whether the evidence is a validly signed spend of the vault that no payout has.
fn evidence(form: Option<&EvidenceForm>, views: Views<'_>) -> anyhow::Result<Result<(), String>> {
    let Some(form) = form else { return Ok(Err("none was given".to_owned())) };
    let prevs = form.prevs.iter().map(|text| hex::decode(text)).collect::<Result<_, _>>();
    let evidence =
        Evidence { tx: hex::decode(&form.tx).context("evidence")?, prevs: prevs.context("evidence")? };
    if let Some(payout) = &form.payout {
        return Ok(Err(format!("payout {} has this transaction", crate::say::tame(payout))));
    }
    let own = |script: &Script| views.scripts.place(script).is_some();
    Ok(explain::decode(views.vault.network, &evidence)
        .and_then(|(tx, prevs)| explain::spends(&tx, &prevs, own)))
}
