//! Taint: which unspent units are the stolen ones, by a stated method, to the unit.
//!
//! Decides by arithmetic alone, from a graph and stated terms. Never guesses who owns what, and never drops a unit: a
//! trace that does not balance is an error.
#![doc = include_str!("../../../docs/taint.md")]

mod apart;
mod back;
pub mod bundle;
mod flow;
pub mod interval;
pub mod mix;
mod part;
mod queue;
mod rule;
mod share;
mod spread;
mod terms;

pub use apart::trace_apart;
pub use back::{BackTerms, Minted, Origins, Reversed, origins};
pub(crate) use flow::claim;
pub use flow::{End, Step, trace, trace_path, trace_steps};
pub use part::{CaseNum, Part, Parts};
pub(crate) use rule::{Landed, Spend, land, lengthen};
pub(crate) use share::Shares;
pub use spread::{Span, Spread};
pub use terms::{
    Case, Method, MethodError, Overlap, Stops, TaintError, Tainted, Terms, Totals, Trace, Traced, Unbalanced,
    outpoint, seed,
};
