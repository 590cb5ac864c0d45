//! The tool as people run it: the program itself, on files, a log and a writer made here, and on real data where there
//! is some.
#![cfg(test)]

mod approve;
mod case;
mod decode;
mod dmm;
mod judge;
mod log;
mod run;
mod server;
mod ssh;
mod world;
