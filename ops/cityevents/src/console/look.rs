//! What the console knows of an instance: one look, which everybody who watches shares.
//!
//! A look asks the log, and a log that is away lets whoever asks wait. The page must come all the same,
//! just then: so looks are taken away from requests, one at a time, and a request waits for a moment
//! only. Then it shows the last look, and says how old that is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cityevents_kit::Lifecycle;
use cityevents_kit::lifecycle::ComponentHealth;
use cityevents_kit::telemetry::MetricsRegistry;
use cityevents_runtime::lag::verdict::Verdict;
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use super::figures::{Figures, History, Recent};
use crate::admin;
use crate::admin::dead_letter_depth::Depth;
use crate::admin::lag::{Lookout, Row, rows};

/// A look is good for so long: whoever asks sooner gets the same.
const FRESH: Duration = Duration::from_millis(900);
/// How long a request waits for a look to end.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the role `lag` finds out, look by look, and the console shows.
#[derive(Debug, Default)]
pub struct Board {
    /// How every group gets on.
    pub lookout: RwLock<Lookout>,
    /// Dead letters.
    pub depth: Mutex<Depth>,
    history: Mutex<History>,
}

impl Board {
    /// Takes note of what the process measures of itself at this moment.
    pub fn note(&self, metrics: &MetricsRegistry, at_ms: i64) {
        if let Ok(text) = metrics.encode() {
            self.history.lock().push(Figures::read(&text, at_ms));
        }
    }
}

/// A group in one partition, and how it gets on.
#[derive(Debug, Clone)]
pub struct Judged {
    /// Where it stands.
    pub row: Row,
    /// `None` before the first verdict.
    pub verdict: Option<Verdict>,
    /// Records a second: what came, and what the group took.
    pub pace: Option<(f64, f64)>,
}

/// An instance at one moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Look {
    pub(super) at_ms: i64,
    pub(super) rows: Vec<Judged>,
    /// By topic.
    pub(super) letters: BTreeMap<String, u64>,
    pub(super) breakers: Vec<(String, u8)>,
    pub(super) parts: Vec<ComponentHealth>,
    pub(super) recent: Recent,
}

/// What a request is given.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    pub(super) look: Option<Arc<Look>>,
    /// Why there is no newer one.
    pub(super) problem: Option<String>,
}

/// Takes looks.
pub(super) struct Eyes {
    pub(super) context: admin::Context,
    pub(super) foreign: Vec<String>,
    pub(super) lifecycle: Lifecycle,
    pub(super) metrics: MetricsRegistry,
    pub(super) board: Arc<Board>,
    is_looking: AtomicBool,
    latest: watch::Sender<(Seen, Option<Instant>)>,
}

impl Eyes {
    pub(super) fn new(
        context: admin::Context,
        foreign: Vec<String>,
        lifecycle: Lifecycle,
        metrics: MetricsRegistry,
        board: Arc<Board>,
    ) -> Arc<Self> {
        let (latest, _) = watch::channel((Seen::default(), None));
        let is_looking = AtomicBool::new(false);
        Arc::new(Self { context, foreign, lifecycle, metrics, board, is_looking, latest })
    }

    /// The instance now, or as it was last seen.
    pub(super) async fn see(self: &Arc<Self>) -> Seen {
        let mut latest = self.latest.subscribe();
        let is_fresh = |at: Option<Instant>| at.is_some_and(|at| at.elapsed() < FRESH);
        let (seen, at) = latest.borrow_and_update().clone();
        if is_fresh(at) {
            return seen;
        }
        self.look_elsewhere();
        match tokio::time::timeout(PATIENCE, latest.changed()).await {
            Ok(Ok(())) => latest.borrow().0.clone(),
            _ => Seen {
                problem: Some("the log has not answered yet, and is still being asked".to_owned()),
                ..seen
            },
        }
    }

    /// Begins a look, unless one is being taken.
    fn look_elsewhere(self: &Arc<Self>) {
        if self.is_looking.swap(true, Ordering::AcqRel) {
            return;
        }
        let eyes = self.clone();
        tokio::task::spawn_blocking(move || {
            // Also when the look panics: else nobody would ever look again.
            let looking = Looking(&eyes.is_looking);
            let looked = eyes.look();
            drop(looking);
            eyes.latest.send_modify(|(seen, at)| {
                *at = Some(Instant::now());
                match looked {
                    Ok(look) => *seen = Seen { look: Some(Arc::new(look)), problem: None },
                    Err(error) => seen.problem = Some(format!("{error:#}")),
                }
            });
        });
    }

    fn look(&self) -> anyhow::Result<Look> {
        let lookout = self.board.lookout.read();
        let rows = rows(&self.context, &self.foreign, &lookout, &mut |_, _| {})?;
        let judged =
            |row: Row| Judged { verdict: lookout.verdict(&row), pace: lookout.pace(&row), row };
        let rows = rows.into_iter().map(judged).collect();
        drop(lookout);
        let letters = self.board.depth.lock().look(&self.context)?;
        let at_ms = self.context.source.clock.now_ms();
        let now = Figures::read(&self.metrics.encode()?, at_ms);
        let recent = self.board.history.lock().until(&now);
        let parts = self.lifecycle.health().components;
        Ok(Look { at_ms, rows, letters, breakers: now.breakers, parts, recent })
    }
}

/// While it lives, a look is being taken.
struct Looking<'a>(&'a AtomicBool);

impl Drop for Looking<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
