//! What is in the topics, as tables should have it: the last row of each key.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cityevents_domain::actor::{Actor, Role};
use cityevents_domain::command::{Command, CommandKind};
use cityevents_domain::event::{Capacity, EventFields};
use cityevents_domain::fact::Change;
use cityevents_domain::ids::{CommandId, EventId, UserId};
use cityevents_domain::time::Timestamp;
use cityevents_runtime::log::{Isolation, PollLimit, Record as LogRecord, TopicPartition};
use cityevents_schemas::Codecs;
use serde_json::{Value, json};

use super::sink::rows;
use crate::cluster::Cluster;
use crate::{registry, stack};

/// Topics with the schemas of this program in the registry.
pub fn cluster(name: &str) -> Cluster {
    let cluster = Cluster::new(name).setting("CITYEVENTS__REGISTRY__URL", stack::registry());
    cluster.run(&["topics", "create"]).good();
    cluster
}

pub fn codecs(cluster: &Cluster) -> Codecs {
    let ids = registry::connect(&registry::options(cluster.prefix())).unwrap();
    Codecs::new(Arc::new(ids)).unwrap()
}

/// All records of a topic.
pub fn records(cluster: &Cluster, topic: &str) -> Vec<LogRecord> {
    let log = cluster.log();
    let mut all = Vec::new();
    for partition in 0..log.describe(topic).unwrap().spec.partitions {
        let place = TopicPartition::new(topic.to_owned(), partition);
        let high = log.watermarks(&place).unwrap().high;
        let mut reader = log.reader(&place, 0, Isolation::Uncommitted).unwrap();
        while reader.position() < high {
            let limit = PollLimit { records: 1_000, bytes: 1 << 20 };
            reader.poll(limit, Duration::from_secs(1), &mut all).unwrap();
        }
    }
    all
}

pub const ORGANISER: [u8; 16] = [0xaa; 16];

pub fn command(number: u8, event: EventId, user: [u8; 16], kind: CommandKind) -> Command {
    Command {
        id: CommandId::from_bytes([number; 16]),
        digest: 0,
        event,
        actor: Actor::Person { user: UserId::from_bytes(user), role: Role::User },
        kind,
    }
}

/// Two places, five people, one of whom leaves: places, a line, and a row that changed.
pub fn an_event(now_ms: i64) -> (EventId, Vec<Command>) {
    let event = EventId::of_create(&CommandId::from_bytes([1; 16]));
    let fields = EventFields {
        title: "Night of the museums".into(),
        description: "All museums, one night.".into(),
        city: "Springfield".into(),
        category: "culture".into(),
        location: String::new(),
        start_time: Timestamp::from_millis(now_ms + 86_400_000),
        end_time: Timestamp::from_millis(now_ms + 2 * 86_400_000),
        capacity: Capacity::Limited(2),
        waitlist_limit: None,
        opens_at: None,
        cover_image_ids: Vec::new(),
    };
    let mut commands = vec![
        command(1, event, ORGANISER, CommandKind::Create(Box::new(fields))),
        command(2, event, ORGANISER, CommandKind::Publish),
    ];
    commands.extend((3..8).map(|number| command(number, event, [number; 16], CommandKind::Join)));
    commands.push(command(8, event, [3; 16], CommandKind::Leave));
    (event, commands)
}

pub fn now_ms() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_millis()).unwrap()
}

/// Both tables as the facts have them: the last row of each key.
pub fn fold(cluster: &Cluster, codecs: &Codecs) -> (Vec<Value>, Vec<Value>) {
    let (mut events, mut registrations) = (BTreeMap::new(), BTreeMap::new());
    for record in records(cluster, &cluster.facts()) {
        let link = codecs.decode_link(&record.value.unwrap()).unwrap();
        let Some(fact) = link.fact else { continue };
        for change in fact.changes {
            match change {
                Change::Event { event, .. } => {
                    let fields = &event.fields;
                    let row = json!({
                        "event_id": event.id.to_string(),
                        "owner_id": event.owner.to_string(),
                        "title": fields.title,
                        "capacity": fields.capacity.to_wire(),
                        "waitlist_limit": fields.waitlist_limit,
                        "start_ms": fields.start_time.as_millis(),
                        "opens_ms": null,
                        "status": event.status.as_str(),
                        "version": event.version,
                    });
                    events.insert(event.id, row);
                }
                Change::Registration { registration, .. } => {
                    let key = format!("{}:{}", fact.event, registration.user);
                    let row = json!({
                        "registration": key,
                        "event_id": fact.event.to_string(),
                        "user_id": registration.user.to_string(),
                        "status": registration.status.as_str(),
                        "joined_ms": registration.joined_at.as_millis(),
                        "updated_ms": registration.updated_at.as_millis(),
                        "ticket": registration.ticket,
                        "checked_in_ms": registration.checked_in_at.map(Timestamp::as_millis),
                    });
                    registrations.insert(key, row);
                }
                Change::Banned(_) | Change::Unbanned { .. } | Change::Message { .. } => {}
            }
        }
    }
    (events.into_values().collect(), registrations.into_values().collect())
}

pub fn millis(column: &str) -> String {
    format!("(extract(epoch FROM {column}) * 1000)::bigint")
}

pub fn events_in(table: &str) -> Vec<Value> {
    rows(&format!(
        "SELECT event_id, owner_id, title, capacity, waitlist_limit, {} AS start_ms, \
         {} AS opens_ms, status, version FROM {table} ORDER BY event_id",
        millis("start_time"),
        millis("opens_at"),
    ))
}

pub fn registrations_in(table: &str) -> Vec<Value> {
    rows(&format!(
        "SELECT registration, event_id, user_id, status, {} AS joined_ms, {} AS updated_ms, \
         ticket, {} AS checked_in_ms FROM {table} ORDER BY registration",
        millis("joined_at"),
        millis("updated_at"),
        millis("checked_in_at"),
    ))
}

/// What the records of `trends` say, the last of each event, in the order of the events.
pub fn trends_told(cluster: &Cluster, codecs: &Codecs) -> Vec<Value> {
    let mut trends = BTreeMap::new();
    for record in records(cluster, &format!("{}trends", cluster.prefix())) {
        let trend = codecs.decode_trend(&record.value.unwrap()).unwrap();
        let row = json!({
            "event_id": trend.event.to_string(),
            "state": trend.state.as_str(),
            "city": trend.city,
            "score": trend.score,
            "joins_24h": trend.joins_24h,
            "views_24h": trend.views_24h,
            "city_slot": trend.city_slot,
            "updated_ms": trend.updated_at.as_millis(),
        });
        trends.insert(trend.event, row);
    }
    trends.into_values().collect()
}

pub fn trends_in(table: &str) -> Vec<Value> {
    rows(&format!(
        "SELECT event_id, state, city, score, joins_24h, views_24h, city_slot, {} AS updated_ms \
         FROM {table} ORDER BY event_id",
        millis("updated_at"),
    ))
}
