//! Open-loop load: requests are due at fixed times, and latency counts from the due time, so that
//! a server that falls behind cannot make the load wait for it.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// Longest latency that is told apart.
const LATENCY_MAX_US: u64 = 120_000_000;

/// Counts latencies.
#[derive(Debug, Clone)]
pub struct Latencies(Histogram<u64>);

impl Latencies {
    /// None yet.
    ///
    /// # Errors
    /// Never for these bounds.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self(Histogram::new_with_bounds(1, LATENCY_MAX_US, 3)?))
    }

    /// Counts one.
    pub fn record(&mut self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(LATENCY_MAX_US);
        self.0.saturating_record(micros.max(1));
    }

    /// Adds all of another.
    pub fn add(&mut self, other: &Self) -> anyhow::Result<()> {
        Ok(self.0.add(&other.0)?)
    }

    /// The latency that so many percent do not exceed, in milliseconds.
    pub fn percentile_ms(&self, percent: f64) -> f64 {
        self.0.value_at_quantile(percent / 100.0) as f64 / 1_000.0
    }
}

/// When requests are due.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    /// When the first one is.
    pub start: Instant,
    /// Requests a second over all connections; `None`: each when the one before is answered.
    pub rate: Option<u32>,
}

impl Schedule {
    /// When request `number` is due.
    pub fn due(&self, number: u64) -> Instant {
        match self.rate {
            None => Instant::now(),
            Some(rate) => {
                self.start + Duration::from_nanos(number * 1_000_000_000 / u64::from(rate.max(1)))
            }
        }
    }
}
