//! Joins of other events and their mails, while an event with many people is called off.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use cityevents_domain::actor::Role;

use super::accounts;
use super::witnesses::{self, Witnesses};
use crate::commands::bench::Plan;
use crate::commands::bench::http::{expected, prime, run, with_events};
use crate::commands::bench::measure::{Goal, Row};
use crate::commands::bench::stage::{ROOMY, Stage, load_runtime};
use crate::load::client::Connection;
use crate::load::crowd::{Ask, Person, publish_event, rush};
use crate::load::joins::Offer;
use crate::output;

/// People of the event that is called off.
const PEOPLE_MAX: usize = 100_000;
/// Joins due each second.
const RATE: u32 = 500;
/// Joins at the same time, at most.
const CONNECTIONS: usize = 64;
/// What is so late is a failure of the server, and given up.
const LATE_MAX: Duration = Duration::from_secs(10);
/// For so long joins are measured, alone and then beside the cancellation.
const SECONDS: Duration = Duration::from_secs(15);

/// Longest wait for mails without one more.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks into a folder of 100,000 files, which take their time.
const LOOK_EVERY: Duration = Duration::from_secs(1);

pub(super) fn measure(plan: &Plan) -> anyhow::Result<Vec<Row>> {
    let people_max = PEOPLE_MAX.min(plan.registrations as usize);
    let folder = plan.folder()?;
    let load = load_runtime()?;
    let mut people = accounts::people(folder.path(), &load, people_max + witnesses::PEOPLE)?;
    let witnesses = people.split_off(people_max);
    let people = Arc::new(people);
    let mut inbox = None;
    let stage = Stage::start(folder.path(), |config| {
        inbox = Some(config.data.dir.join("mails"));
        Ok(())
    })?;
    let inbox = inbox.context("the instance has a folder of mails")?;
    let http = stage.http;
    let owner = Person::new(&stage.signer, Role::User)?;
    let event = load.block_on(async {
        let mut connection = Connection::open(http).await?;
        publish_event(&mut connection, &owner, "Called off", ROOMY, None).await
    })?;
    let path: Arc<str> = format!("/api/events/{event}/join").into();
    let asks = (0..people.len())
        .map(|person| Ask { person, path: path.clone(), key: format!("join-{person}") })
        .collect();
    let bar = output::progress(people.len() as u64, "joining");
    let joined = load.block_on(rush(http, people.clone(), asks, &bar))?;
    bar.finish_and_clear();
    let active = joined.told.iter().filter(|told| told.word == "active").count();
    ensure!(active == people.len(), "{active} of {} people have a place", people.len());
    let (joins, _) = prime(&stage, &load)?;
    let offer = Offer {
        rate: Some(RATE),
        connections: CONNECTIONS,
        warm_up: Duration::from_secs(2),
        seconds: SECONDS,
        late_max: LATE_MAX,
        is_all: false,
    };
    // The mails about their places are written before: what is measured is what the cancellation does.
    wait_for(&inbox, people.len())?;
    let phase = offer.warm_up + offer.seconds;
    let joins = with_events(joins, &stage, &load, expected(Some(RATE), phase * 2))?;
    let event_of_witnesses = stage.publish(&load, 1)?.remove(0).parse()?;
    let (joins, alone) = run(&load, joins.offer(offer))?;
    let started = Instant::now();
    load.block_on(async {
        let mut connection = Connection::open(http).await?;
        let cancel = format!("/api/events/{event}/cancel-event");
        let body = Bytes::from_static(b"{\"reason\": \"flood\"}");
        let told = connection.post_as(&owner.bearer, &cancel, Some("cancel"), body).await?;
        ensure!(told.status.is_success(), "calling it off was answered with {}", told.status);
        anyhow::Ok(())
    })?;
    let witnesses = Witnesses::start(&load, http, event_of_witnesses, witnesses, inbox.clone());
    let (_, beside) = run(&load, joins.offer(offer))?;
    let took = started.elapsed();
    let meanwhile = mails_in(&inbox).saturating_sub(people.len());
    wait_for(&inbox, 2 * people.len())?;
    let mut waited = load.block_on(witnesses.stop())?;
    wait_for(&inbox, 2 * people.len() + waited.len())?;
    let all = started.elapsed();
    stage.stop();
    waited.sort_unstable();
    let milliseconds =
        |wait: Option<&Duration>| wait.copied().unwrap_or_default().as_secs_f64() * 1_000.0;
    let (before, during) =
        (alone.accepted.percentile_ms(50.0), beside.accepted.percentile_ms(50.0));
    let slower = (during / before.max(0.001) - 1.0) * 100.0;
    Ok(vec![
        Row::new("joins of others while an event is called off, slower by", slower, "%")
            .goal(Goal::AtMost(10.0))
            .under(format!(
                "p50 {before:.1} ms alone, {during:.1} ms beside; {} people with accounts, each of \
                 whom gets a mail into a folder, {meanwhile} of them meanwhile; {RATE} joins/s due, \
                 measured for {:.0} s from the cancellation on",
                people.len(),
                took.as_secs_f64()
            )),
        Row::new("    until everybody has the mail", all.as_secs_f64(), "s"),
        Row::new("    p99 alone", alone.accepted.percentile_ms(99.0), "ms"),
        Row::new("    p99 beside", beside.accepted.percentile_ms(99.0), "ms"),
        Row::new("    from a join to its mail meanwhile, p50", milliseconds(waited.get(waited.len() / 2)), "ms")
            .goal(Goal::AtMost(1_000.0))
            .under(format!(
                "{} people who join another event, one after the other, until everybody has the mail",
                waited.len()
            )),
        Row::new("    the slowest", milliseconds(waited.last()), "ms").goal(Goal::AtMost(1_000.0)),
    ])
}

fn mails_in(inbox: &Path) -> usize {
    std::fs::read_dir(inbox).map_or(0, Iterator::count)
}

/// Waits for so many mails, as long as they go on coming.
fn wait_for(inbox: &Path, count: usize) -> anyhow::Result<()> {
    let (mut before, mut since) = (0, Instant::now());
    loop {
        let now = mails_in(inbox);
        if now >= count {
            return Ok(());
        }
        if now > before {
            (before, since) = (now, Instant::now());
        }
        ensure!(since.elapsed() < PATIENCE, "{now} of {count} mails came");
        std::thread::sleep(LOOK_EVERY);
    }
}
