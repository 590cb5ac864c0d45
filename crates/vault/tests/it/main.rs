//! The vault's machines against each other, and its judgement against the rows of a table. No I/O, no clock.
#![cfg(test)]

mod asking;
mod assembling;
mod attesting;
mod charters;
mod evacuating;
mod exchange;
mod explaining;
mod flow;
mod folding;
mod following;
mod found;
mod frozen;
mod gate;
mod incident;
mod judging;
mod kit;
mod lapse;
mod messages;
mod publications;
mod rogue;
mod scripts;
mod settling;
mod signing;
