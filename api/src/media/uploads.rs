//! Bringing a picture: an address is asked for, the bytes come there once, and somebody says that
//! they are complete.
//!
//! The bytes come to this service and not to the store, whichever store it is: only so is an address
//! good for one picture, of a bounded size, and nothing but a picture. They are held in memory until
//! all are there, since a store that has half an object is nobody's help; how many at once is bounded.

use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use bytes::{Bytes, BytesMut};
use cityevents_domain::ids::{ImageId, UserId};
use cityevents_kit::http::{body_problem, too_large};
use cityevents_kit::{ErrorCode, Problem};
use futures::StreamExt as _;

use super::Media;
use super::format::{BroughtFormat, HEAD_BYTES};
use super::record::{Due, Focus, Picture, Purpose, Received, State, new_id, picture_key};
use crate::identity::store::{IdentityError, random};

/// For all bytes of a picture to come. Half as fast as a bad connection of a phone.
const BODY_TIME_MAX: Duration = Duration::from_secs(120);
/// When it is worth asking again while too many bring pictures.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Where a picture can be brought.
pub(super) struct Upload {
    pub(super) id: ImageId,
    pub(super) address: String,
    pub(super) expires_at_ms: i64,
}

impl Media {
    /// An address that somebody may bring a picture to.
    pub(super) async fn request(
        &self,
        owner: UserId,
        purpose: Purpose,
    ) -> Result<Upload, IdentityError> {
        let (shared, id) = (&self.shared, new_id()?);
        let ttl_ms = i64::try_from(shared.options.upload_ttl.as_millis()).unwrap_or(i64::MAX);
        let expires_at_ms = self.now_ms().saturating_add(ttl_ms);
        Due { at_ms: expires_at_ms, picture: id }.announce(&shared.records).await?;
        let state = State::Pending { expires_at_ms, received: None };
        let picture = Picture { owner, purpose, state };
        if !shared.records.insert(picture_key(&id), &picture).await? {
            return Err(IdentityError::Contended { kind: "pictures" });
        }
        let token = shared.tokens.token(id.as_bytes());
        let address = format!("{}/api/media/uploads/{id}?token={token}", shared.site);
        Ok(Upload { id, address, expires_at_ms })
    }

    /// Takes the bytes of a picture. What breaks off does not count; of many at once one does.
    pub(super) async fn receive(
        &self,
        id: &ImageId,
        token: &str,
        content_type: Option<&str>,
        body: Body,
    ) -> Result<(), Problem> {
        let received = self.try_receive(id, token, content_type, body).await;
        let result =
            received.as_ref().map_or_else(|problem| problem.code().as_str(), |()| "received");
        self.shared.metrics.uploaded(result);
        received
    }

    async fn try_receive(
        &self,
        id: &ImageId,
        token: &str,
        content_type: Option<&str>,
        body: Body,
    ) -> Result<(), Problem> {
        let (shared, used_up) = (&self.shared, || Problem::new(ErrorCode::TokenInvalid));
        if !shared.tokens.proves(token, id.as_bytes()) {
            return Err(used_up());
        }
        let read = shared.records.read::<Picture>(picture_key(id)).await;
        let read = read.map_err(IdentityError::into_problem)?.ok_or_else(used_up)?;
        if !self.is_waited_for(&read.value) {
            return Err(used_up());
        }
        if content_type.and_then(BroughtFormat::of_content_type).is_none() {
            let detail = "send a picture with its type: image/jpeg, image/png or image/webp";
            return Err(Problem::because(ErrorCode::UnsupportedMediaType, detail));
        }
        let busy = |_| Problem::unavailable("too many pictures come at once", RETRY_AFTER);
        let _room = shared.uploads.try_acquire().map_err(busy)?;
        let slow = |_| Problem::because(ErrorCode::RequestTimeout, "the picture came too slowly");
        let came = tokio::time::timeout(BODY_TIME_MAX, self.collect(body)).await;
        let (bytes, format) = came.map_err(slow)??;
        let attempt = u64::from_be_bytes(random().map_err(|error| unlucky(error.into()))?);
        let received = Received { attempt, format, bytes: bytes.len() as u64 };
        let put = shared.store.put_incoming(id, attempt, bytes).await;
        put.map_err(super::StoreError::into_problem)?;
        // Meanwhile somebody else may have brought one, or the time may have run out.
        let still = shared.records.read::<Picture>(picture_key(id)).await.map_err(unlucky)?;
        if let Some(read) = still.filter(|read| self.is_waited_for(&read.value)) {
            let State::Pending { expires_at_ms, .. } = read.value.state else {
                return Err(used_up());
            };
            let state = State::Pending { expires_at_ms, received: Some(received) };
            let changed = Picture { state, ..read.value.clone() };
            let replaced = shared.records.replace(picture_key(id), &read, &changed).await;
            if replaced.map_err(unlucky)? {
                return Ok(());
            }
        }
        if let Err(error) = shared.store.delete_attempt(id, attempt).await {
            // It goes with everything else that was brought for this picture.
            super::record::noted("bytes that came in vain stay for a while", &error);
        }
        Err(used_up())
    }

    fn is_waited_for(&self, picture: &Picture) -> bool {
        match picture.state {
            State::Pending { expires_at_ms, received: None } => self.now_ms() < expires_at_ms,
            _ => false,
        }
    }

    /// All bytes of a body, if they are a picture that is not too large. Ends at the first that shows
    /// that they are not.
    async fn collect(&self, body: Body) -> Result<(Bytes, BroughtFormat), Problem> {
        let bytes_max = self.shared.options.upload_bytes_max;
        if body.size_hint().lower() > bytes_max {
            return Err(too_large(bytes_max));
        }
        let mut parts = body.into_data_stream();
        let (mut bytes, mut format) = (BytesMut::new(), None);
        while let Some(part) = parts.next().await {
            let part = part.map_err(|error| body_problem(&error))?;
            if (bytes.len() + part.len()) as u64 > bytes_max {
                return Err(too_large(bytes_max));
            }
            bytes.extend_from_slice(&part);
            if format.is_none() && bytes.len() >= HEAD_BYTES {
                format = Some(kind_of(&bytes)?);
            }
        }
        if bytes.is_empty() {
            return Err(Problem::invalid("body", "is empty; send a picture"));
        }
        let format = format.map_or_else(|| kind_of(&bytes), Ok)?;
        Ok((bytes.freeze(), format))
    }

    /// The bytes are there: work on them begins. Said again, it changes nothing.
    pub(super) async fn complete(
        &self,
        id: &ImageId,
        owner: &UserId,
        focus: Focus,
    ) -> Result<&'static str, Problem> {
        let records = &self.shared.records;
        let picture = self.own(id, owner).await.map_err(IdentityError::into_problem)?;
        let picture = picture.ok_or_else(|| Problem::new(ErrorCode::NotFound))?;
        if let State::Pending { received: None, .. } = picture.state {
            let detail = "bring the picture first: none has arrived at the address of this upload";
            return Err(Problem::because(ErrorCode::InvalidState, detail));
        }
        if !matches!(picture.state, State::Pending { .. }) {
            return Ok(picture.state.word());
        }
        let due = Due { at_ms: self.now_ms(), picture: *id };
        due.announce(records).await.map_err(IdentityError::into_problem)?;
        let begin = |picture: &Picture| match picture.state {
            State::Pending { received: Some(received), .. } => {
                let state = State::Processing { received, focus, lease_until_ms: 0, tries: 0 };
                Some(Picture { state, ..picture.clone() })
            }
            _ => None,
        };
        let begun = records.update(picture_key(id), begin).await;
        let begun = begun.map_err(IdentityError::into_problem)?;
        self.shared.work.notify_one();
        begun.map(|picture| picture.state.word()).ok_or_else(|| Problem::new(ErrorCode::NotFound))
    }
}

fn unlucky(error: IdentityError) -> Problem {
    error.into_problem()
}

fn kind_of(bytes: &[u8]) -> Result<BroughtFormat, Problem> {
    BroughtFormat::of_bytes(bytes).ok_or_else(|| {
        let detail = "this is no picture in JPEG, PNG or WebP, whatever it is called";
        Problem::because(ErrorCode::UnsupportedMediaType, detail)
    })
}
