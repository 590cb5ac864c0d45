//! Rows for [`sign`](super).
