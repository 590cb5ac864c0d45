//! Follows coins: the transaction graph, and what can be said about it from files alone.
//!
//! Decides where stolen units went by stated rules. Never moves coins and reaches no network, so that a result can be
//! reproduced by anybody who has the same blocks.

pub mod accounts;
pub mod cluster;
pub mod feed;
pub mod graph;
pub mod index;
pub mod patterns;
pub mod picture;
pub mod tags;
pub mod taint;
