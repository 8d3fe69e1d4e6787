//! Working on pictures, away from requests, and once more where somebody was killed over it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cityevents_domain::ids::ImageId;

use super::format::BroughtFormat;
use super::process::{Form, forms, memory_needed};
use super::record::{Due, Failure, Focus, Picture, Purpose, Received, State, picture_key};
use super::{MEMORY_PART, Media, StoreError};
use crate::identity::store::IdentityError;
use crate::threads::PoolFull;

/// How long a picture is left to whoever works on it without a word from them.
const LEASE: Duration = Duration::from_secs(30);
/// How often they give one.
const RENEW_EVERY: Duration = Duration::from_secs(10);
/// After so many, the picture is what is wrong.
const TRIES_MAX: u32 = 5;
/// Wait after the store of pictures was away.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// How long it is told that a picture cannot be shown.
pub(super) const FORGET_AFTER: Duration = Duration::from_secs(24 * 3_600);

/// Something could not be done now; it stays in the list.
#[derive(Debug, thiserror::Error)]
pub(super) enum WorkError {
    #[error(transparent)]
    Tables(#[from] IdentityError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("too many pictures are worked on")]
    Busy,
}

impl From<PoolFull> for WorkError {
    fn from(PoolFull: PoolFull) -> Self {
        Self::Busy
    }
}

/// A picture that is ours to work on for a while.
struct Claim {
    id: ImageId,
    purpose: Purpose,
    received: Received,
    focus: Focus,
    /// Which try it is: whoever has a later one has taken it over.
    tries: u32,
    /// When somebody else may look.
    due: Due,
}

impl Media {
    /// Works on a picture, unless somebody else does.
    pub(super) async fn work_on(&self, due: &Due) -> Result<(), WorkError> {
        let Some(claim) = self.claim(due).await? else { return Ok(()) };
        let begun = Instant::now();
        let failure = match self.make(&claim).await {
            Ok(Ok(())) => None,
            Ok(Err(failure)) => Some(failure),
            Err(error) => {
                self.put_back(&claim).await?;
                return Err(error);
            }
        };
        let now_ms = self.now_ms();
        let (state, next_ms) = match failure {
            None => {
                let ready =
                    State::Ready { used_at_ms: now_ms, events: Vec::new(), unused_since_ms: None };
                (ready, after(now_ms, self.shared.options.unused_after))
            }
            Some(failure) => failed(failure, now_ms),
        };
        self.finish(&claim, state, next_ms).await?;
        self.shared.metrics.processed(failure.map_or("ready", Failure::code), begun.elapsed());
        Ok(())
    }

    async fn claim(&self, due: &Due) -> Result<Option<Claim>, WorkError> {
        let (records, key) = (&self.shared.records, picture_key(&due.picture));
        let Some(read) = records.read::<Picture>(key.clone()).await? else { return Ok(None) };
        let State::Processing { received, focus, lease_until_ms, tries } = read.value.state else {
            return Ok(None);
        };
        let now_ms = self.now_ms();
        if lease_until_ms > now_ms {
            self.postpone(due, lease_until_ms).await?;
            return Ok(None);
        }
        if tries >= TRIES_MAX {
            let (state, next_ms) = failed(Failure::Unworkable, now_ms);
            let claim = Claim {
                id: due.picture,
                purpose: read.value.purpose,
                received,
                focus,
                tries,
                due: *due,
            };
            self.finish(&claim, state, next_ms).await?;
            self.shared.metrics.processed(Failure::Unworkable.code(), Duration::ZERO);
            return Ok(None);
        }
        let until_ms = after(now_ms, LEASE);
        let state =
            State::Processing { received, focus, lease_until_ms: until_ms, tries: tries + 1 };
        let next = Due { at_ms: until_ms, ..*due };
        next.announce(records).await?;
        let claimed = Picture { state, ..read.value.clone() };
        if !records.replace(key, &read, &claimed).await? {
            return Ok(None);
        }
        due.done(records).await?;
        let (id, purpose) = (due.picture, read.value.purpose);
        Ok(Some(Claim { id, purpose, received, focus, tries: tries + 1, due: next }))
    }

    /// Makes and stores all forms, or says why there are none.
    async fn make(&self, claim: &Claim) -> Result<Result<(), Failure>, WorkError> {
        let shared = &self.shared;
        let Some(bytes) = shared.store.incoming(&claim.id, &claim.received).await? else {
            return Ok(Err(Failure::Unworkable));
        };
        let (format, head) = (claim.received.format, bytes.clone());
        let needed = shared.pool.run(move || unharmed(|| memory_needed(&head, format))).await?;
        let needed = match needed {
            Ok(bytes) => u32::try_from(bytes.div_ceil(MEMORY_PART)).unwrap_or(u32::MAX),
            Err(failure) => return Ok(Err(failure)),
        };
        let mut made = pin!(self.forms_of(claim, bytes, format, needed));
        let made = loop {
            tokio::select! {
                made = &mut made => break made?,
                () = tokio::time::sleep(RENEW_EVERY) => self.renew(claim).await?,
            }
        };
        let made = match made {
            Ok(made) => made,
            Err(failure) => return Ok(Err(failure)),
        };
        for Form { shown, bytes } in made {
            shared.store.put_shown(&claim.id, shown, bytes).await?;
        }
        Ok(Ok(()))
    }

    async fn forms_of(
        &self,
        claim: &Claim,
        bytes: Bytes,
        format: BroughtFormat,
        needed: u32,
    ) -> Result<Result<Vec<Form>, Failure>, WorkError> {
        let shared = &self.shared;
        // One that needs more than there is goes alone.
        let needed = needed.min(shared.memory_parts);
        let _room = shared.memory.acquire_many(needed).await.map_err(|_| WorkError::Busy)?;
        let (purpose, focus) = (claim.purpose, claim.focus);
        let work = move || unharmed(|| forms(&bytes, format, purpose, focus));
        Ok(shared.pool.run(work).await?)
    }

    /// Says that somebody still works on it.
    async fn renew(&self, claim: &Claim) -> Result<(), WorkError> {
        self.change_claimed(claim, |received, focus, tries| {
            let lease_until_ms = after(self.now_ms(), LEASE);
            State::Processing { received, focus, lease_until_ms, tries }
        })
        .await
    }

    /// Leaves it for a later try, which is none the worse for this one.
    async fn put_back(&self, claim: &Claim) -> Result<(), WorkError> {
        let again_ms = after(self.now_ms(), RETRY_AFTER);
        Due { at_ms: again_ms, picture: claim.id }.announce(&self.shared.records).await?;
        self.change_claimed(claim, |received, focus, tries| {
            let tries = tries.saturating_sub(1);
            State::Processing { received, focus, lease_until_ms: again_ms, tries }
        })
        .await
    }

    async fn finish(&self, claim: &Claim, state: State, next_ms: i64) -> Result<(), WorkError> {
        let shared = &self.shared;
        Due { at_ms: next_ms, picture: claim.id }.announce(&shared.records).await?;
        self.change_claimed(claim, |_, _, _| state.clone()).await?;
        // What was brought is of no use any more; if it stays now it goes with the picture.
        if let Err(error) = shared.store.delete_incoming(&claim.id).await {
            super::record::noted("a picture as it came stays for a while", &error);
        }
        claim.due.done(&shared.records).await?;
        Ok(())
    }

    async fn change_claimed(
        &self,
        claim: &Claim,
        state: impl Fn(Received, Focus, u32) -> State,
    ) -> Result<(), WorkError> {
        let change = |picture: &Picture| match picture.state {
            State::Processing { received, focus, tries, .. } if tries == claim.tries => {
                Some(Picture { state: state(received, focus, tries), ..picture.clone() })
            }
            // Somebody else has taken it over.
            _ => None,
        };
        self.shared.records.update(picture_key(&claim.id), change).await?;
        Ok(())
    }

    /// Looks again at another time.
    pub(super) async fn postpone(&self, due: &Due, at_ms: i64) -> Result<(), WorkError> {
        let records = &self.shared.records;
        let later = Due { at_ms, ..*due };
        if later != *due {
            later.announce(records).await?;
            due.done(records).await?;
        }
        Ok(())
    }
}

pub(super) fn after(now_ms: i64, time: Duration) -> i64 {
    now_ms.saturating_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
}

/// The state of a picture that cannot be shown, and when it is forgotten.
pub(super) fn failed(failure: Failure, now_ms: i64) -> (State, i64) {
    let forget_at_ms = after(now_ms, FORGET_AFTER);
    (State::Failed { failure, forget_at_ms }, forget_at_ms)
}

/// A decoder that falls over a picture takes no thread with it.
fn unharmed<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        tracing::error!("a decoder of pictures panicked; the picture counts as unreadable");
        Err(Failure::Unreadable)
    })
}
