//! Facts: what one command changed. They travel inside links.

use cityevents_domain::command::Audience;
use cityevents_domain::fact::{Change, EventCause, Fact};
use cityevents_domain::ids::{CommandId, EventId, UserId};
use cityevents_domain::registration::{
    Ban, Registration, RegistrationCause, RegistrationStatus, SealedText,
};
use cityevents_domain::time::Timestamp;

use super::outcome::{from_counters, from_outcome, to_counters, to_outcome};
use super::parts::{
    body, from_actor, from_sealed, from_time, from_u64, tag, to_actor, to_sealed, to_time,
    to_u32_option, to_u64,
};
use super::row::{from_event, to_event};
use crate::error::DecodeError;
use crate::wire;

const EVENT: &str = "event";
const REGISTRATION: &str = "registration";
const BANNED: &str = "banned";
const UNBANNED: &str = "unbanned";
const MESSAGE: &str = "message";

pub(super) fn from_fact(fact: &Fact) -> wire::Fact<'_> {
    let (user_id, role) = from_actor(&fact.actor);
    wire::Fact {
        event_id: *fact.event.as_bytes(),
        event_seq: from_u64(fact.event_seq),
        command_id: *fact.command.as_bytes(),
        command_digest: fact.command_digest as i64,
        at: fact.at.as_millis(),
        user_id,
        role,
        changes: fact.changes.iter().map(from_change).collect(),
        counters: from_counters(&fact.counters),
        outcome: from_outcome(&fact.outcome),
    }
}

pub(super) fn to_fact(record: &wire::Fact<'_>) -> Result<Fact, DecodeError> {
    let mut changes = Vec::with_capacity(record.changes.len());
    for change in &record.changes {
        changes.push(to_change(change)?);
    }
    Ok(Fact {
        event: EventId::from_bytes(record.event_id),
        event_seq: to_u64("event_seq", record.event_seq)?,
        command: CommandId::from_bytes(record.command_id),
        command_digest: record.command_digest as u64,
        at: Timestamp::from_millis(record.at),
        actor: to_actor(record.user_id, record.role)?,
        changes,
        counters: to_counters(&record.counters)?,
        outcome: to_outcome(&record.outcome)?,
    })
}

fn from_change(change: &Change) -> wire::Change<'_> {
    let mut record = wire::Change {
        kind: EVENT,
        event: None,
        registration: None,
        banned: None,
        unbanned: None,
        message: None,
    };
    match change {
        Change::Event { cause, event, reason } => {
            record.event = Some(Box::new(wire::EventChange {
                cause: cause.as_str(),
                event: from_event(event),
                reason: reason.as_deref(),
            }));
        }
        Change::Registration { cause, registration, position, reason } => {
            record.kind = REGISTRATION;
            record.registration =
                Some(from_registration(*cause, registration, *position, reason.as_ref()));
        }
        Change::Banned(ban) => {
            record.kind = BANNED;
            record.banned = Some(from_ban(ban));
        }
        Change::Unbanned { user } => {
            record.kind = UNBANNED;
            record.unbanned = Some(wire::UnbanChange { user_id: *user.as_bytes() });
        }
        Change::Message { to, subject, text } => {
            record.kind = MESSAGE;
            record.message = Some(wire::MessageBody { to: to.as_str(), subject, text });
        }
    }
    record
}

fn from_registration<'a>(
    cause: RegistrationCause,
    registration: &Registration,
    position: Option<u32>,
    reason: Option<&'a SealedText>,
) -> wire::RegistrationChange<'a> {
    wire::RegistrationChange {
        cause: cause.as_str(),
        user_id: *registration.user.as_bytes(),
        status: registration.status.as_str(),
        joined_at: registration.joined_at.as_millis(),
        updated_at: registration.updated_at.as_millis(),
        ticket: registration.ticket.map(i64::from),
        checked_in_at: from_time(registration.checked_in_at),
        position: position.map(i64::from),
        reason: from_sealed(reason),
    }
}

fn from_ban(ban: &Ban) -> wire::BanChange<'_> {
    wire::BanChange {
        user_id: *ban.user.as_bytes(),
        banned_by: *ban.banned_by.as_bytes(),
        banned_at: ban.banned_at.as_millis(),
        expires_at: from_time(ban.expires_at),
        reason: from_sealed(ban.reason.as_ref()),
    }
}

fn to_change(record: &wire::Change<'_>) -> Result<Change, DecodeError> {
    match record.kind {
        REGISTRATION => to_registration(body(REGISTRATION, record.registration.as_ref())?),
        EVENT => {
            let change = body(EVENT, record.event.as_ref())?;
            Ok(Change::Event {
                cause: tag("event cause", change.cause, EventCause::parse)?,
                event: Box::new(to_event(&change.event)?),
                reason: change.reason.map(String::from),
            })
        }
        BANNED => {
            let ban = body(BANNED, record.banned.as_ref())?;
            Ok(Change::Banned(Ban {
                user: UserId::from_bytes(ban.user_id),
                banned_by: UserId::from_bytes(ban.banned_by),
                banned_at: Timestamp::from_millis(ban.banned_at),
                expires_at: to_time(ban.expires_at),
                reason: to_sealed(ban.reason),
            }))
        }
        UNBANNED => {
            let user = UserId::from_bytes(body(UNBANNED, record.unbanned.as_ref())?.user_id);
            Ok(Change::Unbanned { user })
        }
        MESSAGE => {
            let message = body(MESSAGE, record.message.as_ref())?;
            Ok(Change::Message {
                to: tag("audience", message.to, Audience::parse)?,
                subject: message.subject.into(),
                text: message.text.into(),
            })
        }
        other => Err(DecodeError::unknown_tag("change kind", other)),
    }
}

fn to_registration(record: &wire::RegistrationChange<'_>) -> Result<Change, DecodeError> {
    Ok(Change::Registration {
        cause: tag("registration cause", record.cause, RegistrationCause::parse)?,
        registration: Registration {
            user: UserId::from_bytes(record.user_id),
            status: tag("registration status", record.status, RegistrationStatus::parse)?,
            joined_at: Timestamp::from_millis(record.joined_at),
            updated_at: Timestamp::from_millis(record.updated_at),
            ticket: to_u32_option("ticket", record.ticket)?,
            checked_in_at: to_time(record.checked_in_at),
        },
        position: to_u32_option("position", record.position)?,
        reason: to_sealed(record.reason),
    })
}
