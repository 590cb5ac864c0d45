//! Taking up what was stored, change by change: the state that every step left behind, and no effect of any.

use kuraban_vault::follow::FollowError;

use super::{Change, RestoreError, Watcher};
use crate::coins::Coins;

impl Watcher {
    /// Takes up one stored change at a restart, in the order in which they were persisted.
    ///
    /// # Errors
    /// It does not fit the ones before: the store is damaged, and the watcher must not start.
    pub fn restore(&mut self, change: Change) -> Result<(), RestoreError> {
        match change {
            Change::Entries { from, entries } => {
                let size = self.follower.fold().size();
                if from != size {
                    return Err(RestoreError::Log(FollowError::Gap { from, size }));
                }
                self.follower.restore(&entries).map_err(RestoreError::Log)?;
                self.alarms.note(&self.secret.public(), &entries);
                Ok(())
            }
            Change::Cosigned(head) => self.follower.restore_head(head).map_err(RestoreError::Log),
            Change::Alarm(raised) => {
                let (alarm, trip) = *raised;
                let own = self.secret.public();
                let broken = |what| move |_| RestoreError::Statement { what };
                alarm.clone().verify(&own).map_err(broken("alarm"))?;
                if let Some(trip) = &trip {
                    trip.clone().verify(&own).map_err(broken("trip"))?;
                }
                self.alarms.keep((alarm, trip));
                Ok(())
            }
            Change::Connected { network, header, coins } => {
                let followed =
                    self.networks.get_mut(&network).ok_or(RestoreError::NotFollowed { network })?;
                let tip = followed
                    .chain
                    .restore_connected(&header)
                    .map_err(|problem| RestoreError::Chain { network, problem })?;
                if (coins.height, coins.hash) != (tip.height, tip.hash) {
                    return Err(RestoreError::Apart { network, tip });
                }
                followed.coins.apply(&coins).map_err(|problem| RestoreError::Coins { network, problem })
            }
            Change::Disconnected { network, hash } => {
                let followed =
                    self.networks.get_mut(&network).ok_or(RestoreError::NotFollowed { network })?;
                followed
                    .chain
                    .restore_disconnected(hash)
                    .map_err(|problem| RestoreError::Chain { network, problem })?;
                followed.coins.disconnect();
                Ok(())
            }
            Change::Whole => {
                // Where another watcher leases, payouts went on while this one was down.
                self.whole = !self.waiting.is_used();
                Ok(())
            }
            Change::Anew { network } => {
                let followed =
                    self.networks.get_mut(&network).ok_or(RestoreError::NotFollowed { network })?;
                followed.chain.restore_anew();
                followed.coins = Coins::default();
                Ok(())
            }
        }
    }
}
