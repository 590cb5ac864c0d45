//! Words of closed sets, as they stand in files and messages. Decides nothing.

/// A word that is not in its closed set.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{what} {found:?} is not known, want one of {known}")]
pub struct UnknownWord {
    what: &'static str,
    found: String,
    known: String,
}

impl UnknownWord {
    pub(crate) fn new(what: &'static str, found: &str, known: impl Iterator<Item = &'static str>) -> Self {
        Self { what, found: found.chars().take(40).collect(), known: known.collect::<Vec<_>>().join(", ") }
    }
}
