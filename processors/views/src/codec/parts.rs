//! The pieces that rows are made of.

use cityevents_domain::event::{Capacity, Counters, Event, EventFields, EventStatus};
use cityevents_domain::fact::Outcome;
use cityevents_domain::ids::{CommandId, EventId, ImageId, UserId};
use cityevents_domain::refusal::Refusal;
use cityevents_domain::registration::{
    Ban, Registration, RegistrationCause, RegistrationStatus, SealedText,
};
use cityevents_domain::time::Timestamp;

use super::{Damage, Reader, Writer};

const UNKNOWN_WORD: Damage = Damage("unknown word");
const UNKNOWN_TAG: Damage = Damage("unknown tag");

const OUTCOME_REGISTRATION: u8 = 1;
const OUTCOME_EVENT: u8 = 2;
const OUTCOME_DONE: u8 = 3;

/// A value that is part of rows.
pub(super) trait Part: Sized {
    fn write(&self, writer: &mut Writer);
    fn read(reader: &mut Reader<'_>) -> Result<Self, Damage>;
}

macro_rules! identifiers {
    ($($name:ty),*) => {
        $(impl Part for $name {
            fn write(&self, writer: &mut Writer) {
                writer.raw(self.as_bytes());
            }

            fn read(reader: &mut Reader<'_>) -> Result<Self, Damage> {
                reader.array().map(Self::from_bytes)
            }
        })*
    };
}

identifiers!(EventId, UserId, CommandId, ImageId);

macro_rules! words {
    ($($name:ty),*) => {
        $(impl Part for $name {
            fn write(&self, writer: &mut Writer) {
                writer.text(self.as_str());
            }

            fn read(reader: &mut Reader<'_>) -> Result<Self, Damage> {
                Self::parse(reader.text()?).ok_or(UNKNOWN_WORD)
            }
        })*
    };
}

words!(EventStatus, RegistrationStatus, RegistrationCause);

impl Part for Timestamp {
    fn write(&self, writer: &mut Writer) {
        writer.signed(self.as_millis());
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Damage> {
        reader.signed().map(Self::from_millis)
    }
}

impl Part for u32 {
    fn write(&self, writer: &mut Writer) {
        writer.unsigned(u64::from(*self));
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Damage> {
        reader.unsigned_32()
    }
}

impl<T: Part> Part for Option<T> {
    fn write(&self, writer: &mut Writer) {
        writer.option(self.as_ref(), |writer, value| value.write(writer));
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Damage> {
        reader.option(T::read)
    }
}

impl Part for String {
    fn write(&self, writer: &mut Writer) {
        writer.text(self);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Damage> {
        reader.text().map(str::to_owned)
    }
}

impl Part for SealedText {
    fn write(&self, writer: &mut Writer) {
        writer.bytes(&self.0);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Damage> {
        reader.bytes().map(|bytes| Self(bytes.to_vec()))
    }
}

impl Part for Counters {
    fn write(&self, writer: &mut Writer) {
        self.active.write(writer);
        self.waiting.write(writer);
        self.checked_in.write(writer);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Damage> {
        Ok(Self {
            active: Part::read(reader)?,
            waiting: Part::read(reader)?,
            checked_in: Part::read(reader)?,
        })
    }
}

impl Part for EventFields {
    fn write(&self, writer: &mut Writer) {
        self.title.write(writer);
        self.city.write(writer);
        self.category.write(writer);
        self.description.write(writer);
        self.location.write(writer);
        self.start_time.write(writer);
        self.end_time.write(writer);
        self.capacity.to_wire().write(writer);
        self.waitlist_limit.write(writer);
        self.opens_at.write(writer);
        writer.unsigned(self.cover_image_ids.len() as u64);
        for image in &self.cover_image_ids {
            image.write(writer);
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Damage> {
        Ok(Self {
            title: Part::read(reader)?,
            city: Part::read(reader)?,
            category: Part::read(reader)?,
            description: Part::read(reader)?,
            location: Part::read(reader)?,
            start_time: Part::read(reader)?,
            end_time: Part::read(reader)?,
            capacity: Capacity::from_wire(Part::read(reader)?),
            waitlist_limit: Part::read(reader)?,
            opens_at: Part::read(reader)?,
            cover_image_ids: {
                let count = reader.unsigned()?;
                (0..count).map(|_| ImageId::read(reader)).collect::<Result<_, _>>()?
            },
        })
    }
}

impl Part for Event {
    fn write(&self, writer: &mut Writer) {
        self.id.write(writer);
        self.owner.write(writer);
        self.status.write(writer);
        self.fields.write(writer);
        self.version.write(writer);
        self.created_at.write(writer);
        self.updated_at.write(writer);
        self.published_at.write(writer);
        self.canceled_at.write(writer);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Damage> {
        Ok(Self {
            id: Part::read(reader)?,
            owner: Part::read(reader)?,
            status: Part::read(reader)?,
            fields: Part::read(reader)?,
            version: Part::read(reader)?,
            created_at: Part::read(reader)?,
            updated_at: Part::read(reader)?,
            published_at: Part::read(reader)?,
            canceled_at: Part::read(reader)?,
        })
    }
}

impl Part for Registration {
    fn write(&self, writer: &mut Writer) {
        self.user.write(writer);
        self.status.write(writer);
        self.joined_at.write(writer);
        self.updated_at.write(writer);
        self.ticket.write(writer);
        self.checked_in_at.write(writer);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Damage> {
        Ok(Self {
            user: Part::read(reader)?,
            status: Part::read(reader)?,
            joined_at: Part::read(reader)?,
            updated_at: Part::read(reader)?,
            ticket: Part::read(reader)?,
            checked_in_at: Part::read(reader)?,
        })
    }
}

impl Part for Ban {
    fn write(&self, writer: &mut Writer) {
        self.user.write(writer);
        self.banned_by.write(writer);
        self.banned_at.write(writer);
        self.expires_at.write(writer);
        self.reason.write(writer);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Damage> {
        Ok(Self {
            user: Part::read(reader)?,
            banned_by: Part::read(reader)?,
            banned_at: Part::read(reader)?,
            expires_at: Part::read(reader)?,
            reason: Part::read(reader)?,
        })
    }
}

impl Part for Refusal {
    fn write(&self, writer: &mut Writer) {
        writer.text(self.code());
        writer.option(self.detail(), Writer::signed);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Damage> {
        let code = reader.text()?;
        let detail = reader.option(Reader::signed)?;
        Self::parse(code, detail).ok_or(UNKNOWN_WORD)
    }
}

impl Part for Outcome {
    fn write(&self, writer: &mut Writer) {
        match self {
            Self::Registration { user, status, position, updated_at } => {
                writer.byte(OUTCOME_REGISTRATION);
                user.write(writer);
                status.write(writer);
                position.write(writer);
                updated_at.write(writer);
            }
            Self::Event { event, counters } => {
                writer.byte(OUTCOME_EVENT);
                event.write(writer);
                counters.write(writer);
            }
            Self::Done { at } => {
                writer.byte(OUTCOME_DONE);
                at.write(writer);
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Damage> {
        match reader.byte()? {
            OUTCOME_REGISTRATION => Ok(Self::Registration {
                user: Part::read(reader)?,
                status: Part::read(reader)?,
                position: Part::read(reader)?,
                updated_at: Part::read(reader)?,
            }),
            OUTCOME_EVENT => Ok(Self::Event {
                event: Box::new(Part::read(reader)?),
                counters: Part::read(reader)?,
            }),
            OUTCOME_DONE => Ok(Self::Done { at: Part::read(reader)? }),
            _ => Err(UNKNOWN_TAG),
        }
    }
}
