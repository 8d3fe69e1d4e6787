//! Values as bytes.

use super::super::event::{EventState, Stub};
use super::super::registrations::Entry;
use crate::event::{Event, EventStatus};
use crate::fact::Outcome;
use crate::registration::RegistrationStatus;
use crate::time::Timestamp;

pub(super) struct Writer<'a>(pub(super) &'a mut Vec<u8>);

impl Writer<'_> {
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.bytes(&value.to_le_bytes());
    }

    pub(super) fn u64(&mut self, value: u64) {
        self.bytes(&value.to_le_bytes());
    }

    pub(super) fn time(&mut self, value: Timestamp) {
        self.bytes(&value.as_millis().to_le_bytes());
    }

    pub(super) fn list(&mut self, bytes: &[u8]) {
        self.u32(bytes.len() as u32);
        self.bytes(bytes);
    }

    pub(super) fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.u8(u8::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }

    pub(super) fn event(&mut self, event: &Event) {
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

    pub(super) fn status(&mut self, status: EventStatus) {
        let number = EventStatus::ALL.iter().position(|known| *known == status);
        self.u8(number.unwrap_or_default() as u8);
    }

    pub(super) fn state(&mut self, state: &EventState) {
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

    pub(super) fn entry(&mut self, entry: &Entry) {
        self.bytes(entry.user.as_bytes());
        self.time(entry.joined_at);
        self.time(entry.updated_at);
        self.time(entry.checked_in_at);
        self.u32(entry.ticket);
        self.u8(entry.standing as u8);
    }

    pub(super) fn stub(&mut self, stub: &Stub) {
        self.bytes(stub.id.as_bytes());
        self.bytes(stub.owner.as_bytes());
        self.status(stub.status);
        self.u64(stub.seq);
        self.u8(u8::from(stub.was_published));
    }

    pub(super) fn outcome(&mut self, outcome: &Outcome) {
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
