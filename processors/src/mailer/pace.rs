//! How fast mails are handed over, to everybody and to each destination, and who goes first.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::gate::{Gate, Permit, Urgency};

/// Destinations remembered before those that nobody waits for are forgotten.
const DESTINATIONS_MAX: usize = 10_000;
/// What is made up for of a pause. So many go at the same time then, and share waits for the disk; and
/// clocks of tasks are coarse.
const MADE_UP_MAX: Duration = Duration::from_millis(50);

/// Limits of a process. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct Pace {
    shared: Arc<Shared>,
}

struct Shared {
    all: Arc<Gate>,
    each: usize,
    destinations: Mutex<HashMap<String, Weak<Gate>>>,
    /// One at a time waits for its moment, so that who is urgent is behind few.
    moments: Arc<Gate>,
    /// Between two mails.
    interval: Duration,
    /// When the next one may go.
    next: Mutex<Option<Instant>>,
}

/// May hand one mail over.
pub(super) struct Turn {
    _destination: Permit,
    _all: Permit,
}

impl Pace {
    /// At most so many at once, so many to one destination, and so many a second.
    pub fn new(at_once: u32, to_each: u32, per_second: u32) -> Self {
        let shared = Shared {
            all: Arc::new(Gate::new(at_once.max(1) as usize)),
            each: to_each.max(1) as usize,
            destinations: Mutex::default(),
            moments: Arc::new(Gate::new(1)),
            interval: Duration::from_secs(1) / per_second.max(1),
            next: Mutex::new(None),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Waits for a turn.
    pub(super) async fn turn(&self, destination: &str, urgency: Urgency) -> Turn {
        let shared = &self.shared;
        // First the narrow door: who waits there takes nobody's place at the wide one.
        let destination = shared.destination(destination).pass(urgency).await;
        let all = shared.all.pass(urgency).await;
        let moment = shared.moments.pass(urgency).await;
        tokio::time::sleep_until(shared.slot()).await;
        drop(moment);
        Turn { _destination: destination, _all: all }
    }
}

impl Shared {
    fn destination(&self, name: &str) -> Arc<Gate> {
        let mut destinations = self.destinations.lock();
        if let Some(known) = destinations.get(name).and_then(Weak::upgrade) {
            return known;
        }
        if destinations.len() >= DESTINATIONS_MAX {
            destinations.retain(|_, known| known.strong_count() > 0);
        }
        let made = Arc::new(Gate::new(self.each));
        destinations.insert(name.to_owned(), Arc::downgrade(&made));
        made
    }

    /// The next free moment. A pause saves up next to nothing.
    fn slot(&self) -> Instant {
        let mut next = self.next.lock();
        let now = Instant::now();
        let earliest = now.checked_sub(MADE_UP_MAX).unwrap_or(now);
        let slot = next.map_or(now, |next| next.max(earliest));
        *next = Some(slot + self.interval);
        slot
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn mails_go_at_the_rate_and_no_faster() {
        let pace = Pace::new(100, 100, 10);
        let started = Instant::now();
        for _ in 0..21 {
            pace.turn("b.co", Urgency::Urgent).await;
        }
        assert_eq!(started.elapsed(), Duration::from_secs(2));
    }

    #[tokio::test]
    async fn one_destination_that_is_slow_holds_up_no_other() {
        let pace = Pace::new(3, 2, 1_000_000);
        let urgent = |destination| pace.turn(destination, Urgency::Urgent).boxed_local();
        let (_one, _two) = (urgent("slow.co").await, urgent("slow.co").await);
        let mut third = urgent("slow.co");
        assert!(futures::poll!(&mut third).is_pending());
        let quick = urgent("quick.co").await;
        let mut other = urgent("other.co");
        assert!(futures::poll!(&mut other).is_pending(), "three at once are all");
        drop(quick);
        other.await;
    }

    #[tokio::test(start_paused = true)]
    async fn bulk_takes_what_others_leave_and_everything_when_there_are_none() {
        let pace = Pace::new(4, 4, 10);
        let started = Instant::now();
        let turn = |urgency| {
            let pace = pace.clone();
            async move {
                drop(pace.turn("b.co", urgency).await);
                (urgency, started.elapsed().as_millis())
            }
        };
        let bulk = (0..20).map(|_| tokio::spawn(turn(Urgency::Bulk))).collect::<Vec<_>>();
        tokio::time::sleep(Duration::from_millis(450)).await;
        // Of bulk the sixth waits for its moment already, and the next one is behind it.
        let urgent = (0..3).map(|_| tokio::spawn(turn(Urgency::Urgent))).collect::<Vec<_>>();
        let mut went = futures::future::join_all(bulk.into_iter().chain(urgent)).await;
        went.sort_by_key(|went| went.as_ref().unwrap().1);
        let went: Vec<_> = went.into_iter().map(Result::unwrap).collect();
        let times: Vec<_> = went.iter().map(|(_, at)| *at).collect();
        assert_eq!(times, (0..23).map(|turn| turn * 100).collect::<Vec<_>>());
        let urgent = (0..23).filter(|at| went[*at].0 == Urgency::Urgent);
        assert_eq!(urgent.collect::<Vec<_>>(), [7, 8, 9]);
    }
}
