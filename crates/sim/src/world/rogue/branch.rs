//! One of the histories that a hostile writer keeps.

use kuraban_base::Instant;
use kuraban_proof::{Entry, Frontier, Opening, SignedCheckpoint, TreeHead, Witness, witness};
use kuraban_vault::{
    body::Body,
    fold::Fold,
    follow,
    wire::{LogEntry, Request},
};

use crate::world::{
    random::Random,
    realm::{self, Machine, realm},
};

/// A log with the heads that were shown to witnesses.
#[derive(Clone)]
pub(super) struct Branch {
    pub(super) entries: Vec<LogEntry>,
    frontier: Frontier,
    pub(super) fold: Fold,
    heads: Vec<SignedCheckpoint>,
    /// Entries that it shares with the first branch.
    pub(super) forked_at: u64,
}

impl Branch {
    pub(super) fn new() -> Self {
        Self {
            entries: Vec::new(),
            frontier: Frontier::new(),
            fold: Fold::new(realm().charter.clone()),
            heads: Vec::new(),
            forked_at: 0,
        }
    }

    /// Another history from here on.
    pub(super) fn fork(&self) -> Self {
        Self { forked_at: self.frontier.size(), ..self.clone() }
    }

    /// Puts an entry into the log that follows from those before it; another is left out.
    pub(super) fn append(&mut self, now: Instant, body: Body, random: &mut Random) -> bool {
        if self.fold.apply(now, body.clone()).is_err() {
            return false;
        }
        self.push(now, &body, random);
        true
    }

    /// Puts an entry into the log whatever it says.
    pub(super) fn push(&mut self, now: Instant, body: &Body, random: &mut Random) {
        let opening = Opening { salt: random.bytes(), body: body.encode() };
        let by = realm::sure("writer".parse());
        let entry = Entry { at: now, by, kind: realm::sure(body.kind().parse()), commit: opening.commit() };
        self.frontier.append(entry.leaf());
        self.entries.push(LogEntry { entry: entry.encode(), salt: opening.salt, body: opening.body });
    }

    /// Signs the head, if there is something new; a stolen witness co-signs.
    pub(super) fn cut(&mut self, stolen: &[u8], now: Instant) {
        let head = self.frontier.head();
        if self.head() == Some(head.size) {
            return;
        }
        let mut signed = realm::sure(SignedCheckpoint::sign(&realm::log_key(), head));
        let lines: Vec<String> =
            stolen.iter().filter_map(|number| self.cosign(*number, &signed, now)).collect();
        for line in lines {
            let witnesses = realm().charter.roster().quorum().witnesses();
            realm::sure(signed.add_cosignatures(&line, witnesses));
        }
        self.heads.push(signed);
    }

    fn cosign(&self, number: u8, signed: &SignedCheckpoint, now: Instant) -> Option<String> {
        let log = realm().charter.roster().log().clone();
        let mut fold = witness::Fold::start(log.name().clone());
        for entry in &self.entries {
            fold.append(follow::open(entry).ok()?.1).ok()?;
        }
        let witness = Witness::new(realm::cosigner(Machine::Signer(number)), vec![log]);
        let bytes = signed.to_string().into_bytes();
        witness.advance(TreeHead::empty(), &mut fold, &bytes, now).ok().map(|cosigned| cosigned.answer())
    }

    /// The size of the latest head.
    pub(super) fn head(&self) -> Option<u64> {
        self.heads.last().map(|head| head.head().size)
    }

    pub(super) fn some_head(&self, random: &mut Random) -> Option<u64> {
        random.pick(&self.heads).map(|head| head.head().size)
    }

    pub(super) fn cosigned(&mut self, size: u64, line: &str) {
        let witnesses = realm().charter.roster().quorum().witnesses();
        for head in self.heads.iter_mut().filter(|head| head.head().size == size) {
            // A line of a witness that stands on another branch does not verify here.
            if head.add_cosignatures(line, witnesses).is_err() {
                continue;
            }
        }
    }

    /// Whether the latest head has its quorum.
    pub(super) fn met(&self) -> bool {
        let quorum = realm().charter.roster().quorum();
        self.heads.last().is_none_or(|head| quorum.met(head).is_ok())
    }

    /// The latest checkpoint with a quorum that is not beyond `size`.
    pub(super) fn witnessed(&self, size: u64) -> Option<Vec<u8>> {
        let quorum = realm().charter.roster().quorum();
        let fits = |head: &&SignedCheckpoint| head.head().size <= size && quorum.met(head).is_ok();
        self.heads.iter().rev().find(fits).map(|head| head.to_string().into_bytes())
    }

    pub(super) fn any_checkpoint(&self, random: &mut Random) -> Option<Vec<u8>> {
        random.pick(&self.heads).map(|head| head.to_string().into_bytes())
    }

    pub(super) fn extension(&self, from: u64, until: u64) -> Option<Request> {
        let range = usize::try_from(from).ok()?..usize::try_from(until).ok()?;
        let entries = self.entries.get(range)?.to_vec();
        let head = self.heads.iter().find(|head| head.head().size == until)?;
        Some(Request::Extend { from, entries, checkpoint: head.to_string().into_bytes(), newest: until })
    }
}
