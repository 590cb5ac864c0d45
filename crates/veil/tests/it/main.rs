//! A publication of two batches, and what somebody may try with its files.

mod hostile;
mod kit;
mod oracle;
mod publication;
