//! What the probes say, computed from what components reported.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::{Shutdown, Stage};

/// How a component is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Not there yet.
    Starting,
    /// Reading back its state.
    Restoring,
    /// Working.
    Ready,
    /// Working, less well.
    Degraded,
    /// Told to stop, and stopping.
    Draining,
    /// Stopped itself; needs a human.
    Stopped,
    /// Alive by its own word, but its loop does not turn.
    Stuck,
    /// Gone without having been told.
    Died,
}

impl State {
    /// Whether a component in this state does its work.
    pub const fn works(self) -> bool {
        matches!(self, Self::Ready | Self::Degraded)
    }
}

/// One component in a probe's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ComponentHealth {
    /// Its name.
    pub name: String,
    /// How it is.
    pub state: State,
    /// Why, where there is something to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// For how long it has been so.
    pub since_seconds: u64,
}

/// How the process is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Health {
    /// Every component was ready once.
    pub started: bool,
    /// No component is still to be registered at start.
    #[serde(skip)]
    pub all_registered: bool,
    /// The process is stopping.
    pub draining: bool,
    /// Each component by name.
    pub components: Vec<ComponentHealth>,
}

impl Health {
    /// Whether to send requests here.
    pub fn is_ready(&self) -> bool {
        self.all_registered
            && !self.draining
            && self.components.iter().all(|component| component.state.works())
    }

    /// Whether the process is worth keeping.
    pub fn is_alive(&self) -> bool {
        let lost =
            |component: &ComponentHealth| matches!(component.state, State::Died | State::Stuck);
        !self.components.iter().any(lost)
    }
}

/// What is kept about a component.
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) stage: Stage,
    pub(super) budget: Duration,
    pub(super) shutdown: Shutdown,
    pub(super) progress: Arc<AtomicU64>,
    pub(super) progress_limit: Option<Duration>,
    pub(super) was_ready: bool,
    state: State,
    reason: Option<String>,
    since: Instant,
}

impl Entry {
    pub(super) fn starting(name: String, stage: Stage, budget: Duration) -> Self {
        Self {
            name,
            stage,
            budget,
            shutdown: Shutdown::new(),
            progress: Arc::new(AtomicU64::new(0)),
            progress_limit: None,
            was_ready: false,
            state: State::Starting,
            reason: None,
            since: Instant::now(),
        }
    }

    pub(super) fn set(&mut self, state: State, reason: Option<String>) {
        if self.state == State::Died {
            return;
        }
        if self.state != state {
            self.since = Instant::now();
        }
        self.was_ready |= state.works();
        self.state = state;
        self.reason = reason;
    }

    pub(super) fn is_dead(&self) -> bool {
        self.state == State::Died
    }

    pub(super) fn health(&self, now: Instant) -> ComponentHealth {
        let (state, reason) = match self.stalled_for() {
            _ if self.is_dead() => (State::Died, self.reason.clone()),
            Some(stalled) => {
                let reason = format!("no progress for {} s", stalled.as_secs());
                (State::Stuck, Some(reason))
            }
            None if self.shutdown.is_triggered() => (State::Draining, self.reason.clone()),
            None => (self.state, self.reason.clone()),
        };
        ComponentHealth {
            name: self.name.clone(),
            state,
            reason,
            since_seconds: now.saturating_duration_since(self.since).as_secs(),
        }
    }

    fn stalled_for(&self) -> Option<Duration> {
        let limit = self.progress_limit?;
        let last_ms = self.progress.load(Ordering::Relaxed);
        let stalled = Duration::from_millis(monotonic_ms().saturating_sub(last_ms));
        (stalled > limit).then_some(stalled)
    }
}

/// Milliseconds since the first call in this process.
pub(super) fn monotonic_ms() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let elapsed = START.get_or_init(Instant::now).elapsed();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}
