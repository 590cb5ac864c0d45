//! The tool as people run it: the program itself, on files, a log, a writer and a chain made here, and on real data
//! where there is some.
#![cfg(test)]

mod anvil;
mod approve;
mod books;
#[cfg(feature = "postgres")]
mod books_postgres;
mod browser;
mod case;
mod claims;
mod claims_pay;
mod claims_statements;
mod claims_transfers;
mod classify;
#[path = "../../../node/tests/it/conformance.rs"]
#[expect(clippy::wildcard_enum_match_arm, reason = "a test waits for one event and passes over all others")]
mod conformance;
#[path = "../../../node/tests/it/daemon.rs"]
mod daemon;
mod decode;
mod dmm;
#[expect(clippy::wildcard_enum_match_arm, reason = "a test waits for one event and passes over all others")]
mod embedded;
mod funding;
mod heist;
mod index;
mod index_node;
mod judge;
mod liabilities;
mod liabilities_veil;
mod log;
mod migrate;
mod migrate_pay;
mod migrate_plan;
mod order;
#[cfg(feature = "lake")]
mod parquet;
mod published;
mod real_peer;
mod report;
mod report_accounts;
mod reserves;
mod reserves_accounts;
mod run;
mod server;
mod sim;
mod ssh;
mod tags;
mod tags_feed;
mod terminal;
mod trace;
mod transfers;
mod transfers_follow;
mod value;
mod world;
