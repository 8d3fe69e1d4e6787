//! The tables and the flat topics against a fold of the facts, as soon as both have caught up.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use cityevents_domain::event::Event;
use cityevents_domain::ids::{EventId, UserId};
use cityevents_domain::registration::Registration;
use cityevents_domain::state::{EventState, Slot};
use cityevents_processors::registration::Registration as Topology;
use cityevents_processors::{projection, publisher};
use cityevents_runtime::log::{Isolation, PollLimit, TopicPartition};
use cityevents_runtime::standby::{Source, Standby};
use cityevents_schemas::catalog::Topic;
use cityevents_schemas::message::{decode_event, decode_registration};
use cityevents_schemas::topic;
use cityevents_views::{ParticipantsQuery, Views};
use tokio::runtime::Runtime;

use crate::admin::Context;

const READ: PollLimit = PollLimit { records: 8_192, bytes: 8 << 20 };
const READ_WAIT: Duration = Duration::from_secs(1);
const PAGE: usize = 500;
/// Time for projection and publisher to catch up, behind a fault and all of its load.
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(180);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A topic that gives nothing for so long has given everything.
const QUIET_FOR: Duration = Duration::from_secs(10);

/// What the facts make of the events of one load.
pub(super) struct Fold(Vec<Standby<Topology>>);

impl Fold {
    /// Folds all facts, without any snapshot.
    pub(super) fn new(context: &Context) -> anyhow::Result<Self> {
        let source = Source { snapshots: None, ..context.source.clone() };
        let fold = |partition| Standby::restore(&source, partition, Topology::default);
        let folds: Result<_, _> = (0..context.partitions).map(fold).collect();
        Ok(Self(folds?))
    }

    /// The open events among these.
    pub(super) fn events(&self, wanted: &HashSet<EventId>) -> Vec<&EventState> {
        let slots = self.0.iter().flat_map(|standby| standby.topology().state().iter());
        let open = slots.filter_map(|slot| match slot {
            Slot::Open(state) if wanted.contains(&state.event().id) => Some(&**state),
            Slot::Open(_) | Slot::Closed(_) => None,
        });
        open.collect()
    }
}

/// Waits until the tables have everything below these ends.
pub(super) fn wait_for_tables(
    runtime: &Runtime,
    views: &Views,
    ends: &[u64],
) -> anyhow::Result<()> {
    let deadline = Instant::now() + CAUGHT_UP_WITHIN;
    for (partition, end) in (0..).zip(ends) {
        loop {
            let read = views.progress.progress(projection::NAME.to_owned(), partition);
            let row = runtime.block_on(read);
            if matches!(&row, Ok(Some(row)) if row.next_offset >= *end) {
                break;
            }
            if Instant::now() >= deadline {
                bail!(
                    "the tables have not caught up with partition {partition} at {end} after \
                     {CAUGHT_UP_WITHIN:?}: {row:?}"
                );
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
    Ok(())
}

/// Waits until the flat topics have everything below these ends.
pub(super) fn wait_for_publisher(context: &Context, ends: &[u64]) -> anyhow::Result<()> {
    let group = format!("{}{}", context.prefix, publisher::NAME);
    let deadline = Instant::now() + CAUGHT_UP_WITHIN;
    for (partition, end) in (0..).zip(ends) {
        let facts = TopicPartition::new(context.source.facts.clone(), partition);
        loop {
            let committed = context.log().committed(&group, &facts);
            if matches!(&committed, Ok(Some(committed)) if committed.offset >= *end) {
                break;
            }
            if Instant::now() >= deadline {
                bail!(
                    "the flat topics have not caught up with {facts} at {end} after \
                     {CAUGHT_UP_WITHIN:?}: {committed:?}"
                );
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
    Ok(())
}

/// Differences between the tables and the fold, in words.
pub(super) fn compare_tables(
    runtime: &Runtime,
    views: &Views,
    events: &[&EventState],
) -> anyhow::Result<Vec<String>> {
    let mut differences = Vec::new();
    for state in events {
        let id = state.event().id;
        let mut differs = |what: &str, row: String, fold: String| {
            if row != fold {
                differences.push(format!("{what} of {id}: row {row}, facts {fold}"));
            }
        };
        let row = runtime.block_on(views.events.event(id))?.map(|row| row.event);
        differs("event", format!("{row:?}"), format!("{:?}", Some(state.event())));
        let row = runtime.block_on(views.counters.counters(id))?;
        let row = row.map(|row| (row.counters, row.event_seq));
        differs(
            "counters",
            format!("{row:?}"),
            format!("{:?}", Some((state.counters(), state.seq()))),
        );
        let mut rows = runtime.block_on(participants(views, id))?;
        for entry in state.registrations().iter() {
            let row = rows.remove(&entry.user());
            differs("registration", format!("{row:?}"), format!("{:?}", Some(entry.row())));
        }
        for user in rows.into_keys() {
            differs("registration", user.to_string(), "none".to_owned());
        }
        let people = state.registrations();
        let line = state.line().iter().filter_map(|(_, slot)| people.at(slot));
        let line: Vec<_> = line.map(|entry| entry.user()).collect();
        let row = runtime.block_on(waitlist(views, id))?;
        differs("line", format!("{row:?}"), format!("{line:?}"));
    }
    Ok(differences)
}

async fn participants(
    views: &Views,
    event: EventId,
) -> anyhow::Result<BTreeMap<UserId, Registration>> {
    let mut rows = BTreeMap::new();
    let mut after = None;
    loop {
        let query = ParticipantsQuery { event, status: None, after, limit: PAGE };
        let page = views.registrations.participants(query).await?;
        for row in page.items {
            let user = row.registration.user;
            if rows.insert(user, row.registration).is_some() {
                bail!("{user} stands twice in the list of {event}");
            }
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(rows),
        }
    }
}

async fn waitlist(views: &Views, event: EventId) -> anyhow::Result<Vec<UserId>> {
    let mut line = Vec::new();
    let mut after = None;
    loop {
        let page = views.registrations.waitlist(event, after, PAGE).await?;
        line.extend(page.items.iter().map(|row| row.registration.user));
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(line),
        }
    }
}

/// Differences between the last records of the flat topics and the fold, in words.
pub(super) fn compare_flat(
    context: &Context,
    events: &[&EventState],
) -> anyhow::Result<Vec<String>> {
    let wanted: HashSet<_> = events.iter().map(|state| state.event().id).collect();
    let mut published: HashMap<EventId, Event> = HashMap::new();
    each_record(context, &topic::EVENTS, |value| {
        let event = decode_event(value)?;
        if wanted.contains(&event.id) {
            published.insert(event.id, event);
        }
        Ok(())
    })?;
    let mut people: HashMap<(EventId, UserId), Registration> = HashMap::new();
    each_record(context, &topic::REGISTRATIONS, |value| {
        let row = decode_registration(value)?;
        if wanted.contains(&row.event) {
            people.insert((row.event, row.registration.user), row.registration);
        }
        Ok(())
    })?;
    let mut differences = Vec::new();
    for state in events {
        let id = state.event().id;
        if published.get(&id) != Some(state.event()) {
            differences.push(format!("event {id} is not published as the facts have it"));
        }
        for entry in state.registrations().iter() {
            let last = people.remove(&(id, entry.user()));
            if last != Some(entry.row()) {
                differences.push(format!(
                    "registration of {} in {id}: published {last:?}, facts {:?}",
                    entry.user(),
                    entry.row()
                ));
            }
        }
    }
    let more = people.into_keys();
    differences
        .extend(more.map(|(id, user)| format!("{user} in {id} is published, without facts")));
    Ok(differences)
}

fn each_record(
    context: &Context,
    topic: &Topic,
    mut take: impl FnMut(&[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    for number in 0..topic.partitions(context.partitions) {
        let partition = context.partition(topic, number);
        let high = context.log().watermarks(&partition)?.high;
        let mut reader = context.log().reader(&partition, 0, Isolation::Committed)?;
        let mut batch = Vec::new();
        let mut given_at = Instant::now();
        // The last offsets may be marks of transactions, which are no records.
        while reader.position() < high {
            batch.clear();
            let polled = reader.poll(READ, READ_WAIT, &mut batch)?;
            for record in &batch {
                let value = record.value.as_deref().with_context(|| {
                    format!("{partition} offset {} takes a row away", record.offset)
                })?;
                take(value)?;
            }
            if !batch.is_empty() {
                given_at = Instant::now();
            } else if polled.end_of_partition {
                break;
            } else if given_at.elapsed() >= QUIET_FOR {
                bail!("{partition} gives nothing more at {} of {high}", reader.position());
            }
        }
    }
    Ok(())
}
