//! The methods: where tainted units go inside one transaction.
//!
//! Decides by values and order alone. Every unit that comes in goes to one output or is left over.

use core::cmp::Reverse;

use super::{
    part::{Part, append},
    share::Shares,
    terms::Method,
};

/// One transaction, as far as a method sees it. A coinbase's inputs are the subsidy and then its block's fees.
#[derive(Debug, Default)]
pub(crate) struct Spend {
    /// Σ of its inputs.
    pub whole_sat: u64,
    /// Its outputs' values, and last what they leave over: the fee, or what a coinbase does not claim.
    pub rooms: Vec<u64>,
    /// The tainted units. Under FIFO and LIFO by their place among all units that come in.
    pub line: Vec<Part>,
}

/// Units that went to the rooms of a [`Spend`], by room.
#[derive(Debug, Default)]
pub(crate) struct Landed {
    parts: Vec<Part>,
    /// Each room that got some, and where its parts end.
    rooms: Vec<(usize, usize)>,
}

impl Landed {
    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.parts.clear();
        self.rooms.clear();
    }

    /// Adds units to the room that got the last ones, or to a later one.
    fn push(&mut self, room: usize, part: Part) {
        self.parts.push(part);
        let end = self.parts.len();
        match self.rooms.last_mut() {
            Some((last, last_end)) if *last == room => *last_end = end,
            Some(_) | None => self.rooms.push((room, end)),
        }
    }

    /// Gives a room after the last one that got some the parts that were added since.
    fn end_room(&mut self, room: usize) {
        let end = self.parts.len();
        if self.rooms.last().map_or(0, |(_, last)| *last) < end {
            self.rooms.push((room, end));
        }
    }

    /// Each room that got some, with its parts.
    pub(crate) fn by_room(&self) -> impl Iterator<Item = (usize, &[Part])> {
        let mut start = 0;
        self.rooms.iter().map(move |(room, end)| {
            let range = start..*end;
            start = *end;
            (*room, self.parts.get(range).unwrap_or_default())
        })
    }
}

/// Says where the units of `spend` land, by room, in each room in the order that [`Parts`](super::Parts) states. Uses up the line.
pub(crate) fn land(method: Method, spend: &mut Spend, shares: &mut Shares, landed: &mut Landed) {
    landed.clear();
    match method {
        Method::Fifo => cut(spend, landed),
        Method::Lifo => {
            reverse(spend);
            cut(spend, landed);
        }
        Method::Poison => poison(spend, landed),
        Method::Haircut | Method::Tiho | Method::DirtyFirst | Method::CleanFirst => {
            amounts(method, spend, shares, landed);
        }
    }
}

/// The line as it would be if the last unit had come in first.
fn reverse(spend: &mut Spend) {
    spend.line.reverse();
    for part in &mut spend.line {
        part.start_sat = spend.whole_sat.saturating_sub(part.end_sat());
    }
}

/// Cuts the line by the rooms in their order.
fn cut(spend: &Spend, landed: &mut Landed) {
    let mut rest = spend.line.as_slice();
    let mut start = 0_u64;
    for (room, value) in spend.rooms.iter().enumerate() {
        let end = start.saturating_add(*value);
        let inside = rest.partition_point(|part| part.end_sat() <= end);
        let (inside, later) = rest.split_at(inside);
        let within = |part: &Part| {
            let from = part.start_sat.max(start);
            let amount_sat = part.end_sat().min(end).saturating_sub(from);
            Part { case: part.case, start_sat: from.saturating_sub(start), amount_sat }
        };
        // The last one can go on in the next room.
        let over = later.first().filter(|part| part.start_sat.max(start) < end);
        if let Some((first, others)) = inside.split_first() {
            landed.parts.push(within(first));
            let moved = |part: &Part| Part { start_sat: part.start_sat.saturating_sub(start), ..*part };
            landed.parts.extend(others.iter().map(moved));
        }
        landed.parts.extend(over.map(within));
        landed.end_room(room);
        if later.is_empty() {
            return;
        }
        (rest, start) = (later, end);
    }
}

/// Gathers the line by theft: one part each, in order.
fn gather(line: &mut Vec<Part>) {
    line.sort_unstable_by_key(|part| part.case);
    line.dedup_by(|part, kept| {
        let same = part.case == kept.case;
        if same {
            kept.amount_sat = kept.amount_sat.saturating_add(part.amount_sat);
        }
        same
    });
}

fn poison(spend: &mut Spend, landed: &mut Landed) {
    gather(&mut spend.line);
    let Some((_, outputs)) = spend.rooms.split_last() else { return };
    for (room, value) in outputs.iter().enumerate().filter(|(_, value)| **value > 0) {
        for part in &spend.line {
            landed.push(room, Part { case: part.case, start_sat: 0, amount_sat: *value });
        }
    }
}

/// One theft after the other, the earliest first, each over what those before it left.
fn amounts(method: Method, spend: &mut Spend, shares: &mut Shares, landed: &mut Landed) {
    gather(&mut spend.line);
    let mut given = Vec::new();
    for part in &spend.line {
        let (amount, rooms) = (part.amount_sat, spend.rooms.as_slice());
        match method {
            Method::Haircut => shares.split(rooms, amount, spend.whole_sat),
            Method::Tiho => shares.fill(rooms, amount, highest_first(rooms)),
            // Clean units leave first: the tainted ones are the last of them.
            Method::CleanFirst => shares.fill(rooms, amount, (0..rooms.len()).rev()),
            Method::DirtyFirst | Method::Poison | Method::Fifo | Method::Lifo => {
                shares.fill(rooms, amount, 0..rooms.len());
            }
        }
        for ((room, left), share) in spend.rooms.iter_mut().enumerate().zip(shares.by_room()) {
            if *share > 0 {
                *left = left.saturating_sub(*share);
                given.push((room, Part { case: part.case, start_sat: 0, amount_sat: *share }));
            }
        }
        spend.whole_sat = spend.whole_sat.saturating_sub(amount);
    }
    if spend.line.len() > 1 {
        given.sort_by_key(|(room, _)| *room);
    }
    given.into_iter().for_each(|(room, part)| landed.push(room, part));
}

/// The outputs' rooms by size, the earlier first where two are equal, and then the rest.
fn highest_first(rooms: &[u64]) -> impl Iterator<Item = usize> + use<> {
    let outputs = rooms.len().saturating_sub(1);
    let mut order: Vec<usize> = (0..outputs).collect();
    order.sort_by_key(|room| Reverse(rooms.get(*room).copied()));
    order.into_iter().chain(core::iter::once(outputs))
}

/// Adds an input's parts to the line, which until then is `before_sat` units long.
pub(crate) fn lengthen(method: Method, line: &mut Vec<Part>, before_sat: u64, parts: &[Part]) {
    if !method.has_order() {
        return line.extend_from_slice(parts);
    }
    let moved = |part: &Part| Part { start_sat: part.start_sat.saturating_add(before_sat), ..*part };
    // An output's parts are merged already: only the first can touch what came before.
    if let Some((first, others)) = parts.split_first() {
        append(line, moved(first));
        line.extend(others.iter().map(moved));
    }
}
