//! Refusals of the domain as problems.

use cityevents_domain::refusal::Refusal;

use super::{ErrorCode, Problem};
use crate::event_body::WireTime;

impl From<&Refusal> for ErrorCode {
    fn from(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::IdempotencyKeyMismatch => Self::IdempotencyKeyMismatch,
            Refusal::EventNotFound => Self::EventNotFound,
            Refusal::Forbidden => Self::Forbidden,
            Refusal::EventCanceled => Self::EventCanceled,
            Refusal::EventEnded => Self::EventEnded,
            Refusal::EventNotPublished => Self::EventNotPublished,
            Refusal::NotOpenYet { .. } => Self::NotOpenYet,
            Refusal::IsOrganizer => Self::IsOrganizer,
            Refusal::Banned => Self::Banned,
            Refusal::RemovedByOrganizer => Self::RemovedByOrganizer,
            Refusal::EventFull => Self::EventFull,
            Refusal::NotJoined => Self::NotJoined,
            Refusal::AlreadyCheckedIn { .. } => Self::AlreadyCheckedIn,
            Refusal::VersionConflict { .. } => Self::VersionConflict,
            Refusal::InvalidState => Self::InvalidState,
        }
    }
}

impl From<&Refusal> for Problem {
    fn from(refusal: &Refusal) -> Self {
        let problem = Self::new(ErrorCode::from(refusal));
        match refusal {
            Refusal::NotOpenYet { opens_at } => {
                problem.with_meta("opens_at", WireTime(*opens_at).to_string())
            }
            Refusal::AlreadyCheckedIn { first_at } => {
                problem.with_meta("first_at", WireTime(*first_at).to_string())
            }
            Refusal::VersionConflict { current } => problem.with_meta("current_version", *current),
            _ => problem,
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self::from(&refusal)
    }
}

#[cfg(test)]
mod tests {
    use cityevents_domain::time::Timestamp;

    use super::*;

    #[test]
    fn every_refusal_keeps_its_code_and_has_the_status_of_the_contract() {
        let at = Timestamp::from_millis(1_700_000_000_000);
        let expected = [
            (Refusal::IdempotencyKeyMismatch, 422),
            (Refusal::EventNotFound, 404),
            (Refusal::Forbidden, 403),
            (Refusal::EventCanceled, 410),
            (Refusal::EventEnded, 410),
            (Refusal::EventNotPublished, 409),
            (Refusal::NotOpenYet { opens_at: at }, 409),
            (Refusal::IsOrganizer, 409),
            (Refusal::Banned, 403),
            (Refusal::RemovedByOrganizer, 403),
            (Refusal::EventFull, 409),
            (Refusal::NotJoined, 404),
            (Refusal::AlreadyCheckedIn { first_at: at }, 409),
            (Refusal::VersionConflict { current: 3 }, 412),
            (Refusal::InvalidState, 409),
        ];
        for (refusal, status) in expected {
            let code = ErrorCode::from(&refusal);
            assert_eq!(code.as_str(), refusal.code());
            assert_eq!(code.status().as_u16(), status, "{}", refusal.code());
        }
        let problem = Problem::from(Refusal::NotOpenYet { opens_at: at });
        assert_eq!(problem.meta()["opens_at"], "2023-11-14T22:13:20.000Z");
    }
}
