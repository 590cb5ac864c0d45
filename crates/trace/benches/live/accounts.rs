//! The same on a chain of accounts: blocks of 400 transfers through a case with many tainted accounts.

use std::{collections::BTreeMap, error::Error};

use kuraban_base::{Digest, Instant};
use kuraban_trace::{
    accounts::{Chain, Header, Kind, Mark, Opening, Transfer, Units, live::Live},
    feed::{self, Feed, Seed},
    taint::Method,
};
use serde_json::{Map, Value, json};

use crate::{BLOCKS, Began, Took, mix, row, spread, theft, us};

/// Transfers in a block: about what an Ethereum block of 2024 has, tokens among them.
const BLOCK_TRANSFERS: u64 = 400;
/// Transfers of each block that spreads the stolen units.
const SPREAD: u64 = 10_000;
const AMOUNT: u64 = 1_000_000;

/// Pays whatever is clean.
const EXCHANGE: u64 = 1;
const THIEF: u64 = 2;

struct World {
    live: Live,
    feed: Feed,
    last: Mark,
    made: u64,
    transfers: u64,
    tainted: Vec<u64>,
}

fn account(number: u64) -> String {
    format!("0x{:016x}{:024x}", mix(number), number)
}

fn hash(number: u64) -> Digest {
    let mut bytes = [0; 32];
    for (word, salt) in bytes.chunks_mut(8).zip(1_u64..) {
        word.copy_from_slice(&mix(number.wrapping_mul(31).wrapping_add(salt)).to_le_bytes());
    }
    Digest::from_bytes(bytes)
}

fn units(number: u64) -> Units {
    Units::from_u128(number.into())
}

impl World {
    /// A theft that lies in so many accounts.
    fn new(count: u64) -> Result<Self, Box<dyn Error>> {
        let header = Header { chain: Chain::Eth, opening: Opening::Stated };
        let genesis = Mark { height: 0, hash: hash(u64::MAX), prev: hash(u64::MAX - 1) };
        let mut world = Self {
            live: Live::new(header, BTreeMap::new()),
            feed: Feed::new(),
            last: genesis,
            made: THIEF,
            transfers: 0,
            tainted: Vec::new(),
        };
        // The second transfer of all.
        let seed = Seed { tx: hash(2), index: 0, units: u128::from(count * AMOUNT) };
        let chain = feed::Chain::Accounts(Chain::Eth);
        world.live.open(theft(chain, seed, &[Method::Haircut, Method::Fifo])?)?;
        let rich = world.transfer(None, EXCHANGE, u64::MAX);
        let stolen = world.transfer(Some(EXCHANGE), THIEF, count * AMOUNT);
        world.mine(vec![rich, stolen])?;
        let mut left = count;
        while left > 0 {
            let now = left.min(SPREAD);
            let payments = (0..now).map(|_| {
                let to = world.fresh();
                world.tainted.push(to);
                world.transfer(Some(THIEF), to, AMOUNT)
            });
            let payments = payments.collect();
            world.mine(payments)?;
            left -= now;
        }
        Ok(world)
    }

    fn fresh(&mut self) -> u64 {
        self.made += 1;
        self.made
    }

    fn transfer(&mut self, from: Option<u64>, to: u64, amount: u64) -> Transfer {
        self.transfers += 1;
        Transfer {
            height: self.last.height + 1,
            position: 0,
            tx: Chain::Eth.tx_name(&hash(self.transfers)),
            index: 0,
            asset: Chain::Eth.name().to_owned(),
            from: from.map(account),
            to: Some(account(to)),
            amount: units(amount),
            kind: if from.is_some() { Kind::Payment } else { Kind::Mint },
        }
    }

    /// Payments to new accounts, so many of a thousand from tainted ones, of half of what those had.
    fn block(&mut self, per_mille: u64) -> Vec<Transfer> {
        let mut payment = |_| {
            let to = self.fresh();
            if mix(!to) % 1_000 >= per_mille {
                return self.transfer(Some(EXCHANGE), to, AMOUNT);
            }
            let place = usize::try_from(mix(self.made)).unwrap_or(0) % self.tainted.len().max(1);
            let from = self.tainted.swap_remove(place);
            self.transfer(Some(from), to, AMOUNT / 2)
        };
        (0..BLOCK_TRANSFERS).map(&mut payment).collect()
    }

    fn mine(&mut self, mut transfers: Vec<Transfer>) -> Result<Took, Box<dyn Error>> {
        for (position, transfer) in (0..).zip(&mut transfers) {
            transfer.position = position;
        }
        let height = self.last.height + 1;
        let mark = Mark { height, hash: hash(height << 40), prev: self.last.hash };
        let began = Began::now();
        let stirred = self.live.block(mark, &transfers)?;
        let took = began.took();
        assert!(stirred.misfits.is_empty(), "the seed is the theft: {:?}", stirred.misfits);
        self.last = mark;
        Ok(took)
    }
}

/// Rows of blocks, and of what the feed is then told.
pub(crate) fn measure(count: u64) -> Result<Map<String, Value>, Box<dyn Error>> {
    let began = Began::now();
    let mut world = World::new(count)?;
    let taken_up = began.took().busy;
    while world.live.publish(&mut world.feed, Instant::from_ms(1))?.is_some() {}
    let mut rows = Map::new();
    for (name, per_mille) in [
        ("accounts: block, nothing tainted", 0),
        ("accounts: block, 1 % tainted", 10),
        ("accounts: block, 10 % tainted", 100),
    ] {
        let (mut took, mut told) = (Vec::new(), Vec::new());
        for _ in 0..BLOCKS {
            let transfers = world.block(per_mille);
            took.push(world.mine(transfers)?);
            let began = Began::now();
            world.live.publish(&mut world.feed, Instant::from_ms(1))?;
            told.push(began.took());
        }
        let figures = [("transfers a block", json!(BLOCK_TRANSFERS)), ("tainted of 1000", json!(per_mille))];
        rows.insert(name.to_owned(), row(figures.into_iter().chain(spread(&took))));
        if per_mille > 0 {
            rows.insert(format!("feed after {name}"), row(spread(&told)));
        }
    }
    let undone = Began::now();
    world.live.undo()?;
    let undone = us(undone.took().busy);
    rows.insert("accounts: undo of a block, 10 % tainted".to_owned(), json!({ "us": undone }));
    let held = json!({ "accounts": count, "ms to take up": us(taken_up) / 1_000 });
    rows.insert("accounts: tainted accounts".to_owned(), held);
    Ok(rows)
}
