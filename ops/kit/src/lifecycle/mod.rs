//! How a process starts, tells how it is, and stops.
//!
//! Every part that can be not ready, get stuck, die, or needs time to stop is a *component*. It is
//! registered with a [`Stage`] and a budget and reports through its [`Component`] handle. Probes
//! are computed from the handles, never set by hand; stopping goes stage by stage, each component
//! with a deadline, all within a total. A handle that is dropped without [`Component::finished`]
//! before it was told to stop means that the component died: liveness turns red and stays so.

mod component;
mod drain;
mod health;
mod shutdown;
mod signals;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;

pub use self::component::{Component, Reporter};
pub use self::drain::DrainReport;
pub use self::health::{ComponentHealth, Health, State};
pub use self::shutdown::Shutdown;
pub use self::signals::StopReason;

use self::health::Entry;

/// When a component is told to stop: the ones that take work in first, the ones that others need
/// last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Listeners: no new work is taken in, what was accepted is answered.
    Http,
    /// Workers, projections and other consumers: they stop at a record boundary.
    Workers,
    /// Whatever serves the ones before: caches, sweepers, followers of files.
    Background,
    /// The log and the tables.
    Log,
}

impl Stage {
    /// All stages, in the order of stopping.
    pub const ALL: [Self; 4] = [Self::Http, Self::Workers, Self::Background, Self::Log];
}

/// The registered components of a process. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct Lifecycle {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    entries: Mutex<BTreeMap<u64, Entry>>,
    next_id: AtomicU64,
    all_registered: AtomicBool,
    startup_complete: AtomicBool,
    draining: Shutdown,
    /// How many stages have been told to stop.
    stages_told: AtomicU8,
    stop_reason: Mutex<Option<StopReason>>,
    /// Raised with every change of an entry; what `drain` and tests wait for.
    changes: watch::Sender<u64>,
    started_at: Instant,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self::new()
    }
}

impl Lifecycle {
    /// A process without components.
    pub fn new() -> Self {
        Self {
            shared: Arc::new(Shared {
                entries: Mutex::new(BTreeMap::new()),
                next_id: AtomicU64::new(0),
                all_registered: AtomicBool::new(false),
                startup_complete: AtomicBool::new(false),
                draining: Shutdown::new(),
                stages_told: AtomicU8::new(0),
                stop_reason: Mutex::new(None),
                changes: watch::Sender::new(0),
                started_at: Instant::now(),
            }),
        }
    }

    /// Adds a component, in state *starting*. `budget` is how long it may take to stop once told.
    /// Several may have the same name.
    pub fn register(&self, name: impl Into<String>, stage: Stage, budget: Duration) -> Component {
        let id = self.shared.next_id.fetch_add(1, Ordering::Relaxed);
        let entry = Entry::starting(name.into(), stage, budget);
        let shutdown = entry.shutdown.clone();
        let progress = Arc::clone(&entry.progress);
        let mut entries = self.shared.entries.lock();
        if self.shared.stages_told.load(Ordering::Acquire) > stage as u8 {
            shutdown.trigger();
        }
        entries.insert(id, entry);
        drop(entries);
        self.shared.changed();
        Component::new(Arc::clone(&self.shared), id, shutdown, progress)
    }

    /// Says that no component is still to be registered at start. Startup is complete when each
    /// has been ready once after that.
    pub fn all_registered(&self) {
        self.shared.all_registered.store(true, Ordering::Release);
        self.shared.changed();
    }

    /// Triggered as soon as the process begins to stop, before any component is told.
    pub fn draining(&self) -> Shutdown {
        self.shared.draining.clone()
    }

    /// Begins to stop from inside. The first reason stays.
    pub fn request_stop(&self, reason: impl Into<String>) {
        self.shared.stop(StopReason::Requested(reason.into()));
    }

    /// How everything is right now.
    pub fn health(&self) -> Health {
        self.shared.health()
    }

    /// How long this process has been up.
    pub fn uptime(&self) -> Duration {
        self.shared.started_at.elapsed()
    }

    /// Resolves when readiness is green; for callers inside the process ("print one line when
    /// ready"). Resolves with the reasons when a component died instead.
    pub async fn wait_ready(&self) -> Result<(), Health> {
        let mut changes = self.shared.changes.subscribe();
        loop {
            let health = self.health();
            if health.is_ready() {
                return Ok(());
            }
            if !health.is_alive() {
                return Err(health);
            }
            if changes.changed().await.is_err() {
                return Err(health);
            }
        }
    }
}

impl Shared {
    fn changed(&self) {
        self.changes.send_modify(|version| *version += 1);
    }

    fn stop(&self, reason: StopReason) {
        self.stop_reason.lock().get_or_insert(reason);
        self.draining.trigger();
        self.changed();
    }

    fn health(&self) -> Health {
        let entries = self.entries.lock();
        let now = Instant::now();
        let components: Vec<_> = entries.values().map(|entry| entry.health(now)).collect();
        let all_registered = self.all_registered.load(Ordering::Acquire);
        if all_registered && entries.values().all(|entry| entry.was_ready) {
            self.startup_complete.store(true, Ordering::Release);
        }
        Health {
            started: self.startup_complete.load(Ordering::Acquire),
            all_registered,
            draining: self.draining.is_triggered(),
            components,
        }
    }

    fn update(&self, id: u64, state: State, reason: Option<String>) {
        if let Some(entry) = self.entries.lock().get_mut(&id) {
            entry.set(state, reason);
        }
        self.changed();
    }
}
