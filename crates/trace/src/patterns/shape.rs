//! Shapes without a mix: a peel, a consolidation, a dispersal.
//!
//! Decides by counts and proportions of one transaction. A payment with change looks like a peel, a payout like a dispersal;
//! confidences say so.

use super::view::View;

/// One coin in, two out to two others, the larger at least nine times the smaller. Weak alone;
/// [`peel_chain`](super::peel_chain) says whether it goes on.
pub(super) fn peel(view: &View) -> Option<u8> {
    let ([input], [first, second]) = (view.inputs(), view.outputs()) else { return None };
    let (small, large) = (first.value.min(second.value), first.value.max(second.value));
    let moves = first.owner != second.owner && first.owner != input.owner && second.owner != input.owner;
    (moves && small > 0 && large / 9 >= small).then_some(20)
}

/// Five coins or more into one, or ten times as many into two.
pub(super) fn consolidation(view: &View) -> Option<u8> {
    match (view.inputs().len(), view.outputs().len()) {
        (5.., 1) => Some(70),
        (20.., 2) => Some(50),
        _ => None,
    }
}

/// Ten outputs or more to different scripts, at least five for each input.
pub(super) fn dispersal(view: &View) -> Option<u8> {
    let (inputs, outputs) = (view.inputs().len(), view.outputs().len());
    let wide = outputs >= 10 && view.pays_each_once() && outputs >= inputs.saturating_mul(5);
    wide.then_some(70)
}
