//! Integration tests of `kuraban-trace`.
#![cfg(test)]

mod corpus;
mod graph;
mod patterns;
mod tags;
