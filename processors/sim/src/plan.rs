//! What a seed decides before anything happens.

use cityevents_runtime::log::memory::Faults;
use rand::RngExt as _;
use rand::rngs::SmallRng;

use crate::program::Program;

/// One worker's machine.
#[derive(Debug, Clone)]
pub(crate) struct NodePlan {
    pub(crate) name: String,
    pub(crate) program: Program,
    /// How much its clock is ahead of the log's.
    pub(crate) skew_ms: i64,
    /// Commands decided at once.
    pub(crate) burst_records: usize,
    /// Bytes in flight beyond which no new burst begins.
    pub(crate) in_flight_bytes_max: usize,
}

/// All of it.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) partitions: u32,
    pub(crate) nodes: Vec<NodePlan>,
    pub(crate) faults: Faults,
    pub(crate) steps: u32,
    pub(crate) people: u32,
    /// People who rush to one event, beyond what one fact can change.
    pub(crate) crowd: u32,
    /// Probability per step that a machine dies, stalls, or keeps what it was told to give up.
    pub(crate) crash: f64,
    pub(crate) stall: f64,
    pub(crate) rogue: f64,
    /// Probability per step of a machine that it takes a partition that nobody gave to it.
    pub(crate) usurp: f64,
    /// Probability that a snapshot is taken when a standby was stepped.
    pub(crate) snapshot: f64,
}

impl Plan {
    pub(crate) fn draw(rng: &mut SmallRng) -> Self {
        let mut faults = match rng.random_range(0..5) {
            0 => Faults { split: 0.3, reader_lag: 0.3, ..Faults::none() },
            1 | 2 => Faults::cluster(),
            _ => Faults::hostile(),
        };
        faults.delay = rng.random_range(0.1..0.8);
        // Two versions are at work during every deployment; most seeds are one.
        let strict = if rng.random_bool(0.7) { 0.5 } else { 0.0 };
        let count = rng.random_range(2..=4);
        let nodes = (0..count)
            .map(|number| NodePlan {
                name: format!("node-{number}"),
                program: match rng.random_bool(strict) {
                    true => Program::Strict,
                    false => Program::Usual,
                },
                skew_ms: rng.random_range(-2_000..=2_000),
                burst_records: rng.random_range(1..=24),
                in_flight_bytes_max: if rng.random_bool(0.3) { 1 } else { 1 << 20 },
            })
            .collect();
        Self {
            partitions: rng.random_range(1..=2),
            nodes,
            faults,
            steps: rng.random_range(300..=900),
            people: rng.random_range(4..=14),
            crowd: if rng.random_bool(0.1) { rng.random_range(520..=1_100) } else { 0 },
            crash: rng.random_range(0.0..0.03),
            stall: rng.random_range(0.0..0.03),
            rogue: rng.random_range(0.0..0.5),
            usurp: rng.random_range(0.0..0.15),
            snapshot: rng.random_range(0.0..0.3),
        }
    }
}
