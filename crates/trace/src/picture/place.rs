//! Where everything that is looked at stands.
//!
//! Decides boxes, links and columns in whole pixels. The page's own script places by the same rules when somebody unfolds
//! a part, and a test compares the two on the first look.

use std::collections::BTreeMap;

use super::{Item, Picture, Tree, View};

/// From one column of transactions to the next.
const PITCH: i64 = 296;
/// From a transaction to what ends there.
const TO_ENDS: i64 = 140;
/// Widths of transactions, and of what ends.
const WIDTH: (i64, i64) = (96, 112);
/// Heights of the same.
const HEIGHT: (i64, i64) = (44, 32);
/// Between two boxes of one column.
const GAP: i64 = 10;
/// Above the first box, for the columns' heads.
const TOP: i64 = 64;
/// Around everything else.
const MARGIN: i64 = 24;

/// What a box stands for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Face {
    /// The theft or a transaction, by its place.
    Node(usize),
    /// An output that ends here, by its place among the flows.
    End(usize),
    /// What is folded of a node's items.
    Folded(usize),
}

/// A box, in pixels from the top left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Placed {
    /// What it stands for.
    pub face: Face,
    /// Its left side.
    pub x: i64,
    /// Its top.
    pub y: i64,
    /// Its width.
    pub width: i64,
    /// Its height.
    pub height: i64,
}

/// Flows from one box to another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Link {
    /// The box that they leave.
    pub from: Face,
    /// The box that they reach.
    pub to: Face,
    /// Their places.
    pub flows: Vec<usize>,
    /// Where it leaves.
    pub start: (i64, i64),
    /// Where it arrives.
    pub stop: (i64, i64),
}

/// A column of transactions that take nothing from each other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Column {
    /// Its left side.
    pub x: i64,
    /// Its transactions, in chain order.
    pub nodes: Vec<usize>,
}

/// Everything that is looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scene {
    /// The boxes: columns from left to right, each from its top.
    pub boxes: Vec<Placed>,
    /// The links between them.
    pub links: Vec<Link>,
    /// The columns.
    pub columns: Vec<Column>,
    /// The whole width.
    pub width: i64,
    /// The whole height.
    pub height: i64,
}

impl Scene {
    /// Places what a view shows.
    #[must_use]
    pub fn of(picture: &Picture, tree: &Tree, view: &View) -> Self {
        let anchors = view.anchors(picture, tree);
        let mut links = links(picture, tree, view, &anchors);
        let columns = columns(&anchors, &links);
        let mut boxes = Vec::new();
        let mut centers: BTreeMap<Face, i64> = BTreeMap::new();
        for column in &columns {
            let nodes = stand(picture, &links, column, &centers);
            centers.extend(nodes.iter().map(|at| (at.face, at.y + at.height / 2)));
            let ends = ends(tree, view, &nodes);
            centers.extend(ends.iter().map(|at| (at.face, at.y + at.height / 2)));
            boxes.extend(nodes.into_iter().chain(ends));
        }
        let top = boxes.iter().map(|at: &Placed| at.y).min().unwrap_or(0);
        for at in &mut boxes {
            at.y += TOP - top;
        }
        attach(&mut links, &boxes);
        let width = boxes.iter().map(|at| at.x + at.width).max().unwrap_or(0) + MARGIN;
        let height = boxes.iter().map(|at| at.y + at.height).max().unwrap_or(0) + MARGIN;
        Self { boxes, links, columns, width, height }
    }
}

/// All flows between different boxes. What passes between two folded parts is not drawn.
fn links(picture: &Picture, tree: &Tree, view: &View, anchors: &[(usize, bool)]) -> Vec<Link> {
    let mut shown_ends = vec![false; picture.flows.len()];
    for (node, (_, seen)) in anchors.iter().enumerate() {
        for item in tree.items(node).iter().take(if *seen { view.shown(node) } else { 0 }) {
            if let Item::End(flow) = item
                && let Some(shown) = shown_ends.get_mut(*flow)
            {
                *shown = true;
            }
        }
    }
    let face = |node: usize| {
        let (anchor, seen) = anchors.get(node).copied().unwrap_or_default();
        if seen { Face::Node(node) } else { Face::Folded(anchor) }
    };
    let mut found: BTreeMap<(Face, Face), Vec<usize>> = BTreeMap::new();
    for (place, flow) in picture.flows.iter().enumerate() {
        let from = face(flow.from);
        let to = match (flow.to, shown_ends.get(place)) {
            (Some(to), _) => face(to),
            (None, Some(true)) => Face::End(place),
            (None, Some(false) | None) => {
                Face::Folded(anchors.get(flow.from).map_or(0, |(anchor, _)| *anchor))
            }
        };
        let hidden = |face: Face| match face {
            Face::Folded(_) => true,
            Face::Node(_) | Face::End(_) => false,
        };
        if !(hidden(from) && hidden(to)) {
            found.entry((from, to)).or_default().push(place);
        }
    }
    let link = |((from, to), flows)| Link { from, to, flows, start: (0, 0), stop: (0, 0) };
    found.into_iter().map(link).collect()
}

/// Spreads the links of each box over its side, in the order of where they lead.
fn attach(links: &mut [Link], boxes: &[Placed]) {
    let by_face: BTreeMap<Face, Placed> = boxes.iter().map(|at| (at.face, *at)).collect();
    let height = |face: Face| by_face.get(&face).map_or(0, |at| at.y);
    for leaves in [true, false] {
        let own = |link: &Link| if leaves { (link.from, link.to) } else { (link.to, link.from) };
        let side = |(place, link): (usize, &Link)| {
            let (own, other) = own(link);
            (own, height(other), other, place)
        };
        let mut sides: Vec<(Face, i64, Face, usize)> = links.iter().enumerate().map(side).collect();
        sides.sort_unstable();
        for side in sides.chunk_by(|one, next| one.0 == next.0) {
            let parts = i64::try_from(side.len()).unwrap_or(i64::MAX).saturating_add(1);
            for (step, (own, _, _, place)) in (1_i64..).zip(side) {
                let (Some(link), Some(at)) = (links.get_mut(*place), by_face.get(own)) else { continue };
                let y = at.y + (at.height * step).checked_div(parts).unwrap_or(0);
                if leaves {
                    link.start = (at.x + at.width, y);
                } else {
                    link.stop = (at.x, y);
                }
            }
        }
    }
}

/// A node joins the column of the one before it in chain order, unless something in that column feeds it.
fn columns(anchors: &[(usize, bool)], links: &[Link]) -> Vec<Column> {
    let mut feeding: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for link in links {
        if let (Face::Node(from) | Face::Folded(from), Face::Node(to)) = (link.from, link.to) {
            feeding.entry(to).or_default().push(from);
        }
    }
    let mut columns: Vec<Column> = Vec::new();
    let mut last_start = 0;
    for (node, _) in anchors.iter().enumerate().filter(|(_, (_, seen))| *seen) {
        let fed = feeding.get(&node).and_then(|feeding| feeding.iter().max()).copied();
        match columns.last_mut() {
            // Nodes are in chain order, so that those of the last column are the ones from its first on.
            Some(column) if node != 0 && last_start != 0 && fed.is_none_or(|fed| fed < last_start) => {
                column.nodes.push(node);
            }
            Some(_) | None => {
                let x = MARGIN + i64::try_from(columns.len()).unwrap_or(i64::MAX).saturating_mul(PITCH);
                columns.push(Column { x, nodes: vec![node] });
                last_start = node;
            }
        }
    }
    columns
}

/// Puts a column's transactions beside what feeds them.
fn stand(picture: &Picture, links: &[Link], column: &Column, centers: &BTreeMap<Face, i64>) -> Vec<Placed> {
    let wish = |node: usize| {
        let feeding = links.iter().filter(|link| link.to == Face::Node(node));
        let centers: Vec<i64> = feeding.filter_map(|link| centers.get(&link.from).copied()).collect();
        let count = i64::try_from(centers.len()).unwrap_or(i64::MAX);
        let sum: i64 = centers.iter().sum();
        sum.checked_div_euclid(count).unwrap_or(0)
    };
    let rank = |node: usize| picture.nodes.get(node).map_or(0, |node| node.rank);
    let mut wishes: Vec<(i64, u64, usize)> =
        column.nodes.iter().map(|node| (wish(*node), rank(*node), *node)).collect();
    wishes.sort_unstable();
    let sizes: Vec<(i64, i64)> = wishes.iter().map(|(wish, ..)| (*wish, HEIGHT.0)).collect();
    let tops = apart(&sizes);
    let stood = wishes.iter().zip(tops).map(|((_, _, node), y)| Placed {
        face: Face::Node(*node),
        x: column.x,
        y,
        width: WIDTH.0,
        height: HEIGHT.0,
    });
    stood.collect()
}

/// Puts what ends at the transactions of a column beside it, each node's own together.
fn ends(tree: &Tree, view: &View, nodes: &[Placed]) -> Vec<Placed> {
    let mut wishes: Vec<(i64, i64, Face)> = Vec::new();
    for at in nodes {
        let Face::Node(node) = at.face else { continue };
        let shown = view.shown(node);
        let mut own: Vec<Face> = Vec::new();
        for item in tree.items(node).iter().take(shown) {
            if let Item::End(flow) = item {
                own.push(Face::End(*flow));
            }
        }
        if shown < tree.items(node).len() {
            own.push(Face::Folded(node));
        }
        let pitch = HEIGHT.1 + GAP;
        let first = at.y + at.height / 2
            - (i64::try_from(own.len()).unwrap_or(i64::MAX).saturating_sub(1)).saturating_mul(pitch) / 2;
        for (step, face) in (0_i64..).zip(own) {
            wishes.push((first.saturating_add(step.saturating_mul(pitch)), at.x, face));
        }
    }
    let sizes: Vec<(i64, i64)> = wishes.iter().map(|(wish, ..)| (*wish, HEIGHT.1)).collect();
    let tops = apart(&sizes);
    let stood = wishes.iter().zip(tops).map(|((_, x, face), y)| Placed {
        face: *face,
        x: x + TO_ENDS,
        y,
        width: WIDTH.1,
        height: HEIGHT.1,
    });
    stood.collect()
}

/// Tops of boxes that keep their order and their gap and lie as near as they can to the centres that they wish for:
/// boxes that would overlap are pooled, and each pool lies at the mean of its wishes (pool adjacent violators).
fn apart(boxes: &[(i64, i64)]) -> Vec<i64> {
    let mut offset = 0_i64;
    let mut offsets = Vec::with_capacity(boxes.len());
    // Pools as (sum of wishes, boxes).
    let mut pools: Vec<(i64, i64)> = Vec::new();
    for (center, height) in boxes {
        offsets.push(offset);
        let mut pool = (center - height / 2 - offset, 1_i64);
        while let Some(last) = pools.last().filter(|last| at(**last) > at(pool)) {
            pool = (pool.0.saturating_add(last.0), pool.1.saturating_add(last.1));
            pools.pop();
        }
        pools.push(pool);
        offset += height + GAP;
    }
    let tops = pools.iter().flat_map(|pool| (0..pool.1).map(|_| at(*pool)));
    tops.zip(offsets).map(|(top, offset)| top + offset).collect()
}

fn at((sum, count): (i64, i64)) -> i64 {
    sum.checked_div_euclid(count).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_lie_near_their_wishes_and_never_on_each_other() {
        let check = |boxes: &[(i64, i64)], want: &[i64]| assert_eq!(apart(boxes), want, "{boxes:?}");
        check(&[], &[]);
        check(&[(100, 40)], &[80]);
        check(&[(100, 40), (150, 40)], &[80, 130]);
        check(&[(100, 40), (149, 40)], &[79, 129]);
        check(&[(0, 40), (0, 40), (0, 40)], &[-70, -20, 30]);
        check(&[(0, 40), (1000, 40), (0, 40)], &[-20, 455, 505]);
    }
}
