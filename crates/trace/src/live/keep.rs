//! The engine as bytes that it goes on from after a restart. Transactions that wait are not in them: the node tells them again.
//!
//! Layout (version 1, little endian): magic and version (8 bytes); network's name; height and hash of the last block; cases;
//! held outputs; hashes of blocks; how the last blocks are taken back; SHA-256 of all that. Texts, scripts and lists stand
//! after their length (u32).

use std::collections::{BTreeMap, VecDeque};

use kuraban_base::{Height, Instant, Txid};
use kuraban_chain::btc::{BlockHash, Network, OutPoint, Script, TxOut};
use sha2::{Digest as _, Sha256};

use super::{
    Followed, Live, Undo,
    held::{Held, Of},
    pool::{Outputs, Waiting},
};
use crate::{
    feed::{Body, Entry, Words},
    graph::Tip,
    taint::{CaseNum, Part, Parts, Totals},
};

/// What it begins with; the last byte is the version.
const MAGIC: [u8; 8] = *b"KBRNLIV\x01";

/// Why bytes cannot be gone on from.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("snapshot of live cases: {problem}; remove it and open the cases again from an index")]
pub struct KeptError {
    problem: &'static str,
}

const fn damaged(problem: &'static str) -> KeptError {
    KeptError { problem }
}

impl Live {
    /// The state of cases and blocks as bytes. A million tainted outputs are about 100 MB.
    #[must_use]
    pub fn snapshot(&self) -> Vec<u8> {
        let mut out = Out(MAGIC.to_vec());
        out.bytes(self.network.name().as_bytes());
        out.tip(self.tip);
        out.list(&self.cases, Out::case);
        // In order, so that one state has one snapshot.
        let mut held: Vec<(&OutPoint, &Held)> = self.held.iter().collect();
        held.sort_unstable_by_key(|(at, _)| **at);
        out.list(held, |out, (at, held)| out.held(at, held));
        out.list(&self.hashes, |out, (height, hash)| {
            out.u32(*height);
            out.0.extend(hash.as_bytes());
        });
        out.list(&self.undo, Out::undo);
        let digest = Sha256::digest(&out.0);
        out.0.extend(digest);
        out.0
    }

    /// Goes on from a snapshot. Then bring the blocks that came since, the transactions that wait, and
    /// [`attach`](Self::attach) the feed.
    ///
    /// # Errors
    /// It is cut, changed, or of another version.
    pub fn restore(snapshot: &[u8]) -> Result<Self, KeptError> {
        let (body, digest) = snapshot.split_last_chunk::<32>().ok_or(damaged("is cut"))?;
        if Sha256::digest(body).as_slice() != digest {
            return Err(damaged("its checksum does not match"));
        }
        let mut rest = In(body.strip_prefix(&MAGIC).ok_or(damaged("is of another version"))?);
        let network = core::str::from_utf8(rest.bytes()?).ok().and_then(|name| name.parse::<Network>().ok());
        let mut live = Self::new(network.ok_or(damaged("names no network"))?, rest.tip()?);
        live.cases = rest.list(In::case)?;
        live.held = rest.list(In::held)?.into_iter().collect();
        let hash = |rest: &mut In<'_>| Ok((rest.u32()?, BlockHash::from_bytes(rest.array()?)));
        live.hashes = rest.list(hash)?.into_iter().collect::<BTreeMap<_, _>>();
        live.undo = rest.list(In::undo)?.into_iter().collect::<VecDeque<_>>();
        if !rest.0.is_empty() {
            return Err(damaged("has bytes after its end"));
        }
        let open = (0..).zip(&live.cases).filter(|(_, followed)| followed.closed.is_none());
        for (place, followed) in open {
            for seed in &followed.opened.seeds {
                let mut bytes = *seed.tx.as_bytes();
                bytes.reverse();
                live.seeds.entry(Txid::from_bytes(bytes)).or_default().push((place, seed.index));
            }
        }
        Ok(live)
    }
}

struct Out(Vec<u8>);

impl Out {
    fn u32(&mut self, number: u32) {
        self.0.extend(number.to_le_bytes());
    }

    fn u64(&mut self, number: u64) {
        self.0.extend(number.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.length(bytes.len());
        self.0.extend(bytes);
    }

    /// Nothing here has four thousand million parts.
    fn length(&mut self, length: usize) {
        self.u32(u32::try_from(length).unwrap_or(u32::MAX));
    }

    fn list<T>(
        &mut self,
        items: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
        put: fn(&mut Self, T),
    ) {
        let items = items.into_iter();
        self.length(items.len());
        items.for_each(|item| put(self, item));
    }

    fn tip(&mut self, tip: Tip) {
        self.u32(tip.height.blocks());
        self.0.extend(tip.hash.as_bytes());
    }

    fn case(&mut self, followed: &Followed) {
        let entry = Entry { at: Instant::default(), body: Body::Opened(followed.opened.clone()) };
        // A case that is followed can be told to a feed.
        self.bytes(&entry.encode().unwrap_or_default());
        self.totals(&followed.totals);
        self.bytes(followed.closed.as_ref().map_or("", Words::as_str).as_bytes());
    }

    fn totals(&mut self, totals: &[Totals]) {
        self.list(totals, |out, totals| {
            let sums = [
                Some(totals.stolen_sat),
                Some(totals.unspent_sat),
                totals.fees_sat,
                totals.burned_sat,
                Some(totals.stopped_sat),
                Some(totals.dust_sat),
                Some(totals.shielded_sat),
            ];
            for sum in sums {
                out.0.push(u8::from(sum.is_some()));
                out.0.extend(sum.unwrap_or(0).to_le_bytes());
            }
        });
    }

    fn outpoint(&mut self, outpoint: &OutPoint) {
        self.0.extend(outpoint.txid.as_bytes());
        self.u32(outpoint.vout);
    }

    fn held(&mut self, at: &OutPoint, held: &Held) {
        self.outpoint(at);
        self.u64(held.value_sat);
        self.bytes(&held.script);
        self.u32(held.height.unwrap_or(0));
        self.list(held.of.iter(), |out, of| {
            out.u32(of.case);
            out.bytes(of.stop.as_deref().map_or("", Words::as_str).as_bytes());
            out.list(&of.taints, |out, parts| {
                out.list(&**parts, |out, part| {
                    out.u64(part.start_sat);
                    out.u64(part.amount_sat);
                });
            });
        });
    }

    fn undo(&mut self, undo: &Undo) {
        self.tip(undo.before);
        let (mut spent, mut made) =
            (undo.spent.iter().collect::<Vec<_>>(), undo.made.iter().collect::<Vec<_>>());
        spent.sort_unstable_by_key(|(at, _)| *at);
        made.sort_unstable();
        self.list(spent, |out, (at, held)| out.held(at, held));
        self.list(made, Self::outpoint);
        self.list(&undo.totals, |out, (case, totals)| {
            out.u32(*case);
            out.totals(totals);
        });
        self.list(&undo.touched, |out, waiting| {
            out.0.extend(waiting.txid.as_bytes());
            out.list(&waiting.inputs, Self::outpoint);
            out.list(waiting.outputs.iter().collect::<Vec<_>>(), |out, output| {
                out.u64(output.value_sat);
                out.bytes(output.script.as_bytes());
            });
            out.list(waiting.values.as_deref().unwrap_or_default(), |out, value| out.u64(*value));
        });
    }
}

/// What is still to be read. Its checksum was verified: what does not fit was written by another program.
struct In<'a>(&'a [u8]);

impl<'a> In<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], KeptError> {
        let (array, rest) = self.0.split_first_chunk().ok_or(damaged("ends inside a value"))?;
        self.0 = rest;
        Ok(*array)
    }

    fn u32(&mut self) -> Result<u32, KeptError> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, KeptError> {
        self.array().map(u64::from_le_bytes)
    }

    fn length(&mut self) -> Result<usize, KeptError> {
        usize::try_from(self.u32()?).map_err(|_| damaged("has a length beyond this machine"))
    }

    fn bytes(&mut self) -> Result<&'a [u8], KeptError> {
        let length = self.length()?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(damaged("ends inside bytes"))?;
        self.0 = rest;
        Ok(bytes)
    }

    fn words(&mut self) -> Result<Option<Words>, KeptError> {
        let text = core::str::from_utf8(self.bytes()?).map_err(|_| damaged("has text that is none"))?;
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|_| damaged("has text that is none"))
    }

    fn list<T>(&mut self, read: impl Fn(&mut Self) -> Result<T, KeptError>) -> Result<Vec<T>, KeptError> {
        let length = self.length()?;
        // An item has a byte at least: a length that nobody wrote allocates nothing.
        let mut items = Vec::with_capacity(length.min(self.0.len()));
        for _ in 0..length {
            items.push(read(self)?);
        }
        Ok(items)
    }

    fn tip(&mut self) -> Result<Tip, KeptError> {
        Ok(Tip { height: Height::new(self.u32()?), hash: BlockHash::from_bytes(self.array()?) })
    }

    fn case(&mut self) -> Result<Followed, KeptError> {
        let entry = Entry::decode(self.bytes()?).map_err(|_| damaged("has a case that is none"))?;
        let Body::Opened(opened) = entry.body else { return Err(damaged("has a case that is none")) };
        Ok(Followed { opened, totals: self.totals()?, closed: self.words()? })
    }

    fn totals(&mut self) -> Result<Vec<Totals>, KeptError> {
        self.list(|rest| {
            let mut sum = || {
                let [there] = rest.array()?;
                let sum = u128::from_le_bytes(rest.array()?);
                Ok::<_, KeptError>((there == 1).then_some(sum))
            };
            Ok(Totals {
                stolen_sat: sum()?.unwrap_or(0),
                unspent_sat: sum()?.unwrap_or(0),
                fees_sat: sum()?,
                burned_sat: sum()?,
                stopped_sat: sum()?.unwrap_or(0),
                dust_sat: sum()?.unwrap_or(0),
                shielded_sat: sum()?.unwrap_or(0),
            })
        })
    }

    fn outpoint(&mut self) -> Result<OutPoint, KeptError> {
        Ok(OutPoint { txid: Txid::from_bytes(self.array()?), vout: self.u32()? })
    }

    fn held(&mut self) -> Result<(OutPoint, Held), KeptError> {
        let at = self.outpoint()?;
        let (value_sat, script, height) = (self.u64()?, self.bytes()?.into(), Some(self.u32()?));
        let of = self.list(|rest| {
            let (case, stop) = (rest.u32()?, rest.words()?.map(Box::new));
            let taints = rest.list(|rest| {
                let case = CaseNum::new(0);
                let parts =
                    rest.list(|rest| Ok(Part { case, start_sat: rest.u64()?, amount_sat: rest.u64()? }))?;
                Ok(Parts::from(&*parts))
            })?;
            Ok(Of { case, taints: taints.into(), stop })
        })?;
        Ok((at, Held { value_sat, script, height, of: of.into_iter().collect() }))
    }

    fn undo(&mut self) -> Result<Undo, KeptError> {
        Ok(Undo {
            before: self.tip()?,
            spent: self.list(Self::held)?,
            made: self.list(Self::outpoint)?,
            totals: self.list(|rest| Ok((rest.u32()?, rest.totals()?)))?,
            touched: self.list(Self::waiting)?,
        })
    }

    fn waiting(&mut self) -> Result<Waiting, KeptError> {
        let txid = Txid::from_bytes(self.array()?);
        let inputs = self.list(Self::outpoint)?;
        let outputs = self.list(|rest| {
            let value_sat = rest.u64()?;
            Ok(TxOut { value_sat, script: Script::new(rest.bytes()?.to_vec()) })
        })?;
        let outputs = Outputs::of(&outputs);
        let values = self.list(Self::u64)?;
        let values = (!values.is_empty()).then(|| values.into());
        Ok(Waiting { txid, inputs: inputs.into(), outputs, values, tainted: false })
    }
}
