//! Who is to be told what of a fact. Data in, data out: no log, no tables, no clock.

use cityevents_domain::actor::Actor;
use cityevents_domain::command::Audience;
use cityevents_domain::event::{Event, EventStatus};
use cityevents_domain::fact::{Change, EventCause, Fact};
use cityevents_domain::ids::UserId;
use cityevents_domain::registration::{Registration, RegistrationCause, RegistrationStatus};
use cityevents_schemas::message::{EmailContent, EmailStanding};

/// Something to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tell {
    /// One person.
    One(UserId, EmailContent),
    /// That the event was called off: one of those who had a place or waited for one. What to say
    /// came with an earlier fact.
    CalledOff(UserId, EmailStanding),
    /// Why the event was called off, for all who are told in later facts.
    Remember(Canceled),
    /// All who have a place or wait for one, which takes its time.
    Many(Occasion),
}

/// What those are told whose event was called off.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Canceled {
    pub(super) version: u32,
    pub(super) reason: Option<String>,
    /// Context of the act.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) trace: Option<String>,
}

/// What many are told.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Occasion {
    /// Time or place changed, with this version.
    Changed { version: u32 },
    /// The organiser writes.
    Message { to: String, subject: String, text: String },
}

impl Occasion {
    /// What somebody of this status is told; `None`: nothing.
    pub(super) fn content(
        &self,
        event: cityevents_domain::ids::EventId,
        status: RegistrationStatus,
    ) -> Option<EmailContent> {
        let standing = match status {
            RegistrationStatus::Active => EmailStanding::Active,
            RegistrationStatus::Waitlisted => EmailStanding::Waiting,
            _ => return None,
        };
        match self {
            Self::Changed { version } => {
                Some(EmailContent::EventChanged { event, version: *version, standing })
            }
            Self::Message { to, subject, text } => {
                let is_meant = match Audience::parse(to)? {
                    Audience::Active => standing == EmailStanding::Active,
                    Audience::Waitlisted => standing == EmailStanding::Waiting,
                    Audience::All => true,
                };
                let (subject, text) = (subject.clone(), text.clone());
                is_meant.then_some(EmailContent::OrganizerMessage { event, subject, text })
            }
        }
    }
}

/// What a fact makes people be told, in the order of its changes.
pub(super) fn tell(fact: &Fact) -> Vec<Tell> {
    fact.changes.iter().flat_map(|change| of_change(fact, change)).collect()
}

fn of_change(fact: &Fact, change: &Change) -> Vec<Tell> {
    let event = fact.event;
    match change {
        Change::Event { cause, event: row, reason } => of_event(fact, *cause, row, reason.as_ref()),
        Change::Registration { cause, registration, position, reason } => {
            let content = match cause {
                RegistrationCause::Joined => joined(fact, registration, *position),
                RegistrationCause::Promoted => Some(EmailContent::PlaceCameFree { event }),
                RegistrationCause::Kicked => {
                    let reason = reason.clone();
                    Some(EmailContent::Removed { event, reason, until: None })
                }
                RegistrationCause::EventCanceled => {
                    // Only who waited had a position.
                    let standing = match position {
                        Some(_) => EmailStanding::Waiting,
                        None => EmailStanding::Active,
                    };
                    return vec![Tell::CalledOff(registration.user, standing)];
                }
                // A ban is told by itself, also to who never joined; the rest is one's own doing, or
                // nothing that anybody waits to hear.
                RegistrationCause::Banned
                | RegistrationCause::Left
                | RegistrationCause::Lifted
                | RegistrationCause::CheckedIn => None,
            };
            content.map(|content| Tell::One(registration.user, content)).into_iter().collect()
        }
        Change::Banned(ban) => {
            let (reason, until) = (ban.reason.clone(), ban.expires_at);
            vec![Tell::One(ban.user, EmailContent::Removed { event, reason, until })]
        }
        Change::Unbanned { .. } => Vec::new(),
        Change::Message { to, subject, text } => {
            let to = to.as_str().to_owned();
            let (subject, text) = (subject.clone(), text.clone());
            vec![Tell::Many(Occasion::Message { to, subject, text })]
        }
    }
}

fn joined(fact: &Fact, row: &Registration, position: Option<u32>) -> Option<EmailContent> {
    let event = fact.event;
    match row.status {
        RegistrationStatus::Active => Some(EmailContent::PlaceConfirmed { event }),
        RegistrationStatus::Waitlisted => {
            Some(EmailContent::Waitlisted { event, position: position.unwrap_or(1) })
        }
        _ => None,
    }
}

fn of_event(fact: &Fact, cause: EventCause, row: &Event, reason: Option<&String>) -> Vec<Tell> {
    let (event, version, reason) = (fact.event, row.version, reason.cloned());
    match cause {
        // Somebody may have a place although it was taken back since.
        EventCause::Updated { notable: true } if row.published_at.is_some() => {
            vec![Tell::Many(Occasion::Changed { version })]
        }
        EventCause::Canceled => {
            let owner = EmailContent::EventCanceled {
                event,
                version,
                reason: reason.clone(),
                standing: EmailStanding::Owner,
            };
            let canceled = Canceled { version, reason, trace: None };
            vec![Tell::Remember(canceled), Tell::One(row.owner, owner)]
        }
        EventCause::Unpublished if row.status == EventStatus::Draft => {
            let is_owner = matches!(&fact.actor, Actor::Person { user, .. } if *user == row.owner);
            let content = EmailContent::EventUnpublished { event, version, reason };
            if is_owner { Vec::new() } else { vec![Tell::One(row.owner, content)] }
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
#[path = "tell_tests.rs"]
mod tests;
