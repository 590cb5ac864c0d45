//! The vault's machines against each other, and its judgement against the rows of a table. No I/O, no clock.

mod flow;
mod judging;
mod kit;
