//! Rows for [`address`](super).
