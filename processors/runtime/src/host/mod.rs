//! Runs one task a partition: who owns what comes from the group, every task has a thread of its
//! own, a task that fails or panics is made anew from the log, and everybody can see how it stands.

mod runner;
mod states;
mod supervisor;
mod task;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Sender, bounded};

use self::states::States;
use self::supervisor::Supervisor;
pub use self::task::{Lagging, MakeTask, Ownership, Task, TaskError};
use crate::log::{Log, LogError, LogErrorKind};
use crate::metrics::RuntimeMetrics;

/// So many failures without a stable run in between turn readiness red.
const FAILURES_MAX: u32 = 3;

/// How a partition's task stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskState {
    /// It is being made: restoring.
    Starting,
    /// It works.
    Running,
    /// It works, and does not keep up.
    Lagging(Lagging),
    /// It works, and somebody should look.
    Ailing {
        /// Why.
        reason: String,
    },
    /// Somebody newer has the partition.
    GivenUp,
    /// It failed and is made anew.
    Restarting {
        /// Why.
        reason: String,
        /// How many failures without a stable run in between.
        failures: u32,
    },
    /// It has something to write and there is no room; it goes on by itself when there is.
    NoRoom {
        /// What is full.
        reason: String,
    },
    /// It waits for somebody to look.
    Stopped {
        /// Why.
        reason: String,
    },
}

impl TaskState {
    /// Its name in figures.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Lagging(_) => "lagging",
            Self::Ailing { .. } => "ailing",
            Self::GivenUp => "given_up",
            Self::Restarting { .. } => "restarting",
            Self::NoRoom { .. } => "no_room",
            Self::Stopped { .. } => "stopped",
        }
    }

    /// Whether the task does its work, well or not so well.
    pub const fn works(&self) -> bool {
        matches!(self, Self::Running | Self::Lagging(_) | Self::Ailing { .. })
    }
}

/// What to run.
#[derive(Clone)]
pub struct HostOptions {
    /// Names the tasks in threads, logs and metrics.
    pub name: &'static str,
    /// The group.
    pub group: String,
    /// The topics whose partitions are shared out.
    pub topics: Vec<Arc<str>>,
    /// The static name of this member.
    pub member: String,
    /// When a partition whose task panics again and again is left stopped.
    pub panics: PanicPolicy,
}

/// So many panics of one partition within the window leave it stopped, red, until somebody looked.
#[derive(Debug, Clone, Copy)]
pub struct PanicPolicy {
    /// Panics after which the task is made anew.
    pub restarts_max: u32,
    /// How far back panics count.
    pub window: Duration,
}

impl Default for PanicPolicy {
    fn default() -> Self {
        Self { restarts_max: 5, window: Duration::from_secs(600) }
    }
}

/// A running host.
pub struct Host {
    name: &'static str,
    states: States,
    stop: Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Host {
    /// Joins the group and runs a task for every partition it gives.
    ///
    /// # Errors
    /// When the group cannot be joined or no thread can be made.
    pub fn start(
        log: &Arc<dyn Log>,
        options: HostOptions,
        metrics: RuntimeMetrics,
        make: Arc<MakeTask>,
    ) -> Result<Self, LogError> {
        let states = States::default();
        let (stop, stopped) = bounded(0);
        let name = options.name;
        let supervisor = Supervisor::join(log, options, make, metrics, states.clone())?;
        let thread = spawn(format!("{name}-member"), move || supervisor.run(&stopped))?;
        Ok(Self { name, states, stop, thread: Some(thread) })
    }

    /// How every partition that is ours stands.
    pub fn states(&self) -> BTreeMap<u32, TaskState> {
        self.states.all()
    }

    /// A handle that tells which partitions are ours, for as long as anybody keeps it.
    pub fn partitions(&self) -> Partitions {
        Partitions(self.states.clone())
    }

    /// Why the host is not ready, if it is not.
    pub fn problem(&self) -> Option<String> {
        if self.thread.as_ref().is_none_or(JoinHandle::is_finished) {
            return Some(format!("{}: stopped: its member of the group has ended", self.name));
        }
        self.states.problem(self.name)
    }

    /// What somebody should know of although the host is ready: the partition that lags most.
    pub fn warning(&self) -> Option<String> {
        self.states.warning(self.name)
    }

    /// Stops all tasks at a record boundary and leaves the group.
    pub fn stop(mut self) {
        self.join();
    }

    fn join(&mut self) {
        // Disconnecting the channel is the signal.
        let (unused, _) = bounded(0);
        self.stop = unused;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(task = self.name, "the host of {} panicked", self.name);
        }
    }
}

/// Tells which partitions a host has. Cheap to clone.
#[derive(Clone)]
pub struct Partitions(States);

impl Partitions {
    /// Those whose task runs now.
    pub fn running(&self) -> Vec<u32> {
        let states = self.0.all().into_iter();
        let running = states.filter(|(_, state)| state.works());
        running.map(|(partition, _)| partition).collect()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.join();
    }
}

fn spawn(name: String, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, LogError> {
    std::thread::Builder::new().name(name.clone()).spawn(run).map_err(|error| {
        let message = format!("no thread {name} can be made: {error}");
        LogError::new(LogErrorKind::Unavailable, message)
    })
}
