//! A theft on a chain made here, as a thief would go about it: split into thousands of addresses, peeled, paid to a service,
//! mixed with other people's coins, gathered again. Its index and its blocks.

use std::fs;

use kuraban_chain::btc::{Address, Mweb, Network, Script, Tx, TxOut};
use kuraban_sim::economy::{Economy, Shape, Unspent};
use kuraban_trace::index::{Prepared, Start, Writer};
use tempfile::TempDir;

/// Fees that the thief pays.
const FEE_SAT: u64 = 20_000;

pub(crate) struct Heist {
    /// Holds `index` and `blocks`.
    pub(crate) folder: TempDir,
    pub(crate) seeds: Vec<String>,
    /// The address of a service that the thief pays.
    pub(crate) service: String,
}

impl Heist {
    pub(crate) fn at(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }
}

/// A chain as it grows.
struct Growing {
    economy: Economy,
    writer: Writer,
    kept: Vec<u8>,
}

impl Growing {
    fn block(&mut self, txs: &[(Tx, u64)]) {
        let fees = txs.iter().map(|(_, fee)| fee).sum();
        let block = self.economy.next_block(txs.iter().map(|(tx, _)| tx.clone()).collect(), fees).unwrap();
        self.kept.extend(Network::BtcRegtest.magic());
        self.kept.extend(u32::try_from(block.encode().len()).unwrap().to_le_bytes());
        self.kept.extend(block.encode());
        self.writer.append(&Prepared::read(Network::BtcRegtest, block.encode()).unwrap()).unwrap();
    }

    /// Pays these amounts to new addresses, and what is left to one more.
    fn pays(&mut self, coins: &[Unspent], amounts: &[u64], to: Option<&Script>) -> (Tx, Vec<Unspent>) {
        let mut left: u64 = coins.iter().map(|coin| coin.output.value_sat).sum::<u64>() - FEE_SAT;
        let mut outputs = Vec::new();
        for amount in amounts {
            let script = to.cloned().unwrap_or_else(|| self.economy.address());
            outputs.push(TxOut { value_sat: *amount, script });
            left -= amount;
        }
        if left > 0 {
            outputs.push(TxOut { value_sat: left, script: self.economy.address() });
        }
        let inputs = coins.iter().map(Economy::spend).collect();
        let tx = Tx { version: 2, inputs, outputs, lock_time: 0, mweb: Mweb::None };
        let made = tx.outpoints().map(|(outpoint, output)| Unspent::new(outpoint, output));
        let made = made.collect();
        (tx, made)
    }
}

/// Steals two coins and splits them into `wide` times `deep` addresses.
pub(crate) fn heist(wide: usize, deep: usize) -> Heist {
    let folder = tempfile::tempdir().unwrap();
    let writer = Writer::create(&folder.path().join("index"), Network::BtcRegtest, Start::GENESIS).unwrap();
    let economy = Economy::new(Shape { block_txs: 12, ..Shape::BTC }, 7);
    let mut chain = Growing { economy, writer, kept: Vec::new() };
    for _ in 0..140 {
        chain.block(&[]);
    }
    let loot = [chain.economy.take(2_000_000_000).unwrap(), chain.economy.take(1_000_000_000).unwrap()];
    let seeds = loot.iter().map(|coin| format!("{}:{}", coin.outpoint.txid, coin.outpoint.vout)).collect();
    let service = chain.economy.address();
    // The theft itself, then a split into hands, and of each into many.
    let (theft, gathered) = chain.pays(&loot, &[], None);
    chain.block(&[(theft, FEE_SAT)]);
    let each = gathered[0].output.value_sat / u64::try_from(wide).unwrap() - FEE_SAT;
    let amounts: Vec<u64> = (1..wide).map(|hand| each - u64::try_from(hand).unwrap() * 1_000).collect();
    let (split, hands) = chain.pays(&gathered, &amounts, None);
    chain.block(&[(split, FEE_SAT)]);
    let mut leaves: Vec<Vec<Unspent>> = Vec::new();
    for some in hands.chunks(7) {
        let mut txs = Vec::new();
        for hand in some {
            let share = (hand.output.value_sat - FEE_SAT) / u64::try_from(deep).unwrap();
            let amounts: Vec<u64> = (1..deep).map(|leaf| share - u64::try_from(leaf).unwrap() * 10).collect();
            let (tx, made) = chain.pays(std::slice::from_ref(hand), &amounts, None);
            txs.push((tx, FEE_SAT));
            leaves.push(made);
        }
        chain.block(&txs);
    }
    after(&mut chain, &mut leaves, &service);
    chain.writer.close().unwrap();
    fs::create_dir(folder.path().join("blocks")).unwrap();
    fs::write(folder.path().join("blocks/blk00000.dat"), chain.kept).unwrap();
    let service = Address::from_script(Network::BtcRegtest, &service).unwrap().to_string();
    Heist { folder, seeds, service }
}

/// A peel chain that pays the service, coins gathered again, and coins that other people come to hold.
fn after(chain: &mut Growing, leaves: &mut [Vec<Unspent>], service: &Script) {
    let mut peeled = leaves[0].split_off(leaves[0].len() / 2);
    for _ in 0..6 {
        let whole: u64 = peeled.iter().map(|coin| coin.output.value_sat).sum();
        let (tx, made) = chain.pays(&peeled, &[whole / 9], Some(service));
        chain.block(&[(tx, FEE_SAT)]);
        peeled = made[1..].to_vec();
    }
    let gathered: Vec<Unspent> =
        leaves[1..4].iter_mut().flat_map(|own| own.split_off(own.len() - 3)).collect();
    let (tx, made) = chain.pays(&gathered, &[1_000_000], None);
    chain.block(&[(tx, FEE_SAT)]);
    for coin in made {
        chain.economy.give(coin);
    }
    for _ in 0..12 {
        chain.block(&[]);
    }
}
