//! The way of an append in a simulation: what is under way, and what becomes of it at each tick.
//!
//! Appends of one producer to one partition travel in one lane and land in order. A lane whose
//! producer died or broke is an orphan: nobody hears what becomes of it, and it may land long after
//! somebody else took over.

use std::collections::{BTreeMap, VecDeque};

use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use super::State;
use super::faults::Faults;
use super::producer::failed;
use super::storage::Fate;
use crate::log::{Delivery, LogError, LogErrorKind, Outgoing, TopicPartition};

/// How many ticks a producer waits for an acknowledgement that does not come.
const TIMEOUT_TICKS: u64 = 20;

/// Chance and time of a simulation, and all that is under way.
pub(super) struct Simulation {
    rng: SmallRng,
    pub(super) faults: Faults,
    ticks: u64,
    lanes: BTreeMap<(u64, TopicPartition), Lane>,
}

#[derive(Default)]
struct Lane {
    flights: VecDeque<Flight>,
    /// The first flight will not be acknowledged.
    silence: Option<Silence>,
    orphan: bool,
    /// One before the first flight was lost.
    gap: bool,
}

struct Flight {
    first_ticket: u64,
    records: Vec<Outgoing>,
}

struct Silence {
    until_tick: u64,
    landed: bool,
}

/// What becomes of an append.
enum FlightFate {
    Acknowledged,
    Lost(LogErrorKind),
    Silent { landed: bool },
    DuplicateSequence,
    Twice,
}

/// What becomes of a fenced batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BatchFate {
    Counts,
    Lost,
    Aborted,
    InDoubt,
}

impl Simulation {
    pub(super) fn new(seed: u64, faults: Faults) -> Self {
        let rng = SmallRng::seed_from_u64(seed);
        Self { rng, faults, ticks: 0, lanes: BTreeMap::new() }
    }

    pub(super) fn chance(&mut self, probability: impl FnOnce(&Faults) -> f64) -> bool {
        let probability = probability(&self.faults);
        probability > 0.0 && self.rng.random_bool(probability.min(1.0))
    }

    /// The end that a reader at `position` sees.
    pub(super) fn lagging_end(&mut self, position: u64, real_end: u64) -> u64 {
        match position < real_end && self.chance(|faults| faults.reader_lag) {
            true => self.rng.random_range(position..=real_end),
            false => real_end,
        }
    }

    pub(super) fn batch_fate(&mut self) -> BatchFate {
        let faults = self.faults;
        let fates = [
            (faults.fenced_lost, BatchFate::Lost),
            (faults.fenced_aborted, BatchFate::Aborted),
            (faults.fenced_in_doubt, BatchFate::InDoubt),
        ];
        let chosen = fates.into_iter().find(|(probability, _)| self.chance(|_| *probability));
        chosen.map_or(BatchFate::Counts, |(_, fate)| fate)
    }

    pub(super) fn under_way(&self) -> usize {
        let flights = self.lanes.values().flat_map(|lane| &lane.flights);
        flights.map(|flight| flight.records.len()).sum()
    }

    /// Puts an append on its way, in one piece or in several.
    pub(super) fn send(
        &mut self,
        producer: u64,
        place: &TopicPartition,
        first_ticket: u64,
        mut records: Vec<Outgoing>,
    ) {
        let mut lane = self.lanes.remove(&(producer, place.clone())).unwrap_or_default();
        let mut first_ticket = first_ticket;
        while !records.is_empty() {
            let count = match self.chance(|faults| faults.split) {
                true => self.rng.random_range(1..=records.len()),
                false => records.len(),
            };
            let rest = records.split_off(count);
            lane.flights.push_back(Flight { first_ticket, records });
            records = rest;
            first_ticket += count as u64;
        }
        self.lanes.insert((producer, place.clone()), lane);
    }

    /// From now on nobody hears what becomes of the appends of a producer.
    pub(super) fn orphan(&mut self, producer: u64) {
        for ((owner, _), lane) in &mut self.lanes {
            if *owner == producer {
                lane.abandon();
            }
        }
    }

    /// One step. The state's own simulation is this one, taken out.
    pub(super) fn tick(&mut self, state: &mut State, now_ms: i64) {
        self.ticks += 1;
        let mut order: Vec<_> = self.lanes.keys().cloned().collect();
        order.shuffle(&mut self.rng);
        for key in order {
            let Some(mut lane) = self.lanes.remove(&key) else {
                continue;
            };
            let (producer, place) = &key;
            while self.step(*producer, place, &mut lane, state, now_ms) {}
            if !lane.flights.is_empty() {
                self.lanes.insert(key, lane);
            }
        }
        self.tick_groups(state, now_ms);
        for identity in state.identities_in_doubt() {
            if !self.chance(|faults| faults.delay) {
                let counts = self.rng.random_bool(0.5);
                state.decide_in_doubt_as(&identity, counts);
            }
        }
    }

    /// Takes the first flight of a lane to its end; false when the lane waits for another tick.
    fn step(
        &mut self,
        producer: u64,
        place: &TopicPartition,
        lane: &mut Lane,
        state: &mut State,
        now_ms: i64,
    ) -> bool {
        if lane.flights.is_empty() {
            return false;
        }
        if let Some(silence) = &lane.silence {
            if self.ticks >= silence.until_tick {
                self.break_producer(producer, place, lane, state, LogErrorKind::TimedOut);
            }
            return !lane.flights.is_empty() && lane.silence.is_none();
        }
        if self.chance(|faults| if lane.orphan { faults.late_delay } else { faults.delay }) {
            return false;
        }
        if lane.orphan {
            let lands = self.chance(|faults| faults.lands_late)
                && (!lane.gap || self.chance(|faults| faults.hole));
            if let Some(flight) = lane.flights.pop_front().filter(|_| lands) {
                // A topic that was deleted meanwhile takes nothing, and nobody hears of it.
                let _unheard = state.storage.append(place, flight.records, now_ms, Fate::Counts);
            }
            lane.gap |= !lands;
            return true;
        }
        let fate = match state.producers.take_failure() {
            Some(kind) => FlightFate::Lost(kind),
            None => self.flight_fate(),
        };
        let mut land = |lane: &Lane| -> Result<u64, LogError> {
            let records = lane.flights.front().map(|flight| flight.records.clone());
            state.storage.append(place, records.unwrap_or_default(), now_ms, Fate::Counts)
        };
        let result = match fate {
            FlightFate::Acknowledged => land(lane).map(Some),
            FlightFate::DuplicateSequence => land(lane).map(|_| None),
            FlightFate::Twice => land(lane).and_then(|_| land(lane)).map(Some),
            FlightFate::Lost(kind) => Err(failed(kind, place)),
            FlightFate::Silent { landed } => {
                if landed && land(lane).is_err() {
                    return false;
                }
                let until_tick = self.ticks + TIMEOUT_TICKS;
                lane.silence = Some(Silence { until_tick, landed });
                return false;
            }
        };
        match result {
            Ok(offset) => {
                if let Some(flight) = lane.flights.pop_front() {
                    state.producers.tell(producer, flight.delivery(Ok(offset)));
                }
            }
            Err(error) => self.break_producer(producer, place, lane, state, error.kind()),
        }
        true
    }

    fn flight_fate(&mut self) -> FlightFate {
        if self.chance(|faults| faults.lost) {
            FlightFate::Lost(LogErrorKind::Unavailable)
        } else if self.chance(|faults| faults.lost_silently) {
            FlightFate::Silent { landed: false }
        } else if self.chance(|faults| faults.acknowledgement_lost) {
            FlightFate::Silent { landed: true }
        } else if self.chance(|faults| faults.duplicate_sequence) {
            FlightFate::DuplicateSequence
        } else if self.chance(|faults| faults.appended_twice) {
            FlightFate::Twice
        } else {
            FlightFate::Acknowledged
        }
    }

    /// The first flight of `lane` failed: all that its producer has under way fails too, as far as
    /// the producer hears.
    fn break_producer(
        &mut self,
        producer: u64,
        place: &TopicPartition,
        lane: &mut Lane,
        state: &mut State,
        kind: LogErrorKind,
    ) {
        let others = self.lanes.iter_mut().filter(|((owner, _), _)| *owner == producer);
        let others = others.map(|((_, place), lane)| (place, lane));
        lane.silence.get_or_insert(Silence { until_tick: 0, landed: false });
        for (place, lane) in std::iter::once((place, lane)).chain(others) {
            if lane.orphan {
                continue;
            }
            for flight in &lane.flights {
                state.producers.tell(producer, flight.delivery(Err(failed(kind, place))));
            }
            lane.abandon();
        }
        self.lanes.retain(|_, lane| !lane.flights.is_empty());
    }

    fn tick_groups(&mut self, state: &mut State, now_ms: i64) {
        for group in state.groups.values_mut() {
            for (name, dead) in group.names() {
                let noticed = match dead {
                    true => !self.chance(|faults| faults.unnoticed),
                    false => self.chance(|faults| faults.expelled),
                };
                if noticed {
                    group.expel(&name, now_ms);
                }
            }
            group.enforce_deadline(now_ms);
        }
    }
}

impl Lane {
    /// Makes an orphan of it, and settles what a silent first flight came to.
    fn abandon(&mut self) {
        self.orphan = true;
        if let Some(silence) = self.silence.take() {
            self.flights.pop_front();
            self.gap = !silence.landed;
        }
    }
}

impl Flight {
    fn delivery(&self, result: Result<Option<u64>, LogError>) -> Delivery {
        let count = self.records.len() as u64;
        Delivery { first_ticket: self.first_ticket, count, result }
    }
}
