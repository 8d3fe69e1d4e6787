//! Views of events: how many are folded a second, what they take in memory, and how many are taken
//! in over HTTP.
//!
//! Folding is measured in processor time of one thread, records decoded and counted as a partition
//! of the topology does it, and beside it a null loop: the same pairs of person and event, each one
//! entry in a hash set of the standard library.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use cityevents_domain::actor::Actor;
use cityevents_domain::event::{Capacity, Counters, Event, EventFields, EventStatus};
use cityevents_domain::fact::{Change, EventCause, Fact, Outcome};
use cityevents_domain::ids::{CommandId, EventId, UserId};
use cityevents_domain::registration::{Registration, RegistrationCause, RegistrationStatus};
use cityevents_domain::time::Timestamp;
use cityevents_processors::trending::{TOGETHER, Trending};
use cityevents_schemas::message::{
    Engagement, EngagementKind, Person, PersonKind, decode_engagement, encode_engagement,
};
use hyper::StatusCode;
use serde_json::json;
use tokio::task::JoinSet;

use super::Plan;
use super::http::run;
use super::measure::{Goal, Row, ThreadTimes, per_second, process_cpu, resident_bytes, thread_cpu};
use super::stage::{Stage, load_runtime};
use super::workload::{START_MS, user_of};
use crate::load::client::Connection;

/// Events of one partition: a million in 4 of them, in 500 cities.
const EVENTS: u64 = 250_000;
const CITIES: u64 = 500;
/// Hours in which an event was joined; each event has another number of them, up to this.
const JOINED_HOURS_MAX: u64 = 24;
/// Records made at once.
const BLOCK: u64 = 8_192;
/// People who look.
const PEOPLE: u64 = 4_000_000;
/// Views after which a run ends: as many pairs are remembered.
const VIEWS_MAX: u64 = 8_000_000;
/// Signals of one request.
const SIGNALS: usize = 500;
/// Requests under way.
const CONNECTIONS: usize = 8;

pub(super) fn measure(plan: &Plan) -> anyhow::Result<Vec<Row>> {
    let mut rows = fold(plan)?;
    rows.push(track(plan)?);
    Ok(rows)
}

fn event_of(number: u64) -> EventId {
    EventId::of_create(&CommandId::from_bytes((u128::from(number) + 1).to_be_bytes()))
}

fn fact(number: u64, seq: u64, at_ms: i64, change: Change, active: u32) -> Fact {
    let at = Timestamp::from_millis(at_ms);
    Fact {
        event: event_of(number),
        event_seq: seq,
        command: CommandId::from_bytes([0; 16]),
        command_digest: 0,
        at,
        actor: Actor::System,
        changes: vec![change],
        counters: Counters { active, waiting: 0, checked_in: 0 },
        outcome: Outcome::Done { at },
    }
}

fn published(number: u64) -> Change {
    let at = Timestamp::from_millis(START_MS);
    let start = Timestamp::from_millis(START_MS + 86_400_000 * (1 + (number % 90) as i64));
    let event = Box::new(Event {
        id: event_of(number),
        owner: user_of(0),
        fields: EventFields {
            title: "Measured".to_owned(),
            description: "Made by a load run.".to_owned(),
            city: format!("City number {}", number % CITIES),
            category: ["music", "film", "sport", "food"][(number % 4) as usize].to_owned(),
            location: String::new(),
            start_time: start,
            end_time: Timestamp::from_millis(start.as_millis() + 7_200_000),
            capacity: Capacity::Unlimited,
            waitlist_limit: None,
            opens_at: None,
            cover_image_ids: Vec::new(),
        },
        status: EventStatus::Published,
        version: 1,
        created_at: at,
        updated_at: at,
        published_at: Some(at),
        canceled_at: None,
    });
    Change::Event { cause: EventCause::Published, event, reason: None }
}

fn joined(user: UserId, at_ms: i64) -> Change {
    let at = Timestamp::from_millis(at_ms);
    let registration = Registration {
        user,
        status: RegistrationStatus::Active,
        joined_at: at,
        updated_at: at,
        ticket: None,
        checked_in_at: None,
    };
    let cause = RegistrationCause::Joined;
    Change::Registration { cause, registration, position: None, reason: None }
}

/// A partition's events with joins of the last days, in the lists.
fn partition() -> Trending {
    let mut state = Trending::default();
    let mut signals = Vec::new();
    for number in 0..EVENTS {
        state.fold_fact(&fact(number, 1, START_MS, published(number), 0), &mut signals);
        let hours = number * 7 % (JOINED_HOURS_MAX + 1);
        for hour in 0..hours {
            let at_ms = START_MS + 3_600_000 * hour as i64;
            let join = joined(user_of(hour), at_ms);
            state.fold_fact(&fact(number, 2 + hour, at_ms, join, 1 + hour as u32), &mut signals);
            signals.clear();
        }
    }
    state.advance(now(), &mut Vec::new());
    state
}

fn now() -> Timestamp {
    Timestamp::from_millis(START_MS + 3_600_000 * JOINED_HOURS_MAX as i64)
}

/// The next views: some events are looked at more than others.
fn views(from: u64, out: &mut Vec<(Vec<u8>, EventId, UserId)>) {
    out.clear();
    for number in from..from + BLOCK {
        let mixed = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let (one, other) = (mixed >> 32, mixed & 0xffff_ffff);
        let event = event_of((((one * one) >> 32) * EVENTS) >> 32);
        let person = user_of((other * PEOPLE) >> 32);
        let mut record = Vec::with_capacity(96);
        let engagement = Engagement {
            event,
            person: Person { id: *person.as_bytes(), kind: PersonKind::Visitor },
            kind: EngagementKind::View,
            feed: None,
            position: None,
            request_id: None,
            at: now(),
        };
        encode_engagement(&engagement, &mut record);
        out.push((record, event, person));
    }
}

fn fold(plan: &Plan) -> anyhow::Result<Vec<Row>> {
    let memory = || resident_bytes("self").context("memory cannot be read here");
    let before = memory()?;
    let mut state = partition();
    let events_bytes = memory()?.saturating_sub(before) as f64 / EVENTS as f64;
    let (mut block, mut signals) = (Vec::new(), Vec::new());
    let (mut done, mut spent, mut advancing) = (0, Duration::ZERO, Duration::ZERO);
    while spent < plan.seconds && done < VIEWS_MAX {
        views(done, &mut block);
        let started = thread_cpu();
        for block in block.chunks(TOGETHER) {
            let read = block.iter().map(|(record, ..)| decode_engagement(record));
            let read = read.collect::<Result<Vec<_>, _>>()?;
            state.warm(read.iter());
            for engagement in &read {
                state.fold_engagement(engagement, now(), &mut signals);
            }
        }
        spent += thread_cpu() - started;
        signals.clear();
        done += BLOCK;
        // A quarter of a second of views at the goal.
        if done % (32 * BLOCK) == 0 {
            let started = thread_cpu();
            state.advance(now(), &mut Vec::new());
            advancing += thread_cpu() - started;
        }
    }
    let people = state.people() as f64;
    let person_bytes = state.people_bytes() as f64 / people.max(1.0);
    drop(state);
    let mut null = HashSet::new();
    let mut null_spent = Duration::ZERO;
    for from in (0..done).step_by(BLOCK as usize) {
        views(from, &mut block);
        let started = thread_cpu();
        for (_, event, person) in &block {
            null.insert((*event, *person));
        }
        null_spent += thread_cpu() - started;
    }
    let rate = |spent: Duration| done as f64 / 1e6 / spent.as_secs_f64().max(1e-9);
    Ok(vec![
        Row::new("signals decoded and folded", rate(spent), "M/s").goal(Goal::AtLeast(1.0)).under(
            format!(
                "processor time of one thread; {done} views of {EVENTS} events in {CITIES} cities"
            ),
        ),
        Row::new("    null loop on the same pairs", rate(null_spent), "M/s"),
        Row::new("    with the lists brought up to date", rate(spent + advancing), "M/s")
            .under(format!("after every {} views", 32 * BLOCK)),
        Row::new("an active event", events_bytes, "bytes").goal(Goal::AtMost(400.0)).under(
            format!(
                "resident memory, allocator and lists included; joined in up to {JOINED_HOURS_MAX} \
             different hours"
            ),
        ),
        Row::new("a person who looked at an event", person_bytes, "bytes")
            .goal(Goal::AtMost(16.0))
            .under(format!("{people:.0} of them")),
    ])
}

/// What the requests share.
struct Looking {
    bodies: Vec<Bytes>,
    accepted: AtomicU64,
    window: (Instant, Instant),
}

fn track(plan: &Plan) -> anyhow::Result<Row> {
    let folder = plan.folder()?;
    let stage = match &plan.target.url {
        Some(url) => Stage::attach(url, &plan.target)?,
        None => Stage::start(folder.path(), |_| Ok(()))?,
    };
    let load = load_runtime()?;
    let events = stage.publish(&load, 64)?;
    let body = |number: usize| {
        let view = |place| {
            let event = &events[(number + place) % events.len()];
            json!({ "event_type": "view", "event_id": event, "feed_type": "trending",
                "position": place })
        };
        serde_json::to_vec(&(0..SIGNALS).map(view).collect::<Vec<_>>()).map(Bytes::from)
    };
    let bodies = (0..64).map(body).collect::<Result<Vec<_>, _>>()?;
    let start = Instant::now();
    let window = (start + plan.warm_up, start + plan.warm_up + plan.seconds);
    let looking = Arc::new(Looking { bodies, accepted: AtomicU64::new(0), window });
    let people = stage.people(CONNECTIONS)?;
    let (before, times) = (process_cpu(), ThreadTimes::now());
    let (shared, http) = (looking.clone(), stage.http);
    run(&load, async move {
        let mut all = JoinSet::new();
        for person in people {
            let looking = shared.clone();
            all.spawn(async move {
                let mut connection = Connection::open(http).await?;
                for body in looking.bodies.iter().cycle() {
                    let path = "/api/feed/track";
                    let answer =
                        connection.post_as(&person.bearer, path, None, body.clone()).await?;
                    let status = answer.status;
                    ensure!(status == StatusCode::ACCEPTED, "signals were answered with {status}");
                    let now = Instant::now();
                    if now >= looking.window.1 {
                        break;
                    }
                    if now >= looking.window.0 {
                        looking.accepted.fetch_add(SIGNALS as u64, Ordering::Relaxed);
                    }
                }
                anyhow::Ok(())
            });
        }
        while let Some(sent) = all.join_next().await {
            sent??;
        }
        Ok(())
    })?;
    let cpu = (process_cpu() - before).as_secs_f64();
    let threads = ThreadTimes::now().since(&times);
    stage.stop();
    let accepted = looking.accepted.load(Ordering::Relaxed);
    Ok(Row::new("signals taken in over HTTP", per_second(accepted, plan.seconds), "/s")
        .goal(Goal::AtLeast(100_000.0))
        .under(format!(
            "durable, arrays of {SIGNALS}, {CONNECTIONS} connections, folded beside it; processor \
             seconds {cpu:.1}: {threads}"
        )))
}
