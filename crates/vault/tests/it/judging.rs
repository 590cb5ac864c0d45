//! Judgement row by row.
