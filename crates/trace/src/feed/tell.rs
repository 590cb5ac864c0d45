//! What a feed is to be told: tags for what is tainted now, and revocations of those that hold no longer.
//!
//! Decides by comparing what an engine knows with what stands in the feed, only where something has changed. So a feed
//! that was told of it all is told nothing twice, also after a restart. What an engine follows is its own to say.

use core::hash::Hash;
use std::collections::{BTreeMap, BTreeSet};

use kuraban_base::{Height, Instant};

use crate::live::keyed::Map;

use super::{
    AppendError, Block, Body, Chain, Entry, Feed, Growth, NAMED_MAX, Opened, Reach, Reason, Since, Standing,
    Tag, Words,
};

/// Most places that one step of telling looks at: each gives two entries at most.
pub const TELL_MAX: usize = 100_000;

/// A case by its place among those of an engine.
pub(crate) type CasePlace = u32;

/// What one case has at one place.
pub(crate) type Key<P> = (CasePlace, P);

/// What the feed knows, and what it is to be told.
#[derive(Debug)]
pub(crate) struct Tell<P> {
    /// Where something may have changed, and why where that is known.
    dirty: Map<Key<P>, Option<Reason>>,
    /// The numbers of tags that stand.
    given: Map<Key<P>, u64>,
    /// When tags are to be given again.
    renew: BTreeSet<(u64, CasePlace, P)>,
}

impl<P> Default for Tell<P> {
    fn default() -> Self {
        Self { dirty: Map::default(), given: Map::default(), renew: BTreeSet::new() }
    }
}

impl<P: Copy + Ord + Hash> Tell<P> {
    pub(crate) fn mark(&mut self, case: CasePlace, place: P, reason: Option<Reason>) {
        self.dirty.insert((case, place), reason);
    }

    /// Why something was marked.
    pub(crate) fn marked(&self, key: &Key<P>) -> Option<Reason> {
        self.dirty.get(key).copied().flatten()
    }

    /// A tag that stands in the feed, from before a restart.
    pub(crate) fn stands(&mut self, key: Key<P>, number: u64, tag: &Tag, lasts_ms: Option<u64>) {
        self.given.insert(key, number);
        self.dirty.insert(key, None);
        self.renew_at(key, renewal(tag), lasts_ms);
    }

    fn renew_at(&mut self, key: Key<P>, expires: Option<Instant>, lasts_ms: Option<u64>) {
        if let (Some(expires), Some(lasts_ms)) = (expires, lasts_ms) {
            self.renew.insert((expires.ms().saturating_sub(lasts_ms / 2), key.0, key.1));
        }
    }

    /// Forgets a case: the entry that closes it ends its tags.
    pub(crate) fn forget(&mut self, case: CasePlace) {
        self.dirty.retain(|(of, _), _| *of != case);
        self.given.retain(|(of, _), _| *of != case);
        self.renew.retain(|(_, of, _)| *of != case);
    }

    /// Tags that have held for half of their time, and since when.
    fn due(&self, now: Instant) -> BTreeMap<Key<P>, u64> {
        let due = self.renew.iter().take_while(|(due_ms, _, _)| *due_ms <= now.ms());
        due.map(|(due_ms, case, place)| ((*case, *place), *due_ms)).collect()
    }
}

/// What follows cases and has something to tell.
pub(crate) trait Teller {
    /// Where taint can be.
    type Place: Copy + Ord + Hash;

    fn tell(&self) -> &Tell<Self::Place>;
    fn tell_mut(&mut self) -> &mut Tell<Self::Place>;
    /// Every case in the order of their places, and why it is closed if it is.
    fn cases(&self) -> impl Iterator<Item = (&Opened, Option<&Words>)>;
    /// How long tags of a case hold; nothing for one that is closed.
    fn lasts_ms(&self, case: CasePlace) -> Option<u64>;
    /// The tag that a place should have.
    fn wanted(&self, key: Key<Self::Place>, now: Instant) -> Option<Tag>;
    /// Why a tag is taken back on something that has none any more.
    fn gone(&self, key: Key<Self::Place>, tag: &Tag) -> Reason;
    /// Why a tag gives way to another, which says the same since another block if `same`.
    fn changed(&self, tag: &Tag, same: bool) -> Reason;
    /// How far the chain was followed; nothing before the first block.
    fn tip(&self) -> Option<(Chain, Block)>;
}

/// Entries that are being gathered.
struct Telling<P> {
    tags: Vec<(Key<P>, Tag)>,
    confirmed: BTreeMap<Height, (Block, Vec<u64>)>,
    revoked: BTreeMap<Reason, Vec<u64>>,
    gone: Vec<Key<P>>,
}

/// Tells the feed what has changed since it was told last: cases, tags, confirmations, revocations, how far the chain was
/// followed. Gives what was appended, which the caller puts out and signs; nothing if there is nothing to tell. Of more
/// than [`TELL_MAX`] changes it tells the first: call it until there is nothing.
///
/// # Errors
/// As [`Feed::append`]; then nothing was told, and all of it is told the next time.
pub(crate) fn publish<T: Teller>(
    teller: &mut T,
    feed: &mut Feed,
    now: Instant,
) -> Result<Option<Growth>, AppendError> {
    let due = teller.tell().due(now);
    let mut keys: Vec<Key<T::Place>> = teller.tell().dirty.keys().chain(due.keys()).copied().collect();
    keys.sort_unstable();
    keys.dedup();
    let all = keys.len() <= TELL_MAX;
    keys.truncate(TELL_MAX);
    let mut telling =
        Telling { tags: Vec::new(), confirmed: BTreeMap::new(), revoked: BTreeMap::new(), gone: Vec::new() };
    for key in &keys {
        compare(teller, *key, due.contains_key(key), (feed.standing(), now), &mut telling);
    }
    let mut entries = cases_to_open(teller, feed.standing());
    let first = feed.size().saturating_add(count(entries.len()));
    let numbers: Vec<(Key<T::Place>, u64, Option<Instant>)> =
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
    entries.extend(cases_to_close(teller, feed.standing()));
    // A heartbeat says that all up to this block was told.
    entries.extend(beat(teller, feed.standing()).filter(|_| all));
    let growth = if entries.is_empty() {
        None
    } else {
        Some(feed.append(entries.into_iter().map(|body| Entry { at: now, body }).collect())?)
    };
    let tell = teller.tell_mut();
    for key in keys {
        tell.dirty.remove(&key);
        if let Some(due_ms) = due.get(&key) {
            tell.renew.remove(&(*due_ms, key.0, key.1));
        }
    }
    if tell.dirty.is_empty() {
        // After a large case was told the room for it is given back.
        tell.dirty.shrink_to(TELL_MAX);
    }
    told(teller, telling.gone, numbers);
    Ok(growth)
}

/// Notes what the feed knows now.
fn told<T: Teller>(
    teller: &mut T,
    gone: Vec<Key<T::Place>>,
    numbers: Vec<(Key<T::Place>, u64, Option<Instant>)>,
) {
    for key in gone {
        teller.tell_mut().given.remove(&key);
    }
    for (key, number, expires) in numbers {
        let lasts_ms = teller.lasts_ms(key.0);
        let tell = teller.tell_mut();
        tell.given.insert(key, number);
        tell.renew_at(key, expires, lasts_ms);
    }
}

fn compare<T: Teller>(
    teller: &T,
    key: Key<T::Place>,
    renews: bool,
    (standing, now): (&Standing, Instant),
    telling: &mut Telling<T::Place>,
) {
    let stands = teller.tell().given.get(&key).and_then(|number| Some((*number, standing.tag(*number)?)));
    let wanted = teller.wanted(key, now);
    let mut revoke = |number, reason| telling.revoked.entry(reason).or_default().push(number);
    match (wanted, stands) {
        (None, None) => telling.gone.push(key),
        (Some(tag), None) => telling.tags.push((key, tag)),
        (None, Some((number, tag))) => {
            revoke(number, teller.gone(key, tag));
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
                    revoke(number, teller.changed(tag, true));
                    telling.tags.push((key, wanted));
                }
                (true, Since::Mempool | Since::Block(_), Since::Mempool | Since::Block(_)) => {
                    revoke(number, Reason::Superseded);
                    telling.tags.push((key, wanted));
                }
                (false, Since::Mempool | Since::Block(_), Since::Mempool | Since::Block(_)) => {
                    revoke(number, teller.changed(tag, false));
                    telling.tags.push((key, wanted));
                }
            }
        }
    }
}

fn cases_to_open<T: Teller>(teller: &T, standing: &Standing) -> Vec<Body> {
    let open = teller.cases().filter(|(opened, _)| standing.case(&opened.case).is_none());
    open.map(|(opened, _)| Body::Opened(opened.clone())).collect()
}

fn cases_to_close<T: Teller>(teller: &T, standing: &Standing) -> Vec<Body> {
    let close = teller.cases().filter_map(|(opened, reason)| {
        let (case, reason) = (opened.case.clone(), reason?.clone());
        let closed = standing.case(&case).is_some_and(|case| case.closed.is_some());
        (!closed).then_some(Body::Closed { case, reason })
    });
    close.collect()
}

fn beat<T: Teller>(teller: &T, standing: &Standing) -> Option<Body> {
    let (chain, tip) = teller.tip()?;
    let told = standing.freshness(chain).is_some_and(|fresh| fresh.tip == tip);
    (!told).then_some(Body::Heartbeat { chain, tip })
}

/// When a tag ends, if it is one that is given again.
fn renewal(tag: &Tag) -> Option<Instant> {
    match tag.reach {
        Reach::Followed => tag.expires,
        Reach::HandedOver { .. } => None,
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
