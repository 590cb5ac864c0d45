//! What runs the writer in a simulated world, as its daemon does: it groups events, has entries on disk before anything
//! follows from them, and feeds it the chain. A hostile writer stands in its place in some worlds.

use std::collections::BTreeMap;

use kuraban_base::Amount;
use kuraban_vault::{
    coordinator::{Coordinator, Effect, Event, Reply, Token},
    wire::{LogEntry, Request},
};

use super::{
    Flaw, Rule, Scenario,
    engine::{What, World},
    node::View,
    random::Random,
    realm::{self, Machine, NETWORK, SIGNERS, realm},
    rogue::Rogue,
};

/// Entries in one message, where the log comes in pieces.
const PIECE: u64 = 25;

/// Who writes.
pub(super) enum Writing {
    Down,
    Honest(Box<Coordinator>),
    Rogue(Box<Rogue>),
}

/// The writer and its disk.
pub(super) struct WriterSide {
    pub(super) state: Writing,
    pub(super) disk: Vec<LogEntry>,
    checkpoints: BTreeMap<u64, Vec<u8>>,
    view: View,
    flush_due: bool,
}

fn coordinator() -> Coordinator {
    Coordinator::new(&Machine::Writer.id(), realm().charter.clone(), realm::log_key())
}

impl WriterSide {
    pub(super) fn new(scenario: Scenario, traitor: Option<u8>, random: &mut Random) -> Self {
        let state = if scenario.mode.rogue() {
            let stolen: Vec<u8> = match scenario.flaw {
                Some(Flaw::KeysStolen) => SIGNERS.into(),
                _ => traitor.into_iter().collect(),
            };
            Writing::Rogue(Box::new(Rogue::new(scenario.mode, stolen, random)))
        } else {
            Writing::Honest(Box::new(coordinator()))
        };
        Self {
            state,
            disk: Vec::new(),
            checkpoints: BTreeMap::new(),
            view: View::default(),
            flush_due: false,
        }
    }

    pub(super) const fn runs(&self) -> bool {
        !matches!(self.state, Writing::Down)
    }

    pub(super) fn honest(&self) -> Option<&Coordinator> {
        match &self.state {
            Writing::Honest(coordinator) => Some(coordinator),
            Writing::Down | Writing::Rogue(_) => None,
        }
    }

    pub(super) fn crash(&mut self, forgets: bool) {
        if forgets {
            self.disk.pop();
        }
        self.state = Writing::Down;
        self.view = View::default();
        self.flush_due = false;
    }

    /// A coordinator made from the disk alone.
    pub(super) fn restored(&self) -> Result<Coordinator, String> {
        let mut coordinator = coordinator();
        coordinator.restore(&self.disk).map_err(|problem| problem.to_string())?;
        coordinator.resume();
        Ok(coordinator)
    }
}

impl World {
    /// The log is opened before the machines start.
    pub(super) fn open_log(&mut self) {
        let now = self.wall(Machine::Writer);
        let rate = Amount::from(self.random.within(1000, 20_000));
        let random = &mut self.random;
        match &mut self.writer.state {
            Writing::Honest(coordinator) => {
                realm::sure(coordinator.open(now, 3650, &mut || random.bytes()));
                self.writer_event(Event::FeeRate(NETWORK, rate));
            }
            Writing::Rogue(rogue) => rogue.open(now, random),
            Writing::Down => {}
        }
    }

    /// Something happens to the writer; what follows from it leaves with the next group.
    pub(super) fn writer_event(&mut self, event: Event) {
        let now = self.wall(Machine::Writer);
        if self.writer.honest().is_some() && self.crashes() {
            return self.crash(Machine::Writer);
        }
        let random = &mut self.random;
        match &mut self.writer.state {
            Writing::Down => return,
            Writing::Rogue(rogue) => return rogue.event(event, random),
            Writing::Honest(coordinator) => coordinator.step(now, event, &mut || random.bytes()),
        }
        if !self.writer.flush_due {
            self.writer.flush_due = true;
            let pause = self.random.within(0, 8);
            self.after(pause, What::Flush);
        }
    }

    pub(super) fn flush(&mut self) {
        self.writer.flush_due = false;
        let now = self.wall(Machine::Writer);
        if self.writer.honest().is_none() {
            return;
        }
        if self.crashes() {
            return self.crash(Machine::Writer);
        }
        let random = &mut self.random;
        let Writing::Honest(coordinator) = &mut self.writer.state else { return };
        let mut effects = coordinator.flush(now, &mut || random.bytes());
        if self.has(Flaw::AnswersBeforeDisk) {
            effects.sort_by_key(|effect| !matches!(effect, Effect::Reply(..)));
        }
        for effect in effects {
            if self.crashes() {
                return self.crash(Machine::Writer);
            }
            self.execute(effect);
            if !self.writer.runs() {
                return;
            }
        }
    }

    fn execute(&mut self, effect: Effect) {
        match effect {
            Effect::Persist { from, entries, checkpoint } => {
                if u64::try_from(self.writer.disk.len()) != Ok(from) {
                    let have = self.writer.disk.len();
                    return self
                        .violate(Rule::NotRestored, format!("entries from {from}, the disk has {have}"));
                }
                for entry in &entries {
                    self.say(|| format!("logged: {}", kind(entry)));
                }
                self.writer.disk.extend(entries);
                let size = u64::try_from(self.writer.disk.len()).unwrap_or(u64::MAX);
                self.writer.checkpoints.insert(size, checkpoint);
            }
            Effect::Publish { size, .. } => self.say(|| format!("a quorum co-signed {size} entries")),
            Effect::Send(id, request) => {
                if let Some(machine) = Machine::of(&id) {
                    self.request(machine, *request);
                }
            }
            Effect::SendEntries { to, from, until } => {
                let mixed = self.has(Flaw::CheckpointsMixed);
                let most = if self.scenario.mode.anew() { PIECE } else { u64::MAX };
                let request = self.writer.extension(from, until, (most, mixed));
                if let (Some(machine), Some(request)) = (Machine::of(&to), request) {
                    self.request(machine, request);
                }
            }
            Effect::Broadcast(_, bytes) => {
                self.count("broadcasts");
                if !self.lost() && !self.has(Flaw::NothingBroadcast) {
                    self.send(What::Submit(bytes));
                }
            }
            Effect::Reply(token, reply) => self.reply(token, &reply),
        }
    }

    fn reply(&mut self, token: Token, reply: &Reply) {
        let Ok(index) = usize::try_from(token.0) else { return };
        self.say(|| format!("wish {index} is answered: {reply:.100?}"));
        let (word, code) = match reply {
            Reply::Logged { repeated: false, .. } => ("logged", None),
            Reply::Logged { repeated: true, .. } => ("repeated", None),
            Reply::Refused(reasons) => ("refused", reasons.first().map(kuraban_vault::Reason::code)),
            Reply::Conflict { code, .. } => ("conflict", Some(*code)),
        };
        self.count(format!("answered {word} {}", code.unwrap_or_default()));
        if matches!(reply, Reply::Logged { .. }) {
            self.acknowledged(index);
        }
        if !self.lost() && self.people.answered(index, reply) {
            self.send(What::Told(index));
        }
    }

    pub(super) fn restart_writer(&mut self) {
        match self.writer.restored() {
            Ok(coordinator) => self.writer.state = Writing::Honest(Box::new(coordinator)),
            Err(problem) => return self.violate(Rule::NotRestored, format!("the writer: {problem}")),
        }
        self.check_acknowledged();
        if self.writer.disk.is_empty() {
            self.open_log();
        }
        self.after(1, What::See);
    }

    pub(super) fn writer_looks(&mut self) {
        if self.writer.honest().is_none() {
            return;
        }
        for event in self.writer.view.look(&self.node.chain) {
            if !self.writer.runs() {
                return;
            }
            self.writer_event(event);
        }
    }
}

impl WriterSide {
    /// Entries from the disk, up to a checkpoint not beyond `until`: so many at the most, if there is one between.
    fn extension(&self, from: u64, until: u64, (most, mixed): (u64, bool)) -> Option<Request> {
        let some = self.checkpoints.range(from..=until.min(from.saturating_add(most))).next_back();
        let some = some.filter(|(size, _)| **size > from || from == until);
        let (size, checkpoint) =
            some.or_else(|| self.checkpoints.range(from.saturating_add(1)..=until).next())?;
        let checkpoint = if mixed { self.checkpoints.values().next()? } else { checkpoint };
        let range = usize::try_from(from).ok()?..usize::try_from(*size).ok()?;
        let entries = self.disk.get(range)?.to_vec();
        Some(Request::Extend { from, entries, checkpoint: checkpoint.clone(), newest: until })
    }
}

fn kind(entry: &LogEntry) -> String {
    match kuraban_vault::follow::open(entry) {
        Ok((_, _, body)) => format!("{} {:.60?}", body.kind(), format!("{body:?}")),
        Err(problem) => problem,
    }
}
