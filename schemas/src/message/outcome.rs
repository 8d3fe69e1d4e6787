//! What a caller is told; part of facts, links and replies.

use cityevents_domain::event::Counters;
use cityevents_domain::fact::Outcome;
use cityevents_domain::ids::UserId;
use cityevents_domain::registration::RegistrationStatus;
use cityevents_domain::time::Timestamp;

use super::parts::{body, tag, to_u32, to_u32_option};
use super::row::{from_event, to_event};
use crate::error::DecodeError;
use crate::wire;

const REGISTRATION: &str = "registration";
const EVENT: &str = "event";
const DONE: &str = "done";

pub(super) fn from_counters(counters: &Counters) -> wire::Counters {
    wire::Counters {
        active: counters.active.into(),
        waiting: counters.waiting.into(),
        checked_in: counters.checked_in.into(),
    }
}

pub(super) fn to_counters(counters: &wire::Counters) -> Result<Counters, DecodeError> {
    Ok(Counters {
        active: to_u32("active", counters.active)?,
        waiting: to_u32("waiting", counters.waiting)?,
        checked_in: to_u32("checked_in", counters.checked_in)?,
    })
}

pub(super) fn from_outcome(outcome: &Outcome) -> wire::Outcome<'_> {
    let mut record = wire::Outcome { kind: DONE, registration: None, event: None, done: None };
    match outcome {
        Outcome::Registration { user, status, position, updated_at } => {
            record.kind = REGISTRATION;
            record.registration = Some(wire::RegistrationOutcome {
                user_id: *user.as_bytes(),
                status: status.as_str(),
                position: position.map(i64::from),
                updated_at: updated_at.as_millis(),
            });
        }
        Outcome::Event { event, counters } => {
            record.kind = EVENT;
            record.event = Some(Box::new(wire::EventOutcome {
                event: from_event(event),
                counters: from_counters(counters),
            }));
        }
        Outcome::Done { at } => record.done = Some(wire::DoneOutcome { at: at.as_millis() }),
    }
    record
}

pub(super) fn to_outcome(record: &wire::Outcome<'_>) -> Result<Outcome, DecodeError> {
    match record.kind {
        REGISTRATION => {
            let outcome = body(REGISTRATION, record.registration.as_ref())?;
            Ok(Outcome::Registration {
                user: UserId::from_bytes(outcome.user_id),
                status: tag("registration status", outcome.status, RegistrationStatus::parse)?,
                position: to_u32_option("position", outcome.position)?,
                updated_at: Timestamp::from_millis(outcome.updated_at),
            })
        }
        EVENT => {
            let outcome = body(EVENT, record.event.as_ref())?;
            Ok(Outcome::Event {
                event: Box::new(to_event(&outcome.event)?),
                counters: to_counters(&outcome.counters)?,
            })
        }
        DONE => {
            let done = body(DONE, record.done.as_ref())?;
            Ok(Outcome::Done { at: Timestamp::from_millis(done.at) })
        }
        other => Err(DecodeError::unknown_tag("outcome kind", other)),
    }
}
