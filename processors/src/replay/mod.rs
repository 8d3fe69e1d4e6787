//! Tables made anew from the log, beside the live ones.
//!
//! The rows come from the very sinks that write the live tables: there is no second way to fold.
//! Progress is a row of the new tables, written behind the rows that it covers, so a run that was
//! killed goes on where the rows end, and two runs at once do no harm.
//!
//! Made anew is what facts and trends say. The keys of persons, accounts, and what people like are
//! in no log or are forgotten on demand; they stay where they are.

mod bounded;
pub mod carry;
pub mod commands;
pub mod compare;
mod part;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cityevents_runtime::host::TaskError;
use cityevents_runtime::standby::Source;
use cityevents_views::Views;
use parking_lot::Mutex;

pub use self::bounded::{Bounded, Until};
pub use self::part::{Come, Facts};
use self::part::{Part, Trends};

/// Names this reader in logs and metrics.
pub const NAME: &str = "replay";
/// Longest pause to keep to a rate, before the time of the caller is looked at again.
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// All partitions on their way.
pub struct Replay {
    parts: Vec<Mutex<Box<dyn Part>>>,
    pace: Mutex<Pace>,
}

impl Replay {
    /// Goes on where the tables say that they are. `trends` is the topic of what is talked about,
    /// by full name; a state of the past has none, since that topic keeps no past.
    ///
    /// # Errors
    /// When log or tables cannot be read, or do not belong together.
    pub fn open(
        source: &Source,
        trends: Option<&Arc<str>>,
        views: &Views,
        until: Until,
    ) -> Result<Self, TaskError> {
        let source = Source { topology: NAME, ..source.clone() };
        let mut parts: Vec<Mutex<Box<dyn Part>>> = Vec::new();
        for partition in 0..source.log.describe(&source.facts)?.spec.partitions {
            let facts = Facts::open(&source, views, partition, until)?;
            parts.push(Mutex::new(Box::new(facts)));
        }
        if let Some(topic) = trends {
            for partition in 0..source.log.describe(topic)?.spec.partitions {
                let trends = Trends::open(&source, views, topic, partition)?;
                parts.push(Mutex::new(Box::new(trends)));
            }
        }
        Ok(Self { parts, pace: Mutex::default() })
    }

    /// Works for about so long, on so many threads, at most `rate` records a second.
    ///
    /// # Errors
    /// When log or tables fail. What is written stays, and opening again goes on there.
    pub fn run(
        &self,
        budget: Duration,
        rate: Option<u32>,
        threads: usize,
    ) -> Result<(), TaskError> {
        let deadline = Instant::now() + budget;
        let next = AtomicUsize::new(0);
        self.pace.lock().begin(rate);
        let work = || -> Result<(), TaskError> {
            while let Some(part) = self.parts.get(next.fetch_add(1, Ordering::Relaxed)) {
                let mut part = part.lock();
                while !part.come().is_done {
                    if !waits_for_turn(&self.pace, deadline) {
                        return Ok(());
                    }
                    let records = part.step()?;
                    self.pace.lock().took(records);
                }
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
            threads.into_iter().try_for_each(|thread| {
                thread.join().unwrap_or_else(|_| {
                    Err(TaskError::Stop("a partition of the replay panicked".to_owned()))
                })
            })
        })
    }

    /// How far each partition is.
    pub fn come(&self) -> Vec<Come> {
        self.parts.iter().map(|part| part.lock().come()).collect()
    }
}

/// Waits until the rate allows for a batch; `false` when the time is over.
fn waits_for_turn(pace: &Mutex<Pace>, deadline: Instant) -> bool {
    loop {
        let now = Instant::now();
        if now >= deadline {
            return false;
        }
        let due = pace.lock().due();
        match due.filter(|due| *due > now) {
            Some(due) => {
                std::thread::sleep(due.min(deadline).duration_since(now).min(PAUSE_MAX));
            }
            None => return true,
        }
    }
}

/// Keeps to a rate over all threads, from one call to the next.
#[derive(Debug, Default)]
struct Pace {
    rate: Option<u32>,
    since: Option<Instant>,
    records: u64,
}

impl Pace {
    fn begin(&mut self, rate: Option<u32>) {
        if self.rate != rate || self.since.is_none() {
            *self = Self { rate, since: Some(Instant::now()), records: 0 };
        }
    }

    const fn took(&mut self, records: u64) {
        self.records += records;
    }

    /// When the next batch may be read.
    fn due(&self) -> Option<Instant> {
        let seconds = self.records as f64 / f64::from(self.rate?.max(1));
        Some(self.since? + Duration::from_secs_f64(seconds))
    }
}
