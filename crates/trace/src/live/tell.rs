//! What the engine tells a feed: which tag an output should have, and why one has none any more.

use std::collections::HashMap;

use kuraban_base::{Height, Instant, Txid};
use kuraban_chain::btc::{Address, OutPoint, Script};

use super::{
    Live,
    held::{CasePlace, Held, Of, sum},
};
use crate::{
    feed::{
        AppendError, Block, Chain, Feed, Growth, Opened, Reach, Reason, Since, Standing, Subject, Tag, Taint,
        Words,
        tell::{self, Teller},
    },
    tags::Confidence,
    taint::Method,
};

/// How sure a tag is that follows from the chain and the case's seeds.
pub(crate) const CONFIDENCE: &str = "forensic";

type Key = tell::Key<OutPoint>;
pub(super) type Tell = tell::Tell<OutPoint>;

impl Live {
    /// Compares the engine with a feed that stood before, such as after a restart: everything is looked at once. Bring the
    /// blocks and the waiting transactions that the engine lacks first: a tag on what it does not know is revoked.
    pub fn attach(&mut self, standing: &Standing) {
        let places: HashMap<&str, CasePlace> =
            (0..).zip(&self.cases).map(|(place, followed)| (followed.opened.case.as_str(), place)).collect();
        let mut tell = Tell::default();
        for (number, tag) in standing.tags() {
            let Some(case) = places.get(tag.case.as_str()).copied() else { continue };
            let Subject::Output { tx, index, .. } = &tag.subject else { continue };
            let mut bytes = *tx.as_bytes();
            bytes.reverse();
            let key = (case, OutPoint { txid: Txid::from_bytes(bytes), vout: *index });
            tell.stands(key, number, tag, self.lasts_ms(case));
        }
        for (output, held) in self.held.iter().chain(&self.pool.made) {
            held.of.iter().for_each(|of| tell.mark(of.case, *output, None));
        }
        self.tell = tell;
    }

    /// Tells the feed what has changed since it was told last: cases, tags, confirmations, revocations, how far the chain was
    /// followed. Gives what was appended, which the caller puts out and signs; nothing if there is nothing to tell. Of more
    /// than [`TELL_MAX`](super::TELL_MAX) changes, such as at the start of a large case, it tells the first: call it until
    /// there is nothing.
    ///
    /// # Errors
    /// As [`Feed::append`]; then nothing was told, and all of it is told the next time.
    pub fn publish(&mut self, feed: &mut Feed, now: Instant) -> Result<Option<Growth>, AppendError> {
        self.past = None;
        tell::publish(self, feed, now)
    }

    fn known(&self, (case, output): Key) -> Option<(&Held, &Of)> {
        let held = self.pool.made.get(&output).or_else(|| self.held.get(&output))?;
        Some((held, held.of.iter().find(|of| of.case == case)?))
    }

    fn block_at(&self, height: u32) -> Option<Block> {
        self.hashes.get(&height).map(|hash| Block::of_family(Height::new(height), hash))
    }
}

impl Teller for Live {
    type Place = OutPoint;

    fn tell(&self) -> &Tell {
        &self.tell
    }

    fn tell_mut(&mut self) -> &mut Tell {
        &mut self.tell
    }

    fn cases(&self) -> impl Iterator<Item = (&Opened, Option<&Words>)> {
        self.cases.iter().map(|followed| (&followed.opened, followed.closed.as_ref()))
    }

    fn lasts_ms(&self, case: CasePlace) -> Option<u64> {
        self.open_case(case).and_then(|followed| followed.opened.rules.lasts_ms)
    }

    fn wanted(&self, key: Key, now: Instant) -> Option<Tag> {
        let (held, of) = self.known(key)?;
        let opened = &self.open_case(key.0)?.opened;
        let rules = &opened.rules;
        let taint = taint(held, of, &rules.methods)?;
        if taint.most() < rules.tag_units_min {
            return None;
        }
        let since = match held.height {
            None => Since::Mempool,
            Some(height) => Since::Block(self.block_at(height)?),
        };
        let address = Address::from_script(self.network, &Script::new(held.script.to_vec()));
        Some(Tag {
            case: opened.case.clone(),
            subject: Subject::output(key.1, address.map(|address| address.to_string())),
            taint,
            value: Some(u128::from(held.value_sat)),
            reach: of.stop.as_deref().map_or(Reach::Followed, |to| Reach::HandedOver { to: to.clone() }),
            since,
            confidence: Confidence::of(CONFIDENCE).unwrap_or(Confidence::UNKNOWN),
            expires: rules.lasts_ms.map(|lasts_ms| now.plus_ms(lasts_ms)),
        })
    }

    fn gone(&self, key: Key, tag: &Tag) -> Reason {
        if self.known(key).is_some() {
            return Reason::BelowThreshold;
        }
        self.tell.marked(&key).unwrap_or_else(|| match tag.since {
            Since::Mempool => Reason::Replaced,
            Since::Block(block) if self.block_at(block.height.blocks()) == Some(block) => Reason::Spent,
            Since::Block(_) => Reason::Reorganised,
        })
    }

    /// An output comes into another block only where its first one left the chain.
    fn changed(&self, _: &Tag, same: bool) -> Reason {
        if same { Reason::Reorganised } else { Reason::Superseded }
    }

    fn tip(&self) -> Option<(Chain, Block)> {
        Some((Chain::Family(self.network), Block::of_family(self.tip.height, &self.tip.hash)))
    }
}

/// What the methods say together.
fn taint(held: &Held, of: &Of, methods: &[Method]) -> Option<Taint> {
    let units = of.taints.iter().map(|parts| u128::from(sum(parts).min(held.value_sat)));
    Taint::over(methods.iter().copied().zip(units))
}
