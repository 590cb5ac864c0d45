//! The watcher from outside: an honest or lying node, a writer with its signers, and what is raised.

#![cfg(test)]

mod chain;
mod coins;
mod node;
