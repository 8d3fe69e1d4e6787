//! What was published last.

use std::cmp::Reverse;
use std::sync::Arc;

use cityevents_kit::Problem;
use cityevents_views::{EventFilter, EventRow, EventsQuery};

use crate::state::Reads;

/// Events that are looked at: those that start first.
const LOOKED_AT_MAX: usize = 2_000;
/// Events of one read.
const READ_MAX: usize = 500;

/// The public events of a city that are not over, the last published first.
pub(super) async fn read(
    reads: &Reads,
    city: Option<String>,
) -> Result<Vec<Arc<EventRow>>, Problem> {
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let filter = EventFilter {
            city: city.clone(),
            not_ended_at: Some(reads.now()),
            ..EventFilter::default()
        };
        let query = EventsQuery { filter, after, limit: READ_MAX };
        let page = reads.views.events.events(query).await;
        let page = page.map_err(|error| reads.failed(&error))?;
        found.extend(page.items.into_iter().map(Arc::new));
        after = page.next;
        if after.is_none() || found.len() >= LOOKED_AT_MAX {
            break;
        }
    }
    found.sort_by_key(|row| (Reverse(row.event.published_at), row.event.id));
    Ok(found)
}
