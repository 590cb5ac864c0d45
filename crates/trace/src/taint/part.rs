//! Parts: units of one theft inside an output.
//!
//! Decides how they are kept and merged; never which units they are.

use core::ops::Deref;

/// A theft, by its place among the cases of a trace: in chain order of their earliest seeds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CaseNum(u32);

impl CaseNum {
    /// The case at this place, counted from 0.
    #[must_use]
    pub const fn new(place: u32) -> Self {
        Self(place)
    }

    /// Its place, counted from 0.
    #[must_use]
    pub fn place(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// Units of one theft. Under FIFO and LIFO they lie side by side from `start_sat` on; the other methods know amounts
/// only, and `start_sat` is 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Part {
    /// The theft.
    pub case: CaseNum,
    /// Units of the output before the first of these.
    pub start_sat: u64,
    /// How many they are; never 0.
    pub amount_sat: u64,
}

impl Part {
    /// The first unit after these. Lies inside an output or a transaction, whose values fit 64 bits.
    pub(crate) const fn end_sat(&self) -> u64 {
        self.start_sat.saturating_add(self.amount_sat)
    }
}

/// Appends a part, or grows the last one where both are of one theft and touch.
pub(crate) fn append(parts: &mut Vec<Part>, part: Part) {
    match parts.last_mut() {
        Some(last) if last.case == part.case && last.end_sat() == part.start_sat => {
            last.amount_sat = last.amount_sat.saturating_add(part.amount_sat);
        }
        Some(_) | None => parts.push(part),
    }
}

/// The parts of one output: in order of `start_sat` under FIFO and LIFO, else in order of cases, one each. Most outputs
/// have one, which is kept without an allocation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Parts(Kept);

#[derive(Clone, PartialEq, Eq, Debug)]
enum Kept {
    One(Part),
    Many(Box<[Part]>),
}

/// None at all.
impl Default for Parts {
    fn default() -> Self {
        Self(Kept::Many(Box::default()))
    }
}

impl From<&[Part]> for Parts {
    #[inline]
    fn from(parts: &[Part]) -> Self {
        match parts {
            [part] => Self(Kept::One(*part)),
            parts => Self(Kept::Many(parts.into())),
        }
    }
}

impl Deref for Parts {
    type Target = [Part];

    fn deref(&self) -> &[Part] {
        match &self.0 {
            Kept::One(part) => core::slice::from_ref(part),
            Kept::Many(parts) => parts,
        }
    }
}
