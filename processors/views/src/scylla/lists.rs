//! The lists of people: of an event, of a person, the line, and those kept out.

use std::cmp::Reverse;

use cityevents_domain::ids::{EventId, UserId};
use cityevents_domain::registration::RegistrationStatus;
use cityevents_domain::time::Timestamp;
use scylla::value::CqlValue;

use super::ScyllaViews;
use super::keys::{BEFORE_IDS, BEHIND_IDS, blob, cql_timestamp, line_bucket, millis};
use super::page::{List, Spot, Spots};
use super::read::{Answer, Written};
use super::request::{collect, refused};
use super::statements::Statement;
use crate::codec::{Damage, decode};
use crate::error::ViewsError;
use crate::query::{OwnJoinPosition, Page, ParticipantPosition, ParticipantsQuery};
use crate::row::{BanRow, RegistrationRow};
use crate::tables::{ReadBans, ReadRegistrations};

/// The id that a column has.
pub(super) fn id_of(bytes: Vec<u8>) -> Result<[u8; 16], ViewsError> {
    let damage = Damage("an id of another length");
    bytes.try_into().map_err(|_| ViewsError::DamagedRow { table: "lists", detail: damage.0 })
}

/// How many places are asked for at once.
pub(super) fn count_column(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// The people of one event.
struct Participants<'a> {
    views: &'a ScyllaViews,
    event: EventId,
    status: Option<RegistrationStatus>,
}

impl List for Participants<'_> {
    type Place = ParticipantPosition;
    type Id = UserId;
    type Row = RegistrationRow;

    async fn spots(
        &self,
        behind: Option<Self::Place>,
        count: usize,
    ) -> Result<Spots<Self>, ViewsError> {
        let user = behind.map(|place| place.user);
        let joined_at = behind.map_or(Timestamp::MIN, |place| place.joined_at);
        let from = user.as_ref().map_or(BEFORE_IDS, |user| user.as_bytes());
        let values =
            (self.event.as_bytes().as_slice(), joined_at.as_millis(), from, count_column(count));
        let rows = self.views.requests.rows(Statement::ListParticipants, values).await?;
        let found: Vec<(i64, Vec<u8>, Vec<u8>)> = collect(&rows)?;
        let spot = |(joined_at, user, content): (i64, Vec<u8>, Vec<u8>)| {
            let carried = decode::<RegistrationRow>(&content)?;
            let place = ParticipantPosition {
                joined_at: Timestamp::from_millis(joined_at),
                user: UserId::from_bytes(id_of(user)?),
            };
            Ok(Spot { place, written: cql_timestamp(carried.1), carried: Some(carried) })
        };
        found.into_iter().map(spot).collect()
    }

    fn id(&self, place: Self::Place) -> UserId {
        place.user
    }

    async fn row(&self, user: UserId) -> Result<Option<Written<RegistrationRow>>, ViewsError> {
        self.views.registration_row(self.event, user).await
    }

    fn place_of(&self, row: &RegistrationRow) -> Option<Self::Place> {
        let registration = &row.registration;
        Some(ParticipantPosition { joined_at: registration.joined_at, user: registration.user })
    }

    fn shows(&self, row: &RegistrationRow) -> bool {
        self.status.is_none_or(|status| row.registration.status == status)
    }

    fn removal(&self, place: Self::Place, written: i64) -> Option<(Statement, Vec<CqlValue>)> {
        let (event, user) = (blob(self.event.as_bytes()), blob(place.user.as_bytes()));
        let values = vec![CqlValue::BigInt(written), event, millis(place.joined_at), user];
        Some((Statement::DeleteParticipant, values))
    }
}

/// The registrations of one person, the last joined first.
struct Joins<'a> {
    views: &'a ScyllaViews,
    user: UserId,
}

impl List for Joins<'_> {
    type Place = Reverse<OwnJoinPosition>;
    type Id = EventId;
    type Row = RegistrationRow;

    async fn spots(
        &self,
        behind: Option<Self::Place>,
        count: usize,
    ) -> Result<Spots<Self>, ViewsError> {
        let joined_at = behind.map_or(i64::MAX, |Reverse(place)| place.joined_at.as_millis());
        let event = behind.map(|Reverse(place)| place.event);
        let before = event.as_ref().map_or(BEHIND_IDS, |event| event.as_bytes());
        let values = (self.user.as_bytes().as_slice(), joined_at, before, count_column(count));
        let rows = self.views.requests.rows(Statement::ListJoins, values).await?;
        let found: Vec<(i64, Vec<u8>, i64)> = collect(&rows)?;
        let spot = |(joined_at, event, written): (i64, Vec<u8>, i64)| {
            let joined_at = Timestamp::from_millis(joined_at);
            let place = OwnJoinPosition { joined_at, event: EventId::from_bytes(id_of(event)?) };
            Ok(Spot { place: Reverse(place), written, carried: None })
        };
        found.into_iter().map(spot).collect()
    }

    fn id(&self, Reverse(place): Self::Place) -> EventId {
        place.event
    }

    async fn row(&self, event: EventId) -> Result<Option<Written<RegistrationRow>>, ViewsError> {
        self.views.registration_row(event, self.user).await
    }

    fn place_of(&self, row: &RegistrationRow) -> Option<Self::Place> {
        let joined_at = row.registration.joined_at;
        Some(Reverse(OwnJoinPosition { joined_at, event: row.event }))
    }

    fn shows(&self, _: &RegistrationRow) -> bool {
        true
    }

    fn removal(
        &self,
        Reverse(place): Self::Place,
        written: i64,
    ) -> Option<(Statement, Vec<CqlValue>)> {
        let (user, event) = (blob(self.user.as_bytes()), blob(place.event.as_bytes()));
        let values = vec![CqlValue::BigInt(written), user, millis(place.joined_at), event];
        Some((Statement::DeleteJoin, values))
    }
}

/// The line of one event.
struct Line<'a> {
    views: &'a ScyllaViews,
    event: EventId,
}

impl List for Line<'_> {
    type Place = (u32, UserId);
    type Id = UserId;
    type Row = RegistrationRow;

    /// From bucket to bucket.
    async fn spots(
        &self,
        behind: Option<Self::Place>,
        count: usize,
    ) -> Result<Spots<Self>, ViewsError> {
        let requests = &self.views.requests;
        let event = self.event.as_bytes().as_slice();
        let first = behind.map_or(0, |(ticket, _)| line_bucket(ticket));
        let rows = requests.rows(Statement::ListLineBuckets, (event, first)).await?;
        let buckets: Vec<(i32,)> = collect(&rows)?;
        let ticket = behind.map_or(-1, |(ticket, _)| i64::from(ticket));
        let from = behind.as_ref().map_or(BEFORE_IDS, |(_, user)| user.as_bytes());
        let mut spots = Vec::new();
        for (bucket,) in buckets {
            let left = count_column(count - spots.len());
            let values = (event, bucket, ticket, from, left);
            let rows = requests.rows(Statement::ListLine, values).await?;
            let found: Vec<(i64, Vec<u8>, i64)> = collect(&rows)?;
            for (ticket, user, written) in found {
                let ticket = u32::try_from(ticket).map_err(refused)?;
                let place = (ticket, UserId::from_bytes(id_of(user)?));
                spots.push(Spot { place, written, carried: None });
            }
            if spots.len() >= count {
                break;
            }
        }
        Ok(spots)
    }

    fn id(&self, (_, user): Self::Place) -> UserId {
        user
    }

    async fn row(&self, user: UserId) -> Result<Option<Written<RegistrationRow>>, ViewsError> {
        self.views.registration_row(self.event, user).await
    }

    fn place_of(&self, row: &RegistrationRow) -> Option<Self::Place> {
        Some((row.line_ticket()?, row.registration.user))
    }

    fn shows(&self, _: &RegistrationRow) -> bool {
        true
    }

    fn removal(
        &self,
        (ticket, user): Self::Place,
        written: i64,
    ) -> Option<(Statement, Vec<CqlValue>)> {
        let values = vec![
            CqlValue::BigInt(written),
            blob(self.event.as_bytes()),
            CqlValue::Int(line_bucket(ticket)),
            CqlValue::BigInt(ticket.into()),
            blob(user.as_bytes()),
        ];
        Some((Statement::DeleteLine, values))
    }
}

/// Those kept out of one event: rows that are their own places.
struct Bans<'a> {
    views: &'a ScyllaViews,
    event: EventId,
}

impl List for Bans<'_> {
    type Place = UserId;
    type Id = UserId;
    type Row = BanRow;

    async fn spots(
        &self,
        behind: Option<Self::Place>,
        count: usize,
    ) -> Result<Spots<Self>, ViewsError> {
        let from = behind.as_ref().map_or(BEFORE_IDS, |user| user.as_bytes());
        let values = (self.event.as_bytes().as_slice(), from, count_column(count));
        let rows = self.views.requests.rows(Statement::ListBans, values).await?;
        let found: Vec<(Vec<u8>, Vec<u8>)> = collect(&rows)?;
        let spot = |(user, content): (Vec<u8>, Vec<u8>)| {
            let carried = decode::<BanRow>(&content)?;
            let place = UserId::from_bytes(id_of(user)?);
            Ok(Spot { place, written: cql_timestamp(carried.1), carried: Some(carried) })
        };
        found.into_iter().map(spot).collect()
    }

    fn id(&self, place: Self::Place) -> UserId {
        place
    }

    async fn row(&self, _: UserId) -> Result<Option<Written<BanRow>>, ViewsError> {
        Ok(None)
    }

    fn place_of(&self, row: &BanRow) -> Option<Self::Place> {
        Some(row.user)
    }

    fn shows(&self, row: &BanRow) -> bool {
        row.ban.is_some()
    }

    fn removal(&self, _: Self::Place, _: i64) -> Option<(Statement, Vec<CqlValue>)> {
        None
    }
}

impl ReadRegistrations for ScyllaViews {
    fn registration(&self, event: EventId, user: UserId) -> Answer<'_, Option<RegistrationRow>> {
        self.on_runtime(move |views| async move {
            Ok(views.registration_row(event, user).await?.map(|(row, _)| row))
        })
    }

    fn participants(
        &self,
        query: ParticipantsQuery,
    ) -> Answer<'_, Page<RegistrationRow, ParticipantPosition>> {
        self.on_runtime(move |views| async move {
            let ParticipantsQuery { event, status, after, limit } = query;
            views.page(&Participants { views: &views, event, status }, after, limit).await
        })
    }

    fn own_joins(
        &self,
        user: UserId,
        after: Option<OwnJoinPosition>,
        limit: usize,
    ) -> Answer<'_, Page<RegistrationRow, OwnJoinPosition>> {
        self.on_runtime(move |views| async move {
            let page =
                views.page(&Joins { views: &views, user }, after.map(Reverse), limit).await?;
            Ok(Page { items: page.items, next: page.next.map(|Reverse(place)| place) })
        })
    }

    fn waitlist(
        &self,
        event: EventId,
        after: Option<u32>,
        limit: usize,
    ) -> Answer<'_, Page<RegistrationRow, u32>> {
        self.on_runtime(move |views| async move {
            // Behind everybody with this ticket.
            let after = after.map(|ticket| (ticket, UserId::from_bytes([0xff; 16])));
            let page = views.page(&Line { views: &views, event }, after, limit).await?;
            Ok(Page { items: page.items, next: page.next.map(|(ticket, _)| ticket) })
        })
    }
}

impl ReadBans for ScyllaViews {
    fn ban(&self, event: EventId, user: UserId) -> Answer<'_, Option<BanRow>> {
        self.on_runtime(move |views| async move {
            Ok(views.ban_row(event, user).await?.filter(|row| row.ban.is_some()))
        })
    }

    fn bans(
        &self,
        event: EventId,
        after: Option<UserId>,
        limit: usize,
    ) -> Answer<'_, Page<BanRow, UserId>> {
        self.on_runtime(move |views| async move {
            views.page(&Bans { views: &views, event }, after, limit).await
        })
    }
}
