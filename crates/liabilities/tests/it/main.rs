//! What the tree promises: every customer counted once and no fault of other trees, against an oracle of another design.
#![cfg(test)]

mod kit;
mod oracle;
mod pitfalls;
mod properties;
