//! Whether a signer may act at all. A disk that was set back has forgotten what its signer gave; the log has not. A signer
//! that starts is frozen until it has folded enough of the log to tell, and stays so if its store is behind.
//!
//! Looks at no payout, and keeps no witness from following the log.

use kuraban_proof::SignedCheckpoint;

use super::{Leased, Signer};
use crate::{judge::LogStanding, reason::Reason};

impl Signer {
    /// Why this signer gives no receipts and no signatures at present, whatever the payout. Its store may have been set back,
    /// and what it has forgotten it must not do again: until it has folded a log that a quorum co-signed after it started,
    /// and that a watcher leases on a challenge given after it started, it cannot know. Then the log knows more of it than
    /// its store does, or it does not.
    pub(super) fn frozen(
        &mut self,
        checkpoint: &[u8],
        log: &LogStanding,
        leased: &Result<Leased, Reason>,
    ) -> Option<Reason> {
        let (logged, stored) = (self.follower.fold().seq(&self.me), self.last_seq());
        if logged > stored {
            return Some(Reason::SignerRestored { logged, stored });
        }
        if self.current {
            return None;
        }
        let problem = match (log, leased) {
            (LogStanding::NotWitnessed(problem) | LogStanding::NotIncluded(problem), _) => problem.clone(),
            (LogStanding::Witnessed, Err(reason)) => reason.to_string(),
            (LogStanding::Witnessed, Ok(_)) => match self.cosigned_since_start(checkpoint) {
                Err(problem) => problem,
                Ok(()) => {
                    self.current = true;
                    return None;
                }
            },
        };
        Some(Reason::SignerFrozen { problem })
    }

    /// The number of its last receipt, as its disk has it or as a quorum let it resume after it.
    pub(super) fn last_seq(&self) -> u64 {
        self.seq.max(self.follower.fold().resumed(&self.me))
    }

    fn cosigned_since_start(&self, checkpoint: &[u8]) -> Result<(), String> {
        let started = self.started.ok_or("it has seen no clock")?;
        let roster = self.follower.fold().charter().roster();
        let quorum = roster.quorum();
        let signed =
            SignedCheckpoint::open(checkpoint, std::slice::from_ref(roster.log()), quorum.witnesses())
                .map_err(|problem| problem.to_string())?;
        quorum.met_since(&signed, started).map(drop).map_err(|problem| problem.to_string())
    }
}
