//! A hostile signer under an honest writer: it does its work or not, and answers what it likes.

use kuraban_base::{Amount, Txid};
use kuraban_vault::{
    statement::Signed,
    wire::{Refused, Request, Response},
};

use super::{
    engine::World,
    realm::{self, Machine},
};

impl World {
    /// What the traitor answers instead; nothing where it keeps silent.
    pub(super) fn betray(&mut self, number: u8, request: &Request, honest: Response) -> Option<Response> {
        if !self.random.one_in(3) {
            return Some(honest);
        }
        self.count("betrayals");
        let answer = match self.random.below(6) {
            0 => return None,
            1 => Response::Refused(Refused { code: "out-of-order".to_owned(), detail: "later".to_owned() }),
            2 => Response::Status { size: self.random.next(), epoch: self.random.next() },
            3 => Response::Behind { size: self.random.below(50) },
            4 => Response::Tripped,
            _ => self.forge(number, request, honest)?,
        };
        self.say(|| format!("signer-{number} answers {answer:.60?}"));
        Some(answer)
    }

    fn forge(&mut self, number: u8, request: &Request, honest: Response) -> Option<Response> {
        let secret = realm::statement(Machine::Signer(number));
        Some(match (request, honest) {
            (_, Response::Cosigned { size, line, .. }) => {
                // A line over another checkpoint, or a size that it has not.
                let line = line.chars().rev().collect();
                Response::Cosigned {
                    size: size.wrapping_add(self.random.below(3)),
                    line,
                    challenge: self.random.bytes(),
                }
            }
            (_, Response::Receipts(answers)) => {
                let twist = self.random.below(4);
                let other = Txid::from_bytes(self.random.bytes());
                let forged = answers.into_iter().map(|answer| {
                    let mut receipt = answer?.claim_unverified().clone();
                    match twist {
                        0 => receipt.seq = 1,
                        1 => receipt.outflow = Amount::new(1),
                        2 => receipt.txid = other,
                        _ => receipt.by = Machine::Watcher.id(),
                    }
                    Ok(Signed::sign(receipt, &secret))
                });
                Response::Receipts(forged.collect())
            }
            (_, Response::Signatures(mut answers)) => {
                for signature in answers.iter_mut().filter_map(|answer| answer.as_mut().ok()).flatten() {
                    signature.input = signature.input.wrapping_add(1);
                }
                if self.random.one_in(2) {
                    answers.clear();
                }
                Response::Signatures(answers)
            }
            (_, other) => other,
        })
    }
}
