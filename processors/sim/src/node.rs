//! One machine: a member of the group, with workers, standbys, and the ability to die.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cityevents_processors::registration::NAME;
use cityevents_runtime::chain::BrokenRule;
use cityevents_runtime::host::{Ownership, Task, TaskError};
use cityevents_runtime::log::clock::{Clock, ManualClock};
use cityevents_runtime::log::{Log, LogError, Member, MemberEvent, PollLimit, TopicPartition};
use cityevents_runtime::metrics::RuntimeMetrics;
use cityevents_runtime::snapshot::SnapshotStore;
use cityevents_runtime::standby::{FoldError, Source, Standby};
use cityevents_runtime::topology::Topology as _;
use cityevents_runtime::worker::{Worker, WorkerOptions};
use rand::RngExt as _;
use rand::rngs::SmallRng;

use crate::failure::Failure;
use crate::plan::{NodePlan, Plan};
use crate::program::Versioned;
use crate::topics::Topics;
use crate::trace::Trace;
use crate::world::Tally;

const GROUP: &str = "registration";
const STANDBY_READS: PollLimit = PollLimit { records: 64, bytes: 1 << 20 };
/// Workers of one machine that nobody asked for.
const ROGUES_MAX: usize = 3;
/// Time for a worker to end in; here it passes by ticks.
const DRAIN_DEADLINE: Duration = Duration::from_secs(5);

/// A clock that is wrong by so much.
struct SkewedClock {
    base: ManualClock,
    skew_ms: i64,
}

impl Clock for SkewedClock {
    fn now_ms(&self) -> i64 {
        self.base.now_ms() + self.skew_ms
    }
}

/// A partition that is this machine's own, as far as it knows.
enum Slot {
    Starting(Ownership),
    Running(Box<Worker<Versioned>>, Ownership),
}

/// What one step may use.
pub(crate) struct Hands<'a, 'story> {
    pub(crate) rng: &'a mut SmallRng,
    pub(crate) plan: &'a Plan,
    pub(crate) trace: &'a mut Trace<'story>,
    pub(crate) tally: &'a mut Tally,
    /// Whether things go wrong.
    pub(crate) faulty: bool,
}

/// One machine.
pub(crate) struct Node {
    plan: NodePlan,
    source: Source,
    topics: Topics,
    options: WorkerOptions,
    /// `None` while it is dead.
    member: Option<Box<dyn Member>>,
    slots: BTreeMap<u32, Slot>,
    /// Workers that go on although the partition was taken away.
    rogues: Vec<(u32, Box<Worker<Versioned>>)>,
    standbys: BTreeMap<u32, Standby<Versioned>>,
    /// Steps until it wakes up.
    pub(crate) stalled: u32,
}

impl Node {
    pub(crate) fn new(
        log: Arc<dyn Log>,
        clock: &ManualClock,
        topics: &Topics,
        snapshots: SnapshotStore,
        plan: NodePlan,
        broken: Option<BrokenRule>,
    ) -> Self {
        let mut options = WorkerOptions::new(topics.replies.clone(), topics.dead_letters.clone());
        options.burst = PollLimit { records: plan.burst_records, bytes: 1 << 20 };
        options.in_flight_bytes_max = plan.in_flight_bytes_max;
        options.broken = broken;
        let source = Source {
            topology: NAME,
            log,
            commands: topics.commands.clone(),
            facts: topics.facts.clone(),
            snapshots: Some(snapshots),
            clock: Arc::new(SkewedClock { base: clock.clone(), skew_ms: plan.skew_ms }),
            metrics: RuntimeMetrics::unregistered(),
        };
        Self {
            plan,
            source,
            topics: topics.clone(),
            options,
            member: None,
            slots: BTreeMap::new(),
            rogues: Vec::new(),
            standbys: BTreeMap::new(),
            stalled: 0,
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.plan.name
    }

    pub(crate) const fn is_alive(&self) -> bool {
        self.member.is_some()
    }

    /// All of it is gone at once; what was under way may land.
    pub(crate) fn crash(&mut self) {
        self.member = None;
        self.slots.clear();
        self.rogues.clear();
        self.standbys.clear();
        self.stalled = 0;
    }

    pub(crate) fn start(&mut self) -> Result<(), LogError> {
        let topics = [self.topics.commands.clone()];
        self.member = Some(self.source.log.join(GROUP, &topics, &self.plan.name)?);
        Ok(())
    }

    /// From now on it does what the group says.
    pub(crate) fn come_to_reason(&mut self) {
        self.rogues.clear();
        self.stalled = 0;
    }

    /// Where the chain stands for each of its workers.
    pub(crate) fn standings(&self) -> impl Iterator<Item = (u32, u64)> {
        self.slots.iter().filter_map(|(partition, slot)| match slot {
            Slot::Running(worker, _) => Some((*partition, worker.acknowledged().next_command())),
            Slot::Starting(_) => None,
        })
    }

    /// What each of its workers has in memory.
    pub(crate) fn states(&self) -> impl Iterator<Item = (u32, Vec<u8>)> {
        self.slots.iter().filter_map(|(partition, slot)| match slot {
            Slot::Running(worker, _) => Some((*partition, worker.topology().encode_state())),
            Slot::Starting(_) => None,
        })
    }

    /// A fold of a partition, from a snapshot if one is good, or from the facts alone.
    pub(crate) fn restore(
        &self,
        partition: u32,
        with_snapshots: bool,
    ) -> Result<Standby<Versioned>, FoldError> {
        let mut source = self.source.clone();
        if !with_snapshots {
            source.snapshots = None;
        }
        let program = self.plan.program;
        let make = move || Versioned::new(program);
        if self.options.broken == Some(BrokenRule::Digest) {
            return Standby::restore_without_digest(&source, partition, make);
        }
        Standby::restore(&source, partition, make)
    }

    /// Does some of what there is to do, in any order.
    pub(crate) fn step(&mut self, hands: &mut Hands<'_, '_>) -> Result<(), Failure> {
        if self.stalled > 0 {
            self.stalled -= 1;
            return Ok(());
        }
        if hands.rng.random_bool(0.4) {
            self.hear_group(hands)?;
        }
        let mut partitions: Vec<u32> = self.slots.keys().copied().collect();
        if hands.rng.random_bool(0.5) {
            partitions.reverse();
        }
        for partition in partitions {
            if hands.rng.random_bool(0.8) {
                self.step_slot(partition, hands)?;
            }
        }
        self.step_rogues(hands)?;
        self.step_standbys(hands);
        if hands.rng.random_bool(0.1) {
            self.commit();
        }
        Ok(())
    }

    fn hear_group(&mut self, hands: &mut Hands<'_, '_>) -> Result<(), Failure> {
        let Some(member) = &mut self.member else {
            return Ok(());
        };
        let event = member.poll(Duration::ZERO)?;
        let numbers = |partitions: &[TopicPartition]| -> Vec<u32> {
            partitions.iter().map(|place| place.partition).collect()
        };
        match event {
            None => {}
            Some(MemberEvent::Assigned { partitions, .. }) => {
                hands.trace.note(format_args!("{} has {partitions:?}", self.plan.name));
                for partition in numbers(&partitions) {
                    self.slots.entry(partition).or_insert(Slot::Starting(Ownership::new()));
                }
            }
            Some(MemberEvent::Revoked { partitions }) => {
                hands.trace.note(format_args!("{} gives {partitions:?}", self.plan.name));
                for partition in numbers(&partitions) {
                    self.end_slot(partition, hands)?;
                }
                if let Some(member) = &mut self.member {
                    member.release(&partitions)?;
                }
            }
            Some(MemberEvent::Lost { partitions }) => {
                hands.trace.note(format_args!("{} lost {partitions:?}", self.plan.name));
                for partition in numbers(&partitions) {
                    self.end_slot(partition, hands)?;
                }
            }
        }
        Ok(())
    }

    /// A partition goes: its worker ends in order, is dropped, or does not care.
    fn end_slot(&mut self, partition: u32, hands: &mut Hands<'_, '_>) -> Result<(), Failure> {
        let Some(Slot::Running(mut worker, ownership)) = self.slots.remove(&partition) else {
            return Ok(());
        };
        if hands.faulty && hands.rng.random_bool(hands.plan.rogue) {
            hands.tally.rogues += 1;
            self.rogues.push((partition, worker));
            return Ok(());
        }
        if hands.rng.random_bool(0.7) {
            let drained = worker.drain(DRAIN_DEADLINE);
            self.note_end(partition, drained, hands)?;
        }
        ownership.give_up();
        Ok(())
    }

    fn step_slot(&mut self, partition: u32, hands: &mut Hands<'_, '_>) -> Result<(), Failure> {
        match self.slots.remove(&partition) {
            None => Ok(()),
            Some(Slot::Starting(ownership)) => {
                let taken = self.take_over(partition, &ownership, hands);
                let slot = match taken {
                    Ok(worker) => Slot::Running(Box::new(worker), ownership),
                    Err(error) => {
                        self.note_end(partition, Err(error), hands)?;
                        Slot::Starting(ownership)
                    }
                };
                self.slots.insert(partition, slot);
                Ok(())
            }
            Some(Slot::Running(mut worker, ownership)) => {
                let stepped = worker.step(Duration::ZERO);
                let goes_on = stepped.is_ok();
                self.note_end(partition, stepped, hands)?;
                let slot = match goes_on {
                    true => Slot::Running(worker, ownership),
                    false => Slot::Starting(ownership),
                };
                self.slots.insert(partition, slot);
                Ok(())
            }
        }
    }

    fn take_over(
        &mut self,
        partition: u32,
        ownership: &Ownership,
        hands: &mut Hands<'_, '_>,
    ) -> Result<Worker<Versioned>, TaskError> {
        let standby = match self.standbys.remove(&partition) {
            Some(warm) => {
                hands.tally.warm_takeovers += 1;
                warm
            }
            None => {
                hands.tally.restores += 1;
                self.restore(partition, hands.rng.random_bool(0.8))?
            }
        };
        let position = standby.position();
        hands.trace.note(format_args!("{} takes {partition} at {position:?}", self.plan.name));
        Worker::take_over(standby, self.options.clone(), ownership.clone())
    }

    fn step_rogues(&mut self, hands: &mut Hands<'_, '_>) -> Result<(), Failure> {
        let usurps = hands.faulty && hands.rng.random_bool(hands.plan.usurp);
        if usurps && self.rogues.len() < ROGUES_MAX {
            let partition = hands.rng.random_range(0..self.topics.partitions);
            match self.take_over(partition, &Ownership::new(), hands) {
                Ok(worker) => {
                    hands.tally.rogues += 1;
                    self.rogues.push((partition, Box::new(worker)));
                }
                Err(error) => self.note_end(partition, Err(error), hands)?,
            }
        }
        for (partition, mut worker) in std::mem::take(&mut self.rogues) {
            if hands.rng.random_bool(0.3) {
                self.rogues.push((partition, worker));
                continue;
            }
            let stepped = worker.step(Duration::ZERO);
            if stepped.is_ok() && !hands.rng.random_bool(0.02) {
                self.rogues.push((partition, worker));
            }
            self.note_end(partition, stepped, hands)?;
        }
        Ok(())
    }

    fn step_standbys(&mut self, hands: &mut Hands<'_, '_>) {
        if hands.rng.random_bool(0.05) {
            let partition = hands.rng.random_range(0..self.topics.partitions);
            if !self.standbys.contains_key(&partition)
                && let Ok(standby) = self.restore(partition, true)
            {
                self.standbys.insert(partition, standby);
            }
        }
        let mut cold = Vec::new();
        for (partition, standby) in &mut self.standbys {
            let polled = standby.poll(STANDBY_READS, Duration::ZERO);
            let is_due = hands.rng.random_bool(hands.plan.snapshot);
            if polled.is_err() {
                cold.push(*partition);
            } else if is_due && standby.links_since_snapshot() > 0 {
                match standby.take_snapshot() {
                    Ok(Some(name)) => {
                        hands.tally.snapshots += 1;
                        hands.trace.note(format_args!("snapshot {name}"));
                    }
                    Ok(None) => {}
                    Err(_) => cold.push(*partition),
                }
            }
        }
        for partition in cold {
            self.standbys.remove(&partition);
        }
    }

    fn commit(&mut self) {
        let progress: Vec<_> = self
            .slots
            .values()
            .filter_map(|slot| match slot {
                Slot::Running(worker, _) => worker.progress(),
                Slot::Starting(_) => None,
            })
            .collect();
        if let Some(member) = &mut self.member {
            // Who is not the owner any more is refused; nobody's correctness reads it.
            let _refused = member.commit(&progress);
        }
    }

    /// A worker may have to begin anew; it must not stop.
    fn note_end(
        &self,
        partition: u32,
        ended: Result<(), TaskError>,
        hands: &mut Hands<'_, '_>,
    ) -> Result<(), Failure> {
        let Err(error) = ended else {
            return Ok(());
        };
        hands.trace.note(format_args!("{}/{partition} begins anew: {error}", self.plan.name));
        hands.tally.restarts += 1;
        match error {
            TaskError::Restart(_) | TaskError::NoRoom(_) => Ok(()),
            TaskError::Stop(_) | TaskError::GiveUp(_) => Err(Failure::Stopped { partition, error }),
        }
    }
}
