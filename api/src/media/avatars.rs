//! Avatars that people take, and pictures that they take away.

use cityevents_domain::ids::{ImageId, UserId};

use super::Media;
use super::record::{Due, Picture, Purpose, State, picture_key};
use crate::identity::store::IdentityError;

impl Media {
    /// Whether somebody may have a picture as their avatar: it is theirs, and ready. It counts as used
    /// from now on.
    pub(crate) async fn take_avatar(
        &self,
        owner: &UserId,
        id: &ImageId,
    ) -> Result<bool, IdentityError> {
        let (now_ms, mut is_taken) = (self.now_ms(), false);
        let taken = |picture: &Picture| {
            let is_ready = matches!(picture.state, State::Ready { .. });
            is_taken = is_ready && picture.purpose == Purpose::Avatar && picture.owner == *owner;
            is_taken.then(|| Picture {
                state: State::Ready {
                    used_at_ms: now_ms,
                    events: Vec::new(),
                    unused_since_ms: None,
                },
                ..picture.clone()
            })
        };
        self.shared.records.update(picture_key(id), taken).await?;
        Ok(is_taken)
    }

    /// Deletes a picture that somebody does not want any more.
    pub(crate) async fn discard(&self, owner: &UserId, id: &ImageId) -> Result<(), IdentityError> {
        let records = &self.shared.records;
        Due { at_ms: self.now_ms(), picture: *id }.announce(records).await?;
        let without = |picture: &Picture| {
            let is_ready = matches!(picture.state, State::Ready { .. });
            let is_theirs = is_ready && picture.owner == *owner;
            is_theirs.then(|| Picture { state: State::Deleting, ..picture.clone() })
        };
        records.update(picture_key(id), without).await?;
        self.shared.work.notify_one();
        Ok(())
    }
}
