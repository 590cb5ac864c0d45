//! Integration tests of `kuraban-trace`.
#![cfg(test)]

mod accounts;
