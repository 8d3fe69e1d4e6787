//! Covers that events take.

use std::sync::Arc;

use cityevents_domain::ids::{EventId, ImageId, UserId};
use cityevents_runtime::log::clock::Clock;
use cityevents_views::Views;

use super::record::{Picture, Purpose, State, UsedBy, picture_key};
use crate::identity::store::{IdentityError, Store};

/// Events that one picture is the cover of at most.
const EVENTS_MAX: usize = 100;

/// Why an event does not take a cover.
#[derive(Debug, thiserror::Error)]
pub enum CoverError {
    /// There is no such picture, it is not the caller's, it is no cover, or it is not ready.
    #[error("picture {0} is none of your covers that are ready")]
    NotThere(ImageId),
    /// Too many events have it.
    #[error("picture {0} is the cover of {EVENTS_MAX} events: bring it once more")]
    TooOften(ImageId),
    /// Nobody knows.
    #[error(transparent)]
    Tables(#[from] IdentityError),
}

/// Lets events take covers. For whoever gives commands; knows the tables only. Cheap to clone.
#[derive(Clone)]
pub struct Covers {
    records: Arc<Store>,
}

impl Covers {
    /// With the records of the tables.
    pub fn new(views: &Views, clock: Arc<dyn Clock>) -> Self {
        Self { records: Arc::new(Store::new(views.records.clone(), clock)) }
    }

    /// Notes on each picture that the event is going to show it, if the picture is a cover of the
    /// caller's, or one that the event has been given before, whoever changes it now. Comes before the
    /// command, so that a picture that an event shows is never one that nobody knows to be used.
    ///
    /// # Errors
    /// When one is not for them to take. Those before it stay noted, which does no harm.
    pub async fn take(
        &self,
        caller: &UserId,
        event: &EventId,
        covers: &[ImageId],
    ) -> Result<(), CoverError> {
        for cover in covers {
            self.take_one(caller, event, cover).await?;
        }
        Ok(())
    }

    async fn take_one(
        &self,
        caller: &UserId,
        event: &EventId,
        cover: &ImageId,
    ) -> Result<(), CoverError> {
        let now_ms = self.records.now().as_millis();
        let mut refused = Some(CoverError::NotThere(*cover));
        let taken = |picture: &Picture| {
            let State::Ready { events, .. } = &picture.state else { return None };
            let is_known = events.contains(&UsedBy(*event));
            let is_theirs = picture.owner == *caller || is_known;
            if picture.purpose != Purpose::EventCover || !is_theirs {
                return None;
            }
            if !is_known && events.len() >= EVENTS_MAX {
                refused = Some(CoverError::TooOften(*cover));
                return None;
            }
            refused = None;
            let mut events = events.clone();
            if !is_known {
                events.push(UsedBy(*event));
            }
            let state = State::Ready { used_at_ms: now_ms, events, unused_since_ms: None };
            Some(Picture { state, ..picture.clone() })
        };
        self.records.update(picture_key(cover), taken).await?;
        refused.map_or(Ok(()), Err)
    }
}
