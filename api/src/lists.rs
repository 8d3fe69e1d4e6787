//! Lists: pages by keyset, with sealed cursors that are bound to the list and its filters.
//!
//! A cursor carries the place of the last item shown, so rows that come and go elsewhere neither
//! shift a page nor show an item twice.

use std::cmp::Reverse;
use std::sync::Arc;

use cityevents_domain::ids::{EventId, UserId};
use cityevents_domain::time::Timestamp;
use cityevents_kit::Problem;
use cityevents_kit::http::Page as Asked;
use cityevents_kit::seal::{CursorSealer, FilterHash, UnsealError};
use cityevents_views::{OwnEventPosition, OwnJoinPosition, Page, ParticipantPosition};
use serde::Serialize;
use utoipa::ToSchema;

use crate::index::{EventPosition, PublicationPosition, RelevancePosition, Weights};

/// A page over HTTP.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ListBody<T> {
    items: Vec<T>,
    next_cursor: Option<String>,
    has_more: bool,
}

/// A list that is being asked for.
pub(crate) struct List<'a> {
    cursors: &'a CursorSealer,
    purpose: &'static str,
    filters: FilterHash,
    asked: Asked,
}

/// The rows of a page, and where the next one begins.
pub(crate) struct Turned<T> {
    rows: Vec<T>,
    next_cursor: Option<String>,
}

impl<'a> List<'a> {
    /// `purpose` names the list; `filters` is everything that makes it another one.
    pub(crate) fn new(
        cursors: &'a CursorSealer,
        purpose: &'static str,
        filters: FilterHash,
        asked: Asked,
    ) -> Self {
        Self { cursors, purpose, filters, asked }
    }

    /// Behind which place the page begins.
    pub(crate) fn after<P: Place>(&self) -> Result<Option<P>, Problem> {
        let Some(cursor) = &self.asked.cursor else { return Ok(None) };
        let bytes = self.cursors.open(self.purpose, &self.filters, cursor)?;
        Ok(Some(P::from_bytes(&bytes).ok_or(UnsealError)?))
    }

    /// Most items of the page.
    pub(crate) fn limit(&self) -> usize {
        self.asked.limit as usize
    }

    /// How many rows to ask for: one more than is shown, to know whether there are more.
    pub(crate) fn fetched(&self) -> usize {
        self.asked.limit as usize + 1
    }

    /// Cuts the page off what was fetched. `place` says where a row stands.
    pub(crate) fn turn<T, P: Place>(
        &self,
        fetched: Page<T, P>,
        place: impl Fn(&T) -> Option<P>,
    ) -> Result<Turned<T>, Problem> {
        let limit = self.asked.limit as usize;
        let Page { items: mut rows, next } = fetched;
        let next = if rows.len() > limit {
            rows.truncate(limit);
            rows.last().and_then(place)
        } else {
            next
        };
        Ok(Turned { rows, next_cursor: next.map(|place| self.seal(&place)).transpose()? })
    }

    /// The page of a search, which tells itself where to go on.
    pub(crate) fn of_found<T, P: Place>(
        &self,
        (items, next): (Vec<T>, Option<P>),
    ) -> Result<(Vec<T>, Option<String>), Problem> {
        Ok((items, next.map(|place| self.seal(&place)).transpose()?))
    }

    /// The cursor of a page that begins behind a place.
    pub(crate) fn seal(&self, place: &impl Place) -> Result<String, Problem> {
        let sealed = self.cursors.seal(self.purpose, &self.filters, &place.to_bytes());
        sealed.map_err(|error| {
            tracing::error!("no cursor can be sealed: {error}");
            Problem::internal()
        })
    }
}

impl<T> Turned<T> {
    /// The rows, and the cursor apart.
    pub(crate) fn split(self) -> (Vec<T>, Option<String>) {
        (self.rows, self.next_cursor)
    }
}

impl<T> ListBody<T> {
    /// A page, the last one if there is no cursor.
    pub(crate) fn new(items: Vec<T>, next_cursor: Option<String>) -> Self {
        Self { items, has_more: next_cursor.is_some(), next_cursor }
    }
}

/// A place in an order, as the bytes of a cursor.
pub(crate) trait Place: Sized {
    fn to_bytes(&self) -> Vec<u8>;
    fn from_bytes(bytes: &[u8]) -> Option<Self>;
}

fn timed(at: Timestamp, id: &[u8; 16]) -> Vec<u8> {
    [&at.as_millis().to_be_bytes()[..], id].concat()
}

fn parse_timed(bytes: &[u8]) -> Option<(Timestamp, [u8; 16])> {
    let (at, id) = bytes.split_first_chunk::<8>()?;
    Some((Timestamp::from_millis(i64::from_be_bytes(*at)), id.try_into().ok()?))
}

macro_rules! timed_place {
    ($($name:ident { $at:ident, $id:ident: $kind:ident })*) => {
        $(impl Place for $name {
            fn to_bytes(&self) -> Vec<u8> {
                timed(self.$at, self.$id.as_bytes())
            }

            fn from_bytes(bytes: &[u8]) -> Option<Self> {
                let ($at, id) = parse_timed(bytes)?;
                Some(Self { $at, $id: $kind::from_bytes(id) })
            }
        })*
    };
}

timed_place! {
    EventPosition { start_time, event: EventId }
    OwnEventPosition { created_at, event: EventId }
    OwnJoinPosition { joined_at, event: EventId }
    ParticipantPosition { joined_at, user: UserId }
}

impl Place for PublicationPosition {
    fn to_bytes(&self) -> Vec<u8> {
        timed(self.published_at.0, self.event.as_bytes())
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (at, id) = parse_timed(bytes)?;
        Some(Self { published_at: Reverse(at), event: EventId::from_bytes(id) })
    }
}

/// With everything that the pages of a walk are scored with.
impl Place for RelevancePosition {
    fn to_bytes(&self) -> Vec<u8> {
        [&self.score.to_be_bytes()[..], &self.place.to_bytes(), &self.weights.to_bytes()].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (score, rest) = bytes.split_first_chunk::<4>()?;
        let (place, weights) = rest.split_first_chunk::<24>()?;
        Some(Self {
            score: u32::from_be_bytes(*score),
            place: EventPosition::from_bytes(place)?,
            weights: Arc::new(Weights::from_bytes(weights)?),
        })
    }
}

/// A ticket of a waiting line.
impl Place for u32 {
    fn to_bytes(&self) -> Vec<u8> {
        self.to_be_bytes().to_vec()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self::from_be_bytes)
    }
}

impl Place for UserId {
    fn to_bytes(&self) -> Vec<u8> {
        self.as_bytes().to_vec()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self::from_bytes)
    }
}
