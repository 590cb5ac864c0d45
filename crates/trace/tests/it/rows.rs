//! Worked rows, errors, and what poison says.
