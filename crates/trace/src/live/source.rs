//! What the engine asks of whoever drives it: values of clean inputs, and where taint is held.
//!
//! Asked for tainted transactions alone. The drivers' answers decide nothing else.

use std::collections::{BTreeMap, HashMap};

use kuraban_base::CaseId;
use kuraban_chain::btc::{Address, Network, OutPoint, Script};

use super::Hubs;
use crate::{
    feed::{Opened, Words},
    graph::{AddressNum, Graph as _, OutputNum},
    index::Index,
    tags::{Hit, Store, SubjectKind, taxonomy},
};

/// Answers from a node, an index, a tag store.
pub trait Source {
    /// Why there is no answer.
    type Error;

    /// The value of an output that a tainted transaction spends beside tainted ones, in base units. Outputs of the same
    /// block and of transactions that wait are not asked for.
    ///
    /// # Errors
    /// The node does not answer, or knows no such output.
    fn value_sat(&mut self, outpoint: &OutPoint) -> Result<u64, Self::Error>;

    /// Whether a case's taint that comes to this script is held there: what is known of the place. Asked once for each
    /// tainted output.
    ///
    /// # Errors
    /// Where the answer should come from, there is none.
    fn stop(&mut self, script: &Script, case: &Opened) -> Result<Option<Words>, Self::Error>;
}

/// Where taint is held beside hubs: scripts that are named, and addresses with a tag of a service.
#[derive(Debug, Default)]
pub struct Stops<'a> {
    named: HashMap<Script, Words>,
    tags: Option<(&'a Store, Network)>,
}

impl<'a> Stops<'a> {
    /// Nowhere.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// At this script too.
    #[must_use]
    pub fn with(mut self, script: Script, place: Words) -> Self {
        self.named.insert(script, place);
        self
    }

    /// At every address that a store has a tag of a service on, such as an exchange. Tags of thefts hold nothing up.
    #[must_use]
    pub const fn with_tags(mut self, store: &'a Store, network: Network) -> Self {
        self.tags = Some((store, network));
        self
    }

    /// What is known of a place that is named or tagged.
    #[must_use]
    pub fn place(&self, script: &Script) -> Option<Words> {
        self.named.get(script).cloned().or_else(|| self.service(script))
    }

    /// Every script that is named, and every one whose address has a tag of a service.
    pub fn scripts(&self) -> impl Iterator<Item = Script> + '_ {
        let tagged = self.tags.into_iter().flat_map(|(store, network)| {
            let packs = crate::feed::Chain::Family(network).network();
            let hits = store.iter().filter(move |hit| {
                hit.tag.kind == SubjectKind::Address && hit.tag.network == packs && is_service(hit)
            });
            hits.filter_map(move |hit| Some(Address::parse(network, &hit.tag.normal).ok()?.script()))
        });
        self.named.keys().cloned().chain(tagged)
    }

    fn service(&self, script: &Script) -> Option<Words> {
        let (store, network) = self.tags?;
        let address = Address::from_script(network, script)?.to_string();
        let packs = crate::feed::Chain::Family(network).network();
        let hits = store.find(SubjectKind::Address, &packs, &address);
        let hit = hits.into_iter().find(is_service)?;
        hit.tag.label.parse().ok()
    }
}

/// Whether a tag is on a service or on something below it.
pub(crate) fn is_service(hit: &Hit) -> bool {
    let above = |concept: &&'static str| {
        let above = core::iter::successors(Some(*concept), |concept| taxonomy::broader(concept));
        above.take(8).any(|concept| concept == "service")
    };
    hit.tag.concepts.iter().any(above)
}

/// What is said of a hub with so many outputs before the theft.
#[must_use]
pub fn hub(outputs: u64) -> Words {
    format!("a hub of {outputs} outputs").parse().unwrap_or_else(|_| Words::stop())
}

/// An index of the chain as a source: values from its columns, hubs by its addresses. For an engine that follows an
/// index, and for comparing the two.
#[derive(Debug)]
pub struct Indexed<'a> {
    index: &'a Index,
    stops: &'a Stops<'a>,
    hubs: &'a BTreeMap<CaseId, Hubs>,
}

impl<'a> Indexed<'a> {
    /// Answers from an index that holds every block up to the engine's last, with the hubs of each case that has any.
    #[must_use]
    pub const fn new(index: &'a Index, stops: &'a Stops<'a>, hubs: &'a BTreeMap<CaseId, Hubs>) -> Self {
        Self { index, stops, hubs }
    }

    /// What is known of an address at which a case's taint is held.
    #[must_use]
    pub fn place(&self, script: &Script, address: Option<AddressNum>, case: &CaseId) -> Option<Words> {
        let outputs = || self.hubs.get(case)?.outputs(address?);
        self.stops.place(script).or_else(|| outputs().map(hub))
    }
}

/// An output that the index does not have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{outpoint} is not in the index; add the blocks up to the engine's last first")]
pub struct NotIndexed {
    /// Which.
    pub outpoint: OutPoint,
}

impl Source for Indexed<'_> {
    type Error = NotIndexed;

    fn value_sat(&mut self, outpoint: &OutPoint) -> Result<u64, NotIndexed> {
        let found = crate::taint::seed(self.index, *outpoint);
        let found: OutputNum = found.map_err(|_| NotIndexed { outpoint: *outpoint })?;
        Ok(self.index.value(found))
    }

    fn stop(&mut self, script: &Script, case: &Opened) -> Result<Option<Words>, NotIndexed> {
        // Few cases have hubs, and few scripts are asked for.
        let address = if self.hubs.is_empty() { None } else { self.index.find_script(script) };
        Ok(self.place(script, address, &case.case))
    }
}
