//! What holds of any bytes that a feed serves; of the corpus here, of all others in the fuzz target, which includes this file.

use std::fmt::Error;

use kuraban_proof::{EntryBundle, Frontier, NoteSigner, Resource, SignedCheckpoint, tree::leaf_hash};
use kuraban_trace::feed::{Entry, Feed, Replica};

/// Entries of a bundle at most.
const ENTRIES_MAX: u64 = 256;

/// Takes the bytes as an entry, as a bundle of a feed whose key signed it, as a checkpoint and as a snapshot. Gives how many
/// entries of the bundle were taken up.
pub(crate) fn check(bytes: &[u8]) -> u64 {
    if let Ok(entry) = Entry::decode(bytes) {
        assert_eq!(entry.encode().as_deref(), Ok(bytes), "one entry has one encoding");
    }
    let log = NoteSigner::from_seed("tags.example/feed".parse().unwrap(), &[9; 32]);
    let none = |_: Resource| Err::<Vec<u8>, _>(Error);
    let mut empty = Replica::new(log.verifier().clone());
    assert!(empty.update(bytes, none, |_, _| {}).is_err() && empty.head().size == 0, "nobody signed this");
    assert!(Replica::restore(log.verifier().clone(), bytes).is_err(), "these have no checksum");
    bundle(bytes, &log)
}

fn bundle(bytes: &[u8], log: &NoteSigner) -> u64 {
    let size = count(bytes);
    let Some(Ok(entries)) = EntryBundle::of(size, 0).map(|bundle| bundle.decode(bytes)) else { return 0 };
    let mut frontier = Frontier::new();
    entries.iter().for_each(|entry| frontier.append(leaf_hash(entry)));
    let checkpoint = SignedCheckpoint::sign(log, frontier.head()).unwrap().note().to_string();
    let read = |resource: Resource| match resource {
        Resource::Entries(_) => Ok(bytes.to_vec()),
        Resource::Checkpoint | Resource::Tile(_) => Err(Error),
    };
    let before = Replica::new(log.verifier().clone());
    let mut replica = before.clone();
    let mut seen = 0;
    if replica.update(checkpoint.as_bytes(), read, |_, _| seen += 1).is_err() {
        assert!(replica == before, "what does not fit changes nothing");
        return 0;
    }
    assert_eq!((seen, replica.head()), (size, frontier.head()));
    let kept = Replica::restore(log.verifier().clone(), &replica.snapshot()).unwrap();
    assert!(kept == replica, "a snapshot is what was read");
    // The same entries make the same feed.
    let written = entries.iter().map(|entry| Entry::decode(entry).unwrap()).collect();
    let mut feed = Feed::new();
    let growth = feed.append(written).unwrap();
    assert!(growth.head == replica.head() && feed.standing() == replica.standing());
    size
}

/// How many entries a bundle of these bytes has; 0 if it is none.
fn count(mut bytes: &[u8]) -> u64 {
    let mut count = 0;
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let Some((_, rest)) = rest.split_at_checked(u16::from_be_bytes(*length).into()) else { return 0 };
        (bytes, count) = (rest, count + 1);
    }
    if bytes.is_empty() && count <= ENTRIES_MAX { count } else { 0 }
}
