//! Join and leave.

use super::{Asked, Draft, current};
use crate::event::EventStatus;
use crate::fact::{Change, Verdict};
use crate::refusal::Refusal;
use crate::registration::{Registration, RegistrationCause, RegistrationStatus};
use crate::state::{EventState, Standing};

pub(super) fn join(state: &EventState, asked: Asked<'_>) -> Result<Verdict, Refusal> {
    let event = state.event();
    let user = asked.person()?;
    if event.status != EventStatus::Published {
        return Err(Refusal::EventNotPublished);
    }
    if let Some(opens_at) = event.fields.opens_at.filter(|opens_at| asked.at < *opens_at) {
        return Err(Refusal::NotOpenYet { opens_at });
    }
    if event.owner == user {
        return Err(Refusal::IsOrganizer);
    }
    if state.bans().is_some_and(|bans| bans.living(&user, asked.at).is_some()) {
        return Err(Refusal::Banned);
    }
    let known = state.registrations().find(&user).map(|(_, entry)| entry);
    match known.map(|entry| (entry, entry.standing())) {
        Some((_, Standing::Kicked)) => return Err(Refusal::RemovedByOrganizer),
        Some((entry, Standing::Active | Standing::Waitlisted)) => {
            return Ok(current(state, entry));
        }
        // A ban that does not live any more keeps nobody out, lifted by a tick or not.
        Some((_, Standing::Canceled | Standing::Banned | Standing::Expired)) | None => {}
    }
    let mut draft = Draft::new(asked, state);
    let waiting = state.counters().waiting;
    let free = event.fields.capacity.free(state.counters().active);
    let row = |status, ticket| Registration {
        user,
        status,
        joined_at: asked.at,
        updated_at: asked.at,
        ticket,
        checked_in_at: None,
    };
    let (registration, position) = if free > 0 && waiting == 0 {
        draft.counters.active += 1;
        (row(RegistrationStatus::Active, None), None)
    } else {
        // People whose promotion is only a step away do not count against the limit.
        if waiting >= event.fields.waitlist_limit().saturating_add(free) {
            return Err(Refusal::EventFull);
        }
        draft.counters.waiting += 1;
        (row(RegistrationStatus::Waitlisted, Some(state.next_ticket())), Some(waiting + 1))
    };
    let cause = RegistrationCause::Joined;
    draft.changes.push(Change::Registration { cause, registration, position, reason: None });
    Ok(draft.finish_with(&registration, position))
}

pub(super) fn leave(state: &EventState, asked: Asked<'_>) -> Result<Verdict, Refusal> {
    let user = asked.person()?;
    let (_, entry) = state.registrations().find(&user).ok_or(Refusal::NotJoined)?;
    if !entry.standing().is_living() {
        return Ok(current(state, entry));
    }
    let mut draft = Draft::new(asked, state);
    let left = RegistrationStatus::Canceled;
    let row = draft.change(entry, left, RegistrationCause::Left, None);
    draft.promote(state, state.event(), Some(&user));
    Ok(draft.finish_with(&row, None))
}
