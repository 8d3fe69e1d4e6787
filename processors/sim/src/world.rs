//! One history: what happens in which order, and how it comes to rest.

use std::sync::Arc;

use cityevents_runtime::chain::BrokenRule;
use cityevents_runtime::log::clock::{Clock as _, ManualClock};
use cityevents_runtime::log::memory::{Faults, MemoryLog};
use cityevents_runtime::log::{Isolation, Log};
use cityevents_runtime::topology::Topology as _;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::clients::Clients;
use crate::draw::Draw;
use crate::failure::Failure;
use crate::node::{Hands, Node};
use crate::oracle::{Oracle, Seen};
use crate::patience::PatientLog;
use crate::plan::Plan;
use crate::snapshots::Snapshots;
use crate::topics::Topics;
use crate::trace::Trace;

/// When every history begins: 2026-05-01T00:00:00Z.
const BEGINNING_MS: i64 = 1_777_593_600_000;
/// Rounds in which what is still under way lands late.
const LATE_ROUNDS: u32 = 40;
/// Rounds without faults in which something must go on.
const IDLE_ROUNDS_MAX: u32 = 300;
/// Rounds without faults until it must have come to rest, whatever goes on.
const QUIET_ROUNDS_MAX: u32 = 20_000;
/// Rounds in a row in which nothing may be left to do.
const REST_ROUNDS: u32 = 3;
/// Without closing links the end of the commands is closed by a fact, once in so many rounds.
const CLOSER_EVERY_ROUNDS: u32 = 20;

/// What happened, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Commands appended, not counting tries.
    pub commands: u64,
    /// Tries after a time-out.
    pub retries: u64,
    /// Answers that somebody waited for.
    pub heard: u64,
    /// Machines that died.
    pub crashes: u64,
    /// Machines that stood still for a while.
    pub stalls: u64,
    /// Workers that went on after their partition was taken away.
    pub rogues: u64,
    /// Folds made from snapshots and facts.
    pub restores: u64,
    /// Takeovers by a standby.
    pub warm_takeovers: u64,
    /// Workers that had to begin anew.
    pub restarts: u64,
    /// Snapshots written.
    pub snapshots: u64,
    /// Snapshots damaged or removed.
    pub harmed_snapshots: u64,
    /// What the oracle saw.
    pub seen: Seen,
}

impl Tally {
    /// Adds another one.
    pub fn add(&mut self, other: &Self) {
        self.commands += other.commands;
        self.retries += other.retries;
        self.heard += other.heard;
        self.crashes += other.crashes;
        self.stalls += other.stalls;
        self.rogues += other.rogues;
        self.restores += other.restores;
        self.warm_takeovers += other.warm_takeovers;
        self.restarts += other.restarts;
        self.snapshots += other.snapshots;
        self.harmed_snapshots += other.harmed_snapshots;
        self.seen.add(&other.seen);
    }
}

/// Everything there is.
pub(crate) struct World {
    rng: SmallRng,
    plan: Plan,
    without: Option<BrokenRule>,
    clock: ManualClock,
    log: MemoryLog,
    topics: Topics,
    snapshots: Snapshots,
    nodes: Vec<Node>,
    clients: Clients,
}

impl World {
    pub(crate) fn new(seed: u64, without: Option<BrokenRule>) -> Result<Self, Failure> {
        let mut rng = SmallRng::seed_from_u64(seed);
        let plan = Plan::draw(&mut rng);
        let clock = ManualClock::new(BEGINNING_MS);
        let log = MemoryLog::simulated(clock.clone(), rng.random(), plan.faults);
        let topics = Topics::create(&log, plan.partitions)?;
        let snapshots = Snapshots::new()?;
        let patient: Arc<dyn Log> = Arc::new(PatientLog { log: log.clone(), clock: clock.clone() });
        let nodes = plan
            .nodes
            .iter()
            .map(|node| {
                let store = snapshots.store.clone();
                Node::new(patient.clone(), &clock, &topics, store, node.clone(), without)
            })
            .collect();
        let clients = Clients::new(&log, &topics, Draw::new(plan.people, plan.crowd))?;
        Ok(Self { rng, plan, without, clock, log, topics, snapshots, nodes, clients })
    }

    /// Everything, and then the oracle.
    pub(crate) fn run(&mut self, trace: &mut Trace<'_>, tally: &mut Tally) -> Result<(), Failure> {
        trace.note(format_args!("{:?}", self.plan));
        for node in &mut self.nodes {
            node.start()?;
        }
        for _ in 0..self.plan.steps {
            self.step(trace, tally)?;
        }
        self.come_to_rest(trace, tally)?;
        for place in self.topics.all() {
            trace.note(format_args!("{place}"));
            for record in self.log.records(&place, Isolation::Uncommitted)? {
                trace.bytes(&record.timestamp_ms.to_be_bytes());
                trace.bytes(record.headers.as_bytes());
                trace.bytes(record.value.as_deref().unwrap_or_default());
            }
        }
        let oracle = Oracle::new(&self.log, &self.topics, self.without);
        let states = oracle.check(&mut tally.seen)?;
        self.check_folds(&states)
    }

    fn step(&mut self, trace: &mut Trace<'_>, tally: &mut Tally) -> Result<(), Failure> {
        let now_ms = self.clock.now_ms();
        match self.rng.random_range(0..100) {
            0..45 => {
                let node = self.rng.random_range(0..self.nodes.len());
                self.step_node(node, trace, tally, true)?;
            }
            45..65 => self.log.tick(),
            65..80 => {
                let count = self.clients.give(&self.log, &mut self.rng, now_ms)?;
                tally.commands += count as u64;
            }
            80..86 => self.clients.hear(&self.log, &mut self.rng, now_ms, tally)?,
            86..98 => {
                let by_ms = match self.rng.random_range(0..400) {
                    0 => 25 * 3_600_000,
                    1..4 => self.rng.random_range(60_000..3_600_000),
                    _ => self.rng.random_range(1..400),
                };
                self.clock.advance(by_ms);
            }
            _ => {
                if let Some(harm) = self.snapshots.harm(&mut self.rng)? {
                    tally.harmed_snapshots += 1;
                    trace.note(format_args!("{harm}"));
                }
            }
        }
        self.strike(trace, tally)
    }

    /// Machines die, stand still, and come back.
    fn strike(&mut self, trace: &mut Trace<'_>, tally: &mut Tally) -> Result<(), Failure> {
        let number = self.rng.random_range(0..self.nodes.len());
        let node = &mut self.nodes[number];
        if !node.is_alive() {
            if self.rng.random_bool(0.1) {
                trace.note(format_args!("{} comes back", node.name()));
                node.start()?;
            }
        } else if self.rng.random_bool(self.plan.crash) {
            trace.note(format_args!("{} dies", node.name()));
            tally.crashes += 1;
            node.crash();
        } else if self.rng.random_bool(self.plan.stall) {
            trace.note(format_args!("{} stands still", node.name()));
            tally.stalls += 1;
            node.stalled = self.rng.random_range(1..30);
            if self.rng.random_bool(0.7) {
                self.log.expel_member("registration", node.name());
            }
        }
        Ok(())
    }

    fn step_node(
        &mut self,
        number: usize,
        trace: &mut Trace<'_>,
        tally: &mut Tally,
        faulty: bool,
    ) -> Result<(), Failure> {
        let mut hands = Hands { rng: &mut self.rng, plan: &self.plan, trace, tally, faulty };
        self.nodes[number].step(&mut hands)
    }

    /// The faults end, what is under way lands, everybody does what the group says, and every
    /// command gets its verdict.
    fn come_to_rest(&mut self, trace: &mut Trace<'_>, tally: &mut Tally) -> Result<(), Failure> {
        trace.note(format_args!("the faults end"));
        let late = Faults { delay: 0.3, lands_late: 1.0, late_delay: 0.7, ..Faults::none() };
        self.log.set_faults(late);
        for _ in 0..LATE_ROUNDS {
            self.round(trace, tally, true)?;
        }
        self.log.set_faults(Faults::none());
        for node in &mut self.nodes {
            node.come_to_reason();
            if !node.is_alive() {
                node.start()?;
            }
        }
        // One round lets the entrances hear of what failed before.
        self.round(trace, tally, false)?;
        self.clients.hear(&self.log, &mut self.rng, self.clock.now_ms(), tally)?;
        self.clients.close(&self.log, self.clock.now_ms())?;
        let needs_closer = self.without == Some(BrokenRule::ClosingLinks);
        let (mut at_rest, mut idle, mut round, mut stood) = (0, 0, 0_u32, 0_u64);
        while at_rest < REST_ROUNDS {
            self.round(trace, tally, false)?;
            let unrest = self.unrest()?;
            at_rest = if unrest.is_none() { at_rest + 1 } else { 0 };
            let stands = self.nodes.iter().flat_map(Node::standings).map(|(_, next)| next).sum();
            idle = if stands == stood { idle + 1 } else { 0 };
            stood = stands;
            if let Some(seen) =
                unrest.filter(|_| idle > IDLE_ROUNDS_MAX || round > QUIET_ROUNDS_MAX)
            {
                return Err(Failure::Restless { rounds: round, seen });
            }
            round += 1;
            if needs_closer && round % CLOSER_EVERY_ROUNDS == 0 {
                self.clients.close(&self.log, self.clock.now_ms())?;
            }
        }
        Ok(())
    }

    fn round(
        &mut self,
        trace: &mut Trace<'_>,
        tally: &mut Tally,
        faulty: bool,
    ) -> Result<(), Failure> {
        for number in 0..self.nodes.len() {
            self.step_node(number, trace, tally, faulty)?;
        }
        self.log.tick();
        self.clock.advance(40);
        Ok(())
    }

    /// What is still to be done, if anything is.
    fn unrest(&self) -> Result<Option<String>, Failure> {
        let under_way = self.log.under_way();
        if under_way > 0 {
            return Ok(Some(format!("{under_way} records are under way")));
        }
        for partition in 0..self.topics.partitions {
            let high = self.log.watermarks(&self.topics.command_partition(partition))?.high;
            let standings = self.nodes.iter().flat_map(Node::standings);
            let own: Vec<u64> = standings
                .filter_map(|(number, next)| (number == partition).then_some(next))
                .collect();
            if own != [high] {
                return Ok(Some(format!(
                    "partition {partition} has {high} commands, its workers stand at {own:?}"
                )));
            }
        }
        Ok(None)
    }

    /// A fold from each snapshot, one from the facts alone, the oracle's, and what the owner has
    /// in memory are the same.
    fn check_folds(&self, states: &[Vec<u8>]) -> Result<(), Failure> {
        for (partition, expected) in (0..).zip(states) {
            let differ = |which: &str| {
                let seen = format!("{which} differs from the fold of the facts");
                Err(Failure::Restore { partition, seen })
            };
            if self.fold_of(partition, false)? != *expected {
                return differ("the restore from the facts");
            }
            while let Some(name) = self.snapshots.newest(partition)? {
                if self.fold_of(partition, true)? != *expected {
                    return differ(&format!("the restore from {name}, or from one before it,"));
                }
                self.snapshots.remove(&name)?;
            }
            let mut owners = self.nodes.iter().flat_map(Node::states);
            if owners.any(|(number, state)| number == partition && state != *expected) {
                return differ("what the owner has in memory");
            }
        }
        Ok(())
    }
    fn fold_of(&self, partition: u32, with_snapshots: bool) -> Result<Vec<u8>, Failure> {
        Ok(self.nodes[0].restore(partition, with_snapshots)?.topology().encode_state())
    }
}
