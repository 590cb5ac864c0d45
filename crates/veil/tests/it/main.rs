//! A publication of two batches, and what somebody may try with its files.
#![cfg(test)]

mod hostile;
mod kit;
mod oracle;
mod publication;
