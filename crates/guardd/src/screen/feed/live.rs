//! What a feed says, for many readers at once. Tags lie in 4,096 parts by their keys; a change copies the parts that it
//! touches, so that readers keep what they hold and publishing costs no more than what changed.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Bound,
    sync::Arc,
};

use hyper::body::Bytes;
use kuraban_base::hex;
use kuraban_proof::TreeHead;
use kuraban_trace::{
    feed::Standing,
    tags::{
        Tag,
        store::{Key, key},
    },
};

use super::{super::sources::place, Shelf, Status};

/// Parts: one for each first twelve bits of a key.
const PARTS: usize = 4_096;

type Part = BTreeMap<Key, Vec<Arc<LiveTag>>>;

/// A tag of the feed.
#[derive(Debug)]
pub(in crate::screen) struct LiveTag {
    /// Its place in the feed.
    pub(in crate::screen) number: u64,
    pub(in crate::screen) tag: Tag,
    /// What is appealed against it.
    pub(in crate::screen) appeal: Option<String>,
}

/// A feed at one size.
#[derive(Debug)]
pub(in crate::screen) struct Live {
    pub(in crate::screen) origin: String,
    pub(in crate::screen) size: u64,
    pub(in crate::screen) root: String,
    /// When the newest entry was made, as it says.
    pub(in crate::screen) entry_ms: Option<u64>,
    pub(in crate::screen) status: Arc<Status>,
    /// How many tags stand.
    pub(in crate::screen) tags: usize,
    pub(in crate::screen) checkpoint: Option<Bytes>,
    pub(in crate::screen) shelf: Arc<Shelf>,
    networks: BTreeSet<String>,
    /// Different subjects by the first sixteen bits of their keys.
    pub(in crate::screen) counts: Vec<u32>,
    parts: Vec<Arc<Part>>,
}

impl Live {
    /// The tags on a key; expired ones too.
    pub(in crate::screen) fn on(&self, key: &Key) -> &[Arc<LiveTag>] {
        let part = self.parts.get(part(key));
        part.and_then(|part| part.get(key)).map(Vec::as_slice).unwrap_or_default()
    }

    /// The keys from one to another, ascending.
    pub(in crate::screen) fn keys(&self, from: Key, to: Key) -> impl Iterator<Item = &Key> {
        let parts = self.parts.get(part(&from)..=part(&to)).unwrap_or_default();
        parts.iter().flat_map(move |part| {
            part.range((Bound::Included(from), Bound::Included(to))).map(|(key, _)| key)
        })
    }

    /// Whether any tag is on a network; its name in capitals.
    pub(in crate::screen) fn has(&self, network: &str) -> bool {
        self.networks.contains(network)
    }
}

fn part(key: &Key) -> usize {
    place(key) >> 4
}

/// The tags of a feed, and where each lies.
pub(super) struct Tags {
    parts: Vec<Arc<Part>>,
    keys: HashMap<u64, Key>,
    /// Of every chain on which there ever was a tag.
    networks: BTreeSet<String>,
    entry_ms: Option<u64>,
    counts: Vec<u32>,
}

impl Tags {
    /// All that stand.
    pub(super) fn of(standing: &Standing, entry_ms: Option<u64>) -> Self {
        let parts = (0..PARTS).map(|_| Arc::default()).collect();
        let mut tags = Self {
            parts,
            keys: HashMap::new(),
            networks: BTreeSet::new(),
            entry_ms,
            counts: vec![0; 1 << 16],
        };
        for (number, _) in standing.tags() {
            tags.renew(standing, number);
        }
        tags
    }

    /// Takes up what changed: the numbers of the tags, and whether a case was closed.
    pub(super) fn change(&mut self, standing: &Standing, numbers: &[u64], closed: bool, at_ms: Option<u64>) {
        for number in numbers {
            self.renew(standing, *number);
        }
        if closed {
            let gone: Vec<u64> =
                self.keys.keys().copied().filter(|number| standing.tag(*number).is_none()).collect();
            for number in gone {
                self.renew(standing, number);
            }
        }
        self.entry_ms = at_ms.or(self.entry_ms);
    }

    /// Puts a tag as it stands now in the place of what was known of it.
    fn renew(&mut self, standing: &Standing, number: u64) {
        if let Some(key) = self.keys.remove(&number)
            && let Some(part) = self.parts.get_mut(part(&key)).map(Arc::make_mut)
            && let Some(tags) = part.get_mut(&key)
        {
            tags.retain(|tag| tag.number != number);
            if tags.is_empty() {
                part.remove(&key);
                self.count(&key, |count| count.saturating_sub(1));
            }
        }
        let Some(tag) = standing.exported(number) else { return };
        let key = key(tag.kind, &tag.network, &tag.normal);
        self.networks.insert(tag.network.clone());
        self.keys.insert(number, key);
        let appeal = standing.appeal(number).map(|words| words.as_str().to_owned());
        if let Some(part) = self.parts.get_mut(part(&key)).map(Arc::make_mut) {
            let tags = part.entry(key).or_default();
            tags.push(Arc::new(LiveTag { number, tag, appeal }));
            if tags.len() == 1 {
                self.count(&key, |count| count.saturating_add(1));
            }
        }
    }

    fn count(&mut self, key: &Key, next: impl FnOnce(u32) -> u32) {
        if let Some(count) = self.counts.get_mut(place(key)) {
            *count = next(*count);
        }
    }

    pub(super) fn published(
        &self,
        origin: String,
        head: TreeHead,
        checkpoint: Option<String>,
        status: &Arc<Status>,
        shelf: &Arc<Shelf>,
    ) -> Live {
        Live {
            origin,
            size: head.size,
            root: hex::encode(head.root.as_bytes()),
            entry_ms: self.entry_ms,
            status: Arc::clone(status),
            tags: self.keys.len(),
            checkpoint: checkpoint.map(Bytes::from),
            shelf: Arc::clone(shelf),
            networks: self.networks.clone(),
            counts: self.counts.clone(),
            parts: self.parts.clone(),
        }
    }
}
