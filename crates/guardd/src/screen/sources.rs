//! The stores of tags, as they are at one moment, and what follows from them: who can be asked about without naming
//! anybody. A store that is imported again is taken up while the service runs.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::MetadataExt as _,
    sync::Arc,
    thread,
    time::{Duration, UNIX_EPOCH},
};

use kuraban_api::SourceView;
use kuraban_base::hex;
use kuraban_trace::tags::{
    Store, StoreError,
    store::{self, Key},
};

use super::{config::StoreAt, desk::Desk, feed::Live};
use crate::{clock, log};

/// How often it is seen whether a store was imported again.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Bits by which subjects are counted.
const BITS: u32 = 16;
/// Fewest different subjects in any bucket that can be asked for.
pub(super) const SUBJECTS_MIN: u32 = 32;
/// Most different subjects in any bucket that can be asked for.
pub(super) const SUBJECTS_MAX: u32 = 16_384;

/// A store that is in use.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) store: Store,
    version: Option<Version>,
}

/// What changes when a store is imported again: it is another file then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Version {
    inode: u64,
    length: u64,
    written_ms: u64,
}

impl Version {
    fn of(at: &StoreAt) -> Option<Self> {
        let known = fs::metadata(at.folder.join(Store::FILE)).ok()?;
        let since = known.modified().ok()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        let written_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        Some(Self { inode: known.ino(), length: known.len(), written_ms })
    }
}

/// Which prefixes may be asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Terms {
    /// Fewest bits.
    pub(super) bits_min: u32,
    /// Most bits.
    pub(super) bits_max: u32,
    /// Different subjects in the emptiest bucket of `bits_max` bits.
    pub(super) subjects_min: u32,
}

/// All stores at one moment, and what a feed says.
#[derive(Clone, Debug)]
pub(super) struct Sources {
    stores: Vec<Arc<Source>>,
    /// The same stores as answers name them.
    pub(super) views: Vec<SourceView>,
    networks: BTreeSet<String>,
    /// Different subjects of the stores, by the first sixteen bits of their keys.
    counts: Arc<[u32]>,
    pub(super) terms: Terms,
    pub(super) live: Option<Arc<Live>>,
}

impl Sources {
    /// Opens every store.
    ///
    /// # Errors
    /// One that cannot be used.
    pub(super) fn open(stores: &[StoreAt]) -> Result<Self, StoreError> {
        let opened = stores.iter().map(open).collect::<Result<Vec<_>, _>>()?;
        Ok(Self::of(opened))
    }

    fn of(opened: Vec<(Arc<Source>, SourceView)>) -> Self {
        let (stores, views): (Vec<_>, Vec<_>) = opened.into_iter().unzip();
        let networks = stores.iter().flat_map(|source| source.store.networks()).map(str::to_owned).collect();
        let keys: Vec<&[Key]> = stores.iter().map(|source| source.store.keys()).collect();
        let counts: Arc<[u32]> = counted(&keys).into();
        let terms = terms(&counts, &[]);
        Self { stores, views, networks, counts, terms, live: None }
    }

    /// With one store in the place of another.
    fn with(&self, place: usize, opened: (Arc<Source>, SourceView)) -> Self {
        let mut all: Vec<_> = self.stores.iter().cloned().zip(self.views.iter().cloned()).collect();
        if let Some(old) = all.get_mut(place) {
            *old = opened;
        }
        let next = Self::of(all);
        match &self.live {
            Some(live) => next.with_live(Arc::clone(live)),
            None => next,
        }
    }

    /// With what the feed says now.
    pub(super) fn with_live(&self, live: Arc<Live>) -> Self {
        Self { terms: terms(&self.counts, &live.counts), live: Some(live), ..self.clone() }
    }

    /// Each store with its name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Store)> {
        self.views.iter().map(|view| view.name.as_str()).zip(self.stores.iter().map(|source| &source.store))
    }

    /// Whether any tag is on a network; its name in capitals.
    pub(super) fn has(&self, network: &str) -> bool {
        self.networks.contains(network) || self.live.as_ref().is_some_and(|live| live.has(network))
    }

    /// How many tags there are.
    pub(super) fn tags(&self) -> usize {
        let live = self.live.as_ref().map_or(0, |live| live.tags);
        self.stores.iter().map(|source| source.store.len()).fold(live, usize::saturating_add)
    }

    /// The keys that begin with the first `bits` bits of `prefix`, ascending, each once.
    pub(super) fn keys(&self, prefix: &Key, bits: u32) -> impl Iterator<Item = &Key> {
        let stores = self.stores.iter().map(|source| {
            let keys = source.store.keys();
            keys.get(source.store.bucket(prefix, bits)).unwrap_or_default()
        });
        let stores = merged(stores.collect());
        let (from, to) = store::span(prefix, bits);
        either(stores, self.live.iter().flat_map(move |live| live.keys(from, to)))
    }
}

fn open(at: &StoreAt) -> Result<(Arc<Source>, SourceView), StoreError> {
    // Before the store: if it is replaced in between, it is seen once more.
    let version = Version::of(at);
    let store = Store::open(&at.folder)?;
    let view = SourceView {
        name: at.name.clone(),
        tags: u64::try_from(store.len()).unwrap_or(u64::MAX),
        sha256: hex::encode(&store.digest()),
        written_ms: version.map_or(0, |version| version.written_ms),
        loaded_ms: clock::wall().ms(),
    };
    Ok((Arc::new(Source { store, version }), view))
}

/// Takes up stores that were imported again, for ever. One that cannot be used leaves the old one in place.
pub(super) fn watch(stores: &[StoreAt], desk: &Desk) {
    let mut refused: Vec<Option<Version>> = vec![None; stores.len()];
    loop {
        thread::sleep(LOOK_EVERY);
        for (place, (at, refused)) in stores.iter().zip(&mut refused).enumerate() {
            let found = Version::of(at);
            let now = desk.now();
            let known = now.stores.get(place).and_then(|source| source.version);
            if found.is_none() || found == known || found == *refused {
                continue;
            }
            match open(at) {
                Ok(opened) => {
                    let tags = opened.1.tags;
                    desk.change(|now| now.with(place, opened));
                    tracing::info!(store = at.name, tags, "store-taken-up");
                }
                Err(problem) => {
                    *refused = found;
                    tracing::error!(store = at.name, problem = log::told(&problem), "store-refused");
                }
            }
        }
    }
}

/// Keys of several sources, each ascending, as one: each key once, ascending.
fn merged(mut sources: Vec<&[Key]>) -> impl Iterator<Item = &Key> {
    core::iter::from_fn(move || {
        let least = *sources.iter().filter_map(|keys| keys.first()).min()?;
        let mut found = None;
        for keys in &mut sources {
            while let Some((first, rest)) = keys.split_first().filter(|(first, _)| **first == least) {
                (found, *keys) = (Some(first), rest);
            }
        }
        found
    })
}

/// Two ascending rows of keys as one: each key once, ascending.
fn either<'a>(
    one: impl Iterator<Item = &'a Key>,
    other: impl Iterator<Item = &'a Key>,
) -> impl Iterator<Item = &'a Key> {
    let (mut one, mut other) = (one.peekable(), other.peekable());
    core::iter::from_fn(move || match (one.peek(), other.peek()) {
        (Some(first), Some(second)) if first < second => one.next(),
        (Some(first), Some(second)) if first == second => {
            other.next();
            one.next()
        }
        (Some(_), None) => one.next(),
        (_, _) => other.next(),
    })
}

/// How many different keys there are of each first sixteen bits.
fn counted(keys: &[&[Key]]) -> Vec<u32> {
    let mut counts = vec![0_u32; 1 << BITS];
    for key in merged(keys.to_vec()) {
        if let Some(count) = counts.get_mut(place(key)) {
            *count = count.saturating_add(1);
        }
    }
    counts
}

/// A key's first sixteen bits.
pub(super) fn place(key: &Key) -> usize {
    let [first, second, ..] = *key;
    usize::from(u16::from_be_bytes([first, second]))
}

/// What may be asked for: a subject may stand in a store and in the feed, so that the fewest in a bucket are those of the
/// larger of both, and the most those of both together.
fn terms(stores: &[u32], live: &[u32]) -> Terms {
    let both = || stores.iter().zip(live.iter().chain(core::iter::repeat(&0)));
    let fewest: Vec<u32> = both().map(|(one, other)| *one.max(other)).collect();
    let most: Vec<u32> = both().map(|(one, other)| one.saturating_add(*other)).collect();
    let sums = |counts: &[u32], bits: u32| -> Vec<u32> {
        let sum = |counts: &[u32]| counts.iter().fold(0, |sum: u32, count| sum.saturating_add(*count));
        counts.chunks(1 << (BITS - bits)).map(sum).collect()
    };
    let least = |bits: u32| sums(&fewest, bits).into_iter().min().unwrap_or(0);
    let bits_max = (1..=BITS).rev().find(|bits| least(*bits) >= SUBJECTS_MIN).unwrap_or(0);
    let short = |bits: &u32| sums(&most, *bits).into_iter().max().unwrap_or(0) <= SUBJECTS_MAX;
    let bits_min = (0..bits_max).find(short).unwrap_or(bits_max);
    Terms { bits_min, bits_max, subjects_min: least(bits_max) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(numbers: impl Iterator<Item = u64>) -> Vec<Key> {
        let spread = |number: u64| {
            let (high, low) = (number.wrapping_mul(0x9e37_79b9_7f4a_7c15), number);
            *[high.to_be_bytes(), low.to_be_bytes()].concat().first_chunk().unwrap()
        };
        let mut keys: Vec<Key> = numbers.map(spread).collect();
        keys.sort_unstable();
        keys
    }

    #[test]
    fn keys_of_several_sources_are_merged_each_once() {
        let (one, other) = (set((0..100).chain(0..3)), set(50..200));
        let got: Vec<Key> = merged(vec![&one, &other, &[]]).copied().collect();
        assert_eq!(got, set(0..200));
    }

    #[test]
    fn prefixes_leave_enough_subjects_in_every_bucket_and_not_too_many() {
        let check = |count: u64, want: [u32; 3]| {
            let keys = set(0..count);
            let Terms { bits_min, bits_max, subjects_min } = terms(&counted(&[&keys]), &[]);
            assert_eq!([bits_min, bits_max, subjects_min], want, "{count}");
        };
        check(0, [0, 0, 0]);
        check(40, [0, 0, 40]);
        check(64, [0, 1, 32]);
        check(16_384, [0, 8, 63]);
        check(16_385, [1, 8, 63]);
        check(4_000_000, [8, 16, 59]);
    }

    #[test]
    fn a_feed_lets_prefixes_be_longer_but_counts_no_subject_twice() {
        let (keys, more) = (counted(&[&set(0..64)]), counted(&[&set(64..2_000)]));
        assert_eq!(terms(&keys, &keys), terms(&keys, &[]));
        assert_eq!(terms(&counted(&[]), &keys), terms(&keys, &[]));
        assert_eq!(terms(&keys, &more).bits_max, terms(&more, &[]).bits_max);
        let both = terms(&counted(&[&set(0..16_000)]), &counted(&[&set(0..400)]));
        assert_eq!((both.bits_min, both.bits_max), (1, 8), "16,400 if none is the same");
    }
}
