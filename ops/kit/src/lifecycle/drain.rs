//! Stopping, stage by stage.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::signals::Signals;
use super::{Lifecycle, Stage, StopReason};

/// How stopping went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DrainReport {
    /// Components that had not come to an end at their deadline.
    pub late: Vec<String>,
    /// A second signal ended the waiting.
    pub forced: bool,
}

impl DrainReport {
    /// Whether everything came to an end in time.
    pub fn is_clean(&self) -> bool {
        self.late.is_empty() && !self.forced
    }
}

impl Lifecycle {
    /// Tells the components to stop, a stage at a time, and waits for each stage as long as its
    /// slowest component may take, or for longer where `total` leaves more than the next ones may
    /// take, and at most until it is used up; a stage that is late does not keep the next ones from
    /// being told. A second SIGTERM or SIGINT ends the waiting.
    pub async fn drain(&self, total: Duration) -> DrainReport {
        self.shared.stop(StopReason::Requested("asked to drain".to_owned()));
        let deadline = Instant::now() + total;
        let mut signals = Signals::listen().ok();
        let mut report = DrainReport::default();
        for stage in Stage::ALL {
            self.tell(stage);
            let own = Instant::now() + self.budget(stage);
            let later = Stage::ALL.into_iter().filter(|later| *later > stage);
            let later = later.map(|later| self.budget(later)).sum();
            let spared = deadline.checked_sub(later).unwrap_or(own);
            let stage_deadline = deadline.min(own.max(spared));
            if report.forced {
                report.late.extend(self.living(stage));
                continue;
            }
            tokio::select! {
                () = self.stage_ended(stage) => {}
                () = tokio::time::sleep_until(stage_deadline) => {
                    let late = self.living(stage);
                    tracing::warn!(components = ?late, "not stopped in time: {}", late.join(", "));
                    report.late.extend(late);
                }
                () = next_signal(&mut signals) => {
                    report.forced = true;
                    report.late.extend(self.living(stage));
                }
            }
        }
        report
    }

    /// Gives the signal to a stage.
    fn tell(&self, stage: Stage) {
        let entries = self.shared.entries.lock();
        self.shared.stages_told.fetch_max(stage as u8 + 1, Ordering::AcqRel);
        for entry in entries.values().filter(|entry| entry.stage == stage) {
            entry.shutdown.trigger();
        }
    }

    /// How long a stage may take: as long as its slowest component.
    fn budget(&self, stage: Stage) -> Duration {
        let entries = self.shared.entries.lock();
        let entries = entries.values().filter(|entry| entry.stage == stage);
        entries.map(|entry| entry.budget).max().unwrap_or_default()
    }

    async fn stage_ended(&self, stage: Stage) {
        let mut changes = self.shared.changes.subscribe();
        while !self.living(stage).is_empty() {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Names of the components of a stage that have neither ended nor died.
    fn living(&self, stage: Stage) -> Vec<String> {
        let entries = self.shared.entries.lock();
        let living = entries.values().filter(|entry| entry.stage == stage && !entry.is_dead());
        living.map(|entry| entry.name.clone()).collect()
    }
}

async fn next_signal(signals: &mut Option<Signals>) {
    match signals {
        Some(signals) => {
            signals.next().await;
        }
        None => std::future::pending().await,
    }
}
