//! How fast the tables are in ScyllaDB or Cassandra, written as a projection writes them:
//!
//! ```text
//! eval "$(ops/stack env)"
//! cargo run --release --example scylla -p cityevents-views -- [joins]
//! ```
//!
//! Makes a keyspace of its own and drops it at the end.
#![expect(clippy::print_stdout, reason = "it prints its table")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use cityevents_domain::fact::Outcome;
use cityevents_domain::ids::{CommandId, EventId, UserId};
use cityevents_domain::time::Timestamp;
use cityevents_kit::telemetry::MetricsRegistry;
use cityevents_kit::{Breaker, BreakerMetrics, BreakerOptions};
use cityevents_views::scylla::{ScyllaOptions, ScyllaViews, migrate};
use cityevents_views::testing::build::{active, at, counters, waiting};
use cityevents_views::{
    Mutation, OutcomeRow, OutcomeVerdict, ParticipantsQuery, PersonKey, ProgressRow, Views,
    ViewsError, WriteTimestamp,
};
use futures::executor::block_on;
use scylla::client::session_builder::SessionBuilder;
use tokio::runtime::Runtime;

const CAPACITY: u64 = 1_000;
const DAY_MS: i64 = 86_400_000;
const READS: u64 = 5_000;
const PAGES: u64 = 300;
const KEYS: u64 = 500;

type Outcomes<T> = Result<T, Box<dyn std::error::Error>>;

fn id(kind: u8, number: u64) -> [u8; 16] {
    let mut hash = [kind; 16];
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash[..8].copy_from_slice(&mixed.to_be_bytes());
    hash[8..].copy_from_slice(&(mixed.rotate_left(17) ^ number).to_be_bytes());
    hash
}

/// One way of writing.
#[derive(Clone, Copy)]
struct Drain {
    /// Which run it is; each writes rows of its own.
    run: u64,
    partitions: u64,
    /// Joins in a call.
    burst: u64,
    /// Events of a partition.
    events: u64,
}

/// Every event is in one partition.
fn event_id(run: u64, partition: u64, event: u64) -> EventId {
    EventId::from_bytes(id(1, (run * 1_000 + partition) * 1_000_000 + event))
}

fn user_id(run: u64, number: u64) -> UserId {
    UserId::from_bytes(id(2, run * 1_000_000_000 + number))
}

/// One join: the registration and the outcome.
fn join(drain: Drain, partition: u64, number: u64, begin_ms: i64) -> [Mutation; 2] {
    let Drain { run, events, .. } = drain;
    let (event, seq) = (number % events, number / events + 1);
    let user = partition * 100_000_000 + number;
    let joined_at = begin_ms + number as i64;
    let mut row = match seq {
        ..=CAPACITY => active(0, 0, joined_at),
        seq => waiting(0, 0, joined_at, (seq - CAPACITY) as u32),
    };
    (row.event, row.registration.user) = (event_id(run, partition, event), user_id(run, user));
    let outcome = OutcomeRow {
        command: CommandId::from_bytes(id(3, run * 1_000_000_000 + user)),
        event: Some(row.event),
        user: Some(row.registration.user),
        verdict: OutcomeVerdict::Accepted(Outcome::Registration {
            user: row.registration.user,
            status: row.registration.status,
            position: row.position,
            updated_at: at(joined_at),
        }),
        at: at(joined_at),
        expires_at: at(joined_at + DAY_MS),
    };
    [Mutation::new(row, WriteTimestamp(seq)), Mutation::new(outcome, WriteTimestamp(number))]
}

/// Writes `joins` joins from as many threads as there are partitions, with counters and progress
/// behind them. Returns the rows written.
fn write(views: &Views, joins: u64, drain: Drain, begin_ms: i64) -> Outcomes<u64> {
    let each = joins / drain.partitions;
    let work = |partition: u64| -> Result<u64, ViewsError> {
        let mut rows = 0;
        for first in (0..each).step_by(drain.burst as usize) {
            let end = each.min(first + drain.burst);
            let joins = (first..end).flat_map(|number| join(drain, partition, number, begin_ms));
            let mut mutations: Vec<_> = joins.collect();
            for event in 0..drain.events.min(drain.burst) {
                let seq = end / drain.events;
                let mut row = counters(0, seq as u32, seq);
                row.event = event_id(drain.run, partition, event);
                mutations.push(Mutation::new(row, WriteTimestamp(seq)));
            }
            let progress = ProgressRow {
                projection: "bench".to_owned(),
                partition: partition as u32,
                next_offset: end,
                cursor: format!("cursor {end}"),
            };
            mutations.push(Mutation::new(progress, WriteTimestamp(end)));
            rows += mutations.len() as u64;
            block_on(views.write.write(mutations))?;
        }
        Ok(rows)
    };
    std::thread::scope(|scope| {
        let writers: Vec<_> =
            (0..drain.partitions).map(|partition| scope.spawn(move || work(partition))).collect();
        let mut rows = 0;
        for writer in writers {
            rows += writer.join().map_err(|_| "a writer has panicked")??;
        }
        Ok(rows)
    })
}

fn main() -> Outcomes<()> {
    let joins = std::env::args().nth(1).map_or(Ok(100_000), |count| count.parse())?;
    let node = std::env::var("CITYEVENTS_STACK_CASSANDRA")
        .map_err(|_| "start the servers with ops/stack, and eval \"$(ops/stack env)\"")?;
    let keyspace = format!("bench_{}", std::process::id());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let options = ScyllaOptions {
        nodes: vec![node.clone()],
        keyspace: keyspace.clone(),
        replication: "{'class': 'SimpleStrategy', 'replication_factor': 1}".to_owned(),
        request_timeout: Duration::from_secs(5),
        clock: Arc::new(|| Timestamp::from_millis(0)),
        ..ScyllaOptions::default()
    };
    runtime.block_on(migrate(&options))?;
    let measured = measure(&runtime, &options, joins);
    runtime.block_on(async {
        let session = SessionBuilder::new().known_node(node).build().await?;
        session.query_unpaged(format!("DROP KEYSPACE {keyspace}"), ()).await?;
        Outcomes::Ok(())
    })?;
    measured
}

fn measure(runtime: &Runtime, options: &ScyllaOptions, joins: u64) -> Outcomes<()> {
    println!("{joins} joins; rows/s count mutations (registration, outcome, counters, progress)");
    let begin_ms = 1_800_000_000_000;
    for (run, (in_flight_max, partitions, burst, events)) in (0..).zip([
        (256, 4, 500, 1),
        (256, 4, 500, 100),
        (256, 1, 500, 1),
        (256, 4, 2_000, 1),
        (64, 4, 500, 1),
        (1_024, 4, 500, 1),
        (256, 4, 50, 1),
    ]) {
        let options = ScyllaOptions { in_flight_max, ..options.clone() };
        let views = open(runtime, options)?;
        let (began, cpu) = (Instant::now(), cpu_time());
        let rows = write(&views, joins, Drain { run, partitions, burst, events }, begin_ms)?;
        let (took, cpu) = (began.elapsed().as_secs_f64(), (cpu_time() - cpu).as_secs_f64());
        println!(
            "{partitions} partitions with {events:>3} events, {burst:>4} joins a call, \
             {in_flight_max:>4} in flight: {:>6.0} joins/s, {:>6.0} rows/s, {:.1} µs of our CPU a row",
            joins as f64 / took,
            rows as f64 / took,
            cpu * 1e6 / rows as f64
        );
    }
    let views = open(runtime, options.clone())?;
    let event = event_id(0, 0, 0);
    times("registration by key", READS, |number| {
        let user = user_id(0, number % (joins / 4));
        block_on(views.registrations.registration(event, user))
            .map(|row| usize::from(row.is_some()))
    })?;
    times("participants, page of 100", PAGES, |_| {
        let query = ParticipantsQuery { event, status: None, after: None, limit: 100 };
        block_on(views.registrations.participants(query)).map(|page| page.items.len())
    })?;
    times("line, page of 100", PAGES, |_| {
        block_on(views.registrations.waitlist(event, None, 100)).map(|page| page.items.len())
    })?;
    times("key of a person, inserted", KEYS, |number| {
        let user = UserId::from_bytes(id(4, number));
        let key = PersonKey([7; 32]);
        block_on(views.person_keys.insert_person_key_if_absent(user, key)).map(|_| 1)
    })
}

fn open(runtime: &Runtime, options: ScyllaOptions) -> Result<Views, ViewsError> {
    let registry = MetricsRegistry::new("0", "bench");
    let metrics = BreakerMetrics::new(&registry);
    let breaker = Breaker::new("tables", BreakerOptions::default(), &metrics);
    runtime.block_on(ScyllaViews::connect(options, breaker, &registry)).map(Views::of)
}

fn times(
    name: &str,
    count: u64,
    mut call: impl FnMut(u64) -> Result<usize, ViewsError>,
) -> Outcomes<()> {
    let (mut times, mut items) = (Vec::new(), 0);
    for number in 0..count {
        let began = Instant::now();
        items += call(number)?;
        times.push(began.elapsed());
    }
    times.sort_unstable();
    let percentile = |part: usize| times.get(times.len() * part / 100).copied().unwrap_or_default();
    println!(
        "{name:<28} p50 {:?}, p99 {:?} ({:.1} items a call)",
        percentile(50),
        percentile(99),
        items as f64 / count as f64
    );
    Ok(())
}

/// Time that this process was running; zero where the system does not tell.
fn cpu_time() -> Duration {
    let told = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<_> =
        told.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|text| text.parse::<u64>().ok());
    let ticks = ticks(11).unwrap_or(0) + ticks(12).unwrap_or(0);
    // A tick is a hundredth of a second wherever this runs.
    Duration::from_millis(ticks * 10)
}
