//! Everything that is kept of a person, for the person.

use std::pin::pin;

use cityevents_domain::event::Counters;
use cityevents_domain::ids::UserId;
use cityevents_domain::registration::SealedText;
use cityevents_domain::time::Timestamp;
use cityevents_kit::event_body::{EventBody, WireTime};
use futures::TryStreamExt as _;
use serde_json::{Value, json};

use super::audit::{Entry, Wanted};
use super::store::IdentityError;
use super::{Account, Identity, own_rows};
use crate::reasons::open_reason;

/// Acts of staff that are shown.
const ACTS_MAX: usize = 200;

impl Identity {
    /// Registrations in every state, the last joined first.
    pub(super) async fn export_registrations(
        &self,
        user: &UserId,
    ) -> Result<Vec<Value>, IdentityError> {
        let views = &self.shared.views;
        let mut rows = pin!(own_rows::joins(views, *user));
        let mut exported = Vec::new();
        while let Some(row) = rows.try_next().await? {
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
        Ok(exported)
    }

    /// Own events in every state, the newest first.
    pub(super) async fn export_events(&self, owner: &UserId) -> Result<Vec<Value>, IdentityError> {
        let (views, now) = (&self.shared.views, self.shared.store.now());
        let mut rows = pin!(own_rows::events(views, *owner, None));
        let mut exported = Vec::new();
        while let Some(row) = rows.try_next().await? {
            let counters = views.counters.counters(row.event.id).await?;
            let counters = counters.map_or(Counters::default(), |row| row.counters);
            let pictures = &self.shared.pictures;
            exported.push(json!(EventBody::new(&row.event, &counters, now, pictures)));
        }
        Ok(exported)
    }

    /// What the feed goes by: what the person did lately, the oldest first.
    pub(super) async fn export_interests(
        &self,
        user: &UserId,
    ) -> Result<Vec<Value>, IdentityError> {
        let now = self.shared.store.now();
        let profile = self.shared.views.profiles.profile(*user.as_bytes(), now).await?;
        let signals = profile.map(|profile| profile.signals).unwrap_or_default();
        let shown = signals.iter().map(|signal| {
            json!({
                "at": WireTime(signal.at),
                "kind": if signal.is_join { "join" } else { "view" },
                "category": signal.category,
            })
        });
        Ok(shown.collect())
    }

    /// What staff did to the account. Who it was is not the person's to know.
    pub(super) async fn export_acts(&self, account: &Account) -> Result<Vec<Value>, IdentityError> {
        let wanted = Wanted { target: Some(account.id), ..Wanted::default() };
        let (entries, _) = self.audit_trail(wanted, None, ACTS_MAX).await?;
        let shown = entries.iter().map(|entry| match entry {
            Entry::Account { act, .. } => {
                let at = Timestamp::from_millis(act.at_ms);
                json!({ "at": WireTime(at), "action": act.deed.as_str() })
            }
            Entry::Event(act) => json!({
                "at": WireTime(act.at),
                "action": act.deed.as_str(),
                "event_id": act.event.to_string(),
            }),
        });
        Ok(shown.collect())
    }
}
