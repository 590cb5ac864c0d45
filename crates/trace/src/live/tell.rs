//! What the feed is to be told: tags for what is tainted now, and revocations of those that hold no longer.
//!
//! Decides by comparing what the engine knows with what stands in the feed, only where something has changed. So a feed
//! that was told of it all is told nothing twice, also after a restart.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use kuraban_base::{Height, Instant, Txid};
use kuraban_chain::btc::{Address, OutPoint, Script};

use super::{
    Live,
    held::{CasePlace, Held, Of, sum},
    keyed::Map,
};
use crate::{
    feed::{
        AppendError, Block, Body, Chain, Entry, Feed, Growth, NAMED_MAX, Reach, Reason, Since, Standing,
        Subject, Tag, Taint,
    },
    tags::Confidence,
    taint::Method,
};

/// How sure a tag is that follows from the chain and the case's seeds.
const CONFIDENCE: &str = "forensic";

/// Most places that one step of telling looks at: each gives two entries at most.
pub const TELL_MAX: usize = 100_000;

type Key = (CasePlace, OutPoint);

/// What the feed knows, and what it is to be told.
#[derive(Default, Debug)]
pub(super) struct Tell {
    /// Where something may have changed, and why. Nothing: see [`Live::attach`].
    dirty: Map<Key, Option<Reason>>,
    /// The numbers of tags that stand.
    given: Map<Key, u64>,
    /// When tags are to be given again.
    renew: BTreeSet<(u64, CasePlace, OutPoint)>,
}

impl Tell {
    pub(super) fn mark(&mut self, case: CasePlace, output: OutPoint, reason: Reason) {
        self.dirty.insert((case, output), Some(reason));
    }

    /// Forgets a case: the entry that closes it ends its tags.
    pub(super) fn forget(&mut self, case: CasePlace) {
        self.dirty.retain(|(of, _), _| *of != case);
        self.given.retain(|(of, _), _| *of != case);
        self.renew.retain(|(_, of, _)| *of != case);
    }
}

/// Entries that are being gathered.
#[derive(Default)]
struct Telling {
    tags: Vec<(Key, Tag)>,
    confirmed: BTreeMap<Height, (Block, Vec<u64>)>,
    revoked: BTreeMap<Reason, Vec<u64>>,
    gone: Vec<Key>,
}

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
            tell.given.insert(key, number);
            tell.dirty.insert(key, None);
            let lasts_ms = self.open_case(case).and_then(|followed| followed.opened.rules.lasts_ms);
            if let (Some(expires), Some(lasts_ms), Reach::Followed) = (tag.expires, lasts_ms, &tag.reach) {
                tell.renew.insert((expires.ms().saturating_sub(lasts_ms / 2), case, key.1));
            }
        }
        for (output, held) in self.held.iter().chain(&self.pool.made) {
            tell.dirty.extend(held.of.iter().map(|of| ((of.case, *output), None)));
        }
        self.tell = tell;
    }

    /// Tells the feed what has changed since it was told last: cases, tags, confirmations, revocations, how far the chain was
    /// followed. Gives what was appended, which the caller puts out and signs; nothing if there is nothing to tell. Of more
    /// than [`TELL_MAX`] changes, such as at the start of a large case, it tells the first: call it until there is nothing.
    ///
    /// # Errors
    /// As [`Feed::append`]; then nothing was told, and all of it is told the next time.
    pub fn publish(&mut self, feed: &mut Feed, now: Instant) -> Result<Option<Growth>, AppendError> {
        self.past = None;
        let due = self.due(now);
        let mut keys: Vec<Key> = self.tell.dirty.keys().chain(due.keys()).copied().collect();
        keys.sort_unstable();
        keys.dedup();
        let all = keys.len() <= TELL_MAX;
        keys.truncate(TELL_MAX);
        let mut telling = Telling::default();
        for key in &keys {
            self.compare(*key, due.contains_key(key), (feed.standing(), now), &mut telling);
        }
        let mut entries = self.cases_to_open(feed.standing());
        let first = feed.size().saturating_add(count(entries.len()));
        let numbers: Vec<(Key, u64, Option<Instant>)> =
            (first..).zip(&telling.tags).map(|(number, (key, tag))| (*key, number, renewal(tag))).collect();
        entries.extend(telling.tags.into_iter().map(|(_, tag)| Body::Tag(tag)));
        for (block, mut tags) in telling.confirmed.into_values() {
            tags.sort_unstable();
            entries.extend(tags.chunks(NAMED_MAX).map(|tags| Body::Confirmed { tags: tags.to_vec(), block }));
        }
        for (reason, mut tags) in telling.revoked {
            tags.sort_unstable();
            entries.extend(tags.chunks(NAMED_MAX).map(|tags| Body::Revoked { tags: tags.to_vec(), reason }));
        }
        entries.extend(self.cases_to_close(feed.standing()));
        // A heartbeat says that all up to this block was told.
        entries.extend(self.beat(feed.standing()).filter(|_| all));
        let growth = if entries.is_empty() {
            None
        } else {
            Some(feed.append(entries.into_iter().map(|body| Entry { at: now, body }).collect())?)
        };
        for key in keys {
            self.tell.dirty.remove(&key);
            if let Some(due_ms) = due.get(&key) {
                self.tell.renew.remove(&(*due_ms, key.0, key.1));
            }
        }
        if self.tell.dirty.is_empty() {
            // After a large case was told the room for it is given back.
            self.tell.dirty.shrink_to(TELL_MAX);
        }
        self.told(telling.gone, numbers);
        Ok(growth)
    }

    /// Notes what the feed knows now.
    fn told(&mut self, gone: Vec<Key>, numbers: Vec<(Key, u64, Option<Instant>)>) {
        for key in gone {
            self.tell.given.remove(&key);
        }
        for (key, number, expires) in numbers {
            self.tell.given.insert(key, number);
            let lasts_ms = self.open_case(key.0).and_then(|followed| followed.opened.rules.lasts_ms);
            if let (Some(expires), Some(lasts_ms)) = (expires, lasts_ms) {
                self.tell.renew.insert((expires.ms().saturating_sub(lasts_ms / 2), key.0, key.1));
            }
        }
    }

    /// Tags that have held for half of their time, and since when.
    fn due(&self, now: Instant) -> BTreeMap<Key, u64> {
        let due = self.tell.renew.iter().take_while(|(due_ms, _, _)| *due_ms <= now.ms());
        due.map(|(due_ms, case, output)| ((*case, *output), *due_ms)).collect()
    }

    fn compare(&self, key: Key, renews: bool, (standing, now): (&Standing, Instant), telling: &mut Telling) {
        let stands = self.tell.given.get(&key).and_then(|number| Some((*number, standing.tag(*number)?)));
        let wanted = self.wanted(key, now);
        let mut revoke = |number, reason| telling.revoked.entry(reason).or_default().push(number);
        match (wanted, stands) {
            (None, None) => telling.gone.push(key),
            (Some(tag), None) => telling.tags.push((key, tag)),
            (None, Some((number, tag))) => {
                revoke(number, self.reason(key, tag));
                telling.gone.push(key);
            }
            (Some(wanted), Some((number, tag))) => {
                let (since, expires) = (tag.since, tag.expires);
                let same = Tag { since, expires, ..wanted.clone() } == *tag;
                match (same, tag.since, wanted.since) {
                    (true, before, after) if before == after && !renews => {}
                    (true, Since::Mempool, Since::Block(block)) if !renews => {
                        telling.confirmed.entry(block.height).or_insert((block, Vec::new())).1.push(number);
                    }
                    (true, Since::Block(_), after) if after != tag.since => {
                        revoke(number, Reason::Reorganised);
                        telling.tags.push((key, wanted));
                    }
                    (true | false, Since::Mempool | Since::Block(_), Since::Mempool | Since::Block(_)) => {
                        revoke(number, Reason::Superseded);
                        telling.tags.push((key, wanted));
                    }
                }
            }
        }
    }

    /// Why a tag is taken back on something that has none any more.
    fn reason(&self, key: Key, tag: &Tag) -> Reason {
        if self.known(key).is_some() {
            return Reason::BelowThreshold;
        }
        let marked = self.tell.dirty.get(&key).copied().flatten();
        marked.unwrap_or_else(|| match tag.since {
            Since::Mempool => Reason::Replaced,
            Since::Block(block) if self.block_at(block.height.blocks()) == Some(block) => Reason::Spent,
            Since::Block(_) => Reason::Reorganised,
        })
    }

    fn known(&self, (case, output): Key) -> Option<(&Held, &Of)> {
        let held = self.pool.made.get(&output).or_else(|| self.held.get(&output))?;
        Some((held, held.of.iter().find(|of| of.case == case)?))
    }

    fn block_at(&self, height: u32) -> Option<Block> {
        self.hashes.get(&height).map(|hash| Block::of_family(Height::new(height), hash))
    }

    /// The tag that an output should have.
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

    fn cases_to_open(&self, standing: &Standing) -> Vec<Body> {
        let open = self.cases.iter().filter(|followed| standing.case(&followed.opened.case).is_none());
        open.map(|followed| Body::Opened(followed.opened.clone())).collect()
    }

    fn cases_to_close(&self, standing: &Standing) -> Vec<Body> {
        let close = self.cases.iter().filter_map(|followed| {
            let case = followed.opened.case.clone();
            let reason = followed.closed.clone()?;
            let closed = standing.case(&case).is_some_and(|case| case.closed.is_some());
            (!closed).then_some(Body::Closed { case, reason })
        });
        close.collect()
    }

    fn beat(&self, standing: &Standing) -> Option<Body> {
        let chain = Chain::Family(self.network);
        let tip = Block::of_family(self.tip.height, &self.tip.hash);
        let told = standing.freshness(chain).is_some_and(|fresh| fresh.tip == tip);
        (!told).then_some(Body::Heartbeat { chain, tip })
    }
}

/// When a tag ends, if it is one that is given again.
fn renewal(tag: &Tag) -> Option<Instant> {
    match tag.reach {
        Reach::Followed => tag.expires,
        Reach::HandedOver { .. } => None,
    }
}

/// What the methods say together. Poison finds more than was stolen and counts only where it is asked alone.
fn taint(held: &Held, of: &Of, methods: &[Method]) -> Option<Taint> {
    let units = |parts: &[crate::taint::Part]| u128::from(sum(parts).min(held.value_sat));
    if let ([method], [parts]) = (methods, &*of.taints) {
        let units = units(parts);
        return (units > 0).then_some(Taint::By { method: *method, units });
    }
    let found = methods.iter().zip(&of.taints).filter(|(method, _)| method.conserves());
    let (mut least, mut most) = (u128::MAX, 0);
    for (_, parts) in found {
        least = least.min(units(parts));
        most = most.max(units(parts));
    }
    (most > 0).then_some(Taint::Span { least, most })
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
