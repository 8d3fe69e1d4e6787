//! Doing what is due: pictures are worked on, those that never came are forgotten, and those that
//! nobody uses are deleted.
//!
//! A picture is deleted after two looks in a row that found nobody using it: an event may not have
//! come to be yet, and tables may be a moment behind, or be built anew.

use std::time::Duration;

use cityevents_kit::Component;
use futures::StreamExt as _;

use super::record::{Due, Failure, Picture, Purpose, State, UsedBy, picture_key};
use super::work::{WorkError, after, failed};
use super::{Media, record};
use crate::identity::Identity;
use crate::identity::store::{IdentityError, Stored};

/// How often the list is looked at, when nobody says that there is something.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// Pictures of one look.
const PAGE: usize = 100;

/// Something of pictures could not be done now.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct SweepError(#[from] WorkError);

impl From<IdentityError> for SweepError {
    fn from(error: IdentityError) -> Self {
        Self(error.into())
    }
}

impl Media {
    /// Does what is due until the component is told to stop. Any number of instances may do so.
    /// What is worked on at the end is taken up by whoever comes next.
    pub async fn sweep(&self, component: Component, identity: &Identity) {
        component.ready();
        loop {
            let swept = async {
                match self.sweep_once(identity).await {
                    Ok(()) => component.ready(),
                    Err(error) => {
                        record::noted("pictures wait", &error);
                        component.degraded(format!("pictures wait: {error}"));
                    }
                }
                tokio::select! {
                    () = self.shared.work.notified() => {}
                    () = tokio::time::sleep(SWEEP_EVERY) => {}
                }
            };
            tokio::select! {
                biased;
                () = component.shutdown().wait() => break,
                () = swept => {}
            }
        }
        component.finished();
    }

    /// Does all that is due now. What cannot be done holds up nothing behind it.
    ///
    /// # Errors
    /// The first thing that could not be done; it stays in the list.
    pub async fn sweep_once(&self, identity: &Identity) -> Result<(), SweepError> {
        let (mut after, mut failure) = (None, None);
        loop {
            let earliest = Due::earliest(&self.shared.records, after, PAGE).await?;
            let has_more = earliest.len() == PAGE;
            let now_ms = self.now_ms();
            let due: Vec<_> = earliest.into_iter().filter(|due| due.at_ms <= now_ms).collect();
            self.shared.metrics.due(due.len());
            after = due.last().copied();
            let is_all = due.len() < PAGE || !has_more;
            let looked = futures::stream::iter(due)
                .map(|due| async move { self.look(&due, identity).await.err() });
            let mut looked = looked.buffer_unordered(self.shared.options.threads);
            while let Some(failed) = looked.next().await {
                failure = failure.or(failed);
            }
            if is_all {
                return failure.map_or(Ok(()), |failure| Err(failure.into()));
            }
        }
    }

    /// Does what is to be done with one picture now, if its time has come.
    async fn look(&self, due: &Due, identity: &Identity) -> Result<(), WorkError> {
        let (shared, key) = (&self.shared, picture_key(&due.picture));
        let now_ms = self.now_ms();
        let Some(read) = shared.records.read::<Picture>(key.clone()).await? else {
            return Ok(due.done(&shared.records).await?);
        };
        match &read.value.state {
            State::Pending { expires_at_ms, .. } if *expires_at_ms > now_ms => {
                self.postpone(due, *expires_at_ms).await
            }
            State::Pending { .. } => {
                let (state, next_ms) = failed(Failure::Expired, now_ms);
                self.turn(due, &read, state, next_ms).await?;
                Ok(shared.store.delete_incoming(&due.picture).await?)
            }
            State::Processing { .. } => self.work_on(due).await,
            State::Ready { .. } => self.look_at_use(due, &read, identity).await,
            State::Failed { forget_at_ms, .. } if *forget_at_ms > now_ms => {
                self.postpone(due, *forget_at_ms).await
            }
            State::Failed { .. } | State::Deleting => self.delete(due, &read).await,
        }
    }

    /// Deletes a picture that nobody can take any more: what is shown first, the record last.
    async fn delete(&self, due: &Due, read: &Stored<Picture>) -> Result<(), WorkError> {
        let shared = &self.shared;
        shared.store.delete_shown(&due.picture).await?;
        shared.store.delete_incoming(&due.picture).await?;
        // Whoever else does the same takes it away.
        if shared.records.remove(picture_key(&due.picture), read).await? {
            shared.metrics.deleted();
        }
        Ok(due.done(&shared.records).await?)
    }

    async fn look_at_use(
        &self,
        due: &Due,
        read: &Stored<Picture>,
        identity: &Identity,
    ) -> Result<(), WorkError> {
        let State::Ready { used_at_ms, events, unused_since_ms } = &read.value.state else {
            return Ok(());
        };
        let (now_ms, unused_after) = (self.now_ms(), self.shared.options.unused_after);
        let next_ms = after(unused_since_ms.unwrap_or(*used_at_ms), unused_after);
        if next_ms > now_ms {
            return self.postpone(due, next_ms).await;
        }
        let is_used = match read.value.purpose {
            Purpose::Avatar => identity.has_avatar(&read.value.owner, &due.picture).await?,
            Purpose::EventCover => self.is_shown_by_one(events, due).await?,
        };
        if !is_used && unused_since_ms.is_some() {
            self.turn(due, read, State::Deleting, due.at_ms).await?;
            let read = self.shared.records.read::<Picture>(picture_key(&due.picture)).await?;
            let read = read.filter(|read| matches!(read.value.state, State::Deleting));
            // Where somebody takes it at this very moment it stays.
            return match read {
                Some(read) => self.delete(due, &read).await,
                None => Ok(()),
            };
        }
        let state = State::Ready {
            used_at_ms: if is_used { now_ms } else { *used_at_ms },
            events: events.clone(),
            unused_since_ms: (!is_used).then_some(now_ms),
        };
        self.turn(due, read, state, after(now_ms, unused_after)).await
    }

    async fn is_shown_by_one(&self, events: &[UsedBy], due: &Due) -> Result<bool, IdentityError> {
        for UsedBy(event) in events {
            let row = self.shared.views.events.event(*event).await?;
            if row.is_some_and(|row| row.event.fields.cover_image_ids.contains(&due.picture)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Changes a picture that nobody else has changed meanwhile, to be looked at again.
    async fn turn(
        &self,
        due: &Due,
        read: &Stored<Picture>,
        state: State,
        next_ms: i64,
    ) -> Result<(), WorkError> {
        let records = &self.shared.records;
        let next = Due { at_ms: next_ms, ..*due };
        next.announce(records).await?;
        let changed = Picture { state, ..read.value.clone() };
        records.replace(picture_key(&due.picture), read, &changed).await?;
        if next != *due {
            due.done(records).await?;
        }
        Ok(())
    }
}
