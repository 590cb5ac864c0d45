//! Integration tests of `kuraban-trace`.
