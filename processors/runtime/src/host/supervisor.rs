//! The member of the group: hears what is ours, begins and ends runners, stores progress.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded};
use parking_lot::Mutex;

use super::runner::{DRAIN_DEADLINE, Runner};
use super::states::States;
use super::{HostOptions, MakeTask, Ownership, TaskState};
use crate::log::{Committed, Log, LogError, LogErrorKind, Member, MemberEvent, TopicPartition};
use crate::metrics::RuntimeMetrics;

/// How often the group is asked for news and progress is committed.
const MEMBER_POLL: Duration = Duration::from_millis(200);
/// A member that was shut out joins again after so long. Who shut it out may have been itself: a
/// group whose coordinator went away in the middle of a rebalance takes the repeated request of a
/// static member for another process. Two processes that really share a name shut each other out
/// in turn, each red while it is out.
const JOIN_AGAIN_AFTER: Duration = Duration::from_secs(5);
/// Time for all runners to end. One that takes longer (it restores, or the log does not answer) is
/// left to itself: the reader rule drops what it may still write.
const END_DEADLINE: Duration = DRAIN_DEADLINE.saturating_add(Duration::from_secs(1));

/// Where a runner leaves how far it has come.
pub(super) type Progress = Arc<Mutex<Vec<(TopicPartition, Committed)>>>;

pub(super) struct Supervisor {
    log: Arc<dyn Log>,
    options: HostOptions,
    member: Box<dyn Member>,
    shut_out_since: Option<Instant>,
    make: Arc<MakeTask>,
    metrics: RuntimeMetrics,
    states: States,
    tasks: BTreeMap<u32, Running>,
    assignments: u64,
}

struct Running {
    ownership: Ownership,
    progress: Progress,
    /// Dropped: the signal to end.
    stop: Sender<()>,
    /// Disconnected: it has ended.
    ended: Receiver<()>,
    thread: JoinHandle<()>,
}

impl Supervisor {
    pub(super) fn join(
        log: &Arc<dyn Log>,
        options: HostOptions,
        make: Arc<MakeTask>,
        metrics: RuntimeMetrics,
        states: States,
    ) -> Result<Self, LogError> {
        let member = log.join(&options.group, &options.topics, &options.member)?;
        let (log, tasks) = (Arc::clone(log), BTreeMap::new());
        let shut_out_since = None;
        Ok(Self {
            log,
            options,
            member,
            shut_out_since,
            make,
            metrics,
            states,
            tasks,
            assignments: 0,
        })
    }

    pub(super) fn run(mut self, stopped: &Receiver<()>) {
        loop {
            match self.member.poll(MEMBER_POLL) {
                Ok(event) => {
                    self.shut_out_since = None;
                    self.states.set_shut_out(None);
                    if let Some(event) = event {
                        self.handle(event);
                    }
                }
                Err(error) => self.handle_error(&error),
            }
            self.ask_for_ownership();
            self.commit();
            if stopped.try_recv() != Err(TryRecvError::Empty) {
                break;
            }
        }
        let owned: Vec<_> = self.tasks.keys().copied().collect();
        let progress = self.end(&owned);
        self.store(&progress);
        if let Err(error) = self.member.leave() {
            tracing::warn!(%error, "group {}: {error}", self.options.group);
        }
    }

    fn handle(&mut self, event: MemberEvent) {
        match event {
            MemberEvent::Assigned { partitions, .. } => {
                for partition in numbers(&partitions) {
                    self.begin(partition);
                }
            }
            MemberEvent::Revoked { partitions } => {
                let progress = self.end(&numbers(&partitions));
                self.store(&progress);
                if let Err(error) = self.member.release(&partitions) {
                    tracing::error!(%error, "group {}: {error}", self.options.group);
                }
            }
            MemberEvent::Lost { partitions } => self.lose(&numbers(&partitions)),
        }
    }

    fn handle_error(&mut self, error: &LogError) {
        if error.kind() == LogErrorKind::Fenced {
            let since = *self.shut_out_since.get_or_insert_with(|| {
                tracing::error!(%error, "group {}: {error}", self.options.group);
                Instant::now()
            });
            self.states.set_shut_out(Some(error.to_string()));
            let owned: Vec<_> = self.tasks.keys().copied().collect();
            self.lose(&owned);
            if since.elapsed() >= JOIN_AGAIN_AFTER {
                self.join_again();
            }
        } else {
            tracing::error!(%error, "group {}: {error}", self.options.group);
        }
        std::thread::park_timeout(MEMBER_POLL);
    }

    fn join_again(&mut self) {
        let HostOptions { group, topics, member, .. } = &self.options;
        self.shut_out_since = None;
        match self.log.join(group, topics, member) {
            Ok(joined) => {
                tracing::warn!("group {group}: {member} joins again");
                self.member = joined;
            }
            Err(error) => tracing::error!(%error, "group {group}: {error}"),
        }
    }

    /// Somebody else has them already, and stores their progress.
    fn lose(&mut self, partitions: &[u32]) {
        for partition in partitions {
            if let Some(running) = self.tasks.get(partition) {
                running.ownership.give_up();
            }
        }
        let _others_go_on_from_theirs = self.end(partitions);
    }

    /// Keeps every task's view of whose its partition is as fresh as the group's answer.
    fn ask_for_ownership(&self) {
        for (partition, running) in &self.tasks {
            let is_ours = self
                .options
                .topics
                .iter()
                .all(|topic| self.member.owns(&TopicPartition::new(topic.clone(), *partition)));
            running.ownership.set(is_ours);
        }
    }

    fn begin(&mut self, partition: u32) {
        if self.tasks.contains_key(&partition) {
            return;
        }
        self.assignments += 1;
        let ownership = Ownership::new();
        let progress = Progress::default();
        let (stop, stopped) = bounded(0);
        let (ending, ended) = bounded::<()>(0);
        let runner = Runner {
            name: self.options.name,
            partition,
            assignment: self.assignments,
            ownership: ownership.clone(),
            make: self.make.clone(),
            metrics: self.metrics.clone(),
            states: self.states.clone(),
            progress: Arc::clone(&progress),
            panics: self.options.panics,
            stopped,
            counted: Cell::default(),
        };
        self.states.begin(partition, self.assignments, TaskState::Starting);
        let run = move || {
            runner.run();
            drop(ending);
        };
        match super::spawn(format!("{}-{partition}", self.options.name), run) {
            Ok(thread) => {
                let name = self.options.name;
                tracing::info!(kafka.partition = partition, "{name}/{partition} is ours");
                let running = Running { ownership, progress, stop, ended, thread };
                self.tasks.insert(partition, running);
            }
            Err(error) => {
                let state = TaskState::Stopped { reason: error.to_string() };
                self.states.begin(partition, self.assignments, state);
            }
        }
    }

    /// Ends runners, all at the same time, and returns how far they came.
    fn end(&mut self, partitions: &[u32]) -> Vec<(TopicPartition, Committed)> {
        let deadline = Instant::now() + END_DEADLINE;
        let mut ending = Vec::new();
        for partition in partitions {
            if let Some(Running { ownership, progress, stop, ended, thread }) =
                self.tasks.remove(partition)
            {
                drop(stop);
                ending.push((*partition, ownership, progress, ended, thread));
            }
        }
        let mut all = Vec::new();
        for (partition, ownership, progress, ended, thread) in ending {
            if ended.recv_deadline(deadline) == Err(RecvTimeoutError::Timeout) {
                tracing::warn!(
                    kafka.partition = partition,
                    "{}/{partition} did not end in time and is left to itself",
                    self.options.name
                );
            } else if thread.join().is_err() {
                tracing::error!("the thread of {}/{partition} panicked", self.options.name);
            }
            ownership.give_up();
            all.append(&mut progress.lock());
        }
        for partition in partitions {
            self.states.end(*partition);
        }
        all
    }

    fn commit(&mut self) {
        let taken = |running: &Running| std::mem::take(&mut *running.progress.lock());
        let progress: Vec<_> = self.tasks.values().flat_map(taken).collect();
        self.store(&progress);
    }

    fn store(&mut self, progress: &[(TopicPartition, Committed)]) {
        if progress.is_empty() {
            return;
        }
        if let Err(error) = self.member.commit(progress) {
            // Progress of the group is for dashboards; correctness never reads it.
            tracing::warn!(%error, "group {}: progress is not stored: {error}", self.options.group);
        }
    }
}

fn numbers(partitions: &[TopicPartition]) -> Vec<u32> {
    let mut numbers: Vec<_> = partitions.iter().map(|one| one.partition).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}
