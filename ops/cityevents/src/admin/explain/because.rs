//! Why something was refused: what the event and the person were at that moment, with the command that
//! made them so.

use std::collections::BTreeMap;

use cityevents_domain::event::{Capacity, Counters, Event};
use cityevents_domain::fact::{Change, Fact};
use cityevents_domain::ids::UserId;
use cityevents_domain::refusal::Refusal;
use cityevents_domain::registration::RegistrationCause;
use cityevents_domain::time::Timestamp;

use super::text;

/// What facts have said of an event so far.
#[derive(Default)]
pub(super) struct Standing {
    event: Option<Event>,
    counters: Counters,
    /// The command that the counters are of; `None` when it is in other topics.
    counted_by: Option<u64>,
    /// The command that the row of the event is of; `None` when it is in other topics.
    changed_by: Option<u64>,
    /// Who is kept out, since when, until when and by which command.
    out: BTreeMap<UserId, Out>,
}

struct Out {
    since: Timestamp,
    until: Option<Timestamp>,
    by: Option<u64>,
}

impl Standing {
    /// A fact that a command made.
    pub(super) fn take(&mut self, fact: &Fact, command: Option<u64>) {
        (self.counters, self.counted_by) = (fact.counters, command);
        for change in &fact.changes {
            match change {
                Change::Event { event, .. } => {
                    self.event = Some((**event).clone());
                    self.changed_by = command;
                }
                Change::Registration { cause, registration, .. } => match cause {
                    RegistrationCause::Kicked | RegistrationCause::Banned => {
                        let out = Out { since: fact.at, until: None, by: command };
                        self.out.entry(registration.user).or_insert(out);
                    }
                    RegistrationCause::Lifted => {
                        self.out.remove(&registration.user);
                    }
                    _ => {}
                },
                Change::Banned(ban) => {
                    let out = Out { since: ban.banned_at, until: ban.expires_at, by: command };
                    self.out.insert(ban.user, out);
                }
                Change::Unbanned { user } => {
                    self.out.remove(user);
                }
                Change::Message { .. } => {}
            }
        }
    }

    /// Why a command was refused that came next; `None` where the code says all.
    pub(super) fn because(&self, refusal: &Refusal, user: Option<&UserId>) -> Option<String> {
        let event = self.event.as_ref();
        match refusal {
            Refusal::EventFull => {
                let fields = &event?.fields;
                let places = match fields.capacity {
                    Capacity::Limited(places) => places.to_string(),
                    Capacity::Unlimited => "any number of".to_owned(),
                };
                let Counters { active, waiting, .. } = self.counters;
                Some(format!(
                    "{active} of {places} places were taken and {waiting} of {} waited, since {}",
                    fields.waitlist_limit(),
                    named(self.counted_by)
                ))
            }
            Refusal::Banned | Refusal::RemovedByOrganizer => {
                let Out { since, until, by } = self.out.get(user?)?;
                let until = until.map(|until| format!(" until {}", text(until)));
                let until = until.unwrap_or_default();
                Some(format!("kept out since {}{until}, by {}", text(*since), named(*by)))
            }
            Refusal::NotOpenYet { opens_at } => Some(format!("it opens at {}", text(*opens_at))),
            Refusal::EventEnded => Some(format!("it ended at {}", text(event?.fields.end_time))),
            Refusal::EventCanceled | Refusal::EventNotPublished | Refusal::InvalidState => {
                let status = event?.status.as_str();
                Some(format!("it was {status} since {}", named(self.changed_by)))
            }
            Refusal::VersionConflict { current } => {
                Some(format!("it had version {current} since {}", named(self.changed_by)))
            }
            Refusal::AlreadyCheckedIn { first_at } => {
                Some(format!("the first time was at {}", text(*first_at)))
            }
            Refusal::EventNotFound if event.is_none() => Some("nobody had made it".to_owned()),
            Refusal::EventNotFound
            | Refusal::IdempotencyKeyMismatch
            | Refusal::Forbidden
            | Refusal::IsOrganizer
            | Refusal::NotJoined => None,
        }
    }
}

fn named(command: Option<u64>) -> String {
    command.map_or("a command in earlier topics".to_owned(), |offset| format!("command {offset}"))
}
