//! The keys of the tree: a byte for the table, then the parts of the key so that bytes sort as the
//! values do. Pure.

use std::ops::Bound;

use cityevents_domain::ids::{CommandId, EventId, UserId};
use cityevents_domain::registration::RegistrationStatus;
use cityevents_domain::time::Timestamp;

use crate::codec::{Damage, Reader};
use crate::query::{OwnEventPosition, OwnJoinPosition, ParticipantPosition};
use crate::row::{EventRow, RegistrationRow};

/// The tables with rows, and the lists that follow from them. Numbers never change, and those that
/// are missing were lists once and stay unused.
const EVENTS: u8 = 1;
const OWNED: u8 = 5;
const REGISTRATIONS: u8 = 6;
const PARTICIPANTS: u8 = 7;
const JOINS: u8 = 8;
const LINE: u8 = 9;
const BANS: u8 = 10;
const COUNTERS: u8 = 11;
pub(super) const OUTCOMES: u8 = 12;
const PROGRESS: u8 = 13;
const TRENDS: u8 = 14;
pub(super) const PROFILES: u8 = 15;

/// A key, or the beginning of one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(pub(super) Vec<u8>);

impl Key {
    fn of(table: u8) -> Self {
        let mut bytes = Vec::with_capacity(48);
        bytes.push(table);
        Self(bytes)
    }

    fn id(mut self, id: &[u8; 16]) -> Self {
        self.0.extend_from_slice(id);
        self
    }

    fn byte(mut self, byte: u8) -> Self {
        self.0.push(byte);
        self
    }

    fn number(mut self, number: u32) -> Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    /// Times before 1970 sort before those after it.
    fn time(mut self, time: Timestamp) -> Self {
        let sortable = (time.as_millis() as u64) ^ (1 << 63);
        self.0.extend_from_slice(&sortable.to_be_bytes());
        self
    }

    /// Text without its end: the beginning of all texts that begin with it.
    fn text_prefix(mut self, text: &str) -> Self {
        for byte in text.bytes() {
            self.0.push(byte);
            if byte == 0 {
                self.0.push(0xff);
            }
        }
        self
    }

    /// Whole text. No text's bytes are the beginning of another's.
    fn text(self, text: &str) -> Self {
        self.text_prefix(text).byte(0).byte(0)
    }

    /// The first key behind all that begin with this one.
    pub(super) fn end(&self) -> Self {
        let mut bytes = self.0.clone();
        while let Some(last) = bytes.pop() {
            if last < 0xff {
                bytes.push(last + 1);
                break;
            }
        }
        Self(bytes)
    }

    /// The keys that begin with this one.
    pub(super) fn all(&self) -> Span {
        Span { from: Bound::Included(self.clone()), to: Bound::Excluded(self.end()) }
    }
}

/// The bounds of a span as the tree takes them.
type Bounds = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// Keys next to each other.
#[derive(Debug, Clone)]
pub(super) struct Span {
    pub(super) from: Bound<Key>,
    pub(super) to: Bound<Key>,
}

impl Span {
    /// Without those up to `key`.
    pub(super) fn behind(self, key: Option<Key>) -> Self {
        match key {
            Some(key) => Self { from: Bound::Excluded(key), ..self },
            None => self,
        }
    }

    /// Without `key` and those behind it.
    pub(super) fn before(self, key: Option<Key>) -> Self {
        match key {
            Some(key) => Self { to: Bound::Excluded(key), ..self },
            None => self,
        }
    }

    /// The bounds as bytes; `None` where there is nothing in between.
    pub(super) fn bounds(self) -> Option<Bounds> {
        if let (Bound::Included(from) | Bound::Excluded(from), Bound::Excluded(to)) =
            (&self.from, &self.to)
            && from >= to
        {
            return None;
        }
        Some((self.from.map(|key| key.0), self.to.map(|key| key.0)))
    }
}

pub(super) fn event(event: EventId) -> Key {
    Key::of(EVENTS).id(event.as_bytes())
}

/// Only ever looked up whole. The person comes first, since keys that differ early are found
/// faster, and a drop is many people at one event.
pub(super) fn registration(event: EventId, user: UserId) -> Key {
    Key::of(REGISTRATIONS).id(user.as_bytes()).id(event.as_bytes())
}

pub(super) fn bans(event: EventId) -> Key {
    Key::of(BANS).id(event.as_bytes())
}

pub(super) fn ban(event: EventId, user: UserId) -> Key {
    bans(event).id(user.as_bytes())
}

pub(super) fn counters(event: EventId) -> Key {
    Key::of(COUNTERS).id(event.as_bytes())
}

pub(super) fn outcome(command: CommandId) -> Key {
    Key::of(OUTCOMES).id(command.as_bytes())
}

pub(super) fn progress(projection: &str, partition: u32) -> Key {
    Key::of(PROGRESS).text(projection).number(partition)
}

/// The slots of a list of what is talked about.
pub(super) fn trends(list: &str) -> Key {
    Key::of(TRENDS).text(list)
}

pub(super) fn trend(list: &str, partition: u32, slot: u32) -> Key {
    trends(list).number(partition).number(slot)
}

pub(super) fn profile(person: &[u8; 16]) -> Key {
    Key::of(PROFILES).id(person)
}

pub(super) fn owned(owner: UserId) -> Key {
    Key::of(OWNED).id(owner.as_bytes())
}

pub(super) fn own_event(owner: UserId, place: OwnEventPosition) -> Key {
    owned(owner).time(place.created_at).id(place.event.as_bytes())
}

pub(super) fn participants(event: EventId, status: RegistrationStatus) -> Key {
    Key::of(PARTICIPANTS).id(event.as_bytes()).byte(status_byte(status))
}

pub(super) fn participant(
    event: EventId,
    status: RegistrationStatus,
    place: ParticipantPosition,
) -> Key {
    participants(event, status).time(place.joined_at).id(place.user.as_bytes())
}

pub(super) fn joins(user: UserId) -> Key {
    Key::of(JOINS).id(user.as_bytes())
}

pub(super) fn own_join(user: UserId, place: OwnJoinPosition) -> Key {
    joins(user).time(place.joined_at).id(place.event.as_bytes())
}

pub(super) fn line(event: EventId) -> Key {
    Key::of(LINE).id(event.as_bytes())
}

/// The place behind everybody with this ticket.
pub(super) fn behind_ticket(event: EventId, ticket: u32) -> Key {
    line(event).number(ticket).id(&[0xff; 16])
}

/// Where a row stands in the lists.
pub(super) trait Listed {
    fn places(&self) -> Vec<Key>;
}

impl Listed for EventRow {
    fn places(&self) -> Vec<Key> {
        let event = &self.event;
        let own = OwnEventPosition { created_at: event.created_at, event: event.id };
        vec![own_event(event.owner, own)]
    }
}

impl Listed for RegistrationRow {
    fn places(&self) -> Vec<Key> {
        let (event, registration) = (self.event, &self.registration);
        let (user, joined_at) = (registration.user, registration.joined_at);
        let in_event = ParticipantPosition { joined_at, user };
        let mut places = vec![
            participant(event, registration.status, in_event),
            own_join(user, OwnJoinPosition { joined_at, event }),
        ];
        let ticket = self.line_ticket();
        places.extend(ticket.map(|ticket| line(event).number(ticket).id(user.as_bytes())));
        places
    }
}

/// The time and the id that a place ends with.
pub(super) fn time_and_id(key: &[u8]) -> Result<(Timestamp, [u8; 16]), Damage> {
    let tail = key.last_chunk::<24>().ok_or(Damage("short place"))?;
    let mut reader = Reader::new(tail);
    let sortable = u64::from_be_bytes(reader.array()?);
    Ok((Timestamp::from_millis((sortable ^ (1 << 63)) as i64), reader.array()?))
}

/// The ticket and the id that a place in the line ends with.
pub(super) fn ticket_and_user(key: &[u8]) -> Result<(u32, UserId), Damage> {
    let tail = key.last_chunk::<20>().ok_or(Damage("short place"))?;
    let mut reader = Reader::new(tail);
    let ticket = u32::from_be_bytes(reader.array()?);
    Ok((ticket, UserId::from_bytes(reader.array()?)))
}

const fn status_byte(status: RegistrationStatus) -> u8 {
    match status {
        RegistrationStatus::Active => 1,
        RegistrationStatus::Waitlisted => 2,
        RegistrationStatus::Canceled => 3,
        RegistrationStatus::Rejected => 4,
        RegistrationStatus::Expired => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_as_what_they_stand_for() {
        let times = [i64::MIN, -1, 0, 1, i64::MAX].map(Timestamp::from_millis);
        assert!(times.map(|time| Key::of(1).time(time)).is_sorted());
        let texts = ["", "\0", "\0a", "a", "a\0", "a\0b", "ab", "b"];
        assert!(texts.map(|text| Key::of(1).text(text).id(&[0xff; 16])).is_sorted());
    }

    #[test]
    fn the_keys_of_one_text_are_apart_from_those_of_a_longer_one() {
        let (one, longer) = (trends("bern"), trends("bernau"));
        assert!(longer >= one.end());
        assert!(longer < Key::of(TRENDS).text_prefix("bern").end());
    }

    #[test]
    fn the_end_of_a_prefix_carries_over() {
        assert_eq!(Key(vec![1, 0xff, 0xff]).end(), Key(vec![2]));
        assert_eq!(Key(vec![1, 2]).end(), Key(vec![1, 3]));
    }

    #[test]
    fn a_place_tells_its_time_and_its_id() {
        let place = OwnEventPosition {
            created_at: Timestamp::from_millis(-5),
            event: EventId::from_bytes([9; 16]),
        };
        let key = own_event(UserId::from_bytes([1; 16]), place);
        assert_eq!(time_and_id(&key.0), Ok((place.created_at, [9; 16])));
    }
}
