//! What the demo's exchange moved to safety, as its writer tells it: which evacuations there are, when each was sent, and
//! what it paid. Decides nothing.

use std::collections::BTreeMap;

use anyhow::Context as _;
use kuraban_base::{Amount, hex};
use kuraban_chain::btc::{Network, OutPoint, Tx, TxOut};
use serde_json::Value;

use super::{people::Writer, thief::Loot, timeline::Timeline};

/// The evacuations that the writer knows, with how far they have come.
pub(super) fn evacuations(writer: Writer) -> anyhow::Result<Vec<(String, String)>> {
    let pair = |view: &Value| (text(view.pointer("/payout/id")), text(view.get("status")));
    Ok(views(writer)?.iter().map(pair).collect())
}

fn views(writer: Writer) -> anyhow::Result<Vec<Value>> {
    let list = writer.get("/v1/payouts")?;
    let payouts = list.get("payouts").and_then(Value::as_array).context("the writer lists no payouts")?;
    let evacuates = |view: &&Value| text(view.pointer("/payout/kind")) == "evacuation";
    Ok(payouts.iter().filter(evacuates).cloned().collect())
}

fn text(value: Option<&Value>) -> String {
    value.and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Tells of each evacuation when the writer logged it as handed to the node, with its fee.
pub(super) fn sent(
    writer: Writer,
    network: Network,
    held: &[Loot],
    test: &Tx,
    timeline: &mut Timeline<'_>,
) -> anyhow::Result<()> {
    let mut coins: BTreeMap<OutPoint, Amount> =
        held.iter().map(|coin| (coin.outpoint, coin.output.value_sat.into())).collect();
    let txid = test.txid();
    coins.extend(
        (0..).zip(&test.outputs).map(|(vout, output)| (OutPoint { txid, vout }, output.value_sat.into())),
    );
    let mut made = BTreeMap::new();
    for view in views(writer)? {
        for tx in view.get("transactions").and_then(Value::as_array).into_iter().flatten() {
            let bytes = hex::decode(&text(tx.get("unsigned"))).context("an evacuation's transaction")?;
            made.insert(text(tx.get("txid")), Tx::decode(network, &bytes)?);
        }
    }
    for event in writer.events()? {
        let txid = text(event.get("txid"));
        let Some(tx) = made.get(&txid).filter(|_| text(event.get("kind")) == "payout.broadcast") else {
            continue;
        };
        let at_ms = event.get("at_ms").and_then(Value::as_u64).context("an event without at_ms")?;
        let fee =
            fee(tx, &coins).with_context(|| format!("evacuation {txid} spends a coin that is not known"))?;
        let asset = network.asset();
        let fee = fee.to_coins(asset.decimals());
        timeline.at(at_ms.saturating_mul(1000), &format!("evacuation {txid} sent, fee {fee} {asset}"));
    }
    Ok(())
}

fn fee(tx: &Tx, coins: &BTreeMap<OutPoint, Amount>) -> Option<Amount> {
    let spent: Option<Vec<Amount>> = tx.inputs.iter().map(|input| coins.get(&input.prev).copied()).collect();
    let paid = Amount::sum(tx.outputs.iter().map(|TxOut { value_sat, .. }| (*value_sat).into()))?;
    Amount::sum(spent?)?.less(paid)
}
