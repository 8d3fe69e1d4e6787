//! State as bytes: the same state gives the same bytes on every machine, so the bytes serve
//! snapshots and, hashed, the comparison of two folds (INV-9).
//!
//! Integers are little endian, texts and lists are preceded by their length as u32, options by a
//! byte. Only living entries of the dedup window are written.

use super::event::{EventState, Stub};
use super::registrations::{Entry, Registrations, Standing};
use super::{Partition, Slot};
use crate::event::{Capacity, Counters, Event, EventFields, EventStatus};
use crate::fact::Outcome;
use crate::ids::{CommandId, EventId, ImageId, UserId};
use crate::registration::{Ban, RegistrationStatus, SealedText};
use crate::time::Timestamp;

/// Raised with any change of the bytes.
pub const FORMAT: u32 = 1;

/// The bytes are no state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotError {
    /// They end too early.
    Truncated,
    /// They go on after the end.
    TrailingBytes,
    /// A value is none of those that can stand there.
    InvalidValue,
}

impl std::fmt::Display for SnapshotError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Truncated => "the state ends too early",
            Self::TrailingBytes => "the state goes on after its end",
            Self::InvalidValue => "the state holds a value that it cannot hold",
        })
    }
}

impl std::error::Error for SnapshotError {}

impl Partition {
    /// Appends the state to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut writer = Writer(out);
        writer.time(self.log_time);
        writer.u32(self.slots.len() as u32);
        for slot in &self.slots {
            match slot {
                Slot::Open(state) => {
                    writer.u8(0);
                    writer.state(state);
                }
                Slot::Closed(stub) => {
                    writer.u8(1);
                    writer.stub(stub);
                }
            }
        }
        let living = self.dedup.living(self.log_time);
        let count_at = writer.0.len();
        writer.u32(0);
        let mut count: u32 = 0;
        for (id, digest, at, outcome) in living {
            writer.bytes(id.as_bytes());
            writer.u64(digest);
            writer.time(at);
            writer.outcome(&outcome);
            count += 1;
        }
        writer.0[count_at..count_at + 4].copy_from_slice(&count.to_le_bytes());
    }

    /// Reads a state back.
    ///
    /// # Errors
    /// When the bytes are not what [`Partition::encode`] of this [`FORMAT`] writes.
    pub fn decode(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let mut reader = Reader(bytes);
        let mut partition = Self { log_time: reader.time()?, ..Self::default() };
        let slots = reader.length(43)?;
        partition.slots.reserve(slots);
        for _ in 0..slots {
            let slot = match reader.u8()? {
                0 => Slot::Open(Box::new(reader.state()?)),
                1 => Slot::Closed(reader.stub()?),
                _ => return Err(SnapshotError::InvalidValue),
            };
            let timer = match &slot {
                Slot::Open(state) => state.timer,
                Slot::Closed(_) => None,
            };
            let number = partition.push_slot(slot);
            partition.timers.extend(timer.map(|deadline| (deadline, number)));
        }
        for _ in 0..reader.length(33)? {
            let id = CommandId::from_bytes(reader.array()?);
            let digest = reader.u64()?;
            let at = reader.time()?;
            let outcome = reader.outcome()?;
            partition.dedup.insert(id, digest, at, &outcome);
        }
        if reader.0.is_empty() { Ok(partition) } else { Err(SnapshotError::TrailingBytes) }
    }

    /// Hash of the whole state. Two folds of the same facts have the same one, however the facts
    /// were split, restored or replayed.
    pub fn hash(&self) -> [u8; 32] {
        let mut bytes = Vec::new();
        self.encode(&mut bytes);
        *blake3::hash(&bytes).as_bytes()
    }

    /// Hash of one event alone, the same whatever else its partition holds.
    pub fn event_hash(&self, event: &EventId) -> Option<[u8; 32]> {
        let mut bytes = Vec::new();
        let mut writer = Writer(&mut bytes);
        match self.find(event)? {
            Slot::Open(state) => writer.state(state),
            Slot::Closed(stub) => writer.stub(stub),
        }
        Some(*blake3::hash(&bytes).as_bytes())
    }
}

struct Writer<'a>(&'a mut Vec<u8>);

impl Writer<'_> {
    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    fn u32(&mut self, value: u32) {
        self.bytes(&value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.bytes(&value.to_le_bytes());
    }

    fn time(&mut self, value: Timestamp) {
        self.bytes(&value.as_millis().to_le_bytes());
    }

    fn list(&mut self, bytes: &[u8]) {
        self.u32(bytes.len() as u32);
        self.bytes(bytes);
    }

    fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.u8(u8::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }

    fn event(&mut self, event: &Event) {
        self.bytes(event.id.as_bytes());
        self.bytes(event.owner.as_bytes());
        let fields = &event.fields;
        for text in
            [&fields.title, &fields.description, &fields.city, &fields.category, &fields.location]
        {
            self.list(text.as_bytes());
        }
        self.time(fields.start_time);
        self.time(fields.end_time);
        self.u32(fields.capacity.to_wire());
        self.option(fields.waitlist_limit, Self::u32);
        self.option(fields.opens_at, Self::time);
        self.u32(fields.cover_image_ids.len() as u32);
        for image in &fields.cover_image_ids {
            self.bytes(image.as_bytes());
        }
        self.status(event.status);
        self.u32(event.version);
        self.time(event.created_at);
        self.time(event.updated_at);
        self.option(event.published_at, Self::time);
        self.option(event.canceled_at, Self::time);
    }

    fn status(&mut self, status: EventStatus) {
        let number = EventStatus::ALL.iter().position(|known| *known == status);
        self.u8(number.unwrap_or_default() as u8);
    }

    fn state(&mut self, state: &EventState) {
        self.event(&state.event);
        self.u64(state.seq);
        self.u32(state.tickets_drawn);
        self.option(state.step_due, Self::time);
        self.u32(state.expired_before);
        self.u32(state.registrations.len() as u32);
        for entry in state.registrations.iter() {
            self.entry(entry);
        }
        let bans = state.bans.as_deref();
        self.u32(bans.map_or(0, |bans| bans.iter().count()) as u32);
        for ban in bans.into_iter().flat_map(|bans| bans.iter()) {
            self.bytes(ban.user.as_bytes());
            self.bytes(ban.banned_by.as_bytes());
            self.time(ban.banned_at);
            self.option(ban.expires_at, Self::time);
            self.option(ban.reason.as_ref(), |writer, reason| writer.list(&reason.0));
        }
    }

    fn entry(&mut self, entry: &Entry) {
        self.bytes(entry.user.as_bytes());
        self.time(entry.joined_at);
        self.time(entry.updated_at);
        self.time(entry.checked_in_at);
        self.u32(entry.ticket);
        self.u8(entry.standing as u8);
    }

    fn stub(&mut self, stub: &Stub) {
        self.bytes(stub.id.as_bytes());
        self.bytes(stub.owner.as_bytes());
        self.status(stub.status);
        self.u64(stub.seq);
        self.u8(u8::from(stub.was_published));
    }

    fn outcome(&mut self, outcome: &Outcome) {
        match outcome {
            // The user is not written: whoever repeats the command says whom it is about.
            Outcome::Registration { status, position, .. } => {
                self.u8(0);
                let number = RegistrationStatus::ALL.iter().position(|known| known == status);
                self.u8(number.unwrap_or_default() as u8);
                self.u32(position.unwrap_or(0));
            }
            Outcome::Done { .. } => self.u8(1),
            Outcome::Event { event, counters } => {
                self.u8(2);
                self.event(event);
                self.u32(counters.active);
                self.u32(counters.waiting);
                self.u32(counters.checked_in);
            }
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], SnapshotError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(SnapshotError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], SnapshotError> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(SnapshotError::Truncated)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn u8(&mut self) -> Result<u8, SnapshotError> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Result<u32, SnapshotError> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, SnapshotError> {
        self.array().map(u64::from_le_bytes)
    }

    fn time(&mut self) -> Result<Timestamp, SnapshotError> {
        self.array().map(|bytes| Timestamp::from_millis(i64::from_le_bytes(bytes)))
    }

    /// A number of items of at least `item_bytes` each, so that no damaged length asks for more
    /// memory than there are bytes.
    fn length(&mut self, item_bytes: usize) -> Result<usize, SnapshotError> {
        let count = self.u32()? as usize;
        if count.saturating_mul(item_bytes) > self.0.len() {
            return Err(SnapshotError::Truncated);
        }
        Ok(count)
    }

    fn list(&mut self) -> Result<&'a [u8], SnapshotError> {
        let count = self.length(1)?;
        self.take(count)
    }

    fn text(&mut self) -> Result<String, SnapshotError> {
        let bytes = self.list()?;
        std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| SnapshotError::InvalidValue)
    }

    fn option<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, SnapshotError>,
    ) -> Result<Option<T>, SnapshotError> {
        match self.u8()? {
            0 => Ok(None),
            1 => read(self).map(Some),
            _ => Err(SnapshotError::InvalidValue),
        }
    }

    fn flag(&mut self) -> Result<bool, SnapshotError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(SnapshotError::InvalidValue),
        }
    }

    fn pick<T: Copy>(&mut self, all: &[T]) -> Result<T, SnapshotError> {
        all.get(usize::from(self.u8()?)).copied().ok_or(SnapshotError::InvalidValue)
    }

    fn event(&mut self) -> Result<Event, SnapshotError> {
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

    fn state(&mut self) -> Result<EventState, SnapshotError> {
        let mut state = EventState::new(self.event()?);
        state.seq = self.u64()?;
        state.tickets_drawn = self.u32()?;
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

    fn entry(&mut self) -> Result<Entry, SnapshotError> {
        Ok(Entry {
            user: UserId::from_bytes(self.array()?),
            joined_at: self.time()?,
            updated_at: self.time()?,
            checked_in_at: self.time()?,
            ticket: self.u32()?,
            standing: self.pick(&Standing::ALL)?,
        })
    }

    fn stub(&mut self) -> Result<Stub, SnapshotError> {
        Ok(Stub {
            id: EventId::from_bytes(self.array()?),
            owner: UserId::from_bytes(self.array()?),
            status: self.pick(&EventStatus::ALL)?,
            seq: self.u64()?,
            was_published: self.flag()?,
        })
    }

    fn outcome(&mut self) -> Result<Outcome, SnapshotError> {
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
