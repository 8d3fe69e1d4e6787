//! What somebody could do with an event now, and why not join it. Pure.
//!
//! It says what a decision would say of the state that the rows show. The decision itself is made
//! later and from the log, so this is a courtesy for buttons and no promise.

use cityevents_domain::event::{Counters, Event, EventStatus};
use cityevents_domain::registration::{Ban, RegistrationCause, RegistrationStatus};
use cityevents_domain::time::Timestamp;
use cityevents_kit::ErrorCode;
use cityevents_kit::event_body::is_ended;
use cityevents_kit::keys::Caller;
use cityevents_views::RegistrationRow;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::manages;

/// Why somebody who has a place, or waits for one, cannot join: the one code that is no refusal.
const ALREADY_JOINED: &str = "already_joined";

/// What is known of an event and somebody.
pub(crate) struct Situation<'a> {
    pub(crate) event: &'a Event,
    pub(crate) counters: Counters,
    pub(crate) caller: Option<&'a Caller>,
    pub(crate) registration: Option<&'a RegistrationRow>,
    pub(crate) ban: Option<&'a Ban>,
    pub(crate) now: Timestamp,
}

/// What the caller could do now.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Actions {
    can_join: bool,
    can_cancel: bool,
    can_cancel_event: bool,
    can_unpublish: bool,
    can_edit: bool,
    /// Why not join: the code that joining would be refused with.
    reason: Option<&'static str>,
}

impl Situation<'_> {
    /// Everything at once.
    pub(crate) fn actions(&self) -> Actions {
        let event = self.event;
        let is_over = event.status == EventStatus::Canceled || is_ended(event, self.now);
        let manages = !is_over && self.caller.is_some_and(|caller| manages(caller, event));
        let reason = self.join_refusal();
        Actions {
            can_join: reason.is_none(),
            can_cancel: !is_over && self.is_registered(),
            can_cancel_event: manages && event.fields.end_time > self.now,
            can_unpublish: manages && event.status == EventStatus::Published,
            can_edit: manages,
            reason,
        }
    }

    /// Whether the caller has a place or waits for one.
    fn is_registered(&self) -> bool {
        self.registration.is_some_and(|row| row.registration.status.is_living())
    }

    /// Why joining would be refused, in the order of precedence.
    fn join_refusal(&self) -> Option<&'static str> {
        let (event, fields) = (self.event, &self.event.fields);
        let removed = |row: &RegistrationRow| {
            row.registration.status == RegistrationStatus::Rejected
                && row.cause == RegistrationCause::Kicked
        };
        let lives = |ban: &Ban| ban.expires_at.is_none_or(|expires_at| self.now < expires_at);
        let free = fields.capacity.free(self.counters.active);
        let has_place = free > 0 && self.counters.waiting == 0;
        // People whose promotion is only a step away do not count against the limit.
        let is_line_full = self.counters.waiting >= fields.waitlist_limit().saturating_add(free);
        let code = if event.status == EventStatus::Canceled {
            ErrorCode::EventCanceled
        } else if is_ended(event, self.now) {
            ErrorCode::EventEnded
        } else if event.status != EventStatus::Published {
            ErrorCode::EventNotPublished
        } else if fields.opens_at.is_some_and(|opens_at| self.now < opens_at) {
            ErrorCode::NotOpenYet
        } else if self.caller.is_some_and(|caller| caller.user == event.owner) {
            ErrorCode::IsOrganizer
        } else if self.ban.is_some_and(lives) {
            ErrorCode::Banned
        } else if self.registration.is_some_and(removed) {
            ErrorCode::RemovedByOrganizer
        } else if self.is_registered() {
            return Some(ALREADY_JOINED);
        } else if !has_place && is_line_full {
            ErrorCode::EventFull
        } else if self.caller.is_none() {
            ErrorCode::Unauthenticated
        } else {
            return None;
        };
        Some(code.as_str())
    }
}
