//! How fast the embedded tables are: `cargo run --release --example bench -p cityevents-views`.
//! An argument other than the default of 1,000,000 sets the number of events.
#![expect(clippy::print_stdout, reason = "it prints its table")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use cityevents_domain::event::Capacity;
use cityevents_domain::fact::Outcome;
use cityevents_domain::ids::{CommandId, EventId, UserId};
use cityevents_domain::registration::RegistrationStatus;
use cityevents_views::embedded::{EmbeddedViews, Options};
use cityevents_views::testing::build::{active, at, counters, event, in_city, waiting};
use cityevents_views::{
    Mutation, OutcomeRow, OutcomeVerdict, ParticipantsQuery, ReadEvents, ReadRegistrations,
    ViewsError, WriteTables, WriteTimestamp,
};
use futures::executor::block_on;

const BATCH: u64 = 1_000;
const JOINS: u64 = 300_000;
const READS: u64 = 1_000_000;
const PAGES: u64 = 10_000;
const DAY_MS: i64 = 86_400_000;

/// Spreads numbers evenly and without order.
const fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Ids as they are in life: hashes.
fn id(kind: u64, number: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    let (high, low) = bytes.split_at_mut(8);
    high.copy_from_slice(&mixed(number ^ (kind << 56)).to_be_bytes());
    low.copy_from_slice(&number.to_be_bytes());
    bytes
}

fn event_id(number: u64) -> EventId {
    EventId::from_bytes(id(1, number))
}

fn user_id(number: u64) -> UserId {
    UserId::from_bytes(id(2, number))
}

fn command_id(number: u64) -> CommandId {
    CommandId::from_bytes(id(3, number))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let events = std::env::args().nth(1).map_or(Ok(1_000_000), |count| count.parse())?;
    let dir = tempfile::tempdir()?;
    let views = EmbeddedViews::open(dir.path(), Options::default())?;

    write_events(&views, events)?;
    write_joins(&views)?;
    let started = Instant::now();
    block_on(views.flush())?;
    println!("flush                        {:?}", started.elapsed());
    println!("table files                  {} MB", views.disk_bytes() >> 20);

    read_points(&views, events)?;
    pages("participants, page of 20", |number| {
        let query = ParticipantsQuery {
            event: event_id(number % 100),
            status: (number % 2 == 0).then_some(RegistrationStatus::Active),
            after: None,
            limit: 20,
        };
        block_on(views.participants(query)).map(|page| page.items.len())
    })?;
    pages("line, page of 20", |number| {
        let after = Some((mixed(number) % 1_000) as u32);
        block_on(views.waitlist(event_id(number % 100), after, 20)).map(|page| page.items.len())
    })?;
    Ok(())
}

fn write_events(views: &EmbeddedViews, count: u64) -> Result<(), ViewsError> {
    let started = Stopwatch::start();
    for first in (0..count).step_by(BATCH as usize) {
        let row = |number: u64| {
            let start = (mixed(number) % (365 * DAY_MS as u64)) as i64;
            let mut row = in_city(event(number, start), &format!("City {}", number % 100));
            row.event.id = event_id(number);
            row.event.owner = user_id(number % 10_000);
            row.event.fields.capacity = Capacity::Unlimited;
            Mutation::new(row, WriteTimestamp(2))
        };
        block_on(views.write((first..count.min(first + BATCH)).map(row).collect()))?;
    }
    report("events written", count, &started);
    Ok(())
}

/// As a drop writes them: of each join the registration, the counters and the outcome.
fn write_joins(views: &EmbeddedViews) -> Result<(), ViewsError> {
    let started = Stopwatch::start();
    let mut rows = 0;
    for first in (0..JOINS).step_by(BATCH as usize / 3) {
        let mut mutations = Vec::new();
        for number in first..JOINS.min(first + BATCH / 3) {
            let (event, user, timestamp) = (number % 100, mixed(number) % 50_000, number / 100 + 1);
            let joined_at = number as i64;
            let mut row = match timestamp {
                ..=1_000 => active(event, user, joined_at),
                ticket => waiting(event, user, joined_at, ticket as u32),
            };
            (row.event, row.registration.user) = (event_id(event), user_id(user));
            let mut counters = counters(event, timestamp as u32, timestamp);
            counters.event = row.event;
            let outcome = OutcomeRow {
                command: command_id(mixed(number)),
                event: Some(event_id(event)),
                user: Some(user_id(user)),
                verdict: OutcomeVerdict::Accepted(Outcome::Registration {
                    user: user_id(user),
                    status: row.registration.status,
                    position: row.position,
                    updated_at: at(joined_at),
                }),
                at: at(joined_at),
                expires_at: at(joined_at + DAY_MS),
            };
            let seq = WriteTimestamp(timestamp);
            mutations.push(Mutation::new(row, seq));
            mutations.push(Mutation::new(counters, seq));
            mutations.push(Mutation::new(outcome, WriteTimestamp(number)));
        }
        rows += mutations.len() as u64;
        block_on(views.write(mutations))?;
    }
    report("rows of joins written", rows, &started);
    Ok(())
}

fn read_points(views: &EmbeddedViews, events: u64) -> Result<(), ViewsError> {
    let started = Stopwatch::start();
    for number in 0..READS {
        let key = number % JOINS;
        let (event, user) = (event_id(key % 100), user_id(mixed(key) % 50_000));
        black_box(block_on(views.registration(event, user))?);
    }
    report("registrations read", READS, &started);
    let started = Stopwatch::start();
    for number in 0..READS {
        black_box(block_on(views.event(event_id(mixed(number) % events)))?);
    }
    report("events read", READS, &started);
    Ok(())
}

fn pages(
    name: &str,
    mut page: impl FnMut(u64) -> Result<usize, ViewsError>,
) -> Result<(), ViewsError> {
    let (mut times, mut items) = (Vec::new(), 0);
    let begun = cpu_time();
    for number in 0..PAGES {
        let started = Instant::now();
        items += page(number)?;
        times.push(started.elapsed());
    }
    let on_cpu = cpu_time().saturating_sub(begun) / PAGES as u32;
    times.sort_unstable();
    let mean = times.iter().sum::<Duration>() / PAGES as u32;
    let percentile = |part: usize| times[times.len() * part / 100];
    println!(
        "{name:<28} mean {mean:?}, p50 {:?}, p99 {:?}, {on_cpu:?} on the processor ({} items a page)",
        percentile(50),
        percentile(99),
        items as u64 / PAGES
    );
    Ok(())
}

fn report(name: &str, count: u64, started: &Stopwatch) {
    let (took, on_cpu) = (started.wall.elapsed(), cpu_time().saturating_sub(started.cpu));
    let rate = |time: Duration| count as f64 / time.as_secs_f64();
    println!(
        "{name:<28} {count} in {took:.2?}: {:.0}/s, {:.0}/s on the processor",
        rate(took),
        rate(on_cpu)
    );
}

/// Time by the clock, and time that this thread was running: on a busy machine they differ.
struct Stopwatch {
    wall: Instant,
    cpu: Duration,
}

impl Stopwatch {
    fn start() -> Self {
        Self { wall: Instant::now(), cpu: cpu_time() }
    }
}

/// Zero where the system does not tell.
fn cpu_time() -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = told.split(' ').next().and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.unwrap_or_default())
}
