//! Rows for [`tx`](super).
