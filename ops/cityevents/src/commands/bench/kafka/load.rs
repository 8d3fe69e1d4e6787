//! Joins on servers that answer each connection in turn: as many as go, or due at fixed times.
//!
//! Join `number` is of a person of its own, and goes to event `number % events`; so what has to
//! come out is known exactly, and is compared after every run.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{anyhow, ensure};

use crate::commands::bench::processes::{Processes, Spent, between};
use crate::load::open_loop::{Latencies, Schedule};

/// How often somebody looks whether a connection failed.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How joins are offered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Offer {
    /// Threads, each with a connection of its own.
    pub(super) connections: u32,
    /// Joins sent at once over one connection.
    pub(super) batch: u64,
    /// A second over all connections; `None`: each when the one before is answered.
    pub(super) rate: Option<u32>,
    /// Before anything counts.
    pub(super) warm_up: Duration,
    /// What counts.
    pub(super) seconds: Duration,
}

/// What people were told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// Have a place.
    pub(super) active: u64,
    /// Stand in the line.
    pub(super) waiting: u64,
}

/// One connection to a server that joins people to events.
pub(super) trait Joins: Send {
    /// Joins these, and counts what they were told.
    ///
    /// # Errors
    /// When one is not joined: nobody asks twice, and the line is long enough.
    fn join(&mut self, numbers: Range<u64>, told: &mut Told) -> anyhow::Result<()>;
}

/// What came of an offer.
#[derive(Debug)]
pub(super) struct Driven {
    /// Joins asked for and answered: 0 to before this.
    pub(super) asked: u64,
    /// Of those, answered in the measured time.
    pub(super) measured: u64,
    /// From the due time, or from sending when nothing is due.
    pub(super) latencies: Latencies,
    /// Processor seconds in the measured time.
    pub(super) spent: Spent,
    /// By all answers.
    pub(super) told: Told,
}

struct Shared {
    next: AtomicU64,
    has_failed: AtomicBool,
    schedule: Schedule,
    window: (Instant, Instant),
    batch: u64,
}

struct Share {
    measured: u64,
    latencies: Latencies,
    told: Told,
    /// The first number drawn that was due too late.
    left_at: Option<u64>,
}

/// Offers joins, and counts.
///
/// # Errors
/// When a connection fails.
pub(super) fn drive<J: Joins>(
    offer: Offer,
    processes: &Processes,
    connect: impl Fn() -> anyhow::Result<J>,
) -> anyhow::Result<Driven> {
    let connections = (0..offer.connections).map(|_| connect()).collect::<Result<Vec<_>, _>>()?;
    let start = Instant::now();
    let shared = Shared {
        next: AtomicU64::new(0),
        has_failed: AtomicBool::new(false),
        schedule: Schedule { start, rate: offer.rate },
        window: (start + offer.warm_up, start + offer.warm_up + offer.seconds),
        batch: offer.batch.max(1),
    };
    thread::scope(|scope| {
        let shared = &shared;
        let work = |mut connection| {
            scope.spawn(move || {
                let share = shared.work(&mut connection);
                shared.has_failed.fetch_or(share.is_err(), Ordering::Relaxed);
                share
            })
        };
        let threads: Vec<_> = connections.into_iter().map(work).collect();
        shared.wait_until(shared.window.0);
        let before = processes.now();
        shared.wait_until(shared.window.1);
        let spent = between(&before, &processes.now());
        let (mut told, mut measured) = (Told::default(), 0);
        let mut latencies = Latencies::new()?;
        let mut left_at = u64::MAX;
        for thread in threads {
            let share = thread.join().map_err(|_| anyhow!("a connection's thread panicked"))??;
            told.active += share.told.active;
            told.waiting += share.told.waiting;
            measured += share.measured;
            latencies.add(&share.latencies)?;
            left_at = left_at.min(share.left_at.unwrap_or(u64::MAX));
        }
        let asked = shared.next.load(Ordering::Relaxed).min(left_at);
        Ok(Driven { asked, measured, latencies, spent, told })
    })
}

impl Shared {
    fn work(&self, connection: &mut impl Joins) -> anyhow::Result<Share> {
        let mut share = Share {
            measured: 0,
            latencies: Latencies::new()?,
            told: Told::default(),
            left_at: None,
        };
        while Instant::now() < self.window.1 && !self.has_failed.load(Ordering::Relaxed) {
            let first = self.next.fetch_add(self.batch, Ordering::Relaxed);
            let due = self.schedule.due(first);
            if self.schedule.rate.is_some() {
                if due >= self.window.1 {
                    share.left_at = Some(first);
                    break;
                }
                thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            connection.join(first..first + self.batch, &mut share.told)?;
            let now = Instant::now();
            if now >= self.window.0 && now < self.window.1 {
                share.measured += self.batch;
            }
            // In an open loop those count too that are answered after the end.
            let counted_at = if self.schedule.rate.is_some() { due } else { now };
            if counted_at >= self.window.0 && counted_at < self.window.1 {
                share.latencies.record(now - due);
            }
        }
        Ok(share)
    }

    fn wait_until(&self, moment: Instant) {
        while !self.has_failed.load(Ordering::Relaxed) {
            let left = moment.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            thread::sleep(left.min(LOOK_EVERY));
        }
    }
}

/// What has to come out of joins `0..asked` on equal events.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected {
    pub(super) asked: u64,
    pub(super) events: u64,
    /// Of each event.
    pub(super) places: u64,
}

impl Expected {
    /// At event number `event`.
    pub(super) fn at(&self, event: u64) -> Told {
        let asked = self.asked.saturating_sub(event).div_ceil(self.events);
        let active = asked.min(self.places);
        Told { active, waiting: asked - active }
    }

    /// At all of them.
    pub(super) fn total(&self) -> Told {
        (0..self.events).map(|event| self.at(event)).fold(Told::default(), |sum, one| Told {
            active: sum.active + one.active,
            waiting: sum.waiting + one.waiting,
        })
    }

    /// Compares what an event has with what it has to have.
    ///
    /// # Errors
    /// When they differ.
    pub(super) fn check(&self, who: &str, event: u64, seen: Told) -> anyhow::Result<()> {
        let expected = self.at(event);
        ensure!(
            seen == expected,
            "{who} is wrong: event {event} has {seen:?}, and {expected:?} was asked for"
        );
        Ok(())
    }

    /// Compares what people were told with what they have to be told.
    ///
    /// # Errors
    /// When they differ.
    pub(super) fn check_told(&self, who: &str, told: Told) -> anyhow::Result<()> {
        let expected = self.total();
        ensure!(told == expected, "{who} told {told:?}, and {expected:?} was asked for");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Arc;

    use anyhow::bail;
    use parking_lot::Mutex;

    use super::*;

    /// Joins everybody to one event with ten places.
    #[derive(Clone, Default)]
    struct Desk(Arc<Mutex<HashSet<u64>>>);

    impl Joins for Desk {
        fn join(&mut self, numbers: Range<u64>, told: &mut Told) -> anyhow::Result<()> {
            let mut people = self.0.lock();
            for number in numbers {
                if !people.insert(number) {
                    bail!("{number} was there before");
                }
                let is_active = people.len() <= 10;
                told.active += u64::from(is_active);
                told.waiting += u64::from(!is_active);
            }
            Ok(())
        }
    }

    fn offer(rate: Option<u32>, batch: u64) -> Offer {
        let (warm_up, seconds) = (Duration::from_millis(20), Duration::from_millis(60));
        Offer { connections: 3, batch, rate, warm_up, seconds }
    }

    #[test]
    fn everybody_asks_once_and_no_number_is_left_out() {
        for offer in [offer(None, 1), offer(None, 7), offer(Some(2_000), 1)] {
            let desk = Desk::default();
            let driven = drive(offer, &Processes::default(), || Ok(desk.clone())).unwrap();
            let people = desk.0.lock();
            assert_eq!(people.len() as u64, driven.asked, "{offer:?}");
            assert!((0..driven.asked).all(|number| people.contains(&number)), "{offer:?}");
            let expected = Expected { asked: driven.asked, events: 1, places: 10 };
            expected.check_told("the desk", driven.told).unwrap();
            if offer.rate.is_some() {
                assert!(driven.asked <= 160, "more than was due: {}", driven.asked);
            }
        }
    }

    #[test]
    fn a_connection_that_fails_ends_the_run() {
        struct Broken;
        impl Joins for Broken {
            fn join(&mut self, _: Range<u64>, _: &mut Told) -> anyhow::Result<()> {
                bail!("the cable is cut")
            }
        }
        let long = Offer { seconds: Duration::from_secs(600), ..offer(None, 1) };
        let error = drive(long, &Processes::default(), || Ok(Broken)).unwrap_err();
        assert!(error.to_string().contains("cable"), "{error}");
    }

    #[test]
    fn what_has_to_come_out_is_known_to_the_person() {
        let expected = Expected { asked: 10, events: 4, places: 2 };
        let of = |active, waiting| Told { active, waiting };
        let all: Vec<_> = (0..4).map(|event| expected.at(event)).collect();
        assert_eq!(all, [of(2, 1), of(2, 1), of(2, 0), of(2, 0)]);
        assert_eq!(expected.total(), of(8, 2));
        assert!(expected.check("it", 0, of(3, 0)).is_err());
        assert!(expected.check_told("it", of(8, 1)).is_err());
        assert_eq!(Expected { asked: 1, ..expected }.at(3), of(0, 0));
    }
}
