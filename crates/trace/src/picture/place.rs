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
/// What a link takes that passes through a column.
const LANE: i64 = 4;
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
    /// Where it passes between the boxes of a column on its way, as (left, right, height).
    pub vias: Vec<(i64, i64, i64)>,
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
        let mut ground = Ground::new(picture, &columns, &links);
        for (at, column) in columns.iter().enumerate() {
            ground.stand(at, column, &links);
            ground.ends(at, column, tree, view, &links);
        }
        let Ground { mut boxes, vias, .. } = ground;
        let top = boxes.iter().map(|at| at.y).min().unwrap_or(0);
        for at in &mut boxes {
            at.y += TOP - top;
        }
        for (link, vias) in links.iter_mut().zip(vias) {
            link.vias = vias.into_iter().map(|(left, right, y)| (left, right, y + TOP - top)).collect();
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
    let link = |((from, to), flows)| Link { from, to, flows, start: (0, 0), vias: Vec::new(), stop: (0, 0) };
    found.into_iter().map(link).collect()
}

/// Spreads the links of each box over its side, in the order of where they lead.
fn attach(links: &mut [Link], boxes: &[Placed]) {
    let by_face: BTreeMap<Face, Placed> = boxes.iter().map(|at| (at.face, *at)).collect();
    let height = |face: Face| by_face.get(&face).map_or(0, |at| at.y + at.height / 2);
    for leaves in [true, false] {
        let own = |link: &Link| if leaves { (link.from, link.to) } else { (link.to, link.from) };
        let side = |(place, link): (usize, &Link)| {
            let via = if leaves { link.vias.first() } else { link.vias.last() };
            let (own, other) = own(link);
            (own, via.map_or_else(|| height(other), |(_, _, y)| *y), other, place)
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

/// What wants a place in a column: a box, or a link on its way through.
#[derive(Clone, Copy)]
enum Claim {
    Box(Face),
    Lane(usize),
}

/// By what a slot is ordered, from the top.
type Order = (i64, usize, u64, usize);

/// Columns as they fill from left to right. Each column of transactions is one slot, and what ends beside it another.
struct Ground<'a> {
    picture: &'a Picture,
    /// By link: the slots that it leaves and reaches.
    spans: Vec<(usize, usize)>,
    /// By link: how high it was seen last.
    heights: Vec<Option<i64>>,
    vias: Vec<Vec<(i64, i64, i64)>>,
    boxes: Vec<Placed>,
}

impl<'a> Ground<'a> {
    fn new(picture: &'a Picture, columns: &[Column], links: &[Link]) -> Self {
        let own = columns
            .iter()
            .enumerate()
            .flat_map(|(at, column)| column.nodes.iter().map(move |node| (*node, at)));
        let column_of: BTreeMap<usize, usize> = own.collect();
        let slot = |node: usize| column_of.get(&node).map_or(0, |at| at.saturating_mul(2));
        let span = |link: &Link| {
            let start = match link.from {
                Face::Node(node) => slot(node),
                Face::Folded(node) => slot(node).saturating_add(1),
                Face::End(_) => 0,
            };
            let stop = match link.to {
                Face::Node(node) => slot(node),
                Face::Folded(node) => slot(node).saturating_add(1),
                Face::End(_) => start.saturating_add(1),
            };
            (start, stop)
        };
        Self {
            picture,
            spans: links.iter().map(span).collect(),
            heights: vec![None; links.len()],
            vias: vec![Vec::new(); links.len()],
            boxes: Vec::new(),
        }
    }

    /// Links that pass through a slot: where they come from, their target's rank, their place.
    fn passing(&self, slot: usize, links: &[Link]) -> Vec<(i64, u64, usize)> {
        let spans = self.spans.iter().zip(links).enumerate();
        let through = spans.filter(|(_, ((start, stop), _))| *start < slot && slot < *stop);
        through
            .map(|(place, (_, link))| {
                let rank = match link.to {
                    Face::Node(node) | Face::Folded(node) => self.rank(node),
                    Face::End(_) => 0,
                };
                (self.heights.get(place).copied().flatten().unwrap_or(0), rank, place)
            })
            .collect()
    }

    fn rank(&self, node: usize) -> u64 {
        self.picture.nodes.get(node).map_or(0, |node| node.rank)
    }

    /// The mean height of what feeds a node.
    fn wish(&self, node: usize, links: &[Link]) -> i64 {
        let feeding = self.heights.iter().zip(links).filter(|(_, link)| link.to == Face::Node(node));
        let heights: Vec<i64> = feeding.filter_map(|(height, _)| *height).collect();
        let count = i64::try_from(heights.len()).unwrap_or(i64::MAX);
        heights.iter().sum::<i64>().checked_div_euclid(count).unwrap_or(0)
    }

    /// Puts a column's transactions beside what feeds them, and between them what passes through.
    fn stand(&mut self, at: usize, column: &Column, links: &[Link]) {
        let nodes = column.nodes.iter().map(|node| {
            let claim = Claim::Box(Face::Node(*node));
            ((self.wish(*node, links), 0, self.rank(*node), *node), claim)
        });
        let lanes = self.passing(at.saturating_mul(2), links).into_iter();
        let lanes = lanes.map(|(wish, rank, link)| ((wish, 1, rank, link), Claim::Lane(link)));
        let mut claims: Vec<(Order, Claim)> = nodes.chain(lanes).collect();
        claims.sort_by_key(|(key, _)| *key);
        let wishes: Vec<(i64, Claim)> = claims.into_iter().map(|((wish, ..), claim)| (wish, claim)).collect();
        self.settle(&wishes, (column.x, WIDTH.0, HEIGHT.0), links);
    }

    /// Puts what ends at the transactions of a column beside it, each node's own together.
    fn ends(&mut self, at: usize, column: &Column, tree: &Tree, view: &View, links: &[Link]) {
        let mut claims: Vec<(Order, i64, Claim)> = Vec::new();
        for node in &column.nodes {
            let center = self.boxes.iter().rev().find(|at| at.face == Face::Node(*node));
            let center = center.map_or(0, |at| at.y + at.height / 2);
            for (step, (wish, face)) in own_ends(tree, view, *node, center).into_iter().enumerate() {
                let rank = u64::try_from(step).unwrap_or(u64::MAX);
                // Of one node all that ends stands together.
                claims.push(((center, node.saturating_add(1), rank, 0), wish, Claim::Box(face)));
            }
        }
        if claims.is_empty() {
            return;
        }
        for (height, rank, link) in self.passing(at.saturating_mul(2).saturating_add(1), links) {
            claims.push(((height, 0, rank, link), height, Claim::Lane(link)));
        }
        claims.sort_by_key(|(order, ..)| *order);
        let wishes: Vec<(i64, Claim)> = claims.into_iter().map(|(_, wish, claim)| (wish, claim)).collect();
        self.settle(&wishes, (column.x + TO_ENDS, WIDTH.1, HEIGHT.1), links);
    }

    /// Gives everything in a slot its place.
    fn settle(&mut self, wishes: &[(i64, Claim)], (x, width, height): (i64, i64, i64), links: &[Link]) {
        let tall = |claim: &Claim| match claim {
            Claim::Box(_) => height,
            Claim::Lane(_) => LANE,
        };
        let sizes: Vec<(i64, i64)> = wishes.iter().map(|(wish, claim)| (*wish, tall(claim))).collect();
        for ((_, claim), y) in wishes.iter().zip(apart(&sizes)) {
            match claim {
                Claim::Box(face) => {
                    self.boxes.push(Placed { face: *face, x, y, width, height });
                    for (seen, link) in self.heights.iter_mut().zip(links) {
                        if link.from == *face {
                            *seen = Some(y + height / 2);
                        }
                    }
                }
                Claim::Lane(link) => {
                    let middle = y + LANE / 2;
                    if let (Some(vias), Some(seen)) = (self.vias.get_mut(*link), self.heights.get_mut(*link))
                    {
                        vias.push((x, x + width, middle));
                        *seen = Some(middle);
                    }
                }
            }
        }
    }
}

/// What ends at a node, and how high it wants to stand: beneath the line to the next transaction, where there is one.
fn own_ends(tree: &Tree, view: &View, node: usize, center: i64) -> Vec<(i64, Face)> {
    let shown = view.shown(node);
    let mut own: Vec<Face> = Vec::new();
    let mut goes_on = false;
    for item in tree.items(node).iter().take(shown) {
        match item {
            Item::End(flow) => own.push(Face::End(*flow)),
            Item::Node(_) => goes_on = true,
        }
    }
    if shown < tree.items(node).len() {
        own.push(Face::Folded(node));
    }
    let pitch = HEIGHT.1 + GAP;
    let count = i64::try_from(own.len()).unwrap_or(i64::MAX);
    let first = if goes_on {
        center + HEIGHT.1 / 2 + GAP
    } else {
        center - count.saturating_sub(1).saturating_mul(pitch) / 2
    };
    (0_i64..).zip(own).map(|(step, face)| (first.saturating_add(step.saturating_mul(pitch)), face)).collect()
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
