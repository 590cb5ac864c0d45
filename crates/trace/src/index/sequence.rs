//! A column's items one after the other, for whoever reads all of them: several times as fast as one by one.
//!
//! Decides nothing: gives what [`Column::at`] gives.

use super::column::{Column, wide};

/// Items that are read at once. They fill whole words at any width, and a piece has a multiple of them.
pub(super) const RUN: usize = 64;

/// The items from one on.
#[derive(Debug)]
pub(super) struct Sequence<'a, const W: usize> {
    column: &'a Column<W>,
    next: u64,
    run: [u64; RUN],
}

impl<'a, const W: usize> Sequence<'a, W> {
    pub(super) const fn of(column: &'a Column<W>) -> Self {
        Self { column, next: 0, run: [0; RUN] }
    }

    /// Begins with the item at a place.
    pub(super) fn starting(column: &'a Column<W>, next: u64) -> Self {
        let mut run = [0; RUN];
        let before = next % wide(RUN);
        if before > 0 && next < column.len() {
            column.run(next.saturating_sub(before), &mut run);
        }
        Self { column, next, run }
    }
}

impl<const W: usize> Iterator for Sequence<'_, W> {
    type Item = u64;

    #[inline]
    fn next(&mut self) -> Option<u64> {
        if self.next >= self.column.len() {
            return None;
        }
        // Below `RUN`.
        let place = usize::try_from(self.next).unwrap_or(0) % RUN;
        if place == 0 {
            self.column.run(self.next, &mut self.run);
        }
        self.next = self.next.wrapping_add(1);
        self.run.get(place).copied()
    }
}
