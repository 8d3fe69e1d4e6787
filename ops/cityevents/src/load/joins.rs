//! Joins, each by somebody who has not joined that event before.
//!
//! The same people go from one hot event to the next, since signatures of tokens are checked once
//! and then remembered: a measurement of joins is not one of signatures.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use tokio::task::JoinSet;

use super::crowd::Person;
use super::open_loop::{Latencies, Schedule};
use super::raw::RawConnection;

/// Who goes where.
pub struct Joins {
    address: SocketAddr,
    people: Vec<Person>,
    /// Ids of events.
    events: Vec<String>,
    /// Whether all events are joined at the same time, instead of one after the other.
    is_spread: bool,
    /// Joins asked for so far.
    asked: u64,
}

/// How joins are offered.
#[derive(Debug, Clone, Copy)]
pub struct Offer {
    /// A second over all connections; `None`: each when the one before is answered.
    pub rate: Option<u32>,
    /// Requests at the same time, at most.
    pub connections: usize,
    /// Before anything counts.
    pub warm_up: Duration,
    /// What counts.
    pub seconds: Duration,
    /// Due requests that are so late are given up unsent, and counted: then all connections wait
    /// for answers.
    pub late_max: Duration,
    /// Ends as soon as everybody has joined everything; else that is a mistake of the caller.
    pub is_all: bool,
}

/// What came of them.
#[derive(Debug)]
pub struct Counted {
    /// Answers that came in the measured time, by status.
    pub answers: BTreeMap<u16, u64>,
    /// Of accepted joins that were due in the measured time, from the due time.
    pub accepted: Latencies,
    /// Of refusals for load, from the due time.
    pub refused: Latencies,
    /// Of refusals for load, from the moment of sending.
    pub refused_from_sending: Latencies,
    /// Due in the measured time, and given up unsent.
    pub unsent: u64,
}

impl Counted {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            answers: BTreeMap::new(),
            accepted: Latencies::new()?,
            refused: Latencies::new()?,
            refused_from_sending: Latencies::new()?,
            unsent: 0,
        })
    }

    /// Answers with a status.
    pub fn of(&self, status: u16) -> u64 {
        self.answers.get(&status).copied().unwrap_or(0)
    }

    fn add(&mut self, other: &Self) -> anyhow::Result<()> {
        for (status, count) in &other.answers {
            *self.answers.entry(*status).or_default() += count;
        }
        self.accepted.add(&other.accepted)?;
        self.refused.add(&other.refused)?;
        self.refused_from_sending.add(&other.refused_from_sending)?;
        self.unsent += other.unsent;
        Ok(())
    }

    fn count(&mut self, status: u16, due: Instant, sent: Instant, window: (Instant, Instant)) {
        let now = Instant::now();
        let is_inside = |moment| moment >= window.0 && moment < window.1;
        if is_inside(now) {
            *self.answers.entry(status).or_default() += 1;
        }
        if is_inside(due) {
            match status {
                200 => self.accepted.record(now - due),
                503 => {
                    self.refused.record(now - due);
                    self.refused_from_sending.record(now - sent);
                }
                _ => {}
            }
        }
    }
}

impl Joins {
    /// Nobody has joined yet.
    pub const fn new(address: SocketAddr, people: Vec<Person>, events: Vec<String>) -> Self {
        Self { address, people, events, is_spread: false, asked: 0 }
    }

    /// How many joins can still be asked for.
    pub const fn left(&self) -> u64 {
        (self.people.len() as u64 * self.events.len() as u64).saturating_sub(self.asked)
    }

    /// The same people at other events, all of which are joined at the same time.
    pub fn spread_over(self, events: Vec<String>) -> Self {
        Self { events, is_spread: true, asked: 0, ..self }
    }

    /// Who asks with this number, and for which event. No pair comes twice.
    fn pair(&self, number: u64) -> (u64, u64) {
        let (people, events) = (self.people.len() as u64, self.events.len() as u64);
        let (person, round) = (number % people, number / people);
        let event = if self.is_spread { (person + round) % events } else { round };
        (person, event)
    }

    /// More events to join, after those that are there.
    pub fn add_events(&mut self, events: Vec<String>) {
        self.events.extend(events);
    }

    /// Offers joins, and counts.
    ///
    /// # Errors
    /// When the server cannot be reached, or there are too few events for the time.
    pub async fn offer(mut self, offer: Offer) -> anyhow::Result<(Self, Counted)> {
        let first = self.asked;
        let last = self.people.len() as u64 * self.events.len() as u64;
        let mut opened = JoinSet::new();
        for _ in 0..offer.connections {
            opened.spawn(RawConnection::open(self.address));
        }
        let mut connections = Vec::new();
        while let Some(connection) = opened.join_next().await {
            connections.push(connection??);
        }
        let next = Arc::new(AtomicU64::new(0));
        let start = Instant::now();
        let window = (start + offer.warm_up, start + offer.warm_up + offer.seconds);
        let schedule = Schedule { start, rate: offer.rate };
        let shared = Arc::new(self);
        let mut workers = JoinSet::new();
        for mut connection in connections {
            let (joins, next) = (shared.clone(), next.clone());
            workers.spawn(async move {
                let mut counted = Counted::new()?;
                let mut request = String::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if first + number >= last {
                        break;
                    }
                    let due = schedule.due(number);
                    if due >= window.1 {
                        break;
                    }
                    if offer.rate.is_some() {
                        if due.elapsed() > offer.late_max {
                            counted.unsent += u64::from(due >= window.0);
                            continue;
                        }
                        tokio::time::sleep_until(due.into()).await;
                    }
                    joins.write_request(first + number, &mut request)?;
                    let sent = Instant::now();
                    let status = connection.exchange(request.as_bytes()).await?.status;
                    counted.count(status, due, sent, window);
                }
                anyhow::Ok(counted)
            });
        }
        let mut counted = Counted::new()?;
        while let Some(worker) = workers.join_next().await {
            counted.add(&worker??)?;
        }
        self = Arc::into_inner(shared).context("a connection still has the joins")?;
        self.asked = first + next.load(Ordering::Relaxed);
        ensure!(
            offer.is_all || self.asked < last,
            "everybody has joined everything before the time was over: prepare more events"
        );
        Ok((self, counted))
    }

    fn write_request(&self, number: u64, request: &mut String) -> anyhow::Result<()> {
        let (person, event) = self.pair(number);
        let event = &self.events[usize::try_from(event)?];
        let bearer = &self.people[usize::try_from(person)?].bearer;
        request.clear();
        write!(
            request,
            "POST /api/events/{event}/join HTTP/1.1\r\nhost: {}\r\nauthorization: {bearer}\r\n\
             idempotency-key: join-{number}\r\ncontent-length: 0\r\n\r\n",
            self.address
        )?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use cityevents_domain::ids::UserId;

    use super::*;

    #[test]
    fn nobody_asks_twice_for_the_same_event() {
        let person = Person { user: UserId::from_bytes([1; 16]), bearer: String::new() };
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        for (people, events) in [(5, 3), (3, 5), (4, 4), (1, 6), (6, 1)] {
            let named = |count| (0..count).map(|number: usize| number.to_string()).collect();
            let one_after_the_other =
                Joins::new(address, vec![person.clone(); people], named(events));
            let hot: Vec<_> = (0..people as u64).map(|n| one_after_the_other.pair(n).1).collect();
            assert!(hot.iter().all(|event| *event == 0), "{hot:?}");
            let spread = Joins::new(address, vec![person.clone(); people], named(1))
                .spread_over(named(events));
            let first: HashSet<_> = (0..people as u64).map(|n| spread.pair(n).1).collect();
            assert_eq!(first.len(), people.min(events));
            for joins in [one_after_the_other, spread] {
                assert_eq!(joins.left(), (people * events) as u64);
                let pairs: HashSet<_> = (0..joins.left()).map(|n| joins.pair(n)).collect();
                assert_eq!(pairs.len() as u64, joins.left());
            }
        }
    }
}
