//! Who may see what.

use std::sync::Arc;

use cityevents_domain::event::Event;
use cityevents_domain::ids::EventId;
use cityevents_kit::keys::Caller;
use cityevents_kit::{ErrorCode, Problem};

use crate::freshness::Presented;
use crate::state::Reads;

impl Reads {
    /// An event, if this caller may know of it: a draft that was never public is its owner's and
    /// staff's only, and for everybody else does not exist.
    pub(crate) async fn visible_event(
        &self,
        event: EventId,
        caller: Option<&Caller>,
    ) -> Result<Event, Problem> {
        let row = self.views.events.event(event).await;
        let row = row.map_err(|error| self.failed(&error))?;
        let event = row.map(|row| row.event).filter(|event| {
            event.published_at.is_some() || caller.is_some_and(|caller| manages(caller, event))
        });
        event.ok_or_else(|| Problem::new(ErrorCode::EventNotFound))
    }

    /// The same for a page that many look at: from the index where it is as new as what this
    /// process knows of the event. Behind a token only what is folded here tells that, and without
    /// it the tables are asked.
    pub(crate) async fn shown_event(
        &self,
        event: EventId,
        caller: Option<&Caller>,
        presented: Presented,
    ) -> Result<Arc<Event>, Problem> {
        if let Some(known) = self.index.event(&event) {
            let is_current = match self.lines.version(&event) {
                Some(version) => known.version >= version,
                None => presented.0.is_none(),
            };
            if is_current {
                return Ok(known);
            }
        }
        self.visible_event(event, caller).await.map(Arc::new)
    }

    /// An event that this caller manages.
    pub(crate) async fn managed_event(
        &self,
        event: EventId,
        caller: &Caller,
    ) -> Result<Event, Problem> {
        let event = self.visible_event(event, Some(caller)).await?;
        if !manages(caller, &event) {
            return Err(Problem::new(ErrorCode::Forbidden));
        }
        Ok(event)
    }
}

/// Whether the caller is the organiser of the event, or staff.
pub(crate) fn manages(caller: &Caller, event: &Event) -> bool {
    caller.actor().manages(&event.owner)
}
