//! The handle of one component.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::health::{State, monotonic_ms};
use super::signals::StopReason;
use super::{Shared, Shutdown};

/// What a component holds while it lives. Dropping it without [`Component::finished`], before the
/// component was told to stop, means that it died.
pub struct Component {
    reporter: Reporter,
    finished: bool,
}

/// Tells how a component is; for the threads and tasks inside it. Cheap to clone.
#[derive(Clone)]
pub struct Reporter {
    shared: Arc<Shared>,
    id: u64,
    shutdown: Shutdown,
    progress: Arc<AtomicU64>,
}

impl Component {
    pub(super) fn new(
        shared: Arc<Shared>,
        id: u64,
        shutdown: Shutdown,
        progress: Arc<AtomicU64>,
    ) -> Self {
        Self { reporter: Reporter { shared, id, shutdown, progress }, finished: false }
    }

    /// A handle for the parts of the component, whose end says nothing about the component's.
    pub fn reporter(&self) -> Reporter {
        self.reporter.clone()
    }

    /// The component has come to an orderly end, told to or not, and goes from all probes.
    pub fn finished(mut self) {
        self.finished = true;
    }
}

impl std::ops::Deref for Component {
    type Target = Reporter;

    fn deref(&self) -> &Reporter {
        &self.reporter
    }
}

impl Drop for Component {
    fn drop(&mut self) {
        let Reporter { shared, id, shutdown, .. } = &self.reporter;
        let orderly = self.finished || (shutdown.is_triggered() && !std::thread::panicking());
        if orderly {
            shared.entries.lock().remove(id);
            shared.changed();
        } else {
            let reason = if std::thread::panicking() { "it panicked" } else { "it ended early" };
            shared.update(*id, State::Died, Some(reason.to_owned()));
            let name = shared.entries.lock().get(id).map(|entry| entry.name.clone());
            let name = name.unwrap_or_default();
            tracing::error!(component.name = %name, "component {name} died: {reason}");
            shared.stop_reason.lock().get_or_insert(StopReason::Died(name));
            shared.changed();
        }
    }
}

impl Reporter {
    /// Triggered when it is this component's turn to stop.
    pub fn shutdown(&self) -> &Shutdown {
        &self.shutdown
    }

    /// It does its work.
    pub fn ready(&self) {
        self.shared.update(self.id, State::Ready, None);
    }

    /// It does its work, but less well; readiness stays green and tells why.
    pub fn degraded(&self, reason: impl Into<String>) {
        self.shared.update(self.id, State::Degraded, Some(reason.into()));
    }

    /// It cannot work yet.
    pub fn starting(&self, reason: impl Into<String>) {
        self.shared.update(self.id, State::Starting, Some(reason.into()));
    }

    /// It is reading back its state.
    pub fn restoring(&self, reason: impl Into<String>) {
        self.shared.update(self.id, State::Restoring, Some(reason.into()));
    }

    /// It has stopped itself (an open circuit, a permanent error) and waits for a human.
    pub fn stopped(&self, reason: impl Into<String>) {
        self.shared.update(self.id, State::Stopped, Some(reason.into()));
    }

    /// From now on, no [`Reporter::progress`] for longer than `limit` turns liveness red. For
    /// loops that turn even when there is nothing to do.
    pub fn expect_progress_within(&self, limit: Duration) {
        self.progress();
        if let Some(entry) = self.shared.entries.lock().get_mut(&self.id) {
            entry.progress_limit = Some(limit);
        }
    }

    /// The loop has turned. One atomic store.
    pub fn progress(&self) {
        self.progress.store(monotonic_ms(), Ordering::Relaxed);
    }
}
