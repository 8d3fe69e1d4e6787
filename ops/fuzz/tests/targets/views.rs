//! Stored rows of the tables.

use std::fmt::Debug;

use cityevents_domain::ids::{CommandId, EventId};
use cityevents_domain::registration::RegistrationCause;
use cityevents_fuzz::Seen;
use cityevents_fuzz::values::{
    ban, bytes, counters, event, maybe, number, offset, outcome, pick, refusal, registration,
    sealed, text, time, user,
};
use cityevents_views::codec::{Table, decode, encode, timestamp_of};
use cityevents_views::{
    BanRow, CountersRow, EventRow, OutcomeRow, OutcomeVerdict, ProgressRow, RegistrationRow,
    WriteTimestamp,
};
use rand::RngExt as _;
use rand::rngs::SmallRng;

use super::{fuzz, reads_back};

fn target<R: Table + PartialEq + Debug>(make: impl Fn(&mut SmallRng) -> R) {
    fuzz(
        &format!("views {} row", R::NAME),
        |rng| encode(&make(rng), WriteTimestamp(offset(rng))),
        check::<R>,
    );
}

/// Reads a row of a table, and its timestamp alone.
pub(super) fn check<R: Table + PartialEq + Debug>(input: &[u8]) -> Result<Seen, String> {
    let read = decode::<R>(input);
    if let (Ok((_, timestamp)), alone) = (&read, timestamp_of(R::NAME, input))
        && alone.as_ref().ok() != Some(timestamp)
    {
        return Err(format!("the timestamp is {timestamp:?}, read alone {alone:?}"));
    }
    reads_back(read, |(row, timestamp)| encode(row, *timestamp), decode::<R>)
}

fn event_id(rng: &mut SmallRng) -> EventId {
    EventId::from_bytes(bytes(rng))
}

#[test]
fn rows_of_events_are_read_or_refused() {
    target(|rng| EventRow { event: event(rng), event_seq: offset(rng) });
}

#[test]
fn rows_of_counters_are_read_or_refused() {
    target(|rng| CountersRow {
        event: event_id(rng),
        counters: counters(rng),
        event_seq: offset(rng),
    });
}

#[test]
fn rows_of_registrations_are_read_or_refused() {
    target(|rng| RegistrationRow {
        event: event_id(rng),
        registration: registration(rng),
        cause: pick(rng, &RegistrationCause::ALL),
        position: maybe(rng, number),
        reason: maybe(rng, sealed),
    });
}

#[test]
fn rows_of_bans_are_read_or_refused() {
    target(|rng| BanRow { event: event_id(rng), user: user(rng), ban: maybe(rng, ban) });
}

#[test]
fn rows_of_outcomes_are_read_or_refused() {
    target(|rng| OutcomeRow {
        command: CommandId::from_bytes(bytes(rng)),
        event: maybe(rng, event_id),
        user: maybe(rng, user),
        verdict: match rng.random_range(0..4) {
            0 => OutcomeVerdict::Accepted(outcome(rng)),
            1 => OutcomeVerdict::Unchanged(outcome(rng)),
            2 => OutcomeVerdict::Refused(refusal(rng)),
            _ => OutcomeVerdict::Undecodable,
        },
        at: time(rng),
        expires_at: time(rng),
    });
}

#[test]
fn rows_of_progress_are_read_or_refused() {
    target(|rng| ProgressRow {
        projection: text(rng),
        partition: number(rng),
        next_offset: offset(rng),
        cursor: text(rng),
    });
}
