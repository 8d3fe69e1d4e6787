//! Check-in and messages.

use super::{Asked, Draft, has_characters};
use crate::command::Audience;
use crate::event::{EventStatus, SUBJECT_CHARACTERS_MAX, TEXT_CHARACTERS_MAX};
use crate::fact::{Change, Outcome, Verdict};
use crate::ids::UserId;
use crate::refusal::Refusal;
use crate::registration::{Registration, RegistrationCause};
use crate::state::{EventState, Standing};

pub(super) fn check_in(
    state: &EventState,
    asked: Asked<'_>,
    user: &UserId,
) -> Result<Verdict, Refusal> {
    if state.event().status != EventStatus::Published {
        return Err(Refusal::EventNotPublished);
    }
    let (_, entry) = state.registrations().find(user).ok_or(Refusal::NotJoined)?;
    if entry.standing() != Standing::Active {
        return Err(Refusal::NotJoined);
    }
    if let Some(first_at) = entry.checked_in_at() {
        return Err(Refusal::AlreadyCheckedIn { first_at });
    }
    let mut draft = Draft::new(asked, state);
    draft.counters.checked_in += 1;
    let registration =
        Registration { checked_in_at: Some(asked.at), updated_at: asked.at, ..entry.row() };
    let cause = RegistrationCause::CheckedIn;
    draft.changes.push(Change::Registration { cause, registration, position: None, reason: None });
    Ok(draft.finish_with(&registration, None))
}

pub(super) fn message(
    state: &EventState,
    asked: Asked<'_>,
    to: Audience,
    subject: &str,
    text: &str,
) -> Result<Verdict, Refusal> {
    if state.event().published_at.is_none() {
        return Err(Refusal::EventNotPublished);
    }
    let is_sendable = has_characters(subject, 1, SUBJECT_CHARACTERS_MAX)
        && has_characters(text, 1, TEXT_CHARACTERS_MAX);
    if !is_sendable {
        return Err(Refusal::InvalidState);
    }
    let mut draft = Draft::new(asked, state);
    draft.changes.push(Change::Message { to, subject: subject.into(), text: text.into() });
    let at = asked.at;
    Ok(draft.finish(Outcome::Done { at }))
}
