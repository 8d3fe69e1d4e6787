//! What staff did to events of others, as records: written by who reads the facts, read by who shows
//! the trail. Beside them in the same lists stand acts on accounts, which the rows of the accounts
//! keep.
//!
//! An act follows from one fact alone, so that it is the same record however often it is written.
//! Nothing of why is kept: reasons about people are sealed, and stay where they are.

use cityevents_domain::ids::{CommandId, EventId, UserId};
use cityevents_domain::time::Timestamp;

use crate::codec::{Damage, Reader, Writer};
use crate::error::ViewsError;
use crate::records::{Change, Place, Record, RecordKey, RecordKind, RecordValue, Revision};

/// The list of everything that staff did.
pub const EVERYTHING: &[u8] = b"audit/all";
/// Ends the positions of acts on events: longer by this than those of acts on accounts.
const ON_EVENT: u8 = b'e';
/// Time, act, event, and that it is one.
const POSITION_BYTES: usize = 8 + 16 + 16 + 1;
const VERSION: u8 = 1;

/// The list of what somebody did.
pub fn by_actor(actor: &UserId) -> Vec<u8> {
    [b"audit/actor/".as_slice(), actor.as_bytes()].concat()
}

/// The list of what was done to an account or an event.
pub fn on_target(target: &[u8; 16]) -> Vec<u8> {
    [b"audit/target/".as_slice(), target].concat()
}

/// What was done. Numbers are stored and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum StaffDeed {
    /// Changed its fields.
    Update = 1,
    /// Opened it to the public.
    Publish = 2,
    /// Took it back.
    Unpublish = 3,
    /// Called it off.
    Cancel = 4,
    /// Removed a person.
    Kick = 5,
    /// Banned a person from it.
    Ban = 6,
    /// Let a person in again.
    Unban = 7,
    /// Let a person through the door.
    CheckIn = 8,
    /// Wrote to those who come.
    Message = 9,
}

impl StaffDeed {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Update,
        Self::Publish,
        Self::Unpublish,
        Self::Cancel,
        Self::Kick,
        Self::Ban,
        Self::Unban,
        Self::CheckIn,
        Self::Message,
    ];

    /// Its word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Update => "update_event",
            Self::Publish => "publish_event",
            Self::Unpublish => "unpublish_event",
            Self::Cancel => "cancel_event",
            Self::Kick => "kick_from_event",
            Self::Ban => "ban_from_event",
            Self::Unban => "unban_from_event",
            Self::CheckIn => "check_in",
            Self::Message => "message",
        }
    }

    fn of_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|deed| *deed as u8 == number)
    }
}

/// One act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StaffAct {
    /// The command that did it.
    pub id: CommandId,
    /// Log time.
    pub at: Timestamp,
    /// Who.
    pub actor: UserId,
    /// To which event.
    pub event: EventId,
    /// What.
    pub deed: StaffDeed,
    /// To whom, if it was done to one person.
    pub person: Option<UserId>,
}

impl StaffAct {
    /// Where it stands in every list that has it: by time, as acts on accounts do.
    pub fn position(&self) -> Vec<u8> {
        let at = self.at.as_millis().max(0).cast_unsigned().to_be_bytes();
        [at.as_slice(), self.id.as_bytes(), self.event.as_bytes(), &[ON_EVENT]].concat()
    }

    /// The key of the record at a position, if it is one of an act on an event.
    pub fn key_at(position: &[u8]) -> Option<RecordKey> {
        let is_one = position.len() == POSITION_BYTES && position.last() == Some(&ON_EVENT);
        is_one.then(|| RecordKey::new(RecordKind::AuditEntry, position))
    }

    /// The places that list it.
    pub fn places(&self) -> Vec<Place> {
        let person = self.person.map(|person| on_target(person.as_bytes()));
        let lists = [
            Some(EVERYTHING.to_vec()),
            Some(by_actor(&self.actor)),
            Some(on_target(self.event.as_bytes())),
            person,
        ];
        let place = |list| Place { list, position: self.position() };
        lists.into_iter().flatten().map(place).collect()
    }

    /// What makes its record, unless it is there.
    pub fn to_change(&self) -> Change {
        let mut content = Writer::with_capacity(64);
        content.byte(VERSION);
        content.signed(self.at.as_millis());
        content.raw(self.id.as_bytes());
        content.raw(self.actor.as_bytes());
        content.raw(self.event.as_bytes());
        content.byte(self.deed as u8);
        content.option(self.person.as_ref(), |content, person| content.raw(person.as_bytes()));
        Change {
            key: RecordKey::new(RecordKind::AuditEntry, self.position()),
            expected: None,
            // The same act is the same record.
            revision: Revision(*self.id.as_bytes()),
            value: Some(RecordValue { content: content.into_bytes(), expires_at: None }),
        }
    }

    /// Reads a record.
    ///
    /// # Errors
    /// When it is damaged or of a newer version.
    pub fn of_record(record: &Record) -> Result<Self, ViewsError> {
        Self::read(&record.value.content)
            .map_err(|damage| ViewsError::DamagedRow { table: "records", detail: damage.0 })
    }

    fn read(content: &[u8]) -> Result<Self, Damage> {
        let mut reader = Reader::new(content);
        if reader.byte()? != VERSION {
            return Err(Damage("an act of a newer version"));
        }
        let at = Timestamp::from_millis(reader.signed()?);
        let id = CommandId::from_bytes(sixteen(&mut reader)?);
        let actor = UserId::from_bytes(sixteen(&mut reader)?);
        let event = EventId::from_bytes(sixteen(&mut reader)?);
        let deed = StaffDeed::of_number(reader.byte()?).ok_or(Damage("unknown tag"))?;
        let person = reader.option(|reader| Ok(UserId::from_bytes(sixteen(reader)?)))?;
        reader.finish()?;
        Ok(Self { id, at, actor, event, deed, person })
    }
}

fn sixteen(reader: &mut Reader<'_>) -> Result<[u8; 16], Damage> {
    reader.raw(16)?.try_into().map_err(|_| Damage("too short"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_act_reads_back_and_stands_by_time() {
        for (number, deed) in StaffDeed::ALL.into_iter().enumerate() {
            let act = StaffAct {
                id: CommandId::from_bytes([1; 16]),
                at: Timestamp::from_millis(5),
                actor: UserId::from_bytes([2; 16]),
                event: EventId::from_bytes([3; 16]),
                deed,
                person: number.is_multiple_of(2).then(|| UserId::from_bytes([4; 16])),
            };
            let change = act.to_change();
            let record = Record { revision: change.revision, value: change.value.clone().unwrap() };
            assert_eq!(StaffAct::of_record(&record).unwrap(), act);
            assert_eq!(StaffAct::key_at(&act.position()), Some(change.key));
            let later = StaffAct { at: Timestamp::from_millis(6), ..act };
            assert!(act.position() < later.position());
            assert_eq!(act.places().len(), 3 + usize::from(act.person.is_some()));
            let mut cut = record;
            while cut.value.content.pop().is_some() {
                assert!(StaffAct::of_record(&cut).is_err());
            }
        }
        assert_eq!(StaffAct::key_at(&[0; 40]), None, "an act on an account");
    }
}
