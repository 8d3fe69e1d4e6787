//! A circuit breaker: who calls a dependency that does not answer is told so at once, instead of
//! waiting with everybody else for a timeout.
//!
//! ```text
//! closed ──failures in a row, or too many in the window──▶ open ──after open_for──▶ half-open
//!   ▲                                                        ▲                         │
//!   │                                                        └───── the probe failed ──┤
//!   └───────────────────────────── the probe succeeded ────────────────────────────────┘
//! ```
//!
//! While it is half-open exactly one call is let through, the probe; all others are refused until
//! that one has its verdict. A call that ends without a verdict (it was dropped) makes room for
//! another probe. Verdicts of calls that were let through before the last change of state are
//! ignored: a breaker that closed again is not opened by what timed out before.
//!
//! What counts as a failure is the caller's knowledge: that the dependency did not answer, or said
//! that it cannot. A refusal of what was asked is an answer, and so a success.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use crate::telemetry::MetricsRegistry;

/// The window of the failure ratio is counted in so many slices.
const WINDOW_SLICES: u32 = 10;

/// What a caller is told to wait at least: less would only make it come back in vain.
const RETRY_AFTER_MIN: Duration = Duration::from_secs(1);

/// When a breaker opens and for how long.
#[derive(Debug, Clone, PartialEq)]
pub struct BreakerOptions {
    /// Opens after so many failures in a row, at least 1.
    pub failures: u32,
    /// Opens as well when at least this part of the calls in the window failed, from 0 to 1.
    pub failure_ratio: f64,
    /// The window of the ratio.
    pub window: Duration,
    /// The ratio counts only when the window has so many calls.
    pub window_calls_min: u32,
    /// Refuses for so long before it lets a probe through.
    pub open_for: Duration,
}

impl Default for BreakerOptions {
    fn default() -> Self {
        Self {
            failures: 5,
            failure_ratio: 0.5,
            window: Duration::from_secs(10),
            window_calls_min: 50,
            open_for: Duration::from_secs(5),
        }
    }
}

/// How a breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BreakerState {
    /// Calls go through.
    Closed,
    /// One call may go through, to see whether the dependency is back.
    HalfOpen,
    /// Calls are refused.
    Open,
}

impl BreakerState {
    /// The word for metrics, logs and readiness.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
        }
    }

    const fn gauge_value(self) -> i64 {
        match self {
            Self::Closed => 0,
            Self::HalfOpen => 1,
            Self::Open => 2,
        }
    }
}

/// A call was refused: the dependency is known not to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{dependency} does not answer, try again in {} s", retry_after.as_secs_f64().ceil())]
pub struct BreakerOpen {
    /// What does not answer.
    pub dependency: &'static str,
    /// When it is worth trying again.
    pub retry_after: Duration,
}

/// What a call through a breaker ended with.
#[derive(Debug, thiserror::Error)]
pub enum BreakerError<E> {
    /// It was refused, and nothing was done.
    #[error(transparent)]
    Open(#[from] BreakerOpen),
    /// It was let through and failed.
    #[error("{0}")]
    Failed(E),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DependencyLabels {
    dependency: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TransitionLabels {
    dependency: &'static str,
    state: &'static str,
}

/// The figures of all breakers of a process; registered once.
#[derive(Debug, Clone, Default)]
pub struct BreakerMetrics {
    states: Family<DependencyLabels, Gauge>,
    transitions: Family<TransitionLabels, Counter>,
    refusals: Family<DependencyLabels, Counter>,
}

impl BreakerMetrics {
    /// Makes and registers them; once a process.
    pub fn new(registry: &MetricsRegistry) -> Self {
        let metrics = Self::default();
        registry.register(|registry| {
            registry.register(
                "breaker_state",
                "Circuit breaker of a dependency: 0 closed, 1 half-open, 2 open; \
                 alert when above 0 for a minute",
                metrics.states.clone(),
            );
            registry.register(
                "breaker_transitions",
                "Changes of the state of a circuit breaker, by the new state",
                metrics.transitions.clone(),
            );
            registry.register(
                "breaker_refusals",
                "Calls refused because the circuit breaker of their dependency was not closed",
                metrics.refusals.clone(),
            );
        });
        metrics
    }
}

/// Tells the time; by hand in tests.
pub type BreakerClock = Arc<dyn Fn() -> Instant + Send + Sync>;

/// One breaker, of one dependency. Cheap to clone; all clones are the same breaker.
#[derive(Clone)]
pub struct Breaker {
    shared: Arc<Shared>,
}

struct Shared {
    dependency: &'static str,
    options: BreakerOptions,
    clock: BreakerClock,
    state: Gauge,
    refusals: Counter,
    transitions: Family<TransitionLabels, Counter>,
    standing: Mutex<Standing>,
}

struct Standing {
    phase: Phase,
    /// Rises with every change of phase; verdicts of older calls are ignored.
    generation: u64,
}

enum Phase {
    Closed { failures_in_a_row: u32, slices: VecDeque<Slice> },
    Open { until: Instant },
    HalfOpen { probing: bool },
}

struct Slice {
    began: Instant,
    calls: u32,
    failures: u32,
}

/// A call that was let through. It ends with a verdict, or without one when it is dropped.
#[must_use = "a call without a verdict counts for nothing"]
pub struct BreakerPermit {
    breaker: Breaker,
    generation: u64,
    ended: bool,
}

impl Breaker {
    /// A closed breaker. `dependency` is a bounded word for metrics and messages.
    pub fn new(
        dependency: &'static str,
        options: BreakerOptions,
        metrics: &BreakerMetrics,
    ) -> Self {
        Self::with_clock(dependency, options, metrics, Arc::new(Instant::now))
    }

    /// With a clock of its own.
    pub fn with_clock(
        dependency: &'static str,
        options: BreakerOptions,
        metrics: &BreakerMetrics,
        clock: BreakerClock,
    ) -> Self {
        let labels = DependencyLabels { dependency };
        let state = metrics.states.get_or_create_owned(&labels);
        state.set(BreakerState::Closed.gauge_value());
        let shared = Shared {
            dependency,
            options,
            clock,
            state,
            refusals: metrics.refusals.get_or_create_owned(&labels),
            transitions: metrics.transitions.clone(),
            standing: Mutex::new(Standing { phase: Phase::closed(), generation: 0 }),
        };
        Self { shared: Arc::new(shared) }
    }

    /// What it guards.
    pub fn dependency(&self) -> &'static str {
        self.shared.dependency
    }

    /// How it stands now. Half-open as soon as it would let a probe through.
    pub fn state(&self) -> BreakerState {
        match self.shared.standing.lock().phase {
            Phase::Closed { .. } => BreakerState::Closed,
            Phase::Open { until } if (self.shared.clock)() < until => BreakerState::Open,
            Phase::Open { .. } | Phase::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// Whether a call would be refused now, without making one: what to ask before work that only
    /// makes sense when the dependency answers.
    pub fn check(&self) -> Result<(), BreakerOpen> {
        let now = (self.shared.clock)();
        let refused_for = match self.shared.standing.lock().phase {
            Phase::Open { until } => {
                until.checked_duration_since(now).filter(|left| !left.is_zero())
            }
            Phase::HalfOpen { probing: true } => Some(Duration::ZERO),
            Phase::Closed { .. } | Phase::HalfOpen { probing: false } => None,
        };
        refused_for.map_or(Ok(()), |left| Err(self.refuse(left)))
    }

    /// Lets a call through, or refuses it at once.
    pub fn permit(&self) -> Result<BreakerPermit, BreakerOpen> {
        let now = (self.shared.clock)();
        let mut standing = self.shared.standing.lock();
        match &mut standing.phase {
            Phase::Closed { .. } => {}
            Phase::Open { until } if now < *until => {
                let left = until.duration_since(now);
                return Err(self.refuse(left));
            }
            Phase::Open { .. } => self.go(&mut standing, Phase::HalfOpen { probing: true }),
            Phase::HalfOpen { probing: true } => return Err(self.refuse(Duration::ZERO)),
            Phase::HalfOpen { probing } => *probing = true,
        }
        Ok(BreakerPermit { breaker: self.clone(), generation: standing.generation, ended: false })
    }

    /// Runs a call through the breaker. Of its errors, those that `is_failure` names speak against
    /// the dependency.
    pub async fn call<T, E>(
        &self,
        work: impl Future<Output = Result<T, E>>,
        is_failure: impl FnOnce(&E) -> bool,
    ) -> Result<T, BreakerError<E>> {
        let permit = self.permit()?;
        permit.end(work.await, is_failure)
    }

    /// [`Breaker::call`] for work that blocks.
    pub fn call_blocking<T, E>(
        &self,
        work: impl FnOnce() -> Result<T, E>,
        is_failure: impl FnOnce(&E) -> bool,
    ) -> Result<T, BreakerError<E>> {
        let permit = self.permit()?;
        permit.end(work(), is_failure)
    }

    fn refuse(&self, left: Duration) -> BreakerOpen {
        self.shared.refusals.inc();
        BreakerOpen { dependency: self.shared.dependency, retry_after: left.max(RETRY_AFTER_MIN) }
    }

    fn end(&self, generation: u64, success: Option<bool>) {
        let now = (self.shared.clock)();
        let mut standing = self.shared.standing.lock();
        if standing.generation != generation {
            return;
        }
        let opens = || Phase::Open { until: now + self.shared.options.open_for };
        match (&mut standing.phase, success) {
            (Phase::Closed { failures_in_a_row, slices }, Some(success)) => {
                *failures_in_a_row = if success { 0 } else { failures_in_a_row.saturating_add(1) };
                let too_many = count(slices, &self.shared.options, now, success);
                let in_a_row = *failures_in_a_row >= self.shared.options.failures.max(1);
                if !success && (in_a_row || too_many) {
                    self.go(&mut standing, opens());
                }
            }
            (Phase::HalfOpen { .. }, Some(true)) => self.go(&mut standing, Phase::closed()),
            (Phase::HalfOpen { .. }, Some(false)) => self.go(&mut standing, opens()),
            (Phase::HalfOpen { probing }, None) => *probing = false,
            (Phase::Closed { .. }, None) | (Phase::Open { .. }, _) => {}
        }
    }

    fn go(&self, standing: &mut Standing, phase: Phase) {
        let state = match phase {
            Phase::Closed { .. } => BreakerState::Closed,
            Phase::Open { .. } => BreakerState::Open,
            Phase::HalfOpen { .. } => BreakerState::HalfOpen,
        };
        standing.phase = phase;
        standing.generation += 1;
        let (dependency, word) = (self.shared.dependency, state.as_str());
        self.shared.state.set(state.gauge_value());
        let labels = TransitionLabels { dependency, state: word };
        self.shared.transitions.get_or_create_owned(&labels).inc();
        match state {
            BreakerState::Open => tracing::warn!(
                breaker.dependency = dependency,
                breaker.state = word,
                "{dependency} does not answer: calls that need it are refused for {:?}",
                self.shared.options.open_for
            ),
            BreakerState::HalfOpen => tracing::debug!(
                breaker.dependency = dependency,
                breaker.state = word,
                "probing {dependency}"
            ),
            BreakerState::Closed => tracing::info!(
                breaker.dependency = dependency,
                breaker.state = word,
                "{dependency} answers again"
            ),
        }
    }
}

impl Phase {
    const fn closed() -> Self {
        Self::Closed { failures_in_a_row: 0, slices: VecDeque::new() }
    }
}

/// Counts a call in the window and tells whether too many of those in it failed.
fn count(
    slices: &mut VecDeque<Slice>,
    options: &BreakerOptions,
    now: Instant,
    success: bool,
) -> bool {
    while slices.front().is_some_and(|slice| now.duration_since(slice.began) > options.window) {
        slices.pop_front();
    }
    let slice_length = options.window / WINDOW_SLICES;
    let failures = u32::from(!success);
    match slices.back_mut() {
        Some(slice) if now.duration_since(slice.began) < slice_length => {
            slice.calls += 1;
            slice.failures += failures;
        }
        _ => slices.push_back(Slice { began: now, calls: 1, failures }),
    }
    let sums = slices.iter().fold((0_u64, 0_u64), |(calls, failures), slice| {
        (calls + u64::from(slice.calls), failures + u64::from(slice.failures))
    });
    let (calls, failures) = sums;
    calls >= u64::from(options.window_calls_min.max(1))
        && failures as f64 >= options.failure_ratio * calls as f64
}

impl BreakerPermit {
    /// The dependency answered.
    pub fn succeed(mut self) {
        self.ended = true;
        self.breaker.end(self.generation, Some(true));
    }

    /// The dependency did not answer, or said that it cannot.
    pub fn fail(mut self) {
        self.ended = true;
        self.breaker.end(self.generation, Some(false));
    }

    fn end<T, E>(
        self,
        result: Result<T, E>,
        is_failure: impl FnOnce(&E) -> bool,
    ) -> Result<T, BreakerError<E>> {
        match &result {
            Err(error) if is_failure(error) => self.fail(),
            _ => self.succeed(),
        }
        result.map_err(BreakerError::Failed)
    }
}

impl Drop for BreakerPermit {
    fn drop(&mut self) {
        if !self.ended {
            self.breaker.end(self.generation, None);
        }
    }
}
