//! Admission control: how many commands may be waiting for their decision.
//!
//! The measure is delay, not count: when commands wait longer than the target for a while, the
//! bound becomes what the observed rate of decisions can serve within the target (Little's law), so
//! that the line is never empty and never long. Below the target the bound rises again. Whoever
//! comes above it is refused before any work was done.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::Notify;

/// Commands in flight that are always let in: so few cannot be a line worth fighting.
const LIMIT_MIN: usize = 256;
/// Most commands in flight, whatever the delay: bounds memory.
pub(crate) const LIMIT_MAX: usize = 65_536;
/// How often the bound is looked at.
const INTERVAL: Duration = Duration::from_millis(50);
/// How long the delay must be above the target before the bound is set.
const PATIENCE: Duration = Duration::from_millis(200);
/// How much one interval counts in the running estimate of the rate.
const RATE_WEIGHT: f64 = 0.3;

/// Nothing more is let in now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shed {
    /// Too many wait, or too many bytes.
    Busy,
    /// The process is stopping.
    Closed,
}

/// Lets commands in. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct Admission {
    shared: Arc<Shared>,
}

struct Shared {
    target: Duration,
    bytes_max: usize,
    in_flight: AtomicUsize,
    peak: AtomicUsize,
    bytes: AtomicUsize,
    limit: AtomicUsize,
    closed: AtomicBool,
    samples: AtomicU64,
    delay_micros: AtomicU64,
    control: Mutex<Control>,
    emptied: Notify,
    in_flight_gauge: Gauge,
    limit_gauge: Gauge,
}

struct Control {
    began: Instant,
    above_since: Option<Instant>,
    rate: Option<f64>,
}

impl Admission {
    /// With a target for the delay and a bound for bytes. The gauges show
    /// how many are in, and the bound.
    pub fn new(target: Duration, bytes_max: usize, in_flight: Gauge, limit_gauge: Gauge) -> Self {
        limit_gauge.set(LIMIT_MAX as i64);
        let control = Control { began: Instant::now(), above_since: None, rate: None };
        Self {
            shared: Arc::new(Shared {
                target,
                bytes_max,
                in_flight: AtomicUsize::new(0),
                peak: AtomicUsize::new(0),
                bytes: AtomicUsize::new(0),
                limit: AtomicUsize::new(LIMIT_MAX),
                closed: AtomicBool::new(false),
                samples: AtomicU64::new(0),
                delay_micros: AtomicU64::new(0),
                control: Mutex::new(control),
                emptied: Notify::new(),
                in_flight_gauge: in_flight,
                limit_gauge,
            }),
        }
    }

    /// Lets one command in.
    ///
    /// # Errors
    /// When too many are in, or the process is stopping.
    pub fn admit(&self) -> Result<Permit, Shed> {
        let shared = &self.shared;
        if shared.closed.load(Ordering::Acquire) {
            return Err(Shed::Closed);
        }
        let in_flight = shared.in_flight.fetch_add(1, Ordering::AcqRel) + 1;
        shared.in_flight_gauge.inc();
        let permit = Permit { shared: Arc::clone(shared), bytes: 0 };
        if in_flight > shared.limit.load(Ordering::Acquire) {
            return Err(Shed::Busy);
        }
        shared.peak.fetch_max(in_flight, Ordering::Relaxed);
        Ok(permit)
    }

    /// Whether [`Admission::admit`] would let one in right now.
    ///
    /// # Errors
    /// When it would not.
    pub fn check(&self) -> Result<(), Shed> {
        if self.is_closed() {
            return Err(Shed::Closed);
        }
        if self.in_flight() >= self.limit() { Err(Shed::Busy) } else { Ok(()) }
    }

    /// Lets no more in. What is in stays.
    pub fn close(&self) {
        self.shared.closed.store(true, Ordering::Release);
    }

    /// Whether [`Admission::close`] was called.
    pub fn is_closed(&self) -> bool {
        self.shared.closed.load(Ordering::Acquire)
    }

    /// Waits until nobody is in. Meant for after [`Admission::close`].
    pub async fn idle(&self) {
        loop {
            let emptied = self.shared.emptied.notified();
            if self.in_flight() == 0 {
                return;
            }
            emptied.await;
        }
    }

    /// How many are in.
    pub fn in_flight(&self) -> usize {
        self.shared.in_flight.load(Ordering::Acquire)
    }

    /// The bound right now.
    pub fn limit(&self) -> usize {
        self.shared.limit.load(Ordering::Acquire)
    }

    /// Notes how long a command waited.
    pub(crate) fn record(&self, delay: Duration) {
        let shared = &self.shared;
        let micros = u64::try_from(delay.as_micros()).unwrap_or(u64::MAX);
        shared.delay_micros.fetch_add(micros, Ordering::Relaxed);
        let samples = shared.samples.fetch_add(1, Ordering::Relaxed);
        // The clock was read for `delay` already; once in a few samples is often enough here.
        if samples.is_multiple_of(8)
            && let Some(mut control) = shared.control.try_lock()
        {
            let now = Instant::now();
            if now.duration_since(control.began) >= INTERVAL {
                shared.adjust(&mut control, now);
            }
        }
    }
}

impl Shared {
    fn adjust(&self, control: &mut Control, now: Instant) {
        let elapsed = now.duration_since(control.began).as_secs_f64();
        control.began = now;
        let samples = self.samples.swap(0, Ordering::Relaxed);
        let micros = self.delay_micros.swap(0, Ordering::Relaxed);
        let peak = self.peak.swap(self.in_flight.load(Ordering::Relaxed), Ordering::Relaxed);
        let limit = self.limit.load(Ordering::Relaxed);
        let mean = Duration::from_micros(micros / samples.max(1));
        let is_bounded = limit < LIMIT_MAX;
        let next = if mean > self.target {
            let rate = samples as f64 / elapsed;
            let known = control.rate.unwrap_or(rate);
            let rate = known + RATE_WEIGHT * (rate - known);
            control.rate = Some(rate);
            let since = *control.above_since.get_or_insert(now);
            if !is_bounded && now.duration_since(since) < PATIENCE {
                return;
            }
            (rate * self.target.as_secs_f64()).round() as usize
        } else {
            control.above_since = None;
            if !is_bounded {
                control.rate = None;
                return;
            }
            // Where the bound is felt it rises gently, else at once.
            if peak >= limit - limit / 8 { limit + limit / 16 } else { limit * 2 }
        };
        let next = next.clamp(LIMIT_MIN, LIMIT_MAX);
        self.limit.store(next, Ordering::Release);
        self.limit_gauge.set(next as i64);
    }
}

/// A place among those in flight; given back when dropped.
pub struct Permit {
    shared: Arc<Shared>,
    bytes: usize,
}

impl Permit {
    /// Takes room for the bytes of the command.
    pub(crate) fn take_bytes(&mut self, bytes: usize) -> Result<(), Shed> {
        let before = self.shared.bytes.fetch_add(bytes, Ordering::AcqRel);
        self.bytes += bytes;
        // One command always fits, however small the bound.
        if before > 0 && before + bytes > self.shared.bytes_max { Err(Shed::Busy) } else { Ok(()) }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let before = self.shared.in_flight.fetch_sub(1, Ordering::AcqRel);
        if before == 1 {
            self.shared.emptied.notify_waiters();
        }
        self.shared.in_flight_gauge.dec();
        self.shared.bytes.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

impl std::fmt::Debug for Permit {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Permit").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(target_ms: u64) -> Admission {
        Admission::new(Duration::from_millis(target_ms), 1_000, Gauge::default(), Gauge::default())
    }

    /// When the first interval began: the machine may have been elsewhere since.
    fn began(admission: &Admission) -> Instant {
        admission.shared.control.lock().began
    }

    /// Plays `intervals` intervals in which `rate` decisions a second took `delay`.
    fn play(admission: &Admission, now: &mut Instant, intervals: u32, rate: u64, delay: Duration) {
        for _ in 0..intervals {
            *now += INTERVAL;
            let count = rate / 20;
            let micros = delay.as_micros() as u64 * count;
            admission.shared.samples.store(count, Ordering::Relaxed);
            admission.shared.delay_micros.store(micros, Ordering::Relaxed);
            let mut control = admission.shared.control.lock();
            admission.shared.adjust(&mut control, *now);
        }
    }

    #[test]
    fn a_short_stall_bounds_nothing() {
        let admission = admission(100);
        let mut now = began(&admission);
        play(&admission, &mut now, 3, 10_000, Duration::from_millis(300));
        assert_eq!(admission.limit(), LIMIT_MAX);
        play(&admission, &mut now, 1, 10_000, Duration::from_millis(5));
        play(&admission, &mut now, 3, 10_000, Duration::from_millis(300));
        assert_eq!(admission.limit(), LIMIT_MAX);
    }

    #[test]
    fn a_long_line_is_bounded_to_what_is_served_within_the_target() {
        let admission = admission(100);
        let mut now = began(&admission);
        play(&admission, &mut now, 6, 20_000, Duration::from_millis(300));
        assert_eq!(admission.limit(), 2_000);
        play(&admission, &mut now, 200, 20_000, Duration::from_millis(10));
        assert_eq!(admission.limit(), LIMIT_MAX);
    }

    #[test]
    fn a_few_are_always_let_in() {
        let admission = admission(100);
        let mut now = began(&admission);
        play(&admission, &mut now, 20, 40, Duration::from_secs(2));
        assert_eq!(admission.limit(), LIMIT_MIN);
        let permits: Vec<_> = (0..LIMIT_MIN).map(|_| admission.admit().unwrap()).collect();
        assert_eq!(admission.admit().unwrap_err(), Shed::Busy);
        drop(permits);
        assert_eq!(admission.in_flight(), 0);
        assert!(admission.admit().is_ok());
    }

    #[test]
    fn bytes_are_bounded_and_given_back() {
        let admission = admission(100);
        let mut first = admission.admit().unwrap();
        first.take_bytes(5_000).unwrap();
        let mut second = admission.admit().unwrap();
        assert_eq!(second.take_bytes(1), Err(Shed::Busy));
        drop((first, second));
        let mut third = admission.admit().unwrap();
        third.take_bytes(1_000).unwrap();
    }

    #[test]
    fn nobody_is_let_in_when_closed() {
        let admission = admission(100);
        admission.close();
        assert_eq!(admission.admit().unwrap_err(), Shed::Closed);
    }
}
