//! How fast mails are handed over, to everybody and to each destination.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Destinations remembered before those that nobody waits for are forgotten.
const DESTINATIONS_MAX: usize = 10_000;

/// Limits of a process. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct Pace {
    shared: Arc<Shared>,
}

struct Shared {
    all: Arc<Semaphore>,
    each: usize,
    destinations: Mutex<HashMap<String, Weak<Semaphore>>>,
    /// Between two mails.
    interval: Duration,
    /// When the next one may go.
    next: Mutex<Option<Instant>>,
}

/// May hand one mail over.
pub(super) struct Turn {
    _destination: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Pace {
    /// At most so many at once, so many to one destination, and so many a second.
    pub fn new(at_once: u32, to_each: u32, per_second: u32) -> Self {
        let shared = Shared {
            all: Arc::new(Semaphore::new(at_once.max(1) as usize)),
            each: to_each.max(1) as usize,
            destinations: Mutex::default(),
            interval: Duration::from_secs(1) / per_second.max(1),
            next: Mutex::new(None),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Waits for a turn; `None` when the process ends.
    pub(super) async fn turn(&self, destination: &str) -> Option<Turn> {
        let shared = &self.shared;
        let ours = shared.destination(destination);
        // First the narrow door: who waits there takes nobody's place at the wide one.
        let destination = ours.acquire_owned().await.ok()?;
        let all = Arc::clone(&shared.all).acquire_owned().await.ok()?;
        tokio::time::sleep_until(shared.slot()).await;
        Some(Turn { _destination: destination, _all: all })
    }
}

impl Shared {
    fn destination(&self, name: &str) -> Arc<Semaphore> {
        let mut destinations = self.destinations.lock();
        if let Some(known) = destinations.get(name).and_then(Weak::upgrade) {
            return known;
        }
        if destinations.len() >= DESTINATIONS_MAX {
            destinations.retain(|_, known| known.strong_count() > 0);
        }
        let made = Arc::new(Semaphore::new(self.each));
        destinations.insert(name.to_owned(), Arc::downgrade(&made));
        made
    }

    /// The next free moment. A pause saves up no more than one interval.
    fn slot(&self) -> Instant {
        let mut next = self.next.lock();
        let now = Instant::now();
        let slot = next.map_or(now, |next| next.max(now));
        *next = Some(slot + self.interval);
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn mails_go_at_the_rate_and_no_faster() {
        let pace = Pace::new(100, 100, 10);
        let started = Instant::now();
        for _ in 0..21 {
            pace.turn("b.co").await.unwrap();
        }
        assert_eq!(started.elapsed(), Duration::from_secs(2));
    }

    #[tokio::test]
    async fn one_destination_that_is_slow_holds_up_no_other() {
        let pace = Pace::new(3, 2, 1_000_000);
        let (_one, _two) = (pace.turn("slow.co").await, pace.turn("slow.co").await);
        let third = pace.turn("slow.co");
        futures::pin_mut!(third);
        assert!(futures::poll!(&mut third).is_pending());
        let quick = pace.turn("quick.co").await;
        assert!(quick.is_some());
        let other = pace.turn("other.co");
        futures::pin_mut!(other);
        assert!(futures::poll!(&mut other).is_pending(), "three at once are all");
        drop(quick);
        assert!(other.await.is_some());
    }
}
