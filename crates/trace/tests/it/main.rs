//! Integration tests of `kuraban-trace`.
#![cfg(test)]

mod corpus;
mod patterns;
mod tags;
