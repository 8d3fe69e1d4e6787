//! Free text about a person, opened for those who may read it.

use cityevents_domain::ids::{EventId, UserId};
use cityevents_domain::registration::SealedText;
use cityevents_kit::Problem;
use cityevents_kit::event_body::reason_place;
use cityevents_kit::seal::PersonKey;
use cityevents_views::{Views, ViewsError};

use crate::state::Reads;

impl Reads {
    /// The text, unless the person's key was erased, and the text with it.
    pub(crate) async fn open_reason(
        &self,
        event: EventId,
        user: UserId,
        sealed: Option<&SealedText>,
    ) -> Result<Option<String>, Problem> {
        open_reason(&self.views, event, user, sealed).await.map_err(|error| self.failed(&error))
    }
}

/// The text, unless the person's key was erased, and the text with it.
pub(crate) async fn open_reason(
    views: &Views,
    event: EventId,
    user: UserId,
    sealed: Option<&SealedText>,
) -> Result<Option<String>, ViewsError> {
    let Some(sealed) = sealed else { return Ok(None) };
    let Some(key) = views.person_keys.person_key(user).await? else { return Ok(None) };
    let opened = PersonKey::from_bytes(key.0).open(&reason_place(&event, &user), &sealed.0);
    if opened.is_err() {
        tracing::warn!(event.id = %event, "a reason of event {event} does not open");
    }
    Ok(opened.ok())
}
