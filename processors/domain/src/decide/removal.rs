//! Kick, ban and unban.

use super::{Asked, Draft, current, is_brief_sealed};
use crate::fact::{Change, Outcome, Verdict};
use crate::ids::UserId;
use crate::refusal::Refusal;
use crate::registration::{Ban, RegistrationCause, RegistrationStatus, SealedText};
use crate::state::{EventState, Standing};
use crate::time::Timestamp;

pub(super) fn kick(
    state: &EventState,
    asked: Asked<'_>,
    user: &UserId,
    reason: &Option<SealedText>,
) -> Result<Verdict, Refusal> {
    if state.event().owner == *user {
        return Err(Refusal::IsOrganizer);
    }
    let (_, entry) = state.registrations().find(user).ok_or(Refusal::NotJoined)?;
    if entry.standing() == Standing::Kicked {
        return Ok(current(state, entry));
    }
    if !is_brief_sealed(reason.as_ref()) {
        return Err(Refusal::InvalidState);
    }
    let mut draft = Draft::new(asked, state);
    let removed = RegistrationStatus::Rejected;
    let row = draft.change(entry, removed, RegistrationCause::Kicked, reason.clone());
    draft.promote(state, state.event(), Some(user));
    Ok(draft.finish_with(&row, None))
}

pub(super) fn ban(
    state: &EventState,
    asked: Asked<'_>,
    user: &UserId,
    reason: &Option<SealedText>,
    expires_at: Option<Timestamp>,
) -> Result<Verdict, Refusal> {
    let banned_by = asked.person()?;
    if state.event().owner == *user {
        return Err(Refusal::IsOrganizer);
    }
    let is_past = expires_at.is_some_and(|expiry| expiry <= asked.at);
    if is_past || !is_brief_sealed(reason.as_ref()) {
        return Err(Refusal::InvalidState);
    }
    let mut draft = Draft::new(asked, state);
    draft.changes.push(Change::Banned(Ban {
        user: *user,
        banned_by,
        banned_at: asked.at,
        expires_at,
        reason: reason.clone(),
    }));
    let registered = state.registrations().find(user).map(|(_, entry)| entry);
    if let Some(entry) = registered.filter(|entry| entry.standing().is_living()) {
        let removed = RegistrationStatus::Rejected;
        draft.change(entry, removed, RegistrationCause::Banned, reason.clone());
        draft.promote(state, state.event(), Some(user));
    }
    let at = asked.at;
    Ok(draft.finish(Outcome::Done { at }))
}

/// Lifts a ban, a kick, or both.
pub(super) fn unban(
    state: &EventState,
    asked: Asked<'_>,
    user: &UserId,
) -> Result<Verdict, Refusal> {
    let mut draft = Draft::new(asked, state);
    lift(&mut draft, state, user, &[Standing::Kicked, Standing::Banned]);
    let outcome = Outcome::Done { at: asked.at };
    if draft.changes.is_empty() {
        return Ok(Verdict::Unchanged(outcome));
    }
    Ok(draft.finish(outcome))
}

/// Takes a ban away, and with it what it did to the registration if that stands in `standings`.
pub(super) fn lift(
    draft: &mut Draft<'_>,
    state: &EventState,
    user: &UserId,
    standings: &[Standing],
) {
    if state.bans().is_some_and(|bans| bans.find(user).is_some()) {
        draft.changes.push(Change::Unbanned { user: *user });
    }
    let registered = state.registrations().find(user).map(|(_, entry)| entry);
    if let Some(entry) = registered.filter(|entry| standings.contains(&entry.standing())) {
        let lifted = RegistrationStatus::Canceled;
        draft.change(entry, lifted, RegistrationCause::Lifted, None);
    }
}
