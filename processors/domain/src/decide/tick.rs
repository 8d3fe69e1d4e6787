//! What time does: the end of an event, the next step of a long effect, bans that run out.
//!
//! A tick says that somebody's clock passed a deadline. What happens is decided by log time alone,
//! so a tick that came too early, or twice, changes nothing.

use super::lifecycle::changed;
use super::removal::lift;
use super::{Asked, Draft};
use crate::event::{Event, EventStatus};
use crate::fact::{Change, EventCause, Outcome, STEP_PEOPLE_MAX, Verdict};
use crate::refusal::Refusal;
use crate::registration::{RegistrationCause, RegistrationStatus};
use crate::state::{EventState, Standing};

pub(super) fn tick(
    state: &EventState,
    asked: Asked<'_>,
    people_max: usize,
) -> Result<Verdict, Refusal> {
    // With nobody in it a step would stay due.
    let people_max = people_max.clamp(1, STEP_PEOPLE_MAX);
    let event = state.event();
    let mut draft = Draft::new(asked, state);
    if event.status == EventStatus::Published && event.fields.end_time <= asked.at {
        end(&mut draft, event);
    } else if state.step_due().is_some_and(|since| since <= asked.at) {
        step(&mut draft, state, people_max);
    } else if let Some(bans) = state.bans() {
        for user in bans.expired(asked.at).take(people_max) {
            lift(&mut draft, state, &user, &[Standing::Banned]);
        }
    }
    if draft.changes.is_empty() {
        return Err(Refusal::InvalidState);
    }
    let at = asked.at;
    Ok(draft.finish(Outcome::Done { at }))
}

fn end(draft: &mut Draft<'_>, before: &Event) {
    let event = Event { status: EventStatus::Ended, updated_at: draft.asked.at, ..before.clone() };
    draft.changes.push(changed(EventCause::Ended, &event, None));
}

fn step(draft: &mut Draft<'_>, state: &EventState, people_max: usize) {
    if state.event().status != EventStatus::Canceled {
        draft.promote_some(state, state.event(), None, people_max);
        return;
    }
    for entry in state.unexpired().take(people_max) {
        let expired = RegistrationStatus::Expired;
        // Whoever tells them has to know who had a place and who was in the line.
        let waited = entry.row().ticket.and_then(|ticket| state.line().position(ticket));
        draft.change(entry, expired, RegistrationCause::EventCanceled, None);
        if let Some(Change::Registration { position, .. }) = draft.changes.last_mut() {
            *position = waited;
        }
    }
}
