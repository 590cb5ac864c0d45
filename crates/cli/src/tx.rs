//! `kuraban tx decode`: what a transaction does. Shows amounts and addresses of inputs only where the full previous
//! transaction proves them, and takes nobody's word for them.

use core::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use kuraban_base::Amount;
use kuraban_chain::btc::{Address, FeeError, Mweb, Network, OutPoint, Script, Tx, TxIn, TxOut};
use serde::Serialize;

use crate::{
    fail::{Failure, OrFail as _},
    input,
    say::{Report, Side, grouped, table},
};

/// `kuraban tx …`
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Show what a transaction does: inputs, outputs, addresses, fee, ids
    #[command(after_help = DECODE_HELP)]
    Decode(Decode),
}

const DECODE_HELP: &str = "\
Amounts and addresses of inputs, and so the fee, are shown for inputs whose previous transaction is given.

Examples:
  kuraban tx decode --chain btc --file theft.hex --prev @funding.hex
  kuraban tx decode --chain ltc --network regtest --hex 0200000001… --json";

/// What to decode.
#[derive(Args)]
pub(crate) struct Decode {
    /// The chain that it is of
    #[arg(long, value_enum)]
    chain: Chain,
    /// The chain's network
    #[arg(long, value_enum, default_value = "main")]
    network: NetworkName,
    #[command(flatten)]
    source: Source,
    /// Full previous transactions, in hexadecimal or as @FILE
    #[arg(long, num_args = 1.., value_name = "HEX")]
    prev: Vec<String>,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Source {
    /// The transaction in hexadecimal, or @FILE
    #[arg(long)]
    hex: Option<String>,
    /// A file with the transaction in hexadecimal; - is standard input
    #[arg(long)]
    file: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Chain {
    Btc,
    Bch,
    Ltc,
    Mona,
    Eth,
    Xrp,
    Xem,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum NetworkName {
    Main,
    Test,
    Signet,
    Regtest,
}

/// The network of a chain, if this version reads it.
pub(crate) fn network(chain: Chain, name: NetworkName) -> Result<Network, Failure> {
    match (chain, name) {
        (Chain::Btc, NetworkName::Main) => Ok(Network::BtcMain),
        (Chain::Btc, NetworkName::Test) => Ok(Network::BtcTest),
        (Chain::Btc, NetworkName::Signet) => Ok(Network::BtcSignet),
        (Chain::Btc, NetworkName::Regtest) => Ok(Network::BtcRegtest),
        (Chain::Ltc, NetworkName::Main) => Ok(Network::LtcMain),
        (Chain::Ltc, NetworkName::Test) => Ok(Network::LtcTest),
        (Chain::Ltc, NetworkName::Regtest) => Ok(Network::LtcRegtest),
        (Chain::Ltc, NetworkName::Signet) => {
            Err(Failure::input("--network signet: Litecoin has no signet, want main, test or regtest"))
        }
        (Chain::Bch | Chain::Mona | Chain::Eth | Chain::Xrp | Chain::Xem, _) => {
            let name =
                chain.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned());
            Err(Failure::undone(format!(
                "--chain {name}: this version does not decode it yet, it decodes btc and ltc"
            )))
        }
    }
}

/// Runs `kuraban tx …`.
pub(crate) fn run(command: Command) -> Result<Report, Failure> {
    let Command::Decode(args) = command;
    let network = network(args.chain, args.network)?;
    let tx = match (&args.source.hex, &args.source.file) {
        (Some(text), _) => input::tx("--hex", network, text)?,
        (None, Some(path)) => input::tx_file(network, path)?,
        (None, None) => return Err(Failure::input("want --hex or --file")),
    };
    let prevs = input::prevs(network, &args.prev)?;
    let decoded = Decoded::of(network, &tx, &prevs)?;
    Ok(Report::done(&decoded, decoded.to_text(network)))
}

#[derive(Serialize)]
struct Decoded {
    network: &'static str,
    txid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    wtxid: Option<String>,
    version: i32,
    size: usize,
    vsize: usize,
    weight: usize,
    lock_time: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    mweb: Option<&'static str>,
    inputs: Vec<Input>,
    outputs: Vec<Output>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fee_sat: Option<u64>,
}

#[derive(Serialize)]
struct Input {
    txid: String,
    vout: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_sat: Option<u64>,
    sequence: u32,
    #[serde(skip_serializing_if = "core::ops::Not::not")]
    coinbase: bool,
}

#[derive(Serialize)]
struct Output {
    n: usize,
    value_sat: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    kind: &'static str,
    script: String,
}

impl Decoded {
    fn of(network: Network, tx: &Tx, prevs: &[Tx]) -> Result<Self, Failure> {
        // Each input by itself, so that some are shown where others' transactions are missing.
        let spent = |input: &TxIn| match spent(input, prevs) {
            Ok(output) => Ok(Some(output)),
            Err(FeeError::Missing { .. }) => Ok(None),
            Err(
                error @ (FeeError::Count { .. }
                | FeeError::Vout { .. }
                | FeeError::Sum
                | FeeError::Negative { .. }),
            ) => Err(error).or_input("--prev"),
        };
        let spent: Vec<Option<TxOut>> = tx.inputs.iter().map(spent).collect::<Result<_, _>>()?;
        let all: Option<Vec<TxOut>> = spent.iter().cloned().collect();
        let fee_sat = match all {
            Some(prevouts) if !tx.is_coinbase() => Some(tx.fee(&prevouts).or_input("--prev")?),
            Some(_) | None => None,
        };
        let inputs =
            tx.inputs.iter().zip(&spent).map(|(input, spent)| Input::of(network, input, spent.as_ref()));
        Ok(Self {
            network: network.name(),
            txid: tx.txid().to_string(),
            wtxid: tx.has_witness().then(|| tx.wtxid().to_string()),
            version: tx.version,
            size: tx.size(),
            vsize: tx.vsize(),
            weight: tx.weight(),
            lock_time: tx.lock_time,
            mweb: match &tx.mweb {
                Mweb::None => None,
                Mweb::HogEx => Some("integrating"),
                Mweb::Carried(_) => Some("carried"),
            },
            inputs: inputs.collect(),
            outputs: tx
                .outputs
                .iter()
                .enumerate()
                .map(|(n, output)| Output::of(network, n, output))
                .collect(),
            fee_sat,
        })
    }

    fn to_text(&self, network: Network) -> String {
        let coins = |sat: u64| coins(network, sat);
        let input = |(n, input): (usize, &Input)| {
            let address = input.address.as_deref().map_or_else(|| "?".to_owned(), grouped);
            let value = input.value_sat.map_or_else(|| "?".to_owned(), coins);
            let from = if input.coinbase {
                "newly mined".to_owned()
            } else {
                format!("{}:{}", input.txid, input.vout)
            };
            [n.to_string(), value, address, from]
        };
        let output = |output: &Output| {
            let address =
                output.address.as_deref().map_or_else(|| format!("script {}", output.script), grouped);
            [output.n.to_string(), coins(output.value_sat), address, output.kind.to_owned()]
        };
        let sides = [Side::Right, Side::Right, Side::Left, Side::Left];
        let inputs: Vec<_> = self.inputs.iter().enumerate().map(input).collect();
        let outputs: Vec<_> = self.outputs.iter().map(output).collect();
        let mut text = format!(
            "transaction {}\n{}, {} bytes, {} virtual bytes, version {}, lock time {}\n",
            self.txid, self.network, self.size, self.vsize, self.version, self.lock_time
        );
        if let Some(what) = self.mweb {
            text += &format!("extension block (MWEB): {what}\n");
        }
        text += &format!("\ninputs ({})\n{}", inputs.len(), table(sides, &inputs));
        text += &format!("\noutputs ({})\n{}\n", outputs.len(), table(sides, &outputs));
        text + &self.fee_text(network)
    }

    fn fee_text(&self, network: Network) -> String {
        let Some(fee_sat) = self.fee_sat else {
            return "fee  not known: not every previous transaction was given".to_owned();
        };
        let hundredths = u128::from(fee_sat).saturating_mul(100);
        let rate = hundredths.checked_div(u128::try_from(self.vsize).unwrap_or(u128::MAX)).unwrap_or(0);
        let mut text = format!("fee  {}", coins(network, fee_sat));
        // Writing to a string cannot fail.
        if write!(text, " ({} base units per virtual byte)", Amount::new(rate).to_coins(2)).is_err() {
            return text;
        }
        text
    }
}

/// The output that an input spends, from the previous transactions given.
fn spent(input: &TxIn, prevs: &[Tx]) -> Result<TxOut, FeeError> {
    let alone =
        Tx { version: 2, inputs: vec![input.clone()], outputs: Vec::new(), lock_time: 0, mweb: Mweb::None };
    let outpoint = input.prev;
    alone.prevouts(prevs)?.pop().ok_or(FeeError::Missing { outpoint })
}

impl Input {
    fn of(network: Network, input: &TxIn, spent: Option<&TxOut>) -> Self {
        Self {
            txid: input.prev.txid.to_string(),
            vout: input.prev.vout,
            address: spent.and_then(|output| address(network, &output.script)),
            value_sat: spent.map(|output| output.value_sat),
            sequence: input.sequence,
            coinbase: input.prev == OutPoint::NULL,
        }
    }
}

impl Output {
    fn of(network: Network, n: usize, output: &TxOut) -> Self {
        Self {
            n,
            value_sat: output.value_sat,
            address: address(network, &output.script),
            kind: output.script.kind_on(network).name(),
            script: kuraban_base::hex::encode(output.script.as_bytes()),
        }
    }
}

fn address(network: Network, script: &Script) -> Option<String> {
    Address::from_script(network, script).map(|address| address.to_string())
}

/// An amount in whole coins with its ticker.
fn coins(network: Network, sat: u64) -> String {
    let asset = network.asset();
    format!("{} {asset}", Amount::from(sat).to_coins(asset.decimals()))
}
