//! Values from bytes. Trusts nothing: no length asks for more memory than there are bytes, and no
//! value is taken that could not have been written.

use super::super::event::{EventState, Stub};
use super::super::registrations::{Entry, Registrations, Standing};
use super::SnapshotError;
use crate::event::{Capacity, Counters, Event, EventFields, EventStatus};
use crate::fact::Outcome;
use crate::ids::{EventId, ImageId, UserId};
use crate::registration::{Ban, RegistrationStatus, SealedText};
use crate::time::Timestamp;

pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], SnapshotError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(SnapshotError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], SnapshotError> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(SnapshotError::Truncated)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, SnapshotError> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn u32(&mut self) -> Result<u32, SnapshotError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, SnapshotError> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn time(&mut self) -> Result<Timestamp, SnapshotError> {
        self.array().map(|bytes| Timestamp::from_millis(i64::from_le_bytes(bytes)))
    }

    /// A number of items of at least `item_bytes` each, so that no damaged length asks for more
    /// memory than there are bytes.
    pub(super) fn length(&mut self, item_bytes: usize) -> Result<usize, SnapshotError> {
        let count = self.u32()? as usize;
        if count.saturating_mul(item_bytes) > self.0.len() {
            return Err(SnapshotError::Truncated);
        }
        Ok(count)
    }

    pub(super) fn list(&mut self) -> Result<&'a [u8], SnapshotError> {
        let count = self.length(1)?;
        self.take(count)
    }

    pub(super) fn text(&mut self) -> Result<String, SnapshotError> {
        let bytes = self.list()?;
        std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| SnapshotError::InvalidValue)
    }

    pub(super) fn option<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, SnapshotError>,
    ) -> Result<Option<T>, SnapshotError> {
        match self.u8()? {
            0 => Ok(None),
            1 => read(self).map(Some),
            _ => Err(SnapshotError::InvalidValue),
        }
    }

    pub(super) fn flag(&mut self) -> Result<bool, SnapshotError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(SnapshotError::InvalidValue),
        }
    }

    pub(super) fn pick<T: Copy>(&mut self, all: &[T]) -> Result<T, SnapshotError> {
        all.get(usize::from(self.u8()?)).copied().ok_or(SnapshotError::InvalidValue)
    }

    pub(super) fn event(&mut self) -> Result<Event, SnapshotError> {
        Ok(Event {
            id: EventId::from_bytes(self.array()?),
            owner: UserId::from_bytes(self.array()?),
            fields: EventFields {
                title: self.text()?,
                description: self.text()?,
                city: self.text()?,
                category: self.text()?,
                location: self.text()?,
                start_time: self.time()?,
                end_time: self.time()?,
                capacity: Capacity::from_wire(self.u32()?),
                waitlist_limit: self.option(Self::u32)?,
                opens_at: self.option(Self::time)?,
                cover_image_ids: (0..self.length(16)?)
                    .map(|_| self.array().map(ImageId::from_bytes))
                    .collect::<Result<_, _>>()?,
            },
            status: self.pick(&EventStatus::ALL)?,
            version: self.u32()?,
            created_at: self.time()?,
            updated_at: self.time()?,
            published_at: self.option(Self::time)?,
            canceled_at: self.option(Self::time)?,
        })
    }

    pub(super) fn state(&mut self) -> Result<EventState, SnapshotError> {
        let mut state = EventState::new(self.event()?);
        state.seq = self.u64()?;
        state.tickets_drawn = self.u32()?;
        // Each of them goes on counting from here: half of the numbers are left for that.
        if state.seq > u64::MAX / 2
            || state.tickets_drawn > u32::MAX / 2
            || state.event.version > u32::MAX / 2
        {
            return Err(SnapshotError::InvalidValue);
        }
        state.step_due = self.option(Self::time)?;
        state.expired_before = self.u32()?;
        let count = self.length(45)?;
        state.registrations = Registrations::with_capacity(count);
        let mut waiting = Vec::new();
        for _ in 0..count {
            let entry = self.entry()?;
            let slot = state.registrations.push(entry);
            state.count(&entry, true);
            let is_in_line = match entry.ticket() {
                Some(ticket) => ticket < state.tickets_drawn,
                None => false,
            };
            if entry.ticket().is_some() != is_in_line
                || is_in_line != (entry.standing == Standing::Waitlisted)
            {
                return Err(SnapshotError::InvalidValue);
            }
            waiting.extend(entry.ticket().map(|ticket| (ticket, slot)));
        }
        waiting.sort_unstable();
        if waiting.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(SnapshotError::InvalidValue);
        }
        for (ticket, slot) in waiting {
            state.line.push(ticket, slot);
        }
        for _ in 0..self.length(42)? {
            let ban = Ban {
                user: UserId::from_bytes(self.array()?),
                banned_by: UserId::from_bytes(self.array()?),
                banned_at: self.time()?,
                expires_at: self.option(Self::time)?,
                reason: self.option(|reader| Ok(SealedText(reader.list()?.to_vec())))?,
            };
            state.bans.get_or_insert_default().insert(ban);
        }
        state.timer = state.next_deadline();
        Ok(state)
    }

    pub(super) fn entry(&mut self) -> Result<Entry, SnapshotError> {
        Ok(Entry {
            user: UserId::from_bytes(self.array()?),
            joined_at: self.time()?,
            updated_at: self.time()?,
            checked_in_at: self.time()?,
            ticket: self.u32()?,
            standing: self.pick(&Standing::ALL)?,
        })
    }

    pub(super) fn stub(&mut self) -> Result<Stub, SnapshotError> {
        Ok(Stub {
            id: EventId::from_bytes(self.array()?),
            owner: UserId::from_bytes(self.array()?),
            status: self.pick(&EventStatus::ALL)?,
            seq: self.u64()?,
            was_published: self.flag()?,
        })
    }

    pub(super) fn outcome(&mut self) -> Result<Outcome, SnapshotError> {
        let at = Timestamp::MIN;
        Ok(match self.u8()? {
            0 => Outcome::Registration {
                user: UserId::from_bytes([0; 16]),
                status: self.pick(&RegistrationStatus::ALL)?,
                position: Some(self.u32()?).filter(|position| *position > 0),
                updated_at: at,
            },
            1 => Outcome::Done { at },
            2 => Outcome::Event {
                event: Box::new(self.event()?),
                counters: Counters {
                    active: self.u32()?,
                    waiting: self.u32()?,
                    checked_in: self.u32()?,
                },
            },
            _ => return Err(SnapshotError::InvalidValue),
        })
    }
}
