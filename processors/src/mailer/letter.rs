//! From a record to a letter. Data in, data out.

use cityevents_kit::config::Secret;
use cityevents_mail::{EventCard, Letter, Standing};
use cityevents_schemas::message::{EmailContent, EmailStanding};

/// What a letter needs that is not in the record.
#[derive(Debug, Default)]
pub(super) struct LookedUp {
    /// The event as it is now.
    pub(super) event: Option<EventCard>,
    /// Why somebody was removed; `None` as well when that cannot be read any more.
    pub(super) reason: Option<String>,
    /// What the link carries.
    pub(super) token: Option<Secret>,
}

/// The letter; `None` when something is missing that it cannot do without.
pub(super) fn letter_of(content: EmailContent, looked_up: LookedUp) -> Option<Letter> {
    let LookedUp { event, reason: removed_because, token } = looked_up;
    Some(match content {
        EmailContent::VerifyAddress { .. } => Letter::VerifyAddress { token: token? },
        EmailContent::ResetPassword { .. } => Letter::ResetPassword { token: token? },
        EmailContent::PlaceConfirmed { .. } => Letter::PlaceConfirmed { event: event? },
        EmailContent::Waitlisted { position, .. } => Letter::Waitlisted { event: event?, position },
        EmailContent::PlaceCameFree { .. } => Letter::PlaceCameFree { event: event? },
        EmailContent::Removed { until, .. } => {
            Letter::Removed { event: event?, reason: removed_because, until }
        }
        EmailContent::EventCanceled { reason, standing, .. } => {
            Letter::EventCanceled { event: event?, reason, standing: standing_of(standing) }
        }
        EmailContent::EventChanged { standing, .. } => {
            Letter::EventChanged { event: event?, standing: standing_of(standing) }
        }
        EmailContent::OrganizerMessage { subject, text, .. } => {
            Letter::OrganizerMessage { event: event?, subject, text }
        }
        EmailContent::EventUnpublished { reason, .. } => {
            Letter::EventUnpublished { event: event?, reason }
        }
    })
}

const fn standing_of(standing: EmailStanding) -> Standing {
    match standing {
        EmailStanding::Active => Standing::Active,
        EmailStanding::Waiting => Standing::Waiting,
        EmailStanding::Owner => Standing::Owner,
    }
}

#[cfg(test)]
mod tests {
    use cityevents_domain::ids::EventId;

    use super::*;

    #[test]
    fn a_letter_without_what_it_is_about_is_none() {
        let content = EmailContent::PlaceConfirmed { event: EventId::from_bytes([1; 16]) };
        assert_eq!(letter_of(content, LookedUp::default()), None);
        let content = EmailContent::VerifyAddress { token: [1; 16] };
        assert_eq!(letter_of(content, LookedUp::default()), None);
    }
}
