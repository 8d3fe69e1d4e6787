//! What is known of a picture, and the list of what is to be done with which one when.

use std::fmt::Display;

use cityevents_domain::ids::{EventId, ImageId, UserId};
use cityevents_domain::time::Timestamp;
use cityevents_views::records::{Place, PlacesQuery, RecordKey, RecordKind};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Media;
use super::format::BroughtFormat;
use crate::identity::store::{IdentityError, Kept, Store};

/// What is to be done, by time.
const LIST: &[u8] = b"media/due";

/// What a picture is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Purpose {
    /// Of a person.
    Avatar,
    /// Of an event.
    EventCover,
}

/// Where a picture is cut around: fractions of its width and height, from the top left corner.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Focus {
    /// From the left.
    #[schema(minimum = 0.0, maximum = 1.0)]
    pub(super) x: f32,
    /// From the top.
    #[schema(minimum = 0.0, maximum = 1.0)]
    pub(super) y: f32,
}

impl Focus {
    /// The middle.
    pub(super) const CENTRE: Self = Self { x: 0.5, y: 0.5 };
}

/// A picture.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Picture {
    /// Who asked to bring it.
    #[serde(with = "crate::identity::as_text")]
    pub(super) owner: UserId,
    pub(super) purpose: Purpose,
    #[serde(flatten)]
    pub(super) state: State,
}

/// How far it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(super) enum State {
    /// Its bytes are waited for, or for the word that they are complete.
    Pending { expires_at_ms: i64, received: Option<Received> },
    /// It is worked on, or is going to be.
    Processing {
        received: Received,
        focus: Focus,
        /// Until then somebody works on it.
        lease_until_ms: i64,
        /// How often somebody began to.
        tries: u32,
    },
    /// It can be shown.
    Ready {
        /// Since when it is, or when somebody last said that it is going to be used.
        used_at_ms: i64,
        /// Events that may show it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        events: Vec<UsedBy>,
        /// Since when nobody is known to use it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unused_since_ms: Option<i64>,
    },
    /// It cannot be shown, ever.
    Failed { failure: Failure, forget_at_ms: i64 },
    /// It is being deleted.
    Deleting,
}

/// An event that may show a cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct UsedBy(#[serde(with = "crate::identity::as_text")] pub(super) EventId);

/// Bytes that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Received {
    /// Which attempt brought them: names the object.
    pub(super) attempt: u64,
    pub(super) format: BroughtFormat,
    pub(super) bytes: u64,
}

/// Why a picture cannot be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Failure {
    /// It was not brought in time.
    Expired,
    /// More pixels than are decoded.
    TooManyPixels,
    /// Damaged, cut off, or of a kind that is not understood.
    Unreadable,
    /// Working on it ended in nothing, again and again.
    Unworkable,
}

impl Failure {
    /// A stable code.
    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::TooManyPixels => "too_many_pixels",
            Self::Unreadable => "unreadable",
            Self::Unworkable => "unworkable",
        }
    }

    /// What it means.
    pub(super) const fn message(self) -> &'static str {
        match self {
            Self::Expired => "the picture was not brought in time; ask for another upload",
            Self::TooManyPixels => "the picture has more than 8000 pixels in width or height",
            Self::Unreadable => "the picture is damaged, cut off, or written in an unusual way",
            Self::Unworkable => "the picture could not be worked on; try another one",
        }
    }
}

impl Kept for Picture {
    const KIND: &'static str = "pictures";
}

impl State {
    /// As it is told.
    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::Pending { .. } => "PENDING",
            Self::Processing { .. } => "PROCESSING",
            Self::Ready { .. } => "READY",
            Self::Failed { .. } | Self::Deleting => "FAILED",
        }
    }
}

pub(super) fn picture_key(id: &ImageId) -> RecordKey {
    RecordKey::new(RecordKind::Picture, id.as_bytes().as_slice())
}

/// An id that nobody can guess.
pub(super) fn new_id() -> Result<ImageId, IdentityError> {
    let id = uuid::Builder::from_random_bytes(crate::identity::store::random()?).into_uuid();
    Ok(ImageId::from_bytes(id.into_bytes()))
}

/// When something is to be done with a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) at_ms: i64,
    pub(super) picture: ImageId,
}

impl Due {
    fn place(&self) -> Place {
        let at = self.at_ms.max(0).cast_unsigned().to_be_bytes();
        Place { list: LIST.to_vec(), position: [&at[..], self.picture.as_bytes()].concat() }
    }

    fn parse(position: &[u8]) -> Option<Self> {
        let (at, picture) = position.split_first_chunk::<8>()?;
        let picture = ImageId::from_bytes(picture.try_into().ok()?);
        Some(Self { at_ms: u64::from_be_bytes(*at).cast_signed(), picture })
    }

    /// Comes before the change of the record that it is about, so that a crash between the two leaves
    /// a look too many and none too few.
    pub(super) async fn announce(&self, records: &Store) -> Result<(), IdentityError> {
        records.add_place(self.place()).await
    }

    pub(super) async fn done(&self, records: &Store) -> Result<(), IdentityError> {
        records.remove_place(self.place()).await
    }

    /// Up to `limit`, the earliest first, whether their time has come or not.
    pub(super) async fn earliest(
        records: &Store,
        after: Option<Self>,
        limit: usize,
    ) -> Result<Vec<Self>, IdentityError> {
        let after = after.map(|due| due.place().position);
        let query = PlacesQuery { list: LIST.to_vec(), descending: false, after, limit };
        let positions = records.places(query).await?;
        Ok(positions.iter().filter_map(|position| Self::parse(position)).collect())
    }
}

impl Media {
    pub(super) fn now(&self) -> Timestamp {
        self.shared.records.now()
    }

    pub(super) fn now_ms(&self) -> i64 {
        self.now().as_millis()
    }

    /// A picture of somebody: those of others are not there.
    pub(super) async fn own(
        &self,
        id: &ImageId,
        owner: &UserId,
    ) -> Result<Option<Picture>, IdentityError> {
        let read = self.shared.records.read::<Picture>(picture_key(id)).await?;
        Ok(read.map(|read| read.value).filter(|picture| picture.owner == *owner))
    }
}

/// Notes what was not done and needs nobody's help.
pub(super) fn noted(what: &str, error: &impl Display) {
    tracing::warn!(%error, "{what}: {error}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_reads_back_and_what_is_due_earlier_comes_first() {
        let one = |at_ms| Due { at_ms, picture: ImageId::from_bytes([7; 16]) };
        assert_eq!(Due::parse(&one(5).place().position), Some(one(5)));
        assert!(one(5).place() < one(600).place());
        assert_eq!(Due::parse(b"short"), None);
    }

    #[test]
    fn a_record_reads_back_in_every_state() {
        let received = Received { attempt: 9, format: BroughtFormat::Png, bytes: 70 };
        let states = [
            State::Pending { expires_at_ms: 5, received: None },
            State::Pending { expires_at_ms: 5, received: Some(received) },
            State::Processing { received, focus: Focus::CENTRE, lease_until_ms: 3, tries: 1 },
            State::Ready {
                used_at_ms: 1,
                events: vec![UsedBy(EventId::from_bytes([2; 16]))],
                unused_since_ms: Some(4),
            },
            State::Failed { failure: Failure::Unreadable, forget_at_ms: 8 },
            State::Deleting,
        ];
        for state in states {
            let owner = UserId::from_bytes([1; 16]);
            let picture = Picture { owner, purpose: Purpose::EventCover, state };
            let text = serde_json::to_string(&picture).unwrap();
            let read: Picture = serde_json::from_str(&text).unwrap();
            assert_eq!(format!("{read:?}"), format!("{picture:?}"), "{text}");
        }
    }
}
