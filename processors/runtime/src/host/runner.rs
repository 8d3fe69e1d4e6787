//! One partition's thread: makes the task, steps it, makes it anew when it fails.

use std::cell::Cell;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::states::States;
use super::supervisor::Progress;
use super::{FAILURES_MAX, MakeTask, Ownership, PanicPolicy, Task, TaskError, TaskState};
use crate::metrics::RuntimeMetrics;

/// How long one step of a task may wait for work.
const STEP_WAIT: Duration = Duration::from_millis(50);
/// How often progress and lag are looked at: in a cluster the log is asked for them.
const REPORT_EVERY: Duration = Duration::from_millis(200);
/// Time for a task to finish what is in flight.
pub(super) const DRAIN_DEADLINE: Duration = Duration::from_secs(4);
/// First wait before a task is made anew; doubles up to [`BACKOFF_MAX`].
const BACKOFF_MIN: Duration = Duration::from_millis(50);
/// Longest wait before a task is made anew.
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// Who finds no room looks again after so long.
const ROOM_WAIT: Duration = Duration::from_secs(1);
/// How long who gave up waits for the group to say so too, before it is believed that it will not.
const GIVEN_UP_WAIT: Duration = Duration::from_secs(2);
/// A task that ran so long is healthy again.
const STABLE_AFTER: Duration = Duration::from_secs(10);

pub(super) struct Runner {
    pub(super) name: &'static str,
    pub(super) partition: u32,
    /// Counts the assignments of the host.
    pub(super) assignment: u64,
    pub(super) ownership: Ownership,
    pub(super) make: Arc<MakeTask>,
    pub(super) metrics: RuntimeMetrics,
    pub(super) states: States,
    pub(super) progress: Progress,
    pub(super) panics: PanicPolicy,
    /// Disconnected: the signal to end.
    pub(super) stopped: Receiver<()>,
    /// The state that the figures count it under.
    pub(super) counted: Cell<Option<&'static str>>,
}

impl Runner {
    pub(super) fn run(self) {
        let mut failures: u32 = 0;
        let mut has_room = true;
        let mut panicked: Vec<Instant> = Vec::new();
        loop {
            // Otherwise what it failed of is shown until it has run for a while.
            let is_steady = has_room && failures < FAILURES_MAX;
            if is_steady {
                self.set(TaskState::Starting);
            }
            let started = Instant::now();
            let ended = std::panic::catch_unwind(AssertUnwindSafe(|| self.run_once(is_steady)));
            if started.elapsed() >= STABLE_AFTER {
                failures = 0;
                has_room = true;
            }
            let reason = match ended {
                Ok(Ok(())) => return,
                Ok(Err(TaskError::Stop(reason))) => {
                    self.stay_stopped(reason);
                    return;
                }
                Ok(Err(TaskError::GiveUp(reason))) => {
                    tracing::warn!(
                        kafka.partition = self.partition,
                        "{}/{} gives up: {reason}",
                        self.name,
                        self.partition
                    );
                    self.set(TaskState::GivenUp);
                    if self.ends_while_given_up() {
                        return;
                    }
                    self.metrics.count_restart(self.name, self.partition);
                    continue;
                }
                Ok(Err(TaskError::NoRoom(reason))) => {
                    if has_room {
                        let (name, partition) = (self.name, self.partition);
                        tracing::warn!(kafka.partition = partition, "{name}/{partition}: {reason}");
                    }
                    has_room = false;
                    self.metrics.count_restart(self.name, self.partition);
                    self.set(TaskState::NoRoom { reason });
                    if self.waits_for_stop(ROOM_WAIT) {
                        return;
                    }
                    continue;
                }
                Ok(Err(TaskError::Restart(reason))) => reason,
                Err(panic) => {
                    self.metrics.panics.inc();
                    panicked.retain(|at| at.elapsed() < self.panics.window);
                    panicked.push(Instant::now());
                    let reason = format!("panicked: {}", text_of(&*panic));
                    if panicked.len() > self.panics.restarts_max as usize {
                        self.stay_stopped(format!("{} times in a row it {reason}", panicked.len()));
                        return;
                    }
                    reason
                }
            };
            failures += 1;
            self.metrics.count_restart(self.name, self.partition);
            tracing::warn!(
                kafka.partition = self.partition,
                failures,
                "{}/{} is made anew from the log: {reason}",
                self.name,
                self.partition
            );
            self.set(TaskState::Restarting { reason, failures });
            let backoff = BACKOFF_MIN.saturating_mul(1 << failures.min(10)).min(BACKOFF_MAX);
            if self.waits_for_stop(backoff) {
                return;
            }
        }
    }

    /// Waits until the assignment ends (`true`), or until the group still counts the partition as
    /// ours although somebody newer was heard of: a rebalance that left the partition here looks
    /// like that, and so does a zombie that took the identity before it knew. Who is right is what
    /// the group says in the end, so that whoever is not learns it within a few rounds.
    fn ends_while_given_up(&self) -> bool {
        while !self.waits_for_stop(GIVEN_UP_WAIT) {
            if self.ownership.is_ours() {
                return false;
            }
        }
        true
    }

    /// Waits for the end of the assignment: the partition must not look abandoned.
    fn stay_stopped(&self, reason: String) {
        tracing::error!(
            kafka.partition = self.partition,
            "{}/{} stopped: {reason}",
            self.name,
            self.partition
        );
        self.set(TaskState::Stopped { reason });
        let _disconnected = self.stopped.recv();
    }

    fn run_once(&self, is_steady: bool) -> Result<(), TaskError> {
        let mut task = (self.make)(self.partition, &self.ownership)?;
        let lag = self.metrics.lag(self.name, self.partition);
        let lag_seconds = self.metrics.lag_seconds(self.name, self.partition);
        let started = Instant::now();
        let mut reported: Option<Instant> = None;
        let mut shown = None;
        loop {
            if self.waits_for_stop(Duration::ZERO) {
                let drained = task.drain(DRAIN_DEADLINE);
                *self.progress.lock() = task.all_progress();
                lag.set(0);
                lag_seconds.set(0);
                return drained.or_else(|error| {
                    tracing::warn!(%error, "{}/{}: {error}", self.name, self.partition);
                    Ok(())
                });
            }
            // Who fails again and again is not ready before it has run for a while.
            let state = match task.problem() {
                Some(reason) => Some(TaskState::Ailing { reason }),
                None if is_steady || started.elapsed() >= STABLE_AFTER => {
                    Some(task.lagging().map_or(TaskState::Running, TaskState::Lagging))
                }
                None => None,
            };
            if let Some(state) = state
                && shown.as_ref() != Some(&state)
            {
                self.set(state.clone());
                shown = Some(state);
            }
            task.step(STEP_WAIT)?;
            if reported.is_none_or(|at| at.elapsed() >= REPORT_EVERY) {
                reported = Some(Instant::now());
                self.report(&*task, &lag);
                let age = task.lagging().map_or(0, |lagging| lagging.age.as_secs());
                lag_seconds.set(i64::try_from(age).unwrap_or(i64::MAX));
            }
        }
    }

    fn report(&self, task: &dyn Task, lag: &prometheus_client::metrics::gauge::Gauge) {
        let progress = task.all_progress();
        if !progress.is_empty() {
            *self.progress.lock() = progress;
        }
        if let Some(records) = task.lag_records() {
            lag.set(i64::try_from(records).unwrap_or(i64::MAX));
        }
    }

    fn waits_for_stop(&self, timeout: Duration) -> bool {
        self.stopped.recv_timeout(timeout) != Err(RecvTimeoutError::Timeout)
    }

    fn set(&self, state: TaskState) {
        self.count(Some(state.as_str()));
        self.states.set(self.partition, self.assignment, state);
    }

    /// Counts the task under another state, or no more.
    fn count(&self, state: Option<&'static str>) {
        let before = self.counted.replace(state);
        if before == state {
            return;
        }
        if let Some(state) = before {
            self.metrics.tasks(self.name, state).dec();
        }
        if let Some(state) = state {
            self.metrics.tasks(self.name, state).inc();
        }
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.count(None);
    }
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a word")
}
