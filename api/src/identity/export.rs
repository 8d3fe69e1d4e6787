//! Everything that is kept of a person, for the person.

use cityevents_domain::event::Counters;
use cityevents_domain::ids::UserId;
use cityevents_domain::registration::SealedText;
use cityevents_kit::event_body::{EventBody, WireTime};
use cityevents_views::OwnEventsQuery;
use serde_json::{Value, json};

use super::audit::Wanted;
use super::store::IdentityError;
use super::{Account, Identity};
use crate::reasons::open_reason;

/// Rows that are read at once.
const PAGE: usize = 200;
/// Acts of staff that are shown.
const ACTS_MAX: usize = 200;

impl Identity {
    /// Registrations in every state, the last joined first.
    pub(super) async fn export_registrations(
        &self,
        user: &UserId,
    ) -> Result<Vec<Value>, IdentityError> {
        let views = &self.shared.views;
        let (mut exported, mut after) = (Vec::new(), None);
        loop {
            let page = views.registrations.own_joins(*user, after, PAGE).await?;
            for row in &page.items {
                let event = views.events.event(row.event).await?;
                let sealed: Option<&SealedText> = row.reason.as_ref();
                let reason = open_reason(views, row.event, *user, sealed).await?;
                let registration = &row.registration;
                exported.push(json!({
                    "event_id": row.event.to_string(),
                    "title": event.as_ref().map(|row| &*row.event.fields.title),
                    "status": registration.status.as_str(),
                    "joined_at": WireTime(registration.joined_at),
                    "updated_at": WireTime(registration.updated_at),
                    "checked_in_at": registration.checked_in_at.map(WireTime),
                    "reason": reason,
                }));
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(exported),
            }
        }
    }

    /// Own events in every state, the newest first.
    pub(super) async fn export_events(&self, owner: &UserId) -> Result<Vec<Value>, IdentityError> {
        let (views, now) = (&self.shared.views, self.shared.store.now());
        let (mut exported, mut after) = (Vec::new(), None);
        loop {
            let query = OwnEventsQuery { owner: *owner, statuses: None, after, limit: PAGE };
            let page = views.events.own_events(query).await?;
            for row in &page.items {
                let counters = views.counters.counters(row.event.id).await?;
                let counters = counters.map_or(Counters::default(), |row| row.counters);
                exported.push(json!(EventBody::new(&row.event, &counters, now)));
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(exported),
            }
        }
    }

    /// What staff did to the account. Who it was is not the person's to know.
    pub(super) async fn export_acts(&self, account: &Account) -> Result<Vec<Value>, IdentityError> {
        let wanted = Wanted { target: Some(account.id), ..Wanted::default() };
        let (entries, _) = self.audit_trail(wanted, None, ACTS_MAX).await?;
        let shown = entries.iter().map(|entry| {
            let at = cityevents_domain::time::Timestamp::from_millis(entry.act.at_ms);
            json!({ "at": WireTime(at), "action": entry.act.deed.as_str() })
        });
        Ok(shown.collect())
    }
}
