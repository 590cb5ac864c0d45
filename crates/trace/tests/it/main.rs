//! Integration tests of `kuraban-trace`.

mod real_blocks;
