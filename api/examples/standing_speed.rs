//! Measures how long a new instance takes to know how 100,000 accounts stand, and how long an
//! answer takes then: `cargo run --release -p cityevents-api --example standing_speed [BROKERS]`.
//! With brokers the changes are in Kafka, in a topic that is left behind; else in a folder.

#![expect(clippy::print_stdout, reason = "it prints what it measured")]

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cityevents_api::standing::{AccountChanges, AccountStandings, StandingsMetrics};
use cityevents_domain::actor::Role;
use cityevents_domain::ids::UserId;
use cityevents_domain::time::Timestamp;
use cityevents_kit::keys::{Caller, Standings};
use cityevents_runtime::log::kafka::{KafkaLog, KafkaMetrics, KafkaOptions};
use cityevents_runtime::log::local::{LocalLog, LocalOptions};
use cityevents_runtime::log::{Cleanup, Log, Outgoing, TimestampKind, TopicPartition, TopicSpec};
use cityevents_schemas::message::{AccountChange, AccountStatus, encode_account_change};
use uuid::Uuid;

const ACCOUNTS: u32 = 100_000;
const NOW_MS: i64 = 1_790_000_000_000;
const ROUNDS: u32 = 20;

fn account(number: u32) -> UserId {
    let id = u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    UserId::from_bytes(id.to_be_bytes())
}

fn change(number: u32, version: u64) -> AccountChange {
    AccountChange {
        account: account(number),
        version,
        role: Role::Moderator,
        status: AccountStatus::Active,
        revoked_before: Some(Timestamp::from_millis(NOW_MS)),
        kept_session: None,
        updated_at: Timestamp::from_millis(NOW_MS),
        ended_session: None,
    }
}

fn append_all(log: &dyn Log, partition: &TopicPartition) -> Result<(), Box<dyn Error>> {
    let mut producer = log.producer("standing_speed")?;
    let records = (0..ACCOUNTS).map(|number| {
        let change = change(number, 1);
        let mut value = Vec::new();
        encode_account_change(&change, &mut value);
        let key = Some(Bytes::from(change.account.to_string()));
        Outgoing { key, value: Some(value.into()), ..Outgoing::default() }
    });
    producer.append(partition, records.collect())?;
    let (mut deliveries, mut delivered) = (Vec::new(), 0);
    while delivered < u64::from(ACCOUNTS) {
        producer.poll(Duration::from_secs(1), &mut deliveries)?;
        for delivery in deliveries.drain(..) {
            delivery.result?;
            delivered += delivery.count;
        }
    }
    Ok(())
}

fn follow(log: &Arc<dyn Log>, topic: &Arc<str>) -> Result<AccountStandings, Box<dyn Error>> {
    let started_at = Instant::now();
    let standings = AccountStandings::start(log, Arc::clone(topic), StandingsMetrics::default())?;
    while standings.problem().is_some() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let took = started_at.elapsed();
    println!("ready with {} accounts after {:.3} s", standings.accounts(), took.as_secs_f64());
    Ok(standings)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let log: Arc<dyn Log> = match std::env::args().nth(1) {
        Some(brokers) => {
            KafkaLog::connect(KafkaOptions::new(brokers), KafkaMetrics::unregistered())?
        }
        None => LocalLog::open(folder.path(), LocalOptions::default())?,
    };
    let topic: Arc<str> = format!("standing-speed-{}.account-changes", std::process::id()).into();
    log.create_topic(&TopicSpec {
        name: Arc::clone(&topic),
        partitions: 1,
        cleanup: Cleanup::Compact,
        timestamps: TimestampKind::Create,
        durable: true,
    })?;
    append_all(&*log, &TopicPartition::new(Arc::clone(&topic), 0))?;
    follow(&log, &topic)?;
    let (one, other) = (follow(&log, &topic)?, follow(&log, &topic)?);

    // From the call that publishes a ban to its effect in another follower.
    let changes = AccountChanges::start(Arc::clone(&log), Arc::clone(&topic))?;
    let mut longest = Duration::ZERO;
    for round in 0..u64::from(ROUNDS) {
        let started_at = Instant::now();
        changes.publish(&change(7, 2 + round)).await?;
        while other.version(&account(7)) != Some(2 + round) {
            std::thread::yield_now();
        }
        longest = longest.max(started_at.elapsed());
    }
    println!("felt elsewhere after {:.1} ms at most", longest.as_secs_f64() * 1e3);

    let callers = (0..ACCOUNTS).map(|number| Caller {
        user: account(number),
        role: Role::User,
        session: Uuid::nil(),
        issued_at_ms: NOW_MS,
    });
    let callers: Vec<_> = callers.collect();
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let started_at = Instant::now();
        for caller in &callers {
            black_box(one.standing(black_box(caller)));
        }
        best = best.min(started_at.elapsed().as_secs_f64() * 1e6 / f64::from(ACCOUNTS));
    }
    println!("an answer takes {best:.3} µs");
    Ok(())
}
