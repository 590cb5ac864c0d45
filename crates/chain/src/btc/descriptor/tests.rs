//! Rows for [`descriptor`](super).
