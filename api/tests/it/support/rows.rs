//! Facts and refusals as rows: what the projection would write.

use cityevents_domain::fact::{Change, Fact};
use cityevents_domain::ids::{CommandId, EventId, UserId};
use cityevents_domain::time::{Millis, Timestamp};
use cityevents_views::{
    BanRow, CountersRow, EventRow, Mutation, OutcomeRow, OutcomeVerdict, RegistrationRow, Row,
    WriteTimestamp,
};

pub fn of_fact(fact: &Fact) -> Vec<Mutation> {
    let (event, event_seq) = (fact.event, fact.event_seq);
    let mut rows: Vec<Row> = Vec::new();
    for change in fact.changes.clone() {
        match change {
            Change::Event { event, .. } => rows.push(EventRow { event: *event, event_seq }.into()),
            Change::Registration { cause, registration, position, reason } => {
                rows.push(RegistrationRow { event, registration, cause, position, reason }.into());
            }
            Change::Banned(ban) => {
                rows.push(BanRow { event, user: ban.user, ban: Some(ban) }.into());
            }
            Change::Unbanned { user } => rows.push(BanRow { event, user, ban: None }.into()),
            Change::Message { .. } => {}
        }
    }
    rows.push(CountersRow { event, counters: fact.counters, event_seq }.into());
    if let Some(user) = fact.actor.user() {
        let verdict = OutcomeVerdict::Accepted(fact.outcome.clone());
        rows.push(outcome(fact.command, event, user, verdict, fact.at).into());
    }
    let timestamp = WriteTimestamp(event_seq);
    rows.into_iter().map(|row| Mutation { row, timestamp }).collect()
}

pub fn outcome(
    command: CommandId,
    event: EventId,
    user: UserId,
    verdict: OutcomeVerdict,
    at: Timestamp,
) -> OutcomeRow {
    OutcomeRow {
        command,
        event: Some(event),
        user: Some(user),
        verdict,
        at,
        expires_at: at + Millis::hours(24),
    }
}
