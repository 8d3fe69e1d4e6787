//! What tables say of an event: for questions about the past, and to look at a difference.

use anyhow::{Context as _, ensure};
use cityevents_domain::ids::EventId;
use cityevents_domain::time::Timestamp;
use cityevents_schemas::rfc3339::Rfc3339;
use cityevents_views::{ParticipantsQuery, Views};
use futures::executor::block_on;
use serde_json::{Value, json};

use crate::admin::Context;
use crate::instance::{TablesName, tables_record as record};

/// People read at once.
const PAGE: usize = 1_000;

pub(super) fn show(context: &Context, name: &TablesName, event: EventId) -> anyhow::Result<Value> {
    let views = context.tables.open(name)?;
    let until = record::made(&views)?.and_then(|made| made.until_ms);
    let row = block_on(views.events.event(event))?;
    let row = row.with_context(|| format!("the tables {name} know no event {event}"))?;
    let counters = block_on(views.counters.counters(event))?;
    let counters = counters.map(|row| row.counters).unwrap_or_default();
    let (fields, about) = (&row.event.fields, &row.event);
    Ok(json!({
        "tables": name.as_str(),
        "until": until.map(|ms| text(Timestamp::from_millis(ms))),
        "event": event.to_string(),
        "status": about.status.as_str(),
        "version": about.version,
        "title": fields.title,
        "city": fields.city,
        "category": fields.category,
        "start_time": text(fields.start_time),
        "end_time": text(fields.end_time),
        "capacity": fields.capacity.to_wire(),
        "updated_at": text(about.updated_at),
        "active": counters.active,
        "waiting": counters.waiting,
        "checked_in": counters.checked_in,
        "registrations": registrations(&views, event)?,
    }))
}

fn registrations(views: &Views, event: EventId) -> anyhow::Result<Vec<Value>> {
    let mut rows = Vec::new();
    let mut after = None;
    loop {
        let query = ParticipantsQuery { event, status: None, after, limit: PAGE };
        let page = block_on(views.registrations.participants(query))?;
        rows.extend(page.items.iter().map(|row| {
            let registration = &row.registration;
            json!({
                "user": registration.user.to_string(),
                "status": registration.status.as_str(),
                "cause": row.cause.as_str(),
                "joined_at": text(registration.joined_at),
                "updated_at": text(registration.updated_at),
                "ticket": row.line_ticket(),
            })
        }));
        let next = page.next;
        ensure!(next.is_none() || next != after, "the list of people does not get on");
        match next {
            Some(_) => after = next,
            None => return Ok(rows),
        }
    }
}

fn text(at: Timestamp) -> String {
    Rfc3339::new(at).as_str().to_owned()
}
