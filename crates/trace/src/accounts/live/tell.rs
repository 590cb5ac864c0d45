//! What the engine tells a feed: which tag an account or a deposit should have, and why one has none any more.

use kuraban_base::{Height, Instant};

use super::{At, Followed, Live};
use crate::{
    accounts::{Stop, Units},
    feed::{
        AppendError, Block, Chain, Feed, Growth, Opened, Reach, Reason, Since, Standing, Subject, Tag, Taint,
        Words,
        tell::{self, CasePlace, Key, Tell, Teller},
    },
    live::tell::CONFIDENCE,
    tags::Confidence,
};

impl Live {
    /// Compares the engine with a feed that stood before, such as after a restart: everything is looked at once. Bring the
    /// blocks first: a tag on what the engine does not know is revoked.
    pub fn attach(&mut self, standing: &Standing) {
        let mut tell = Tell::default();
        for (number, tag) in standing.tags() {
            let found = (0..).zip(&self.cases).find(|(_, followed)| followed.opened.case == tag.case);
            let Some((case, followed)) = found else { continue };
            let lasts_ms = followed.opened.rules.lasts_ms;
            let at = match &tag.subject {
                Subject::Output { tx, index, .. } => Some(At::Deposit(*tx.as_bytes(), *index)),
                Subject::Account(account) => self.ledger.accounts.number(account).ok().map(At::Account),
            };
            if let Some(at) = at.filter(|_| followed.closed.is_none()) {
                tell.stands((case, at), number, tag, lasts_ms);
            }
        }
        for (case, followed) in (0..).zip(&self.cases) {
            let accounts = followed.tracks.iter().flat_map(|track| track.places(followed.asset_num));
            accounts.for_each(|(account, _)| tell.mark(case, At::Account(account), None));
            followed.handed.keys().for_each(|at| tell.mark(case, *at, None));
        }
        self.tell = tell;
    }

    /// Tells the feed what has changed since it was told last: cases, tags, revocations, how far the list was followed. Gives
    /// what was appended, which the caller puts out and signs; nothing if there is nothing to tell. Of more than
    /// [`TELL_MAX`](crate::live::TELL_MAX) changes it tells the first: call it until there is nothing.
    ///
    /// # Errors
    /// As [`Feed::append`]; then nothing was told, and all of it is told the next time.
    pub fn publish(&mut self, feed: &mut Feed, now: Instant) -> Result<Option<Growth>, AppendError> {
        tell::publish(self, feed, now)
    }

    fn block_at(&self, height: u64) -> Option<Block> {
        let height = u32::try_from(height).ok()?;
        self.hashes.get(&height).map(|hash| Block { height: Height::new(height), hash: *hash })
    }

    fn stands(&self, since: Since) -> bool {
        match since {
            Since::Mempool => false,
            Since::Block(block) => self.block_at(u64::from(block.height.blocks())) == Some(block),
        }
    }

    /// What the methods find at a place together, whatever its size, and since which block.
    fn taint(&self, followed: &Followed, at: At) -> Option<(Taint, u64)> {
        let methods = followed.opened.rules.methods.iter().copied();
        match at {
            At::Account(account) => {
                let place = (account, followed.asset_num);
                let found = followed.tracks.iter().map(|track| track.tainted(&self.ledger, place));
                let found: Vec<(Units, u64)> = found.collect();
                let taint = Taint::over(methods.zip(found.iter().map(|(units, _)| said(*units))))?;
                Some((taint, found.iter().map(|(_, changed)| *changed).max()?))
            }
            At::Deposit(..) => {
                let handed = followed.handed.get(&at)?;
                let units = handed.tainted.iter().map(|units| said(*units));
                Some((Taint::over(methods.zip(units))?, handed.height))
            }
        }
    }

    /// An account as a tag names it, where it is one of the chain's: a feed refuses what is none, such as an escrow.
    fn address(&self, account: &str) -> Option<String> {
        let chain = Chain::Accounts(self.header.chain);
        chain.address(account).is_ok().then(|| account.to_owned())
    }

    /// What is known of the place where a deposit is held.
    fn place(&self, service: &str, stop: Stop) -> Words {
        let words = match stop {
            Stop::Named => return self.stops.get(service).cloned().unwrap_or_else(Words::stop),
            Stop::Hub { payments } => format!("a hub that was paid {payments} times"),
            Stop::Exchange => "an exchange for another asset in this transaction".to_owned(),
        };
        words.parse().unwrap_or_else(|_| Words::stop())
    }
}

impl Teller for Live {
    type Place = At;

    fn tell(&self) -> &Tell<At> {
        &self.tell
    }

    fn tell_mut(&mut self) -> &mut Tell<At> {
        &mut self.tell
    }

    fn cases(&self) -> impl Iterator<Item = (&Opened, Option<&Words>)> {
        self.cases.iter().map(|followed| (&followed.opened, followed.closed.as_ref()))
    }

    fn lasts_ms(&self, case: CasePlace) -> Option<u64> {
        self.followed(case)?.opened.rules.lasts_ms
    }

    fn wanted(&self, (case, at): Key<At>, now: Instant) -> Option<Tag> {
        let followed = self.followed(case)?;
        let rules = &followed.opened.rules;
        let (taint, height) = self.taint(followed, at)?;
        if taint.most() < rules.tag_units_min {
            return None;
        }
        let (subject, value, reach) = match at {
            // What an account holds beside is not said: payments of strangers would change the tag.
            At::Account(account) => {
                let address = self.address(&self.ledger.accounts.name(account))?;
                (Subject::Account(address), None, Reach::Followed)
            }
            At::Deposit(tx, index) => {
                let handed = followed.handed.get(&at)?;
                let address = self.address(&handed.service);
                let to = self.place(&handed.service, handed.stop);
                let subject = Subject::Output { tx: kuraban_base::Digest::from_bytes(tx), index, address };
                (subject, u128::try_from(handed.amount).ok(), Reach::HandedOver { to })
            }
        };
        Some(Tag {
            case: followed.opened.case.clone(),
            subject,
            taint,
            value,
            reach,
            since: Since::Block(self.block_at(height)?),
            confidence: Confidence::of(CONFIDENCE).unwrap_or(Confidence::UNKNOWN),
            expires: rules.lasts_ms.map(|lasts_ms| now.plus_ms(lasts_ms)),
        })
    }

    fn gone(&self, (case, at): Key<At>, tag: &Tag) -> Reason {
        let left = self.followed(case).and_then(|followed| self.taint(followed, at));
        match left {
            Some(_) => Reason::BelowThreshold,
            None if self.stands(tag.since) => Reason::Spent,
            None => Reason::Reorganised,
        }
    }

    fn changed(&self, tag: &Tag, _: bool) -> Reason {
        if self.stands(tag.since) { Reason::Superseded } else { Reason::Reorganised }
    }

    fn tip(&self) -> Option<(Chain, Block)> {
        Some((Chain::Accounts(self.header.chain), self.tip?))
    }
}

/// Units as a feed says them, which ends at 2¹²⁸ − 1.
fn said(units: Units) -> u128 {
    u128::try_from(units).unwrap_or(u128::MAX)
}
