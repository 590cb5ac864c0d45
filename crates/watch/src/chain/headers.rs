//! The tree of headers above a base block, and which of its tips has the most work.
//!
//! Decides which headers are believed: those that connect, that hold the work they state, and that state no easier
//! target than the network's rules let follow. Never looks at blocks.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use kuraban_base::{Height, Instant};
use kuraban_chain::btc::{
    BlockHash, Header, Network,
    pow::{self, PowError, Target, Work},
};

use super::{Lie, Position};

/// Most headers that are kept: the connected window, what is ahead of it, and branches.
const HEADERS_KEPT_MAX: usize = 10_000;
/// Blocks after which the target is adjusted (Bitcoin Core and Litecoin Core, `DifficultyAdjustmentInterval`).
const PERIOD_BLOCKS: u32 = 2016;
/// A locator's entries stand densely for so many blocks and then twice as far apart each time.
const LOCATOR_DENSE: u32 = 10;

/// Why headers were not taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum NotTaken {
    /// The first has a parent that is not known.
    Unconnected,
    /// One is a lie.
    Lie(Lie),
}

#[derive(Clone, Copy, Debug)]
struct Node {
    header: Header,
    height: Height,
    work: Work,
}

/// What the next header is measured against.
#[derive(Clone, Copy)]
struct Parent {
    height: Height,
    bits: Option<u32>,
    work: Work,
}

/// The tree.
#[derive(Clone, Debug)]
pub(super) struct Headers {
    network: Network,
    base: Position,
    base_header: Option<Header>,
    base_work: Work,
    nodes: BTreeMap<BlockHash, Node>,
    best: BlockHash,
}

/// Whether the network lets a block come with an easier target than the rules of adjustment give
/// (`fPowAllowMinDifficultyBlocks`); there a target says nothing about the one before it.
const fn easy_blocks_allowed(network: Network) -> bool {
    match network {
        Network::BtcTest | Network::BtcRegtest | Network::LtcTest | Network::LtcRegtest => true,
        Network::BtcMain | Network::BtcSignet | Network::LtcMain => false,
    }
}

/// Four times a target, or the largest number where that does not fit.
fn quadruple(target: &Target) -> [u8; 32] {
    let bytes = target.as_bytes();
    if bytes.first().is_some_and(|high| high >> 6 != 0) {
        return [0xff; 32];
    }
    let low = bytes.iter().copied().skip(1).chain([0]);
    let mut shifted = bytes.iter().zip(low).map(|(high, low)| high << 2 | low >> 6);
    core::array::from_fn(|_| shifted.next().unwrap_or_default())
}

/// Whether `bits` may stand at `height` after a block of `before`: the same within a period, and at most four times
/// easier at its start (Bitcoin Core, `PermittedDifficultyTransition`). A harder target is no way to cheat.
fn may_follow(network: Network, height: Height, before: u32, bits: u32) -> bool {
    if easy_blocks_allowed(network) {
        return true;
    }
    if height.blocks().checked_rem(PERIOD_BLOCKS) != Some(0) {
        return bits == before;
    }
    let (Ok(before), Ok(target)) = (Target::from_bits(before), Target::from_bits(bits)) else { return false };
    *target.as_bytes() <= quadruple(&before)
}

impl Headers {
    /// The tree that has only its base.
    pub(super) fn new(network: Network, base: Position) -> Self {
        Self {
            network,
            base,
            base_header: None,
            base_work: Work::default(),
            nodes: BTreeMap::new(),
            best: base.hash,
        }
    }

    /// Whether the base's header must be seen before any other can be judged. After a restart the stored headers
    /// stand in for it.
    pub(super) fn wants_base(&self) -> bool {
        self.base_header.is_none() && self.nodes.is_empty() && !easy_blocks_allowed(self.network)
    }

    /// Takes the base's own header, whose hash the caller compared.
    pub(super) const fn base_header(&mut self, header: &Header) {
        self.base_header = Some(*header);
    }

    /// The block above which everything stands.
    pub(super) const fn base(&self) -> Position {
        self.base
    }

    /// The tip with the most work; of equals, the first seen.
    pub(super) const fn best(&self) -> BlockHash {
        self.best
    }

    /// Whether the block is known.
    pub(super) fn knows(&self, hash: &BlockHash) -> bool {
        *hash == self.base.hash || self.nodes.contains_key(hash)
    }

    /// A known block's height.
    pub(super) fn height(&self, hash: &BlockHash) -> Option<Height> {
        if *hash == self.base.hash {
            return Some(self.base.height);
        }
        self.nodes.get(hash).map(|node| node.height)
    }

    /// A known block's own time, if its header was shown.
    pub(super) fn time(&self, hash: &BlockHash) -> Option<Instant> {
        let base = self.base_header.as_ref().filter(|_| *hash == self.base.hash);
        let header = base.or_else(|| self.nodes.get(hash).map(|node| &node.header))?;
        Some(Instant::from_ms(u64::from(header.time_s).saturating_mul(1000)))
    }

    /// The block before a known one; nothing before the base.
    pub(super) fn parent(&self, hash: &BlockHash) -> Option<BlockHash> {
        self.nodes.get(hash).map(|node| node.header.prev)
    }

    /// Takes headers in order.
    pub(super) fn accept(&mut self, headers: &[Header]) -> Result<(), NotTaken> {
        let mut before: Option<BlockHash> = None;
        for header in headers {
            if before.is_some_and(|before| before != header.prev) {
                return Err(NotTaken::Lie(Lie::Gap { hash: header.hash() }));
            }
            before = Some(self.insert(header, |header, network| pow::judge(network, header))?);
        }
        Ok(())
    }

    /// Takes a header that was accepted before a restart: its work was checked then.
    pub(super) fn restore(&mut self, header: &Header) -> Result<(), NotTaken> {
        self.insert(header, |header, _| Ok(Target::from_bits(header.bits)?.work())).map(|_| ())
    }

    fn insert(
        &mut self,
        header: &Header,
        judge: impl Fn(&Header, Network) -> Result<Work, PowError>,
    ) -> Result<BlockHash, NotTaken> {
        let hash = header.hash();
        if self.knows(&hash) {
            return Ok(hash);
        }
        let parent = self.standing(&header.prev).ok_or(NotTaken::Unconnected)?;
        let lie = |lie| Err(NotTaken::Lie(lie));
        let Some(height) = parent.height.next() else { return lie(Lie::TooMany) };
        if self.nodes.len() >= HEADERS_KEPT_MAX {
            return lie(Lie::TooMany);
        }
        let own = match judge(header, self.network) {
            Ok(work) => work,
            Err(problem) => return lie(Lie::Work { hash, problem }),
        };
        if parent.bits.is_some_and(|before| !may_follow(self.network, height, before, header.bits)) {
            return lie(Lie::Target { hash, bits: header.bits });
        }
        let Some(work) = parent.work.plus(own) else { return lie(Lie::TooMany) };
        let best_work = self.standing(&self.best).map(|best| best.work);
        self.nodes.insert(hash, Node { header: *header, height, work });
        if best_work < Some(work) {
            self.best = hash;
        }
        Ok(hash)
    }

    fn standing(&self, hash: &BlockHash) -> Option<Parent> {
        if *hash == self.base.hash {
            return Some(Parent {
                height: self.base.height,
                bits: self.base_header.map(|header| header.bits),
                work: self.base_work,
            });
        }
        let node = self.nodes.get(hash)?;
        Some(Parent { height: node.height, bits: Some(node.header.bits), work: node.work })
    }

    /// The blocks from the last connected one before the best tip up to that tip; nothing where the best tip's
    /// branch leaves the chain below the base.
    pub(super) fn path(&self, connected: &BTreeSet<BlockHash>) -> Option<VecDeque<BlockHash>> {
        let mut path = VecDeque::new();
        let mut at = self.best;
        while at != self.base.hash && !connected.contains(&at) {
            path.push_front(at);
            at = self.parent(&at)?;
        }
        Some(path)
    }

    /// Hashes from `from` down to the base, denser near `from`.
    pub(super) fn locator(&self, from: BlockHash) -> Vec<BlockHash> {
        let mut locator = vec![from];
        let (mut at, mut since, mut apart) = (from, 0_u32, 1_u32);
        while let Some(parent) = self.parent(&at) {
            at = parent;
            since = since.saturating_add(1);
            if since < apart && at != self.base.hash {
                continue;
            }
            locator.push(at);
            since = 0;
            if u32::try_from(locator.len()).unwrap_or(u32::MAX) > LOCATOR_DENSE {
                apart = apart.saturating_mul(2);
            }
        }
        locator
    }

    /// Makes a connected block the new base and forgets everything at its height and below.
    pub(super) fn rebase(&mut self, hash: BlockHash) {
        let Some(node) = self.nodes.get(&hash).copied() else { return };
        self.base = Position { height: node.height, hash };
        self.base_header = Some(node.header);
        self.base_work = node.work;
        self.nodes.retain(|_, other| other.height > node.height);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_follow_by_the_rule_of_adjustment() {
        let check = |network, height, before, bits, want| {
            assert_eq!(may_follow(network, Height::new(height), before, bits), want, "{height} {bits:#x}");
        };
        let main = Network::BtcMain;
        check(main, 2017, 0x1704_ed7f, 0x1704_ed7f, true);
        check(main, 2017, 0x1704_ed7f, 0x1704_ed7e, false);
        check(main, 2017, 0x1704_ed7f, 0x1d00_ffff, false);
        // At a period's start: four times the target exactly, and one unit beyond.
        check(main, 2016, 0x1704_ed7f, 0x1713_b5fc, true);
        check(main, 2016, 0x1704_ed7f, 0x1713_b5fd, false);
        check(main, 2016, 0x1704_ed7f, 0x1700_0001, true);
        check(main, 2016, 0x1d00_ffff, 0x1d03_fffc, true);
        check(Network::LtcMain, 2016, 0x1b00_ffff, 0x1d00_ffff, false);
        check(Network::BtcRegtest, 5, 0x1704_ed7f, 0x207f_ffff, true);
    }

    #[test]
    fn four_times_a_target_carries_between_bytes() {
        let of = |bits| quadruple(&Target::from_bits(bits).unwrap());
        assert_eq!(of(0x207f_ffff), [0xff; 32]);
        let mut want = [0; 32];
        want[29] = 0x03;
        want[30] = 0xfc;
        assert_eq!(of(0x0300_00ff), {
            let mut low = [0; 32];
            low[30] = 0x03;
            low[31] = 0xfc;
            low
        });
        assert_eq!(of(0x0300_ff00), want);
    }
}
