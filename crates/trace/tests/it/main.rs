//! Integration tests of `kuraban-trace`.

mod accounts;
