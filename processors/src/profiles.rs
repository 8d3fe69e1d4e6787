//! What people did → what they like: a row for each person, with and without an account.
//!
//! A row has the last signals themselves, so many and no more; what they weigh is worked out when it
//! is read, since weights fade while nothing is written. One that comes twice is one, and a row's
//! write timestamp is the offset of its last signal: a person's signals are all in one partition, so
//! writing rows again changes nothing, whoever does it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cityevents_domain::time::{Millis, Timestamp};
use cityevents_runtime::dead_letter::{Circuit, CircuitPolicy, dead_letter};
use cityevents_runtime::host::TaskError;
use cityevents_runtime::log::clock::Clock;
use cityevents_runtime::log::{Log, Outgoing, Producer, Record, TopicPartition};
use cityevents_runtime::topology::Undecodable;
use cityevents_schemas::ErrorClass;
use cityevents_schemas::message::{SignalKind, UserSignal, decode_user_signal};
use cityevents_views::{Mutation, ProfileRow, ProfileSignal, Views, WriteTimestamp};
use futures::executor::block_on;
use futures::future::try_join_all;

use crate::from_views;
use crate::records::RecordSink;

/// Names this topology in groups, progress rows, logs and metrics.
pub const NAME: &str = "profiles";
/// Signals of one person that are kept, the latest.
pub const SIGNALS_MAX: usize = 100;
/// What somebody did longer before their last signal tells nothing any more.
const REMEMBERED: Millis = Millis::hours(30 * 24);
/// How long the log may take for a dead letter.
const APPEND_WAIT: Duration = Duration::from_secs(10);

/// What the sinks are made of.
#[derive(Clone)]
pub struct Options {
    /// Where dead letters go.
    pub log: Arc<dyn Log>,
    /// Signals that cannot be read, by full name, with the partition count.
    pub dead_letters: (Arc<str>, u32),
    /// The rows.
    pub views: Views,
    /// Stamps dead letters.
    pub clock: Arc<dyn Clock>,
}

/// The sink of one partition.
pub struct Profiles {
    options: Options,
    circuit: Circuit,
    /// Made with the first dead letter.
    producer: Option<Box<dyn Producer>>,
}

impl Profiles {
    /// Without any signal yet.
    pub const fn new(options: Options) -> Self {
        let circuit = Circuit::new(CircuitPolicy {
            run_max: 20,
            window_failures_max: 100,
            window_records: 1_000,
        });
        Self { options, circuit, producer: None }
    }

    /// A record that nobody can read is kept, and passed once the log has it.
    fn keep(
        &mut self,
        place: &TopicPartition,
        record: &Record,
        error: &Undecodable,
    ) -> Result<(), TaskError> {
        if self.circuit.failed() {
            return Err(TaskError::Stop(format!(
                "too many signals of {place} cannot be read, the last one at offset {}: {error}; \
                 upgrade this program, or find out who writes them",
                record.offset
            )));
        }
        let letter = dead_letter(place, record, "DECODE", error, self.options.clock.now_ms());
        let (topic, count) = &self.options.dead_letters;
        let to = TopicPartition::new(topic.clone(), place.partition % count.max(&1));
        let producer = match &mut self.producer {
            Some(producer) => producer,
            none => none.insert(self.options.log.producer(NAME)?),
        };
        append(&mut **producer, &to, letter)
    }
}

/// Appends a record and waits until the log has it.
fn append(
    producer: &mut dyn Producer,
    to: &TopicPartition,
    record: Outgoing,
) -> Result<(), TaskError> {
    let ticket = producer.append(to, vec![record])?;
    let deadline = Instant::now() + APPEND_WAIT;
    let mut deliveries = Vec::new();
    while Instant::now() < deadline {
        producer.poll(deadline.saturating_duration_since(Instant::now()), &mut deliveries)?;
        for delivery in deliveries.drain(..) {
            delivery.result?;
            if ticket < delivery.first_ticket + delivery.count {
                return Ok(());
            }
        }
    }
    Err(TaskError::Restart(format!("the append to {to} was not acknowledged in time")))
}

impl RecordSink for Profiles {
    fn rows(
        &mut self,
        place: &TopicPartition,
        records: &[Record],
    ) -> Result<Vec<Mutation>, TaskError> {
        let mut people: BTreeMap<[u8; 16], (u64, Vec<ProfileSignal>)> = BTreeMap::new();
        for record in records {
            match decode_user_signal(record.value.as_deref().unwrap_or_default()) {
                Ok(signal) => {
                    self.circuit.succeeded(1);
                    let (offset, signals) = people.entry(signal.person.id).or_default();
                    *offset = record.offset;
                    signals.push(kept(&signal));
                }
                Err(error) if error.class() == ErrorClass::Retry => {
                    return Err(TaskError::Restart(format!(
                        "the signal at {place} offset {} cannot be read now: {error}",
                        record.offset
                    )));
                }
                Err(error) => {
                    let reason = error.to_string();
                    let error = Undecodable { class: error.kind(), reason, is_temporary: false };
                    self.keep(place, record, &error)?;
                }
            }
        }
        let profiles = &self.options.views.profiles;
        // As long as a row is there it tells something.
        let reads = people.keys().map(|person| profiles.profile(*person, Timestamp::MIN));
        let before = block_on(try_join_all(reads)).map_err(from_views)?;
        let rows = people.into_iter().zip(before).map(|((person, (offset, signals)), before)| {
            let known = before.map(|row| row.signals).unwrap_or_default();
            let row = merged(person, known, signals);
            Mutation::new(row, WriteTimestamp(offset))
        });
        Ok(rows.collect())
    }
}

fn kept(signal: &UserSignal) -> ProfileSignal {
    let mut event = [0; 8];
    event.copy_from_slice(&signal.event.as_bytes()[8..]);
    ProfileSignal {
        at: signal.at,
        is_join: signal.kind == SignalKind::Join,
        event,
        category: signal.category.clone(),
    }
}

/// What is known of a person with some more signals. Pure.
fn merged(person: [u8; 16], known: Vec<ProfileSignal>, more: Vec<ProfileSignal>) -> ProfileRow {
    let all: BTreeSet<_> = known.into_iter().chain(more).collect();
    let at = all.last().map_or(Timestamp::MIN, |last| last.at);
    let mut signals: Vec<_> = all.into_iter().filter(|one| one.at > at - REMEMBERED).collect();
    let too_many = signals.len().saturating_sub(SIGNALS_MAX);
    signals.drain(..too_many);
    ProfileRow { person, signals, at, expires_at: at + REMEMBERED }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use cityevents_domain::ids::EventId;
    use cityevents_runtime::log::clock::ManualClock;
    use cityevents_runtime::log::memory::MemoryLog;
    use cityevents_runtime::log::{
        Cleanup, Headers, Isolation, PollLimit, TimestampKind, TopicSpec,
    };
    use cityevents_schemas::message::{Person, PersonKind, encode_user_signal};

    use super::*;

    const ADA: [u8; 16] = [1; 16];

    fn record(offset: u64, person: [u8; 16], event: u8, at_ms: i64) -> Record {
        let signal = UserSignal {
            person: Person { id: person, kind: PersonKind::Visitor },
            kind: if event.is_multiple_of(2) { SignalKind::Join } else { SignalKind::View },
            event: EventId::from_bytes([event; 16]),
            category: format!("c{event}"),
            at: Timestamp::from_millis(at_ms),
        };
        let mut value = Vec::new();
        encode_user_signal(&signal, &mut value);
        let (key, value) = (Some(Bytes::from_static(b"k")), Some(Bytes::from(value)));
        Record { offset, timestamp_ms: at_ms, key, value, headers: Headers::empty() }
    }

    fn sink() -> (Profiles, Arc<dyn Log>) {
        let log: Arc<dyn Log> = Arc::new(MemoryLog::new(ManualClock::new(0)));
        log.create_topic(&TopicSpec {
            name: "dead".into(),
            partitions: 1,
            cleanup: Cleanup::Delete { retention: None },
            timestamps: TimestampKind::Create,
            durable: true,
        })
        .unwrap();
        let options = Options {
            log: log.clone(),
            dead_letters: ("dead".into(), 1),
            views: Views::memory(),
            clock: Arc::new(ManualClock::new(7)),
        };
        (Profiles::new(options), log)
    }

    fn write(sink: &mut Profiles, records: &[Record]) {
        let rows = sink.rows(&TopicPartition::new("signals", 2), records).unwrap();
        block_on(sink.options.views.write.write(rows)).unwrap();
    }

    fn read(sink: &Profiles, person: [u8; 16]) -> Option<ProfileRow> {
        block_on(sink.options.views.profiles.profile(person, Timestamp::MIN)).unwrap()
    }

    #[test]
    fn signals_that_come_twice_or_late_change_nothing() {
        let (mut sink, _log) = sink();
        let all: Vec<_> = (1..8).map(|at| record(at, ADA, at as u8, at as i64 * 1_000)).collect();
        write(&mut sink, &all[..4]);
        write(&mut sink, &[record(5, [2; 16], 9, 1)]);
        write(&mut sink, &all[4..]);
        let row = read(&sink, ADA).unwrap();
        assert_eq!(row.signals.len(), 7);
        assert_eq!(row.at, Timestamp::from_millis(7_000));
        assert!(row.signals[1].is_join && !row.signals[0].is_join);
        for again in [&all[..], &all[..3], &all[2..5]] {
            write(&mut sink, again);
            assert_eq!(read(&sink, ADA), Some(row.clone()));
        }
        assert_eq!(read(&sink, [2; 16]).unwrap().signals.len(), 1);
    }

    #[test]
    fn a_profile_has_the_last_hundred_signals_of_a_month() {
        let (mut sink, _log) = sink();
        let month_ms = 30 * 86_400_000;
        write(&mut sink, &[record(0, ADA, 1, 0), record(1, ADA, 2, 1)]);
        write(&mut sink, &[record(2, ADA, 3, month_ms)]);
        assert_eq!(read(&sink, ADA).unwrap().signals.len(), 2);
        let many: Vec<_> =
            (3..203).map(|at| record(at, ADA, at as u8, month_ms + at as i64)).collect();
        write(&mut sink, &many);
        let row = read(&sink, ADA).unwrap();
        assert_eq!(row.signals.len(), SIGNALS_MAX);
        assert_eq!(row.signals[0].at, Timestamp::from_millis(month_ms + 103));
    }

    #[test]
    fn what_cannot_be_read_is_kept_and_too_much_of_it_stops_the_reader() {
        let (mut sink, log) = sink();
        let broken = Record { value: Some(Bytes::from_static(b"x")), ..record(3, ADA, 1, 5) };
        write(&mut sink, &[record(2, ADA, 1, 5), broken.clone(), record(4, ADA, 2, 6)]);
        assert_eq!(read(&sink, ADA).unwrap().signals.len(), 2);
        let place = TopicPartition::new("dead", 0);
        let mut letters = Vec::new();
        let mut reader = log.reader(&place, 0, Isolation::Committed).unwrap();
        let limit = PollLimit { records: 10, bytes: 1 << 20 };
        reader.poll(limit, Duration::ZERO, &mut letters).unwrap();
        assert_eq!(letters.len(), 1);
        assert_eq!(letters[0].value, broken.value);
        assert_eq!(letters[0].headers.get_text("__connect.errors.offset"), Some("3"));
        let stopped = sink.rows(&TopicPartition::new("signals", 2), &vec![broken; 30]);
        assert!(matches!(stopped, Err(TaskError::Stop(_))), "{stopped:?}");
    }
}
