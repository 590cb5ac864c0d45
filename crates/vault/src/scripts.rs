//! Which scripts are a vault's own: every receive script it has handed out, and change a little ahead of what was used.
//! The table answers for signers, watcher and writer alike, so that nobody takes another's word for "change".

use std::collections::BTreeMap;

use kuraban_chain::btc::{
    Script,
    descriptor::{Branch, Descriptor},
};

/// How far beyond the highest change index in the log a new change output may be.
pub const CHANGE_AHEAD: u32 = 20;

/// A vault's own scripts and where on its descriptor they stand.
#[derive(Clone, Debug)]
pub struct ScriptTable {
    descriptor: Descriptor,
    places: BTreeMap<Script, (Branch, u32)>,
    /// Change indices below this are in the table.
    change_end: u32,
    /// The highest change index that a logged transaction uses.
    change_used: Option<u32>,
}

impl ScriptTable {
    /// The table of a vault that has handed out `receive_count` receive scripts and not yet used change.
    #[must_use]
    pub fn new(descriptor: &Descriptor, receive_count: u32) -> Self {
        let mut places = BTreeMap::new();
        if descriptor.is_ranged() {
            // Counts are bounded far below 2³¹, where scripts would end.
            for index in 0..receive_count {
                if let Ok(script) = descriptor.script_at(Branch::Receive, index) {
                    places.insert(script, (Branch::Receive, index));
                }
            }
        } else if let Ok(script) = descriptor.script_at(Branch::Change, 0) {
            // One script is all such a vault has, so its change comes back to it.
            places.insert(script, (Branch::Change, 0));
        }
        let mut table = Self { descriptor: descriptor.clone(), places, change_end: 0, change_used: None };
        table.extend(CHANGE_AHEAD);
        table
    }

    /// Where `script` stands, if it is the vault's own.
    #[must_use]
    pub fn place(&self, script: &Script) -> Option<(Branch, u32)> {
        self.places.get(script).copied()
    }

    /// The first change index that no logged transaction uses.
    #[must_use]
    pub fn change_next(&self) -> u32 {
        self.change_used.map_or(0, |used| used.saturating_add(1))
    }

    /// Marks change indices that a logged transaction uses, and looks further ahead.
    pub fn used<'a>(&mut self, outputs: impl IntoIterator<Item = &'a Script>) {
        let change = |script| match self.place(script) {
            Some((Branch::Change, index)) => Some(index),
            Some((Branch::Receive, _)) | None => None,
        };
        let highest = outputs.into_iter().filter_map(change).max();
        self.change_used = self.change_used.max(highest);
        self.extend(self.change_next().saturating_add(CHANGE_AHEAD));
    }

    fn extend(&mut self, end: u32) {
        if !self.descriptor.is_ranged() {
            return;
        }
        for index in self.change_end..end {
            if let Ok(script) = self.descriptor.script_at(Branch::Change, index) {
                self.places.insert(script, (Branch::Change, index));
            }
        }
        self.change_end = self.change_end.max(end);
    }
}
