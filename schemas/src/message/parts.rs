//! Small parts that several messages share: actors, numbers, tags.

use cityevents_domain::actor::{Actor, Role};
use cityevents_domain::ids::UserId;
use cityevents_domain::refusal::Refusal;
use cityevents_domain::registration::SealedText;
use cityevents_domain::time::Timestamp;

use crate::error::DecodeError;

/// The role of the platform itself.
const SYSTEM: &str = "system";

/// Who asked, as two fields.
pub(super) const fn from_actor(actor: &Actor) -> (Option<[u8; 16]>, &'static str) {
    match actor {
        Actor::Person { user, role } => (Some(*user.as_bytes()), role.as_str()),
        Actor::System => (None, SYSTEM),
    }
}

pub(super) fn to_actor(user: Option<[u8; 16]>, role: &str) -> Result<Actor, DecodeError> {
    if role == SYSTEM {
        return Ok(Actor::System);
    }
    let role = tag("role", role, Role::parse)?;
    let user = UserId::from_bytes(body("actor", user)?);
    Ok(Actor::Person { user, role })
}

/// The value of a tag, or the error that names it.
#[inline]
pub(super) fn tag<T>(
    field: &'static str,
    word: &str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, DecodeError> {
    parse(word).ok_or_else(|| DecodeError::unknown_tag(field, word))
}

/// The body of a tag, or the error that it is missing.
#[inline]
pub(super) fn body<T>(tag: &'static str, body: Option<T>) -> Result<T, DecodeError> {
    body.ok_or(DecodeError::MissingBody { tag })
}

#[inline]
pub(super) fn to_u32(field: &'static str, value: i64) -> Result<u32, DecodeError> {
    u32::try_from(value).map_err(|_| DecodeError::OutOfRange { field, value })
}

#[inline]
pub(super) fn to_u32_option(
    field: &'static str,
    value: Option<i64>,
) -> Result<Option<u32>, DecodeError> {
    value.map(|value| to_u32(field, value)).transpose()
}

#[inline]
pub(super) fn to_u64(field: &'static str, value: i64) -> Result<u64, DecodeError> {
    u64::try_from(value).map_err(|_| DecodeError::OutOfRange { field, value })
}

/// Offsets and sequence numbers count up from 0 and stay far below the limit.
#[inline]
pub(super) fn from_u64(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) fn from_time(at: Option<Timestamp>) -> Option<i64> {
    at.map(Timestamp::as_millis)
}

pub(super) fn to_time(millis: Option<i64>) -> Option<Timestamp> {
    millis.map(Timestamp::from_millis)
}

pub(super) fn from_sealed(text: Option<&SealedText>) -> Option<&[u8]> {
    text.map(|sealed| sealed.0.as_slice())
}

pub(super) fn to_sealed(bytes: Option<&[u8]>) -> Option<SealedText> {
    bytes.map(|bytes| SealedText(bytes.to_vec()))
}

/// A refusal from its code and its number. A refusal that carries a number must have it, in range:
/// what was written reads back, or not at all.
pub(super) fn to_refusal(code: &str, detail: Option<i64>) -> Result<Refusal, DecodeError> {
    let refusal = tag("refusal code", code, |code| Refusal::parse(code, detail))?;
    match (refusal.detail(), detail) {
        (kept, given) if kept == given => Ok(refusal),
        (None, Some(_)) => Ok(refusal),
        (_, Some(value)) => Err(DecodeError::OutOfRange { field: "detail", value }),
        (_, None) => Err(DecodeError::MissingBody { tag: refusal.code() }),
    }
}
